/**
 * What a step of the TCP engine asks of the target, put into what is due for the connection at the end of the batch.
 *
 * The text of a segment is not handled here: it is borrowed and must be taken at once (segment.ts).
 * Source: tcp/effects.ts; chimney-sequences 12 to 15, 19 to 22.
 */

import { TcpUploadReason } from '../../ndis/miniport.ts';
import { TcpConnectionState } from '../../state/tcp.ts';
import { Effect, type Effects } from '../../tcp/effects.ts';
import { Event } from '../../trace/events.ts';
import { Due, Standing, type TcpContext } from './contexts.ts';
import type { Engine } from './engine.ts';
import { requestUpload } from './events.ts';

/** Effects that need no more than the common path below. */
const RARE =
  Effect.END_OF_STREAM |
  Effect.FIN_ACKED |
  Effect.TIME_WAIT |
  Effect.CLOSED |
  Effect.ABORTED |
  Effect.TIMED_OUT |
  Effect.URGENT |
  Effect.SYN_IN_ORDER |
  Effect.PATH_IN_DOUBT;

/** Notes what is due. */
export function applyEffects(engine: Engine, ctx: TcpContext, effects: Effects, nowUs: number): void {
  if (effects === 0) return;
  if ((effects & Effect.PROGRESS) !== 0 && ctx.path.neighbor !== null) ctx.path.neighbor.nrtUs = nowUs;
  let due = 0;
  if ((effects & Effect.ACKED) !== 0) due |= Due.SENDS;
  if ((effects & Effect.TRANSMIT) !== 0) due |= Due.TRANSMIT;
  if (due !== 0) engine.mark(ctx, due);
  if ((effects & RARE) !== 0) applyRare(engine, ctx, effects, nowUs);
}

function applyRare(engine: Engine, ctx: TcpContext, effects: Effects, nowUs: number): void {
  if ((effects & Effect.END_OF_STREAM) !== 0) {
    ctx.isFinReceived = true;
    engine.mark(ctx, Due.DELIVER);
  }
  if ((effects & Effect.FIN_ACKED) !== 0) {
    ctx.isFinAcked = true;
    engine.mark(ctx, Due.SENDS);
  }
  if ((effects & Effect.PATH_IN_DOUBT) !== 0) engine.trace.emit(Event.TARGET_PATH_IN_DOUBT, nowUs);
  if ((effects & Effect.URGENT) !== 0) {
    // Neither it nor anything later is acknowledged or delivered (TCP-081 to TCP-084).
    if (ctx.held === null) ctx.held = [];
    requestUpload(engine, ctx, TcpUploadReason.RECEIVED_URGENT_DATA, true);
  }
  if ((effects & Effect.SYN_IN_ORDER) !== 0) {
    ctx.tcp.state = TcpConnectionState.CLOSED;
    requestUpload(engine, ctx, TcpUploadReason.UPLOAD_REQUESTED, true);
  }
  if ((effects & Effect.TIMED_OUT) !== 0) requestUpload(engine, ctx, TcpUploadReason.TIMEOUT_EXPIRATION, true);
  // What the peer is owed (the ACK of its FIN) leaves first.
  if ((effects & Effect.TIME_WAIT) !== 0) requestUpload(engine, ctx, TcpUploadReason.UPLOAD_REQUESTED, false);
  if ((effects & Effect.ABORTED) !== 0 && ctx.standing < Standing.ABORTED) {
    ctx.standing = Standing.ABORTED;
    engine.mark(ctx, Due.PEER_ABORT);
  }
  // Closed in good order: a host that waits for a disconnect learns it by that; else it is told to take the rest.
  if ((effects & Effect.CLOSED) !== 0 && ctx.disconnect === null && ctx.standing < Standing.ABORTED) {
    requestUpload(engine, ctx, TcpUploadReason.UPLOAD_REQUESTED, false);
  }
}
