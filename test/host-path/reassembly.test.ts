/** Fragments in and out: RFC 791 3.2, RFC 1122 3.3.2, RFC 1858, RFC 5722, RFC 6864, RFC 6946, RFC 7112, RFC 8200 4.5, RFC 3168 5.3. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../src/base/random.ts';
import { seed } from '../support/seed.ts';
import {
  arp,
  count,
  errorsIn,
  ethernet,
  fragmentHeader,
  hex,
  icmpOf,
  ipv4,
  ipv6,
  join,
  see,
  solicitation,
  sum16,
  ZERO_MAC,
} from './frames.ts';
import { OUR_MAC, OUR4, OUR6, PEER_MAC, PEER4, PEER6, Station, type StationOptions } from './station.ts';

/** A station that knows the link-layer addresses of both peers. */
function ready(options: StationOptions = {}): Station {
  const station = new Station(options);
  station.receive(arp(1, PEER_MAC, PEER4, ZERO_MAC, OUR4));
  station.receive(solicitation(PEER6, OUR6));
  station.sent();
  return station;
}

interface Piece {
  offset: number;
  length: number;
  more: boolean;
}

/** One fragment of `data`, of either family. */
function fragment(
  family: 4 | 6,
  data: Uint8Array,
  piece: Piece,
  id = 77,
  extra: { tos?: number; protocol?: number } = {},
): Uint8Array {
  const part = data.slice(piece.offset, piece.offset + piece.length);
  const { tos = 0, protocol = 17 } = extra;
  if (family === 4) {
    const fields = { src: PEER4, dst: OUR4, id, mf: piece.more, offset: piece.offset, tos, protocol };
    return ethernet(0x0800, ipv4(fields, part));
  }
  const header = fragmentHeader(protocol, piece.offset, piece.more, id);
  return ethernet(0x86dd, ipv6({ src: PEER6, dst: OUR6, next: 44, tos }, join(header, part)));
}

/** Cuts `length` bytes into pieces of `size` (a multiple of 8). */
function cut(length: number, size: number): Piece[] {
  const pieces: Piece[] = [];
  for (let offset = 0; offset < length; offset += size) {
    pieces.push({ offset, length: Math.min(size, length - offset), more: offset + size < length });
  }
  return pieces;
}

