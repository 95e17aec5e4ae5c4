/**
 * CUBIC: in congestion avoidance the window follows a cubic function of the time since the last congestion, not of round trips.
 *
 * It rises fast to where the last congestion was (W_max), stays there for a while and then searches beyond; it is never slower than
 * Reno would be (W_est). A loss takes 30 % of the window. Slow start, recovery and what a restart does are NewReno's.
 * What it keeps is rebuilt after a move: CWND and SSTHRESH, which do cross the chimney, say where on which curve it was, for
 * SSTHRESH is beta times W_max. Windows are bytes here and segments in the RFC. Source: RFC 9438.
 */

import { Moment, PrivateWord, type TcpConnection } from '../connection.ts';
import { sRttUs } from '../rtt.ts';
import { CWND_MAX, clearCongestionWords, SS_THRESH_INITIAL, senderMss, slowStart } from './congestion-control.ts';
import { NewReno } from './new-reno.ts';

/** Multiplicative decrease. RFC 9438 4.6. */
export const BETA = 0.7;
/** Aggressiveness of the cubic function, segments per second cubed. RFC 9438 5.1. */
export const C = 0.4;
/** Reno's increase that is fair to Reno with this decrease. RFC 9438 4.3. */
export const ALPHA: number = (3 * (1 - BETA)) / (1 + BETA);

/** W_max, bytes; 0: no congestion yet. */
const W_MAX = PrivateWord.CC_A;
/** K, microseconds; negative where the epoch began beyond W_max. */
const K_US = PrivateWord.CC_B;
/** Window before the last reduction, bytes. cwnd_prior. */
const CWND_PRIOR = PrivateWord.CC_C;
/** An epoch runs (1); the last ACK found the window unused (2); the next epoch is the first after a timeout (4). */
const STATE = PrivateWord.CC_D;
const IN_EPOCH = 1;
const UNUSED = 2;
const TIMED_OUT = 4;
/** Bytes of the window below one, in 65536ths. */
const FRACTION = PrivateWord.CC_ACKED;
const FRACTION_ONE = 65_536;
/** Largest K believed: a window of {@link CWND_MAX} in the smallest segments is regained in less. */
const K_MAX_US = 2_000_000_000;
/** Segments by which one ACK opens the window at most in slow start, as NewReno has it. RFC 9406 4.3, RFC 3465 2.2. */
const FIRST_LIMIT = 8;
const LATER_LIMIT = 2;

/** CUBIC; one object serves all connections. */
export class Cubic extends NewReno {
  override readonly name: string = 'cubic';

  override onAdopted(c: TcpConnection, nowUs: number): void {
    clearCongestionWords(c);
    c.moments[c.momentBase + Moment.CC_ACK_AT] = nowUs;
    if (c.ssThresh >= SS_THRESH_INITIAL) return;
    const wMax = Math.min(CWND_MAX, Math.round(c.ssThresh / BETA));
    c.words[c.base + W_MAX] = wMax;
    c.words[c.base + CWND_PRIOR] = wMax;
  }

  override onAck(c: TcpConnection, ackedBytes: number, isCwndLimited: boolean, nowUs: number): void {
    const { words, base, moments, momentBase } = c;
    // RFC 9438 4.2: time in which the window was not used is no time.
    const state = words[base + STATE]!;
    if (!isCwndLimited || (state & UNUSED) !== 0) {
      moments[momentBase + Moment.CC_EPOCH_AT]! += nowUs - moments[momentBase + Moment.CC_ACK_AT]!;
    }
    moments[momentBase + Moment.CC_ACK_AT] = nowUs;
    words[base + STATE] = isCwndLimited ? state & ~UNUSED : state | UNUSED;
    if (!isCwndLimited || ackedBytes <= 0) return;
    const left = slowStart(c, ackedBytes, FIRST_LIMIT, LATER_LIMIT);
    if (left > 0) avoidCongestion(c, left, nowUs);
  }

  override onLoss(c: TcpConnection, flightSize: number, dupAcks: number, _nowUs: number): void {
    reduce(c, flightSize);
    c.cWnd = Math.min(CWND_MAX, c.ssThresh + dupAcks * senderMss(c));
  }

  /** RFC 9438 4.6: CWND may become one segment, SSTHRESH two. */
  override onMarked(c: TcpConnection, flightSize: number, _nowUs: number): void {
    const cWnd = Math.max(senderMss(c), Math.min(c.cWnd, Math.floor(flightSize * BETA)));
    reduce(c, flightSize);
    c.cWnd = cWnd;
  }

  override onRecovered(c: TcpConnection, flightSize: number, hasSack: boolean, nowUs: number): void {
    super.onRecovered(c, flightSize, hasSack, nowUs);
    c.moments[c.momentBase + Moment.CC_ACK_AT] = nowUs;
  }

