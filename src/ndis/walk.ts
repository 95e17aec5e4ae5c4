/**
 * Walking a tree of offload blocks: depth first, breadth next, as MiniportInitiateOffload demands.
 *
 * Promises: no recursion along a chain of siblings, so a hundred thousand blocks do not touch the call stack, and no
 * allocation per block. Leaves to others: what is done at each block; the statuses of an initiate are in `initiate-status.ts`.
 * Source: chimney-sequences 2, rules TREE-001 to TREE-016.
 */

import { assert } from '../base/assert.ts';
import type { CachedState, ConstState, DelegatedState, NdisOffloadHandle } from './offload-block.ts';
import { OffloadStateType } from './status.ts';

/** Neighbor, path, TCP. TREE-001. */
export const TREE_LAYERS = 3;

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
  #depth = 0;
  #present: Face | null = null;
  #pending: Face | null = null;
  #skip = false;

  /** Begins at `root`, which `next` answers first. */
  start(root: Face): void {
    this.#above.fill(null);
    this.#depth = 0;
    this.#present = null;
    this.#pending = root;
    this.#skip = false;
  }

  /** The next block: the first dependent of the present one, else its next sibling, else that of the block it hangs on. */
  next(): Face | null {
    if (this.#present === null) {
      this.#present = this.#pending;
      this.#pending = null;
      return this.#present;
    }
    let block: Face = this.#present;
    if (block.dependentBlockList !== null && !this.#skip) {
      assert(this.#depth + 1 < TREE_LAYERS, 'a state tree has at most three layers (TREE-001)');
      this.#above[this.#depth++] = block;
      this.#present = block.dependentBlockList;
      return this.#present;
    }
    this.#skip = false;
    while (block.nextBlock === null) {
      if (this.#depth === 0) {
        this.#present = null;
        return null;
      }
      block = this.#above[--this.#depth]!;
      this.#above[this.#depth] = null;
    }
    this.#present = block.nextBlock;
    return this.#present;
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

/** Writes one status into every block of a tree: answers to query, update, invalidate and terminate that went well. */
export function setEveryStatus<Face extends WalkedBlock<Face> & { status: number }>(root: Face, status: number): void {
  const walk = new BlockWalk<Face>();
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) block.status = status;
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
