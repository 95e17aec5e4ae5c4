/**
 * A scripted host and a scripted target for the tests of ndis, im and contract: they keep the contract, tell what they saw, and
 * do nothing that a test does not ask for.
 */

import { asSeq } from '../../src/base/seq.ts';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import type { MiniportDriver, NdisM, NdisMiniportHandle, TcpOffloadEventHandlers } from '../../src/ndis/miniport.ts';
import {
  type AdapterAttributes,
  BlockKind,
  BlockWalk,
  kindOfBlock,
  type MiniportOffloadBlock,
  NdisChimneyOffloadType,
  NdisStatus,
  Oid,
  type OidRequest,
  presetInitiateStatuses,
  type StatusIndication,
  setEveryStatus,
  settleInitiateStatuses,
} from '../../src/ndis/miniport.ts';
import { NdisLibrary } from '../../src/ndis/ndis-library.ts';
import { NdisOffloadHandle, OffloadBlock } from '../../src/ndis/offload-block.ts';
import { DEFAULT_OFFLOAD_PARAMETERS } from '../../src/ndis/parameters.ts';
import type { BytesConsumed, NdisBindingHandle, ProtocolDriver } from '../../src/ndis/protocol.ts';
import { OffloadStateType } from '../../src/ndis/status.ts';
import { StateOperation } from '../../src/ndis/tap.ts';
import { NeighborCachedState, NeighborConstState, NeighborDelegatedState } from '../../src/state/neighbor.ts';
import {
  advanceNetBufferDataStart,
  dataLengthOf,
  emptyNetBufferList,
  type NetBufferList,
  netBufferListOver,
} from '../../src/state/net-buffer-list.ts';
import { PathCachedState, PathConstState, PathDelegatedState } from '../../src/state/path.ts';
import {
  TcpCachedState,
  TcpConnectionState,
  TcpConstState,
  TcpDelegatedState,
  TIMER_NOT_RUNNING,
} from '../../src/state/tcp.ts';
import { Trace } from '../../src/trace/trace.ts';

/** A runtime, a trace and a library. */
export interface World {
  readonly runtime: VirtualRuntime;
  readonly trace: Trace;
  readonly ndis: NdisLibrary;
}

export function makeWorld(): World {
  const runtime = new VirtualRuntime(1);
  const trace = new Trace();
  return { runtime, trace, ndis: new NdisLibrary(runtime, trace) };
}

export function attributesOf(name: string): AdapterAttributes {
  return { name, medium: 'ethernet', mtu: 1500, macAddress: Uint8Array.of(2, 0, 0, 0, 0, 1) };
}

/** What the target keeps of an object. */
export interface TargetObject {
  readonly id: number;
  readonly handle: NdisOffloadHandle;
  readonly sends: NetBufferList[];
  readonly receives: NetBufferList[];
  readonly disconnects: NetBufferList[];
  readonly forwards: NetBufferList[];
}

/** A target that stores, returns, and completes when it is told to (or, with `auto`, soon after). */
export class FakeTarget implements MiniportDriver {
  readonly attributes: AdapterAttributes;
  hasChimney = true;
  readonly log: string[] = [];
  readonly pending: { operation: StateOperation; root: MiniportOffloadBlock }[] = [];
  readonly objects: TargetObject[] = [];
  readonly returned: NetBufferList[] = [];
  readonly framesSent: NetBufferList[] = [];
  readonly framesReturned: NetBufferList[] = [];
  /** What becomes of a new object's own state; SUCCESS: taken. */
  decide: (block: MiniportOffloadBlock) => number = () => NdisStatus.SUCCESS;
  oidAnswer: number = NdisStatus.SUCCESS;
  handle!: NdisMiniportHandle;
  ndisM!: NdisM;
  events!: TcpOffloadEventHandlers;
  readonly #world: World;
  readonly auto: boolean;
  #nextId = 1;

  constructor(world: World, name = 'nic0', auto = true) {
    this.#world = world;
    this.attributes = attributesOf(name);
    this.auto = auto;
  }

  initializeEx(handle: NdisMiniportHandle, ndisM: NdisM): number {
    this.handle = handle;
    this.ndisM = ndisM;
    ndisM.setMiniportAttributes(handle, this);
    const events = ndisM.getOffloadHandlers(handle, NdisChimneyOffloadType.TCP);
    if (events !== null) this.events = events;
    return NdisStatus.SUCCESS;
  }

