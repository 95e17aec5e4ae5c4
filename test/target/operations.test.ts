import { describe, expect, test } from 'vitest';
import {
  NdisStatus,
  ndisStatusName,
  OffloadBlock,
  OffloadStateType,
  TcpUploadReason,
} from '../../src/ndis/protocol.ts';
import { NeighborCachedState, NeighborConstState, NeighborDelegatedState } from '../../src/state/neighbor.ts';
import { netBufferListOver } from '../../src/state/net-buffer-list.ts';
import { PathCachedState, PathConstState } from '../../src/state/path.ts';
import {
  TcpCachedFlag,
  TcpCachedState,
  TcpConnectionState,
  TcpConstState,
  TcpDelegatedState,
} from '../../src/state/tcp.ts';
import { ascii, type Connection, HostObject, pattern, World } from './support/world.ts';

const OTHER_MAC = new Uint8Array([2, 0, 0, 0, 0, 0x55]);

function world(options: ConstructorParameters<typeof World>[0] = {}): { w: World; c: Connection } {
  const w = new World(options);
  return { w, c: w.offload() };
}

function cachedOf(w: World, c: Connection): TcpCachedState {
  const block = new OffloadBlock(OffloadStateType.TCP_CACHED, c.tcp.handle);
  block.cachedState = new TcpCachedState();
  w.query(block);
  w.settle();
  return block.cachedState;
}

/** Updates the TCP cached state, changed by `change`; answers the block. */
function updateTcp(w: World, c: Connection, change: (cached: TcpCachedState) => void): OffloadBlock {
  const block = new OffloadBlock(OffloadStateType.TCP_CACHED, c.tcp.handle);
  const cached = cachedOf(w, c);
  change(cached);
  block.cachedState = cached;
  w.host.takeLog();
  w.update(block);
  w.settle();
  return block;
}

describe('query', () => {
  test('all structures of a tree are filled, placeholders get a status (QRY-001 to QRY-010, QRY-022, QRY-028)', () => {
    const w = new World();
    const c = w.offload({ cachedFlags: TcpCachedFlag.NAGLING_ENABLED }, {}, { vlanId: 9, hrd: 40 });
    w.runtime.advance(1_000_000);
    const root = new OffloadBlock(OffloadStateType.NEIGHBOR, c.neighbor.handle);
    root.constState = new NeighborConstState();
    root.cachedState = new NeighborCachedState();
    root.delegatedState = new NeighborDelegatedState();
    const path = new OffloadBlock(OffloadStateType.IP4, c.path.handle);
    path.constState = new PathConstState(new Uint8Array(4), new Uint8Array(4));
    path.cachedState = new PathCachedState();
    const tcp = new OffloadBlock(OffloadStateType.TCP, c.tcp.handle);
    tcp.constState = new TcpConstState();
    tcp.cachedState = new TcpCachedState();
    tcp.delegatedState = new TcpDelegatedState();
    root.dependentBlockList = path;
    path.dependentBlockList = tcp;
    root.nextBlock = new OffloadBlock(OffloadStateType.NEIGHBOR);
    w.query(root);
    expect(w.host.takeLog()).toEqual([]);
    w.settle();
    expect(w.host.completions.at(-1)!.root).toBe(root);
    expect([root, path, tcp, root.nextBlock].map((b) => ndisStatusName(b.status))).toEqual(Array(4).fill('SUCCESS'));
    expect(root.constState).toMatchObject({ vlanId: 9 });
    expect(root.cachedState).toMatchObject({ hostReachabilityDelta: 1_040 });
    expect(root.delegatedState).toMatchObject({ nicReachabilityDelta: 1_040 }); // QRY-026
    expect(path.constState.sourceAddress).toEqual(new Uint8Array([10, 0, 0, 1]));
    expect(path.cachedState.pathMtu).toBe(1500);
    expect(tcp.constState).toMatchObject({ localPort: 80, remotePort: 4711, rcvWindScale: 2 });
    expect(tcp.cachedState).toMatchObject({ flags: TcpCachedFlag.NAGLING_ENABLED, initialRcvWnd: 65_536 });
    expect(tcp.delegatedState).toMatchObject({
      state: TcpConnectionState.ESTABLISHED,
      rcvNxt: 5_000,
      sndUna: 1_000,
      keepAliveTimeoutDelta: -1, // QRY-023
      retransmitTimeoutDelta: -1, // QRY-024
      receiveBacklogSize: 0,
    });
    expect(tcp.delegatedState.sendBacklogSize).toBeGreaterThan(0); // QRY-020
  });

  test('it has no side effects, also twice at once (QRY-018, QRY-019)', () => {
    const { w, c } = world();
    const blocks = [0, 1].map(() => {
      const block = new OffloadBlock(OffloadStateType.TCP_DELEGATED, c.tcp.handle);
      block.delegatedState = new TcpDelegatedState();
      w.query(block);
      return block;
    });
    w.settle();
    expect(w.host.takeLog()).toEqual(['query complete', 'query complete']);
    expect((blocks[0]!.delegatedState as TcpDelegatedState).words).toEqual(
      (blocks[1]!.delegatedState as TcpDelegatedState).words,
    );
    expect(w.sent()).toEqual([]);
  });
});

