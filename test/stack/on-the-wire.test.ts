/**
 * What a peer sees of a connection that moves: one and the same TCP. Every packet of a stack is looked at, by whoever sent it, while
 * its connections go host, target, host again.
 */
import { expect, test } from 'vitest';
import { seqDiff } from '../../src/base/seq.ts';
import { HandledBy, type PacketTap } from '../../src/trace/trace.ts';
import { type Frame, parseFrame } from '../target/support/frames.ts';
import { expectNothingHeld, settled } from './support.ts';
import { connectPeers, twoHosts } from './two-hosts.ts';

interface Sent extends Frame {
  readonly byTarget: boolean;
  readonly family: number;
  readonly atUs: number;
}

/** Keeps every TCP segment that leaves. */
class Wiretap implements PacketTap {
  readonly sent: Sent[] = [];
  packet(direction: 0 | 1, handledBy: HandledBy, bytes: Uint8Array, at: number, length: number, nowUs: number): void {
    if (direction !== 1) return;
    const frame = bytes.slice(at, at + length);
    const etherType = (frame[12]! << 8) | frame[13]!;
    const isTcp = etherType === 0x0800 ? frame[23] === 6 : etherType === 0x86dd && frame[20] === 6;
    if (!isTcp) return;
    const family = etherType === 0x0800 ? 4 : 6;
    this.sent.push({ ...parseFrame(frame, 'ethernet'), byTarget: handledBy === HandledBy.TARGET, family, atUs: nowUs });
  }
  operation(): void {}
}

const BYTES = 1_500_000;
const DELAY_US = 5_000;

/** Streams both ways, moved every few milliseconds, and all that the server has sent. */
async function movedStreams(family: 4 | 6, loss: number): Promise<{ sent: Sent[]; sRtts: number[]; moves: number }> {
  const tap = new Wiretap();
  const hosts = twoHosts({ seed: 9, impairment: { delayUs: DELAY_US, loss }, server: { capture: tap } });
  const { server, client } = connectPeers(hosts, BYTES, BYTES, family, 80, false);
  hosts.runtime.runUntil(() => server.isConnected && client.isConnected, 10_000_000);
  const sRtts: number[] = [];
  const isDone = (): boolean => server.received === BYTES && client.received === BYTES;
  for (let i = 0; i < 400 && !isDone(); i++) {
    const { chimney } = server.endpoint;
    const move = chimney.location === 'host' ? chimney.offload() : chimney.takeBack();
    move.catch(() => undefined);
    hosts.runtime.runUntil(isDone, 3_000 + 1_000 * (i % 11));
    if (chimney.location === 'host') sRtts.push(server.endpoint.info().sRttUs);
  }
  hosts.runtime.runUntil(isDone, 120_000_000);
  await settled(hosts, server.endpoint.chimney.takeBack());
  expect([server.received, client.received, server.wrongBytes, client.wrongBytes]).toEqual([BYTES, BYTES, 0, 0]);
  const moves = server.endpoint.chimney.moveCount;
  const sent = [...tap.sent];
  server.endpoint.abort();
  await expectNothingHeld(hosts);
  return { sent, sRtts, moves };
}

test.each([4, 6] as const)(
  'IPv%i: the TTL or hop limit is the same, whoever sends, also when it is changed on the way [STATE-046, STATE-048]',
  async (family) => {
    const tap = new Wiretap();
    const hosts = twoHosts({ server: { capture: tap } });
    const { server, client } = connectPeers(hosts, 1000, 1000, family, 80, false);
    hosts.runtime.advance(100_000);
    const seen = (): { byTarget: boolean; ttl: number }[] => {
      tap.sent.length = 0;
      server.more(1000);
      hosts.runtime.advance(500_000);
      return tap.sent.map(({ byTarget, ttl }) => ({ byTarget, ttl }));
    };
    expect(seen()).toEqual([{ byTarget: false, ttl: 64 }]);
    await settled(hosts, server.endpoint.chimney.offload());
    expect(seen()).toEqual([{ byTarget: true, ttl: 64 }]);
    // An update of something else says nothing of it.
    server.endpoint.setTrafficClass(8);
    expect(seen()).toEqual([{ byTarget: true, ttl: 64 }]);
    server.endpoint.setHopLimit(9);
    expect(seen()).toEqual([{ byTarget: true, ttl: 9 }]);
    await settled(hosts, server.endpoint.chimney.takeBack());
    expect(seen()).toEqual([{ byTarget: false, ttl: 9 }]);
    expect(client.wrongBytes).toBe(0);
    server.endpoint.abort();
    await expectNothingHeld(hosts);
  },
);