  override onTimeout(c: TcpConnection, flightSize: number, isFirst: boolean, nowUs: number): void {
    if (isFirst) reduceThreshold(c, flightSize);
    endEpoch(c);
    c.words[c.base + STATE]! |= TIMED_OUT;
    c.cWnd = senderMss(c);
    c.moments[c.momentBase + Moment.CC_ACK_AT] = nowUs;
  }

  /** RFC 9438 4.9.2: the latest estimate of W_max goes on. */
  override onTimeoutUndone(c: TcpConnection): void {
    c.words[c.base + STATE]! &= ~TIMED_OUT;
  }

  override onRestart(c: TcpConnection, iw: number): void {
    super.onRestart(c, iw);
    endEpoch(c);
  }

  override onMssReduced(c: TcpConnection, oldMss: number): void {
    super.onMssReduced(c, oldMss);
    endEpoch(c);
  }
}

/** RFC 9438 4.6, 4.7: SSTHRESH and W_max after a congestion event; a lower peak than the last one leaves room for newcomers. */
function reduce(c: TcpConnection, flightSize: number): void {
  const { words, base } = c;
  const wMax = words[base + W_MAX]!;
  words[base + W_MAX] = c.cWnd < wMax ? Math.round((c.cWnd * (1 + BETA)) / 2) : c.cWnd;
  reduceThreshold(c, flightSize);
  endEpoch(c);
}

function reduceThreshold(c: TcpConnection, flightSize: number): void {
  c.words[c.base + CWND_PRIOR] = c.cWnd;
  c.ssThresh = Math.max(Math.floor(flightSize * BETA), 2 * senderMss(c));
}

function endEpoch(c: TcpConnection): void {
  c.words[c.base + STATE]! &= ~IN_EPOCH;
  c.words[c.base + FRACTION] = 0;
}

/** Congestion avoidance begins: K, the time the function takes to reach W_max from here. RFC 9438 4.2, figure 2. */
function beginEpoch(c: TcpConnection, nowUs: number): void {
  const { words, base, moments, momentBase } = c;
  // RFC 9438 4.8: after a timeout from the window at which slow start ended, with K = 0.
  if (words[base + W_MAX]! === 0 || (words[base + STATE]! & TIMED_OUT) !== 0) words[base + W_MAX] = c.cWnd;
  const segments = (words[base + W_MAX]! - c.cWnd) / senderMss(c);
  const kUs = Math.round(Math.cbrt(segments / C) * 1_000_000);
  words[base + K_US] = Math.max(-K_MAX_US, Math.min(K_MAX_US, kUs));
  words[base + STATE] = (words[base + STATE]! & ~TIMED_OUT) | IN_EPOCH;
  words[base + FRACTION] = 0;
  moments[momentBase + Moment.CC_EPOCH_AT] = nowUs;
  moments[momentBase + Moment.CC_ESTIMATE] = c.cWnd;
}

/** W_cubic(t), bytes: C * (t - K)^3 + W_max. RFC 9438 figure 1. */
function cubicWindow(c: TcpConnection, tUs: number): number {
  const seconds = (tUs - c.words[c.base + K_US]!) / 1_000_000;
  return C * seconds * seconds * seconds * senderMss(c) + c.words[c.base + W_MAX]!;
}

function avoidCongestion(c: TcpConnection, ackedBytes: number, nowUs: number): void {
  const { words, base, moments, momentBase } = c;
  if ((words[base + STATE]! & IN_EPOCH) === 0) beginEpoch(c, nowUs);
  const tUs = nowUs - moments[momentBase + Moment.CC_EPOCH_AT]!;
  const window = c.cWnd;

  // RFC 9438 4.3: what Reno would have by now; as fast as Reno itself once it is where the last congestion was.
  const before = moments[momentBase + Moment.CC_ESTIMATE]!;
  const alpha = before >= words[base + CWND_PRIOR]! ? 1 : ALPHA;
  const estimate = before + (alpha * ackedBytes * senderMss(c)) / window;
  moments[momentBase + Moment.CC_ESTIMATE] = estimate;
  if (cubicWindow(c, tUs) < estimate) {
    if (estimate > window) c.cWnd = Math.min(CWND_MAX, Math.floor(estimate));
    return;
  }
  // RFC 9438 4.4, 4.5: towards where the function will be a round trip from now, by at most half as much again.
  const target = Math.max(window, Math.min(1.5 * window, cubicWindow(c, tUs + sRttUs(c))));
  const grown = (ackedBytes * (target - window)) / window + words[base + FRACTION]! / FRACTION_ONE;
  const whole = Math.floor(grown);
  c.cWnd = Math.min(CWND_MAX, window + whole);
  words[base + FRACTION] = Math.floor((grown - whole) * FRACTION_ONE);
}

/** The one CUBIC of everybody: it has no state. */
export const cubic: Cubic = new Cubic();
