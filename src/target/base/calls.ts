/**
 * Sends, disconnects, forwarded segments and events of a connection at a target built on {@link OffloadTarget}.
 *
 * Such a target sends no FIN: a graceful disconnect makes it ask for the connection, and comes back with UPLOAD_IN_PROGRESS, so that the
 * host closes (DISC-025). Sources: chimney-sequences 12, 14 to 17; rules SEND-*, DISC-*, FWD-*, EVT-*.
 */

import { NdisStatus, TcpDisconnectFlag, TcpOffloadEventType, TcpUploadReason } from '../../ndis/miniport.ts';
import { copyFromNetBuffer, type NetBufferList } from '../../state/net-buffer-list.ts';
import { TcpConnectionState } from '../../state/tcp.ts';
import { Event } from '../../trace/events.ts';
import { WIRE_OK } from '../../wire/status.ts';
import { decodeTcp } from '../../wire/tcp.ts';
import { TcpFlag } from '../../wire/tcp-segment.ts';
import { Due, Standing } from '../engine/contexts.ts';
import { deliver } from '../engine/delivery.ts';
import { isMandatory } from '../engine/events.ts';
import type { TargetConnection } from './connection.ts';
import type { TargetCore } from './core.ts';

/** MiniportTcpOffloadSend. */
export function postSends(core: TargetCore, c: TargetConnection, lists: NetBufferList): void {
  if (c.standing === Standing.NORMAL) {
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) list.tcpOffloadBytesTransferred = 0;
    c.sends.append(lists);
    core.markSoon(c, Due.TRANSMIT | Due.SENDS);
    return;
  }
  for (let list: NetBufferList | null = lists; list !== null; list = list.next) c.returnedSends.push(list);
  core.markSoon(c, Due.GIVE_BACK);
}

/** MiniportTcpOffloadDisconnect. */
export function postDisconnect(core: TargetCore, c: TargetConnection, list: NetBufferList, flags: number): void {
  const isAbortive = flags === TcpDisconnectFlag.ABORTIVE_CLOSE;
  // An abortive one is carried out although the host was asked to take the connection back (DISC-008).
  const isCarriedOut = c.standing === Standing.NORMAL || (isAbortive && c.standing === Standing.STOPPED);
  if (!isCarriedOut) {
    c.returnedDisconnects.push(list);
    core.markSoon(c, Due.GIVE_BACK);
  } else if (isAbortive) {
    c.abort = list;
    c.standing = Standing.ABORTED;
    core.markSoon(c, Due.HOST_ABORT);
  } else {
    c.disconnect = list;
    list.tcpOffloadBytesTransferred = 0;
    askBack(core, c, TcpUploadReason.UPLOAD_REQUESTED);
  }
}

/** MiniportTcpOffloadForward. */
export function postForwards(core: TargetCore, c: TargetConnection, lists: NetBufferList): void {
  for (let list: NetBufferList | null = lists; list !== null; list = list.next) c.forwards.push(list);
  core.markSoon(c, Due.FORWARD);
}

/** Segments that the host received are processed as if they had been received here, in their order. */
export function processForwards(core: TargetCore, c: TargetConnection): void {
  const lists = c.forwards.splice(0);
  if (lists.length === 0) return;
  for (const list of lists) list.status = forwarded(core, c, list);
  core.hasIndicated = true;
  core.ndis.tcpOffloadForwardComplete(core.handle, chained(lists));
}

function forwarded(core: TargetCore, c: TargetConnection, list: NetBufferList): number {
  if (c.standing === Standing.ABORTED) return NdisStatus.REQUEST_ABORTED;
  if (c.standing !== Standing.NORMAL) return NdisStatus.UPLOAD_IN_PROGRESS;
  const nb = list.firstNetBuffer!;
  const bytes = new Uint8Array(nb.dataLength);
  copyFromNetBuffer(nb, 0, bytes.length, bytes, 0);
  const { segment } = core.frames;
  if (decodeTcp(bytes, 0, bytes.length, segment) !== WIRE_OK) return NdisStatus.SUCCESS;
  return core.takeSegment(c, segment) ? NdisStatus.SUCCESS : NdisStatus.UPLOAD_IN_PROGRESS;
}

/** Completes what the peer has acknowledged to its last byte. */
export function completeSends(core: TargetCore, c: TargetConnection): void {
  const chain = c.sends.takeCompleted();
  if (chain !== null) completeChain(core, chain, NdisStatus.SUCCESS);
}

