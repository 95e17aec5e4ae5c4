/**
 * The reassembler: text that arrived before the text in front of it.
 *
 * Promises: each byte is held once, the first that arrived for its sequence number wins; every byte is handed out exactly
 * once, in order; memory is bounded by pages (per connection and by the shared pool) and the list of blocks by its limit; an
 * empty one holds no page. What does not fit is refused, never what was taken before, so nothing that a SACK has reported is
 * ever dropped. The store is laid over sequence space page by page, so overlaps cost no bookkeeping beyond the blocks.
 *
 * Protocol: `insert` for text beyond RCV.NXT. When RCV.NXT moves, `advance(rcvNxt)` drops what is now behind it and answers
 * how many bytes have become ready from there on; the engine adds them to RCV.NXT and the owner takes them all by `take`
 * before the next segment is given to the engine. Source: RFC 9293 3.10.7.4, RFC 2018 section 4, RFC 2883.
 */

import { assert } from '../base/assert.ts';
import { copyBytes } from '../base/copy-bytes.ts';
import { asSeq, type Seq, seqAdd, seqBefore, seqDiff, seqMax, seqMin } from '../base/seq.ts';
import { SACK_BLOCKS_MAX, type TcpSegment } from '../wire/tcp-segment.ts';
import { NO_PAGE, PAGE_BYTES, PAGE_SHIFT, type TextPiece, type TextPool } from './text-pool.ts';

/** Blocks kept at most; a hole between each two of them. More than a window of 4 MiB with every other segment lost needs. */
export const REASSEMBLY_BLOCKS_MAX = 2048;
/** Pages of sequence space a new store spans without growing; a power of two. */
const FIRST_SPAN = 16;
const FIRST_BLOCKS = 4;
/** Page numbers are sequence numbers without their low bits. */
const PAGE_NUMBERS: number = 2 ** (32 - PAGE_SHIFT);

/** Out-of-order text of one connection. */
export class Reassembly {
  readonly #pool: TextPool;
  readonly #maxPages: number;
  readonly #maxBlocks: number;
  // Blocks in sequence order, disjoint and not touching: [left, right), and when text last came to each.
  #left: Int32Array = new Int32Array(FIRST_BLOCKS);
  #right: Int32Array = new Int32Array(FIRST_BLOCKS);
  #stamp: Int32Array = new Int32Array(FIRST_BLOCKS);
  #blocks = 0;
  #clock = 0;
  #bytesHeld = 0;
  /** Page of the pool behind each page of sequence space, by page number modulo its length; {@link NO_PAGE}. */
  #pages: Int32Array = new Int32Array(FIRST_SPAN).fill(NO_PAGE);
  #pagesHeld = 0;
  // What is ready to be taken: [readyNext, readyEnd).
  #readyNext: Seq = asSeq(0);
  #readyEnd: Seq = asSeq(0);
  /** Sequence page whose memory was lent out by the last take and is free after it; -1: none. */
  #lent = -1;
  #finSeq: Seq = asSeq(0);
  #hasFin = false;
  /** Reassembled text the last insert or advance found already here: [left, right) of the first such run; equal when there was none. RFC 2883. */
  duplicateLeft: Seq = asSeq(0);
  duplicateRight: Seq = asSeq(0);

  /** `maxBytes` bounds the pages of this connection: its largest receive window and a little. */
  constructor(pool: TextPool, maxBytes: number = 64 * 1024 * 1024, maxBlocks: number = REASSEMBLY_BLOCKS_MAX) {
    this.#pool = pool;
    // A window that begins and ends inside a page touches one page more than it has bytes for.
    this.#maxPages = Math.ceil(maxBytes / PAGE_BYTES) + 1;
    this.#maxBlocks = maxBlocks;
  }

  /** Bytes of text held, ready ones included. */
  get bytesHeld(): number {
    return this.#bytesHeld;
  }

  /** Disjoint runs of text held beyond RCV.NXT; ready text is not among them. */
  get blockCount(): number {
    return this.#blocks;
  }

  /** Nothing held, nothing ready, no FIN remembered: the connection may let go of it. */
  get isEmpty(): boolean {
    return this.#blocks === 0 && this.#readyNext === this.#readyEnd && !this.#hasFin && this.#lent < 0;
  }

