/**
 * Event indications of one connection: retrieve, abort, disconnect, send backlog (EVT-001 to EVT-006).
 *
 * A mandatory reason stops the connection (EVT-019); an optional one is not raised on a half-closed connection (EVT-023).
 * Leaves to others: giving back what the host has posted (give-back.ts). Source: chimney-sequences 6, 17.
 */

import { TcpOffloadEventType, TcpUploadReason } from '../../ndis/miniport.ts';
import { TcpConnectionState } from '../../state/tcp.ts';
import { Event } from '../../trace/events.ts';
import { Due, Standing, type TcpContext } from './contexts.ts';
import type { Engine } from './engine.ts';
import type { Indicator } from './receiver.ts';

/** A backlog event is raised for a change by this factor at least, and this much later than the last (EVT-025). */
const BACKLOG_FACTOR = 2;
const BACKLOG_INTERVAL_US = 500_000;
/** The same for one that has grown: until it is told the host keeps the target short. */
const BACKLOG_GROWTH_INTERVAL_US = 50_000;
const BACKLOG_LEAST = 64 * 1024;
const BACKLOG_MOST = 8 * 1024 * 1024;

/** Whether the host must upload the connection when it is told this reason (chimney-ddi 8.4). */
export function isMandatory(reason: number): boolean {
  return reason <= TcpUploadReason.UPLOAD_REQUESTED;
}

/** Whether no upload may be asked for at the target's own discretion (EVT-023). */
export function isHalfClosed(state: number): boolean {
  return (
    state === TcpConnectionState.FIN_WAIT1 ||
    state === TcpConnectionState.FIN_WAIT2 ||
    state === TcpConnectionState.CLOSE_WAIT
  );
}

/**
 * An upload is to be asked for at the end of the batch. `stopsNow`: nothing more is processed or sent from here on; otherwise
 * what is due is still done first. The first mandatory reason stays.
 */
export function requestUpload(engine: Engine, ctx: TcpContext, reason: number, stopsNow: boolean): void {
  if (ctx.standing >= Standing.ABORTED) return;
  if (ctx.standing === Standing.STOPPED && isMandatory(ctx.reason)) return;
  if (ctx.reason === 0 || isMandatory(reason)) ctx.reason = reason;
  if (stopsNow) stop(ctx);
  engine.mark(ctx, Due.RETRIEVE);
}

/** Not processed as offloaded any more. */
export function stop(ctx: TcpContext): void {
  if (ctx.standing < Standing.STOPPED) ctx.standing = Standing.STOPPED;
}

/** TcpIndicateRetrieve. */
export function raiseRetrieve(engine: Engine, ctx: TcpContext, reason: number): void {
  engine.trace.emit(Event.TARGET_RETRIEVE, engine.runtime.nowUs(), reason);
  raise(engine, ctx, TcpOffloadEventType.INDICATE_RETRIEVE, reason);
}

/** TcpIndicateAbort. */
export function raiseAbort(engine: Engine, ctx: TcpContext): void {
  engine.trace.emit(Event.TARGET_ABORT, engine.runtime.nowUs());
  raise(engine, ctx, TcpOffloadEventType.INDICATE_ABORT, 0);
}

/** TcpIndicateDisconnect. */
export function raiseDisconnect(engine: Indicator, ctx: Pick<TcpContext, 'handle'>): void {
  raise(engine, ctx, TcpOffloadEventType.INDICATE_DISCONNECT, 0);
}

function raise(engine: Indicator, ctx: Pick<TcpContext, 'handle'>, eventType: number, information: number): void {
  engine.hasIndicated = true;
  engine.ndis.tcpOffloadEventHandler(ctx.handle, eventType, information);
}

/** Bytes of sends the host should keep outstanding: room for the window to grow while one round trip is answered (EVT-026). */
export function optimalBacklog(ctx: TcpContext): number {
  const { cWnd, maxSndWnd } = ctx.tcp;
  const most = Math.max(BACKLOG_LEAST, Math.min(BACKLOG_MOST, maxSndWnd));
  return Math.max(BACKLOG_LEAST, Math.min(most, 2 * cWnd));
}

/** TcpIndicateSendBacklogChange where the optimum has changed by enough and long enough ago (EVT-024, EVT-025). */
export function announceBacklog(engine: Engine, ctx: TcpContext, nowUs: number): void {
  const optimum = optimalBacklog(ctx);
  if (optimum < ctx.backlog * BACKLOG_FACTOR && optimum * BACKLOG_FACTOR > ctx.backlog) return;
  const interval = optimum > ctx.backlog ? BACKLOG_GROWTH_INTERVAL_US : BACKLOG_INTERVAL_US;
  if (nowUs - ctx.backlogAtUs < interval) return;
  ctx.backlog = optimum;
  ctx.backlogAtUs = nowUs;
  raise(engine, ctx, TcpOffloadEventType.INDICATE_SEND_BACKLOG_CHANGE, optimum);
}
