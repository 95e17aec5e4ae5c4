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
  Oid,
  type OidRequest,
  providerGeneric,
  providerTcp,
} from '../../ndis/miniport.ts';
import { copyFromNetBuffer, type NetBuffer, type NetBufferList } from '../../state/net-buffer-list.ts';
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
import { DriverConnection } from './driver-objects.ts';
import { startOperation } from './driver-operations.ts';
import { postDisconnect, postForwards, postSends } from './driver-sends.ts';
import { DriverTurn, onTimer, runTurn, tellTaken } from './driver-turn.ts';
import { FramesWithoutNic } from './frames-without-nic.ts';
import type { NicConfig } from './nic-half.ts';
import { Down, Wish } from './records.ts';
import type { NicDeath } from './thread-port.ts';
import { WorkerControl } from './worker-control.ts';

/** What a worker target is made with: the engine target's options, and the sizes of what both halves share. */
export interface WorkerAdapterOptions extends Omit<EngineAdapterOptions, 'pool' | 'receiveQueues' | 'wakeQueue'> {
  readonly sizes?: Partial<ArenaSizes>;
  /** How long the NIC half may not be woken for news that only make room for it, µs. Default 0. */
  readonly lazyUs?: number;
}

/** What a port is made from. */
export interface PortParts {
  readonly arena: Arena;
  readonly config: NicConfig;
  /** Only described, or to be used: the port's to know. */
  readonly link: Link;
  readonly options: WorkerAdapterOptions;
}

const BACKLOG_LISTS_DEFAULT = 16_384;
/** Longest header in front of an IP packet, and what the ring puts around a frame. */
const FRAME_OVERHEAD = 64;

/** The driver half. */
export class WorkerAdapter implements MiniportDriver {
  readonly attributes: AdapterAttributes;
  readonly hasChimney: boolean = true;
  readonly control: WorkerControl;
  /** What both halves share. */
  readonly arena: Arena;
  protected readonly driver: Driver;
  protected readonly turn: DriverTurn;
  readonly #options: WorkerAdapterOptions;
  #isPlain = false;
  // Ordinary lists that wait for room in the ring.
  #firstFrame: NetBufferList | null = null;
  #lastFrame: NetBufferList | null = null;
  #waitingFrames = 0;
  readonly #gathered: Uint8Array;
  /** The way of ordinary frames once the NIC half is dead. */
  #frames: FramesWithoutNic | null = null;

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
    this.arena = makeArena(sizes);
    this.#gathered = new Uint8Array(frameBytes);
    const driver: Driver = new Driver({
      runtime: options.runtime,
      trace: options.trace,
      attributes: this.attributes,
      arena: this.arena,
      capacity: { ...DEFAULT_CAPACITY, ...options.capacity },
      allowSourceMac: options.allowSourceMac ?? true,
      supports8021p: options.supports8021p ?? true,
      tcp: options.tcp ?? {},
      lazyUs: options.lazyUs ?? 0,
      onTurn: () => runTurn(driver),
      onTimer: (nowUs) => onTimer(driver, nowUs),
      onBell: () => this.turn.poll(),
      onDelivered: (connection) => tellTaken(driver, connection),
    });
    this.driver = driver;
    this.turn = new DriverTurn(driver, options.packetTap ?? null);
    driver.onRoom = () => this.#sendWaiting();
    const config = configOf(options, this.attributes);
    driver.port = makePort({ arena: this.arena, config, link: options.link, options });
    this.control = new WorkerControl(driver, () => this.#waitingFrames + (this.#frames?.waitingLists ?? 0));
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
    ndisM.setMiniportAttributes(handle, this);
    driver.indicator.attach(ndisM, handle);
    const handlers = copyOffloadHandlers(ndisM.getOffloadHandlers(handle, NdisChimneyOffloadType.TCP));
    if (handlers === null) this.#isPlain = true;
    else driver.ndis = handlers;
    Atomics.store(this.arena.control, ControlWord.DRIVER_ASLEEP, 1);
    driver.port.start(this.turn.poll, () => driver.goOn());
    driver.port.sleep();
    return NdisStatus.SUCCESS;
  }