  haltEx(): void {
    this.log.push('haltEx');
  }

  oidRequest(_context: unknown, request: OidRequest): number {
    this.log.push(`oid ${request.kind} ${request.oid}`);
    if (request.kind === 'query') request.information = { chimneyTypes: [NdisChimneyOffloadType.TCP] };
    return this.oidAnswer;
  }

  sendNetBufferLists(_context: unknown, lists: NetBufferList): void {
    this.framesSent.push(lists);
  }

  returnNetBufferLists(_context: unknown, lists: NetBufferList): void {
    this.framesReturned.push(lists);
  }

  initiateOffload(_context: unknown, root: MiniportOffloadBlock): void {
    this.#store(StateOperation.INITIATE, root);
  }
  terminateOffload(_context: unknown, root: MiniportOffloadBlock): void {
    this.#store(StateOperation.TERMINATE, root);
  }
  updateOffload(_context: unknown, root: MiniportOffloadBlock): void {
    this.#store(StateOperation.UPDATE, root);
  }
  queryOffload(_context: unknown, root: MiniportOffloadBlock): void {
    this.#store(StateOperation.QUERY, root);
  }
  invalidateOffload(_context: unknown, root: MiniportOffloadBlock): void {
    this.#store(StateOperation.INVALIDATE, root);
  }

