/**
 * Loss recovery: duplicate ACKs, fast retransmit, SACK or NewReno recovery, and what a retransmission timeout begins.
 *
 * The engine finds losses and says when recovery begins and ends; the windows are the congestion control's, the scoreboard
 * says what the peer holds. One rule for both kinds: nothing begins again before `recover` is acknowledged.
 * A timeout that was in vain is found by the echoed timestamp (Eifel) and taken back.
 * Sources: RFC 5681 3.2, RFC 6582, RFC 6675 5, RFC 3042, RFC 6298 5.4 to 5.6, RFC 2018 8, RFC 3522, RFC 4015.
 */

import { type Seq, seqAdd, seqBefore, seqDiff } from '../base/seq.ts';
import { TcpConstFlag } from '../state/tcp.ts';
import { TcpFlag, type TcpSegment } from '../wire/tcp-segment.ts';
import { initialWindowBytes, senderMss } from './congestion/congestion-control.ts';
import { congestionOf } from './congestion/named.ts';
import { Moment, type TcpConnection, TcpMode } from './connection.ts';
import { disarmDeadline } from './deadlines.ts';
import { isEcho, noteReduction } from './ecn.ts';
import { Effect, type Effects } from './effects.ts';
import { releaseScoreboard } from './lifecycle.ts';
import type { TcpParameters } from './parameters.ts';
import { beginReduction, reduce } from './proportional-rate.ts';
import { beginAck, detectLoss, inFlight, learnReordering, noteRepair, onRecoveryEnd } from './rack.ts';
import { backOffCount, echoedRttUs, endBackOff, onLateSample } from './rtt.ts';
import { COUNT_MAX } from './send-window.ts';
import { forgetProbe, onAckOfProbe, scheduleProbe } from './tail-loss-probe.ts';
import { timestampNow } from './timestamps.ts';
import type { Transmissions } from './transmissions.ts';

/** Takes in the SACK blocks of a segment; answers how many bytes they newly reported. RFC 6675 5: Update() on every ACK. */
export function takeSack(c: TcpConnection, p: TcpParameters, seg: TcpSegment, una: Seq, nowUs: number): number {
  const { transmissions } = c;
  if (transmissions !== null) {
    transmissions.isRepairing = isRepairing(c, transmissions, seg);
    if (transmissions.isRepairing) beginAck(c, transmissions, una, nowUs);
  }
  if (seg.sackCount === 0 || !c.hasOption(TcpConstFlag.SACK_ENABLED)) return 0;
  if (c.scoreboard === null) {
    // Nothing in flight: nothing that a block could rightly report.
    if (c.sndMax === una) return 0;
    c.scoreboard = p.spares.takeScoreboard();
    // A recovery may have begun before, where the connection was then run: nothing is known of what that has sent again.
    c.scoreboard.enterRecovery(una);
  }
  c.scoreboard.setThresholds(p.duplicateAckThreshold, senderMss(c));
  return c.scoreboard.update(seg, una, c.sndMax, transmissions);
}

/** Whether an ACK has to be looked at closely: it reports, or something is known to be missing or was sent again. */
function isRepairing(c: TcpConnection, transmissions: Transmissions, seg: TcpSegment): boolean {
  return seg.sackCount > 0 || c.scoreboard !== null || transmissions.hasResent || c.hasMode(REPAIR);
}

/** Modes in which even a plain ACK may tell of losses. */
const REPAIR: number = TcpMode.IN_RECOVERY | TcpMode.AFTER_TIMEOUT | TcpMode.TLP_OUT;

/**
 * The rest of an ACK where losses are found by time: reordering, the tail loss probe, losses and with them recovery, how much may
 * be sent in it, and the timer. `acked`: bytes by which SND.UNA moved. `isPlain`: see {@link onAckOfProbe}. RFC 8985, RFC 9937.
 */
