/**
 * MiniportQueryOffload, the work of it: current values into the structures that follow the blocks (QRY-001 to QRY-028).
 *
 * A query changes nothing (QRY-019). The unions of the delegated TCP structure hold backlog sizes here (QRY-022).
 */

import { BlockWalk, isKnownRevision, type MiniportOffloadBlock, NdisStatus } from '../../ndis/miniport.ts';
import type { NeighborCachedState, NeighborConstState, NeighborDelegatedState } from '../../state/neighbor.ts';
import type { PathCachedState, PathConstState } from '../../state/path.ts';
import type { TcpCachedState, TcpConstState, TcpDelegatedState } from '../../state/tcp.ts';
import { writeCached, writeConst, writeDelegated } from '../../tcp/transfer.ts';
import { NeighborContext, PathContext, Standing, TcpContext } from './contexts.ts';
import type { Engine } from './engine.ts';
import { optimalBacklog } from './events.ts';
import { writeNeighbor } from './neighbors.ts';
import { tellCorruption } from './terminate.ts';

/** Fills the tree and completes it. */
export function query(engine: Engine, root: MiniportOffloadBlock): void {
  const corrupt: TcpContext[] = [];
  const walk = new BlockWalk<MiniportOffloadBlock>();
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    const slot = block.miniportOffloadContext;
    block.status = slot === null ? NdisStatus.SUCCESS : queryBlock(engine, block, slot.miniportOffloadContext);
    const context = slot === null ? null : slot.miniportOffloadContext;
    if (context instanceof TcpContext && context.isCorrupt) corrupt.push(context);
  }
  engine.hasIndicated = true;
  engine.ndisM.queryOffloadStateComplete(engine.handle, root);
  for (const ctx of corrupt) tellCorruption(engine, ctx);
}

function queryBlock(engine: Engine, block: MiniportOffloadBlock, context: unknown): number {
  if (!isKnownRevision(block)) return NdisStatus.FAILURE;
  if (context instanceof TcpContext) return queryConnection(engine, block, context);
  if (context instanceof NeighborContext && engine.neighbors.has(context)) {
    writeNeighbor(
      engine,
      context,
      block.constState as NeighborConstState | null,
      block.cachedState as NeighborCachedState | null,
      block.delegatedState as NeighborDelegatedState | null,
      engine.runtime.nowUs(),
    );
    return NdisStatus.SUCCESS;
  }
  if (context instanceof PathContext && engine.paths.has(context)) {
    const constant = block.constState as PathConstState | null;
    if (constant !== null) {
      constant.sourceAddress = context.source.slice();
      constant.destinationAddress = context.destination.slice();
    }
    if (block.cachedState !== null) (block.cachedState as PathCachedState).pathMtu = context.pathMtu;
    return NdisStatus.SUCCESS;
  }
  return NdisStatus.FAILURE;
}

function queryConnection(engine: Engine, block: MiniportOffloadBlock, ctx: TcpContext): number {
  if (ctx.standing === Standing.TERMINATED || ctx.isCorrupt) return NdisStatus.FAILURE;
  const c = ctx.tcp;
  if (block.constState !== null) writeConst(c, block.constState as TcpConstState);
  if (block.cachedState !== null) writeCached(c, block.cachedState as TcpCachedState);
  const delegated = block.delegatedState as TcpDelegatedState | null;
  if (delegated !== null) {
    writeDelegated(c, engine.parameters, delegated, engine.runtime.nowUs());
    delegated.sendDataHead = null;
    delegated.sendDataTail = null;
    delegated.bufferedData = null;
    delegated.sendBacklogSize = optimalBacklog(ctx);
    delegated.receiveBacklogSize = ctx.buffered.length;
  }
  return NdisStatus.SUCCESS;
}
