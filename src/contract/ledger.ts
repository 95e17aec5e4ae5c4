/**
 * The ledger: who owns what on one binding, and where each object is in its life. Kept by the verifier from what passes.
 *
 * Checkers read it; only the verifier's events change it. Memory: what is out, plus what hangs on handles that somebody else
 * keeps alive. Source: chimney-ddi 12 and 13.
 */

import { seqAdd } from '../base/seq.ts';
import {
  DataOperation,
  layerOf,
  NdisDevicePowerState,
  type NdisOffloadHandle,
  NdisStatus,
  type OffloadBlock,
  Oid,
  type OidRequest,
  StateOperation,
  type TcpConnectionOffloadParameters,
  TcpDisconnectFlag,
} from '../ndis/protocol.ts';
import { NeighborConstState, NeighborDelegatedState } from '../state/neighbor.ts';
import { dataLengthOf, type NetBufferList } from '../state/net-buffer-list.ts';
import { PathConstState } from '../state/path.ts';
import { TcpConnectionState, TcpConstState, TcpDelegatedState } from '../state/tcp.ts';
import { CallRing } from './calls.ts';
import { listsOf, readTree } from './read-tree.ts';
import { type BlockRecord, ListRecord, ObjectRecord, type OperationRecord, Phase, Role } from './records.ts';

/** What became last of a list that is nobody's concern now: for telling a second return from a first. */
export type Fate = 'completed' | 'returned' | 'refused' | 'handed up' | 'not taken' | 'frame' | 'lent';

/** A list that the host owns until it returns it. */
export interface HeldList {
  readonly object: ObjectRecord;
  /** RECV-072, NBL-007. */
  readonly from: 'indication' | 'buffered data';
}

/** Whether an initiate's status says that the block's own state was taken. INIT-011. */
export function wasTaken(status: number): boolean {
  return status === NdisStatus.SUCCESS || status === NdisStatus.OFFLOAD_PARTIAL_SUCCESS;
}

/** The IP family of a path or of a connection below it. */
function familyOf({ block, parent }: BlockRecord): 0 | 4 | 6 {
  if (block.constState instanceof PathConstState) return block.constState.sourceAddress.length === 16 ? 6 : 4;
  return parent === null || parent.object === null ? 0 : parent.object.family;
}

/** One per binding. */
export class Ledger {
  readonly #objects: WeakMap<NdisOffloadHandle, ObjectRecord> = new WeakMap();
  readonly #fates: WeakMap<NetBufferList, Fate> = new WeakMap();
  readonly operations: Map<OffloadBlock, OperationRecord> = new Map();
  /** What the target owns. */
  readonly lists: Map<NetBufferList, ListRecord> = new Map();
  /** What the host has to return. */
  readonly held: Map<NetBufferList, HeldList> = new Map();
  /** Objects at the target. */
  readonly live: Set<ObjectRecord> = new Set();
  /** Calls on the binding, whatever they are about. */
  readonly calls: CallRing = new CallRing();
  /** Initiates under way, by NdisMInitiateOffloadComplete not yet having returned. INIT-041. */
  initiates = 0;
  /** Adapter-wide indications that are inside the host now. */
  indicationsInside = 0;
  /** Whether everything since the opening was seen; if not, what was before is unknown and is not held against anybody. */
  isWhole = false;
  /** OID_TCP_TASK_OFFLOAD has been set. */
  isEnabled = false;
  isPaused = false;
  hasUploadAll = false;
  /** What the host has set: the tunables; null: nothing yet. */
  tunables: TcpConnectionOffloadParameters | null = null;
  /** PVOIDs of live objects. */
  readonly contexts: Map<unknown, ObjectRecord> = new Map();
  /** Whether a connection or path of that family was ever offloaded. */
  hasBeen4 = false;
  hasBeen6 = false;
  /** The clock of the system; 0 for ever where there is none. */
  nowUs: () => number = () => 0;
  hasClock = false;
  /** OID_TCP_TASK_OFFLOAD has been queried. */
  hasQueried = false;
  /** NDIS_DEVICE_POWER_STATE, as far as it was set. */
  powerState: number = NdisDevicePowerState.D0;
  /** HRD in the last question about a neighbor, ticks. */
  askedHrd = 0;
  /** OFFLOAD_RESUME was indicated and the capabilities have not been queried since. */
  needsQuery = false;
  #numbers = 0;