  #store(operation: StateOperation, root: MiniportOffloadBlock): void {
    const entry = { operation, root };
    this.pending.push(entry);
    if (!this.auto) return;
    this.#world.runtime.defer(() => {
      if (this.pending.includes(entry)) this.complete(operation);
    });
  }

  /** Carries out and completes the oldest pending operation of that kind. */
  complete(operation: StateOperation): MiniportOffloadBlock {
    const root = this.take(operation);
    if (operation === StateOperation.INITIATE) this.offload(root);
    else {
      setEveryStatus(root, NdisStatus.SUCCESS);
      if (operation === StateOperation.TERMINATE) this.upload(root);
    }
    this.handBack(operation, root);
    return root;
  }

  /** The oldest pending root of an operation, taken off the list. */
  take(operation: StateOperation): MiniportOffloadBlock {
    const at = this.pending.findIndex((entry) => entry.operation === operation);
    if (at < 0) throw new Error('nothing of the kind is pending');
    return this.pending.splice(at, 1)[0]!.root;
  }

  handBack(operation: StateOperation, root: MiniportOffloadBlock): void {
    if (operation === StateOperation.INITIATE) this.ndisM.initiateOffloadComplete(this.handle, root);
    else if (operation === StateOperation.TERMINATE) this.ndisM.terminateOffloadComplete(this.handle, root);
    else if (operation === StateOperation.UPDATE) this.ndisM.updateOffloadComplete(this.handle, root);
    else if (operation === StateOperation.QUERY) this.ndisM.queryOffloadStateComplete(this.handle, root);
    else this.ndisM.invalidateOffloadComplete(this.handle, root);
  }

  /** Takes the new objects of a tree, as `decide` says, and writes all statuses. */
  offload(root: MiniportOffloadBlock): void {
    presetInitiateStatuses(root);
    const walk = new BlockWalk<MiniportOffloadBlock>();
    walk.start(root);
    for (let block = walk.next(); block !== null; block = walk.next()) {
      if (kindOfBlock(block) !== BlockKind.NEW_OFFLOAD) continue;
      block.status = this.decide(block);
      if (block.status !== NdisStatus.SUCCESS) walk.skipDependents();
      else block.miniportOffloadContext!.miniportOffloadContext = this.#newObject(block);
    }
    settleInitiateStatuses(root);
  }

  #newObject(block: MiniportOffloadBlock): TargetObject {
    const object: TargetObject = {
      id: this.#nextId++,
      handle: block.ndisOffloadHandle!,
      sends: [],
      receives: [],
      disconnects: [],
      forwards: [],
    };
    for (let list = block.netBufferListChain; list !== null; list = list.next) object.sends.push(list);
    for (const list of object.sends) list.next = null;
    this.objects.push(object);
    return object;
  }

  /** Gives up the objects of a terminate tree: everything outstanding completed, sends handed up in the chain. */
  upload(root: MiniportOffloadBlock): void {
    const walk = new BlockWalk<MiniportOffloadBlock>();
    walk.start(root);
    for (let block = walk.next(); block !== null; block = walk.next()) {
      if (block.miniportOffloadContext === null) continue;
      const object = block.miniportOffloadContext.miniportOffloadContext as TargetObject;
      const uploading = NdisStatus.UPLOAD_IN_PROGRESS;
      for (const list of object.receives.splice(0)) this.completeReceive(list, uploading, 0);
      for (const list of object.forwards.splice(0)) this.completeForward(list, uploading);
      for (const list of object.disconnects.splice(0)) this.completeDisconnect(list, uploading, 0);
      block.netBufferListChain = chainOf(object.sends);
      const delegated = block.delegatedState;
      if (delegated instanceof TcpDelegatedState && object.sends.length > 0) {
        delegated.sendDataHead = object.sends[0]!;
        delegated.sendDataTail = object.sends.at(-1)!;
        delegated.sndUna = asSeq(1000);
        delegated.sndNxt = asSeq(1000);
        delegated.sndMax = asSeq(1000);
      }
      object.sends.length = 0;
    }
  }

  completeSend(list: NetBufferList, status: number, bytes: number): void {
    finish(list, status, bytes);
    this.events.tcpOffloadSendComplete(this.handle, list);
  }
  completeReceive(list: NetBufferList, status: number, bytes: number): void {
    finish(list, status, bytes);
    this.events.tcpOffloadReceiveComplete(this.handle, list);
  }
  completeDisconnect(list: NetBufferList, status: number, bytes: number): void {
    finish(list, status, bytes);
    this.events.tcpOffloadDisconnectComplete(this.handle, list);
  }
  completeForward(list: NetBufferList, status: number): void {
    list.next = null;
    list.status = status;
    this.events.tcpOffloadForwardComplete(this.handle, list);
  }

  /** Indicates `bytes` of received data; answers what the host said. */
  indicate(object: TargetObject, list: NetBufferList): { answer: number; consumed: number } {
    const consumed: BytesConsumed = { value: 0 };
    const answer = this.events.tcpOffloadReceiveHandler(object.handle, list, NdisStatus.SUCCESS, consumed);
    return { answer, consumed: consumed.value };
  }

  tcpOffloadSend(_context: unknown, object: unknown, lists: NetBufferList): number {
    unchain(lists, (object as TargetObject).sends);
    return NdisStatus.PENDING;
  }
  tcpOffloadReceive(_context: unknown, object: unknown, lists: NetBufferList): number {
    unchain(lists, (object as TargetObject).receives);
    return NdisStatus.PENDING;
  }
  tcpOffloadDisconnect(_context: unknown, object: unknown, list: NetBufferList, flags: number): number {
    this.log.push(`disconnect ${flags}`);
    (object as TargetObject).disconnects.push(list);
    return NdisStatus.PENDING;
  }
  tcpOffloadForward(_context: unknown, object: unknown, lists: NetBufferList): number {
    unchain(lists, (object as TargetObject).forwards);
    return NdisStatus.PENDING;
  }
  tcpOffloadReceiveReturn(_context: unknown, lists: NetBufferList): number {
    unchain(lists, this.returned);
    return NdisStatus.SUCCESS;
  }
}

/** A protocol driver that notes what it is told. */
export class FakeHost implements ProtocolDriver {
  readonly name: string = 'host';
  hasChimney = true;
  readonly completed: { operation: StateOperation; root: OffloadBlock; statuses: number[] }[] = [];
  readonly sent: NetBufferList[] = [];
  readonly received: NetBufferList[] = [];
  readonly disconnected: NetBufferList[] = [];
  readonly forwarded: NetBufferList[] = [];
  readonly indicated: NetBufferList[] = [];
  readonly events: string[] = [];
  readonly frames: NetBufferList[] = [];
  readonly framesSent: NetBufferList[] = [];
  readonly statuses: number[] = [];
  readonly oids: string[] = [];
  /** How it answers indications; undefined consumed: all of it. */
  answer: (list: NetBufferList) => { status: number; consumed: number } = (list) => ({
    status: NdisStatus.SUCCESS,
    consumed: dataLengthOf(list),
  });
  onInitiated: () => void = () => {};
  onReceived: () => void = () => {};
  receiveDones = 0;

