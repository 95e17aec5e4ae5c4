/** What a router advertises reaches the copies that a target has: hop limit, MTU, next hop, addresses. RFC 4861 6.3.4, chimney-sequences 8 and 10. */
import { describe, expect, test } from 'vitest';
import type { OffloadBlock } from '../../src/ndis/protocol.ts';
import { StateOperation } from '../../src/ndis/tap.ts';
import { PathCachedState } from '../../src/state/path.ts';
import { TcpCachedState } from '../../src/state/tcp.ts';
import { hex } from '../host-path/frames.ts';
import { FIRST, RouterScene, SECOND } from './router-scene.ts';
import { routerMac } from './wire-scene.ts';

const hopsOf = (frames: { ttl: number }[]): number[] => [...new Set(frames.map((frame) => frame.ttl))];
const macsOf = (frames: { dstMac: Uint8Array }[]): string[] => [...new Set(frames.map((frame) => hex(frame.dstMac)))];
const updatesIn = (s: RouterScene): number => s.door.take().filter((line) => line === 'update').length;

/** The cached structures of the updates that pass the door from now on. */
function watchUpdates(s: RouterScene): (TcpCachedState | PathCachedState)[] {
  const seen: (TcpCachedState | PathCachedState)[] = [];
  s.door.onState = (operation, root: OffloadBlock, isCompletion) => {
    if (isCompletion || operation !== StateOperation.UPDATE) return;
    const { cachedState } = root;
    if (cachedState instanceof TcpCachedState || cachedState instanceof PathCachedState) seen.push(cachedState);
  };
  return seen;
}

describe('CurHopLimit', () => {
  test('another one is an update of each offloaded connection that has none of its own, and what it sends has it [UPD-007, STATE-046]', () => {
    const s = new RouterScene({}, { hops: 40 });
    const [plain, own, above] = [s.connect(1), s.connect(2), s.connect(3)];
    own.endpoint.setHopLimit(77);
    s.offload(plain, own);
    expect([plain, own, above].map((one) => hopsOf(one.write(10)))).toEqual([[40], [77], [40]]);
    const updates = watchUpdates(s);
    s.advertise(FIRST, { hops: 99 });
    expect(updates.map((cached) => (cached as TcpCachedState).ttlOrHopLimit)).toEqual([99]);
    expect([plain, own, above].map((one) => hopsOf(one.write(10)))).toEqual([[99], [77], [99]]);
    expect(plain.location).toBe('target');
    expect(s.findings).toEqual([]);
  });

  test('the same again, or none, changes nothing and is no update', () => {
    const s = new RouterScene({}, { hops: 40 });
    const peer = s.connect();
    s.offload(peer);
    s.advertise(FIRST, { hops: 40 });
    s.advertise(FIRST, { hops: 0 });
    expect(updatesIn(s)).toBe(0);
    expect(hopsOf(peer.write(10))).toEqual([40]);
  });

  test('while a connection is on its way down it is told of the change when it has arrived [UPD-029]', () => {
    const s = new RouterScene({}, { hops: 40 });
    const peer = s.connect();
    const updates = watchUpdates(s);
    s.offloadSlowly(peer, () => s.advertise(FIRST, { hops: 99 }));
    expect(updates.map((cached) => (cached as TcpCachedState).ttlOrHopLimit)).toEqual([99]);
    expect(hopsOf(peer.write(10))).toEqual([99]);
    expect(s.findings).toEqual([]);
  });

  test('it is the host’s when the connection has come back', () => {
    const s = new RouterScene({}, { hops: 40 });
    const peer = s.connect();
    s.offload(peer);
    s.advertise(FIRST, { hops: 99 });
    peer.endpoint.chimney.takeBack().catch(() => undefined);
    s.run(5_000);
    expect(peer.location).toBe('host');
    expect(hopsOf(peer.write(10))).toEqual([99]);
    s.advertise(FIRST, { hops: 55 });
    expect(hopsOf(peer.write(10))).toEqual([55]);
  });
});

describe('the MTU of the link', () => {
  test('a smaller one is an update of PathMtu, and segments are no longer than it allows; the former one again likewise [UPD-012]', () => {
    const s = new RouterScene();
    const peer = s.connect();
    s.offload(peer);
    const longest = (): number => Math.max(...peer.write(4_000).map((frame) => frame.bytes.length - 14));
    expect(longest()).toBe(1500);
    const updates = watchUpdates(s);
    s.advertise(FIRST, { mtu: 1300 });
    expect(updates.map((cached) => (cached as PathCachedState).pathMtu)).toEqual([1300]);
    expect(longest()).toBe(1300);
    s.advertise(FIRST, { mtu: 1500 });
    expect(updates.map((cached) => (cached as PathCachedState).pathMtu)).toEqual([1300, 1500]);
    expect(longest()).toBe(1500);
    expect(peer.location).toBe('target');
    expect(s.findings).toEqual([]);
  });

  test('while the path is on its way down: it is told when it has arrived [UPD-029]', () => {
    const s = new RouterScene();
    const peer = s.connect();
    const updates = watchUpdates(s);
    s.offloadSlowly(peer, () => s.advertise(FIRST, { mtu: 1300 }));
    expect(updates.filter((cached) => cached instanceof PathCachedState).map((cached) => cached.pathMtu)).toEqual([
      1300,
    ]);
    expect(Math.max(...peer.write(4_000).map((frame) => frame.bytes.length - 14))).toBe(1300);
    expect(s.findings).toEqual([]);
  });
});

