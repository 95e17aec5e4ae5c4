import { describe, expect, test } from 'vitest';
import { parseIp } from '../../src/wire/ip-address.ts';
import { A4, B4, Peer, pattern, same, World } from './two-hosts.ts';

describe('connections inside one stack', () => {
  for (const address of ['127.0.0.1', '127.8.8.8', '::1', A4, 'fd00::1']) {
    test(`to ${address}: both ends are served, without a link (RFC 1122 3.2.1.3)`, () => {
      const world = new World();
      world.links.a.close();
      const server = new Peer();
      world.a.listen({ local: { address: '::', port: 80 } }, (endpoint) => server.attach(endpoint));
      const client = new Peer();
      client.attach(world.a.connect({ remote: { address, port: 80 } }, client));
      client.endpoint.write(pattern(300_000), null);
      client.endpoint.shutdown();
      world.until(() => server.hasEnded, 'end', 30);
      expect(same(server.bytes(), pattern(300_000))).toBe(true);
      server.endpoint.shutdown();
      world.until(() => client.isClosed && server.isClosed, 'closed', 30);
      expect([client.error, server.error]).toEqual([null, null]);
    });
  }

  test('a connection to itself is a simultaneous open of one end (MUST-10)', () => {
    const world = new World();
    const peer = new Peer();
    peer.attach(world.a.connect({ remote: { address: A4, port: 4000 }, local: { address: A4, port: 4000 } }, peer));
    peer.endpoint.write(pattern(100), null);
    world.until(() => peer.received === 100, 'its own words', 10);
    expect(world.a.tcp.connectionCount).toBe(1);
  });
});

describe('a gateway that takes every destination (forwardAll)', () => {
  test('accepts connections to addresses that are not its own, and answers from them', () => {
    const world = new World({
      interfaceA: { routes: [{ to: '0.0.0.0/0', via: B4 }] },
      interfaceB: { forwardAll: true },
    });
    const server = new Peer();
    world.b.listen({ local: { address: '0.0.0.0', port: 443 } }, (endpoint) => server.attach(endpoint));
    const client = new Peer();
    client.attach(world.a.connect({ remote: { address: '198.51.100.7', port: 443 } }, client));
    world.until(() => client.isConnected && server.isAttached, 'connected', 10);
    expect(server.endpoint.local).toEqual({ address: '198.51.100.7', port: 443 });
    server.endpoint.write(pattern(5000), null);
    world.until(() => client.received === 5000, 'data', 10);
  });
});

describe('when the network changes', () => {
  test('an address that is lost takes its connections with it (5227-7)', () => {
    const world = new World();
    const { client, server } = world.connection();
    const other = world.connection(81, 6);
    world.a.tcp.addressLost(parseIp(A4)!);
    world.until(() => client.isClosed, 'given up', 10);
    expect(client.error).toBe('ENETDOWN');
    world.until(() => server.isClosed, 'reset', 10);
    expect(other.client.isClosed).toBe(false);
  });

  test('a wire that is cut for a while costs time, and no byte', () => {
    const world = new World({ medium: 'ip', impairment: { delayUs: 2000, rateBps: 100_000_000 } });
    const { client, server } = world.connection();
    client.endpoint.write(pattern(5_000_000), null);
    world.runtime.advance(100_000);
    world.links.a.setUp(false);
    world.runtime.advance(7_000_000);
    expect(server.received).toBeLessThan(5_000_000);
    world.links.a.setUp(true);
    world.until(() => server.received === 5_000_000, 'everything', 60);
    expect(same(server.bytes(), pattern(5_000_000))).toBe(true);
  });
});

describe('when packet buffers run out', () => {
  test('many senders share few buffers: all get through, nothing is lost, nobody starves', () => {
    const world = new World({
      medium: 'ip',
      impairment: { rateBps: 200_000_000, delayUs: 100 },
      queueBytes: 30_000,
      a: { ip: { packetPoolBytes: 1 } },
    });
    const pairs: { client: Peer; server: Peer }[] = [];
    for (let i = 0; i < 100; i++) pairs.push(world.connection(1000 + i));
    for (const { client } of pairs) client.endpoint.write(pattern(100_000), null);
    world.runtime.advance(200_000);
    const received = pairs.map(({ server }) => server.received);
    expect(Math.min(...received)).toBeGreaterThan(Math.max(...received) / 8);
    world.until(() => pairs.every(({ server }) => server.received === 100_000), 'everything', 60);
    expect(world.a.ip.held().packets).toBe(0);
    expect(world.a.tcp.turn.blockedCount).toBe(0);
    expect(pairs.reduce((sum, { client }) => sum + client.endpoint.info().retransmittedSegments, 0)).toBe(0);
  });
});
