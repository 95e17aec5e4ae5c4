/**
 * The arena: one block of shared memory between the driver half and the NIC half, and where everything in it is.
 *
 * A control page of words that both sides look at, a ring each way, and two pools of blocks: received data, filled by the NIC
 * half, and data to be sent, filled by the driver half. Promises: each word has one writer, but for the two "asleep" words; the
 * layout follows from four sizes alone, so that both sides compute it.
 */

import type { CopyBytes } from '../../base/copy-bytes.ts';
import { FRAME_MEMORY_BYTES } from '../../link/link.ts';
import { RECORD_WORDS } from '../../tcp/connection.ts';
import type { SlabMemory } from '../../tcp/slab.ts';
import type { SharedFrames } from '../engine/frame-blocks.ts';
import { BLOCK_BYTES } from '../engine/receive-pool.ts';
import type { LentMemory } from './lent-memory.ts';

/** Sizes of an arena, bytes. */
export interface ArenaSizes {
  /** Ring from the NIC half to the driver half; a power of two. */
  readonly upBytes: number;
  /** Ring from the driver half to the NIC half; a power of two. */
  readonly downBytes: number;
  /** Received data. */
  readonly receiveBytes: number;
  /** Data to be sent. */
  readonly sendBytes: number;
  /** Records of connections that outlive the NIC half's thread; those for which there is no room are lost with it. */
  readonly stateBytes: number;
}

/** Words of the control page, each in a cache line of its own. */
export const ControlWord = {
  UP_TAIL: 0,
  UP_HEAD: 16,
  DOWN_TAIL: 32,
  DOWN_HEAD: 48,
  /** 1: the NIC half waits, and has to be woken. */
  NIC_ASLEEP: 64,
  /** 1: the driver half waits, and has to be woken. */
  DRIVER_ASLEEP: 80,
  /** Counts the rounds of the NIC half's loop. */
  HEARTBEAT: 96,
  /** 1: the NIC half is between two steps: what its records say is whole. */
  AT_REST: 112,
  /** 1: the NIC half is to stop. */
  STOP: 128,
  /** The system's number of the NIC half's thread. */
  THREAD: 144,
  /** Counts the operations that the driver half has published: the NIC half looks there before the next frame. */
  ASKED: 160,
  /** Counts those that the NIC half has answered; the driver half waits for a change, a short while. */
  ANSWERED: 176,
  /** What {@link ControlWord.ASKED} was when the NIC half last began with an operation. */
  BEGUN: 224,
  /** Which operation the driver half is about to publish, see {@link expectation}; 0: none. */
  EXPECTED: 192,
  /** 1: frames of the driver half wait for room in its ring, and it wants to be woken when there is some. */
  ROOM_WANTED: 208,
} as const;

/**
 * Of operations to come: that one is near, and the NIC half stays awake and gets ready; or that it is being written and will be published
 * in a moment, and the NIC half does nothing else before.
 */
export const Expected = { NEAR: 2, WRITTEN: 3 } as const;

/** A word that tells so of the `count`th. */
export function expectation(count: number, what: number): number {
  return ((count & 0x1fff_ffff) << 2) | what;
}

/** What such a word tells. */
export function expectedOf(word: number): number {
  return word & 3;
}

/** The NIC half begins with an operation: whoever waits for the answer knows that it is on its way. */
export function operationBegun(control: Int32Array): void {
  Atomics.store(control, ControlWord.BEGUN, Atomics.load(control, ControlWord.ASKED));
}

const CONTROL_BYTES = 4096;
/** Frames that are kept at a time, at most. */
const FRAMES_MAX = 256;
/** Doubles behind the control words: the NIC half's statistics of both families. */
const STATISTICS_AT = 1024;
/** Doubles for one family. */
export const STATISTICS_DOUBLES = 16;

/** Sizes unless told otherwise. */
export const DEFAULT_SIZES: ArenaSizes = {
  upBytes: 4 << 20,
  downBytes: 4 << 20,
  receiveBytes: 64 << 20,
  sendBytes: 64 << 20,
  stateBytes: 32 << 20,
};

/**
 * Bytes of ordinary frames of the driver half that wait in its ring at most: a state operation stands behind them, and the memory of a
 * short queue stays near. It is what a NIC has for a transmit ring.
 */
