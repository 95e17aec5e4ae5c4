/**
 * What the verifier remembers: of an object, of a list that is out, of an operation under way.
 *
 * Promises: records of objects live as long as somebody holds the handle (they are kept by weak reference), all others as
 * long as what they describe is out; the calls kept of an object are twenty.
 */

import { asSeq, type Seq } from '../base/seq.ts';
import { DataOperation, type NdisOffloadHandle, type OffloadBlock, StateOperation } from '../ndis/protocol.ts';
import type { Mdl, NetBuffer, NetBufferList } from '../state/net-buffer-list.ts';
import { TcpConnectionState } from '../state/tcp.ts';
import { CallRing } from './calls.ts';

/** States of a connection whose peer has finished. */
export const AFTER_PEERS_FIN: readonly number[] = [
  TcpConnectionState.CLOSE_WAIT,
  TcpConnectionState.CLOSING,
  TcpConnectionState.LAST_ACK,
  TcpConnectionState.TIME_WAIT,
];

/** Where an object is in its life at the target. */
export const Phase = {
  /** Never offloaded, not taken, or terminated. */
  ABSENT: 0,
  INITIATING: 1,
  OFFLOADED: 2,
  TERMINATING: 3,
} as const;
export type Phase = (typeof Phase)[keyof typeof Phase];

/** For messages, by {@link Phase}. */
export const PHASE_NAMES: readonly string[] = ['not offloaded', 'being offloaded', 'offloaded', 'being terminated'];

/** A list that the target owns. */
export class ListRecord {
  readonly list: NetBufferList;
  readonly kind: DataOperation;
  readonly object: ObjectRecord;
  /** Number of the call that handed it over. */
  readonly call: number;
  /** Bytes of data (or room) when it was handed over. */
  readonly bytes: number;
  /** TcpOffloadBytesTransferred, or for a receive TcpReceiveBytesTransferred, when it was handed over. */
  readonly bytesBefore: number;
  readonly firstNetBuffer: NetBuffer | null;
  /** Position among all lists of its kind on the object. */
  readonly order: number;
  /** Flags of a disconnect. */
  readonly flags: number;
  /** The status it had; restored when nobody writes another. */
  statusBefore = 0;
  /** Whether it was the first of the lists of its call; whether it came with the initiate. */
  readonly isFirst: boolean;
  isOfInitiate = false;
  readonly mdlChain: Mdl | null;
  /** The last reason of a Retrieve then; 0: none. */
  readonly reasonBefore: number;
  /** What the target had told before it was handed over: a mandatory reason for an upload; that the peer has finished. */
  readonly isAfterMandatory: boolean;
  readonly isAfterDisconnect: boolean;

  constructor(
    list: NetBufferList,
    kind: DataOperation,
    object: ObjectRecord,
    call: number,
    bytes: number,
    bytesBefore: number,
    flags: number,
    isFirst = true,
  ) {
    this.list = list;
    this.kind = kind;
    this.object = object;
    this.call = call;
    this.bytes = bytes;
    this.bytesBefore = bytesBefore;
    this.firstNetBuffer = list.firstNetBuffer;
    this.order = object.posted[kind]!++;
    this.flags = flags;
    this.isFirst = isFirst;
    this.mdlChain = list.firstNetBuffer === null ? null : list.firstNetBuffer.mdlChain;
    this.reasonBefore = object.retrieveReason;
    this.isAfterMandatory = object.hasMandatoryRetrieve;
    this.isAfterDisconnect = object.hasDisconnectEvent;
  }
}

/** A neighbor, path or connection, by the upper driver's handle of it. */
export class ObjectRecord {
  readonly handle: NdisOffloadHandle;
  readonly calls: CallRing = new CallRing();
  name: string;
  /** A BlockLayer, -1 while unknown. */
  layer = -1;
  phase: Phase = Phase.ABSENT;
  /** Whether it was ever at the target. */
  wasOffloaded = false;
  /** Whether NdisMInitiateOffloadComplete is still inside the driver above. INIT-041. */
  isSettling = false;
  /** The object it depends on, and the live objects that depend on it. */
  parent: ObjectRecord | null = null;
  readonly dependents: Set<ObjectRecord> = new Set();
  isInvalid = false;
  /** An invalidate of it was called for. */
  wasToInvalidate = false;
  /** A query, invalidate or terminate of it has failed; and which of them. */
  isCorrupt = false;
  corruptedBy: StateOperation = StateOperation.TERMINATE;
  /** By StateOperation: how many are under way. */
  readonly operations: number[] = [0, 0, 0, 0, 0];

