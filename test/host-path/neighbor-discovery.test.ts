/** Neighbor discovery: RFC 4861 7, RFC 6980; groups: RFC 3810. */
import { describe, expect, test } from 'vitest';
import { NeighborState } from '../../src/host/path/types.ts';
import {
  advertisement,
  count,
  ethernet,
  fragmentHeader,
  frame6,
  hex,
  icmpv6,
  ipv6,
  join,
  linkOption,
  macFor,
  OVERRIDE,
  SOLICITED,
  see,
  seeNd,
  solicitation,
  solicitedNode,
  typeOf6,
} from './frames.ts';
import { ip, OUR_MAC, OUR6, PEER_MAC, PEER6, ROUTER_MAC, Station, type StationOptions } from './station.ts';

const OTHER_MAC = new Uint8Array([2, 0, 0, 0, 0, 9]);
const ROUTER6 = 'fe80::fe';
const _LINK_LOCAL = 'fe80::ff:fe00:1';

const bytesOf = (address: string): string => hex(ip(address).bytes);

function knowing(options: StationOptions = {}): Station {
  const station = new Station(options);
  station.receive(solicitation(PEER6, OUR6));
  station.sent();
  return station;
}

describe('solicitations in', () => {
  test('one for our address is answered: solicited, override, with our link-layer address, hop limit 255 (4861-15, 4861-16)', () => {
    const station = new Station();
    const [answer, ...rest] = station.answers(solicitation(PEER6, OUR6));
    expect(rest).toEqual([]);
    expect(seeNd(answer!)).toEqual({
      to: hex(PEER_MAC),
      src: bytesOf(OUR6),
      dst: bytesOf(PEER6),
      hops: 255,
      type: 136,
      flags: SOLICITED | OVERRIDE,
      target: bytesOf(OUR6),
      options: hex(join(linkOption(2, OUR_MAC))),
    });
  });

  test('its sender is entered as STALE, and a new link-layer address makes it STALE again (4861-15)', () => {
    const station = new Station();
    station.receive(solicitation(PEER6, OUR6));
    const { neighbor } = station.path(PEER6);
    // The answer that was sent to it began the delay before the first probe.
    expect(neighbor!.state).toBe(NeighborState.DELAY);
    neighbor!.confirmReachable(station.runtime.nowUs());
    expect(neighbor!.state).toBe(NeighborState.REACHABLE);
    station.receive(solicitation(PEER6, OUR6));
    expect(neighbor!.state).toBe(NeighborState.REACHABLE);
    station.receive(solicitation(PEER6, OUR6, { link: OTHER_MAC }));
    expect(neighbor!.state).toBe(NeighborState.DELAY);
    expect(hex(neighbor!.mac)).toBe(hex(OTHER_MAC));
  });

  test('one from the unspecified address is answered to all nodes, not solicited, and enters nobody (4861-15, 4861-16)', () => {
    const station = new Station();
    const [answer] = station.answers(solicitation('::', OUR6, { link: null }));
    expect(seeNd(answer!)).toMatchObject({ to: '33:33:00:00:00:01', dst: bytesOf('ff02::1'), flags: OVERRIDE });
    expect(station.layer.held().neighbors).toBe(0);
  });

  test('one by unicast without a link-layer address is answered after asking for the sender', () => {
    const station = new Station();
    const [question] = station.answers(solicitation(PEER6, OUR6, { dst: OUR6, link: null }));
    expect(seeNd(question!)).toMatchObject({ type: 135, dst: bytesOf(solicitedNode(PEER6)) });
    const [answer] = station.answers(advertisement(PEER6, OUR6, PEER6, SOLICITED | OVERRIDE));
    expect(seeNd(answer!)).toMatchObject({ type: 136, to: hex(PEER_MAC), flags: SOLICITED | OVERRIDE });
  });

  test.each<[string, Uint8Array]>([
    ['hop limit 254', solicitation(PEER6, OUR6, { hops: 254 })],
    ['code 1', solicitation(PEER6, OUR6, { code: 1 })],
    ['16 bytes of it', frame6(PEER6, OUR6, 135, count(0, 12))],
    ['a multicast target', solicitation(PEER6, 'ff02::1:2', { dst: OUR6 })],
    ['an option of length 0', solicitation(PEER6, OUR6, { extra: [1, 0, 0, 0, 0, 0, 0, 0] })],
    ['an option beyond the end', solicitation(PEER6, OUR6, { extra: [9, 2, 0, 0, 0, 0, 0, 0] })],
    ['nobody as source, with a link-layer address', solicitation('::', OUR6)],
    ['nobody as source, to a unicast address', solicitation('::', OUR6, { dst: OUR6, link: null })],
  ])('one with %s is dropped and counted (4861-10, 4861-26)', (_, frame) => {
    const station = new Station();
    expect(station.answers(frame)).toEqual([]);
    expect(station.count('ND_BAD')).toBe(1);
    expect(station.layer.held().neighbors).toBe(0);
  });

  test('a wrong checksum is dropped (4443-3, 4861-10)', () => {
    const station = new Station();
    const frame = solicitation(PEER6, OUR6);
    frame[60]! ^= 1;
    expect(station.answers(frame)).toEqual([]);
    expect(station.count('ICMP_BAD')).toBe(1);
  });

  test('unknown options are ignored (4861-26)', () => {
    const station = new Station();
    expect(station.answers(solicitation(PEER6, OUR6, { extra: [99, 1, 1, 2, 3, 4, 5, 6] })).map(typeOf6)).toEqual([
      136,
    ]);
  });

  test('one for an address that is not ours is not answered', () => {
    const station = new Station();
    expect(station.answers(solicitation(PEER6, 'fd00::77', { dst: OUR6 }))).toEqual([]);
  });

  test('in fragments, even a single one, none is believed (6980-2)', () => {
    const station = new Station();
    const message = icmpv6(PEER6, OUR6, 135, 0, join([0, 0, 0, 0], ip(OUR6).bytes, linkOption(1, PEER_MAC)));
    const atomic = join(fragmentHeader(58, 0, false, 1), message);
    const send = (payload: Uint8Array): Uint8Array[] =>
      station.answers(ethernet(0x86dd, ipv6({ src: PEER6, dst: OUR6, next: 44, hops: 255 }, payload)));
    expect(send(atomic)).toEqual([]);
    send(join(fragmentHeader(58, 0, true, 2), message.slice(0, 16)));
    expect(send(join(fragmentHeader(58, 16, false, 2), message.slice(16)))).toEqual([]);
    expect(station.count('ND_FRAGMENTED')).toBe(2);
    expect(station.layer.held().neighbors).toBe(0);
  });
});