  /** The number of the next call. */
  nextNumber(): number {
    return ++this.#numbers;
  }

  /** The number of the last call. */
  get number(): number {
    return this.#numbers;
  }

  /** A set that has succeeded. CAP-021, CAP-023. */
  noteTunables({ oid, information }: OidRequest): void {
    if (oid !== Oid.TCP_TASK_OFFLOAD && oid !== Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS) return;
    if (information !== null) this.tunables = { ...(information as TcpConnectionOffloadParameters) };
  }

  fateOf(list: NetBufferList): Fate | undefined {
    return this.#fates.get(list);
  }

  setFate(list: NetBufferList, fate: Fate): void {
    this.#fates.set(list, fate);
  }

  /** The record of an object that was seen before. */
  objectOf(handle: NdisOffloadHandle): ObjectRecord | undefined {
    return this.#objects.get(handle);
  }

  /** The record of an object, made if need be. */
  learn(handle: NdisOffloadHandle): ObjectRecord {
    let object = this.#objects.get(handle);
    if (object === undefined) {
      object = new ObjectRecord(handle, 'object');
      // An object offloaded before the verifier came is taken for what it says it is.
      if (!this.isWhole && handle.miniportOffloadContext !== null) object.phase = Phase.OFFLOADED;
      this.#objects.set(handle, object);
    }
    return object;
  }

  /** Reads the tree of an operation that is being called; nothing is booked yet. */
  read(operation: StateOperation, root: OffloadBlock, number: number): OperationRecord {
    const { blocks, brokenTree } = readTree(operation, root, (block) => {
      if (block.offloadHandle === null) return null;
      const object = this.learn(block.offloadHandle);
      const layer = layerOf(block.header.type);
      if (layer !== -1 && object.layer === -1) object.layer = layer;
      return object;
    });
    return { operation, root, number, atUs: this.nowUs(), blocks, brokenTree, isInside: true };
  }

  /** Books an operation as under way. */
  begin(record: OperationRecord): void {
    this.operations.set(record.root, record);
    if (record.operation === StateOperation.INITIATE) this.initiates++;
    for (const entry of record.blocks) {
      const object = entry.object;
      if (object === null) continue;
      object.operations[record.operation] = object.operations[record.operation]! + 1;
      if (record.operation === StateOperation.TERMINATE) object.phase = Phase.TERMINATING;
      if (record.operation === StateOperation.INVALIDATE) object.wasToInvalidate = true;
      if (entry.role === Role.NEW_OFFLOAD) this.#beginObject(entry, object, record.number);
    }
  }

