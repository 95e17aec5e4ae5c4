/** IPv6 in and out: RFC 8200, RFC 5095, RFC 4291; ICMPv6: RFC 4443. */
import { describe, expect, test } from 'vitest';
import { IcmpErrorKind } from '../../src/host/path/types.ts';
import {
  advertisement,
  BROADCAST_MAC,
  count,
  errorsIn,
  ethernet,
  fragmentHeader,
  hex,
  icmpOf,
  icmpv6,
  ipv6,
  isIcmpv6Right,
  join,
  macFor,
  OVERRIDE,
  SOLICITED,
  see,
  solicitation,
  solicitedNode,
  u32,
} from './frames.ts';
import { ip, OUR6, PEER_MAC, PEER6, Station, type StationOptions } from './station.ts';

const DATA = count(1, 16);

function ready(options: StationOptions = {}): Station {
  const station = new Station(options);
  station.receive(solicitation(PEER6, OUR6));
  station.sent();
  return station;
}

const packet = (fields: Partial<Parameters<typeof ipv6>[0]>, payload: Uint8Array, mac?: Uint8Array): Uint8Array => {
  const whole = { src: PEER6, dst: OUR6, ...fields };
  return ethernet(0x86dd, ipv6(whole, payload), mac ?? macFor(whole.dst));
};
/** A hop-by-hop or destination header: options padded to eight bytes. */
const options = (next: number, ...bytes: number[]): number[] => {
  const length = Math.ceil((bytes.length + 2) / 8) * 8;
  const padding = length - 2 - bytes.length;
  const pad = padding === 0 ? [] : padding === 1 ? [0] : [1, padding - 2, ...new Array<number>(padding - 2).fill(0)];
  return [next, length / 8 - 1, ...bytes, ...pad];
};
const routing = (next: number, type: number, left: number): number[] => [next, 0, type, left, 0, 0, 0, 0];
/** The pointer of a parameter problem. */
const pointerOf = (frame: Uint8Array): number => see(frame).packet[47]!;

describe('IPv6 in', () => {
  test('a packet for us goes up with hop limit, traffic class and its bytes', () => {
    const station = ready();
    station.receive(packet({ hops: 3, tos: 0xb8 }, DATA));
    expect(station.udp.packets).toMatchObject([{ data: DATA, family: 6, ttl: 3, tos: 0xb8, hadOptions: false }]);
  });

  test('every version but 6 is dropped (8200-23)', () => {
    const station = ready();
    for (let version = 0; version < 16; version++) {
      if (version !== 6) expect(station.answers(packet({ version }, DATA))).toEqual([]);
    }
    expect(station.count('IPV6_HEADER_BAD')).toBe(15);
  });

  test('a payload length beyond the frame is dropped, link padding is not data', () => {
    const station = ready();
    station.receive(packet({ payloadLength: 17 }, DATA));
    station.receive(packet({ payloadLength: 65_535 }, DATA));
    expect(station.count('IPV6_HEADER_BAD')).toBe(2);
    station.receive(join(packet({}, DATA), [9, 9, 9]));
    expect(station.udp.packets.map((one) => one.data)).toEqual([DATA]);
  });

  test.each([0, 1])('hop limit %i is delivered (8200-1)', (hops) => {
    const station = ready();
    station.receive(packet({ hops }, DATA));
    expect(station.udp.packets.length).toBe(1);
  });

  test.each(['::1', 'ff02::1', OUR6, '::'])('the source %s is dropped in silence', (src) => {
    const station = ready();
    expect(station.answers(packet({ src }, DATA))).toEqual([]);
    expect(station.udp.packets).toEqual([]);
    expect(station.count('IP_SOURCE_BAD')).toBe(1);
  });

  test('packets for others, for loopback, and for groups that were not joined are dropped in silence', () => {
    const station = ready();
    for (const dst of ['fd00::77', '::1', 'ff02::1:ff00:99', 'ff02::2']) {
      expect(station.answers(packet({ dst }, DATA))).toEqual([]);
    }
    expect(station.count('IP_NOT_FOR_US')).toBe(4);
  });

  test('all nodes and the solicited-node group are ours', () => {
    const station = ready();
    for (const dst of ['ff02::1', solicitedNode(OUR6)]) station.receive(packet({ dst }, DATA));
    expect(station.udp.packets.map((one) => one.toMulticast)).toEqual([true, true]);
  });

  test('a unicast packet in a group frame is dropped', () => {
    const station = ready();
    expect(station.answers(packet({ next: 253 }, DATA, BROADCAST_MAC))).toEqual([]);
    expect(station.count('IP_BROADCAST_MISMATCH')).toBe(1);
  });
});