describe('resolution', () => {
  test('the first packet is kept while a multicast solicitation with our link-layer address asks (4861-13, 4861-14)', () => {
    const station = new Station();
    station.send(station.path(PEER6), count(0, 8));
    const [question, ...rest] = station.sent();
    expect(rest).toEqual([]);
    expect(seeNd(question!)).toEqual({
      to: hex(macFor(solicitedNode(PEER6))),
      src: bytesOf(OUR6),
      dst: bytesOf(solicitedNode(PEER6)),
      hops: 255,
      type: 135,
      flags: 0,
      target: bytesOf(PEER6),
      options: hex(join(linkOption(1, OUR_MAC))),
    });
    const [data] = station.answers(advertisement(PEER6, OUR6, PEER6, SOLICITED | OVERRIDE));
    expect(see(data!).dst).toBe(hex(PEER_MAC));
    expect(see(data!).packet.slice(40)).toEqual(count(0, 8));
    expect(station.path(PEER6).neighbor!.state).toBe(NeighborState.REACHABLE);
  });

  test('three solicitations a second apart, then what waits is unreachable (4861-14, 4861-22)', () => {
    const station = new Station();
    const path = station.path(PEER6);
    station.send(path, count(0, 8));
    let asked = 0;
    for (let s = 0; s < 3; s++) {
      asked += station.sent().length;
      expect(asked).toBe(s + 1);
      expect(station.udp.errors.length).toBe(0);
      station.runtime.advance(1_000_000);
    }
    expect(station.sent()).toEqual([]);
    expect(station.udp.errors).toMatchObject([{ error: 'EHOSTUNREACH', hard: false, family: 6 }]);
    expect(path.neighbor!.state).toBe(NeighborState.NONE);
  });

  test('an answer without link-layer address resolves nothing (4861-17)', () => {
    const station = new Station();
    station.send(station.path(PEER6), count(0, 8));
    station.sent();
    expect(station.answers(advertisement(PEER6, OUR6, PEER6, SOLICITED, null))).toEqual([]);
    expect(station.path(PEER6).neighbor!.state).toBe(NeighborState.INCOMPLETE);
  });

  test('an answer that was not solicited resolves, and leaves the entry unproven (4861-17, 4861-20)', () => {
    const station = new Station();
    station.send(station.path(PEER6), count(0, 8));
    station.sent();
    expect(station.answers(advertisement(PEER6, 'ff02::1', PEER6, OVERRIDE)).length).toBe(1);
    expect(station.path(PEER6).neighbor!.state).toBe(NeighborState.DELAY);
  });

  test('nothing of it ever comes in fragments (6980-1), whatever the MTU', () => {
    const station = new Station({ mtu: 1280 });
    station.send(station.path(PEER6), count(0, 8));
    for (const frame of station.sent()) expect(see(frame).packet[6]).toBe(58);
  });
});