  #beginObject(entry: BlockRecord, object: ObjectRecord, number: number): void {
    object.reset();
    object.initiatedAtUs = this.nowUs();
    object.phase = Phase.INITIATING;
    object.isSettling = true;
    for (const list of entry.sends) {
      const bytes = dataLengthOf(list);
      const record = new ListRecord(
        list,
        DataOperation.SEND,
        object,
        number,
        bytes,
        list.tcpOffloadBytesTransferred,
        0,
      );
      record.isOfInitiate = true;
      this.#own(record);
    }
    const delegated = entry.block.delegatedState;
    object.family = familyOf(entry);
    if (entry.block.constState instanceof NeighborConstState) object.vlanId = entry.block.constState.vlanId;
    if (object.family === 4) this.hasBeen4 = true;
    if (object.family === 6) this.hasBeen6 = true;
    if (delegated instanceof NeighborDelegatedState) object.nicReachabilityDelta = delegated.nicReachabilityDelta;
    if (!(delegated instanceof TcpDelegatedState)) return;
    object.tsTime = delegated.tsTime;
    object.holdsBufferedData = delegated.bufferedData !== null;
    this.#beginFlow(entry, object, delegated);
    const { FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, CLOSING, LAST_ACK } = TcpConnectionState;
    const state = delegated.state;
    object.hasGraceful = state === FIN_WAIT1 || state === FIN_WAIT2 || state === CLOSING || state === LAST_ACK;
    object.hasClosedForGood = object.hasGraceful;
    object.hasPeerFinished = state === CLOSE_WAIT || state === CLOSING || state === LAST_ACK;
  }

  #beginFlow({ block }: BlockRecord, object: ObjectRecord, delegated: TcpDelegatedState): void {
    const buffered: NetBufferList[] = [];
    listsOf(delegated.bufferedData, buffered);
    let bytes = 0;
    for (const list of buffered) {
      bytes += dataLengthOf(list);
      this.#fates.set(list, 'lent');
    }
    // A structure that nobody has filled tells nothing about streams.
    object.isFlowKnown = delegated.rcvNxt !== 0 || delegated.sndUna !== 0;
    object.rcvBase = seqAdd(delegated.rcvNxt, -bytes);
    object.sndBase = delegated.sndUna;
    const constant = block.constState;
    if (!(constant instanceof TcpConstState)) return;
    const { localPort, remotePort, remoteMss } = constant;
    object.constants = { localPort, remotePort, remoteMss };
    object.hashValue = constant.hashValue;
  }

  #own(record: ListRecord): void {
    this.lists.set(record.list, record);
    record.object.add(record);
  }

  /** Books a completion of an operation; `end` follows when the completion has returned. */
  complete(record: OperationRecord): void {
    this.operations.delete(record.root);
    const { INITIATE, TERMINATE, UPDATE, INVALIDATE } = StateOperation;
    for (const entry of record.blocks) {
      const object = entry.object;
      if (object === null) continue;
      object.operations[record.operation] = object.operations[record.operation]! - 1;
      const isGood = entry.block.status === NdisStatus.SUCCESS;
      if (record.operation === INITIATE) {
        if (entry.role === Role.NEW_OFFLOAD) this.#completeNew(entry, object);
      } else if (record.operation === TERMINATE) this.#completeTerminate(entry, object, isGood);
      else if (record.operation === UPDATE && isGood) this.#relink(entry, object);
      else if (record.operation === INVALIDATE && isGood) object.isInvalid = true;
      if (isGood || record.operation === INITIATE) continue;
      if (record.operation === UPDATE) object.hasFailedUpdate = true;
      else {
        if (!object.isCorrupt) object.corruptedBy = record.operation;
        object.isCorrupt = true;
      }
      if (record.operation === StateOperation.QUERY) object.hasFailedQuery = true;
    }
  }

  #completeNew(entry: BlockRecord, object: ObjectRecord): void {
    if (wasTaken(entry.block.status)) {
      object.phase = Phase.OFFLOADED;
      object.wasOffloaded = true;
      object.offloadedAtUs = this.nowUs();
      this.live.add(object);
      if (entry.handle !== null) this.contexts.set(entry.handle.miniportOffloadContext, object);
      this.#setParent(object, entry.parent === null ? null : entry.parent.object);
      return;
    }
    object.phase = Phase.ABSENT;
    for (const list of entry.sends) {
      const record = this.lists.get(list);
      if (record === undefined || record.object !== object) continue;
      this.drop(record, 'not taken');
    }
  }

  #completeTerminate(entry: BlockRecord, object: ObjectRecord, isGood: boolean): void {
    if (!isGood) {
      object.phase = Phase.OFFLOADED;
      return;
    }
    object.phase = Phase.ABSENT;
    this.live.delete(object);
    if (this.contexts.get(entry.slot) === object) this.contexts.delete(entry.slot);
    this.#setParent(object, null);
    const chain: NetBufferList[] = [];
    listsOf(entry.block.netBufferListChain, chain);
    for (const list of chain) {
      const record = this.lists.get(list);
      if (record !== undefined) this.drop(record, 'handed up');
    }
    const delegated = entry.block.delegatedState;
    if (!(delegated instanceof TcpDelegatedState)) return;
    const buffered: NetBufferList[] = [];
    listsOf(delegated.bufferedData, buffered);
    for (const list of buffered) this.held.set(list, { object, from: 'buffered data' });
  }

  /** An update whose tree hangs a path on another neighbor moves it there. UPD-023, UPD-027. */
  #relink(entry: BlockRecord, object: ObjectRecord): void {
    const parent = entry.parent === null ? null : entry.parent.object;
    if (parent === null || parent === object.parent) return;
    const former = object.parent;
    this.#setParent(object, parent);
    if (former !== null && former.dependents.size === 0) former.wasLeftByRelink = true;
  }

  #setParent(object: ObjectRecord, parent: ObjectRecord | null): void {
    if (object.parent !== null) object.parent.dependents.delete(object);
    object.parent = parent;
    if (parent === null) return;
    parent.dependents.add(object);
    parent.wasLeftByRelink = false;
  }

  /** The completion has returned: from now on its objects may be spoken of. INIT-041. */
  end(record: OperationRecord): void {
    if (record.operation !== StateOperation.INITIATE) return;
    this.initiates--;
    for (const entry of record.blocks) if (entry.object !== null) entry.object.isSettling = false;
  }

  /** What later events need to know of a list that came back. */
  bookCompletion(record: ListRecord): void {
    const { list, kind, object, flags } = record;
    const { status } = list;
    const bytes = list.tcpOffloadBytesTransferred;
    const advanced = list.firstNetBuffer === record.firstNetBuffer ? record.bytes - dataLengthOf(list) : 0;
    if (kind === DataOperation.RECEIVE) object.delivered += advanced;
    else if (kind !== DataOperation.FORWARD) object.transferred += advanced;
    if (kind === DataOperation.SEND) {
      const isRefusal = status === NdisStatus.REQUEST_UPLOAD || status === NdisStatus.UPLOAD_REQUESTED;
      if (status === NdisStatus.SUCCESS || isRefusal || status === NdisStatus.PENDING) return;
      if (object.failedSend < 0) object.failedSend = record.order;
      if (bytes > record.bytesBefore && bytes < record.bytes) object.hasPartialSend = true;
    } else if (kind === DataOperation.RECEIVE) {
      if (status !== NdisStatus.SUCCESS || record.bytes === 0) return;
      const room = dataLengthOf(list);
      if (room === record.bytes && bytes === 0) object.shortReceive = 'empty';
      else if (room > 0 && list.tcpReceiveNoPush) object.shortReceive = 'nonpush';
    } else if (kind === DataOperation.DISCONNECT && status === NdisStatus.SUCCESS) object.hasClosedForGood = true;
    else if (kind === DataOperation.DISCONNECT) {
      object.failedDisconnects |= flags;
      const isGraceful = flags === TcpDisconnectFlag.GRACEFUL_CLOSE;
      if (isGraceful && status === NdisStatus.REQUEST_ABORTED) object.hasFailedClose = true;
    }
  }

  /** Books lists as handed to the target. Their status is set to PENDING, so that one that nobody writes shows. */
  post(
    operation: DataOperation,
    object: ObjectRecord,
    lists: readonly NetBufferList[],
    number: number,
    flags: number,
  ): void {
    for (const list of lists) {
      if (this.lists.has(list)) continue;
      const before =
        operation === DataOperation.RECEIVE ? list.tcpReceiveBytesTransferred : list.tcpOffloadBytesTransferred;
      const record = new ListRecord(
        list,
        operation,
        object,
        number,
        dataLengthOf(list),
        before,
        flags,
        list === lists[0],
      );
      record.statusBefore = list.status;
      list.status = NdisStatus.PENDING;
      this.#own(record);
    }
  }

  /** Books a list as no longer the target's. */
  drop(record: ListRecord, fate: Fate): void {
    this.lists.delete(record.list);
    record.object.remove(record);
    this.#fates.set(record.list, fate);
    if (record.list.status === NdisStatus.PENDING) record.list.status = record.statusBefore;
  }
}
