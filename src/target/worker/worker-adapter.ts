/**
 * The worker target: a miniport driver in the host's thread, whose NIC, engine and all, is on the other side of two rings.
 *
 * Promises: the contract of the engine target, entry by entry; the host cannot tell the difference but by its free time. What is
 * on the other side is the port's to say: a thread of its own, or this one.
 */

import { assert } from '../../base/assert.ts';
import type { Link } from '../../link/link.ts';
import {
  type AdapterAttributes,
  copyOffloadHandlers,
  type MiniportDriver,
  type MiniportOffloadBlock,
  NdisChimneyOffloadType,
  type NdisDriverHandle,
  type NdisM,
  type NdisMiniportHandle,
  type NdisRegistration,
  NdisStatus,
  type OidRequest,
  providerGeneric,
  providerTcp,
} from '../../ndis/miniport.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import { Event } from '../../trace/events.ts';
import { DEFAULT_CAPACITY } from '../engine/capacity.ts';
import { Standing } from '../engine/contexts.ts';
import { postRequests } from '../engine/delivery.ts';
import { type EngineAdapterOptions, OperationKind } from '../engine/engine.ts';
import { oidRequest } from '../engine/oids.ts';
import { PoolList } from '../engine/receive-pool.ts';
import { attributesOf } from '../plain/attributes.ts';
import { type Arena, type ArenaSizes, ControlWord, DEFAULT_SIZES } from './arena.ts';
import { Driver, type NicPort } from './driver.ts';
import { die } from './driver-death.ts';
import { DriverFrames } from './driver-frames.ts';
import { DriverConnection } from './driver-objects.ts';
import { startOperation } from './driver-operations.ts';
import { postDisconnect, postForwards, postSends } from './driver-sends.ts';
import { DriverTurn, onTimer, runTurn, tellTaken } from './driver-turn.ts';
import type { DeviceLeft } from './frames-without-nic.ts';
import { configOf, FOLLOWED, receiveSize } from './nic-config.ts';
import type { NicConfig } from './nic-half.ts';
import { Down, Wish } from './records.ts';
import { inherit, isEmpty, RESTARTS_DEFAULT, Restarts, sayOid, takeUp } from './restart.ts';
import type { NicDeath } from './thread-port.ts';
import { WorkerControl } from './worker-control.ts';

/** What a worker target is made with: the engine target's options, and the sizes of what both halves share. */
export interface WorkerAdapterOptions extends Omit<EngineAdapterOptions, 'pool' | 'receiveQueues' | 'wakeQueue'> {
  readonly sizes?: Partial<ArenaSizes>;
  /** How long the NIC half may not be woken for news that only make room for it, µs. Default 0. */
  readonly lazyUs?: number;
  /**
   * How often within a minute a NIC half that has died is replaced by a new one, which connections can be offloaded to again. Default 3;
   * 0: never. Beyond that the adapter goes on without a chimney.
   */
  readonly restart?: number;
  /** Told when the NIC half is dead, after everything that was offloaded has been told so. */
  readonly onDeath?: (death: NicDeath) => void;
  /** Told when a new NIC half has taken up its work. */
  readonly onRestart?: () => void;
}

/** What somebody over several adapters wants to know of one, which then indicates nothing of it itself. */
export interface NicWatcher {
  /** The NIC half is dead; if it `isReplaced`, what it had is to be given up. */
  died(isReplaced: boolean): void;
  /** There is a new one, with which nothing is offloaded yet. */
  restarted(): void;
  /** There will be no new one after all. */
  gaveUp(): void;
}

/** What a port is made from. */
export interface PortParts {
  readonly arena: Arena;
  readonly config: NicConfig;
  /** Only described, or to be used: the port's to know. */
  readonly link: Link;
  readonly options: WorkerAdapterOptions;
  /** It comes after one that has died: whether the link is up is not known. */
  readonly isRestart: boolean;
  /** How much longer than usual a round of the NIC half may take, µs. */
  readonly allowanceUs: () => number;
  /** The NIC half is over, and nothing is done with the device or the arena any more. */
  readonly onDeath: (death: Pick<NicDeath, 'cause' | 'message'>, takeOver: () => DeviceLeft) => void;
}