test.each([4, 6] as const)(
  'IPv%i, nothing lost: each byte is sent once, numbers and timestamps go on, whoever sends [TCP-059, TCP-065, TCP-066, TCP-067, STATE-054, STATE-058]',
  async (family) => {
    const { sent, sRtts, moves } = await movedStreams(family, 0);
    expect(moves).toBeGreaterThan(20);
    expect(new Set(sent.map((one) => one.byTarget)).size).toBe(2);
    let next: number | null = null;
    let tsVal: number | null = null;
    let ack: number | null = null;
    for (const one of sent) {
      expect(one.flags).not.toContain('R');
      if (one.flags.includes('S')) {
        next = (one.seq + 1) | 0;
        continue;
      }
      // Never a byte twice, never a gap.
      expect(one.seq).toBe(next);
      next = (next! + one.text.length) | 0;
      expect(one.hasTimestamps).toBe(true);
      if (tsVal !== null) expect(seqDiff(one.tsVal as never, tsVal as never)).toBeGreaterThanOrEqual(0);
      tsVal = one.tsVal;
      if (ack !== null) expect(seqDiff(one.ack as never, ack as never)).toBeGreaterThanOrEqual(0);
      ack = one.ack;
    }
    // Round trips are measured over moves: of what the other has sent, too. Nothing of a clock's offset is in them.
    for (const us of sRtts) {
      expect(us).toBeGreaterThanOrEqual(2 * DELAY_US - 1_000);
      expect(us).toBeLessThan(2 * DELAY_US + 60_000);
    }
  },
);

test('IPv4: the host numbers its packets in the lower half, the target in the upper, also of one connection and with losses [SEND-040, SEND-042]', async () => {
  const { sent, moves } = await movedStreams(4, 0.01);
  expect(moves).toBeGreaterThan(20);
  const of = (byTarget: boolean): number[] => sent.filter((one) => one.byTarget === byTarget).map((one) => one.ipId);
  expect(of(true).length).toBeGreaterThan(100);
  expect(of(false).length).toBeGreaterThan(100);
  expect(Math.min(...of(true))).toBeGreaterThanOrEqual(0x8000);
  expect(Math.max(...of(false))).toBeLessThan(0x8000);
  expect(sent.every((one) => one.df)).toBe(true);
  // Segments are longer than nothing, and no longer than the path takes, whoever cuts them.
  expect(Math.max(...sent.map((one) => one.text.length))).toBeLessThanOrEqual(1_460);
});

test('with losses, data that has to be sent again goes over with the connection and is sent again by the other [STATE-054, TCP-016, TCP-017]', async () => {
  const { sent } = await movedStreams(4, 0.02);
  const firstBy = new Map<number, boolean>();
  let crossed = 0;
  for (const one of sent) {
    if (one.text.length === 0) continue;
    const by = firstBy.get(one.seq);
    if (by === undefined) firstBy.set(one.seq, one.byTarget);
    else if (by !== one.byTarget) crossed++;
  }
  expect(crossed).toBeGreaterThan(0);
  // Not a storm: the losses, and what a timer repeats beside them.
  const text = sent.reduce((sum, one) => sum + one.text.length, 0);
  expect(text).toBeLessThan(1.25 * BYTES);
});