describe.each([4, 6] as const)('reassembly of IPv%i', (family) => {
  test('fragments in any order, each perhaps twice, make the datagram exactly once (791-2, 8200-17, 1122-I20)', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 24, max: 9000 }),
        fc.integer({ min: 1, max: 100 }),
        fc.integer(),
        (length, eights, order) => {
          const station = ready();
          const random = new SeededRandom(order);
          const data = count(3, length);
          const pieces = cut(length, Math.max(24, eights * 8));
          const shuffled = [...pieces, ...pieces.slice(0, 3)]
            .map((piece) => ({ piece, key: random.nextUint32() }))
            .sort((a, b) => a.key - b.key);
          if (pieces.length === 1) return;
          const last = shuffled.map((one) => one.piece).reverse();
          // A copy of a fragment that comes after the datagram is complete begins a new one: leave such out.
          const seen = new Set<Piece>();
          for (const { piece } of shuffled) {
            if (seen.size === pieces.length) break;
            seen.add(piece);
            station.receive(fragment(family, data, piece));
          }
          expect(last.length).toBeGreaterThan(0);
          expect(station.udp.packets.length).toBe(1);
          expect(station.udp.packets[0]!.data).toEqual(data);
          expect(station.udp.packets[0]!.wasReassembled).toBe(true);
          expect(station.layer.held().reassembling).toBe(0);
        },
      ),
      { seed, numRuns: 60 },
    );
  });

  test('datagrams of other identifications, protocols and sources are kept apart', () => {
    const station = ready();
    const a = count(0, 48);
    const b = count(100, 48);
    const [a1, a2] = cut(48, 24) as [Piece, Piece];
    station.receive(fragment(family, a, a1, 1));
    station.receive(fragment(family, b, a1, 2));
    station.receive(fragment(family, b, a2, 2));
    station.receive(fragment(family, a, a2, 1));
    expect(station.udp.packets.map((packet) => packet.data)).toEqual([b, a]);
  });

  test('the largest datagram is taken, one byte more is not (1122-I20, 791-7, 8200-13)', () => {
    const station = ready();
    const most = family === 4 ? 65_515 : 65_535;
    const data = count(0, most);
    for (const piece of cut(most, 1448)) station.receive(fragment(family, data, piece));
    expect(station.udp.packets[0]?.data.length).toBe(most);
    const beyond = { offset: 65_528, length: 16, more: false };
    const answers = station.answers(fragment(family, new Uint8Array(70_000), beyond, 5));
    expect(station.udp.packets.length).toBe(1);
    if (family === 4) expect(answers).toEqual([]);
    else {
      expect(answers.map(icmpOf)).toEqual(['4/0']);
      // The pointer names the Fragment Offset field of the fragment header.
      expect([...see(answers[0]!).packet.slice(44, 48)]).toEqual([0, 0, 0, 42]);
    }
  });

  test.each([
    ['one byte', 24, 1],
    ['inside', 8, 8],
    ['all of it and more', 0, 48],
    ['from the left', 16, 16],
  ])(
    'an overlap (%s) gives up the whole datagram, and what comes later of it, in silence (5722-2, 8200-15, 791-6)',
    (_, offset, length) => {
      const station = ready();
      const data = count(0, 96);
      const other = count(50, 96);
      station.receive(fragment(family, data, { offset: 0, length: 32, more: true }));
      station.receive(fragment(family, data, { offset: 64, length: 32, more: false }));
      const start = offset & ~7;
      expect(
        station.answers(fragment(family, other, { offset: start, length: Math.max(8, length & ~7), more: true })),
      ).toEqual([]);
      for (const piece of cut(96, 32)) expect(station.answers(fragment(family, data, piece))).toEqual([]);
      expect(station.udp.packets).toEqual([]);
      expect(station.count('FRAGMENT_OVERLAP')).toBe(1);
      station.runtime.advance(61_000_000);
      expect(errorsIn(station.sent())).toEqual([]);
      expect(station.layer.held().reassembling).toBe(0);
    },
  );

  test('two last fragments that disagree, and data behind the last one, give the datagram up', () => {
    for (const bad of [
      { offset: 48, length: 8, more: false },
      { offset: 64, length: 8, more: true },
      { offset: 64, length: 8, more: false },
    ]) {
      const station = ready();
      const data = count(0, 96);
      station.receive(fragment(family, data, { offset: 48, length: 16, more: false }));
      station.receive(fragment(family, data, bad));
      station.receive(fragment(family, data, { offset: 0, length: 48, more: true }));
      expect(station.udp.packets).toEqual([]);
      expect(station.count('FRAGMENT_OVERLAP')).toBe(1);
    }
  });

  test('a last fragment in front of data that is there already gives the datagram up', () => {
    const station = ready();
    const data = count(0, 96);
    station.receive(fragment(family, data, { offset: 64, length: 32, more: true }));
    station.receive(fragment(family, data, { offset: 32, length: 16, more: false }));
    expect(station.count('FRAGMENT_OVERLAP')).toBe(1);
    station.receive(fragment(family, data, { offset: 0, length: 32, more: true }));
    expect(station.udp.packets).toEqual([]);
  });

  test('a fragment that is not the last and no multiple of 8 is dropped (791-2, 8200-12)', () => {
    const station = ready();
    const answers = station.answers(fragment(family, count(0, 96), { offset: 0, length: 33, more: true }));
    expect(answers.map(icmpOf)).toEqual(family === 4 ? [] : ['4/0']);
    if (family === 6) expect([...see(answers[0]!).packet.slice(44, 48)]).toEqual([0, 0, 0, 4]);
    expect(station.layer.held().reassembling).toBe(0);
  });

  test('after sixty seconds the datagram is given up; the sender hears of it if the first fragment came (1122-I21, 8200-11)', () => {
    for (const hasFirst of [true, false]) {
      const station = ready();
      const offset = hasFirst ? 0 : 32;
      const frame = fragment(family, count(0, 96), { offset, length: 32, more: true });
      station.receive(frame);
      station.runtime.advance(59_900_000);
      expect(errorsIn(station.sent())).toEqual([]);
      station.receive(arp(1, PEER_MAC, PEER4, ZERO_MAC, OUR4));
      station.receive(solicitation(PEER6, OUR6));
      station.sent();
      station.runtime.advance(200_000);
      const errors = station.sent();
      expect(errors.map(icmpOf)).toEqual(hasFirst ? [family === 4 ? '11/1' : '3/1'] : []);
      if (hasFirst) {
        const { packet } = see(errors[0]!);
        const quoted = frame.slice(14);
        expect(packet.slice(family === 4 ? 28 : 48)).toEqual(quoted);
      }
      expect(station.count('FRAGMENT_TIMEOUT')).toBe(1);
      expect(station.layer.held().reassembling).toBe(0);
    }
  });

  test('datagrams in the making are bounded in number and bytes; the oldest go', () => {
    const station = ready({ ip: { reassemblyDatagrams: 16, reassemblyBytes: 200_000 } });
    const data = count(0, 1024);
    for (let id = 0; id < 500; id++)
      station.receive(fragment(family, data, { offset: 0, length: 512, more: true }, id));
    expect(station.layer.held().reassembling).toBe(16);
    for (let id = 0; id < 50; id++) {
      const far = new Uint8Array(65_000);
      station.receive(fragment(family, far, { offset: 60_000, length: 512, more: true }, 1000 + id));
    }
    expect(station.layer.held().reassembling).toBeLessThanOrEqual(4);
    station.receive(fragment(family, data, { offset: 0, length: 512, more: true }, 9999));
    station.receive(fragment(family, data, { offset: 512, length: 512, more: false }, 9999));
    expect(station.udp.packets.length).toBe(1);
    expect(station.count('FRAGMENT_LIMIT')).toBeGreaterThan(500);
  });

  test('pieces of eight bytes without end are given up at a bound', () => {
    const station = ready();
    const data = new Uint8Array(65_000);
    for (let i = 0; i < 2000; i++)
      station.receive(fragment(family, data, { offset: 24 + 16 * i, length: 8, more: true }));
    expect(station.count('FRAGMENT_LIMIT')).toBe(1);
  });

  test('congestion marks: CE on one fragment marks the whole, CE beside not-ECT drops it (RFC 3168 5.3)', () => {
    for (const [first, second, expected] of [
      [2, 3, [3]],
      [3, 2, [3]],
      [2, 2, [2]],
      [0, 0, [0]],
      [0, 3, []],
    ] as const) {
      const station = ready();
      const data = count(0, 64);
      station.receive(fragment(family, data, { offset: 0, length: 32, more: true }, 7, { tos: first }));
      station.receive(fragment(family, data, { offset: 32, length: 32, more: false }, 7, { tos: second }));
      expect(station.udp.packets.map((packet) => packet.tos & 3)).toEqual(expected);
    }
  });

  test('a datagram put together is answered like a whole one: nobody there makes an error that quotes it', () => {
    const station = ready();
    station.udp.takes = false;
    const data = count(0, 2000);
    const [first, second] = cut(2000, 1024) as [Piece, Piece];
    station.receive(fragment(family, data, first));
    const [error] = station.answers(fragment(family, data, second));
    expect(icmpOf(error!)).toBe(family === 4 ? '3/3' : '1/4');
    const { packet } = see(error!);
    const quote = packet.slice(family === 4 ? 28 : 48);
    if (family === 4) {
      expect(sum16(quote.slice(0, 20))).toBe(0);
      expect(quote[2]! * 256 + quote[3]!).toBe(2020);
    } else expect(quote[4]! * 256 + quote[5]!).toBe(2000);
    expect(packet.length).toBeLessThanOrEqual(family === 4 ? 576 : 1280);
  });
});

