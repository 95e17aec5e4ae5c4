/**
 * The peer's window: taking it from segments, and the persist procedure while it is closed.
 *
 * While SND.WND is 0 the one retransmission timer is the persist timer (chimney-sequences 22): a round begins with the timer at
 * RTO << round; then probes go out at RTO << Count, Count rising, until a zero-window ACK ends the round or the window opens.
 * Sources: RFC 9293 3.8.6, 3.10.7.4 (SND.WL1, SND.WL2), TCP-037 to TCP-049.
 */

import { type Seq, seqAdd, seqBefore, seqDiff } from '../base/seq.ts';
import type { TcpSegment } from '../wire/tcp-segment.ts';
import { Moment, type TcpConnection, TcpMode } from './connection.ts';
import { armDeadline, disarmDeadline, isArmed } from './deadlines.ts';
import { isFinQueued } from './lifecycle.ts';
import type { TcpParameters } from './parameters.ts';
import { rtoUs } from './rtt.ts';

/** Largest value of the counts that cross the chimney in a UCHAR. */
export const COUNT_MAX = 255;
/** Doublings of a timer beyond which rtoMaxUs rules anyway. */
const SHIFT_MAX = 20;

/** The number behind everything that is to be sent, our FIN included if CLOSE was called. */
export function sendEnd(c: TcpConnection): Seq {
  return seqAdd(c.sndUna, c.queuedBytes + (isFinQueued(c.state) ? 1 : 0));
}

/** Whether anything is unacknowledged or unsent. */
export function hasToSend(c: TcpConnection): boolean {
  return c.queuedBytes > 0 || isFinQueued(c.state);
}

/**
 * Takes the window of a segment whose ACK is not behind SND.UNA, if it is not older than the last taken. RFC 9293 3.10.7.4, and
 * beyond it: an ACK of new data always counts, also in a retransmission of the peer with its old sequence number. Otherwise
 * SND.UNA would move without SND.WND, and with it the right edge, beyond what was ever offered.
 */
export function updateSendWindow(c: TcpConnection, seg: TcpSegment): void {
  const isNewer =
    seqBefore(c.sndUna, seg.ack) ||
    seqBefore(c.sndWl1, seg.seq) ||
    (c.sndWl1 === seg.seq && !seqBefore(seg.ack, c.sndWl2));
  if (!isNewer) return;
  c.sndWnd = seg.window << c.sndWindScale;
  c.sndWl1 = seg.seq;
  c.sndWl2 = seg.ack;
  if (c.sndWnd > c.maxSndWnd) c.maxSndWnd = c.sndWnd;
}

/** RTO << doublings, within its bounds. */
export function shiftedRtoUs(c: TcpConnection, p: TcpParameters, doublings: number): number {
  const us = rtoUs(c, p) * (1 << Math.min(doublings, SHIFT_MAX));
  return us < p.rtoMaxUs ? us : p.rtoMaxUs;
}

/** The window is closed and there is something to send: the persist timer runs. TCP-039. */
export function startPersist(c: TcpConnection, p: TcpParameters, nowUs: number): void {
  c.sndWndProbeCount = 0;
  c.retransmitCount = 0;
  c.moments[c.momentBase + Moment.RETRANSMIT_SINCE] = nowUs;
  armDeadline(c, Moment.RETRANSMIT, nowUs, shiftedRtoUs(c, p, 0));
}

/** Starts the persist timer if the window is closed, something waits, and no timer runs that would send it. */
export function startPersistIfNeeded(c: TcpConnection, p: TcpParameters, nowUs: number): void {
  if (c.sndWnd === 0 && hasToSend(c) && !isArmed(c, Moment.RETRANSMIT)) startPersist(c, p, nowUs);
}

/** After a segment with ACK, while the window is closed: `wasOpen` until now, or closed already. TCP-039, TCP-042. */
export function onZeroWindow(c: TcpConnection, p: TcpParameters, wasOpen: boolean, nowUs: number): void {
  if (!hasToSend(c)) {
    disarmDeadline(c, Moment.RETRANSMIT);
    return;
  }
  if (wasOpen || !isArmed(c, Moment.RETRANSMIT)) {
    startPersist(c, p, nowUs);
    return;
  }
  // Only an answer to a probe ends the round; any other segment with a closed window says nothing new.
  if (c.retransmitCount === 0) return;
  if (c.sndWndProbeCount < COUNT_MAX) c.sndWndProbeCount++;
  c.retransmitCount = 0;
  c.moments[c.momentBase + Moment.RETRANSMIT_SINCE] = nowUs;
  armDeadline(c, Moment.RETRANSMIT, nowUs, shiftedRtoUs(c, p, c.sndWndProbeCount));
}

/** The window has opened: the persist procedure ends; what was probed with is sent again from SND.NXT on. TCP-044. */
export function onWindowOpened(c: TcpConnection, p: TcpParameters, nowUs: number): void {
  c.sndWndProbeCount = 0;
  c.retransmitCount = 0;
  c.clearMode(TcpMode.PROBE_DUE);
  restartRetransmit(c, p, nowUs);
}

/** Restarts the retransmission timer if anything is unacknowledged, else stops it. RFC 6298 5.2, 5.3. */
export function restartRetransmit(c: TcpConnection, p: TcpParameters, nowUs: number): void {
  if (seqDiff(c.sndMax, c.sndUna) === 0) {
    disarmDeadline(c, Moment.RETRANSMIT);
    return;
  }
  c.moments[c.momentBase + Moment.RETRANSMIT_SINCE] = nowUs;
  armDeadline(c, Moment.RETRANSMIT, nowUs, rtoUs(c, p));
}
