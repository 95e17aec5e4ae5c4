/**
 * Which text (or FIN) to send next: retransmissions, window probes, recovery, new data with Nagle and silly-window avoidance.
 *
 * Numbers run from SND.UNA over the queued text to our FIN behind it; a run [seq, seq + length) may include the FIN. Everything
 * sent goes through {@link send}, which keeps SND.NXT, SND.MAX, the timers and the counts.
 * Sources: RFC 9293 3.8.6.2.1, RFC 1122 4.2.3.4, RFC 5681 4.1, RFC 3042, RFC 6675 5, TCP-040, TCP-055, TCP-056.
 */

import { type Seq, seqAdd, seqBefore, seqDiff, seqMin } from '../base/seq.ts';
import { TcpCachedFlag } from '../state/tcp.ts';
import { TcpFlag, type TcpSegment } from '../wire/tcp-segment.ts';
import { initialWindowBytes, senderMss } from './congestion/congestion-control.ts';
import { congestionOf } from './congestion/named.ts';
import { Moment, type TcpConnection, TcpMode } from './connection.ts';
import { armDeadline, disarmDeadline, isArmed } from './deadlines.ts';
import { isHeld, markNew } from './ecn.ts';
import { fillHeader, optionBytes } from './header.ts';
import { isFinQueued } from './lifecycle.ts';
import type { TcpParameters } from './parameters.ts';
import { allowedBytes, isReducing, onReducedSend } from './proportional-rate.ts';
import { hasRack, inFlight, transmissionsOf } from './rack.ts';
import { rtoUs, startTiming, stopTiming } from './rtt.ts';
import { NextSeg, type SackScoreboard } from './scoreboard.ts';
import { sendEnd, startPersistIfNeeded } from './send-window.ts';
import { onProbeSent } from './tail-loss-probe.ts';
import type { Transmissions } from './transmissions.ts';

/** Segments that limited transmit may send beyond the congestion window. RFC 3042 2. */
const LIMITED_TRANSMIT = 2;

/** The next segment with text or FIN, if any may be sent now. There is something unacknowledged or unsent. */
export function nextText(c: TcpConnection, p: TcpParameters, out: TcpSegment, nowUs: number, maxText: number): boolean {
  if (c.sndWnd === 0) return nextProbe(c, p, out, nowUs);
  const mss = Math.max(1, c.effectiveMss - optionBytes(c));
  if (c.hasMode(TcpMode.RETRANSMIT_DUE)) {
    c.clearMode(TcpMode.RETRANSMIT_DUE);
    if (resendFirst(c, p, out, mss, nowUs)) return true;
  }
  if (seqBefore(c.sndNxt, c.sndMax)) return resendNext(c, p, out, mss, nowUs);
  const { transmissions } = c;
  if (transmissions !== null) {
    if (c.hasMode(TcpMode.IN_RECOVERY)) return nextByTime(c, p, transmissions, out, mss, nowUs, maxText);
    if (c.hasMode(TcpMode.TLP_DUE) && sendProbe(c, p, out, mss, nowUs)) return true;
  } else if (c.scoreboard !== null && c.hasMode(TcpMode.IN_RECOVERY)) {
    return nextInRecovery(c, p, c.scoreboard, out, mss, nowUs, maxText);
  }
  if (c.sndNxt === sendEnd(c)) {
    c.clearMode(TcpMode.CWND_LIMITED | TcpMode.SWS_OVERRIDE);
    return false;
  }
  if (isHeld(c)) return false;
  if (c.sndMax === c.sndUna) restartAfterIdle(c, p, nowUs);
  return nextNew(c, p, out, mss, congestionRoom(c), nowUs, maxText);
}

/** While the window is closed: one octet when the persist procedure says so. RFC 9293 3.8.6.1. */
function nextProbe(c: TcpConnection, p: TcpParameters, out: TcpSegment, nowUs: number): boolean {
  startPersistIfNeeded(c, p, nowUs);
  if (!c.hasMode(TcpMode.PROBE_DUE)) return false;
  c.clearMode(TcpMode.PROBE_DUE);
  send(c, p, out, c.sndUna, 1, nowUs);
  // The peer has no room for it: it is sent again when the window opens.
  c.sndNxt = c.sndUna;
  return true;
}

/** RFC 5681 4.1: after a pause longer than the RTO the old window says nothing about the path. */
function restartAfterIdle(c: TcpConnection, p: TcpParameters, nowUs: number): void {
  if (nowUs - c.moments[c.momentBase + Moment.LAST_SENT]! <= rtoUs(c, p)) return;
  congestionOf(c, p).onRestart(c, initialWindowBytes(c, p.initialWindowSegments));
}

