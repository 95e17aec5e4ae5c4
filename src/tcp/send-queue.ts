/**
 * The send queue: what was posted and is not yet acknowledged, read straight out of its net buffer lists.
 *
 * Offsets count bytes from SND.UNA. Promises: nothing is copied but into the caller's segment; sequential reading is O(1)
 * amortised, also while retransmissions read elsewhere; nothing is allocated per segment. A list leaves the queue once, by
 * {@link SendQueue.takeCompleted} or by {@link SendQueue.takeAll}, with TcpOffloadBytesTransferred set and the data start of
 * each NET_BUFFER advanced by its acknowledged bytes (SEND-024, SEND-025; FreeMdl NULL, SEND-026); its status is the
 * caller's to write. Source: chimney-ddi 4 and 7.8.
 */

import { assert } from '../base/assert.ts';
import { copyBytes } from '../base/copy-bytes.ts';
import type { Mdl, NetBuffer, NetBufferList } from '../state/net-buffer-list.ts';
import { advanceNetBufferDataStart, dataLengthOf } from '../state/net-buffer-list.ts';
import type { TextPiece } from './text-pool.ts';

/** Lists a new queue has room for; a power of two. It doubles when that is not enough. */
const FIRST_CAPACITY = 8;

/** Positions beyond this are counted anew: V8 keeps numbers below 2^30 in the object itself and allocates larger ones. */
const REBASE_AT = 1 << 29;

/** A place in the queue that is remembered, so that reading on does not search. Positions are absolute, see below. */
class Cursor {
  /** Absolute number of the list; -1: nowhere. */
  list = -1;
  nb: NetBuffer | null = null;
  /** Position just behind the last byte of `nb`. */
  nbEnd = 0;
  mdl: Mdl | null = null;
  /** Position of the first byte of data in `mdl`. */
  mdlAt = 0;
  /** Where in `mdl.buffer` that byte is. */
  bufferAt = 0;
  /** Bytes of data in `mdl` from there on. */
  room = 0;

  /** All positions and numbers of lists are smaller from now on. */
  rebase(bytes: number, lists: number): void {
    if (this.list >= 0) this.list -= lists;
    this.nbEnd -= bytes;
    this.mdlAt -= bytes;
  }

  forget(): void {
    this.list = -1;
    this.nb = null;
    this.mdl = null;
  }
}

/** Data to be sent or to be acknowledged, first in first out. One per connection that has any. */
export class SendQueue {
  // Positions count the bytes queued here, lists the lists; both are counted anew now and then, the cursors with them.
  #lists: (NetBufferList | null)[] = new Array<NetBufferList | null>(FIRST_CAPACITY).fill(null);
  /** Position just behind each list. */
  #ends: Float64Array = new Float64Array(FIRST_CAPACITY);
  #firstList = 0;
  #nextList = 0;
  #una = 0;
  #end = 0;
  /** Position of the first byte of the list at the head. */
  #headStart = 0;
  /** Where new data is read. */
  readonly #onward = new Cursor();
  /** Where retransmissions are read. */
  readonly #back = new Cursor();
  readonly #rebaseAt: number;

  /** `rebaseAt`: position from which on positions are counted anew. */
  constructor(rebaseAt: number = REBASE_AT) {
    this.#rebaseAt = rebaseAt;
  }

  /** Bytes from SND.UNA to the end of what was queued. */
  get length(): number {
    return this.#end - this.#una;
  }

  /** Whether it holds no list at all, not even a finished one. */
  get isEmpty(): boolean {
    return this.#firstList === this.#nextList;
  }

  /** Whether {@link takeCompleted} has something to answer. */
  get hasCompleted(): boolean {
    return this.#firstList !== this.#nextList && this.#ends[this.#slot(this.#firstList)]! <= this.#una;
  }

