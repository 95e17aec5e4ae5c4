import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../src/base/random.ts';
import { TransportError } from '../../src/host/api.ts';
import { EphemeralPorts } from '../../src/host/transport/ports.ts';
import type { HostEndpoint } from '../../src/host/transport/tcp-endpoint.ts';
import { congestionOf } from '../../src/tcp/congestion/named.ts';
import { RECORD_WORDS } from '../../src/tcp/connection.ts';
import { parseIp } from '../../src/wire/ip-address.ts';
import { RawHost } from './raw-host.ts';
import { A4, A6, B4, B6, Peer, pattern, World } from './two-hosts.ts';

const ignore = (): void => {};

describe('what can be bound and connected to', () => {
  test('one port, one listener: EADDRINUSE where a packet could go to either, and only there (MUST-41)', () => {
    const { b } = new World();
    const at = (address: string, port = 80, ipv6Only = false) =>
      b.listen({ local: { address, port }, ipv6Only }, ignore);
    const wildcard = at('0.0.0.0');
    expect(() => at('0.0.0.0')).toThrow(expect.objectContaining({ code: 'EADDRINUSE' }));
    expect(() => at(B4)).toThrow(expect.objectContaining({ code: 'EADDRINUSE' }));
    expect(() => at('::')).toThrow(expect.objectContaining({ code: 'EADDRINUSE' }));
    at('::', 80, true);
    expect(() => at(B6)).toThrow(expect.objectContaining({ code: 'EADDRINUSE' }));
    wildcard.close();
    at(B4);
    at('127.0.0.1');
    expect(at('0.0.0.0', 81).local).toEqual({ address: '0.0.0.0', port: 81 });
  });

  test.each([
    [4, B4, '0.0.0.0'],
    [6, B6, '::'],
  ])(
    'listeners that share a port each get some of the remote ends, always the same ones (IPv%i)',
    (_family, address, any) => {
      const world = new World();
      const got: number[][] = [[], [], []];
      const listen = (which: number, local = any, reusePort = true) =>
        world.b.listen({ local: { address: local, port: 80 }, reusePort }, (endpoint) => {
          got[which]!.push(endpoint.remote.port);
          endpoint.close();
        });
      const shared = [listen(0), listen(1)];
      expect(() => listen(2, any, false)).toThrow(expect.objectContaining({ code: 'EADDRINUSE' }));
      // More specific: it gets all to its address, and shares with nobody.
      const specific = listen(2, address);
      const visit = (port: number): void => {
        const client = new Peer();
        const remote = { address, port: 80 };
        client.attach(world.a.connect({ remote, local: { port } }, client));
        world.until(() => client.isConnected, 'connected', 10);
        client.endpoint.abort();
        world.runtime.advance(1_000_000);
      };
      visit(4999);
      expect(got.splice(0, 3, [], [], [])).toEqual([[], [], [4999]]);
      specific.close();
      for (let port = 5000; port < 5040; port++) visit(port);
      expect(got[0]!.length + got[1]!.length).toBe(40);
      expect(Math.min(got[0]!.length, got[1]!.length)).toBeGreaterThan(0);
      const first = got.splice(0, 3, [], [], []);
      for (let port = 5000; port < 5040; port++) visit(port);
      expect(got).toEqual(first);
      shared[0]!.close();
      for (const port of first[0]!) visit(port);
      expect(got[1]).toEqual([...first[1]!, ...first[0]!]);
    },
  );

  test('a port that is kept is nobody else’s, answers as if nobody were there, and can be had when it is let go of', () => {
    const world = new World();
    const kept = world.b.reserve({ local: { address: B4, port: 0 } });
    const { port } = kept.local;
    const inUse = expect.objectContaining({ code: 'EADDRINUSE' });
    expect(() => world.b.listen({ local: { address: '0.0.0.0', port } }, ignore)).toThrow(inUse);
    expect(() => world.b.reserve({ local: { address: B4, port } })).toThrow(inUse);
    const remote = { address: A4, port: 80 };
    expect(() => world.b.connect({ remote, local: { port } }, new Peer())).toThrow(inUse);
    const client = new Peer();
    client.attach(world.a.connect({ remote: { address: B4, port } }, client));
    world.until(() => client.isClosed, 'refused', 10);
    expect(client.error).toBe('ECONNREFUSED');
    const share = { local: { address: B6, port }, reusePort: true };
    const [one, other] = [world.b.reserve(share), world.b.reserve(share)];
    expect(() => world.b.reserve({ local: share.local })).toThrow(inUse);
    for (const reservation of [kept, kept, one, other]) reservation.close();
    world.b.listen({ local: { address: '::', port } }, ignore).close();
  });

  test('port 0 is any free port; a closed listener refuses and leaves its connections alone', () => {
    const world = new World();
    let server: Peer | null = null;
    const listener = world.b.listen({ local: { address: '::', port: 0 } }, (endpoint) => {
      server = new Peer();
      server.attach(endpoint);
    });
    const { port } = listener.local;
    expect(port).toBeGreaterThanOrEqual(1024);
    const client = new Peer();
    client.attach(world.a.connect({ remote: { address: B6, port } }, client));
    world.until(() => server !== null && client.isConnected, 'connected', 10);
    listener.close();
    const late = new Peer();
    late.attach(world.a.connect({ remote: { address: B6, port } }, late));
    world.until(() => late.isClosed, 'refused', 10);
    expect(late.error).toBe('ECONNREFUSED');
    client.endpoint.write(pattern(100), null);
    world.until(() => server!.received === 100, 'data', 10);
  });

  test('a connection and a listener have the congestion control that was asked for; a name that does not exist is refused at once', () => {
    const world = new World();
    const server = new Peer();
    world.b.listen({ local: { address: B4, port: 80 }, congestion: 'cubic' }, (endpoint) => server.attach(endpoint));
    const client = new Peer();
    client.attach(world.a.connect({ remote: { address: B4, port: 80 }, congestion: 'newreno' }, client));
    world.until(() => server.isAttached && client.isConnected, 'connected', 10);
    const control = (peer: Peer): string => {
      const { tcp, transport } = peer.endpoint as unknown as HostEndpoint;
      return congestionOf(tcp, transport.parameters).name;
    };
    expect([control(client), control(server)]).toEqual(['newreno', 'cubic']);
    const bbr = { local: { address: B4, port: 81 }, congestion: 'bbr' as 'cubic' };
    expect(() => world.b.listen(bbr, ignore)).toThrow(TypeError);
    expect(() => world.b.listen({ ...bbr, congestion: 'cubic' }, ignore)).not.toThrow();
    const remote = { address: B4, port: 80 };
    expect(() => world.a.connect({ remote, congestion: 'bbr' as 'cubic' }, client)).toThrow(TypeError);
  });

  test("'::' takes IPv4 too and shows v4-mapped addresses; ipv6Only does not (RFC 4291 2.5.5.2)", () => {
    const world = new World();
    const server = new Peer();
    world.b.listen({ local: { address: '::', port: 80 } }, (endpoint) => server.attach(endpoint));
    world.b.listen({ local: { address: '::', port: 81 }, ipv6Only: true }, ignore);
    const client = new Peer();
    client.attach(world.a.connect({ remote: { address: `::ffff:${B4}`, port: 80 } }, client));
    world.until(() => server.isAttached && client.isConnected, 'connected', 10);
    expect(server.endpoint.local.address).toBe(`::ffff:${B4}`);
    expect(server.endpoint.remote.address).toBe(`::ffff:${A4}`);
    expect(server.endpoint.family).toBe(6);
    expect(client.endpoint.remote.address).toBe(B4);
    const refused = new Peer();
    refused.attach(world.a.connect({ remote: { address: B4, port: 81 } }, refused));
    world.until(() => refused.isClosed, 'refused', 10);
    expect(refused.error).toBe('ECONNREFUSED');
  });

  test('a specific address stands beside a wildcard of the other family, and each gets its own', () => {
    const world = new World();
    const hits: string[] = [];
    world.b.listen({ local: { address: '::', port: 80 }, ipv6Only: true }, () => hits.push('any6'));
    world.b.listen({ local: { address: B4, port: 80 } }, () => hits.push('one4'));
    for (const address of [B4, B6]) world.a.connect({ remote: { address, port: 80 } }, new Peer());
    world.until(() => hits.length === 2, 'both', 10);
    expect(hits.sort()).toEqual(['any6', 'one4']);
  });

  const impossible: [string, () => unknown, string][] = [
    [
      'an address of somebody else',
      () => new World().b.listen({ local: { address: '10.9.9.9', port: 80 } }, ignore),
      'EADDRNOTAVAIL',
    ],
    [
      'a multicast address',
      () => new World().b.listen({ local: { address: '224.0.0.5', port: 80 } }, ignore),
      'EADDRNOTAVAIL',
    ],
    ['no address', () => new World().b.listen({ local: { address: 'here', port: 80 } }, ignore), 'EINVAL'],
    ['no port', () => new World().b.listen({ local: { address: '::', port: 65_536 } }, ignore), 'EINVAL'],
    [
      'a multicast remote (MUST-46)',
      () => new World().a.connect({ remote: { address: '224.0.0.1', port: 80 } }, new Peer()),
      'ENETUNREACH',
    ],
    [
      'a broadcast remote (MUST-46)',
      () => new World().a.connect({ remote: { address: '255.255.255.255', port: 80 } }, new Peer()),
      'ENETUNREACH',
    ],
    [
      'the subnet broadcast (MUST-46)',
      () => new World().a.connect({ remote: { address: '10.0.0.255', port: 80 } }, new Peer()),
      'ENETUNREACH',
    ],
    ['nobody', () => new World().a.connect({ remote: { address: '0.0.0.0', port: 80 } }, new Peer()), 'EADDRNOTAVAIL'],
    ['port 0', () => new World().a.connect({ remote: { address: B4, port: 0 } }, new Peer()), 'EADDRNOTAVAIL'],
    [
      'two families',
      () => new World().a.connect({ remote: { address: B4, port: 80 }, local: { address: A6 } }, new Peer()),
      'EINVAL',
    ],
    [
      'a local address of somebody else',
      () => new World().a.connect({ remote: { address: B4, port: 80 }, local: { address: '10.0.0.9' } }, new Peer()),
      'EADDRNOTAVAIL',
    ],
    [
      'no route',
      () => new World().a.connect({ remote: { address: '192.0.2.1', port: 80 } }, new Peer()),
      'ENETUNREACH',
    ],
  ];
  for (const [what, attempt, code] of impossible) {
    test(`${what}: ${code}`, () => {
      expect(attempt).toThrow(TransportError);
      expect(attempt).toThrow(expect.objectContaining({ code }));
    });
  }

  test('a chosen local port: used if it is free, EADDRINUSE if it is not', () => {
    const world = new World();
    world.b.listen({ local: { address: '0.0.0.0', port: 80 } }, ignore);
    world.a.listen({ local: { address: '0.0.0.0', port: 4000 } }, ignore);
    const to = { address: B4, port: 80 };
    expect(world.a.connect({ remote: to, local: { port: 3000 } }, new Peer()).local.port).toBe(3000);
    expect(() => world.a.connect({ remote: to, local: { port: 3000 } }, new Peer())).toThrow(/in use/);
    expect(() => world.a.connect({ remote: to, local: { port: 4000 } }, new Peer())).toThrow(/in use/);
    world.a.connect({ remote: { address: B4, port: 81 }, local: { port: 3000 } }, new Peer());
  });
});

