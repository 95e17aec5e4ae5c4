/**
 * The turn: what is due for connections is done, one after the other, and operations in flight are carried out and completed.
 *
 * It runs deferred after an entry, at the end of a receive batch, and when a timer expires. For each connection, in this order:
 * forwarded segments, delivery, send completions, aborts, transmission (so that one ACK answers the batch, with the window
 * that delivery left), and last the request for an upload. Source: chimney-sequences 6, 13, 14, 15.
 */

import { BlockWalk, type MiniportOffloadBlock, NdisStatus } from '../../ndis/miniport.ts';
import { onDeadline } from '../../tcp/on-deadline.ts';
import { statusBufferOf } from './configuration.ts';
import { Due, Standing, TcpContext } from './contexts.ts';
import { deliver, onPushTimer, releaseHeldRests } from './delivery.ts';
import { applyEffects } from './effects.ts';
import { type Engine, type Operation, OperationKind } from './engine.ts';
import { isHalfClosed, isMandatory, raiseAbort, raiseRetrieve, stop } from './events.ts';
import { completeForwards } from './forward.ts';
import { initiate, refuseInitiate } from './initiate.ts';
import { invalidate } from './invalidate.ts';
import { answerPendingPower } from './oids.ts';
import { query } from './query.ts';
import { feedStarved } from './receive-space.ts';
import { noteEnd } from './segment.ts';
import { abortByHost, abortSends, completeSends, giveBack } from './sends.ts';
import { terminate } from './terminate.ts';
import { transmit } from './transmit.ts';
import { update } from './update.ts';

/** The deferred turn. */
export function runTurn(engine: Engine): void {
  if (engine.isHalted) return;
  releaseHeldRests(engine);
  flush(engine);
  runOperations(engine);
  flush(engine);
  engine.packing.rest();
}

/**
 * The turn of operations: connections stand still until these are done, so that all others wait, and so do the segments that are due
 * on these themselves.
 */
export function runUrgentTurn(engine: Engine): void {
  if (engine.isHalted) return;
  for (const { root } of engine.operations) if (root !== null) serveNamed(engine, root);
  runOperations(engine);
  if (engine.firstQueued !== null) engine.schedule();
}

function serveNamed(engine: Engine, root: MiniportOffloadBlock): void {
  if (engine.isFlushing) return;
  engine.isFlushing = true;
  const nowUs = engine.runtime.nowUs();
  try {
    const walk = new BlockWalk<MiniportOffloadBlock>();
    walk.start(root);
    for (let block = walk.next(); block !== null; block = walk.next()) {
      const context = block.miniportOffloadContext?.miniportOffloadContext;
      if (!(context instanceof TcpContext) || !context.isQueued) continue;
      const transmit = context.due & Due.TRANSMIT;
      context.due &= ~Due.TRANSMIT;
      serve(engine, context, nowUs);
      context.due |= transmit;
    }
  } finally {
    engine.isFlushing = false;
  }
}

/** Does what is due for all connections that are marked, those marked meanwhile included. */
export function flush(engine: Engine): void {
  if (engine.isFlushing) return;
  engine.isFlushing = true;
  engine.hasIndicated = false;
  const nowUs = engine.runtime.nowUs();
  try {
    for (let ctx = engine.takeQueued(); ctx !== null; ctx = engine.takeQueued()) serve(engine, ctx, nowUs);
  } finally {
    engine.isFlushing = false;
  }
}

/** Everything that is due for one connection. */
function serve(engine: Engine, ctx: TcpContext, nowUs: number): void {
  if (ctx.standing === Standing.TERMINATED) return;
  engine.onTouch?.(ctx);
  if (takeDue(ctx, Due.FORWARD)) completeForwards(engine, ctx, nowUs);
  if (takeDue(ctx, Due.PEER_ABORT)) {
    // DISC-037 to DISC-041: marked already; the event, then everything outstanding.
    raiseAbort(engine, ctx);
    abortSends(engine, ctx, nowUs);
    ctx.due |= Due.DELIVER;
  }
  if (takeDue(ctx, Due.HOST_ABORT) && ctx.abort !== null) {
    abortByHost(engine, ctx, nowUs);
    ctx.due |= Due.DELIVER;
  }
  if (takeDue(ctx, Due.DELIVER)) deliver(engine, ctx, nowUs);
  if (takeDue(ctx, Due.SENDS)) completeSends(engine, ctx, nowUs);
  if (takeDue(ctx, Due.TRANSMIT)) transmit(engine, ctx, nowUs);
  if (takeDue(ctx, Due.RETRIEVE)) askForUpload(engine, ctx, nowUs);
  if (takeDue(ctx, Due.GIVE_BACK)) giveBack(engine, ctx);
  if ((ctx.standing as number) !== Standing.TERMINATED) engine.rearm(ctx);
}

function takeDue(ctx: TcpContext, due: number): boolean {
  if ((ctx.due & due) === 0) return false;
  ctx.due &= ~due;
  return true;
}

/** TcpIndicateRetrieve; with a mandatory reason the connection stops, and requests come back (EVT-019, INIT-079). */
function askForUpload(engine: Engine, ctx: TcpContext, nowUs: number): void {
  const { reason } = ctx;
  if (reason === 0 || ctx.standing >= Standing.ABORTED) return;
  if (!isMandatory(reason)) {
    ctx.reason = 0;
    if (!isHalfClosed(ctx.tcp.state)) raiseRetrieve(engine, ctx, reason);
    return;
  }
  // Data that came before is delivered while the connection is still served.
  if (ctx.standing === Standing.NORMAL) deliver(engine, ctx, nowUs);
  stop(ctx);
  raiseRetrieve(engine, ctx, reason);
  deliver(engine, ctx, nowUs);
}

