/**
 * Posted receive requests: the queue, filling, finishing and completing them (RECV-004 to RECV-009, RECV-048 to RECV-067).
 *
 * A request is finished when it is full, or partly full in push mode for a reason to push; finished requests are completed
 * together, in order. Leaves to others: when to do so (delivery.ts).
 */

import type { CopyBytes } from '../../base/copy-bytes.ts';
import { NEVER } from '../../base/runtime.ts';
import { NdisStatus } from '../../ndis/miniport.ts';
import { advanceNetBufferDataStart, copyIntoNetBuffer, type NetBufferList } from '../../state/net-buffer-list.ts';
import type { Receiver, ReceiverHost } from './receiver.ts';

/** Queues a chain of posted requests and starts the push timer for one that came with data in push mode (RECV-050). */
export function queueRequests<C extends Receiver>(
  engine: ReceiverHost<C>,
  ctx: C,
  lists: NetBufferList,
  nowUs: number,
): void {
  let list: NetBufferList | null = lists;
  while (list !== null) {
    const next: NetBufferList | null = list.next;
    list.next = null;
    ctx.requestedBytes += list.firstNetBuffer!.dataLength - alreadyIn(list);
    if (ctx.lastRequest === null) {
      ctx.firstRequest = list;
      ctx.filled = alreadyIn(list);
    } else ctx.lastRequest.next = list;
    ctx.lastRequest = list;
    if (!list.tcpReceiveNoPush && alreadyIn(list) > 0) startPushTimer(engine, ctx, nowUs);
    list = next;
  }
}

/** Bytes that came with a request, from its start on. At most its length. */
function alreadyIn(list: NetBufferList): number {
  return Math.min(list.tcpReceiveBytesTransferred, list.firstNetBuffer!.dataLength);
}

/** Copies bytes into requests, oldest first, and finishes those that become full. Answers how many found room. */
export function fillRequests(
  ctx: Receiver,
  bytes: Uint8Array,
  at: number,
  length: number,
  copy: CopyBytes | undefined,
): number {
  let placed = 0;
  while (placed < length && ctx.firstRequest !== null) {
    const nb = ctx.firstRequest.firstNetBuffer!;
    const room = nb.dataLength - ctx.filled;
    if (room > 0) {
      const left = length - placed;
      const n = left < room ? left : room;
      copyIntoNetBuffer(nb, ctx.filled, bytes, at + placed, n, copy);
      ctx.filled += n;
      ctx.requestedBytes -= n;
      placed += n;
    }
    if (ctx.filled >= nb.dataLength) finishRequest(ctx, NdisStatus.SUCCESS);
  }
  return placed;
}

/** Finishes requests at the head that need no data: zero-byte ones (RECV-043) and such as came full. */
export function finishFullRequests(ctx: Receiver): void {
  while (ctx.firstRequest !== null && ctx.filled >= ctx.firstRequest.firstNetBuffer!.dataLength) {
    finishRequest(ctx, NdisStatus.SUCCESS);
  }
}

/** Whether the oldest request is partly full and in push mode: there is something to push. */
export function isPushable(ctx: Receiver): boolean {
  return ctx.firstRequest !== null && ctx.filled > 0 && !ctx.firstRequest.tcpReceiveNoPush;
}

/** TcpPushTicks from now (RECV-051, RECV-055). */
export function startPushTimer<C extends Receiver>(engine: ReceiverHost<C>, ctx: C, nowUs: number): void {
  ctx.pushAtUs = nowUs + (engine.tunables.tcpPushTicks * 1_000_000) / engine.tunables.ticksPerSecond;
}

/** Takes the oldest request out of the queue, does its accounts, and puts it behind the finished ones (RECV-066, RECV-067). */
export function finishRequest(ctx: Receiver, status: number): void {
  const list = ctx.firstRequest!;
  const nb = list.firstNetBuffer!;
  const placed = ctx.filled - alreadyIn(list);
  ctx.requestedBytes -= nb.dataLength - ctx.filled;
  ctx.firstRequest = list.next;
  if (ctx.firstRequest === null) {
    ctx.lastRequest = null;
    ctx.filled = 0;
  } else ctx.filled = alreadyIn(ctx.firstRequest);
  list.next = null;
  list.status = status;
  list.tcpOffloadBytesTransferred = placed;
  advanceNetBufferDataStart(nb, placed);
  ctx.pushAtUs = NEVER;
  if (ctx.lastDone === null) ctx.firstDone = list;
  else ctx.lastDone.next = list;
  ctx.lastDone = list;
}

/** Finishes all that is queued: what is partly full with `partialStatus`, the others with `status`. */
export function finishAllRequests(ctx: Receiver, partialStatus: number, status: number): void {
  finishFullRequests(ctx);
  if (ctx.firstRequest !== null && ctx.filled > 0) finishRequest(ctx, partialStatus);
  while (ctx.firstRequest !== null) finishRequest(ctx, status);
}

/** NdisTcpOffloadReceiveComplete of everything that is finished, in one call. False: nothing was. */
export function completeRequests<C extends Receiver>(engine: ReceiverHost<C>, ctx: C): boolean {
  const lists = ctx.firstDone;
  if (lists === null) return false;
  ctx.firstDone = null;
  ctx.lastDone = null;
  engine.hasIndicated = true;
  engine.ndis.tcpOffloadReceiveComplete(engine.handle, lists);
  return true;
}
