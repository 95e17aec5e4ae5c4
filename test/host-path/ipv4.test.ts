/** IPv4 in: RFC 791, RFC 1122 3.2 and 3.3, RFC 7126; and what a host sends of it. */
import { describe, expect, test } from 'vitest';
import {
  arp,
  BROADCAST_MAC,
  count,
  ethernet,
  icmp,
  icmpOf,
  ipv4,
  join,
  macFor,
  see,
  sum16,
  ZERO_MAC,
} from './frames.ts';
import { ip, OUR4, PEER_MAC, PEER4, Station } from './station.ts';

const DATA = count(1, 16);
const datagram = (fields: Partial<Parameters<typeof ipv4>[0]>, data = DATA): Uint8Array =>
  ethernet(0x0800, ipv4({ src: PEER4, dst: OUR4, ...fields }, data));

describe('IPv4 in', () => {
  test('a datagram for us goes up with TTL, TOS and its bytes (1122-I10, 1122-I32)', () => {
    const station = new Station();
    station.receive(datagram({ ttl: 3, tos: 0xb8 }));
    expect(station.udp.packets).toMatchObject([{ data: DATA, family: 4, ttl: 3, tos: 0xb8, wasReassembled: false }]);
  });

  test('Ethernet padding is not data (791-5)', () => {
    const station = new Station();
    station.receive(join(datagram({}, count(0, 3)), new Uint8Array(40).fill(0xee)));
    expect(station.udp.packets[0]!.data).toEqual(count(0, 3));
  });

  test('every version but 4 is dropped in silence (1122-I1)', () => {
    const station = new Station();
    for (let version = 0; version < 16; version++) {
      if (version !== 4) expect(station.answers(datagram({ version }))).toEqual([]);
    }
    expect(station.count('IPV4_HEADER_BAD')).toBe(15);
    expect(station.udp.packets).toEqual([]);
  });

  test('every single flipped bit of the header is noticed and dropped in silence (1122-I2)', () => {
    const station = new Station();
    const good = datagram({});
    for (let bit = 0; bit < 160; bit++) {
      const bad = good.slice();
      bad[14 + (bit >> 3)]! ^= 1 << (bit & 7);
      expect(station.answers(bad)).toEqual([]);
    }
    expect(station.udp.packets).toEqual([]);
    expect(station.count('IPV4_CHECKSUM_BAD') + station.count('IPV4_HEADER_BAD')).toBe(160);
  });

  test('lying lengths are dropped: IHL below 5 or beyond the packet, total length below the header or beyond the frame (791-5)', () => {
    const station = new Station();
    for (let ihl = 0; ihl < 16; ihl++) {
      const packet = ipv4({ src: PEER4, dst: OUR4 }, count(0, 8));
      packet[0] = 0x40 | ihl;
      packet[10] = 0;
      packet[11] = 0;
      const checksum = sum16(packet.slice(0, Math.min(packet.length, ihl * 4)));
      packet[10] = checksum >> 8;
      packet[11] = checksum & 255;
      if (ihl !== 5)
        expect(
          station
            .answers(ethernet(0x0800, packet))
            .map(icmpOf)
            .filter((one) => one !== '12/0'),
        ).toEqual([]);
    }
    for (const totalLength of [0, 19, 37, 65_535]) station.receive(datagram({ totalLength }));
    expect(station.udp.packets.every((packet) => packet.hadOptions)).toBe(true);
    expect(station.count('IPV4_HEADER_BAD')).toBeGreaterThanOrEqual(12);
  });

  test('a datagram for another host is neither taken, nor forwarded, nor answered (1122-I5, 1122-I31)', () => {
    const station = new Station();
    expect(station.answers(datagram({ dst: '10.0.0.9' }))).toEqual([]);
    expect(station.answers(datagram({ dst: '127.0.0.1' }))).toEqual([]);
    expect(station.count('IP_NOT_FOR_US')).toBe(2);
  });

  test.each(['0.0.0.0', '0.1.2.3', '127.0.0.1', '224.0.0.1', '240.0.0.1', '255.255.255.255', '10.0.0.255', OUR4])(
    'the source %s is dropped in silence (1122-I6)',
    (src) => {
      const station = new Station();
      expect(station.answers(datagram({ src, protocol: 253 }))).toEqual([]);
      expect(station.count('IP_SOURCE_BAD')).toBe(1);
    },
  );

  test.each([0, 1, 2])('a datagram with TTL %i is delivered (1122-I12)', (ttl) => {
    const station = new Station();
    station.receive(datagram({ ttl }));
    expect(station.udp.packets[0]!.ttl).toBe(ttl);
  });

  test('broadcasts of all forms are taken in broadcast frames (1122-I28)', () => {
    const station = new Station();
    for (const dst of ['255.255.255.255', '10.0.0.255']) {
      station.receive(ethernet(0x0800, ipv4({ src: PEER4, dst }, DATA), BROADCAST_MAC));
    }
    expect(station.udp.packets.map((packet) => packet.toBroadcast)).toEqual([true, true]);
    station.receive(ethernet(0x0800, ipv4({ src: PEER4, dst: '10.0.1.255' }, DATA), BROADCAST_MAC));
    expect(station.udp.packets.length).toBe(2);
  });

  test('a unicast destination in a broadcast or multicast frame is dropped in silence (1122-I27, 1122-L5)', () => {
    const station = new Station();
    for (const mac of [BROADCAST_MAC, macFor('224.0.0.1')]) {
      expect(station.answers(ethernet(0x0800, ipv4({ src: PEER4, dst: OUR4, protocol: 253 }, DATA), mac))).toEqual([]);
    }
    expect(station.count('IP_BROADCAST_MISMATCH')).toBe(2);
  });

  test('the all-hosts group is joined, others are not (1122-I29)', () => {
    const station = new Station();
    for (const dst of ['224.0.0.1', '224.0.0.2']) {
      station.receive(ethernet(0x0800, ipv4({ src: PEER4, dst }, DATA), macFor(dst)));
    }
    expect(station.udp.packets.map((packet) => packet.toMulticast)).toEqual([true]);
    expect(station.count('IP_NOT_FOR_US')).toBe(1);
  });
});

