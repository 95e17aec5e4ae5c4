/**
 * Moving a connection: its record as constant, cached and delegated state of the DDI, and back.
 *
 * Numbers are copied word by word; moments become ticks left or ticks past and moments again on the other side's clock. What
 * the DDI has no variable for is settled before (owed ACKs) or found again after: loss recovery goes on from DupAckCount,
 * SndNxt before SndMax is sent again first, a FIN that was sent lies between the queued data and SndMax. Send data goes by
 * `takeSendData` and `restoreSendData`, buffered receive data is the callers' alone; the first queued byte has number SND.UNA on both sides.
 * Sources: chimney-ddi 7.6 to 7.8, chimney-sequences 2, 5, 6, 9, 23; rules STATE-*, TCP-007, 016 to 036, 046 to 070, UPD-016 to 021.
 */

import { NEVER } from '../base/runtime.ts';
import { seqAdd, seqBefore } from '../base/seq.ts';
import type { NetBufferList } from '../state/net-buffer-list.ts';
import {
  TcpConnectionState as State,
  TCP_CACHED_AT,
  TCP_CACHED_WORDS,
  TCP_CONST_WORDS,
  TCP_DELEGATED_AT,
  TCP_DELEGATED_WORDS,
  TcpCachedFlag,
  type TcpCachedState,
  TcpConstFlag,
  type TcpConstState,
  type TcpDelegatedState,
  type TcpStateView,
  TcpWord,
  TIMER_NOT_RUNNING,
} from '../state/tcp.ts';
import { advertisedWindow } from './acceptability.ts';
import { congestionOf } from './congestion/named.ts';
import { Moment, type TcpConnection, TcpMode } from './connection.ts';
import { armDeadline, disarmAll, disarmDeadline, isArmed } from './deadlines.ts';
import { Effect, type Effects } from './effects.ts';
import { armKeepAlive, isKeepAliveEnabled } from './keep-alive.ts';
import { releaseFlight, releaseReassembly } from './lifecycle.ts';
import { type TcpParameters, tickUs } from './parameters.ts';
import { adoptReduction } from './proportional-rate.ts';
import { hasRack, transmissionsOf } from './rack.ts';
import { backOff, readRttTicks, rtoUs, writeRttTicks } from './rtt.ts';
import { clockTicks, timestampNow } from './timestamps.ts';

/** Flags that ask for something to be done once, and are not kept. STATE-032. */
const ACTIONS: number = TcpCachedFlag.KEEP_ALIVE_RESTART | TcpCachedFlag.MAX_RT_RESTART | TcpCachedFlag.UPDATE_RCV_WND;
/** Largest time in ticks that an int32 holds; longer ones (24 days at 1000 ticks) are this. */
const TICKS_MAX = 0x7fffffff;

/**
 * First step of a move, at whoever has the connection: delayed-ACK and silly-window timers stop (TERM-076, TERM-078, INIT-075,
 * INIT-077). TRANSMIT: an ACK is owed and must be sent before the state is read. A target also drops what it holds out of order
 * (TERM-043), so that this ACK does not report it; a host keeps it until the offload has succeeded.
 */
export function prepareTransfer(c: TcpConnection, p: TcpParameters, _nowUs: number): Effects {
  const isOwed = c.ackPending > 0 || c.dupAcksOwed > 0 || c.hasMode(TcpMode.ACK_NOW) || c.lastAckSent !== c.rcvNxt;
  disarmDeadline(c, Moment.DELAYED_ACK);
  disarmDeadline(c, Moment.SWS);
  disarmDeadline(c, Moment.WINDOW_UPDATE);
  c.clearMode(TcpMode.SWS_OVERRIDE);
  c.dupAcksOwed = 0;
  if (p.role === 'target') releaseReassembly(c, p);
  if (!isOwed || c.state === State.CLOSED) return Effect.NONE;
  c.setMode(TcpMode.ACK_NOW);
  return Effect.TRANSMIT;
}

/** Record -> TCP_OFFLOAD_STATE_CONST. */
export function writeConst(c: TcpConnection, out: TcpConstState): void {
  for (let i = 0; i < TCP_CONST_WORDS; i++) out.words[out.base + i] = c.words[c.base + i]!;
}

