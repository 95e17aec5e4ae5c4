/**
 * Taking a connection at initiate: its delegated state becomes a record of the engine, its send data a queue, and its
 * undelivered receive data is copied.
 *
 * Answers the context, or the status with which the block is refused; then nothing was changed, also not in the send lists.
 * Source: chimney-sequences 2, 5; INIT-015 to INIT-024, INIT-057 to INIT-078, SEND-028 to SEND-037, TCP-052.
 */

import { type MiniportOffloadBlock, NdisStatus, OffloadStateType, TcpUploadReason } from '../../ndis/miniport.ts';
import { copyFromNetBuffer, dataLengthOf, type NetBufferList } from '../../state/net-buffer-list.ts';
import {
  type TcpCachedState,
  TcpConnectionState,
  type TcpConstState,
  type TcpDelegatedState,
} from '../../state/tcp.ts';
import { PrivateWord, type TcpConnection, TcpMode } from '../../tcp/connection.ts';
import { onPathMtu } from '../../tcp/icmp.ts';
import { adopt, restoreSendData } from '../../tcp/transfer.ts';
import { writeAddressWords } from '../../wire/ip-address.ts';
import { linkConnection, PathContext, TcpContext } from './contexts.ts';
import type { Engine } from './engine.ts';
import { optimalBacklog, requestUpload } from './events.ts';
import { startPushTimer } from './requests.ts';
import { askPolicy } from './take-object.ts';

/** A new connection below `parent`, a path. */
export function takeConnection(engine: Engine, block: MiniportOffloadBlock, parent: unknown): TcpContext | number {
  const constant = block.constState as TcpConstState | null;
  const cached = block.cachedState as TcpCachedState | null;
  const delegated = block.delegatedState as TcpDelegatedState | null;
  if (block.header.type !== OffloadStateType.TCP || constant === null || cached === null || delegated === null) {
    return NdisStatus.FAILURE;
  }
  if (!(parent instanceof PathContext) || !isOffloadable(delegated.state)) return NdisStatus.FAILURE;
  if (isTaken(engine, parent, constant)) return NdisStatus.FAILURE;
  if (engine.connectionCount >= engine.capacity.tcpEntries) return NdisStatus.OFFLOAD_TCP_ENTRIES;
  if (cached.initialRcvWnd > engine.capacity.maxRcvWindow) return NdisStatus.OFFLOAD_TCP_RCV_WINDOW;
  const bufferedBytes = chainLength(delegated.bufferedData);
  // INIT-060: the copy must fit; INIT-021: and then something must be receivable at all.
  if (bufferedBytes > engine.pool.freeBytes) return NdisStatus.FAILURE;
  if (engine.pool.freeBytes - bufferedBytes < Math.min(cached.initialRcvWnd, engine.attributes.mtu)) {
    return NdisStatus.OFFLOAD_TCP_RCV_BUFFER;
  }
  const refusal = askPolicy(engine, 'tcp', block);
  if (refusal !== NdisStatus.SUCCESS) return refusal;
  return take(engine, block, parent, constant, cached, delegated);
}

/** INIT-072. */
function isOffloadable(state: number): boolean {
  return state >= TcpConnectionState.ESTABLISHED && state <= TcpConnectionState.LAST_ACK;
}

/** Whether the four-tuple is here already. */
function isTaken(engine: Engine, path: PathContext, constant: TcpConstState): boolean {
  const length = path.source.length;
  const addresses = new Uint8Array(2 * length);
  addresses.set(path.source);
  addresses.set(path.destination, length);
  return engine.table.find(path.family, addresses, 0, length, constant.localPort, constant.remotePort) !== null;
}

function chainLength(lists: NetBufferList | null): number {
  let bytes = 0;
  for (let list = lists; list !== null; list = list.next) bytes += dataLengthOf(list);
  return bytes;
}