describe('IPv4 options', () => {
  test.each([
    ['NOP and END', [1, 1, 1, 0]],
    ['record route', [7, 7, 4, 0, 0, 0, 0, 0]],
    ['timestamp', [68, 8, 5, 0, 0, 0, 0, 0]],
    ['an unknown one', [30, 4, 1, 2]],
    ['forty bytes of NOP', new Array<number>(40).fill(1)],
    ['junk behind END', [0, 99, 99, 99]],
  ])('%s: ignored, the datagram is delivered (MUST-50, 1122-I15)', (_, options) => {
    const station = new Station();
    station.receive(datagram({ options }));
    expect(station.udp.packets).toMatchObject([{ data: DATA, hadOptions: true }]);
  });

  test.each([
    ['length 0', [30, 0, 1, 1], 21],
    ['length 1', [30, 1, 1, 1], 21],
    ['beyond the header', [1, 30, 9, 1], 22],
    ['no length', [1, 1, 1, 30], 23],
  ])(
    'a broken list (%s) is dropped and answered by a parameter problem that points at it (791-8, 1122-C17)',
    (_, options, pointer) => {
      const station = new Station();
      station.receive(arp(1, PEER_MAC, PEER4, ZERO_MAC, OUR4));
      const [error, ...rest] = station.answers(datagram({ options }));
      expect(rest).toEqual([]);
      expect(icmpOf(error!)).toBe('12/0');
      expect(see(error!).packet[24]).toBe(pointer);
      expect(station.count('IPV4_OPTION_BAD')).toBe(1);
      expect(station.udp.packets).toEqual([]);
    },
  );

  test.each([131, 137])(
    'a source route (option %i) is dropped in silence by policy (RFC 7126; departure from 1122-I16)',
    (option) => {
      const station = new Station();
      expect(station.answers(datagram({ options: [option, 7, 8, 10, 0, 0, 7, 0] }))).toEqual([]);
      expect(station.count('IPV4_SOURCE_ROUTED')).toBe(1);
    },
  );
});

