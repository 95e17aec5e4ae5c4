/**
 * The tail loss probe: where the last segments of a flight are lost nothing tells of it, so one more is sent to be told.
 *
 * The probe timeout is armed when something new was sent or acknowledged while nothing is SACKed and nothing is being repaired; it
 * is far shorter than a retransmission timeout, and where it would not be, that one does its work. One probe a flight.
 * Source: RFC 8985 section 7.
 */

import { asSeq, seqAtOrBefore, seqBefore, seqDiff } from '../base/seq.ts';
import type { TcpSegment } from '../wire/tcp-segment.ts';
import { senderMss } from './congestion/congestion-control.ts';
import { Moment, PrivateWord, type TcpConnection, TcpMode } from './connection.ts';
import { armDeadline, disarmDeadline } from './deadlines.ts';
import type { TcpParameters } from './parameters.ts';
import { hasDuplicate, hasRack } from './rack.ts';
import { backOffCount, sRttUs } from './rtt.ts';

/** The longest that a peer may wait with the ACK of a single segment. TLP.max_ack_delay. */
export const MAX_ACK_DELAY_US = 200_000;
/** Time for the peer to answer and for timers to be late, beside two round trips. */
export const PROBE_SLACK_US = 2_000;

const TLP_MODES: number = TcpMode.TLP_DUE | TcpMode.TLP_OUT | TcpMode.TLP_RESENT;

/**
 * Something new was sent, or SND.UNA moved: the probe timeout runs from now, or stops where there is nothing to probe for.
 * RFC 8985 7.2: not in recovery, not while something is SACKed, not later than the retransmission timeout; nor while that is backed
 * off, for a path that carried nothing for so long is not to be probed faster (Karn).
 */
export function scheduleProbe(c: TcpConnection, p: TcpParameters, nowUs: number): void {
  if (c.hasMode(TcpMode.REORDER_WAIT)) return;
  const inFlight = seqDiff(c.sndMax, c.sndUna);
  const isOpen = !c.hasMode(TcpMode.IN_RECOVERY | TcpMode.AFTER_TIMEOUT | TcpMode.TLP_OUT | TcpMode.TLP_UNANSWERED);
  const sRtt = sRttUs(c);
  if (isOpen && inFlight > 0 && sRtt > 0 && backOffCount(c) === 0 && c.sndWnd > 0 && (c.scoreboard === null || c.scoreboard.isEmpty)) {
    const probeUs = 2 * sRtt + (inFlight <= senderMss(c) ? MAX_ACK_DELAY_US : PROBE_SLACK_US);
    if (p.tailLossProbe && nowUs + probeUs < c.moments[c.momentBase + Moment.RETRANSMIT]!) {
      armDeadline(c, Moment.LOSS, nowUs, probeUs);
      return;
    }
  }
  disarmDeadline(c, Moment.LOSS);
}

/** The probe timeout has expired. True: a probe is to be sent. RFC 8985 7.3. */
export function onProbeTimeout(c: TcpConnection, p: TcpParameters): boolean {
  const isBusy = c.hasMode(
    TcpMode.IN_RECOVERY | TcpMode.AFTER_TIMEOUT | TcpMode.TLP_OUT | TcpMode.TLP_UNANSWERED | TcpMode.RETRANSMIT_DUE,
  );
  const inFlight = seqDiff(c.sndMax, c.sndUna);
  // What the conditions do not allow is left to the retransmission timer, which runs. So is a peer that has drawn its window back.
  if (isBusy || inFlight === 0 || inFlight > c.sndWnd || c.sndNxt !== c.sndMax || !hasRack(c, p)) return false;
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
    const isDuplicate = hasDuplicate(seg) && seqAtOrBefore(end, asSeq(seg.sackEdges[1]!));
    // Both copies came: nothing was lost. Without such news until more is acknowledged, one of them was.
    if (!isDuplicate && !isPlain) {
      if (!seqBefore(end, seg.ack)) return false;
      isRepair = true;
    }
  }
  forgetProbe(c);
  return isRepair;
}
