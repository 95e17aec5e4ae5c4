/**
 * The tail loss probe: where the last segments of a flight are lost nothing tells of it, so one more is sent to be told.
 *
 * The probe timeout runs from when something new was sent or acknowledged, while nothing is SACKed or being repaired; it is
 * far shorter than a retransmission timeout, and where it would not be, that one does its work. One probe a flight.
 * Source: RFC 8985 section 7.
 */

import { asSeq, seqAtOrBefore, seqBefore, seqDiff } from '../base/seq.ts';
import type { TcpSegment } from '../wire/tcp-segment.ts';
import { senderMss } from './congestion/congestion-control.ts';
import { Moment, PrivateWord, type TcpConnection, TcpMode } from './connection.ts';
import { armDeadline } from './deadlines.ts';
import type { TcpParameters } from './parameters.ts';
import { hasRack } from './rack.ts';
import { backOffCount, rtoUs, sRttUs } from './rtt.ts';
import { reportsDuplicate } from './sack-option.ts';

/** The longest that a peer may wait with the ACK of a single segment. TLP.max_ack_delay. */
export const MAX_ACK_DELAY_US = 200_000;
/** Time for the peer to answer and for timers to be late, beside two round trips. */
export const PROBE_SLACK_US = 2_000;

/** Modes in which no probe is wanted: something is being repaired, or a probe is out or has not been answered. */
const NO_PROBE: number =
  TcpMode.IN_RECOVERY |
  TcpMode.AFTER_TIMEOUT |
  TcpMode.RETRANSMIT_DUE |
  TcpMode.REORDER_WAIT |
  TcpMode.TLP_OUT |
  TcpMode.TLP_UNANSWERED;
const TLP_MODES: number = TcpMode.TLP_DUE | TcpMode.TLP_OUT | TcpMode.TLP_RESENT;

/**
 * Something new was sent: the probe timeout runs. It is only ever pulled forward here and by {@link onProbeTimeout} put where it
 * belongs, so that an ACK has nothing to do for it.
 */
export function scheduleProbe(c: TcpConnection, p: TcpParameters, nowUs: number): void {
  if (c.hasMode(NO_PROBE) || !p.tailLossProbe) return;
  const inFlight = seqDiff(c.sndMax, c.sndUna);
  const atUs = nowUs + probeTimeoutUs(c, inFlight);
  const { moments, momentBase } = c;
  if (inFlight === 0 || atUs >= moments[momentBase + Moment.LOSS]! || atUs >= moments[momentBase + Moment.RETRANSMIT]!)
    return;
  if (mayProbe(c)) armDeadline(c, Moment.LOSS, nowUs, atUs - nowUs);
}

/** PTO. RFC 8985 7.2. */
function probeTimeoutUs(c: TcpConnection, inFlight: number): number {
  return 2 * sRttUs(c) + (inFlight <= senderMss(c) ? MAX_ACK_DELAY_US : PROBE_SLACK_US);
}

/**
 * Whether the flight may be probed: nothing is SACKed, and a round-trip time is known. Nor while the timeout is backed off: a path
 * that carried nothing for so long is not to be asked faster (Karn). RFC 8985 7.2.
 */
function mayProbe(c: TcpConnection): boolean {
  if (sRttUs(c) === 0 || backOffCount(c) > 0 || c.sndWnd === 0) return false;
  return c.scoreboard === null || c.scoreboard.isEmpty;
}

/**
 * The probe timeout, or what may have been it, has expired: two round trips after the last segment was sent or SND.UNA moved a
 * probe is due, and never later than the retransmission timeout, which otherwise does its work. True: now. RFC 8985 7.2, 7.3.
 */
export function onProbeTimeout(c: TcpConnection, p: TcpParameters, nowUs: number): boolean {
  const inFlight = seqDiff(c.sndMax, c.sndUna);
  // What the conditions do not allow is left to the retransmission timer. So is a peer that has drawn its window back.
  if (c.hasMode(NO_PROBE) || inFlight === 0 || inFlight > c.sndWnd || c.sndNxt !== c.sndMax || !hasRack(c, p))
    return false;
  if (!mayProbe(c)) return false;
  const { moments, momentBase } = c;
  const timeoutAtUs = moments[momentBase + Moment.RETRANSMIT]!;
  const sinceUs = Math.max(moments[momentBase + Moment.LAST_SENT]!, timeoutAtUs - rtoUs(c, p));
  const atUs = sinceUs + probeTimeoutUs(c, inFlight);
  if (atUs >= timeoutAtUs) return false;
  if (atUs > nowUs) {
    armDeadline(c, Moment.LOSS, nowUs, atUs - nowUs);
    return false;
  }
  c.setMode(TcpMode.TLP_DUE);
  return true;
}

/** The probe, up to SND.MAX now, is sent. `isResent`: it was not new. */
export function onProbeSent(c: TcpConnection, isResent: boolean): void {
  c.words[c.base + PrivateWord.TLP_END] = c.sndMax;
  c.setMode(TcpMode.TLP_OUT | TcpMode.TLP_UNANSWERED | (isResent ? TcpMode.TLP_RESENT : 0));
}

/** Recovery or a timeout takes over: no probe is waited for. */
export function forgetProbe(c: TcpConnection): void {
  c.clearMode(TLP_MODES);
}

/**
 * An ACK while a probe is out. True: the probe has repaired a loss that nothing else told of, and congestion control must hear of
 * it. `isPlain`: the segment carries nothing but an ACK for SND.UNA once more. RFC 8985 7.4.
 */
export function onAckOfProbe(c: TcpConnection, seg: TcpSegment, isPlain: boolean): boolean {
  const end = asSeq(c.words[c.base + PrivateWord.TLP_END]!);
  if (seqBefore(seg.ack, end)) return false;
  let isRepair = false;
  if (c.hasMode(TcpMode.TLP_RESENT)) {
    const isDuplicate = reportsDuplicate(seg) && seqAtOrBefore(end, asSeq(seg.sackEdges[1]!));
    // Both copies came: nothing was lost. Without such news until more is acknowledged, one of them was.
    if (!isDuplicate && !isPlain) {
      if (!seqBefore(end, seg.ack)) return false;
      isRepair = true;
    }
  }
  forgetProbe(c);
  return isRepair;
}
