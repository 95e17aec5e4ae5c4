/**
 * MiniportInitiateOffload, the work of it: a tree of neighbors, paths and connections is taken, depth first, breadth next.
 *
 * Promises: every block has a status before the completion (INIT-007); what was taken stays taken whatever follows (INIT-030); of
 * what was not taken nothing was touched: slot NULL, send lists as they were (INIT-032 to INIT-036). A connection is live from
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
import { Due, NeighborContext, PathContext, type TcpContext } from './contexts.ts';
import type { Engine } from './engine.ts';
import { takeConnection } from './take-connection.ts';
import { takeNeighbor, takePath } from './take-object.ts';

/** Takes the tree and completes it. */
export function initiate(engine: Engine, root: MiniportOffloadBlock): void {
  const taken: TcpContext[] = [];
  presetInitiateStatuses(root);
  if (engine.isEnabled && engine.powerState === NdisDevicePowerState.D0) takeTree(engine, root, taken);
  settleInitiateStatuses(root);
  complete(engine, root, taken);
}

/**
 * The tree is refused as a whole: paused for too long, or everything is to be uploaded. Connections are rejected (INIT-024);
 * new paths and neighbors fail, and connections below these are not looked at (INIT-027).
 */
export function refuseInitiate(engine: Engine, root: MiniportOffloadBlock): void {
  presetInitiateStatuses(root);
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
  complete(engine, root, []);
}

function complete(engine: Engine, root: MiniportOffloadBlock, taken: readonly TcpContext[]): void {
  engine.hasIndicated = true;
  engine.ndisM.initiateOffloadComplete(engine.handle, root);
  for (const ctx of taken) {
    ctx.isInitiating = false;
    engine.mark(ctx, Due.DELIVER | Due.TRANSMIT | Due.SENDS);
  }
}

function takeTree(engine: Engine, root: MiniportOffloadBlock, taken: TcpContext[]): void {
  const walk = new BlockWalk<MiniportOffloadBlock>();
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    const kind = kindOfBlock(block);
    if (kind === BlockKind.PLACEHOLDER) continue;
    if (kind === BlockKind.LINKER) {
      if (!isLive(engine, block)) walk.skipDependents();
      continue;
    }
    block.status = takeBlock(engine, block, walk.parent, walk.depth, taken);
    if (block.status === NdisStatus.SUCCESS) continue;
    engine.trace.emit(Event.TARGET_REFUSED, engine.runtime.nowUs(), block.status);
    // INIT-029; and INIT-028 for a path that fails for another reason than want of resources.
    if (block === root || (walk.depth === BlockLayer.PATH && block.status === NdisStatus.FAILURE)) return;
    walk.skipDependents();
  }
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
