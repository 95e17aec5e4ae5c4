/** Two stacks on a wire under virtual time, and peers that check every byte: the stage of the tests in this folder. */
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import type { TcpEndpoint, TcpHandler, TransportErrorCode } from '../../src/host/api.ts';
import { type Impairment, type MemoryLinkPair, memoryLinkPair } from '../../src/link/memory.ts';
import { createStack, type Stack } from '../../src/stack.ts';
import type { StackLink, StackOptions } from '../../src/stack-options.ts';

export interface TwoHosts {
  readonly runtime: VirtualRuntime;
  readonly server: Stack;
  readonly client: Stack;
  readonly wire: MemoryLinkPair;
  /** Closes both under virtual time. */
  close(): Promise<void>;
}

export interface TwoHostsOptions {
  readonly seed?: number;
  readonly impairment?: Impairment;
  readonly medium?: 'ethernet' | 'ip';
  readonly mtu?: number;
  readonly family?: 4 | 6;
  readonly server?: Partial<StackLink>;
  readonly client?: Partial<StackLink>;
  readonly serverStack?: Partial<StackOptions>;
}

export function address(side: 'server' | 'client', family: 4 | 6 = 4): string {
  if (family === 4) return side === 'server' ? '10.0.0.1' : '10.0.0.2';
  return side === 'server' ? 'fd00::1' : 'fd00::2';
}

/** The server's target where a test does not name one; another file may run the same tests over another one. */
export const subject: { target: NonNullable<StackLink['target']> | null } = { target: null };

export function twoHosts(options: TwoHostsOptions = {}): TwoHosts {
  const runtime = new VirtualRuntime(options.seed ?? 1);
  const wire = memoryLinkPair({
    runtime,
    medium: options.medium ?? 'ethernet',
    mtu: options.mtu ?? 1500,
    names: ['server', 'client'],
    impairment: options.impairment ?? { delayUs: 1000 },
    seed: options.seed ?? 1,
  });
  const server = createStack({
    runtime,
    verify: true,
    ...options.serverStack,
    links: [
      {
        link: wire.a,
        addresses: ['10.0.0.1/24', 'fd00::1/64'],
        ...(subject.target === null ? {} : { target: subject.target }),
        ...options.server,
      },
    ],
  });
  const client = createStack({
    runtime,
    verify: true,
    links: [{ link: wire.b, addresses: ['10.0.0.2/24', 'fd00::2/64'], ...options.client }],
  });
  const close = (): Promise<void> => closeStacks(runtime, [server, client]);
  return { runtime, server, client, wire, close };
}

/** Closes stacks under virtual time. */
export async function closeStacks(runtime: VirtualRuntime, stacks: readonly Stack[]): Promise<void> {
  let isClosed = false;
  const closing = Promise.all(stacks.map((stack) => stack.close())).then(() => {
    isClosed = true;
  });
  for (let i = 0; i < 10_000 && !isClosed; i++) {
    runtime.advance(1000);
    await Promise.resolve();
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (!isClosed) throw new Error('the stacks do not close');
  await closing;
}

/** The byte that stands at `position` of a stream: tells a lost, repeated or foreign byte at once. */
export function byteAt(position: number, key: number): number {
  return (Math.imul(position ^ (position >>> 9), 2654435761) + key) >>> 24;
}

/** An application that writes `toSend` known bytes, reads known bytes, and counts every wrong one. */
export class Peer implements TcpHandler {
  endpoint!: TcpEndpoint;
  received = 0;
  wrongBytes = 0;
  sent = 0;
  isConnected = false;
  hasEnded = false;
  closedWith: TransportErrorCode | null | undefined = undefined;
  /** How many bytes a `data` call takes; less than offered means a refusal. Changed by tests. */
  appetite: number = Number.POSITIVE_INFINITY;
  readonly #sendKey: number;
  readonly #receiveKey: number;
  #toSend: number;
  #pending = 0;
  #endAfterSend: boolean;

  constructor(toSend: number, sendKey: number, receiveKey: number, endAfterSend = true) {
    this.#toSend = toSend;
    this.#sendKey = sendKey;
    this.#receiveKey = receiveKey;
    this.#endAfterSend = endAfterSend;
  }

  connected(): void {
    this.isConnected = true;
    this.pour();
  }

  /** So many bytes more are to be sent; only for peers that do not end by themselves. */
  more(bytes: number): void {
    this.#toSend += bytes;
    this.pour();
  }

  /** Keeps up to 256 KiB of writes in flight. */
  pour(): void {
    while (this.sent < this.#toSend && this.#pending < 262_144) {
      const bytes = new Uint8Array(Math.min(1 + (this.sent % 9973), this.#toSend - this.sent));
      for (let i = 0; i < bytes.length; i++) bytes[i] = byteAt(this.sent + i, this.#sendKey);
      this.sent += bytes.length;
      this.#pending += bytes.length;
      this.endpoint.write(bytes, (error) => {
        this.#pending -= bytes.length;
        if (error === null) this.pour();
      });
    }
    if (this.sent === this.#toSend && this.#endAfterSend) {
      this.#endAfterSend = false;
      this.endpoint.shutdown();
    }
  }

  data(bytes: Uint8Array, at: number, length: number): number {
    const taken = Math.min(length, this.appetite);
    for (let i = 0; i < taken; i++) {
      if (bytes[at + i] !== byteAt(this.received + i, this.#receiveKey)) this.wrongBytes++;
    }
    this.received += taken;
    this.appetite -= taken;
    return taken;
  }

  dataDone(): void {}

  end(): void {
    this.hasEnded = true;
  }

  closed(error: TransportErrorCode | null): void {
    this.closedWith = error;
  }
}

/** A connection from client to server on which each side sends so many bytes and then ends. */
export function connectPeers(
  hosts: Pick<TwoHosts, 'server' | 'client'>,
  serverBytes: number,
  clientBytes: number,
  family: 4 | 6 = 4,
  port = 80,
  endsAfterSend = true,
): { server: Peer; client: Peer } {
  const server = new Peer(serverBytes, 11, 22, endsAfterSend);
  const client = new Peer(clientBytes, 22, 11, endsAfterSend);
  const listener = hosts.server.transports.listen(
    { local: { address: address('server', family), port } },
    (endpoint) => {
      server.endpoint = endpoint;
      endpoint.handler = server;
      listener.close();
      server.connected();
    },
  );
  client.endpoint = hosts.client.transports.connect({ remote: { address: address('server', family), port } }, client);
  return { server, client };
}
