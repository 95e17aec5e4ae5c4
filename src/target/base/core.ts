/**
 * What a target built on {@link OffloadTarget} need not care for: its tables, the turn in which everything deferred is done,
 * windows, timers, timestamps, reachability.
 *
 * Entries only note what is to be done; the turn (or the end of a receive batch, or a timer) does it, so that nothing is completed from
 * inside an entry. The target itself is asked through {@link TargetHooks}. Received data is delivered by the algorithm that the engine
 * target uses. Sources: chimney-sequences 12, 13, 19, 23.
 */

import { equalBytes } from '../../base/bytes.ts';
import { NEVER, type Runtime } from '../../base/runtime.ts';
import type { Seq } from '../../base/seq.ts';
import {
  type AdapterAttributes,
  type BytesConsumed,
  DEFAULT_OFFLOAD_PARAMETERS,
  FamilyStatistics,
  IndicateOffloadEvent,
  type MiniportOffloadBlock,
  NdisDevicePowerState,
  type NdisM,
  type NdisMiniportHandle,
  OffloadBlock,
  OffloadStateType,
  type OidRequest,
  type StatusIndication,
  type TcpConnectionOffloadParameters,
  type TcpOffloadEventHandlers,
  TcpUploadReason,
} from '../../ndis/miniport.ts';
import { NeighborCachedState, NeighborConstState, NeighborDelegatedState } from '../../state/neighbor.ts';
import {
  BACKLOG_UNSUPPORTED,
  TCP_CACHED_AT,
  TCP_CACHED_WORDS,
  TCP_CONST_WORDS,
  TcpCachedFlag,
  type TcpCachedState,
  TcpConstFlag,
  type TcpConstState,
  type TcpDelegatedState,
} from '../../state/tcp.ts';
import { type TcpParameters, tcpParameters } from '../../tcp/parameters.ts';
import { Event } from '../../trace/events.ts';
import type { Trace } from '../../trace/trace.ts';
import { TcpFlag, type TcpSegment } from '../../wire/tcp-segment.ts';
import { type Capacity, DEFAULT_CAPACITY } from '../engine/capacity.ts';
import { statusBufferOf } from '../engine/configuration.ts';
import { Due, type NeighborContext, type PathContext, Standing } from '../engine/contexts.ts';
import { deliver, onPushTimer, releaseHeldRests } from '../engine/delivery.ts';
import { OperationKind } from '../engine/engine.ts';
import type { OidSubject } from '../engine/oids.ts';
import { ReceivePool } from '../engine/receive-pool.ts';
import type { ReceiverHost } from '../engine/receiver.ts';
import { abortByHost, abortByPeer, askBack, completeSends, giveBackCalls, processForwards, retrieve } from './calls.ts';
import type { TargetConnection } from './connection.ts';
import { Frames, scaleOf } from './frames.ts';
import { writeDelegated } from './moving.ts';
import { initiate, invalidate, query, terminate, update } from './trees.ts';

/** What the core asks of the target. */
export interface TargetHooks {
  /** Whether a connection is taken: SUCCESS, or the status with which it is refused. */
  admit(c: TargetConnection): number;
  /** A segment in a connection's window of times; false: the target wants to be rid of the connection, the host gets the segment. */
  segment(c: TargetConnection, segment: TcpSegment): boolean;
  /** There may be something to send. */
  transmit(c: TargetConnection): void;
  /** The timer that the target set has expired. */
  expired(c: TargetConnection): void;
  /** A frame for the link. */
  emitFrame(bytes: Uint8Array, length: number): void;
  /** Something was indicated outside a receive batch. */
  batchDone(): void;
}

/** Limits and memory. */
export interface CoreOptions {
  readonly runtime: Runtime;
  readonly trace: Trace;
  readonly capacity?: Partial<Capacity>;
  readonly receivePoolBytes?: number;
}

const RECEIVE_POOL_BYTES_DEFAULT = 16 << 20;

interface Operation {
  readonly kind: OperationKind;
  readonly root: MiniportOffloadBlock;
}