function take(
  engine: Engine,
  block: MiniportOffloadBlock,
  path: PathContext,
  constant: TcpConstState,
  cached: TcpCachedState,
  delegated: TcpDelegatedState,
): TcpContext {
  const nowUs = engine.runtime.nowUs();
  const c = engine.slab.allocate();
  writeAddressWords(path.source, 0, path.family, c.words, c.base + PrivateWord.LOCAL_ADDRESS);
  writeAddressWords(path.destination, 0, path.family, c.words, c.base + PrivateWord.REMOTE_ADDRESS);
  c.family = path.family;
  adopt(c, engine.parameters, constant, cached, delegated, nowUs);
  // Set before the engine hears of the MTU: the path has not become smaller, it is the same one.
  c.effectiveMss = Math.min(c.effectiveMss, datagramLimit(engine, path) - ipHeaderLength(path) - 20);
  applyPathMtu(engine, path, c, nowUs);
  const ctx = new TcpContext(block.ndisOffloadHandle!, path, c);
  engine.onTouch?.(ctx);
  c.owner = ctx;
  // SndUna is the first byte of the first list (SEND-034). No chain: head and tail mean nothing (INIT-068).
  if (block.netBufferListChain !== null) restoreSendData(c, engine.parameters, block.netBufferListChain);
  else c.clearMode(TcpMode.SWS_OVERRIDE);
  copyBuffered(engine, ctx, delegated.bufferedData);
  noteFin(ctx);
  ctx.backlog = optimalBacklog(ctx);
  ctx.backlogAtUs = nowUs;
  engine.table.insert(c);
  linkConnection(ctx);
  engine.packing.woke(ctx);
  engine.discretion?.begin(ctx, nowUs);
  // TCP-052; without buffered data there is nothing that it could push.
  if (ctx.buffered.length > 0) startPushTimer(engine, ctx, nowUs);
  if (delegated.bufferedData?.hasUrgentData) refuseUrgent(engine, ctx);
  block.handedOverAtUs = engine.runtime.nowUs();
  return ctx;
}

/** What the path, and the link below it, carry at most (STATE-019). */
export function applyPathMtu(engine: Engine, path: PathContext, c: TcpConnection, nowUs: number): number {
  return onPathMtu(c, engine.parameters, datagramLimit(engine, path), ipHeaderLength(path), nowUs);
}

function datagramLimit(engine: Engine, path: PathContext): number {
  const { mtu } = engine.attributes;
  return path.pathMtu > 0 && path.pathMtu < mtu ? path.pathMtu : mtu;
}

function ipHeaderLength(path: PathContext): number {
  return path.family === 4 ? 20 : 40;
}

/** INIT-059: into memory of our own, before the completion. */
function copyBuffered(engine: Engine, ctx: TcpContext, lists: NetBufferList | null): void {
  for (let list = lists; list !== null; list = list.next) {
    for (let nb = list.firstNetBuffer; nb !== null; nb = nb.next) {
      const bytes = new Uint8Array(nb.dataLength);
      copyFromNetBuffer(nb, 0, nb.dataLength, bytes, 0);
      engine.pool.append(ctx.buffered, bytes, 0, bytes.length);
    }
  }
  // It waits for posted requests first, the remainder is indicated (INIT-062, INIT-063).
  ctx.isRefused = ctx.buffered.length > 0;
  ctx.isBufferedPushed = true;
}

/** TCP-086: as with urgent data off the wire. What came down goes up again with the terminate; the event follows the completion. */
function refuseUrgent(engine: Engine, ctx: TcpContext): void {
  ctx.held = [];
  requestUpload(engine, ctx, TcpUploadReason.RECEIVED_URGENT_DATA, true);
}

/** A FIN that the host received: its end of stream is known above unless data stands before it. */
function noteFin(ctx: TcpContext): void {
  const { state } = ctx.tcp;
  if (
    state !== TcpConnectionState.CLOSE_WAIT &&
    state !== TcpConnectionState.CLOSING &&
    state !== TcpConnectionState.LAST_ACK
  ) {
    return;
  }
  ctx.isFinReceived = true;
  ctx.isDisconnectIndicated = ctx.buffered.length === 0;
}
