/** ARP: RFC 826, RFC 1122 2.3.2 and 2.4, RFC 5227. */
import { describe, expect, test } from 'vitest';
import { NeighborState } from '../../src/host/path/types.ts';
import { arp, BROADCAST_MAC, count, ethernet, hex, ipv4, join, seeArp, u16, ZERO_MAC } from './frames.ts';
import { ip, OUR_MAC, OUR4, PEER_MAC, PEER4, ROUTER_MAC, Station } from './station.ts';

const OTHER_MAC = new Uint8Array([2, 0, 0, 0, 0, 9]);

describe('ARP in', () => {
  test('a request for our address is answered by unicast with swapped fields (826-3, 826-4)', () => {
    const station = new Station();
    const [reply, ...rest] = station.answers(arp(1, PEER_MAC, PEER4, ZERO_MAC, OUR4));
    expect(rest).toEqual([]);
    expect(seeArp(reply!)).toEqual({
      to: hex(PEER_MAC),
      operation: 2,
      senderMac: hex(OUR_MAC),
      sender: OUR4,
      targetMac: hex(PEER_MAC),
      target: PEER4,
    });
  });

  test('a request for another address is not answered, and its sender not remembered (826-5)', () => {
    const station = new Station();
    expect(station.answers(arp(1, PEER_MAC, PEER4, ZERO_MAC, '10.0.0.77'))).toEqual([]);
    expect(station.layer.held().neighbors).toBe(0);
  });

  test('a probe by another host for an address that is ours is answered, and enters nobody (5227-8)', () => {
    const station = new Station();
    const [reply] = station.answers(arp(1, PEER_MAC, '0.0.0.0', ZERO_MAC, OUR4));
    expect(seeArp(reply!)).toMatchObject({ to: hex(PEER_MAC), operation: 2, sender: OUR4, target: '0.0.0.0' });
    expect(station.layer.held().neighbors).toBe(0);
  });

  test('who asks for us is remembered: the answer to him needs no request (826-3)', () => {
    const station = new Station();
    station.answers(arp(1, PEER_MAC, PEER4, ZERO_MAC, OUR4));
    station.send(station.path(PEER4), count(0, 8));
    const [frame] = station.sent();
    expect(hex(frame!.slice(0, 6))).toBe(hex(PEER_MAC));
  });

  test.each([1, 2])(
    'a known sender is brought up to date before the opcode is looked at, opcode %i (826-2)',
    (operation) => {
      const station = new Station();
      station.answers(arp(1, PEER_MAC, PEER4, ZERO_MAC, OUR4));
      const path = station.path(PEER4);
      const changed: string[] = [];
      station.layer.observer = {
        neighborMacChanged: (neighbor) => changed.push(hex(neighbor.mac)),
        neighborResolved: () => {},
        neighborUnreachable: () => {},
        neighborDelayOver: () => false,
        nextHopChanged: () => {},
        pathMtuChanged: () => {},
        hopLimitChanged: () => undefined,
      };
      station.receive(arp(operation, OTHER_MAC, PEER4, ZERO_MAC, '10.0.0.77'));
      expect(hex(path.neighbor!.mac)).toBe(hex(OTHER_MAC));
      expect(changed).toEqual([hex(OTHER_MAC)]);
    },
  );

  test('a neighbor that no packet waits for is asked for, and whoever watches hears of its first address once', () => {
    const station = new Station();
    const { neighbor } = station.path(PEER4);
    const resolved: string[] = [];
    station.layer.observer = {
      neighborMacChanged: () => resolved.push('changed'),
      neighborResolved: (entry) => resolved.push(hex(entry.mac)),
      neighborUnreachable: () => {},
      neighborDelayOver: () => false,
      nextHopChanged: () => {},
      pathMtuChanged: () => {},
      hopLimitChanged: () => undefined,
    };
    station.layer.resolve(neighbor!);
    expect(station.sent().length).toBe(1);
    station.receive(arp(2, PEER_MAC, PEER4, OUR_MAC, OUR4, OUR_MAC));
    expect(resolved).toEqual([hex(PEER_MAC)]);
    station.layer.resolve(neighbor!);
    expect(station.sent().length).toBe(0);
  });

  test.each([
    ['another hardware type', [0, 6, 8, 0, 6, 4, 0, 1]],
    ['another protocol', [0, 1, 0x86, 0xdd, 6, 4, 0, 1]],
    ['another hardware length', [0, 1, 8, 0, 8, 4, 0, 1]],
    ['another protocol length', [0, 1, 8, 0, 6, 16, 0, 1]],
    ['an unknown opcode', [0, 1, 8, 0, 6, 4, 0, 9]],
  ])('%s is dropped and counted (826-1)', (_, header) => {
    const station = new Station();
    const body = join(header, PEER_MAC, ip(PEER4).bytes, ZERO_MAC, ip(OUR4).bytes, new Uint8Array(18));
    expect(station.answers(ethernet(0x0806, body, BROADCAST_MAC))).toEqual([]);
    expect(station.count('ARP_BAD')).toBe(1);
  });

  test('every cut of a request is dropped and counted (826-1)', () => {
    const station = new Station();
    const whole = arp(1, PEER_MAC, PEER4, ZERO_MAC, OUR4).slice(0, 42);
    for (let length = 14; length < 42; length++) expect(station.answers(whole.slice(0, length))).toEqual([]);
    expect(station.count('ARP_BAD')).toBe(28);
  });

  test('senders that cannot be are dropped: group MAC, zero MAC, multicast, loopback and broadcast addresses', () => {
    const station = new Station();
    for (const [mac, address] of [
      [BROADCAST_MAC, PEER4],
      [ZERO_MAC, PEER4],
      [PEER_MAC, '224.0.0.5'],
      [PEER_MAC, '127.0.0.1'],
      [PEER_MAC, '10.0.0.255'],
      [PEER_MAC, '255.255.255.255'],
    ] as const) {
      const frame = arp(1, mac, address, ZERO_MAC, OUR4);
      frame.set(PEER_MAC, 6);
      expect(station.answers(frame)).toEqual([]);
    }
    expect(station.count('ARP_BAD')).toBe(6);
    expect(station.layer.held().neighbors).toBe(0);
  });

  test('a flood of requests from made-up neighbors leaves a bounded table', () => {
    const station = new Station({ ip: { neighborsMax: 32 }, config: { addresses: ['10.0.0.1/8'] } });
    for (let i = 2; i < 2000; i++) {
      station.receive(arp(1, PEER_MAC, `10.1.${i >> 8}.${i & 255}`, ZERO_MAC, OUR4));
    }
    expect(station.layer.held().neighbors).toBeLessThanOrEqual(32);
    expect(station.count('NEIGHBOR_TABLE_FULL')).toBeGreaterThan(1000);
  });
});