/** Bytes the congestion window leaves beyond SND.NXT, outside recovery with SACK. */
function congestionRoom(c: TcpConnection): number {
  let window = c.cWnd;
  if (c.dupAckCount > 0 && !c.hasMode(TcpMode.IN_RECOVERY | TcpMode.AFTER_TIMEOUT)) {
    // Where losses are found by time, what the peer holds has left the network, however long it takes to tell whether more is lost.
    if (c.transmissions !== null) window += c.scoreboard === null ? 0 : c.scoreboard.sackedBytes;
    else window += Math.min(c.dupAckCount, LIMITED_TRANSMIT) * senderMss(c);
  }
  return window - seqDiff(c.sndNxt, c.sndUna);
}

/** Bytes the peer's window leaves beyond `seq`; negative when it has shrunk. MUST-34. */
function windowRoom(c: TcpConnection, seq: Seq): number {
  return c.sndWnd - seqDiff(seq, c.sndUna);
}

/** The segment at SND.UNA once more: fast retransmit, or NewReno's answer to a partial ACK. */
function resendFirst(c: TcpConnection, p: TcpParameters, out: TcpSegment, mss: number, nowUs: number): boolean {
  let length = Math.min(mss, seqDiff(c.sndMax, c.sndUna), c.sndWnd);
  const scoreboard = c.scoreboard;
  if (scoreboard !== null && scoreboard.rangeCount > 0) {
    length = Math.min(length, seqDiff(scoreboard.rangeLeft(0), c.sndUna));
  }
  if (length <= 0) return false;
  const nxt = c.sndNxt;
  send(c, p, out, c.sndUna, length, nowUs);
  c.sndNxt = nxt;
  scoreboard?.onRetransmitted(seqAdd(c.sndUna, length));
  return true;
}

/**
 * After a timeout, from SND.NXT on, over what the peer has reported since. The congestion window counts what was sent again
 * since the timeout; unsent data may fill up the last segment.
 */
function resendNext(c: TcpConnection, p: TcpParameters, out: TcpSegment, mss: number, nowUs: number): boolean {
  const scoreboard = c.scoreboard;
  let gap = seqDiff(sendEnd(c), c.sndNxt);
  let sacked = 0;
  if (scoreboard !== null && !scoreboard.isEmpty) {
    sacked = skipSacked(c, scoreboard);
    gap = seqDiff(nextSackedLeft(c, scoreboard), c.sndNxt);
  }
  const wanted = Math.min(gap, mss);
  const room = windowRoom(c, c.sndNxt);
  if (wanted <= 0 || room <= 0) return false;
  const inFlight = seqDiff(c.sndNxt, c.sndUna) - sacked;
  if (inFlight > 0 && c.cWnd - inFlight < wanted) {
    c.setMode(TcpMode.CWND_LIMITED);
    return false;
  }
  send(c, p, out, c.sndNxt, Math.min(wanted, room), nowUs);
  return true;
}

/** Moves SND.NXT over SACKed runs; answers how many SACKed bytes lie before it then. */
function skipSacked(c: TcpConnection, scoreboard: SackScoreboard): number {
  let bytes = 0;
  for (let i = 0; i < scoreboard.rangeCount; i++) {
    const left = scoreboard.rangeLeft(i);
    if (seqBefore(c.sndNxt, left)) break;
    const right = scoreboard.rangeRight(i);
    if (seqBefore(c.sndNxt, right)) c.sndNxt = right;
    bytes += seqDiff(right, left);
  }
  return bytes;
}

/** Where the first SACKed run beyond SND.NXT begins; SND.MAX, before which no unsent data is added then, if there is none. */
function nextSackedLeft(c: TcpConnection, scoreboard: SackScoreboard): Seq {
  for (let i = 0; i < scoreboard.rangeCount; i++) {
    const left = scoreboard.rangeLeft(i);
    if (seqBefore(c.sndNxt, left)) return left;
  }
  return c.sndMax;
}

/** RFC 6675 5 (C): while cwnd - pipe is at least one SMSS. */
function nextInRecovery(
  c: TcpConnection,
  p: TcpParameters,
  scoreboard: SackScoreboard,
  out: TcpSegment,
  mss: number,
  nowUs: number,
  maxText: number,
): boolean {
  scoreboard.setThresholds(p.duplicateAckThreshold, senderMss(c));
  const room = c.cWnd - scoreboard.pipe(c.sndUna, c.sndMax);
  if (room < senderMss(c)) {
    c.setMode(TcpMode.CWND_LIMITED);
    return false;
  }
  const hasNew = c.sndMax !== sendEnd(c) && windowRoom(c, c.sndMax) > 0;
  const found = scoreboard.nextSeg(c.sndUna, c.sndMax, c.recover, hasNew, mss);
  if (found === NextSeg.NONE) return false;
  if (found === NextSeg.NEW) {
    if (nextNew(c, p, out, mss, room, nowUs, maxText)) return true;
    // Unsent data that Nagle or the silly-window rules hold back must not hide what rules 3 and 4 would repair.
    const other = scoreboard.nextSeg(c.sndUna, c.sndMax, c.recover, false, mss);
    return other !== NextSeg.NONE && resendHole(c, p, scoreboard, out, other, mss, nowUs);
  }
  return resendHole(c, p, scoreboard, out, found, mss, nowUs);
}