describe('IPv4 fragments', () => {
  test('MF 0 and offset 0 is complete (791-4)', () => {
    const station = ready();
    station.receive(fragment(4, count(0, 32), { offset: 0, length: 32, more: false }));
    expect(station.udp.packets[0]!.wasReassembled).toBe(false);
  });

  test('options of the first fragment are those of the datagram', () => {
    const station = ready();
    const data = count(0, 64);
    const options = [1, 1, 1, 0];
    station.receive(ethernet(0x0800, ipv4({ src: PEER4, dst: OUR4, id: 4, mf: true, options }, data.slice(0, 32))));
    station.receive(fragment(4, data, { offset: 32, length: 32, more: false }, 4));
    expect(station.udp.packets).toMatchObject([{ data, hadOptions: true }]);
  });

  test.each([
    ['a first fragment with half a TCP header', { offset: 0, length: 16, more: true }],
    ['a TCP fragment at offset 8', { offset: 8, length: 64, more: false }],
  ])('%s is refused (1858-1, RFC 3128)', (_, piece) => {
    const station = ready();
    expect(station.answers(fragment(4, count(0, 96), piece, 1, { protocol: 6 }))).toEqual([]);
    expect(station.count('FRAGMENT_TINY')).toBe(1);
    expect(station.layer.held().reassembling).toBe(0);
  });
});

