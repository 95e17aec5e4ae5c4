/**
 * Text and FIN: trimming to the window, in order or out of order, and when to acknowledge.
 *
 * Sixth to eighth of RFC 9293 3.10.7.4. In-order text is not copied: the segment is trimmed to it and the owner takes it from
 * there. ACKs: every `ackFrequency` segments, at once for what is out of order or fills a gap (RFC 5681 4.2), within
 * `delayedAckUs` otherwise; several in one batch become one (MUST-58, MUST-59).
 */

import { seqAdd, seqAtOrBefore, seqBefore, seqDiff, seqMax, seqMin } from '../base/seq.ts';
import { TcpConnectionState as State, TcpConstFlag } from '../state/tcp.ts';
import { TcpFlag, type TcpSegment } from '../wire/tcp-segment.ts';
import { Moment, type TcpConnection, TcpMode } from './connection.ts';
import { armDeadline, isArmed } from './deadlines.ts';
import { Effect, type Effects } from './effects.ts';
import { canReceive, enterTimeWait } from './lifecycle.ts';
import type { TcpParameters } from './parameters.ts';
import { noteDuplicate } from './sack-option.ts';
import { nextState, TcpEvent } from './transitions.ts';

/** Duplicate ACKs owed one by one at most: what is lost of them is not missed. */
const DUP_ACKS_OWED_MAX = 64;

/** Text and FIN of an acceptable segment. `seg` is trimmed to the text that is new and in order. */
export function onText(c: TcpConnection, p: TcpParameters, seg: TcpSegment, nowUs: number): Effects {
  if (seg.textLength === 0 && (seg.flags & TcpFlag.FIN) === 0) return Effect.NONE;
  if (!canReceive(c.state)) {
    // Behind the peer's FIN there is nothing; whoever sends something all the same learns what we have.
    seg.textLength = 0;
    c.setMode(TcpMode.ACK_NOW);
    return Effect.TRANSMIT;
  }
  const wasOld = trim(c, seg);
  if (seqBefore(c.rcvNxt, seg.seq)) return onOutOfOrder(c, p, seg);
  return onInOrder(c, p, seg, wasOld, nowUs);
}

/** Cuts away what came before RCV.NXT and what lies beyond the window. Answers whether anything came before. 9293-SM-6. */
function trim(c: TcpConnection, seg: TcpSegment): boolean {
  const old = seqDiff(c.rcvNxt, seg.seq);
  if (old > 0) {
    const cut = Math.min(old, seg.textLength);
    if (c.hasOption(TcpConstFlag.SACK_ENABLED)) noteDuplicate(c, seg.seq, seqAdd(seg.seq, cut));
    seg.seq = seqAdd(seg.seq, old);
    seg.textAt += cut;
    seg.textLength -= cut;
  }
  const beyond = seqDiff(seqAdd(seg.seq, seg.textLength), seqMax(c.rcvAdv, c.rcvNxt));
  if (beyond > 0) {
    // Text that does not fit; whatever follows it does not either.
    seg.textLength = Math.max(0, seg.textLength - beyond);
    seg.flags &= ~TcpFlag.FIN;
    c.setMode(TcpMode.ACK_NOW);
  }
  return old > 0;
}

function onInOrder(c: TcpConnection, p: TcpParameters, seg: TcpSegment, wasOld: boolean, nowUs: number): Effects {
  let effects: Effects = Effect.NONE;
  let isUrgent = c.hasMode(TcpMode.ACK_NOW);
  let hasFin = (seg.flags & TcpFlag.FIN) !== 0;
  if (seg.textLength > 0) {
    effects |= Effect.TEXT;
    receive(c, seg.textLength);
    c.ackPending += seg.textLength > c.localMss ? p.ackFrequency : 1;
  }
  const reassembly = c.reassembly;
  if (reassembly !== null && !reassembly.isEmpty) {
    // RFC 5681 4.2: at once while a gap is being filled, and while there is another.
    isUrgent = true;
    // Nothing follows a FIN that is next in order, whatever came before it and said otherwise.
    if (hasFin) reassembly.clear();
    else {
      const ready = reassembly.advance(c.rcvNxt);
      // Of two duplicates in one segment the lower one is told.
      if (c.hasOption(TcpConstFlag.SACK_ENABLED) && !wasOld) {
        noteDuplicate(c, reassembly.duplicateLeft, reassembly.duplicateRight);
      }
      if (ready > 0) {
        effects |= Effect.TEXT;
        receive(c, ready);
      }
      hasFin = reassembly.takeFin(c.rcvNxt);
    }
  }
  if (hasFin) effects |= onFin(c, p, nowUs);
  return effects | scheduleAck(c, p, isUrgent || hasFin, nowUs);
}

/** `bytes` of text are in order now: RCV.NXT moves, the right edge of the window stays. */
function receive(c: TcpConnection, bytes: number): void {
  c.rcvNxt = seqAdd(c.rcvNxt, bytes);
  c.rcvWnd = Math.max(0, c.rcvWnd - bytes);
  c.receiveSpace = Math.max(0, c.receiveSpace - bytes);
}

function scheduleAck(c: TcpConnection, p: TcpParameters, isUrgent: boolean, nowUs: number): Effects {
  let isNow = isUrgent || c.ackPending >= p.ackFrequency;
  if (!isNow && c.quickAcks > 0) {
    c.quickAcks--;
    isNow = true;
  }
  if (isNow) {
    c.setMode(TcpMode.ACK_NOW);
    return Effect.TRANSMIT;
  }
  if (c.ackPending > 0 && !isArmed(c, Moment.DELAYED_ACK)) armDeadline(c, Moment.DELAYED_ACK, nowUs, p.delayedAckUs);
  return Effect.NONE;
}

/** Text beyond a gap: kept, and told to the peer at once. RFC 5681 4.2, RFC 2018 4. */
function onOutOfOrder(c: TcpConnection, p: TcpParameters, seg: TcpSegment): Effects {
  const hasSack = c.hasOption(TcpConstFlag.SACK_ENABLED);
  c.reassembly ??= p.spares.takeReassembly();
  const reassembly = c.reassembly;
  if (seg.textLength > 0) {
    const end = seqAdd(seg.seq, seg.textLength);
    reassembly.insert(seg.seq, seg.bytes, seg.textAt, seg.textLength);
    if (hasSack) noteDuplicate(c, reassembly.duplicateLeft, seqMin(reassembly.duplicateRight, end));
  }
  if ((seg.flags & TcpFlag.FIN) !== 0) reassembly.insertFin(seqAdd(seg.seq, seg.textLength));
  seg.textLength = 0;
  if (!hasSack && c.dupAcksOwed < DUP_ACKS_OWED_MAX) c.dupAcksOwed++;
  c.setMode(TcpMode.ACK_NOW);
  return Effect.TRANSMIT;
}

/** The peer's FIN is next in order. RFC 9293 3.10.7.4, eighth. */
function onFin(c: TcpConnection, p: TcpParameters, nowUs: number): Effects {
  c.rcvNxt = seqAdd(c.rcvNxt, 1);
  c.rcvWnd = Math.max(0, c.rcvWnd - 1);
  if (seqAtOrBefore(c.rcvAdv, c.rcvNxt)) c.rcvAdv = c.rcvNxt;
  // Nothing is kept beyond a FIN, and ready text is taken by the owner before it lets the reassembler go.
  const state = nextState(c.state, TcpEvent.FIN_RECEIVED);
  if (state === State.TIME_WAIT) return Effect.END_OF_STREAM | enterTimeWait(c, p, nowUs);
  c.state = state;
  return Effect.END_OF_STREAM;
}