describe('advertisements in', () => {
  test.each<[string, Uint8Array]>([
    ['hop limit 1', advertisement(PEER6, OUR6, PEER6, SOLICITED, PEER_MAC, { hops: 1 })],
    ['code 1', advertisement(PEER6, OUR6, PEER6, SOLICITED, PEER_MAC, { code: 1 })],
    ['20 bytes of it', frame6(PEER6, OUR6, 136, count(0, 16))],
    ['a multicast target', advertisement(PEER6, OUR6, 'ff02::9', SOLICITED)],
    ['the solicited flag to a group', advertisement(PEER6, 'ff02::1', PEER6, SOLICITED)],
    ['an option of length 0', advertisement(PEER6, OUR6, PEER6, SOLICITED, PEER_MAC, { extra: [2, 0] })],
  ])('one with %s is dropped and counted (4861-11, 4861-26)', (_, frame) => {
    const station = new Station();
    station.send(station.path(PEER6), count(0, 8));
    station.receive(frame);
    expect(station.count('ND_BAD')).toBe(1);
    expect(station.path(PEER6).neighbor!.state).toBe(NeighborState.INCOMPLETE);
  });

  test('one for a neighbor that nobody asked for is discarded (4861-17)', () => {
    const station = new Station();
    station.receive(advertisement(PEER6, OUR6, PEER6, SOLICITED | OVERRIDE));
    expect(station.layer.held().neighbors).toBe(0);
    expect(station.count('ND_UNSOLICITED')).toBe(1);
  });

  const { REACHABLE, STALE } = NeighborState;
  test.each([
    // state before, flags, link-layer address, state after, whose address afterwards
    [REACHABLE, 0, PEER_MAC, REACHABLE, PEER_MAC],
    [REACHABLE, 0, OTHER_MAC, STALE, PEER_MAC],
    [REACHABLE, SOLICITED, OTHER_MAC, STALE, PEER_MAC],
    [REACHABLE, OVERRIDE, OTHER_MAC, STALE, OTHER_MAC],
    [REACHABLE, SOLICITED | OVERRIDE, OTHER_MAC, REACHABLE, OTHER_MAC],
    [REACHABLE, OVERRIDE, PEER_MAC, REACHABLE, PEER_MAC],
    [STALE, 0, OTHER_MAC, STALE, PEER_MAC],
    [STALE, SOLICITED, OTHER_MAC, STALE, PEER_MAC],
    [STALE, SOLICITED, PEER_MAC, REACHABLE, PEER_MAC],
    [STALE, SOLICITED, null, REACHABLE, PEER_MAC],
    [STALE, 0, null, STALE, PEER_MAC],
    [STALE, OVERRIDE, PEER_MAC, STALE, PEER_MAC],
    [STALE, OVERRIDE, OTHER_MAC, STALE, OTHER_MAC],
    [STALE, SOLICITED | OVERRIDE, OTHER_MAC, REACHABLE, OTHER_MAC],
  ])(
    'state %i, flags 0x%s: the table of RFC 4861 7.2.5 and appendix C (4861-17)',
    (before, flags, link, after, mac) => {
      const station = knowing();
      const { neighbor } = station.path(PEER6);
      neighbor!.confirmReachable(station.runtime.nowUs());
      if (before === STALE) station.runtime.advance(46_000_000);
      expect(neighbor!.state).toBe(before);
      const to = (flags & SOLICITED) !== 0 ? OUR6 : 'ff02::1';
      station.receive(advertisement(PEER6, to, PEER6, flags, link));
      expect(neighbor!.state).toBe(after);
      expect(hex(neighbor!.mac)).toBe(hex(mac));
    },
  );
});

