import { beforeEach, describe, expect, test } from 'vitest';
import type { ImOffloadEntry } from '../../src/im/entries.ts';
import { PassThrough } from '../../src/im/pass-through.ts';
import { NdisOffloadHandle, OffloadBlock } from '../../src/ndis/offload-block.ts';
import type { NdisBindingHandle } from '../../src/ndis/protocol.ts';
import { NdisStatus, OffloadStateType, Oid, TcpDisconnectFlag, TcpOffloadEventType } from '../../src/ndis/status.ts';
import { StateOperation } from '../../src/ndis/tap.ts';
import type { NeighborCachedState } from '../../src/state/neighbor.ts';
import type { NetBufferList } from '../../src/state/net-buffer-list.ts';
import type { TcpDelegatedState } from '../../src/state/tcp.ts';
import {
  bindHost,
  type Connection,
  chainOf,
  connectionTree,
  data,
  FakeHost,
  FakeTarget,
  finish,
  hang,
  makeWorld,
  neighborBlock,
  reference,
  tcpBlock,
  terminateTree,
  type World,
} from '../ndis/fakes.ts';

let world: World;
let host: FakeHost;
let target: FakeTarget;

beforeEach(() => {
  world = makeWorld();
  host = new FakeHost();
  target = new FakeTarget(world);
  world.ndis.registerAdapter(target);
});

type Options = Partial<ConstructorParameters<typeof PassThrough>[2]>;

function stackDriver(name: string, over: string, options: Options = {}): PassThrough {
  const driver = new PassThrough(world, over, { name, ...options });
  world.ndis.registerAdapter(driver);
  return driver;
}

function offload(binding: NdisBindingHandle): Connection {
  const { root, handles } = connectionTree();
  world.ndis.initiateOffload(binding, root);
  world.runtime.settle();
  return handles;
}

function single(options: Options = {}): { driver: PassThrough; binding: NdisBindingHandle } {
  const driver = stackDriver('im0', 'nic0', options);
  return { driver, binding: bindHost(world, host, 'im0') };
}