describe('ephemeral ports (RFC 6056)', () => {
  const local = parseIp('10.0.0.1')!;
  const remote = parseIp('10.0.0.2')!;

  test('every port of the range is found before it is given up (6056-1, 6056-4)', () => {
    const ports = new EphemeralPorts(new SeededRandom(1), 50_000, 50_099);
    const taken = new Set<number>();
    for (let i = 0; i < 100; i++) taken.add(ports.towards(local, remote, 80, (port) => taken.has(port)));
    expect(taken.size).toBe(100);
    expect(Math.min(...taken)).toBe(50_000);
    expect(Math.max(...taken)).toBe(50_099);
    expect(ports.towards(local, remote, 80, (port) => taken.has(port))).toBe(-1);
    expect(ports.any(() => true)).toBe(-1);
  });

  test('the port used towards one remote end does not tell the one used towards another (6056-3)', () => {
    const offsets = new Set<number>();
    for (let seed = 0; seed < 50; seed++) {
      const ports = new EphemeralPorts(new SeededRandom(seed));
      const first = ports.towards(local, remote, 80, () => false);
      const second = ports.towards(local, remote, 81, () => false);
      offsets.add((second - first + 65_536) % 65_536);
    }
    expect(offsets.size).toBeGreaterThan(45);
  });

  test('ports with a listener are left alone (6056-2)', () => {
    const world = new World({ a: { tcp: { ephemeralPorts: { first: 2000, last: 2009 } } } });
    for (let port = 2000; port < 2009; port++) world.a.listen({ local: { address: '::', port } }, ignore);
    expect(world.a.connect({ remote: { address: B4, port: 80 } }, new Peer()).local.port).toBe(2009);
    expect(() => world.a.connect({ remote: { address: B4, port: 80 } }, new Peer())).toThrow(
      expect.objectContaining({ code: 'EADDRNOTAVAIL' }),
    );
  });
});

