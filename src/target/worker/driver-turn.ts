/**
 * The turn of the driver half: what the NIC half has said is done, then what is due for connections, then everything is completed.
 *
 * Promises: records are done in their order, a bounded number at a time; data of a batch is delivered once, at its end. Source:
 * chimney-sequences 6, 13, 14, 17.
 */

import { NEVER } from '../../base/runtime.ts';
import {
  IndicateOffloadEvent,
  NdisStatus,
  OffloadBlock,
  OffloadStateType,
  TcpOffloadEventType,
} from '../../ndis/miniport.ts';
import { NeighborCachedState, NeighborConstState, NeighborDelegatedState } from '../../state/neighbor.ts';
import { Event } from '../../trace/events.ts';
import type { HandledBy, PacketTap } from '../../trace/trace.ts';
import { statusBufferOf } from '../engine/configuration.ts';
import { Due, Standing } from '../engine/contexts.ts';
import { deliver, onPushTimer, releaseHeldRests } from '../engine/delivery.ts';
import { OperationKind } from '../engine/engine.ts';
import { isMandatory } from '../engine/events.ts';
import { ControlWord } from './arena.ts';
import type { Driver } from './driver.ts';
import type { DriverConnection } from './driver-objects.ts';
import { DriverNeighbor } from './driver-objects.ts';
import { onDone, onResult } from './driver-operations.ts';
import { disconnected, forwarded, giveForwards, partsBack, shipWaiting } from './driver-sends.ts';
import { FRAME_WORDS, RecordReader } from './outbox.ts';
import { Down, Up, Wish } from './records.ts';

/** Records done before others get their turn. */
const RECORDS_MAX = 512;

/** Reads the ring of a driver half. */
export class DriverTurn {
  readonly #driver: Driver;
  readonly #record: RecordReader;
  readonly #tap: PacketTap | null;
  #isPolling = false;

  constructor(driver: Driver, tap: PacketTap | null) {
    this.#driver = driver;
    this.#record = new RecordReader(driver.inbox.words);
    this.#tap = tap;
  }

  /** There may be something in the ring. */
  readonly poll = (): void => {
    const driver = this.#driver;
    if (this.#isPolling || driver.isHalted || driver.isHeld) return;
    this.#isPolling = true;
    try {
      this.#read(RECORDS_MAX);
    } finally {
      this.#isPolling = false;
    }
    driver.fillRoom();
    shipWaiting(driver);
    flush(driver);
    done(driver);
    if (!driver.isHalted && !driver.isHeld) this.#rest();
  };

  /** Everything that is in the ring, when nothing more will come. */
  drain(): void {
    if (this.#isPolling) return;
    this.#isPolling = true;
    this.#read(Number.POSITIVE_INFINITY);
    this.#isPolling = false;
    flush(this.#driver);
  }

  #read(most: number): void {
    const driver = this.#driver;
    const { inbox } = driver;
    for (let count = 0; !driver.isHalted && !driver.isHeld && count < most && inbox.next(); count++) {
      this.#record.at = inbox.at;
      this.#dispatch(inbox.type, inbox.at, inbox.at + inbox.length);
    }
    inbox.release();
  }

  /** Goes on later, or says that it has to be woken. */
  #rest(): void {
    const { inbox, runtime, arena } = this.#driver;
    if (!inbox.hasMore) {
      Atomics.store(arena.control, ControlWord.DRIVER_ASLEEP, 1);
      if (!inbox.hasMore && !this.#driver.hasFoundRoom) {
        this.#driver.port.sleep();
        return;
      }
      Atomics.store(arena.control, ControlWord.DRIVER_ASLEEP, 0);
    }
    runtime.defer(this.poll);
  }

  #dispatch(type: number, at: number, end: number): void {
    const driver = this.#driver;
    const record = this.#record;
    switch (type) {
      case Up.FRAME:
        if (driver.isStill) return;
        driver.hasIndicated = true;
        driver.indicator.indicate(driver.arena.bytes, this.#frameAt(at), record.words[at + 3]!, record.words[at]!);
        return;
      case Up.DATA:
        this.#data(driver.connectionAt(record.next()), end);
        return;
      case Up.PARTS: {
        const connection = driver.connectionAt(record.next());
        const status = record.next();
        const count = (end - record.at) / 2;
        // What came before is delivered before.
        partsBack(
          driver,
          connection,
          status,
          count,
          () => record.next(),
          () => deliverDue(driver, connection),
        );
        return;
      }
      case Up.BATCH:
        driver.hasIndicated = true;
        return;
      case Up.EVENT:
        onEvent(driver, driver.connectionAt(record.next()), record.next(), record.next());
        return;
      case Up.DISCONNECTED:
        disconnected(driver, driver.connectionAt(record.next()), record.next() === 1, record.next());
        return;
      case Up.FORWARDED:
        {
          const connection = driver.connectionAt(record.next());
          forwarded(driver, connection, (end - record.at) / 2, () => record.next());
        }
        return;
      default:
        this.#dispatchRare(type, at);
    }
  }

  #dispatchRare(type: number, at: number): void {
    const driver = this.#driver;
    const record = this.#record;
    switch (type) {
      case Up.RESULT:
        onResult(driver, record);
        return;
      case Up.DONE:
        onDone(driver, record.next());
        return;
      case Up.STATUS:
        onStatus(driver, record.next(), record.next());
        return;
      case Up.READY:
        driver.expectations.readySoon();
        return;
      case Up.REMOVED:
        if (!driver.isHalted) driver.ndisM.removeMiniport(driver.handle);
        return;
      case Up.REACHABILITY:
        driver.inquiries.push(record.next(), record.next() >>> 0, record.next() >>> 0);
        if (driver.initiates === 0) askReachability(driver);
        return;
      case Up.PACKET: {
        const direction = record.next() as 0 | 1;
        const handledBy = record.next() as HandledBy;
        const nowUs = driver.runtime.nowUs();
        const length = record.words[at + 3]!;
        this.#tap?.packet(direction, handledBy, driver.arena.bytes, this.#frameAt(at), length, nowUs);
        return;
      }
      default: {
        const event = record.next();
        for (let by = record.next(); by > 0; by--) driver.trace.count(event);
      }
    }
  }

