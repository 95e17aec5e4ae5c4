/**
 * Bad input: random and mutated frames of every kind. No throw, no growth, everything counted (RFC 1122 1.2.2: be prepared for
 * the worst a peer can send).
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../src/base/random.ts';
import { seed } from '../support/seed.ts';
import {
  advertisement,
  arp,
  BROADCAST_MAC,
  count,
  ethernet,
  fragmentHeader,
  frame6,
  icmp,
  icmpv6,
  ipv4,
  ipv6,
  join,
  linkOption,
  macFor,
  OVERRIDE,
  SOLICITED,
  solicitation,
  sum16,
  u32,
  ZERO_MAC,
} from './frames.ts';
import { ip, OUR_MAC, OUR4, OUR6, PEER_MAC, PEER4, PEER6, ROUTER_MAC, Station } from './station.ts';

/** One good frame of each kind, to be spoilt. */
const GOOD: readonly Uint8Array[] = [
  arp(1, PEER_MAC, PEER4, ZERO_MAC, OUR4),
  arp(2, PEER_MAC, PEER4, OUR_MAC, OUR4, OUR_MAC),
  ethernet(0x0800, ipv4({ src: PEER4, dst: OUR4 }, count(0, 64))),
  ethernet(0x0800, ipv4({ src: PEER4, dst: OUR4, protocol: 6, options: [1, 1, 7, 7, 4, 0, 0, 0] }, count(0, 64))),
  ethernet(0x0800, ipv4({ src: PEER4, dst: OUR4, mf: true, id: 9 }, count(0, 64))),
  ethernet(0x0800, ipv4({ src: PEER4, dst: OUR4, offset: 64, id: 9 }, count(0, 64))),
  ethernet(0x0800, ipv4({ src: PEER4, dst: '10.0.0.255' }, count(0, 64)), BROADCAST_MAC),
  ethernet(0x0800, ipv4({ src: PEER4, dst: OUR4, protocol: 1 }, icmp(8, 0, 1, count(0, 32)))),
  ethernet(
    0x0800,
    ipv4(
      { src: PEER4, dst: OUR4, protocol: 1 },
      icmp(3, 4, 1400, ipv4({ src: OUR4, dst: PEER4, protocol: 6 }, count(0, 28))),
    ),
  ),
  ethernet(
    0x0800,
    ipv4(
      { src: '10.0.0.254', dst: OUR4, protocol: 1 },
      icmp(5, 1, 0x0a0000fd, ipv4({ src: OUR4, dst: '192.0.2.1' }, count(0, 28))),
    ),
  ),
  solicitation(PEER6, OUR6),
  advertisement(PEER6, OUR6, PEER6, SOLICITED | OVERRIDE),
  frame6(
    'fe80::fe',
    'ff02::1',
    134,
    join(
      [64, 0, 7, 8],
      u32(0),
      u32(0),
      linkOption(1, ROUTER_MAC),
      [3, 4, 64, 0xc0],
      u32(7200),
      u32(3600),
      u32(0),
      ip('2001:db8:1::').bytes,
    ),
  ),
  frame6('fe80::fe', OUR6, 137, join(u32(0), ip('fe80::fd').bytes, ip('2001:db8::7').bytes, linkOption(2, ROUTER_MAC))),
  ethernet(0x86dd, ipv6({ src: PEER6, dst: OUR6 }, count(0, 64))),
  ethernet(
    0x86dd,
    ipv6({ src: PEER6, dst: OUR6, next: 0 }, join([60, 0, 1, 4, 0, 0, 0, 0], [17, 0, 5, 2, 0, 0, 1, 0], count(0, 32))),
  ),
  ethernet(0x86dd, ipv6({ src: PEER6, dst: OUR6, next: 44 }, join(fragmentHeader(17, 0, true, 7), count(0, 64)))),
  ethernet(0x86dd, ipv6({ src: PEER6, dst: OUR6, next: 44 }, join(fragmentHeader(17, 64, false, 7), count(0, 60)))),
  ethernet(
    0x86dd,
    ipv6(
      { src: PEER6, dst: OUR6, next: 58 },
      icmpv6(PEER6, OUR6, 2, 0, join(u32(1300), ipv6({ src: OUR6, dst: PEER6, next: 6 }, count(0, 40)))),
    ),
  ),
  ethernet(
    0x86dd,
    ipv6(
      { src: 'fe80::fe', dst: 'ff02::1', next: 0, hops: 1 },
      join(
        [58, 0, 5, 2, 0, 0, 1, 0],
        icmpv6('fe80::fe', 'ff02::1', 130, 0, join(u32(0x03e80000), ip('::').bytes, u32(0))),
      ),
    ),
    macFor('ff02::1'),
  ),
];

/** A station with everything switched on, and small bounds. */
function target(): Station {
  const station = new Station({
    isFresh: true,
    ip: { neighborsMax: 64, unusedPathsMax: 64, reassemblyDatagrams: 16, reassemblyBytes: 1 << 20 },
    config: {
      acceptRouterAdvertisements: true,
      linkLocal: true,
      duplicateAddressDetection: 'optimistic',
      onConflict: 'defend-always',
      routes: [
        { to: '0.0.0.0/0', via: '10.0.0.254' },
        { to: '::/0', via: 'fe80::fe' },
      ],
    },
  });
  // The addresses have passed their tests: until then one stray claim takes them away.
  station.runtime.advance(20_000_000);
  return station;
}

