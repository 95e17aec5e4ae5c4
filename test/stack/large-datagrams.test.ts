/** Many datagrams by one send: as one packet where the link cuts them, one by one where it does not. */
import { describe, expect, test } from 'vitest';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import { memoryLinkPair } from '../../src/link/memory.ts';
import { createStack } from '../../src/stack.ts';
import { closeStacks } from './two-hosts.ts';

interface Sent {
  /** What arrived, a datagram each. */
  readonly datagrams: Uint8Array[];
  /** Packets of the sender. */
  readonly packets: number;
  readonly answer: string | null;
}

const ADDRESSES = { 4: ['10.0.0.1', '10.0.0.2'], 6: ['fd00::1', 'fd00::2'] } as const;

async function send(family: 4 | 6, bytes: Uint8Array, segmentBytes: number, largeSendBytes?: number): Promise<Sent> {
  const runtime = new VirtualRuntime(7);
  const wire = memoryLinkPair({ runtime, medium: 'ip', ...(largeSendBytes === undefined ? {} : { largeSendBytes }) });
  const a = createStack({ runtime, links: [{ link: wire.a, addresses: ['10.0.0.1/24', 'fd00::1/64'] }] });
  const b = createStack({ runtime, links: [{ link: wire.b, addresses: ['10.0.0.2/24', 'fd00::2/64'] }] });
  runtime.advance(3_000_000);
  const [from, to] = ADDRESSES[family];
  const datagrams: Uint8Array[] = [];
  const message = (data: Uint8Array, at: number, length: number): void =>
    void datagrams.push(data.slice(at, at + length));
  b.transports.bindUdp({ address: to, port: 7 }, { message, error: () => {} });
  const port = a.transports.bindUdp({ address: from, port: 9 }, { message: () => {}, error: () => {} });
  const before = a.host.statistics();
  const answer = port.send(bytes, { address: to, port: 7 }, segmentBytes);
  runtime.advance(100_000);
  const after = a.host.statistics();
  const [was, is] = family === 4 ? [before.ip4, after.ip4] : [before.ip6, after.ip6];
  await closeStacks(runtime, [a, b]);
  return { datagrams, packets: Number(is.outRequests - was.outRequests), answer };
}

const BYTES = Uint8Array.from({ length: 50_001 }, (_, i) => (i * 31) & 255);

function pieces(size: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(BYTES.length / size) }, (_, i) => BYTES.slice(i * size, (i + 1) * size));
}

describe.each([4, 6] as const)('many datagrams by one send, IPv%i', (family) => {
  test('are one packet on a link that cuts them, and arrive one by one', async () => {
    const { datagrams, packets, answer } = await send(family, BYTES, 1000, 65_535);
    expect([answer, packets]).toEqual([null, 1]);
    expect(datagrams).toEqual(pieces(1000));
  });

  test('are several packets where they are more than 64, or longer than the link takes at once', async () => {
    const many = await send(family, BYTES, 100, 65_535);
    expect([many.answer, many.packets]).toEqual([null, 8]);
    expect(many.datagrams).toEqual(pieces(100));
    const short = await send(family, BYTES, 1200, 10_000);
    expect([short.answer, short.packets]).toEqual([null, 6]);
    expect(short.datagrams).toEqual(pieces(1200));
  });

  test('are a packet each on a link that does not cut', async () => {
    const { datagrams, packets, answer } = await send(family, BYTES, 1000);
    expect([answer, packets]).toEqual([null, 51]);
    expect(datagrams).toEqual(pieces(1000));
  });

  test('that do not fit into the path are fragmented each by itself', async () => {
    const { datagrams, answer } = await send(family, BYTES, 5000, 65_535);
    expect(answer).toBeNull();
    expect(datagrams).toEqual(pieces(5000));
  });

  test('of no more than one are that one', async () => {
    const { datagrams, packets } = await send(family, BYTES.subarray(0, 1000), 1000, 65_535);
    expect([datagrams, packets]).toEqual([[BYTES.slice(0, 1000)], 1]);
  });
});
