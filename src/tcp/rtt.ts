/**
 * Round-trip times and the retransmission timeout.
 *
 * Everything is in microseconds on the record's own words; SRTT is kept times 8 and RTTVAR times 4, which makes the estimator
 * exact in integers and its conversion to the interface's SRtt and RttVar a mere change of unit. Two sources of samples: one
 * segment timed at a time by our own clock (Karn's rule: never one that was retransmitted), and the echoed timestamp, which is
 * coarser but knows which transmission it answers. Source: RFC 6298, RFC 7323 4.1 and appendix G, chimney-ddi 7.8.
 */

import { asSeq, type Seq, seqAtOrBefore } from '../base/seq.ts';
import { TcpWord } from '../state/tcp.ts';
import { Moment, PrivateWord, type TcpConnection } from './connection.ts';

/** What bounds a timeout; part of the engine's parameters. */
export interface RttParameters {
  /** Floor of the variation's part of the timeout: RTO = SRTT + max(this, 4 x RTTVAR), so it is also the least RTO. */
  readonly rtoMinUs: number;
  readonly rtoMaxUs: number;
  /** Before the first sample. RFC 6298 2.1. */
  readonly rtoInitialUs: number;
}

/** Longest round-trip time believed; what is above counts as this. 64 s. */
export const RTT_MAX_US = 64_000_000;

/** A least round-trip time is believed for so long. */
export const RTT_MIN_VALID_S = 300;

/** RTO when data begins after a SYN that was retransmitted and gave no sample. RFC 6298 5.7. */
export const RTO_AFTER_SYN_TIMEOUT_US = 3_000_000;

/** Doublings remembered; more would overflow and rtoMaxUs is reached long before. */
const BACK_OFF_MAX = 20;

/** Bits of RTT_FLAGS. */
const TIMING = 1;
const SYN_TIMED_OUT = 2;

/** Smoothed round-trip time, microseconds; 0 before the first sample. SRTT. */
export function sRttUs(c: TcpConnection): number {
  return (c.words[c.base + PrivateWord.RTT_SRTT_8]! + 4) >> 3;
}

/** Round-trip time variation, microseconds. RTTVAR. */
export function rttVarUs(c: TcpConnection): number {
  return (c.words[c.base + PrivateWord.RTT_VAR_4]! + 2) >> 2;
}

/** Least round-trip time of the last minutes, microseconds; 0 before the first sample. RACK.min_RTT, RFC 8985 6.2. */
export function rttMinUs(c: TcpConnection): number {
  return c.words[c.base + PrivateWord.RTT_MIN_US]!;
}

/** The retransmission timeout now, backed off as often as it has expired in vain, microseconds. RFC 6298 2. */
export function rtoUs(c: TcpConnection, p: RttParameters): number {
  const sRtt8 = c.words[c.base + PrivateWord.RTT_SRTT_8]!;
  let us: number;
  if (sRtt8 === 0) {
    us = p.rtoInitialUs;
    if ((c.words[c.base + PrivateWord.RTT_FLAGS]! & SYN_TIMED_OUT) !== 0) us = Math.max(us, RTO_AFTER_SYN_TIMEOUT_US);
  } else {
    us = Math.ceil(sRtt8 / 8) + Math.max(p.rtoMinUs, c.words[c.base + PrivateWord.RTT_VAR_4]!);
  }
  return Math.min(p.rtoMaxUs, us * 2 ** c.words[c.base + PrivateWord.RTT_BACK_OFF]!);
}

/**
 * A round trip of `rttUs` was measured now: a least one that is too old gives way to it, for the path may have become longer. Beside
 * {@link onRttSample}, which keeps the least. RFC 8985 6.2 step 1.
 */
export function ageRttMin(c: TcpConnection, rttUs: number, nowUs: number): void {
  const { words, base } = c;
  const seconds = (nowUs / 1_000_000) | 0;
  const since = words[base + PrivateWord.RTT_MIN_AT_S]!;
  // 0: the handshake has measured it.
  if (rttUs > words[base + PrivateWord.RTT_MIN_US]! && since !== 0) {
    if (((seconds - since) | 0) < RTT_MIN_VALID_S) return;
    words[base + PrivateWord.RTT_MIN_US] = Math.max(1, Math.min(RTT_MAX_US, Math.round(rttUs)));
  }
  words[base + PrivateWord.RTT_MIN_AT_S] = seconds;
}

