/**
 * The receive window: how much the peer may send, kept from becoming silly.
 *
 * The right edge never moves left (SHLD-14) and moves right in steps worth a segment: min(half the buffer, MSS) (RFC 9293
 * 3.8.6.2.2 MUST-39). What is offered goes out with the next ACK anyway; a segment of its own is sent for it only when the
 * peer would otherwise wait, when much has become free since, or when the silly-window timer expires.
 */

import { seqAdd, seqBefore, seqDiff } from '../base/seq.ts';
import { advertisedWindow } from './acceptability.ts';
import { Moment, type TcpConnection, TcpMode } from './connection.ts';
import { armDeadline, disarmDeadline, isArmed } from './deadlines.ts';
import { Effect, type Effects } from './effects.ts';
import { canReceive, releaseReassembly } from './lifecycle.ts';
import type { TcpParameters } from './parameters.ts';

/** Largest value of the window field. */
const WINDOW_FIELD_MAX = 65535;

/**
 * The owner can buffer `freeBytes` more behind RCV.NXT. To be called after text was delivered (contract of Effect.TEXT) and
 * whenever the reader has taken some. TRANSMIT: a window update is due.
 */
export function setReceiveSpace(c: TcpConnection, p: TcpParameters, freeBytes: number, nowUs: number): Effects {
  c.receiveSpace = freeBytes;
  if (c.reassembly?.isEmpty) releaseReassembly(c, p);
  if (!canReceive(c.state)) return Effect.NONE;
  const offer = Math.min(freeBytes, WINDOW_FIELD_MAX << c.rcvWindScale);
  const step = Math.max(1, Math.min(c.initialRcvWnd >> 1, c.localMss));
  if (offer - c.rcvWnd < step) return Effect.NONE;
  c.rcvWnd = offer;
  if (!isUpdateDue(c)) {
    // TCP-014: what no other segment has told by then, the silly-window timer does.
    const isToldAnyway = c.ackPending > 0 || c.hasMode(TcpMode.ACK_NOW);
    if (!isToldAnyway && !isArmed(c, Moment.WINDOW_UPDATE)) armDeadline(c, Moment.WINDOW_UPDATE, nowUs, p.swsUs);
    return Effect.NONE;
  }
  c.setMode(TcpMode.ACK_NOW);
  return Effect.TRANSMIT;
}

/** The silly-window timer has expired: the window is told, unless that has happened since. */
export function onWindowUpdateTimeout(c: TcpConnection): Effects {
  disarmDeadline(c, Moment.WINDOW_UPDATE);
  if (!canReceive(c.state) || c.rcvWnd - advertisedWindow(c) < 1 << c.rcvWindScale) return Effect.NONE;
  c.setMode(TcpMode.ACK_NOW);
  return Effect.TRANSMIT;
}

/** Whether the offered window is worth telling by itself: the peer is short of window, or it has grown by much. */
function isUpdateDue(c: TcpConnection): boolean {
  const advertised = advertisedWindow(c);
  const gain = c.rcvWnd - advertised;
  const buffer = c.initialRcvWnd;
  if (advertised < c.localMss) return true;
  if (2 * gain >= buffer) return true;
  return gain >= 2 * c.localMss && (4 * gain >= buffer || 8 * advertised <= buffer || buffer <= 8 * c.localMss);
}

/**
 * The window field of a segment sent now, which is thereby advertised. Scaling rounds down; where that would draw the right
 * edge back it rounds up instead, if the room is there (RFC 7323 2.4).
 */
export function advertiseWindow(c: TcpConnection, isSyn: boolean): number {
  const scale = isSyn ? 0 : c.rcvWindScale;
  let field = Math.min(c.rcvWnd >> scale, WINDOW_FIELD_MAX);
  let edge = seqAdd(c.rcvNxt, field << scale);
  if (seqBefore(edge, c.rcvAdv) && field < WINDOW_FIELD_MAX && (field + 1) << scale <= c.receiveSpace) {
    field++;
    edge = seqAdd(c.rcvNxt, field << scale);
  }
  if (seqDiff(edge, c.rcvAdv) > 0) {
    c.rcvAdv = edge;
    if (field << scale > c.rcvWnd) c.rcvWnd = field << scale;
  }
  return field;
}
