/**
 * Sends and graceful disconnects: queued, completed when acknowledged, given back when the connection goes up or dies.
 *
 * A list is completed once all of its bytes are acknowledged (SEND-017), in order, several in one call. Data of a graceful
 * disconnect goes through the same queue, but its list comes back through its own completion (DISC-030, NBL-011). Once one send
 * was given back with UPLOAD_IN_PROGRESS all later ones are, so that the host can put them behind one another.
 * Source: chimney-sequences 12, 14.
 */

import { NdisStatus, TcpDisconnectFlag, TcpUploadReason } from '../../ndis/miniport.ts';
import { dataLengthOf, type NetBufferList } from '../../state/net-buffer-list.ts';
import { TcpConnectionState } from '../../state/tcp.ts';
import { releaseIdle } from '../../tcp/lifecycle.ts';
import { abort, closeSend, queueData } from '../../tcp/on-send.ts';
import { Due, lastOf, ReturnedCalls, Standing, type TcpContext } from './contexts.ts';
import { applyEffects } from './effects.ts';
import type { Engine } from './engine.ts';
import { announceBacklog, requestUpload } from './events.ts';
import { noteEnd } from './segment.ts';
import { sendSegment } from './transmit.ts';

/** MiniportTcpOffloadSend: never refused (SEND-006); queued, or put aside to be given back. */
export function postSends(engine: Engine, ctx: TcpContext, lists: NetBufferList): void {
  if (!isGivingBack(engine, ctx) && engine.allocateSends?.(lists) === false) {
    requestUpload(engine, ctx, TcpUploadReason.UPLOAD_REQUESTED, true);
  }
  if (isGivingBack(engine, ctx)) {
    ctx.areSendsReturned = true;
    ctx.returned ??= new ReturnedCalls();
    if (ctx.returned.lastSend === null) ctx.returned.firstSend = lists;
    else ctx.returned.lastSend.next = lists;
    ctx.returned.lastSend = lastOf(lists);
    engine.markSoon(ctx, Due.GIVE_BACK);
    return;
  }
  engine.onTouch?.(ctx);
  const nowUs = engine.runtime.nowUs();
  applyEffects(engine, ctx, queueData(ctx.tcp, engine.parameters, lists, nowUs), nowUs);
  // Lists without data are finished as soon as they are first.
  engine.markSoon(ctx, Due.SENDS);
}

/** Whether sends are not taken any more: stopped, dead, or to be uploaded with all others (SEND-022, EVT-037). */
function isGivingBack(engine: Engine, ctx: TcpContext): boolean {
  return ctx.standing !== Standing.NORMAL || ctx.areSendsReturned || engine.isUploadingAll || !canSend(ctx.tcp.state);
}

function canSend(state: number): boolean {
  return state === TcpConnectionState.ESTABLISHED || state === TcpConnectionState.CLOSE_WAIT;
}

/** MiniportTcpOffloadDisconnect. */
export function postDisconnect(engine: Engine, ctx: TcpContext, list: NetBufferList, flags: number): void {
  engine.onTouch?.(ctx);
  if (flags === TcpDisconnectFlag.ABORTIVE_CLOSE) {
    postAbort(engine, ctx, list);
    return;
  }
  if (isGivingBack(engine, ctx)) {
    returnDisconnect(engine, ctx, list);
    return;
  }
  const nowUs = engine.runtime.nowUs();
  ctx.disconnect = list;
  ctx.isDisconnectQueued = dataLengthOf(list) > 0;
  list.tcpOffloadBytesTransferred = 0;
  if (ctx.isDisconnectQueued) {
    applyEffects(engine, ctx, queueData(ctx.tcp, engine.parameters, list, nowUs), nowUs);
  }
  applyEffects(engine, ctx, closeSend(ctx.tcp, engine.parameters, nowUs), nowUs);
  engine.markSoon(ctx, Due.SENDS);
}

/** Abortive: nothing received is processed from now on (DISC-011); the RST leaves in the turn. */
function postAbort(engine: Engine, ctx: TcpContext, list: NetBufferList): void {
  const canReset = ctx.standing === Standing.NORMAL && !ctx.isSendingBarred && ctx.abort === null;
  if (!canReset) {
    // STAT-015: the RST that was wanted has no path to go by.
    if (ctx.isSendingBarred) engine.statistics(ctx.path.family).outNoRoutes++;
    returnDisconnect(engine, ctx, list);
    return;
  }
  ctx.abort = list;
  ctx.standing = Standing.ABORTED;
  engine.markSoon(ctx, Due.HOST_ABORT);
}

/** A disconnect goes back like sends; there may be a graceful and an abortive one. */
function returnDisconnect(engine: Engine, ctx: TcpContext, list: NetBufferList): void {
  ctx.returned ??= new ReturnedCalls();
  list.next = ctx.returned.disconnects;
  ctx.returned.disconnects = list;
  engine.markSoon(ctx, Due.GIVE_BACK);
}