export const FRAMES_DOWN_BYTES: number = 1 << 20;

/** Views of an arena. */
export class Arena {
  readonly buffer: ArrayBufferLike;
  readonly sizes: ArenaSizes;
  readonly control: Int32Array;
  readonly statistics: Float64Array;
  /** All of it, for bytes. */
  readonly bytes: Uint8Array;
  /** What copies in and out fastest; null: `copyBytes`. */
  readonly copy: CopyBytes | null;
  /** Memory that sockets write into, apart from the buffer; null: there is none. */
  readonly lent: LentMemory | null;
  readonly words: Int32Array;
  readonly upAt: number;
  readonly downAt: number;
  /** Records of connections; null where the halves live and die together. */
  readonly state: SlabMemory | null;
  /** A word for each object's number, see {@link StateTable}. */
  readonly stateWords: Int32Array;
  readonly #receiveAt: number;
  readonly #receiveBlockCount: number;
  /** Behind the blocks: frames that are kept as they were read. */
  readonly #framesAt: number;
  readonly #frameCount: number;
  readonly #sendAt: number;
  readonly #receiveBlocks: Uint8Array[] = [];
  readonly #sendBlocks: Uint8Array[] = [];
  /** The blocks, where they are not in the buffer. */
  readonly #apart: { readonly receive: Uint8Array[]; readonly send: Uint8Array[] } | null;

  /**
   * `isWhole`: the blocks are in the buffer too. Else they are made as they are needed, each by itself, which is for both halves in
   * one thread.
   */
  constructor(
    buffer: ArrayBufferLike,
    sizes: ArenaSizes,
    isWhole = true,
    copy: CopyBytes | null = null,
    lent: LentMemory | null = null,
  ) {
    this.copy = copy;
    this.lent = lent;
    this.#apart = isWhole ? null : { receive: [], send: [] };
    this.buffer = buffer;
    this.sizes = sizes;
    this.control = new Int32Array(buffer, 0, STATISTICS_AT / 4);
    this.statistics = new Float64Array(buffer, STATISTICS_AT, 2 * STATISTICS_DOUBLES);
    this.bytes = new Uint8Array(buffer);
    this.words = new Int32Array(buffer, 0, buffer.byteLength >> 2);
    this.upAt = CONTROL_BYTES;
    this.downAt = this.upAt + sizes.upBytes;
    const records = isWhole ? recordsOf(sizes.stateBytes) : 0;
    const stateAt = this.downAt + sizes.downBytes;
    this.stateWords = new Int32Array(buffer, stateAt, records);
    this.state = isWhole ? { buffer, at: stateAt + 8 * records, records } : null;
    this.#receiveAt = stateAt + records * STATE_BYTES;
    this.#receiveBlockCount = blocksOf(sizes.receiveBytes);
    this.#framesAt = this.#receiveAt + this.#receiveBlockCount * BLOCK_BYTES;
    this.#frameCount = isWhole ? framesOf(sizes.receiveBytes) : 0;
    this.#sendAt = this.#framesAt + this.#frameCount * FRAME_MEMORY_BYTES;
  }

