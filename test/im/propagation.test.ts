/** How operations, data and events pass an intermediate driver, looked at from inside the driver and from both ends. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { ImOffloadEntry } from '../../src/im/entries.ts';
import { PassThrough } from '../../src/im/pass-through.ts';
import type { MiniportOffloadBlock } from '../../src/ndis/miniport.ts';
import { OFFLOAD_BLOCK_SIZE, type OffloadBlock } from '../../src/ndis/offload-block.ts';
import type { NdisBindingHandle, NdisOffloadHandle, ProtocolOffloadBlock } from '../../src/ndis/protocol.ts';
import { NdisStatus, OffloadStateType, TcpDisconnectFlag, TcpOffloadEventType } from '../../src/ndis/status.ts';
import { StateOperation } from '../../src/ndis/tap.ts';
import type { NetBufferList } from '../../src/state/net-buffer-list.ts';
import {
  bindHost,
  type Connection,
  connectionTree,
  data,
  FakeHost,
  FakeTarget,
  makeWorld,
  neighborBlock,
  reference,
  terminateTree,
  type World,
} from '../ndis/fakes.ts';

/** What of a block each face shows, as it is at a moment. */
interface Face {
  readonly block: unknown;
  readonly offloadHandle: NdisOffloadHandle | null;
  readonly miniportOffloadContext: NdisOffloadHandle | null;
  readonly ndisOffloadHandle: NdisOffloadHandle | null;
  readonly size: number;
  readonly imReserved: unknown;
  readonly sourceHandle: unknown;
  readonly constState: unknown;
}

function faceOf(root: unknown): Face {
  const block = root as OffloadBlock;
  const { offloadHandle, miniportOffloadContext, ndisOffloadHandle, sourceHandle, constState } = block;
  const imReserved = block.imReserved[0];
  const size = block.header.size;
  return {
    block,
    offloadHandle,
    miniportOffloadContext,
    ndisOffloadHandle,
    size,
    imReserved,
    sourceHandle,
    constState,
  };
}

/** A pass-through driver that writes down which of its entries is called, and how the root looks then. */
class Glass extends PassThrough {
  readonly log: string[] = [];
  readonly entered: Face[] = [];
  readonly completed: Face[] = [];

  override initiateOffload(context: unknown, root: MiniportOffloadBlock): void {
    this.#enter('initiateOffload', root);
    super.initiateOffload(context, root);
  }
  override terminateOffload(context: unknown, root: MiniportOffloadBlock): void {
    this.#enter('terminateOffload', root);
    super.terminateOffload(context, root);
  }
  override queryOffload(context: unknown, root: MiniportOffloadBlock): void {
    this.#enter('queryOffload', root);
    super.queryOffload(context, root);
  }
  override updateOffload(context: unknown, root: MiniportOffloadBlock): void {
    this.#enter('updateOffload', root);
    super.updateOffload(context, root);
  }
  override invalidateOffload(context: unknown, root: MiniportOffloadBlock): void {
    this.#enter('invalidateOffload', root);
    super.invalidateOffload(context, root);
  }
  override initiateOffloadComplete(context: unknown, root: ProtocolOffloadBlock): void {
    this.#complete('initiateOffloadComplete', root);
    super.initiateOffloadComplete(context, root);
  }
  override terminateOffloadComplete(context: unknown, root: ProtocolOffloadBlock): void {
    this.#complete('terminateOffloadComplete', root);
    super.terminateOffloadComplete(context, root);
  }
  override queryOffloadComplete(context: unknown, root: ProtocolOffloadBlock): void {
    this.#complete('queryOffloadComplete', root);
    super.queryOffloadComplete(context, root);
  }
  override updateOffloadComplete(context: unknown, root: ProtocolOffloadBlock): void {
    this.#complete('updateOffloadComplete', root);
    super.updateOffloadComplete(context, root);
  }
  override invalidateOffloadComplete(context: unknown, root: ProtocolOffloadBlock): void {
    this.#complete('invalidateOffloadComplete', root);
    super.invalidateOffloadComplete(context, root);
  }
  override tcpOffloadEvent(handle: NdisOffloadHandle, type: number, information: number): void {
    this.log.push(`tcpOffloadEvent ${handle.owner === this.entry ? 'entry' : '?'}`);
    super.tcpOffloadEvent(handle, type, information);
  }
  override indicateOffloadEvent(context: unknown, block: ProtocolOffloadBlock | null, code: number): void {
    this.log.push('indicateOffloadEvent');
    super.indicateOffloadEvent(context, block, code);
  }
  override tcpOffloadReceiveIndicate(
    handle: NdisOffloadHandle,
    list: NetBufferList,
    status: number,
    consumed: { value: number },
  ): number {
    this.log.push(`tcpOffloadReceiveIndicate ${handle.owner === this.entry ? 'entry' : '?'} ${status}`);
    return super.tcpOffloadReceiveIndicate(handle, list, status, consumed);
  }
  override tcpOffloadSend(context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    this.log.push(`tcpOffloadSend ${offloadContext === this.entry ? 'entry' : '?'}`);
    return super.tcpOffloadSend(context, offloadContext, lists);
  }

