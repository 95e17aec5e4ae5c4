/**
 * What NDIS rewrites in a block list when it passes from one driver to the next, in place and over the whole tree.
 *
 * Downward a block's OffloadHandle (the upper driver's NDIS_OFFLOAD_HANDLE) becomes both where its context is kept
 * (MiniportOffloadContext) and the handle for indications (NdisOffloadHandle); upward it comes back. An intermediate driver
 * rebuilds the list between its two hops itself (IM-016). Source: chimney-ddi 7.1, 7.2; rules TREE-045, IM-013, CTX-013.
 */

import type { TcpDelegatedState } from '../state/tcp.ts';
import type { Binding } from './adapter.ts';
import type { OffloadBlock } from './offload-block.ts';
import { NdisStatus, OffloadStateType } from './status.ts';
import type { BlockWalk } from './walk.ts';

/**
 * Gives every block its lower face. Status becomes PENDING, which no completion may leave behind: a block that the target
 * forgot is seen as such instead of as a success (INIT-007). False: the links go round, or too deep; no driver may see that.
 */
export function toMiniportFace(walk: BlockWalk<OffloadBlock>, root: OffloadBlock, binding: Binding): boolean {
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    const handle = block.offloadHandle;
    block.miniportOffloadContext = handle;
    block.ndisOffloadHandle = handle;
    block.status = NdisStatus.PENDING;
    // A handle is bound when its object is about to be offloaded; until then it names nothing.
    if (handle !== null && handle.miniportOffloadContext === null) handle.ndisReserved = binding;
  }
  return !walk.isBroken;
}

/** Gives every block its upper face back. */
export function toProtocolFace(walk: BlockWalk<OffloadBlock>, root: OffloadBlock): void {
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) block.offloadHandle = block.ndisOffloadHandle;
}

/** After a terminate: the slots of objects that are gone name nothing any more (CTX-015); answers the lists of buffered data. */
export function releaseTerminated(walk: BlockWalk<OffloadBlock>, root: OffloadBlock): number {
  let bufferedLists = 0;
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    if (block.status !== NdisStatus.SUCCESS) continue;
    if (block.offloadHandle !== null) block.offloadHandle.miniportOffloadContext = null;
    if (block.header.type !== OffloadStateType.TCP_DELEGATED && block.header.type !== OffloadStateType.TCP) continue;
    const delegated = block.delegatedState as TcpDelegatedState | null;
    let list = delegated === null ? null : delegated.bufferedData;
    for (; list !== null; list = list.next) bufferedLists++;
  }
  return bufferedLists;
}
