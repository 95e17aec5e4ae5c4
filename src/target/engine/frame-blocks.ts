/**
 * Frames whose text is kept where the link has read it, instead of being copied into a block of the pool.
 *
 * A pool lends the link memory to read a long frame into, and keeps that memory if the frame was one of an offloaded connection; the link
 * gets other memory then. Promises: bounded; memory that comes back is lent again, the warmest first. In memory that is nobody else's the
 * application may be given the frame's memory for good (see MemoryOffer), in shared memory it is not.
 */

import { MemoryOffer } from '../../base/memory-offer.ts';
import { FRAME_MEMORY_BYTES } from '../../link/link.ts';
import { PoolBlock } from './pool-block.ts';

/** Memory that comes back and is not lent at once is kept up to so many frames, 1 MiB. */
const FREE_MAX = 16;

/** Memory for frames that is shared with another thread: the numbers of its blocks, and where they are. */
export interface SharedFrames {
  readonly first: number;
  readonly count: number;
  readonly own: (index: number) => Uint8Array;
}

/** The frames of one pool. */
export class FrameBlocks {
  readonly #shared: SharedFrames | null;
  readonly #most: number;
  readonly #made: PoolBlock[] = [];
  readonly #free: PoolBlock[] = [];
  /** What the link reads into now. */
  #lent: PoolBlock | null = null;
  #held = 0;

  /** `mostBytes`: bound where the memory is not shared. */
  constructor(mostBytes: number, shared: SharedFrames | null) {
    this.#shared = shared;
    this.#most = shared === null ? Math.floor(mostBytes / FRAME_MEMORY_BYTES) : shared.count;
  }

  /** Frames in which there is data of somebody, here or above. */
  get held(): number {
    return this.#held;
  }

  /** Bytes of the pool's bound that they take: none in memory of their own. */
  get boundBytes(): number {
    return this.#shared === null ? this.#held * FRAME_MEMORY_BYTES : 0;
  }

  /** Memory to read a frame into; null: there is none for now. What was lent before is the link's no more. */
  lend(): Uint8Array | null {
    const shared = this.#shared;
    // Of memory of this thread somebody else may have kept it.
    if (shared !== null && this.#lent !== null) this.#free.push(this.#lent);
    let block = this.#free.pop() ?? null;
    if (block === null && shared !== null && this.#made.length < shared.count) {
      const index = shared.first + this.#made.length;
      block = new PoolBlock(shared.own(index), index, -1, true);
      this.#made.push(block);
    }
    this.#lent = block;
    return block === null ? null : block.bytes;
  }

  /** The frame that was read into this memory is kept. Null: it cannot be. */
  keep(bytes: Uint8Array): PoolBlock | null {
    let block = this.#lent;
    if (block === null || block.bytes !== bytes) {
      if (this.#shared !== null || this.#held >= this.#most) return null;
      block = new PoolBlock(bytes, -1, -1, true);
      block.offer = new MemoryOffer();
    }
    this.#lent = null;
    this.#held++;
    return block;
  }

  /** The block of shared memory with this number. */
  at(index: number): PoolBlock | undefined {
    const shared = this.#shared;
    return shared === null ? undefined : this.#made[index - shared.first];
  }

  /** Nobody refers to it any more. */
  free(block: PoolBlock): void {
    this.#held--;
    if (this.#shared !== null || (block.offer?.isTaken === false && this.#free.length < FREE_MAX)) {
      this.#free.push(block);
    }
  }
}