describe('update', () => {
  test('a window that is set larger is advertised with the action flag (UPD-001, UPD-002, UPD-016, UPD-017)', () => {
    const { w, c } = world();
    const block = updateTcp(w, c, (cached) => {
      cached.initialRcvWnd = 200_000;
      cached.flags |= TcpCachedFlag.UPDATE_RCV_WND;
    });
    expect(ndisStatusName(block.status)).toBe('SUCCESS');
    expect(w.host.takeLog()).toEqual(['update complete']);
    expect(w.sent().at(-1)!.window << 2).toBe(200_000);
    expect(cachedOf(w, c)).toMatchObject({ initialRcvWnd: 200_000, flags: 0 }); // STATE-032: the action is not kept
  });

  test("a window beyond the target's means is refused and the connection goes on (UPD-033 to UPD-036)", () => {
    const { w, c } = world({ capacity: { maxRcvWindow: 100_000 } });
    const block = updateTcp(w, c, (cached) => {
      cached.initialRcvWnd = 200_000;
    });
    expect(ndisStatusName(block.status)).toBe('FAILURE');
    c.receive(c.text('on'));
    expect(w.host.indicated).toHaveLength(1);
  });

  test('TTL, TOS and priority of frames that follow (STATE-046 to STATE-049, VLAN-020)', () => {
    const { w, c } = world();
    updateTcp(w, c, (cached) => {
      cached.ttlOrHopLimit = 7;
      cached.userPriority = 5;
    });
    c.send(netBufferListOver(ascii('x')));
    w.settle();
    expect(w.sent()[0]).toMatchObject({ ttl: 7, tagged: true, priority: 5, vlanId: 0 });
  });

  test('keepalive switched on probes after KaTimeout (UPD-013, UPD-021, TCP-031)', () => {
    const { w, c } = world();
    updateTcp(w, c, (cached) => {
      cached.flags |= TcpCachedFlag.KEEP_ALIVE_ENABLED | TcpCachedFlag.KEEP_ALIVE_RESTART;
      cached.kaTimeout = 1_000;
      cached.kaInterval = 500;
      cached.kaProbeCount = 2;
    });
    w.runtime.advance(1_100_000);
    expect(w.sent()).toMatchObject([{ seq: 999, flags: 'A' }]);
    w.host.takeLog();
    w.runtime.advance(5_000_000);
    expect(w.host.takeLog()).toEqual([`event retrieve ${TcpUploadReason.TIMEOUT_EXPIRATION}`]);
  });

  test('a smaller path MTU makes smaller segments of all connections on the path (UPD-012, STATE-019)', () => {
    const { w, c } = world();
    const block = new OffloadBlock(OffloadStateType.IP4_CACHED, c.path.handle);
    block.cachedState = new PathCachedState(600);
    w.update(block);
    w.settle();
    c.send(netBufferListOver(pattern(1_000, 2_000)));
    w.settle();
    expect(w.sent().every((f) => f.bytes.length <= 614)).toBe(true);
    block.cachedState = new PathCachedState(1500);
    w.update(block);
    w.settle();
    c.ackTo(3_000);
    c.send(netBufferListOver(pattern(3_000, 2_000)));
    w.settle();
    expect(w.sent()[0]!.bytes.length).toBe(1_514);
  });

  test("a neighbor's new MAC is used at once and relinks nothing (UPD-009, UPD-010, TCP-124)", () => {
    const { w, c } = world();
    const block = new OffloadBlock(OffloadStateType.NEIGHBOR_CACHED, c.neighbor.handle);
    const cached = new NeighborCachedState();
    cached.dlDestinationAddress.set(OTHER_MAC);
    block.cachedState = cached;
    w.update(block);
    w.settle();
    c.send(netBufferListOver(ascii('x')));
    w.settle();
    expect(w.sent()[0]!.dstMac).toEqual(OTHER_MAC);
  });

  test('relinking a path to a new neighbor: MAC and VLAN of the new one, the old one can go (UPD-023 to UPD-028, UPD-039)', () => {
    const { w, c } = world();
    const next = new HostObject();
    w.initiate(w.neighborBlock(next, { destination: OTHER_MAC, vlanId: 12 }));
    w.settle();
    const root = new OffloadBlock(OffloadStateType.NEIGHBOR, next.handle);
    root.dependentBlockList = new OffloadBlock(OffloadStateType.IP4, c.path.handle);
    root.nextBlock = new OffloadBlock(OffloadStateType.NEIGHBOR);
    w.update(root);
    w.settle();
    expect([root, root.dependentBlockList, root.nextBlock].map((b) => ndisStatusName(b.status))).toEqual(
      Array(3).fill('SUCCESS'),
    );
    c.send(netBufferListOver(ascii('x')));
    w.settle();
    expect(w.sent()[0]).toMatchObject({ dstMac: OTHER_MAC, vlanId: 12, tagged: true });
    const old = new OffloadBlock(OffloadStateType.NEIGHBOR_DELEGATED, c.neighbor.handle);
    old.delegatedState = new NeighborDelegatedState();
    w.terminate(old);
    w.settle();
    expect(ndisStatusName(old.status)).toBe('SUCCESS');
    expect(w.target.control.held().neighborObjects).toBe(1);
  });
});