  /** The entry of the connection, for comparison. */
  entry: ImOffloadEntry | null = null;

  #enter(name: string, root: unknown): void {
    this.log.push(name);
    this.entered.push(faceOf(root));
  }
  #complete(name: string, root: unknown): void {
    this.log.push(name);
    this.completed.push(faceOf(root));
  }
}

let world: World;
let host: FakeHost;
let target: FakeTarget;
let driver: Glass;
let binding: NdisBindingHandle;

beforeEach(() => {
  world = makeWorld();
  host = new FakeHost();
  target = new FakeTarget(world);
  world.ndis.registerAdapter(target);
  driver = new Glass(world, 'nic0', { name: 'im0' });
  world.ndis.registerAdapter(driver);
  binding = bindHost(world, host, 'im0');
});

function offload(): Connection {
  const { root, handles } = connectionTree();
  world.ndis.initiateOffload(binding, root);
  world.runtime.settle();
  driver.entry = handles.tcp.miniportOffloadContext as ImOffloadEntry;
  return handles;
}

/** Lets the target write down the root of the next operation as it arrives there. */
function watchTarget(name: 'initiateOffload' | 'queryOffload'): Face[] {
  const seen: Face[] = [];
  const original = target[name].bind(target);
  const watched = (context: unknown, root: MiniportOffloadBlock): void => {
    seen.push(faceOf(root));
    original(context, root);
  };
  target[name] = watched;
  return seen;
}

