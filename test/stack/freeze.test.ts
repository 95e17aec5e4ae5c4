/** How long a move freezes its connection: from when nobody serves it to when somebody does, not from question to answer. */
import { expect, test } from 'vitest';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import type { Move, TcpEndpoint, TcpHandler } from '../../src/host/api.ts';
import { memoryLinkPair } from '../../src/link/memory.ts';
import type { MiniportOffloadBlock, NdisM, NdisMiniportHandle } from '../../src/ndis/miniport.ts';
import { createStack, type Stack } from '../../src/stack.ts';
import type { EngineAdapterOptions } from '../../src/target/engine/engine.ts';
import { EngineAdapter } from '../../src/target/engine/engine-adapter.ts';
import { settled } from './support.ts';

/** How long what is asked and what is answered take on their way, µs. */
const WAY_US = 5000;

/** A target that is far away: it hears of a terminate late, and its answers to an initiate come late. */
class DistantTarget extends EngineAdapter {
  readonly #options: EngineAdapterOptions;
  readonly #tells: boolean;

  constructor(options: EngineAdapterOptions, tells: boolean) {
    super(options);
    this.#options = options;
    this.#tells = tells;
  }

  #later(act: () => void): void {
    const { runtime } = this.#options;
    runtime.timer(act).arm(runtime.nowUs() + WAY_US);
  }

  override initializeEx(handle: NdisMiniportHandle, ndisM: NdisM): number {
    const own: Partial<NdisM> = {
      initiateOffloadComplete: (miniport, root) => {
        if (!this.#tells) forget(root);
        this.#later(() => ndisM.initiateOffloadComplete(miniport, root));
      },
      terminateOffloadComplete: (miniport, root) => {
        if (!this.#tells) forget(root);
        ndisM.terminateOffloadComplete(miniport, root);
      },
    };
    const late = new Proxy(ndisM, {
      get: (of, name) => {
        const value: unknown = Reflect.get(own, name) ?? Reflect.get(of, name);
        return typeof value === 'function' ? value.bind(of) : value;
      },
    });
    return super.initializeEx(handle, late);
  }

  override terminateOffload(context: unknown, root: MiniportOffloadBlock): void {
    this.#later(() => super.terminateOffload(context, root));
  }
}

function forget(root: MiniportOffloadBlock | null): void {
  for (let block = root; block !== null; block = block.nextBlock) {
    block.handedOverAtUs = 0;
    forget(block.dependentBlockList);
  }
}

class Quiet implements TcpHandler {
  connected(): void {}
  data(_bytes: Uint8Array, _at: number, length: number): number {
    return length;
  }
  dataDone(): void {}
  end(): void {}
  closed(): void {}
}

async function movedOnce(tells: boolean): Promise<[down: Move, back: Move]> {
  const runtime = new VirtualRuntime(7);
  const wire = memoryLinkPair({ runtime });
  const near: Stack = createStack({
    runtime,
    links: [
      {
        link: wire.a,
        addresses: ['10.0.0.1/24'],
        target: (environment) => new DistantTarget(environment, tells),
      },
    ],
  });
  const far = createStack({ runtime, links: [{ link: wire.b, addresses: ['10.0.0.2/24'] }] });
  let endpoint: TcpEndpoint | null = null;
  near.transports.listen({ local: { address: '10.0.0.1', port: 80 } }, (accepted) => {
    endpoint = accepted;
    accepted.handler = new Quiet();
  });
  far.transports.connect({ remote: { address: '10.0.0.1', port: 80 } }, new Quiet());
  runtime.advance(1_000_000);
  const { chimney } = endpoint! as TcpEndpoint;
  const down = await settled({ runtime }, chimney.offload());
  const back = await settled({ runtime }, chimney.takeBack());
  await settled({ runtime }, Promise.all([near.close(), far.close()]));
  return [down, back];
}

test('a target that tells when it began and ceased to serve: the way of question and answer freezes nothing', async () => {
  const [down, back] = await movedOnce(true);
  expect([down.kind, back.kind]).toEqual(['initiate', 'terminate']);
  expect(down.freezeUs).toBeLessThan(WAY_US);
  expect(back.freezeUs).toBeLessThan(WAY_US);
});

test('a target that does not tell: the whole time from question to answer counts', async () => {
  const [down, back] = await movedOnce(false);
  expect(down.freezeUs).toBeGreaterThanOrEqual(WAY_US);
  expect(back.freezeUs).toBeGreaterThanOrEqual(WAY_US);
});
