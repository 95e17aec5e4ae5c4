/**
 * Virtual time: a {@link Runtime} whose clock moves only when it is told to.
 *
 * Promises: the same seed and the same calls give the same run, event for event. Deferred tasks run at the instant at which
 * they were deferred, before any later timer. Leaves to others: deciding when the world has come to rest.
 */

import { DeadlineHeap } from './deadline-heap.ts';
import { SeededRandom } from './random.ts';
import { NEVER, type Runtime, type Timer } from './runtime.ts';

class VirtualTimer implements Timer {
  readonly #heap: DeadlineHeap;
  readonly #entry: number;
  readonly onDue: (nowUs: number) => void;

  constructor(heap: DeadlineHeap, entry: number, onDue: (nowUs: number) => void) {
    this.#heap = heap;
    this.#entry = entry;
    this.onDue = onDue;
  }

  get atUs(): number {
    return this.#heap.atUs(this.#entry);
  }

  arm(atUs: number): void {
    this.#heap.set(this.#entry, atUs);
  }

  disarm(): void {
    this.#heap.set(this.#entry, NEVER);
  }
}

/** The runtime of simulations and tests. */
export class VirtualRuntime implements Runtime {
  readonly random: SeededRandom;
  #nowUs: number;
  readonly #heap = new DeadlineHeap();
  readonly #timers: VirtualTimer[] = [];
  #tasks: (() => void)[] = [];
  readonly #urgent: (() => void)[] = [];

  /** `startUs` is where the clock begins; a start other than zero shows code that takes zero for "never". */
  constructor(seed: number | string = 1, startUs = 1_000_000) {
    this.random = new SeededRandom(seed);
    this.#nowUs = startUs;
  }

  nowUs(): number {
    return this.#nowUs;
  }

  timer(onDue: (nowUs: number) => void): Timer {
    const timer = new VirtualTimer(this.#heap, this.#timers.length, onDue);
    this.#timers.push(timer);
    return timer;
  }

  defer(task: () => void): void {
    this.#tasks.push(task);
  }

  urgent(task: () => void): void {
    this.#urgent.push(task);
  }

  #runUrgent(): void {
    while (this.#urgent.length > 0) this.#urgent.shift()!();
  }

  /** Runs what was deferred and every timer that is due, until nothing is left to do at this instant. */
  settle(): void {
    for (;;) {
      this.#runUrgent();
      while (this.#tasks.length > 0) {
        const tasks = this.#tasks;
        this.#tasks = [];
        for (const task of tasks) {
          task();
          this.#runUrgent();
        }
      }
      const due = this.#heap.takeDue(this.#nowUs);
      if (due < 0) return;
      this.#timers[due]!.onDue(this.#nowUs);
      this.#runUrgent();
    }
  }

  /** When the next timer is due, in microseconds; {@link NEVER} when nothing is armed. */
  get soonestUs(): number {
    return this.#tasks.length + this.#urgent.length > 0 ? this.#nowUs : this.#heap.soonestUs;
  }

  /** Moves the clock by `us` microseconds, running everything due on the way at its own time. */
  advance(us: number): void {
    const endUs = this.#nowUs + us;
    this.settle();
    while (this.#heap.soonestUs <= endUs) {
      this.#nowUs = Math.max(this.#nowUs, this.#heap.soonestUs);
      this.settle();
    }
    this.#nowUs = endUs;
    this.settle();
  }

  /** Advances from event to event until `isDone` answers true or `limitUs` have passed; answers whether it is done. */
  runUntil(isDone: () => boolean, limitUs: number): boolean {
    const endUs = this.#nowUs + limitUs;
    this.settle();
    while (!isDone()) {
      const soonestUs = this.#heap.soonestUs;
      if (soonestUs > endUs) {
        this.#nowUs = endUs;
        return false;
      }
      this.#nowUs = Math.max(this.#nowUs, soonestUs);
      this.settle();
    }
    return true;
  }
}
