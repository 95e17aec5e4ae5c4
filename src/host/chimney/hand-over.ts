/**
 * What the two directions of a move share: giving a connection back to the host's engine, and keeping account of moves.
 */

import { ndisStatusName } from '../../ndis/protocol.ts';
import { eachRun, type NetBufferList } from '../../state/net-buffer-list.ts';
import { TcpConnectionState, type TcpDelegatedState } from '../../state/tcp.ts';
import { queueData } from '../../tcp/on-send.ts';
import { restoreSendData } from '../../tcp/transfer.ts';
import { TcpFlag, TcpSegment } from '../../wire/tcp-segment.ts';
import type { Move } from '../api.ts';
import { sendBare } from '../transport/tcp-output.ts';
import type { ChimneyContext } from './context.ts';
import type { OffloadedConnection } from './objects.ts';

/** Copies lists of received data behind what is unread (TERM-049). */
export function restoreUnread(connection: OffloadedConnection, lists: NetBufferList): void {
  for (let list: NetBufferList | null = lists; list !== null; list = list.next) {
    for (let nb = list.firstNetBuffer; nb !== null; nb = nb.next) {
      eachRun(nb, (bytes, at, length) => connection.endpoint.restoreUnread(bytes, at, length));
    }
  }
}

/** The host serves the connection again: its sends, its close, its segments, in this order. */
export function giveBackToHost(context: ChimneyContext, connection: OffloadedConnection, nowUs: number): void {
  const { endpoint } = connection;
  connection.outstandingBytes = 0;
  connection.sendBacklog = 0;
  const returned = connection.outstanding.takeChain();
  const held = connection.held.takeChain();
  const wanted = connection.disconnectWanted;
  connection.disconnectWanted = 'none';
  const segments = connection.segments.splice(0);
  connection.segmentBytes = 0;
  if (connection.isReleased) {
    connection.isDisconnecting = false;
    if (returned !== null) endpoint.sendsCompleted(returned, 'ECONNABORTED');
    if (held !== null) endpoint.sendsCompleted(held, 'ECONNABORTED');
    return;
  }
  const { tcp } = endpoint;
  if (returned !== null) restoreSendData(tcp, context.parameters, returned);
  endpoint.location = 'host';
  if (held !== null) {
    const maySend = tcp.state === TcpConnectionState.ESTABLISHED || tcp.state === TcpConnectionState.CLOSE_WAIT;
    // A connection that ended below gives its writes back with the reason, like all that it still holds.
    if (maySend) queueData(tcp, context.parameters, held, nowUs);
    else restoreSendData(tcp, context.parameters, held);
  }
  endpoint.backOnHost(nowUs, connection.reason === 'TimeoutExpiration' ? 'ETIMEDOUT' : 'ECONNRESET');
  // A FIN that the target had already queued or sent shows in the state; any other is the host's now.
  if (!connection.isReleased && (wanted === 'graceful' || connection.isDisconnecting))
    endpoint.transport.closeSend(endpoint);
  connection.isDisconnecting = false;
  for (const segment of segments) {
    if (connection.isReleased) return;
    endpoint.processSegment(segment.bytes, 0, segment.bytes.length, nowUs);
  }
  if (!connection.isReleased) endpoint.pump(nowUs);
}

/**
 * The application aborted while the connection was between two engines: no target was asked to reset it, and the host's record
 * may be gone, so the RST is made from the state that moved. RFC 9293 section 3.10.5.
 */
export function resetPeer(connection: OffloadedConnection, delegated: TcpDelegatedState): void {
  const { endpoint } = connection;
  const { state } = delegated;
  if (state === TcpConnectionState.CLOSED || state === TcpConnectionState.TIME_WAIT) return;
  const segment = new TcpSegment();
  segment.srcPort = endpoint.localPort;
  segment.dstPort = endpoint.remotePort;
  segment.flags = TcpFlag.RST | TcpFlag.ACK;
  segment.seq = delegated.sndNxt;
  segment.ack = delegated.rcvNxt;
  sendBare(endpoint.transport, endpoint.path, segment, RESET_HOPS, 0);
}

/** TTL or hop limit of a reset made from uploaded state; the connection's own went with its record. RFC 1700. */
const RESET_HOPS = 64;

/** A move is over: recorded, and whoever waits for it is told. `servedAtUs`: since when somebody serves it again. */
export function finishMove(
  context: ChimneyContext,
  connection: OffloadedConnection,
  kind: Move['kind'],
  status: number,
  servedAtUs: number,
): void {
  const move: Move = {
    kind,
    cause: connection.cause,
    reason: connection.reason,
    freezeUs: Math.max(0, servedAtUs - connection.frozenAtUs),
    status: ndisStatusName(status),
  };
  connection.reason = null;
  connection.moved(move);
  const waiters = kind === 'initiate' ? connection.offloadWaiters : connection.takeBackWaiters;
  for (const waiter of waiters.splice(0)) waiter.resolve(move);
  connection.settle();
  context.onMove?.(connection, move);
}

/** The answer to somebody who asks for what is so already. */
export function lastMove(connection: OffloadedConnection, kind: Move['kind'], cause: Move['cause']): Move {
  const { moves } = connection;
  for (let i = moves.length - 1; i >= 0; i--) if (moves[i]!.kind === kind) return moves[i]!;
  return { kind, cause, reason: null, freezeUs: 0, status: 'SUCCESS' };
}
