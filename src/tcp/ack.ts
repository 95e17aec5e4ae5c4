/**
 * The ACK field: what the peer has got, its window, and what that sets free.
 *
 * Fifth of RFC 9293 3.10.7.4, with the range test of RFC 5961 5.2. Answers with DROPPED when the segment ends here.
 */

import { type Seq, seqBefore, seqDiff } from '../base/seq.ts';
import { TcpConnectionState as State, TcpConstFlag } from '../state/tcp.ts';
import type { TcpSegment } from '../wire/tcp-segment.ts';
import { challenge } from './acceptability.ts';
import { senderMss } from './congestion/congestion-control.ts';
import { congestionOf } from './congestion/named.ts';
import { Moment, type TcpConnection, TcpMode } from './connection.ts';
import { armDeadline, disarmDeadline } from './deadlines.ts';
import { isEcho, onEcho } from './ecn.ts';
import { Effect, type Effects } from './effects.ts';
import { enterClosed, enterTimeWait } from './lifecycle.ts';
import { onSynAcked } from './open.ts';
import type { TcpParameters } from './parameters.ts';
import { hasRack } from './rack.ts';
import { judgeTimeout, onAckByTime, onSameAck, onUnaMoved, takeSack } from './recovery.ts';
import { ageRttMin, echoedRttUs, endBackOff, isTiming, onRttSample, timedRttUs } from './rtt.ts';
import { reportsDuplicate } from './sack-option.ts';
import { onWindowOpened, onZeroWindow, restartRetransmit, updateSendWindow } from './send-window.ts';
import { timestampNow } from './timestamps.ts';
import { nextState, TcpEvent } from './transitions.ts';

/** Processes the ACK field of an acceptable segment in SYN-RCVD or later. */
export function onAck(c: TcpConnection, p: TcpParameters, seg: TcpSegment, nowUs: number): Effects {
  const ack = seg.ack;
  if (c.state === State.SYN_RCVD) {
    if (seqDiff(ack, c.sndUna) <= 0 || seqDiff(ack, c.sndMax) > 0) return Effect.DROPPED | Effect.ANSWER_RESET;
    return onSynAcked(c, p, seg, nowUs);
  }
  // RFC 5961 5.2: SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT, where what was ever sent counts.
  const acked = seqDiff(ack, c.sndUna);
  if (acked < -c.maxSndWnd || seqBefore(c.sndMax, ack)) return challenge(c, p, nowUs);
  if (acked < 0) return Effect.NONE;
  return onAckInRange(c, p, seg, acked, nowUs);
}

function onAckInRange(c: TcpConnection, p: TcpParameters, seg: TcpSegment, acked: number, nowUs: number): Effects {
  const windowBefore = c.sndWnd;
  const newlySacked = takeSack(c, p, seg, seg.ack, nowUs);
  updateSendWindow(c, seg);
  let effects: Effects = Effect.NONE;
  if (acked > 0) {
    effects = onNewAck(c, p, seg, acked, nowUs);
    // FIN-WAIT-2, TIME-WAIT and CLOSED have no more use for what follows.
    if ((effects & Effect.FIN_ACKED) !== 0) return effects;
  } else if (seqDiff(c.sndMax, c.sndUna) > 0) {
    effects = onSameAck(c, p, seg, newlySacked, windowBefore, nowUs);
  }
  const { transmissions } = c;
  // Nothing is in flight, perhaps, but what became of the last of it may still be told.
  const isTold = transmissions !== null ? transmissions.isRepairing : seg.sackCount > 0 && hasRack(c, p);
  if (isTold || c.hasMode(TcpMode.TLP_OUT)) {
    const isPlain = acked === 0 && seg.sackCount === 0 && seg.textLength === 0 && c.sndWnd === windowBefore;
    effects |= onAckByTime(c, p, transmissions, seg, acked, isPlain, nowUs);
  }
  if (c.sndWnd === 0) {
    if (c.state !== State.FIN_WAIT2) onZeroWindow(c, p, windowBefore > 0, nowUs);
  } else if (windowBefore === 0) {
    if (c.state !== State.FIN_WAIT2) onWindowOpened(c, p, nowUs);
    effects |= Effect.TRANSMIT;
  } else {
    if (acked > 0) restartRetransmit(c, p, nowUs);
    if (c.sndWnd > windowBefore) effects |= Effect.TRANSMIT;
  }
  if (isEcho(c, seg)) onEcho(c, p, acked, nowUs);
  return effects;
}

