/**
 * What to send next, and the calls of the user that give something to send: SEND, CLOSE, ABORT.
 *
 * `nextSegment` fills one segment and changes the record as if it was sent; callers loop until it answers false. Text is not
 * copied: the segment says which bytes of the send queue it takes. A segment longer than one MSS (a super-segment, only if
 * `maxText` allows) is to be cut into pieces of `effectiveMss + 20 - headerLength` bytes by whoever sends it (TSO).
 * Sources: RFC 9293 3.8.6.2.1, 3.10.2, 3.10.4, 3.10.5.
 */

import { assert } from '../base/assert.ts';
import { seqAdd } from '../base/seq.ts';
import type { NetBufferList } from '../state/net-buffer-list.ts';
import { TcpConnectionState as State } from '../state/tcp.ts';
import type { TcpSegment } from '../wire/tcp-segment.ts';
import { Moment, type TcpConnection, TcpMode } from './connection.ts';
import { armDeadline } from './deadlines.ts';
import { Effect, type Effects } from './effects.ts';
import { fillHeader, fillReset, fillSyn, nextSeq } from './header.ts';
import { canSend, enterClosed, releaseIdle } from './lifecycle.ts';
import type { TcpParameters } from './parameters.ts';
import { rtoUs, startTiming, stopTiming } from './rtt.ts';
import { nextText } from './send-text.ts';
import { hasToSend, startPersistIfNeeded } from './send-window.ts';
import { scheduleProbe } from './tail-loss-probe.ts';
import { nextState, TcpEvent } from './transitions.ts';

/**
 * Fills `out` with the next segment to be sent now; false when there is none. `maxText`: most text the caller can take in one
 * segment, at least the effective MSS.
 */
export function nextSegment(
  c: TcpConnection,
  p: TcpParameters,
  out: TcpSegment,
  nowUs: number,
  maxText: number,
): boolean {
  const state = c.state;
  if (state <= State.SYN_RCVD) {
    if ((state !== State.SYN_SENT && state !== State.SYN_RCVD) || !c.hasMode(TcpMode.SYN_DUE)) {
      return state === State.SYN_RCVD && nextAck(c, p, out, nowUs);
    }
    nextSyn(c, p, out, nowUs);
    return true;
  }
  if (c.hasMode(TcpMode.EXPIRED)) return false;
  if (hasToSend(c) && nextText(c, p, out, nowUs, maxText)) return true;
  if (c.hasMode(TcpMode.KEEP_ALIVE_DUE)) {
    c.clearMode(TcpMode.KEEP_ALIVE_DUE);
    // RFC 9293 3.8.4 SHLD-12: SND.NXT-1, no text; old to the peer, who must answer.
    fillHeader(c, p, out, seqAdd(c.sndUna, -1), 0, nowUs);
    return true;
  }
  if (nextAck(c, p, out, nowUs)) return true;
  // Once a batch, not a segment: the probe timeout runs from the last one.
  if (c.transmissions !== null && c.moments[c.momentBase + Moment.LAST_SENT] === nowUs) scheduleProbe(c, p, nowUs);
  releaseIdle(c, p);
  return false;
}

function nextSyn(c: TcpConnection, p: TcpParameters, out: TcpSegment, nowUs: number): void {
  const end = seqAdd(c.iss, 1);
  // Karn's rule: only a SYN that is sent once is timed.
  if (c.sndMax === c.iss) {
    startTiming(c, end, nowUs);
    c.moments[c.momentBase + Moment.RETRANSMIT_SINCE] = nowUs;
  } else {
    stopTiming(c);
    c.retransmittedSegments++;
  }
  fillSyn(c, p, out, nowUs);
  c.sndNxt = end;
  c.sndMax = end;
  armDeadline(c, Moment.RETRANSMIT, nowUs, rtoUs(c, p));
}

/** A segment with nothing but an ACK, if one is due. */
function nextAck(c: TcpConnection, p: TcpParameters, out: TcpSegment, nowUs: number): boolean {
  if (c.dupAcksOwed > 0) c.dupAcksOwed--;
  else if (!c.hasMode(TcpMode.ACK_NOW)) return false;
  fillHeader(c, p, out, nextSeq(c), 0, nowUs);
  return true;
}

/** SEND: queues lists behind all others; they come back by `sendQueue.takeCompleted`. RFC 9293 3.10.2. */
export function queueData(c: TcpConnection, p: TcpParameters, lists: NetBufferList, nowUs: number): Effects {
  assert(canSend(c.state), 'data is queued before CLOSE and before the end of the connection');
  c.sendQueue ??= p.spares.takeSendQueue();
  c.sendQueue.append(lists);
  if (c.state === State.SYN_SENT || c.state === State.SYN_RCVD) return Effect.NONE;
  startPersistIfNeeded(c, p, nowUs);
  // A list without data is finished when everything in front of it is.
  return c.sendQueue.hasCompleted ? Effect.TRANSMIT | Effect.ACKED : Effect.TRANSMIT;
}

/** CLOSE: FIN behind everything queued. RFC 9293 3.10.4. */
export function closeSend(c: TcpConnection, p: TcpParameters, nowUs: number): Effects {
  if (c.state === State.SYN_SENT) {
    enterClosed(c, p);
    return Effect.CLOSED;
  }
  if (c.state === State.SYN_RCVD) {
    c.setMode(TcpMode.CLOSE_QUEUED);
    return Effect.NONE;
  }
  const state = nextState(c.state, TcpEvent.CLOSE);
  if (state === c.state) return Effect.NONE;
  c.state = state;
  startPersistIfNeeded(c, p, nowUs);
  return Effect.TRANSMIT;
}

/**
 * ABORT: the connection is CLOSED, and `out` is the reset to be sent if the answer is true. What is left in the send queue is
 * the caller's to take. `isTextLost`: text has come that nobody will read, which the peer is told in any state. RFC 9293 3.10.5, SHLD-3; a
 * target's abortive disconnect always sends one (DISC-006, DISC-014).
 */
export function abort(
  c: TcpConnection,
  p: TcpParameters,
  out: TcpSegment,
  nowUs = 0,
  isTextLost: boolean = p.role === 'target',
): boolean {
  const state = c.state;
  const isOver = state === State.CLOSING || state === State.LAST_ACK || state === State.TIME_WAIT;
  const isDue =
    state === State.SYN_RCVD ||
    state === State.ESTABLISHED ||
    state === State.FIN_WAIT1 ||
    state === State.FIN_WAIT2 ||
    state === State.CLOSE_WAIT ||
    (isOver && isTextLost);
  if (isDue) fillReset(c, p, out, nowUs);
  enterClosed(c, p);
  return isDue;
}