/** The timer has expired: the timeout doubles, until a sample comes. RFC 6298 5.5. */
export function backOff(c: TcpConnection): void {
  const at = c.base + PrivateWord.RTT_BACK_OFF;
  if (c.words[at]! < BACK_OFF_MAX) c.words[at] = c.words[at]! + 1;
}

/** How often the timeout has doubled since the last sample. */
export function backOffCount(c: TcpConnection): number {
  return c.words[c.base + PrivateWord.RTT_BACK_OFF]!;
}

/** Ends the back-off: a sample, or new data acknowledged by a segment that was not retransmitted. RFC 6298 5, Karn. */
export function endBackOff(c: TcpConnection): void {
  c.words[c.base + PrivateWord.RTT_BACK_OFF] = 0;
}

/** The handshake ended after its SYN or SYN,ACK had been retransmitted: without a sample, data begins with 3 s. RFC 6298 5.7. */
export function noteSynTimeout(c: TcpConnection): void {
  c.words[c.base + PrivateWord.RTT_FLAGS] = c.words[c.base + PrivateWord.RTT_FLAGS]! | SYN_TIMED_OUT;
  endBackOff(c);
}

/**
 * A round-trip time was measured: `rttUs` microseconds. `samplesPerRtt`: how many samples a round trip is expected to give
 * (1 with the timed segment); each then weighs that much less, so that history lasts as many round trips as RFC 6298 means it
 * to (RFC 7323 appendix G).
 */
export function onRttSample(c: TcpConnection, rttUs: number, samplesPerRtt = 1): void {
  const words = c.words;
  const rtt = Math.max(1, Math.min(RTT_MAX_US, Math.round(rttUs)));
  const sRtt8 = words[c.base + PrivateWord.RTT_SRTT_8]!;
  if (sRtt8 === 0) {
    // RFC 6298 2.2: SRTT <- R, RTTVAR <- R/2.
    words[c.base + PrivateWord.RTT_SRTT_8] = rtt * 8;
    words[c.base + PrivateWord.RTT_VAR_4] = rtt * 2;
  } else {
    // RFC 6298 2.3, RTTVAR before SRTT: RTTVAR <- 3/4 RTTVAR + 1/4 |SRTT - R'|, SRTT <- 7/8 SRTT + 1/8 R'.
    const var4 = words[c.base + PrivateWord.RTT_VAR_4]!;
    const error = rtt - sRtt8 / 8;
    words[c.base + PrivateWord.RTT_VAR_4] = Math.round(var4 + (Math.abs(error) - var4 / 4) / samplesPerRtt);
    words[c.base + PrivateWord.RTT_SRTT_8] = Math.max(1, Math.round(sRtt8 + error / samplesPerRtt));
  }
  const least = words[c.base + PrivateWord.RTT_MIN_US]!;
  if (least === 0 || rtt < least) words[c.base + PrivateWord.RTT_MIN_US] = rtt;
  endBackOff(c);
}

/** A round-trip time that was longer than the timeout: the next one is not. RFC 4015 3.2 step 11. */
export function onLateSample(c: TcpConnection, rttUs: number): void {
  const words = c.words;
  const rtt = Math.max(1, Math.min(RTT_MAX_US, Math.round(rttUs)));
  words[c.base + PrivateWord.RTT_SRTT_8] = Math.max(words[c.base + PrivateWord.RTT_SRTT_8]!, rtt * 8);
  words[c.base + PrivateWord.RTT_VAR_4] = Math.max(words[c.base + PrivateWord.RTT_VAR_4]!, rtt * 2);
  endBackOff(c);
}

/** Forgets all round-trip times: the path is another one, or the timeout has been in vain too often. RFC 6298 5, last note. */
export function resetRtt(c: TcpConnection): void {
  c.words[c.base + PrivateWord.RTT_SRTT_8] = 0;
  c.words[c.base + PrivateWord.RTT_VAR_4] = 0;
  c.words[c.base + PrivateWord.RTT_MIN_US] = 0;
  c.words[c.base + PrivateWord.RTT_BACK_OFF] = 0;
  c.words[c.base + PrivateWord.RTT_FLAGS] = 0;
}

