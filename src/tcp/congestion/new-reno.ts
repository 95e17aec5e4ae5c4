/**
 * NewReno: slow start, congestion avoidance, fast retransmit and fast recovery.
 *
 * Counts bytes, not ACKs, so an ACK split in many gains nothing and one that covers many segments loses little. Source: RFC
 * 5681, RFC 6582; RFC 3465 for the counting, with the limit L of RFC 9406 until something is lost: an ACK of a peer whose device joins
 * segments is for as many as that joined.
 */

import { PrivateWord, type TcpConnection } from '../connection.ts';
import {
  type CongestionControl,
  CWND_MAX,
  clearCongestionWords,
  halvedFlight,
  SS_THRESH_INITIAL,
  senderMss,
  slowStart,
} from './congestion-control.ts';

/** NewReno; one object serves all connections. */
export class NewReno implements CongestionControl {
  readonly name: string = 'newreno';
  /** Most segments by which one ACK opens the window in slow start: at first, and once something was lost. L of RFC 9406 4.3, RFC 3465 2.2. */
  readonly #firstLimit: number;
  readonly #laterLimit: number;

  constructor(firstLimit = 8, laterLimit = 2) {
    this.#firstLimit = firstLimit;
    this.#laterLimit = laterLimit;
  }

  onConnected(c: TcpConnection, iw: number): void {
    clearCongestionWords(c);
    c.cWnd = iw;
    c.ssThresh = SS_THRESH_INITIAL;
  }

  onAdopted(c: TcpConnection, _nowUs: number): void {
    clearCongestionWords(c);
  }

  onRttSample(_c: TcpConnection, _rttUs: number, _nowUs: number): void {
    // Reno does not look at time.
  }

  onAck(c: TcpConnection, ackedBytes: number, isCwndLimited: boolean, _nowUs: number): void {
    if (!isCwndLimited || ackedBytes <= 0) return;
    const left = slowStart(c, ackedBytes, this.#firstLimit, this.#laterLimit);
    if (left === 0) return;
    // RFC 5681 3.1: one SMSS for each full window acknowledged.
    const acked = c.words[c.base + PrivateWord.CC_ACKED]! + left;
    if (acked < c.cWnd) {
      c.words[c.base + PrivateWord.CC_ACKED] = acked;
      return;
    }
    c.words[c.base + PrivateWord.CC_ACKED] = Math.min(acked - c.cWnd, c.cWnd);
    c.cWnd = Math.min(CWND_MAX, c.cWnd + senderMss(c));
  }

  onLoss(c: TcpConnection, flightSize: number, dupAcks: number, _nowUs: number): void {
    c.ssThresh = halvedFlight(c, flightSize);
    c.cWnd = Math.min(CWND_MAX, c.ssThresh + dupAcks * senderMss(c));
    c.words[c.base + PrivateWord.CC_ACKED] = 0;
  }

  onMarked(c: TcpConnection, flightSize: number, _nowUs: number): void {
    c.ssThresh = halvedFlight(c, flightSize);
    c.cWnd = Math.max(senderMss(c), Math.min(c.cWnd, flightSize >> 1));
    c.words[c.base + PrivateWord.CC_ACKED] = 0;
  }

  onDuplicateAck(c: TcpConnection, flightSize: number): void {
    // RFC 5681 3.2 step 4 and section 4.3: not by more segments than can have left the network, whoever forges ACKs.
    const mss = senderMss(c);
    const most = Math.min(CWND_MAX, c.ssThresh + flightSize + mss);
    c.cWnd = Math.max(c.cWnd, Math.min(most, c.cWnd + mss));
  }

  onPartialAck(c: TcpConnection, ackedBytes: number): void {
    // RFC 6582 3.2 step 3: deflate by what was acknowledged, add back one segment if that was one or more.
    const mss = senderMss(c);
    c.cWnd = Math.max(mss, c.cWnd - ackedBytes + (ackedBytes >= mss ? mss : 0));
  }

  onRecovered(c: TcpConnection, flightSize: number, hasSack: boolean, _nowUs: number): void {
    const mss = senderMss(c);
    // RFC 6582 3.2 step 3, option 1: no burst when little is in flight.
    c.cWnd = Math.min(CWND_MAX, c.ssThresh, hasSack ? CWND_MAX : Math.max(flightSize, mss) + mss);
    c.words[c.base + PrivateWord.CC_ACKED] = 0;
  }

  onTimeout(c: TcpConnection, flightSize: number, isFirst: boolean, _nowUs: number): void {
    if (isFirst) c.ssThresh = halvedFlight(c, flightSize);
    // The loss window, one segment.
    c.cWnd = senderMss(c);
    c.words[c.base + PrivateWord.CC_ACKED] = 0;
  }

  onTimeoutUndone(_c: TcpConnection): void {
    // Nothing is kept that a timeout changes.
  }

  onRestart(c: TcpConnection, iw: number): void {
    c.cWnd = Math.min(iw, c.cWnd);
    c.words[c.base + PrivateWord.CC_ACKED] = 0;
  }

  onMssReduced(c: TcpConnection, oldMss: number): void {
    const mss = senderMss(c);
    if (mss < oldMss) c.cWnd = Math.max(mss, Math.floor((c.cWnd / oldMss) * mss));
  }
}

/** The one NewReno of everybody: it has no state. */
export const newReno: CongestionControl = new NewReno();
