/** Text that stays in the frames in which it came, on connections that are offloaded to a target in the same thread. */
import { describe, expect, test } from 'vitest';
import { MemoryOffer } from '../../src/base/memory-offer.ts';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import { findingText } from '../../src/contract/finding.ts';
import { FRAME_MEMORY_BYTES, type Link, type LinkReceiver, type Medium } from '../../src/link/link.ts';
import { type Impairment, memoryLinkPair } from '../../src/link/memory.ts';
import { createStack } from '../../src/stack.ts';
import { closeStacks, connectPeers, type TwoHosts } from './two-hosts.ts';

const LONG = 32_768;

/** The near end of a wire that reads as a device does: into memory of which it offers the long frames', and which it writes over after that. */
class Reading implements Link {
  readonly name: string;
  readonly medium: Medium;
  readonly mtu: number;
  readonly largeSendBytes = 65_535;
  /** Frames that were kept, and those of which the memory had been so before. */
  kept = 0;
  again = 0;
  readonly #inner: Link;
  readonly #seen = new WeakSet<Uint8Array>();
  #memory: Uint8Array = new Uint8Array(FRAME_MEMORY_BYTES);

  constructor(inner: Link) {
    this.#inner = inner;
    this.name = inner.name;
    this.medium = inner.medium;
    this.mtu = inner.mtu;
  }

  start(receiver: LinkReceiver): void {
    const offer = new MemoryOffer();
    this.#inner.start({
      receive: (bytes, at, length, segmentBytes) => {
        const memory = this.#memory;
        memory.set(bytes.subarray(at, at + length), 64);
        receiver.receive(memory, 64, length, segmentBytes, length >= LONG ? offer : null);
        if (!offer.isTaken) {
          memory.fill(0xee);
          return;
        }
        offer.isTaken = false;
        this.kept++;
        this.#seen.add(memory);
        this.#memory = receiver.frameMemory?.() ?? new Uint8Array(FRAME_MEMORY_BYTES);
        if (this.#seen.has(this.#memory)) this.again++;
      },
      receiveDone: () => receiver.receiveDone(),
      linkState: (isUp) => receiver.linkState(isUp),
      writable: () => receiver.writable(),
    });
  }

  transmit(bytes: Uint8Array, at: number, length: number, segmentBytes?: number): boolean {
    return this.#inner.transmit(bytes, at, length, segmentBytes);
  }

  close(): void | Promise<void> {
    return this.#inner.close();
  }
}

function readingHosts(impairment: Impairment): TwoHosts & { reading: Reading } {
  const runtime = new VirtualRuntime(5);
  const wire = memoryLinkPair({ runtime, impairment, seed: 5, largeSendBytes: 65_535 });
  const reading = new Reading(wire.a);
  const server = createStack({ runtime, verify: true, links: [{ link: reading, addresses: ['10.0.0.1/24'] }] });
  const client = createStack({ runtime, links: [{ link: wire.b, addresses: ['10.0.0.2/24'] }] });
  return { runtime, server, client, wire, reading, close: () => closeStacks(runtime, [server, client]) };
}

describe('kept frames', () => {
  test.each([
    ['a clean wire', { delayUs: 500 }],
    ['a wire that loses, reorders and duplicates', { delayUs: 500, loss: 0.01, reorder: 0.02, duplicate: 0.01 }],
  ] as const)(
    'megabytes over %s, moving to and fro: each byte is right, and the memory goes round',
    async (_name, wire) => {
      const hosts = readingHosts(wire);
      const total = 24 << 20;
      const { server, client } = connectPeers(hosts, 1000, total);
      for (let i = 0; i < 60_000 && !(server.closedWith !== undefined && client.closedWith !== undefined); i++) {
        hosts.runtime.advance(500);
        if (i % 8 === 0) await new Promise((resolve) => setImmediate(resolve));
        const chimney = server.endpoint?.chimney;
        if (chimney === undefined || i % 60 !== 0) continue;
        if (chimney.location === 'host') chimney.offload().catch(() => {});
        else if (chimney.location === 'target') chimney.takeBack().catch(() => {});
      }
      expect([server.received, server.wrongBytes, server.closedWith]).toEqual([total, 0, null]);
      expect(hosts.reading.kept).toBeGreaterThan(20);
      expect(hosts.reading.again).toBeGreaterThan(10);
      expect(hosts.server.findings.map(findingText)).toEqual([]);
      await hosts.close();
      expect(hosts.server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
    },
  );

  test('a socket hands up the memory of the frame itself, and it stays as it is', async () => {
    const hosts = readingHosts({ delayUs: 500 });
    const { runtime, server, client } = hosts;
    const settle = async (ms: number): Promise<void> => {
      for (let i = 0; i < ms; i++) {
        runtime.advance(1_000);
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const chunks: Buffer[] = [];
    server.net
      .createServer((socket) => {
        socket.chimney!.offload().catch(() => {});
        socket.on('data', (chunk) => chunks.push(chunk));
      })
      .listen(80, '10.0.0.1');
    await settle(2);
    const sent = Buffer.from(Uint8Array.from({ length: 4 << 20 }, (_, i) => i ^ (i >> 8) ^ (i >> 16)));
    client.net.connect(80, '10.0.0.1').end(sent);
    await settle(200);
    expect(Buffer.concat(chunks).equals(sent)).toBe(true);
    const long = chunks.filter(({ length }) => length >= LONG);
    expect(long.length).toBeGreaterThan(20);
    expect(long.filter(({ buffer }) => buffer.byteLength === FRAME_MEMORY_BYTES).length).toBeGreaterThan(20);
    expect(hosts.reading.again).toBe(0);
    expect(new Set(long.map(({ buffer }) => buffer)).size).toBe(long.length);
    await hosts.close();
    expect(server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
  });
});
