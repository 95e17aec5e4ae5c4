/**
 * Offloaded objects as the host knows them: neighbors, paths and connections, tied TCP to path to neighbor.
 *
 * Each holds the NDIS_OFFLOAD_HANDLE that names it below and the count of what depends on it: a neighbor or path is
 * terminated only when nothing depends on it any more (TERM-063, TERM-064). Nothing here calls NDIS.
 */

import { NdisOffloadHandle } from '../../ndis/protocol.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import type { TcpDelegatedState } from '../../state/tcp.ts';
import type { Move, TransportErrorCode } from '../api.ts';
import type { NeighborEntry, PathEntry } from '../path/types.ts';
import type { HostEndpoint } from '../transport/tcp-endpoint.ts';
import type { ChimneyAdapter } from './adapter.ts';
import { MOVES_KEPT } from './context.ts';
import { SendList } from './send-list.ts';

/** Where an object is in its life. Operations other than the two moves are possible in OFFLOADED and INVALID only. */
export const ObjectState = { NONE: 0, INITIATING: 1, OFFLOADED: 2, INVALID: 3, TERMINATING: 4 } as const;
export type ObjectState = (typeof ObjectState)[keyof typeof ObjectState];

/** What is either so or not so of an object, a bit each: an idle connection is to be small. */
const Flag = {
  UPDATING: 1,
  NEEDS_UPDATE: 2,
  WANTS_TERMINATE: 4,
  WANTS_OFFLOAD: 8,
  RELEASED: 16,
  DISCONNECTING: 32,
  DISCONNECT_DONE: 64,
  PEER_FINISHED: 128,
  OWN_RECEIVE_POSTED: 256,
  LISTED: 512,
  LOST: 1024,
} as const;

/** What neighbor, path and connection have in common. The object is its own NDIS_OFFLOAD_HANDLE. */
export class OffloadedObject extends NdisOffloadHandle {
  readonly adapter: ChimneyAdapter;
  state: ObjectState = ObjectState.NONE;
  /** Queries, updates and invalidates below; a terminate waits for them (TERM-028). */
  operations = 0;
  /** A relink is due (paths), or action flags are to be sent with the next update (connections). */
  updateFlags = 0;
  #flags = 0;

  constructor(adapter: ChimneyAdapter) {
    super(null);
    this.owner = this;
    this.adapter = adapter;
  }

  protected is(flag: number): boolean {
    return (this.#flags & flag) !== 0;
  }
  protected set(flag: number, value: boolean): void {
    if (value) this.#flags |= flag;
    else this.#flags &= ~flag;
  }

  /** What names it below. */
  get handle(): NdisOffloadHandle {
    return this;
  }

  /** At most one update at a time (UPD-030); a further change waits for its completion. */
  get isUpdating(): boolean {
    return this.is(Flag.UPDATING);
  }
  set isUpdating(value: boolean) {
    this.set(Flag.UPDATING, value);
  }
  get needsUpdate(): boolean {
    return this.is(Flag.NEEDS_UPDATE);
  }
  set needsUpdate(value: boolean) {
    this.set(Flag.NEEDS_UPDATE, value);
  }
  /** Terminate as soon as the state allows. */
  get wantsTerminate(): boolean {
    return this.is(Flag.WANTS_TERMINATE);
  }
  set wantsTerminate(value: boolean) {
    this.set(Flag.WANTS_TERMINATE, value);
  }

  /** Whether state operations other than the two moves may be started on it. */
  get isOffloaded(): boolean {
    return this.state === ObjectState.OFFLOADED || this.state === ObjectState.INVALID;
  }
}

/** A next hop. On links without link-layer addresses there is one for the interface and `entry` is null. */
export class OffloadedNeighbor extends OffloadedObject {
  readonly entry: NeighborEntry | null;
  /** Offloaded (or being offloaded) objects that hang on this one. */
  dependents = 0;
  /** Offloaded ahead of a relink: kept although nothing hangs on it yet (UPD-024). */
  isKept = false;
  /** Our answer zero to a reachability query waits for its check (NBR-022): the NRD that was indicated, ticks; -1: none. */
  queriedNrd = -1;

  constructor(adapter: ChimneyAdapter, entry: NeighborEntry | null) {
    super(adapter);
    this.entry = entry;
  }