/** In recovery where losses are found by time: what is lost, lowest first, then new data, as PRR allows. RFC 8985 9.3, RFC 9937 6. */
function nextByTime(
  c: TcpConnection,
  p: TcpParameters,
  transmissions: Transmissions,
  out: TcpSegment,
  mss: number,
  nowUs: number,
  maxText: number,
): boolean {
  const room = p.proportionalRate && isReducing(c) ? allowedBytes(c) : c.cWnd - inFlight(c, transmissions);
  if (transmissions.hasRoom && transmissions.nextLost(c.sndUna, c.scoreboard, mss)) {
    const { nextLeft } = transmissions;
    const length = Math.min(transmissions.nextLength, windowRoom(c, nextLeft));
    if (length <= 0 || room < length) {
      c.setMode(TcpMode.CWND_LIMITED);
      return false;
    }
    const nxt = c.sndNxt;
    send(c, p, out, nextLeft, length, nowUs);
    c.sndNxt = nxt;
    // What stands in the way of everything else has a whole timeout to arrive. RFC 6675 6.
    if (nextLeft === c.sndUna) armDeadline(c, Moment.RETRANSMIT, nowUs, rtoUs(c, p));
  } else {
    if (c.sndNxt === sendEnd(c)) return false;
    if (room < mss) {
      c.setMode(TcpMode.CWND_LIMITED);
      return false;
    }
    if (!nextNew(c, p, out, mss, room, nowUs, maxText)) return false;
  }
  onReducedSend(c, out.textLength);
  return true;
}

/** The tail loss probe: a segment of new data if there is any and the peer has room, whatever congestion control says; else the last. */
function sendProbe(c: TcpConnection, p: TcpParameters, out: TcpSegment, mss: number, nowUs: number): boolean {
  c.clearMode(TcpMode.TLP_DUE);
  const flight = seqDiff(c.sndMax, c.sndUna);
  if (flight === 0) return false;
  const fresh = Math.min(mss, c.queuedBytes - flight, windowRoom(c, c.sndMax));
  if (fresh > 0) send(c, p, out, c.sndMax, fresh, nowUs);
  else {
    const length = Math.min(mss, flight);
    send(c, p, out, seqAdd(c.sndMax, -length), length, nowUs);
  }
  onProbeSent(c, fresh <= 0);
  // RFC 8985 7.3: the retransmission timer starts anew, and the probe timeout does not.
  armDeadline(c, Moment.RETRANSMIT, nowUs, rtoUs(c, p));
  disarmDeadline(c, Moment.LOSS);
  return true;
}

function resendHole(
  c: TcpConnection,
  p: TcpParameters,
  scoreboard: SackScoreboard,
  out: TcpSegment,
  found: NextSeg,
  mss: number,
  nowUs: number,
): boolean {
  const seq = scoreboard.nextLeft;
  const length = Math.min(scoreboard.nextLength, mss);
  const nxt = c.sndNxt;
  send(c, p, out, seq, length, nowUs);
  c.sndNxt = nxt;
  if (found === NextSeg.RESCUE) scoreboard.onRescued(c.recover);
  else scoreboard.onRetransmitted(seqAdd(seq, length));
  return true;
}

/** Unsent text, then FIN, as far as the windows allow and it is worth a segment. `room`: what congestion control leaves. */
function nextNew(
  c: TcpConnection,
  p: TcpParameters,
  out: TcpSegment,
  mss: number,
  room: number,
  nowUs: number,
  maxText: number,
): boolean {
  const offset = seqDiff(c.sndNxt, c.sndUna);
  const unsent = c.queuedBytes - offset;
  const window = windowRoom(c, c.sndNxt);
  const isFinNext = isFinQueued(c.state);
  if (window <= 0) {
    c.clearMode(TcpMode.CWND_LIMITED);
    return false;
  }
  if (unsent === 0) {
    send(c, p, out, c.sndNxt, 1, nowUs); // FIN alone
    return true;
  }
  const usable = Math.min(unsent, window);
  const isHeldByCongestion = room < usable;
  if (isHeldByCongestion) c.setMode(TcpMode.CWND_LIMITED);
  else c.clearMode(TcpMode.CWND_LIMITED);
  // CWR goes in a segment by itself: no device has to know which piece of a super-segment bears it.
  const most = maxText > mss && !c.hasMode(TcpMode.CWR_DUE) ? maxText - (maxText % mss) : mss;
  let length = Math.min(usable, most);
  if (isHeldByCongestion) {
    // What is held back by congestion goes in full segments when ACKs come.
    length = Math.min(length, room - (room % mss));
    if (length <= 0) return false;
  }
  if (length >= mss) length = wholeSegments(c, length, unsent, mss, isFinNext);
  else if (!isWorthSending(c, p, offset, length, unsent, isFinNext, nowUs)) return false;
  c.clearMode(TcpMode.SWS_OVERRIDE);
  disarmDeadline(c, Moment.SWS);
  const hasFin = isFinNext && length === unsent && length < window;
  send(c, p, out, c.sndNxt, hasFin ? length + 1 : length, nowUs);
  return true;
}

