/**
 * Proportional Rate Reduction: how much may be sent in a recovery, so that the window comes down to SSTHRESH evenly.
 *
 * CWND stands at SSTHRESH all through the recovery, which is where it ends and what a move takes along; what PRR leaves to be sent
 * at the moment is a word of its own (CWND of the RFC is what is in flight plus that). Needs SACK and RACK's account of losses.
 * Source: RFC 9937 section 6.
 */

import { PrivateWord, type TcpConnection } from './connection.ts';

/** Recovery begins: `inFlightBefore` is RecoverFS, what was in flight before the ACK that began it. RFC 9937 6.1. */
export function beginReduction(c: TcpConnection, inFlightBefore: number): void {
  c.words[c.base + PrivateWord.PRR_DELIVERED] = 0;
  c.words[c.base + PrivateWord.PRR_OUT] = 0;
  c.words[c.base + PrivateWord.PRR_RECOVER_FS] = Math.max(1, inFlightBefore);
  c.words[c.base + PrivateWord.PRR_ALLOWED] = 0;
}

/**
 * An ACK in recovery delivered `delivered` bytes; `inFlight` bytes are in the network. `isSafe`: SND.UNA moved and no further loss
 * was found. RFC 9937 6.2.
 */
export function reduce(c: TcpConnection, delivered: number, inFlight: number, isSafe: boolean, mss: number): void {
  if (!isReducing(c)) return;
  const { words, base } = c;
  const prrDelivered = words[base + PrivateWord.PRR_DELIVERED]! + delivered;
  const prrOut = words[base + PrivateWord.PRR_OUT]!;
  words[base + PrivateWord.PRR_DELIVERED] = prrDelivered;
  let count: number;
  if (inFlight > c.ssThresh) {
    count = Math.ceil((prrDelivered * c.ssThresh) / words[base + PrivateWord.PRR_RECOVER_FS]!) - prrOut;
  } else {
    count = Math.max(prrDelivered - prrOut, delivered);
    if (isSafe) count += mss;
    count = Math.min(c.ssThresh - inFlight, count);
  }
  // The first retransmission goes out whatever was delivered.
  if (prrOut === 0 && count <= 0) count = mss;
  words[base + PrivateWord.PRR_ALLOWED] = Math.max(0, count);
}

/**
 * A recovery is taken over that another runner of the connection began: what was delivered and sent in it is not known, so it goes
 * on without PRR, by what is in flight.
 */
export function adoptReduction(c: TcpConnection): void {
  c.words[c.base + PrivateWord.PRR_RECOVER_FS] = 0;
}

/** Whether this recovery is one with PRR. */
export function isReducing(c: TcpConnection): boolean {
  return c.words[c.base + PrivateWord.PRR_RECOVER_FS]! > 0;
}

/** Bytes that may be sent now. SndCnt. */
export function allowedBytes(c: TcpConnection): number {
  return c.words[c.base + PrivateWord.PRR_ALLOWED]!;
}

/** `bytes` were sent in recovery. */
export function onReducedSend(c: TcpConnection, bytes: number): void {
  c.words[c.base + PrivateWord.PRR_OUT]! += bytes;
  c.words[c.base + PrivateWord.PRR_ALLOWED]! -= bytes;
}
