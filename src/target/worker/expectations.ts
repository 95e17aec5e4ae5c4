/**
 * State operations of which the NIC half is told before they come: that one is near, so that it gets ready, and that one is being
 * written, so that it waits for it.
 *
 * Promises: whoever waits for the NIC half to be ready goes on within {@link WAIT_US}, ready or not, and once. A NIC half that had an
 * operation a moment ago is ready as it is.
 */

import type { Timer } from '../../base/runtime.ts';
import { NdisOffloadHandle } from '../../ndis/miniport.ts';
import { ControlWord, Expected, expectation } from './arena.ts';
import type { Driver } from './driver.ts';
import { CrossingRehearsal } from './rehearsal.ts';

/** Longest wait for the NIC half to get ready, µs. */
const WAIT_US = 3_000;
/** How long it stays ready after an operation, µs. */
const READY_FOR_US = 2_000;

/** Of one driver half. */
export class Expectations {
  readonly #driver: Driver;
  readonly #timer: Timer;
  readonly #rehearsal: CrossingRehearsal = new CrossingRehearsal();
  readonly #nobody: NdisOffloadHandle = new NdisOffloadHandle(null);
  /** Told so far; a number of its own for each. */
  #count = 0;
  /** When the last operation was written. */
  #writtenAtUs = Number.NEGATIVE_INFINITY;
  #waiting: (() => void)[] = [];

  constructor(driver: Driver) {
    this.#driver = driver;
    this.#timer = driver.runtime.timer(() => this.ready());
  }

  /** An operation is near. Answers whether it should wait until `onReady` is called. */
  expect(onReady: () => void): boolean {
    const { port, runtime, isDead, isHalted, isAsleep } = this.#driver;
    const nowUs = runtime.nowUs();
    if (port.attend === undefined || isDead || isHalted || isAsleep) return false;
    if (nowUs - this.#writtenAtUs < READY_FOR_US) return false;
    this.#waiting.push(onReady);
    if (this.#waiting.length > 1) return true;
    this.#timer.arm(nowUs + WAIT_US);
    this.#tell(Expected.NEAR);
    return true;
  }

  /** An operation is about to be written. */
  announce(): void {
    if (this.#driver.port.attend === undefined) return;
    this.#writtenAtUs = this.#driver.runtime.nowUs();
    this.#tell(Expected.WRITTEN);
  }

  /** It is published. */
  published(): void {
    Atomics.store(this.#driver.arena.control, ControlWord.EXPECTED, 0);
  }

  /** The NIC half says that it is ready. What else it has said comes first: what follows is not held up by it then. */
  readySoon(): void {
    this.#driver.runtime.urgent(() => this.ready());
  }

  /** Whoever waits goes on. */
  ready(): void {
    this.#timer.disarm();
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    this.#rehearsal.up(this.#rehearsal.down(this.#nobody));
    for (const onReady of waiting) onReady();
  }

  #tell(what: number): void {
    const { arena, out, port } = this.#driver;
    // What stands before it in the ring is done meanwhile.
    out.publish();
    Atomics.store(arena.control, ControlWord.EXPECTED, expectation(++this.#count, what));
    if (Atomics.exchange(arena.control, ControlWord.NIC_ASLEEP, 0) === 1) port.ring();
  }
}
