/** ICMP: RFC 792, RFC 1122 3.2.2, RFC 6633, RFC 9293 3.9.2.2; what is answered, what is never answered, what goes up. */
import { describe, expect, test } from 'vitest';
import { IcmpErrorKind } from '../../src/host/path/types.ts';
import {
  arp,
  BROADCAST_MAC,
  count,
  errorsIn,
  ethernet,
  hex,
  icmp,
  icmpOf,
  ipv4,
  join,
  macFor,
  see,
  seeArp,
  sum16,
  ZERO_MAC,
} from './frames.ts';
import { ip, OUR_MAC, OUR4, PEER_MAC, PEER4, ROUTER_MAC, Station, type StationOptions } from './station.ts';

function ready(options: StationOptions = {}): Station {
  const station = new Station(options);
  station.receive(arp(1, PEER_MAC, PEER4, ZERO_MAC, OUR4));
  station.sent();
  return station;
}

const packet = (fields: Partial<Parameters<typeof ipv4>[0]>, data: Uint8Array, mac = OUR_MAC): Uint8Array =>
  ethernet(0x0800, ipv4({ src: PEER4, dst: OUR4, ...fields }, data), mac);
const message = (data: Uint8Array, fields: Partial<Parameters<typeof ipv4>[0]> = {}, mac = OUR_MAC): Uint8Array =>
  packet({ protocol: 1, ...fields }, data, mac);

/** What we sent, as a router would quote it: IP header and the first eight bytes or more. */
const quoteOf = (fields: Partial<Parameters<typeof ipv4>[0]> = {}, data = count(7, 28)): Uint8Array =>
  ipv4({ src: OUR4, dst: PEER4, protocol: 6, ...fields }, data);

describe('echo', () => {
  test.each([0, 1, 2, 56, 57, 1472, 1473, 8000, 65_507])(
    'an echo of %i bytes comes back with the same data (1122-C18)',
    (length) => {
      const station = ready();
      const data = count(length, length);
      const echo = icmp(8, 0, 0x1234_0001, data);
      let replies: Uint8Array[];
      if (length <= 1472) replies = station.answers(message(echo));
      else {
        station.sent();
        for (let at = 0; at < echo.length; at += 1480) {
          const fields = { id: 9, offset: at, mf: at + 1480 < echo.length };
          station.receive(message(echo.slice(at, at + 1480), fields));
        }
        replies = station.sent();
      }
      const whole = join(...replies.map((frame) => frame.slice(34)));
      expect(hex(whole.slice(0, 2))).toBe('00:00');
      expect(sum16(whole)).toBe(0);
      expect(hex(whole.slice(4))).toBe(hex(echo.slice(4)));
      expect([...replies[0]!.slice(26, 34)]).toEqual([...ip(OUR4).bytes, ...ip(PEER4).bytes]);
    },
  );

  test('the reply has the TOS of the request, and the default TTL', () => {
    const station = ready();
    const [reply] = station.answers(message(icmp(8, 0, 1, count(0, 8)), { tos: 0x20, ttl: 1 }));
    expect([see(reply!).packet[1], see(reply!).packet[8]]).toEqual([0x20, 64]);
  });

  test('echoes to broadcast and multicast addresses are ignored, unless the option says otherwise (1122-C19)', () => {
    for (const answersBroadcastEcho of [false, true]) {
      const station = ready({ ip: { answersBroadcastEcho } });
      const echo = icmp(8, 0, 1, count(0, 8));
      const replies = [
        ...station.answers(message(echo, { dst: '10.0.0.255' }, BROADCAST_MAC)),
        ...station.answers(message(echo, { dst: '224.0.0.1' }, macFor('224.0.0.1'))),
      ];
      expect(replies.map(icmpOf)).toEqual(answersBroadcastEcho ? ['0/0', '0/0'] : []);
      if (answersBroadcastEcho) expect([...see(replies[0]!).packet.slice(12, 16)]).toEqual([10, 0, 0, 1]);
    }
  });

  test('our own echo request is answered, times out, or is refused by an error, each once', () => {
    const station = ready();
    const replies: (string | null)[] = [];
    const sendPing = (): Uint8Array => {
      expect(station.layer.ping(PEER4, count(0, 10), (reply) => replies.push(reply.error))).toBeNull();
      return see(station.sent()[0]!).packet;
    };
    const first = sendPing();
    station.runtime.advance(20_000);
    const echo = icmp(0, 0, new DataView(first.buffer, first.byteOffset).getUint32(24), first.slice(28));
    station.receive(message(echo));
    station.receive(message(echo));
    expect(replies).toEqual([null]);
    const second = sendPing();
    station.receive(message(icmp(3, 1, 0, second)));
    expect(replies).toEqual([null, 'EHOSTUNREACH']);
    sendPing();
    station.runtime.advance(6_000_000);
    expect(replies).toEqual([null, 'EHOSTUNREACH', 'ETIMEDOUT']);
  });

  test('a ping of ourselves goes round', () => {
    const station = ready();
    const seen: number[] = [];
    for (const address of [OUR4, '127.0.0.1', '::1', 'fd00::1']) {
      station.layer.ping(address, count(0, 100), (reply) =>
        seen.push(reply.error === null ? reply.payload.length : -1),
      );
    }
    station.runtime.settle();
    expect(seen).toEqual([100, 100, 100, 100]);
  });
});