describe('block lists', () => {
  test('the driver is given a miniport block list, hands on a protocol block list, and gets that back [IM-015, IM-016, IM-023, IM-024, IM-027, IM-029]', () => {
    const atTarget = watchTarget('initiateOffload');
    const { root, handles } = connectionTree();
    world.ndis.initiateOffload(binding, root);
    const [entered] = driver.entered;
    // NDIS made a miniport block of it: slot and indication handle are the host's.
    expect(entered).toMatchObject({ miniportOffloadContext: handles.neighbor, ndisOffloadHandle: handles.neighbor });
    world.runtime.settle();
    const entry = handles.neighbor.miniportOffloadContext as ImOffloadEntry;
    // What the driver handed on named its own handle, which is what the target got as slot and indication handle.
    expect(atTarget[0]).toMatchObject({ miniportOffloadContext: entry.handle, ndisOffloadHandle: entry.handle });
    // On its way up it is a protocol block again, with the driver's handle; and for the host with the host's.
    expect(driver.completed[0]!.offloadHandle).toBe(entry.handle);
    expect(root.offloadHandle).toBe(handles.neighbor);
    expect(host.completed[0]!.root).toBe(root);
  });

  test('the block stays where it is and keeps everything else: identity, size, state structures [IM-017, IM-018, IM-019]', () => {
    const atTarget = watchTarget('initiateOffload');
    const { root } = connectionTree();
    const { constState, cachedState, delegatedState, dependentBlockList } = root;
    world.ndis.initiateOffload(binding, root);
    world.runtime.settle();
    for (const face of [driver.entered[0]!, atTarget[0]!, driver.completed[0]!]) {
      expect(face.block).toBe(root);
      // Two reserved words and two handles in one face, three and one in the other: the same room in both.
      expect(face.size).toBe(OFFLOAD_BLOCK_SIZE);
      expect(face.constState).toBe(constState);
    }
    expect(root).toMatchObject({ constState, cachedState, delegatedState, dependentBlockList });
  });

  test('one call entry an operation, named by ImReserved below, gone when the operation is over; ImReserved and SourceHandle come back [IM-020, IM-021, IM-022, IM-025, IM-026, IM-028, IM-032]', () => {
    const handles = offload();
    const atTarget = watchTarget('queryOffload');
    const roots = [1, 2, 3].map((mark) => {
      const block = reference(handles.tcp, OffloadStateType.TCP);
      block.imReserved[0] = mark;
      return block;
    });
    expect(driver.callEntries).toBe(0);
    for (const root of roots) world.ndis.queryOffloadState(binding, root);
    expect(driver.callEntries).toBe(3);
    expect(new Set(atTarget.map((face) => face.imReserved)).size).toBe(3);
    const entered = driver.entered.slice(-3);
    expect(entered.map((face) => face.imReserved)).toEqual([1, 2, 3]);
    expect(entered.map((face) => face.sourceHandle)).toEqual([binding, binding, binding]);
    expect(atTarget.every((face) => face.sourceHandle !== binding)).toBe(true);
    world.runtime.settle();
    expect(driver.callEntries).toBe(0);
    expect(roots.map((root) => root.imReserved[0])).toEqual([1, 2, 3]);
    expect(roots.map((root) => root.sourceHandle)).toEqual([binding, binding, binding]);
  });

  test('each operation is passed on as itself, and completed as itself [IM-014, IM-031, IM-062]', () => {
    const handles = offload();
    world.ndis.queryOffloadState(binding, reference(handles.tcp, OffloadStateType.TCP));
    world.ndis.updateOffload(binding, reference(handles.tcp, OffloadStateType.TCP_CACHED));
    world.ndis.invalidateOffload(binding, reference(handles.tcp, OffloadStateType.TCP));
    world.runtime.settle();
    world.ndis.terminateOffload(binding, terminateTree(handles).root);
    world.runtime.settle();
    expect(driver.log).toEqual([
      ...['initiateOffload', 'initiateOffloadComplete', 'queryOffload', 'updateOffload', 'invalidateOffload'],
      ...['queryOffloadComplete', 'updateOffloadComplete', 'invalidateOffloadComplete'],
      ...['terminateOffload', 'terminateOffloadComplete'],
    ]);
    const { INITIATE, QUERY, UPDATE, INVALIDATE, TERMINATE } = StateOperation;
    expect(host.completed.map(({ operation }) => operation)).toEqual([INITIATE, QUERY, UPDATE, INVALIDATE, TERMINATE]);
  });

  test('the handles of one object make a chain: host, driver, target, each its own [IM-008, IM-009, IM-010, IM-011, IM-012, IM-013]', () => {
    const handles = offload();
    const entry = driver.entry!;
    const [, , object] = target.objects;
    expect(entry.handleAbove).toBe(handles.tcp);
    expect(entry.handle).not.toBe(handles.tcp);
    expect(handles.tcp.miniportOffloadContext).toBe(entry);
    expect(entry.handle.miniportOffloadContext).toBe(object);
    expect(object!.handle).toBe(entry.handle);
  });
});

