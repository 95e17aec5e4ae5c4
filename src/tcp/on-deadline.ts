/**
 * A deadline is due: retransmission, persist, FIN-WAIT-2, delayed ACK, silly-window override, keepalive, TIME-WAIT.
 *
 * Everything that is due at `nowUs` is done in one call; being called too early does no harm and finds the soonest deadline
 * anew. Sources: RFC 9293 3.10.8, RFC 6298 5.4 to 5.7, chimney-sequences 21 and 22.
 */

import { MAX_RT_NO_LIMIT, TcpConnectionState as State } from '../state/tcp.ts';
import { Moment, type TcpConnection, TcpMode } from './connection.ts';
import { armDeadline, disarmDeadline, isDue, recomputeSoonest } from './deadlines.ts';
import { Effect, type Effects } from './effects.ts';
import { onKeepAliveTimeout } from './keep-alive.ts';
import { enterClosed, giveUp } from './lifecycle.ts';
import { type TcpParameters, tickUs } from './parameters.ts';
import { onWindowUpdateTimeout } from './receive-window.ts';
import { beginAgain, onReorderingTimeout } from './recovery.ts';
import { backOff, rtoUs } from './rtt.ts';
import { COUNT_MAX, hasToSend, shiftedRtoUs } from './send-window.ts';
import { onProbeTimeout } from './tail-loss-probe.ts';
import { nextState, TcpEvent } from './transitions.ts';

export { soonestDeadline } from './deadlines.ts';

/** Does what is due. */
export function onDeadline(c: TcpConnection, p: TcpParameters, nowUs: number): Effects {
  let effects: Effects = Effect.NONE;
  if (isDue(c, Moment.RETRANSMIT, nowUs)) effects |= onRetransmitTimeout(c, p, nowUs);
  if (isDue(c, Moment.LOSS, nowUs)) effects |= onLossTimeout(c, p, nowUs);
  if (isDue(c, Moment.DELAYED_ACK, nowUs)) {
    disarmDeadline(c, Moment.DELAYED_ACK);
    c.setMode(TcpMode.ACK_NOW);
    effects |= Effect.TRANSMIT;
  }
  if (isDue(c, Moment.SWS, nowUs)) {
    // TCP-056: as much as the window allows.
    disarmDeadline(c, Moment.SWS);
    c.setMode(TcpMode.SWS_OVERRIDE);
    effects |= Effect.TRANSMIT;
  }
  if (isDue(c, Moment.WINDOW_UPDATE, nowUs)) effects |= onWindowUpdateTimeout(c);
  if (isDue(c, Moment.KEEP_ALIVE, nowUs)) {
    const answer = onKeepAliveTimeout(c, p, nowUs);
    if ((answer & Effect.TIMED_OUT) !== 0) enterClosed(c, p);
    effects |= answer;
  }
  if (isDue(c, Moment.TIME_WAIT, nowUs)) {
    enterClosed(c, p);
    effects |= Effect.CLOSED;
  }
  recomputeSoonest(c);
  return effects;
}

/** The reordering timer or the probe timeout. RFC 8985 6.3, 7.3. */
function onLossTimeout(c: TcpConnection, p: TcpParameters, nowUs: number): Effects {
  disarmDeadline(c, Moment.LOSS);
  if (c.transmissions === null) return Effect.NONE;
  if (!c.hasMode(TcpMode.REORDER_WAIT)) return onProbeTimeout(c, p, nowUs) ? Effect.TRANSMIT : Effect.NONE;
  c.clearMode(TcpMode.REORDER_WAIT);
  return onReorderingTimeout(c, p, c.transmissions, nowUs);
}

/** The one timer of Retransmit.TimeoutDelta. */
function onRetransmitTimeout(c: TcpConnection, p: TcpParameters, nowUs: number): Effects {
  disarmDeadline(c, Moment.RETRANSMIT);
  c.clearMode(TcpMode.ECN_HOLD);
  const state = c.state;
  if (state === State.FIN_WAIT2) {
    // TCP-025, TCP-026: both roles end in CLOSED.
    enterClosed(c, p);
    return Effect.TIMED_OUT;
  }
  if (state === State.SYN_SENT || state === State.SYN_RCVD) return onSynTimeout(c, p, nowUs);
  if (!hasToSend(c)) return Effect.NONE;
  if (isTimeUp(c, p, nowUs)) return giveUp(c, p);
  if (c.sndWnd === 0) return onWindowProbeTimeout(c, p, nowUs);
  if (c.sndMax === c.sndUna) return Effect.TRANSMIT;

  beginAgain(c, p, nowUs);
  backOff(c);
  countUp(c);
  armDeadline(c, Moment.RETRANSMIT, nowUs, rtoUs(c, p));
  // RFC 9293 3.8.3: at R1, negative advice to the layer below.
  return c.retransmitCount === p.doubtRetransmissions ? Effect.TRANSMIT | Effect.PATH_IN_DOUBT : Effect.TRANSMIT;
}

/** TCP-040, TCP-041: a probe now, and the next after RTO << Count. */
function onWindowProbeTimeout(c: TcpConnection, p: TcpParameters, nowUs: number): Effects {
  c.setMode(TcpMode.PROBE_DUE);
  armDeadline(c, Moment.RETRANSMIT, nowUs, shiftedRtoUs(c, p, c.retransmitCount));
  countUp(c);
  return Effect.TRANSMIT;
}

/** RFC 9293 3.8.3 MUST-22, MUST-23. */
function onSynTimeout(c: TcpConnection, p: TcpParameters, nowUs: number): Effects {
  if (c.retransmitCount >= p.synRetries || isPatienceOver(c, p, nowUs)) {
    c.state = nextState(c.state, TcpEvent.TIMEOUT);
    enterClosed(c, p);
    return Effect.TIMED_OUT;
  }
  backOff(c);
  countUp(c);
  c.setMode(TcpMode.SYN_DUE);
  armDeadline(c, Moment.RETRANSMIT, nowUs, rtoUs(c, p));
  return c.retransmitCount === p.doubtRetransmissions ? Effect.TRANSMIT | Effect.PATH_IN_DOUBT : Effect.TRANSMIT;
}

/** R2: MaxRT, a time, rules where it is set; else TcpMaximumRetransmissions, a count. TCP-011, TCP-021, STATE-040 to 043. */
function isTimeUp(c: TcpConnection, p: TcpParameters, nowUs: number): boolean {
  if (c.maxRt !== 0) return isPatienceOver(c, p, nowUs);
  return c.retransmitCount >= p.maximumRetransmissions;
}

function isPatienceOver(c: TcpConnection, p: TcpParameters, nowUs: number): boolean {
  if (c.maxRt === 0 || c.maxRt === MAX_RT_NO_LIMIT) return false;
  return nowUs - c.moments[c.momentBase + Moment.RETRANSMIT_SINCE]! >= c.maxRt * tickUs(p);
}

function countUp(c: TcpConnection): void {
  if (c.retransmitCount < COUNT_MAX) c.retransmitCount++;
}