describe('messages that are dropped in silence', () => {
  test('unknown types, all of them (1122-C1), timestamps, information and address mask requests included (1122-C21, 1122-C22)', () => {
    const station = ready();
    const known = [0, 3, 4, 5, 8, 11, 12];
    for (let type = 0; type < 256; type++) {
      if (known.includes(type)) continue;
      expect(station.answers(message(icmp(type, 0, 0, count(0, 28))))).toEqual([]);
    }
    expect(station.count('ICMP_TYPE_UNKNOWN')).toBe(256 - known.length);
  });

  test('every flipped bit of an echo is noticed', () => {
    const station = ready();
    const echo = icmp(8, 0, 1, count(0, 8));
    for (let bit = 0; bit < 128; bit++) {
      const bad = echo.slice();
      bad[bit >> 3]! ^= 1 << (bit & 7);
      expect(station.answers(message(bad))).toEqual([]);
    }
    expect(station.count('ICMP_BAD')).toBe(128);
  });

  test('every cut of an echo header', () => {
    const station = ready();
    for (let length = 0; length < 8; length++) expect(station.answers(message(count(0, length)))).toEqual([]);
    expect(station.count('ICMP_BAD')).toBe(8);
  });

  test('a source quench: nobody above hears of it (6633-1, MUST-55)', () => {
    const station = ready();
    expect(station.answers(message(icmp(4, 0, 0, quoteOf())))).toEqual([]);
    expect(station.tcp.errors).toEqual([]);
    expect(station.count('ICMP_SOURCE_QUENCH')).toBe(1);
  });
});