  receiveNetBufferLists(_context: unknown, lists: NetBufferList): void {
    this.frames.push(lists);
  }
  receiveDone(): void {
    this.receiveDones++;
  }
  sendNetBufferListsComplete(_context: unknown, lists: NetBufferList): void {
    unchain(lists, this.framesSent);
  }
  statusEx(_context: unknown, indication: StatusIndication): void {
    this.statuses.push(indication.statusCode);
  }
  oidRequestComplete(_context: unknown, request: OidRequest, status: number): void {
    this.oids.push(`${request.oid} ${status}`);
  }

  initiateOffloadComplete(_context: unknown, root: unknown): void {
    this.#note(StateOperation.INITIATE, root);
    this.onInitiated();
  }
  terminateOffloadComplete(_context: unknown, root: unknown): void {
    this.#note(StateOperation.TERMINATE, root);
  }
  updateOffloadComplete(_context: unknown, root: unknown): void {
    this.#note(StateOperation.UPDATE, root);
  }
  queryOffloadComplete(_context: unknown, root: unknown): void {
    this.#note(StateOperation.QUERY, root);
  }
  invalidateOffloadComplete(_context: unknown, root: unknown): void {
    this.#note(StateOperation.INVALIDATE, root);
  }
  #note(operation: StateOperation, root: unknown): void {
    this.completed.push({ operation, root: root as OffloadBlock, statuses: statusesOf(root as OffloadBlock) });
  }
  indicateOffloadEvent(_context: unknown, block: unknown, code: number): void {
    const cached = (block as OffloadBlock | null)?.cachedState;
    this.events.push(`reachability ${code}`);
    if (cached instanceof NeighborCachedState) cached.hostReachabilityDelta = 77;
  }

  tcpOffloadSendComplete(_context: unknown, lists: NetBufferList): void {
    unchain(lists, this.sent);
  }
  tcpOffloadReceiveComplete(_context: unknown, lists: NetBufferList): void {
    unchain(lists, this.received);
    this.onReceived();
  }
  tcpOffloadDisconnectComplete(_context: unknown, list: NetBufferList): void {
    this.disconnected.push(list);
  }
  tcpOffloadForwardComplete(_context: unknown, lists: NetBufferList): void {
    unchain(lists, this.forwarded);
  }
  tcpOffloadEvent(handle: NdisOffloadHandle, eventType: number, information: number): void {
    this.events.push(`${String(handle.owner)} ${eventType} ${information}`);
  }
  tcpOffloadReceiveIndicate(
    _handle: NdisOffloadHandle,
    list: NetBufferList,
    _status: number,
    bytesConsumed: BytesConsumed,
  ): number {
    const { status, consumed } = this.answer(list);
    bytesConsumed.value = consumed;
    if (status === NdisStatus.SUCCESS) this.indicated.push(list);
    return status;
  }
}

/** A host bound to an adapter, with the enabling that comes before any offload. */
export function bindHost(world: World, host: FakeHost, adapterName: string): NdisBindingHandle {
  const binding = world.ndis.openAdapterEx(host, host, adapterName);
  world.ndis.oidRequest(binding, { oid: Oid.TCP_TASK_OFFLOAD, kind: 'query', information: null });
  world.ndis.oidRequest(binding, { oid: Oid.TCP_TASK_OFFLOAD, kind: 'set', information: DEFAULT_OFFLOAD_PARAMETERS });
  return binding;
}

export function neighborBlock(handle: NdisOffloadHandle): OffloadBlock {
  const block = new OffloadBlock(OffloadStateType.NEIGHBOR, handle);
  block.constState = new NeighborConstState();
  block.cachedState = new NeighborCachedState();
  block.delegatedState = new NeighborDelegatedState();
  return block;
}

export function pathBlock(handle: NdisOffloadHandle): OffloadBlock {
  const block = new OffloadBlock(OffloadStateType.IP4, handle);
  block.constState = new PathConstState(Uint8Array.of(10, 0, 0, 1), Uint8Array.of(10, 0, 0, 2));
  block.cachedState = new PathCachedState(1500);
  block.delegatedState = new PathDelegatedState();
  return block;
}

