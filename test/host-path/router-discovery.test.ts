/** Routers and autoconfiguration: RFC 4861 6, RFC 4862 5.5, RFC 7217. */
import { describe, expect, test } from 'vitest';
import { AddressState, NeighborState } from '../../src/host/path/types.ts';
import { parseIp } from '../../src/wire/ip-address.ts';
import {
  advertisement,
  count,
  ethernet,
  frame6,
  hex,
  ipv6,
  join,
  linkOption,
  OVERRIDE,
  ROUTER,
  see,
  solicitation,
  typeOf6,
  u16,
  u32,
} from './frames.ts';
import { ip, OUR_MAC, PEER6, ROUTER_MAC, Station, type StationOptions } from './station.ts';

const ROUTER6 = 'fe80::fe';
const OTHER_ROUTER6 = 'fe80::fd';
const FAR = '2001:db8:ffff::1';
const HOUR = 3600;

/** A station that listens to routers; its addresses are usable at once. */
function listening(config: StationOptions['config'] = {}): Station {
  return new Station({
    isFresh: true,
    config: { acceptRouterAdvertisements: true, linkLocal: true, ...config },
  });
}

interface Prefix {
  prefix: string;
  length?: number;
  flags?: number;
  valid?: number;
  preferred?: number;
}

const ON_LINK = 0x80;
const AUTONOMOUS = 0x40;

function prefixOption({
  prefix,
  length = 64,
  flags = ON_LINK | AUTONOMOUS,
  valid = 4 * HOUR,
  preferred = HOUR,
}: Prefix): Uint8Array {
  return join([3, 4, length, flags], u32(valid), u32(preferred), u32(0), ip(prefix).bytes);
}

/** A router advertisement in a frame. */
function routerAdvertisement(
  options: {
    src?: string;
    hops?: number;
    code?: number;
    lifetime?: number;
    hopLimit?: number;
    reachableMs?: number;
    retransMs?: number;
    mtu?: number;
    prefixes?: readonly Prefix[];
    link?: Uint8Array | null;
    extra?: readonly number[];
  } = {},
): Uint8Array {
  const { src = ROUTER6, lifetime = 1800, hopLimit = 0, reachableMs = 0, retransMs = 0, link = ROUTER_MAC } = options;
  const body = join(
    [hopLimit, 0],
    u16(lifetime),
    u32(reachableMs),
    u32(retransMs),
    link === null ? [] : linkOption(1, link),
    options.mtu === undefined ? [] : join([5, 1, 0, 0], u32(options.mtu)),
    ...(options.prefixes ?? []).map(prefixOption),
    options.extra ?? [],
  );
  return frame6(src, 'ff02::1', 134, body, { ...options, mac: ROUTER_MAC });
}

const addressesIn = (station: Station, prefix: string): string[] =>
  station.iface.addresses.map((entry) => entry.address.toString()).filter((text) => text.startsWith(prefix));

describe('router solicitations', () => {
  test('up to three, four seconds apart, the first within a second (4861-9)', () => {
    const station = listening();
    const times: number[] = [];
    const startUs = station.runtime.nowUs();
    for (let i = 0; i < 300; i++) {
      for (const frame of station.sent()) {
        if (typeOf6(frame) !== 133) continue;
        expect(see(frame).dst).toBe('33:33:00:00:00:02');
        expect(see(frame).packet[7]).toBe(255);
        times.push(station.runtime.nowUs() - startUs);
      }
      station.runtime.advance(100_000);
    }
    expect(times.length).toBe(3);
    expect(times[0]!).toBeLessThanOrEqual(1_100_000);
    expect(times[1]! - times[0]!).toBe(4_000_000);
    expect(times[2]! - times[1]!).toBe(4_000_000);
  });

  test('none after a valid advertisement (4861-9)', () => {
    const station = listening();
    station.runtime.advance(2_000_000);
    station.sent();
    station.receive(routerAdvertisement());
    station.runtime.advance(20_000_000);
    expect(station.sent().map(typeOf6)).not.toContain(133);
  });

  test('others are ignored: we are no router (4861-1)', () => {
    const station = listening();
    expect(station.answers(frame6('fe80::5', 'ff02::1', 133, join(u32(0), linkOption(1, ROUTER_MAC))))).toEqual([]);
    expect(station.count('ROUTER_SOLICITATION_IGNORED')).toBe(1);
  });
});

