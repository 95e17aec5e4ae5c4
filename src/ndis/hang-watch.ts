/**
 * Check-for-hang: finds drivers that have stopped answering.
 *
 * NDIS looks at every adapter at a fixed interval. One whose driver says so itself (MiniportCheckForHangEx), or that has left a request
 * uncompleted over two looks, hangs: a state operation, an OID request, a pause, restart or reset. Sends, receives and disconnects
 * may take as long as the peer likes and do not count; nor does an initiate while the target is paused, which it may queue (EVT-035).
 * Looks are counted, not time: after a standstill of the whole process nobody has been late for more than one of them. An
 * intermediate driver answers when those below it have, and is given three times as long. While nothing is asked of any driver, and none has
 * a function to be asked with, no timer runs. Source: NDIS 6.0 "Miniport Adapter Check-for-Hang and Reset Operations".
 */

import { NEVER, type Runtime, type Timer } from '../base/runtime.ts';
import type { Adapter } from './adapter.ts';
import { StateOperation } from './tap.ts';

/** Looks that a request may be seen uncompleted at before its driver hangs. */
const LOOKS = 2;
const LOOKS_OF_INTERMEDIATE = 3 * LOOKS;

/** A request that a driver has and has not completed. */
export class PendingRequest {
  /** A StateOperation; -1: another request. */
  readonly operation: number;
  /** At how many looks it was there. */
  looks = 0;
  /** The driver has been reset meanwhile, in vain so far. */
  hasSurvivedReset = false;

  constructor(operation: number) {
    this.operation = operation;
  }
}

/** Watches the adapters of a library. */
export class HangWatch {
  readonly #runtime: Runtime;
  readonly #intervalUs: number;
  readonly #onHang: (adapter: Adapter) => void;
  readonly #timer: Timer;
  /** Adapters with requests, or whose driver can be asked. */
  readonly #watched: Set<Adapter> = new Set();

  /** `intervalUs`: how often it looks, microseconds; {@link NEVER}: not at all. */
  constructor(runtime: Runtime, intervalUs: number, onHang: (adapter: Adapter) => void) {
    this.#runtime = runtime;
    this.#intervalUs = intervalUs;
    this.#onHang = onHang;
    this.#timer = runtime.timer(() => this.#look());
  }

  /** An adapter whose driver has a MiniportCheckForHangEx is looked at from now on. */
  added(adapter: Adapter): void {
    if (adapter.driver.checkForHangEx !== undefined) this.#watch(adapter);
  }

  /** The adapter is halted. */
  removed(adapter: Adapter): void {
    this.#unwatch(adapter);
  }

  /** A driver has got a request; `key` is what it completes it with. */
  begin(adapter: Adapter, key: object, operation: number): void {
    if (this.#intervalUs === NEVER) return;
    adapter.pending.set(key, new PendingRequest(operation));
    this.#watch(adapter);
  }

  /** It has completed it. */
  end(adapter: Adapter, key: object): void {
    if (this.#intervalUs === NEVER || !adapter.pending.delete(key) || adapter.pending.size > 0) return;
    if (adapter.driver.checkForHangEx === undefined) this.#unwatch(adapter);
  }

  /** The driver is being reset: what was late so far gets as much time again. */
  forgive(adapter: Adapter): void {
    for (const request of adapter.pending.values()) {
      request.looks = 0;
      request.hasSurvivedReset = true;
    }
  }

  #watch(adapter: Adapter): void {
    if (this.#intervalUs === NEVER) return;
    this.#watched.add(adapter);
    if (this.#timer.atUs === NEVER) this.#timer.arm(this.#runtime.nowUs() + this.#intervalUs);
  }

  #unwatch(adapter: Adapter): void {
    this.#watched.delete(adapter);
    if (this.#watched.size === 0) this.#timer.disarm();
  }

  #look(): void {
    // Armed again first: whoever is told may change what is watched.
    this.#timer.arm(this.#runtime.nowUs() + this.#intervalUs);
    for (const adapter of [...this.#watched]) {
      if (!this.#hangs(adapter)) adapter.hangsInRow = 0;
      else {
        adapter.hangsInRow++;
        this.#onHang(adapter);
      }
    }
    if (this.#watched.size === 0) this.#timer.disarm();
  }

  #hangs(adapter: Adapter): boolean {
    const { driver, context, pending } = adapter;
    const most = adapter.isIntermediate ? LOOKS_OF_INTERMEDIATE : LOOKS;
    let isLate = false;
    for (const request of pending.values()) {
      if (request.operation === StateOperation.INITIATE && adapter.isOffloadPaused) request.looks = 0;
      else if (++request.looks >= most) isLate = true;
    }
    return isLate || (driver.checkForHangEx?.(context) ?? false);
  }
}