/** Makes the checksums right again, so that damage behind them is looked at. */
function mend(frame: Uint8Array): void {
  const type = (frame[12]! << 8) | frame[13]!;
  if (type === 0x0800 && frame.length >= 34) {
    const headerLength = (frame[14]! & 15) * 4;
    frame[24] = 0;
    frame[25] = 0;
    const checksum = sum16(frame.slice(14, 14 + headerLength));
    frame[24] = checksum >> 8;
    frame[25] = checksum & 255;
    const at = 14 + headerLength;
    if (frame[23] === 1 && frame.length >= at + 8) {
      frame[at + 2] = 0;
      frame[at + 3] = 0;
      const own = sum16(frame.slice(at, 14 + ((frame[16]! << 8) | frame[17]!)));
      frame[at + 2] = own >> 8;
      frame[at + 3] = own & 255;
    }
  } else if (type === 0x86dd && frame.length >= 62 && frame[20] === 58) {
    frame[56] = 0;
    frame[57] = 0;
    const message = frame.slice(54, 54 + ((frame[18]! << 8) | frame[19]!));
    const own = sum16(join(frame.slice(22, 54), u32(message.length), [0, 0, 0, 58], message));
    frame[56] = own >> 8;
    frame[57] = own & 255;
  }
}

function spoil(random: SeededRandom): Uint8Array {
  const kind = random.nextUint32() % 8;
  if (kind === 0) {
    const frame = new Uint8Array(random.nextUint32() % 200);
    random.fill(frame);
    if (kind === 0 && frame.length > 14) {
      frame.set(OUR_MAC, 0);
      const types = [0x0800, 0x86dd, 0x0806, 0x8100];
      const type = types[random.nextUint32() % 4]!;
      frame[12] = type >> 8;
      frame[13] = type & 255;
    }
    return frame;
  }
  const frame = GOOD[random.nextUint32() % GOOD.length]!.slice();
  const changes = 1 + (random.nextUint32() % 4);
  for (let i = 0; i < changes; i++) {
    const at = 14 + (random.nextUint32() % (frame.length - 14));
    frame[at] = random.nextUint32() & 255;
  }
  if (kind === 1) return frame.slice(0, random.nextUint32() % frame.length);
  if (kind > 2) mend(frame);
  return frame;
}

function isAtRest(station: Station): void {
  // What is left after all timeouts (a router may have set RetransTimer to a minute): nothing that waits, bounded tables.
  station.runtime.advance(600_000_000);
  const held = station.layer.held();
  expect(held.packets).toBe(0);
  expect(held.waiting).toBe(0);
  expect(held.reassembling).toBe(0);
  expect(held.neighbors).toBeLessThanOrEqual(64 + 64 + 16);
  expect(held.paths).toBeLessThanOrEqual(64 + 1);
}

describe('bad input', () => {
  test('two hundred thousand random and mutated frames: no throw, no leak, bounded tables, alive afterwards', () => {
    const station = target();
    const random = new SeededRandom(seed);
    for (let i = 0; i < 200_000; i++) {
      station.receive(spoil(random));
      if (i % 64 === 0) {
        station.runtime.advance(100_000);
        station.ndis.sent.length = 0;
        station.udp.packets.length = 0;
        station.tcp.packets.length = 0;
        station.udp.errors.length = 0;
        station.tcp.errors.length = 0;
      }
    }
    isAtRest(station);
    const counted = Object.values(station.trace.counters()).reduce((sum, n) => sum + n, 0);
    expect(counted).toBeGreaterThan(150_000);
    expect(station.answers(arp(1, PEER_MAC, PEER4, ZERO_MAC, OUR4)).length).toBeGreaterThan(0);
  }, 60_000);

  test('every cut of every kind of frame', () => {
    const station = target();
    for (const frame of GOOD) {
      for (let length = 0; length <= frame.length; length++) station.receive(frame.slice(0, length));
    }
    isAtRest(station);
  });

  test('every byte of every kind of frame, each at its extremes, checksums mended', () => {
    const station = target();
    for (const good of GOOD) {
      for (let at = 12; at < Math.min(good.length, 120); at++) {
        for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
          const frame = good.slice();
          frame[at] = value;
          mend(frame);
          station.receive(frame);
        }
      }
      station.ndis.sent.length = 0;
    }
    isAtRest(station);
  });

  test('frames in several memory descriptors are read like whole ones', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 }), (cuts) => {
        const station = new Station();
        station.receiveInPieces(ethernet(0x0800, ipv4({ src: PEER4, dst: OUR4 }, count(0, 64))), cuts);
        expect(station.udp.packets.map((packet) => packet.data)).toEqual([count(0, 64)]);
      }),
      { seed, numRuns: 50 },
    );
  });
});