  /** It did not answer its probes while it was on its way down, and has not answered since. */
  get isLost(): boolean {
    return this.is(Flag.LOST);
  }
  set isLost(value: boolean) {
    this.set(Flag.LOST, value);
  }
}

/** A pair of addresses over a neighbor. */
export class OffloadedPath extends OffloadedObject {
  readonly entry: PathEntry;
  neighbor: OffloadedNeighbor;
  /** Offloaded (or being offloaded) connections that hang on this one. */
  dependents = 0;

  constructor(adapter: ChimneyAdapter, entry: PathEntry, neighbor: OffloadedNeighbor) {
    super(adapter);
    this.entry = entry;
    this.neighbor = neighbor;
  }
}

/** Somebody waits for a move. */
export interface MoveWaiter {
  resolve(move: Move): void;
  reject(error: Error): void;
}

/** A TCP segment kept while its connection is between two engines. */
export interface HeldSegment {
  readonly bytes: Uint8Array;
}

/** What is kept of a connection only while it moves, or waits for a move. */
class Transit {
  reason: string | null = null;
  frozenAtUs = 0;
  gapUntilUs: number = Number.NEGATIVE_INFINITY;
  readonly offloadWaiters: MoveWaiter[] = [];
  readonly takeBackWaiters: MoveWaiter[] = [];
  readonly held: SendList = new SendList();
  readonly segments: HeldSegment[] = [];
  segmentBytes = 0;
  delegated: TcpDelegatedState | null = null;
  failures = 0;

  get isOver(): boolean {
    if (this.offloadWaiters.length + this.takeBackWaiters.length + this.segments.length > 0) return false;
    return this.delegated === null && this.failures === 0 && this.held.isEmpty && this.reason === null;
  }
}

/** What a connection has once it has done more than to go down. */
class Extra {
  transit: Transit | null = null;
  moves: Move[] | null = null;
  outstanding: SendList | null = null;
  disconnectWanted: 'none' | 'graceful' | 'abortive' = 'none';
  aborted: TransportErrorCode | null = null;
  // What the application has not taken as it came.
  refusedBytes = 0;
  bufferedBelow = 0;
  postedReceives = 0;
  keptBytes = 0;
  ownReceive: NetBufferList | null = null;

  /** Nothing in it says more than its absence would. */
  get isEmpty(): boolean {
    if (this.transit !== null || this.moves !== null || this.outstanding !== null || this.aborted !== null)
      return false;
    if (this.disconnectWanted !== 'none' || this.ownReceive !== null) return false;
    return this.refusedBytes + this.bufferedBelow + this.postedReceives + this.keptBytes === 0;
  }
}

/** A connection that was offloaded at least once. */
export class OffloadedConnection extends OffloadedObject {
  readonly endpoint: HostEndpoint;
  path: OffloadedPath;
  /** Others of the adapter; for ConnectionList only. */
  next: OffloadedConnection | null = null;
  previous: OffloadedConnection | null = null;
  /** Who asked for the move under way. */
  cause: Move['cause'] = 'manual';
  moveCount = 0;
  /** The only move so far, an initiate that has succeeded: its cause and freeze, µs; null: there was none, or there were others. */
  #onlyCause: Move['cause'] | null = null;
  #onlyFreezeUs = 0;
  #extra: Extra | null = null;
  /** Bytes outstanding at the target. */
  outstandingBytes = 0;
  /** Optimum of outstanding bytes as the target last said; 0 until it does: there is none (EVT-028). */
  sendBacklog = 0;

  constructor(adapter: ChimneyAdapter, endpoint: HostEndpoint, path: OffloadedPath) {
    super(adapter);
    this.endpoint = endpoint;
    this.path = path;
  }

  // Moving.

  // Static, as private methods cost each object a word.

  static #more(connection: OffloadedConnection): Extra {
    connection.#extra ??= new Extra();
    return connection.#extra;
  }

