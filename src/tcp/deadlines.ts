/**
 * Deadlines of a connection: moments on the runtime's clock, NEVER when not armed.
 *
 * The soonest is kept beside them and only ever pulled forward by arming; moving a deadline back or disarming it leaves the old
 * soonest in place, so the connection may be woken too early, never too late, and the commonest change of all (an ACK pushes
 * the retransmission timer back) is one store. `onDeadline` puts the exact value right again.
 */

import { NEVER } from '../base/runtime.ts';
import { DEADLINES, Moment, type TcpConnection } from './connection.ts';

/** When `onDeadline` wants to be called, microseconds, or NEVER. May be earlier than anything is due. */
export function soonestDeadline(c: TcpConnection): number {
  return c.moments[c.momentBase + Moment.SOONEST]!;
}

/** Arms or moves a deadline (one of {@link Moment} below DEADLINES) to `delayUs` from now. */
export function armDeadline(c: TcpConnection, which: number, nowUs: number, delayUs: number): void {
  const atUs = nowUs + delayUs;
  c.moments[c.momentBase + which] = atUs;
  if (atUs < c.moments[c.momentBase + Moment.SOONEST]!) c.moments[c.momentBase + Moment.SOONEST] = atUs;
}

export function disarmDeadline(c: TcpConnection, which: number): void {
  c.moments[c.momentBase + which] = NEVER;
}

export function isArmed(c: TcpConnection, which: number): boolean {
  return c.moments[c.momentBase + which]! !== NEVER;
}

export function isDue(c: TcpConnection, which: number, nowUs: number): boolean {
  return c.moments[c.momentBase + which]! <= nowUs;
}

export function disarmAll(c: TcpConnection): void {
  for (let i = 0; i < DEADLINES; i++) c.moments[c.momentBase + i] = NEVER;
  c.moments[c.momentBase + Moment.SOONEST] = NEVER;
}

/** Finds the soonest anew. */
export function recomputeSoonest(c: TcpConnection): void {
  let soonest = NEVER;
  for (let i = 0; i < DEADLINES; i++) {
    const atUs = c.moments[c.momentBase + i]!;
    if (atUs < soonest) soonest = atUs;
  }
  c.moments[c.momentBase + Moment.SOONEST] = soonest;
}