describe('extension headers', () => {
  test.each([
    ['hop-by-hop', 0, join(options(17))],
    ['destination options', 60, join(options(17))],
    ['routing with nothing left', 43, join(routing(17, 0, 0))],
    ['routing of an unknown type with nothing left', 43, join(routing(17, 200, 0))],
    [
      'hop-by-hop, destination, routing, destination',
      0,
      join(options(60), options(43), routing(60, 4, 0), options(17)),
    ],
    ['destination twice, routing twice', 60, join(options(60), options(43), routing(43, 4, 0), routing(17, 4, 0))],
    ['Pad1 six times', 60, join([17, 0, 0, 0, 0, 0, 0, 0])],
    ['PadN of nothing', 60, join([17, 0, 1, 0, 1, 0, 1, 0])],
    ['an unknown option to be skipped', 60, join(options(17, 0x1e, 2, 9, 9))],
    ['an atomic fragment', 44, join(fragmentHeader(17, 0, false, 1))],
  ])('%s: the payload arrives (8200-2, 8200-5, 8200-7, 8200-8, 8200-16)', (_, next, chain) => {
    const station = ready();
    expect(station.answers(packet({ next }, join(chain, DATA)))).toEqual([]);
    expect(station.udp.packets).toMatchObject([{ data: DATA, hadOptions: true }]);
  });

  test('more headers than anybody needs: dropped, in bounded work (8200-5)', () => {
    const station = ready();
    const chain = join(...new Array<number[]>(100).fill(options(60)));
    station.receive(packet({ next: 60 }, join(chain, options(17), DATA)));
    expect(station.udp.packets).toEqual([]);
    expect(station.count('IPV6_EXTENSION_BAD')).toBe(1);
  });

  test('hop-by-hop elsewhere than first: parameter problem 1 that points at the field that names it (8200-4)', () => {
    const station = ready();
    const [error] = station.answers(packet({ next: 60 }, join(options(0), options(17), DATA)));
    expect(icmpOf(error!)).toBe('4/1');
    expect(pointerOf(error!)).toBe(40);
    expect(isIcmpv6Right(see(error!).packet)).toBe(true);
  });

  test('every unknown next header: parameter problem 1 at its place (8200-3, 4443-16)', () => {
    const station = ready({ ip: { icmpErrorsBurst: 1000 } });
    const known = [0, 6, 17, 43, 44, 58, 59, 60];
    for (let next = 0; next < 256; next++) {
      if (known.includes(next)) continue;
      const [error] = station.answers(packet({ next }, DATA));
      expect(icmpOf(error!)).toBe('4/1');
      expect(pointerOf(error!)).toBe(6);
    }
    const [behind] = station.answers(packet({ next: 60 }, join(options(253), DATA)));
    expect(pointerOf(behind!)).toBe(40);
  });

  test('next header 59: nothing follows, nothing is said (8200-22)', () => {
    const station = ready();
    expect(station.answers(packet({ next: 59 }, DATA))).toEqual([]);
    expect(station.udp.packets).toEqual([]);
  });

  test.each([
    // the two high bits of the type; to a group?; what is answered
    [0x00, false, [], 1],
    [0x00, true, [], 1],
    [0x40, false, [], 0],
    [0x40, true, [], 0],
    [0x80, false, ['4/2'], 0],
    [0x80, true, ['4/2'], 0],
    [0xc0, false, ['4/2'], 0],
    [0xc0, true, [], 0],
  ])('an unknown option of type 0x%s, to a group: %s (8200-6, 4443-9)', (bits, isGroup, answers, delivered) => {
    for (const next of [0, 60]) {
      const station = ready();
      const dst = isGroup ? 'ff02::1' : OUR6;
      const sent = station.answers(packet({ next, dst }, join(options(17, bits | 0x1e, 2, 0, 0), DATA)));
      expect(sent.map(icmpOf)).toEqual(answers);
      expect(station.udp.packets.length).toBe(delivered);
      if (sent.length > 0) {
        expect(pointerOf(sent[0]!)).toBe(42);
        expect(hex(see(sent[0]!).packet.slice(8, 24))).toBe(hex(ip(OUR6).bytes));
      }
    }
  });

  test.each([0, 2, 4, 200])(
    'routing type %i with segments left: parameter problem 0 at the type (8200-8, 5095-1)',
    (type) => {
      const station = ready();
      const [error] = station.answers(packet({ next: 43 }, join(routing(17, type, 1), DATA)));
      expect(icmpOf(error!)).toBe('4/0');
      expect(pointerOf(error!)).toBe(42);
    },
  );

  test('no answer carries a routing header (8200-21)', () => {
    const station = ready();
    const echo = icmpv6(PEER6, OUR6, 128, 0, join([0, 1, 0, 1], DATA));
    const [reply] = station.answers(packet({ next: 43 }, join(routing(58, 0, 0), echo)));
    expect(see(reply!).packet[6]).toBe(58);
  });

  test('every cut of a chain is dropped without a throw', () => {
    const station = ready();
    const whole = join(options(60), options(43), routing(44, 4, 0), fragmentHeader(17, 0, false, 1), DATA);
    for (let length = 0; length < 32; length++) station.receive(packet({ next: 0 }, whole.slice(0, length)));
    expect(station.udp.packets).toEqual([]);
  });
});