export function tcpBlock(handle: NdisOffloadHandle, localPort = 80): OffloadBlock {
  const block = new OffloadBlock(OffloadStateType.TCP, handle);
  const constant = new TcpConstState();
  constant.localPort = localPort;
  constant.remotePort = 4711;
  const delegated = new TcpDelegatedState();
  delegated.state = TcpConnectionState.ESTABLISHED;
  delegated.retransmitTimeoutDelta = TIMER_NOT_RUNNING;
  Object.assign(delegated, { rcvWnd: 65_535, maxSndWnd: 65_535, cWnd: 14_000 });
  block.constState = constant;
  block.cachedState = new TcpCachedState();
  block.delegatedState = delegated;
  return block;
}

/** A block that names an existing object: what query, update, invalidate and terminate trees are made of; a linker. */
export function reference(handle: NdisOffloadHandle, type: OffloadStateType): OffloadBlock {
  return new OffloadBlock(type, handle);
}

/** Hangs `dependents` on `block`, as siblings in that order. */
export function hang(block: OffloadBlock, ...dependents: OffloadBlock[]): OffloadBlock {
  let last: OffloadBlock | null = null;
  for (const dependent of dependents) {
    if (last === null) block.dependentBlockList = dependent;
    else last.nextBlock = dependent;
    last = dependent;
  }
  return block;
}

/** Statuses in the order of the walk. */
export function statusesOf(root: OffloadBlock): number[] {
  const statuses: number[] = [];
  const walk = new BlockWalk<OffloadBlock>();
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) statuses.push(block.status);
  return statuses;
}

/** The tree neighbor, path, connection, with handles. */
export interface Connection {
  readonly neighbor: NdisOffloadHandle;
  readonly path: NdisOffloadHandle;
  readonly tcp: NdisOffloadHandle;
}

export function connectionTree(): { root: OffloadBlock; handles: Connection; tcp: OffloadBlock } {
  const handles = {
    neighbor: new NdisOffloadHandle('N'),
    path: new NdisOffloadHandle('P'),
    tcp: new NdisOffloadHandle('T'),
  };
  const tcp = tcpBlock(handles.tcp);
  const root = hang(neighborBlock(handles.neighbor), hang(pathBlock(handles.path), tcp));
  return { root, handles, tcp };
}

/** The tree that terminates (or queries) all three objects. */
export function terminateTree(handles: Connection): { root: OffloadBlock; tcp: OffloadBlock } {
  const tcp = reference(handles.tcp, OffloadStateType.TCP_DELEGATED);
  tcp.delegatedState = new TcpDelegatedState();
  const root = hang(
    reference(handles.neighbor, OffloadStateType.NEIGHBOR_DELEGATED),
    hang(reference(handles.path, OffloadStateType.IP4_DELEGATED), tcp),
  );
  return { root, tcp };
}

export function data(bytes: number): NetBufferList {
  return bytes === 0 ? emptyNetBufferList() : netBufferListOver(new Uint8Array(bytes));
}

/** Links lists in that order; null for none. */
export function chainOf(lists: readonly NetBufferList[]): NetBufferList | null {
  for (let i = 0; i < lists.length; i++) lists[i]!.next = lists[i + 1] ?? null;
  return lists[0] ?? null;
}

/** Takes a chain apart into an array. */
export function unchain(lists: NetBufferList, into: NetBufferList[]): void {
  let list: NetBufferList | null = lists;
  while (list !== null) {
    const next: NetBufferList | null = list.next;
    list.next = null;
    into.push(list);
    list = next;
  }
}

/** What a target writes into a list before it completes it: status, count, start of data. */
export function finish(list: NetBufferList, status: number, bytes: number): void {
  list.next = null;
  list.status = status;
  list.tcpOffloadBytesTransferred = bytes;
  let left = bytes;
  for (let nb = list.firstNetBuffer; nb !== null && left > 0; nb = nb.next) {
    const part = Math.min(left, nb.dataLength);
    advanceNetBufferDataStart(nb, part);
    left -= part;
  }
}