  /** Left edge of block `i` in sequence order. */
  blockLeft(i: number): Seq {
    return asSeq(this.#left[i]!);
  }

  /** Right edge (one beyond the last byte) of block `i` in sequence order. */
  blockRight(i: number): Seq {
    return asSeq(this.#right[i]!);
  }

  /**
   * Keeps `length` bytes of `bytes` from `at`, of which the first has number `seq`. They lie beyond RCV.NXT and inside the
   * window. Answers how many of them were new and are held now; what came before is kept, what does not fit is not taken.
   * {@link duplicateLeft} tells what was here already.
   */
  insert(seq: Seq, bytes: Uint8Array, at: number, length: number): number {
    this.#release();
    let end = seqAdd(seq, length);
    // Nothing comes behind a FIN; whoever says otherwise is not believed.
    if (this.#hasFin && seqBefore(this.#finSeq, end)) end = seqMax(seq, this.#finSeq);
    this.duplicateLeft = this.duplicateRight = seq;
    if (end === seq) return 0;

    let first = this.#firstReaching(seq);
    const isApart = first === this.#blocks || seqBefore(end, asSeq(this.#left[first]!));
    if (isApart && this.#blocks === this.#maxBlocks) return 0;
    end = this.#providePages(seq, end);
    if (end === seq) return 0;

    first = this.#firstReaching(seq);
    let cursor = seq;
    let left = seq;
    let right = end;
    let added = 0;
    let i = first;
    for (; i < this.#blocks; i++) {
      const blockLeft = asSeq(this.#left[i]!);
      const blockRight = asSeq(this.#right[i]!);
      if (seqBefore(end, blockLeft)) break;
      added += this.#store(cursor, blockLeft, bytes, at + seqDiff(cursor, seq));
      this.#noteDuplicate(seqMax(cursor, blockLeft), seqMin(end, blockRight));
      cursor = seqMax(cursor, blockRight);
      left = seqMin(left, blockLeft);
      right = seqMax(right, blockRight);
    }
    added += this.#store(cursor, end, bytes, at + seqDiff(cursor, seq));
    this.#replaceBlocks(first, i, left, right);
    this.#bytesHeld += added;
    return added;
  }

  /** The peer's FIN has number `seq`, beyond RCV.NXT. The first one counts. */
  insertFin(seq: Seq): void {
    if (this.#hasFin || (this.#blocks > 0 && seqBefore(seq, asSeq(this.#right[this.#blocks - 1]!)))) return;
    this.#hasFin = true;
    this.#finSeq = seq;
  }

  /** Whether the peer's FIN, seen earlier, is next at `rcvNxt`; it is then the caller's. One that text has gone beyond is forgotten. */
  takeFin(rcvNxt: Seq): boolean {
    if (!this.#hasFin || seqBefore(rcvNxt, this.#finSeq)) return false;
    this.#hasFin = false;
    return this.#finSeq === rcvNxt;
  }

  /** Whether text is held that continues at `rcvNxt` or goes beyond it from before. */
  hasInOrder(rcvNxt: Seq): boolean {
    return this.#blocks > 0 && !seqBefore(rcvNxt, asSeq(this.#left[0]!)) && seqBefore(rcvNxt, asSeq(this.#right[0]!));
  }

  /**
   * RCV.NXT is now `rcvNxt`: drops what lies before it and answers how many bytes are ready from there on. Everything that
   * was ready before must have been taken. {@link duplicateLeft} tells what of it came once more with the segment that moved RCV.NXT.
   */
  advance(rcvNxt: Seq): number {
    this.#release();
    assert(this.#readyNext === this.#readyEnd, 'ready text is taken before RCV.NXT moves again');
    this.duplicateLeft = this.duplicateRight = rcvNxt;
    if (this.#blocks > 0) this.#noteDuplicate(asSeq(this.#left[0]!), seqMin(asSeq(this.#right[0]!), rcvNxt));
    let gone = 0;
    while (gone < this.#blocks && !seqBefore(rcvNxt, asSeq(this.#right[gone]!))) {
      this.#bytesHeld -= seqDiff(asSeq(this.#right[gone]!), asSeq(this.#left[gone]!));
      this.#freePages(asSeq(this.#left[gone]!), asSeq(this.#right[gone]!), gone + 1);
      gone++;
    }
    let ready = 0;
    this.#readyNext = this.#readyEnd = rcvNxt;
    if (gone < this.#blocks && !seqBefore(rcvNxt, asSeq(this.#left[gone]!))) {
      const left = asSeq(this.#left[gone]!);
      this.#readyEnd = asSeq(this.#right[gone]!);
      ready = seqDiff(this.#readyEnd, rcvNxt);
      this.#bytesHeld -= seqDiff(rcvNxt, left);
      // Pages wholly behind RCV.NXT are of no more use; the one RCV.NXT lies in is.
      this.#freePages(left, asSeq(rcvNxt & ~(PAGE_BYTES - 1)), gone + 1);
      gone++;
    }
    if (gone > 0) this.#removeFirst(gone);
    return ready;
  }

  /** The next run of ready text, borrowed until the next call on this object; false: there is no more. */
  take(piece: TextPiece): boolean {
    this.#release();
    const left = seqDiff(this.#readyEnd, this.#readyNext);
    if (left === 0) return false;
    const number = this.#readyNext >>> PAGE_SHIFT;
    const inPage = this.#readyNext & (PAGE_BYTES - 1);
    const page = this.#pages[number & (this.#pages.length - 1)]!;
    const length = Math.min(left, PAGE_BYTES - inPage);
    piece.bytes = this.#pool.bytesOf(page);
    piece.at = this.#pool.startOf(page) + inPage;
    piece.length = length;
    this.#readyNext = seqAdd(this.#readyNext, length);
    this.#bytesHeld -= length;
    this.#lent = number;
    return true;
  }

  /**
   * Adds SACK blocks to `out` behind those already there, up to `most` in all: the block that changed last first, then the
   * others by when they changed (RFC 2018 section 4).
   */
  writeSack(out: TcpSegment, most: number): void {
    const room = Math.min(most, SACK_BLOCKS_MAX) - out.sackCount;
    let newest = this.#clock;
    for (let n = 0; n < room && n < this.#blocks; n++) {
      // The next block by age; stamps are different for all blocks, and less than 2^31 insertions apart.
      let best = -1;
      for (let i = 0; i < this.#blocks; i++) {
        if (((this.#stamp[i]! - newest) | 0) > 0) continue;
        if (best < 0 || ((this.#stamp[i]! - this.#stamp[best]!) | 0) > 0) best = i;
      }
      if (best < 0) return;
      newest = (this.#stamp[best]! - 1) | 0;
      out.sackEdges[2 * out.sackCount] = this.#left[best]!;
      out.sackEdges[2 * out.sackCount + 1] = this.#right[best]!;
      out.sackCount++;
    }
  }

  /** Drops everything and gives all pages back. */
  clear(): void {
    this.#lent = -1;
    for (let i = 0; i < this.#pages.length; i++) {
      if (this.#pages[i] !== NO_PAGE) this.#freeSlot(i);
    }
    this.#blocks = 0;
    this.#bytesHeld = 0;
    this.#readyNext = this.#readyEnd = asSeq(0);
    this.#hasFin = false;
  }

  /** Index of the first block whose right edge is at or beyond `seq`. */
  #firstReaching(seq: Seq): number {
    let low = 0;
    let high = this.#blocks;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (seqBefore(asSeq(this.#right[middle]!), seq)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Copies [from, to) from `bytes` at `at` into the pages; answers how many bytes that is, 0 when the range is empty. */
  #store(from: Seq, to: Seq, bytes: Uint8Array, at: number): number {
    const length = seqDiff(to, from);
    if (length <= 0) return 0;
    let seq = from;
    let left = length;
    let source = at;
    while (left > 0) {
      const inPage = seq & (PAGE_BYTES - 1);
      const n = Math.min(left, PAGE_BYTES - inPage);
      const page = this.#pages[(seq >>> PAGE_SHIFT) & (this.#pages.length - 1)]!;
      copyBytes(bytes, source, n, this.#pool.bytesOf(page), this.#pool.startOf(page) + inPage);
      seq = seqAdd(seq, n);
      source += n;
      left -= n;
    }
    return length;
  }

  #noteDuplicate(left: Seq, right: Seq): void {
    if (this.duplicateLeft !== this.duplicateRight || !seqBefore(left, right)) return;
    this.duplicateLeft = left;
    this.duplicateRight = right;
  }

  /** Puts one block [left, right) in the place of blocks [first, beyond). */
  #replaceBlocks(first: number, beyond: number, left: Seq, right: Seq): void {
    const grown = 1 - (beyond - first);
    if (this.#blocks + grown > this.#left.length) this.#growBlocks();
    if (grown !== 0) {
      this.#left.copyWithin(first + 1, beyond, this.#blocks);
      this.#right.copyWithin(first + 1, beyond, this.#blocks);
      this.#stamp.copyWithin(first + 1, beyond, this.#blocks);
      this.#blocks += grown;
    }
    this.#clock = (this.#clock + 1) | 0;
    this.#left[first] = left;
    this.#right[first] = right;
    this.#stamp[first] = this.#clock;
  }

  #removeFirst(count: number): void {
    this.#left.copyWithin(0, count, this.#blocks);
    this.#right.copyWithin(0, count, this.#blocks);
    this.#stamp.copyWithin(0, count, this.#blocks);
    this.#blocks -= count;
  }

  #growBlocks(): void {
    const length = Math.min(this.#left.length * 2, this.#maxBlocks + 1);
    const left = new Int32Array(length);
    const right = new Int32Array(length);
    const stamp = new Int32Array(length);
    left.set(this.#left);
    right.set(this.#right);
    stamp.set(this.#stamp);
    this.#left = left;
    this.#right = right;
    this.#stamp = stamp;
  }

  /** Sees to it that [from, to) has pages; answers the end of what has. */
  #providePages(from: Seq, to: Seq): Seq {
    const first = from >>> PAGE_SHIFT;
    const last = seqAdd(to, -1) >>> PAGE_SHIFT;
    this.#span(first, last);
    const count = pagesFrom(first, last) + 1;
    for (let i = 0; i < count; i++) {
      const slot = (first + i) & (this.#pages.length - 1);
      if (this.#pages[slot] !== NO_PAGE) continue;
      const page = this.#pagesHeld < this.#maxPages ? this.#pool.take() : NO_PAGE;
      if (page === NO_PAGE) return i === 0 ? from : asSeq((first + i) << PAGE_SHIFT);
      this.#pages[slot] = page;
      this.#pagesHeld++;
    }
    return to;
  }

  /** Widens the page table until all held text together with pages first to last has a place of its own. */
  #span(first: number, last: number): void {
    let lowest = first;
    let highest = last;
    if (this.#blocks > 0) {
      const low = this.#left[0]! >>> PAGE_SHIFT;
      const high = seqAdd(asSeq(this.#right[this.#blocks - 1]!), -1) >>> PAGE_SHIFT;
      if (isPageBefore(low, lowest)) lowest = low;
      if (isPageBefore(highest, high)) highest = high;
    }
    if (this.#readyNext !== this.#readyEnd) lowest = this.#readyNext >>> PAGE_SHIFT;
    const needed = pagesFrom(lowest, highest) + 1;
    if (needed <= this.#pages.length) return;
    let length = this.#pages.length;
    while (length < needed) length *= 2;
    const pages = new Int32Array(length).fill(NO_PAGE);
    // Held pages lie within one old table's length from the lowest page held.
    const from =
      this.#readyNext !== this.#readyEnd ? lowest : this.#blocks > 0 ? this.#left[0]! >>> PAGE_SHIFT : lowest;
    for (let i = 0; i < this.#pages.length; i++) {
      const number = (from + i) & (PAGE_NUMBERS - 1);
      pages[number & (length - 1)] = this.#pages[number & (this.#pages.length - 1)]!;
    }
    this.#pages = pages;
  }

  /** Gives back the page lent by the last {@link take}, unless text of it is still to come. */
  #release(): void {
    if (this.#lent < 0) return;
    const number = this.#lent;
    this.#lent = -1;
    if (this.#readyNext !== this.#readyEnd && this.#readyNext >>> PAGE_SHIFT === number) return;
    if (this.#blocks > 0 && this.#left[0]! >>> PAGE_SHIFT === number) return;
    this.#freeSlot(number & (this.#pages.length - 1));
  }

  /** Gives back the pages of [left, right) but the one in which the text of block `next` begins. */
  #freePages(left: Seq, right: Seq, next: number): void {
    if (!seqBefore(left, right)) return;
    const first = left >>> PAGE_SHIFT;
    const count = pagesFrom(first, seqAdd(right, -1) >>> PAGE_SHIFT) + 1;
    const kept = next < this.#blocks ? this.#left[next]! >>> PAGE_SHIFT : -1;
    for (let i = 0; i < count; i++) {
      const number = (first + i) & (PAGE_NUMBERS - 1);
      const slot = number & (this.#pages.length - 1);
      if (number !== kept && this.#pages[slot] !== NO_PAGE) this.#freeSlot(slot);
    }
  }

  #freeSlot(slot: number): void {
    this.#pool.give(this.#pages[slot]!);
    this.#pages[slot] = NO_PAGE;
    this.#pagesHeld--;
  }
}

/** Pages from page number `first` up to `last`, modulo the number of pages in sequence space. */
function pagesFrom(first: number, last: number): number {
  return (last - first) & (PAGE_NUMBERS - 1);
}

function isPageBefore(a: number, b: number): boolean {
  return pagesFrom(b, a) >= PAGE_NUMBERS / 2;
}
