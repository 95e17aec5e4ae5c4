/**
 * What all parts of the driver half share: its doors, rings, pools and tables. Data and small bookkeeping only.
 *
 * Like the engine target's: entries queue and mark, one deferred turn does the work, so that nothing is completed from inside an
 * entry. What goes to the NIC half is published once a batch.
 */

import { assert } from '../../base/assert.ts';
import type { CopyBytes } from '../../base/copy-bytes.ts';
import { DeadlineHeap } from '../../base/deadline-heap.ts';
import { NEVER, type Runtime, type Timer } from '../../base/runtime.ts';
import {
  type AdapterAttributes,
  type BytesConsumed,
  DEFAULT_OFFLOAD_PARAMETERS,
  NdisDevicePowerState,
  type NdisM,
  type NdisMiniportHandle,
  type OidRequest,
  type TcpConnectionOffloadParameters,
  type TcpOffloadEventHandlers,
} from '../../ndis/miniport.ts';
import { type TcpParameterChanges, type TcpParameters, tcpParameters } from '../../tcp/parameters.ts';
import type { Trace } from '../../trace/trace.ts';
import type { Capacity } from '../engine/capacity.ts';
import type { Administration } from '../engine/configuration.ts';
import type { OperationKind } from '../engine/engine.ts';
import type { OidSubject } from '../engine/oids.ts';
import { BLOCK_BYTES, ReceivePool } from '../engine/receive-pool.ts';
import type { ReceiverHost } from '../engine/receiver.ts';
import { FrameIndicator } from '../plain/frame-indicator.ts';
import { type Arena, ControlWord, FRAMES_DOWN_BYTES } from './arena.ts';
import { DriverConnection, type DriverObject, Part } from './driver-objects.ts';
import type { DriverOperation } from './driver-operations.ts';
import { Expectations } from './expectations.ts';
import { Outbox } from './outbox.ts';
import { Down } from './records.ts';
import { RingReader, RingWriter } from './ring.ts';
import { SharedStatistics } from './shared-statistics.ts';

/** How the NIC half is reached. */
export interface NicPort {
  /**
   * Begins: `onBell` is called when there may be something in the ring, `onRoom` when the other ring may have room again, `onUp` once the
   * NIC half works.
   */
  start(onBell: () => void, onRoom: () => void, onUp: () => void): void;
  /** Something was published and the NIC half is asleep. */
  ring(): void;
  /** The driver half has set its word that it is asleep: the bell is to be listened to. */
  sleep(): void;
  /**
   * An operation was published: waits for the NIC half's count of answers to become another than `answered`, no longer than is worth
   * it. Whether it has. `isAwaited`: connections stand still until this half goes on. Absent: not waited for.
   */
  attend?(answered: number, isAwaited: boolean): boolean;
  /** Statistics are about to be read. */
  refresh(): void;
  /** Ends the NIC half. */
  close(): void | Promise<void>;
}

/** What a driver half is made from. */
export interface DriverParts {
  readonly runtime: Runtime;
  readonly trace: Trace;
  readonly attributes: AdapterAttributes;
  readonly arena: Arena;
  readonly capacity: Capacity;
  readonly allowSourceMac: boolean;
  readonly supports8021p: boolean;
  readonly tcp: TcpParameterChanges;
  /** How long news that only make room may wait for others, µs. */
  readonly lazyUs: number;
  readonly onTurn: () => void;
  readonly onTimer: (nowUs: number) => void;
  /** There is something in the ring. */
  readonly onBell: () => void;
  readonly onDelivered: (connection: DriverConnection, nowUs: number) => void;
}

/** Bytes taken or returned for which the NIC half is woken at once. */
const LAZY_BYTES = 256 * 1024;
/** How soon is tried again what found the ring full, µs. */
const RETRY_US = 200;

/** The state of one driver half. */
export class Driver implements ReceiverHost<DriverConnection>, OidSubject {
  readonly runtime: Runtime;
  readonly trace: Trace;
  readonly attributes: AdapterAttributes;
  readonly arena: Arena;
  readonly out: Outbox;
  readonly inbox: RingReader;
  port!: NicPort;

  ndisM!: NdisM;
  ndis!: TcpOffloadEventHandlers;
  handle!: NdisMiniportHandle;
  readonly indicator: FrameIndicator = new FrameIndicator();

