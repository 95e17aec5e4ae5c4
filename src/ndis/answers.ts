/**
 * What NDIS answers where no driver does: the tree is not one, the driver has no chimney, or it hangs and was given up.
 *
 * FAILURE of a state operation means just that: the target has stopped responding (NdisMInvalidateOffloadComplete, NdisMTerminateOffloadComplete).
 * Source: chimney-sequences 3, 7; rules IM-056, INIT-032, TERM-017, TERM-020.
 */

import type { NetBufferList } from '../state/net-buffer-list.ts';
import type { Binding } from './adapter.ts';
import { settleInitiateStatuses } from './initiate-status.ts';
import type { MiniportOffloadBlock, NdisOffloadHandle, OffloadBlock } from './offload-block.ts';
import { NdisStatus } from './status.ts';
import { DataOperation, StateOperation } from './tap.ts';
import { BlockKind, BlockLayer, type BlockWalk, kindOfBlock, layerOf } from './walk.ts';

/** Writes FAILURE into all blocks that can be reached. */
export function failTree(walk: BlockWalk<OffloadBlock>, root: OffloadBlock): void {
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) block.status = NdisStatus.FAILURE;
}

/**
 * Writes the statuses of an operation that a driver has not completed and never will. Of an initiate nothing was taken. Of a terminate
 * the connections are lost: FAILURE, and SUCCESS at the second, as a target does whose hardware is corrupt (TERM-021, TERM-025); paths and
 * neighbors are gone when nothing hangs on them any more. `lost`: connections of the driver whose first terminate has failed.
 */
export function answerForNobody(
  walk: BlockWalk<OffloadBlock>,
  root: OffloadBlock,
  operation: StateOperation,
  lost: Set<NdisOffloadHandle>,
): void {
  let hasLost = false;
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    block.status = NdisStatus.FAILURE;
    const slot = block.miniportOffloadContext;
    if (slot === null) continue;
    if (operation === StateOperation.INITIATE) {
      if (kindOfBlock(block) === BlockKind.NEW_OFFLOAD) slot.miniportOffloadContext = null;
    } else if (operation === StateOperation.TERMINATE && layerOf(block.header.type) === BlockLayer.TCP) {
      if (lost.delete(slot)) block.status = NdisStatus.SUCCESS;
      else {
        lost.add(slot);
        hasLost = true;
      }
    }
  }
  if (operation === StateOperation.INITIATE) settleInitiateStatuses<MiniportOffloadBlock>(root);
  if (operation !== StateOperation.TERMINATE || hasLost) return;
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) block.status = NdisStatus.SUCCESS;
}

/** Protocol...OffloadComplete of an operation. */
export function tellStateComplete(binding: Binding, root: OffloadBlock, operation: StateOperation): void {
  const { context } = binding;
  const generic = binding.generic!;
  if (operation === StateOperation.INITIATE) generic.initiateOffloadComplete(context, root);
  else if (operation === StateOperation.TERMINATE) generic.terminateOffloadComplete(context, root);
  else if (operation === StateOperation.UPDATE) generic.updateOffloadComplete(context, root);
  else if (operation === StateOperation.QUERY) generic.queryOffloadComplete(context, root);
  else generic.invalidateOffloadComplete(context, root);
}

/** Completes lists that no driver will take any more. */
export function abortLists(binding: Binding, lists: NetBufferList, operation: DataOperation): void {
  for (let list: NetBufferList | null = lists; list !== null; list = list.next) {
    list.status = NdisStatus.REQUEST_ABORTED;
    list.tcpOffloadBytesTransferred = 0;
  }
  const { context } = binding;
  const tcp = binding.tcp!;
  if (operation === DataOperation.SEND) tcp.tcpOffloadSendComplete(context, lists);
  else if (operation === DataOperation.RECEIVE) tcp.tcpOffloadReceiveComplete(context, lists);
  else if (operation === DataOperation.DISCONNECT) tcp.tcpOffloadDisconnectComplete(context, lists);
  else tcp.tcpOffloadForwardComplete(context, lists);
}
