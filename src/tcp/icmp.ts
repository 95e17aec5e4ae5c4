/**
 * What the network layer tells a connection: errors, and the path's MTU.
 *
 * Errors are advice. A connection that is synchronized is never ended by one (RFC 5927 4.1: anybody can forge them); while it
 * opens, hard ones end it. Whether the quoted segment is one of ours (its number between SND.UNA and SND.MAX) is judged by
 * {@link isQuoteOurs}, which callers ask first. Sources: RFC 9293 3.9.2.2, RFC 5927, RFC 1191, RFC 8201, RFC 5681 3.1.
 */

import { type Seq, seqDiff } from '../base/seq.ts';
import { TcpConnectionState as State } from '../state/tcp.ts';
import { senderMss } from './congestion/congestion-control.ts';
import { congestionOf } from './congestion/named.ts';
import { type TcpConnection, TcpMode } from './connection.ts';
import { Effect, type Effects } from './effects.ts';
import { enterClosed } from './lifecycle.ts';
import { MSS_MIN } from './open.ts';
import type { TcpParameters } from './parameters.ts';
import { sendAllAgain } from './recovery.ts';

const TCP_HEADER_BYTES = 20;

/** Whether a segment that an ICMP error quotes can be in flight. RFC 5927 4.1. */
export function isQuoteOurs(c: TcpConnection, seq: Seq): boolean {
  return isInFlight(seq, c.sndUna, c.sndMax);
}

/** The same by the numbers alone. */
export function isInFlight(seq: Seq, sndUna: Seq, sndMax: Seq): boolean {
  const offset = seqDiff(seq, sndUna);
  return offset >= 0 && offset <= seqDiff(sndMax, sndUna);
}

/** An ICMP error. `hard`: protocol or port unreachable, or the like (SHLD-26); otherwise a soft one (MUST-56). */
export function onIcmpError(c: TcpConnection, p: TcpParameters, hard: boolean, _nowUs: number): Effects {
  if (c.state !== State.SYN_SENT && c.state !== State.SYN_RCVD) return Effect.NONE;
  if (!hard) return Effect.NONE;
  enterClosed(c, p);
  return Effect.ABORTED;
}

/**
 * The path takes datagrams of `mtu` bytes, headers included; `ipHeaderBytes`: 20 or 40 with what options need. Called with the
 * first MTU after `adopt`, and whenever it changes. What was lost for being too long is sent again at once. RFC 1191 6.5.
 */
export function onPathMtu(
  c: TcpConnection,
  p: TcpParameters,
  mtu: number,
  ipHeaderBytes: number,
  _nowUs: number,
): Effects {
  const fits = Math.max(MSS_MIN, mtu - ipHeaderBytes - TCP_HEADER_BYTES);
  const oldMss = senderMss(c);
  const before = c.effectiveMss;
  if (c.localMss === 0) c.localMss = fits;
  // Before the handshake the peer's MSS is not known; learning it does not undo a small path.
  c.effectiveMss = Math.min(c.remoteMss === 0 ? fits : c.remoteMss, fits);
  if (c.effectiveMss >= before || before === 0) return Effect.NONE;
  if (c.cWnd > 0) congestionOf(c, p).onMssReduced(c, oldMss);
  if (c.state < State.ESTABLISHED || seqDiff(c.sndMax, c.sndUna) <= c.effectiveMss || c.sndWnd === 0)
    return Effect.NONE;
  c.clearMode(TcpMode.IN_RECOVERY | TcpMode.RETRANSMIT_DUE);
  c.setMode(TcpMode.AFTER_TIMEOUT);
  c.recover = c.sndMax;
  c.sndNxt = c.sndUna;
  sendAllAgain(c);
  return Effect.TRANSMIT;
}
