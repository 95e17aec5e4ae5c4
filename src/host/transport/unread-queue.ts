/**
 * Text that TCP accepted and the handler has not taken yet: a queue of chunks out of a pool that all connections share.
 *
 * Promises: an endpoint with nothing unread holds nothing; small pieces share a chunk. The queue's bound is the receive window:
 * the transport gives the engine only as much receive space as is not held here, so a peer cannot make it longer than the
 * receive buffer. The pool keeps a bounded number of free chunks.
 */

import { assert } from '../../base/assert.ts';
import { copyBytes } from '../../base/copy-bytes.ts';
import { Mdl, NetBuffer, NetBufferList } from '../../state/net-buffer-list.ts';

/** Bytes of a chunk. */
export const CHUNK_BYTES = 8192;

/** Free chunks kept: 2 MiB. */
const FREE_MAX = 256;

/** A run of pooled memory. */
export class Chunk {
  readonly bytes: Uint8Array = new Uint8Array(CHUNK_BYTES);
  /** First unread byte, and the end of what was filled. */
  from = 0;
  to = 0;
  next: Chunk | null = null;
}

/** The chunks of one transport. */
export class ChunkPool {
  #free: Chunk | null = null;
  #freeCount = 0;
  #held = 0;

  /** Chunks in use. */
  get held(): number {
    return this.#held;
  }

  /** Bytes of the chunks in use. */
  get bytesHeld(): number {
    return this.#held * CHUNK_BYTES;
  }

  take(): Chunk {
    this.#held++;
    const chunk = this.#free;
    if (chunk === null) return new Chunk();
    this.#free = chunk.next;
    this.#freeCount--;
    chunk.next = null;
    chunk.from = 0;
    chunk.to = 0;
    return chunk;
  }

  give(chunk: Chunk): void {
    this.#held--;
    if (this.#freeCount >= FREE_MAX) return;
    chunk.next = this.#free;
    this.#free = chunk;
    this.#freeCount++;
  }

  /** Takes back the chunks behind lists made by {@link UnreadQueue.takeAsLists}. */
  giveLists(lists: NetBufferList): void {
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) {
      const chunk = list.protocolReserved;
      list.protocolReserved = null;
      if (chunk instanceof Chunk) this.give(chunk);
    }
  }
}

/** A run of unread bytes, borrowed until the queue is touched again. */
export interface UnreadPiece {
  bytes: Uint8Array;
  at: number;
  length: number;
}

/** The unread text of one connection, in order. */
export class UnreadQueue {
  readonly #pool: ChunkPool;
  #first: Chunk | null = null;
  #last: Chunk | null = null;
  #length = 0;
  readonly #piece: UnreadPiece = { bytes: EMPTY, at: 0, length: 0 };

  constructor(pool: ChunkPool) {
    this.#pool = pool;
  }

  /** Bytes in it. */
  get length(): number {
    return this.#length;
  }

  get isEmpty(): boolean {
    return this.#length === 0;
  }

  /** Copies bytes behind the others. */
  append(bytes: Uint8Array, at: number, length: number): void {
    let from = at;
    let left = length;
    while (left > 0) {
      let chunk = this.#last;
      if (chunk === null || chunk.to === CHUNK_BYTES) {
        const fresh = this.#pool.take();
        if (chunk === null) this.#first = fresh;
        else chunk.next = fresh;
        this.#last = fresh;
        chunk = fresh;
      }
      const n = Math.min(left, CHUNK_BYTES - chunk.to);
      copyBytes(bytes, from, n, chunk.bytes, chunk.to);
      chunk.to += n;
      from += n;
      left -= n;
    }
    this.#length += length;
  }

  /** The first run of bytes that lie together; of length 0 when there is none. */
  first(): UnreadPiece {
    const chunk = this.#first;
    this.#piece.bytes = chunk === null ? EMPTY : chunk.bytes;
    this.#piece.at = chunk === null ? 0 : chunk.from;
    this.#piece.length = chunk === null ? 0 : chunk.to - chunk.from;
    return this.#piece;
  }

  /** The first `bytes` bytes, at most what {@link first} answered, were taken. */
  consume(bytes: number): void {
    const chunk = this.#first;
    if (bytes === 0) return;
    assert(chunk !== null && bytes > 0 && bytes <= chunk.to - chunk.from, 'only what was offered can be consumed');
    chunk.from += bytes;
    this.#length -= bytes;
    if (chunk.from < chunk.to) return;
    this.#first = chunk.next;
    if (chunk.next === null) this.#last = null;
    this.#pool.give(chunk);
  }

  /** Drops everything. */
  clear(): void {
    while (this.#first !== null) this.consume(this.#first.to - this.#first.from);
  }

  /** Empties the queue into a chain of lists, one chunk each; null when it was empty. They go back by `ChunkPool.giveLists`. */
  takeAsLists(): NetBufferList | null {
    let head: NetBufferList | null = null;
    let tail: NetBufferList | null = null;
    for (let chunk = this.#first; chunk !== null; chunk = chunk.next) {
      const length = chunk.to - chunk.from;
      const list: NetBufferList = new NetBufferList(new NetBuffer(new Mdl(chunk.bytes, chunk.from, length), length));
      list.protocolReserved = chunk;
      if (tail === null) head = list;
      else tail.next = list;
      tail = list;
    }
    this.#first = null;
    this.#last = null;
    this.#length = 0;
    return head;
  }
}

const EMPTY: Uint8Array = new Uint8Array(0);
