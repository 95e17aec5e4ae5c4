/**
 * Queries, updates, invalidates, relinks and the answers to reachability queries.
 *
 * At most one update of an object is below at a time and none of an invalidated one; changes that come meanwhile are sent
 * with the next (UPD-029 to 032). Nothing is started on an object that is not offloaded or is on its way back.
 * Sources: chimney-sequences 8 to 11 and 19.
 */

import { Later } from '../../base/later.ts';
import { NdisStatus, OffloadBlock, OffloadStateType, type ProtocolOffloadBlock } from '../../ndis/protocol.ts';
import { type NeighborCachedState, NeighborDelegatedState } from '../../state/neighbor.ts';
import {
  TcpCachedFlag,
  TcpCachedState,
  TcpConnectionState,
  TcpConstState,
  TcpDelegatedState,
} from '../../state/tcp.ts';
import { Event } from '../../trace/events.ts';
import type { ChimneyQuery } from '../api.ts';
import { type NeighborEntry, NeighborState } from '../path/types.ts';
import type { ChimneyAdapter } from './adapter.ts';
import { writeCachedState } from './cached-state.ts';
import type { ChimneyContext } from './context.ts';
import { ChimneyError } from './error.ts';
import { ObjectState, OffloadedConnection, OffloadedNeighbor, type OffloadedObject, OffloadedPath } from './objects.ts';
import {
  forEachBlock,
  neighborUpdateBlock,
  newNeighborBlock,
  pathUpdateBlock,
  referenceTo,
  referenceToPath,
} from './tree.ts';

/** The action bits of the cached flags: sent once, never kept. */
const ACTIONS = TcpCachedFlag.KEEP_ALIVE_RESTART | TcpCachedFlag.MAX_RT_RESTART | TcpCachedFlag.UPDATE_RCV_WND;
/** How often a connection that was offloaded half closed is looked at, as no event tells of its end, microseconds. */
const WATCH_US = 1_000_000;

interface Waiter<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

export class StateOperations {
  readonly #context: ChimneyContext;
  /** Who asked for what is below, by root block. */
  readonly #queries: Map<ProtocolOffloadBlock, (block: ProtocolOffloadBlock) => void> = new Map();
  readonly #invalidates: Map<ProtocolOffloadBlock, Waiter<void>> = new Map();
  /** Paths that wait for a neighbor to be offloaded, to be linked to it. */
  readonly #relinks: Map<OffloadedNeighbor, Set<OffloadedPath>> = new Map();
  /** Paths that are being linked to another neighbor: the one they hang on until the target has done it. */
  readonly #formers: Map<OffloadedPath, OffloadedNeighbor> = new Map();
  readonly #later: Later;

  constructor(context: ChimneyContext) {
    this.#context = context;
    this.#later = new Later(context.runtime);
  }

  // ---- query ----

