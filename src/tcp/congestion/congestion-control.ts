/**
 * The interface of congestion control, and what all of them have in common.
 *
 * A congestion control is an object without state of its own: everything it knows of a connection is in the record (CWND,
 * SSTHRESH, the CC_* words and moments), so a connection can change it and a move carries CWND and SSTHRESH. The engine finds
 * losses and counts what is in flight; a congestion control only answers with windows.
 * Lengths are bytes; `flightSize` is what was sent and not yet acknowledged (FlightSize, RFC 5681 section 2).
 */

import { TcpConstFlag } from '../../state/tcp.ts';
import { PrivateWord, type TcpConnection } from '../connection.ts';

/** SSTHRESH before the first loss: arbitrarily high. RFC 5681 section 3.1. */
export const SS_THRESH_INITIAL = 0x7fffffff;
/** Largest congestion window; no window of the peer is larger (RFC 7323 2.3). */
export const CWND_MAX = 0x40000000;

/** Bytes of the timestamps option with its padding. */
const TIMESTAMPS_BYTES = 12;

/** One way to set the windows. All calls but {@link onConnected} are made between handshake and close only. */
export interface CongestionControl {
  /** 'newreno', 'cubic': for people and configuration. */
  readonly name: string;
  /** The handshake is done: CWND and SSTHRESH begin. `iw`: the initial window, see {@link initialWindowBytes}. */
  onConnected(c: TcpConnection, iw: number): void;
  /** CWND and SSTHRESH have come from elsewhere (a move): only the private words begin anew. */
  onAdopted(c: TcpConnection, nowUs: number): void;
  /** A round trip was measured. */
  onRttSample(c: TcpConnection, rttUs: number, nowUs: number): void;
  /**
   * `ackedBytes` of new data were acknowledged outside recovery. `isCwndLimited`: CWND, not the application or the peer, was
   * what held us back (RFC 7661 4.1: a window that was not used must not grow).
   */
  onAck(c: TcpConnection, ackedBytes: number, isCwndLimited: boolean, nowUs: number): void;
  /**
   * Loss was found by duplicate ACKs or SACK: SSTHRESH and CWND for the recovery, which the caller now enters. `flightSize`
   * without what limited transmit sent. `dupAcks`: those that CWND is to be inflated by (without SACK); 0 with SACK.
   */
  onLoss(c: TcpConnection, flightSize: number, dupAcks: number, nowUs: number): void;
  /** The path marked a packet instead of dropping it: as a loss, but CWND may become one segment. RFC 3168 6.1.2. */
  onMarked(c: TcpConnection, flightSize: number, nowUs: number): void;
  /** Another duplicate ACK in recovery without SACK: a segment has left the network. RFC 5681 3.2 step 4. */
  onDuplicateAck(c: TcpConnection, flightSize: number): void;
  /** Recovery without SACK goes on: a partial ACK. RFC 6582 3.2 step 3. */
  onPartialAck(c: TcpConnection, ackedBytes: number): void;
  /** Recovery ends. `flightSize` after the ACK that ended it. `hasSack`: no window was inflated. RFC 6582 3.2, RFC 6675 5. */
  onRecovered(c: TcpConnection, flightSize: number, hasSack: boolean, nowUs: number): void;
  /** The retransmission timer expired. `isFirst`: for this segment; only then does SSTHRESH fall. RFC 5681 3.1. */
  onTimeout(c: TcpConnection, flightSize: number, isFirst: boolean, nowUs: number): void;
  /** The timeout of before was in vain: the caller sets CWND and SSTHRESH as RFC 4015 3.2 has them, the private words are as if it had not been. */
  onTimeoutUndone(c: TcpConnection): void;
  /** About to send after nothing was sent for longer than the RTO. RFC 5681 4.1. */
  onRestart(c: TcpConnection, iw: number): void;
  /** The segment size fell from `oldMss` to what it is now (path MTU). RFC 5681 3.1. */
  onMssReduced(c: TcpConnection, oldMss: number): void;
}

/** Most text in one segment of ours, options taken off. SMSS of RFC 5681 section 2. */
export function senderMss(c: TcpConnection): number {
  const options = (c.constFlags & TcpConstFlag.TIMESTAMP_ENABLED) !== 0 ? TIMESTAMPS_BYTES : 0;
  return Math.max(1, c.effectiveMss - options);
}

/**
 * The initial window: min(n*SMSS, max(2*SMSS, n*1460)), with n = 10 that of RFC 6928 section 2. `synTimedOut`: the SYN or
 * SYN,ACK was lost more than once, then it is one segment (RFC 5681 3.1).
 */
export function initialWindowBytes(c: TcpConnection, segments: number, synTimedOut = false): number {
  const mss = senderMss(c);
  if (synTimedOut) return mss;
  return Math.min(segments * mss, Math.max(2 * mss, segments * 1460));
}

/** Zeroes the words a congestion control keeps for itself. */
export function clearCongestionWords(c: TcpConnection): void {
  c.words.fill(0, c.base + PrivateWord.CC_ACKED, c.base + PrivateWord.CC_D + 1);
}

/**
 * Slow start: answers what of `ackedBytes` is left for congestion avoidance. An ACK opens the window by at most `firstLimit` segments
 * until something was lost, by `laterLimit` from then on. RFC 5681 3.1 equation 2 with L of RFC 9406 4.3 and RFC 3465 2.2.
 */
export function slowStart(c: TcpConnection, ackedBytes: number, firstLimit: number, laterLimit: number): number {
  if (c.cWnd >= c.ssThresh) return ackedBytes;
  const limit = c.ssThresh === SS_THRESH_INITIAL ? firstLimit : laterLimit;
  const wanted = Math.min(ackedBytes, limit * senderMss(c));
  const grown = Math.min(wanted, c.ssThresh - c.cWnd, CWND_MAX - c.cWnd);
  c.cWnd += grown;
  return c.cWnd < c.ssThresh ? 0 : wanted - grown;
}

/** SSTHRESH after a loss: max(FlightSize / 2, 2*SMSS). RFC 5681 equation 4. */
export function halvedFlight(c: TcpConnection, flightSize: number): number {
  return Math.max(flightSize >> 1, 2 * senderMss(c));
}