/** The core of one target. */
export class TargetCore implements ReceiverHost<TargetConnection>, OidSubject {
  readonly runtime: Runtime;
  readonly trace: Trace;
  readonly attributes: AdapterAttributes;
  readonly hooks: TargetHooks;
  readonly frames: Frames;
  readonly capacity: Capacity;
  readonly pool: ReceivePool;
  readonly parameters: TcpParameters = tcpParameters({ role: 'target' });
  tunables: TcpConnectionOffloadParameters = { ...DEFAULT_OFFLOAD_PARAMETERS };
  ndisM!: NdisM;
  ndis!: TcpOffloadEventHandlers;
  handle!: NdisMiniportHandle;
  isEnabled = false;
  isHalted = false;
  powerState: number = NdisDevicePowerState.D0;
  pendingPower: OidRequest | null = null;
  readonly administration: { ip4: boolean; ip6: boolean } = { ip4: true, ip6: true };
  readonly allowSourceMac = false;
  readonly supports8021p = false;
  readonly scaling = null;
  readonly consumed: BytesConsumed = { value: 0 };
  readonly keepsPush = false;
  hasIndicated = false;
  later: TargetConnection[] = [];
  readonly neighbors: Set<NeighborContext> = new Set();
  readonly paths: Set<PathContext> = new Set();
  readonly connections: Set<TargetConnection> = new Set();
  /** By ports. */
  readonly #table: Map<number, TargetConnection[]> = new Map();
  readonly #statistics: readonly FamilyStatistics[] = [new FamilyStatistics(), new FamilyStatistics()];
  #queue: TargetConnection[] = [];
  #operations: Operation[] = [];
  /** They come after the operations, when no initiate is under way (INIT-052). */
  #statuses: StatusIndication[] = [];
  #isScheduled = false;
  #isFlushing = false;

  constructor(options: CoreOptions, attributes: AdapterAttributes, hooks: TargetHooks) {
    this.runtime = options.runtime;
    this.trace = options.trace;
    this.attributes = attributes;
    this.hooks = hooks;
    this.capacity = { ...DEFAULT_CAPACITY, hwAddressEntries: 0, vlanEntries: 0, ...options.capacity };
    this.pool = new ReceivePool(options.receivePoolBytes ?? RECEIVE_POOL_BYTES_DEFAULT);
    this.frames = new Frames(attributes.medium, attributes.mtu);
  }

  get connectionCount(): number {
    return this.connections.size;
  }
  statistics(family: number): FamilyStatistics {
    return this.#statistics[family === 4 ? 0 : 1]!;
  }
  /** Connections that are closing are not taken. */
  establishedCount(family: number): number {
    let count = 0;
    for (const c of this.connections) if (c.path.family === family) count++;
    return count;
  }
  /** Microseconds of one tick of the host. */
  get tickUs(): number {
    return 1_000_000 / this.tunables.ticksPerSecond;
  }

  // Tables.

  add(c: TargetConnection): void {
    this.connections.add(c);
    c.path.connectionCount++;
    const key = keyOf(c.constant.localPort, c.constant.remotePort);
    this.#table.set(key, [...(this.#table.get(key) ?? []), c]);
    this.rearm(c);
  }

  remove(c: TargetConnection): void {
    this.connections.delete(c);
    c.path.connectionCount--;
    c.alarm.disarm();
    const key = keyOf(c.constant.localPort, c.constant.remotePort);
    const left = this.#table.get(key)!.filter((other) => other !== c);
    if (left.length > 0) this.#table.set(key, left);
    else this.#table.delete(key);
  }

  /** Whether a connection with the same ends is here. */
  has({ constant, path }: TargetConnection): boolean {
    const there = this.#table.get(keyOf(constant.localPort, constant.remotePort)) ?? [];
    return there.some((c) => isBetween(c, path.family, path.source, 0, path.destination, 0));
  }

  readonly find = (
    family: 4 | 6,
    bytes: Uint8Array,
    dstAt: number,
    srcAt: number,
    segment: TcpSegment,
  ): TargetConnection | null => {
    const there = this.#table.get(keyOf(segment.dstPort, segment.srcPort));
    if (there === undefined) return null;
    for (const c of there) if (isBetween(c, family, bytes, dstAt, bytes, srcAt)) return c;
    return null;
  };

