/** The world in which the operations are played: a server and a client on one wire, under virtual time, one connection between them. */
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import type { ChimneyHandle, TcpEndpoint, TcpHandler } from '../../src/host/api.ts';
import { type MemoryLinkPair, memoryLinkPair } from '../../src/link/memory.ts';
import type { ControlledTarget } from '../../src/stack.ts';
import { createStack, type Stack } from '../../src/stack.ts';
import type { IntermediateChoice } from '../../src/stack-drivers.ts';
import { Recorder } from './recorder.ts';

/** An application that takes so much, and no more. */
class Application implements TcpHandler {
  endpoint!: TcpEndpoint;
  appetite: number = Number.POSITIVE_INFINITY;
  connected(): void {}
  data(_bytes: Uint8Array, _at: number, length: number): number {
    const taken = Math.min(length, this.appetite);
    this.appetite -= taken;
    return taken;
  }
  dataDone(): void {}
  end(): void {}
  closed(): void {}
}

const ignore = (): void => {};
/** Long enough for everything that is under way. */
const A_WHILE_US = 300_000;

/** Letters of the participants. */
export const NAMES: Readonly<Record<string, string>> = {
  H: 'host stack',
  D: 'driver between',
  T: 'offload target',
  P: 'peer',
};

export class World {
  readonly recorder: Recorder = new Recorder();
  readonly runtime: VirtualRuntime = new VirtualRuntime(1);
  readonly server: Application = new Application();
  readonly client: Application = new Application();
  readonly stack: Stack;
  readonly wire: MemoryLinkPair;

  /** Connected, and nothing under way. `driver`: one between host and target. */
  constructor(driver: IntermediateChoice | null = null) {
    const { runtime, recorder } = this;
    this.wire = memoryLinkPair({ runtime, names: ['eth0', 'peer'], impairment: { delayUs: 1000 } });
    this.stack = createStack({
      runtime,
      links: [
        {
          link: this.wire.a,
          addresses: ['10.0.0.1/24'],
          capture: recorder.wire('H', 'T', 'P'),
          intermediates: driver === null ? [] : [driver],
        },
      ],
    });
    const client = createStack({ runtime, links: [{ link: this.wire.b, addresses: ['10.0.0.2/24'] }] });
    const [below, above] = this.stack.ndis.adapterNames;
    if (above === undefined) this.stack.ndis.attachTap(below!, recorder.junction('H', 'T'));
    else {
      this.stack.ndis.attachTap(above, recorder.junction('H', 'D'));
      this.stack.ndis.attachTap(below!, recorder.junction('D', 'T'));
    }
    this.stack.transports.listen({ local: { address: '10.0.0.1', port: 80 } }, (endpoint) => {
      this.server.endpoint = endpoint;
      endpoint.handler = this.server;
    });
    this.client.endpoint = client.transports.connect({ remote: { address: '10.0.0.1', port: 80 } }, this.client);
    this.wait();
  }

  get chimney(): ChimneyHandle {
    return this.server.endpoint.chimney;
  }
  get target(): ControlledTarget {
    return this.stack.target('eth0');
  }

  wait(us: number = A_WHILE_US): void {
    this.runtime.advance(us);
  }

  offload(): void {
    this.chimney.offload().catch(ignore);
  }
  takeBack(): void {
    this.chimney.takeBack().catch(ignore);
  }
  query(): void {
    this.chimney.query().catch(ignore);
  }
  invalidate(): void {
    this.chimney.invalidate().catch(ignore);
  }

  /** The same world with the connection at its target. */
  offloaded(): this {
    this.offload();
    this.wait();
    return this;
  }

  write(application: Application, bytes: number): void {
    application.endpoint.write(new Uint8Array(bytes), null);
  }

  /** What `act` brings about, drawn. */
  draw(act: () => void): string[] {
    return this.recorder.record(() => {
      act();
      this.wait();
    });
  }
}