  /** Memory for frames that are kept as they were read; null: there is none. Their numbers follow those of the blocks. */
  get frames(): SharedFrames | null {
    if (this.#frameCount === 0) return null;
    return { first: this.#receiveBlockCount, count: this.#frameCount, own: (index) => this.receiveBlock(index) };
  }

  /** A block of the pool of received data, or a frame of it. */
  receiveBlock(index: number): Uint8Array {
    if (this.#apart !== null) return apart(this.#apart.receive, index);
    let block = this.#receiveBlocks[index];
    if (block === undefined) {
      const frame = index - this.#receiveBlockCount;
      block =
        frame < 0
          ? new Uint8Array(this.buffer, this.#receiveAt + index * BLOCK_BYTES, BLOCK_BYTES)
          : new Uint8Array(this.buffer, this.#framesAt + frame * FRAME_MEMORY_BYTES, FRAME_MEMORY_BYTES);
      this.#receiveBlocks[index] = block;
    }
    return block;
  }

  /**
   * The number of the memory in which these bytes lie, and all of them, from which they can be sent, as whoever sends them keeps it: a block
   * of received data, or a piece of what sockets write into. -1: they lie elsewhere.
   */
  keptBlockOf(bytes: Uint8Array, at: number, length: number): number {
    if (this.lent !== null && bytes.buffer === this.lent.buffer) {
      const piece = this.lent.pieceOf(bytes, at, length);
      return piece < 0 ? -1 : this.#receiveBlockCount + this.#frameCount + piece;
    }
    if (this.#apart !== null) return this.#apart.receive.findIndex((block) => block.buffer === bytes.buffer);
    if (bytes.buffer !== this.buffer) return -1;
    const from = bytes.byteOffset + at - this.#receiveAt;
    if (from < 0 || from + length > this.#sendAt - this.#receiveAt) return -1;
    const inFrames = bytes.byteOffset + at - this.#framesAt;
    if (inFrames < 0) return runIndex(from, length, BLOCK_BYTES);
    const frame = runIndex(inFrames, length, FRAME_MEMORY_BYTES);
    return frame < 0 ? -1 : this.#receiveBlockCount + frame;
  }

  /** The memory of such a number. */
  keptBlock(index: number): Uint8Array {
    const piece = index - this.#receiveBlockCount - this.#frameCount;
    return piece < 0 ? this.receiveBlock(index) : this.lent!.piece(piece);
  }

  /** A block of the pool of data to be sent. */
  sendBlock(index: number): Uint8Array {
    if (this.#apart !== null) return apart(this.#apart.send, index);
    let block = this.#sendBlocks[index];
    if (block === undefined) {
      block = new Uint8Array(this.buffer, this.#sendAt + index * BLOCK_BYTES, BLOCK_BYTES);
      this.#sendBlocks[index] = block;
    }
    return block;
  }
}

/** Which of the runs of `size` bytes holds these; -1: none does alone. */
function runIndex(from: number, length: number, size: number): number {
  const index = Math.floor(from / size);
  return from + length <= (index + 1) * size ? index : -1;
}

function apart(blocks: Uint8Array[], index: number): Uint8Array {
  let block = blocks[index];
  if (block === undefined) {
    block = new Uint8Array(BLOCK_BYTES);
    blocks[index] = block;
  }
  return block;
}

/** A record, and its words in the table; aligned to eight. */
const STATE_BYTES = RECORD_WORDS * 4 + 8;

function recordsOf(bytes: number): number {
  return Math.floor(bytes / STATE_BYTES);
}

/** Blocks of a pool of so many bytes; one more than its bound, as aligning may cost a little. */
function blocksOf(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / BLOCK_BYTES)) + 1;
}

/** Frames for a pool of so many bytes: about a quarter of it, which is more than is on its way at a time. */
function framesOf(bytes: number): number {
  return Math.min(FRAMES_MAX, Math.floor(bytes / 4 / FRAME_MEMORY_BYTES));
}

/** Bytes of an arena, with its blocks or without. Throws RangeError on sizes that cannot be. */
export function arenaBytes(sizes: ArenaSizes, isWhole = true): number {
  for (const name of ['upBytes', 'downBytes'] as const) {
    const size = sizes[name];
    if (!Number.isInteger(size) || size < 4096 || size > 1 << 30 || (size & (size - 1)) !== 0) {
      throw new RangeError(`${name}: expected a power of two from 4096 to 2^30, got ${size}`);
    }
  }
  for (const name of ['receiveBytes', 'sendBytes'] as const) {
    const size = sizes[name];
    if (!Number.isInteger(size) || size < BLOCK_BYTES || size > 2 ** 31) {
      throw new RangeError(`${name}: expected ${BLOCK_BYTES} to 2^31, got ${size}`);
    }
  }
  const { stateBytes } = sizes;
  if (!Number.isInteger(stateBytes) || stateBytes < 0 || stateBytes > 2 ** 31) {
    throw new RangeError(`stateBytes: expected 0 to 2^31, got ${stateBytes}`);
  }
  const blocks = isWhole ? blocksOf(sizes.receiveBytes) + blocksOf(sizes.sendBytes) : 0;
  const state = isWhole ? recordsOf(stateBytes) * STATE_BYTES : 0;
  const frames = isWhole ? framesOf(sizes.receiveBytes) * FRAME_MEMORY_BYTES : 0;
  return CONTROL_BYTES + sizes.upBytes + sizes.downBytes + state + blocks * BLOCK_BYTES + frames;
}
