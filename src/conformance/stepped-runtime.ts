/**
 * A runtime that does nothing by itself: whoever drives it says which of the things that could happen now happens next.
 *
 * Promises: urgent tasks before deferred ones, each in the order of the calls, as the contract of {@link Runtime} has it; the
 * clock moves only when a timer is fired, to the moment of that timer. The same decisions give the same run.
 */

import { SeededRandom } from '../base/random.ts';
import { NEVER, type Runtime, type Timer } from '../base/runtime.ts';

class SteppedTimer implements Timer {
  atUs: number = NEVER;
  readonly onDue: (nowUs: number) => void;

  constructor(onDue: (nowUs: number) => void) {
    this.onDue = onDue;
  }

  arm(atUs: number): void {
    this.atUs = atUs;
  }

  disarm(): void {
    this.atUs = NEVER;
  }
}

/** Virtual time, one event at a time. */
export class SteppedRuntime implements Runtime {
  readonly random: SeededRandom;
  #nowUs = 1_000_000;
  readonly #timers: SteppedTimer[] = [];
  readonly #urgent: (() => void)[] = [];
  readonly #deferred: (() => void)[] = [];

  constructor(seed: number | string) {
    this.random = new SeededRandom(seed);
  }

  nowUs(): number {
    return this.#nowUs;
  }

  timer(onDue: (nowUs: number) => void): Timer {
    const timer = new SteppedTimer(onDue);
    this.#timers.push(timer);
    return timer;
  }

  defer(task: () => void): void {
    this.#deferred.push(task);
  }

  urgent(task: () => void): void {
    this.#urgent.push(task);
  }

  get hasTask(): boolean {
    return this.#urgent.length + this.#deferred.length > 0;
  }

  /** Runs the task that comes next. */
  runTask(): void {
    const task = this.#urgent.shift() ?? this.#deferred.shift();
    task?.();
  }

  /** When the next timer is due, µs; {@link NEVER}: none is armed. */
  get soonestUs(): number {
    let soonestUs = NEVER;
    for (const timer of this.#timers) if (timer.atUs < soonestUs) soonestUs = timer.atUs;
    return soonestUs;
  }

  /** Moves the clock to the next timer and fires it. */
  fireTimer(): void {
    let next: SteppedTimer | null = null;
    for (const timer of this.#timers) if (timer.atUs < (next === null ? NEVER : next.atUs)) next = timer;
    if (next === null) return;
    this.#nowUs = Math.max(this.#nowUs, next.atUs);
    next.atUs = NEVER;
    next.onDue(this.#nowUs);
  }
}
