/**
 * RACK: what was sent before something that has been delivered, and has not come long after it, is lost.
 *
 * Runs where SACK was agreed on and TcpParameters.rack says so, in place of RFC 6675's counting. While no reordering was seen
 * three SACKed segments still mean loss at once, so fast retransmit is RFC 5681's; with reordering the path gets time, at first
 * a quarter of the least round trip and more with each round in which a retransmission proved needless (D-SACK).
 * What is learned of the path stays in the record's private words; the times are in transmissions.ts. Neither crosses the chimney:
 * after a move everything in flight counts as sent just before it, and the path's reordering is learned again.
 * Source: RFC 8985 section 6, RFC 2883.
 */

import { asSeq, type Seq, seqAtOrBefore, seqBefore, seqDiff } from '../base/seq.ts';
import { TcpConstFlag } from '../state/tcp.ts';
import type { TcpSegment } from '../wire/tcp-segment.ts';
import { senderMss } from './congestion/congestion-control.ts';
import { Moment, PrivateWord, type TcpConnection, TcpMode } from './connection.ts';
import { armDeadline, disarmDeadline } from './deadlines.ts';
import type { TcpParameters } from './parameters.ts';
import { rttMinUs, sRttUs } from './rtt.ts';
import { reportsDuplicate } from './sack-option.ts';
import type { Transmissions } from './transmissions.ts';

/** RACK_FLAGS: reordering was seen; a D-SACK round runs; the last repair was a timeout's; RACK.reo_wnd_mult - 1 and RACK.reo_wnd_persist, eight bits each. */
const REORDERING = 1;
const DSACK_ROUND = 2;
const BY_TIMEOUT = 4;
const MARKS: number = REORDERING | DSACK_ROUND | BY_TIMEOUT;
const MULT_SHIFT = 8;
const PERSIST_SHIFT = 16;
const FIELD = 0xff;
/** RACK.reo_wnd_mult grows up to here; SRTT bounds the window earlier. */
const MULT_MAX = 64;
/** Recoveries without a D-SACK after which the window is small again. RFC 8985 6.2 step 4. */
const PERSIST_RECOVERIES = 16;

/** Whether losses are found by time here. RFC 8985 3: SACK is needed. */
export function hasRack(c: TcpConnection, p: TcpParameters): boolean {
  return p.rack && (c.constFlags & TcpConstFlag.SACK_ENABLED) !== 0;
}

/** The connection's transmissions, from its first segment in flight on. */
export function transmissionsOf(c: TcpConnection, p: TcpParameters): Transmissions {
  if (c.transmissions === null) {
    c.transmissions = p.spares.takeTransmissions();
    c.transmissions.reset(c.sndUna);
  }
  return c.transmissions;
}

/** The path was seen to reorder segments. RACK.reordering_seen. */
export function hasReordering(c: TcpConnection): boolean {
  return (c.words[c.base + PrivateWord.RACK_FLAGS]! & REORDERING) !== 0;
}

/** By how many quarters of the least round trip late segments are waited for. RACK.reo_wnd_mult. */
export function reorderingMultiple(c: TcpConnection): number {
  return ((c.words[c.base + PrivateWord.RACK_FLAGS]! >> MULT_SHIFT) & FIELD) + 1;
}

/** An ACK up to `ack` is about to be taken in: what it delivers cumulatively, run by run. Before the scoreboard is told. */
export function beginAck(c: TcpConnection, transmissions: Transmissions, ack: Seq, nowUs: number): void {
  const { scoreboard } = c;
  transmissions.beginAck(nowUs, rttMinUs(c), scoreboard === null ? c.sndUna : scoreboard.highSacked(c.sndUna));
  let from = c.sndUna;
  while (seqBefore(from, ack)) {
    if (scoreboard !== null) from = scoreboard.skipSacked(from);
    if (!seqBefore(from, ack)) return;
    const end = scoreboard === null ? ack : scoreboard.nextSackedAfter(from, ack);
    transmissions.delivered(from, end);
    from = end;
  }
}

/** After an ACK was taken in: what it tells of the path. RFC 8985 6.2 steps 3 and 4. */
export function learnReordering(c: TcpConnection, seg: TcpSegment): void {
  const at = c.base + PrivateWord.RACK_FLAGS;
  if (c.transmissions?.hasReordering) c.words[at]! |= REORDERING;
  const isNeedless = seg.sackCount > 0 && isOurDuplicate(c, seg);
  let flags = c.words[at]!;
  const round = c.base + PrivateWord.RACK_DSACK_ROUND;
  if ((flags & DSACK_ROUND) !== 0 && seqAtOrBefore(asSeq(c.words[round]!), c.sndUna)) flags &= ~DSACK_ROUND;
  if (isNeedless && (flags & DSACK_ROUND) === 0) {
    const mult = Math.min(MULT_MAX, ((flags >> MULT_SHIFT) & FIELD) + 1);
    flags = (flags & MARKS) | DSACK_ROUND | (mult << MULT_SHIFT);
    flags |= PERSIST_RECOVERIES << PERSIST_SHIFT;
    c.words[round] = c.sndMax;
  }
  c.words[at] = flags;
}