  // The turn.

  schedule(): void {
    if (this.#isScheduled || this.isHalted) return;
    this.#isScheduled = true;
    this.runtime.defer(() => {
      this.#isScheduled = false;
      this.#turn();
    });
  }

  enqueue(kind: OperationKind, root: MiniportOffloadBlock | null, statusCode = 0): void {
    if (root === null) this.#statuses.push({ statusCode, statusBuffer: statusBufferOf(this, statusCode) });
    else this.#operations.push({ kind, root });
    this.schedule();
  }

  /** NdisMIndicateStatusEx: at once, or in the turn where an operation waits for that. */
  indicateStatus(indication: StatusIndication): void {
    if (this.#operations.length === 0 && this.#statuses.length === 0) {
      this.ndisM.indicateStatusEx(this.handle, indication);
      return;
    }
    this.#statuses.push(indication);
    this.schedule();
  }

  mark(c: TargetConnection, due: number): void {
    c.due |= due;
    if (c.isQueued) return;
    c.isQueued = true;
    this.#queue.push(c);
  }

  markSoon(c: TargetConnection, due: number): void {
    this.mark(c, due);
    if (!this.#isFlushing) this.schedule();
  }

  #turn(): void {
    if (this.isHalted) return;
    releaseHeldRests(this);
    this.flush();
    for (const { kind, root } of this.#operations.splice(0)) OPERATIONS[kind]!(this, root);
    // Upon a completion the host may have begun another, which has made the turn come again.
    while (this.#operations.length === 0 && this.#statuses.length > 0) {
      this.ndisM.indicateStatusEx(this.handle, this.#statuses.shift()!);
    }
    this.flush();
    this.done();
  }

  /** Does what is due for all connections that are marked, those marked meanwhile included. */
  flush(): void {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    for (let i = 0; i < this.#queue.length; i++) {
      const c = this.#queue[i]!;
      c.isQueued = false;
      this.#serve(c);
    }
    this.#queue = [];
    this.#isFlushing = false;
  }

  /** Outside a receive batch: whoever is above hears that the batch is over. */
  done(): void {
    if (!this.hasIndicated) return;
    this.hasIndicated = false;
    this.hooks.batchDone();
  }

  #serve(c: TargetConnection): void {
    const { due } = c;
    c.due = 0;
    if (c.standing === Standing.TERMINATED) return;
    if ((due & Due.FORWARD) !== 0) processForwards(this, c);
    if ((due & Due.PEER_ABORT) !== 0) abortByPeer(this, c);
    if ((due & Due.HOST_ABORT) !== 0) abortByHost(this, c);
    const isAborted = (due & (Due.PEER_ABORT | Due.HOST_ABORT)) !== 0;
    if ((due & Due.DELIVER) !== 0 || isAborted) deliver(this, c, this.runtime.nowUs());
    if ((due & Due.SENDS) !== 0) completeSends(this, c);
    if ((due & Due.TRANSMIT) !== 0) this.#transmit(c);
    if ((due & Due.RETRIEVE) !== 0) retrieve(this, c);
    if ((due & Due.GIVE_BACK) !== 0) giveBackCalls(this, c);
    this.rearm(c);
  }

  #transmit(c: TargetConnection): void {
    if (c.standing !== Standing.NORMAL || c.isInitiating) return;
    // INV-009: it would send on what hangs on an invalidated object.
    if (this.isBarred(c)) {
      if (c.owesAck || c.sends.length > 0) askBack(this, c, TcpUploadReason.INVALID_STATE);
      return;
    }
    this.hooks.transmit(c);
    if (c.owesAck && c.standing === Standing.NORMAL) this.sendAck(c);
  }

  // Segments.

  /** A segment, from the wire or from the host. False: the target does not want it. */
  takeSegment(c: TargetConnection, segment: TcpSegment): boolean {
    this.restartKeepAlive(c);
    if (!this.frames.checkTimestamps(c, this.runtime.nowUs())) {
      c.owesAck = true;
      this.mark(c, Due.TRANSMIT);
      return true;
    }
    if (this.hooks.segment(c, segment)) {
      this.mark(c, Due.TRANSMIT);
      return true;
    }
    askBack(this, c, TcpUploadReason.UPLOAD_REQUESTED);
    return false;
  }

  sendSegment(c: TargetConnection, seq: Seq, offset: number, length: number): void {
    const isLast = length > 0 && offset + length === c.sends.length;
    this.emit(c, seq, isLast ? TcpFlag.ACK | TcpFlag.PSH : TcpFlag.ACK, offset, length);
  }

  sendAck(c: TargetConnection): void {
    this.emit(c, c.state.sndMax, TcpFlag.ACK, 0, 0);
  }

  emit(c: TargetConnection, seq: Seq, flags: number, offset: number, length: number): void {
    const { neighbor } = c.path;
    if (neighbor !== null && this.#isStale(neighbor)) this.#askReachability(neighbor);
    const bytes = this.frames.build(c, seq, flags, offset, length, this.timestampOf(c));
    c.owesAck = false;
    this.hooks.emitFrame(this.frames.bytes, bytes);
  }

  /** Whether it, or what it hangs on, was invalidated (INV-006). */
  isBarred({ isInvalid, path }: TargetConnection): boolean {
    return isInvalid || path.isInvalid || (path.neighbor?.isInvalid ?? false);
  }

  mssOf({ constant, path }: TargetConnection): number {
    const packet = path.pathMtu > 0 ? Math.min(path.pathMtu, this.attributes.mtu) : this.attributes.mtu;
    const options = (constant.flags & TcpConstFlag.TIMESTAMP_ENABLED) === 0 ? 0 : 12;
    return Math.min(constant.remoteMss, packet - (path.family === 4 ? 40 : 60)) - options;
  }

  /** TSval: goes on from TsTime. */
  timestampOf(c: TargetConnection): number {
    return (c.state.tsTime + Math.floor((this.runtime.nowUs() - c.takenAtUs) / this.tickUs)) >>> 0;
  }

  askBack(c: TargetConnection, reason: number): void {
    askBack(this, c, reason);
  }

  /** Received data was taken: the window opens by it, at once if that is much. RFC 9293 3.8.6.2.2. */
  onDelivered(c: TargetConnection): void {
    const space = Math.min(c.cached.initialRcvWnd - c.buffered.length, 0xffff << scaleOf(c));
    const growth = space - c.state.rcvWnd;
    if (growth <= 0) return;
    if (growth >= Math.min(2 * c.mss, c.cached.initialRcvWnd >> 1)) c.owesAck = true;
    if (!c.owesAck) return;
    c.state.rcvWnd = space;
    this.mark(c, Due.TRANSMIT);
  }

  // Time.

  rearm(c: TargetConnection): void {
    const isServed = c.standing === Standing.NORMAL;
    const soonestUs = isServed ? Math.min(c.pushAtUs, c.timerAtUs, c.keepAliveAtUs) : NEVER;
    if (soonestUs === NEVER) c.alarm.disarm();
    else if (soonestUs !== c.alarm.atUs) c.alarm.arm(soonestUs);
  }

  onAlarm(c: TargetConnection, nowUs: number): void {
    if (c.standing !== Standing.NORMAL || this.isHalted) return;
    if (c.pushAtUs <= nowUs) onPushTimer(this, c);
    if (c.timerAtUs <= nowUs) {
      c.timerAtUs = NEVER;
      this.hooks.expired(c);
      this.mark(c, Due.TRANSMIT);
    }
    // Probes are the host's business: it gets the connection with a timer that has just expired.
    if (c.keepAliveAtUs <= nowUs) askBack(this, c, TcpUploadReason.UPLOAD_REQUESTED);
    this.mark(c, 0);
    this.flush();
    this.done();
  }

  restartKeepAlive(c: TargetConnection): void {
    const isOn = (c.cached.flags & TcpCachedFlag.KEEP_ALIVE_ENABLED) !== 0;
    c.keepAliveAtUs = isOn ? this.runtime.nowUs() + c.cached.kaTimeout * this.tickUs : NEVER;
  }

  // Reachability (chimney-sequences 19).

  forwardProgress(c: TargetConnection): void {
    const { neighbor } = c.path;
    if (neighbor !== null) neighbor.nrtUs = this.runtime.nowUs();
  }

  #isStale({ nrtUs, hrtUs }: NeighborContext): boolean {
    const limitUs = this.runtime.nowUs() - this.tunables.nceStaleTicks * this.tickUs;
    return nrtUs < limitUs && hrtUs < limitUs;
  }

  #askReachability(neighbor: NeighborContext): void {
    const block = new OffloadBlock(OffloadStateType.NEIGHBOR);
    const cached = new NeighborCachedState();
    const constant = new NeighborConstState();
    const delegated = new NeighborDelegatedState();
    this.writeNeighbor(neighbor, constant, cached, delegated);
    block.ndisOffloadHandle = neighbor.handle;
    block.constState = constant;
    block.cachedState = cached;
    block.delegatedState = delegated;
    const nowUs = this.runtime.nowUs();
    this.trace.emit(Event.TARGET_NEIGHBOR_QUERY, nowUs, delegated.nicReachabilityDelta);
    this.ndisM.offloadEventIndicate(this.handle, block, IndicateOffloadEvent.NEIGHBOR_REACHABILITY_QUERY);
    neighbor.hrtUs = nowUs - (cached.hostReachabilityDelta >>> 0) * this.tickUs;
  }