describe('state operations through an intermediate driver', () => {
  test('an initiate builds the chain of handles: slot above names the entry, its slot the object below (IM-007 to IM-013)', () => {
    const { driver, binding } = single();
    const handles = offload(binding);
    const entry = handles.tcp.miniportOffloadContext as ImOffloadEntry;
    expect(entry.handleAbove).toBe(handles.tcp);
    expect(entry.handle.miniportOffloadContext).toBe(target.objects[2]);
    expect(target.objects[2]!.handle).toBe(entry.handle);
    expect([driver.offloadEntries, driver.callEntries]).toEqual([3, 0]);
  });

  test('the root reaches the host with statuses, handles, ImReserved and SourceHandle as they were (IM-021 to IM-030)', () => {
    const { binding } = single();
    const { root, handles } = connectionTree();
    root.imReserved[0] = 'above';
    target.decide = (block) =>
      block.header.type === OffloadStateType.TCP ? NdisStatus.OFFLOAD_TCP_ENTRIES : NdisStatus.SUCCESS;
    world.ndis.initiateOffload(binding, root);
    expect(root.imReserved[0]).not.toBe('above');
    expect(root.sourceHandle).not.toBe(binding);
    world.runtime.settle();
    expect(host.completed[0]!.root).toBe(root);
    expect(host.completed[0]!.statuses).toEqual([
      NdisStatus.SUCCESS,
      NdisStatus.OFFLOAD_PARTIAL_SUCCESS,
      NdisStatus.OFFLOAD_TCP_ENTRIES,
    ]);
    expect(root.imReserved).toEqual(['above', null]);
    expect(root.sourceHandle).toBe(binding);
    expect(root.offloadHandle).toBe(handles.neighbor);
    expect(handles.tcp.miniportOffloadContext).toBeNull();
  });

  test('an object that was not taken costs no entry (INIT-036, IM-007)', () => {
    const { driver, binding } = single();
    target.decide = (block) =>
      block.header.type === OffloadStateType.IP4 ? NdisStatus.OFFLOAD_PATH_ENTRIES : NdisStatus.SUCCESS;
    offload(binding);
    expect(driver.offloadEntries).toBe(1);
  });

  test('linkers and placeholders keep their meaning on the way down (TREE-016, TREE-021, INIT-080)', () => {
    const { driver, binding } = single();
    const handles = offload(binding);
    const second = new NdisOffloadHandle('T2');
    const root = hang(
      new OffloadBlock(OffloadStateType.NEIGHBOR),
      hang(reference(handles.path, OffloadStateType.IP4), tcpBlock(second, 81)),
    );
    world.ndis.initiateOffload(binding, root);
    world.runtime.settle();
    expect(host.completed[1]!.statuses).toEqual([0, 0, 0]);
    expect(second.miniportOffloadContext).not.toBeNull();
    expect(driver.offloadEntries).toBe(4);
  });

  test('query, update and invalidate each complete as themselves, also out of order (IM-014, IM-031, IM-062)', () => {
    target = new FakeTarget(world, 'nic1', false);
    world.ndis.registerAdapter(target);
    const driver = stackDriver('im1', 'nic1');
    const binding = bindHost(world, host, 'im1');
    const { root, handles } = connectionTree();
    world.ndis.initiateOffload(binding, root);
    target.complete(StateOperation.INITIATE);
    const tree = (): OffloadBlock => reference(handles.tcp, OffloadStateType.TCP_CACHED);
    world.ndis.queryOffloadState(binding, tree());
    world.ndis.updateOffload(binding, tree());
    world.ndis.invalidateOffload(binding, tree());
    expect(driver.callEntries).toBe(3);
    target.complete(StateOperation.INVALIDATE);
    target.complete(StateOperation.QUERY);
    target.complete(StateOperation.UPDATE);
    const { INITIATE, INVALIDATE, QUERY, UPDATE } = StateOperation;
    expect(host.completed.map((entry) => entry.operation)).toEqual([INITIATE, INVALIDATE, QUERY, UPDATE]);
    expect(driver.callEntries).toBe(0);
  });

  test('an operation that comes back as another one is a bug, and is told as one (IM-031)', () => {
    const { binding } = single();
    const handles = offload(binding);
    world.ndis.queryOffloadState(binding, reference(handles.tcp, OffloadStateType.TCP));
    const root = target.take(StateOperation.QUERY);
    expect(() => target.handBack(StateOperation.UPDATE, root)).toThrow('IM-031');
  });

  test('a terminate brings up what the target wrote, and frees the entries (IM-028, TERM-015, TERM-053)', () => {
    const { driver, binding } = single();
    const handles = offload(binding);
    const lists = [data(5), data(6)];
    world.ndis.offloadTcpSend(handles.tcp, chainOf(lists)!);
    expect(driver.sendListsBelow).toBe(2);
    const { root, tcp } = terminateTree(handles);
    world.ndis.terminateOffload(binding, root);
    expect(driver.offloadEntries).toBe(3);
    world.runtime.settle();
    expect(tcp.netBufferListChain).toBe(lists[0]);
    expect((tcp.delegatedState as TcpDelegatedState).sendDataTail).toBe(lists[1]);
    expect(handles.tcp.miniportOffloadContext).toBeNull();
    expect([driver.offloadEntries, driver.callEntries, driver.sendListsBelow]).toEqual([0, 0, 0]);
  });

  test('after a terminate that failed the entry lives on for the second one (TERM-024)', () => {
    const { driver, binding } = single();
    const handles = offload(binding);
    target.upload = (root) => {
      root.dependentBlockList!.dependentBlockList!.status = NdisStatus.FAILURE;
    };
    world.ndis.terminateOffload(binding, terminateTree(handles).root);
    world.runtime.settle();
    expect(driver.offloadEntries).toBe(1);
    target.upload = () => {};
    world.ndis.terminateOffload(binding, reference(handles.tcp, OffloadStateType.TCP_DELEGATED));
    world.runtime.settle();
    expect(driver.offloadEntries).toBe(0);
  });

  test('an initiate beyond the entries it has is refused whole, later, with legal statuses (INIT-014, INIT-027)', () => {
    const { driver, binding } = single({ maxOffloadEntries: 2 });
    const { root, handles } = connectionTree();
    world.ndis.initiateOffload(binding, root);
    expect(host.completed).toHaveLength(0);
    world.runtime.settle();
    expect(host.completed[0]!.statuses).toEqual([NdisStatus.RESOURCES, NdisStatus.FAILURE, NdisStatus.FAILURE]);
    expect([target.objects.length, driver.offloadEntries]).toEqual([0, 0]);
    expect(handles.neighbor.miniportOffloadContext).toBeNull();
    expect(world.trace.countOf('IM_OFFLOAD_REFUSED')).toBe(1);
  });

  test('only an initiate may name what is not offloaded (CTX-007)', () => {
    const { binding } = single();
    const stray = reference(new NdisOffloadHandle('x'), OffloadStateType.TCP);
    expect(() => world.ndis.queryOffloadState(binding, stray)).toThrow('CTX-007');
  });

  test('nothing is offloaded through a driver that registered no chimney functions (IM-055, IM-056)', () => {
    const { binding } = single({ hasChimney: false });
    const request = { oid: Oid.TCP_TASK_OFFLOAD, kind: 'query', information: null as unknown } as const;
    expect(world.ndis.oidRequest(binding, request)).toBe(NdisStatus.SUCCESS);
    expect(request.information).toEqual({ chimneyTypes: [1] });
    offload(binding);
    expect(host.completed[0]!.statuses).toEqual([NdisStatus.FAILURE, NdisStatus.FAILURE, NdisStatus.FAILURE]);
    expect(target.objects).toHaveLength(0);
  });
});