  /** Queues a chain of lists behind all others and owns them from now on. Answers how many bytes of data they hold. */
  append(chain: NetBufferList): number {
    if (this.#headStart > this.#rebaseAt) this.#rebase();
    const before = this.#end;
    let list: NetBufferList | null = chain;
    while (list !== null) {
      const next: NetBufferList | null = list.next;
      list.next = null;
      if (this.#nextList - this.#firstList === this.#lists.length) this.#grow();
      this.#end += dataLengthOf(list);
      const slot = this.#slot(this.#nextList);
      this.#lists[slot] = list;
      this.#ends[slot] = this.#end;
      this.#nextList++;
      list = next;
    }
    return this.#end - before;
  }

  /** The peer has acknowledged the first `bytes` bytes: SND.UNA moves on. At most {@link length}. */
  acknowledge(bytes: number): void {
    assert(bytes >= 0 && bytes <= this.#end - this.#una, 'only queued data can be acknowledged');
    this.#una += bytes;
  }

  /**
   * The lists that are acknowledged to their last byte, as a chain in the order in which they were queued, or null.
   * A list without data is finished when everything in front of it is.
   */
  takeCompleted(): NetBufferList | null {
    let head: NetBufferList | null = null;
    let tail: NetBufferList | null = null;
    while (this.hasCompleted) {
      const list = this.#takeFirst();
      if (tail === null) head = list;
      else tail.next = list;
      tail = list;
    }
    return head;
  }

  /**
   * All lists that are not acknowledged to their last byte, as a chain in the order in which they were queued, or null; the
   * queue then has no unfinished data. The first byte of data in the chain is SND.UNA (SEND-034). Finished lists stay for
   * {@link takeCompleted}, which must come first.
   */
  takeAll(): NetBufferList | null {
    assert(!this.hasCompleted, 'finished lists are taken before the unfinished ones');
    let head: NetBufferList | null = null;
    let tail: NetBufferList | null = null;
    while (this.#firstList !== this.#nextList) {
      const list = this.#takeFirst();
      if (tail === null) head = list;
      else tail.next = list;
      tail = list;
    }
    this.#una = this.#end;
    this.#headStart = this.#end;
    return head;
  }

  /** Copies `length` bytes from `offset` on into `dst` at `at`. They must be in the queue. */
  copyOut(offset: number, length: number, dst: Uint8Array, at: number): void {
    let position = this.#una + offset;
    assert(offset >= 0 && position + length <= this.#end, 'only queued data can be read');
    let left = length;
    let to = at;
    while (left > 0) {
      const cursor = this.#seek(position);
      const inMdl = position - cursor.mdlAt;
      const there = cursor.room - inMdl;
      const n = left < there ? left : there;
      copyBytes(cursor.mdl!.buffer, cursor.bufferAt + inMdl, n, dst, to);
      position += n;
      to += n;
      left -= n;
    }
  }

  /** The longest run from `offset` on that lies together in memory, at most `most` bytes. False: nothing is queued there. */
  runAt(offset: number, most: number, out: TextPiece): boolean {
    const position = this.#una + offset;
    if (offset < 0 || position >= this.#end) return false;
    const cursor = this.#seek(position);
    const inMdl = position - cursor.mdlAt;
    out.bytes = cursor.mdl!.buffer;
    out.at = cursor.bufferAt + inMdl;
    out.length = Math.min(most, cursor.room - inMdl);
    return true;
  }

  /** Offset just behind the list in which the byte at `offset` is: where PSH belongs (SEND-014). {@link length} beyond the end. */
  endOfListAfter(offset: number): number {
    const position = this.#una + offset;
    if (position >= this.#end) return this.length;
    return this.#ends[this.#slot(this.#listAt(position))]! - this.#una;
  }

  /** Takes the first list out and does its accounts. */
  #takeFirst(): NetBufferList {
    const slot = this.#slot(this.#firstList);
    const list = this.#lists[slot]!;
    const end = this.#ends[slot]!;
    let acked = Math.max(0, Math.min(end, this.#una) - this.#headStart);
    list.tcpOffloadBytesTransferred = acked;
    for (let nb = list.firstNetBuffer; nb !== null && acked > 0; nb = nb.next) {
      const n = Math.min(acked, nb.dataLength);
      advanceNetBufferDataStart(nb, n);
      acked -= n;
    }
    if (this.#onward.list === this.#firstList) this.#onward.forget();
    if (this.#back.list === this.#firstList) this.#back.forget();
    this.#lists[slot] = null;
    this.#headStart = end;
    this.#firstList++;
    return list;
  }

  #rebase(): void {
    const bytes = this.#headStart;
    // A multiple of the capacity, so that every list keeps its slot.
    const lists = this.#firstList - this.#slot(this.#firstList);
    for (let list = this.#firstList; list < this.#nextList; list++) this.#ends[this.#slot(list)]! -= bytes;
    this.#headStart = 0;
    this.#una -= bytes;
    this.#end -= bytes;
    this.#firstList -= lists;
    this.#nextList -= lists;
    this.#onward.rebase(bytes, lists);
    this.#back.rebase(bytes, lists);
  }

  #slot(list: number): number {
    return list & (this.#lists.length - 1);
  }

  /** The cursor, standing on the MDL that holds the byte at `position`. */
  #seek(position: number): Cursor {
    // New data is read in order by one cursor; whoever reads behind it retransmits, and does not disturb it.
    const onward = this.#onward;
    const cursor = onward.list >= 0 && position < onward.mdlAt ? this.#back : onward;
    const slot = this.#slot(cursor.list);
    if (cursor.list < 0 || position < cursor.mdlAt || position >= this.#ends[slot]!)
      this.#enter(cursor, this.#listAt(position));
    while (position >= cursor.nbEnd) this.#enterBuffer(cursor, cursor.nb!.next, cursor.nbEnd);
    while (position >= cursor.mdlAt + cursor.room) this.#enterNextMdl(cursor);
    return cursor;
  }

  #enter(cursor: Cursor, list: number): void {
    const start = list === this.#firstList ? this.#headStart : this.#ends[this.#slot(list - 1)]!;
    cursor.list = list;
    this.#enterBuffer(cursor, this.#lists[this.#slot(list)]!.firstNetBuffer, start);
  }

  #enterBuffer(cursor: Cursor, nb: NetBuffer | null, at: number): void {
    assert(nb !== null, 'a list holds as much data as it did when it was queued');
    cursor.nb = nb;
    cursor.nbEnd = at + nb.dataLength;
    cursor.mdl = nb.currentMdl;
    cursor.mdlAt = at;
    cursor.bufferAt = nb.currentMdl === null ? 0 : nb.currentMdl.byteOffset + nb.currentMdlOffset;
    cursor.room = nb.currentMdl === null ? 0 : Math.min(nb.currentMdl.byteCount - nb.currentMdlOffset, nb.dataLength);
  }

  #enterNextMdl(cursor: Cursor): void {
    const mdl = cursor.mdl?.next ?? null;
    assert(mdl !== null, 'the MDLs of a NET_BUFFER hold as much as its DataLength says');
    cursor.mdlAt += cursor.room;
    cursor.mdl = mdl;
    cursor.bufferAt = mdl.byteOffset;
    cursor.room = Math.min(mdl.byteCount, cursor.nbEnd - cursor.mdlAt);
  }

  /** The list in which the byte at `position` is; it must be in one. */
  #listAt(position: number): number {
    let low = this.#firstList;
    let high = this.#nextList - 1;
    while (low < high) {
      const middle = low + ((high - low) >> 1);
      if (this.#ends[this.#slot(middle)]! > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #grow(): void {
    const old = this.#lists.length;
    const lists = new Array<NetBufferList | null>(old * 2).fill(null);
    const ends = new Float64Array(old * 2);
    for (let list = this.#firstList; list < this.#nextList; list++) {
      const from = list & (old - 1);
      const to = list & (old * 2 - 1);
      lists[to] = this.#lists[from]!;
      ends[to] = this.#ends[from]!;
    }
    this.#lists = lists;
    this.#ends = ends;
  }
}
