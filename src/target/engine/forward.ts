/**
 * MiniportTcpOffloadForward: segments that the host received for an offloaded connection are processed like received ones.
 *
 * A list is a TCP segment from its header on; the host has verified its checksum. Segments that cannot be processed because an
 * upload is under way come back with UPLOAD_IN_PROGRESS (FWD-021). Source: chimney-sequences 16.
 */

import { NdisStatus } from '../../ndis/miniport.ts';
import { copyFromNetBuffer, type NetBufferList } from '../../state/net-buffer-list.ts';
import { Effect } from '../../tcp/effects.ts';
import { WIRE_OK } from '../../wire/status.ts';
import { decodeTcp } from '../../wire/tcp.ts';
import { Due, lastOf, Standing, type TcpContext } from './contexts.ts';
import type { Engine } from './engine.ts';
import { processSegment } from './segment.ts';
import { FORWARDED_MAX } from './work.ts';

/** The entry: queued for the turn (FWD-017). */
export function postForwards(engine: Engine, ctx: TcpContext, lists: NetBufferList): void {
  if (ctx.forwards === null) ctx.forwards = lists;
  else lastOf(ctx.forwards).next = lists;
  engine.markSoon(ctx, Due.FORWARD);
}

/** Processes what is queued and completes it in one call. */
export function completeForwards(engine: Engine, ctx: TcpContext, nowUs: number): void {
  const lists = ctx.forwards;
  if (lists === null) return;
  ctx.forwards = null;
  for (let list: NetBufferList | null = lists; list !== null; list = list.next) {
    list.status = process(engine, ctx, list, nowUs);
  }
  engine.hasIndicated = true;
  engine.ndis.tcpOffloadForwardComplete(engine.handle, lists);
}

/** Completes what is queued without processing it. */
export function giveBackForwards(engine: Engine, ctx: TcpContext): void {
  const lists = ctx.forwards;
  if (lists === null) return;
  ctx.forwards = null;
  for (let list: NetBufferList | null = lists; list !== null; list = list.next) {
    list.status = NdisStatus.UPLOAD_IN_PROGRESS;
  }
  engine.hasIndicated = true;
  engine.ndis.tcpOffloadForwardComplete(engine.handle, lists);
}

function process(engine: Engine, ctx: TcpContext, list: NetBufferList, nowUs: number): number {
  if (ctx.standing === Standing.ABORTED) return NdisStatus.REQUEST_ABORTED;
  if (ctx.standing !== Standing.NORMAL || ctx.isClosed) return NdisStatus.UPLOAD_IN_PROGRESS;
  const nb = list.firstNetBuffer!;
  const length = nb.dataLength;
  const mdl = nb.currentMdl;
  const { segment } = engine.work;
  engine.work.segmentBytes = 0;
  let status: number;
  if (mdl !== null && length <= mdl.byteCount - nb.currentMdlOffset) {
    status = decodeTcp(mdl.buffer, mdl.byteOffset + nb.currentMdlOffset, length, segment);
  } else if (length <= FORWARDED_MAX) {
    const { forwarded } = engine.work;
    copyFromNetBuffer(nb, 0, length, forwarded, 0);
    status = decodeTcp(forwarded, 0, length, segment);
  } else return NdisStatus.INVALID_PARAMETER;
  if (status !== WIRE_OK) {
    engine.statistics(ctx.path.family).inErrors++;
    return NdisStatus.SUCCESS;
  }
  const effects = processSegment(engine, ctx, segment, nowUs);
  // Urgent data is not ours: the host keeps it until it has the connection back (TCP-084).
  return (effects & Effect.URGENT) !== 0 ? NdisStatus.UPLOAD_IN_PROGRESS : NdisStatus.SUCCESS;
}
