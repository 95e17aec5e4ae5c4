/**
 * Offload contexts: what the target keeps of each object that was offloaded to it (CTX-001, CTX-003).
 *
 * Every connection hangs on a path and every path on a neighbor (TREE-046). The context itself is the PVOID that goes into the
 * slot of the driver above. Plain data: what is done with it is in the other files of this folder, by operation.
 */

import { NEVER } from '../../base/runtime.ts';
import type { NdisOffloadHandle } from '../../ndis/miniport.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import { TcpConnectionState, TcpWord } from '../../state/tcp.ts';
import type { TcpConnection } from '../../tcp/connection.ts';
import { ConnectionFlags } from './connection-flags.ts';
import type { Activity } from './discretion.ts';
import type { Packing } from './packing.ts';

/** What a layer is called where people read it. */
export type Layer = 'neighbor' | 'path' | 'tcp';

/** An offloaded neighbor. */
export class NeighborContext {
  readonly layer = 'neighbor' as const;
  readonly handle: NdisOffloadHandle;
  /** Source MAC of what is sent and destination of what is received (STATE-008, STATE-012). */
  readonly source: Uint8Array;
  /** Whether {@link source} was given (DlSourceAddress not zero) and is not the interface's (STATE-009). */
  readonly isSourceGiven: boolean;
  /** DlDestinationAddress. */
  readonly destination: Uint8Array = new Uint8Array(6);
  /** 0: not significant. */
  readonly vlanId: number;
  /** When the host last confirmed reachability, µs. HRT. */
  hrtUs = 0;
  /** When this target last saw forward progress, µs. NRT. */
  nrtUs = 0;
  isInvalid = false;
  readonly paths: Set<PathContext> = new Set();

  constructor(handle: NdisOffloadHandle, source: Uint8Array, isSourceGiven: boolean, vlanId: number) {
    this.handle = handle;
    this.source = source;
    this.isSourceGiven = isSourceGiven;
    this.vlanId = vlanId;
  }
}

/** An offloaded path. */
export class PathContext {
  readonly layer = 'path' as const;
  readonly handle: NdisOffloadHandle;
  /** Null on a link that carries bare IP packets and has no neighbors. */
  neighbor: NeighborContext | null;
  readonly family: 4 | 6;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  /** As the host gave it, bytes; what is used is at most the link's MTU. */
  pathMtu: number;
  isInvalid = false;
  firstConnection: TcpContext | null = null;
  connectionCount = 0;
  /** Of the records of its connections, where these are packed. */
  packing: Packing | null = null;

  constructor(
    handle: NdisOffloadHandle,
    neighbor: NeighborContext | null,
    family: 4 | 6,
    source: Uint8Array,
    destination: Uint8Array,
    pathMtu: number,
  ) {
    this.handle = handle;
    this.neighbor = neighbor;
    this.family = family;
    this.source = source;
    this.destination = destination;
    this.pathMtu = pathMtu;
  }
}

/** Things to be done for a connection at the end of the batch, in this order. */
export const Due = {
  /** Segments that the host forwarded. */
  FORWARD: 1,
  /** The delivery algorithm is to be run. */
  DELIVER: 2,
  /** Acknowledged sends, a finished disconnect. */
  SENDS: 4,
  /** An abortive disconnect. */
  HOST_ABORT: 8,
  /** An RST was received. */
  PEER_ABORT: 16,
  TRANSMIT: 32,
  /** TcpIndicateRetrieve. */
  RETRIEVE: 64,
  /** Lists to be given back with UPLOAD_IN_PROGRESS or REQUEST_ABORTED. */
  GIVE_BACK: 128,
} as const;

/** How a connection is run, from best to worst; only ever goes up. */
export const Standing = {
  /** Processed as offloaded. */
  NORMAL: 0,
  /** An upload is being asked for with a mandatory reason: not processed any more (EVT-019). */
  STOPPED: 1,
  /** Aborted by an RST or by the host. */
  ABORTED: 2,
  /** Being terminated, or gone. */
  TERMINATED: 3,
} as const;
export type Standing = (typeof Standing)[keyof typeof Standing];

/** Sends and disconnects that are given back as they came. */
export class ReturnedCalls {
  firstSend: NetBufferList | null = null;
  lastSend: NetBufferList | null = null;
  /** A chain; there may be a graceful and an abortive one. */
  disconnects: NetBufferList | null = null;
}

