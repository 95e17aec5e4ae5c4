/**
 * The connection state diagram: RFC 9293 figure 5, one line an arrow.
 *
 * Promises: a pair of state and event that is not listed leaves the state as it is. Leaves to others: everything that goes
 * with an arrow (timers, segments, effects).
 */

import { TcpConnectionState as State } from '../state/tcp.ts';

/** What moves a connection from state to state. */
export const TcpEvent = {
  /** OPEN, active: a SYN is sent. */
  ACTIVE_OPEN: 0,
  /** A SYN that does not acknowledge ours: on a passive open, or in SYN-SENT (simultaneous open). */
  SYN_RECEIVED: 1,
  /** Our SYN is acknowledged and the peer's has come. */
  SYN_ACKED: 2,
  /** CLOSE: our FIN is queued behind all data. */
  CLOSE: 3,
  /** The peer's FIN is next in order. */
  FIN_RECEIVED: 4,
  /** Our FIN is acknowledged. */
  FIN_ACKED: 5,
  /** The timer that belongs to the state has expired: 2 MSL, FIN-WAIT-2, or giving up. */
  TIMEOUT: 6,
  /** An acceptable reset, or ABORT. */
  RESET: 7,
} as const;
export type TcpEvent = (typeof TcpEvent)[keyof typeof TcpEvent];

const STATES = 12;
const EVENTS = 8;

/** The arrows. */
export const ARROWS: readonly (readonly [from: State, on: TcpEvent, to: State])[] = [
  [State.CLOSED, TcpEvent.ACTIVE_OPEN, State.SYN_SENT],
  [State.CLOSED, TcpEvent.SYN_RECEIVED, State.SYN_RCVD],
  [State.LISTEN, TcpEvent.ACTIVE_OPEN, State.SYN_SENT],
  [State.LISTEN, TcpEvent.SYN_RECEIVED, State.SYN_RCVD],
  [State.SYN_SENT, TcpEvent.SYN_RECEIVED, State.SYN_RCVD],
  [State.SYN_SENT, TcpEvent.SYN_ACKED, State.ESTABLISHED],
  [State.SYN_SENT, TcpEvent.CLOSE, State.CLOSED],
  [State.SYN_RCVD, TcpEvent.SYN_ACKED, State.ESTABLISHED],
  [State.ESTABLISHED, TcpEvent.CLOSE, State.FIN_WAIT1],
  [State.ESTABLISHED, TcpEvent.FIN_RECEIVED, State.CLOSE_WAIT],
  [State.FIN_WAIT1, TcpEvent.FIN_ACKED, State.FIN_WAIT2],
  [State.FIN_WAIT1, TcpEvent.FIN_RECEIVED, State.CLOSING],
  [State.FIN_WAIT2, TcpEvent.FIN_RECEIVED, State.TIME_WAIT],
  [State.CLOSE_WAIT, TcpEvent.CLOSE, State.LAST_ACK],
  [State.CLOSING, TcpEvent.FIN_ACKED, State.TIME_WAIT],
  [State.LAST_ACK, TcpEvent.FIN_ACKED, State.CLOSED],
  [State.SYN_SENT, TcpEvent.TIMEOUT, State.CLOSED],
  [State.SYN_RCVD, TcpEvent.TIMEOUT, State.CLOSED],
  [State.ESTABLISHED, TcpEvent.TIMEOUT, State.CLOSED],
  [State.FIN_WAIT1, TcpEvent.TIMEOUT, State.CLOSED],
  [State.FIN_WAIT2, TcpEvent.TIMEOUT, State.CLOSED],
  [State.CLOSE_WAIT, TcpEvent.TIMEOUT, State.CLOSED],
  [State.CLOSING, TcpEvent.TIMEOUT, State.CLOSED],
  [State.LAST_ACK, TcpEvent.TIMEOUT, State.CLOSED],
  [State.TIME_WAIT, TcpEvent.TIMEOUT, State.CLOSED],
  [State.SYN_SENT, TcpEvent.RESET, State.CLOSED],
  [State.SYN_RCVD, TcpEvent.RESET, State.CLOSED],
  [State.ESTABLISHED, TcpEvent.RESET, State.CLOSED],
  [State.FIN_WAIT1, TcpEvent.RESET, State.CLOSED],
  [State.FIN_WAIT2, TcpEvent.RESET, State.CLOSED],
  [State.CLOSE_WAIT, TcpEvent.RESET, State.CLOSED],
  [State.CLOSING, TcpEvent.RESET, State.CLOSED],
  [State.LAST_ACK, TcpEvent.RESET, State.CLOSED],
  // TIME-WAIT does not hear resets (RFC 1337 section 3, fix F1).
];

const TABLE: Int8Array = tabulate();

/** Where `state` leads on `event`. */
export function nextState(state: number, event: TcpEvent): number {
  return TABLE[state * EVENTS + event]!;
}

function tabulate(): Int8Array {
  const table = new Int8Array(STATES * EVENTS);
  for (let state = 0; state < STATES; state++) table.fill(state, state * EVENTS, (state + 1) * EVENTS);
  for (const [from, on, to] of ARROWS) table[from * EVENTS + on] = to;
  return table;
}