describe('a router that says it is none any more', () => {
  test('another one: offloaded paths are linked to it, and the MTU that changes at the same moment is not lost [UPD-023, UPD-030]', () => {
    const s = new RouterScene();
    s.advertise(SECOND, {});
    const peer = s.connect();
    s.offload(peer);
    expect(macsOf(peer.write(10))).toEqual([hex(routerMac(FIRST))]);
    s.advertise(FIRST, { lifetime: 0, mtu: 1300, hops: 33 });
    s.run(20_000);
    const frames = peer.write(4_000);
    expect(macsOf(frames)).toEqual([hex(routerMac(SECOND))]);
    expect(Math.max(...frames.map((frame) => frame.bytes.length - 14))).toBe(1300);
    expect(hopsOf(frames)).toEqual([33]);
    expect(peer.location).toBe('target');
    expect(s.stack.target('eth0').control.held()).toMatchObject({ tcpObjects: 1, pathObjects: 1, neighborObjects: 1 });
    expect(s.findings).toEqual([]);
  });

  test('while the path to it is on its way down: it is linked to the other when it has arrived [UPD-029, UPD-023]', () => {
    const s = new RouterScene();
    s.advertise(SECOND, {});
    const peer = s.connect();
    s.offloadSlowly(peer, () => s.advertise(FIRST, { lifetime: 0 }));
    s.run(20_000);
    expect(macsOf(peer.write(10))).toEqual([hex(routerMac(SECOND))]);
    expect(peer.location).toBe('target');
    expect(s.findings).toEqual([]);
  });

  test('while the path to it is on its way down, and no other: the connection comes back when it has arrived', () => {
    const s = new RouterScene();
    const peer = s.connect();
    s.target.initiateDelayUs = 10_000;
    peer.endpoint.chimney.offload().catch(() => undefined);
    s.run(1_000);
    s.advertise(FIRST, { lifetime: 0 });
    expect(peer.location).toBe('initiating');
    s.run(30_000);
    expect(peer.location).toBe('host');
    expect(s.findings).toEqual([]);
  });

  test('and no other: nothing is sent to it any more, the connection comes back, and goes on when there is one', async () => {
    const s = new RouterScene();
    const peer = s.connect();
    s.offload(peer);
    s.advertise(FIRST, { lifetime: 0 });
    s.run(5_000);
    expect(peer.location).toBe('host');
    expect(s.moves.at(-1)).toMatchObject({ kind: 'terminate', reason: 'RouteChanged', status: 'SUCCESS' });
    s.frames();
    peer.endpoint.write(new Uint8Array(10), null);
    s.run(3_000_000);
    expect(s.frames()).toEqual([]);
    let why = '';
    peer.endpoint.chimney.offload().catch((error: Error) => (why = error.message));
    s.run(5_000);
    await Promise.resolve();
    expect(why).toMatch(/no route/);
    s.advertise(SECOND, {});
    s.run(10_000_000);
    expect(macsOf(s.frames())).toEqual([hex(routerMac(SECOND))]);
    expect(s.findings).toEqual([]);
  });

  test('its lifetime runs out likewise', () => {
    const s = new RouterScene({}, { lifetime: 120 });
    const peer = s.connect();
    s.offload(peer);
    s.runMinutes(1);
    expect(peer.location).toBe('target');
    s.runMinutes(2);
    expect(peer.location).toBe('host');
    expect(s.findings).toEqual([]);
  });
});

test('an address whose valid lifetime is over ends the connections from it that are offloaded [RFC 4862 5.5.4]', () => {
  const s = new RouterScene({}, { autonomous: 7_300, lifetime: 9_000 });
  s.run(3_000_000); // DAD
  const formed = s.stack.host.ip.interfaces[1]!.addresses.find((entry) =>
    entry.address.toString().startsWith('2001:db8:2:'),
  )!;
  const [dying, living] = [s.connect(1, formed.address.toString()), s.connect(2)];
  s.offload(dying, living);
  s.runMinutes(100);
  expect(dying.location).toBe('target');
  s.runMinutes(30);
  s.run(10_000);
  expect(dying.peer.error).toBe('ENETDOWN');
  expect(dying.location).toBe('closed');
  expect(living.location).toBe('target');
  expect(s.stack.target('eth0').control.held()).toMatchObject({ tcpObjects: 1 });
  expect(s.findings).toEqual([]);
});