/** A frame kept for the ordinary path, with what it leaves to the device (`segmentBytes` of `LinkReceiver.receive`). */
export interface HeldFrame {
  readonly bytes: Uint8Array;
  readonly segmentBytes: number;
}

/** What most connections have only at times, and many never. */
class Extra {
  // Posted requests.
  first: NetBufferList | null = null;
  last: NetBufferList | null = null;
  filled = 0;
  room = 0;
  firstDone: NetBufferList | null = null;
  lastDone: NetBufferList | null = null;
  pushAtUs: number = NEVER;
  // Calls of the host, and what happens as a connection ends.
  disconnect: NetBufferList | null = null;
  abort: NetBufferList | null = null;
  returned: ReturnedCalls | null = null;
  forwards: NetBufferList | null = null;
  reason = 0;
  held: HeldFrame[] | null = null;
  activity: Activity | null = null;
}

/** An offloaded connection. What an idle one does not need is made when it is needed. */
export class TcpContext extends ConnectionFlags {
  readonly handle: NdisOffloadHandle;
  readonly path: PathContext;
  /** The record, or the number under which it is packed; see {@link tcp}. */
  #tcp: TcpConnection | number;
  nextOfPath: TcpContext | null = null;
  previousOfPath: TcpContext | null = null;

  standing: Standing = Standing.NORMAL;

  /** An OR of {@link Due}. */
  due = 0;
  nextQueued: TcpContext | null = null;

  /** Bytes that were indicated and are not taken yet, where an indication says nothing about that; they narrow the window. */
  unreadBytes = 0;
  /** Optimum of outstanding send bytes as told last; and when. */
  backlog = 0;
  backlogAtUs = 0;
  #extra: Extra | null = null;

  constructor(handle: NdisOffloadHandle, path: PathContext, tcp: TcpConnection) {
    super();
    this.handle = handle;
    this.path = path;
    this.#tcp = tcp;
  }

  get layer(): 'tcp' {
    return 'tcp';
  }

  /** The engine's record, unpacked now if it was packed. */
  get tcp(): TcpConnection {
    const tcp = this.#tcp;
    return typeof tcp === 'number' ? this.path.packing!.unpack(this, tcp) : tcp;
  }
  set tcp(tcp: TcpConnection | number) {
    this.#tcp = tcp;
  }

  /** See `TableEntry`. */
  get record(): TcpConnection {
    return this.tcp;
  }

  get isPacked(): boolean {
    return typeof this.#tcp === 'number';
  }

  // Posted requests; see Receiver.