export function onAckByTime(
  c: TcpConnection,
  p: TcpParameters,
  transmissions: Transmissions | null,
  seg: TcpSegment,
  acked: number,
  isPlain: boolean,
  nowUs: number,
): Effects {
  learnReordering(c, seg);
  if (c.hasMode(TcpMode.TLP_OUT) && onAckOfProbe(c, seg, isPlain) && !c.hasMode(TcpMode.IN_RECOVERY)) {
    // RFC 8985 7.4.2: the flight had a loss, which the probe has repaired already.
    congestionOf(c, p).onLoss(c, Math.min(seqDiff(c.sndMax, c.sndUna), c.cWnd), 0, nowUs);
    noteReduction(c);
  }
  // Nothing is in flight; only what became of the last of it was still of interest.
  if (transmissions === null) return Effect.NONE;
  let effects: Effects = Effect.NONE;
  if (c.sndMax !== c.sndUna && c.sndWnd > 0 && !c.hasMode(TcpMode.AFTER_TIMEOUT)) {
    effects = repair(c, p, transmissions, acked, nowUs);
  }
  // What was repaired may have left a tail, with no timer to look after it.
  if (acked > 0) scheduleProbe(c, p, nowUs);
  return effects;
}

/** The reordering timer has expired. RFC 8985 6.3. */
export function onReorderingTimeout(
  c: TcpConnection,
  p: TcpParameters,
  transmissions: Transmissions,
  nowUs: number,
): Effects {
  if (c.sndMax === c.sndUna || c.sndWnd === 0 || c.hasMode(TcpMode.AFTER_TIMEOUT)) return Effect.NONE;
  transmissions.deliveredBytes = 0;
  return repair(c, p, transmissions, 0, nowUs);
}

function repair(
  c: TcpConnection,
  p: TcpParameters,
  transmissions: Transmissions,
  acked: number,
  nowUs: number,
): Effects {
  const edge = transmissions.lostEdge;
  const resentBytes = transmissions.resentBytes;
  const isMissing = detectLoss(c, p, transmissions, nowUs);
  const isNewLoss = transmissions.lostEdge !== edge || transmissions.resentBytes !== resentBytes;
  if (isMissing && !c.hasMode(TcpMode.IN_RECOVERY)) enterRecovery(c, p, true, nowUs);
  if (!c.hasMode(TcpMode.IN_RECOVERY)) return Effect.NONE;
  const isSafe = acked > 0 && !isNewLoss;
  reduce(c, transmissions.deliveredBytes, inFlight(c, transmissions), isSafe, senderMss(c));
  return Effect.TRANSMIT;
}

/** An ACK for SND.UNA once more. `newlySacked`: bytes; `windowBefore`: SND.WND before this segment. */
export function onSameAck(
  c: TcpConnection,
  p: TcpParameters,
  seg: TcpSegment,
  newlySacked: number,
  windowBefore: number,
  nowUs: number,
): Effects {
  if (c.sndMax === c.sndUna || c.sndWnd === 0) return Effect.NONE;
  const hasSack = c.hasOption(TcpConstFlag.SACK_ENABLED);
  const isDuplicate = hasSack
    ? newlySacked > 0
    : seg.textLength === 0 && (seg.flags & TcpFlag.FIN) === 0 && c.sndWnd === windowBefore;
  if (!isDuplicate) return Effect.NONE;
  if (c.dupAckCount < COUNT_MAX) c.dupAckCount++;

  if (c.hasMode(TcpMode.IN_RECOVERY)) {
    if (!hasSack) congestionOf(c, p).onDuplicateAck(c, seqDiff(c.sndMax, c.sndUna));
    return Effect.TRANSMIT;
  }
  // Where losses are found by time that comes with the rest of the ACK.
  if (c.transmissions !== null) return Effect.TRANSMIT;
  // After a timeout everything is sent again anyway. RFC 6675 5.1.
  if (c.hasMode(TcpMode.AFTER_TIMEOUT)) return Effect.TRANSMIT;
  const isLoss = c.dupAckCount >= p.duplicateAckThreshold || (c.scoreboard?.isLost(c.sndUna) ?? false);
  if (!isLoss) return Effect.TRANSMIT; // limited transmit, RFC 3042
  // RFC 6582 3.2 step 2: duplicates of what a former recovery sent again tell of no new loss.
  if (!hasSack && !seqBefore(c.recover, c.sndUna)) return Effect.NONE;
  enterRecovery(c, p, hasSack, nowUs);
  return Effect.TRANSMIT;
}

