/**
 * Pages for text that arrived out of order: one bounded pool for all connections of a stack or a target.
 *
 * Promises: never more memory than its bound; a connection without out-of-order text holds none of it; taking and giving a
 * page allocates nothing once the pool has grown. Leaves to others: what is in a page. A page is named by a number.
 */

import { assert } from '../base/assert.ts';

/** Bytes of a page, as a power of two: 4096. It divides 2^32, so pages can be laid over sequence space without a seam. */
export const PAGE_SHIFT = 12;
export const PAGE_BYTES: number = 1 << PAGE_SHIFT;

/** Pages of one slab; the pool grows by slabs of 256 KiB. */
const SLAB_SHIFT = 6;
const SLAB_PAGES: number = 1 << SLAB_SHIFT;

/** Names no page. */
export const NO_PAGE = -1;

/** A run of bytes somewhere in memory: what `take` and `runAt` fill. Borrowed until the next call on whoever filled it. */
export class TextPiece {
  bytes: Uint8Array = EMPTY;
  at = 0;
  length = 0;
}

const EMPTY: Uint8Array = new Uint8Array(0);

/** The pool. */
export class TextPool {
  /** Most pages it ever hands out. */
  readonly maxPages: number;
  readonly #slabs: Uint8Array[] = [];
  /** Pages that are free, a stack; its length is the number of pages made so far. */
  #free: Int32Array = new Int32Array(0);
  #freeCount = 0;
  #made = 0;

  /** `maxBytes`: the bound, rounded down to pages; default 64 MiB. */
  constructor(maxBytes: number = 64 * 1024 * 1024) {
    this.maxPages = Math.max(1, Math.floor(maxBytes / PAGE_BYTES));
  }

  /** Pages that are taken now. */
  get pagesHeld(): number {
    return this.#made - this.#freeCount;
  }

  /** Bytes of memory it has asked for so far. */
  get byteLength(): number {
    return this.#slabs.length * SLAB_PAGES * PAGE_BYTES;
  }

  /** A page, or {@link NO_PAGE} when the bound is reached. Its bytes are whatever they were. */
  take(): number {
    if (this.#freeCount === 0 && !this.#grow()) return NO_PAGE;
    this.#freeCount--;
    return this.#free[this.#freeCount]!;
  }

  give(page: number): void {
    assert(
      page >= 0 && page < this.#made && this.#freeCount < this.#made,
      'a page is given back once to the pool it came from',
    );
    this.#free[this.#freeCount] = page;
    this.#freeCount++;
  }

  /** The memory in which the page lies. */
  bytesOf(page: number): Uint8Array {
    return this.#slabs[page >> SLAB_SHIFT]!;
  }

  /** Where in {@link bytesOf} the page begins. */
  startOf(page: number): number {
    return (page & (SLAB_PAGES - 1)) << PAGE_SHIFT;
  }

  #grow(): boolean {
    const more = Math.min(SLAB_PAGES, this.maxPages - this.#made);
    if (more <= 0) return false;
    this.#slabs.push(new Uint8Array(SLAB_PAGES * PAGE_BYTES));
    const free = new Int32Array(this.#made + more);
    for (let i = 0; i < more; i++) free[i] = this.#made + more - 1 - i;
    this.#free = free;
    this.#freeCount = more;
    this.#made += more;
    return true;
  }
}