  /** MiniportHaltEx: what was said last is still done by the NIC half. */
  haltEx(_context: unknown): void | Promise<void> {
    const { driver } = this;
    this.#giveBackFrames(NdisStatus.ADAPTER_REMOVED);
    driver.publish();
    driver.isHalted = true;
    driver.stopTimers();
    this.#frames?.flush(NdisStatus.ADAPTER_REMOVED);
    const frames = this.#frames?.close();
    const port = driver.port.close();
    const closed = frames === undefined ? port : Promise.all([port, frames]).then(() => undefined);
    if (driver.pool.listsOut === 0) return closed;
    const returned = new Promise<void>((resolve) => {
      driver.onAllReturned = resolve;
    });
    return Promise.all([closed, returned]).then(() => undefined);
  }

  /** MiniportPause: everything offloaded has been taken back; what is left are lists that the host still holds. */
  pause(_context: unknown): number {
    const { driver } = this;
    driver.isStill = true;
    driver.out.say(Down.WISH, Wish.STILL, 1);
    this.#giveBackFrames(NdisStatus.PAUSED);
    this.#frames?.flush(NdisStatus.PAUSED);
    if (driver.pool.listsOut === 0) return NdisStatus.SUCCESS;
    driver.onAllReturned = () => driver.ndisM.pauseComplete(driver.handle);
    return NdisStatus.PENDING;
  }

  /** MiniportRestart. */
  restart(_context: unknown): number {
    this.driver.isStill = false;
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
      driver.out.begin(Down.OID);
      driver.out.put(request.oid);
      driver.out.putJson(request.information);
      driver.out.end();
    }
    return status;
  }

  /** MiniportSendNetBufferLists: copied into the ring, or kept while it is full. */
  sendNetBufferLists(_context: unknown, lists: NetBufferList, _portNumber: number): void {
    if (this.#frames !== null) {
      this.#frames.send(lists);
      return;
    }
    let first: NetBufferList | null = null;
    let last: NetBufferList | null = null;
    let list: NetBufferList | null = lists;
    while (list !== null) {
      const next: NetBufferList | null = list.next;
      list.next = null;
      const status = this.#sendOrKeep(list);
      if (status !== NdisStatus.PENDING) {
        list.status = status;
        if (last === null) first = list;
        else last.next = list;
        last = list;
      }
      list = next;
    }
    if (first !== null) this.driver.ndisM.sendNetBufferListsComplete(this.driver.handle, first);
  }

  #sendOrKeep(list: NetBufferList): number {
    const { driver } = this;
    if (driver.powerState !== 1 && driver.pendingPower === null) {
      driver.trace.count(Event.TARGET_ASLEEP);
      return NdisStatus.LOW_POWER_STATE;
    }
    // A link that is gone loses what is sent.
    if (driver.isDead) return NdisStatus.SUCCESS;
    if (this.#firstFrame === null && this.#sendFrame(list)) return NdisStatus.SUCCESS;
    if (this.#waitingFrames >= (this.#options.backlogLists ?? BACKLOG_LISTS_DEFAULT)) {
      driver.trace.count(Event.TARGET_SEND_BACKLOG_FULL);
      return NdisStatus.RESOURCES;
    }
    if (this.#lastFrame === null) this.#firstFrame = list;
    else this.#lastFrame.next = list;
    this.#lastFrame = list;
    this.#waitingFrames++;
    driver.retrySoon();
    return NdisStatus.PENDING;
  }

  #sendFrame(list: NetBufferList): boolean {
    for (let nb = list.firstNetBuffer; nb !== null; nb = nb.next)
      if (!this.#sendBuffer(nb, list.largeSendMss)) return false;
    return true;
  }

  #sendBuffer(nb: NetBuffer, mss: number): boolean {
    const mdl = nb.currentMdl;
    const length = nb.dataLength;
    if (mdl === null || length === 0) return true;
    const { out } = this.driver;
    if (length <= mdl.byteCount - nb.currentMdlOffset) {
      return out.frame(Down.FRAME, mss, 0, mdl.buffer, mdl.byteOffset + nb.currentMdlOffset, length);
    }
    if (length > this.#gathered.length) {
      this.driver.trace.count(Event.TARGET_FRAME_DROPPED);
      return true;
    }
    copyFromNetBuffer(nb, 0, length, this.#gathered, 0);
    return out.frame(Down.FRAME, mss, 0, this.#gathered, 0, length);
  }

  /** The ring may have room again. */
  #sendWaiting(): void {
    let first: NetBufferList | null = null;
    let last: NetBufferList | null = null;
    while (this.#firstFrame !== null) {
      const list = this.#firstFrame;
      if (!this.driver.isDead && !this.#sendFrame(list)) {
        this.driver.retrySoon();
        break;
      }
      this.#firstFrame = list.next;
      if (this.#firstFrame === null) this.#lastFrame = null;
      this.#waitingFrames--;
      list.next = null;
      list.status = NdisStatus.SUCCESS;
      if (last === null) first = list;
      else last.next = list;
      last = list;
    }
    if (first !== null) this.driver.ndisM.sendNetBufferListsComplete(this.driver.handle, first);
  }

  #giveBackFrames(status: number): void {
    const lists = this.#firstFrame;
    if (lists === null) return;
    this.#firstFrame = null;
    this.#lastFrame = null;
    this.#waitingFrames = 0;
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) list.status = status;
    this.driver.ndisM.sendNetBufferListsComplete(this.driver.handle, lists);
  }

  /**
   * The NIC half is dead and gone. `takeOver`: its device as a link of this thread. Answers how many connections the host takes back, and
   * how many are lost.
   */
  protected nicDied(
    death: Pick<NicDeath, 'cause' | 'message'>,
    takeOver: () => Link,
  ): Pick<NicDeath, 'takenBack' | 'lost'> {
    const { driver } = this;
    this.turn.drain();
    const { packetTap = null, backlogLists } = this.#options;
    const frames = driver.isHalted ? null : new FramesWithoutNic(driver, takeOver(), packetTap, backlogLists);
    this.#frames = frames;
    const counts = die(driver, death, frames !== null);
    frames?.start();
    return counts;
  }

  /** MiniportReturnNetBufferLists: all ordinary indications are borrowed. */
  returnNetBufferLists(_context: unknown, _lists: NetBufferList): void {}

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
    driver.runtime.defer(this.turn.poll);
  }

  /** Whether a list was indicated from memory of this adapter. */
  owns(list: NetBufferList): boolean {
    return list instanceof PoolList && list.pool === this.driver.pool;
  }

  /** MiniportTcpOffloadReceiveReturn: synchronous, and never fails (RECV-082, RECV-083). */
  tcpOffloadReceiveReturn(_context: unknown, lists: NetBufferList): number {
    const { driver } = this;
    let list: NetBufferList | null = lists;
    while (list !== null) {
      const next: NetBufferList | null = list.next;
      if (!driver.pool.takeBack(list)) driver.trace.count(Event.TARGET_RETURN_UNKNOWN);
      list = next;
    }
    if (driver.pool.listsOut === 0 && driver.onAllReturned !== null) {
      const { onAllReturned } = driver;
      driver.onAllReturned = null;
      onAllReturned();
    }
    return NdisStatus.SUCCESS;
  }
}