/** Completes what was acknowledged. */
export function completeSends(engine: Engine, ctx: TcpContext, nowUs: number): void {
  const queue = ctx.tcp.sendQueue;
  if (queue?.hasCompleted) {
    const done = withoutDisconnect(ctx, queue.takeCompleted());
    releaseIdle(ctx.tcp, engine.parameters);
    if (done !== null) complete(engine, done, NdisStatus.SUCCESS);
    if (ctx.standing === Standing.NORMAL) announceBacklog(engine, ctx, nowUs);
  }
  if (ctx.disconnect !== null && ctx.isFinAcked) completeDisconnect(engine, ctx, NdisStatus.SUCCESS);
}

/** Takes the list of the graceful disconnect, which is the last, out of a chain of sends. */
function withoutDisconnect(ctx: TcpContext, chain: NetBufferList | null): NetBufferList | null {
  if (!ctx.isDisconnectQueued || chain === null) return chain;
  if (chain === ctx.disconnect) {
    ctx.isDisconnectQueued = false;
    return null;
  }
  for (let list = chain; list.next !== null; list = list.next) {
    if (list.next !== ctx.disconnect) continue;
    list.next = null;
    ctx.isDisconnectQueued = false;
    break;
  }
  return chain;
}

function complete(engine: Engine, chain: NetBufferList, status: number): void {
  for (let list: NetBufferList | null = chain; list !== null; list = list.next) list.status = status;
  engine.hasIndicated = true;
  engine.ndis.tcpOffloadSendComplete(engine.handle, chain);
}

/** Completes the graceful disconnect; its byte count was written when its data left the queue. */
export function completeDisconnect(engine: Engine, ctx: TcpContext, status: number): void {
  const list = ctx.disconnect;
  if (list === null) return;
  ctx.disconnect = null;
  giveDisconnect(engine, list, status);
}

function giveDisconnect(engine: Engine, list: NetBufferList, status: number): void {
  list.next = null;
  list.status = status;
  engine.hasIndicated = true;
  engine.ndis.tcpOffloadDisconnectComplete(engine.handle, list);
}

/**
 * Takes what is left in the send queue, fully acknowledged lists having been completed: the chain of lists, or null. The list of
 * a graceful disconnect is taken out and left in `ctx.disconnect`.
 */
export function takeUnfinished(engine: Engine, ctx: TcpContext, nowUs: number): NetBufferList | null {
  completeSends(engine, ctx, nowUs);
  const queue = ctx.tcp.sendQueue;
  if (queue === null) return null;
  const chain = withoutDisconnect(ctx, queue.takeAll());
  return chain;
}

/** The connection is dead: sends, then the graceful disconnect come back with REQUEST_ABORTED (SEND-023, DISC-040). */
export function abortSends(engine: Engine, ctx: TcpContext, nowUs: number): void {
  const chain = takeUnfinished(engine, ctx, nowUs);
  releaseIdle(ctx.tcp, engine.parameters);
  if (chain !== null) complete(engine, chain, NdisStatus.REQUEST_ABORTED);
  completeDisconnect(engine, ctx, NdisStatus.REQUEST_ABORTED);
}

/** Completes sends that were taken off the queue because the connection goes up. */
export function giveBackChain(engine: Engine, chain: NetBufferList): void {
  complete(engine, chain, NdisStatus.UPLOAD_IN_PROGRESS);
}

/** Gives back what was not taken: untouched, nothing transferred. */
export function giveBack(engine: Engine, ctx: TcpContext): void {
  const { returned } = ctx;
  if (returned === null) return;
  ctx.returned = null;
  const status = ctx.standing === Standing.ABORTED ? NdisStatus.REQUEST_ABORTED : NdisStatus.UPLOAD_IN_PROGRESS;
  if (returned.firstSend !== null) {
    const chain = returned.firstSend;
    for (let list: NetBufferList | null = chain; list !== null; list = list.next) list.tcpOffloadBytesTransferred = 0;
    complete(engine, chain, status);
  }
  let list = returned.disconnects;
  while (list !== null) {
    const next: NetBufferList | null = list.next;
    list.tcpOffloadBytesTransferred = 0;
    giveDisconnect(engine, list, status);
    list = next;
  }
}

/** The turn's part of an abortive disconnect: RST, sends aborted, then SUCCESS (DISC-006 to DISC-014). */
export function abortByHost(engine: Engine, ctx: TcpContext, nowUs: number): void {
  const seg = engine.work.outgoing;
  const state = ctx.tcp.state;
  if (abort(ctx.tcp, engine.parameters, seg, nowUs)) sendSegment(engine, ctx, seg);
  noteEnd(engine, ctx, state);
  abortSends(engine, ctx, nowUs);
  const list = ctx.abort!;
  ctx.abort = null;
  list.tcpOffloadBytesTransferred = 0;
  giveDisconnect(engine, list, NdisStatus.SUCCESS);
}