describe('data through an intermediate driver', () => {
  test('the same lists and flags go down, the same lists come up (IM-033 to IM-040)', () => {
    const { binding } = single();
    const handles = offload(binding);
    const object = target.objects[2]!;
    const lists = [data(1), data(2), data(3), data(20)];
    const { GRACEFUL_CLOSE } = TcpDisconnectFlag;
    expect(world.ndis.offloadTcpSend(handles.tcp, lists[0]!)).toBe(NdisStatus.PENDING);
    expect(world.ndis.offloadTcpReceive(handles.tcp, lists[1]!)).toBe(NdisStatus.PENDING);
    expect(world.ndis.offloadTcpDisconnect(handles.tcp, lists[2]!, GRACEFUL_CLOSE)).toBe(NdisStatus.PENDING);
    expect(world.ndis.offloadTcpForward(handles.tcp, lists[3]!)).toBe(NdisStatus.PENDING);
    expect(target.log).toContain(`disconnect ${GRACEFUL_CLOSE}`);
    expect([...object.sends, ...object.receives, ...object.disconnects, ...object.forwards]).toEqual(lists);
    target.completeSend(lists[0]!, NdisStatus.SUCCESS, 1);
    target.completeReceive(lists[1]!, NdisStatus.SUCCESS, 2);
    target.completeDisconnect(lists[2]!, NdisStatus.SUCCESS, 3);
    target.completeForward(lists[3]!, NdisStatus.SUCCESS);
    expect([...host.sent, ...host.received, ...host.disconnected, ...host.forwarded]).toEqual(lists);
  });

  test("indications go up with the overlying driver's handle; answer, BytesConsumed and return come down (IM-046 to IM-052, IM-041)", () => {
    const { binding } = single();
    offload(binding);
    const object = target.objects[2]!;
    target.events.tcpOffloadEventHandler(object.handle, TcpOffloadEventType.INDICATE_SEND_BACKLOG_CHANGE, 65536);
    expect(host.events).toEqual(['T 4 65536']);
    host.answer = () => ({ status: NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED, consumed: 4 });
    expect(target.indicate(object, data(9))).toEqual({
      answer: NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED,
      consumed: 4,
    });
    host.answer = () => ({ status: NdisStatus.SUCCESS, consumed: 9 });
    const list = data(9);
    target.indicate(object, list);
    expect(world.ndis.listsHeld).toBe(2);
    world.ndis.offloadTcpReceiveReturn(binding, list);
    expect(target.returned).toEqual([list]);
    expect(world.ndis.listsHeld).toBe(0);
  });

  test("a reachability query goes up and is answered into the target's block (IM-061)", () => {
    const { binding } = single();
    const handles = offload(binding);
    const block = neighborBlock(target.objects[0]!.handle);
    block.ndisOffloadHandle = target.objects[0]!.handle;
    const asked: (NdisOffloadHandle | null)[] = [];
    const indicate = host.indicateOffloadEvent.bind(host);
    host.indicateOffloadEvent = (context: unknown, root: unknown, code: number): void => {
      if (root !== null) asked.push((root as OffloadBlock).offloadHandle);
      indicate(context, root, code);
    };
    target.ndisM.offloadEventIndicate(target.handle, block, 1);
    expect(asked).toEqual([handles.neighbor]); // by the host's own name for it
    expect((block.cachedState as NeighborCachedState).hostReachabilityDelta).toBe(77);
    expect(block.ndisOffloadHandle).toBe(target.objects[0]!.handle);
    target.ndisM.offloadEventIndicate(target.handle, null, 2);
    expect(host.events).toEqual(['reachability 1', 'reachability 2']);
  });

  test('a send beyond its memory comes back REQUEST_UPLOAD, then UPLOAD_REQUESTED, later, and nothing of it goes down (IM-042, IM-043)', () => {
    const { driver, binding } = single({ maxSendLists: 2 });
    const handles = offload(binding);
    const first = data(10);
    world.ndis.offloadTcpSend(handles.tcp, first);
    const lists = [data(1), data(2), data(3)];
    world.ndis.offloadTcpSend(handles.tcp, chainOf(lists)!);
    expect(host.sent).toEqual([]);
    world.runtime.settle();
    expect(host.sent).toEqual(lists);
    const { REQUEST_UPLOAD, UPLOAD_REQUESTED } = NdisStatus;
    expect(lists.map((list) => list.status)).toEqual([REQUEST_UPLOAD, UPLOAD_REQUESTED, UPLOAD_REQUESTED]);
    expect(target.objects[2]!.sends).toEqual([first]);
    expect([driver.sendListsBelow, world.trace.countOf('IM_SEND_REFUSED')]).toEqual([1, 1]);
  });

  test('nothing overtakes a refused send: later sends and a graceful close are refused too, an abortive one is not (IM-042, SEND-005)', () => {
    const { binding } = single({ maxSendLists: 1 });
    const handles = offload(binding);
    world.ndis.offloadTcpSend(handles.tcp, data(10));
    world.ndis.offloadTcpSend(handles.tcp, data(11));
    target.completeSend(target.objects[2]!.sends.pop()!, NdisStatus.SUCCESS, 10);
    const later = data(12);
    world.ndis.offloadTcpSend(handles.tcp, later);
    const fin = data(0);
    world.ndis.offloadTcpDisconnect(handles.tcp, fin, TcpDisconnectFlag.GRACEFUL_CLOSE);
    world.runtime.settle();
    expect([later.status, fin.status]).toEqual([NdisStatus.REQUEST_UPLOAD, NdisStatus.UPLOAD_IN_PROGRESS]);
    expect(host.disconnected).toEqual([fin]);
    world.ndis.offloadTcpDisconnect(handles.tcp, data(0), TcpDisconnectFlag.ABORTIVE_CLOSE);
    expect(target.log).toContain(`disconnect ${TcpDisconnectFlag.ABORTIVE_CLOSE}`);
    expect(target.objects[2]!.sends).toEqual([]);
  });

  test('send data that goes down with an initiate counts as below until it is completed (INIT-070, IM-042)', () => {
    const { driver, binding } = single();
    const { root, tcp } = connectionTree();
    tcp.netBufferListChain = chainOf([data(3), data(4)]);
    const lost = connectionTree();
    lost.tcp.netBufferListChain = data(9);
    root.nextBlock = lost.root;
    target.decide = (block) => (block.netBufferListChain?.next === null ? NdisStatus.RESOURCES : NdisStatus.SUCCESS);
    world.ndis.initiateOffload(binding, root);
    world.runtime.settle();
    expect(driver.sendListsBelow).toBe(2);
    const sends = target.objects[2]!.sends;
    for (const list of sends) finish(list, NdisStatus.SUCCESS, 3);
    target.events.tcpOffloadSendComplete(target.handle, chainOf(sends.splice(0))!);
    expect(driver.sendListsBelow).toBe(0);
  });
});