describe('router advertisements', () => {
  test('a router becomes the default, with its link-layer address (4861-5)', () => {
    const station = listening();
    expect(station.layer.routeTo(ip(FAR), null)).toBe('ENETUNREACH');
    station.receive(routerAdvertisement());
    const path = station.path(FAR);
    expect(path.neighbor!.ip.toString()).toBe(ROUTER6);
    expect(path.neighbor!.isRouter).toBe(true);
    // An advertisement proves nothing about the way there (4861-20).
    expect(path.neighbor!.state).toBe(NeighborState.STALE);
    expect(hex(path.neighbor!.mac)).toBe(hex(ROUTER_MAC));
  });

  test.each<[string, Uint8Array]>([
    ['a source that is not link-local', routerAdvertisement({ src: 'fd00::fe' })],
    ['a hop limit below 255', routerAdvertisement({ hops: 254 })],
    ['another code', routerAdvertisement({ code: 1 })],
    ['12 bytes of it', frame6(ROUTER6, 'ff02::1', 134, count(0, 8))],
    ['an option of length 0', routerAdvertisement({ extra: [1, 0] })],
    ['an option beyond the end', routerAdvertisement({ extra: [1, 2, 3, 4, 5, 6, 7, 8] })],
  ])('with %s: discarded (4861-2, 4861-26)', (_, frame) => {
    const station = listening();
    station.receive(frame);
    expect(station.count('ND_BAD')).toBe(1);
    expect(station.layer.routeTo(ip(FAR), null)).toBe('ENETUNREACH');
  });

  test('a lifetime of zero, or its end, removes the router; others stay (4861-3, 4861-5, 4861-7)', () => {
    const station = listening();
    station.receive(routerAdvertisement({ lifetime: 1800 }));
    station.receive(
      routerAdvertisement({ src: OTHER_ROUTER6, lifetime: 600, link: new Uint8Array([2, 0, 0, 0, 0, 0xfd]) }),
    );
    const path = station.path(FAR);
    expect(path.neighbor!.ip.toString()).toBe(ROUTER6);
    station.receive(routerAdvertisement({ lifetime: 0 }));
    expect(path.neighbor!.ip.toString()).toBe(OTHER_ROUTER6);
    station.runtime.advance(599_000_000);
    expect(path.isUp).toBe(true);
    station.runtime.advance(2_000_000);
    expect(path.isUp).toBe(false);
    expect(station.send(path, count(0, 8))).toBe(false);
    expect(station.count('SEND_NO_ROUTE')).toBe(1);
  });

  test('a router that does not answer probes is passed over for one that does; dead ones take turns (4861-8)', () => {
    const station = listening();
    for (const src of [ROUTER6, OTHER_ROUTER6]) station.receive(routerAdvertisement({ src }));
    const path = station.path(FAR);
    const seen: string[] = [];
    for (let s = 0; s < 60; s++) {
      station.send(path, count(0, 8));
      station.runtime.advance(1_000_000);
      const now = path.neighbor!.ip.toString();
      if (seen.at(-1) !== now) seen.push(now);
    }
    expect(seen.slice(0, 3)).toEqual([ROUTER6, OTHER_ROUTER6, ROUTER6]);
  });

  test('a router that advertises itself as a host is no router any more (4861-23)', () => {
    const station = listening();
    station.receive(routerAdvertisement());
    const path = station.path(FAR);
    station.receive(advertisement(ROUTER6, 'ff02::1', ROUTER6, ROUTER | OVERRIDE, ROUTER_MAC));
    expect(path.isUp).toBe(true);
    station.receive(advertisement(ROUTER6, 'ff02::1', ROUTER6, OVERRIDE, ROUTER_MAC));
    expect(path.isUp).toBe(false);
  });

  test('hop limit, reachable time (within half to one and a half), retransmission time and MTU are taken (4861-4)', () => {
    const station = listening();
    station.receive(routerAdvertisement({ hopLimit: 33, reachableMs: 60_000, retransMs: 2000, mtu: 1400 }));
    expect(station.iface.hopLimit).toBe(33);
    expect(station.iface.reachableTimeUs).toBeGreaterThanOrEqual(30_000_000);
    expect(station.iface.reachableTimeUs).toBeLessThanOrEqual(90_000_000);
    expect(station.iface.retransTimerUs).toBe(2_000_000);
    expect(station.path(FAR).mtu).toBe(1400);
    station.send(station.path(FAR), count(0, 8));
    expect(see(station.sent().at(-1)!).packet[7]).toBe(33);
    station.receive(routerAdvertisement());
    expect([station.iface.hopLimit, station.iface.retransTimerUs, station.iface.mtu]).toEqual([33, 2_000_000, 1400]);
  });

  test('a smaller MTU lowers that of paths in use, and those above hear of it; senseless ones are ignored (4861-4)', () => {
    const station = listening();
    station.receive(routerAdvertisement());
    const path = station.path(FAR);
    station.receive(routerAdvertisement({ mtu: 1400 }));
    expect(path.mtu).toBe(1400);
    expect(station.tcp.mtuChanges).toEqual([1400]);
    for (const mtu of [0, 1279, 1501, 0xffffffff]) station.receive(routerAdvertisement({ mtu }));
    expect(station.iface.mtu).toBe(1400);
  });

  test('retransmission times that would make a flood are bounded', () => {
    const station = listening();
    station.receive(routerAdvertisement({ retransMs: 1 }));
    expect(station.iface.retransTimerUs).toBe(100_000);
    station.receive(routerAdvertisement({ retransMs: 0xffffffff }));
    expect(station.iface.retransTimerUs).toBe(60_000_000);
  });

  test('an on-link prefix is reached directly while it is valid; without the flag nothing is said (4861-6)', () => {
    const station = listening();
    const prefix = '2001:db8:1::';
    station.receive(routerAdvertisement({ prefixes: [{ prefix, flags: 0 }] }));
    expect(station.path('2001:db8:1::9').neighbor!.ip.toString()).toBe(ROUTER6);
    station.receive(routerAdvertisement({ prefixes: [{ prefix, flags: ON_LINK, valid: 7200, preferred: 0 }] }));
    expect(station.path('2001:db8:1::9').neighbor!.ip.toString()).toBe('2001:db8:1::9');
    station.receive(routerAdvertisement({ prefixes: [{ prefix, flags: 0 }] }));
    expect(station.path('2001:db8:1::9').neighbor!.ip.toString()).toBe('2001:db8:1::9');
    station.receive(
      routerAdvertisement({ lifetime: 9000, prefixes: [{ prefix, flags: ON_LINK, valid: 0, preferred: 0 }] }),
    );
    expect(station.path('2001:db8:1::9').neighbor!.ip.toString()).toBe(ROUTER6);
  });

  test('where advertisements are not accepted they change nothing, and nobody is asked', () => {
    const station = new Station({ config: { linkLocal: true } });
    station.receive(routerAdvertisement({ prefixes: [{ prefix: '2001:db8:1::' }], hopLimit: 9 }));
    expect(station.layer.routeTo(ip(FAR), null)).toBe('ENETUNREACH');
    expect(station.iface.hopLimit).toBe(0);
    expect(addressesIn(station, '2001:')).toEqual([]);
  });

  test('a flood of routers, prefixes and addresses stays bounded', () => {
    const station = listening();
    for (let i = 0; i < 500; i++) {
      const part = i.toString(16);
      station.receive(
        routerAdvertisement({
          src: `fe80::1:${part}`,
          prefixes: [{ prefix: `2001:db8:${part}::` }, { prefix: `2001:db9:${part}::` }],
        }),
      );
    }
    expect(addressesIn(station, '2001:').length).toBe(16);
    expect(station.count('ND_LIMIT')).toBeGreaterThan(900);
    expect(station.layer.held().neighbors).toBeLessThanOrEqual(1024);
  });
});