/**
 * A needless retransmission of ours, not of the network's making. Where recovery made it, the first transmission was only late:
 * the path reorders, and by more than DupThresh, or it would have been seen before.
 */
function isOurDuplicate(c: TcpConnection, seg: TcpSegment): boolean {
  if (c.retransmittedSegments === 0 || !reportsDuplicate(seg)) return false;
  const isProbe = c.hasMode(TcpMode.TLP_RESENT) && seg.sackEdges[1] === c.words[c.base + PrivateWord.TLP_END];
  if (isProbe) return false;
  const at = c.base + PrivateWord.RACK_FLAGS;
  if ((c.words[at]! & BY_TIMEOUT) === 0) c.words[at]! |= REORDERING;
  return true;
}

/** What is sent again from now on is so because of a timeout, or because of losses that were found. */
export function noteRepair(c: TcpConnection, isByTimeout: boolean): void {
  const at = c.base + PrivateWord.RACK_FLAGS;
  if (isByTimeout) c.words[at]! |= BY_TIMEOUT;
  else c.words[at]! &= ~BY_TIMEOUT;
}

/** A recovery has ended without news of needless retransmissions: one less to remember them for. */
export function onRecoveryEnd(c: TcpConnection): void {
  const at = c.base + PrivateWord.RACK_FLAGS;
  const flags = c.words[at]!;
  const persist = (flags >> PERSIST_SHIFT) & FIELD;
  if (persist === 0) return;
  if (persist === 1) c.words[at] = flags & MARKS;
  else c.words[at] = flags - (1 << PERSIST_SHIFT);
}

/** How long something may come after what was sent later, microseconds. RACK_update_reo_wnd, RFC 8985 6.2 step 4. */
export function reorderingWindowUs(c: TcpConnection, p: TcpParameters): number {
  if (!hasReordering(c)) {
    if (c.hasMode(TcpMode.IN_RECOVERY | TcpMode.AFTER_TIMEOUT)) return 0;
    if (hasDupThresh(c, p)) return 0;
  }
  const sRtt = sRttUs(c);
  const least = rttMinUs(c) > 0 ? rttMinUs(c) : sRtt;
  return Math.min((reorderingMultiple(c) * least) / 4, sRtt);
}

/** Whether as many segments were SACKed as are taken for a loss where nothing is reordered. RFC 5681 3.2, RFC 6675 4. */
function hasDupThresh(c: TcpConnection, p: TcpParameters): boolean {
  if (c.dupAckCount >= p.duplicateAckThreshold) return true;
  const { scoreboard } = c;
  if (scoreboard === null) return false;
  if (scoreboard.rangeCount >= p.duplicateAckThreshold) return true;
  return scoreboard.sackedBytes > (p.duplicateAckThreshold - 1) * senderMss(c);
}

/** Marks what is lost, and arms or stops the reordering timer. True: something waits to be sent again. */
export function detectLoss(c: TcpConnection, p: TcpParameters, transmissions: Transmissions, nowUs: number): boolean {
  const waitUs = transmissions.detectLoss(c.scoreboard, reorderingWindowUs(c, p), nowUs);
  if (waitUs > 0) {
    c.setMode(TcpMode.REORDER_WAIT);
    armDeadline(c, Moment.LOSS, nowUs, waitUs);
  } else if (c.hasMode(TcpMode.REORDER_WAIT)) {
    c.clearMode(TcpMode.REORDER_WAIT);
    disarmDeadline(c, Moment.LOSS);
  }
  return transmissions.nextLost(c.sndUna, c.scoreboard, senderMss(c));
}

/** Bytes thought to be in the network: sent, not SACKed and not lost, and what was sent again. RFC 9937 6.2, RFC 8985 9.3. */
export function inFlight(c: TcpConnection, transmissions: Transmissions): number {
  const { scoreboard } = c;
  const edge = transmissions.lostEdge;
  const lost = seqDiff(edge, c.sndUna) - (scoreboard === null ? 0 : scoreboard.sackedWithin(c.sndUna, edge));
  const sacked = scoreboard === null ? 0 : scoreboard.sackedBytes;
  return seqDiff(c.sndMax, c.sndUna) - sacked - lost + transmissions.resentBytes;
}