/** OIDs whose setting the NIC half must know. */
const FOLLOWED: ReadonlySet<number> = new Set([
  Oid.TCP_TASK_OFFLOAD,
  Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS,
  Oid.TCP_OFFLOAD_PARAMETERS,
  Oid.PNP_SET_POWER,
]);

function receiveSize(options: WorkerAdapterOptions): Partial<ArenaSizes> {
  return options.receivePoolBytes === undefined ? {} : { receiveBytes: options.receivePoolBytes };
}

/** What of the options the NIC half gets. */
function configOf(options: WorkerAdapterOptions, attributes: AdapterAttributes): NicConfig {
  const { capacity, vlanIds, allowSourceMac, supports8021p, multicastAddresses } = options;
  const { badPackets, backlogLists, pauseQueueUs, tcp } = options;
  const all = {
    capacity,
    vlanIds,
    allowSourceMac,
    supports8021p,
    multicastAddresses,
    badPackets,
    backlogLists,
    pauseQueueUs,
    tcp,
  };
  const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  return {
    ...given,
    name: attributes.name,
    macAddress: attributes.macAddress,
    showsPackets: (options.packetTap ?? null) !== null,
  };
}

/** The context that a slot holds; a context that was terminated is named by nobody any more (CTX-015). */
function liveConnection(offloadContext: unknown): DriverConnection {
  assert(
    offloadContext instanceof DriverConnection && offloadContext.standing !== Standing.TERMINATED,
    'a data call names a connection that is offloaded here (CTX-006)',
  );
  return offloadContext;
}