  // See ReceiverHost and OidSubject.
  readonly pool: ReceivePool;
  readonly consumed: BytesConsumed = { value: 0 };
  readonly keepsPush = false;
  readonly copy: CopyBytes | undefined;
  later: DriverConnection[] = [];
  hasIndicated = false;
  readonly onDelivered: (connection: DriverConnection, nowUs: number) => void;
  tunables: TcpConnectionOffloadParameters = { ...DEFAULT_OFFLOAD_PARAMETERS };
  readonly parameters: TcpParameters;
  readonly administration: Administration = { ip4: true, ip6: true };
  capacity: Capacity;
  readonly allowSourceMac: boolean;
  readonly supports8021p: boolean;
  readonly scaling = null;
  isEnabled = false;
  isHalted = false;
  /** The NIC half is dead, and why: everything is answered here. */
  isDead = false;
  deathMessage = '';
  /** Operations that came after its death, answered in the next turn. */
  orphans: number[] = [];
  /** Connections to which something was given after it. */
  lost: DriverConnection[] = [];
  /** Connections that it lost in the middle of a terminate, which fails; what that means is told in the next turn. */
  untold: DriverConnection[] = [];
  /** Called once nothing is left of what a dead NIC half had. */
  onEmpty: (() => void) | null = null;
  /** Paths and neighbors are somebody else's, who gives them up by himself. */
  isOneOfSeveral = false;
  /** One of several: an initiate is complete here and not everywhere, and until it is nothing is indicated (INIT-050, INIT-054). */
  isHeld = false;
  /** Paused: nothing is indicated. */
  isStill = false;
  powerState: number = NdisDevicePowerState.D0;
  pendingPower: OidRequest | null = null;

  /** Memory of data to be sent, shared with the NIC half. */
  readonly sendPool: ReceivePool;
  /** Objects by their numbers; 0 is nobody's. */
  readonly objects: (DriverObject | null)[] = [null];
  readonly #freeObjects: number[] = [];
  readonly parts: Part[] = [];
  readonly #freeParts: number[] = [];
  readonly operations: Map<number, DriverOperation> = new Map();
  /** Initiates among them, until their completion has returned: no status and no query of a neighbor is indicated (INIT-052, INIT-053). */
  initiates = 0;
  /** Queries of neighbors that wait for that: number, NRD and HRD of each. */
  inquiries: number[] = [];
  #nextOperation = 1;
  connectionCount = 0;
  pathCount = 0;
  neighborCount = 0;
  /** Connections with sends for which there was no room. */
  waiting: DriverConnection[] = [];
  /** MTU of the link as it was last told, bytes: what goes with that status. */
  linkMtu = 0;
  /** Statuses that are to be indicated in the next turn. */
  statuses: number[] = [];

  readonly heap: DeadlineHeap = new DeadlineHeap();
  readonly timer: Timer;
  readonly expectations: Expectations;
  readonly #retry: Timer;
  #firstQueued: DriverConnection | null = null;
  #lastQueued: DriverConnection | null = null;
  isFlushing = false;
  #isScheduled = false;
  #isPublishing = false;
  #hasAsked = false;
  #isAwaited = false;
  #wantsRoom = false;
  readonly #turn: () => void;
  readonly #publish: () => void;
  /** What the turn does beside, once the NIC half is dead. */
  onDeadTurn: () => void = () => {};
  /** Whether the NIC half is to be woken for what was said since it was rung for last. */
  isRinging = false;
  /** Bytes that are told of and not rung for; how long that may be so, µs. */
  lazyBytes = 0;
  readonly lazyUs: number;
  /** Called whenever the ring may have room again. */
  onRoom: () => void = () => {};
  readonly #statistics: readonly [SharedStatistics, SharedStatistics];

