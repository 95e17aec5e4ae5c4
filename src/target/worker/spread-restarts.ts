/**
 * Threads behind a spread adapter that have died and come anew: what all threads have in common is given to them, and flows return.
 *
 * While one is dead nothing new is offloaded (NDIS_STATUS_OFFLOAD_PAUSE), what it had is asked back, and the others go on. A new
 * thread gets neighbors and paths from one that lives, by a query there and an initiate here, of which the driver above sees nothing;
 * its operations wait meanwhile. If no thread lives, everything is asked back (UPLOAD_ALL). Then NDIS_STATUS_OFFLOAD_RESUME.
 * Source: chimney-sequences 18; EVT-036, TERM-074.
 */

import {
  type MiniportOffloadBlock,
  NdisOffloadHandle,
  NdisStatus,
  OffloadBlock,
  OffloadStateType,
  wasOffloaded,
} from '../../ndis/miniport.ts';
import { NeighborCachedState, NeighborConstState, NeighborDelegatedState } from '../../state/neighbor.ts';
import { PathCachedState, PathConstState, PathDelegatedState } from '../../state/path.ts';
import type { OperationKind } from '../engine/engine.ts';
import { forget, type SpreadObject } from './spread-objects.ts';
import type { NicWatcher, WorkerAdapter } from './worker-adapter.ts';

/** What it needs of the adapter. */
export interface SpreadRestartsParts {
  readonly threads: readonly WorkerAdapter[];
  /** Whether no thread has an operation of the driver above. */
  readonly isIdle: () => boolean;
  readonly say: (statusCode: number) => void;
  /** Goes on with an operation that was kept. */
  readonly go: (kind: OperationKind, root: MiniportOffloadBlock) => void;
}

/** How much the driver above has been asked to give up. */
const Asked = { NOTHING: 0, PAUSE: 1, ALL: 2 } as const;
type Asked = (typeof Asked)[keyof typeof Asked];

const NO_ADDRESS: Uint8Array = new Uint8Array(0);

/** The threads that come anew. */
export class SpreadRestarts {
  /** Neighbors and paths that are offloaded. */
  readonly shared: Set<SpreadObject> = new Set();
  readonly #parts: SpreadRestartsParts;
  /** Dead ones for which others come, and those that have come and have nothing yet. */
  readonly #awaited: Set<number> = new Set();
  readonly #fresh: Set<number> = new Set();
  /** Operations of the driver above that wait until all threads have the same again. */
  readonly #kept: (readonly [OperationKind, MiniportOffloadBlock])[] = [];
  /** Our own operations. */
  readonly #own: Map<MiniportOffloadBlock, () => void> = new Map();
  #asked: Asked = Asked.NOTHING;

  constructor(parts: SpreadRestartsParts) {
    this.#parts = parts;
  }

