/**
 * The statuses of an initiate tree: one level deep, new offloads, linkers and placeholders each by their own rule.
 *
 * A target presets, then walks and writes into each new-offload block what became of *its own* state, then settles. Rules
 * INIT-007 to INIT-012, INIT-027, INIT-081 to INIT-085; chimney-sequences 3.
 */

import { NdisStatus } from './status.ts';
import { BlockKind, type KindOfBlock, kindOfBlock, setEveryStatus, type WalkedBlock } from './walk.ts';

/** A block as this module reads and writes it; the lower face is one. */
export interface StatusBlock<Face> extends WalkedBlock<Face>, KindOfBlock {
  status: number;
}

/** Whether a status of an initiate says that the block's own state was taken. INIT-011. */
export function wasOffloaded(status: number): boolean {
  return status === NdisStatus.SUCCESS || status === NdisStatus.OFFLOAD_PARTIAL_SUCCESS;
}

/**
 * Before the walk: every block counts as not attempted, which is FAILURE, until the walk reaches it. INIT-007, INIT-027. False: the
 * tree has a loop or more than three layers; it is to be completed as it is then, with FAILURE, and neither walked nor settled.
 */
export function presetInitiateStatuses<Face extends StatusBlock<Face>>(root: Face): boolean {
  return setEveryStatus(root, NdisStatus.FAILURE);
}

/**
 * After the walk: new-offload blocks hold SUCCESS where their own state was taken and a failing status where not; this makes
 * SUCCESS into OFFLOAD_PARTIAL_SUCCESS where a dependent was not taken, and gives linkers and placeholders their status.
 */
export function settleInitiateStatuses<Face extends StatusBlock<Face>>(root: Face): void {
  for (let block: Face | null = root; block !== null; block = block.nextBlock) {
    const first: Face | null = block.dependentBlockList;
    // The recursion is as deep as the tree has layers, never as long as a layer.
    if (first !== null) settleInitiateStatuses(first);
    block.status = settledStatus(block);
  }
}

/** The status that a block must report, its dependents having theirs and its own status telling of its own state only. */
export function settledStatus<Face extends StatusBlock<Face>>(block: Face): number {
  const kind = kindOfBlock(block);
  if (kind === BlockKind.PLACEHOLDER) return NdisStatus.SUCCESS;
  if (kind === BlockKind.NEW_OFFLOAD && !wasOffloaded(block.status)) return block.status;
  let taken = 0;
  let lost = 0;
  for (let dependent: Face | null = block.dependentBlockList; dependent !== null; dependent = dependent.nextBlock) {
    if (wasOffloaded(dependent.status)) taken++;
    else lost++;
  }
  if (lost === 0) return NdisStatus.SUCCESS;
  if (kind === BlockKind.LINKER && taken === 0) return NdisStatus.FAILURE;
  return NdisStatus.OFFLOAD_PARTIAL_SUCCESS;
}