  // What goes up.

  writeNeighbor(
    neighbor: NeighborContext,
    constant: NeighborConstState | null,
    cached: NeighborCachedState | null,
    delegated: NeighborDelegatedState | null,
  ): void {
    const ticks = (sinceUs: number): number => Math.floor((this.runtime.nowUs() - sinceUs) / this.tickUs) >>> 0;
    if (constant !== null) {
      constant.dlSourceAddress.fill(0);
      constant.vlanId = 0;
    }
    if (cached !== null) {
      cached.dlDestinationAddress.fill(0);
      cached.dlDestinationAddress.set(neighbor.destination);
      cached.hostReachabilityDelta = ticks(neighbor.hrtUs);
    }
    if (delegated !== null) delegated.nicReachabilityDelta = ticks(neighbor.nrtUs);
  }

  /** The answer to a query. */
  writeConnection(c: TargetConnection, block: MiniportOffloadBlock): void {
    const { words } = c.state;
    const constant = block.constState as TcpConstState | null;
    const cached = block.cachedState as TcpCachedState | null;
    const delegated = block.delegatedState as TcpDelegatedState | null;
    if (constant !== null) constant.words.set(words.subarray(0, TCP_CONST_WORDS), constant.base);
    if (cached !== null) {
      const part = words.subarray(TCP_CACHED_AT, TCP_CACHED_AT + TCP_CACHED_WORDS);
      cached.words.set(part, cached.base + TCP_CACHED_AT);
    }
    if (delegated === null) return;
    writeDelegated(c, delegated);
    delegated.sendBacklogSize = BACKLOG_UNSUPPORTED;
    delegated.receiveBacklogSize = c.buffered.length;
  }
}

const OPERATIONS: Readonly<Record<number, (core: TargetCore, root: MiniportOffloadBlock) => void>> = {
  [OperationKind.INITIATE]: initiate,
  [OperationKind.TERMINATE]: terminate,
  [OperationKind.UPDATE]: update,
  [OperationKind.QUERY]: query,
  [OperationKind.INVALIDATE]: invalidate,
};

function keyOf(localPort: number, remotePort: number): number {
  return localPort * 0x1_0000 + remotePort;
}

function isBetween(
  { path }: TargetConnection,
  family: number,
  local: Uint8Array,
  localAt: number,
  remote: Uint8Array,
  remoteAt: number,
): boolean {
  if (path.family !== family) return false;
  const length = path.source.length;
  return (
    equalBytes(path.source, 0, local, localAt, length) && equalBytes(path.destination, 0, remote, remoteAt, length)
  );
}