  static #extraOf(context: TcpContext): Extra {
    context.#extra ??= new Extra();
    return context.#extra;
  }

  /** Posted requests, oldest first, chained by `next`. */
  get firstRequest(): NetBufferList | null {
    return this.#extra === null ? null : this.#extra.first;
  }
  set firstRequest(value: NetBufferList | null) {
    TcpContext.#extraOf(this).first = value;
  }
  get lastRequest(): NetBufferList | null {
    return this.#extra === null ? null : this.#extra.last;
  }
  set lastRequest(value: NetBufferList | null) {
    TcpContext.#extraOf(this).last = value;
  }
  /** Bytes in the oldest request, those that came with it included. */
  get filled(): number {
    return this.#extra === null ? 0 : this.#extra.filled;
  }
  set filled(value: number) {
    TcpContext.#extraOf(this).filled = value;
  }
  /** Room in all requests, bytes. */
  get requestedBytes(): number {
    return this.#extra === null ? 0 : this.#extra.room;
  }
  set requestedBytes(value: number) {
    TcpContext.#extraOf(this).room = value;
  }
  /** Requests that are finished and about to be completed. */
  get firstDone(): NetBufferList | null {
    return this.#extra === null ? null : this.#extra.firstDone;
  }
  set firstDone(value: NetBufferList | null) {
    TcpContext.#extraOf(this).firstDone = value;
  }
  get lastDone(): NetBufferList | null {
    return this.#extra === null ? null : this.#extra.lastDone;
  }
  set lastDone(value: NetBufferList | null) {
    TcpContext.#extraOf(this).lastDone = value;
  }
  /** When the push timer expires, µs; NEVER. */
  get pushAtUs(): number {
    return this.#extra === null ? NEVER : this.#extra.pushAtUs;
  }
  set pushAtUs(value: number) {
    if (value !== NEVER || this.#extra !== null) TcpContext.#extraOf(this).pushAtUs = value;
  }

  /** What happens on it, where the target has an eye on that; else null. */
  get activity(): Activity | null {
    return this.#extra === null ? null : this.#extra.activity;
  }
  set activity(value: Activity | null) {
    if (value !== null || this.#extra !== null) TcpContext.#extraOf(this).activity = value;
  }

  // Calls of the host that are under way.

  /** A graceful disconnect that is not complete. */
  get disconnect(): NetBufferList | null {
    return this.#extra === null ? null : this.#extra.disconnect;
  }
  set disconnect(value: NetBufferList | null) {
    if (value !== null || this.#extra !== null) TcpContext.#extraOf(this).disconnect = value;
  }
  /** An abortive disconnect that is not complete. */
  get abort(): NetBufferList | null {
    return this.#extra === null ? null : this.#extra.abort;
  }
  set abort(value: NetBufferList | null) {
    if (value !== null || this.#extra !== null) TcpContext.#extraOf(this).abort = value;
  }
  /** Calls that are not carried out and go back; null: none. */
  get returned(): ReturnedCalls | null {
    return this.#extra === null ? null : this.#extra.returned;
  }
  set returned(value: ReturnedCalls | null) {
    if (value !== null || this.#extra !== null) TcpContext.#extraOf(this).returned = value;
  }
  /** Forwarded segments that wait to be processed, a chain. */
  get forwards(): NetBufferList | null {
    return this.#extra === null ? null : this.#extra.forwards;
  }
  set forwards(value: NetBufferList | null) {
    if (value !== null || this.#extra !== null) TcpContext.#extraOf(this).forwards = value;
  }
  /** A TCP_UPLOAD_REASON to be raised; 0: none. */
  get reason(): number {
    return this.#extra === null ? 0 : this.#extra.reason;
  }
  set reason(value: number) {
    if (value !== 0 || this.#extra !== null) TcpContext.#extraOf(this).reason = value;
  }
  /** Frames from the urgent one on, to go up after the terminate (TCP-084); null: none was seen. */
  get held(): HeldFrame[] | null {
    return this.#extra === null ? null : this.#extra.held;
  }
  set held(value: HeldFrame[] | null) {
    if (value !== null || this.#extra !== null) TcpContext.#extraOf(this).held = value;
  }

  /** The interface's word for it, a `TcpConnectionState`. */
  get isClosed(): boolean {
    return this.tcp.state === TcpConnectionState.CLOSED;
  }

  get isAborting(): boolean {
    return this.abort !== null;
  }

  /** RcvIndicationSize, bytes; 0: as much as there is. */
  get rcvIndicationSize(): number {
    return this.tcp.words[this.tcp.base + TcpWord.RCV_INDICATION_SIZE]!;
  }

  /** The RSS hash that the host supplied. */
  get hashValue(): number {
    return this.tcp.words[this.tcp.base + TcpWord.HASH_VALUE]! >>> 0;
  }

  /** Whether it, or what it hangs on, was invalidated: nothing is sent (INV-006). */
  get isSendingBarred(): boolean {
    const path = this.path;
    return this.isInvalid || path.isInvalid || (path.neighbor?.isInvalid ?? false);
  }
}

/** Hangs a connection on its path. */
export function linkConnection(ctx: TcpContext): void {
  const path = ctx.path;
  ctx.nextOfPath = path.firstConnection;
  if (path.firstConnection !== null) path.firstConnection.previousOfPath = ctx;
  path.firstConnection = ctx;
  path.connectionCount++;
}

/** Takes a connection off its path. */
export function unlinkConnection(ctx: TcpContext): void {
  const path = ctx.path;
  if (ctx.previousOfPath === null) path.firstConnection = ctx.nextOfPath;
  else ctx.previousOfPath.nextOfPath = ctx.nextOfPath;
  if (ctx.nextOfPath !== null) ctx.nextOfPath.previousOfPath = ctx.previousOfPath;
  ctx.nextOfPath = null;
  ctx.previousOfPath = null;
  path.connectionCount--;
}

/** Puts a chain behind a queue of lists that is chained by `next`: answers the new last list. */
export function lastOf(lists: NetBufferList): NetBufferList {
  let last = lists;
  while (last.next !== null) last = last.next;
  return last;
}