  /** All variables of an offloaded connection. */
  query(connection: OffloadedConnection): Promise<ChimneyQuery> {
    if (!connection.isOffloaded || connection.wantsTerminate) {
      return Promise.reject(new ChimneyError('NOT_OFFLOADABLE', 'the connection is not offloaded'));
    }
    const words = new Int32Array(48);
    const block = new OffloadBlock(OffloadStateType.TCP, connection.handle);
    block.constState = new TcpConstState(words, 0);
    const cached = new TcpCachedState(words, 0);
    const delegated = new TcpDelegatedState(words, 0);
    block.cachedState = cached;
    block.delegatedState = delegated;
    return new Promise((resolve, reject) => {
      this.#query(connection, block, () => {
        if (block.status === NdisStatus.SUCCESS) resolve(answerOf(cached, delegated));
        else reject(new ChimneyError('FAILURE', 'the target could not answer: its state of the connection is corrupt'));
      });
    });
  }

  /** Delegated state alone; null: the target could not answer. */
  queryDelegated(connection: OffloadedConnection, then: (delegated: TcpDelegatedState | null) => void): void {
    const delegated = new TcpDelegatedState();
    const block = new OffloadBlock(OffloadStateType.TCP_DELEGATED, connection.handle).withDelegated(delegated);
    this.#query(connection, block, () => then(block.status === NdisStatus.SUCCESS ? delegated : null));
  }

  #query(object: OffloadedObject, block: OffloadBlock, then: () => void): void {
    object.operations++;
    this.#queries.set(block, then);
    this.#context.ndis.queryOffloadState(object.adapter.binding, block);
  }

  /** ProtocolQueryOffloadComplete. */
  queryComplete(root: ProtocolOffloadBlock): void {
    const then = this.#queries.get(root);
    this.#queries.delete(root);
    this.#finish(root);
    then?.(root);
  }

  // ---- update ----

  /** Cached variables of a connection have changed on the host; `actions` asks for one-time actions. */
  connectionChanged(connection: OffloadedConnection, actions: number): void {
    connection.updateFlags |= actions;
    connection.needsUpdate = true;
    this.#flushUpdate(connection);
  }

  pathMtuChanged(path: OffloadedPath): void {
    path.needsUpdate = true;
    this.#flushUpdate(path);
  }

  neighborMacChanged(neighbor: OffloadedNeighbor): void {
    neighbor.needsUpdate = true;
    this.#flushUpdate(neighbor);
  }

  #flushUpdate(object: OffloadedObject): void {
    if (!object.needsUpdate || object.isUpdating || object.state !== ObjectState.OFFLOADED || object.wantsTerminate)
      return;
    // Of one that is over above nothing is left that could be told.
    if (object instanceof OffloadedConnection && object.isReleased) return;
    object.needsUpdate = false;
    this.#update(object, this.#updateBlock(object));
  }

  #updateBlock(object: OffloadedObject): OffloadBlock {
    if (object instanceof OffloadedNeighbor) return neighborUpdateBlock(object, this.#context.runtime.nowUs());
    if (object instanceof OffloadedPath) return pathUpdateBlock(object);
    const connection = object as OffloadedConnection;
    const cached = new TcpCachedState();
    writeCachedState(connection, cached);
    cached.flags = (cached.flags & ~ACTIONS) | connection.updateFlags;
    connection.updateFlags = 0;
    const block = new OffloadBlock(OffloadStateType.TCP_CACHED, connection.handle);
    block.cachedState = cached;
    return block;
  }

  #update(object: OffloadedObject, root: OffloadBlock): void {
    forEachBlock(root, (block) => {
      const there = block.offloadHandle!.owner as OffloadedObject;
      there.isUpdating = true;
      there.operations++;
    });
    this.#context.ndis.updateOffload(object.adapter.binding, root);
  }

  /** ProtocolUpdateOffloadComplete. */
  updateComplete(root: ProtocolOffloadBlock): void {
    const objects: OffloadedObject[] = [];
    forEachBlock(root, (block) => {
      const object = block.offloadHandle!.owner as OffloadedObject;
      object.isUpdating = false;
      objects.push(object);
      if (object instanceof OffloadedPath) this.#relinked(object, block.status === NdisStatus.SUCCESS);
    });
    this.#finish(root);
    for (const object of objects) this.#flushUpdate(object);
    for (const neighbor of [...this.#relinks.keys()]) this.#flushRelinks(neighbor);
  }

  /** Ends the operation on every object of the tree; those that failed are taken back (QRY-012, UPD-035, INV-013). */
  #finish(root: ProtocolOffloadBlock): void {
    forEachBlock(root, (block) => {
      const object = block.offloadHandle?.owner as OffloadedObject | undefined;
      if (object === undefined) return;
      this.#context.moves.operationDone(object);
      if (block.status === NdisStatus.SUCCESS) return;
      this.#context.trace.count(Event.CHIMNEY_OPERATION_FAILED);
      for (const connection of this.#dependentsOf(object)) {
        this.#context.moves.requestTakeBack(connection, 'failure', null, null);
      }
    });
  }

  #dependentsOf(object: OffloadedObject): OffloadedConnection[] {
    if (object instanceof OffloadedConnection) return [object];
    return [...object.adapter.connections].filter(
      (connection) => connection.path === object || connection.path.neighbor === object,
    );
  }

  // ---- invalidate ----

  invalidate(connection: OffloadedConnection): Promise<void> {
    if (!connection.isOffloaded || connection.wantsTerminate) {
      return Promise.reject(new ChimneyError('NOT_OFFLOADABLE', 'the connection is not offloaded'));
    }
    return new Promise((resolve, reject) => {
      this.#invalidate(connection, new OffloadBlock(OffloadStateType.TCP, connection.handle), { resolve, reject });
    });
  }

  #invalidate(object: OffloadedObject, block: OffloadBlock, waiter: Waiter<void>): void {
    object.state = ObjectState.INVALID;
    object.operations++;
    this.#invalidates.set(block, waiter);
    this.#context.ndis.invalidateOffload(object.adapter.binding, block);
  }

  /** ProtocolInvalidateOffloadComplete. */
  invalidateComplete(root: ProtocolOffloadBlock): void {
    const waiter = this.#invalidates.get(root);
    this.#invalidates.delete(root);
    const { status } = root;
    this.#finish(root);
    if (status === NdisStatus.SUCCESS) waiter?.resolve();
    else
      waiter?.reject(
        new ChimneyError('FAILURE', 'the target could not invalidate the connection: it hangs or is corrupt'),
      );
  }

  /** Probes were not answered: nothing must be sent there any more (INV-017). The connections come back, one by one. */
  neighborUnreachable(neighbor: OffloadedNeighbor): void {
    // INV-022: not before it has arrived.
    neighbor.isLost = neighbor.state === ObjectState.INITIATING;
    if (neighbor.isLost) return;
    if (this.#relinks.has(neighbor)) this.#giveUpRelinks(neighbor);
    if (neighbor.state !== ObjectState.OFFLOADED) return;
    this.#invalidate(neighbor, referenceTo(neighbor), IGNORE);
    for (const connection of this.#dependentsOf(neighbor)) {
      this.#context.moves.requestTakeBack(connection, 'failure', 'NeighborUnreachable', null);
    }
  }

  // ---- relink ----

  /** The path goes by another next hop now: chimney-sequences 10. */
  nextHopChanged(path: OffloadedPath, next: OffloadedNeighbor): void {
    if (path.neighbor === next || !path.isOffloaded) return;
    let waiting = this.#relinks.get(next);
    if (waiting === undefined) {
      waiting = new Set();
      this.#relinks.set(next, waiting);
    }
    waiting.add(path);
    next.isKept = true;
    if (next.state === ObjectState.NONE && isResolved(next)) this.#offloadNeighbor(next);
    else if (next.state === ObjectState.NONE) this.#context.resolve(next.entry!);
    else this.#flushRelinks(next);
  }

  #offloadNeighbor(neighbor: OffloadedNeighbor): void {
    // EVT-042: nothing new while the target has asked for a pause. Nor for a path that goes elsewhere by now.
    if (!takesNew(neighbor.adapter) || ![...this.#relinks.get(neighbor)!].some((path) => goesBy(path, neighbor))) {
      this.#giveUpRelinks(neighbor);
      return;
    }
    neighbor.state = ObjectState.INITIATING;
    neighbor.needsUpdate = false; // its block is written just now
    neighbor.adapter.neighbors.add(neighbor);
    this.#context.ndis.initiateOffload(
      neighbor.adapter.binding,
      newNeighborBlock(neighbor, this.#context.runtime.nowUs()),
    );
  }

  /** A neighbor was offloaded, or could not be: paths that wait for it are linked to it, or their connections come back. */
  neighborInitiated(neighbor: OffloadedNeighbor): void {
    const wasLost = neighbor.isLost;
    neighbor.isLost = false;
    if (neighbor.state === ObjectState.OFFLOADED) {
      if (wasLost) {
        this.neighborUnreachable(neighbor);
        return;
      }
      this.#flushRelinks(neighbor);
      this.#flushUpdate(neighbor);
    } else if (neighbor.state === ObjectState.NONE) this.#giveUpRelinks(neighbor);
  }

  /** A path was offloaded, or could not be. */
  pathInitiated(path: OffloadedPath): void {
    this.#flushUpdate(path);
  }

  /**
   * A next hop was resolved at last: the time to offload it, if a relink waits for it. One that was below all the while, and unknown up
   * here (after its link was down, or its probes failed on its way), may have come back with another address.
   */
  neighborResolved(neighbor: OffloadedNeighbor): void {
    neighbor.isLost = false;
    if (neighbor.state !== ObjectState.NONE) this.neighborMacChanged(neighbor);
    else if (this.#relinks.has(neighbor)) this.#offloadNeighbor(neighbor);
  }

  #flushRelinks(neighbor: OffloadedNeighbor): void {
    const waiting = this.#relinks.get(neighbor);
    if (waiting === undefined || neighbor.state !== ObjectState.OFFLOADED || neighbor.isUpdating) return;
    const paths: OffloadedPath[] = [];
    for (const path of waiting) {
      const isWanted = goesBy(path, neighbor);
      if (isWanted && path.isUpdating) continue; // after that update
      waiting.delete(path);
      if (isWanted && path.neighbor !== neighbor) paths.push(path);
    }
    if (waiting.size === 0) {
      this.#relinks.delete(neighbor);
      neighbor.isKept = false;
    }
    if (paths.length === 0) return;
    const root = referenceTo(neighbor);
    let last: OffloadBlock | null = null;
    for (const path of paths) {
      const block = referenceToPath(path);
      if (last === null) root.dependentBlockList = block;
      else last.nextBlock = block;
      last = block;
      // It hangs on both until the target has done it, so that neither goes.
      this.#formers.set(path, path.neighbor);
      path.neighbor = neighbor;
      neighbor.dependents++;
    }
    this.#update(neighbor, root);
  }

  /** The target has linked the path to its new neighbor, or has not: one of the two is left with a dependent less. UPD-026. */
  #relinked(path: OffloadedPath, isDone: boolean): void {
    const former = this.#formers.get(path);
    if (former === undefined) return;
    this.#formers.delete(path);
    const left = isDone ? former : path.neighbor;
    left.dependents--;
    if (!isDone) path.neighbor = former;
  }

  #giveUpRelinks(neighbor: OffloadedNeighbor): void {
    const waiting = this.#relinks.get(neighbor);
    this.#relinks.delete(neighbor);
    neighbor.isKept = false;
    for (const path of waiting ?? []) {
      if (!goesBy(path, neighbor) || path.neighbor === neighbor) continue;
      for (const connection of this.#dependentsOf(path)) {
        this.#context.moves.requestTakeBack(connection, 'failure', 'NextHopChanged', null);
      }
    }
  }

  // ---- reachability ----

  /** ProtocolIndicateOffloadEvent, NeighborReachabilityQuery: answered inside the call (NBR-019 to 026). */
  reachabilityQuery(neighbor: OffloadedNeighbor, block: ProtocolOffloadBlock): void {
    const cached = block.cachedState as NeighborCachedState | null;
    const delegated = block.delegatedState as NeighborDelegatedState | null;
    if (cached === null) return;
    const nowUs = this.#context.runtime.nowUs();
    const entry = neighbor.entry;
    if (entry === null || entry.state === NeighborState.REACHABLE) {
      const ticks = entry === null ? 1 : (nowUs - entry.confirmedUs) / neighbor.adapter.tickUs;
      // Zero would mean "stale"; a neighbor confirmed this very tick answers one.
      cached.hostReachabilityDelta = Math.max(1, Math.min(0xffffffff, Math.floor(ticks)));
      return;
    }
    cached.hostReachabilityDelta = 0;
    if (neighbor.queriedNrd >= 0) return;
    neighbor.queriedNrd = delegated === null ? 0xffffffff : delegated.nicReachabilityDelta >>> 0;
    this.#later.at(nowUs + entry.iface.retransTimerUs, () => this.#checkReachability(neighbor, entry));
  }

  /** Was there forward progress since the target asked? If not, the neighbor is probed. */
  #checkReachability(neighbor: OffloadedNeighbor, entry: NeighborEntry): void {
    const indicated = neighbor.queriedNrd;
    neighbor.queriedNrd = -1;
    if (!neighbor.isOffloaded || neighbor.wantsTerminate) return;
    this.queryReachability(neighbor, (nrd) => {
      const nowUs = this.#context.runtime.nowUs();
      if (nrd < indicated) entry.confirmReachable(nowUs - nrd * neighbor.adapter.tickUs);
      else this.#context.probe(entry);
    });
  }

  /** Asks the target for its NRD, ticks. NBR-022, NBR-027. */
  queryReachability(neighbor: OffloadedNeighbor, then: (nrd: number) => void): void {
    const delegated = new NeighborDelegatedState();
    const block = new OffloadBlock(OffloadStateType.NEIGHBOR_DELEGATED, neighbor.handle).withDelegated(delegated);
    this.#query(neighbor, block, () => {
      if (block.status === NdisStatus.SUCCESS) then(delegated.nicReachabilityDelta >>> 0);
    });
  }

  // ---- after an initiate ----

  /** Changes that came while it moved are sent after it; one that went half closed is watched. */
  afterInitiate(connection: OffloadedConnection): void {
    this.#flushUpdate(connection);
    if (connection.isReleased || connection.endpoint.tcp.state === TcpConnectionState.ESTABLISHED) return;
    if (connection.endpoint.tcp.state !== TcpConnectionState.CLOSE_WAIT) this.#watch(connection);
  }

  /** A connection offloaded in FIN-WAIT-1 or later has no disconnect below whose completion would tell of its end. */
  #watch(connection: OffloadedConnection): void {
    const { moveCount } = connection;
    this.#later.at(this.#context.runtime.nowUs() + WATCH_US, () => {
      if (connection.moveCount !== moveCount || !connection.isOffloaded || connection.wantsTerminate) return;
      this.query(connection).then(
        (answer) => {
          if (connection.moveCount !== moveCount) return;
          const state = answer.delegated['state'];
          if (state === TcpConnectionState.CLOSED || state === TcpConnectionState.TIME_WAIT) {
            this.#context.moves.requestTakeBack(connection, 'close', null, null);
          } else this.#watch(connection);
        },
        () => undefined,
      );
    });
  }

  /** The adapter has gone: next hops that were asked for will not answer any more. */
  adapterGone(adapter: ChimneyAdapter): void {
    for (const neighbor of this.#relinks.keys()) if (neighbor.adapter === adapter) this.#relinks.delete(neighbor);
  }
}

