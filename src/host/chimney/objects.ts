/**
 * Offloaded objects as the host knows them: neighbors, paths and connections, tied TCP to path to neighbor.
 *
 * Each holds the NDIS_OFFLOAD_HANDLE that names it below and the count of what depends on it: a neighbor or path is
 * terminated only when nothing depends on it any more (TERM-063, TERM-064). Nothing here calls NDIS.
 */

import { NdisOffloadHandle, type OffloadBlock } from '../../ndis/protocol.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import type { TcpDelegatedState } from '../../state/tcp.ts';
import type { Move, TransportErrorCode } from '../api.ts';
import type { NeighborEntry, PathEntry } from '../path/types.ts';
import type { HostEndpoint } from '../transport/tcp-endpoint.ts';
import type { ChimneyAdapter } from './adapter.ts';

/** Where an object is in its life. Operations other than the two moves are possible in OFFLOADED and INVALID only. */
export const ObjectState = { NONE: 0, INITIATING: 1, OFFLOADED: 2, INVALID: 3, TERMINATING: 4 } as const;
export type ObjectState = (typeof ObjectState)[keyof typeof ObjectState];

/** What neighbor, path and connection have in common. */
export class OffloadedObject {
  readonly handle: NdisOffloadHandle = new NdisOffloadHandle(this);
  readonly adapter: ChimneyAdapter;
  state: ObjectState = ObjectState.NONE;
  /** Offloaded (or being offloaded) objects that hang on this one. */
  dependents = 0;
  /** Queries, updates and invalidates below; a terminate waits for them (TERM-028). */
  operations = 0;
  /** At most one update at a time (UPD-030); a further change waits for its completion. */
  isUpdating = false;
  needsUpdate = false;
  /** A relink is due (paths), or action flags are to be sent with the next update (connections). */
  updateFlags = 0;
  /** Terminate as soon as the state allows. */
  wantsTerminate = false;

  constructor(adapter: ChimneyAdapter) {
    this.adapter = adapter;
  }

  /** Whether state operations other than the two moves may be started on it. */
  get isOffloaded(): boolean {
    return this.state === ObjectState.OFFLOADED || this.state === ObjectState.INVALID;
  }
}

/** A next hop. On links without link-layer addresses there is one for the interface and `entry` is null. */
export class OffloadedNeighbor extends OffloadedObject {
  readonly entry: NeighborEntry | null;
  /** Offloaded ahead of a relink: kept although nothing hangs on it yet (UPD-024). */
  isKept = false;
  /** Our answer zero to a reachability query waits for its check (NBR-022): the NRD that was indicated, ticks; -1: none. */
  queriedNrd = -1;

  constructor(adapter: ChimneyAdapter, entry: NeighborEntry | null) {
    super(adapter);
    this.entry = entry;
  }
}

/** A pair of addresses over a neighbor. */
export class OffloadedPath extends OffloadedObject {
  readonly entry: PathEntry;
  neighbor: OffloadedNeighbor;

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

/** A connection that was offloaded at least once. */
export class OffloadedConnection extends OffloadedObject {
  readonly endpoint: HostEndpoint;
  path: OffloadedPath;
  /** The move under way, and who asked for it. */
  cause: Move['cause'] = 'manual';
  reason: string | null = null;
  frozenAtUs = 0;
  /** Until when an offload waits for a gap in the received data to close. */
  gapUntilUs: number = Number.NEGATIVE_INFINITY;
  wantsOffload = false;
  readonly offloadWaiters: MoveWaiter[] = [];
  readonly takeBackWaiters: MoveWaiter[] = [];
  readonly moves: Move[] = [];
  moveCount = 0;

