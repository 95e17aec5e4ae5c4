/**
 * A heap of deadlines: which of many entries is due first.
 *
 * Promises: no allocation once it has grown; O(log n) per change. An entry is an integer the caller chose (a slot number).
 * Leaves to others: what is due. Callers that move a deadline later may leave the old, earlier one in place and look again
 * when it fires, which makes the common case (a retransmission timer pushed back by every ACK) free.
 */

import { NEVER } from './runtime.ts';

/** A binary min-heap of (deadline, entry) pairs, each entry at most once. */
export class DeadlineHeap {
  #size = 0;
  #entries: Int32Array = new Int32Array(64);
  /** Where each entry stands in the heap, plus one; 0 when it is not in it. */
  #places: Int32Array = new Int32Array(64);
  #atUs: Float64Array = new Float64Array(64);

  /** How many entries are armed. */
  get size(): number {
    return this.#size;
  }

  /** The soonest deadline in microseconds, or {@link NEVER}. */
  get soonestUs(): number {
    return this.#size === 0 ? NEVER : (this.#atUs[this.#entries[0]!] as number);
  }

  /** When `entry` is due, or {@link NEVER}. */
  atUs(entry: number): number {
    return entry < this.#places.length && this.#places[entry] !== 0 ? (this.#atUs[entry] as number) : NEVER;
  }

  /** Arms or moves `entry`; {@link NEVER} removes it. */
  set(entry: number, atUs: number): void {
    if (entry >= this.#places.length) this.#growTo(entry + 1);
    const place = this.#places[entry]! - 1;
    if (atUs === NEVER) {
      if (place >= 0) this.#removeAt(place);
      return;
    }
    const before = this.#atUs[entry]!;
    this.#atUs[entry] = atUs;
    if (place < 0) {
      this.#entries[this.#size] = entry;
      this.#places[entry] = this.#size + 1;
      this.#size++;
      this.#up(this.#size - 1);
    } else if (atUs < before) this.#up(place);
    else this.#down(place);
  }

  /** Takes out the first entry that is due at `nowUs`, or -1. */
  takeDue(nowUs: number): number {
    if (this.#size === 0) return -1;
    const entry = this.#entries[0]!;
    if (this.#atUs[entry]! > nowUs) return -1;
    this.#removeAt(0);
    return entry;
  }

  #removeAt(place: number): void {
    const entry = this.#entries[place]!;
    this.#places[entry] = 0;
    this.#size--;
    if (place === this.#size) return;
    const last = this.#entries[this.#size]!;
    this.#entries[place] = last;
    this.#places[last] = place + 1;
    this.#up(place);
    this.#down(this.#places[last]! - 1);
  }

  #up(from: number): void {
    let place = from;
    const entry = this.#entries[place]!;
    const at = this.#atUs[entry]!;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      const other = this.#entries[parent]!;
      if (this.#atUs[other]! <= at) break;
      this.#entries[place] = other;
      this.#places[other] = place + 1;
      place = parent;
    }
    this.#entries[place] = entry;
    this.#places[entry] = place + 1;
  }

  #down(from: number): void {
    let place = from;
    const entry = this.#entries[place]!;
    const at = this.#atUs[entry]!;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && this.#atUs[this.#entries[child + 1]!]! < this.#atUs[this.#entries[child]!]!)
        child++;
      const other = this.#entries[child]!;
      if (this.#atUs[other]! >= at) break;
      this.#entries[place] = other;
      this.#places[other] = place + 1;
      place = child;
    }
    this.#entries[place] = entry;
    this.#places[entry] = place + 1;
  }

  #growTo(least: number): void {
    const length = Math.max(least, this.#places.length * 2);
    const places = new Int32Array(length);
    places.set(this.#places);
    const entries = new Int32Array(length);
    entries.set(this.#entries);
    const atUs = new Float64Array(length);
    atUs.set(this.#atUs);
    this.#places = places;
    this.#entries = entries;
    this.#atUs = atUs;
  }
}