describe('IPv6 fragments', () => {
  test('an atomic fragment is a packet of its own; queued fragments of its identification stay (6946-1, 6946-2, 8200-16)', () => {
    const station = ready();
    const data = count(0, 64);
    station.receive(fragment(6, data, { offset: 0, length: 32, more: true }, 9));
    station.receive(fragment(6, data, { offset: 0, length: 64, more: false }, 9));
    expect(station.udp.packets).toMatchObject([{ data, wasReassembled: false }]);
    expect(station.layer.held().reassembling).toBe(1);
    station.receive(fragment(6, data, { offset: 32, length: 32, more: false }, 9));
    expect(station.udp.packets).toMatchObject([{ data }, { data, wasReassembled: true }]);
  });

  test('a first fragment without the whole header chain is answered by parameter problem 3 (7112-1, 8200-14)', () => {
    const station = ready();
    for (const [next, part] of [
      [6, count(0, 16)],
      [60, new Uint8Array([17, 1, 1, 4, 0, 0, 0, 0])],
      [60, new Uint8Array([6, 0, 1, 4, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])],
    ] as const) {
      const header = fragmentHeader(next, 0, true, 3);
      const answers = station.answers(ethernet(0x86dd, ipv6({ src: PEER6, dst: OUR6, next: 44 }, join(header, part))));
      expect(answers.map(icmpOf)).toEqual(['4/3']);
      // Ethernet and IPv6 headers, type, code and checksum: then the pointer, which is zero.
      expect([...answers[0]!.subarray(58, 62)]).toEqual([0, 0, 0, 0]);
    }
    expect(station.count('FRAGMENT_TINY')).toBe(3);
    expect(station.layer.held().reassembling).toBe(0);
  });

  test('destination options inside the fragments are walked once the packet is whole', () => {
    const station = ready();
    const data = count(0, 40);
    const chain = join([17, 0, 1, 4, 0, 0, 0, 0], data);
    for (const piece of cut(48, 24)) {
      const header = fragmentHeader(60, piece.offset, piece.more, 3);
      const part = chain.slice(piece.offset, piece.offset + piece.length);
      station.receive(ethernet(0x86dd, ipv6({ src: PEER6, dst: OUR6, next: 44 }, join(header, part))));
    }
    expect(station.udp.packets).toMatchObject([{ data, hadOptions: true }]);
  });

  test('a fragment inside a fragment is dropped', () => {
    const station = ready();
    const inner = join(fragmentHeader(17, 0, true, 8), count(0, 40));
    for (const piece of cut(48, 24)) {
      const header = fragmentHeader(44, piece.offset, piece.more, 3);
      const part = inner.slice(piece.offset, piece.offset + piece.length);
      station.receive(ethernet(0x86dd, ipv6({ src: PEER6, dst: OUR6, next: 44 }, join(header, part))));
    }
    expect(station.udp.packets).toEqual([]);
    expect(station.count('FRAGMENT_BAD')).toBe(1);
  });
});

