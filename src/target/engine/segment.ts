/**
 * One segment for an offloaded connection, from the wire or forwarded by the host: through the engine, and its text taken.
 *
 * Promises: text is copied out of the borrowed bytes before this returns; a segment for whose text there is no room is dropped
 * before the engine sees it, so nothing is acknowledged that cannot be kept. Source: chimney-sequences 13, 16, 20.
 */

import { seqDiff } from '../../base/seq.ts';
import { TcpConnectionState } from '../../state/tcp.ts';
import { Effect } from '../../tcp/effects.ts';
import { onSegment } from '../../tcp/on-segment.ts';
import { Event } from '../../trace/events.ts';
import { TcpFlag, type TcpSegment } from '../../wire/tcp-segment.ts';
import type { TcpContext } from './contexts.ts';
import { acceptText } from './delivery.ts';
import type { Activity } from './discretion.ts';
import { applyEffects } from './effects.ts';
import type { Engine } from './engine.ts';
import { hasRoom } from './receive-space.ts';

/** Ends that leave ESTABLISHED or CLOSE_WAIT for CLOSED (STAT-019). */
const ENDS = Effect.ABORTED | Effect.SYN_IN_ORDER | Effect.TIMED_OUT;

/** Processes a decoded segment. Answers the engine's effects, 0 when it was dropped for want of room. */
export function processSegment(engine: Engine, ctx: TcpContext, seg: TcpSegment, nowUs: number): number {
  const c = ctx.tcp;
  const statistics = engine.statistics(ctx.path.family);
  statistics.inSegments += segmentsIn(seg.textLength, engine.work.segmentBytes);
  if (seg.textLength > 0) {
    const behind = c.reassembly === null ? 0 : c.reassembly.bytesHeld;
    if (!hasRoom(engine, ctx, seg.textLength + behind)) {
      statistics.inDiscards++;
      engine.trace.count(Event.TARGET_NO_ROOM);
      return Effect.DROPPED;
    }
  }
  if (ctx.activity !== null) noteArrival(engine, ctx, ctx.activity, seg);
  const state = c.state;
  const effects = onSegment(c, engine.parameters, seg, nowUs);
  if ((effects & Effect.TEXT) !== 0) takeText(engine, ctx, seg, nowUs);
  if ((effects & ENDS) !== 0) noteEnd(engine, ctx, state);
  applyEffects(engine, ctx, effects, nowUs);
  return effects;
}

function noteArrival(engine: Engine, ctx: TcpContext, activity: Activity, seg: TcpSegment): void {
  activity.segmentsReceived += segmentsIn(seg.textLength, engine.work.segmentBytes);
  if (seg.textLength > 0 && ctx.firstRequest === null) activity.unpostedBytes += seg.textLength;
  if (seg.textLength > 0 && seqDiff(seg.seq, ctx.tcp.rcvNxt) > 0) activity.segmentsOutOfOrder++;
}

/** Segments on a wire that one with so much text stands for. `segmentBytes`: as in `LinkReceiver.receive`. */
export function segmentsIn(textLength: number, segmentBytes: number): number {
  return segmentBytes === 0 || textLength <= segmentBytes ? 1 : Math.ceil(textLength / segmentBytes);
}

/** The segment's own text, then what it made contiguous. */
function takeText(engine: Engine, ctx: TcpContext, seg: TcpSegment, nowUs: number): void {
  const reassembly = ctx.tcp.reassembly;
  const isPush = (seg.flags & TcpFlag.PSH) !== 0;
  if (seg.textLength > 0) acceptText(engine, ctx, seg.bytes, seg.textAt, seg.textLength, isPush, nowUs);
  if (reassembly === null) return;
  const piece = engine.work.piece;
  // Whether the segments behind the gap had PSH is not known any more: taking it so costs nobody anything.
  while (reassembly.take(piece)) acceptText(engine, ctx, piece.bytes, piece.at, piece.length, true, nowUs);
}

/** ResetEstablished: a direct transition to CLOSED. */
export function noteEnd(engine: Engine, ctx: TcpContext, stateBefore: number): void {
  const c = ctx.tcp;
  if (c.state !== TcpConnectionState.CLOSED) return;
  if (stateBefore === TcpConnectionState.ESTABLISHED || stateBefore === TcpConnectionState.CLOSE_WAIT) {
    engine.statistics(ctx.path.family).resetEstablished++;
  }
}
