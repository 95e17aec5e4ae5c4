/**
 * Choices: what happens next, where several things could. A run is told by the choices that were not the first.
 *
 * A choice list is a flat array of (point, option): at the so-manieth point of choice the so-manieth option was taken; at every
 * point that is not listed, option 0. Its text is '12:1,17:2', or '-' where nothing is listed.
 */

import type { SeededRandom } from '../base/random.ts';

/** (point, option) pairs, points ascending, options from 1. */
export type Choices = readonly number[];

export function formatChoices(choices: Choices): string {
  if (choices.length === 0) return '-';
  const parts: string[] = [];
  for (let i = 0; i < choices.length; i += 2) parts.push(`${choices[i]}:${choices[i + 1]}`);
  return parts.join(',');
}

/** Null: not a choice list. */
export function parseChoices(text: string): number[] | null {
  if (text === '-' || text === '') return [];
  const choices: number[] = [];
  for (const part of text.split(',')) {
    const match = /^(\d+):(\d+)$/.exec(part);
    if (match === null) return null;
    const [point, option] = [Number(match[1]), Number(match[2])];
    if (option < 1 || point <= (choices.at(-2) ?? -1)) return null;
    choices.push(point, option);
  }
  return choices;
}

/** Decides at each point of choice. */
export interface Chooser {
  /** One of `options` things (more than one) is next: which. */
  choose(options: number): number;
}

/** Follows a choice list, and notes how many options there were. */
export class ListChooser implements Chooser {
  /** Options at each point so far. */
  readonly options: number[] = [];
  /** The list names an option that there was not. */
  hasDiverged = false;
  readonly #choices: Choices;
  #next = 0;

  constructor(choices: Choices) {
    this.#choices = choices;
  }

  choose(options: number): number {
    const point = this.options.length;
    this.options.push(options);
    if (this.#choices[this.#next] !== point) return 0;
    const option = this.#choices[this.#next + 1]!;
    this.#next += 2;
    if (option < options) return option;
    this.hasDiverged = true;
    return 0;
  }
}

/** Chooses by lot, and notes what it chose. */
export class RandomChooser implements Chooser {
  readonly choices: number[] = [];
  #point = 0;
  readonly #random: SeededRandom;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  choose(options: number): number {
    const option = this.#random.nextUint32() % options;
    if (option > 0) this.choices.push(this.#point, option);
    this.#point++;
    return option;
  }
}

/**
 * All choice lists, the least deviant first. The deviation of a list is the sum of its options: how often something that could
 * have gone on was passed over. Each list is given out once; its longer ones follow from how many options its run met.
 */
export class Frontier {
  readonly #lists: Choices[][] = [[[]]];
  readonly #limit: number;
  #waiting = 1;
  #deviation = 0;
  /** The least deviation of which a list had to be dropped for want of room; Infinity: none. */
  #dropped: number = Number.POSITIVE_INFINITY;

  /** `limit`: lists that are wanted at most. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The next list; undefined: there are no more. */
  next(): Choices | undefined {
    while (this.#deviation < this.#lists.length) {
      const list = this.#lists[this.#deviation]!.pop();
      if (list !== undefined) {
        this.#waiting--;
        return list;
      }
      this.#deviation++;
    }
    return undefined;
  }

  /** A list was run and met these options: the lists that deviate once more, later on, are waiting now. */
  grow(list: Choices, options: readonly number[]): void {
    for (let point = list.length === 0 ? 0 : list[list.length - 2]! + 1; point < options.length; point++) {
      for (let option = 1; option < options[point]!; option++) this.#add(this.#deviation + option, list, point, option);
    }
  }

  #add(deviation: number, list: Choices, point: number, option: number): void {
    if (this.#waiting >= this.#limit) {
      this.#dropped = Math.min(this.#dropped, deviation);
      return;
    }
    while (this.#lists.length <= deviation) this.#lists.push([]);
    this.#lists[deviation]!.push([...list, point, option]);
    this.#waiting++;
  }

  /** Up to which deviation everything was given out; Infinity: everything there is. */
  get completeTo(): number {
    const isOver = this.#waiting === 0;
    const reached = isOver
      ? Number.POSITIVE_INFINITY
      : this.#lists[this.#deviation]!.length > 0
        ? this.#deviation - 1
        : this.#deviation;
    return Math.min(reached, this.#dropped - 1);
  }
}
