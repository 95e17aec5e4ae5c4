/**
 * Opening: the active and the passive OPEN, the SYN-SENT state, and what the options of a SYN agree on.
 *
 * Before either open the owner sets, on a fresh record: family, addresses and ports (a passive open takes the ports from the
 * SYN), localMss (from the MTU of the interface), initialRcvWnd, the cached words it cares for, and tsDelta where it wants an
 * offset. Zeros mean the defaults of the RFCs. Sources: RFC 9293 3.5, 3.10.1, 3.10.7.2, 3.10.7.3; RFC 7323 2, 3.2; RFC 6691.
 */

import { type Seq, seqAdd, seqAtOrBefore, seqBefore } from '../base/seq.ts';
import { TcpConnectionState as State, TcpConstFlag } from '../state/tcp.ts';
import { TcpFlag, type TcpSegment } from '../wire/tcp-segment.ts';
import { Moment, type TcpConnection, TcpMode } from './connection.ts';
import { disarmDeadline } from './deadlines.ts';
import { agree, onSynAckFlags, onSynFlags } from './ecn.ts';
import { Effect, type Effects } from './effects.ts';
import { enterClosed, establish } from './lifecycle.ts';
import type { TcpParameters } from './parameters.ts';
import { onRttSample, resetRtt, timedRttUs } from './rtt.ts';
import { setTsRecent } from './timestamps.ts';
import { nextState, TcpEvent } from './transitions.ts';

/** MSS of a peer that announces none. RFC 9293 3.7.1 MUST-15. */
export const DEFAULT_MSS_IP4 = 536;
export const DEFAULT_MSS_IP6 = 1220;
/** Least MSS believed: beside forty bytes of options it leaves eight for text. */
export const MSS_MIN = 48;
/** Largest shift of a window. RFC 7323 2.3. */
const WINDOW_SHIFT_MAX = 14;
/** Largest window without a shift. */
const WINDOW_UNSCALED_MAX = 65535;

/** OPEN, active. RFC 9293 3.10.1. `iss`: RFC 6528, see isn.ts. The connection must be CLOSED. */
export function openActive(c: TcpConnection, p: TcpParameters, iss: Seq, _nowUs: number): Effects {
  begin(c, p, iss);
  c.rcvWnd = Math.min(c.initialRcvWnd, WINDOW_UNSCALED_MAX);
  c.remoteMss = defaultMss(c);
  c.effectiveMss = Math.min(c.localMss, c.remoteMss);
  c.state = nextState(State.CLOSED, TcpEvent.ACTIVE_OPEN);
  c.setMode(TcpMode.ACTIVE_OPEN | TcpMode.SYN_DUE);
  return Effect.TRANSMIT;
}

/** A SYN for a listener: RFC 9293 3.10.7.2, third. `syn` has neither RST nor ACK. Text in the SYN is left to be sent again. */
export function openPassive(c: TcpConnection, p: TcpParameters, syn: TcpSegment, iss: Seq, nowUs: number): Effects {
  c.localPort = syn.dstPort;
  c.remotePort = syn.srcPort;
  begin(c, p, iss);
  learnSyn(c, syn, nowUs);
  onSynFlags(c, p, syn);
  c.state = nextState(State.LISTEN, TcpEvent.SYN_RECEIVED);
  c.setMode(TcpMode.SYN_DUE);
  return Effect.TRANSMIT;
}

/** A segment in SYN-SENT. RFC 9293 3.10.7.3 with RFC 5961 3.2. */
export function onSegmentInSynSent(c: TcpConnection, p: TcpParameters, seg: TcpSegment, nowUs: number): Effects {
  const hasAck = (seg.flags & TcpFlag.ACK) !== 0;
  if (hasAck && (seqAtOrBefore(seg.ack, c.iss) || seqBefore(c.sndMax, seg.ack))) {
    return (seg.flags & TcpFlag.RST) !== 0 ? Effect.DROPPED : Effect.DROPPED | Effect.ANSWER_RESET;
  }
  if ((seg.flags & TcpFlag.RST) !== 0) {
    // Only a reset that acknowledges our SYN can come from who got it.
    if (!hasAck) return Effect.DROPPED;
    enterClosed(c, p);
    return Effect.ABORTED;
  }
  if ((seg.flags & TcpFlag.SYN) === 0) return Effect.DROPPED;
  learnSyn(c, seg, nowUs);
  if (!hasAck) {
    onSynFlags(c, p, seg);
    // Simultaneous open: our SYN goes out once more, acknowledging theirs.
    c.state = nextState(State.SYN_SENT, TcpEvent.SYN_RECEIVED);
    c.setMode(TcpMode.SYN_DUE);
    c.retransmitCount = 0;
    disarmDeadline(c, Moment.RETRANSMIT);
    return Effect.TRANSMIT;
  }
  onSynAckFlags(c, seg);
  return onSynAcked(c, p, seg, nowUs);
}

