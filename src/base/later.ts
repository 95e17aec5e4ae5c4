/**
 * Things to be done at a moment, any number of them, over one timer of the runtime.
 *
 * For what is rare: a task is a closure in a list. Promises: tasks run in the order of their moments; one that is done is
 * forgotten. Frequent deadlines belong into a {@link DeadlineHeap}.
 */

import { NEVER, type Runtime, type Timer } from './runtime.ts';

interface Entry {
  readonly atUs: number;
  readonly task: () => void;
}

export class Later {
  readonly #timer: Timer;
  #entries: Entry[] = [];

  constructor(runtime: Runtime) {
    this.#timer = runtime.timer((nowUs) => this.#onDue(nowUs));
  }

  /** Tasks that are still to come. */
  get pending(): number {
    return this.#entries.length;
  }

  /** Runs `task` at `atUs`, or as soon as possible when that is past. */
  at(atUs: number, task: () => void): void {
    let place = this.#entries.length;
    while (place > 0 && this.#entries[place - 1]!.atUs > atUs) place--;
    this.#entries.splice(place, 0, { atUs, task });
    if (place === 0) this.#timer.arm(atUs);
  }

  #onDue(nowUs: number): void {
    while (this.#entries.length > 0 && this.#entries[0]!.atUs <= nowUs) this.#entries.shift()!.task();
    const next = this.#entries[0]?.atUs ?? NEVER;
    if (next !== NEVER) this.#timer.arm(next);
  }
}
