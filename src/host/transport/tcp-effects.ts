/**
 * What follows from a step of the engine: handlers are called, writes completed, connections handed over, released or let rest.
 *
 * The order is that of `Effect`. Every handler may end the connection it is told about, so each call is followed by a look at
 * whether the endpoint is still there. Sources: RFC 9293 3.10.7.4, 3.6.1; RFC 1122 4.2.3.9; RFC 6191.
 */

import { TcpConnectionState, TcpWord } from '../../state/tcp.ts';
import { Effect, type Effects } from '../../tcp/effects.ts';
import { releaseIdle } from '../../tcp/lifecycle.ts';
import { abort as engineAbort } from '../../tcp/on-send.ts';
import { Event } from '../../trace/events.ts';
import { TcpFlag, type TcpSegment } from '../../wire/tcp-segment.ts';
import type { TransportErrorCode } from '../api.ts';
import { EndpointFlag } from './endpoint-flags.ts';
import type { HostEndpoint } from './tcp-endpoint.ts';
import { sendBare } from './tcp-output.ts';
import type { TcpTransport } from './tcp-transport.ts';

/** Effects after which the connection is gone. */
const OVER_BADLY = Effect.ABORTED | Effect.TIMED_OUT;

/** Carries out what a step answered. `seg`: the received segment, trimmed, where there was one. */
export function act(
  t: TcpTransport,
  endpoint: HostEndpoint,
  effects: Effects,
  seg: TcpSegment | null,
  nowUs: number,
): void {
  if ((effects & Effect.CONNECTED) !== 0) connected(t, endpoint);
  if ((effects & Effect.ACKED) !== 0 && isLive(endpoint)) completeSends(t, endpoint);
  if ((effects & Effect.TEXT) !== 0 && seg !== null && isLive(endpoint)) deliverText(t, endpoint, seg, nowUs);
  if ((effects & Effect.PROGRESS) !== 0) endpoint.path.confirmReachable(nowUs);
  if ((effects & Effect.PATH_IN_DOUBT) !== 0) endpoint.path.doubtReachable(nowUs);
  if (!isLive(endpoint)) return;
  if ((effects & Effect.END_OF_STREAM) !== 0) endpoint.peerFinished();
  if ((effects & Effect.FIN_ACKED) !== 0) finAcked(t, endpoint, nowUs);
  if ((effects & Effect.TRANSMIT) !== 0) t.sendSoon(endpoint);
  if ((effects & Effect.DROPPED) !== 0) t.trace.count(Event.TCP_UNACCEPTABLE);
  if ((effects & OVER_BADLY) !== 0) overBadly(t, endpoint, effects);
  else if ((effects & Effect.CLOSED) !== 0) closed(t, endpoint);
  else if ((effects & Effect.TIME_WAIT) !== 0) enterTimeWait(t, endpoint);
}

/** Whether the record is still this endpoint's to run. */
export function isLive(endpoint: HostEndpoint): boolean {
  return (endpoint.flags & (EndpointFlag.RELEASED | EndpointFlag.CLOSED_DUE)) === 0;
}

function connected(t: TcpTransport, endpoint: HostEndpoint): void {
  endpoint.flags |= EndpointFlag.CONNECTED;
  endpoint.error = null;
  // The path may be known to be narrower than the link, and the link be narrower than when the SYN was sent.
  const { path } = endpoint;
  if (path.mtu < path.iface.fullMtu) t.pathMtuOf(endpoint);
  const halfOpen = endpoint.halfOpen;
  if (halfOpen !== null) {
    t.forgetHalfOpen(endpoint);
    halfOpen.listener.onConnection(endpoint);
  } else endpoint.handler.connected();
  if (!isLive(endpoint)) return;
  if ((endpoint.flags & EndpointFlag.SHUTDOWN) !== 0) t.closeSend(endpoint);
  t.chimney.established(endpoint);
}

/** Gives finished writes back to the application. */
export function completeSends(t: TcpTransport, endpoint: HostEndpoint): void {
  const queue = endpoint.tcp.sendQueue;
  if (queue === null) return;
  const lists = queue.takeCompleted();
  releaseIdle(endpoint.tcp, t.parameters);
  if (lists !== null) endpoint.sendsCompleted(lists, null);
}

/** The segment's own text first, then what it made contiguous; then the window is opened as far as there is room. */
function deliverText(t: TcpTransport, endpoint: HostEndpoint, seg: TcpSegment, nowUs: number): void {
  if (seg.textLength > 0) endpoint.deliver(seg.bytes, seg.textAt, seg.textLength);
  const piece = t.piece;
  while (isLive(endpoint)) {
    const reassembly = endpoint.tcp.reassembly;
    if (reassembly === null || !reassembly.take(piece)) break;
    endpoint.deliver(piece.bytes, piece.at, piece.length);
  }
  if (!isLive(endpoint)) return;
  if (endpoint.isCollecting) endpoint.collected((seg.flags & TcpFlag.PSH) !== 0);
  t.openWindow(endpoint, nowUs);
}