describe('ICMPv6 echo', () => {
  test.each([0, 1, 56, 1452])(
    '%i bytes come back unmodified, from the address that was asked (4443-2, 4443-17, 4443-18)',
    (length) => {
      const station = ready();
      const body = join([0x12, 0x34, 0, 1], count(length, length));
      const [reply] = station.answers(packet({ next: 58 }, icmpv6(PEER6, OUR6, 128, 0, body)));
      const { packet: out } = see(reply!);
      expect(icmpOf(reply!)).toBe('129/0');
      expect(out.slice(44)).toEqual(body);
      expect(isIcmpv6Right(out)).toBe(true);
      expect(hex(out.slice(8, 24))).toBe(hex(ip(OUR6).bytes));
    },
  );

  test('a large one comes back whole, in fragments (4443-18)', () => {
    const station = ready();
    const echo = icmpv6(PEER6, OUR6, 128, 0, join([0, 1, 0, 1], count(0, 8000)));
    for (let at = 0; at < echo.length; at += 1448) {
      const header = fragmentHeader(58, at, at + 1448 < echo.length, 3);
      station.receive(packet({ next: 44 }, join(header, echo.slice(at, at + 1448))));
    }
    const replies = station.sent().map((frame) => see(frame).packet);
    const whole = join(...replies.map((one) => one.slice(48)));
    expect(whole[0]).toBe(129);
    expect(hex(whole.slice(4))).toBe(hex(echo.slice(4)));
  });

  test('an echo to all nodes is answered from a unicast address (4443-2, 4443-19)', () => {
    const station = ready();
    const echo = icmpv6(PEER6, 'ff02::1', 128, 0, join([0, 1, 0, 1], DATA));
    const [reply] = station.answers(packet({ next: 58, dst: 'ff02::1' }, echo));
    expect(hex(see(reply!).packet.slice(8, 24))).toBe(hex(ip(OUR6).bytes));
  });

  test('every flipped bit is noticed (4443-3)', () => {
    const station = ready();
    const echo = icmpv6(PEER6, OUR6, 128, 0, join([0, 1, 0, 1], DATA));
    for (let bit = 0; bit < 8 * echo.length; bit++) {
      const bad = echo.slice();
      bad[bit >> 3]! ^= 1 << (bit & 7);
      expect(station.answers(packet({ next: 58 }, bad))).toEqual([]);
    }
    expect(station.count('ICMP_BAD')).toBe(8 * echo.length);
  });

  test('our own pings of neighbors are answered', () => {
    const station = ready();
    const replies: (string | null)[] = [];
    station.layer.ping(PEER6, DATA, (reply) => replies.push(reply.error));
    const sent = see(station.sent()[0]!).packet;
    expect(isIcmpv6Right(sent)).toBe(true);
    station.receive(packet({ next: 58 }, icmpv6(PEER6, OUR6, 129, 0, sent.slice(44))));
    expect(replies).toEqual([null]);
  });
});