/** Whether a segment is being timed. */
export function isTiming(c: TcpConnection): boolean {
  return (c.words[c.base + PrivateWord.RTT_FLAGS]! & TIMING) !== 0;
}

/** Times a segment that is sent for the first time now and ends before `end`, unless one is timed already. */
export function startTiming(c: TcpConnection, end: Seq, nowUs: number): void {
  if (isTiming(c)) return;
  c.words[c.base + PrivateWord.RTT_FLAGS] = c.words[c.base + PrivateWord.RTT_FLAGS]! | TIMING;
  c.words[c.base + PrivateWord.RTT_TIMED_END] = end;
  c.moments[c.momentBase + Moment.RTT_TIMED_AT] = nowUs;
}

/** Something is retransmitted: the segment that is being timed could be meant. Karn's rule, RFC 6298 3. */
export function stopTiming(c: TcpConnection): void {
  c.words[c.base + PrivateWord.RTT_FLAGS] = c.words[c.base + PrivateWord.RTT_FLAGS]! & ~TIMING;
}

/** SND.UNA moved to `ack`: answers the round-trip time of the timed segment if that covers it, microseconds; otherwise -1. */
export function timedRttUs(c: TcpConnection, ack: Seq, nowUs: number): number {
  if (!isTiming(c) || !seqAtOrBefore(asSeq(c.words[c.base + PrivateWord.RTT_TIMED_END]!), ack)) return -1;
  stopTiming(c);
  return nowUs - c.moments[c.momentBase + Moment.RTT_TIMED_AT]!;
}

/**
 * The round-trip time that an echoed timestamp tells, microseconds; -1 when it cannot be true. `clock`: our timestamp clock
 * now, ticks of `ticksPerSecond`. Half a tick is the least that such a clock can know. RFC 7323 4.1.
 */
export function echoedRttUs(tsEcr: number, clock: number, ticksPerSecond: number): number {
  const ticks = (clock - tsEcr) | 0;
  const us = (ticks * 1_000_000) / ticksPerSecond;
  if (ticks < 0 || us > RTT_MAX_US) return -1;
  return ticks === 0 ? 500_000 / ticksPerSecond : us;
}

/** Writes SRtt (ticks x 8) and RttVar (ticks x 4) into the record's delegated words. STATE-058, STATE-059. */
export function writeRttTicks(c: TcpConnection, ticksPerSecond: number): void {
  const sRtt8 = c.words[c.base + PrivateWord.RTT_SRTT_8]!;
  const var4 = c.words[c.base + PrivateWord.RTT_VAR_4]!;
  c.words[c.base + TcpWord.S_RTT] = toTicks(sRtt8, ticksPerSecond);
  c.words[c.base + TcpWord.RTT_VAR] = sRtt8 === 0 ? 0 : toTicks(var4, ticksPerSecond);
}

/** Takes SRtt and RttVar from the record's delegated words. SRtt 0: nothing has been measured. */
export function readRttTicks(c: TcpConnection, ticksPerSecond: number): void {
  resetRtt(c);
  const sRtt8 = fromTicks(c.words[c.base + TcpWord.S_RTT]!, ticksPerSecond);
  c.words[c.base + PrivateWord.RTT_SRTT_8] = sRtt8;
  c.words[c.base + PrivateWord.RTT_VAR_4] =
    sRtt8 === 0 ? 0 : fromTicks(c.words[c.base + TcpWord.RTT_VAR]!, ticksPerSecond);
}

/** A scaled time as ticks, for a USHORT. Rounded up: a time that is known must not become "unknown", nor a timeout too short. */
function toTicks(scaledUs: number, ticksPerSecond: number): number {
  return Math.min(65535, Math.ceil((scaledUs * ticksPerSecond) / 1_000_000));
}

/** A scaled time from ticks, bounded as samples are (a USHORT at 10 ticks a second could say 819 s). */
function fromTicks(scaledTicks: number, ticksPerSecond: number): number {
  return Math.min(8 * RTT_MAX_US, Math.round(((scaledTicks & 0xffff) * 1_000_000) / ticksPerSecond));
}
