/** Super-segments that are longer than an IPv4 header can say, over a wire that takes them: from the host path and from a target. */
import { expect, test } from 'vitest';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import { memoryLinkPair } from '../../src/link/memory.ts';
import { createStack } from '../../src/stack.ts';
import type { StackLink } from '../../src/stack-options.ts';
import type { PacketTap } from '../../src/trace/trace.ts';
import { BigGate, Lengths } from './gates.ts';
import { closeStacks } from './two-hosts.ts';

/** Whose super-segments they are. */
const PLACES = ['host', 'target'] as const;

/** What a stream is led by, besides what is written. */
interface Way {
  readonly place: (typeof PLACES)[number];
  readonly tap?: PacketTap;
  readonly intermediates?: StackLink['intermediates'];
  /** The wire is full for a moment every so many milliseconds. */
  readonly fullEveryMs?: number;
}

/** Streams `writes` over a wire that takes big sends, `tap` at its near end; answers what came and what the wire saw. */
async function bigStream(writes: readonly Uint8Array[], way: Way) {
  const { tap, intermediates, fullEveryMs } = way;
  const runtime = new VirtualRuntime(3);
  const wire = memoryLinkPair({ runtime, impairment: { delayUs: 50 }, largeSendBytes: 65_535 });
  const gate = new BigGate(wire.a);
  const options = {
    ...(tap === undefined ? {} : { capture: tap }),
    ...(intermediates === undefined ? {} : { intermediates }),
  };
  const server = createStack({
    runtime,
    verify: true,
    links: [{ link: gate, addresses: ['10.0.0.1/24'], ...options }],
  });
  const client = createStack({ runtime, links: [{ link: wire.b, addresses: ['10.0.0.2/24'] }] });
  const received: Buffer[] = [];
  const handler = {
    connected() {},
    data(bytes: Uint8Array, at: number, length: number): number {
      received.push(Buffer.from(bytes.subarray(at, at + length)));
      return length;
    },
    dataDone() {},
    end() {},
    closed() {},
  };
  client.transports.listen({ local: { address: '10.0.0.2', port: 80 } }, (accepted) => {
    accepted.setReceiveBuffer(8 << 20);
    accepted.handler = handler;
  });
  const endpoint = server.transports.connect({ remote: { address: '10.0.0.2', port: 80 } }, handler);
  runtime.advance(100_000);
  if (way.place === 'target') void endpoint.chimney.offload();
  runtime.advance(1_000);
  expect(endpoint.chimney.location).toBe(way.place);
  for (const bytes of writes) endpoint.write(bytes, null);
  for (let ms = 0; ms < 3_000; ms++) {
    // Now and then the wire is full when the next segment comes.
    if (fullEveryMs !== undefined && ms % fullEveryMs === 0) gate.isFull = true;
    runtime.advance(1_000);
    if (gate.isFull) gate.open();
  }
  expect(server.findings).toEqual([]);
  endpoint.abort();
  await closeStacks(runtime, [server, client]);
  expect(server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
  return { gate, text: Buffer.concat(received) };
}

/** So many bytes that tell their place. */
function numbered(length: number, from = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i + from) ^ ((i + from) >> 8));
}

test.each(PLACES)(
  'where the link takes them, super-segments over IPv4 are longer than their header can say, and say 0 (%s)',
  async (place) => {
    const tap = new Lengths();
    const writes = Array.from({ length: 160 }, (_, i) => numbered(65_536, 65_536 * i));
    const { gate, text } = await bigStream(writes, { place, tap });
    expect(text.equals(Buffer.concat(writes))).toBe(true);
    expect(Math.max(...gate.big)).toBeGreaterThan(200_000);
    expect(Math.max(...gate.big)).toBeLessThanOrEqual(262_144 + 14);
    expect([...gate.saidLengths]).toEqual([0]);
    expect(tap.longest).toBe(Math.max(...gate.big));
  },
);

test.each(PLACES)(
  'of the runs of a super-segment short ones are copied; where there are too many it is no larger than its buffer (%s)',
  async (place) => {
    const sizes = [900, 100_000, 1, 1023, 70_000, 1024, 3, 200_000, 40];
    const writes = Array.from({ length: 40 }, () => sizes.map((size, i) => numbered(size, 7 * i))).flat();
    writes.push(...Array.from({ length: 40 }, (_, i) => numbered(150_000, i)));
    writes.push(...Array.from({ length: 4000 }, (_, i) => numbered(90, i)));
    const { gate, text } = await bigStream(writes, { place });
    expect(text.equals(Buffer.concat(writes))).toBe(true);
    expect(gate.big.length).toBeGreaterThan(0);
  },
);

test.each(PLACES)(
  'a wire that is full in between takes each of them whole when it is not, once (%s)',
  async (place) => {
    const writes = Array.from({ length: 160 }, (_, i) => numbered(65_536, 65_536 * i));
    const { gate, text } = await bigStream(writes, { place, fullEveryMs: 1 });
    expect(text.equals(Buffer.concat(writes))).toBe(true);
    expect(gate.refused).toBeGreaterThan(3);
    expect(Math.max(...gate.big)).toBeGreaterThan(200_000);
    expect(gate.retransmitted).toBe(0);
  },
);

test('a short run of large memory is sent from where it lies by a target', async () => {
  // Cut in segments of 64 KiB, each of these writes leaves a short rest for the next one to begin with.
  const writes = Array.from({ length: 60 }, (_, i) => numbered(65_536, i));
  const { gate, text } = await bigStream(writes, { place: 'target' });
  expect(text.equals(Buffer.concat(writes))).toBe(true);
  expect(gate.longCopied).toBe(0);
});

test('below a driver that looks into packets none is longer than it says', async () => {
  const writes = Array.from({ length: 64 }, (_, i) => numbered(65_536, i));
  const { gate, text } = await bigStream(writes, { place: 'host', intermediates: ['pass-through'] });
  expect(text.equals(Buffer.concat(writes))).toBe(true);
  expect(gate.gathered).toBeGreaterThan(0);
  expect(gate.big).toEqual([]);
});
