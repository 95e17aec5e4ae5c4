/**
 * A connection in and out of a target built on {@link OffloadTarget}: its words, its sends, its received data, and what becomes of
 * everything outstanding when it is terminated. Sources: chimney-sequences 2, 6; TERM-026 to TERM-056, INIT-057 to INIT-068.
 */

import { NEVER } from '../../base/runtime.ts';
import { type MiniportOffloadBlock, NdisStatus, OffloadStateType } from '../../ndis/miniport.ts';
import { copyFromNetBuffer, dataLengthOf, type NetBufferList } from '../../state/net-buffer-list.ts';
import {
  TCP_CACHED_AT,
  TCP_CACHED_WORDS,
  TCP_CONST_WORDS,
  TCP_DELEGATED_AT,
  TCP_DELEGATED_WORDS,
  type TcpCachedState,
  type TcpConstState,
  type TcpDelegatedState,
  type TcpStateView,
  TcpWord,
  TIMER_NOT_RUNNING,
} from '../../state/tcp.ts';
import { lastOf, Standing } from '../engine/contexts.ts';
import { deliver, returnRequests } from '../engine/delivery.ts';
import { completeRequests, finishAllRequests } from '../engine/requests.ts';
import {
  abortByHost,
  abortSends,
  completeChain,
  completeDisconnect,
  completeSends,
  giveBackCalls,
  processForwards,
} from './calls.ts';
import type { TargetConnection } from './connection.ts';
import type { TargetCore } from './core.ts';

/** Largest time in ticks that an int32 holds. */
const TICKS_MAX = 0x7fffffff;
/** Rounds of receives posted again during a terminate at most. */
const ROUNDS_MAX = 64;

function copy(from: TcpStateView, to: TcpStateView, at: number, count: number): void {
  for (let i = at; i < at + count; i++) to.words[to.base + i] = from.words[from.base + i]!;
}

/** State that comes down, whichever of the three there is. */
export function fillState(
  c: TargetConnection,
  constant: TcpConstState | null,
  cached: TcpCachedState | null,
  delegated: TcpDelegatedState | null,
): void {
  if (constant !== null) copy(constant, c.constant, 0, TCP_CONST_WORDS);
  if (cached !== null) copy(cached, c.cached, TCP_CACHED_AT, TCP_CACHED_WORDS);
  if (delegated === null) return;
  copy(delegated, c.state, TCP_DELEGATED_AT, TCP_DELEGATED_WORDS);
  const { core } = c;
  const nowUs = core.runtime.nowUs();
  c.takenAtUs = nowUs;
  c.tsRecentAtUs = nowUs - (delegated.tsRecentAge >>> 0) * core.tickUs;
  c.retransmittingSinceUs = nowUs - (delegated.totalRt >>> 0) * core.tickUs;
  const { retransmitTimeoutDelta, keepAliveTimeoutDelta } = delegated;
  if (retransmitTimeoutDelta !== TIMER_NOT_RUNNING) {
    c.timerAtUs = nowUs + (retransmitTimeoutDelta >>> 0) * core.tickUs;
  }
  if (keepAliveTimeoutDelta !== TIMER_NOT_RUNNING) {
    c.keepAliveAtUs = nowUs + (keepAliveTimeoutDelta >>> 0) * core.tickUs;
  }
}

/** TCP_OFFLOAD_STATE_DELEGATED as it is now; the unions are the caller's. */
export function writeDelegated(c: TargetConnection, out: TcpDelegatedState): void {
  const { core } = c;
  const nowUs = core.runtime.nowUs();
  const backlogs = [
    out.words[out.base + TcpWord.SEND_BACKLOG_SIZE]!,
    out.words[out.base + TcpWord.RECEIVE_BACKLOG_SIZE]!,
  ];
  copy(c.state, out, TCP_DELEGATED_AT, TCP_DELEGATED_WORDS);
  out.words[out.base + TcpWord.SEND_BACKLOG_SIZE] = backlogs[0]!;
  out.words[out.base + TcpWord.RECEIVE_BACKLOG_SIZE] = backlogs[1]!;
  const since = (us: number): number => Math.min(TICKS_MAX, Math.max(0, Math.floor((nowUs - us) / core.tickUs)));
  const left = (us: number): number =>
    us === NEVER ? TIMER_NOT_RUNNING : Math.min(TICKS_MAX, Math.max(0, Math.ceil((us - nowUs) / core.tickUs)));
  out.tsTime = core.timestampOf(c);
  out.tsRecentAge = since(c.tsRecentAtUs);
  out.totalRt = c.state.retransmitCount > 0 ? since(c.retransmittingSinceUs) : 0;
  out.retransmitTimeoutDelta = left(c.timerAtUs);
  out.keepAliveTimeoutDelta = left(c.keepAliveAtUs);
}

