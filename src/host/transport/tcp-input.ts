/**
 * TCP segments on their way in: whose they are, and what becomes of those that are nobody's.
 *
 * A segment of a connection that the host runs goes through the engine; of one that is offloaded, or moving, to the chimney
 * client, never to a reset; a SYN for a listener makes a half-open connection; everything else is answered by a reset where
 * RFC 9293 3.10.7.1 allows. Broadcast is dropped in silence (MUST-57). The checksum is verified here (MUST-3).
 */

import { TcpConnectionState } from '../../state/tcp.ts';
import { Effect } from '../../tcp/effects.ts';
import { onSegment, resetFor } from '../../tcp/on-segment.ts';
import { closeSend } from '../../tcp/on-send.ts';
import { Event } from '../../trace/events.ts';
import { WIRE_OK } from '../../wire/status.ts';
import { decodeTcp, isTcpChecksumGood } from '../../wire/tcp.ts';
import { TcpFlag, type TcpSegment } from '../../wire/tcp-segment.ts';
import type { TransportErrorCode } from '../api.ts';
import type { RxPacket } from '../path/types.ts';
import { EndpointFlag } from './endpoint-flags.ts';
import { act, completeSends, enterTimeWait, fail, finAcked } from './tcp-effects.ts';
import type { HostEndpoint } from './tcp-endpoint.ts';
import { accept } from './tcp-open.ts';
import { sendBare } from './tcp-output.ts';
import type { TcpTransport } from './tcp-transport.ts';

/** A TCP packet from IP. */
export function receive(t: TcpTransport, rx: RxPacket, nowUs: number): void {
  const seg = t.received;
  if (rx.toMulticast || rx.toBroadcast || rx.linkBroadcast) {
    t.trace.count(Event.TCP_NOT_UNICAST);
    return;
  }
  const statistics = t.ip.statistics(rx.family);
  statistics.inSegments++;
  seg.ecn = rx.tos & 3;
  if (decodeTcp(rx.bytes, rx.at, rx.length, seg) !== WIRE_OK) {
    t.trace.count(Event.TCP_HEADER_BAD);
    statistics.inErrors++;
    return;
  }
  if (rx.segmentBytes === 0 && !isTcpChecksumGood(rx.bytes, rx.at, rx.length, rx.family, rx.srcAt, rx.dstAt)) {
    t.trace.count(Event.TCP_CHECKSUM_BAD);
    statistics.inErrors++;
    return;
  }
  const c = t.table.find(rx.family, rx.bytes, rx.dstAt, rx.srcAt, seg.dstPort, seg.srcPort);
  if (c === null) {
    receiveStray(t, rx, seg, nowUs);
    return;
  }
  const endpoint = c.owner as HostEndpoint;
  if (endpoint.location === 'host' || endpoint.location === 'closed') step(t, endpoint, rx, seg, nowUs);
  else {
    // What the target of this interface has seen and not taken is the host's; the rest it has never seen (section 16).
    const wasPassedUp = rx.iface === endpoint.path.iface && !rx.wasReassembled && !rx.hadOptions;
    t.chimney.segment(endpoint, rx.bytes, rx.at, rx.length, wasPassedUp);
  }
}

/** ESTABLISHED or CLOSE_WAIT. */
export function isLive(state: number): boolean {
  return state === TcpConnectionState.ESTABLISHED || state === TcpConnectionState.CLOSE_WAIT;
}

/** One step of the engine. `rx` is null for a segment that did not come from IP just now. */
function step(t: TcpTransport, endpoint: HostEndpoint, rx: RxPacket | null, seg: TcpSegment, nowUs: number): void {
  if ((endpoint.flags & EndpointFlag.CLOSED_DUE) !== 0) {
    // Over, and only waiting to tell its handler.
    if (rx !== null) answerReset(t, rx, seg);
    return;
  }
  const { state } = endpoint.tcp;
  const effects = onSegment(endpoint.tcp, t.parameters, seg, nowUs);
  if (isLive(state) && endpoint.tcp.state === TcpConnectionState.CLOSED) {
    t.ip.statistics(endpoint.path.family).resetEstablished++;
  }
  t.turn.add(endpoint);
  if (rx?.hadOptions && rx.family === 4 && (effects & Effect.DROPPED) === 0) endpoint.flags |= EndpointFlag.IP_OPTIONS;
  if ((effects & (Effect.REOPEN | Effect.ANSWER_RESET)) !== 0 && rx !== null) {
    if ((effects & Effect.REOPEN) !== 0) reopen(t, endpoint, rx, seg, nowUs);
    else answerReset(t, rx, seg);
    return;
  }
  act(t, endpoint, effects, seg, nowUs);
}

