/**
 * MiniportInitiateOffload, what all targets have in common: the walk over the tree, its statuses, and the completion.
 *
 * Promises: every block has a status before the completion (INIT-007); what was taken stays taken whatever follows (INIT-030); what
 * hangs on an object that was not taken is not looked at (INIT-027). A tree with a loop, or with more than three layers, is completed
 * with FAILURE and nothing taken (TREE-001). Leaves to others: whether an object is taken, and what its own status is.
 * Source: chimney-sequences 2, 3, 5.
 */

import {
  BlockKind,
  BlockLayer,
  BlockWalk,
  kindOfBlock,
  type MiniportOffloadBlock,
  type NdisM,
  type NdisMiniportHandle,
  NdisStatus,
  presetInitiateStatuses,
  settleInitiateStatuses,
} from '../../ndis/miniport.ts';
import { Due } from './contexts.ts';

type Block = MiniportOffloadBlock;

/** What a target says to the blocks of a tree. */
export interface Taker {
  /** Whether it takes anything now. */
  readonly isReady: boolean;
  /** Whether a linker names an object that is offloaded here, of the type it says (TREE-021, TREE-023). */
  isLive(block: Block): boolean;
  /** Takes the state of one new block; `parent` is what it hangs on. Answers the status that speaks of this block's own state only. */
  take(block: Block, parent: Block | null, depth: number): number;
  /** A block was not taken, for this reason. */
  refused(status: number): void;
}

/** Takes what can be taken, and leaves every block with its status. */
export function takeTree(root: Block, taker: Taker): void {
  if (!presetInitiateStatuses(root)) return;
  if (taker.isReady) takeBlocks(root, taker);
  settleInitiateStatuses(root);
}

function takeBlocks(root: Block, taker: Taker): void {
  const walk = new BlockWalk<Block>();
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    const kind = kindOfBlock(block);
    if (kind === BlockKind.PLACEHOLDER) continue;
    if (kind === BlockKind.LINKER) {
      if (!taker.isLive(block)) walk.skipDependents();
      continue;
    }
    block.status = taker.take(block, walk.parent, walk.depth);
    if (block.status === NdisStatus.SUCCESS) continue;
    taker.refused(block.status);
    // INIT-029; and INIT-028 for a path that fails for another reason than want of resources.
    if (block === root || (walk.depth === BlockLayer.PATH && block.status === NdisStatus.FAILURE)) return;
    walk.skipDependents();
  }
}

/** A connection of a target that was taken from a tree. */
interface Taken {
  isInitiating: boolean;
}

/** What the completion needs of a target. */
interface Home<Connection> {
  hasIndicated: boolean;
  readonly ndisM: NdisM;
  readonly handle: NdisMiniportHandle;
  mark(connection: Connection, due: number): void;
}

/** NdisMInitiateOffloadComplete; what was taken may indicate and send from then on (INIT-050, INIT-056). */
export function completeInitiate<Connection extends Taken>(
  home: Home<Connection>,
  root: Block,
  taken: readonly Connection[],
): void {
  home.hasIndicated = true;
  home.ndisM.initiateOffloadComplete(home.handle, root);
  for (const connection of taken) {
    connection.isInitiating = false;
    home.mark(connection, Due.DELIVER | Due.TRANSMIT | Due.SENDS);
  }
}
