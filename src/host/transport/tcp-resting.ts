/**
 * Connections that are over for their applications and not yet for TCP: TIME-WAIT, and orphans in FIN-WAIT-2.
 *
 * Promises: both are bounded; the oldest makes place. A record in TIME-WAIT keeps nothing of its application. An orphan is a
 * connection that its application closed for good while the peer has not finished: nobody would ever read what comes, so it is
 * given up after a time. Sources: RFC 9293 3.6.1 (MUST-13), chimney TCP-023 for the time that FIN-WAIT-2 may take.
 */

import { NEVER } from '../../base/runtime.ts';
import { Event } from '../../trace/events.ts';
import type { HostEndpoint } from './tcp-endpoint.ts';
import type { TcpTransport } from './tcp-transport.ts';

/** As Linux's tcp_fin_timeout. */
const ORPHAN_US = 60_000_000;

/** The connections at rest of one transport. */
export class Resting {
  readonly #transport: TcpTransport;
  readonly #orphanUs: number;
  /** In the order in which they entered. */
  readonly #timeWait: Set<HostEndpoint> = new Set();
  /** With the moment at which each is given up; in that order. */
  readonly #orphans: Map<HostEndpoint, number> = new Map();

  constructor(transport: TcpTransport, orphanUs: number = ORPHAN_US) {
    this.#transport = transport;
    this.#orphanUs = orphanUs;
  }

  get timeWaitCount(): number {
    return this.#timeWait.size;
  }

  get orphanCount(): number {
    return this.#orphans.size;
  }

  /** When the first orphan is given up, microseconds; NEVER. */
  get soonestUs(): number {
    for (const atUs of this.#orphans.values()) return atUs;
    return NEVER;
  }

  addTimeWait(endpoint: HostEndpoint): void {
    this.#orphans.delete(endpoint);
    this.#timeWait.add(endpoint);
    if (this.#timeWait.size > this.#transport.limits.timeWait) this.recycle();
  }

  /** Forgets the oldest connection in TIME-WAIT early. False: there is none. */
  recycle(): boolean {
    for (const oldest of this.#timeWait) {
      this.#transport.trace.count(Event.TCP_TIME_WAIT_RECYCLED);
      this.#timeWait.delete(oldest);
      this.#transport.release(oldest);
      return true;
    }
    return false;
  }

  /** The application closed it and its FIN was acknowledged; the peer's has not come. */
  addOrphan(endpoint: HostEndpoint, nowUs: number): void {
    if (this.#orphans.has(endpoint)) return;
    this.#orphans.set(endpoint, nowUs + this.#orphanUs);
    if (this.#orphans.size > this.#transport.limits.orphans) this.#giveUpFirst();
  }

  /** Gives up every orphan whose time is over. */
  expire(nowUs: number): void {
    while (this.soonestUs <= nowUs) this.#giveUpFirst();
  }

  remove(endpoint: HostEndpoint): void {
    this.#timeWait.delete(endpoint);
    this.#orphans.delete(endpoint);
  }

  #giveUpFirst(): void {
    for (const endpoint of this.#orphans.keys()) {
      this.#transport.trace.count(Event.TCP_ORPHAN_GIVEN_UP);
      this.#orphans.delete(endpoint);
      this.#transport.abort(endpoint, 'ETIMEDOUT');
      return;
    }
  }
}
