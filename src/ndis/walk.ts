/**
 * Walking a tree of offload blocks: depth first, breadth next, as MiniportInitiateOffload demands.
 *
 * Promises: no recursion along a chain of siblings, so a hundred thousand blocks do not touch the call stack, no
 * allocation per block, and an end: a walk over links that go round or too deep stops and says so. Leaves to others: what is done at each block; the statuses of an initiate are in `initiate-status.ts`.
 * Source: chimney-sequences 2, rules TREE-001 to TREE-016.
 */

import type { CachedState, ConstState, DelegatedState, NdisOffloadHandle } from './offload-block.ts';
import { OffloadStateType } from './status.ts';

/** Neighbor, path, TCP. TREE-001. */
export const TREE_LAYERS = 3;
/** Blocks of one walk, at most: siblings that share their dependents make a tree of finite depth as large as one likes. */
const BLOCKS_MAX = 1 << 24;

/** What either face of a block offers to a walk. */
export interface WalkedBlock<Face> {
  readonly nextBlock: Face | null;
  readonly dependentBlockList: Face | null;
}

/**
 * A walk over one tree: `start`, then `next` until it answers null. May be kept and used again; between `next` calls the
 * blocks behind the present one may be changed, their links not.
 */
export class BlockWalk<Face extends WalkedBlock<Face>> {
  /** The blocks on which the present one hangs, root layer first. */
  readonly #above: (Face | null)[] = [null, null, null];
  // By layer, what finds a chain that bites its own tail (Brent): a block that was passed, how many since, and how many until the next mark.
  readonly #marks: (Face | null)[] = [null, null, null];
  readonly #sinceMark: number[] = [0, 0, 0];
  readonly #untilMark: number[] = [1, 1, 1];
  #depth = 0;
  #visited = 0;
  #present: Face | null = null;
  #pending: Face | null = null;
  #skip = false;
  #isBroken = false;

  /** Begins at `root`, which `next` answers first. */
  start(root: Face): void {
    this.#above.fill(null);
    this.#depth = 0;
    this.#visited = 0;
    this.#present = null;
    this.#pending = root;
    this.#skip = false;
    this.#isBroken = false;
    this.#enter(root);
  }

  /** The next block: the first dependent of the present one, else its next sibling, else that of the block it hangs on. */
  next(): Face | null {
    if (this.#present === null) {
      this.#present = this.#pending;
      this.#pending = null;
      return this.#present;
    }
    let block: Face = this.#present;
    if (++this.#visited >= BLOCKS_MAX) return this.#break();
    if (block.dependentBlockList !== null && !this.#skip) {
      if (this.#depth + 1 >= TREE_LAYERS) return this.#break();
      this.#above[this.#depth++] = block;
      this.#present = block.dependentBlockList;
      this.#enter(this.#present);
      return this.#present;
    }
    this.#skip = false;
    while (block.nextBlock === null) {
      if (this.#depth === 0) {
        this.#end();
        return null;
      }
      block = this.#above[--this.#depth]!;
      this.#above[this.#depth] = null;
    }
    return this.#isTail(block.nextBlock) ? this.#break() : block.nextBlock;
  }

  /** Begins a chain of siblings. */
  #enter(first: Face): void {
    this.#marks[this.#depth] = first;
    this.#sinceMark[this.#depth] = 0;
    this.#untilMark[this.#depth] = 1;
  }

  /** Goes on to a sibling; true: the chain has come round to one that it has passed. */
  #isTail(next: Face): boolean {
    const depth = this.#depth;
    this.#present = next;
    if (next === this.#marks[depth]) return true;
    if (++this.#sinceMark[depth]! === this.#untilMark[depth]) {
      this.#marks[depth] = next;
      this.#sinceMark[depth] = 0;
      this.#untilMark[depth]! *= 2;
    }
    return false;
  }

  #break(): null {
    this.#isBroken = true;
    this.#end();
    return null;
  }

  /** A walk that is over and kept for the next one keeps no blocks of a tree. */
  #end(): void {
    this.#present = null;
    this.#marks.fill(null);
  }

  /** The walk has ended because it could not go on: more than three layers (TREE-001), a loop, or blocks without end. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** The block on which the present one hangs; null at the root layer. */
  get parent(): Face | null {
    return this.#depth === 0 ? null : this.#above[this.#depth - 1]!;
  }

  /** 0 at the root layer, 2 at most. */
  get depth(): number {
    return this.#depth;
  }

  /** Passes over what hangs on the present block: `next` goes on with its sibling. */
  skipDependents(): void {
    this.#skip = true;
  }
}

/** Calls `visit` with every block of the tree and the block on which it hangs. For paths that are not hot. */
export function forEachBlock<Face extends WalkedBlock<Face>>(
  root: Face,
  visit: (block: Face, parent: Face | null) => void,
): void {
  const walk = new BlockWalk<Face>();
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) visit(block, walk.parent);
}

/**
 * Writes one status into every block of a tree: answers to query, update, invalidate and terminate that went well. Answers whether
 * the tree is one: false where the walk found a loop or too many layers.
 */
export function setEveryStatus<Face extends WalkedBlock<Face> & { status: number }>(
  root: Face,
  status: number,
): boolean {
  const walk = new BlockWalk<Face>();
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) block.status = status;
  return !walk.isBroken;
}

/** Layers of a tree, by which {@link layerOf} answers. */
export const BlockLayer = { NEIGHBOR: 0, PATH: 1, TCP: 2 } as const;
export type BlockLayer = (typeof BlockLayer)[keyof typeof BlockLayer];

/** The layer that a Header.Type speaks of; -1 for the reserved types and for nonsense. Meaningless on placeholders. */
export function layerOf(type: number): BlockLayer | -1 {
  if (type >= OffloadStateType.NEIGHBOR_CONST && type <= OffloadStateType.NEIGHBOR) return BlockLayer.NEIGHBOR;
  if (type >= OffloadStateType.IP4_CONST && type <= OffloadStateType.IP6) return BlockLayer.PATH;
  if (type >= OffloadStateType.TCP_CONST && type <= OffloadStateType.TCP) return BlockLayer.TCP;
  return -1;
}

/** What a block of an initiate tree is. TREE-016, TREE-021, TREE-024. */
export const BlockKind = { PLACEHOLDER: 0, LINKER: 1, NEW_OFFLOAD: 2 } as const;
export type BlockKind = (typeof BlockKind)[keyof typeof BlockKind];

/** What {@link kindOfBlock} looks at; the lower face of a block is one. */
export interface KindOfBlock {
  readonly miniportOffloadContext: NdisOffloadHandle | null;
  readonly constState: ConstState | null;
  readonly cachedState: CachedState | null;
  readonly delegatedState: DelegatedState | null;
}

/**
 * What a block of an initiate tree is, by its lower face. Told by the state that follows and not by the slot, so that the
 * answer is the same before and after the slot was written: only a new offload is followed by state.
 */
export function kindOfBlock(block: KindOfBlock): BlockKind {
  if (block.miniportOffloadContext === null) return BlockKind.PLACEHOLDER;
  const hasState = block.constState !== null || block.cachedState !== null || block.delegatedState !== null;
  return hasState ? BlockKind.NEW_OFFLOAD : BlockKind.LINKER;
}
