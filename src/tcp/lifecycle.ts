/**
 * The turning points of a connection's life: established, TIME-WAIT, closed, given up.
 *
 * What belongs to a change of state whichever event brought it about: timers, borrowed objects, windows at the start.
 * Sources: RFC 9293 3.10, RFC 6928, RFC 6298 5.7, chimney-sequences 6 and 21.
 */

import { TcpConnectionState as State } from '../state/tcp.ts';
import { initialWindowBytes } from './congestion/congestion-control.ts';
import { congestionOf } from './congestion/named.ts';
import { Moment, type TcpConnection, TcpMode } from './connection.ts';
import { armDeadline, disarmAll, disarmDeadline } from './deadlines.ts';
import { Effect, type Effects } from './effects.ts';
import { armKeepAlive } from './keep-alive.ts';
import type { TcpParameters } from './parameters.ts';
import { endBackOff, noteSynTimeout } from './rtt.ts';
import { nextState, TcpEvent } from './transitions.ts';

/** Modes that ask for a segment to be sent. */
const DUE: number =
  TcpMode.ACK_NOW |
  TcpMode.SYN_DUE |
  TcpMode.RETRANSMIT_DUE |
  TcpMode.PROBE_DUE |
  TcpMode.KEEP_ALIVE_DUE |
  TcpMode.SWS_OVERRIDE |
  TcpMode.TLP_DUE;

/** Whether the state is one in which text can be received. RFC 9293 3.10.7.4, seventh. */
export function canReceive(state: number): boolean {
  return state === State.ESTABLISHED || state === State.FIN_WAIT1 || state === State.FIN_WAIT2;
}

/** Whether CLOSE was called in this state and our FIN is not acknowledged yet: it stands behind the queued data. */
export function isFinQueued(state: number): boolean {
  return state === State.FIN_WAIT1 || state === State.CLOSING || state === State.LAST_ACK;
}

/** Whether data may be queued in this state. RFC 9293 3.10.2. */
export function canSend(state: number): boolean {
  return (
    state === State.ESTABLISHED || state === State.CLOSE_WAIT || state === State.SYN_SENT || state === State.SYN_RCVD
  );
}

/** The handshake is done. SND.UNA is beyond our SYN; windows and options are known. */
export function establish(c: TcpConnection, p: TcpParameters, nowUs: number): Effects {
  c.state = nextState(c.state, TcpEvent.SYN_ACKED);
  const synRetransmissions = c.retransmitCount;
  if (synRetransmissions > 0) noteSynTimeout(c);
  else endBackOff(c);
  c.retransmitCount = 0;
  disarmDeadline(c, Moment.RETRANSMIT);
  // RFC 6928 section 2: one lost SYN may have been lost for other reasons than congestion, two are believed.
  congestionOf(c, p).onConnected(c, initialWindowBytes(c, p.initialWindowSegments, synRetransmissions > 1));
  // Before all data, so that the loss of the very first segment can be repaired (RFC 6582 3.2 step 1).
  c.recover = c.iss;
  c.moments[c.momentBase + Moment.LAST_SENT] = nowUs;
  c.quickAcks = p.quickAckSegments;
  armKeepAlive(c, p, nowUs);
  if (c.hasMode(TcpMode.CLOSE_QUEUED)) {
    c.clearMode(TcpMode.CLOSE_QUEUED);
    c.state = nextState(c.state, TcpEvent.CLOSE);
  }
  return Effect.CONNECTED | Effect.TRANSMIT | Effect.PROGRESS;
}

/** TIME-WAIT begins or begins anew: 2 MSL from now. RFC 9293 3.6.1 MUST-13. */
export function enterTimeWait(c: TcpConnection, p: TcpParameters, nowUs: number): Effects {
  c.state = State.TIME_WAIT;
  disarmAll(c);
  c.clearMode(DUE & ~TcpMode.ACK_NOW);
  armDeadline(c, Moment.TIME_WAIT, nowUs, p.timeWaitUs);
  releaseFlight(c, p);
  return Effect.TIME_WAIT;
}

/** CLOSED: nothing runs any more. What is left in the send queue is the owner's to take. */
export function enterClosed(c: TcpConnection, p: TcpParameters): void {
  c.state = State.CLOSED;
  disarmAll(c);
  c.clearMode(DUE | TcpMode.IN_RECOVERY | TcpMode.AFTER_TIMEOUT | TcpMode.DEFENCE);
  c.ackPending = 0;
  c.dupAcksOwed = 0;
  releaseFlight(c, p);
  releaseReassembly(c, p);
}

/**
 * Retransmissions, probes or the user's patience are at an end (R2). A host closes; a target stops and leaves the connection
 * as it is, so that its upload shows the host that the time is up (TCP-012, TCP-045).
 */
export function giveUp(c: TcpConnection, p: TcpParameters): Effects {
  if (p.role === 'target') {
    c.setMode(TcpMode.EXPIRED);
    c.clearMode(DUE);
    disarmDeadline(c, Moment.RETRANSMIT);
  } else enterClosed(c, p);
  return Effect.TIMED_OUT;
}

/** Text out of order is dropped, its memory given back: after a reset, or when a target gives the connection up (TERM-043). */
export function releaseReassembly(c: TcpConnection, p: TcpParameters): void {
  if (c.reassembly === null) return;
  p.spares.giveReassembly(c.reassembly);
  c.reassembly = null;
}

export function releaseScoreboard(c: TcpConnection, p: TcpParameters): void {
  if (c.scoreboard === null) return;
  p.spares.giveScoreboard(c.scoreboard);
  c.scoreboard = null;
}

export function releaseTransmissions(c: TcpConnection, p: TcpParameters): void {
  if (c.transmissions === null) return;
  p.spares.giveTransmissions(c.transmissions);
  c.transmissions = null;
}

/** Gives back what the connection knows of the segments in flight, whether or not there are any: somebody else runs it now, or nobody. */
export function releaseFlight(c: TcpConnection, p: TcpParameters): void {
  releaseScoreboard(c, p);
  releaseTransmissions(c, p);
}

/** Gives back every object the connection borrowed and does not need now. */
export function releaseIdle(c: TcpConnection, p: TcpParameters): void {
  if (c.reassembly?.isEmpty) releaseReassembly(c, p);
  if (c.scoreboard?.isEmpty && !c.hasMode(TcpMode.IN_RECOVERY)) releaseScoreboard(c, p);
  if (c.transmissions !== null && c.sndMax === c.sndUna) releaseTransmissions(c, p);
  if (c.sendQueue?.isEmpty) {
    p.spares.giveSendQueue(c.sendQueue);
    c.sendQueue = null;
  }
}
