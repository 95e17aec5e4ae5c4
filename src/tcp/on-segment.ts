/**
 * A segment arrives. RFC 9293 3.10.7.
 *
 * A pure step: it changes only the record (and what hangs on it), and answers with the set of things its caller must now do. It
 * neither sends nor throws, and allocates nothing: every byte the peer can send has a path through here.
 *
 * What the caller does with TEXT: RCV.NXT already covers the segment's text and whatever the reassembler had waiting behind it.
 * Deliver `seg.bytes` from `seg.textAt`, `seg.textLength` bytes (0 is possible), then `while (c.reassembly?.take(piece))` the
 * pieces, all before the next segment is given to the engine; then END_OF_STREAM, if it is in the set. Then tell the engine the
 * room that is left with `setReceiveSpace`. Ask for segments to send (TRANSMIT) once per batch of segments, not per segment.
 * With ABORTED, TIMED_OUT or CLOSED the connection is over; take what is left of `sendQueue` before the record is freed.
 */

import { type Seq, seqAdd, seqBefore, seqDiff } from '../base/seq.ts';
import { TcpConnectionState as State, TcpConstFlag } from '../state/tcp.ts';
import { TcpFlag, type TcpSegment } from '../wire/tcp-segment.ts';
import { checkSegment } from './acceptability.ts';
import { onAck } from './ack.ts';
import { Moment, type TcpConnection, TcpMode } from './connection.ts';
import { armDeadline, isArmed } from './deadlines.ts';
import { onMarks } from './ecn.ts';
import { Effect, type Effects } from './effects.ts';
import { onPeerHeard } from './keep-alive.ts';
import { onSegmentInSynSent } from './open.ts';
import type { TcpParameters } from './parameters.ts';
import { onText } from './text.ts';
import { updateTsRecent } from './timestamps.ts';

/** Processes one segment, whose checksum was right, in any state from SYN-SENT on. `seg` may be changed. */
export function onSegment(c: TcpConnection, p: TcpParameters, seg: TcpSegment, nowUs: number): Effects {
  if (c.state === State.SYN_SENT) return onSegmentInSynSent(c, p, seg, nowUs);
  if (c.state === State.CLOSED || c.state === State.LISTEN) return Effect.DROPPED | Effect.ANSWER_RESET;

  let effects = checkSegment(c, p, seg, nowUs);
  if (effects !== Effect.NONE) return effects;
  if (p.role === 'target' && isUrgentHere(c, seg)) return Effect.URGENT;

  onPeerHeard(c, p, nowUs);
  // TCP-024: an acceptable segment restarts the FIN-WAIT-2 timer.
  if (c.state === State.FIN_WAIT2 && isArmed(c, Moment.RETRANSMIT)) {
    armDeadline(c, Moment.RETRANSMIT, nowUs, p.finWait2Us);
  }
  if (c.hasMode(TcpMode.ECN)) onMarks(c, seg);
  effects = onAck(c, p, seg, nowUs);
  if ((effects & (Effect.DROPPED | Effect.CLOSED)) !== 0) return effects;
  // Not of one whose ACK is challenged: a stranger's guess must not make the peer's segments look old (RFC 5961 5, RFC 7323 5.3 R3).
  if (seg.hasTimestamps && c.hasOption(TcpConstFlag.TIMESTAMP_ENABLED)) updateTsRecent(c, seg, nowUs);
  if ((seg.flags & TcpFlag.URG) !== 0) effects |= onUrgent(c, seg);
  return effects | onText(c, p, seg, nowUs);
}

/**
 * Whether a segment at a target carries urgent data that is valid: sequence number checked already, ACK number in range. The
 * segment is then left as if it had not come: neither it nor anything later is acknowledged. TCP-079 to TCP-084.
 */
function isUrgentHere(c: TcpConnection, seg: TcpSegment): boolean {
  if ((seg.flags & TcpFlag.URG) === 0) return false;
  return seqDiff(seg.ack, c.sndUna) >= -c.maxSndWnd && !seqBefore(c.sndMax, seg.ack);
}

/** RCV.UP <- max(RCV.UP, SEG.SEQ + SEG.UP); news only when it moved beyond what was taken. RFC 9293 3.10.7.4 sixth, RFC 6093. */
function onUrgent(c: TcpConnection, seg: TcpSegment): Effects {
  const up: Seq = seqAdd(seg.seq, seg.urgentPointer);
  if (!seqBefore(c.rcvNxt, up) || (c.hasMode(TcpMode.URGENT) && !seqBefore(c.rcvUp, up))) return Effect.NONE;
  c.setMode(TcpMode.URGENT);
  c.rcvUp = up;
  return Effect.URGENT;
}

/** Whether urgent data is among the last `bytes` bytes in front of RCV.NXT, which were received and not read. TCP-086. */
export function isUrgentUnread(c: TcpConnection, bytes: number): boolean {
  return bytes > 0 && c.hasMode(TcpMode.URGENT) && seqDiff(c.rcvUp, c.rcvNxt) > -bytes;
}

/**
 * Fills `out` with the reset that answers a segment without a connection, or one that a connection answers so
 * (Effect.ANSWER_RESET). False: it must not be answered. RFC 9293 3.10.7.1; the echoed timestamp is RFC 7323 5.2.
 */
export function resetFor(seg: TcpSegment, out: TcpSegment): boolean {
  if ((seg.flags & TcpFlag.RST) !== 0) return false;
  out.clearOptions();
  out.srcPort = seg.dstPort;
  out.dstPort = seg.srcPort;
  out.window = 0;
  out.urgentPointer = 0;
  out.textLength = 0;
  out.sendOffset = 0;
  if ((seg.flags & TcpFlag.ACK) !== 0) {
    out.seq = seg.ack;
    out.ack = 0 as Seq;
    out.flags = TcpFlag.RST;
  } else {
    out.seq = 0 as Seq;
    out.ack = seqAdd(seg.seq, seg.seqLength);
    out.flags = TcpFlag.RST | TcpFlag.ACK;
  }
  out.hasTimestamps = seg.hasTimestamps;
  out.tsEcr = seg.tsVal;
  out.headerLength = seg.hasTimestamps ? 32 : 20;
  return true;
}