  /** Where in the arena's bytes the frame of a record is. */
  #frameAt(at: number): number {
    return ((at + FRAME_WORDS) << 2) + this.#record.words[at + 2]!;
  }

  #data(connection: DriverConnection, end: number): void {
    const driver = this.#driver;
    const record = this.#record;
    const wasPushed = connection.buffered.length > 0 && connection.isBufferedPushed;
    connection.isBufferedPushed = record.next() === 1 || wasPushed;
    while (record.at < end) {
      const block = record.next();
      const from = record.next();
      const length = record.next();
      driver.pool.adopt(connection.buffered, block, from, length);
      connection.untakenBytes += length;
    }
    driver.mark(connection, Due.DELIVER);
  }
}

function deliverDue(driver: Driver, connection: DriverConnection): void {
  if ((connection.due & Due.DELIVER) === 0 || connection.aborts.length > 0) return;
  connection.due &= ~Due.DELIVER;
  deliver(driver, connection, driver.runtime.nowUs());
}

/** The deferred turn. */
export function runTurn(driver: Driver): void {
  if (driver.isHalted || driver.isHeld) return;
  if (driver.initiates === 0) {
    indicateStatuses(driver);
    askReachability(driver);
  }
  driver.onDeadTurn();
  releaseHeldRests(driver);
  flush(driver);
  done(driver);
}

/** Delivers what is marked. */
export function flush(driver: Driver): void {
  if (driver.isFlushing || driver.isHeld) return;
  driver.isFlushing = true;
  const nowUs = driver.runtime.nowUs();
  try {
    for (let connection = driver.takeQueued(); connection !== null; connection = driver.takeQueued()) {
      if (connection.standing === Standing.TERMINATED) continue;
      connection.due = 0;
      giveForwards(driver, connection);
      // DISC-011: nothing more is delivered to a host that has aborted; whether it has is for the NIC half to say.
      if (connection.aborts.length === 0) deliver(driver, connection, nowUs);
      driver.rearm(connection);
    }
  } finally {
    driver.isFlushing = false;
  }
}

/** The batch is over for those above, too. */
export function done(driver: Driver): void {
  if (!driver.hasIndicated || driver.isFlushing || driver.isHalted) return;
  driver.hasIndicated = false;
  driver.indicator.done();
}

/** The host has taken data: the NIC half may open the window by as much. */
export function tellTaken(driver: Driver, connection: DriverConnection): void {
  const taken = connection.untakenBytes - connection.buffered.length;
  if (taken === 0 || connection.isTerminating || driver.isDead) return;
  connection.untakenBytes -= taken;
  driver.sayLazily(Down.TAKEN, connection.id, taken, taken);
}