describe('invalidate', () => {
  test('a connection: sending stops, its upload is asked for after the completion (INV-001, INV-002, INV-005 to INV-008, INV-010)', () => {
    const { w, c } = world();
    const block = new OffloadBlock(OffloadStateType.TCP, c.tcp.handle);
    w.invalidate(block);
    w.settle();
    expect(w.host.takeLog()).toEqual(['invalidate complete', `event retrieve ${TcpUploadReason.INVALID_STATE}`]);
    c.send(netBufferListOver(ascii('x')));
    w.settle();
    expect(w.sent()).toEqual([]);
    expect(w.target.control.held().tcpObjects).toBe(1);
    expect(ndisStatusName(c.terminate().status)).toBe('SUCCESS'); // TERM-084
  });

  test('a neighbor: connections are asked for when they would send; relinked before, they go on (INV-009, INV-014, INV-015, INV-025, EVT-009)', () => {
    const { w, c } = world();
    const invalidate = (object: HostObject): void => {
      w.invalidate(new OffloadBlock(OffloadStateType.NEIGHBOR, object.handle));
      w.settle();
    };
    invalidate(c.neighbor);
    expect(w.host.takeLog()).toEqual(['invalidate complete']);
    const next = new HostObject();
    w.initiate(w.neighborBlock(next, { destination: OTHER_MAC }));
    w.settle();
    const root = new OffloadBlock(OffloadStateType.NEIGHBOR, next.handle);
    root.dependentBlockList = new OffloadBlock(OffloadStateType.IP4, c.path.handle);
    w.update(root);
    w.settle();
    c.send(netBufferListOver(ascii('x')));
    w.settle();
    expect(w.sent()[0]!.dstMac).toEqual(OTHER_MAC);
    w.host.takeLog();
    invalidate(next);
    c.send(netBufferListOver(ascii('y')));
    w.settle();
    expect(w.host.takeLog()).toEqual(['invalidate complete', `event retrieve ${TcpUploadReason.INVALID_STATE}`]);
    expect(w.sent()).toEqual([]);
    const block = c.terminate();
    expect(block.netBufferListChain).not.toBeNull();
  });

  test('a path asks back all that hang on it (INV-008, INV-025)', () => {
    const { w, c } = world();
    w.invalidate(new OffloadBlock(OffloadStateType.IP4, c.path.handle));
    w.settle();
    expect(w.host.takeLog()).toEqual(['invalidate complete', `event retrieve ${TcpUploadReason.INVALID_STATE}`]);
  });

  test('no ACK leaves on top of an invalid object, not even at the terminate (INV-006)', () => {
    const { w, c } = world();
    w.invalidate(new OffloadBlock(OffloadStateType.NEIGHBOR, c.neighbor.handle));
    w.settle();
    for (let i = 0; i < 4; i++) c.receive(c.text('ab'));
    c.terminate();
    expect(w.sent()).toEqual([]);
  });
});

