/**
 * What the driver half does when its NIC half is dead: connections that it has left whole are asked to be taken back, all others are told
 * to be lost, everything outstanding of these comes back, and from there on each call is answered here.
 *
 * Those left whole as by a NIC that wants to be rid of them: TcpIndicateRetrieve with UPLOAD_REQUESTED. The others as by one with a
 * hardware failure: a terminate that was under way fails; TcpIndicateRetrieve with HARDWARE_FAILURE, then TcpIndicateAbort; the terminate
 * that follows succeeds and says CLOSED (TERM-019 to TERM-025). Nothing new is taken; where another NIC half follows, everything is asked for (UPLOAD_ALL), paths and
 * neighbors too. Source: chimney-sequences 6, 7, 18.
 */

import {
  BlockWalk,
  type MiniportOffloadBlock,
  NdisStatus,
  presetInitiateStatuses,
  setEveryStatus,
  settleInitiateStatuses,
  TcpOffloadEventType,
  TcpUploadReason,
} from '../../ndis/miniport.ts';
import { TcpConnectionState, TcpDelegatedState } from '../../state/tcp.ts';
import { Event } from '../../trace/events.ts';
import { Standing } from '../engine/contexts.ts';
import { deliver } from '../engine/delivery.ts';
import { OperationKind } from '../engine/engine.ts';
import { completeRequests, finishAllRequests } from '../engine/requests.ts';
import { ControlWord } from './arena.ts';
import type { Driver } from './driver.ts';
import { DriverConnection } from './driver-objects.ts';
import { type DriverOperation, onDone } from './driver-operations.ts';
import { isLeftWhole, showRemains, writeRemains } from './driver-remains.ts';
import { abortAll, releaseParts } from './driver-sends.ts';
import { done, flush, indicateStatus } from './driver-turn.ts';
import { isEmpty } from './restart.ts';
import { StateTable } from './state-table.ts';
import type { NicDeath } from './thread-port.ts';

/** What follows from a death. */
export interface Consequences {
  /** The frames of the host have another way. */
  readonly hasLink: boolean;
  /** Another NIC half comes, once nothing of this one is left: everything is to come back. */
  readonly isReplaced: boolean;
  /** Who is told so instead of the host; null: the host is. */
  readonly tell: (() => void) | null;
}

/**
 * The NIC half is dead and gone; what it has said before has been done. Answers how many connections are taken back, and how many are
 * lost.
 */
export function die(
  driver: Driver,
  death: Pick<NicDeath, 'cause' | 'message'>,
  { hasLink, isReplaced, tell }: Consequences,
): { takenBack: number; lost: number } {
  if (driver.isHalted || driver.isDead) return { takenBack: 0, lost: 0 };
  driver.isDead = true;
  driver.out.isClosed = true;
  driver.deathMessage = death.message;
  const all = [...driver.connections()];
  const left = new Set(hasLink ? all.filter((connection) => isLeftWhole(driver, connection)) : []);
  const lost = all.filter((connection) => !left.has(connection));
  driver.trace.emit(Event.TARGET_NIC_DEAD, driver.runtime.nowUs(), death.cause, lost.length);
  // A query that fails comes before the event that says why (QRY-014).
  for (const [number, operation] of [...driver.operations]) {
    if (operation.kind === OperationKind.QUERY) answer(driver, number, operation, true);
  }
  for (const connection of lost) lose(driver, connection);
  for (const [number, operation] of [...driver.operations]) {
    answer(driver, number, operation, !mayHaveBegun(driver, operation));
    for (const object of operation.objects) {
      if (object instanceof DriverConnection && object.isTaken && !all.includes(object)) lose(driver, object);
    }
  }
  if (driver.untold.length > 0) driver.schedule();
  // INIT-052: not before the initiates are complete.
  if (!hasLink) indicateStatus(driver, NdisStatus.LINK_STATE_DOWN);
  if (tell !== null) tell();
  else if (isReplaced) indicateStatus(driver, NdisStatus.UPLOAD_ALL);
  for (const connection of left) retrieve(driver, connection);
  driver.onDeadTurn = () => deadTurn(driver);
  driver.onRoom();
  flush(driver);
  done(driver);
  lookWhetherEmpty(driver);
  return { takenBack: left.size, lost: lost.length };
}

/** Between two rounds all that was taken had been told; inside one a connection may have been taken, and its state be another. */
function mayHaveBegun(driver: Driver, operation: DriverOperation): boolean {
  if (Atomics.load(driver.arena.control, ControlWord.AT_REST) === 1) return false;
  const table = new StateTable(driver.arena);
  return operation.objects.some((object) => object instanceof DriverConnection && table.mayBeTaken(object.id));
}

/** A connection that is left whole: the host is to take it back. EVT-019. */
function retrieve(driver: Driver, connection: DriverConnection): void {
  driver.mark(connection, 0);
  if (connection.isTerminating || connection.standing === Standing.TERMINATED) return;
  driver.hasIndicated = true;
  driver.trace.emit(Event.TARGET_RETRIEVE, driver.runtime.nowUs(), TcpUploadReason.UPLOAD_REQUESTED);
  const { tcpOffloadEventHandler } = driver.ndis;
  tcpOffloadEventHandler(connection.handle, TcpOffloadEventType.INDICATE_RETRIEVE, TcpUploadReason.UPLOAD_REQUESTED);
}