/** A driver half with its NIC half. */
interface Generation {
  readonly driver: Driver;
  readonly turn: DriverTurn;
}

/** Longest header in front of an IP packet, and what the ring puts around a frame. */
const FRAME_OVERHEAD = 64;

/** The driver half. */
export class WorkerAdapter implements MiniportDriver {
  readonly attributes: AdapterAttributes;
  readonly hasChimney: boolean = true;
  readonly control: WorkerControl;
  /** Told instead of the host of the death of this one of several. */
  watcher: NicWatcher | null = null;
  readonly #options: WorkerAdapterOptions;
  readonly #make: (isRestart: boolean) => Generation;
  readonly #frames: DriverFrames;
  readonly #restarts: Restarts;
  #isPlain = false;
  /** The one in use, and the one that is on its way in its place. */
  #now: Generation;
  #coming: Generation | null = null;
  /** Those before, of which the host still holds lists. */
  #retired: Driver[] = [];
  #onAllReturned: (() => void) | null = null;

  /** `makeArena`: the memory of both halves; `makePort`: the way to the NIC half. */
  constructor(
    options: WorkerAdapterOptions,
    makeArena: (sizes: ArenaSizes) => Arena,
    makePort: (parts: PortParts) => NicPort,
  ) {
    this.#options = options;
    this.attributes = attributesOf(options);
    const sizes = { ...DEFAULT_SIZES, ...receiveSize(options), ...options.sizes };
    const frameBytes = FRAME_OVERHEAD + Math.max(options.link.mtu, options.link.largeSendBytes ?? 0);
    if (Math.min(sizes.upBytes, sizes.downBytes) < 4 * frameBytes) {
      throw new RangeError(`upBytes, downBytes: expected ${4 * frameBytes} (four frames) at least`);
    }
    this.#restarts = new Restarts(options.restart ?? RESTARTS_DEFAULT);
    const { backlogLists, packetTap: tap = null } = options;
    this.#frames = new DriverFrames(() => this.driver, { frameBytes, backlogLists, tap });
    this.#make = (isRestart) => this.#generation(makeArena(sizes), makePort, isRestart);
    this.#now = this.#make(false);
    this.control = new WorkerControl(
      () => this.driver,
      () => this.#frames.waitingLists,
      () => this.#listsOut,
    );
  }

  /** The driver half. */
  protected get driver(): Driver {
    return this.#now.driver;
  }

  /** What both halves share. */
  get arena(): Arena {
    return this.driver.arena;
  }

