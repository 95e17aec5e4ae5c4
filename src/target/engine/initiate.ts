/**
 * MiniportInitiateOffload, the work of it: a tree of neighbors, paths and connections is taken, depth first, breadth next (take-tree.ts).
 *
 * Promises: of what was not taken nothing was touched: slot NULL, send lists as they were (INIT-032 to INIT-036). A connection is live from
 * the moment it is taken, but indicates nothing before the completion has returned (INIT-050, INIT-056).
 * Source: chimney-sequences 2, 3, 5.
 */

import {
  BlockKind,
  BlockLayer,
  BlockWalk,
  isKnownRevision,
  kindOfBlock,
  layerOf,
  type MiniportOffloadBlock,
  NdisDevicePowerState,
  NdisStatus,
  presetInitiateStatuses,
  settleInitiateStatuses,
} from '../../ndis/miniport.ts';
import { Event } from '../../trace/events.ts';
import { NeighborContext, PathContext, type TcpContext } from './contexts.ts';
import type { Engine } from './engine.ts';
import { takeConnection } from './take-connection.ts';
import { takeNeighbor, takePath } from './take-object.ts';
import { completeInitiate, takeTree } from './take-tree.ts';

/** Takes the tree and completes it. */
export function initiate(engine: Engine, root: MiniportOffloadBlock): void {
  const taken: TcpContext[] = [];
  takeTree(root, {
    isReady: engine.isEnabled && engine.powerState === NdisDevicePowerState.D0,
    isLive: (block) => isLive(engine, block),
    take: (block, parent, depth) => takeBlock(engine, block, parent, depth, taken),
    refused: (status) => engine.trace.emit(Event.TARGET_REFUSED, engine.runtime.nowUs(), status),
  });
  completeInitiate(engine, root, taken);
}

/**
 * The tree is refused as a whole: paused for too long, or everything is to be uploaded. Connections are rejected (INIT-024);
 * new paths and neighbors fail, and connections below these are not looked at (INIT-027).
 */
export function refuseInitiate(engine: Engine, root: MiniportOffloadBlock): void {
  if (!presetInitiateStatuses(root)) {
    completeInitiate(engine, root, []);
    return;
  }
  const walk = new BlockWalk<MiniportOffloadBlock>();
  walk.start(root);
  let failedDepth = Number.POSITIVE_INFINITY;
  for (let block = walk.next(); block !== null; block = walk.next()) {
    if (walk.depth > failedDepth) continue;
    failedDepth = Number.POSITIVE_INFINITY;
    if (kindOfBlock(block) !== BlockKind.NEW_OFFLOAD) continue;
    if (walk.depth === BlockLayer.TCP) block.status = NdisStatus.OFFLOAD_CONNECTION_REJECTED;
    else failedDepth = walk.depth;
  }
  settleInitiateStatuses(root);
  completeInitiate(engine, root, []);
}

/** Whether a linker names an object that is offloaded here, of the type it says (TREE-021, TREE-023). */
function isLive(engine: Engine, block: MiniportOffloadBlock): boolean {
  const context = block.miniportOffloadContext!.miniportOffloadContext;
  const layer = layerOf(block.header.type);
  if (context instanceof NeighborContext) return layer === BlockLayer.NEIGHBOR && engine.neighbors.has(context);
  return context instanceof PathContext && layer === BlockLayer.PATH && engine.paths.has(context);
}

/** Takes the state of one new block. Answers the status that speaks of this block's own state only. */
function takeBlock(
  engine: Engine,
  block: MiniportOffloadBlock,
  parent: MiniportOffloadBlock | null,
  depth: number,
  taken: TcpContext[],
): number {
  const slot = block.miniportOffloadContext!;
  const layer = layerOf(block.header.type);
  if (slot.miniportOffloadContext !== null || layer === -1 || !isKnownRevision(block)) return NdisStatus.FAILURE;
  if (depth !== layer && !(engine.attributes.medium === 'ip' && depth === layer - 1)) return NdisStatus.FAILURE;
  const above = parent === null ? null : parent.miniportOffloadContext;
  const parentContext = above === null ? null : above.miniportOffloadContext;
  const context =
    layer === BlockLayer.NEIGHBOR
      ? takeNeighbor(engine, block)
      : layer === BlockLayer.PATH
        ? takePath(engine, block, parentContext)
        : takeConnection(engine, block, parentContext);
  if (typeof context === 'number') return context;
  slot.miniportOffloadContext = context;
  if (context.layer === 'tcp') taken.push(context);
  return NdisStatus.SUCCESS;
}
