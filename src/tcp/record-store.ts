/**
 * Records of connections on which nothing happens, packed: only the words that differ from those of a pattern, one of a few records that
 * were packed before. Most of what two idle connections of a stack have is the same.
 *
 * Promises: what is unpacked is what was packed, word for word; memory is used again, by size; nothing is allocated per connection
 * once the store has grown. A packed record has a number. Leaves to others: when to pack, and everything that is not in the record.
 */

import { assert } from '../base/assert.ts';
import { NEVER } from '../base/runtime.ts';
import { DEADLINES, MOMENT_AT_WORD, Moment, RECORD_WORDS } from './connection.ts';

/** Words that tell which words follow, a bit each; the number of the pattern is in the highest bits of the last one. */
const MAP_WORDS = (RECORD_WORDS + 8 + 31) >> 5;
/** Sizes differ by so many words. */
const STEP_WORDS = 4;
const SIZES = Math.ceil((MAP_WORDS + RECORD_WORDS) / STEP_WORDS) + 1;
/** Low bits of a number: the size. */
const SIZE_BITS = 6;
const FIRST_RECORDS = 16;
const CHUNK_RECORDS = 1024;

const PATTERN_SHIFT = 24;
const PATTERNS_MAX = 8;
/** A record that differs from all patterns in more words is a pattern for others. */
const FIT_WORDS = 32;

/** A fresh record: the first pattern. */
const FRESH: Int32Array = freshWords();

function freshWords(): Int32Array {
  const words = new Int32Array(RECORD_WORDS);
  const moments = new Float64Array(words.buffer, MOMENT_AT_WORD * 4);
  moments.fill(NEVER, 0, DEADLINES);
  moments[Moment.SOONEST] = NEVER;
  return words;
}

/** Packed records of one size, in chunks. */
class Shelf {
  readonly #words: number;
  readonly #chunks: Int32Array[] = [];
  /** Records in front of each chunk. */
  readonly #starts: number[] = [];
  #count = 0;
  #free: number[] = [];
  /** Where {@link chunkOf} has found a record: its first word. */
  at = 0;

  /** `words`: of one record. */
  constructor(words: number) {
    this.#words = words;
  }

  /** A place for a record. */
  take(): number {
    const index = this.#free.pop();
    if (index !== undefined) return index;
    const first = this.#count;
    const count = Math.min(CHUNK_RECORDS, Math.max(FIRST_RECORDS, first));
    this.#chunks.push(new Int32Array(count * this.#words));
    this.#starts.push(first);
    this.#count += count;
    for (let i = first + count - 1; i > first; i--) this.#free.push(i);
    return first;
  }

  give(index: number): void {
    this.#free.push(index);
  }

  /** The chunk in which a record is; see {@link at}. */
  chunkOf(index: number): Int32Array {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#starts[middle]! <= index) low = middle;
      else high = middle - 1;
    }
    this.at = (index - this.#starts[low]!) * this.#words;
    return this.#chunks[low]!;
  }
}

/** The packed records of one user of the engine. */
export class RecordStore {
  readonly #shelves: (Shelf | undefined)[] = new Array<Shelf | undefined>(SIZES).fill(undefined);
  readonly #patterns: Int32Array[] = [FRESH];
  /** The pattern that was used last. */
  #last = 0;
  #held = 0;

  /** Packed records. */
  get held(): number {
    return this.#held;
  }

  /** Packs the record that begins at word `base`; answers its number. */
  pack(words: Int32Array, base: number): number {
    const which = this.#choose(words, base);
    this.#last = which;
    const pattern = this.#patterns[which]!;
    const size = Math.ceil((MAP_WORDS + differences(words, base, pattern)) / STEP_WORDS);
    const shelf = this.#shelves[size] ?? new Shelf(size * STEP_WORDS);
    this.#shelves[size] = shelf;
    const index = shelf.take();
    const into = shelf.chunkOf(index);
    const map = shelf.at;
    let at = map + MAP_WORDS;
    for (let m = 0; m < MAP_WORDS; m++) {
      let bits = 0;
      const end = Math.min(32, RECORD_WORDS - 32 * m);
      for (let i = 0; i < end; i++) {
        const word = words[base + 32 * m + i]!;
        if (word === pattern[32 * m + i]) continue;
        bits |= 1 << i;
        into[at++] = word;
      }
      into[map + m] = bits;
    }
    into[map + MAP_WORDS - 1]! |= which << PATTERN_SHIFT;
    this.#held++;
    return (index << SIZE_BITS) | size;
  }

  /** The pattern that fits: the last one as a rule. */
  #choose(words: Int32Array, base: number): number {
    if (differences(words, base, this.#patterns[this.#last]!) <= FIT_WORDS) return this.#last;
    let best = 0;
    let least = RECORD_WORDS + 1;
    for (let i = 0; i < this.#patterns.length; i++) {
      const count = differences(words, base, this.#patterns[i]!);
      if (count >= least) continue;
      least = count;
      best = i;
    }
    if (least <= FIT_WORDS || this.#patterns.length === PATTERNS_MAX) return best;
    return this.#patterns.push(words.slice(base, base + RECORD_WORDS)) - 1;
  }

  /** Puts a packed record into the words from `base` on; its number is free. */
  unpack(number: number, words: Int32Array, base: number): void {
    const shelf = this.#shelves[number & ((1 << SIZE_BITS) - 1)];
    assert(shelf !== undefined, 'a number names a packed record');
    const index = number >> SIZE_BITS;
    const from = shelf.chunkOf(index);
    const map = shelf.at;
    const pattern = this.#patterns[from[map + MAP_WORDS - 1]! >>> PATTERN_SHIFT]!;
    let at = map + MAP_WORDS;
    for (let m = 0; m < MAP_WORDS; m++) {
      const bits = from[map + m]!;
      const end = Math.min(32, RECORD_WORDS - 32 * m);
      for (let i = 0; i < end; i++) {
        words[base + 32 * m + i] = (bits & (1 << i)) === 0 ? pattern[32 * m + i]! : from[at++]!;
      }
    }
    shelf.give(index);
    this.#held--;
  }
}

function differences(words: Int32Array, base: number, pattern: Int32Array): number {
  let count = 0;
  for (let i = 0; i < RECORD_WORDS; i++) if (words[base + i] !== pattern[i]) count++;
  return count;
}