describe('IPv4 out', () => {
  const ready = (config = {}): Station => {
    const station = new Station({ config });
    station.receive(arp(1, PEER_MAC, PEER4, ZERO_MAC, OUR4));
    station.sent();
    return station;
  };

  test('headers: version, length, ID, TTL, protocol, addresses and a right checksum (1122-I4, 1122-I9, 1122-I13)', () => {
    const station = ready();
    expect(station.send(station.path(PEER4), DATA, { tos: 0x10, df: true })).toBe(true);
    const { packet } = see(station.sent()[0]!);
    expect(sum16(packet.slice(0, 20))).toBe(0);
    expect([packet[0], packet[1], packet[2]! * 256 + packet[3]!]).toEqual([0x45, 0x10, 36]);
    expect([packet[6], packet[8], packet[9]]).toEqual([0x40, 64, 17]);
    expect([...packet.slice(12, 20)]).toEqual([...ip(OUR4).bytes, ...ip(PEER4).bytes]);
    expect(packet.slice(20)).toEqual(DATA);
  });

  test('the TTL is what the transport asks for, the default where it asks for none, and never 0 (1122-I11, 1122-I13)', () => {
    const station = ready();
    const path = station.path(PEER4);
    for (const ttl of [1, 255, 0]) station.send(path, DATA, { ttl });
    expect(station.sent().map((frame) => see(frame).packet[8])).toEqual([1, 255, 64]);
  });

  test('identifications stay in the host half and follow one another (SEND-042, 6864-3)', () => {
    const station = ready();
    const path = station.path(PEER4);
    const ids: number[] = [];
    for (let i = 0; i < 0x8000; i++) {
      station.send(path, DATA);
      const { packet } = see(station.ndis.sent.pop()!);
      ids.push(packet[4]! * 256 + packet[5]!);
    }
    expect(Math.max(...ids)).toBe(0x7fff);
    expect(new Set(ids).size).toBe(0x8000);
  });

  test('no source that is not ours: foreign, loopback, broadcast and multicast ones are refused (1122-I3, 1122-I26)', () => {
    const station = ready();
    for (const local of ['10.0.0.77', '127.0.0.1', '224.0.0.1', '255.255.255.255', '0.0.0.0']) {
      expect(station.layer.routeTo(ip(PEER4), ip(local))).toBe('EADDRNOTAVAIL');
    }
  });

  test('answers leave from the address that was asked, of several (1122-I25)', () => {
    const station = ready({ addresses: ['10.0.0.1/24', '10.0.0.3/24'] });
    const echo = ipv4({ src: PEER4, dst: '10.0.0.3', protocol: 1 }, icmp(8, 0, 0x0102_0003, DATA));
    const [reply] = station.answers(ethernet(0x0800, echo));
    expect([...see(reply!).packet.slice(12, 16)]).toEqual([10, 0, 0, 3]);
  });

  test('the interface MTU is configured between 576 and the adapter (1122-I24)', () => {
    const station = new Station({ config: { mtu: 576, addresses: ['10.0.0.1/24'] } });
    expect(station.path(PEER4).mtu).toBe(576);
    expect(station.path(PEER4).room).toBe(556);
    expect(() => new Station({ config: { mtu: 500 } })).toThrow(/mtu must be an integer from 576 to 1500/);
    expect(() => new Station({ config: { mtu: 1501 } })).toThrow(/from 576 to 1500/);
  });

  test('without any gateway the subnet is reached, and nothing else (1122-I18)', () => {
    const station = new Station();
    expect(station.path(PEER4).isUp).toBe(true);
    expect(station.layer.routeTo(ip('192.0.2.1'), null)).toBe('ENETUNREACH');
  });

  test('a broadcast goes to the broadcast MAC without ARP', () => {
    const station = new Station();
    station.send(station.path('10.0.0.255'), DATA);
    station.send(station.path('255.255.255.255'), DATA);
    station.send(station.path('224.0.0.251'), DATA);
    const macs = station.sent().map((frame) => see(frame).dst);
    expect(macs).toEqual(['ff:ff:ff:ff:ff:ff', 'ff:ff:ff:ff:ff:ff', '01:00:5e:00:00:fb']);
  });

  test('configurations that cannot be are refused with the reason', () => {
    for (const [config, message] of [
      [{ addresses: ['10.0.0.300/24'] }, /'10.0.0.300\/24' is not an address like/],
      [{ addresses: ['10.0.0.255/24'] }, /network or broadcast address/],
      [{ addresses: ['10.0.0.0/24'] }, /network or broadcast address/],
      [{ addresses: ['224.0.0.1/24'] }, /cannot be the address/],
      [{ addresses: ['127.0.0.2/8'] }, /cannot be the address/],
      [{ addresses: ['10.0.0.1/24', '10.0.0.1/16'] }, /configured twice/],
      [{ addresses: [], routes: [{ to: 'x', via: '10.0.0.2' }] }, /is not a prefix/],
      [{ addresses: [], routes: [{ to: '0.0.0.0/0', via: 'fd00::2' }] }, /same family/],
      [{ addresses: [], routes: [{ to: '0.0.0.0/0', via: '10.0.0.2', metric: -1 }] }, /metric -1/],
      [{ addresses: [], vlanId: 4095 }, /vlanId must be/],
      [{ addresses: ['fd00::1/64'], mtu: 1000 }, /needs an mtu of at least 1280/],
    ] as const) {
      expect(() => new Station({ config })).toThrow(message);
    }
  });

  test('a bare-IP link carries packets as they are, without neighbors', () => {
    const station = new Station({ medium: 'ip' });
    station.send(station.path(PEER4), DATA);
    const [packet] = station.sent();
    expect(packet![0]).toBe(0x45);
    station.receive(ipv4({ src: PEER4, dst: OUR4 }, DATA));
    expect(station.udp.packets.length).toBe(1);
    station.receive(new Uint8Array([0x15, 0, 0]));
    expect(station.count('ETHERTYPE_UNKNOWN')).toBe(1);
  });

  test('the gateway that forwards all takes any destination and answers from it', () => {
    const station = ready({ forwardAll: true });
    const echo = ipv4({ src: PEER4, dst: '198.51.100.7', protocol: 1 }, icmp(8, 0, 0x0102_0003, DATA));
    const [reply] = station.answers(ethernet(0x0800, echo));
    expect([...see(reply!).packet.slice(12, 16)]).toEqual([198, 51, 100, 7]);
    expect(station.answers(ethernet(0x0800, ipv4({ src: PEER4, dst: '127.0.0.1' }, DATA)))).toEqual([]);
  });
});