  /** By DataOperation: what the target owns, oldest first; made when there is something. */
  readonly #out: (Set<ListRecord> | undefined)[] = [];
  /** By DataOperation: how many lists were ever posted. */
  readonly posted: number[] = [0, 0, 0, 0];
  /** By DataOperation: the number of the call that is inside the target now; 0: none. */
  readonly callInside: number[] = [0, 0, 0, 0];
  /** Receive completions and indications inside the host now; the number of the call that began the outermost. */
  deliveries = 0;
  deliveryCall = 0;
  /** Events inside the host now. */
  eventsInside = 0;
  /** Whether the delivery that is inside is a completion in which receives were posted. */
  hasPostedInDelivery = false;

  /** The last indication was refused, or taken in part, and no receive has been posted since. */
  hasRefused = false;
  /** Position of the last refusal among posted receives; -1: none. */
  refusedAt = -1;
  /** Received data went down with the initiate and no receive has been posted since. */
  holdsBufferedData = false;
  /** The peer has finished: it was so at the initiate, or TcpIndicateDisconnect has said so. */
  hasPeerFinished = false;
  /** TcpIndicateDisconnect was raised: everything before the FIN has been consumed. */
  hasDisconnectEvent = false;
  hasAborted = false;
  /** The number of the first Abort; 0: none. */
  abortedAt = 0;
  /** Our FIN is acknowledged: it is neither ESTABLISHED nor CLOSE_WAIT. */
  hasClosedForGood = false;
  hasGraceful = false;
  hasAbortive = false;
  /** By flags: a disconnect of that kind has failed. */
  failedDisconnects = 0;
  hasMandatoryRetrieve = false;
  /** The number of the last Retrieve with HardwareFailure; 0: none. */
  hardwareRetrieveAt = 0;
  /** A graceful disconnect came back REQUEST_ABORTED; an update or query of it failed; UPLOAD_ALL was said while it was here. */
  hasFailedClose = false;
  hasFailedUpdate = false;
  hasFailedQuery = false;
  isWantedByAll = false;
  /** The last reason of a Retrieve; 0: none. */
  retrieveReason = 0;

  /** Whether it was seen how the connection went down; then where its streams stood, and what has been told of them since. */
  isFlowKnown = false;
  rcvBase: Seq = asSeq(0);
  sndBase: Seq = asSeq(0);
  /** Bytes handed up, by completions and indications; bytes of sends told as transferred. */
  delivered = 0;
  transferred = 0;
  /** 4 or 6, of a path and its connections; 0: unknown. */
  family: 0 | 4 | 6 = 0;
  /** Bytes of sends that are out. */
  sendBytesOut = 0;
  /** The ideal backlog as the target has told it; -1: it has not. */
  idealBacklog = -1;
  /** When it was offloaded (called for, complete), and the values of then that go on with the clock. */
  initiatedAtUs = 0;
  offloadedAtUs = 0;
  tsTime = 0;
  nicReachabilityDelta = 0;
  /** An update has moved its last dependent to another neighbor. */
  wasLeftByRelink = false;
  /** VlanId of a neighbor, as it was offloaded. */
  vlanId = 0;
  /** Constants that it was offloaded with. */
  constants: { readonly localPort: number; readonly remotePort: number; readonly remoteMss: number } | null = null;
  hashValue = 0;

  /** Order of the first send that came back failed; -1: none. */
  failedSend = -1;
  /** A send came back partly sent. */
  hasPartialSend = false;
  /** A receive came back with SUCCESS though empty, or not full though nonpush: right only at the end of the stream. */
  shortReceive: 'none' | 'empty' | 'nonpush' = 'none';
  lastBacklog = -1;

  constructor(handle: NdisOffloadHandle, name: string) {
    this.handle = handle;
    this.name = name;
  }

  /** Takes note that the target owns a list, as the newest of its kind. */
  add(record: ListRecord): void {
    let out = this.#out[record.kind];
    if (out === undefined) {
      out = new Set();
      this.#out[record.kind] = out;
    }
    out.add(record);
    if (record.kind === DataOperation.SEND) this.sendBytesOut += record.bytes;
  }

