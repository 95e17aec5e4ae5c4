/**
 * A small seeded random source for simulations and tests (sfc32). Not for secrets.
 *
 * Promises: the same seed gives the same numbers on every machine.
 */

import type { RandomSource } from './runtime.ts';

/** A deterministic {@link RandomSource}; `seed` is any integer or string. */
export class SeededRandom implements RandomSource {
  #a: number;
  #b = 0x9e3779b9 | 0;
  #c = 0x243f6a88 | 0;
  #counter = 1;

  constructor(seed: number | string) {
    // FNV-1a over the decimal or given text, so that 7 and '7' are one seed.
    let hash = 0x811c9dc5 | 0;
    const text = String(seed);
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    this.#a = hash;
    for (let i = 0; i < 15; i++) this.nextUint32();
  }

  nextUint32(): number {
    const t = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + t;
    this.#c |= 0;
    return t >>> 0;
  }

  /** A number in [0, 1). */
  nextFloat(): number {
    return this.nextUint32() / 0x1_0000_0000;
  }

  fill(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.nextUint32() >>> 24;
  }
}