describe('unreachability detection', () => {
  test('REACHABLE for the reachable time, STALE while idle, DELAY for five seconds, three unicast probes, gone (4861-21, 4861-22)', () => {
    const station = knowing();
    const path = station.path(PEER6);
    const neighbor = path.neighbor!;
    neighbor.confirmReachable(station.runtime.nowUs());
    const { reachableTimeUs } = station.iface;
    expect(reachableTimeUs).toBeGreaterThanOrEqual(15_000_000);
    expect(reachableTimeUs).toBeLessThanOrEqual(45_000_000);
    station.runtime.advance(reachableTimeUs - 100_000);
    expect(neighbor.state).toBe(NeighborState.REACHABLE);
    station.runtime.advance(200_000);
    expect(neighbor.state).toBe(NeighborState.STALE);
    station.runtime.advance(600_000_000);
    expect(neighbor.state).toBe(NeighborState.STALE);
    expect(station.sent()).toEqual([]);

    station.send(path, count(0, 8));
    expect(neighbor.state).toBe(NeighborState.DELAY);
    station.runtime.advance(4_990_000);
    expect(station.sent().length).toBe(1);
    station.runtime.advance(20_000);
    expect(neighbor.state).toBe(NeighborState.PROBE);
    const [probe] = station.sent();
    expect(seeNd(probe!)).toMatchObject({ type: 135, to: hex(PEER_MAC), dst: bytesOf(PEER6) });
    station.runtime.advance(2_000_000);
    expect(station.sent().length).toBe(2);
    station.runtime.advance(1_000_000);
    expect(neighbor.state).toBe(NeighborState.NONE);
    expect(station.count('NEIGHBOR_UNREACHABLE')).toBe(1);
  });

  test('an answer to a probe makes it REACHABLE again', () => {
    const station = knowing();
    const path = station.path(PEER6);
    station.runtime.advance(6_000_000);
    expect(path.neighbor!.state).toBe(NeighborState.PROBE);
    station.receive(advertisement(PEER6, OUR6, PEER6, SOLICITED | OVERRIDE));
    expect(path.neighbor!.state).toBe(NeighborState.REACHABLE);
  });

  test('forward progress of a transport keeps it REACHABLE without any probe (4861-19)', () => {
    const station = knowing();
    const path = station.path(PEER6);
    for (let s = 0; s < 300; s++) {
      path.confirmReachable(station.runtime.nowUs());
      station.send(path, count(0, 8));
      station.runtime.advance(1_000_000);
    }
    expect(
      station
        .sent()
        .map(typeOf6)
        .filter((type) => type === 135),
    ).toEqual([]);
    expect(path.neighbor!.state).toBe(NeighborState.REACHABLE);
  });

  test('advice that it does not work makes it probed at once, once in a retransmission time (4861-22, RFC 1122 3.3.1.4)', () => {
    const station = knowing();
    const path = station.path(PEER6);
    path.confirmReachable(station.runtime.nowUs());
    for (let i = 0; i < 10; i++) {
      path.doubtReachable(station.runtime.nowUs());
      station.receive(advertisement(PEER6, OUR6, PEER6, SOLICITED | OVERRIDE));
    }
    expect(station.sent().length).toBe(1);
  });

  test('the observer may take over the end of DELAY; if it stays silent, probes go out all the same (NBR-027)', () => {
    const station = knowing();
    const path = station.path(PEER6);
    let asked = 0;
    let unreachable = 0;
    station.layer.observer = {
      neighborMacChanged: () => {},
      neighborResolved: () => {},
      neighborUnreachable: () => {
        unreachable++;
      },
      neighborDelayOver: () => {
        asked++;
        return true;
      },
      nextHopChanged: () => {},
      pathMtuChanged: () => {},
      hopLimitChanged: () => undefined,
    };
    station.runtime.advance(5_100_000);
    expect(asked).toBe(1);
    expect(path.neighbor!.state).toBe(NeighborState.DELAY);
    expect(station.sent()).toEqual([]);
    station.runtime.advance(1_000_000);
    expect(path.neighbor!.state).toBe(NeighborState.PROBE);
    expect(station.sent().length).toBe(1);
    station.runtime.advance(3_000_000);
    expect(unreachable).toBe(1);
    station.receive(solicitation(PEER6, OUR6));
    station.layer.probe(path.neighbor!);
    expect(path.neighbor!.state).toBe(NeighborState.PROBE);
  });
});