/** Whether a block asks for the delegated state of a connection. */
function conveysState({ header }: MiniportOffloadBlock): boolean {
  return header.type === OffloadStateType.TCP || header.type === OffloadStateType.TCP_DELEGATED;
}

/** Whether buffered data, and then at least a packet, find room. INIT-021, INIT-060. */
export function bufferedFits(core: TargetCore, delegated: TcpDelegatedState): boolean {
  let bytes = 0;
  for (let list = delegated.bufferedData; list !== null; list = list.next) bytes += dataLengthOf(list);
  return bytes + core.attributes.mtu <= core.pool.freeBytes;
}

/** Sends are ours from now on; received data is copied, before the completion (INIT-059). */
export function takeLuggage(
  core: TargetCore,
  c: TargetConnection,
  chain: NetBufferList | null,
  bufferedData: NetBufferList | null,
): void {
  if (chain !== null) c.sends.append(chain);
  for (let list = bufferedData; list !== null; list = list.next) {
    for (let nb = list.firstNetBuffer; nb !== null; nb = nb.next) {
      const bytes = new Uint8Array(nb.dataLength);
      copyFromNetBuffer(nb, 0, bytes.length, bytes, 0);
      core.pool.append(c.buffered, bytes, 0, bytes.length);
    }
  }
  // It waits for posted requests first, the rest is indicated (INIT-062, INIT-063).
  c.isRefused = c.buffered.length > 0;
  c.isBufferedPushed = true;
}

/** Everything outstanding comes back, the state is written, the connection is forgotten. TERM-026. */
export function terminateConnection(core: TargetCore, c: TargetConnection, block: MiniportOffloadBlock): void {
  block.netBufferListChain = null;
  if (c.standing === Standing.TERMINATED) return;
  processForwards(core, c);
  if (c.abort !== null) abortByHost(core, c);
  if (c.standing === Standing.NORMAL) deliver(core, c, core.runtime.nowUs());
  const wasAborted = c.standing === Standing.ABORTED;
  if (!wasAborted && c.owesAck && !core.isBarred(c)) core.sendAck(c);
  if (wasAborted) abortSends(core, c);
  for (let rounds = 0; rounds < ROUNDS_MAX; rounds++) {
    if (wasAborted) finishAllRequests(c, NdisStatus.REQUEST_ABORTED, NdisStatus.REQUEST_ABORTED);
    else returnRequests(c);
    if (!completeRequests(core, c)) break;
  }
  completeSends(core, c);
  const chain = c.sends.takeAll();
  completeDisconnect(core, c, NdisStatus.UPLOAD_IN_PROGRESS);
  giveBackCalls(core, c);
  c.standing = Standing.TERMINATED;
  handOver(core, c, block, chain, wasAborted);
  core.remove(c);
}

function handOver(
  core: TargetCore,
  c: TargetConnection,
  block: MiniportOffloadBlock,
  chain: NetBufferList | null,
  wasAborted: boolean,
): void {
  const delegated = conveysState(block) ? (block.delegatedState as TcpDelegatedState | null) : null;
  if (delegated === null) {
    if (chain !== null) completeChain(core, chain, NdisStatus.UPLOAD_IN_PROGRESS);
    core.pool.clear(c.buffered);
    return;
  }
  writeDelegated(c, delegated);
  delegated.sendDataHead = chain;
  delegated.sendDataTail = chain === null ? null : lastOf(chain);
  delegated.bufferedData = null;
  block.netBufferListChain = chain;
  if (wasAborted) core.pool.clear(c.buffered);
  else if (c.buffered.length > 0) delegated.bufferedData = core.pool.detach(c.buffered, c.buffered.length);
}