describe('errors in', () => {
  test.each([
    [3, 0, IcmpErrorKind.UNREACHABLE, false, 'ENETUNREACH'],
    [3, 1, IcmpErrorKind.UNREACHABLE, false, 'EHOSTUNREACH'],
    [3, 2, IcmpErrorKind.PROTOCOL_UNREACHABLE, true, 'ECONNREFUSED'],
    [3, 3, IcmpErrorKind.PORT_UNREACHABLE, true, 'ECONNREFUSED'],
    [3, 5, IcmpErrorKind.UNREACHABLE, false, 'EHOSTUNREACH'],
    [3, 13, IcmpErrorKind.UNREACHABLE, false, 'EHOSTUNREACH'],
    [11, 0, IcmpErrorKind.TIME_EXCEEDED, false, 'EHOSTUNREACH'],
    [11, 1, IcmpErrorKind.TIME_EXCEEDED, false, 'EHOSTUNREACH'],
    [12, 0, IcmpErrorKind.PARAMETER_PROBLEM, false, 'EHOSTUNREACH'],
  ] as const)(
    'type %i code %i goes to the protocol of the quoted packet (1122-C3, 1122-C11, 1122-C13, 1122-C16, MUST-54, MUST-56, SHLD-26)',
    (type, code, kind, hard, error) => {
      const station = ready();
      expect(station.answers(message(icmp(type, code, 0, quoteOf())))).toEqual([]);
      expect(station.udp.errors).toEqual([]);
      const [info] = station.tcp.errors;
      expect(info).toMatchObject({ kind, hard, error, type, code, family: 4, protocol: 6 });
      expect(info!.bytes.slice(info!.quotedAt, info!.quotedAt + info!.quotedLength)).toEqual(count(7, 28));
      expect([...info!.bytes.slice(info!.localAt, info!.localAt + 4)]).toEqual([...ip(OUR4).bytes]);
      expect([...info!.bytes.slice(info!.remoteAt, info!.remoteAt + 4)]).toEqual([...ip(PEER4).bytes]);
    },
  );

  test.each([
    ['from an address that is not ours', quoteOf({ src: '10.0.0.9' })],
    ['with less than eight bytes behind its header', quoteOf({}, count(0, 7))],
    ['of a later fragment', quoteOf({ offset: 64 })],
    ['of a protocol that nobody takes', quoteOf({ protocol: 200 })],
    ['of another version', join([0x60], quoteOf().slice(1))],
    ['cut inside its header', quoteOf().slice(0, 19)],
    ['that is not there', new Uint8Array(0)],
  ])('a quote %s is counted and goes no further (RFC 5927 4)', (_, quote) => {
    const station = ready();
    expect(station.answers(message(icmp(3, 1, 0, quote)))).toEqual([]);
    expect(station.tcp.errors).toEqual([]);
    expect(station.count('ICMP_QUOTE_BAD')).toBe(1);
  });

  test('an error sent to a broadcast address is dropped', () => {
    const station = ready();
    station.receive(message(icmp(3, 1, 0, quoteOf()), { dst: '10.0.0.255' }, BROADCAST_MAC));
    expect(station.tcp.errors).toEqual([]);
  });
});

