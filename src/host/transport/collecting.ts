/**
 * Endpoints that collect received text before they offer it (SO_RCVLOWAT), and the host's push timer.
 *
 * Text waits until there is as much as the application wants at once; what the peer pushed (PSH) or finished (FIN) with is offered
 * without waiting, and so is, when the push timer expires, what no more text came to for a while. The timer is started anew with
 * each text that has to wait, stops before an offload (INIT-076), and is started again after an upload (TERM-079). Nothing is
 * kept for endpoints that do not collect. Source: chimney-sequences 13, the push timer.
 */

import { NEVER, type Runtime, type Timer } from '../../base/runtime.ts';
import { EndpointFlag } from './endpoint-flags.ts';
import type { HostEndpoint } from './tcp-endpoint.ts';

/** Default of TcpPushTicks, microseconds. */
export const PUSH_US_DEFAULT = 500_000;

export class Collecting {
  readonly #runtime: Runtime;
  readonly #pushUs: number;
  readonly #timer: Timer;
  /** Bytes wanted at once, of endpoints that collect. */
  readonly #lowWater: Map<HostEndpoint, number> = new Map();
  /** Running push timers, soonest first: all take the same time. */
  readonly #running: Map<HostEndpoint, number> = new Map();

  constructor(runtime: Runtime, pushUs: number) {
    this.#runtime = runtime;
    this.#pushUs = pushUs;
    this.#timer = runtime.timer((nowUs) => this.#onTimer(nowUs));
  }

  /** How many bytes an endpoint wants at once; up to 1: whatever there is. */
  set(endpoint: HostEndpoint, bytes: number): void {
    if (bytes > 1) {
      this.#lowWater.set(endpoint, bytes);
      endpoint.flags |= EndpointFlag.COLLECTS;
    } else this.forget(endpoint);
  }

  /** Bytes it wants at once, at most half of what its receive buffer takes, or the peer would be kept waiting by its own window. */
  lowWaterOf(endpoint: HostEndpoint): number {
    return Math.max(1, Math.min(this.#lowWater.get(endpoint) ?? 1, endpoint.tcp.initialRcvWnd >> 1));
  }

  /** When its push timer expires, microseconds; NEVER: it does not run. */
  pushAtUs(endpoint: HostEndpoint): number {
    return this.#running.get(endpoint) ?? NEVER;
  }

  /** Starts the push timer anew. */
  start(endpoint: HostEndpoint): void {
    const atUs = this.#runtime.nowUs() + this.#pushUs;
    this.#running.delete(endpoint);
    this.#running.set(endpoint, atUs);
    if (this.#timer.atUs === NEVER) this.#timer.arm(atUs);
  }

  stop(endpoint: HostEndpoint): void {
    this.#running.delete(endpoint);
  }

  /** It is over, or collects no more. */
  forget(endpoint: HostEndpoint): void {
    endpoint.flags &= ~EndpointFlag.COLLECTS;
    this.#lowWater.delete(endpoint);
    this.#running.delete(endpoint);
  }

  #onTimer(nowUs: number): void {
    for (const [endpoint, atUs] of this.#running) {
      if (atUs > nowUs) {
        this.#timer.arm(atUs);
        return;
      }
      this.#running.delete(endpoint);
      endpoint.push();
    }
  }
}