describe('pause, resume, upload all', () => {
  test('initiates in a pause wait for the resume (EVT-031 to EVT-035, EVT-038)', () => {
    const { w, c } = world();
    w.target.control.pause();
    w.settle();
    const block = w.neighborBlock(new HostObject());
    w.initiate(block);
    w.settle();
    expect(w.host.takeLog()).toEqual(['status OFFLOAD_PAUSE']);
    c.receive(c.text('works')); // EVT-032
    expect(w.host.takeLog()).toEqual(['indicate 5 SUCCESS']);
    w.target.control.resume();
    w.settle();
    expect(w.host.takeLog()).toEqual(['status OFFLOAD_RESUME', 'initiate complete']);
    expect(ndisStatusName(block.status)).toBe('SUCCESS');
  });

  test('but not for ever: they are refused, so that no connection stands still (EVT-041)', () => {
    const { w } = world({ pauseQueueUs: 50_000 });
    w.target.control.pause();
    w.settle();
    const block = w.neighborBlock(new HostObject());
    w.initiate(block);
    w.runtime.advance(49_000);
    expect(w.host.completions.filter((o) => o.root === block)).toEqual([]);
    w.runtime.advance(1_000);
    expect(ndisStatusName(block.status)).toBe('FAILURE'); // only connections are rejected (INIT-024)
  });

  test('upload all: initiates are refused, connections are served until they are terminated, then resume (EVT-043, EVT-044, TERM-009, TERM-074)', () => {
    const { w, c } = world();
    w.target.control.uploadAll();
    w.settle();
    expect(w.host.takeLog()).toEqual(['status UPLOAD_ALL']);
    const block = w.neighborBlock(new HostObject());
    w.initiate(block);
    c.receive(c.text('still'));
    w.settle();
    expect(w.host.indicated).toHaveLength(1);
    expect(ndisStatusName(block.status)).toBe('FAILURE'); // only connections are rejected (INIT-024)
    c.returnLists();
    c.terminateAll();
    w.target.control.resume({ tcpEntries: 7 });
    w.settle();
    expect(w.host.statuses).toEqual([NdisStatus.UPLOAD_ALL, NdisStatus.OFFLOAD_RESUME]);
    w.initiate(block);
    w.settle();
    expect(ndisStatusName(block.status)).toBe('SUCCESS');
  });
});