describe('autoconfiguration', () => {
  const prefix = '2001:db8:1::';
  const one = (fields: Partial<Prefix> = {}): Uint8Array => routerAdvertisement({ prefixes: [{ prefix, ...fields }] });
  const entryOf = (station: Station) =>
    station.iface.addresses.find(
      (entry) => entry.origin === 'autoconf' && entry.address.toString().startsWith('2001:db8:1:'),
    );

  test('an address is formed, tested and used as a source (4862-5, 4862-1)', () => {
    const station = listening({ duplicateAddressDetection: 'before-use' });
    station.runtime.advance(3_000_000);
    station.receive(one());
    const entry = entryOf(station)!;
    expect(entry.state).toBe(AddressState.TENTATIVE);
    station.runtime.advance(2_100_000);
    expect(entry.state).toBe(AddressState.PREFERRED);
    expect(station.path(FAR).local.equals(entry.address)).toBe(true);
    expect(station.answers(solicitation('fe80::5', entry.address.toString())).map(typeOf6)).toEqual([136]);
  });

  test.each<[string, Partial<Prefix>]>([
    ['without the flag', { flags: ON_LINK }],
    ['the link-local prefix', { prefix: 'fe80::' }],
    ['preferred for longer than valid', { valid: HOUR, preferred: 2 * HOUR }],
    ['with 48 bits', { length: 48 }],
    ['with 65 bits', { length: 65 }],
    ['valid for no time', { valid: 0, preferred: 0 }],
  ])('%s no address is formed (4862-6)', (_, fields) => {
    const station = listening();
    station.receive(one(fields));
    expect(station.iface.addresses.filter((entry) => entry.origin === 'autoconf')).toEqual([]);
  });

  test('deprecated after the preferred lifetime: still received for, not chosen while there is another; gone after the valid one (4862-8, 4862-9, 4862-10)', () => {
    const station = listening();
    station.receive(one({ valid: 200, preferred: 100 }));
    station.receive(routerAdvertisement({ lifetime: 9000, prefixes: [{ prefix: '2001:db8:2::' }] }));
    const entry = entryOf(station)!;
    const address = entry.address.toString();
    const kept = station.path(FAR, address);
    station.runtime.advance(101_000_000);
    expect(entry.state).toBe(AddressState.DEPRECATED);
    expect(station.path(FAR).local.toString()).toContain('2001:db8:2:');
    station.receive(ethernet(0x86dd, ipv6({ src: PEER6, dst: address }, count(0, 8))));
    expect(station.udp.packets.length).toBe(1);
    expect(kept.isUp).toBe(true);
    station.runtime.advance(100_000_000);
    expect(entryOf(station)).toBeUndefined();
    expect(station.tcp.lost).toEqual([address]);
    expect(kept.isUp).toBe(false);
    station.receive(ethernet(0x86dd, ipv6({ src: PEER6, dst: address }, count(0, 8))));
    expect(station.udp.packets.length).toBe(1);
    expect(station.layer.routeTo(ip(FAR), ip(address))).toBe('EADDRNOTAVAIL');
    expect(station.count('ADDRESS_EXPIRED')).toBe(1);
  });

  test('the valid lifetime cannot be shortened below two hours, but can be prolonged (4862-7)', () => {
    const station = listening();
    const remaining = (): number => Math.round((entryOf(station)!.validUntilUs - station.runtime.nowUs()) / 1e6);
    station.receive(one({ valid: 5 * HOUR }));
    station.receive(one({ valid: 10, preferred: 5 }));
    expect(remaining()).toBe(2 * HOUR);
    station.runtime.advance(600_000_000);
    station.receive(one({ valid: 10, preferred: 5 }));
    expect(remaining()).toBe(2 * HOUR - 600);
    station.receive(one({ valid: 3 * HOUR }));
    expect(remaining()).toBe(3 * HOUR);
  });

  test('an infinite lifetime does not end', () => {
    const station = listening();
    station.receive(one({ valid: 0xffffffff, preferred: 0xffffffff }));
    station.runtime.advance(400 * 24 * HOUR * 1_000_000);
    expect(entryOf(station)!.state).toBe(AddressState.PREFERRED);
  });

  test('a renewed preferred lifetime takes the deprecation back', () => {
    const station = listening();
    station.receive(one({ preferred: 0 }));
    const entry = entryOf(station)!;
    station.runtime.settle();
    station.runtime.advance(1000);
    expect(entry.state).toBe(AddressState.DEPRECATED);
    station.receive(one());
    expect(entry.state).toBe(AddressState.PREFERRED);
  });

  test('identifiers are stable for a prefix, differ across prefixes, interfaces and secrets, and show no MAC (7217-1)', () => {
    const form = (secret: number, name: string): string => {
      const station = listening();
      void name;
      const other = new Station({
        isFresh: true,
        ip: { stableSecret: new Uint8Array(16).fill(secret) },
        config: { acceptRouterAdvertisements: true, linkLocal: true },
      });
      expect(station.iface.addresses.length).toBeGreaterThan(0);
      other.receive(one());
      return entryOf(other)!.address.toString();
    };
    expect(form(1, 'a')).toBe(form(1, 'a'));
    expect(form(1, 'a')).not.toBe(form(2, 'a'));
    const station = listening();
    station.receive(one());
    station.receive(routerAdvertisement({ prefixes: [{ prefix: '2001:db8:2::' }] }));
    const [first, second] = ['2001:db8:1:', '2001:db8:2:'].map((text) =>
      parseIp(addressesIn(station, text)[0]!)!.bytes.slice(8),
    );
    expect(hex(first!)).not.toBe(hex(second!));
    expect(hex(first!)).not.toContain('ff:fe');
  });

  test('with EUI-64 the identifier is that of the MAC (RFC 2464 4)', () => {
    const station = listening({ interfaceIdentifier: 'eui64' });
    station.receive(one());
    expect(entryOf(station)!.address.toString()).toBe('2001:db8:1::ff:fe00:1');
    expect(hex(OUR_MAC)).toBe('02:00:00:00:00:01');
  });

  test('an address that proves taken is formed anew with the next identifier (RFC 7217 6)', () => {
    const station = listening({ duplicateAddressDetection: 'optimistic' });
    station.receive(one());
    const first = entryOf(station)!.address.toString();
    station.receive(advertisement(first, 'ff02::1', first, OVERRIDE));
    const second = entryOf(station)!.address.toString();
    expect(second).not.toBe(first);
    expect(station.udp.lost).toEqual([first]);
    expect(entryOf(station)!.validUntilUs).toBeGreaterThan(station.runtime.nowUs());
  });
});

