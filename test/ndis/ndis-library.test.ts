import { beforeEach, describe, expect, test } from 'vitest';
import { NdisOffloadHandle, OffloadBlock } from '../../src/ndis/offload-block.ts';
import { NDIS_RECEIVE_FLAGS_RESOURCES, type NdisBindingHandle } from '../../src/ndis/protocol.ts';
import {
  IndicateOffloadEvent,
  NdisChimneyOffloadType,
  NdisStatus,
  OffloadStateType,
  Oid,
  TcpDisconnectFlag,
  TcpOffloadEventType,
} from '../../src/ndis/status.ts';
import { StateOperation } from '../../src/ndis/tap.ts';
import type { NeighborCachedState } from '../../src/state/neighbor.ts';
import { TcpDelegatedState } from '../../src/state/tcp.ts';
import {
  bindHost,
  type Connection,
  chainOf,
  connectionTree,
  data,
  FakeHost,
  FakeTarget,
  finish,
  makeWorld,
  neighborBlock,
  reference,
  statusesOf,
  terminateTree,
  type World,
} from './fakes.ts';

let world: World;
let host: FakeHost;
let target: FakeTarget;
let binding: NdisBindingHandle;

beforeEach(() => {
  world = makeWorld();
  host = new FakeHost();
  target = new FakeTarget(world);
  world.ndis.registerAdapter(target);
  binding = bindHost(world, host, 'nic0');
});

function offload(): Connection {
  const { root, handles } = connectionTree();
  world.ndis.initiateOffload(binding, root);
  world.runtime.settle();
  return handles;
}

function close(): { closed: boolean } {
  const state = { closed: false };
  world.ndis.closeAdapterEx(binding, () => {
    state.closed = true;
  });
  world.runtime.settle();
  return state;
}

describe('registering and opening', () => {
  test('the handlers come only for the TCP chimney, with type, revision and size to check (CAP-010, CAP-011, CAP-012)', () => {
    expect(target.events.header).toEqual({ type: NdisChimneyOffloadType.TCP, revision: 1, size: 56 });
    expect(target.ndisM.getOffloadHandlers(target.handle, 2)).toBeNull();
  });

  test('a driver without chimney gets no handlers (CAP-011)', () => {
    const plain = new FakeTarget(world, 'nic1');
    plain.hasChimney = false;
    world.ndis.registerAdapter(plain);
    expect(plain.events).toBeUndefined();
  });

  test('names are told when wrong: no such adapter, taken twice, opened twice', () => {
    expect(() => world.ndis.openAdapterEx(host, host, 'nic9')).toThrow("no adapter named 'nic9'");
    expect(() => world.ndis.registerAdapter(new FakeTarget(world))).toThrow("named 'nic0' exists already");
    expect(() => world.ndis.openAdapterEx(host, host, 'nic0')).toThrow("open already, by 'host'");
  });

  test('an adapter that does not initialise is not there, and says its status', () => {
    const broken = new FakeTarget(world, 'nic1');
    broken.initializeEx = () => NdisStatus.RESOURCES;
    expect(() => world.ndis.registerAdapter(broken)).toThrow('RESOURCES');
    expect(world.ndis.adapterNames).toEqual(['nic0']);
  });

  test('the protocol learns the attributes of the adapter', () => {
    expect(world.ndis.adapterAttributes(binding).mtu).toBe(1500);
  });
});

