/**
 * The header of segments to be sent: ports, numbers, window and options; and what sending an ACK settles.
 *
 * Sources: RFC 9293 3.1, RFC 7323 3.2, RFC 2018 3, RFC 6691.
 */

import { asSeq, type Seq } from '../base/seq.ts';
import { TcpConnectionState as State, TcpConstFlag } from '../state/tcp.ts';
import { TcpFlag, type TcpSegment } from '../wire/tcp-segment.ts';
import { Moment, type TcpConnection, TcpMode } from './connection.ts';
import { disarmDeadline } from './deadlines.ts';
import { synFlags } from './ecn.ts';
import type { TcpParameters } from './parameters.ts';
import { advertiseWindow } from './receive-window.ts';
import { sackBlocksDue, writeSackOption } from './sack-option.ts';
import { timestampNow } from './timestamps.ts';

const HEADER_BYTES = 20;
const TIMESTAMPS_BYTES = 12;
/** SACK option with its padding: this and eight bytes a block. */
const SACK_BYTES = 4;
const SACK_BLOCK_BYTES = 8;

/** SACK blocks that fit beside the other options. RFC 2018 3. */
function sackRoom(c: TcpConnection): number {
  return c.hasOption(TcpConstFlag.TIMESTAMP_ENABLED) ? 3 : 4;
}

/** Bytes the options of the next segment with ACK will take. */
export function optionBytes(c: TcpConnection): number {
  let bytes = c.hasOption(TcpConstFlag.TIMESTAMP_ENABLED) ? TIMESTAMPS_BYTES : 0;
  if (c.hasOption(TcpConstFlag.SACK_ENABLED)) {
    const blocks = sackBlocksDue(c, sackRoom(c));
    if (blocks > 0) bytes += SACK_BYTES + SACK_BLOCK_BYTES * blocks;
  }
  return bytes;
}

/**
 * Fills a segment that carries an ACK: everything but text. The ACK is thereby sent: delayed and owed ones are settled.
 * Duplicate ACKs that are owed one by one are not: only an empty segment counts as one (RFC 5681 2).
 */
export function fillHeader(
  c: TcpConnection,
  p: TcpParameters,
  out: TcpSegment,
  seq: Seq,
  flags: number,
  nowUs: number,
): void {
  const echo = c.hasMode(TcpMode.ECN_ECHO) ? TcpFlag.ECE : 0;
  fillCommon(c, p, out, seq, flags | TcpFlag.ACK | echo, nowUs);
  if (c.hasOption(TcpConstFlag.SACK_ENABLED)) {
    writeSackOption(c, out, sackRoom(c));
    if (out.sackCount > 0) out.headerLength += SACK_BYTES + SACK_BLOCK_BYTES * out.sackCount;
  }
  out.ack = c.rcvNxt;
  out.window = advertiseWindow(c, false);
  c.lastAckSent = c.rcvNxt;
  c.ackPending = 0;
  c.clearMode(TcpMode.ACK_NOW);
  disarmDeadline(c, Moment.DELAYED_ACK);
}

/** Fills the SYN of SYN-SENT or the SYN,ACK of SYN-RCVD. RFC 7323: only what the other SYN had is in a SYN,ACK. */
export function fillSyn(c: TcpConnection, p: TcpParameters, out: TcpSegment, nowUs: number): void {
  const isAnswer = c.state === State.SYN_RCVD;
  const flags = (isAnswer ? TcpFlag.SYN | TcpFlag.ACK : TcpFlag.SYN) | synFlags(c, p, isAnswer);
  fillCommon(c, p, out, c.iss, flags, nowUs);
  out.ack = isAnswer ? c.rcvNxt : asSeq(0);
  // RFC 7323 3.2: TSecr is zero when the ACK bit is not set.
  if (!isAnswer) out.tsEcr = 0;
  out.mss = c.localMss;
  out.sackPermitted = c.hasOption(TcpConstFlag.SACK_ENABLED);
  out.windowScale = c.hasOption(TcpConstFlag.WINDOW_SCALING_ENABLED) ? c.rcvWindScale : -1;
  out.headerLength += 4 + (out.windowScale >= 0 ? 4 : 0) + (out.sackPermitted && !out.hasTimestamps ? 4 : 0);
  if (isAnswer) {
    out.window = advertiseWindow(c, true);
    c.lastAckSent = c.rcvNxt;
  } else out.window = Math.min(c.rcvWnd, 65535);
  c.clearMode(TcpMode.SYN_DUE | TcpMode.ACK_NOW);
}

/** Fills the reset of an ABORT call. RFC 9293 3.10.5; with ACK, and the timestamp of RFC 7323 3.2. */
export function fillReset(c: TcpConnection, p: TcpParameters, out: TcpSegment, nowUs: number): void {
  fillCommon(c, p, out, nextSeq(c), TcpFlag.RST | TcpFlag.ACK, nowUs);
  out.ack = c.rcvNxt;
  out.window = 0;
}

/**
 * The number a segment without text bears: behind all that was sent, even where the window has shrunk below that. What the
 * peer acknowledged last says little of what it has by now, and an old number would be dropped together with its ACK; if both
 * ends did that to each other, nothing would move again. With a closed window it is what the peer waits for (RFC 9293 3.10.7.4).
 */
export function nextSeq(c: TcpConnection): Seq {
  return c.sndWnd === 0 && c.state >= State.ESTABLISHED ? c.sndUna : c.sndMax;
}

function fillCommon(c: TcpConnection, p: TcpParameters, out: TcpSegment, seq: Seq, flags: number, nowUs: number): void {
  out.srcPort = c.localPort;
  out.dstPort = c.remotePort;
  out.seq = seq;
  out.flags = flags;
  out.urgentPointer = 0;
  out.textLength = 0;
  out.sendOffset = 0;
  out.ecn = 0;
  out.mss = 0;
  out.windowScale = -1;
  out.sackPermitted = false;
  out.sackCount = 0;
  out.headerLength = HEADER_BYTES;
  out.hasTimestamps = c.hasOption(TcpConstFlag.TIMESTAMP_ENABLED);
  if (out.hasTimestamps) {
    out.tsVal = timestampNow(c, p, nowUs);
    out.tsEcr = c.tsRecent;
    out.headerLength += TIMESTAMPS_BYTES;
  }
}