describe('ARP out', () => {
  test('the first packet makes a broadcast request, waits, and is sent with the answer (1122-L3, 1122-L6)', () => {
    const station = new Station();
    expect(station.send(station.path(PEER4), count(0, 8))).toBe(true);
    const [request, ...rest] = station.sent();
    expect(rest).toEqual([]);
    expect(seeArp(request!)).toMatchObject({ to: hex(BROADCAST_MAC), operation: 1, sender: OUR4, target: PEER4 });
    const [data] = station.answers(arp(2, PEER_MAC, PEER4, OUR_MAC, OUR4, OUR_MAC));
    expect(hex(data!.slice(0, 6))).toBe(hex(PEER_MAC));
    expect(data!.slice(34)).toEqual(count(0, 8));
    expect(station.layer.held()).toMatchObject({ packets: 0, waiting: 0 });
  });

  test('a thousand packets to a dead neighbor make at most one request a second (1122-L2)', () => {
    const station = new Station();
    const path = station.path(PEER4);
    const times: number[] = [];
    for (let i = 0; i < 1000; i++) {
      station.send(path, count(0, 8));
      for (const frame of station.sent()) if (seeArp(frame) !== null) times.push(station.runtime.nowUs());
      station.runtime.advance(10_000);
    }
    expect(times.length).toBeGreaterThan(5);
    for (let i = 1; i < times.length; i++) expect(times[i]! - times[i - 1]!).toBeGreaterThanOrEqual(1_000_000);
  });

  test('packets that wait are bounded, the newest are kept, and all buffers come back', () => {
    const station = new Station();
    const path = station.path(PEER4);
    for (let i = 0; i < 200; i++) station.send(path, count(i, 8));
    expect(station.layer.held().waiting).toBe(128);
    expect(station.count('NEIGHBOR_QUEUE_FULL')).toBe(72);
    const frames = station.answers(arp(2, PEER_MAC, PEER4, OUR_MAC, OUR4, OUR_MAC));
    expect(frames.length).toBe(128);
    expect(frames.at(-1)!.slice(34)).toEqual(count(199, 8));
    expect(station.layer.held().packets).toBe(0);
  });

  test('what waited in vain is reported as unreachable to its protocol after three requests (4861-14 for IPv4)', () => {
    const station = new Station();
    station.send(station.path(PEER4), count(0, 8));
    station.runtime.advance(2_999_000);
    expect(station.udp.errors).toEqual([]);
    station.runtime.advance(2000);
    expect(station.sent().filter((frame) => seeArp(frame) !== null).length).toBe(3);
    expect(station.udp.errors.length).toBe(1);
    expect(station.udp.errors[0]).toMatchObject({ hard: false, error: 'EHOSTUNREACH', protocol: 17, type: -1 });
    expect(station.count('NEIGHBOR_UNREACHABLE')).toBe(1);
    expect(station.layer.held()).toMatchObject({ packets: 0, waiting: 0 });
  });

  test('a stale entry is asked again by unicast when it is used, and given up when it is silent (1122-L1)', () => {
    const station = new Station();
    station.receive(arp(1, PEER_MAC, PEER4, ZERO_MAC, OUR4));
    const path = station.path(PEER4);
    station.sent();
    expect(path.neighbor!.state).toBe(NeighborState.STALE);
    station.send(path, count(0, 8));
    station.runtime.advance(4_900_000);
    expect(station.sent().length).toBe(1);
    station.runtime.advance(200_000);
    const [poll] = station.sent();
    expect(seeArp(poll!)).toMatchObject({ to: hex(PEER_MAC), operation: 1, target: PEER4 });
    station.runtime.advance(3_000_000);
    expect(path.neighbor!.state).toBe(NeighborState.NONE);
  });

  test('a reply that nobody asked for makes no entry (826-3)', () => {
    const station = new Station();
    station.receive(arp(2, PEER_MAC, PEER4, OUR_MAC, '10.0.0.9', OUR_MAC));
    expect(station.layer.held().neighbors).toBe(0);
  });

  test('packets to our subnet ask for the destination, others for the gateway (1122-I7, 1122-I17)', () => {
    const station = new Station({ config: { routes: [{ to: '0.0.0.0/0', via: '10.0.0.254' }] } });
    station.send(station.path('10.0.0.200'), count(0, 8));
    station.send(station.path('10.0.1.1'), count(0, 8));
    expect(station.sent().map((frame) => seeArp(frame)!.target)).toEqual(['10.0.0.200', '10.0.0.254']);
    station.receive(arp(2, ROUTER_MAC, '10.0.0.254', OUR_MAC, OUR4, OUR_MAC));
    const [data] = station.sent();
    expect(hex(data!.slice(0, 6))).toBe(hex(ROUTER_MAC));
  });
});