describe('state operations', () => {
  test('the target sees the handle as slot and as indication handle, all statuses open, and completes the same root (TREE-045, IM-013, INIT-003)', () => {
    const { root, handles } = connectionTree();
    world.ndis.initiateOffload(binding, root);
    const seen = target.pending[0]!.root;
    expect(seen).toBe(root);
    expect(seen.miniportOffloadContext).toBe(handles.neighbor);
    expect(seen.dependentBlockList!.ndisOffloadHandle).toBe(handles.path);
    expect(statusesOf(root)).toEqual([NdisStatus.PENDING, NdisStatus.PENDING, NdisStatus.PENDING]);
    expect(host.completed).toHaveLength(0);
    world.runtime.settle();
    expect(host.completed[0]!.root).toBe(root);
    expect(host.completed[0]!.statuses).toEqual([0, 0, 0]);
    expect(handles.tcp.miniportOffloadContext).toBe(target.objects[2]);
  });

  test('the host reads the very statuses that the target wrote (TREE-044)', () => {
    const manual = new FakeTarget(world, 'nic1', false);
    world.ndis.registerAdapter(manual);
    const other = world.ndis.openAdapterEx(host, host, 'nic1');
    for (const status of Object.values(NdisStatus).filter((value) => value >= NdisStatus.OFFLOAD_PARTIAL_SUCCESS)) {
      const { root } = connectionTree();
      world.ndis.initiateOffload(other, root);
      const { root: below } = manual.pending.shift()!;
      below.status = status;
      below.dependentBlockList!.status = NdisStatus.RESOURCES;
      below.dependentBlockList!.dependentBlockList!.status = NdisStatus.FAILURE;
      manual.ndisM.initiateOffloadComplete(manual.handle, below);
      expect(host.completed.at(-1)!.statuses).toEqual([status, NdisStatus.RESOURCES, NdisStatus.FAILURE]);
    }
  });

  test('each operation has its own entry and its own completion (IM-031, QRY-027)', () => {
    const handles = offload();
    const tree = (): OffloadBlock => reference(handles.tcp, OffloadStateType.TCP_CACHED);
    world.ndis.updateOffload(binding, tree());
    world.ndis.queryOffloadState(binding, tree());
    world.ndis.invalidateOffload(binding, tree());
    expect(target.pending.map((entry) => entry.operation)).toEqual([
      StateOperation.UPDATE,
      StateOperation.QUERY,
      StateOperation.INVALIDATE,
    ]);
    expect(world.ndis.operationsHeld).toBe(3);
    world.runtime.settle();
    expect(host.completed.map((entry) => entry.operation)).toEqual([0, 2, 3, 4]);
    expect(world.ndis.operationsHeld).toBe(0);
  });

  test('completions come up in the order in which the target makes them, whatever the order of the calls', () => {
    const manual = new FakeTarget(world, 'nic1', false);
    world.ndis.registerAdapter(manual);
    const other = world.ndis.openAdapterEx(host, host, 'nic1');
    const first = connectionTree();
    world.ndis.initiateOffload(other, first.root);
    manual.complete(StateOperation.INITIATE);
    const query = reference(first.handles.tcp, OffloadStateType.TCP);
    const update = reference(first.handles.tcp, OffloadStateType.TCP_CACHED);
    world.ndis.queryOffloadState(other, query);
    world.ndis.updateOffload(other, update);
    manual.complete(StateOperation.UPDATE);
    manual.complete(StateOperation.QUERY);
    expect(host.completed.map((entry) => entry.root)).toEqual([first.root, update, query]);
  });

  test('after a terminate the reference is gone from the slot; after one that failed it is not (CTX-015, TERM-024)', () => {
    const handles = offload();
    const failing = terminateTree(handles);
    target.upload = (root) => {
      root.status = NdisStatus.FAILURE;
    };
    world.ndis.terminateOffload(binding, failing.root);
    world.runtime.settle();
    expect(handles.neighbor.miniportOffloadContext).not.toBeNull();
    expect(handles.tcp.miniportOffloadContext).toBeNull();
    expect(() => world.ndis.offloadTcpSend(handles.tcp, data(1))).toThrow('CTX-015');
  });

  test('an initiate through a driver without chimney is refused by NDIS, later and in every block (IM-056)', () => {
    const plain = new FakeTarget(world, 'nic1');
    plain.hasChimney = false;
    world.ndis.registerAdapter(plain);
    const other = world.ndis.openAdapterEx(host, host, 'nic1');
    const { root, handles } = connectionTree();
    const placeholder = new OffloadBlock(OffloadStateType.NEIGHBOR);
    root.nextBlock = placeholder;
    world.ndis.initiateOffload(other, root);
    expect(host.completed).toHaveLength(0);
    expect(plain.pending).toHaveLength(0);
    world.runtime.settle();
    const { FAILURE, SUCCESS } = NdisStatus;
    expect(host.completed[0]!.statuses).toEqual([FAILURE, FAILURE, FAILURE, SUCCESS]);
    expect(handles.tcp.miniportOffloadContext).toBeNull();
  });

  test('a tree of a hundred thousand connections goes down and comes back without touching the call stack (TREE-008)', () => {
    const { root, tcp } = connectionTree();
    let last = tcp;
    for (let i = 1; i < 100_000; i++) {
      const next = reference(new NdisOffloadHandle(i), OffloadStateType.TCP);
      next.delegatedState = new TcpDelegatedState(
        tcp.delegatedState instanceof TcpDelegatedState ? tcp.delegatedState.words : undefined,
      );
      last.nextBlock = next;
      last = next;
    }
    world.ndis.initiateOffload(binding, root);
    world.runtime.settle();
    expect(host.completed[0]!.statuses).toHaveLength(100_002);
    expect(target.objects).toHaveLength(100_002);
  });
});