/** Record -> TCP_OFFLOAD_STATE_CACHED. */
export function writeCached(c: TcpConnection, out: TcpCachedState): void {
  const end = TCP_CACHED_AT + TCP_CACHED_WORDS;
  for (let i = TCP_CACHED_AT; i < end; i++) out.words[out.base + i] = c.words[c.base + i]!;
  out.flags &= ~ACTIONS;
}

/** Record -> TCP_OFFLOAD_STATE_DELEGATED, times in ticks at `nowUs`. The unions (send data, backlogs) are the caller's. */
export function writeDelegated(c: TcpConnection, p: TcpParameters, out: TcpDelegatedState, nowUs: number): void {
  writeRttTicks(c, p.ticksPerSecond);
  const sendBacklog = out.words[out.base + TcpWord.SEND_BACKLOG_SIZE]!;
  const receiveBacklog = out.words[out.base + TcpWord.RECEIVE_BACKLOG_SIZE]!;
  const end = TCP_DELEGATED_AT + TCP_DELEGATED_WORDS;
  for (let i = TCP_DELEGATED_AT; i < end; i++) out.words[out.base + i] = c.words[c.base + i]!;
  out.words[out.base + TcpWord.SEND_BACKLOG_SIZE] = sendBacklog;
  out.words[out.base + TcpWord.RECEIVE_BACKLOG_SIZE] = receiveBacklog;
  // What was promised to the peer, not what might be: the next runner knows then whether an update is due.
  out.rcvWnd = advertisedWindow(c);
  out.tsRecentAge = ticksSince(c, p, Moment.TS_RECENT_AT, nowUs);
  out.tsTime = timestampNow(c, p, nowUs);
  out.totalRt = c.retransmitCount > 0 ? ticksSince(c, p, Moment.RETRANSMIT_SINCE, nowUs) : 0;
  out.keepAliveTimeoutDelta = ticksLeft(c, p, Moment.KEEP_ALIVE, nowUs);
  out.retransmitTimeoutDelta = c.hasMode(TcpMode.EXPIRED) ? 0 : ticksLeft(c, p, Moment.RETRANSMIT, nowUs);
  if (c.hasMode(TcpMode.IN_RECOVERY)) out.dupAckCount = Math.max(c.dupAckCount, p.duplicateAckThreshold);
}

/**
 * DDI -> fresh record: a target takes a connection over. Before it the caller sets family and addresses, after it the path MTU
 * (`onPathMtu`), the send queue, and `setReceiveSpace`.
 */
export function adopt(
  c: TcpConnection,
  p: TcpParameters,
  constState: TcpConstState,
  cached: TcpCachedState,
  delegated: TcpDelegatedState,
  nowUs: number,
): void {
  for (let i = 0; i < TCP_CONST_WORDS; i++) c.words[c.base + i] = constState.words[constState.base + i]!;
  // Scales mean something only with the option (STATE-024).
  if (!c.hasOption(TcpConstFlag.WINDOW_SCALING_ENABLED)) {
    c.sndWindScale = 0;
    c.rcvWindScale = 0;
  }
  copyCached(c, cached);
  c.effectiveMss = c.remoteMss;
  copyDelegated(c, delegated);
  takeOver(c, p, nowUs);
  // TCP-058 leaves the choice; sending at once keeps a connection going that moves more often than its silly-window timer runs.
  // (Where there is nothing to send the caller takes it away again.)
  c.setMode(TcpMode.SWS_OVERRIDE);
}

/** DDI -> the host's own record, at the end of an upload. The send queue is filled by the caller afterwards. */
export function readDelegated(c: TcpConnection, p: TcpParameters, delegated: TcpDelegatedState, nowUs: number): void {
  // What was out of order here before the offload is older than what the target has seen.
  releaseReassembly(c, p);
  releaseFlight(c, p);
  copyDelegated(c, delegated);
  takeOver(c, p, nowUs);
  // TERM-080: always.
  if (isSynchronized(c.state)) armDeadline(c, Moment.SWS, nowUs, p.swsUs);
}

