/**
 * Whether a segment may be processed at all: PAWS, the window, RST, SYN and the ACK bit.
 *
 * First to fourth of RFC 9293 3.10.7.4 with RFC 5961 and RFC 7323; answers Effect.NONE for a segment that goes on to its ACK
 * field, and otherwise what is to be done about one that does not (always with DROPPED or an end of the connection).
 * A segment counts as in the window if any of its octets is; only those are kept later (text.ts).
 */

import { type Seq, seqAdd, seqDiff, seqInWindow } from '../base/seq.ts';
import { TcpConnectionState as State, TcpConstFlag } from '../state/tcp.ts';
import { TcpFlag, type TcpSegment } from '../wire/tcp-segment.ts';
import { Moment, type TcpConnection, TcpMode } from './connection.ts';
import { armDeadline } from './deadlines.ts';
import { onRepeatedSynFlags, onSynAckFlags } from './ecn.ts';
import { Effect, type Effects } from './effects.ts';
import { startDefence } from './keep-alive.ts';
import { enterClosed } from './lifecycle.ts';
import type { TcpParameters } from './parameters.ts';
import { noteDuplicate } from './sack-option.ts';
import { isOldTimestamp } from './timestamps.ts';

/** Bytes of window the peer may use: what was advertised furthest. RFC 7323 2.4: any window ever announced is honoured. */
export function advertisedWindow(c: TcpConnection): number {
  const bytes = seqDiff(c.rcvAdv, c.rcvNxt);
  return bytes > 0 ? bytes : 0;
}

/** The tests in their order, in any state from SYN-RCVD on. */
export function checkSegment(c: TcpConnection, p: TcpParameters, seg: TcpSegment, nowUs: number): Effects {
  const flags = seg.flags;
  if ((flags & (TcpFlag.SYN | TcpFlag.RST)) === TcpFlag.SYN) {
    const effects = checkSyn(c, p, seg, nowUs);
    if (effects !== Effect.NONE) return effects;
  }
  if ((flags & TcpFlag.RST) === 0 && c.hasOption(TcpConstFlag.TIMESTAMP_ENABLED)) {
    // RFC 7323 3.2: once negotiated, a segment without the option is dropped in silence, and never a reason to abort.
    if (!seg.hasTimestamps) return Effect.DROPPED;
    // RFC 7323 5.3 R1: before the test of sequence numbers.
    if (isOldTimestamp(c, seg, nowUs)) return answer(c, p, seg, nowUs);
  }
  if (!isInWindow(c, seg)) return onOutOfWindow(c, p, seg, nowUs);
  if ((flags & TcpFlag.RST) !== 0) return onReset(c, p, seg, nowUs);
  if ((seg.flags & TcpFlag.ACK) === 0) return Effect.DROPPED;
  return Effect.NONE;
}

/** An ACK for what the peer should not have sent, limited in number where it could be one of an endless exchange. */
function answer(c: TcpConnection, p: TcpParameters, seg: TcpSegment, nowUs: number): Effects {
  if (seg.textLength === 0 && !isChallengeAllowed(c, p, nowUs)) return Effect.DROPPED;
  c.setMode(TcpMode.ACK_NOW);
  return Effect.DROPPED | Effect.TRANSMIT;
}

/** A challenge ACK, if the limit allows: tells a true peer where we stand, and a blind one nothing. RFC 5961 3 to 5. */
export function challenge(c: TcpConnection, p: TcpParameters, nowUs: number): Effects {
  if (!isChallengeAllowed(c, p, nowUs)) return Effect.DROPPED;
  c.setMode(TcpMode.ACK_NOW);
  return Effect.DROPPED | Effect.TRANSMIT;
}

/** RFC 5961 7, a count per connection: a global one can be probed from aside (CVE-2016-5696). */
function isChallengeAllowed(c: TcpConnection, p: TcpParameters, nowUs: number): boolean {
  const since = c.momentBase + Moment.CHALLENGE_SINCE;
  if (c.challengeCount === 0 || nowUs - c.moments[since]! >= p.challengeIntervalUs) {
    c.moments[since] = nowUs;
    c.challengeCount = 1;
    return true;
  }
  if (c.challengeCount >= p.challengeAckLimit) return false;
  c.challengeCount++;
  return true;
}

/** The four cases of RFC 9293 3.4 table 6. */
function isInWindow(c: TcpConnection, seg: TcpSegment): boolean {
  const window = advertisedWindow(c);
  const from = seqDiff(seg.seq, c.rcvNxt);
  const length = seg.seqLength;
  if (length === 0) {
    // An ACK sent when our window was full of data on its way stands right at the edge; its news is as good as any.
    return from >= 0 && from <= window && ((seg.flags & TcpFlag.RST) === 0 || from < window || from === 0);
  }
  // With a closed window nothing is kept of it, but RST, URG and ACK are heard (MUST-66).
  return from + length > 0 && (from < window || (window === 0 && from <= 0));
}

function onOutOfWindow(c: TcpConnection, p: TcpParameters, seg: TcpSegment, nowUs: number): Effects {
  if ((seg.flags & TcpFlag.RST) !== 0) return Effect.DROPPED;
  const isOld = seqDiff(seg.seq, c.rcvNxt) < 0;
  if (c.state === State.TIME_WAIT && isOld && (seg.flags & TcpFlag.FIN) !== 0) {
    // The peer's FIN again: its ACK was lost. RFC 9293 3.10.7.4: acknowledge it and restart the 2 MSL timeout.
    armDeadline(c, Moment.TIME_WAIT, nowUs, p.timeWaitUs);
    c.setMode(TcpMode.ACK_NOW);
    return Effect.DROPPED | Effect.TRANSMIT;
  }
  if (isOld && seg.textLength > 0 && c.hasOption(TcpConstFlag.SACK_ENABLED)) {
    noteDuplicate(c, seg.seq, seqAdd(seg.seq, seg.textLength));
  }
  return answer(c, p, seg, nowUs);
}