describe('loopback', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['127.1.2.3', '127.0.0.1'],
    [OUR4, OUR4],
  ])('what is sent to %s comes back without a link, on the next turn (1122-I3)', (remote, local) => {
    const station = new Station();
    const path = station.path(remote);
    expect(path.local.toString()).toBe(local);
    station.send(path, DATA);
    expect(station.udp.packets).toEqual([]);
    expect(station.sent()).toEqual([]);
    expect(station.udp.packets.map((packet) => packet.data)).toEqual([DATA]);
    expect(station.udp.dones).toBeGreaterThan(0);
    expect(station.layer.held().packets).toBe(0);
  });

  test('a datagram of 65507 bytes goes round in one piece, larger ones do not exist', () => {
    const station = new Station();
    const path = station.path('127.0.0.1');
    station.send(path, count(0, 65_515));
    station.runtime.settle();
    expect(station.udp.packets[0]!.data.length).toBe(65_515);
    expect(station.udp.packets[0]!.wasReassembled).toBe(false);
    expect(station.layer.beginPacket(path, 65_516)).toBeNull();
  });

  test('two ends that answer each other for ever do not hold the turn', () => {
    const station = new Station();
    let rounds = 0;
    station.udp.onPacket = (rx) => {
      rounds++;
      const path = station.layer.routeBack(rx);
      if (rounds < 1000 && typeof path !== 'string') station.send(path, DATA);
    };
    station.send(station.path('127.0.0.1'), DATA);
    station.runtime.settle();
    expect(rounds).toBe(1000);
  });
});
