/** Objects, their contexts and their trees, as the driver above sees them. */
import { describe, expect, test } from 'vitest';
import { type NdisOffloadHandle, ndisStatusName, OffloadBlock, OffloadStateType } from '../../src/ndis/protocol.ts';
import { NeighborCachedState, NeighborDelegatedState } from '../../src/state/neighbor.ts';
import { netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { PathCachedState, PathDelegatedState } from '../../src/state/path.ts';
import { TcpCachedState, type TcpDelegatedState } from '../../src/state/tcp.ts';
import { NeighborContext, PathContext, TcpContext } from '../../src/target/engine/contexts.ts';
import { forest, OTHER_MAC } from './support/forest.ts';
import { buildFrame } from './support/frames.ts';
import { address, ascii, Connection, HostObject, PEER_MAC, subject, World } from './support/world.ts';

function name(block: OffloadBlock): string {
  return ndisStatusName(block.status);
}

/** Everything of the object throws when it is read or written. */
function poison(object: object, what: string): void {
  for (const key of Object.keys(object)) {
    const refuse = (): never => {
      throw new Error(`${what}: ${key} was touched`);
    };
    Object.defineProperty(object, key, { get: refuse, set: refuse });
  }
}

describe('contexts', () => {
  test('each object has a PVOID of its own, in place when the completion comes, with the handle for indications inside (CTX-001, CTX-004, CTX-005, CTX-014, INIT-035)', () => {
    const w = new World();
    const objects = [new HostObject(), new HostObject(), new HostObject(), new HostObject()];
    const root = w.neighborBlock(objects[0]!);
    root.dependentBlockList = w.pathBlock(objects[1]!);
    root.dependentBlockList.dependentBlockList = w.tcpBlock(objects[2]!);
    root.dependentBlockList.dependentBlockList.nextBlock = w.tcpBlock(objects[3]!, { localPort: 81 });
    const slots = (): unknown[] => objects.map(({ handle }) => handle.miniportOffloadContext);
    let inside: unknown[] = [];
    const complete = w.host.initiateOffloadComplete.bind(w.host);
    w.host.initiateOffloadComplete = (context, block) => {
      inside = slots();
      complete(context, block);
    };
    w.initiate(root);
    w.settle();
    expect(new Set(inside).size).toBe(4);
    expect(inside).not.toContain(null);
    expect(slots()).toEqual(inside);
    expect(inside.map((context) => (context as { handle: NdisOffloadHandle }).handle)).toEqual(
      objects.map(({ handle }) => handle),
    );
  });

  if (!subject.isApart)
    test('a connection leads to its path and the path to its neighbor, by the PVOIDs themselves (TREE-046, CTX-016)', () => {
      const w = new World();
      const f = forest(w);
      const of = (object: HostObject): unknown => object.handle.miniportOffloadContext;
      for (const c of [f.a, f.b, f.c, f.d]) {
        const context = of(c.tcp) as TcpContext;
        expect(context).toBeInstanceOf(TcpContext);
        expect(context.path).toBe(of(c.path) as PathContext);
        expect(context.path.neighbor).toBe(of(c.neighbor) as NeighborContext);
      }
      expect(of(f.n1)).toBeInstanceOf(NeighborContext);
      expect(of(f.p1)).toBeInstanceOf(PathContext);
    });

  if (!subject.isApart)
    test('no pointer, a pointer to NULL and a pointer to a PVOID are three things (CTX-008, INIT-037, INIT-038)', () => {
      const w = new World();
      const c = w.offload();
      const neighbor = new OffloadBlock(OffloadStateType.NEIGHBOR);
      const path = new OffloadBlock(OffloadStateType.IP4, c.path.handle);
      const fresh = new HostObject();
      const tcp = w.tcpBlock(fresh, { localPort: 81 });
      neighbor.dependentBlockList = path;
      path.dependentBlockList = tcp;
      // State where none belongs: behind a placeholder it must not even be looked at.
      const stray = new NeighborDelegatedState();
      poison(stray, 'state behind a placeholder');
      neighbor.delegatedState = stray;
      w.initiate(neighbor);
      w.settle();
      expect([neighbor, path, tcp].map(name)).toEqual(['SUCCESS', 'SUCCESS', 'SUCCESS']);
      expect(neighbor.miniportOffloadContext).toBeNull();
      expect(fresh.handle.miniportOffloadContext).toBeInstanceOf(TcpContext);
      // The type says which structures follow: a TCP type behind which path state stands is not taken.
      const wrong = w.pathBlock(new HostObject());
      wrong.header.type = OffloadStateType.TCP;
      const link = new OffloadBlock(OffloadStateType.IP4, c.path.handle);
      link.dependentBlockList = wrong;
      const over = new OffloadBlock(OffloadStateType.NEIGHBOR);
      over.dependentBlockList = link;
      wrong.constState = null;
      w.initiate(over);
      w.settle();
      expect(name(wrong)).toBe('FAILURE');
    });

  test('the context holds the state: what went down is what a query answers (CTX-003, INIT-086)', () => {
    const w = new World();
    const c = w.offload({ sndWnd: 9_000, cachedFlags: 2 });
    const block = w.tcpBlock(new HostObject(), { sndWnd: 9_000, cachedFlags: 2 });
    const given = block.delegatedState as TcpDelegatedState;
    const found = c.query();
    for (const key of [
      'state',
      'rcvNxt',
      'rcvWnd',
      'sndUna',
      'sndNxt',
      'sndMax',
      'sndWnd',
      'maxSndWnd',
      'sndWl1',
    ] as const)
      expect([key, found[key]]).toEqual([key, given[key]]);
    for (const key of ['cWnd', 'ssThresh', 'sRtt', 'rttVar', 'dupAckCount', 'retransmitCount'] as const)
      expect([key, found[key]]).toEqual([key, given[key]]);
    expect([found.keepAliveTimeoutDelta, found.retransmitTimeoutDelta]).toEqual([-1, -1]);
    expect([found.sndWndProbeCount, found.keepAliveProbeCount, found.totalRt]).toEqual([0, 0, 0]);
  });
});

describe('a tree that is complete', () => {
  test('is not touched again by the target (INIT-005)', () => {
    const w = new World();
    const c = new Connection(w, {}, {});
    const root = w.neighborBlock(c.neighbor);
    const path = w.pathBlock(c.path);
    const tcp = w.tcpBlock(c.tcp);
    root.dependentBlockList = path;
    path.dependentBlockList = tcp;
    w.host.initiateOffloadComplete = () => {
      for (const block of [root, path, tcp]) {
        for (const state of [block.constState!, block.cachedState!, block.delegatedState!]) {
          if ('words' in state) state.words.fill(0xee);
          poison(state, 'state');
        }
        poison(block, 'block');
      }
    };
    w.initiate(root);
    w.settle();
    c.receive(c.text('in'));
    c.send(netBufferListOver(ascii('out')));
    w.settle();
    expect(w.host.takeLog()).toEqual(['indicate 2 SUCCESS']);
    expect(w.sent().map((f) => [f.srcPort, f.dstPort, f.text.length, f.ttl])).toContainEqual([80, 4711, 3, 64]);
    expect(name(c.terminateAll())).toBe('SUCCESS');
  });

  test.each(['query', 'update', 'invalidate', 'terminate'] as const)(
    'goes down with live references only, whole or as one block, for a %s (TREE-051, UPD-038, INV-024, INV-004, INV-011, UPD-006)',
    (operation) => {
      const w = new World();
      const f = forest(w);
      const lone = new OffloadBlock(OffloadStateType.TCP_DELEGATED, f.d.tcp.handle);
      w[operation](lone);
      w.settle();
      expect(name(lone)).toBe('SUCCESS');
      const root = new OffloadBlock(OffloadStateType.NEIGHBOR, f.n1.handle);
      const path = new OffloadBlock(OffloadStateType.IP4, f.p1.handle);
      const both = [f.a, f.b].map((c) => new OffloadBlock(OffloadStateType.TCP, c.tcp.handle));
      const more = new OffloadBlock(OffloadStateType.IP4);
      more.dependentBlockList = new OffloadBlock(OffloadStateType.TCP, f.c.tcp.handle);
      root.dependentBlockList = path;
      path.nextBlock = more;
      path.dependentBlockList = both[0]!;
      both[0]!.nextBlock = both[1]!;
      if (operation === 'update') {
        root.cachedState = Object.assign(new NeighborCachedState(), { hostReachabilityDelta: 5 });
        (root.cachedState as NeighborCachedState).dlDestinationAddress.set(OTHER_MAC);
        path.cachedState = new PathCachedState(1000);
        const cached = new TcpCachedState();
        Object.assign(cached, { ttlOrHopLimit: 9, initialRcvWnd: 65_536 });
        both[0]!.cachedState = cached;
      }
      w[operation](root);
      w.settle();
      const blocks = [path, ...both, more, more.dependentBlockList];
      expect(blocks.map(name)).toEqual(Array(5).fill('SUCCESS'));
      // A neighbor with a path left below it cannot go.
      expect(name(root)).toBe(operation === 'terminate' ? 'FAILURE' : 'SUCCESS');
      const { tcpObjects, pathObjects, neighborObjects } = w.target.control.held();
      const left = operation === 'terminate' ? [0, 2, 2] : [4, 3, 2];
      expect([tcpObjects, pathObjects, neighborObjects]).toEqual(left);
      if (operation !== 'update') return;
      w.host.takeLog();
      for (const c of [f.a, f.b]) c.send(netBufferListOver(new Uint8Array(1400)));
      w.settle();
      const frames = w.sent();
      expect(frames.length).toBeGreaterThan(2);
      expect(Math.max(...frames.map((one) => one.bytes.length))).toBeLessThanOrEqual(1014);
      expect(frames.filter((one) => one.srcPort === 80).every((one) => one.ttl === 9)).toBe(true);
      expect(frames.filter((one) => one.srcPort === 81).every((one) => one.ttl === 64)).toBe(true);
      expect(frames.every((one) => one.dstMac.join() === OTHER_MAC.join())).toBe(true);
    },
  );
});

describe('frames and objects', () => {
  test('connections of one path share its MTU, paths of one neighbor its MAC, neighbors nothing (TREE-009, TREE-010, TREE-048)', () => {
    const w = new World();
    const f = forest(w);
    const update = (block: OffloadBlock): void => {
      w.update(block);
      w.settle();
    };
    const mtu = new OffloadBlock(OffloadStateType.IP4_CACHED, f.p1.handle);
    mtu.cachedState = new PathCachedState(600);
    update(mtu);
    const mac = new OffloadBlock(OffloadStateType.NEIGHBOR_CACHED, f.n1.handle);
    const cached = new NeighborCachedState();
    const moved = new Uint8Array([2, 0, 0, 0, 0, 0x77]);
    cached.dlDestinationAddress.set(moved);
    mac.cachedState = cached;
    update(mac);
    const largest = (c: Connection): { length: number; macs: Set<string> } => {
      c.send(netBufferListOver(new Uint8Array(3_000)));
      w.settle();
      const frames = w.sent();
      const length = Math.max(...frames.map((one) => one.bytes.length - (one.tagged ? 18 : 14)));
      return { length, macs: new Set(frames.map((one) => one.dstMac.join())) };
    };
    expect([f.a, f.b, f.c, f.d].map(largest)).toEqual([
      { length: 600, macs: new Set([moved.join()]) },
      { length: 600, macs: new Set([moved.join()]) },
      { length: 1500, macs: new Set([moved.join()]) },
      { length: 1500, macs: new Set([OTHER_MAC.join()]) },
    ]);
  });

  test('a frame takes its TCP header from the connection, its IP header from the path, its MAC header from the neighbor (TREE-049, STATE-015, STATE-018, STATE-025, STATE-013)', () => {
    const w = new World();
    const f = forest(w);
    for (const c of [f.a, f.b, f.c, f.d]) c.send(netBufferListOver(ascii('x')));
    w.settle();
    const seen = w.sent().map((one) => ({
      ports: [one.srcPort, one.dstPort],
      source: [...one.bytes.slice(one.tcpAt - 8, one.tcpAt - 4)],
      destination: [...one.bytes.slice(one.tcpAt - 4, one.tcpAt)],
      mac: one.dstMac,
      vlan: one.tagged ? one.vlanId : -1,
    }));
    const frame = (localPort: number, remote: number, mac: Uint8Array, vlan: number): unknown => ({
      ports: [localPort, 4711],
      source: [...address(4, 1)],
      destination: [...address(4, remote)],
      mac,
      vlan,
    });
    expect(seen).toEqual([
      frame(80, 2, PEER_MAC, -1),
      frame(81, 2, PEER_MAC, -1),
      frame(80, 3, PEER_MAC, -1),
      frame(80, 4, OTHER_MAC, 12),
    ]);
  });

  test('IPv6 addresses stand in the frame as they were given, all sixteen bytes (STATE-018, CAP-015)', () => {
    const w = new World({ family: 6 });
    const c = w.offload({}, { remote: 9, local: 7 });
    c.send(netBufferListOver(ascii('x')));
    w.settle();
    const [frame] = w.sent();
    expect(frame!.bytes.slice(frame!.tcpAt - 32, frame!.tcpAt - 16)).toEqual(address(6, 7));
    expect(frame!.bytes.slice(frame!.tcpAt - 16, frame!.tcpAt)).toEqual(address(6, 9));
  });

  test('what arrives finds its connection by the fields of its headers alone (TREE-050)', () => {
    const w = new World();
    const f = forest(w);
    const who: unknown[] = [];
    w.host.onIndicate = (handle) => who.push(handle.owner);
    const all = [f.d, f.c, f.b, f.a];
    for (const c of all) {
      c.receive(c.frame({ text: ascii('hello'), flags: 'PA', ...(c === f.d ? { vlanTci: 12 } : {}) }));
    }
    expect(who).toEqual(all.map((c) => c.tcp));
    expect(w.host.frames).toEqual([]);
    // One field that differs, and it is nobody's: another port, another address, another MAC.
    const strange = (change: object): Uint8Array =>
      buildFrame('ethernet', {
        family: 4,
        source: address(4, 2),
        destination: address(4, 1),
        dstMac: w.link.macAddress,
        srcMac: PEER_MAC,
        srcPort: 4711,
        dstPort: 80,
        seq: f.a.peerSeq,
        ack: f.a.peerAck,
        flags: 'PA',
        text: ascii('x'),
        ...change,
      });
    const changes = [{ srcPort: 4712 }, { dstPort: 82 }, { source: address(4, 5) }, { destination: address(4, 9) }];
    w.link.deliver(...[...changes, { dstMac: OTHER_MAC }].map(strange));
    w.settle();
    expect(who).toHaveLength(4);
    expect(w.host.frames).toHaveLength(5);
  });
});

test('a path has no delegated variables: an upload writes nothing behind it (STATE-020)', () => {
  const w = new World();
  const c = w.offload();
  c.terminate();
  const block = new OffloadBlock(OffloadStateType.IP4_DELEGATED, c.path.handle);
  const delegated = new PathDelegatedState();
  const before = JSON.stringify(delegated);
  block.delegatedState = Object.freeze(delegated);
  w.terminate(block);
  w.settle();
  expect([name(block), JSON.stringify(delegated)]).toEqual(['SUCCESS', before]);
});