describe('groups', () => {
  test('each address joins its solicited-node group, told twice by MLD version 2 with a router alert (4861-12, 4862-2)', () => {
    const station = new Station({ isFresh: true });
    station.runtime.advance(1_000_000);
    const reports = station.sent().map((frame) => see(frame));
    expect(reports.length).toBe(2);
    for (const { dst, packet } of reports) {
      expect(dst).toBe('33:33:00:00:00:16');
      expect(packet[6]).toBe(0);
      expect(packet[7]).toBe(1);
      expect(hex(packet.slice(40, 48))).toBe('3a:00:05:02:00:00:01:00');
      expect(packet[48]).toBe(143);
      expect(packet[56]).toBe(4);
      expect(hex(packet.slice(60, 76))).toBe(bytesOf(solicitedNode(OUR6)));
    }
  });

  const query = (group: string, options: { hops?: number; src?: string; alert?: boolean } = {}): Uint8Array => {
    const src = options.src ?? ROUTER6;
    const dst = group === '::' ? 'ff02::1' : group;
    const message = icmpv6(src, dst, 130, 0, join([0x03, 0xe8, 0, 0], ip(group).bytes, [0, 0, 0, 0]));
    const alert = options.alert === false ? [58, 0, 1, 4, 0, 0, 0, 0] : [58, 0, 5, 2, 0, 0, 1, 0];
    const packet = ipv6({ src, dst, next: 0, hops: options.hops ?? 1 }, join(alert, message));
    return ethernet(0x86dd, packet, macFor(dst), ROUTER_MAC);
  };

  test('a general and a specific query are answered within their response time (RFC 3810 6.2)', () => {
    const station = new Station();
    for (const group of ['::', solicitedNode(OUR6)]) {
      station.receive(query(group));
      station.runtime.advance(1_000_001);
      const reports = station.sent();
      expect(reports.length).toBe(1);
      expect(see(reports[0]!).packet[56]).toBe(2);
    }
    expect(station.answers(query('ff02::1:ff00:99'))).toEqual([]);
  });

  test.each([
    ['a hop limit of 2', query('::', { hops: 2 })],
    ['a source that is not link-local', query('::', { src: PEER6 })],
    ['no router alert', query('::', { alert: false })],
  ])('a query with %s is dropped and counted (RFC 3810 6.2)', (_, frame) => {
    const station = new Station();
    station.receive(frame);
    station.runtime.advance(2_000_000);
    expect(station.sent()).toEqual([]);
    expect(station.count('MLD_BAD')).toBe(1);
  });
});
