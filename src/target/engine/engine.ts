/**
 * What all parts of the engine target share: its memory, tables, pools, clocks and doors. Data and small bookkeeping only.
 *
 * Entries of the driver queue operations and mark connections; one deferred turn (or the end of a receive batch) does the
 * work, so that nothing is ever completed from inside an entry (INIT-001, TERM-011, UPD-001, QRY-001, INV-001) and ACKs and
 * completions are made once a batch. The turn itself is in turn.ts.
 */

import { DeadlineHeap } from '../../base/deadline-heap.ts';
import { NEVER, type Runtime, type Timer } from '../../base/runtime.ts';
import type { Link } from '../../link/link.ts';
import {
  type AdapterAttributes,
  type BytesConsumed,
  DEFAULT_OFFLOAD_PARAMETERS,
  FamilyStatistics,
  type MiniportOffloadBlock,
  NdisDevicePowerState,
  type NdisM,
  type NdisMiniportHandle,
  type OidRequest,
  type TcpConnectionOffloadParameters,
  type TcpOffloadEventHandlers,
} from '../../ndis/miniport.ts';
import { TcpConnectionState } from '../../state/tcp.ts';
import type { TcpConnection } from '../../tcp/connection.ts';
import { soonestDeadline } from '../../tcp/deadlines.ts';
import { type TcpParameterChanges, type TcpParameters, tcpParameters } from '../../tcp/parameters.ts';
import { TcpSlab } from '../../tcp/slab.ts';
import { TcpTable } from '../../tcp/table.ts';
import type { PacketTap, Trace } from '../../trace/trace.ts';
import { bigSendBytesOf } from '../plain/attributes.ts';
import { FrameIndicator } from '../plain/frame-indicator.ts';
import { FrameOutlet } from '../plain/frame-outlet.ts';
import { type AllocateSends, type Capacity, DEFAULT_CAPACITY, type Refuse } from './capacity.ts';
import type { Administration } from './configuration.ts';
import { type NeighborContext, type PathContext, Standing, type TcpContext } from './contexts.ts';
import { type Discretion, DiscretionWatch } from './discretion.ts';
import { Packing } from './packing.ts';
import { ReceivePool } from './receive-pool.ts';

import type { ReceiveScaling, WakeQueue } from './receive-scaling.ts';
import { applyTunables } from './tunables.ts';
import { Work } from './work.ts';

/** Options of the engine target. */
export interface EngineAdapterOptions {
  readonly link: Link;
  readonly runtime: Runtime;
  readonly trace: Trace;
  /** The adapter's name; default: the link's. */
  readonly name?: string;
  /** Six bytes; default: the link's own, else one is made up. */
  readonly macAddress?: Uint8Array;
  /** Limits that are published and enforced; parts that are absent: {@link DEFAULT_CAPACITY}. */
  readonly capacity?: Partial<Capacity>;
  /** Most bytes of received data held for the host or by it. Default 64 MiB. */
  readonly receivePoolBytes?: number;
  /** The records of connections, where their memory is shared with another thread. */
  readonly slab?: TcpSlab;
  /** The pool itself, where its memory is shared with another thread. */
  readonly pool?: ReceivePool;
  /** VLANs of the interface; empty or absent: VLAN 0 (VLAN-008). */
  readonly vlanIds?: readonly number[];
  /** Whether neighbors may bring a source MAC of their own (DlSourceAddress). Default true. */
  readonly allowSourceMac?: boolean;
  /** Whether UserPriority is put into frames (VLAN-003). Default true. */
  readonly supports8021p?: boolean;
  /** Group MACs to which offloaded connections listen as well (STATE-011). Six bytes each. */
  readonly multicastAddresses?: readonly Uint8Array[];
  /**
   * What becomes of packets with a bad IP or TCP header that may be the chimney's: handed up, uncounted, or dropped and counted
   * (STAT-026 to STAT-030). Default 'pass-up'.
   */
  readonly badPackets?: 'pass-up' | 'drop';
  /** Receive queues, each with a processor of its own (RSS); 1 to 64. Default 1: no scaling. */
  readonly receiveQueues?: number;
  /** How the processor of a receive queue is woken; default: as a deferred task. For simulations of busy processors. */
  readonly wakeQueue?: WakeQueue;
  /**
   * What an invalidated object means: nothing is sent on top of it any more and uploads are asked for, or everything goes on until
   * the host terminates (INV-012). Default 'halt'.
   */
  readonly invalidated?: 'halt' | 'continue';
  /** When the host is asked to take a connection back that is not worth being offloaded. Default: never. */
  readonly discretion?: Discretion;
  /** A policy asked about each object before it is taken. */
  readonly refuse?: Refuse;
  /** Asked for memory before each send. Default: there is always enough. */
  readonly allocateSends?: AllocateSends;
  /** Sees every packet. */
  readonly packetTap?: PacketTap | null;
  /** Ordinary lists that may wait for a full link. Default 16,384: more than a host has packet buffers. */
  readonly backlogLists?: number;
  /** How long an initiate that arrives in a pause waits for OFFLOAD_RESUME before it is refused, µs. Default 50 ms. */
  readonly pauseQueueUs?: number;
  /** Changes to the parameters of the TCP engine. What the host sets by OID goes over them. */
  readonly tcp?: TcpParameterChanges;
}

