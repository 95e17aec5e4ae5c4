/**
 * MiniportTerminateOffload, the work of it: everything outstanding comes back, delegated state is written, objects are freed.
 *
 * Order, for each connection: what is owed is sent, data is delivered as far as the host takes it, receives, disconnects,
 * forwards and what was given back are completed, finished sends are completed, the others chained, the state written; then the
 * tree is completed and only then objects are freed (TERM-026). No FIN and no RST is sent (TERM-002).
 * Source: chimney-sequences 6 and 7; TERM-011 to TERM-087.
 */

import { assert } from '../../base/assert.ts';
import { NEVER } from '../../base/runtime.ts';
import {
  BlockWalk,
  type MiniportOffloadBlock,
  NdisStatus,
  OffloadStateType,
  TcpUploadReason,
} from '../../ndis/miniport.ts';
import type { NeighborDelegatedState } from '../../state/neighbor.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import { TcpConnectionState, type TcpDelegatedState } from '../../state/tcp.ts';
import { Effect } from '../../tcp/effects.ts';
import { releaseFlight, releaseIdle, releaseReassembly } from '../../tcp/lifecycle.ts';
import { prepareTransfer, writeDelegated } from '../../tcp/transfer.ts';
import { Event } from '../../trace/events.ts';
import { lastOf, NeighborContext, PathContext, Standing, TcpContext, unlinkConnection } from './contexts.ts';
import { deliver, returnRequests } from './delivery.ts';
import type { Engine } from './engine.ts';
import { raiseAbort, raiseRetrieve } from './events.ts';
import { completeForwards, giveBackForwards } from './forward.ts';
import { writeNeighbor } from './neighbors.ts';
import { completeRequests, finishAllRequests } from './requests.ts';
import { abortByHost, abortSends, completeDisconnect, giveBack, giveBackChain, takeUnfinished } from './sends.ts';
import { sendOwed } from './transmit.ts';

/** Rounds of receives posted again during a terminate before that is called a fault of the host. */
const REPOSTS_MAX = 64;

type Context = NeighborContext | PathContext | TcpContext;

/** In the entry: from here on segments of these connections go up unprocessed (TERM-038, TERM-039). */
export function noteTerminate(root: MiniportOffloadBlock): void {
  const walk = new BlockWalk<MiniportOffloadBlock>();
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    const slot = block.miniportOffloadContext;
    const context = slot === null ? null : slot.miniportOffloadContext;
    if (context instanceof TcpContext) context.isTerminating = true;
  }
}

/** Terminates the objects of the tree and completes it. */
export function terminate(engine: Engine, root: MiniportOffloadBlock): void {
  const gone: Context[] = [];
  const corrupt: TcpContext[] = [];
  const walk = new BlockWalk<MiniportOffloadBlock>();
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    const slot = block.miniportOffloadContext;
    block.status = NdisStatus.SUCCESS;
    if (slot === null) continue;
    const context = slot.miniportOffloadContext;
    if (context instanceof TcpContext && context.standing !== Standing.TERMINATED) {
      block.status = terminateConnection(engine, context, block);
      if (block.status === NdisStatus.SUCCESS) gone.push(context);
      else corrupt.push(context);
    }
  }
  // Paths and neighbors afterwards: their dependents are gone by then, if the host kept to the order (TERM-063).
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) terminateObject(engine, block, gone);
  engine.hasIndicated = true;
  engine.ndisM.terminateOffloadComplete(engine.handle, root);
  for (const ctx of corrupt) tellCorruption(engine, ctx);
  for (const context of gone) if (context.layer === 'tcp') passUpHeld(engine, context);
}

/** A path or a neighbor: its delegated structure, and its place in the tables. */
function terminateObject(engine: Engine, block: MiniportOffloadBlock, gone: Context[]): void {
  const slot = block.miniportOffloadContext;
  if (slot === null) return;
  const context = slot.miniportOffloadContext;
  if (context instanceof TcpContext) return;
  block.status = NdisStatus.FAILURE;
  if (context instanceof PathContext && engine.paths.has(context)) {
    if (context.connectionCount > 0) return;
    engine.paths.delete(context);
    if (context.neighbor !== null) context.neighbor.paths.delete(context);
    gone.push(context);
    block.status = NdisStatus.SUCCESS;
  } else if (context instanceof NeighborContext && engine.neighbors.has(context)) {
    if (hasLivePaths(block, context)) return;
    const { type } = block.header;
    if (type === OffloadStateType.NEIGHBOR || type === OffloadStateType.NEIGHBOR_DELEGATED) {
      // TERM-082.
      const delegated = block.delegatedState as NeighborDelegatedState | null;
      writeNeighbor(engine, context, null, null, delegated, engine.runtime.nowUs());
    }
    engine.neighbors.delete(context);
    gone.push(context);
    block.status = NdisStatus.SUCCESS;
  }
}

/** Whether paths hang on a neighbor that this tree does not terminate with it. The walk meets the neighbor first. */
function hasLivePaths(block: MiniportOffloadBlock, neighbor: NeighborContext): boolean {
  const left = new Set(neighbor.paths);
  for (let below = block.dependentBlockList; below !== null; below = below.nextBlock) {
    const slot = below.miniportOffloadContext;
    const path = slot === null ? null : slot.miniportOffloadContext;
    if (path instanceof PathContext && path.connectionCount === 0) left.delete(path);
  }
  return left.size > 0;
}

