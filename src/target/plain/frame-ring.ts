/**
 * Frames kept for a moment, in order, each in a copy: those that a full link did not take and that cannot be made again.
 *
 * Promises: bounded; memory is reused, so nothing is allocated per frame once a slot has been used.
 */

/** A bounded first-in first-out of copied frames. */
export class FrameRing {
  readonly #slots: Uint8Array[] = [];
  readonly #lengths: number[] = [];
  readonly #capacity: number;
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
  push(bytes: Uint8Array, at: number, length: number): boolean {
    if (this.#count === this.#capacity) return false;
    const index = (this.#head + this.#count) % this.#capacity;
    let slot = this.#slots[index];
    if (slot === undefined || slot.length < length) {
      slot = new Uint8Array(length < 2048 ? 2048 : length);
      this.#slots[index] = slot;
    }
    slot.set(bytes.subarray(at, at + length));
    this.#lengths[index] = length;
    this.#count++;
    return true;
  }

  /** The oldest frame's bytes, from 0 on; the ring is not empty. */
  get first(): Uint8Array {
    return this.#slots[this.#head]!;
  }

  /** Length of the oldest frame. */
  get firstLength(): number {
    return this.#lengths[this.#head]!;
  }

  /** Forgets the oldest frame. */
  shift(): void {
    this.#head = (this.#head + 1) % this.#capacity;
    this.#count--;
  }
}
