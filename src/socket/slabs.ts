/**
 * Slabs: 64 KiB blocks through which bytes pass between the application and the stack.
 *
 * Promises: a slab is borrowed and given back; a bounded number of free ones is kept. Whoever hands a slab's memory on to the
 * application does not give it back. One pool serves all sockets of a stack, so an idle socket holds none.
 */

import { assert } from '../base/assert.ts';
import { type CopyBytes, copyBytes } from '../base/copy-bytes.ts';
import { SEND_PIECE_BYTES, type SendMemory } from '../base/send-memory.ts';
import type { TransportErrorCode } from '../host/api.ts';

/** Bytes in a slab: what one read or write moves at most. */
export const SLAB_BYTES: number = SEND_PIECE_BYTES;

/** A chunk that leaves its slab at least so full keeps the slab; a smaller one is copied into memory of its own size. */
export const KEEP_SLAB_FROM = 32768;

/** Free slabs that a pool keeps: 4 MiB. */
const FREE_MAX = 64;

/**
 * Words of an array that is thrown away with each slab that is handed on. V8 does not see how much memory such slabs hold until it is
 * so much (32 MiB) that it collects the whole heap, again and again, which is dear where the heap is large or the processors are busy. With
 * garbage of a measure of its own it collects the young generation early, and the slabs' memory is used again while it is warm.
 */
const BALLAST_ELEMENTS = 2048;

/** How fast a crowd of senders is forgotten, with each of those that are left that begins anew. */
const CROWD_DECAY = 1 / 64;

/** What a write through a slab calls when the peer has acknowledged it, or when it is given up. */
export interface SlabOwner {
  /** `error`: why the bytes were given up; null: the peer has them. */
  slabDone(slab: Slab, error: TransportErrorCode | null): void;
}

/** A block of memory, and who uses it. */
export class Slab {
  readonly bytes: Uint8Array;
  /** Whether a target sends from its memory as it lies. */
  readonly isSentFrom: boolean;
  /** Where the bytes begin: see {@link SlabPool.takeFor}. */
  from = 0;
  /** Where they end. */
  used = 0;
  /** Writes out of this slab that are not finished. */
  writes = 0;
  owner: SlabOwner | null = null;
  /** Passed to the stack with each write; made once, because a slab serves many. */
  readonly done: (error: TransportErrorCode | null) => void = (error) => {
    const owner = this.owner;
    assert(owner !== null && this.writes > 0, 'a write is finished once, and before its slab is given back');
    this.writes--;
    owner.slabDone(this, error);
  };

  constructor(bytes: Uint8Array, isSentFrom = false) {
    this.bytes = bytes;
    this.isSentFrom = isSentFrom;
  }
}

/** Free slabs. */
export class SlabPool {
  readonly #free: Slab[] = [];
  readonly #freeToSend: Slab[] = [];
  readonly #memory: SendMemory | null;
  /** Copies into slabs and out of what is received. */
  readonly copy: CopyBytes;
  /** Garbage, see {@link BALLAST_ELEMENTS}. */
  ballast: readonly unknown[] = [];
  /** Connections that have something on its way, and how many those have been lately at most. */
  senders = 0;
  crowd = 0;
  /** Slabs that are out. */
  out = 0;

  constructor(copy: CopyBytes = copyBytes, memory: SendMemory | null = null) {
    this.copy = copy;
    this.#memory = memory;
  }

  senderBegun(): void {
    this.senders++;
    this.crowd = Math.max(this.senders, this.crowd - CROWD_DECAY);
  }

  senderEnded(): void {
    this.senders--;
  }

  take(): Slab {
    this.out++;
    return this.#free.pop() ?? new Slab(freshBytes());
  }

  /** A slab to be filled and sent, in memory of the target's where there is some. */
  takeToSend(): Slab {
    if (this.#memory === null) return this.take();
    let slab = this.#freeToSend.pop();
    if (slab === undefined) {
      const bytes = this.#memory.take();
      if (bytes === null) return this.take();
      slab = new Slab(bytes, true);
    }
    this.out++;
    return slab;
  }

  /**
   * A slab to copy into from there on. V8 copies out of shared memory byte by byte unless both sides are aligned alike, so it begins
   * where that is so; what follows in the stream mostly is, then.
   */
  takeFor(bytes: Uint8Array, at: number): Slab {
    const slab = this.take();
    if (typeof SharedArrayBuffer === 'function' && bytes.buffer instanceof SharedArrayBuffer) {
      slab.from = (bytes.byteOffset + at) & 7;
      slab.used = slab.from;
    }
    return slab;
  }

  /** The slab's memory is free again. */
  give(slab: Slab): void {
    assert(slab.writes === 0, 'a slab is given back once nothing reads it');
    this.out--;
    slab.from = 0;
    slab.used = 0;
    slab.owner = null;
    if (slab.isSentFrom) this.#freeToSend.push(slab);
    else if (this.#free.length < FREE_MAX) this.#free.push(slab);
  }

  /** What the slab was filled with, as the application's own; the slab is not the caller's any more. */
  chunkOf(slab: Slab): Uint8Array {
    const { from } = slab;
    const length = slab.used - from;
    if (length >= KEEP_SLAB_FROM) {
      this.handOn(slab);
      return Buffer.from(slab.bytes.buffer as ArrayBuffer, from, length);
    }
    const chunk = Buffer.allocUnsafe(length);
    chunk.set(slab.bytes.subarray(from, slab.used));
    this.give(slab);
    return chunk;
  }

  /** The slab's memory now belongs to the application. */
  handOn(_slab: Slab): void {
    this.out--;
    this.handedOn();
  }

  /** Memory of about the size of a slab now belongs to the application. */
  handedOn(): void {
    this.ballast = new Array(BALLAST_ELEMENTS);
  }
}

/** Memory that is not zeroed first where that can be had: it is written before it is read. */
function freshBytes(): Uint8Array {
  return typeof Buffer === 'undefined'
    ? new Uint8Array(SLAB_BYTES)
    : new Uint8Array(Buffer.allocUnsafeSlow(SLAB_BYTES).buffer);
}