describe('data and events', () => {
  test('send, receive, disconnect, forward and return all pass, each as itself; the driver gets its entry, the target its object [IM-033, IM-034, IM-035, IM-036, IM-037, IM-041, IM-063]', () => {
    const handles = offload();
    const [, , object] = target.objects;
    const [send, receive, fin, segment, indicated] = [data(1), data(2), data(3), data(20), data(9)];
    world.ndis.offloadTcpSend(handles.tcp, send!);
    world.ndis.offloadTcpReceive(handles.tcp, receive!);
    world.ndis.offloadTcpDisconnect(handles.tcp, fin!, TcpDisconnectFlag.GRACEFUL_CLOSE);
    world.ndis.offloadTcpForward(handles.tcp, segment!);
    expect(driver.log).toContain('tcpOffloadSend entry');
    expect([object!.sends, object!.receives, object!.disconnects, object!.forwards]).toEqual([
      [send],
      [receive],
      [fin],
      [segment],
    ]);
    expect(target.log).toContain(`disconnect ${TcpDisconnectFlag.GRACEFUL_CLOSE}`);
    target.indicate(object!, indicated!);
    world.ndis.offloadTcpReceiveReturn(binding, indicated!);
    expect(target.returned).toEqual([indicated]);
    // No completion of the return, and one of each of the others with the very list.
    target.completeSend(send!, NdisStatus.SUCCESS, 1);
    target.completeReceive(receive!, NdisStatus.REQUEST_ABORTED, 0);
    target.completeDisconnect(fin!, NdisStatus.UPLOAD_IN_PROGRESS, 0);
    target.completeForward(segment!, NdisStatus.SUCCESS);
    expect([host.sent, host.received, host.disconnected, host.forwarded]).toEqual([
      [send],
      [receive],
      [fin],
      [segment],
    ]);
    expect([send, receive, fin, segment].map((list) => list!.status)).toEqual([
      NdisStatus.SUCCESS,
      NdisStatus.REQUEST_ABORTED,
      NdisStatus.UPLOAD_IN_PROGRESS,
      NdisStatus.SUCCESS,
    ]);
  });

  test('each kind of indication arrives at its own handler, with the entry of the object, and goes up as the same [IM-045, IM-046, IM-047, IM-048, IM-049, IM-050, IM-051]', () => {
    offload();
    driver.log.length = 0;
    const [neighbor, , object] = target.objects;
    target.events.tcpOffloadEventHandler(object!.handle, TcpOffloadEventType.INDICATE_RETRIEVE, 5);
    const list = data(4);
    target.indicate(object!, list);
    const block = neighborBlock(neighbor!.handle);
    block.ndisOffloadHandle = neighbor!.handle;
    target.ndisM.offloadEventIndicate(target.handle, block, 1);
    expect(driver.log).toEqual([
      'tcpOffloadEvent entry',
      `tcpOffloadReceiveIndicate entry ${NdisStatus.SUCCESS}`,
      'indicateOffloadEvent',
    ]);
    expect(host.events).toEqual(['T 2 5', 'reachability 1']);
    expect(host.indicated).toEqual([list]);
  });

  test('two adapters over two drivers do not get each other’s completions [IM-038, IM-039, IM-053]', () => {
    const other = new FakeTarget(world, 'nic1');
    world.ndis.registerAdapter(other);
    world.ndis.registerAdapter(new PassThrough(world, 'nic1', { name: 'im1' }));
    const second = new FakeHost();
    const secondBinding = bindHost(world, second, 'im1');
    const handles = offload();
    const { root, handles: others } = connectionTree();
    world.ndis.initiateOffload(secondBinding, root);
    world.runtime.settle();
    const { ABORTIVE_CLOSE } = TcpDisconnectFlag;
    const [mine, theirs] = [data(0), data(0)];
    world.ndis.offloadTcpDisconnect(handles.tcp, mine!, ABORTIVE_CLOSE);
    world.ndis.offloadTcpDisconnect(others.tcp, theirs!, ABORTIVE_CLOSE);
    other.completeDisconnect(theirs!, NdisStatus.SUCCESS, 0);
    expect([host.disconnected, second.disconnected]).toEqual([[], [theirs]]);
    target.completeDisconnect(mine!, NdisStatus.SUCCESS, 0);
    expect([host.disconnected, second.disconnected]).toEqual([[mine], [theirs]]);
  });
});
