/**
 * The pool of received data that waits for the driver above, or is with it: bounded memory, indicated without a copy.
 *
 * Data is appended to blocks that all connections share, one behind the other, and described by MDLs. An indication takes the
 * MDLs as they are; a block is free again when the last MDL over it has come back. Lists, MDLs and blocks are reused, so
 * nothing is allocated per segment once the pool has grown (CAP-015, RECV-085). One NET_BUFFER a list (CAP-016).
 * Leaves to others: which connection data belongs to, and when it is indicated (delivery.ts).
 */

import { assert } from '../../base/assert.ts';
import { type CopyBytes, copyBytes } from '../../base/copy-bytes.ts';
import type { MemoryOffer } from '../../base/memory-offer.ts';
import { NetBuffer, NetBufferList } from '../../state/net-buffer-list.ts';
import { FrameBlocks, type SharedFrames } from './frame-blocks.ts';
import { PoolBlock, PoolMdl } from './pool-block.ts';

export const BLOCK_BYTES: number = 32 * 1024;
/** Text from so many bytes on stays in the frame that it came in, if that can be kept. */
const KEPT_FROM = 32 * 1024;
/** Copies up to this length are made byte by byte anyway (copyBytes). */
const LOOP_COPY_MAX = 64;

/** Memory that is shared with another thread, and what is told when blocks of the other's pool are free. */
export interface SharedBlocks {
  /** The block's memory; null: a pool that has no shared memory of its own. */
  readonly own: ((index: number) => Uint8Array) | null;
  /** What copies into it; null: `copyBytes`. */
  readonly copy: CopyBytes | null;
  /** The memory of a block of the other thread's pool. */
  readonly foreign: ((index: number) => Uint8Array) | null;
  /** Nothing here refers to this block of the other's pool any more; `pieces` references of it go back. Null: none is owed. */
  readonly onForeignFree: ((index: number, pieces: number) => void) | null;
  /** Memory for frames that are kept; null or absent: none are. */
  readonly frames?: SharedFrames | null;
}

/** A list for indications and for BufferedData. */
export class PoolList extends NetBufferList {
  readonly pool: ReceivePool;
  /** Whether the driver above holds it now. */
  isOut = false;

  constructor(pool: ReceivePool) {
    super(new NetBuffer(null, 0));
    this.pool = pool;
  }
}

/** The data of one connection that is not delivered yet: a chain of MDLs. */
export class BufferedData {
  first: PoolMdl | null = null;
  last: PoolMdl | null = null;
  /** Bytes in the chain. */
  length = 0;
}

/** Memory for received data. One per adapter. */
export class ReceivePool {
  readonly #maxBlocks: number;
  #made = 0;
  readonly #shared: SharedBlocks | null;
  readonly #copy: CopyBytes;
  /** Whether both sides of a copy are to be aligned alike. */
  readonly #isAligned: boolean;
  readonly #blocks: PoolBlock[] = [];
  readonly #foreign: PoolBlock[] = [];
  readonly #freeBlocks: PoolBlock[] = [];
  readonly #freeMdls: PoolMdl[] = [];
  readonly #freeLists: PoolList[] = [];
  readonly #frames: FrameBlocks | null;
  /** What is offered with the frame that is being received, and of which bytes. */
  #offer: MemoryOffer | null = null;
  #offered: Uint8Array | null = null;
  /** The block that is being filled. */
  #open: PoolBlock | null = null;
  #listsOut = 0;

  /** `maxBytes`: the bound; rounded up to a block of 32 KiB. */
  constructor(maxBytes: number, shared: SharedBlocks | null = null) {
    this.#maxBlocks = Math.max(1, Math.ceil(maxBytes / BLOCK_BYTES));
    this.#shared = shared;
    this.#copy = shared?.copy ?? copyBytes;
    this.#isAligned = shared !== null && shared.own !== null && shared.copy === null;
    const frames = shared?.frames ?? null;
    this.#frames = shared === null || frames !== null ? new FrameBlocks(maxBytes, frames) : null;
  }

