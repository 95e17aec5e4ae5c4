/**
 * The slab: memory of all connection records of one user of the engine, and the views of those in use.
 *
 * Promises: a record is zeroed, its deadlines unarmed, when it is allocated; slots are reused, the last freed first; chunks are
 * added as needed, and given back when nothing is in them and enough is free elsewhere. Leaves to others: what runs on a record, and taking it out of tables and heaps first.
 */

import { assert } from '../base/assert.ts';
import { NEVER } from '../base/runtime.ts';
import { DEADLINES, Moment, RECORD_WORDS, TcpConnection } from './connection.ts';

/** Records of the first chunk. */
const FIRST_RECORDS = 16;

/** Memory for the first records of a slab, one behind the other. */
export interface SlabMemory {
  readonly buffer: ArrayBufferLike;
  /** Where the first is, a multiple of eight bytes. */
  readonly at: number;
  readonly records: number;
}

/** A view of one record of such memory, for whoever has nothing else of it. */
export function recordAt(memory: SlabMemory, slot: number): TcpConnection {
  const at = memory.at + slot * RECORD_WORDS * 4;
  const words = new Int32Array(memory.buffer, at, RECORD_WORDS);
  return new TcpConnection(words, new Float64Array(memory.buffer, at, RECORD_WORDS / 2), 0, slot);
}

/** Records that were made together. */
interface Chunk {
  readonly first: number;
  readonly count: number;
  live: number;
  /** Views of its records; none while its memory is given back. */
  views: TcpConnection[];
}

/** Records in chunks, named by slot numbers from 0. */
export class TcpSlab {
  readonly #chunkRecords: number;
  readonly #memory: SlabMemory | null;
  readonly #chunks: Chunk[] = [];
  /** The number of the chunk of each slot. */
  #chunkOf: Int32Array = new Int32Array(0);
  /** Chunks whose memory was given back: made anew before others are. */
  readonly #gone: Chunk[] = [];
  /** Slots that are free, a stack. */
  #free: Int32Array = new Int32Array(0);
  #freeCount = 0;
  #records = 0;
  #isLive: Uint8Array = new Uint8Array(0);

  /** `chunkRecords`: most records added at a time. `memory`: where the first are to be, for others to see. */
  constructor(chunkRecords = 1024, memory: SlabMemory | null = null) {
    this.#chunkRecords = chunkRecords;
    this.#memory = memory;
  }

  /** Records in use. */
  get live(): number {
    return this.#records - this.#freeCount;
  }

  /** Bytes of record memory, used or not. */
  get byteLength(): number {
    return this.#records * RECORD_WORDS * 4;
  }

  /** Whether others see the records where they are. */
  get isShared(): boolean {
    return this.#memory !== null;
  }

  /** A fresh record: all words and moments 0, all deadlines NEVER, nothing referred to. */
  allocate(): TcpConnection {
    const c = this.take();
    c.words.fill(0, c.base, c.base + RECORD_WORDS);
    for (let i = 0; i < DEADLINES; i++) c.moments[c.momentBase + i] = NEVER;
    c.moments[c.momentBase + Moment.SOONEST] = NEVER;
    return c;
  }

  /** A record with whatever is in its words. */
  take(): TcpConnection {
    if (this.#freeCount === 0) this.#grow();
    this.#freeCount--;
    const slot = this.#free[this.#freeCount]!;
    this.#isLive[slot] = 1;
    const chunk = this.#chunks[this.#chunkOf[slot]!]!;
    chunk.live++;
    return chunk.views[slot - chunk.first]!;
  }

  /** Gives a record back; nobody refers to it any more. */
  free(c: TcpConnection): void {
    const isOurs = this.#isLive[c.slot] === 1 && this.at(c.slot) === c;
    assert(isOurs, 'a record is freed once, to the slab it came from');
    this.#isLive[c.slot] = 0;
    c.owner = null;
    c.sendQueue = null;
    // Its pages belong to a pool that outlives the record.
    c.reassembly?.clear();
    c.reassembly = null;
    c.scoreboard = null;
    this.#free[this.#freeCount] = c.slot;
    this.#freeCount++;
    const chunk = this.#chunks[this.#chunkOf[c.slot]!]!;
    chunk.live--;
    if (chunk.live === 0) this.#shrink(chunk);
  }

  /** The record with this slot number. */
  at(slot: number): TcpConnection {
    assert(this.#isLive[slot] === 1, 'a slot number names a record in use');
    const chunk = this.#chunks[this.#chunkOf[slot]!]!;
    return chunk.views[slot - chunk.first]!;
  }

  /** Gives back the memory of a chunk that nobody uses, where another one's worth of records is free. */
  #shrink(chunk: Chunk): void {
    if (this.#memory !== null || this.#freeCount < chunk.count + this.#chunkRecords) return;
    const end = chunk.first + chunk.count;
    let kept = 0;
    for (let i = 0; i < this.#freeCount; i++) {
      const slot = this.#free[i]!;
      if (slot < chunk.first || slot >= end) this.#free[kept++] = slot;
    }
    this.#freeCount = kept;
    chunk.views = [];
    this.#records -= chunk.count;
    this.#gone.push(chunk);
  }

  #grow(): void {
    const chunk = this.#gone.pop() ?? this.#newChunk();
    const { first, count } = chunk;
    const room = this.#memory === null ? 0 : this.#memory.records - first;
    const buffer = room > 0 ? this.#memory!.buffer : new ArrayBuffer(count * RECORD_WORDS * 4);
    const at = room > 0 ? this.#memory!.at + first * RECORD_WORDS * 4 : 0;
    const words = new Int32Array(buffer, at, count * RECORD_WORDS);
    const moments = new Float64Array(buffer, at, (count * RECORD_WORDS) / 2);
    for (let i = 0; i < count; i++) {
      chunk.views.push(new TcpConnection(words, moments, i * RECORD_WORDS, first + i));
    }
    this.#records += count;
    for (let i = 0; i < count; i++) this.#free[i] = first + count - 1 - i;
    this.#freeCount = count;
  }

  #newChunk(): Chunk {
    const first = this.#isLive.length;
    // Few at first, as many again each time, a whole chunk in the end: who has three connections does not pay for a thousand.
    const wanted = Math.min(this.#chunkRecords, Math.max(FIRST_RECORDS, first));
    const room = this.#memory === null ? 0 : this.#memory.records - first;
    const chunk: Chunk = { first, count: room > 0 ? Math.min(wanted, room) : wanted, live: 0, views: [] };
    const end = first + chunk.count;
    const chunkOf = new Int32Array(end).fill(this.#chunks.length, first);
    chunkOf.set(this.#chunkOf);
    this.#chunkOf = chunkOf;
    this.#chunks.push(chunk);
    const isLive = new Uint8Array(end);
    isLive.set(this.#isLive);
    this.#isLive = isLive;
    this.#free = new Int32Array(end);
    return chunk;
  }
}