function isNagling(c: TcpConnection): boolean {
  return (c.cachedFlags & TcpCachedFlag.NAGLING_ENABLED) !== 0;
}

/** Of a run of at least one full segment: all, or without a partial last one that has to wait. */
function wholeSegments(c: TcpConnection, length: number, unsent: number, mss: number, isFinNext: boolean): number {
  const partial = length % mss;
  if (partial === 0) return length;
  // The end of the data may go along unless Nagle makes it wait for the ACK of what is before it.
  if (length === unsent && (isFinNext || !isNagling(c))) return length;
  return length - partial;
}

/**
 * Whether less than a full segment may be sent: RFC 9293 3.8.6.2.1 (2) to (4) with Nagle's condition; TCP-055. What waits for
 * the window arms the override timer; what waits for an ACK does not need it.
 */
function isWorthSending(
  c: TcpConnection,
  p: TcpParameters,
  offset: number,
  length: number,
  unsent: number,
  isFinNext: boolean,
  nowUs: number,
): boolean {
  if (c.hasMode(TcpMode.SWS_OVERRIDE) || (isFinNext && length === unsent)) return true;
  const isIdle = c.sndMax === c.sndUna;
  if (isIdle || !isNagling(c)) {
    // (2) up to a boundary of what the user sent, (3) a large part of the largest window.
    if (length === unsent || c.sendQueue!.endOfListAfter(offset) <= offset + length) return true;
    if (2 * length >= c.maxSndWnd) return true;
  }
  if (length < unsent && !isArmed(c, Moment.SWS)) armDeadline(c, Moment.SWS, nowUs, p.swsUs);
  return false;
}

/** Fills the segment with [seq, seq + length), FIN included if that reaches over the queued text, and books it as sent. */
function send(c: TcpConnection, p: TcpParameters, out: TcpSegment, seq: Seq, length: number, nowUs: number): void {
  const offset = seqDiff(seq, c.sndUna);
  const queued = c.queuedBytes;
  const end = seqAdd(seq, length);
  const textLength = Math.min(length, queued - offset);
  const isPushed = offset + textLength === queued || isListEnd(c, offset + textLength);
  let flags = textLength > 0 && isPushed ? TcpFlag.PSH : 0;
  if (textLength < length) flags |= TcpFlag.FIN;
  fillHeader(c, p, out, seq, flags, nowUs);
  out.textLength = textLength;
  out.sendOffset = offset;

  if (seqBefore(seq, c.sndMax)) {
    c.retransmittedSegments++;
    stopTiming(c);
    if (hasRack(c, p)) noteResent(c, p, seq, end, nowUs);
  } else {
    startTiming(c, end, nowUs);
    if (c.hasMode(TcpMode.ECN)) markNew(c, out);
    if (hasRack(c, p)) transmissionsOf(c, p).sent(end, nowUs);
  }
  c.sndNxt = end;
  if (seqBefore(c.sndMax, end)) c.sndMax = end;
  c.moments[c.momentBase + Moment.LAST_SENT] = nowUs;
  if (!isArmed(c, Moment.RETRANSMIT)) {
    c.moments[c.momentBase + Moment.RETRANSMIT_SINCE] = nowUs;
    armDeadline(c, Moment.RETRANSMIT, nowUs, rtoUs(c, p));
  }
}

/** When it was sent again; a retransmission may reach into what is new. */
function noteResent(c: TcpConnection, p: TcpParameters, seq: Seq, end: Seq, nowUs: number): void {
  const transmissions = transmissionsOf(c, p);
  if (transmissions.hasRoom) transmissions.resent(seq, seqMin(end, c.sndMax), nowUs);
  if (seqBefore(c.sndMax, end)) transmissions.sent(end, nowUs);
}

/** Whether a list ends at `offset`, so that PSH belongs there (SEND-014). */
function isListEnd(c: TcpConnection, offset: number): boolean {
  return offset > 0 && c.sendQueue !== null && c.sendQueue.endOfListAfter(offset - 1) === offset;
}
