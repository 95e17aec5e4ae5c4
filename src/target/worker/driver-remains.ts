/**
 * What a NIC half that has died has left: connections whose records are whole are taken back by the host, as if they had been asked for.
 *
 * A record that is not marked says exactly what the peer has seen: all that was received is here, all that was acknowledged is
 * told but for a part of a send; the sends themselves are the host's lists, of which the NIC half had copies. What it held out of order
 * is dropped, as in any upload (TERM-043). Source: chimney-sequences 6; TERM-044 to TERM-056.
 */

import { seqAdd, seqDiff } from '../../base/seq.ts';
import type { MiniportOffloadBlock } from '../../ndis/miniport.ts';
import { TcpCachedState, TcpConnectionState, TcpConstState, TcpDelegatedState } from '../../state/tcp.ts';
import { writeCached, writeConst, writeDelegated } from '../../tcp/transfer.ts';
import { Standing } from '../engine/contexts.ts';
import { deliver } from '../engine/delivery.ts';
import type { Driver } from './driver.ts';
import type { DriverConnection, SendItem } from './driver-objects.ts';
import { completeAcked, releaseParts } from './driver-sends.ts';
import { StateTable } from './state-table.ts';

/** Whether a connection can be taken back from what is left; then it waits for its terminate. */
export function isLeftWhole(driver: Driver, connection: DriverConnection): boolean {
  if (connection.standing >= Standing.ABORTED || connection.aborts.length > 0) return false;
  const record = new StateTable(driver.arena).recordOf(connection.id);
  if (record === null || !isOpen(record.state)) return false;
  // Acknowledged, and not yet told, as it is a part of a send only; a FIN has a number, too.
  const left = bytesLeft(connection);
  let untold = seqDiff(record.sndUna, seqAdd(connection.sndUna, connection.ackedBytes));
  if (record.state === TcpConnectionState.FIN_WAIT2 && untold === left + 1) untold = left;
  if (untold < 0 || untold > left) return false;
  connection.remains = record;
  releaseParts(driver, connection);
  credit(connection, untold);
  completeAcked(driver, connection);
  // Data that came before is delivered while the connection is still served.
  if (connection.standing === Standing.NORMAL) deliver(driver, connection, driver.runtime.nowUs());
  connection.standing = Standing.STOPPED;
  return true;
}

/** As INIT-072 has it: whoever may come down may go up. */
function isOpen(state: number): boolean {
  return state >= TcpConnectionState.ESTABLISHED && state <= TcpConnectionState.LAST_ACK;
}

function lengthOf(item: SendItem): number {
  let bytes = 0;
  for (let nb = item.list.firstNetBuffer; nb !== null; nb = nb.next) bytes += nb.dataLength;
  return bytes;
}

function bytesLeft(connection: DriverConnection): number {
  let bytes = 0;
  for (let item = connection.firstItem; item !== null; item = item.next) bytes += lengthOf(item) - item.acked;
  return bytes;
}

/** So many bytes more are acknowledged. */
function credit(connection: DriverConnection, bytes: number): void {
  let left = bytes;
  for (let item = connection.firstItem; item !== null && left > 0; item = item.next) {
    const n = Math.min(left, lengthOf(item) - item.acked);
    item.acked += n;
    left -= n;
  }
  connection.ackedBytes += bytes;
}

/** The delegated state of a connection that is taken back. */
export function writeRemains(driver: Driver, connection: DriverConnection, delegated: TcpDelegatedState): void {
  writeDelegated(connection.remains!, driver.parameters, delegated, driver.runtime.nowUs());
}

/** The answer to a query of such a connection; false: it is not one. */
export function showRemains(driver: Driver, connection: DriverConnection, block: MiniportOffloadBlock): boolean {
  const { remains } = connection;
  if (remains === null) return false;
  if (block.constState instanceof TcpConstState) writeConst(remains, block.constState);
  if (block.cachedState instanceof TcpCachedState) {
    writeCached(remains, block.cachedState);
    block.cachedState.rcvIndicationSize = connection.rcvIndicationSize;
  }
  const delegated = block.delegatedState;
  if (!(delegated instanceof TcpDelegatedState)) return true;
  writeRemains(driver, connection, delegated);
  delegated.sendDataHead = null;
  delegated.sendDataTail = null;
  delegated.bufferedData = null;
  // None is preferred any more.
  delegated.sendBacklogSize = 0xffffffff;
  delegated.receiveBacklogSize = connection.buffered.length;
  return true;
}
