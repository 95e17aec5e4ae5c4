/**
 * What the driver half does when its NIC half is dead: every connection is told to be lost, everything outstanding comes back, and
 * from there on each call is answered here.
 *
 * As a NIC with a hardware failure would: TcpIndicateRetrieve with HARDWARE_FAILURE, then TcpIndicateAbort; the terminate that
 * follows succeeds and says CLOSED (TERM-019 to TERM-025). Nothing new is taken. Source: chimney-sequences 7.
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
import { abortAll } from './driver-sends.ts';
import { done, flush, indicateStatus } from './driver-turn.ts';
import type { NicDeath } from './thread-port.ts';

/** The NIC half is dead; what it has said before has been done. */
export function die(driver: Driver, death: NicDeath): void {
  if (driver.isHalted || driver.isDead) return;
  driver.isDead = true;
  driver.out.isClosed = true;
  driver.deathMessage = death.message;
  const lost = [...driver.connections()];
  driver.trace.emit(Event.TARGET_NIC_DEAD, driver.runtime.nowUs(), death.cause, lost.length);
  for (const connection of lost) lose(driver, connection);
  // Between two rounds all that was taken had been told; inside one a connection may have been taken, and its state be another.
  const isWhole = Atomics.load(driver.arena.control, ControlWord.AT_REST) === 1;
  for (const [number, operation] of [...driver.operations]) {
    answer(driver, number, operation, isWhole);
    for (const object of operation.objects) {
      if (object instanceof DriverConnection && object.isTaken && !lost.includes(object)) lose(driver, object);
    }
  }
  // INIT-052: not before the initiates are complete.
  indicateStatus(driver, NdisStatus.LINK_STATE_DOWN);
  driver.onDeadTurn = () => deadTurn(driver);
  driver.onRoom();
  flush(driver);
  done(driver);
}

/** The turn after the death: what came meanwhile is answered. */
function deadTurn(driver: Driver): void {
  const { orphans, lost } = driver;
  driver.orphans = [];
  driver.lost = [];
  for (const connection of lost) if (connection.id !== 0) abandon(driver, connection);
  for (const number of orphans) answer(driver, number, driver.operations.get(number)!, true);
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
  if (!wasAborted && !connection.isTerminating) {
    const { tcpOffloadEventHandler } = driver.ndis;
    tcpOffloadEventHandler(connection.handle, TcpOffloadEventType.INDICATE_RETRIEVE, TcpUploadReason.HARDWARE_FAILURE);
    tcpOffloadEventHandler(connection.handle, TcpOffloadEventType.INDICATE_ABORT, 0);
  }
  abandon(driver, connection);
}

/** Everything outstanding of a connection comes back. */
export function abandon(driver: Driver, connection: DriverConnection): void {
  abortAll(driver, connection, NdisStatus.REQUEST_ABORTED);
  driver.parts.forEach((part, number) => {
    if (part.connection !== connection) return;
    const { list } = part;
    driver.freePart(number);
    if (list === null) return;
    list.status = NdisStatus.UPLOAD_IN_PROGRESS;
    connection.unforwarded.push(list);
    connection.forwardsOut--;
  });
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
      answerTerminate(root);
      break;
    case OperationKind.QUERY:
      answerQuery(root);
      break;
    default:
      setEveryStatus(root, NdisStatus.SUCCESS);
  }
  onDone(driver, number);
}

function answerTerminate(root: MiniportOffloadBlock): void {
  setEveryStatus(root, NdisStatus.SUCCESS);
  const walk = new BlockWalk<MiniportOffloadBlock>();
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    if (!(block.delegatedState instanceof TcpDelegatedState)) continue;
    const delegated = block.delegatedState;
    delegated.sendDataHead = null;
    delegated.sendDataTail = null;
    delegated.bufferedData = null;
    delegated.state = TcpConnectionState.CLOSED;
  }
}

/** What was asked of a connection is not known any more. */
function answerQuery(root: MiniportOffloadBlock): void {
  const walk = new BlockWalk<MiniportOffloadBlock>();
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    const context = block.miniportOffloadContext?.miniportOffloadContext;
    block.status = context instanceof DriverConnection ? NdisStatus.FAILURE : NdisStatus.SUCCESS;
  }
}