  static #transit(connection: OffloadedConnection): Transit | null {
    return connection.#extra === null ? null : connection.#extra.transit;
  }

  static #moving(connection: OffloadedConnection): Transit {
    const extra = OffloadedConnection.#more(connection);
    extra.transit ??= new Transit();
    return extra.transit;
  }

  /** Nothing of a move is under way any more: what it needed is forgotten. */
  settle(): void {
    const extra = this.#extra;
    if (extra === null || extra.transit?.isOver !== true) return;
    extra.transit = null;
    if (extra.isEmpty) this.#extra = null;
  }

  /** Why it comes back, in the target's words. */
  get reason(): string | null {
    return OffloadedConnection.#transit(this)?.reason ?? null;
  }
  set reason(value: string | null) {
    if (value !== null || OffloadedConnection.#transit(this) !== null) OffloadedConnection.#moving(this).reason = value;
  }
  /** Since when nobody serves it, µs. */
  get frozenAtUs(): number {
    return OffloadedConnection.#transit(this)?.frozenAtUs ?? 0;
  }
  set frozenAtUs(value: number) {
    OffloadedConnection.#moving(this).frozenAtUs = value;
  }
  /** Until when an offload waits for a gap in the received data to close. */
  get gapUntilUs(): number {
    return OffloadedConnection.#transit(this)?.gapUntilUs ?? Number.NEGATIVE_INFINITY;
  }
  set gapUntilUs(value: number) {
    OffloadedConnection.#moving(this).gapUntilUs = value;
  }
  get offloadWaiters(): MoveWaiter[] {
    return OffloadedConnection.#moving(this).offloadWaiters;
  }
  get takeBackWaiters(): MoveWaiter[] {
    return OffloadedConnection.#moving(this).takeBackWaiters;
  }
  /** The delegated structure of the move under way. */
  get delegated(): TcpDelegatedState | null {
    return OffloadedConnection.#transit(this)?.delegated ?? null;
  }
  set delegated(value: TcpDelegatedState | null) {
    if (value !== null || OffloadedConnection.#transit(this) !== null)
      OffloadedConnection.#moving(this).delegated = value;
  }
  /** Terminates answered FAILURE so far: the state is lost after the first (TERM-020 to 025). */
  get failures(): number {
    return OffloadedConnection.#transit(this)?.failures ?? 0;
  }
  set failures(value: number) {
    if (value !== 0 || OffloadedConnection.#transit(this) !== null) OffloadedConnection.#moving(this).failures = value;
  }
  /** Segments that came while it was between two engines. */
  get segments(): HeldSegment[] {
    return OffloadedConnection.#moving(this).segments;
  }
  get segmentBytes(): number {
    return OffloadedConnection.#transit(this)?.segmentBytes ?? 0;
  }
  set segmentBytes(value: number) {
    if (value !== 0 || OffloadedConnection.#transit(this) !== null)
      OffloadedConnection.#moving(this).segmentBytes = value;
  }

  /** A move is over. Nearly all connections that are offloaded once have this one only. */
  moved(move: Move): void {
    const isFirst = this.moveCount++ === 0;
    if (isFirst && move.kind === 'initiate' && move.reason === null && move.status === 'SUCCESS') {
      this.#onlyCause = move.cause;
      this.#onlyFreezeUs = move.freezeUs;
      return;
    }
    const moves = OffloadedConnection.#allMoves(this);
    moves.push(move);
    if (moves.length > MOVES_KEPT) moves.shift();
    OffloadedConnection.#more(this).moves = moves;
    this.#onlyCause = null;
  }

  get moves(): readonly Move[] {
    return OffloadedConnection.#allMoves(this);
  }

  static #allMoves(connection: OffloadedConnection): Move[] {
    const cause = connection.#onlyCause;
    if (cause === null) return connection.#extra?.moves ?? [];
    return [{ kind: 'initiate', cause, reason: null, freezeUs: connection.#onlyFreezeUs, status: 'SUCCESS' }];
  }

  // Sending.

  /** Lists at the target (or given back by it), in the order in which they were posted. */
  get outstanding(): SendList {
    const extra = OffloadedConnection.#more(this);
    extra.outstanding ??= new SendList();
    return extra.outstanding;
  }
  /** The application asked for a close while it could not be passed on; or it was passed on and is not completed. */
  get disconnectWanted(): 'none' | 'graceful' | 'abortive' {
    return this.#extra === null ? 'none' : this.#extra.disconnectWanted;
  }
  set disconnectWanted(value: 'none' | 'graceful' | 'abortive') {
    if (value !== 'none' || this.#extra !== null) OffloadedConnection.#more(this).disconnectWanted = value;
  }
  /** The peer (or we) reset the connection; only the terminate is left. */
  get aborted(): TransportErrorCode | null {
    return this.#extra === null ? null : this.#extra.aborted;
  }
  set aborted(value: TransportErrorCode | null) {
    if (value !== null || this.#extra !== null) OffloadedConnection.#more(this).aborted = value;
  }
  /** Lists that could not be handed down yet: a move is under way or the target's backlog is full. */
  get held(): SendList {
    return OffloadedConnection.#moving(this).held;
  }
  get hasHeld(): boolean {
    return OffloadedConnection.#transit(this)?.held.isEmpty === false;
  }

  // Receiving.

  /** Bytes of the last refused indication that the target still holds, and does not indicate again by itself. */
  get refusedBytes(): number {
    return this.#extra === null ? 0 : this.#extra.refusedBytes;
  }
  set refusedBytes(value: number) {
    if (value !== 0 || this.#extra !== null) OffloadedConnection.#more(this).refusedBytes = value;
  }
  /** Posted receives below, the one over the application's own memory not counted. */
  get postedReceives(): number {
    return this.#extra === null ? 0 : this.#extra.postedReceives;
  }
  set postedReceives(value: number) {
    OffloadedConnection.#more(this).postedReceives = value;
  }
  /** Bytes of indications that the application keeps. */
  get keptBytes(): number {
    return this.#extra === null ? 0 : this.#extra.keptBytes;
  }
  set keptBytes(value: number) {
    OffloadedConnection.#more(this).keptBytes = value;
  }
  /** The receive over the application's own memory, used again and again, and whether it is posted. */
  get ownReceive(): NetBufferList | null {
    return this.#extra === null ? null : this.#extra.ownReceive;
  }
  set ownReceive(value: NetBufferList | null) {
    OffloadedConnection.#more(this).ownReceive = value;
  }
  /** Bytes that went down with the connection, unread, and have not come up again. */
  get bufferedBelow(): number {
    return this.#extra === null ? 0 : this.#extra.bufferedBelow;
  }
  set bufferedBelow(value: number) {
    OffloadedConnection.#more(this).bufferedBelow = value;
  }

  /** Bytes that the target had are up: once all that went down unread is, the end of the stream may be told. */
  cameUp(bytes: number): void {
    if (this.bufferedBelow === 0) return;
    this.bufferedBelow = Math.max(0, this.bufferedBelow - bytes);
    if (this.bufferedBelow === 0) this.endpoint.textIsUp();
  }

  // Flags.

  /** It is in the list of its adapter. */
  get isListed(): boolean {
    return this.is(Flag.LISTED);
  }
  set isListed(value: boolean) {
    this.set(Flag.LISTED, value);
  }
  get wantsOffload(): boolean {
    return this.is(Flag.WANTS_OFFLOAD);
  }
  set wantsOffload(value: boolean) {
    this.set(Flag.WANTS_OFFLOAD, value);
  }
  /** The endpoint is over and its record gone: only the target's half is left to be ended. */
  get isReleased(): boolean {
    return this.is(Flag.RELEASED);
  }
  set isReleased(value: boolean) {
    this.set(Flag.RELEASED, value);
  }
  get isDisconnecting(): boolean {
    return this.is(Flag.DISCONNECTING);
  }
  set isDisconnecting(value: boolean) {
    this.set(Flag.DISCONNECTING, value);
  }
  /** The disconnect below was completed with SUCCESS: FIN (or RST) is out and, if graceful, acknowledged. */
  get disconnectDone(): boolean {
    return this.is(Flag.DISCONNECT_DONE);
  }
  set disconnectDone(value: boolean) {
    this.set(Flag.DISCONNECT_DONE, value);
  }
  get peerFinished(): boolean {
    return this.is(Flag.PEER_FINISHED);
  }
  set peerFinished(value: boolean) {
    this.set(Flag.PEER_FINISHED, value);
  }
  get isOwnReceivePosted(): boolean {
    return this.is(Flag.OWN_RECEIVE_POSTED);
  }
  set isOwnReceivePosted(value: boolean) {
    this.set(Flag.OWN_RECEIVE_POSTED, value);
  }
}
