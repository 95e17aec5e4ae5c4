/**
 * MiniportInvalidateOffload, the work of it: objects are marked, and nothing is sent on them or on what hangs on them any more.
 *
 * Resources stay until the terminate (INV-010). A connection, and those on an invalidated path, are asked back at once; those on
 * an invalidated neighbor when they would send, as their paths may be moved to another neighbor meanwhile (INV-008, INV-009,
 * INV-015). A lenient target goes on as before until the terminate comes (INV-012). Source: chimney-sequences 11.
 */

import { BlockWalk, type MiniportOffloadBlock, NdisStatus, TcpUploadReason } from '../../ndis/miniport.ts';
import { NeighborContext, PathContext, Standing, TcpContext } from './contexts.ts';
import type { Engine } from './engine.ts';
import { requestUpload } from './events.ts';
import { tellCorruption } from './terminate.ts';

/** Marks the objects of the tree and completes it. */
export function invalidate(engine: Engine, root: MiniportOffloadBlock): void {
  const affected: TcpContext[] = [];
  const corrupt: TcpContext[] = [];
  const walk = new BlockWalk<MiniportOffloadBlock>();
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    const slot = block.miniportOffloadContext;
    block.status =
      slot === null ? NdisStatus.SUCCESS : invalidateObject(engine, slot.miniportOffloadContext, affected, corrupt);
  }
  engine.hasIndicated = true;
  engine.ndisM.invalidateOffloadComplete(engine.handle, root);
  for (const ctx of corrupt) tellCorruption(engine, ctx);
  for (const ctx of affected) requestUpload(engine, ctx, TcpUploadReason.INVALID_STATE, true);
}

function invalidateObject(engine: Engine, context: unknown, affected: TcpContext[], corrupt: TcpContext[]): number {
  if (context instanceof TcpContext && context.standing !== Standing.TERMINATED) {
    if (context.isCorrupt) {
      corrupt.push(context);
      return NdisStatus.FAILURE;
    }
    if (engine.isLenient) return NdisStatus.SUCCESS;
    context.isInvalid = true;
    affected.push(context);
    return NdisStatus.SUCCESS;
  }
  if (context instanceof PathContext && engine.paths.has(context)) {
    if (engine.isLenient) return NdisStatus.SUCCESS;
    context.isInvalid = true;
    for (let ctx = context.firstConnection; ctx !== null; ctx = ctx.nextOfPath) affected.push(ctx);
    return NdisStatus.SUCCESS;
  }
  if (context instanceof NeighborContext && engine.neighbors.has(context)) {
    context.isInvalid = !engine.isLenient;
    return NdisStatus.SUCCESS;
  }
  return NdisStatus.FAILURE;
}