/** A segment that the chimney client kept, or got back: from its TCP header on, checksum verified. */
export function processSegment(
  t: TcpTransport,
  endpoint: HostEndpoint,
  bytes: Uint8Array,
  at: number,
  length: number,
  nowUs: number,
): void {
  if ((endpoint.flags & EndpointFlag.RELEASED) !== 0) return;
  const seg = t.received;
  seg.ecn = 0;
  if (decodeTcp(bytes, at, length, seg) !== WIRE_OK) {
    t.trace.count(Event.TCP_HEADER_BAD);
    return;
  }
  step(t, endpoint, null, seg, nowUs);
}

/** A SYN in TIME-WAIT that may begin a new connection: where a listener wants it, the old one is forgotten. RFC 6191, MAY-2. */
function reopen(t: TcpTransport, endpoint: HostEndpoint, rx: RxPacket, seg: TcpSegment, nowUs: number): void {
  const listener = t.listeners.find(rx.family, rx.bytes, rx.dstAt, seg.dstPort, rx.srcAt, seg.srcPort);
  if (listener === null) return;
  const beyond = endpoint.tcp.sndMax;
  t.release(endpoint);
  accept(t, listener, rx, seg, beyond, nowUs);
}

/** A segment without connection. RFC 9293 3.10.7.1 (9293-SM-1) and 3.10.7.2 (9293-SM-2). */
function receiveStray(t: TcpTransport, rx: RxPacket, seg: TcpSegment, nowUs: number): void {
  const listener = t.listeners.find(rx.family, rx.bytes, rx.dstAt, seg.dstPort, rx.srcAt, seg.srcPort);
  if (listener !== null && (seg.flags & (TcpFlag.SYN | TcpFlag.ACK | TcpFlag.RST)) === TcpFlag.SYN) {
    accept(t, listener, rx, seg, null, nowUs);
    return;
  }
  t.trace.count(Event.TCP_NO_CONNECTION);
  // In LISTEN only an ACK is answered; what has neither SYN, ACK nor RST cannot be anything.
  if (listener !== null && (seg.flags & TcpFlag.ACK) === 0) return;
  answerReset(t, rx, seg);
}

function answerReset(t: TcpTransport, rx: RxPacket, seg: TcpSegment): void {
  const rst = t.sendSegment;
  if (!resetFor(seg, rst)) return;
  const path = t.ip.routeBack(rx);
  if (typeof path === 'string') return;
  if (sendBare(t, path, rst, 0, 0)) t.trace.count(Event.TCP_RST_SENT);
}

/** The record was the target's and is the host's again: goes on in whatever state it came back. TERM: H takes over. */
export function adopt(t: TcpTransport, endpoint: HostEndpoint, nowUs: number, closedBecause: TransportErrorCode): void {
  const { tcp } = endpoint;
  completeSends(t, endpoint);
  const { state } = tcp;
  if (state === TcpConnectionState.CLOSED) {
    const both = EndpointFlag.FIN_RECEIVED | EndpointFlag.SHUTDOWN;
    if ((endpoint.flags & both) !== both) fail(t, endpoint, closedBecause);
    else act(t, endpoint, Effect.CLOSED, null, nowUs);
    return;
  }
  // The target may have seen the FIN and been taken back before it could say so.
  const isFinReceived =
    state === TcpConnectionState.CLOSE_WAIT ||
    state === TcpConnectionState.CLOSING ||
    state === TcpConnectionState.LAST_ACK ||
    state === TcpConnectionState.TIME_WAIT;
  if (isFinReceived && (endpoint.flags & EndpointFlag.FIN_RECEIVED) === 0) endpoint.peerFinished();
  if (state === TcpConnectionState.TIME_WAIT) enterTimeWait(t, endpoint);
  else if ((endpoint.flags & EndpointFlag.SHUTDOWN) !== 0) {
    // Its disconnect came back UPLOAD_IN_PROGRESS, or had not been passed down yet.
    act(t, endpoint, closeSend(tcp, t.parameters, nowUs), null, nowUs);
  }
  if ((endpoint.flags & EndpointFlag.RELEASED) !== 0) return;
  finAcked(t, endpoint, nowUs);
  t.openWindow(endpoint, nowUs);
  t.sendSoon(endpoint);
}