describe('everything else', () => {
  test('ordinary frames, receiveDone, statuses and OIDs pass both ways (IM-058, IM-060)', () => {
    const { binding } = single();
    expect(target.log).toEqual([`oid query ${Oid.TCP_TASK_OFFLOAD}`, `oid set ${Oid.TCP_TASK_OFFLOAD}`]);
    const out = data(60);
    world.ndis.sendNetBufferLists(binding, out, 0);
    target.ndisM.sendNetBufferListsComplete(target.handle, out);
    const frame = data(60);
    target.ndisM.indicateReceiveNetBufferLists(target.handle, frame, 0, 0);
    target.ndisM.indicateReceiveDone(target.handle);
    world.ndis.returnNetBufferLists(binding, frame);
    target.ndisM.indicateStatusEx(target.handle, { statusCode: NdisStatus.UPLOAD_ALL });
    target.oidAnswer = NdisStatus.PENDING;
    const request = { oid: Oid.PNP_SET_POWER, kind: 'set', information: 3 } as const;
    expect(world.ndis.oidRequest(binding, request)).toBe(NdisStatus.PENDING);
    target.ndisM.oidRequestComplete(target.handle, request, NdisStatus.SUCCESS);
    expect([target.framesSent, host.framesSent, target.framesReturned]).toEqual([[out], [out], [frame]]);
    expect([host.frames, host.receiveDones, host.statuses]).toEqual([[frame], 1, [NdisStatus.UPLOAD_ALL]]);
    expect(host.oids).toEqual([`${Oid.PNP_SET_POWER} 0`]);
  });

  test('a driver that allows no offload answers the capability query itself; the target never sees it (IM-057)', () => {
    const { binding } = single({ allowOffload: false });
    const request = { oid: Oid.TCP_TASK_OFFLOAD, kind: 'query', information: null } as const;
    expect(world.ndis.oidRequest(binding, request)).toBe(NdisStatus.NOT_SUPPORTED);
    expect(target.log).toEqual([`oid set ${Oid.TCP_TASK_OFFLOAD}`]);
  });

  test('frames that come before it is an adapter go straight back', () => {
    new PassThrough(world, 'nic0', { name: 'early' });
    const frame: NetBufferList = data(60);
    target.ndisM.indicateReceiveNetBufferLists(target.handle, frame, 0, 0);
    target.ndisM.indicateReceiveDone(target.handle);
    target.ndisM.indicateStatusEx(target.handle, { statusCode: NdisStatus.LINK_STATE_UP });
    expect(target.framesReturned).toEqual([frame]);
  });

  test('it shows the attributes of the adapter below under its own name', () => {
    const { driver } = single();
    expect(driver.attributes).toEqual({ ...target.attributes, name: 'im0' });
  });

  test('halting it lets go of the adapter below, which may then be halted', async () => {
    const { binding } = single();
    world.ndis.closeAdapterEx(binding, () => {});
    world.runtime.settle();
    const halted = world.ndis.haltAdapter('im0');
    await Promise.resolve();
    world.runtime.settle();
    await halted;
    await world.ndis.haltAdapter('nic0');
    expect(target.log).toContain('haltEx');
  });
});

