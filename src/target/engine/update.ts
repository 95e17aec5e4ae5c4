/**
 * MiniportUpdateOffload, the work of it: cached variables are copied, paths moved to another neighbor (UPD-001 to UPD-039).
 *
 * A path that stands below a neighbor in the tree and hangs on another one is relinked (UPD-023, UPD-027).
 */

import { BlockWalk, isKnownRevision, type MiniportOffloadBlock, NdisStatus } from '../../ndis/miniport.ts';
import type { NeighborCachedState } from '../../state/neighbor.ts';
import type { PathCachedState } from '../../state/path.ts';
import type { TcpCachedState } from '../../state/tcp.ts';
import { applyCached } from '../../tcp/transfer.ts';
import { Due, NeighborContext, PathContext, Standing, TcpContext } from './contexts.ts';
import { applyEffects } from './effects.ts';
import type { Engine } from './engine.ts';
import { setHostReachability } from './neighbors.ts';
import { updateReceiveSpace } from './receive-space.ts';
import { applyPathMtu } from './take-connection.ts';
import { setDestination } from './take-object.ts';

/** Applies the tree and completes it. */
export function update(engine: Engine, root: MiniportOffloadBlock): void {
  const walk = new BlockWalk<MiniportOffloadBlock>();
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    const slot = block.miniportOffloadContext;
    if (slot === null) {
      block.status = NdisStatus.SUCCESS;
      continue;
    }
    const above = walk.parent === null ? null : walk.parent.miniportOffloadContext;
    const parent = above === null ? null : above.miniportOffloadContext;
    block.status = updateBlock(engine, block, slot.miniportOffloadContext, parent);
  }
  engine.hasIndicated = true;
  engine.ndisM.updateOffloadComplete(engine.handle, root);
}

function updateBlock(engine: Engine, block: MiniportOffloadBlock, context: unknown, parent: unknown): number {
  const nowUs = engine.runtime.nowUs();
  if (!isKnownRevision(block)) return NdisStatus.FAILURE;
  if (context instanceof TcpContext) return updateConnection(engine, block, context, nowUs);
  if (context instanceof PathContext && engine.paths.has(context)) {
    return updatePath(engine, block, context, parent, nowUs);
  }
  if (context instanceof NeighborContext && engine.neighbors.has(context)) {
    const cached = block.cachedState as NeighborCachedState | null;
    if (cached !== null) {
      setDestination(context, cached);
      setHostReachability(engine, context, cached.hostReachabilityDelta, nowUs);
    }
    return NdisStatus.SUCCESS;
  }
  return NdisStatus.FAILURE;
}

function updatePath(
  engine: Engine,
  block: MiniportOffloadBlock,
  path: PathContext,
  parent: unknown,
  nowUs: number,
): number {
  if (parent instanceof NeighborContext && parent !== path.neighbor) {
    if (!engine.neighbors.has(parent)) return NdisStatus.FAILURE;
    relink(path, parent);
  }
  const cached = block.cachedState as PathCachedState | null;
  if (cached !== null && cached.pathMtu !== path.pathMtu) {
    if (cached.pathMtu > engine.capacity.maxPathMtu) return NdisStatus.FAILURE;
    path.pathMtu = cached.pathMtu;
    for (let ctx = path.firstConnection; ctx !== null; ctx = ctx.nextOfPath) {
      applyEffects(engine, ctx, applyPathMtu(engine, path, ctx.tcp, nowUs), nowUs);
    }
  }
  return NdisStatus.SUCCESS;
}

/** Frames of the path use the new neighbor's MAC and VLAN from now on. */
function relink(path: PathContext, neighbor: NeighborContext): void {
  if (path.neighbor !== null) path.neighbor.paths.delete(path);
  path.neighbor = neighbor;
  neighbor.paths.add(path);
}

function updateConnection(engine: Engine, block: MiniportOffloadBlock, ctx: TcpContext, nowUs: number): number {
  if (ctx.standing === Standing.TERMINATED || ctx.isCorrupt) return NdisStatus.FAILURE;
  const cached = block.cachedState as TcpCachedState | null;
  if (cached === null) return NdisStatus.SUCCESS;
  if (cached.initialRcvWnd > engine.capacity.maxRcvWindow) return NdisStatus.FAILURE;
  engine.onTouch?.(ctx);
  applyEffects(engine, ctx, applyCached(ctx.tcp, engine.parameters, cached, nowUs), nowUs);
  if (ctx.standing === Standing.NORMAL) updateReceiveSpace(engine, ctx, nowUs);
  engine.mark(ctx, Due.TRANSMIT);
  return NdisStatus.SUCCESS;
}