/** Push timers that have expired. */
export function onTimer(driver: Driver, nowUs: number): void {
  for (let id = driver.heap.takeDue(nowUs); id >= 0; id = driver.heap.takeDue(nowUs)) {
    const connection = driver.connectionAt(id);
    if (connection.pushAtUs <= nowUs) onPushTimer(driver, connection);
    driver.mark(connection, 0);
  }
  flush(driver);
  done(driver);
  if (driver.heap.soonestUs !== NEVER && driver.heap.soonestUs < driver.timer.atUs) {
    driver.timer.arm(driver.heap.soonestUs);
  }
}

/** An event of the NIC half: what follows from it for what is posted here, and the event itself. */
export function onEvent(driver: Driver, connection: DriverConnection, type: number, information: number): void {
  const nowUs = driver.runtime.nowUs();
  switch (type) {
    case TcpOffloadEventType.INDICATE_DISCONNECT:
      connection.isFinReceived = true;
      driver.mark(connection, Due.DELIVER);
      return;
    case TcpOffloadEventType.INDICATE_ABORT:
      connection.standing = Standing.ABORTED;
      connection.isEstablished = false;
      driver.trace.emit(Event.TARGET_ABORT, nowUs);
      driver.mark(connection, Due.DELIVER);
      break;
    case TcpOffloadEventType.INDICATE_RETRIEVE:
      driver.trace.emit(Event.TARGET_RETRIEVE, nowUs, information);
      if (isMandatory(information)) {
        // Data that came before is delivered while the connection is still served.
        if (connection.standing === Standing.NORMAL) deliver(driver, connection, nowUs);
        if (connection.standing < Standing.STOPPED) connection.standing = Standing.STOPPED;
        driver.mark(connection, Due.DELIVER);
      }
      break;
    default:
  }
  driver.hasIndicated = true;
  driver.ndis.tcpOffloadEventHandler(connection.handle, type, information);
}

/** A status that the NIC half tells; `value`: what goes with it. */
function onStatus(driver: Driver, statusCode: number, value: number): void {
  if (statusCode === NdisStatus.L2_MTU_SIZE_CHANGE) driver.linkMtu = value;
  // The driver half has said so itself, before it told the NIC half.
  if (statusCode === NdisStatus.OFFLOAD_PAUSE) return;
  // Initiates of a host that did not heed the pause wait for it (EVT-038).
  if (statusCode === NdisStatus.OFFLOAD_RESUME) {
    indicateStatus(driver, statusCode);
    return;
  }
  // Behind those that wait.
  driver.enqueue(OperationKind.STATUS, null, statusCode);
  if (driver.initiates === 0) indicateStatuses(driver);
}

/** Those that wait; a completion of theirs may begin an initiate, which the others then wait for. */
function indicateStatuses(driver: Driver): void {
  while (driver.statuses.length > 0 && driver.initiates === 0) indicateStatus(driver, driver.statuses.shift()!);
}

/** NdisMIndicateStatusEx. */
export function indicateStatus(driver: Driver, statusCode: number): void {
  if (statusCode === NdisStatus.OFFLOAD_PAUSE) driver.out.say(Down.WISH, Wish.PAUSE);
  driver.hasIndicated = true;
  driver.ndisM.indicateStatusEx(driver.handle, { statusCode, statusBuffer: statusBufferOf(driver, statusCode) });
}

/** The host is asked what is to be asked, and its answers go down. NBR-011 to NBR-020. */
function askReachability(driver: Driver): void {
  while (driver.inquiries.length > 0 && driver.initiates === 0) {
    const [id, nrd, hrd] = driver.inquiries.splice(0, 3) as [number, number, number];
    const neighbor = driver.objects[id];
    if (neighbor instanceof DriverNeighbor) ask(driver, neighbor, nrd, hrd);
  }
}

function ask(driver: Driver, neighbor: DriverNeighbor, nrd: number, hrd: number): void {
  const block = new OffloadBlock(OffloadStateType.NEIGHBOR);
  block.ndisOffloadHandle = neighbor.handle;
  const cached = new NeighborCachedState();
  const delegated = new NeighborDelegatedState();
  cached.hostReachabilityDelta = hrd;
  delegated.nicReachabilityDelta = nrd;
  block.constState = new NeighborConstState();
  block.cachedState = cached;
  block.delegatedState = delegated;
  driver.trace.emit(Event.TARGET_NEIGHBOR_QUERY, driver.runtime.nowUs(), nrd);
  driver.ndisM.offloadEventIndicate(driver.handle, block, IndicateOffloadEvent.NEIGHBOR_REACHABILITY_QUERY);
  driver.out.say(Down.REACHABILITY, neighbor.id, cached.hostReachabilityDelta | 0);
}
