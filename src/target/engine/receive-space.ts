/**
 * How much can be received: the room for a segment's text, and the window that follows from what the host has taken.
 *
 * Source: chimney-sequences 13 (receive window), RECV-089 to RECV-091.
 */

import { setReceiveSpace } from '../../tcp/receive-window.ts';
import { Due, Standing, type TcpContext } from './contexts.ts';
import { applyEffects } from './effects.ts';
import type { Engine } from './engine.ts';

/** Whether there is room for `bytes` more bytes of a connection, in its requests and in the pool. */
export function hasRoom(engine: Engine, ctx: TcpContext, bytes: number): boolean {
  return bytes <= engine.pool.freeBytes + (ctx.buffered.length === 0 ? ctx.requestedBytes : 0);
}

/** Tells the engine how much can be buffered now: what InitialRcvWnd and the pool allow, less what is not taken. */
export function updateReceiveSpace(engine: Engine, ctx: TcpContext, nowUs: number): void {
  const wanted = ctx.tcp.initialRcvWnd - ctx.buffered.length - ctx.unreadBytes;
  const there = engine.pool.freeBytes + ctx.requestedBytes;
  if (there < wanted && !ctx.isStarved) {
    ctx.isStarved = true;
    engine.starved.push(ctx);
  }
  const space = Math.max(0, wanted < there ? wanted : there);
  applyEffects(engine, ctx, setReceiveSpace(ctx.tcp, engine.parameters, space, nowUs), nowUs);
}

/** Memory came back: windows that the pool held down may open again. */
export function feedStarved(engine: Engine): void {
  if (engine.starved.length === 0) return;
  const starved = engine.starved;
  engine.starved = [];
  for (const ctx of starved) {
    ctx.isStarved = false;
    if (ctx.standing === Standing.NORMAL) engine.markSoon(ctx, Due.DELIVER);
  }
}
