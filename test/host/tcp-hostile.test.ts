import { expect, test } from 'vitest';
import { SeededRandom } from '../../src/base/random.ts';
import { seed } from '../support/seed.ts';
import { packetOf, RawHost, segmentIn } from './raw-host.ts';
import { pattern } from './two-hosts.ts';

const PEER = '10.0.0.2';

test('whatever segments a peer makes up, nothing throws, grows or is left behind', () => {
  const random = new SeededRandom(seed);
  const raw = new RawHost({ backlog: 32 });
  for (let round = 0; round < 40; round++) {
    const established = raw.open(PEER, 1000 + round);
    const base = segmentIn(raw.sent.at(-1)!);
    established.appetite = random.nextUint32() % 2 === 0 ? 1000 : Number.POSITIVE_INFINITY;
    if (random.nextUint32() % 2 === 0) established.endpoint.write(pattern(random.nextUint32() % 20_000), null);
    for (let i = 0; i < 500; i++) {
      const near = (center: number): number => {
        const spread = [3, 2000, 70_000, 0x7fffffff][random.nextUint32() % 4]!;
        return (center + (random.nextUint32() % spread) - (spread >> 1)) | 0;
      };
      const packet = packetOf({
        from: PEER,
        srcPort: 1000 + (random.nextUint32() % (round + 1)),
        flags: (random.nextUint32() % 64) & (random.nextUint32() % 3 === 0 ? 0xff : ~6),
        seq: near(base.ack),
        ack: near(base.seq + 1),
        window: random.nextUint32() % 65_536,
        text: pattern(random.nextUint32() % 3 === 0 ? random.nextUint32() % 1400 : 0),
      });
      // Some are damaged on the way: mostly the checksum finds that.
      if (random.nextUint32() % 20 === 0) {
        const at = 20 + (random.nextUint32() % (packet.length - 20));
        packet[at] = packet[at]! ^ (1 << (random.nextUint32() % 8));
      }
      raw.receive(packet);
      if (random.nextUint32() % 50 === 0) raw.runtime.advance(random.nextUint32() % 2_000_000);
    }
    raw.sent.splice(0, raw.sent.length - 10);
    expect(raw.host.tcp.connectionCount).toBeLessThan(200);
    for (const peer of raw.accepted.splice(0)) {
      if (peer.isClosed) continue;
      expect(peer.endpoint.unreadBytes).toBeLessThanOrEqual(peer.endpoint.tcp.initialRcvWnd);
      if (random.nextUint32() % 2 === 0) peer.endpoint.abort();
      else peer.endpoint.close();
    }
    raw.runtime.settle();
  }
  raw.runtime.advance(7_200_000_000);
  expect(raw.host.tcp.connectionCount).toBe(0);
  expect(raw.host.tcp.chunks.held).toBe(0);
  expect(raw.host.tcp.writes.outstanding).toBe(0);
  expect(raw.host.tcp.parameters.spares.textPool.pagesHeld).toBe(0);
  expect(raw.host.ip.held().packets).toBe(0);
}, 60_000);