/** Carries out operations in the order in which they came; statuses last, because no initiate may be under way then (INIT-052). */
function runOperations(engine: Engine): void {
  while (engine.operations.length > 0 && !engine.isFlushing) {
    const operations = engine.operations;
    engine.operations = [];
    for (const operation of operations) if (operation.root !== null) runOperation(engine, operation);
    for (const operation of operations) if (operation.root === null) indicateStatus(engine, operation.statusCode);
  }
}

function runOperation(engine: Engine, operation: Operation): void {
  const root = operation.root!;
  switch (operation.kind) {
    case OperationKind.INITIATE:
      startInitiate(engine, operation);
      return;
    case OperationKind.TERMINATE:
      terminate(engine, root);
      answerPendingPower(engine);
      resumeIfEmpty(engine);
      return;
    case OperationKind.UPDATE:
      update(engine, root);
      return;
    case OperationKind.QUERY:
      query(engine, root);
      return;
    case OperationKind.INVALIDATE:
      invalidate(engine, root);
      return;
  }
}

/** OFFLOAD_RESUME, if it is wanted and nothing that is to be uploaded is here any more. TERM-074. */
export function resumeIfEmpty(engine: Engine): void {
  if (!engine.wantsResume || (engine.isUploadingAll && engine.connectionCount > 0)) return;
  engine.wantsResume = false;
  engine.isPaused = false;
  engine.isUploadingAll = false;
  engine.enqueue(OperationKind.STATUS, null, NdisStatus.OFFLOAD_RESUME);
}

/** In a pause an initiate waits (EVT-035); when all is being uploaded it is refused. */
function startInitiate(engine: Engine, operation: Operation): void {
  const root = operation.root!;
  if (engine.isUploadingAll) refuseInitiate(engine, root);
  else if (engine.isPaused) {
    engine.pausedInitiates.push(operation);
    const atUs = operation.atUs + engine.pauseQueueUs;
    if (atUs < engine.timer.atUs) engine.timer.arm(atUs);
  } else initiate(engine, root);
}

/** NdisMIndicateStatusEx, and what follows from it for initiates that wait. */
function indicateStatus(engine: Engine, statusCode: number): void {
  if (statusCode === NdisStatus.UPLOAD_ALL) refusePaused(engine, Number.POSITIVE_INFINITY);
  engine.hasIndicated = true;
  engine.ndisM.indicateStatusEx(engine.handle, { statusCode, statusBuffer: statusBufferOf(engine, statusCode) });
  if (statusCode === NdisStatus.OFFLOAD_RESUME) {
    const waiting = engine.pausedInitiates;
    engine.pausedInitiates = [];
    for (const operation of waiting) startInitiate(engine, operation);
  }
}

/** Initiates that have waited since before `sinceUs` are refused: a connection must not stand still for a pause. */
function refusePaused(engine: Engine, sinceUs: number): void {
  while (engine.pausedInitiates.length > 0 && engine.pausedInitiates[0]!.atUs <= sinceUs) {
    refuseInitiate(engine, engine.pausedInitiates.shift()!.root!);
  }
}

/** A deadline of some connection, or of an initiate that waits, has come. */
export function onTimer(engine: Engine, nowUs: number): void {
  if (engine.isHalted) return;
  for (let slot = engine.heap.takeDue(nowUs); slot >= 0; slot = engine.heap.takeDue(nowUs)) {
    onConnectionDeadline(engine, engine.contextOf(engine.slab.at(slot)), nowUs);
  }
  refusePaused(engine, nowUs - engine.pauseQueueUs);
  flush(engine);
  done(engine);
  const waiting = engine.pausedInitiates[0];
  const pausedUs = waiting === undefined ? Number.POSITIVE_INFINITY : waiting.atUs + engine.pauseQueueUs;
  const nextUs = Math.min(engine.heap.soonestUs, pausedUs);
  if (nextUs < engine.timer.atUs) engine.timer.arm(nextUs);
}

function onConnectionDeadline(engine: Engine, ctx: TcpContext, nowUs: number): void {
  if (ctx.standing !== Standing.NORMAL) return;
  engine.onTouch?.(ctx);
  if (ctx.pushAtUs <= nowUs) onPushTimer(engine, ctx);
  const state = ctx.tcp.state;
  const effects = onDeadline(ctx.tcp, engine.parameters, nowUs);
  noteEnd(engine, ctx, state);
  applyEffects(engine, ctx, effects, nowUs);
  // Served even when nothing was due: its next deadline has to be set.
  engine.mark(ctx, 0);
}

/** Something was indicated outside a receive batch: the batch is over for those above, too. */
export function done(engine: Engine): void {
  if (!engine.hasIndicated || engine.isFlushing) return;
  engine.hasIndicated = false;
  engine.indicator.done();
}

/** Lists came back: windows may open, and an adapter that waits for them may halt (RECV-086). */
export function onReturned(engine: Engine): void {
  feedStarved(engine);
  if (engine.pool.listsOut > 0 || engine.onAllReturned === null) return;
  const onAllReturned = engine.onAllReturned;
  engine.onAllReturned = null;
  onAllReturned();
}