/** RFC 6675 5 (4), RFC 5681 3.2 steps 2 and 3. */
function enterRecovery(c: TcpConnection, p: TcpParameters, hasSack: boolean, nowUs: number): void {
  // What limited transmit sent beyond CWND does not count (RFC 5681 3.2 step 2).
  const flight = Math.min(seqDiff(c.sndMax, c.sndUna), c.cWnd);
  congestionOf(c, p).onLoss(c, flight, hasSack ? 0 : p.duplicateAckThreshold, nowUs);
  noteReduction(c);
  c.recover = c.sndMax;
  c.sndNxt = c.sndMax;
  c.scoreboard?.enterRecovery(c.sndUna);
  const { transmissions } = c;
  if (transmissions === null) {
    c.setMode(TcpMode.IN_RECOVERY | TcpMode.RETRANSMIT_DUE);
    return;
  }
  c.setMode(TcpMode.IN_RECOVERY);
  forgetProbe(c);
  noteRepair(c, false);
  const sacked = c.scoreboard === null ? 0 : c.scoreboard.sackedBytes;
  beginReduction(c, seqDiff(c.sndMax, c.sndUna) - sacked + transmissions.deliveredBytes);
  // Without PRR the first retransmission is sent whatever the window says (RFC 5681 3.2 step 3).
  if (!p.proportionalRate && transmissions.nextLeft === c.sndUna) c.setMode(TcpMode.RETRANSMIT_DUE);
}

/**
 * SND.UNA has moved by an ACK for `dataBytes` of text: recovery ends, goes on, or the congestion window grows, unless the ACK echoes
 * a mark (`isMarked`, RFC 3168 6.1.2).
 */
export function onUnaMoved(
  c: TcpConnection,
  p: TcpParameters,
  dataBytes: number,
  isMarked: boolean,
  nowUs: number,
): void {
  const hasSack = c.hasOption(TcpConstFlag.SACK_ENABLED);
  c.dupAckCount = 0;
  c.clearMode(TcpMode.RETRANSMIT_DUE);
  c.transmissions?.acknowledge(c.sndUna);
  if (c.scoreboard !== null && !c.scoreboard.acknowledge(c.sndUna)) onReneged(c);
  const isRecovered = !seqBefore(c.sndUna, c.recover);
  if (c.hasMode(TcpMode.IN_RECOVERY)) {
    if (isRecovered) {
      c.clearMode(TcpMode.IN_RECOVERY);
      if (c.transmissions !== null) onRecoveryEnd(c);
      congestionOf(c, p).onRecovered(c, seqDiff(c.sndMax, c.sndUna), hasSack, nowUs);
    } else if (!hasSack) {
      congestionOf(c, p).onPartialAck(c, dataBytes);
      c.setMode(TcpMode.RETRANSMIT_DUE);
    }
  } else {
    if (isRecovered && c.hasMode(TcpMode.AFTER_TIMEOUT)) {
      c.clearMode(TcpMode.AFTER_TIMEOUT);
      if (c.transmissions !== null) onRecoveryEnd(c);
    }
    // Data first sent after the timeout was acknowledged, so the path carries what is sent once. RFC 6298 5, last note.
    if (seqBefore(c.recover, c.sndUna) && backOffCount(c) > 0) endBackOff(c);
    if (!isMarked) {
      congestionOf(c, p).onAck(c, dataBytes, c.hasMode(TcpMode.CWND_LIMITED | TcpMode.AFTER_TIMEOUT), nowUs);
    }
  }
  if (c.scoreboard?.isEmpty && !c.hasMode(TcpMode.IN_RECOVERY)) releaseScoreboard(c, p);
}

/** The peer dropped what it had reported: everything unacknowledged is sent again. RFC 2018 8. */
function onReneged(c: TcpConnection): void {
  c.clearMode(TcpMode.IN_RECOVERY);
  c.setMode(TcpMode.AFTER_TIMEOUT);
  c.recover = c.sndMax;
  c.sndNxt = c.sndUna;
  sendAllAgain(c);
}