/** Our SYN is acknowledged by `seg`: in SYN-SENT by a SYN,ACK, in SYN-RCVD by an ACK. */
export function onSynAcked(c: TcpConnection, p: TcpParameters, seg: TcpSegment, nowUs: number): Effects {
  const isSynAck = (seg.flags & TcpFlag.SYN) !== 0;
  c.sndUna = seqAdd(c.iss, 1);
  c.sndNxt = c.sndUna;
  // The window of a segment with SYN is never scaled (RFC 7323 2.2); where both opened at once, its SYN was taken off already.
  c.sndWnd = isSynAck || seg.windowScale >= 0 ? seg.window : seg.window << c.sndWindScale;
  c.maxSndWnd = Math.max(c.maxSndWnd, c.sndWnd);
  c.sndWl1 = seg.seq;
  c.sndWl2 = seg.ack;
  const rttUs = timedRttUs(c, seg.ack, nowUs);
  if (rttUs >= 0) onRttSample(c, rttUs);
  agree(c);
  const effects = establish(c, p, nowUs);
  if (isSynAck) c.setMode(TcpMode.ACK_NOW);
  return effects;
}

/** What both opens begin with. */
function begin(c: TcpConnection, p: TcpParameters, iss: Seq): void {
  c.constFlags = p.options;
  c.iss = iss;
  c.sndUna = iss;
  c.sndNxt = iss;
  c.sndMax = iss;
  c.recover = iss;
  if (c.localMss === 0) c.localMss = defaultMss(c);
  if (c.initialRcvWnd === 0) c.initialRcvWnd = WINDOW_UNSCALED_MAX;
  c.receiveSpace = c.initialRcvWnd;
  c.rcvWindScale = (p.options & TcpConstFlag.WINDOW_SCALING_ENABLED) !== 0 ? windowShift(c, p) : 0;
  resetRtt(c);
}

/** The peer's SYN: its numbers, and what its options agree to of those we offer. RFC 7323 1.3, 2.2, 3.2; RFC 2018 2. */
function learnSyn(c: TcpConnection, syn: TcpSegment, nowUs: number): void {
  c.irs = syn.seq;
  c.rcvNxt = seqAdd(syn.seq, 1);
  c.lastAckSent = c.rcvNxt;
  let flags = c.constFlags;
  if (!syn.hasTimestamps) flags &= ~TcpConstFlag.TIMESTAMP_ENABLED;
  if (!syn.sackPermitted) flags &= ~TcpConstFlag.SACK_ENABLED;
  if (syn.windowScale < 0) flags &= ~TcpConstFlag.WINDOW_SCALING_ENABLED;
  c.constFlags = flags;
  if ((flags & TcpConstFlag.TIMESTAMP_ENABLED) !== 0) setTsRecent(c, syn.tsVal, nowUs);
  if ((flags & TcpConstFlag.WINDOW_SCALING_ENABLED) !== 0) {
    c.sndWindScale = Math.min(syn.windowScale, WINDOW_SHIFT_MAX);
  } else {
    c.sndWindScale = 0;
    c.rcvWindScale = 0;
  }
  c.rcvWnd = Math.min(c.initialRcvWnd, WINDOW_UNSCALED_MAX << c.rcvWindScale);
  c.rcvAdv = seqAdd(c.rcvNxt, Math.min(c.rcvWnd, WINDOW_UNSCALED_MAX));
  c.remoteMss = Math.max(MSS_MIN, syn.mss !== 0 ? syn.mss : defaultMss(c));
  c.effectiveMss = Math.min(c.localMss, c.remoteMss);
  c.sndWnd = syn.window;
  c.maxSndWnd = syn.window;
  c.sndWl1 = syn.seq;
  c.sndWl2 = c.iss;
}

/** The least shift that lets the window grow to the largest buffer the connection may ever have. RFC 7323 2.3. */
function windowShift(c: TcpConnection, p: TcpParameters): number {
  const largest = Math.max(c.initialRcvWnd, p.maxReceiveBuffer);
  let shift = 0;
  while (shift < WINDOW_SHIFT_MAX && WINDOW_UNSCALED_MAX << shift < largest) shift++;
  return shift;
}

function defaultMss(c: TcpConnection): number {
  return c.family === 6 ? DEFAULT_MSS_IP6 : DEFAULT_MSS_IP4;
}