/** Nothing of ours is under way any more. One whose application has closed for good must not wait for its peer for ever. */
export function finAcked(t: TcpTransport, endpoint: HostEndpoint, nowUs: number): void {
  if (endpoint.isOrphan && endpoint.tcp.state === TcpConnectionState.FIN_WAIT2) t.resting.addOrphan(endpoint, nowUs);
}

/** RST from the peer, or given up. */
function overBadly(t: TcpTransport, endpoint: HostEndpoint, effects: Effects): void {
  if (endpoint.location === 'closed') {
    t.release(endpoint);
    return;
  }
  const isConnected = (endpoint.flags & EndpointFlag.CONNECTED) !== 0;
  if ((effects & Effect.ABORTED) !== 0) {
    t.trace.count(Event.TCP_RESET_BY_PEER);
    fail(t, endpoint, isConnected ? 'ECONNRESET' : 'ECONNREFUSED');
    return;
  }
  t.trace.count(Event.TCP_TIMED_OUT);
  // What ICMP said meanwhile explains it better. RFC 1122 4.2.3.9.
  fail(t, endpoint, endpoint.error ?? 'ETIMEDOUT');
}

/** CLOSED in good order: out of LAST-ACK, or TIME-WAIT has run out. */
function closed(t: TcpTransport, endpoint: HostEndpoint): void {
  const hadTold = endpoint.location === 'closed';
  if (!hadTold) completeSends(t, endpoint);
  if (!isLive(endpoint)) return;
  if ((endpoint.flags & EndpointFlag.OVER) === 0) {
    if ((endpoint.flags & (EndpointFlag.FIN_RECEIVED | EndpointFlag.SHUTDOWN)) !== BOTH_HALVES) {
      // FIN-WAIT-2 has run out: the peer never finished.
      fail(t, endpoint, 'ETIMEDOUT');
      return;
    }
    endpoint.flags |= EndpointFlag.OVER;
  }
  t.release(endpoint);
  if (!hadTold) endpoint.tellEnd();
}

const BOTH_HALVES = EndpointFlag.FIN_RECEIVED | EndpointFlag.SHUTDOWN;

/** Both halves are finished; the record rests for 2 MSL, with nothing of the application in it. */
export function enterTimeWait(t: TcpTransport, endpoint: HostEndpoint): void {
  if ((endpoint.flags & EndpointFlag.OVER) !== 0) return;
  endpoint.flags |= EndpointFlag.OVER | EndpointFlag.FIN_RECEIVED;
  t.addTimeWait(endpoint);
  endpoint.tellEnd();
}

/** Ends the connection with an error; the handler hears of it on the next turn. */
export function fail(t: TcpTransport, endpoint: HostEndpoint, code: TransportErrorCode): void {
  if ((endpoint.flags & (EndpointFlag.CLOSED_DUE | EndpointFlag.CLOSED_TOLD)) !== 0) return;
  endpoint.error = code;
  endpoint.flags |= EndpointFlag.CLOSED_DUE;
  t.disarm(endpoint);
  t.turn.add(endpoint);
}

/** ABORT call: RST where one is due, and over. RFC 9293 3.10.5 (9293-SM-17). `isTextLost`: what was received is not read (SHLD-3). */
export function abort(t: TcpTransport, endpoint: HostEndpoint, code: TransportErrorCode, isTextLost: boolean): void {
  if ((endpoint.flags & (EndpointFlag.CLOSED_DUE | EndpointFlag.CLOSED_TOLD)) !== 0) return;
  if (endpoint.location !== 'host') {
    // The target has the connection: it sends the RST. Its writes come back through `sendsCompleted` when it is taken back.
    t.chimney.disconnect(endpoint, false);
    fail(t, endpoint, code);
    return;
  }
  const c = endpoint.tcp;
  const { words, base } = c;
  if (
    c.state !== TcpConnectionState.CLOSED &&
    engineAbort(c, t.parameters, t.sendSegment, t.runtime.nowUs(), isTextLost)
  ) {
    t.trace.count(Event.TCP_RST_SENT);
    sendBare(
      t,
      endpoint.path,
      t.sendSegment,
      words[base + TcpWord.TTL_OR_HOP_LIMIT]!,
      words[base + TcpWord.TOS_OR_TRAFFIC_CLASS]!,
    );
  }
  fail(t, endpoint, code);
}

/** The handler is told why it is over, after its writes and before nothing. On the stack's turn. */
export function finish(t: TcpTransport, endpoint: HostEndpoint): void {
  const code = endpoint.error ?? 'ECONNABORTED';
  endpoint.unread?.clear();
  endpoint.unread = null;
  const queue = endpoint.tcp.sendQueue;
  if (queue !== null) {
    const done = queue.takeCompleted();
    if (done !== null) endpoint.sendsCompleted(done, null);
    const rest = queue.takeAll();
    endpoint.tcp.sendQueue = null;
    t.parameters.spares.giveSendQueue(queue);
    if (rest !== null) endpoint.sendsCompleted(rest, code);
  }
  t.release(endpoint);
  endpoint.tellClosed(code);
}
