/**
 * Rebuilding a block list on its way through an intermediate driver: a miniport block list from above becomes a protocol block
 * list for below, and back, in place.
 *
 * Only MiniportOffloadContext and NdisOffloadHandle on one face, OffloadHandle on the other, differ; everything else keeps
 * its place (IM-016 to IM-019, IM-027). The walks do not recurse and allocate only an entry per new object.
 */

import { assert } from '../base/assert.ts';
import { BlockKind, kindOfBlock, settleInitiateStatuses, wasOffloaded } from '../ndis/miniport.ts';
import type { BlockWalk, NdisOffloadHandle, OffloadBlock } from '../ndis/protocol.ts';
import { NdisStatus } from '../ndis/protocol.ts';
import type { NetBufferList } from '../state/net-buffer-list.ts';
import { entryOf, ImOffloadEntry } from './entries.ts';

/** Blocks of a tree that ask for a new object to be offloaded: those whose slot is empty. */
export function countNewOffloads(walk: BlockWalk<OffloadBlock>, root: OffloadBlock): number {
  let count = 0;
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    const slot = block.miniportOffloadContext;
    if (slot !== null && slot.miniportOffloadContext === null) count++;
  }
  return count;
}

/**
 * From above to below: every handle becomes the driver's own. New objects (in an initiate) get an entry, whose handle holds
 * an empty slot; others have one, which the slot above names.
 */
export function overlayAsProtocolBlocks(walk: BlockWalk<OffloadBlock>, root: OffloadBlock, isInitiate: boolean): void {
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    const slot = block.miniportOffloadContext;
    if (slot === null) block.offloadHandle = null;
    else if (slot.miniportOffloadContext !== null) {
      block.offloadHandle = (slot.miniportOffloadContext as ImOffloadEntry).handle;
    } else {
      assert(isInitiate, 'only an initiate names objects that are not offloaded yet (CTX-007)');
      const above = block.ndisOffloadHandle as NdisOffloadHandle;
      block.offloadHandle = new ImOffloadEntry(above, block.header.type).handle;
    }
  }
}

/** From below to above: every handle becomes the overlying driver's again. */
export function overlayAsMiniportBlocks(walk: BlockWalk<OffloadBlock>, root: OffloadBlock): void {
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    const handle = block.offloadHandle === null ? null : entryOf(block.offloadHandle).handleAbove;
    block.miniportOffloadContext = handle;
    block.ndisOffloadHandle = handle;
  }
}

/**
 * After an initiate, before it is completed above: the slot of every object that the driver below took names its entry
 * (IM-010), the slots of the others stay empty (INIT-036). Answers how many new objects were not taken. To be called before
 * the blocks are overlaid.
 */
export function adoptTaken(walk: BlockWalk<OffloadBlock>, root: OffloadBlock): number {
  let lost = 0;
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    if (block.offloadHandle === null) continue;
    const entry = entryOf(block.offloadHandle);
    if (entry.handleAbove.miniportOffloadContext !== null) continue;
    if (entry.handle.miniportOffloadContext === null) lost++;
    else entry.handleAbove.miniportOffloadContext = entry;
  }
  return lost;
}

/** Objects that a completed terminate has ended. */
export function countEnded(walk: BlockWalk<OffloadBlock>, root: OffloadBlock): number {
  let ended = 0;
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    if (block.offloadHandle !== null && block.status === NdisStatus.SUCCESS) ended++;
  }
  return ended;
}

/** Send lists in the chains of all blocks. */
export function countSendLists(walk: BlockWalk<OffloadBlock>, root: OffloadBlock): number {
  let count = 0;
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) count += listsOf(block);
  return count;
}

/**
 * Send lists that did not stay below: after an initiate those of connections that were not taken. Chains of connections that
 * were taken are the target's by now, who may have taken them apart, and are not looked at.
 */
export function countSendListsLost(walk: BlockWalk<OffloadBlock>, root: OffloadBlock): number {
  let count = 0;
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    if (!wasOffloaded(block.status)) count += listsOf(block);
  }
  return count;
}

function listsOf(block: OffloadBlock): number {
  let count = 0;
  for (let list: NetBufferList | null = block.netBufferListChain; list !== null; list = list.next) count++;
  return count;
}

/**
 * The statuses of an initiate of which nothing was taken: `status` in the new objects, FAILURE in those that hang on such a
 * one and were not attempted (INIT-027), linkers and placeholders by their own rules.
 */
export function refuseInitiate(walk: BlockWalk<OffloadBlock>, root: OffloadBlock, status: number): void {
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    const parent = walk.parent;
    const isAttempted = parent === null || kindOfBlock(parent) !== BlockKind.NEW_OFFLOAD;
    block.status = isAttempted ? status : NdisStatus.FAILURE;
  }
  settleInitiateStatuses(root);
}