/** An update of cached variables (NdisUpdateOffload, or a socket option at a host). UPD-016 to UPD-021. */
export function applyCached(c: TcpConnection, p: TcpParameters, cached: TcpCachedState, nowUs: number): Effects {
  const actions = cached.flags & ACTIONS;
  const wasEnabled = isKeepAliveEnabled(c);
  const { maxRt, kaProbeCount, kaTimeout, kaInterval, initialRcvWnd } = c;
  copyCached(c, cached);

  const hasNewTimes = c.kaTimeout !== kaTimeout || c.kaInterval !== kaInterval;
  if ((actions & TcpCachedFlag.MAX_RT_RESTART) !== 0) {
    if (c.kaProbeCount !== kaProbeCount) c.keepAliveProbeCount = 0;
    if (hasNewTimes && isArmed(c, Moment.KEEP_ALIVE)) armKeepAlive(c, p, nowUs);
  }
  // STATE-044, UPD-020: TotalRT is counted from now on.
  if ((actions & TcpCachedFlag.MAX_RT_RESTART) !== 0 || (c.maxRt !== maxRt && c.maxRt !== 0)) {
    c.moments[c.momentBase + Moment.RETRANSMIT_SINCE] = nowUs;
  }
  const isSwitched = isKeepAliveEnabled(c) !== wasEnabled;
  if ((actions & TcpCachedFlag.KEEP_ALIVE_RESTART) !== 0 || (isSwitched && !c.hasMode(TcpMode.DEFENCE))) {
    c.keepAliveProbeCount = 0;
    c.clearMode(TcpMode.DEFENCE);
    if (isSynchronized(c.state)) armKeepAlive(c, p, nowUs);
  }
  if ((actions & TcpCachedFlag.UPDATE_RCV_WND) === 0) return Effect.NONE;
  return updateReceiveWindow(c, initialRcvWnd);
}

/** TCP_FLAG_UPDATE_RCV_WND: the buffer has become `initialRcvWnd` instead of `before`. UPD-016, UPD-017. */
function updateReceiveWindow(c: TcpConnection, before: number): Effects {
  if (!isSynchronized(c.state)) return Effect.NONE;
  const isDifferent = c.initialRcvWnd !== c.rcvWnd;
  c.receiveSpace = Math.max(0, c.receiveSpace + c.initialRcvWnd - before);
  // A smaller buffer shows as data arrives: the right edge does not move left (SHLD-14).
  c.rcvWnd = Math.max(c.rcvWnd, Math.min(c.receiveSpace, 65535 << c.rcvWindScale));
  if (!isDifferent) return Effect.NONE;
  c.setMode(TcpMode.ACK_NOW);
  return Effect.TRANSMIT;
}

/**
 * Takes all unfinished send data out, first byte SND.UNA, for NetBufferListChain; null: none (INIT-065, TERM-052). Finished
 * lists are taken by `sendQueue.takeCompleted` before.
 */
export function takeSendData(c: TcpConnection): NetBufferList | null {
  return c.sendQueue === null ? null : c.sendQueue.takeAll();
}

/** Puts send data in that came with the state, in any state and however often; its first byte is SND.UNA. */
export function restoreSendData(c: TcpConnection, p: TcpParameters, lists: NetBufferList): void {
  c.sendQueue ??= p.spares.takeSendQueue();
  c.sendQueue.append(lists);
}

function copyCached(c: TcpConnection, from: TcpCachedState): void {
  copyWords(c, from, TCP_CACHED_AT, TCP_CACHED_WORDS);
  c.cachedFlags &= ~ACTIONS;
}

function copyDelegated(c: TcpConnection, from: TcpDelegatedState): void {
  copyWords(c, from, TCP_DELEGATED_AT, TCP_DELEGATED_WORDS);
}

function copyWords(c: TcpConnection, from: TcpStateView, at: number, count: number): void {
  for (let i = at; i < at + count; i++) c.words[c.base + i] = from.words[from.base + i]!;
}

