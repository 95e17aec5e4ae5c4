/**
 * SipHash-2-4 with a 128-bit secret over 32-bit words: a keyed hash that a peer can neither predict nor steer.
 *
 * Promises: constant work, no allocation; 64-bit arithmetic in pairs of int32. Words are taken as little-endian bytes, so the
 * results are those of the reference vectors. Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF".
 */

import type { RandomSource } from '../base/runtime.ts';

/** A secret and the hash under it. The secret cannot be read back. */
export class SipHash {
  readonly #k0Low: number;
  readonly #k0High: number;
  readonly #k1Low: number;
  readonly #k1High: number;
  // v0..v3, each a low and a high half: the state while a hash is computed.
  readonly #v: Int32Array = new Int32Array(8);
  #pending = 0;
  #hasPending = false;
  #words = 0;

  /** `key`: the secret, four words, little-endian; see {@link randomSipHash}. */
  constructor(key: readonly [number, number, number, number]) {
    this.#k0Low = key[0] | 0;
    this.#k0High = key[1] | 0;
    this.#k1Low = key[2] | 0;
    this.#k1High = key[3] | 0;
  }

  /** Begins a hash. */
  begin(): this {
    const v = this.#v;
    v[0] = this.#k0Low ^ 0x70736575;
    v[1] = this.#k0High ^ 0x736f6d65;
    v[2] = this.#k1Low ^ 0x6e646f6d;
    v[3] = this.#k1High ^ 0x646f7261;
    v[4] = this.#k0Low ^ 0x6e657261;
    v[5] = this.#k0High ^ 0x6c796765;
    v[6] = this.#k1Low ^ 0x79746573;
    v[7] = this.#k1High ^ 0x74656462;
    this.#hasPending = false;
    this.#words = 0;
    return this;
  }

  /** Adds 32 bits. */
  add(word: number): this {
    this.#words++;
    if (!this.#hasPending) {
      this.#pending = word | 0;
      this.#hasPending = true;
    } else {
      this.#compress(this.#pending, word | 0);
      this.#hasPending = false;
    }
    return this;
  }

  /** Ends the hash: its low 32 bits as int32. {@link high} has the others until the next begin. */
  end(): number {
    const length = (this.#words * 4) << 24;
    if (this.#hasPending) this.#compress(this.#pending, length);
    else this.#compress(0, length);
    const v = this.#v;
    v[4] = v[4]! ^ 0xff;
    for (let i = 0; i < 4; i++) sipRound(v);
    return v[0]! ^ v[2]! ^ v[4]! ^ v[6]!;
  }

  /** The high 32 bits of the hash that {@link end} has finished. */
  get high(): number {
    const v = this.#v;
    return v[1]! ^ v[3]! ^ v[5]! ^ v[7]!;
  }

  #compress(low: number, high: number): void {
    const v = this.#v;
    v[6] = v[6]! ^ low;
    v[7] = v[7]! ^ high;
    sipRound(v);
    sipRound(v);
    v[0] = v[0]! ^ low;
    v[1] = v[1]! ^ high;
  }
}

/** A hash under a secret drawn from `random`. */
export function randomSipHash(random: RandomSource): SipHash {
  return new SipHash([random.nextUint32(), random.nextUint32(), random.nextUint32(), random.nextUint32()]);
}

/** One SipRound. Halves are at 2i (low) and 2i + 1 (high). */
function sipRound(v: Int32Array): void {
  add(v, 0, 2);
  rotate(v, 2, 13);
  mix(v, 2, 0);
  swap(v, 0);
  add(v, 4, 6);
  rotate(v, 6, 16);
  mix(v, 6, 4);
  add(v, 0, 6);
  rotate(v, 6, 21);
  mix(v, 6, 0);
  add(v, 4, 2);
  rotate(v, 2, 17);
  mix(v, 2, 4);
  swap(v, 4);
}

/** v[a] += v[b], 64 bits. */
function add(v: Int32Array, a: number, b: number): void {
  const low = (v[a]! >>> 0) + (v[b]! >>> 0);
  v[a] = low;
  v[a + 1] = v[a + 1]! + v[b + 1]! + (low > 0xffffffff ? 1 : 0);
}

/** v[a] ^= v[b]. */
function mix(v: Int32Array, a: number, b: number): void {
  v[a] = v[a]! ^ v[b]!;
  v[a + 1] = v[a + 1]! ^ v[b + 1]!;
}

/** v[a] rotated left by `bits`, 1 to 31. */
function rotate(v: Int32Array, a: number, bits: number): void {
  const low = v[a]!;
  const high = v[a + 1]!;
  v[a] = (low << bits) | (high >>> (32 - bits));
  v[a + 1] = (high << bits) | (low >>> (32 - bits));
}

/** v[a] rotated by 32: its halves change places. */
function swap(v: Int32Array, a: number): void {
  const low = v[a]!;
  v[a] = v[a + 1]!;
  v[a + 1] = low;
}