  /** Lists at the target (or given back by it), in the order in which they were posted. */
  readonly outstanding: SendList = new SendList();
  /** Lists that could not be handed down yet: a move is under way or the target's backlog is full. */
  readonly held: SendList = new SendList();
  /** Bytes outstanding at the target. */
  outstandingBytes = 0;
  /** Optimum of outstanding bytes as the target last said; Infinity until it does (EVT-028). */
  sendBacklog: number = Number.POSITIVE_INFINITY;

  /** The endpoint is over and its record gone: only the target's half is left to be ended. */
  isReleased = false;
  /** The application asked for a close while it could not be passed on; or it was passed on and is not completed. */
  disconnectWanted: 'none' | 'graceful' | 'abortive' = 'none';
  isDisconnecting = false;
  /** The disconnect below was completed with SUCCESS: FIN (or RST) is out and, if graceful, acknowledged. */
  disconnectDone = false;
  peerFinished = false;
  /** The peer (or we) reset the connection; only the terminate is left. */
  aborted: TransportErrorCode | null = null;
  /** Terminates answered FAILURE so far: the state is lost after the first (TERM-020 to 025). */
  failures = 0;

  /** Bytes of the last refused indication that the target still holds, and does not indicate again by itself. */
  refusedBytes = 0;
  /** Bytes that went down with the connection, unread, and have not come up again. */
  bufferedBelow = 0;
  /** Posted receives below, the one over the application's own memory not counted. */
  postedReceives = 0;
  /** The receive over the application's own memory, used again and again, and whether it is posted. */
  ownReceive: NetBufferList | null = null;
  isOwnReceivePosted = false;
  /** Bytes of indications that the application keeps. */
  keptBytes = 0;
  readonly segments: HeldSegment[] = [];
  segmentBytes = 0;
  /** The delegated structure of the move under way. */
  delegated: TcpDelegatedState | null = null;
  block: OffloadBlock | null = null;
  /** Looks at a connection that was offloaded half closed and of whose end no event tells. */
  watchAtUs = 0;

  constructor(adapter: ChimneyAdapter, endpoint: HostEndpoint, path: OffloadedPath) {
    super(adapter);
    this.endpoint = endpoint;
    this.path = path;
  }

  /** Bytes that the target had are up: once all that went down unread is, the end of the stream may be told. */
  cameUp(bytes: number): void {
    if (this.bufferedBelow === 0) return;
    this.bufferedBelow = Math.max(0, this.bufferedBelow - bytes);
    if (this.bufferedBelow === 0) this.endpoint.textIsUp();
  }
}

/** Send lists in posting order, chained through a queue of references (their `next` belongs to whoever has them). */
export class SendList {
  #lists: (NetBufferList | null)[] = [];
  #head = 0;

  get isEmpty(): boolean {
    return this.#head === this.#lists.length;
  }

  get first(): NetBufferList | null {
    return this.#lists[this.#head] ?? null;
  }

  push(list: NetBufferList): void {
    this.#lists.push(list);
  }

  shift(): NetBufferList | null {
    if (this.isEmpty) return null;
    const list = this.#lists[this.#head]!;
    this.#lists[this.#head++] = null;
    if (this.#head > 32 && this.#head * 2 > this.#lists.length) {
      this.#lists.splice(0, this.#head);
      this.#head = 0;
    }
    return list;
  }

  /** Takes out one list, wherever it stands; answers whether it was there. Almost always it is the first. */
  remove(list: NetBufferList): boolean {
    for (let i = this.#head; i < this.#lists.length; i++) {
      if (this.#lists[i] !== list) continue;
      if (i === this.#head) this.shift();
      else this.#lists.splice(i, 1);
      return true;
    }
    return false;
  }

  /** All lists as one chain, in order; the queue is empty afterwards. */
  takeChain(): NetBufferList | null {
    let head: NetBufferList | null = null;
    let tail: NetBufferList | null = null;
    for (let list = this.shift(); list !== null; list = this.shift()) {
      list.next = null;
      if (tail === null) head = list;
      else tail.next = list;
      tail = list;
    }
    return head;
  }
}