/** What we sent, as a router quotes it. */
const quote = ipv6({ src: OUR6, dst: PEER6, next: 6 }, count(7, 40));
const error = (type: number, code: number, rest: number, about: Uint8Array = quote): Uint8Array =>
  packet({ next: 58 }, icmpv6(PEER6, OUR6, type, code, join(u32(rest), about)));

describe('ICMPv6 errors in', () => {
  test.each([
    [1, 0, IcmpErrorKind.UNREACHABLE, false, 'ENETUNREACH'],
    [1, 1, IcmpErrorKind.UNREACHABLE, false, 'EHOSTUNREACH'],
    [1, 3, IcmpErrorKind.UNREACHABLE, false, 'EHOSTUNREACH'],
    [1, 4, IcmpErrorKind.PORT_UNREACHABLE, true, 'ECONNREFUSED'],
    [3, 0, IcmpErrorKind.TIME_EXCEEDED, false, 'EHOSTUNREACH'],
    [3, 1, IcmpErrorKind.TIME_EXCEEDED, false, 'EHOSTUNREACH'],
    [4, 0, IcmpErrorKind.PARAMETER_PROBLEM, false, 'EHOSTUNREACH'],
    [4, 1, IcmpErrorKind.PROTOCOL_UNREACHABLE, true, 'ECONNREFUSED'],
    [100, 0, IcmpErrorKind.UNKNOWN, false, 'EHOSTUNREACH'],
  ] as const)('type %i code %i goes up (4443-1, 4443-4, 4443-13, 4443-15, MUST-56)', (type, code, kind, hard, name) => {
    const station = ready();
    expect(station.answers(error(type, code, 0))).toEqual([]);
    const [info] = station.tcp.errors;
    expect(info).toMatchObject({ kind, hard, error: name, type, code, family: 6, protocol: 6 });
    expect(info!.bytes.slice(info!.quotedAt, info!.quotedAt + info!.quotedLength)).toEqual(count(7, 40));
  });

  test('the upper protocol is found behind extension headers of the quoted packet', () => {
    const station = ready();
    const about = ipv6({ src: OUR6, dst: PEER6, next: 44 }, join(fragmentHeader(6, 0, true, 4), count(7, 40)));
    station.receive(error(1, 0, 0, about));
    expect(station.tcp.errors[0]!.bytes[station.tcp.errors[0]!.quotedAt]).toBe(7);
  });

  test('quotes that cannot have been ours go no further', () => {
    const station = ready();
    const cases = [
      ipv6({ src: 'fd00::9', dst: PEER6, next: 6 }, count(0, 40)),
      quote.slice(0, 47),
      quote.slice(0, 39),
      new Uint8Array(0),
      ipv6({ src: OUR6, dst: PEER6, next: 200 }, count(0, 40)),
      ipv6({ src: OUR6, dst: PEER6, next: 44 }, join(fragmentHeader(6, 64, true, 4), count(7, 40))),
    ];
    for (const about of cases) station.receive(error(1, 0, 0, about));
    expect(station.tcp.errors).toEqual([]);
    expect(station.count('ICMP_QUOTE_BAD')).toBe(cases.length);
  });

  test('unknown informational types are dropped in silence (4443-5)', () => {
    const station = ready();
    const known = [128, 129, 130, 133, 134, 135, 136, 137];
    for (let type = 128; type < 256; type++) {
      if (!known.includes(type)) expect(station.answers(error(type, 0, 0))).toEqual([]);
    }
    expect(station.count('ICMP_TYPE_UNKNOWN')).toBe(128 - known.length);
  });
});