describe('link state', () => {
  test('a link that goes down takes its paths along; up again it is announced and asked about anew (4861-18)', () => {
    const station = listening();
    station.receive(routerAdvertisement());
    station.runtime.advance(20_000_000);
    const path = station.path(PEER6);
    station.sent();
    station.layer.linkState(station.iface, false);
    station.runtime.settle();
    expect(path.isUp).toBe(false);
    expect(station.send(path, count(0, 8))).toBe(false);
    expect(station.layer.routeTo(ip(PEER6), null)).toBe('ENETDOWN');
    station.layer.linkState(station.iface, true);
    station.runtime.advance(3_000_000);
    expect(path.isUp).toBe(true);
    const types = station.sent().map(typeOf6);
    expect(types.filter((type) => type === 136).length).toBeGreaterThanOrEqual(2);
    expect(types).toContain(133);
  });

  test('closing gives the adapter back, and everything that waited', async () => {
    const station = listening();
    station.send(station.path(PEER6), count(0, 8));
    const replies: (string | null)[] = [];
    station.layer.ping(PEER6, count(0, 8), (reply) => replies.push(reply.error));
    await station.layer.close();
    expect(station.ndis.isOpen).toBe(false);
    expect(station.layer.held()).toMatchObject({ packets: 0, waiting: 0 });
    expect(replies).toEqual(['ECANCELED']);
    station.sent();
    station.runtime.advance(600_000_000);
    expect(station.sent()).toEqual([]);
    expect(station.send(station.path('::1'), count(0, 8))).toBe(true);
  });

  test('announcing tells everybody the link-layer address (4861-18, 5227-5)', () => {
    const station = new Station();
    station.layer.announce(station.iface);
    station.runtime.advance(5_000_000);
    const frames = station.sent();
    expect(frames.filter((frame) => typeOf6(frame) === 136).length).toBe(2);
    expect(frames.filter((frame) => see(frame).etherType === 0x0806).length).toBe(2);
  });
});