  remove(record: ListRecord): void {
    const wasOut = this.#out[record.kind]?.delete(record) ?? false;
    if (wasOut && record.kind === DataOperation.SEND) this.sendBytesOut -= record.bytes;
  }

  /** How many lists of a kind the target owns. */
  outstanding(kind: DataOperation): number {
    return this.#out[kind]?.size ?? 0;
  }

  /** The lists of a kind that the target owns, oldest first. */
  lists(kind: DataOperation): Iterable<ListRecord> {
    return this.#out[kind] ?? [];
  }

  /** The oldest list of a kind that the target owns. */
  oldest(kind: DataOperation): ListRecord | undefined {
    for (const record of this.lists(kind)) return record;
    return undefined;
  }

  /** A new life: what was known of the last one is forgotten, its handle and its calls are not. */
  reset(): void {
    this.isInvalid = false;
    this.wasToInvalidate = false;
    this.isCorrupt = false;
    this.hasRefused = false;
    this.refusedAt = -1;
    this.holdsBufferedData = false;
    this.hasPeerFinished = false;
    this.hasDisconnectEvent = false;
    this.hasAborted = false;
    this.abortedAt = 0;
    this.hasClosedForGood = false;
    this.hasGraceful = false;
    this.hasAbortive = false;
    this.failedDisconnects = 0;
    this.hasFailedClose = false;
    this.hasFailedUpdate = false;
    this.hasFailedQuery = false;
    this.isWantedByAll = false;
    this.retrieveReason = 0;
    this.isFlowKnown = false;
    this.delivered = 0;
    this.transferred = 0;
    this.constants = null;
    this.hashValue = 0;
    this.hasMandatoryRetrieve = false;
    this.hardwareRetrieveAt = 0;
    this.failedSend = -1;
    this.hasPartialSend = false;
    this.shortReceive = 'none';
    this.lastBacklog = -1;
    this.idealBacklog = -1;
    this.wasLeftByRelink = false;
  }

  /**
   * FIN-WAIT-1, FIN-WAIT-2 or CLOSE-WAIT, as far as it shows for certain at the door: our FIN is not out while data in front
   * of it is unacknowledged.
   */
  get isHalfClosed(): boolean {
    if (this.hasGraceful) return !this.hasPeerFinished && this.outstanding(DataOperation.SEND) === 0;
    return this.hasPeerFinished;
  }
}

/** What a block of an operation is. */
export const Role = { PLACEHOLDER: 0, REFERENCE: 1, NEW_OFFLOAD: 2 } as const;
export type Role = (typeof Role)[keyof typeof Role];

/** A block as it was when its operation was called. */
export interface BlockRecord {
  readonly block: OffloadBlock;
  readonly parent: BlockRecord | null;
  readonly depth: number;
  readonly role: Role;
  /** The object it names or is to make; null: a placeholder. */
  readonly object: ObjectRecord | null;
  readonly handle: NdisOffloadHandle | null;
  /** What the slot held. */
  readonly slot: unknown;
  readonly nextBlock: OffloadBlock | null;
  readonly dependentBlockList: OffloadBlock | null;
  readonly type: number;
  readonly revision: number;
  readonly size: number;
  readonly portNumber: number;
  readonly sourceHandle: unknown;
  /** ProtocolReserved, ImReserved and NdisReserved, in that order. */
  readonly reserved: readonly unknown[];
  readonly chain: NetBufferList | null;
  /** The chain's lists, and the status of each, in an initiate. */
  readonly sends: readonly NetBufferList[];
  readonly sendStatuses: readonly number[];
  /** Which structures followed it: a bit each for const, cached and delegated. */
  readonly structures: number;
  /** A digest of the cached state in an update. */
  readonly cachedDigest: number;
  /** A digest of the received data that goes down with an initiate; 0: none does. */
  readonly bufferedDigest: number;
  /** Dependents, filled in as the tree is read. */
  readonly dependents: BlockRecord[];
}

/** An operation under way. */
export interface OperationRecord {
  readonly operation: StateOperation;
  readonly root: OffloadBlock;
  readonly number: number;
  /** When it was called; 0 without a clock. */
  readonly atUs: number;
  /** In the order of the walk. */
  readonly blocks: readonly BlockRecord[];
  /** What is wrong with the tree itself; a broken tree is not followed further. */
  readonly brokenTree: string | null;
  /** Whether the call is still inside the target. */
  isInside: boolean;
}