describe('frames', () => {
  const datagram = ipv4({ src: PEER4, dst: OUR4 }, count(0, 8));

  test('an Ethernet II frame in and out (1122-L4)', () => {
    const station = new Station();
    station.receive(ethernet(0x0800, datagram));
    expect(station.udp.packets.length).toBe(1);
    expect(station.udp.dones).toBe(1);
  });

  test.each([
    ['another MAC', ethernet(0x0800, datagram, OTHER_MAC), 'FRAME_NOT_FOR_US'],
    ['our own MAC as sender', ethernet(0x0800, datagram, OUR_MAC, OUR_MAC), 'FRAME_NOT_FOR_US'],
    ['an unknown EtherType', ethernet(0x88cc, datagram), 'ETHERTYPE_UNKNOWN'],
    ['an 802.3 length', ethernet(100, datagram), 'ETHERTYPE_UNKNOWN'],
    ['thirteen bytes', ethernet(0x0800, datagram).slice(0, 13), 'FRAME_TOO_SHORT'],
    ['nothing', new Uint8Array(0), 'FRAME_TOO_SHORT'],
    ['a foreign VLAN', ethernet(0x8100, join(u16(7), u16(0x0800), datagram)), 'FRAME_NOT_FOR_US'],
  ] as const)('%s is counted and dropped', (_, frame, event) => {
    const station = new Station();
    station.receive(frame);
    expect(station.count(event)).toBe(1);
    expect(station.udp.packets).toEqual([]);
  });

  test('a priority tag (VLAN 0) is taken; with a VLAN of ours frames carry its tag and need it', () => {
    const plain = new Station();
    plain.receive(ethernet(0x8100, join(u16(5 << 13), u16(0x0800), datagram)));
    expect(plain.udp.packets.length).toBe(1);
    const tagged = new Station({ config: { vlanId: 7 } });
    tagged.receive(ethernet(0x0800, datagram));
    expect(tagged.udp.packets.length).toBe(0);
    tagged.receive(ethernet(0x8100, join(u16(7), u16(0x0800), datagram)));
    expect(tagged.udp.packets.length).toBe(1);
    tagged.send(tagged.path(PEER4), count(0, 8));
    expect(hex(tagged.sent()[0]!.slice(12, 18))).toBe('81:00:00:07:08:06');
  });

  test('lists that are not borrowed are returned once each, and completions give all buffers back', () => {
    const station = new Station();
    station.ndis.completesAtOnce = false;
    station.receive(arp(1, PEER_MAC, PEER4, ZERO_MAC, OUR4));
    expect(station.layer.held().packets).toBe(1);
    station.ndis.complete();
    expect(station.layer.held().packets).toBe(0);
  });

  test('when no buffer is free sending says so and nothing is lost', () => {
    const station = new Station({ ip: { packetPoolBytes: 0 } });
    station.ndis.completesAtOnce = false;
    station.receive(arp(1, PEER_MAC, PEER4, ZERO_MAC, OUR4));
    const path = station.path(PEER4);
    let sent = 0;
    for (;;) {
      const out = station.layer.beginPacket(path);
      if (out === null) break;
      expect(station.layer.sendPacket(out, 8, 17, 0, 0, 0, false)).toBe(true);
      sent++;
    }
    expect(sent).toBe(63);
    expect(station.count('SEND_POOL_EMPTY')).toBe(1);
    station.ndis.complete();
    expect(station.layer.held().packets).toBe(0);
  });
});