  /** What one thread tells. */
  watcherOf(thread: number): NicWatcher {
    return {
      died: (isReplaced) => {
        this.#fresh.delete(thread);
        if (isReplaced) this.#awaited.add(thread);
        const isLast = this.#parts.threads.every(({ isDead }) => isDead);
        if (isReplaced || this.#awaited.size > 0) this.#ask(isLast ? Asked.ALL : Asked.PAUSE);
      },
      restarted: () => {
        this.#awaited.delete(thread);
        for (const object of this.shared) forget(object, thread);
        this.#fresh.add(thread);
        this.next();
      },
      gaveUp: () => {
        this.#awaited.delete(thread);
        this.next();
      },
    };
  }

  #ask(asked: Asked): void {
    if (asked <= this.#asked) return;
    this.#asked = asked;
    this.#parts.say(asked === Asked.ALL ? NdisStatus.UPLOAD_ALL : NdisStatus.OFFLOAD_PAUSE);
  }

  /** Whether an operation of the driver above has to wait; then it is carried out later. */
  keeps(kind: OperationKind, root: MiniportOffloadBlock): boolean {
    if (this.#own.size === 0 && (this.#fresh.size === 0 || this.#asked === Asked.ALL)) return false;
    this.#kept.push([kind, root]);
    return true;
  }

  /** Whether this was an operation of ours; then it is seen to. */
  completed(root: MiniportOffloadBlock): boolean {
    const then = this.#own.get(root);
    if (then === undefined) return false;
    this.#own.delete(root);
    then();
    return true;
  }

  /** Something is over: goes on with what can be done now. */
  next(): void {
    if (this.#own.size > 0) return;
    if (this.#asked !== Asked.ALL) {
      if (this.#fresh.size > 0 && !this.#parts.isIdle()) return;
      for (const thread of this.#fresh) if (this.#give(thread)) return;
    }
    this.#fresh.clear();
    for (const [kind, root] of this.#kept.splice(0)) this.#parts.go(kind, root);
    this.#resume();
  }

  #resume(): void {
    if (this.#asked === Asked.NOTHING || this.#awaited.size > 0 || this.#fresh.size > 0) return;
    // TERM-074: after the last terminate.
    if (this.#asked === Asked.ALL && (this.shared.size > 0 || !this.#parts.isIdle())) return;
    this.#asked = Asked.NOTHING;
    const isPaused = this.#parts.threads.some(({ control }) => control.isPaused);
    if (!isPaused) this.#parts.say(NdisStatus.OFFLOAD_RESUME);
  }

  // What all threads have in common.

  /** Begins to give a thread all neighbors and paths; false: there is nothing to be given. */
  #give(thread: number): boolean {
    const { threads } = this.#parts;
    const lacking = [...this.shared].filter((object) => !object.isWith(thread));
    if (lacking.length === 0) {
      this.#fresh.delete(thread);
      return false;
    }
    const from = threads.findIndex(({ isDead }, i) => !isDead && !this.#fresh.has(i));
    if (from < 0 || lacking.some((object) => !object.isWith(from))) {
      // Nobody knows it any more: the driver above is to begin anew.
      this.#ask(Asked.ALL);
      return false;
    }
    const blocks = new Map(lacking.map((object) => [object, blockOf(object, object.shadows[from]!)]));
    const root = treeOf(blocks);
    this.#begin(root, () => {
      if (threads[from]!.isDead || threads[thread]!.isDead) this.next();
      else this.#take(thread, blocks);
    });
    threads[from]!.queryOffload(null, root);
    return true;
  }

  /** The second half: what the one has answered is offloaded to the other. */
  #take(thread: number, asked: ReadonlyMap<SpreadObject, OffloadBlock>): void {
    const blocks = new Map<SpreadObject, OffloadBlock>();
    for (const [object, { constState, cachedState, delegatedState }] of asked) {
      const shadow = new NdisOffloadHandle(object.handle);
      object.shadows[thread] = shadow;
      object.gone[thread] = true;
      const block = blockOf(object, shadow);
      block.constState = constState;
      block.cachedState = cachedState;
      block.delegatedState = delegatedState;
      blocks.set(object, block);
    }
    const root = treeOf(blocks);
    this.#begin(root, () => {
      const isDead = this.#parts.threads[thread]!.isDead;
      for (const [object, block] of blocks) {
        if (!isDead && wasOffloaded(block.status)) object.gone[thread] = false;
        else if (!isDead) this.#ask(Asked.ALL);
      }
      this.#fresh.delete(thread);
      this.next();
    });
    this.#parts.threads[thread]!.initiateOffload(null, root);
  }

  #begin(root: OffloadBlock, then: () => void): void {
    this.#own.set(root, then);
  }
}

/** A block with room for all that is to be known of a neighbor or path. */
function blockOf({ path }: SpreadObject, shadow: NdisOffloadHandle): OffloadBlock {
  const isIp4 = path !== null && path.sourceAddress.length === 4;
  const pathType = isIp4 ? OffloadStateType.IP4 : OffloadStateType.IP6;
  const block = new OffloadBlock(path === null ? OffloadStateType.NEIGHBOR : pathType);
  block.miniportOffloadContext = shadow;
  block.ndisOffloadHandle = shadow;
  block.constState = path === null ? new NeighborConstState() : new PathConstState(NO_ADDRESS, NO_ADDRESS);
  block.cachedState = path === null ? new NeighborCachedState() : new PathCachedState();
  block.delegatedState = path === null ? new NeighborDelegatedState() : new PathDelegatedState();
  return block;
}

/** Paths below their neighbors. */
function treeOf(blocks: ReadonlyMap<SpreadObject, OffloadBlock>): OffloadBlock {
  let root: OffloadBlock | null = null;
  for (const [object, block] of blocks) {
    const above = object.parent === null ? undefined : blocks.get(object.parent);
    if (above === undefined) {
      block.nextBlock = root;
      root = block;
    } else {
      block.nextBlock = above.dependentBlockList;
      above.dependentBlockList = block;
    }
  }
  return root!;
}