describe('stacks', () => {
  test('four drivers: each adds a level of handles, and everything arrives as through none (IM-064)', () => {
    const drivers = ['im0', 'im1', 'im2', 'im3'].map((name, i) => stackDriver(name, i === 0 ? 'nic0' : `im${i - 1}`));
    const binding = bindHost(world, host, 'im3');
    const handles = offload(binding);
    const object = target.objects[2]!;
    let slot: unknown = handles.tcp.miniportOffloadContext;
    for (const _ of drivers) slot = (slot as ImOffloadEntry).handle.miniportOffloadContext;
    expect(slot).toBe(object);
    const list = data(5);
    world.ndis.offloadTcpSend(handles.tcp, list);
    target.completeSend(object.sends.pop()!, NdisStatus.SUCCESS, 5);
    target.events.tcpOffloadEventHandler(object.handle, TcpOffloadEventType.INDICATE_RETRIEVE, 5);
    target.indicate(object, data(7));
    world.ndis.offloadTcpReceiveReturn(binding, host.indicated[0]!);
    const { root } = terminateTree(handles);
    world.ndis.terminateOffload(binding, root);
    world.runtime.settle();
    expect(host.sent).toEqual([list]);
    expect(host.events).toEqual(['T 2 5']);
    expect(host.completed[1]!.root).toBe(root);
    expect(root.sourceHandle).toBe(binding);
    expect(drivers.map((driver) => [driver.offloadEntries, driver.callEntries])).toEqual(drivers.map(() => [0, 0]));
    expect(world.ndis.listsHeld).toBe(0);
  });
});
