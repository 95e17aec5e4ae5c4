/** Super-segments between two stacks on a wire that carries them: counted and repaired by segments, on the host path and on targets. */
import { expect, test } from 'vitest';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import { findingText } from '../../src/contract/finding.ts';
import { type Gather, type Link, type LinkReceiver, type Medium, WHOLE_FRAME } from '../../src/link/link.ts';
import { type Impairment, memoryLinkPair } from '../../src/link/memory.ts';
import { BigSend } from '../../src/link/node/big-send.ts';
import { createStack, type Stack } from '../../src/stack.ts';
import type { StackLink } from '../../src/stack-options.ts';
import type { PacketTap } from '../../src/trace/trace.ts';
import { connectPeers, type TwoHosts } from './two-hosts.ts';

/** Counts packets by length. */
class Lengths implements PacketTap {
  longest = 0;
  long = 0;
  packet(_direction: 0 | 1, _by: number, _bytes: Uint8Array, _at: number, length: number): void {
    this.longest = Math.max(this.longest, length);
    if (length > 1514) this.long++;
  }
  operation(): void {}
}

function largeHosts(seed: number, impairment: Impairment, tap: PacketTap): TwoHosts {
  const runtime = new VirtualRuntime(seed);
  const wire = memoryLinkPair({ runtime, names: ['server', 'client'], impairment, seed, largeSendBytes: 65_535 });
  const stack = (link: typeof wire.a, side: number): Stack =>
    createStack({
      runtime,
      verify: true,
      links: [{ link, addresses: [`10.0.0.${side}/24`, `fd00::${side}/64`], ...(side === 1 ? { capture: tap } : {}) }],
    });
  const server = stack(wire.a, 1);
  const client = stack(wire.b, 2);
  const close = async (): Promise<void> => {
    let isClosed = false;
    void Promise.all([server.close(), client.close()]).then(() => {
      isClosed = true;
    });
    for (let i = 0; i < 10_000 && !isClosed; i++) {
      runtime.advance(1000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(isClosed).toBe(true);
  };
  return { runtime, server, client, wire, close };
}

const WIRES: readonly (readonly [string, Impairment])[] = [
  ['a clean wire', { delayUs: 200 }],
  ['a wire that loses one frame in a hundred', { delayUs: 200, loss: 0.01 }],
  ['a wire that reorders, duplicates and corrupts', { delayUs: 200, reorder: 0.02, duplicate: 0.01, corrupt: 0.01 }],
];

test.each(WIRES.flatMap(([name, wire]) => ([4, 6] as const).map((family) => [name, family, wire] as const)))(
  'megabytes both ways over %s with IPv%i, moving between host and target',
  async (_name, family, wire) => {
    const tap = new Lengths();
    const hosts = largeHosts(7, wire, tap);
    const total = 4 << 20;
    const { server, client } = connectPeers(hosts, total, total, family);
    for (let i = 0; i < 60_000 && !(server.closedWith !== undefined && client.closedWith !== undefined); i++) {
      hosts.runtime.advance(500);
      if (i % 8 === 0) await new Promise((resolve) => setImmediate(resolve));
      const chimney = i % 3 === 0 ? server.endpoint?.chimney : client.endpoint?.chimney;
      if (chimney === undefined || i % 5 !== 0) continue;
      if (chimney.location === 'host') chimney.offload().catch(() => {});
      else if (chimney.location === 'target') chimney.takeBack().catch(() => {});
    }
    expect([server.received, server.wrongBytes, server.closedWith]).toEqual([total, 0, null]);
    expect([client.received, client.wrongBytes, client.closedWith]).toEqual([total, 0, null]);
    expect(tap.long).toBeGreaterThan(50);
    expect(tap.longest).toBeGreaterThan(60_000);
    expect(tap.longest).toBeLessThanOrEqual(65_535 + 14);
    for (const stack of [hosts.server, hosts.client]) {
      expect(stack.findings.map(findingText)).toEqual([]);
      expect(stack.counters().TCP_CHECKSUM_BAD ?? 0).toBe(0);
    }
    await hosts.close();
    expect(hosts.server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
    expect(hosts.client.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
  },
);

test('a device that has joined datagrams hands over each of them; a checksum that was left out is not missed', async () => {
  const hosts = largeHosts(3, {}, new Lengths());
  const got: number[] = [];
  const port = hosts.client.transports.bindUdp(
    { address: '10.0.0.2', port: 4711 },
    {
      message: (_bytes: Uint8Array, _at: number, length: number) => got.push(length),
      error: () => {},
    },
  );
  const send = hosts.server.transports.bindUdp(
    { address: '10.0.0.1', port: 4712 },
    { message: () => {}, error: () => {} },
  );
  // An ordinary datagram teaches the neighbors; its frame is then sent again as a device would hand it over.
  const frames: Uint8Array[] = [];
  const transmit = hosts.wire.a.transmit.bind(hosts.wire.a);
  hosts.wire.a.transmit = (bytes, at, length, segmentBytes) => {
    frames.push(bytes.slice(at, at + length));
    return transmit(bytes, at, length, segmentBytes);
  };
  expect(send.send(new Uint8Array(1400), { address: '10.0.0.2', port: 4711 })).toBe(null);
  hosts.runtime.advance(10_000);
  expect(got).toEqual([1400]);
  const frame = frames.at(-1)!.slice();
  frame.fill(0xab, 40, 42);
  transmit(frame, 0, frame.length, 600);
  transmit(frame, 0, frame.length, WHOLE_FRAME);
  transmit(frame, 0, frame.length, 0);
  hosts.runtime.advance(10_000);
  expect(got).toEqual([1400, 600, 600, 200, 1400]);
  expect(hosts.client.counters().UDP_CHECKSUM_BAD).toBe(1);
  port.close();
  send.close();
  await hosts.close();
});

/** A wire that takes text where it lies, and can be full. */
class Gate implements Link {
  readonly name = 'gate';
  readonly medium: Medium;
  readonly mtu: number;
  readonly largeSendBytes = 65_535;
  readonly takesGather = true;
  isFull = false;
  gathered = 0;
  readonly #inner: Link;
  #receiver: LinkReceiver | null = null;
  constructor(inner: Link) {
    this.#inner = inner;
    this.medium = inner.medium;
    this.mtu = inner.mtu;
  }
  start(receiver: LinkReceiver): void {
    this.#receiver = receiver;
    this.#inner.start(receiver);
  }
  transmit(bytes: Uint8Array, at: number, length: number, segmentBytes = 0, text: Gather | null = null): boolean {
    if (this.isFull) return false;
    if (text === null) return this.#inner.transmit(bytes, at, length, segmentBytes);
    this.gathered++;
    const parts = [bytes.subarray(at, at + length)];
    for (let i = 0; i < text.count; i++)
      parts.push(text.buffers[i]!.subarray(text.ats[i]!, text.ats[i]! + text.lengths[i]!));
    const whole = Buffer.concat(parts);
    return this.#inner.transmit(whole, 0, whole.length, segmentBytes);
  }
  open(): void {
    this.isFull = false;
    this.#receiver?.writable();
  }
  close(): void | Promise<void> {
    return this.#inner.close();
  }
}

test('text that waits for a full wire is read from where it lies, and is not given back before it has left', async () => {
  const runtime = new VirtualRuntime(1);
  const wire = memoryLinkPair({ runtime, impairment: { delayUs: 50 }, largeSendBytes: 65_535 });
  const gate = new Gate(wire.a);
  const server = createStack({ runtime, links: [{ link: gate, addresses: ['10.0.0.1/24'] }] });
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
    accepted.handler = handler;
  });
  const endpoint = server.transports.connect({ remote: { address: '10.0.0.2', port: 80 } }, handler);
  runtime.advance(100_000);
  // The window opens until all of it goes in one packet.
  const done: (string | null)[] = [];
  for (let i = 0; i < 4; i++) {
    endpoint.write(new Uint8Array(60_000).fill(i), null);
    runtime.advance(100_000);
  }
  expect(gate.gathered).toBeGreaterThan(0);
  gate.isFull = true;
  const last = new Uint8Array(60_000).fill(9);
  endpoint.write(last, (error) => done.push(error));
  runtime.advance(10_000);
  endpoint.abort();
  runtime.advance(100_000);
  expect(done).toEqual([]);
  gate.open();
  runtime.advance(100_000);
  expect(done).toEqual(['ECONNABORTED']);
  last.fill(0);
  const all = Buffer.concat(received);
  expect(all.length).toBeGreaterThan(250_000);
  expect(all.every((byte, i) => byte === [0, 1, 2, 3, 9][Math.floor(i / 60_000)])).toBe(true);
  let isClosed = false;
  void Promise.all([server.close(), client.close()]).then(() => {
    isClosed = true;
  });
  for (let i = 0; i < 1000 && !isClosed; i++) {
    runtime.advance(1000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
});

/** A wire that takes IPv4 super-segments longer than their header can say, in pieces of its own. */
class BigGate extends Gate {
  readonly bigSendBytes = 262_144;
  readonly big: number[] = [];
  readonly saidLengths = new Set<number>();
  override transmit(
    bytes: Uint8Array,
    at: number,
    length: number,
    segmentBytes = 0,
    text: Gather | null = null,
  ): boolean {
    if (text === null || length + text.length <= 65_535 + 14)
      return super.transmit(bytes, at, length, segmentBytes, text);
    this.big.push(length + text.length);
    this.saidLengths.add((bytes[at + 16]! << 8) | bytes[at + 17]!);
    const pieces = new BigSend(this.medium);
    const count = pieces.begin(bytes, at, length, segmentBytes, text);
    for (let i = 0; i < count; i++) {
      pieces.make(i);
      super.transmit(pieces.head, 0, pieces.headLength, segmentBytes, pieces.text);
    }
    return true;
  }
}

/** Streams `writes` over a wire that takes big sends, `tap` at its near end; answers what came and what the wire saw. */
async function bigStream(
  writes: readonly Uint8Array[],
  tap: PacketTap | null,
  intermediates: StackLink['intermediates'],
) {
  const runtime = new VirtualRuntime(3);
  const wire = memoryLinkPair({ runtime, impairment: { delayUs: 50 }, largeSendBytes: 65_535 });
  const gate = new BigGate(wire.a);
  const options = {
    ...(tap === null ? {} : { capture: tap }),
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
  for (const bytes of writes) endpoint.write(bytes, null);
  runtime.advance(3_000_000);
  expect(server.findings).toEqual([]);
  endpoint.abort();
  let isClosed = false;
  void Promise.all([server.close(), client.close()]).then(() => {
    isClosed = true;
  });
  for (let i = 0; i < 1000 && !isClosed; i++) {
    runtime.advance(1000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
  return { gate, text: Buffer.concat(received) };
}

/** So many bytes that tell their place. */
function numbered(length: number, from = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i + from) ^ ((i + from) >> 8));
}

test('where the link takes them, super-segments over IPv4 are longer than their header can say, and say 0', async () => {
  const lengths = new Lengths();
  const writes = Array.from({ length: 160 }, (_, i) => numbered(65_536, 65_536 * i));
  const { gate, text } = await bigStream(writes, lengths, undefined);
  expect(text.equals(Buffer.concat(writes))).toBe(true);
  expect(Math.max(...gate.big)).toBeGreaterThan(200_000);
  expect(Math.max(...gate.big)).toBeLessThanOrEqual(262_144 + 14);
  expect([...gate.saidLengths]).toEqual([0]);
  expect(lengths.longest).toBe(Math.max(...gate.big));
});

test('of the runs of a super-segment short ones are copied, wherever they stand; where there are too many it is no larger than its buffer', async () => {
  const sizes = [900, 100_000, 1, 1023, 70_000, 1024, 3, 200_000, 40];
  const writes = Array.from({ length: 40 }, () => sizes.map((size, i) => numbered(size, 7 * i))).flat();
  writes.push(...Array.from({ length: 4000 }, (_, i) => numbered(90, i)));
  const { gate, text } = await bigStream(writes, null, undefined);
  expect(text.equals(Buffer.concat(writes))).toBe(true);
  expect(gate.big.length).toBeGreaterThan(0);
});

test('below a driver that looks into packets none is longer than it says', async () => {
  const writes = Array.from({ length: 64 }, (_, i) => numbered(65_536, i));
  const { gate, text } = await bigStream(writes, null, ['pass-through']);
  expect(text.equals(Buffer.concat(writes))).toBe(true);
  expect(gate.gathered).toBeGreaterThan(0);
  expect(gate.big).toEqual([]);
});