  /** Bytes it can still take. */
  get freeBytes(): number {
    const open = this.#open === null ? 0 : BLOCK_BYTES - this.#open.used;
    const blocks = this.#maxBlocks - this.#made + this.#freeBlocks.length;
    return Math.max(0, open + blocks * BLOCK_BYTES - (this.#frames === null ? 0 : this.#frames.boundBytes));
  }

  /** Lists that the driver above holds. */
  get listsOut(): number {
    return this.#listsOut;
  }

  /** Blocks in which there is data of somebody, here or above; those of another thread's pool are counted there. */
  get blocksHeld(): number {
    const open = this.#open !== null && this.#open.references === 1 ? 1 : 0;
    return this.#made - this.#freeBlocks.length - open + (this.#frames === null ? 0 : this.#frames.held);
  }

  /** Blocks of the other thread's pool in which there is data of somebody here. */
  get foreignBlocksHeld(): number {
    let held = 0;
    for (const block of this.#foreign) if (block !== undefined && block.references > 0) held++;
    return held;
  }

  /** Memory it has asked for so far, bytes. */
  get byteLength(): number {
    return this.#made * BLOCK_BYTES;
  }

  /** See `LinkReceiver.frameMemory`. */
  lendFrame(): Uint8Array | null {
    return this.#frames === null ? null : this.#frames.lend();
  }

  /** From now on the frame in `bytes` is being received, and may be kept; null: not any more. */
  receiving(bytes: Uint8Array | null, offer: MemoryOffer | null): void {
    this.#offered = bytes;
    this.#offer = offer;
  }

  /** Puts `length` bytes behind the data of a connection: in a copy, unless they stay where they are. `freeBytes` was enough. */
  append(data: BufferedData, bytes: Uint8Array, at: number, length: number): void {
    if (length >= KEPT_FROM && this.#offer !== null && bytes === this.#offered && this.#keep(data, bytes, at, length)) {
      return;
    }
    let from = at;
    let left = length;
    data.length += length;
    while (left > 0) {
      const open = this.#openBlock(left > LOOP_COPY_MAX ? bytes.byteOffset + from : -1);
      const room = BLOCK_BYTES - open.used;
      const n = left < room ? left : room;
      this.#copy(bytes, from, n, open.bytes, open.used);
      const last = data.last;
      if (last !== null && last.block === open && last.byteOffset + last.byteCount === open.used) last.byteCount += n;
      else this.#link(data, this.#takeMdl(open, open.used, n));
      open.used += n;
      from += n;
      left -= n;
    }
  }

  #keep(data: BufferedData, bytes: Uint8Array, at: number, length: number): boolean {
    const offer = this.#offer!;
    const block = offer.isTaken || this.#frames === null ? null : this.#frames.keep(bytes);
    if (block === null) return false;
    offer.isTaken = true;
    const mdl = this.#takeMdl(block, at, length);
    mdl.memoryOffer = block.offer;
    this.#link(data, mdl);
    data.length += length;
    return true;
  }

  /** Drops `bytes` bytes from the front of the data. */
  consume(data: BufferedData, bytes: number): void {
    let left = bytes;
    data.length -= bytes;
    while (left > 0) {
      const mdl = data.first!;
      if (left < mdl.byteCount) {
        mdl.byteOffset += left;
        mdl.byteCount -= left;
        return;
      }
      left -= mdl.byteCount;
      data.first = mdl.next as PoolMdl | null;
      if (data.first === null) data.last = null;
      this.#giveMdl(mdl);
    }
  }

  /** Drops all of it. */
  clear(data: BufferedData): void {
    this.consume(data, data.length);
  }

  /** Moves the first `length` bytes (at most all) of the data into a list of its own, without a copy. */
  detach(data: BufferedData, length: number): PoolList {
    const list = this.#freeLists.pop() ?? new PoolList(this);
    const nb = list.firstNetBuffer!;
    nb.mdlChain = data.first;
    nb.currentMdl = data.first;
    nb.currentMdlOffset = 0;
    nb.dataOffset = 0;
    nb.dataLength = length < data.length ? length : data.length;
    if (length < data.length) this.#cut(data, length);
    else {
      data.first = null;
      data.last = null;
    }
    data.length -= nb.dataLength;
    list.next = null;
    list.status = 0;
    list.isOut = true;
    this.#listsOut++;
    return list;
  }

  /** Puts the bytes of a list that was not taken back in front of the data. */
  reattach(data: BufferedData, list: PoolList): void {
    let length = 0;
    let last: PoolMdl | null = null;
    const first = list.firstNetBuffer!.mdlChain as PoolMdl | null;
    for (let mdl = first; mdl !== null; mdl = mdl.next as PoolMdl | null) {
      length += mdl.byteCount;
      last = mdl;
    }
    if (last !== null) {
      last.next = data.first;
      data.first = first;
      if (data.last === null) data.last = last;
    }
    data.length += length;
    this.#giveList(list);
  }

  /** A list has come back: its memory is free again. False: it is not out, and nothing was done. */
  takeBack(list: NetBufferList): boolean {
    if (!(list instanceof PoolList) || list.pool !== this || !list.isOut) return false;
    let mdl = list.firstNetBuffer!.mdlChain as PoolMdl | null;
    while (mdl !== null) {
      const next = mdl.next as PoolMdl | null;
      this.#giveMdl(mdl);
      mdl = next;
    }
    this.#giveList(list);
    return true;
  }

  /**
   * A list goes to the other thread: list and MDLs are free again, but the references they had stay with their blocks until
   * {@link dropReferences}. `tell` learns of each piece.
   */
  ship(list: PoolList, tell: (block: number, at: number, length: number) => void): void {
    let mdl = list.firstNetBuffer!.mdlChain as PoolMdl | null;
    while (mdl !== null) {
      const next = mdl.next as PoolMdl | null;
      tell(mdl.block.index, mdl.byteOffset, mdl.byteCount);
      mdl.next = null;
      this.#freeMdls.push(mdl);
      mdl = next;
    }
    this.#giveList(list);
  }

  /** The other thread has freed so many pieces of a block. */
  dropReferences(index: number, pieces: number): void {
    const block = this.#blocks[index] ?? this.#frames?.at(index);
    assert(block !== undefined && block.references >= pieces, 'a block has the references that come back');
    block.references -= pieces - 1;
    this.#release(block);
  }

  /** Puts a piece of the other thread's pool behind the data of a connection, without a copy. */
  adopt(data: BufferedData, index: number, at: number, length: number): void {
    let block = this.#foreign[index];
    if (block === undefined) {
      block = new PoolBlock(this.#shared!.foreign!(index), index, 0);
      this.#foreign[index] = block;
    }
    block.pieces++;
    this.#link(data, this.#takeMdl(block, at, length));
    data.length += length;
  }

  /** Leaves everything behind the first `length` bytes in `data`; the MDL in which the cut falls is made into two. */
  #cut(data: BufferedData, length: number): void {
    let mdl = data.first!;
    let left = length;
    while (left >= mdl.byteCount) {
      left -= mdl.byteCount;
      const next = mdl.next as PoolMdl;
      if (left === 0) {
        mdl.next = null;
        data.first = next;
        return;
      }
      mdl = next;
    }
    const rest = this.#takeMdl(mdl.block, mdl.byteOffset + left, mdl.byteCount - left);
    rest.next = mdl.next;
    // The memory is not one list's alone any more.
    mdl.memoryOffer = null;
    mdl.byteCount = left;
    mdl.next = null;
    data.first = rest;
    if (rest.next === null) data.last = rest;
  }

  #link(data: BufferedData, mdl: PoolMdl): void {
    if (data.last === null) data.first = mdl;
    else data.last.next = mdl;
    data.last = mdl;
  }

  /** `sourceAt`: where the bytes are that will be copied, if there are so many that it matters how they are aligned; else -1. */
  #openBlock(sourceAt: number): PoolBlock {
    const open = this.#open;
    if (open !== null) {
      // V8 copies to shared memory byte by byte unless both sides are aligned alike.
      if (sourceAt >= 0 && this.#isAligned) open.used += (sourceAt - open.used) & 7;
      if (open.used < BLOCK_BYTES) return open;
      this.#open = null;
      this.#release(open);
    }
    let block = this.#freeBlocks.pop();
    if (block === undefined) {
      const index = this.#made++;
      const own = this.#shared?.own ?? null;
      block = new PoolBlock(own === null ? new Uint8Array(BLOCK_BYTES) : own(index), index);
      this.#blocks.push(block);
    }
    block.used = sourceAt >= 0 && this.#isAligned ? sourceAt & 7 : 0;
    block.references = 1;
    this.#open = block;
    return block;
  }

  #takeMdl(block: PoolBlock, at: number, length: number): PoolMdl {
    const mdl = this.#freeMdls.pop() ?? new PoolMdl(block);
    block.references++;
    mdl.block = block;
    mdl.buffer = block.bytes;
    mdl.byteOffset = at;
    mdl.byteCount = length;
    mdl.next = null;
    return mdl;
  }

  #giveMdl(mdl: PoolMdl): void {
    mdl.next = null;
    mdl.memoryOffer = null;
    this.#freeMdls.push(mdl);
    this.#release(mdl.block);
  }

  #release(block: PoolBlock): void {
    block.references--;
    // A block that is being filled and that nobody refers to any more is filled again from its start.
    if (block.references === 1 && block === this.#open) block.used = 0;
    if (block.references > 0) return;
    if (block.isFrame) this.#frames!.free(block);
    else if (!block.isForeign) this.#freeBlocks.push(block);
    else {
      const { pieces } = block;
      block.pieces = 0;
      this.#shared!.onForeignFree?.(block.index, pieces);
    }
  }

  #giveList(list: PoolList): void {
    const nb = list.firstNetBuffer!;
    nb.mdlChain = null;
    nb.currentMdl = null;
    list.next = null;
    list.isOut = false;
    this.#listsOut--;
    this.#freeLists.push(list);
  }
}
