/** Blocks of pool memory for received data, and the descriptors over them. */

import type { MemoryOffer } from '../../base/memory-offer.ts';
import { Mdl } from '../../state/net-buffer-list.ts';

/** A run of pool memory, filled from the front and freed as a whole. */
export class PoolBlock {
  readonly bytes: Uint8Array;
  /** Its number in its pool, or in the pool of the other thread to which it belongs. */
  readonly index: number;
  /** A block of another thread's pool: how many references of that pool are held here. -1: the block is this pool's own. */
  pieces: number;
  /** A frame as it was read, see FrameBlocks. */
  readonly isFrame: boolean;
  /** The application may have its memory, all of it; null: it may not. */
  offer: MemoryOffer | null = null;
  /** MDLs over it, and one for the pool while it is being filled. */
  references = 0;
  /** Bytes filled. */
  used = 0;

  constructor(bytes: Uint8Array, index: number, pieces = -1, isFrame = false) {
    this.bytes = bytes;
    this.index = index;
    this.pieces = pieces;
    this.isFrame = isFrame;
  }

  /** Whether it is another pool's. */
  get isForeign(): boolean {
    return this.pieces >= 0;
  }
}

/** A descriptor of pool memory. */
export class PoolMdl extends Mdl {
  block: PoolBlock;

  constructor(block: PoolBlock) {
    super(block.bytes, 0, 0);
    this.block = block;
  }
}
