/**
 * The runtime of a NIC thread: a clock that goes with that of the host's thread, and timers and tasks that the thread's own loop runs.
 *
 * Promises: urgent tasks before deferred ones, each in the order of the calls; nothing runs but inside `runTasks` and `fireTimers`.
 * Nothing is left to an event loop, which such a thread never goes back to.
 */

import { randomFillSync } from 'node:crypto';
import { DeadlineHeap } from '../../base/deadline-heap.ts';
import { NEVER, type RandomSource, type Runtime, type Timer } from '../../base/runtime.ts';

/** The clock of `SystemRuntime` begins here, µs. */
const EPOCH_US = 1_000_000;
/** Tasks run in one go at most: a task may defer another. */
const TASKS_MAX = 10_000;

class LoopTimer implements Timer {
  readonly #heap: DeadlineHeap;
  readonly #slot: number;
  readonly onDue: (nowUs: number) => void;

  constructor(heap: DeadlineHeap, slot: number, onDue: (nowUs: number) => void) {
    this.#heap = heap;
    this.#slot = slot;
    this.onDue = onDue;
  }

  get atUs(): number {
    return this.#heap.atUs(this.#slot);
  }

  arm(atUs: number): void {
    this.#heap.set(this.#slot, atUs);
  }

  disarm(): void {
    this.#heap.set(this.#slot, NEVER);
  }
}

class LoopRandom implements RandomSource {
  readonly #words: Uint32Array = new Uint32Array(256);
  #used = 256;

  nextUint32(): number {
    if (this.#used === this.#words.length) {
      randomFillSync(this.#words);
      this.#used = 0;
    }
    return this.#words[this.#used++]!;
  }

  fill(bytes: Uint8Array): void {
    randomFillSync(bytes);
  }
}

/** Time, tasks and chance of one NIC thread. */
export class LoopRuntime implements Runtime {
  readonly random: RandomSource = new LoopRandom();
  readonly #heap = new DeadlineHeap();
  readonly #timers: LoopTimer[] = [];
  readonly #aheadMs: number;
  #deferred: (() => void)[] = [];
  #running: (() => void)[] = [];
  readonly #urgent: (() => void)[] = [];

  /** `timeOrigin`: `performance.timeOrigin` of the host's thread. */
  constructor(timeOrigin: number) {
    this.#aheadMs = performance.timeOrigin - timeOrigin;
  }

  nowUs(): number {
    return EPOCH_US + Math.floor((performance.now() + this.#aheadMs) * 1000);
  }

  timer(onDue: (nowUs: number) => void): Timer {
    const timer = new LoopTimer(this.#heap, this.#timers.length, onDue);
    this.#timers.push(timer);
    return timer;
  }

  defer(task: () => void): void {
    this.#deferred.push(task);
  }

  urgent(task: () => void): void {
    this.#urgent.push(task);
  }

  /** Runs what was deferred, and what that defers. Answers whether there was something. */
  runTasks(): boolean {
    let count = 0;
    while (this.#urgent.length + this.#deferred.length > 0 && count < TASKS_MAX) {
      count += this.runUrgent();
      const tasks = this.#deferred;
      this.#deferred = this.#running;
      this.#running = tasks;
      for (const task of tasks) {
        task();
        count += 1 + this.runUrgent();
      }
      tasks.length = 0;
    }
    return count > 0;
  }

  /** Runs what is urgent, and what that makes urgent. Answers how many tasks that were. */
  runUrgent(): number {
    let count = 0;
    for (; this.#urgent.length > 0; count++) this.#urgent.shift()!();
    return count;
  }

  /** Whether something is to be run at once. */
  get hasTask(): boolean {
    return this.#urgent.length + this.#deferred.length > 0;
  }

  /** When the next timer is due, µs. */
  get soonestUs(): number {
    return this.#heap.soonestUs;
  }

  /** Fires what is due. Answers whether something was. */
  fireTimers(): boolean {
    if (this.#heap.soonestUs === NEVER) return false;
    const nowUs = this.nowUs();
    let isFired = false;
    for (let slot = this.#heap.takeDue(nowUs); slot >= 0; slot = this.#heap.takeDue(nowUs)) {
      this.#timers[slot]!.onDue(nowUs);
      isFired = true;
    }
    return isFired;
  }
}