  #generation(arena: Arena, makePort: (parts: PortParts) => NicPort, isRestart: boolean): Generation {
    const options = this.#options;
    const driver: Driver = new Driver({
      runtime: options.runtime,
      trace: options.trace,
      attributes: this.attributes,
      arena,
      capacity: { ...DEFAULT_CAPACITY, ...options.capacity },
      allowSourceMac: options.allowSourceMac ?? true,
      supports8021p: options.supports8021p ?? true,
      tcp: options.tcp ?? {},
      lazyUs: options.lazyUs ?? 0,
      onTurn: () => runTurn(driver),
      onTimer: (nowUs) => onTimer(driver, nowUs),
      onBell: () => turn.poll(),
      onDelivered: (connection) => tellTaken(driver, connection),
    });
    const turn = new DriverTurn(driver, options.packetTap ?? null);
    driver.onRoom = () => {
      if (driver === this.driver) this.#frames.sendWaiting();
    };
    if (isRestart) inherit(this.driver, driver);
    driver.port = makePort({
      arena,
      config: configOf({ ...options, ...(isRestart ? { capacity: driver.capacity } : {}) }, this.attributes),
      link: options.link,
      options,
      isRestart,
      allowanceUs: () => driver.allowanceUs,
      onDeath: (death, takeOver) => this.#died(driver, death, takeOver),
    });
    return { driver, turn };
  }

  /** MiniportSetOptions (CAP-002 to CAP-007). */
  setOptions(handle: NdisDriverHandle, ndis: NdisRegistration): number {
    const status = ndis.setOptionalHandlers(handle, providerGeneric(this));
    return status === NdisStatus.SUCCESS ? ndis.setOptionalHandlers(handle, providerTcp(this)) : status;
  }

  /** MiniportInitializeEx. */
  initializeEx(handle: NdisMiniportHandle, ndisM: NdisM): number {
    const { driver } = this;
    driver.handle = handle;
    driver.ndisM = ndisM;
    driver.isOneOfSeveral = this.watcher !== null;
    ndisM.setMiniportAttributes(handle, this);
    const handlers = copyOffloadHandlers(ndisM.getOffloadHandlers(handle, NdisChimneyOffloadType.TCP));
    if (handlers === null) this.#isPlain = true;
    else driver.ndis = handlers;
    start(this.#now, () => {});
    return NdisStatus.SUCCESS;
  }

  /** MiniportHaltEx: what was said last is still done by the NIC half. */
  haltEx(_context: unknown): void | Promise<void> {
    const { driver } = this;
    const coming = this.#coming;
    this.#coming = null;
    this.#frames.flush(NdisStatus.ADAPTER_REMOVED);
    driver.publish();
    retire(driver);
    if (coming !== null) retire(coming.driver);
    // A NIC half closes the device: nobody else may still use it then.
    const frames = this.#frames.close(coming !== null);
    const closeNic = (): unknown => Promise.all([driver.port.close(), coming?.driver.port.close()]);
    const closing: unknown[] = [frames === undefined ? driver.port.close() : frames.then(closeNic)];
    if (this.#listsOut > 0) {
      closing.push(
        new Promise<void>((resolve) => {
          this.#onAllReturned = resolve;
        }),
      );
    }
    return closing.some((one) => one !== undefined) ? Promise.all(closing).then(() => undefined) : undefined;
  }

  /** MiniportPause: everything offloaded has been taken back; what is left are lists that the host still holds. */
  pause(_context: unknown): number {
    const { driver } = this;
    driver.isStill = true;
    if (this.#coming !== null) this.#coming.driver.isStill = true;
    driver.out.say(Down.WISH, Wish.STILL, 1);
    this.#frames.flush(NdisStatus.PAUSED);
    if (this.#listsOut === 0) return NdisStatus.SUCCESS;
    this.#onAllReturned = () => driver.ndisM.pauseComplete(driver.handle);
    return NdisStatus.PENDING;
  }

  /** Lists that the host holds. */
  get #listsOut(): number {
    return this.#retired.reduce((sum, { pool }) => sum + pool.listsOut, this.driver.pool.listsOut);
  }

  /** MiniportRestart. */
  restart(_context: unknown): number {
    this.driver.isStill = false;
    if (this.#coming !== null) this.#coming.driver.isStill = false;
    this.driver.out.say(Down.WISH, Wish.STILL, 0);
    return NdisStatus.SUCCESS;
  }

  /** MiniportResetEx: as after initialisation; the host enables the chimney anew (CAP-020). */
  resetEx(_context: unknown): number {
    const { driver } = this;
    const offloaded = driver.connectionCount + driver.pathCount + driver.neighborCount;
    // NDIS waits for something in vain: what is offloaded is lost with the adapter.
    if (offloaded > 0) return NdisStatus.FAILURE;
    driver.isEnabled = false;
    driver.out.say(Down.WISH, Wish.RESET);
    return NdisStatus.SUCCESS;
  }

  /** MiniportDevicePnPEventNotifyEx: what is sent from here on is lost; what is offloaded waits for its terminate. */
  devicePnpEventNotifyEx(_context: unknown, event: number): void {
    this.driver.out.say(Down.WISH, Wish.DEVICE, event);
  }

  /** MiniportOidRequest: answered here; what is set goes down as well. */
  oidRequest(_context: unknown, request: OidRequest): number {
    if (this.#isPlain) return NdisStatus.NOT_SUPPORTED;
    const { driver } = this;
    const status = oidRequest(driver, request);
    const isTaken = status === NdisStatus.SUCCESS || status === NdisStatus.PENDING;
    if (request.kind === 'set' && isTaken && !driver.isDead && FOLLOWED.has(request.oid)) {
      sayOid(driver, request.oid, request.information);
    }
    return status;
  }

  /** MiniportSendNetBufferLists: copied into the ring, or kept while it is full. */
  sendNetBufferLists(_context: unknown, lists: NetBufferList, _portNumber: number): void {
    this.#frames.send(lists);
  }

  /** MiniportReturnNetBufferLists: all ordinary indications are borrowed. */
  returnNetBufferLists(_context: unknown, _lists: NetBufferList): void {}

  offloadExpected(_context: unknown, onReady: () => void): boolean {
    return this.driver.expectations.expect(onReady);
  }

  /** MiniportInitiateOffload. */
  initiateOffload(_context: unknown, offloadBlockList: MiniportOffloadBlock): void {
    startOperation(this.driver, OperationKind.INITIATE, offloadBlockList, this.#options.refuse ?? null);
  }

  /** MiniportTerminateOffload. */
  terminateOffload(_context: unknown, offloadBlockList: MiniportOffloadBlock): void {
    startOperation(this.driver, OperationKind.TERMINATE, offloadBlockList, null);
  }

  /** MiniportUpdateOffload. */
  updateOffload(_context: unknown, offloadBlockList: MiniportOffloadBlock): void {
    startOperation(this.driver, OperationKind.UPDATE, offloadBlockList, null);
  }

  /** MiniportQueryOffload. */
  queryOffload(_context: unknown, offloadBlockList: MiniportOffloadBlock): void {
    startOperation(this.driver, OperationKind.QUERY, offloadBlockList, null);
  }

  /** MiniportInvalidateOffload. */
  invalidateOffload(_context: unknown, offloadBlockList: MiniportOffloadBlock): void {
    startOperation(this.driver, OperationKind.INVALIDATE, offloadBlockList, null);
  }

  /** MiniportTcpOffloadSend. */
  tcpOffloadSend(_context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    const connection = liveConnection(offloadContext);
    if (this.#options.allocateSends?.(lists) === false) this.driver.out.say(Down.WISH, Wish.STARVE, connection.id);
    postSends(this.driver, connection, lists);
    return NdisStatus.PENDING;
  }

  /** MiniportTcpOffloadReceive. */
  tcpOffloadReceive(_context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    postRequests(this.driver, liveConnection(offloadContext), lists);
    return NdisStatus.PENDING;
  }

  /** MiniportTcpOffloadDisconnect. */
  tcpOffloadDisconnect(_context: unknown, offloadContext: unknown, list: NetBufferList, flags: number): number {
    postDisconnect(this.driver, liveConnection(offloadContext), list, flags);
    return NdisStatus.PENDING;
  }

  /** MiniportTcpOffloadForward. */
  tcpOffloadForward(_context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    postForwards(this.driver, liveConnection(offloadContext), lists);
    return NdisStatus.PENDING;
  }

  /** The driver half of now: one that has died and come anew has another. */
  get life(): object {
    return this.driver;
  }

  /** Its NIC half is dead: nothing is taken any more. */
  get isDead(): boolean {
    return this.driver.isDead;
  }

  /** Nothing is indicated until {@link release}: for an initiate that is complete here and not everywhere. */
  hold(): void {
    this.driver.isHeld = true;
  }

  release(): void {
    const { driver } = this;
    if (!driver.isHeld) return;
    driver.isHeld = false;
    driver.schedule();
    driver.runtime.defer(this.#now.turn.poll);
  }

  /** Does something soon, from inside nothing. */
  later(act: () => void): void {
    this.driver.runtime.defer(act);
  }

  /** Whether a list was indicated from memory of this adapter. */
  owns(list: NetBufferList): boolean {
    return list instanceof PoolList && this.#ownerOf(list) !== undefined;
  }

  #ownerOf({ pool }: PoolList): Driver | undefined {
    return pool === this.driver.pool ? this.driver : this.#retired.find((one) => one.pool === pool);
  }

  /** MiniportTcpOffloadReceiveReturn: synchronous, and never fails (RECV-082, RECV-083). */
  tcpOffloadReceiveReturn(_context: unknown, lists: NetBufferList): number {
    let list: NetBufferList | null = lists;
    while (list !== null) {
      const next: NetBufferList | null = list.next;
      const { pool, trace } = (list instanceof PoolList ? this.#ownerOf(list) : undefined) ?? this.driver;
      if (!pool.takeBack(list)) trace.count(Event.TARGET_RETURN_UNKNOWN);
      list = next;
    }
    if (this.#retired.length > 0) this.#retired = this.#retired.filter(({ pool }) => pool.listsOut > 0);
    if (this.#onAllReturned !== null && this.#listsOut === 0) {
      const onAllReturned = this.#onAllReturned;
      this.#onAllReturned = null;
      onAllReturned();
    }
    return NdisStatus.SUCCESS;
  }

  // The death of a NIC half, and another in its place.

  /** A NIC half is dead and gone: the one in use, or one that was to be. */
  #died(driver: Driver, death: Pick<NicDeath, 'cause' | 'message'>, takeOver: () => DeviceLeft): void {
    const { runtime, onDeath } = this.#options;
    const isReplaced = !this.driver.isHalted && this.#restarts.take(runtime.nowUs());
    const wasComing = driver === this.#coming?.driver;
    if (wasComing) {
      this.#coming = null;
      retire(driver);
      driver.trace.emit(Event.TARGET_NIC_DEAD, runtime.nowUs(), death.cause, 0);
    }
    const counts = wasComing ? { takenBack: 0, lost: 0 } : this.#lose(death, takeOver, isReplaced);
    onDeath?.({ ...death, ...counts, isReplaced });
    if (!wasComing) return;
    if (isReplaced) this.#replace();
    else this.watcher?.gaveUp();
  }

  /** Answers how many connections the host takes back, and how many are lost. */
  #lose(
    death: Pick<NicDeath, 'cause' | 'message'>,
    takeOver: () => DeviceLeft,
    isReplaced: boolean,
  ): Pick<NicDeath, 'takenBack' | 'lost'> {
    const { driver, turn } = this.#now;
    turn.drain();
    if (!driver.isHalted) this.#frames.takeOver(takeOver());
    if (isReplaced) driver.onEmpty = () => this.#replace();
    const counts = die(driver, death, {
      hasLink: !driver.isHalted,
      isReplaced,
      tell: this.watcher === null ? null : () => this.watcher?.died(isReplaced),
    });
    this.#frames.receive();
    return counts;
  }

  /** Nothing of the old NIC half is left: a new one begins, while the host's thread still serves the device. */
  #replace(): void {
    const { driver } = this;
    if (driver.isHalted) return;
    const next = this.#make(true);
    next.driver.handle = driver.handle;
    next.driver.ndisM = driver.ndisM;
    next.driver.ndis = driver.ndis;
    this.#coming = next;
    start(next, () => this.#takeUp(next));
  }

  /** The new NIC half works: it gets the device, and the host may offload again. */
  #takeUp(next: Generation): void {
    const { driver } = this;
    if (next !== this.#coming) return;
    if (!isEmpty(driver)) {
      driver.onEmpty = () => this.#takeUp(next);
      return;
    }
    this.#coming = null;
    this.#now = next;
    retire(driver);
    if (driver.pool.listsOut > 0) this.#retired.push(driver);
    this.#frames.handBack();
    takeUp(driver, next.driver, this.control.isPaused);
    next.driver.trace.count(Event.TARGET_NIC_RESTARTED);
    this.control.restarts++;
    this.watcher?.restarted();
    this.#options.onRestart?.();
  }
}

/** A NIC half begins. */
function start({ driver, turn }: Generation, onUp: () => void): void {
  driver.indicator.attach(driver.ndisM, driver.handle);
  Atomics.store(driver.arena.control, ControlWord.DRIVER_ASLEEP, 1);
  driver.port.start(turn.poll, () => driver.goOn(), onUp);
  driver.port.sleep();
}

/** Nothing is indicated any more. */
function retire(driver: Driver): void {
  driver.isHalted = true;
  driver.stopTimers();
}

/** The context that a slot holds; a context that was terminated is named by nobody any more (CTX-015). */
function liveConnection(offloadContext: unknown): DriverConnection {
  assert(
    offloadContext instanceof DriverConnection && offloadContext.standing !== Standing.TERMINATED,
    'a data call names a connection that is offloaded here (CTX-006)',
  );
  return offloadContext;
}
