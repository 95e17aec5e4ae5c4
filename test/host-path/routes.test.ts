/** Routes and paths: RFC 1122 3.3.1, RFC 4861 5.2; bounds of the path table. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Route, RouteTable } from '../../src/host/path/routes.ts';
import { Interface } from '../../src/host/path/types.ts';
import { IpAddress } from '../../src/wire/ip-address.ts';
import { IpPrefix, parsePrefix } from '../../src/wire/ip-prefix.ts';
import { seed } from '../support/seed.ts';
import { count } from './frames.ts';
import { ip, OUR4, OUR6, PEER4, Station } from './station.ts';

const iface = new Interface('eth0', 1, 'ethernet', new Uint8Array(6), 1500, { addresses: [] });
const via = (text: string): IpAddress => ip(text);

function tableOf(...routes: readonly (readonly [prefix: string, via: string | null, metric?: number])[]): RouteTable {
  const table = new RouteTable(() => Number.NEGATIVE_INFINITY);
  for (const [prefix, hop, metric = 0] of routes) {
    table.add(new Route(parsePrefix(prefix)!, hop === null ? null : via(hop), iface, metric, 'static'));
  }
  return table;
}

describe('routes', () => {
  test('the longest prefix wins whatever the order, then the smaller metric (1122-I7)', () => {
    const table = tableOf(
      ['0.0.0.0/0', '10.0.0.254'],
      ['192.0.2.0/24', '10.0.0.253', 5],
      ['192.0.2.0/24', '10.0.0.252', 1],
      ['192.0.2.7/32', '10.0.0.251'],
      ['::/0', 'fe80::1'],
    );
    const hop = (remote: string): string | undefined => table.lookup(ip(remote), null)?.nextHop?.toString();
    expect(hop('192.0.2.7')).toBe('10.0.0.251');
    expect(hop('192.0.2.8')).toBe('10.0.0.252');
    expect(hop('192.0.3.8')).toBe('10.0.0.254');
    expect(hop('2001:db8::1')).toBe('fe80::1');
  });

  test('a lookup agrees with a search of all routes, for any table', () => {
    const route = fc.record({ high: fc.nat(7), bits: fc.nat(32), metric: fc.nat(2) });
    fc.assert(
      fc.property(fc.array(route, { maxLength: 30 }), fc.nat(255), (specs, last) => {
        const table = new RouteTable(() => Number.NEGATIVE_INFINITY);
        const routes = specs.map(({ high, bits, metric }) => {
          const prefix = new IpPrefix(new IpAddress(new Uint8Array([10, high, 0, last])), bits);
          return new Route(prefix, null, iface, metric, 'static');
        });
        for (const one of routes) table.add(one);
        const remote = new IpAddress(new Uint8Array([10, last & 7, 0, last]));
        const best = routes
          .filter((one) => one.prefix.contains(remote))
          .sort((a, b) => b.prefix.length - a.prefix.length || a.metric - b.metric)[0];
        const found = table.lookup(remote, null);
        expect(found?.prefix.length).toBe(best?.prefix.length);
        expect(found?.metric).toBe(best?.metric);
      }),
      { seed, numRuns: 500 },
    );
  });

  test('an interface that is down is passed over', () => {
    const other = new Interface('eth1', 2, 'ethernet', new Uint8Array(6), 1500, { addresses: [] });
    const table = tableOf(['0.0.0.0/0', '10.0.0.254']);
    table.add(new Route(parsePrefix('192.0.2.0/24')!, null, other, 0, 'static'));
    expect(table.lookup(ip('192.0.2.1'), null)!.iface).toBe(other);
    other.isUp = false;
    expect(table.lookup(ip('192.0.2.1'), null)!.iface).toBe(iface);
    expect(table.lookup(ip('192.0.2.1'), other)).toBeNull();
  });
});

describe('paths', () => {
  test('the same pair of addresses is the same path, another pair another one', () => {
    const station = new Station();
    expect(station.path(PEER4)).toBe(station.path(PEER4, OUR4));
    expect(station.path('10.0.0.3')).not.toBe(station.path(PEER4));
    expect([...station.path(PEER4).remoteWords]).toEqual([0, 0, 0, 0x0a000002]);
    expect([...station.path('fd00::2', OUR6).remoteWords]).toEqual([0xfd000000 | 0, 0, 0, 2]);
  });

  test('unused paths are bounded and the oldest go; used ones stay, in any number', () => {
    const station = new Station({ ip: { unusedPathsMax: 10 }, config: { addresses: ['10.0.0.1/8'] } });
    const kept = Array.from({ length: 50 }, (_, i) => station.path(`10.1.0.${i}`));
    // They are kept only from here on: most were dropped already, as nobody used them.
    expect(station.layer.held().paths).toBe(10);
    for (const path of kept.slice(40)) path.retain();
    for (let i = 0; i < 100; i++) station.path(`10.2.0.${i}`);
    expect(station.layer.held().paths).toBe(20);
    for (const [i, path] of kept.entries()) if (i >= 40) expect(station.path(`10.1.0.${i}`)).toBe(path);
    for (const path of kept.slice(40)) path.release();
    expect(station.layer.held().paths).toBe(10);
    expect(station.count('PATH_TABLE_FULL')).toBeGreaterThan(100);
  });

  test('a path that was dropped says so and sends nothing', () => {
    const station = new Station({ ip: { unusedPathsMax: 1 } });
    const path = station.path(PEER4);
    station.path('10.0.0.3');
    expect(path.isUp).toBe(false);
    expect(station.send(path, count(0, 8))).toBe(false);
    path.retain();
    path.release();
    expect(station.layer.held().paths).toBe(1);
    expect(station.path(PEER4)).not.toBe(path);
  });

  test('neighbors of paths in use are not evicted', () => {
    const station = new Station({ ip: { neighborsMax: 4, unusedPathsMax: 4 }, config: { addresses: ['10.0.0.1/8'] } });
    const path = station.path(PEER4);
    path.retain();
    for (let i = 0; i < 100; i++) station.path(`10.1.0.${i}`);
    expect(station.layer.held().neighbors).toBeLessThanOrEqual(5);
    expect(station.path(PEER4).neighbor).toBe(path.neighbor);
  });

  test('unspecified destinations and mixed families are no paths', () => {
    const station = new Station();
    expect(station.layer.routeTo(ip('0.0.0.0'), null)).toBe('ENETUNREACH');
    expect(station.layer.routeTo(ip('::'), null)).toBe('ENETUNREACH');
    expect(station.layer.routeTo(ip(PEER4), ip(OUR6))).toBe('EINVAL');
  });

  test('isOurs and isBroadcast know all forms', () => {
    const { layer } = new Station();
    expect([OUR4, OUR6, '127.0.0.1', '127.9.9.9', '::1'].map((text) => layer.isOurs(ip(text)))).toEqual(
      new Array(5).fill(true),
    );
    expect([PEER4, '0.0.0.0', '255.255.255.255', 'ff02::1'].map((text) => layer.isOurs(ip(text)))).toEqual(
      new Array(4).fill(false),
    );
    expect(
      ['255.255.255.255', '10.0.0.255', '10.0.1.255', 'fd00::1'].map((text) => layer.isBroadcast(ip(text))),
    ).toEqual([true, true, false, false]);
  });
});
