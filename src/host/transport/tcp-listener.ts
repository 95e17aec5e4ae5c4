/**
 * Listening TCP ports, and the connections that are half open on them.
 *
 * Promises: a listener holds at most `backlog` half-open connections and the transport at most its limit of them, so a flood of
 * SYNs cannot make either grow; an established connection is never given up for a half-open one. When there is no room, the
 * oldest half-open connection makes place once it has had its time (it was not answered for {@link EVICT_AFTER_US}, which a
 * real peer does within a round trip); before that the new SYN is dropped, and its sender will repeat it. Connections are handed
 * over as soon as they are established, so nothing waits behind the handshake. Source: RFC 4987 sections 3.3 and 3.4, RFC 9293 3.10.7.2.
 */

import type { CongestionName } from '../../tcp/congestion/named.ts';
import type { Endpoint, TcpEndpoint, TcpListener, TcpReservation } from '../api.ts';
import { type BindAddress, endpointText } from './addresses.ts';
import type { Bound, Sharing } from './bind-table.ts';
import type { HostEndpoint } from './tcp-endpoint.ts';

/** How long a half-open connection may wait before a newer one may take its place. */
export const EVICT_AFTER_US = 1_000_000;

/** Node's default. */
export const DEFAULT_BACKLOG = 511;

/** One half-open connection; held by its endpoint until it is established or over. */
export class HalfOpen {
  readonly listener: Listener;
  readonly endpoint: HostEndpoint;
  readonly sinceUs: number;

  constructor(listener: Listener, endpoint: HostEndpoint, sinceUs: number) {
    this.listener = listener;
    this.endpoint = endpoint;
    this.sinceUs = sinceUs;
  }
}

/** What a listener asks of the transport it belongs to. */
export interface ListenerOwner {
  listenerClosed(listener: Listener): void;
}

/** A bound port that takes connections. */
export class Listener implements TcpListener, Bound {
  readonly bind: BindAddress;
  readonly port: number;
  readonly sharing: Sharing;
  readonly backlog: number;
  readonly receiveBuffer: number;
  /** Congestion control of the connections that come; undefined: the stack's. */
  congestion: CongestionName | undefined = undefined;
  readonly onConnection: (endpoint: TcpEndpoint) => void;
  /** Half-open connections, the oldest first. */
  readonly halfOpen: Set<HalfOpen> = new Set();
  isClosed = false;
  readonly #owner: ListenerOwner;

  constructor(
    owner: ListenerOwner,
    claim: Bound,
    backlog: number,
    receiveBuffer: number,
    onConnection: (endpoint: TcpEndpoint) => void,
  ) {
    this.#owner = owner;
    this.bind = claim.bind;
    this.port = claim.port;
    this.sharing = claim.sharing;
    this.backlog = backlog;
    this.receiveBuffer = receiveBuffer;
    this.onConnection = onConnection;
  }

  get local(): Endpoint {
    return endpointText(this.bind.address, this.port, false);
  }

  /** Takes no more connections; half-open ones are reset, established ones are left alone. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#owner.listenerClosed(this);
  }

  /** The oldest half-open connection if it has had its time, else null. */
  evictable(nowUs: number): HostEndpoint | null {
    for (const oldest of this.halfOpen) {
      return nowUs - oldest.sinceUs >= EVICT_AFTER_US ? oldest.endpoint : null;
    }
    return null;
  }
}

/** A port that is kept for a listener or a connection to come. */
export class Reservation implements TcpReservation, Bound {
  readonly bind: BindAddress;
  readonly port: number;
  readonly sharing: Sharing;
  readonly #release: (reservation: Reservation) => void;

  constructor(claim: Bound, release: (reservation: Reservation) => void) {
    this.bind = claim.bind;
    this.port = claim.port;
    this.sharing = claim.sharing;
    this.#release = release;
  }

  get local(): Endpoint {
    return endpointText(this.bind.address, this.port, false);
  }

  close(): void {
    this.#release(this);
  }
}