  constructor(parts: DriverParts) {
    const { arena, runtime } = parts;
    const { words, control, sizes } = arena;
    this.runtime = runtime;
    this.copy = arena.copy ?? undefined;
    this.trace = parts.trace;
    this.attributes = parts.attributes;
    this.arena = arena;
    this.capacity = parts.capacity;
    this.lazyUs = parts.lazyUs;
    this.allowSourceMac = parts.allowSourceMac;
    this.supports8021p = parts.supports8021p;
    this.parameters = tcpParameters({ ...parts.tcp, role: 'target' });
    this.onDelivered = parts.onDelivered;
    const down = { at: arena.downAt >> 2, capacity: sizes.downBytes >> 2 };
    const up = { at: arena.upAt >> 2, capacity: sizes.upBytes >> 2 };
    const downWords = { head: ControlWord.DOWN_HEAD, tail: ControlWord.DOWN_TAIL };
    const upWords = { head: ControlWord.UP_HEAD, tail: ControlWord.UP_TAIL };
    const ring = new RingWriter({ words, control, ...down, ...downWords });
    const onDirty = (): void => {
      this.isRinging = true;
      this.#dirty();
    };
    this.out = new Outbox(ring, arena.bytes, arena.copy, onDirty, FRAMES_DOWN_BYTES);
    this.inbox = new RingReader({ words, control, ...up, ...upWords });
    this.pool = new ReceivePool(sizes.receiveBytes, {
      own: null,
      copy: null,
      foreign: (index) => arena.receiveBlock(index),
      onForeignFree: (index, pieces) => {
        if (!this.isHalted && !this.isDead) this.sayLazily(Down.RETURN, index, pieces, BLOCK_BYTES);
      },
    });
    this.sendPool = new ReceivePool(sizes.sendBytes, {
      own: (index) => arena.sendBlock(index),
      copy: arena.copy,
      foreign: (index) => arena.keptBlock(index),
      onForeignFree: null,
    });
    this.#statistics = [new SharedStatistics(arena.statistics, 0), new SharedStatistics(arena.statistics, 1)];
    this.timer = runtime.timer(parts.onTimer);
    this.expectations = new Expectations(this);
    this.#retry = runtime.timer(() => {
      if (this.lazyBytes > 0) this.isRinging = true;
      this.goOn();
    });
    this.#turn = () => {
      this.#isScheduled = false;
      parts.onTurn();
    };
    this.#publish = () => {
      this.#isPublishing = false;
      const answered = Atomics.load(arena.control, ControlWord.ANSWERED);
      const hasAsked = this.#hasAsked;
      const isAwaited = this.#isAwaited;
      this.#isAwaited = false;
      this.publish();
      if (hasAsked && this.port.attend?.(answered, isAwaited) === true) parts.onBell();
    };
  }

  // ReceiverHost.

  mark(connection: DriverConnection, due: number): void {
    connection.due |= due;
    if (connection.isQueued) return;
    connection.isQueued = true;
    connection.nextQueued = null;
    if (this.#lastQueued === null) this.#firstQueued = connection;
    else this.#lastQueued.nextQueued = connection;
    this.#lastQueued = connection;
  }

  markSoon(connection: DriverConnection, due: number): void {
    this.mark(connection, due);
    if (!this.isFlushing) this.schedule();
  }

  schedule(): void {
    if (this.#isScheduled || this.isHalted) return;
    this.#isScheduled = true;
    this.runtime.defer(this.#turn);
  }

  takeQueued(): DriverConnection | null {
    const connection = this.#firstQueued;
    if (connection === null) return null;
    this.#firstQueued = connection.nextQueued;
    if (this.#firstQueued === null) this.#lastQueued = null;
    connection.nextQueued = null;
    connection.isQueued = false;
    return connection;
  }

  /** Sets the wake-up call of the push timer. */
  rearm(connection: DriverConnection): void {
    if (connection.id === 0) return;
    const atUs = connection.standing < 2 ? connection.pushAtUs : NEVER;
    this.heap.set(connection.id, atUs);
    if (atUs < this.timer.atUs) this.timer.arm(atUs);
  }

  // OidSubject.

  enqueue(_kind: typeof OperationKind.STATUS, _root: null, statusCode: number): void {
    this.statuses.push(statusCode);
    this.schedule();
  }

  statistics(family: number): SharedStatistics {
    this.port.refresh();
    const statistics = this.#statistics[family === 4 ? 0 : 1];
    statistics.load();
    return statistics;
  }

  establishedCount(family: number): number {
    let count = 0;
    for (const object of this.objects) {
      if (object instanceof DriverConnection && object.isEstablished && object.path?.family === family) count++;
    }
    return count;
  }

  // Numbers.

  /** A number for an object; the object is put in its place by the caller. */
  newId(): number {
    return this.#freeObjects.pop() ?? this.objects.push(null) - 1;
  }

  freeId(id: number): void {
    this.objects[id] = null;
    this.#freeObjects.push(id);
  }

  newPart(): number {
    const number = this.#freeParts.pop();
    if (number !== undefined) return number;
    return this.parts.push(new Part()) - 1;
  }

  /** Its memory and its number are free. */
  freePart(number: number): void {
    const part = this.parts[number]!;
    this.sendPool.clear(part.data);
    part.connection = null;
    part.item = null;
    part.list = null;
    this.#freeParts.push(number);
  }

  newOperation(): number {
    let number = this.#nextOperation;
    while (this.operations.has(number)) number = (number + 1) & 0x3fffffff;
    this.#nextOperation = (number + 1) & 0x3fffffff;
    return number;
  }

  /** The connection of a number in a record. */
  connectionAt(id: number): DriverConnection {
    const object = this.objects[id];
    assert(object instanceof DriverConnection, 'a record names a connection that is offloaded');
    return object;
  }

  *connections(): Generator<DriverConnection> {
    for (const object of this.objects) if (object instanceof DriverConnection && object.isTaken) yield object;
  }

  /** In a low power state, or on the way there: see `Engine.isAsleep`. */
  get isAsleep(): boolean {
    return this.powerState !== NdisDevicePowerState.D0 && this.pendingPower === null;
  }

  /** How long what the NIC half was asked for may take it at one go, µs: a tree of 100,000 blocks takes a second. */
  get allowanceUs(): number {
    let blocks = 0;
    for (const operation of this.operations.values()) blocks += operation.blocks.length;
    return blocks * 20;
  }

  // Publishing.

  #dirty(): void {
    if (this.#isPublishing || this.isDead) return;
    this.#isPublishing = true;
    this.runtime.defer(this.#publish);
  }

  /**
   * A state operation was said: it must not wait behind other tasks, as connections stand still meanwhile, and the answer is near:
   * it is waited for, a short while. `isAwaited`: this half goes on with the connections.
   */
  publishOperation(isAwaited: boolean): void {
    this.isRinging = true;
    this.#hasAsked = true;
    this.#isAwaited ||= isAwaited;
    this.runtime.urgent(this.#publish);
  }

  /** Words that need no answer: the NIC half is not woken for them at once. See {@link isRinging}. */
  sayLazily(type: number, a: number, b: number, bytes: number): void {
    const wasRinging = this.isRinging;
    this.out.say(type, a, b);
    this.lazyBytes += bytes;
    this.isRinging = wasRinging || this.lazyUs === 0 || this.lazyBytes >= LAZY_BYTES;
  }

  /** Makes visible what was said, and wakes the NIC half if it sleeps. */
  publish(): void {
    if (this.isHalted || this.isDead) return;
    // What waited for room must be told as well.
    if (this.out.isWaiting) this.isRinging = true;
    this.out.publish();
    if (this.out.isWaiting) this.retrySoon();
    if (!this.isRinging) {
      if (this.lazyBytes > 0 && this.#retry.atUs === NEVER) this.#retry.arm(this.runtime.nowUs() + this.lazyUs);
      return;
    }
    this.isRinging = false;
    this.lazyBytes = 0;
    const { control } = this.arena;
    if (this.#hasAsked) {
      this.#hasAsked = false;
      Atomics.add(control, ControlWord.ASKED, 1);
      this.expectations.published();
    }
    if (Atomics.load(control, ControlWord.NIC_ASLEEP) === 0) return;
    if (Atomics.exchange(control, ControlWord.NIC_ASLEEP, 0) === 1) this.port.ring();
  }

  /** Room that was waited for is there. */
  get hasFoundRoom(): boolean {
    return this.#wantsRoom && Atomics.load(this.arena.control, ControlWord.ROOM_WANTED) === 0;
  }

  /** What waits for room in the ring is put in, as far as there is. */
  fillRoom(): void {
    this.#wantsRoom = false;
    this.onRoom();
  }

  /** There may be room in the ring for what waits. */
  goOn(): void {
    if (this.isHalted) return;
    this.fillRoom();
    this.publish();
  }

  /** The ring was full: looked at again soon, or when the NIC half says that there is room. */
  retrySoon(): void {
    this.#wantsRoom = true;
    Atomics.store(this.arena.control, ControlWord.ROOM_WANTED, 1);
    if (this.#retry.atUs === NEVER) this.#retry.arm(this.runtime.nowUs() + RETRY_US);
  }

  stopTimers(): void {
    this.expectations.ready();
    this.timer.disarm();
    this.#retry.disarm();
  }
}