/** One connection. Answers the block's status; FAILURE only where its state is lost (TERM-019). */
export function terminateConnection(engine: Engine, ctx: TcpContext, block: MiniportOffloadBlock): number {
  engine.onTouch?.(ctx);
  const { type } = block.header;
  const conveys = type === OffloadStateType.TCP_DELEGATED || type === OffloadStateType.TCP;
  const delegated = conveys ? (block.delegatedState as TcpDelegatedState | null) : null;
  block.netBufferListChain = null;
  if (delegated !== null) {
    delegated.sendDataHead = null;
    delegated.sendDataTail = null;
    delegated.bufferedData = null;
  }
  if (ctx.isCorrupt) {
    if (!ctx.isCorruptionTold) return NdisStatus.FAILURE;
    abortCorrupt(engine, ctx);
  }
  const nowUs = engine.runtime.nowUs();
  settle(engine, ctx, nowUs);
  // What was owed has left: from here on nobody serves it.
  block.handedOverAtUs = engine.runtime.nowUs();
  const chain = takeUnfinished(engine, ctx, nowUs);
  completeDisconnect(engine, ctx, NdisStatus.UPLOAD_IN_PROGRESS);
  giveBack(engine, ctx);
  const wasAborted = ctx.standing === Standing.ABORTED;
  ctx.standing = Standing.TERMINATED;
  if (delegated === null) {
    if (chain !== null) giveBackChain(engine, chain);
    dropBuffered(engine, ctx);
  } else {
    writeDelegated(ctx.tcp, engine.parameters, delegated, nowUs);
    if (chain !== null) passSends(block, delegated, chain);
    if (wasAborted) engine.pool.clear(ctx.buffered);
    else if (ctx.buffered.length > 0) delegated.bufferedData = engine.pool.detach(ctx.buffered, ctx.buffered.length);
  }
  forget(engine, ctx);
  return NdisStatus.SUCCESS;
}

/** Steps 3 to 5: what is owed is sent; data is delivered; receives and forwards come back. */
function settle(engine: Engine, ctx: TcpContext, nowUs: number): void {
  completeForwards(engine, ctx, nowUs);
  if (ctx.abort !== null) abortByHost(engine, ctx, nowUs);
  if (ctx.standing === Standing.NORMAL) deliver(engine, ctx, nowUs);
  const isClosed = ctx.tcp.state === TcpConnectionState.CLOSED;
  if (ctx.standing !== Standing.ABORTED && !isClosed) {
    // TERM-042, TERM-076 to TERM-078. The push timer is ours and ends with the record.
    const isOwed = (prepareTransfer(ctx.tcp, engine.parameters, nowUs) & Effect.TRANSMIT) !== 0;
    if (isOwed && !ctx.isSendingBarred) sendOwed(engine, ctx, nowUs);
  }
  const isAborted = ctx.standing === Standing.ABORTED;
  if (isAborted) abortSends(engine, ctx, nowUs);
  // Whatever the host still posts from inside these completions must come back as well.
  for (let rounds = 0; ; rounds++) {
    assert(rounds < REPOSTS_MAX, 'a host posts no receives on a connection that it terminates (TERM-030)');
    if (isAborted) finishAllRequests(ctx, NdisStatus.REQUEST_ABORTED, NdisStatus.REQUEST_ABORTED);
    else returnRequests(ctx);
    if (!completeRequests(engine, ctx)) break;
  }
  giveBackForwards(engine, ctx);
}

/** TERM-051 to TERM-056: the lists in the order in which they were posted. */
function passSends(block: MiniportOffloadBlock, delegated: TcpDelegatedState, chain: NetBufferList): void {
  block.netBufferListChain = chain;
  delegated.sendDataHead = chain;
  delegated.sendDataTail = lastOf(chain);
}

function dropBuffered(engine: Engine, ctx: TcpContext): void {
  if (ctx.buffered.length === 0) return;
  engine.trace.emit(Event.TARGET_DATA_LOST, engine.runtime.nowUs(), ctx.buffered.length);
  engine.pool.clear(ctx.buffered);
}

/**
 * The record is out of all tables and free. The context itself stays what the slot names until the completion has been made,
 * and answers nothing any more.
 */
function forget(engine: Engine, ctx: TcpContext): void {
  const c = ctx.tcp;
  engine.heap.set(c.slot, NEVER);
  engine.table.remove(c);
  unlinkConnection(ctx);
  // TERM-043: what was only acknowledged selectively is dropped.
  releaseReassembly(c, engine.parameters);
  releaseFlight(c, engine.parameters);
  releaseIdle(c, engine.parameters);
  engine.slab.free(c);
}

/** TCP-085: from the urgent segment on, in order, on the ordinary path. */
function passUpHeld(engine: Engine, ctx: TcpContext): void {
  const held = ctx.held;
  ctx.held = null;
  if (held === null) return;
  for (const { bytes, segmentBytes } of held) engine.indicator.indicate(bytes, 0, bytes.length, segmentBytes);
}

/** TERM-021 to TERM-023, QRY-013 to QRY-015, INV-020: after the failed operation was completed. */
export function tellCorruption(engine: Engine, ctx: TcpContext): void {
  if (ctx.isCorruptionTold) return;
  ctx.isCorruptionTold = true;
  ctx.standing = Standing.STOPPED;
  ctx.reason = TcpUploadReason.HARDWARE_FAILURE;
  engine.rearm(ctx);
  raiseRetrieve(engine, ctx, TcpUploadReason.HARDWARE_FAILURE);
  raiseAbort(engine, ctx);
}

/** TERM-024: the terminate that follows: all outstanding I/O is aborted; what goes up says CLOSED. */
function abortCorrupt(engine: Engine, ctx: TcpContext): void {
  ctx.standing = Standing.ABORTED;
  ctx.tcp.state = TcpConnectionState.CLOSED;
  giveBack(engine, ctx);
}