describe('errors out', () => {
  const toNobody = packet({ tos: 0xb8, protocol: 253 }, count(0, 1000));

  test('an unknown protocol is answered by protocol unreachable, a closed port by port unreachable (1122-C10, 1122-I30)', () => {
    const station = ready();
    const [protocol] = station.answers(toNobody);
    expect(icmpOf(protocol!)).toBe('3/2');
    expect(station.count('IP_PROTOCOL_UNKNOWN')).toBe(1);
    station.udp.takes = false;
    const [port] = station.answers(packet({}, count(0, 100)));
    expect(icmpOf(port!)).toBe('3/3');
  });

  test('it quotes the packet unchanged, up to 576 bytes in all, with TOS 0 (1122-C2, 1122-C4)', () => {
    const station = ready();
    const error = see(station.answers(toNobody)[0]!).packet;
    expect(error.length).toBe(576);
    expect(error[1]).toBe(0);
    expect(error.slice(28)).toEqual(toNobody.slice(14, 14 + 548));
    expect(sum16(error.slice(20))).toBe(0);
  });

  const unanswerable: readonly (readonly [string, Uint8Array])[] = [
    ...[3, 4, 5, 11, 12].map(
      (type) => [`an ICMP error of type ${type}`, message(icmp(type, 2, 0, quoteOf()), { protocol: 1 })] as const,
    ),
    ['a broadcast', packet({ dst: '10.0.0.255', protocol: 253 }, count(0, 9), BROADCAST_MAC)],
    ['the limited broadcast', packet({ dst: '255.255.255.255', protocol: 253 }, count(0, 9), BROADCAST_MAC)],
    ['a multicast', packet({ dst: '224.0.0.1', protocol: 253 }, count(0, 9), macFor('224.0.0.1'))],
    ['a link-layer broadcast', packet({ protocol: 253 }, count(0, 9), BROADCAST_MAC)],
    ['a later fragment', packet({ protocol: 253, offset: 800 }, count(0, 9))],
    ...['0.0.0.0', '127.0.0.1', '10.0.0.255', '255.255.255.255', '224.1.1.1', '241.0.0.1'].map(
      (src) => [`a packet from ${src}`, packet({ src, protocol: 253 }, count(0, 9))] as const,
    ),
  ];

  test.each(unanswerable)('never about %s (1122-C5, 1122-C6, 1122-C7, 1122-C8, 1122-C9)', (_, frame) => {
    const station = ready();
    station.udp.takes = false;
    expect(station.answers(frame)).toEqual([]);
  });

  test('broken options of an ICMP error, a broadcast or a later fragment are not answered either (1122-C5, 1122-C6, 1122-C8)', () => {
    const station = ready();
    const options = [30, 0, 1, 1];
    expect(station.answers(message(icmp(3, 1, 0, quoteOf()), { options }))).toEqual([]);
    expect(station.answers(packet({ dst: '10.0.0.255', options }, count(0, 9), BROADCAST_MAC))).toEqual([]);
    expect(station.answers(packet({ options, offset: 800 }, count(0, 9)))).toEqual([]);
    expect(station.count('ICMP_ERROR_SUPPRESSED')).toBe(3);
  });

  test('no more than the limit a second, and again after a while (4443-11 for both families)', () => {
    const station = ready({ ip: { icmpErrorsPerSecond: 100, icmpErrorsBurst: 10 } });
    let errors = 0;
    for (let i = 0; i < 10_000; i++) {
      errors += station.answers(toNobody).length;
      station.runtime.advance(100);
    }
    expect(errors).toBeGreaterThanOrEqual(105);
    expect(errors).toBeLessThanOrEqual(112);
    expect(station.count('ICMP_RATE_LIMITED')).toBe(10_000 - errors);
    station.runtime.advance(1_000_000);
    expect(station.answers(toNobody).length).toBe(1);
  });

  test('a host sends no redirects and no source quenches, whatever comes (1122-C14, 6633-1)', () => {
    const station = ready();
    const answers = [packet({ dst: '192.0.2.1' }, count(0, 9)), toNobody].flatMap((frame) => station.answers(frame));
    expect(errorsIn(answers)).toEqual(['3/2']);
  });
});