describe('data calls', () => {
  test('find the context below through the handle and always answer PENDING (CTX-009, SEND-003, RECV-002, DISC-002, FWD-002)', () => {
    const handles = offload();
    const object = target.objects[2]!;
    target.tcpOffloadSend = (_context, context) => {
      expect(context).toBe(object);
      return NdisStatus.FAILURE;
    };
    expect(world.ndis.offloadTcpSend(handles.tcp, data(10))).toBe(NdisStatus.PENDING);
    expect(world.ndis.offloadTcpReceive(handles.tcp, data(10))).toBe(NdisStatus.PENDING);
    const graceful = TcpDisconnectFlag.GRACEFUL_CLOSE;
    expect(world.ndis.offloadTcpDisconnect(handles.tcp, data(0), graceful)).toBe(NdisStatus.PENDING);
    expect(world.ndis.offloadTcpForward(handles.tcp, data(20))).toBe(NdisStatus.PENDING);
    expect(target.log).toContain(`disconnect ${graceful}`);
    expect([object.receives.length, object.disconnects.length, object.forwards.length]).toEqual([1, 1, 1]);
  });

  test('completions bring the very lists to the completion of their kind (CTX-022, NBL-010, NBL-011)', () => {
    const handles = offload();
    const object = target.objects[2]!;
    const lists = [data(1), data(2), data(3)];
    world.ndis.offloadTcpSend(handles.tcp, chainOf(lists)!);
    world.ndis.offloadTcpReceive(handles.tcp, data(4));
    world.ndis.offloadTcpDisconnect(handles.tcp, data(0), TcpDisconnectFlag.GRACEFUL_CLOSE);
    world.ndis.offloadTcpForward(handles.tcp, data(20));
    for (const list of object.sends) finish(list, NdisStatus.SUCCESS, 1);
    target.events.tcpOffloadSendComplete(target.handle, chainOf(object.sends)!);
    target.completeReceive(object.receives[0]!, NdisStatus.SUCCESS, 4);
    target.completeDisconnect(object.disconnects[0]!, NdisStatus.SUCCESS, 0);
    target.completeForward(object.forwards[0]!, NdisStatus.SUCCESS);
    expect(host.sent).toEqual(lists);
    expect([host.received.length, host.disconnected.length, host.forwarded.length]).toEqual([1, 1, 1]);
  });

  test('an object that was never offloaded is not named in a data call', () => {
    expect(() => world.ndis.offloadTcpSend(new NdisOffloadHandle('x'), data(1))).toThrow('CTX-009');
  });
});

describe('indications', () => {
  test("carry the overlying driver's own handle, the answer goes back down (CTX-019, EVT-046, RECV-073)", () => {
    const handles = offload();
    const object = target.objects[2]!;
    target.events.tcpOffloadEventHandler(object.handle, TcpOffloadEventType.INDICATE_RETRIEVE, 5);
    expect(host.events).toEqual(['T 2 5']);
    expect(object.handle).toBe(handles.tcp);
    host.answer = () => ({ status: NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED, consumed: 3 });
    expect(target.indicate(object, data(10))).toEqual({
      answer: NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED,
      consumed: 3,
    });
    expect(world.ndis.listsHeld).toBe(0);
  });

  test('a reachability query is answered inside the call, and the target gets its block back as it was (CTX-018, EVT-047)', () => {
    offload();
    const block = neighborBlock(target.objects[0]!.handle);
    block.offloadHandle = null;
    block.ndisOffloadHandle = target.objects[0]!.handle;
    target.ndisM.offloadEventIndicate(target.handle, block, IndicateOffloadEvent.NEIGHBOR_REACHABILITY_QUERY);
    expect((block.cachedState as NeighborCachedState).hostReachabilityDelta).toBe(77);
    expect(block.ndisOffloadHandle).toBe(target.objects[0]!.handle);
    target.ndisM.offloadEventIndicate(target.handle, null, IndicateOffloadEvent.NEIGHBOR_REACHABILITY_IN_DOUBT);
    expect(host.events).toEqual(['reachability 1', 'reachability 2']);
  });

  test('statuses and OID completions go up, OID requests down (EVT-031, PWR-004)', () => {
    target.oidAnswer = NdisStatus.PENDING;
    const request = { oid: Oid.PNP_SET_POWER, kind: 'set', information: 3 } as const;
    expect(world.ndis.oidRequest(binding, request)).toBe(NdisStatus.PENDING);
    target.ndisM.oidRequestComplete(target.handle, request, NdisStatus.SUCCESS);
    target.ndisM.indicateStatusEx(target.handle, { statusCode: NdisStatus.OFFLOAD_PAUSE });
    expect(host.oids).toEqual([`${Oid.PNP_SET_POWER} 0`]);
    expect(host.statuses).toEqual([NdisStatus.OFFLOAD_PAUSE]);
  });
});