/** The delegated words are new: everything private that follows from them. */
function takeOver(c: TcpConnection, p: TcpParameters, nowUs: number): void {
  const { words, base, moments, momentBase } = c;
  disarmAll(c);
  c.mode = 0;
  // chimney-sequences 23: the clock goes on from TsTime.
  c.tsDelta = (words[base + TcpWord.TS_TIME]! - clockTicks(p, nowUs)) | 0;
  moments[momentBase + Moment.TS_RECENT_AT] = nowUs - (words[base + TcpWord.TS_RECENT_AGE]! >>> 0) * tickUs(p);
  moments[momentBase + Moment.RETRANSMIT_SINCE] = nowUs - (words[base + TcpWord.TOTAL_RT]! >>> 0) * tickUs(p);
  moments[momentBase + Moment.LAST_SENT] = nowUs;
  c.rcvAdv = seqAdd(c.rcvNxt, c.rcvWnd);
  c.receiveSpace = c.rcvWnd;
  c.lastAckSent = c.rcvNxt;
  c.ackPending = 0;
  c.dupAcksOwed = 0;
  c.challengeCount = 0;
  // What the former runner held out of order is gone (TERM-043). A peer that had it acknowledged selectively now repairs by
  // timeout, one segment at a time at first: it must not wait for a delayed ACK each time.
  // A target's timer is the host's to set (TCP-008); there the host waits for a gap to close before it offloads.
  c.quickAcks = p.role === 'host' ? p.quickAckSegments : 0;
  c.sndWl2 = c.sndUna;
  c.iss = seqAdd(c.sndUna, -1);
  c.irs = seqAdd(c.rcvNxt, -1);
  readRttTicks(c, p.ticksPerSecond);
  if (c.sndWnd > 0) for (let i = 0; i < c.retransmitCount; i++) backOff(c);
  congestionOf(c, p).onAdopted(c, nowUs);
  resumeRecovery(c, p, nowUs);
  resumeTimers(c, p, nowUs);
}

/** Loss recovery where the former runner left off. */
function resumeRecovery(c: TcpConnection, p: TcpParameters, nowUs: number): void {
  c.recover = seqAdd(c.sndUna, -1);
  if (c.sndMax === c.sndUna) {
    c.dupAckCount = 0;
  } else if (seqBefore(c.sndNxt, c.sndMax)) {
    c.recover = c.sndMax;
    if (c.sndWnd > 0) c.setMode(TcpMode.AFTER_TIMEOUT);
  } else if (c.dupAckCount >= p.duplicateAckThreshold) {
    c.recover = c.sndMax;
    c.setMode(TcpMode.IN_RECOVERY | TcpMode.RETRANSMIT_DUE);
  }
  if (c.sndMax === c.sndUna || !hasRack(c, p)) return;
  // The times stay behind: whatever is in flight counts as sent just before now.
  const isRepairing = c.hasMode(TcpMode.IN_RECOVERY | TcpMode.AFTER_TIMEOUT);
  transmissionsOf(c, p).adopt(c.sndUna, c.sndMax, isRepairing, nowUs);
  adoptReduction(c);
}

function resumeTimers(c: TcpConnection, p: TcpParameters, nowUs: number): void {
  const { words, base } = c;
  if (c.state === State.CLOSED) return;
  if (c.state === State.TIME_WAIT) {
    armDeadline(c, Moment.TIME_WAIT, nowUs, p.timeWaitUs);
    return;
  }
  const retransmit = words[base + TcpWord.RETRANSMIT_TIMEOUT_DELTA]!;
  if (retransmit !== TIMER_NOT_RUNNING) armDeadline(c, Moment.RETRANSMIT, nowUs, (retransmit >>> 0) * tickUs(p));
  else if (c.sndMax !== c.sndUna && c.sndWnd > 0) armDeadline(c, Moment.RETRANSMIT, nowUs, rtoUs(c, p));
  const keepAlive = words[base + TcpWord.KEEP_ALIVE_TIMEOUT_DELTA]!;
  if (keepAlive !== TIMER_NOT_RUNNING) {
    armDeadline(c, Moment.KEEP_ALIVE, nowUs, (keepAlive >>> 0) * tickUs(p));
    // A timer that runs though the option is off belongs to the blind-reset defence (TCP-105).
    if (!isKeepAliveEnabled(c)) c.setMode(TcpMode.DEFENCE);
  } else armKeepAlive(c, p, nowUs);
}

function isSynchronized(state: number): boolean {
  return state >= State.ESTABLISHED && state !== State.TIME_WAIT;
}

/** Ticks until a deadline, rounded up so that only an expired one is 0; -1 when it is not armed. STATE-069. */
function ticksLeft(c: TcpConnection, p: TcpParameters, which: number, nowUs: number): number {
  const atUs = c.moments[c.momentBase + which]!;
  if (atUs === NEVER) return TIMER_NOT_RUNNING;
  return Math.min(TICKS_MAX, Math.max(0, Math.ceil((atUs - nowUs) / tickUs(p))));
}

/** Whole ticks since a moment. */
function ticksSince(c: TcpConnection, p: TcpParameters, which: number, nowUs: number): number {
  return Math.min(TICKS_MAX, Math.max(0, Math.floor((nowUs - c.moments[c.momentBase + which]!) / tickUs(p))));
}
