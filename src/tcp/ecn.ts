/**
 * Explicit Congestion Notification: the path says that it is congested by marking packets instead of dropping them.
 *
 * Agreed on in the handshake where TcpParameters.ecn asks for it. The sender marks new data as ECN-capable (ECT(0)), answers an echo
 * like a loss, once a window, and says so (CWR); the receiver echoes a mark (ECE) until it hears that. Nothing of this crosses the
 * chimney, whose delegated state has no place for the echo: such a connection stays with the host.
 * Source: RFC 3168 sections 5 and 6.
 */

import { asSeq, seqBefore, seqDiff } from '../base/seq.ts';
import { TcpFlag, type TcpSegment } from '../wire/tcp-segment.ts';
import { senderMss } from './congestion/congestion-control.ts';
import { congestionOf } from './congestion/named.ts';
import { Moment, PrivateWord, type TcpConnection, TcpMode } from './connection.ts';
import { armDeadline, isArmed } from './deadlines.ts';
import { canSend } from './lifecycle.ts';
import type { TcpParameters } from './parameters.ts';
import { rtoUs } from './rtt.ts';

/** The ECN field of an IP header: its two lowest bits of TOS or traffic class. RFC 3168 5. */
export const Ecn = { NOT_ECT: 0, ECT_1: 1, ECT_0: 2, CE: 3 } as const;

const SETUP: number = TcpFlag.ECE | TcpFlag.CWR;

/** Flags of a SYN or SYN,ACK that is sent now. Only the first SYN asks: one that got no answer may have been lost for asking. RFC 3168 6.1.1. */
export function synFlags(c: TcpConnection, p: TcpParameters, isAnswer: boolean): number {
  if (isAnswer) return c.hasMode(TcpMode.ECN_ASKED) ? TcpFlag.ECE : 0;
  if (p.ecn && c.sndMax === c.iss) {
    c.setMode(TcpMode.ECN_ASKED);
    return SETUP;
  }
  c.setMode(TcpMode.ECN_PLAIN);
  return 0;
}

/** The peer's SYN: it asks with both flags. RFC 3168 6.1.1. */
export function onSynFlags(c: TcpConnection, p: TcpParameters, syn: TcpSegment): void {
  const isAsking = (syn.flags & SETUP) === SETUP;
  // Where both open at once ours has asked as well, or nothing comes of it.
  const isWanted = c.hasMode(TcpMode.ACTIVE_OPEN) ? c.hasMode(TcpMode.ECN_ASKED) : p.ecn;
  if (isAsking && isWanted && !c.hasMode(TcpMode.ECN_PLAIN)) c.setMode(TcpMode.ECN_ASKED);
  else c.clearMode(TcpMode.ECN_ASKED);
}

/** The peer's SYN once more: without the flags it takes back what the first one asked. RFC 3168 6.1.1. */
export function onRepeatedSynFlags(c: TcpConnection, syn: TcpSegment): void {
  if ((syn.flags & SETUP) !== SETUP) c.clearMode(TcpMode.ECN_ASKED);
}

/** The peer's SYN,ACK: it agrees with ECE alone. Both flags are only a reflection of ours. RFC 3168 6.1.1. */
export function onSynAckFlags(c: TcpConnection, seg: TcpSegment): void {
  if ((seg.flags & SETUP) !== TcpFlag.ECE) c.clearMode(TcpMode.ECN_ASKED);
}

/** The handshake is done. */
export function agree(c: TcpConnection): void {
  if (!c.hasMode(TcpMode.ECN_ASKED)) return;
  c.setMode(TcpMode.ECN);
  c.words[c.base + PrivateWord.ECN_RECOVER] = c.iss;
}

/** A segment with text arrived, in the window. RFC 3168 6.1.3, 6.1.5. */
export function onMarks(c: TcpConnection, seg: TcpSegment): void {
  if (seg.textLength === 0) return;
  if ((seg.flags & TcpFlag.CWR) !== 0) c.clearMode(TcpMode.ECN_ECHO);
  if (seg.ecn === Ecn.CE) c.setMode(TcpMode.ECN_ECHO);
}

/** Marks `out`, which carries what was never sent before: ECN-capable, and with the news of a smaller window. RFC 3168 6.1.2, 6.1.6. */
export function markNew(c: TcpConnection, out: TcpSegment): void {
  if (out.textLength === 0 || c.sndWnd === 0) return;
  // RFC 3168 6.1.1: not where a SYN or SYN,ACK said otherwise.
  if (!c.hasMode(TcpMode.ECN_PLAIN)) out.ecn = Ecn.ECT_0;
  if (!c.hasMode(TcpMode.CWR_DUE)) return;
  c.clearMode(TcpMode.CWR_DUE);
  out.flags |= TcpFlag.CWR;
}

/** The window was reduced, for whatever reason: the peer is to be told, and marks of what is in flight now tell nothing new. RFC 3168 6.1.2. */
export function noteReduction(c: TcpConnection): void {
  if (!c.hasMode(TcpMode.ECN)) return;
  c.setMode(TcpMode.CWR_DUE);
  c.words[c.base + PrivateWord.ECN_RECOVER] = c.sndMax;
}

/** Whether the next segment waits for the retransmission timer. */
export function isHeld(c: TcpConnection): boolean {
  return c.hasMode(TcpMode.ECN_HOLD) && isArmed(c, Moment.RETRANSMIT);
}

/** Whether the ACK of `seg` echoes a mark. */
export function isEcho(c: TcpConnection, seg: TcpSegment): boolean {
  return (seg.flags & TcpFlag.ECE) !== 0 && c.hasMode(TcpMode.ECN);
}

/**
 * An echo, after everything else of the ACK, which acknowledged `acked` bytes: like a loss, once a window. With a window of one segment
 * the next one waits for the retransmission timer. RFC 3168 6.1.2.
 */
export function onEcho(c: TcpConnection, p: TcpParameters, acked: number, nowUs: number): void {
  const mss = senderMss(c);
  if (c.cWnd <= mss && c.sndMax === c.sndUna && c.sndWnd > 0 && canSend(c.state)) {
    c.setMode(TcpMode.ECN_HOLD);
    c.moments[c.momentBase + Moment.RETRANSMIT_SINCE] = nowUs;
    armDeadline(c, Moment.RETRANSMIT, nowUs, rtoUs(c, p));
  }
  if (c.hasMode(TcpMode.IN_RECOVERY | TcpMode.AFTER_TIMEOUT)) return;
  // Something beyond must be acknowledged: what bears CWR, or the echo may still be that of before.
  if (!seqBefore(asSeq(c.words[c.base + PrivateWord.ECN_RECOVER]!), c.sndUna)) return;
  congestionOf(c, p).onMarked(c, Math.min(seqDiff(c.sndMax, c.sndUna) + acked, c.cWnd), nowUs);
  noteReduction(c);
}
