/**
 * The switch between an endpoint and its chimney: what the transports ask of whoever runs offloaded connections.
 *
 * While an endpoint's location is 'host' only `handleOf`, `established`, `bytesReached` and `released` are called. At every other
 * location the endpoint calls this port instead of stepping the TCP engine, so the engine's record of an offloaded
 * connection is never touched by the transports. Implemented by host/chimney.
 */

import type { Seq } from '../../base/seq.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import type { ChimneyHandle, ChimneyQuery, Move } from '../api.ts';
import type { HostEndpoint } from './tcp-endpoint.ts';

/** What the transports call. Every list handed over here comes back through {@link HostEndpoint.sendsCompleted}. */
export interface ChimneyPort {
  /** A write of an endpoint that is not on the host path: one list, one NET_BUFFER; queued behind all earlier ones. */
  send(endpoint: HostEndpoint, list: NetBufferList): void;
  /** FIN behind everything sent (graceful), or RST and gone (not graceful; the endpoint is released right afterwards). */
  disconnect(endpoint: HostEndpoint, graceful: boolean): void;
  /** The handler has room again after it took less than it was offered. */
  readable(endpoint: HostEndpoint): void;
  /** Whether the target holds text that its application has refused. */
  holdsText(endpoint: HostEndpoint): boolean;
  /** The bytes that are being offered stay where they are until the answer is called; null: they cannot. */
  keepData(endpoint: HostEndpoint): (() => void) | null;
  /** The memory of the bytes that are being offered, all of it, is the handler's from now on. False: it cannot be had. */
  takeData(bytes: Uint8Array): boolean;
  /** Its application has closed it for good, after its own half was shut down: nobody will read from it any more. */
  orphaned(endpoint: HostEndpoint): void;
  /**
   * The cached part of `endpoint.tcp` was changed by a socket option; `actionFlags` is an OR of the action bits of
   * TcpCachedFlag (KEEP_ALIVE_RESTART, MAX_RT_RESTART, UPDATE_RCV_WND) that the change asks for. UPD-016 and following.
   */
  cachedChanged(endpoint: HostEndpoint, actionFlags: number): void;
  /**
   * A TCP segment of this connection arrived on the ordinary path (from the TCP header on, checksum verified, borrowed for
   * the call). `wasPassedUp`: it came through the adapter that has the connection, which therefore chose not to process it.
   */
  segment(endpoint: HostEndpoint, bytes: Uint8Array, at: number, length: number, wasPassedUp: boolean): void;
  /** Bytes of sends that its target has said are best outstanding; 0: it has not said (EVT-028). */
  sendBacklogOf(endpoint: HostEndpoint): number;
  /** Asks the target what is in flight, and tells `judge` when it has answered. False: it cannot be asked now. RFC 5927 4.1. */
  askFlight(endpoint: HostEndpoint, judge: (sndUna: Seq, sndMax: Seq) => void): boolean;
  /** The chimney handle the application sees. Made when first asked for. */
  handleOf(endpoint: HostEndpoint): ChimneyHandle;
  /** The connection is established, on either side: the moment for a policy to look at it. */
  established(endpoint: HostEndpoint): void;
  /** `endpoint.bytesSent + endpoint.bytesReceived` passed {@link ChimneyPort.afterBytes} on the host path. Called once. */
  bytesReached(endpoint: HostEndpoint): void;
  /** After how many bytes {@link bytesReached} is called; Infinity: never. */
  readonly afterBytes: number;
  /** The endpoint is over (its record is still readable during the call): forget it. Called once, at any location. */
  released(endpoint: HostEndpoint): void;
}

/** An offload or query on a stack that was made without a chimney. */
class NoChimneyError extends Error {
  override readonly name: string = 'ChimneyError';
  readonly code: 'ERR_CHIMNEY' = 'ERR_CHIMNEY';
  readonly status: string = 'NOT_OFFLOADABLE';
}

class HostOnlyHandle implements ChimneyHandle {
  readonly #endpoint: HostEndpoint;
  readonly target: null = null;
  readonly moves: readonly Move[] = [];
  readonly moveCount: number = 0;

  constructor(endpoint: HostEndpoint) {
    this.#endpoint = endpoint;
  }

  get location(): 'host' | 'closed' {
    return this.#endpoint.location === 'closed' ? 'closed' : 'host';
  }

  offload(): Promise<Move> {
    return Promise.reject(new NoChimneyError('this stack was made without a chimney'));
  }

  takeBack(): Promise<Move> {
    return Promise.reject(new NoChimneyError('the connection was never offloaded'));
  }

  query(): Promise<ChimneyQuery> {
    return Promise.reject(new NoChimneyError('the connection is not offloaded'));
  }

  invalidate(): Promise<void> {
    return Promise.reject(new NoChimneyError('the connection is not offloaded'));
  }
}

/** The port of a stack without chimney: nothing ever leaves the host path. */
export const NO_CHIMNEY: ChimneyPort = {
  send(): void {},
  disconnect(): void {},
  readable(): void {},
  holdsText: () => false,
  keepData: () => null,
  takeData: () => false,
  orphaned(): void {},
  cachedChanged(): void {},
  segment(): void {},
  sendBacklogOf: () => 0,
  askFlight: () => false,
  handleOf(endpoint: HostEndpoint): ChimneyHandle {
    return new HostOnlyHandle(endpoint);
  },
  established(): void {},
  bytesReached(): void {},
  afterBytes: Number.POSITIVE_INFINITY,
  released(): void {},
};