/** Everything unacknowledged is sent again in order, for whatever reason: no loss is looked for until that is acknowledged. */
export function sendAllAgain(c: TcpConnection): void {
  c.transmissions?.onTimeout();
  forgetProbe(c);
  c.clearMode(TcpMode.REORDER_WAIT);
  disarmDeadline(c, Moment.LOSS);
  noteRepair(c, true);
}

/** The retransmission timer expired with text or FIN unacknowledged: begin again at SND.UNA. RFC 6298 5.4, RFC 6675 5.1. */
export function beginAgain(c: TcpConnection, p: TcpParameters, nowUs: number): void {
  const flight = Math.min(seqDiff(c.sndMax, c.sndUna), c.cWnd);
  if (c.retransmitCount === 0) doubtTimeout(c, p, flight, nowUs);
  congestionOf(c, p).onTimeout(c, flight, c.retransmitCount === 0, nowUs);
  noteReduction(c);
  c.scoreboard?.onTimeout(c.sndUna);
  c.recover = c.sndMax;
  c.dupAckCount = 0;
  c.clearMode(TcpMode.IN_RECOVERY | TcpMode.RETRANSMIT_DUE | TcpMode.CWND_LIMITED);
  c.setMode(TcpMode.AFTER_TIMEOUT);
  c.sndNxt = c.sndUna;
  sendAllAgain(c);
}

/** RFC 3522 3.2 steps 1 and 2, RFC 4015 3.2 step 0. In a recovery that goes on the timeout is believed (5682-4). */
function doubtTimeout(c: TcpConnection, p: TcpParameters, flightSize: number, nowUs: number): void {
  if (!c.hasOption(TcpConstFlag.TIMESTAMP_ENABLED) || c.hasMode(TcpMode.IN_RECOVERY | TcpMode.AFTER_TIMEOUT)) return;
  c.setMode(TcpMode.TIMEOUT_IN_DOUBT);
  c.timeoutTs = timestampNow(c, p, nowUs);
  c.ssThreshBefore = Math.max(flightSize, c.ssThresh);
}

/**
 * The first ACK of new data after a timeout. It answers what was sent before the timeout if it echoes an older timestamp: nothing was lost
 * then, it only took longer. RFC 3522 3.2 steps 3 to 6, with the response of RFC 4015 3.2: nothing more is sent again, and CWND and
 * SSTHRESH come back. SND.UNA has moved by `acked`; `isDuplicate`: the ACK was provoked by text that had come before (D-SACK).
 */
export function judgeTimeout(
  c: TcpConnection,
  p: TcpParameters,
  seg: TcpSegment,
  acked: number,
  isDuplicate: boolean,
  nowUs: number,
): void {
  c.clearMode(TcpMode.TIMEOUT_IN_DOUBT);
  // RFC 4015 3.4: nothing is taken back where the path says that it is congested.
  if (!seg.hasTimestamps || ((seg.tsEcr - c.timeoutTs) | 0) >= 0 || isDuplicate || isEcho(c, seg)) return;
  const flight = seqDiff(c.sndMax, c.sndUna);
  // Where all is acknowledged it may be that every ACK was lost, and this one answers the repetition: a peer with SACK would say so.
  if (flight === 0 && !c.hasOption(TcpConstFlag.SACK_ENABLED)) return;
  c.clearMode(TcpMode.AFTER_TIMEOUT | TcpMode.CWND_LIMITED);
  c.sndNxt = c.sndMax;
  c.recover = seqAdd(c.sndUna, -1);
  if (c.transmissions !== null) {
    onRecoveryEnd(c);
    c.transmissions.onTimeoutUndone(c.sndUna);
  }
  congestionOf(c, p).onTimeoutUndone(c);
  c.ssThresh = c.ssThreshBefore;
  // At least a segment: a small window of the peer's may have let less be sent.
  c.cWnd = flight + Math.max(senderMss(c), Math.min(acked, initialWindowBytes(c, p.initialWindowSegments)));
  const us = echoedRttUs(seg.tsEcr, timestampNow(c, p, nowUs), p.ticksPerSecond);
  if (us >= 0) onLateSample(c, us);
}