export function completeChain(core: TargetCore, chain: NetBufferList, status: number): void {
  for (let list: NetBufferList | null = chain; list !== null; list = list.next) list.status = status;
  core.hasIndicated = true;
  core.ndis.tcpOffloadSendComplete(core.handle, chain);
}

/** Completes the graceful disconnect, if there is one. */
export function completeDisconnect(core: TargetCore, c: TargetConnection, status: number): void {
  const list = c.disconnect;
  if (list === null) return;
  c.disconnect = null;
  giveDisconnect(core, list, status);
}

function giveDisconnect(core: TargetCore, list: NetBufferList, status: number): void {
  list.next = null;
  list.status = status;
  list.tcpOffloadBytesTransferred = 0;
  core.hasIndicated = true;
  core.ndis.tcpOffloadDisconnectComplete(core.handle, list);
}

/** Sends and disconnects that were not taken go back as they came. */
export function giveBackCalls(core: TargetCore, c: TargetConnection): void {
  const status = c.standing === Standing.ABORTED ? NdisStatus.REQUEST_ABORTED : NdisStatus.UPLOAD_IN_PROGRESS;
  const sends = c.returnedSends.splice(0);
  for (const list of sends) list.tcpOffloadBytesTransferred = 0;
  if (sends.length > 0) completeChain(core, chained(sends), status);
  for (const list of c.returnedDisconnects.splice(0)) giveDisconnect(core, list, status);
}

/** The connection is dead: sends, then the graceful disconnect, come back with REQUEST_ABORTED (SEND-023). */
export function abortSends(core: TargetCore, c: TargetConnection): void {
  completeSends(core, c);
  const chain = c.sends.takeAll();
  if (chain !== null) completeChain(core, chain, NdisStatus.REQUEST_ABORTED);
  completeDisconnect(core, c, NdisStatus.REQUEST_ABORTED);
}

/** The turn's part of an abortive disconnect: RST, sends, then SUCCESS (DISC-006 to DISC-014). */
export function abortByHost(core: TargetCore, c: TargetConnection): void {
  const list = c.abort;
  if (list === null) return;
  c.abort = null;
  const mayReset = !core.isBarred(c);
  if (mayReset) core.emit(c, c.state.sndMax, TcpFlag.RST | TcpFlag.ACK, 0, 0);
  c.state.state = TcpConnectionState.CLOSED;
  abortSends(core, c);
  giveDisconnect(core, list, mayReset ? NdisStatus.SUCCESS : NdisStatus.UPLOAD_IN_PROGRESS);
}

/** The turn's part of a reset by the peer: the event, then everything outstanding (DISC-037 to DISC-041). */
export function abortByPeer(core: TargetCore, c: TargetConnection): void {
  core.trace.emit(Event.TARGET_ABORT, core.runtime.nowUs());
  raise(core, c, TcpOffloadEventType.INDICATE_ABORT, 0);
  abortSends(core, c);
}

/** An upload is to be asked for; with a mandatory reason the connection stands still from here on (EVT-019). */
export function askBack(core: TargetCore, c: TargetConnection, reason: number): void {
  if (c.standing !== Standing.NORMAL) return;
  c.reason = reason;
  if (isMandatory(reason)) c.standing = Standing.STOPPED;
  core.markSoon(c, Due.RETRIEVE);
}

/** The turn's part of it: TcpIndicateRetrieve; posted receives of a connection that stands still come back. */
export function retrieve(core: TargetCore, c: TargetConnection): void {
  const { reason } = c;
  if (reason === 0 || c.standing >= Standing.ABORTED) return;
  c.reason = 0;
  core.trace.emit(Event.TARGET_RETRIEVE, core.runtime.nowUs(), reason);
  raise(core, c, TcpOffloadEventType.INDICATE_RETRIEVE, reason);
  if (c.standing === Standing.STOPPED) deliver(core, c, core.runtime.nowUs());
}

function raise(core: TargetCore, c: TargetConnection, type: number, information: number): void {
  core.hasIndicated = true;
  core.ndis.tcpOffloadEventHandler(c.handle, type, information);
}

function chained(lists: readonly NetBufferList[]): NetBufferList {
  lists.forEach((list, i) => {
    list.next = lists[i + 1] ?? null;
  });
  return lists[0]!;
}