/** What is queued by an entry and done in a turn. */
export const OperationKind = { INITIATE: 0, TERMINATE: 1, UPDATE: 2, QUERY: 3, INVALIDATE: 4, STATUS: 5 } as const;
export type OperationKind = (typeof OperationKind)[keyof typeof OperationKind];

/** An operation in flight. */
export interface Operation {
  readonly kind: OperationKind;
  /** The root; null for a status indication of our own. */
  readonly root: MiniportOffloadBlock | null;
  /** The status code of a status indication. */
  readonly statusCode: number;
  /** When it arrived, µs. */
  readonly atUs: number;
}

const RECEIVE_POOL_BYTES_DEFAULT = 64 * 1024 * 1024;
const PAUSE_QUEUE_US_DEFAULT = 50_000;

/** The state of one engine target. */
export class Engine {
  readonly runtime: Runtime;
  readonly trace: Trace;
  readonly link: Link;
  readonly tap: PacketTap | null;
  readonly attributes: AdapterAttributes;
  readonly allowSourceMac: boolean;
  readonly supports8021p: boolean;
  readonly dropsBad: boolean;
  readonly isLenient: boolean;
  readonly vlanIds: readonly number[];
  readonly multicastAddresses: readonly Uint8Array[];
  readonly refuse: Refuse | null;
  readonly allocateSends: AllocateSends | null;
  readonly pauseQueueUs: number;
  readonly discretion: DiscretionWatch | null;
  capacity: Capacity;

  // Set by MiniportInitializeEx.
  ndisM!: NdisM;
  ndis!: TcpOffloadEventHandlers;
  handle!: NdisMiniportHandle;

  /** The engine's parameters; {@link tunables} as the host set them. */
  readonly parameters: TcpParameters;
  tunables: TcpConnectionOffloadParameters = { ...DEFAULT_OFFLOAD_PARAMETERS };
  /** What the administrator allows; all of it, until told otherwise. */
  readonly administration: Administration = { ip4: true, ip6: true };
  /** The host has set OID_TCP_TASK_OFFLOAD (CAP-022). */
  isEnabled = false;
  isPaused = false;
  /** UPLOAD_ALL was indicated and OFFLOAD_RESUME was not yet (EVT-044). */
  isUploadingAll = false;
  /** OFFLOAD_RESUME is to follow, once that is done. */
  wantsResume = false;
  isHalted = false;
  /** Between MiniportPause and MiniportRestart: what arrives is lost. */
  isStill = false;
  /** Null: one queue, and frames are processed as they come. */
  scaling: ReceiveScaling | null = null;
  powerState: number = NdisDevicePowerState.D0;
  pendingPower: OidRequest | null = null;