describe('a flood of SYNs (RFC 4987)', () => {
  test('the backlog is a bound; a half-open connection that had its time makes place, a young one does not (4987-1)', () => {
    const raw = new RawHost({ backlog: 8 });
    for (let i = 0; i < 50; i++) raw.syn(`10.0.0.${100 + i}`, 1000 + i);
    expect(raw.host.tcp.halfOpenCount).toBe(8);
    expect(raw.trace.countOf('TCP_SYN_DROPPED')).toBe(42);
    raw.runtime.advance(1_500_000);
    for (let i = 0; i < 4; i++) raw.syn(`10.0.0.${50 + i}`, 2000 + i);
    expect(raw.host.tcp.halfOpenCount).toBe(8);
    expect(raw.trace.countOf('TCP_HALF_OPEN_EVICTED')).toBe(4);
  });

  test('a hundred thousand SYNs take no more memory than a backlog of them, and established connections stay', () => {
    const raw = new RawHost({ backlog: 64 });
    const established = raw.open('10.0.0.9', 999);
    for (let i = 0; i < 100_000; i++) {
      raw.syn(`10.0.${1 + (i % 200)}.${1 + (i % 250)}`, 1024 + (i % 60_000));
      if (i % 5000 === 0) raw.runtime.advance(400_000);
    }
    expect(raw.host.tcp.connectionCount).toBeLessThanOrEqual(65);
    // Records for the backlog and the established one; the slab doubles when it grows.
    expect(raw.host.tcp.slab.byteLength).toBeLessThanOrEqual(128 * RECORD_WORDS * 4);
    expect(established.isClosed).toBe(false);
    raw.runtime.advance(600_000_000);
    expect(raw.host.tcp.connectionCount).toBe(1);
  });

  test('a half-open connection whose SYN,ACK is never answered is given up', () => {
    const raw = new RawHost({ backlog: 8 });
    raw.syn('10.0.0.50', 1000);
    expect(raw.host.tcp.halfOpenCount).toBe(1);
    raw.runtime.advance(600_000_000);
    expect(raw.host.tcp.halfOpenCount).toBe(0);
    expect(raw.host.tcp.connectionCount).toBe(0);
  });

  test('a SYN from or to more than one host is dropped in silence (MUST-57, MUST-63)', () => {
    const raw = new RawHost({ backlog: 8 });
    const sent = raw.sent.length;
    raw.syn('224.0.0.1', 1000);
    raw.syn('0.0.0.0', 1000);
    raw.syn('10.0.0.50', 1000, '10.0.255.255');
    raw.syn('10.0.0.50', 1000, '255.255.255.255');
    raw.runtime.settle();
    expect(raw.host.tcp.connectionCount).toBe(0);
    expect(raw.sent.length).toBe(sent);
  });
});
