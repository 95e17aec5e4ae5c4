/**
 * The timestamp clock of a connection, TS.Recent and PAWS.
 *
 * The clock runs at the DDI's tick and is the runner's clock plus the connection's delta, so that it goes on without a step
 * backwards when the connection moves (chimney-sequences 23, TCP-059 to 071). Source: RFC 7323 sections 4 and 5.
 */

import { seqAtOrBefore } from '../base/seq.ts';
import type { TcpSegment } from '../wire/tcp-segment.ts';
import { Moment, type TcpConnection } from './connection.ts';
import type { TcpParameters } from './parameters.ts';

/** TS.Recent is not believed after 24 days without a segment. RFC 7323 5.5. */
const TS_RECENT_VALID_US: number = 24 * 24 * 3600 * 1_000_000;

/** The clock of whoever runs the connection, ticks modulo 2^32. StackTime, NicTime. */
export function clockTicks(p: TcpParameters, nowUs: number): number {
  // Ticks since the clock's zero exceed 2^32 in time; ToInt32 is modulo 2^32 for any of them.
  return (nowUs / (1_000_000 / p.ticksPerSecond)) | 0;
}

/** TSval for a segment sent now. TCP-061, TCP-065. */
export function timestampNow(c: TcpConnection, p: TcpParameters, nowUs: number): number {
  return (clockTicks(p, nowUs) + c.tsDelta) | 0;
}

/** PAWS, test R1: whether the segment is older than what TS.Recent says has come. RFC 7323 5.3, 5.5. */
export function isOldTimestamp(c: TcpConnection, seg: TcpSegment, nowUs: number): boolean {
  if (((seg.tsVal - c.tsRecent) | 0) >= 0) return false;
  return nowUs - c.moments[c.momentBase + Moment.TS_RECENT_AT]! < TS_RECENT_VALID_US;
}

/** R3: an acceptable segment at or before the last ACK sent brings TS.Recent forward, which never goes back. RFC 7323 4.3. */
export function updateTsRecent(c: TcpConnection, seg: TcpSegment, nowUs: number): void {
  if (!seqAtOrBefore(seg.seq, c.lastAckSent)) return;
  // A value from before TS.Recent got this far only because TS.Recent has become invalid by age: it stands for itself (5.5).
  setTsRecent(c, seg.tsVal, nowUs);
}

export function setTsRecent(c: TcpConnection, tsVal: number, nowUs: number): void {
  c.tsRecent = tsVal | 0;
  c.moments[c.momentBase + Moment.TS_RECENT_AT] = nowUs;
}