  readonly slab: TcpSlab;
  /** Told before anything is done with a connection: its record is between two states from here on. */
  onTouch: ((ctx: TcpContext) => void) | null = null;
  readonly table: TcpTable;
  readonly packing: Packing;
  readonly heap: DeadlineHeap = new DeadlineHeap();
  readonly timer: Timer;
  readonly neighbors: Set<NeighborContext> = new Set();
  readonly paths: Set<PathContext> = new Set();

  readonly pool: ReceivePool;
  readonly outlet: FrameOutlet;
  readonly indicator: FrameIndicator = new FrameIndicator();
  readonly statistics4: FamilyStatistics = new FamilyStatistics();
  readonly statistics6: FamilyStatistics = new FamilyStatistics();
  readonly work: Work;
  keepsPush = false;
  readonly copy = undefined;
  readonly consumed: BytesConsumed = { value: 0 };
  /** Largest IP packet that the link cuts into segments; 0: it leaves nothing to a device. */
  readonly largeSendBytes: number;
  /** The same for what refers to its text, over IPv4; no less than {@link largeSendBytes}. */
  readonly bigSendBytes: number;
  /** IPv4 identification sent last; 0x8000 to 0xffff (SEND-040). */
  ipId = 0xffff;

  operations: Operation[] = [];
  /** Initiates that arrived in a pause. */
  pausedInitiates: Operation[] = [];
  /** Connections that wait for room on the link, and in the pool. */
  blocked: TcpContext[] = [];
  starved: TcpContext[] = [];
  /** Connections whose delivery goes on in the next turn. */
  later: TcpContext[] = [];
  firstQueued: TcpContext | null = null;
  lastQueued: TcpContext | null = null;
  isFlushing = false;
  /** MTU of the link as it was last told, bytes: what goes with that status. */
  linkMtu = 0;
  /** Something was indicated or completed upward in this flush. */
  hasIndicated = false;
  #isScheduled = false;
  #isUrgent = false;
  readonly #turn: () => void;
  readonly #urgentTurn: () => void;
  /** Set by the adapter: see `ReceiverHost`. */
  onDelivered!: (ctx: TcpContext, nowUs: number) => void;
  /** Resolves MiniportHaltEx once the last indicated list is back. */
  onAllReturned: (() => void) | null = null;