describe('ordinary frames', () => {
  test('go down and are completed, come up and are returned', () => {
    const out = data(60);
    world.ndis.sendNetBufferLists(binding, out, 0);
    expect(target.framesSent).toEqual([out]);
    target.ndisM.sendNetBufferListsComplete(target.handle, out);
    expect(host.framesSent).toEqual([out]);
    const frame = data(60);
    target.ndisM.indicateReceiveNetBufferLists(target.handle, frame, 0, 0);
    target.ndisM.indicateReceiveDone(target.handle);
    expect([host.frames, host.receiveDones]).toEqual([[frame], 1]);
    world.ndis.returnNetBufferLists(binding, frame);
    expect(target.framesReturned).toEqual([frame]);
  });

  test('with nobody above they go straight back, and are counted', () => {
    const lone = new FakeTarget(world, 'nic1');
    world.ndis.registerAdapter(lone);
    const frame = data(60);
    lone.ndisM.indicateReceiveNetBufferLists(lone.handle, frame, 0, 0);
    lone.ndisM.indicateReceiveNetBufferLists(lone.handle, data(60), 0, NDIS_RECEIVE_FLAGS_RESOURCES);
    lone.ndisM.indicateReceiveDone(lone.handle);
    lone.ndisM.indicateStatusEx(lone.handle, { statusCode: NdisStatus.LINK_STATE_UP });
    expect(lone.framesReturned).toEqual([frame]);
    expect(world.trace.countOf('NDIS_NO_RECEIVER')).toBe(2);
  });
});

describe('closing and halting', () => {
  test('a quiet adapter closes soon, not inside the call', () => {
    let closed = false;
    world.ndis.closeAdapterEx(binding, () => {
      closed = true;
    });
    expect(closed).toBe(false);
    world.runtime.settle();
    expect(closed).toBe(true);
  });

  test('an adapter does not close while an accepted indication is out (RECV-086, NBL-005)', () => {
    offload();
    target.indicate(target.objects[2]!, data(10));
    target.indicate(target.objects[2]!, data(10));
    expect(world.ndis.listsHeld).toBe(2);
    const state = close();
    expect(state.closed).toBe(false);
    world.ndis.offloadTcpReceiveReturn(binding, host.indicated[0]!);
    world.runtime.settle();
    expect(state.closed).toBe(false);
    world.ndis.offloadTcpReceiveReturn(binding, host.indicated[1]!);
    world.runtime.settle();
    expect(state.closed).toBe(true);
    expect(target.returned).toEqual(host.indicated);
  });

  test('refused and partly taken indications are not waited for (RECV-076, NBL-006)', () => {
    offload();
    host.answer = () => ({ status: NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED, consumed: 0 });
    target.indicate(target.objects[2]!, data(10));
    expect(close().closed).toBe(true);
  });

  test('buffered data handed up at terminate is waited for, list by list (NBL-007, TERM-048, TERM-050)', () => {
    const handles = offload();
    const { root, tcp } = terminateTree(handles);
    const buffered = [data(5), data(6)];
    target.upload = () => {
      (tcp.delegatedState as TcpDelegatedState).bufferedData = chainOf(buffered);
    };
    world.ndis.terminateOffload(binding, root);
    world.runtime.settle();
    expect(world.ndis.listsHeld).toBe(2);
    const state = close();
    expect(state.closed).toBe(false);
    world.ndis.offloadTcpReceiveReturn(binding, buffered[0]!);
    world.runtime.settle();
    expect(state.closed).toBe(true);
    expect(target.returned).toEqual(buffered);
  });

  test('ordinary frames and open operations are waited for as well', () => {
    const frame = data(60);
    target.ndisM.indicateReceiveNetBufferLists(target.handle, frame, 0, 0);
    const out = data(60);
    world.ndis.sendNetBufferLists(binding, out, 0);
    const state = close();
    world.ndis.returnNetBufferLists(binding, frame);
    world.runtime.settle();
    expect(state.closed).toBe(false);
    target.ndisM.sendNetBufferListsComplete(target.handle, out);
    world.runtime.settle();
    expect(state.closed).toBe(true);
    const late = data(60);
    target.ndisM.indicateReceiveNetBufferLists(target.handle, late, 0, 0);
    expect(target.framesReturned).toEqual([frame, late]);
  });

  test('a closed binding is not used', () => {
    close();
    expect(() => world.ndis.sendNetBufferLists(binding, data(1), 0)).toThrow('closed binding');
    expect(() => world.ndis.closeAdapterEx(binding, () => {})).toThrow('closed once');
  });

  test('halting waits until the binding is closed, and takes the name away (RECV-086)', async () => {
    offload();
    target.indicate(target.objects[2]!, data(10));
    const halted = world.ndis.haltAdapter('nic0');
    close();
    await Promise.resolve();
    expect(target.log).not.toContain('haltEx');
    world.ndis.offloadTcpReceiveReturn(binding, host.indicated[0]!);
    world.runtime.settle();
    await halted;
    expect(target.log).toContain('haltEx');
    expect(world.ndis.adapterNames).toEqual([]);
    await expect(world.ndis.haltAdapter('nic0')).rejects.toThrow('no adapter');
  });
});