describe('IPv4 address conflict detection', () => {
  const strict = { config: { addresses: [`${OUR4}/24`], duplicateAddressDetection: 'before-use' } } as const;

  test('three probes from nowhere, one to two seconds apart, then two announcements two seconds apart (5227-1, 5227-2, 5227-5)', () => {
    const station = new Station(strict);
    const startUs = station.runtime.nowUs();
    const seen: { atUs: number; sender: string; target: string }[] = [];
    for (let i = 0; i < 1500; i++) {
      station.runtime.advance(10_000);
      for (const frame of station.sent()) {
        const one = seeArp(frame)!;
        seen.push({ atUs: station.runtime.nowUs() - startUs, sender: one.sender, target: one.target });
        expect(one.operation).toBe(1);
      }
    }
    expect(seen.map((one) => one.sender)).toEqual(['0.0.0.0', '0.0.0.0', '0.0.0.0', OUR4, OUR4]);
    expect(seen.every((one) => one.target === OUR4)).toBe(true);
    expect(seen[0]!.atUs).toBeLessThanOrEqual(1_010_000);
    for (const at of [1, 2]) {
      const gap = seen[at]!.atUs - seen[at - 1]!.atUs;
      expect(gap).toBeGreaterThanOrEqual(990_000);
      expect(gap).toBeLessThanOrEqual(2_010_000);
    }
    expect(seen[4]!.atUs - seen[3]!.atUs).toBe(2_000_000);
  });

  test('before the tests are over the address is neither answered for nor used (5227-1)', () => {
    const station = new Station(strict);
    expect(station.answers(arp(1, PEER_MAC, PEER4, ZERO_MAC, OUR4))).toEqual([]);
    expect(station.layer.routeTo(ip(PEER4), null)).toBe('EADDRNOTAVAIL');
    expect(station.layer.isOurs(ip(OUR4))).toBe(false);
  });

  test('from the announcement on requests are answered (5227-8), and nothing is probed again (5227-9)', () => {
    const station = new Station(strict);
    station.runtime.advance(9_000_000);
    station.sent();
    expect(station.answers(arp(1, PEER_MAC, PEER4, ZERO_MAC, OUR4)).length).toBe(1);
    station.runtime.advance(3_600_000_000);
    expect(station.sent().filter((frame) => seeArp(frame)?.sender === '0.0.0.0')).toEqual([]);
  });

  test.each([
    ['an ARP from the address', arp(2, PEER_MAC, OUR4, ZERO_MAC, '10.0.0.77')],
    ['a probe for it by another host', arp(1, PEER_MAC, '0.0.0.0', ZERO_MAC, OUR4)],
  ])('%s while it is tested: it is not used (5227-3)', (_, frame) => {
    const station = new Station(strict);
    station.runtime.advance(1_500_000);
    station.receive(frame);
    station.runtime.advance(60_000_000);
    expect(station.count('ADDRESS_DUPLICATE')).toBe(1);
    expect(station.layer.isOurs(ip(OUR4))).toBe(false);
    expect(station.udp.lost).toEqual([OUR4]);
  });

  const claim = arp(1, PEER_MAC, OUR4, ZERO_MAC, OUR4);

  test('a later conflict is defended once in ten seconds; a second one within them ends it (5227-6 b, 5227-7)', () => {
    const station = new Station(strict);
    station.runtime.advance(20_000_000);
    const [defence] = station.answers(claim);
    expect(seeArp(defence!)).toMatchObject({ to: hex(BROADCAST_MAC), sender: OUR4, target: OUR4 });
    station.runtime.advance(11_000_000);
    expect(station.answers(claim).length).toBe(1);
    expect(station.layer.isOurs(ip(OUR4))).toBe(true);
    station.runtime.advance(5_000_000);
    expect(station.answers(claim)).toEqual([]);
    expect(station.layer.isOurs(ip(OUR4))).toBe(false);
    expect(station.tcp.lost).toEqual([OUR4]);
  });

  test('the policies "cease" and "defend-always" (5227-6 a and c)', () => {
    const cease = new Station({ config: { ...strict.config, onConflict: 'cease' } });
    cease.runtime.advance(20_000_000);
    cease.receive(claim);
    expect(cease.layer.isOurs(ip(OUR4))).toBe(false);
    const always = new Station({ config: { ...strict.config, onConflict: 'defend-always' } });
    always.runtime.advance(20_000_000);
    let defences = 0;
    for (let i = 0; i < 30; i++) {
      defences += always.answers(claim).length;
      always.runtime.advance(1_000_000);
    }
    expect(defences).toBe(3);
    expect(always.layer.isOurs(ip(OUR4))).toBe(true);
  });

  test('optimistic, the default: the address is used at once, and given up if it proves to be taken', () => {
    const station = new Station({ config: { addresses: [`${OUR4}/24`], duplicateAddressDetection: 'optimistic' } });
    expect(station.answers(arp(1, PEER_MAC, PEER4, ZERO_MAC, OUR4)).length).toBe(1);
    station.runtime.advance(1_500_000);
    expect(station.sent().some((frame) => seeArp(frame)?.sender === '0.0.0.0')).toBe(true);
    station.receive(claim);
    expect(station.layer.isOurs(ip(OUR4))).toBe(false);
    expect(station.udp.lost).toEqual([OUR4]);
  });
});