/** RST in the window. RFC 5961 3.2, chimney-sequences 21. */
function onReset(c: TcpConnection, p: TcpParameters, seg: TcpSegment, nowUs: number): Effects {
  if (c.state === State.TIME_WAIT) return Effect.DROPPED; // RFC 1337
  if (seg.seq === c.rcvNxt) {
    const state = c.state;
    enterClosed(c, p);
    if (state === State.SYN_RCVD && !c.hasMode(TcpMode.ACTIVE_OPEN)) return Effect.ABORTED | Effect.BACK_TO_LISTEN;
    const isOver = (state === State.CLOSING || state === State.LAST_ACK) && c.queuedBytes === 0;
    return isOver && p.role === 'host' ? Effect.CLOSED : Effect.ABORTED;
  }
  if (p.role === 'host') return challenge(c, p, nowUs);
  // TCP-097: one challenge ACK until an acceptable segment comes, or the defence finds the peer dead.
  startDefence(c, p, nowUs);
  if (c.hasMode(TcpMode.RST_CHALLENGED)) return Effect.DROPPED;
  c.setMode(TcpMode.RST_CHALLENGED | TcpMode.ACK_NOW);
  return Effect.DROPPED | Effect.TRANSMIT;
}

/** SYN without RST. NONE: go on with the other tests. */
function checkSyn(c: TcpConnection, p: TcpParameters, seg: TcpSegment, nowUs: number): Effects {
  const state = c.state;
  if (state === State.SYN_RCVD && seg.seq === c.irs && isSynAgain(c, seg)) return onRepeatedSyn(c, seg);
  if (state === State.TIME_WAIT) {
    if (p.role === 'target' || mayReopen(c, seg)) return Effect.DROPPED | Effect.REOPEN;
    return challenge(c, p, nowUs);
  }
  const isInside = seqInWindow(seg.seq, c.rcvNxt, advertisedWindow(c));
  if (p.role === 'target') return onSynAtTarget(c, p, seg.seq, isInside, nowUs);
  if (state === State.SYN_RCVD && isInside && !c.hasMode(TcpMode.ACTIVE_OPEN)) {
    // RFC 9293 3.10.7.4 fourth: a passive open returns to LISTEN.
    enterClosed(c, p);
    return Effect.ABORTED | Effect.BACK_TO_LISTEN;
  }
  // RFC 5961 4.2: whatever its sequence number.
  return challenge(c, p, nowUs);
}

/** In SYN-RCVD, with the number of the peer's SYN: that SYN, or, where both have opened, the answer to ours. */
function isSynAgain(c: TcpConnection, seg: TcpSegment): boolean {
  return (seg.flags & TcpFlag.ACK) === 0 || (c.hasMode(TcpMode.ACTIVE_OPEN) && seg.ack === c.sndMax);
}

/** The peer's SYN once more in SYN-RCVD. */
function onRepeatedSyn(c: TcpConnection, seg: TcpSegment): Effects {
  if ((seg.flags & TcpFlag.ACK) !== 0) {
    // Simultaneous open, RFC 9293 figure 8: its SYN,ACK is the ACK of our SYN. The SYN itself is old.
    onSynAckFlags(c, seg);
    seg.flags &= ~TcpFlag.SYN;
    seg.seq = seqAdd(seg.seq, 1);
    return Effect.NONE;
  }
  // It has not seen our SYN,ACK.
  onRepeatedSynFlags(c, seg);
  c.setMode(TcpMode.SYN_DUE);
  return Effect.DROPPED | Effect.TRANSMIT;
}

/** TCP-089 to 094. */
function onSynAtTarget(c: TcpConnection, p: TcpParameters, seq: Seq, isInside: boolean, nowUs: number): Effects {
  if (seq === c.rcvNxt) {
    enterClosed(c, p);
    return Effect.SYN_IN_ORDER;
  }
  if (isInside) {
    startDefence(c, p, nowUs);
    const since = c.momentBase + Moment.CHALLENGE_SINCE;
    if (c.challengeCount > 0 && nowUs - c.moments[since]! < p.synChallengeIntervalUs) return Effect.DROPPED;
    c.moments[since] = nowUs;
    c.challengeCount = 1;
  }
  c.setMode(TcpMode.ACK_NOW);
  return Effect.DROPPED | Effect.TRANSMIT;
}

/**
 * Whether a SYN in TIME-WAIT is surely younger than the connection: by its timestamp, or where that is missing or the same, by
 * its sequence number. RFC 6191 section 2.
 */
function mayReopen(c: TcpConnection, seg: TcpSegment): boolean {
  if ((seg.flags & TcpFlag.ACK) !== 0) return false;
  const isBeyond = seqDiff(seg.seq, c.rcvNxt) > 0;
  if (!c.hasOption(TcpConstFlag.TIMESTAMP_ENABLED) || !seg.hasTimestamps) return isBeyond;
  const younger = (seg.tsVal - c.tsRecent) | 0;
  return younger > 0 || (younger === 0 && isBeyond);
}