describe('ICMPv6 errors out', () => {
  test('as much of the packet as fits 1280 bytes, unchanged (4443-6); a closed port is code 4 (4443-12)', () => {
    const station = ready();
    station.udp.takes = false;
    for (const length of [0, 8, 1232, 1233, 1452]) {
      const frame = packet({}, count(0, length));
      const [answer] = station.answers(frame);
      const { packet: out } = see(answer!);
      expect(icmpOf(answer!)).toBe('1/4');
      expect(out.length).toBe(Math.min(1280, 48 + 40 + length));
      expect(hex(out.slice(48))).toBe(hex(frame.slice(14, 14 + out.length - 48)));
      expect(isIcmpv6Right(out)).toBe(true);
    }
  });

  const unknownOption = options(58, 0x9e, 2, 0, 0);
  test.each<[string, Uint8Array]>([
    ['an error', packet({ next: 60 }, join(unknownOption, icmpv6(PEER6, OUR6, 1, 0, join(u32(0), quote))))],
    [
      'an error of an unknown type',
      packet({ next: 60 }, join(unknownOption, icmpv6(PEER6, OUR6, 101, 0, u32(0) as never))),
    ],
    ['a redirect', packet({ next: 60 }, join(unknownOption, icmpv6(PEER6, OUR6, 137, 0, count(0, 36))))],
    ['a group', packet({ dst: 'ff02::1', next: 253 }, DATA)],
    ['a packet in a group frame', packet({ next: 253 }, DATA, macFor('ff02::1'))],
    ['a packet from nobody', packet({ src: '::', next: 253 }, DATA)],
    ['a bad header from nobody', packet({ src: '::', next: 60 }, join(options(17, 0x9e, 2, 0, 0), DATA))],
    ['a packet from a group', packet({ src: 'ff02::1', next: 253 }, DATA)],
  ])('never about %s (4443-7, 4443-8, 4443-9, 4443-10)', (_, frame) => {
    const station = ready();
    expect(errorsIn(station.answers(frame))).toEqual([]);
  });

  test('ten thousand a second are answered up to the limit (4443-11)', () => {
    const station = ready({ ip: { icmpErrorsPerSecond: 100, icmpErrorsBurst: 10 } });
    let sent = 0;
    for (let i = 0; i < 10_000; i++) {
      sent += errorsIn(station.answers(packet({ next: 253 }, DATA))).length;
      station.receive(advertisement(PEER6, OUR6, PEER6, SOLICITED | OVERRIDE));
      station.runtime.advance(100);
    }
    expect(sent).toBeGreaterThanOrEqual(105);
    expect(sent).toBeLessThanOrEqual(112);
  });
});

describe('IPv6 out', () => {
  test('header fields, hop limit and traffic class as asked for, defaults where not', () => {
    const station = ready();
    const path = station.path(PEER6);
    station.send(path, DATA, { ttl: 9, tos: 0xb8 });
    station.send(path, DATA);
    const [first, second] = station.sent().map((frame) => see(frame).packet);
    expect(hex(first!.slice(0, 8))).toBe('6b:80:00:00:00:10:11:09');
    expect(second![7]).toBe(64);
    expect(hex(first!.slice(8, 40))).toBe(hex(join(ip(OUR6).bytes, ip(PEER6).bytes)));
  });

  test('the room for a segment is the MTU less 40: with a TCP header of 20 an MSS of 1440 (8200-20)', () => {
    expect(ready().path(PEER6).room - 20).toBe(1440);
  });

  test('datagrams in fragments go no further than what the receiver must take, if it is asked (8200-18)', () => {
    const station = ready();
    const path = station.path(PEER6);
    expect(station.send(path, count(0, path.room), { df: true })).toBe(true);
    expect(station.send(path, count(0, path.room + 1), { df: true })).toBe(false);
  });

  test('below 1280 there is no IPv6 on an interface', () => {
    const station = new Station({ config: { mtu: 1000, addresses: ['10.0.0.1/24'], linkLocal: true } });
    expect(station.iface.addresses.every((entry) => entry.address.family === 4)).toBe(true);
    expect(station.layer.routeTo(ip(PEER6), null)).toBe('ENETUNREACH');
  });

  test('multicast leaves with hop limit 1 and the group MAC', () => {
    const station = ready();
    station.send(station.path('ff02::fb'), DATA);
    const { dst, packet: out } = see(station.sent()[0]!);
    expect([dst, out[7]]).toEqual(['33:33:00:00:00:fb', 1]);
  });

  test('the peer that says it is gone is asked again (PEER_MAC is the one we know)', () => {
    const station = ready();
    station.send(station.path(PEER6), DATA);
    expect(see(station.sent()[0]!).dst).toBe(hex(PEER_MAC));
  });
});