  constructor(
    options: EngineAdapterOptions,
    attributes: AdapterAttributes,
    turn: () => void,
    urgentTurn: () => void,
    onTimer: (nowUs: number) => void,
  ) {
    this.runtime = options.runtime;
    this.trace = options.trace;
    this.link = options.link;
    this.tap = options.packetTap ?? null;
    this.attributes = attributes;
    this.capacity = { ...DEFAULT_CAPACITY, ...options.capacity };
    this.allowSourceMac = options.allowSourceMac ?? true;
    this.supports8021p = options.supports8021p ?? true;
    this.dropsBad = options.badPackets === 'drop';
    this.isLenient = options.invalidated === 'continue';
    this.vlanIds = (options.vlanIds ?? []).filter((id) => id !== 0);
    this.multicastAddresses = options.multicastAddresses ?? [];
    this.refuse = options.refuse ?? null;
    this.allocateSends = options.allocateSends ?? null;
    this.pauseQueueUs = options.pauseQueueUs ?? PAUSE_QUEUE_US_DEFAULT;
    this.parameters = tcpParameters({ ...options.tcp, role: 'target' });
    applyTunables(this.tunables, this.parameters);
    this.slab = options.slab ?? new TcpSlab();
    this.table = new TcpTable(options.runtime.random.nextUint32());
    this.packing = new Packing(this);
    this.pool = options.pool ?? new ReceivePool(options.receivePoolBytes ?? RECEIVE_POOL_BYTES_DEFAULT);
    this.outlet = new FrameOutlet({
      link: options.link,
      runtime: options.runtime,
      trace: options.trace,
      packetTap: this.tap,
      backlogLists: options.backlogLists,
    });
    this.largeSendBytes = options.link.largeSendBytes ?? 0;
    this.bigSendBytes = bigSendBytesOf(options.link);
    this.work = new Work(Math.max(options.link.mtu, this.largeSendBytes));
    this.timer = options.runtime.timer(onTimer);
    this.discretion = options.discretion === undefined ? null : new DiscretionWatch(this, options.discretion);
    this.#turn = () => {
      this.#isScheduled = false;
      turn();
    };
    this.#urgentTurn = () => {
      this.#isUrgent = false;
      urgentTurn();
    };
  }

  /** Without power, and rid of all connections: deaf and dumb (PWR-005). */
  get isAsleep(): boolean {
    return this.powerState !== NdisDevicePowerState.D0 && this.pendingPower === null;
  }

  /** Connections offloaded now. */
  get connectionCount(): number {
    return this.table.size;
  }

  /** Counters of a family. */
  statistics(family: number): FamilyStatistics {
    return family === 4 ? this.statistics4 : this.statistics6;
  }

  /** Makes the turn come soon; as often as one likes. */
  schedule(): void {
    if (this.#isScheduled || this.isHalted) return;
    this.#isScheduled = true;
    this.runtime.defer(this.#turn);
  }

  /** Queues an operation for the turn. */
  enqueue(kind: OperationKind, root: MiniportOffloadBlock | null, statusCode = 0): void {
    this.operations.push({ kind, root, statusCode, atUs: this.runtime.nowUs() });
    if (this.#isUrgent || this.isHalted) return;
    // Connections stand still until it is done: it must not wait behind whatever else was deferred.
    this.#isUrgent = true;
    this.runtime.urgent(this.#urgentTurn);
  }

  /** Notes that something is due for a connection at the end of the batch or turn (bits of `Due`). */
  mark(ctx: TcpContext, due: number): void {
    ctx.due |= due;
    if (ctx.isQueued) return;
    ctx.isQueued = true;
    ctx.nextQueued = null;
    if (this.lastQueued === null) this.firstQueued = ctx;
    else this.lastQueued.nextQueued = ctx;
    this.lastQueued = ctx;
  }

  /** The same from an entry: the turn is made to come. */
  markSoon(ctx: TcpContext, due: number): void {
    this.mark(ctx, due);
    if (!this.isFlushing) this.schedule();
  }

  /** The next connection for which something is due; null: none. */
  takeQueued(): TcpContext | null {
    const ctx = this.firstQueued;
    if (ctx === null) return null;
    this.firstQueued = ctx.nextQueued;
    if (this.firstQueued === null) this.lastQueued = null;
    ctx.nextQueued = null;
    ctx.isQueued = false;
    return ctx;
  }

  /**
   * Sets the wake-up call of a connection after something was done with it. A deadline that moved later leaves the earlier
   * one in place: it is looked at again when it fires.
   */
  rearm(ctx: TcpContext): void {
    if (ctx.standing !== Standing.NORMAL) {
      this.heap.set(ctx.tcp.slot, NEVER);
      return;
    }
    const engineUs = soonestDeadline(ctx.tcp);
    const atUs = ctx.pushAtUs < engineUs ? ctx.pushAtUs : engineUs;
    if (atUs >= this.heap.atUs(ctx.tcp.slot)) return;
    this.heap.set(ctx.tcp.slot, atUs);
    if (atUs < this.timer.atUs) this.timer.arm(atUs);
  }

  /** The context of a record. */
  contextOf(tcp: TcpConnection): TcpContext {
    return tcp.owner as TcpContext;
  }

  /** Connections of a family in ESTABLISHED or CLOSE_WAIT (STAT-018). */
  establishedCount(family: number): number {
    let count = 0;
    for (const ctx of this.connections()) {
      if (ctx.path.family !== family) continue;
      const { state } = ctx.tcp;
      if (state === TcpConnectionState.ESTABLISHED || state === TcpConnectionState.CLOSE_WAIT) count++;
    }
    return count;
  }

  /** Every offloaded connection; for operators and gauges, not for the data path. */
  *connections(): Generator<TcpContext> {
    for (const path of this.paths) {
      for (let ctx = path.firstConnection; ctx !== null; ctx = ctx.nextOfPath) yield ctx;
    }
  }
}
