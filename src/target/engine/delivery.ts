/**
 * The delivery algorithm: received data goes into posted requests or is indicated, each byte once and in order.
 *
 * Text is copied once: from the frame into the oldest request, or into the pool, from where it is indicated as it lies. Within a
 * receive batch text is placed at once; completions and indications are made at the end of the batch, one of each where
 * possible. Source: chimney-sequences 13, RECV-013 to RECV-091.
 */

import { NEVER } from '../../base/runtime.ts';
import { NdisStatus } from '../../ndis/miniport.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import { Due, Standing } from './contexts.ts';
import { raiseDisconnect } from './events.ts';
import type { Receiver, ReceiverHost } from './receiver.ts';
import {
  completeRequests,
  fillRequests,
  finishAllRequests,
  finishFullRequests,
  finishRequest,
  isPushable,
  queueRequests,
  startPushTimer,
} from './requests.ts';

/** In-order text: placed or buffered now, delivered at the end of the batch. `isPush`: its segment had PSH. */
export function acceptText<C extends Receiver>(
  engine: ReceiverHost<C>,
  ctx: C,
  bytes: Uint8Array,
  at: number,
  length: number,
  isPush: boolean,
  nowUs: number,
): void {
  let placed = 0;
  if (ctx.buffered.length === 0 && ctx.firstRequest !== null && !ctx.isDelivering && !ctx.isInitiating) {
    placed = fillRequests(ctx, bytes, at, length, engine.copy);
    if (placed === length) afterPlacing(engine, ctx, isPush, nowUs);
  }
  if (placed < length) {
    const wasPushed = engine.keepsPush && ctx.buffered.length > 0 && ctx.isBufferedPushed;
    engine.pool.append(ctx.buffered, bytes, at + placed, length - placed);
    ctx.isBufferedPushed = isPush || wasPushed;
  }
  engine.mark(ctx, Due.DELIVER);
}

/** All data was placed: what becomes of a request that is partly full (steps 6 to 9). */
function afterPlacing<C extends Receiver>(engine: ReceiverHost<C>, ctx: C, isPush: boolean, nowUs: number): void {
  if (!isPushable(ctx)) return;
  if (isPush) finishRequest(ctx, NdisStatus.SUCCESS);
  else startPushTimer(engine, ctx, nowUs);
}

/** MiniportTcpOffloadReceive: requests are queued; what follows from them is done in the turn. */
export function postRequests<C extends Receiver>(engine: ReceiverHost<C>, ctx: C, lists: NetBufferList): void {
  queueRequests(engine, ctx, lists, engine.runtime.nowUs());
  ctx.isRefused = false;
  ctx.isRestHeld = false;
  engine.markSoon(ctx, Due.DELIVER);
}

/** The push timer has expired (RECV-045 to RECV-047). */
export function onPushTimer<C extends Receiver>(engine: ReceiverHost<C>, ctx: C): void {
  ctx.pushAtUs = NEVER;
  if (!isPushable(ctx)) return;
  finishRequest(ctx, NdisStatus.SUCCESS);
  engine.mark(ctx, Due.DELIVER);
}

/** Runs the algorithm to one of its exits (RECV-018), then opens the window by what was taken. */
export function deliver<C extends Receiver>(engine: ReceiverHost<C>, ctx: C, nowUs: number): void {
  if (ctx.isDelivering || ctx.isInitiating) return;
  ctx.isDelivering = true;
  try {
    if (answersPosts(ctx)) {
      while (completeRequests(engine, ctx)) finishRefusedPosts(ctx);
    } else runAlgorithm(engine, ctx, nowUs);
  } finally {
    ctx.isDelivering = false;
  }
  if (ctx.standing === Standing.NORMAL) {
    engine.onDelivered(ctx, nowUs);
    indicateFin(engine, ctx);
  }
}

/** Whether requests are only given back: nothing more will be delivered by them. */
function answersPosts(ctx: Receiver): boolean {
  finishRefusedPosts(ctx);
  return ctx.standing !== Standing.NORMAL || ctx.isDisconnectIndicated;
}

/** Gives requests their status where data can no longer follow (RECV-063 to RECV-065). */
function finishRefusedPosts(ctx: Receiver): void {
  if (ctx.firstRequest === null) return;
  if (ctx.standing === Standing.ABORTED) {
    finishAllRequests(ctx, NdisStatus.REQUEST_ABORTED, NdisStatus.REQUEST_ABORTED);
  } else if (ctx.standing !== Standing.NORMAL) returnRequests(ctx);
  else if (ctx.isDisconnectIndicated) {
    finishAllRequests(ctx, NdisStatus.INVALID_STATE, NdisStatus.INVALID_STATE);
  }
}

