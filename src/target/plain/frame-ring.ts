/**
 * Frames kept for a moment, in order, each in a copy: those that a full link did not take and that cannot be made again.
 *
 * Promises: bounded; memory is reused, so nothing is allocated per frame once a slot has been used.
 */

import { copyBytes } from '../../base/copy-bytes.ts';
import { Gather } from '../../link/link.ts';

/** A bounded first-in first-out of copied frames. */
export class FrameRing {
  readonly #slots: Uint8Array[] = [];
  readonly #heads: number[] = [];
  readonly #texts: number[] = [];
  readonly #segmentBytes: number[] = [];
  readonly #capacity: number;
  readonly #text: Gather = new Gather();
  #head = 0;
  #count = 0;

  /** `capacity`: frames kept at most. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get count(): number {
    return this.#count;
  }

  /** Copies a frame in behind the others; false: there is no room. */
  push(bytes: Uint8Array, at: number, head: number, segmentBytes: number, text: Gather | null): boolean {
    if (this.#count === this.#capacity) return false;
    const textLength = text === null ? 0 : text.length;
    const length = head + textLength;
    const index = (this.#head + this.#count) % this.#capacity;
    let slot = this.#slots[index];
    if (slot === undefined || slot.length < length) {
      slot = new Uint8Array(length < 2048 ? 2048 : length);
      this.#slots[index] = slot;
    }
    copyBytes(bytes, at, head, slot, 0);
    if (text !== null) gather(text, slot, head);
    this.#heads[index] = head;
    this.#texts[index] = textLength;
    this.#segmentBytes[index] = segmentBytes;
    this.#count++;
    return true;
  }

  /** The oldest frame's bytes, from 0 on; the ring is not empty. */
  get first(): Uint8Array {
    return this.#slots[this.#head]!;
  }

  /** Length of the oldest frame, or of what is in front of its text. */
  get firstLength(): number {
    return this.#heads[this.#head]!;
  }

  /** Text behind that, as it was given: a link takes more of it so than in the frame itself. Null: there is none. Good until the next call. */
  get firstText(): Gather | null {
    const length = this.#texts[this.#head]!;
    if (length === 0) return null;
    this.#text.clear();
    this.#text.add(this.first, this.firstLength, length);
    return this.#text;
  }

  /** What the oldest frame leaves to the device. */
  get firstSegmentBytes(): number {
    return this.#segmentBytes[this.#head]!;
  }

  /** Forgets the oldest frame. */
  shift(): void {
    this.#head = (this.#head + 1) % this.#capacity;
    this.#count--;
  }
}

/** Copies all runs into `out`, from `at` on. */
export function gather(text: Gather, out: Uint8Array, at: number): void {
  let to = at;
  for (let i = 0; i < text.count; i++) {
    copyBytes(text.buffers[i]!, text.ats[i]!, text.lengths[i]!, out, to);
    to += text.lengths[i]!;
  }
}