const IGNORE: Waiter<void> = { resolve: () => undefined, reject: () => undefined };

/** Whether the path is below, and is to go by this neighbor. */
function goesBy(path: OffloadedPath, neighbor: OffloadedNeighbor): boolean {
  return path.state === ObjectState.OFFLOADED && path.entry.neighbor === neighbor.entry;
}

/** Whether the target may be given something new. */
function takesNew({ isPaused, stillBecause, capabilities }: ChimneyAdapter): boolean {
  return !isPaused && stillBecause.size === 0 && capabilities !== null;
}

function isResolved(neighbor: OffloadedNeighbor): boolean {
  return neighbor.entry === null || neighbor.entry.state >= NeighborState.REACHABLE;
}

/** The structures of a query as plain numbers by name. */
function answerOf(cached: TcpCachedState, delegated: TcpDelegatedState): ChimneyQuery {
  const unless = (value: number): number | null => (value === 0xffffffff ? null : value);
  return {
    delegated: {
      state: delegated.state,
      rcvNxt: delegated.rcvNxt >>> 0,
      rcvWnd: delegated.rcvWnd,
      sndUna: delegated.sndUna >>> 0,
      sndNxt: delegated.sndNxt >>> 0,
      sndMax: delegated.sndMax >>> 0,
      sndWnd: delegated.sndWnd,
      maxSndWnd: delegated.maxSndWnd,
      sndWl1: delegated.sndWl1 >>> 0,
      cWnd: delegated.cWnd,
      ssThresh: delegated.ssThresh,
      sRtt: delegated.sRtt,
      rttVar: delegated.rttVar,
      tsRecent: delegated.tsRecent >>> 0,
      tsRecentAge: delegated.tsRecentAge,
      tsTime: delegated.tsTime >>> 0,
      totalRt: delegated.totalRt,
      dupAckCount: delegated.dupAckCount,
      sndWndProbeCount: delegated.sndWndProbeCount,
      keepAliveProbeCount: delegated.keepAliveProbeCount,
      keepAliveTimeoutDelta: delegated.keepAliveTimeoutDelta,
      retransmitCount: delegated.retransmitCount,
      retransmitTimeoutDelta: delegated.retransmitTimeoutDelta,
    },
    cached: {
      flags: cached.flags,
      initialRcvWnd: cached.initialRcvWnd,
      rcvIndicationSize: cached.rcvIndicationSize,
      kaProbeCount: cached.kaProbeCount,
      kaTimeout: cached.kaTimeout,
      kaInterval: cached.kaInterval,
      maxRt: cached.maxRt,
      flowLabel: cached.flowLabel,
      ttlOrHopLimit: cached.ttlOrHopLimit,
      tosOrTrafficClass: cached.tosOrTrafficClass,
      userPriority: cached.userPriority,
    },
    sendBacklogSize: unless(delegated.sendBacklogSize),
    receiveBacklogSize: unless(delegated.receiveBacklogSize),
  };
}
