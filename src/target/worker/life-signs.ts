/**
 * Whether a NIC thread lives: it counts its rounds, and a round waits for 100 ms at most.
 *
 * A thread that counts no more hangs, unless it would and may not: where others have the processors it stands in line. Told apart by what
 * the system says of it: one that works without counting, or sleeps without counting, hangs; one that stands in line gets longer.
 * Source: proc(5), /proc/[pid]/task/[tid]/stat.
 */

import { readFileSync } from 'node:fs';
import { ControlWord } from './arena.ts';

/** How often it is looked for, µs. */
export const LOOK_US = 100_000;
/** No round for so long: it hangs. */
const LIFELESS_US = 650_000;
/** The same for one that stands in line, and for one that starts. */
const STARVED_US = 20_000_000;
/** A thread that has worked for so long without a round hangs, ticks of 10 ms. */
const BUSY_TICKS = 30;

/** Looks for the signs of one thread. */
export class LifeSigns {
  readonly #control: Int32Array;
  #beats = 0;
  #seenAtUs: number;
  #lastLookUs: number;
  /** Processor time when a round was first missed; -1: none is. */
  #ticks = -1;

  constructor(control: Int32Array, nowUs: number) {
    this.#control = control;
    this.#seenAtUs = nowUs;
    this.#lastLookUs = nowUs;
  }

  /** Whether it hangs: since when, in words; null: it lives. `allowanceUs`: for work it was given that takes long. */
  look(nowUs: number, allowanceUs: number): string | null {
    // Time in which nobody could look, as this thread was held up, does not count.
    const lateUs = Math.max(0, nowUs - this.#lastLookUs - 2 * LOOK_US);
    this.#seenAtUs += lateUs;
    this.#lastLookUs = nowUs;
    const beats = Atomics.load(this.#control, ControlWord.HEARTBEAT);
    if (beats !== this.#beats) {
      this.#beats = beats;
      this.#seenAtUs = nowUs;
      this.#ticks = -1;
      return null;
    }
    const silentUs = nowUs - this.#seenAtUs;
    if (beats === 0) return silentUs > STARVED_US ? describe(silentUs, 'it has not started') : null;
    const thread = statOf(Atomics.load(this.#control, ControlWord.THREAD));
    if (this.#ticks < 0) this.#ticks = thread.ticks;
    if (silentUs < LIFELESS_US + allowanceUs) return null;
    if (!thread.isRunnable) return describe(silentUs, 'it waits');
    if (thread.ticks - this.#ticks >= BUSY_TICKS) return describe(silentUs, 'it works without end');
    return silentUs > STARVED_US + allowanceUs ? describe(silentUs, 'it gets no processor') : null;
  }
}

function describe(silentUs: number, how: string): string {
  return `the NIC thread shows no sign of life for ${Math.round(silentUs / 1000)} ms: ${how}`;
}

/** Processor time of a thread in ticks, and whether it works or would (all but asleep). A thread that is not there waits for ever. */
function statOf(tid: number): { ticks: number; isRunnable: boolean } {
  try {
    const text = readFileSync(`/proc/self/task/${tid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { ticks: Number(fields[11]) + Number(fields[12]), isRunnable: fields[0] !== 'S' };
  } catch {
    return { ticks: 0, isRunnable: false };
  }
}