describe('fragmentation at the source', () => {
  test.each([
    [4, PEER4, 65_515],
    [6, PEER6, 65_535],
  ] as const)(
    'IPv%i: pieces fit the path, do not overlap, and make the datagram again (5722-1, 8200-9, 8200-10)',
    (family, remote, most) => {
      const station = ready();
      const path = station.path(remote);
      for (const length of [path.room, path.room + 1, 4000, most]) {
        const data = count(length, length);
        expect(station.send(path, data)).toBe(true);
        const frames = station.sent();
        const back = ready();
        for (const frame of frames) {
          expect(frame.length - 14).toBeLessThanOrEqual(1500);
          // The receiver plays the peer: addresses swapped.
          back.receive(join(OUR_MAC, PEER_MAC, frame.slice(12, 14), swapped(family, frame.slice(14))));
        }
        expect(frames.length > 1).toBe(length > path.room);
        expect(back.udp.packets.length).toBe(1);
        expect(hex(back.udp.packets[0]!.data)).toBe(hex(data));
      }
      expect(station.layer.held().packets).toBe(0);
      expect(station.layer.beginPacket(path, most + 1)).toBeNull();
    },
  );

  test('DF: a datagram larger than the path is refused, not fragmented (791-3, 1122-I23)', () => {
    const station = ready();
    const path = station.path(PEER4);
    expect(station.send(path, count(0, path.room + 1), { df: true })).toBe(false);
    expect(station.sent()).toEqual([]);
    expect(station.count('SEND_TOO_BIG')).toBe(1);
    expect(station.layer.held().packets).toBe(0);
  });

  test('no identification comes twice within half of the space, of any datagram of the path (6864-3, 6864-4)', () => {
    const station = ready();
    const path = station.path(PEER4);
    const ids = new Set<number>();
    for (let i = 0; i < 1000; i++) {
      station.send(path, count(0, 2000));
      const frames = station.sent();
      const own = new Set(frames.map((frame) => frame[18]! * 256 + frame[19]!));
      expect(own.size).toBe(1);
      ids.add([...own][0]!);
    }
    expect(ids.size).toBe(1000);
    expect(Math.max(...ids)).toBeLessThan(0x8000);
  });

  test('IPv6 identifications are the host half of 32 bits (SEND-042)', () => {
    const station = ready();
    for (let i = 0; i < 50; i++) station.send(station.path(PEER6), count(0, 2000));
    const ids = station.sent().map((frame) => frame[58]! >> 7);
    expect(ids.every((high) => high === 0)).toBe(true);
  });

  test('when buffers run out in the middle the rest is not sent and nothing is lost', () => {
    const station = ready({ ip: { packetPoolBytes: 0 } });
    station.ndis.completesAtOnce = false;
    for (let i = 0; i < 5; i++) station.send(station.path(PEER4), count(0, 60_000));
    expect(station.count('SEND_POOL_EMPTY')).toBeGreaterThan(0);
    station.ndis.complete();
    expect(station.layer.held().packets).toBe(0);
  });
});

/** The packet with source and destination exchanged; neither checksum notices. */
function swapped(family: number, packet: Uint8Array): Uint8Array {
  const at = family === 4 ? 12 : 8;
  const size = family === 4 ? 4 : 16;
  const out = packet.slice();
  out.set(packet.slice(at, at + size), at + size);
  out.set(packet.slice(at + size, at + 2 * size), at);
  return out;
}