describe('redirects', () => {
  const gateways = { config: { routes: [{ to: '0.0.0.0/0', via: '10.0.0.254' }] } };
  const far = '192.0.2.1';
  const redirect = (
    gateway: string,
    options: { from?: string; quote?: Uint8Array; code?: number } = {},
  ): Uint8Array => {
    const quote = options.quote ?? quoteOf({ dst: far });
    const body = icmp(5, options.code ?? 1, new DataView(ip(gateway).bytes.slice().buffer).getUint32(0), quote);
    return message(body, { src: options.from ?? '10.0.0.254' });
  };
  const nextHop = (station: Station): string => station.path(far).neighbor!.ip.toString();

  test.each([0, 1, 2, 3])(
    'from the first hop, code %i: the host goes by the new gateway, other hosts do not (1122-C15, 1122-I18)',
    (code) => {
      const station = ready(gateways);
      const path = station.path(far);
      const moved: string[] = [];
      station.layer.observer = {
        neighborMacChanged: () => {},
        neighborResolved: () => {},
        neighborUnreachable: () => {},
        neighborDelayOver: () => false,
        nextHopChanged: (changed, old) => moved.push(`${changed.remote} ${old?.ip} ${changed.neighbor?.ip}`),
        pathMtuChanged: () => {},
        hopLimitChanged: () => undefined,
      };
      station.receive(redirect('10.0.0.253', { code }));
      expect(path.neighbor!.ip.toString()).toBe('10.0.0.253');
      expect(station.path('192.0.2.2').neighbor!.ip.toString()).toBe('10.0.0.254');
      expect(moved).toEqual([`${far} 10.0.0.254 10.0.0.253`]);
      expect(station.count('REDIRECT_ACCEPTED')).toBe(1);
    },
  );

  test.each([
    ['from another than the first hop', redirect('10.0.0.253', { from: '10.0.0.252' })],
    ['to a gateway off the subnet', redirect('10.0.1.253')],
    ['to ourselves', redirect(OUR4)],
    ['to a broadcast address', redirect('10.0.0.255')],
    ['to a group', redirect('224.0.0.1')],
    ['about a packet that was not ours', redirect('10.0.0.253', { quote: quoteOf({ src: '10.0.0.9', dst: far }) })],
    ['about a neighbor on the link', redirect('10.0.0.253', { quote: quoteOf({ dst: PEER4 }) })],
    ['without a quote', redirect('10.0.0.253', { quote: new Uint8Array(4) })],
  ])('%s: refused (1122-C15)', (_, frame) => {
    const station = ready(gateways);
    station.path(far);
    expect(station.answers(frame)).toEqual([]);
    expect(nextHop(station)).toBe('10.0.0.254');
    expect(station.count('REDIRECT_REFUSED') + station.count('ICMP_QUOTE_BAD')).toBe(1);
  });

  test('not wanted by the configuration: refused', () => {
    const station = ready({ config: { ...gateways.config, acceptRedirects: false } });
    station.receive(redirect('10.0.0.253'));
    expect(nextHop(station)).toBe('10.0.0.254');
  });

  test('when the new gateway does not answer, the old way is taken again (1122-I19)', () => {
    const station = ready(gateways);
    const path = station.path(far);
    station.receive(redirect('10.0.0.253'));
    station.send(path, count(0, 8));
    station.runtime.advance(4_000_000);
    expect(path.neighbor!.ip.toString()).toBe('10.0.0.254');
  });

  test('a flood of redirects leaves a bounded number of routes', () => {
    const station = ready(gateways);
    for (let i = 0; i < 2000; i++) {
      const quote = quoteOf({ dst: `192.0.${i >> 8}.${i & 255}` });
      station.receive(redirect('10.0.0.253', { quote }));
    }
    expect(station.count('REDIRECT_ACCEPTED')).toBe(2000);
    expect(station.path('192.0.7.207').neighbor!.ip.toString()).toBe('10.0.0.253');
    expect(station.path('192.0.0.1').neighbor!.ip.toString()).toBe('10.0.0.254');
  });
});

describe('several gateways', () => {
  test('a dead gateway is noticed by its silence, and traffic moves to the other (1122-I18, 1122-I19)', () => {
    const station = new Station({
      config: {
        routes: [
          { to: '0.0.0.0/0', via: '10.0.0.254' },
          { to: '0.0.0.0/0', via: '10.0.0.253' },
        ],
      },
    });
    const path = station.path('192.0.2.1');
    station.receive(arp(1, ROUTER_MAC, '10.0.0.254', ZERO_MAC, OUR4));
    station.sent();
    let movedAtS = 0;
    for (let s = 1; s <= 20 && movedAtS === 0; s++) {
      station.send(path, count(0, 8));
      station.runtime.advance(1_000_000);
      if (path.neighbor!.ip.toString() === '10.0.0.253') movedAtS = s;
    }
    expect(movedAtS).toBeGreaterThan(5);
    expect(movedAtS).toBeLessThan(10);
    const requests = station
      .sent()
      .map(seeArp)
      .filter((one) => one !== null);
    expect(requests.length).toBeLessThanOrEqual(5);
  });

  test('without traffic no gateway is ever asked (1122-I19)', () => {
    const station = new Station({ config: { routes: [{ to: '0.0.0.0/0', via: '10.0.0.254' }] } });
    station.path('192.0.2.1');
    station.runtime.advance(3_600_000_000);
    expect(station.sent()).toEqual([]);
  });
});