/** The turn after the death: what came meanwhile is answered. */
function deadTurn(driver: Driver): void {
  const { orphans, lost, untold } = driver;
  driver.orphans = [];
  driver.lost = [];
  driver.untold = [];
  for (const connection of untold) {
    tellLoss(driver, connection);
    abandon(driver, connection);
  }
  for (const connection of lost) if (connection.id !== 0) abandon(driver, connection);
  for (const number of orphans) answer(driver, number, driver.operations.get(number)!, true);
  lookWhetherEmpty(driver);
}

/** Everything may have come back. Whoever waits for it is told later: this is in the middle of a turn. */
function lookWhetherEmpty(driver: Driver): void {
  const { onEmpty } = driver;
  if (onEmpty === null || !isEmpty(driver)) return;
  driver.onEmpty = null;
  driver.runtime.defer(onEmpty);
}

/** A connection whose state is lost. */
function lose(driver: Driver, connection: DriverConnection): void {
  const nowUs = driver.runtime.nowUs();
  // What was received before is good.
  if (connection.standing === Standing.NORMAL) deliver(driver, connection, nowUs);
  const wasAborted = connection.standing === Standing.ABORTED;
  connection.standing = Standing.ABORTED;
  connection.isEstablished = false;
  driver.hasIndicated = true;
  if (!wasAborted && connection.isTerminating) {
    // Its terminate fails first (TERM-021).
    driver.untold.push(connection);
    return;
  }
  if (!wasAborted) tellLoss(driver, connection);
  abandon(driver, connection);
}

/** TERM-022, TERM-023: the state is lost, and the connection with it. */
function tellLoss(driver: Driver, { handle }: DriverConnection): void {
  const { tcpOffloadEventHandler } = driver.ndis;
  driver.hasIndicated = true;
  tcpOffloadEventHandler(handle, TcpOffloadEventType.INDICATE_RETRIEVE, TcpUploadReason.HARDWARE_FAILURE);
  tcpOffloadEventHandler(handle, TcpOffloadEventType.INDICATE_ABORT, 0);
}

/** Everything outstanding of a connection comes back. */
export function abandon(driver: Driver, connection: DriverConnection): void {
  abortAll(driver, connection, NdisStatus.REQUEST_ABORTED);
  releaseParts(driver, connection);
  finishAllRequests(connection, NdisStatus.REQUEST_ABORTED, NdisStatus.REQUEST_ABORTED);
  completeRequests(driver, connection);
  driver.mark(connection, 0);
}

/**
 * An operation that the NIC half will not answer any more, or that comes after its death. `isWhole`: what it has not told it has not
 * done, so that an initiate may be refused and the connection go on where it is.
 */
export function answer(driver: Driver, number: number, operation: DriverOperation, isWhole: boolean): void {
  const { root, kind } = operation;
  switch (kind) {
    case OperationKind.INITIATE:
      presetInitiateStatuses(root);
      if (!isWhole) setEveryStatus(root, NdisStatus.SUCCESS);
      settleInitiateStatuses(root);
      break;
    case OperationKind.TERMINATE:
      answerTerminate(driver, root);
      break;
    case OperationKind.QUERY:
      answerQuery(driver, root);
      break;
    default:
      setEveryStatus(root, NdisStatus.SUCCESS);
  }
  onDone(driver, number);
}

/** FAILURE for a connection that was lost in the middle of it, and for the path and the neighbor that it goes on to stand on (TERM-021). */
function answerTerminate(driver: Driver, root: MiniportOffloadBlock): void {
  setEveryStatus(root, NdisStatus.SUCCESS);
  const walk = new BlockWalk<MiniportOffloadBlock>();
  const above: MiniportOffloadBlock[] = [];
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    above.length = walk.depth;
    above.push(block);
    const context = block.miniportOffloadContext?.miniportOffloadContext;
    if (context instanceof DriverConnection && driver.untold.includes(context)) {
      for (const one of above) one.status = NdisStatus.FAILURE;
      continue;
    }
    if (!(block.delegatedState instanceof TcpDelegatedState)) continue;
    const delegated = block.delegatedState;
    delegated.sendDataHead = null;
    delegated.sendDataTail = null;
    delegated.bufferedData = null;
    if (context instanceof DriverConnection && context.remains !== null) writeRemains(driver, context, delegated);
    else delegated.state = TcpConnectionState.CLOSED;
  }
}

/** What was asked of a connection is known where that is left whole. */
function answerQuery(driver: Driver, root: MiniportOffloadBlock): void {
  const walk = new BlockWalk<MiniportOffloadBlock>();
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    const context = block.miniportOffloadContext?.miniportOffloadContext;
    const isKnown = !(context instanceof DriverConnection) || showRemains(driver, context, block);
    block.status = isKnown ? NdisStatus.SUCCESS : NdisStatus.FAILURE;
  }
}