/** SND.UNA moves on by `acked`. */
function onNewAck(c: TcpConnection, p: TcpParameters, seg: TcpSegment, acked: number, nowUs: number): Effects {
  measure(c, p, seg, seg.ack, nowUs);
  const queued = c.queuedBytes;
  const dataBytes = acked < queued ? acked : queued;
  let effects: Effects = Effect.TRANSMIT | Effect.PROGRESS;
  if (dataBytes > 0) {
    c.sendQueue!.acknowledge(dataBytes);
    effects |= Effect.ACKED;
  }
  c.sndUna = seg.ack;
  if (seqBefore(c.sndNxt, c.sndUna)) c.sndNxt = c.sndUna;
  if (c.sndWnd > 0) c.retransmitCount = 0;
  if (c.hasMode(TcpMode.TIMEOUT_IN_DOUBT)) judgeTimeout(c, p, seg, acked, reportsDuplicate(seg), nowUs);
  onUnaMoved(c, p, dataBytes, isEcho(c, seg), nowUs);
  if (acked > dataBytes) effects |= onFinAcked(c, p, nowUs);
  return effects;
}

/**
 * One round-trip time: of the segment that is timed, to the microsecond; where none is (it was retransmitted, or a former
 * runner of the connection sent it), by the echoed timestamp, which also tells a retransmission's. RFC 6298 3, TCP-066.
 */
function measure(c: TcpConnection, p: TcpParameters, seg: TcpSegment, ack: Seq, nowUs: number): void {
  let us: number;
  let samplesPerRtt = 1;
  if (isTiming(c)) us = timedRttUs(c, ack, nowUs);
  else if (reportsDuplicate(seg)) {
    // Its echo may be of the earlier transmission, whose own ACK was lost: as a sample that would be the timeout itself, and each lost ACK
    // would multiply the next one. No sample then; but the retransmission has come through, and so has its answer: what the back-off waited for.
    endBackOff(c);
    return;
  } else if (seg.hasTimestamps && seg.tsEcr !== 0 && c.hasOption(TcpConstFlag.TIMESTAMP_ENABLED)) {
    us = echoedRttUs(seg.tsEcr, timestampNow(c, p, nowUs), p.ticksPerSecond);
    // RFC 7323 appendix G: ExpectedSamples = ceiling(FlightSize / (SMSS * 2)).
    samplesPerRtt = Math.max(1, Math.ceil(seqDiff(c.sndMax, c.sndUna) / (2 * senderMss(c))));
  } else return;
  if (us < 0) return;
  c.clearMode(TcpMode.TLP_UNANSWERED);
  onRttSample(c, us, samplesPerRtt);
  ageRttMin(c, us, nowUs);
  congestionOf(c, p).onRttSample(c, us, nowUs);
}

function onFinAcked(c: TcpConnection, p: TcpParameters, nowUs: number): Effects {
  const state = nextState(c.state, TcpEvent.FIN_ACKED);
  disarmDeadline(c, Moment.RETRANSMIT);
  if (state === State.TIME_WAIT) return Effect.FIN_ACKED | enterTimeWait(c, p, nowUs);
  if (state === State.CLOSED) {
    enterClosed(c, p);
    return Effect.FIN_ACKED | Effect.CLOSED;
  }
  c.state = state;
  // TCP-022: the retransmission timer serves for FIN-WAIT-2.
  armDeadline(c, Moment.RETRANSMIT, nowUs, p.finWait2Us);
  return Effect.FIN_ACKED;
}
