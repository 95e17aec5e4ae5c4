/**
 * Records of connections on which nothing happens, packed: only the words that differ from those of a pattern, one of a few records that
 * were packed before. Most of what two idle connections of a stack have is the same; sequence numbers are where they are relative to
 * one another.
 *
 * Promises: what is unpacked is what was packed, word for word; memory is used again, by size; nothing is allocated per connection
 * once the store has grown. A packed record has a number. Leaves to others: when to pack, and everything that is not in the record.
 */

import { assert } from '../base/assert.ts';
import { NEVER } from '../base/runtime.ts';
import { TcpWord } from '../state/tcp.ts';
import { DEADLINES, MOMENT_AT_WORD, Moment, PrivateWord, RECORD_WORDS } from './connection.ts';

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
const FIT_WORDS = 24;

/** A fresh record: the first pattern. */
const FRESH: Int32Array = freshWords();

function freshWords(): Int32Array {
  const words = new Int32Array(RECORD_WORDS);
  const moments = new Float64Array(words.buffer, MOMENT_AT_WORD * 4);
  moments.fill(NEVER, 0, DEADLINES);
  moments[Moment.SOONEST] = NEVER;
  return words;
}

/** Pairs of words of which the first is packed as its distance from the second; nothing is ever a second after it was a first. */
const RELATIVE: readonly (readonly [word: number, to: number])[] = [
  ...[TcpWord.SND_NXT, TcpWord.SND_MAX, PrivateWord.ISS, PrivateWord.SND_WL2, PrivateWord.RECOVER].map(
    (word) => [word, TcpWord.SND_UNA] as const,
  ),
  [PrivateWord.RTT_TIMED_END, TcpWord.SND_UNA],
  ...[TcpWord.SND_WL1, PrivateWord.IRS, PrivateWord.RCV_ADV, PrivateWord.LAST_ACK_SENT].map(
    (word) => [word, TcpWord.RCV_NXT] as const,
  ),
  ...[0, 1].map((half) => [wordOf(Moment.RETRANSMIT_SINCE) + half, wordOf(Moment.LAST_SENT) + half] as const),
];

function wordOf(moment: number): number {
  return MOMENT_AT_WORD + 2 * moment;
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
  /** A record with its words in relation to one another. */
  readonly #record: Int32Array = new Int32Array(RECORD_WORDS);

  /** Packed records. */
  get held(): number {
    return this.#held;
  }

  /** Packs the record that begins at word `base`; answers its number. */
  pack(words: Int32Array, base: number): number {
    const record = this.#record;
    for (let i = 0; i < RECORD_WORDS; i++) record[i] = words[base + i]!;
    for (const [word, to] of RELATIVE) record[word] = record[word]! - record[to]!;
    const which = this.#choose(record);
    this.#last = which;
    const pattern = this.#patterns[which]!;
    const size = Math.ceil((MAP_WORDS + differences(record, pattern)) / STEP_WORDS);
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
        const word = record[32 * m + i]!;
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
  #choose(record: Int32Array): number {
    if (differences(record, this.#patterns[this.#last]!) <= FIT_WORDS) return this.#last;
    let best = 0;
    let least = RECORD_WORDS + 1;
    for (let i = 0; i < this.#patterns.length; i++) {
      const count = differences(record, this.#patterns[i]!);
      if (count >= least) continue;
      least = count;
      best = i;
    }
    if (least <= FIT_WORDS || this.#patterns.length === PATTERNS_MAX) return best;
    return this.#patterns.push(record.slice()) - 1;
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
    for (const [word, to] of RELATIVE) words[base + word] = words[base + word]! + words[base + to]!;
    shelf.give(index);
    this.#held--;
  }
}

function differences(record: Int32Array, pattern: Int32Array): number {
  let count = 0;
  for (let i = 0; i < RECORD_WORDS; i++) if (record[i] !== pattern[i]) count++;
  return count;
}