/**
 * Requests go back because the connection is being uploaded. One that is partly full in push mode is a good completion; in
 * nonpush mode it must not look like one (RECV-053) and its bytes are told by the count.
 */
export function returnRequests(ctx: Receiver): void {
  if (isPushable(ctx)) finishRequest(ctx, NdisStatus.SUCCESS);
  finishAllRequests(ctx, NdisStatus.UPLOAD_IN_PROGRESS, NdisStatus.UPLOAD_IN_PROGRESS);
}

function runAlgorithm<C extends Receiver>(engine: ReceiverHost<C>, ctx: C, nowUs: number): void {
  for (;;) {
    finishFullRequests(ctx);
    placeBuffered(engine, ctx, nowUs);
    finishAtEnd(ctx);
    if (completeRequests(engine, ctx)) continue;
    if (ctx.buffered.length === 0 || ctx.firstRequest !== null) return;
    if (ctx.isRefused || ctx.isRestHeld || ctx.isAborting || ctx.standing === Standing.ABORTED) return;
    indicate(engine, ctx);
  }
}

/** (A): buffered data goes into requests, oldest first. */
function placeBuffered<C extends Receiver>(engine: ReceiverHost<C>, ctx: C, nowUs: number): void {
  if (ctx.buffered.length === 0 || ctx.firstRequest === null) return;
  while (ctx.buffered.first !== null && ctx.firstRequest !== null) {
    const mdl = ctx.buffered.first;
    const placed = fillRequests(ctx, mdl.buffer, mdl.byteOffset, mdl.byteCount, engine.copy);
    engine.pool.consume(ctx.buffered, placed);
  }
  if (ctx.buffered.length === 0) afterPlacing(engine, ctx, ctx.isBufferedPushed, nowUs);
}

/** After the peer's FIN, once all data is placed, nothing will fill what is left: it is completed with what it has. */
function finishAtEnd(ctx: Receiver): void {
  if (ctx.isFinReceived && ctx.buffered.length === 0) {
    finishAllRequests(ctx, NdisStatus.SUCCESS, NdisStatus.SUCCESS);
  }
}

/** (B): one stand-alone list (RECV-069) with as much data as the connection wants at once. */
function indicate<C extends Receiver>(engine: ReceiverHost<C>, ctx: C): void {
  const { pool, consumed: taken } = engine;
  const preferred = ctx.rcvIndicationSize;
  const isCut = preferred > 0 && preferred < ctx.buffered.length;
  const list = pool.detach(ctx.buffered, isCut ? preferred : ctx.buffered.length);
  const length = list.firstNetBuffer!.dataLength;
  list.hashValue = ctx.hashValue;
  taken.value = 0;
  engine.hasIndicated = true;
  const status = engine.ndis.tcpOffloadReceiveHandler(ctx.handle, list, NdisStatus.SUCCESS, taken);
  const consumed = taken.value;
  if (status === NdisStatus.SUCCESS) {
    // The list is the host's now and may be back already. What was cut off waits one turn for a request to be posted.
    if (isCut && ctx.firstRequest === null) holdRest(engine, ctx);
    return;
  }
  pool.reattach(ctx.buffered, list);
  if (status === NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED) {
    pool.consume(ctx.buffered, Math.max(0, Math.min(consumed, length)));
  }
  // A request posted inside the call takes the data (RECV-038); else it is kept until one is posted (RECV-039).
  ctx.isRefused = ctx.firstRequest === null;
}

function holdRest<C extends Receiver>(engine: ReceiverHost<C>, ctx: C): void {
  ctx.isRestHeld = true;
  engine.later.push(ctx);
  engine.schedule();
}

/** The turn after: nobody posted, so the rest is indicated. */
export function releaseHeldRests<C extends Receiver>(engine: ReceiverHost<C>): void {
  if (engine.later.length === 0) return;
  const later = engine.later;
  engine.later = [];
  for (const ctx of later) {
    ctx.isRestHeld = false;
    if (ctx.standing < Standing.TERMINATED) engine.mark(ctx, Due.DELIVER);
  }
}

/** TcpIndicateDisconnect, once all data before the FIN was taken (DISC-035). */
function indicateFin<C extends Receiver>(engine: ReceiverHost<C>, ctx: C): void {
  if (!ctx.isFinReceived || ctx.isDisconnectIndicated || ctx.buffered.length > 0 || ctx.firstDone !== null) return;
  ctx.isDisconnectIndicated = true;
  raiseDisconnect(engine, ctx);
}
