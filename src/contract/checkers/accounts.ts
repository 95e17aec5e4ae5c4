/**
 * Checkers of the state that crosses the chimney: values in their range, and streams that add up over a move. What was posted and
 * indicated between the initiate and the terminate must be what the sequence numbers have advanced by.
 */

import { seqDiff } from '../../base/seq.ts';
import { NdisStatus, StateOperation } from '../../ndis/protocol.ts';
import { NeighborCachedState, NeighborConstState, NeighborDelegatedState } from '../../state/neighbor.ts';
import { dataLengthOf, type NetBufferList } from '../../state/net-buffer-list.ts';
import {
  TcpCachedFlag,
  TcpCachedState,
  TcpConnectionState,
  TcpConstFlag,
  TcpConstState,
  TcpDelegatedState,
  TIMER_NOT_RUNNING,
} from '../../state/tcp.ts';
import type { Checker, Watch } from '../checker.ts';
import type { Actor } from '../finding.ts';
import { bufferedDigest, listsOf } from '../read-tree.ts';
import { type BlockRecord, type ObjectRecord, Role } from '../records.ts';

const { ESTABLISHED, CLOSE_WAIT } = TcpConnectionState;
const STATES: readonly number[] = Object.values(TcpConnectionState);
const CONST_FLAGS: number = Object.values(TcpConstFlag).reduce((all: number, flag) => all | flag, 0);
const CACHED_FLAGS: number = Object.values(TcpCachedFlag).reduce((all: number, flag) => all | flag, 0);
/** Bits of VlanId, FlowLabel, UserPriority and the window scales. */
const [VLAN_MOST, FLOW_LABEL_MOST, PRIORITY_MOST, SCALE_MOST] = [0xfff, 0xf_ffff, 7, 15];

/** Values that a host hands down. */
const handedDown: Checker = {
  about: 'ranges of the state that is offloaded',
  must: [
    ...['STATE-013', 'STATE-021', 'STATE-026', 'STATE-029', 'STATE-045', 'STATE-049', 'STATE-068'],
    ...['TCP-019', 'NBR-003', 'SEND-034', 'SEND-035', 'SEND-036', 'SEND-037'],
  ],
  stateCall(watch, operation) {
    if (operation.operation !== StateOperation.INITIATE && operation.operation !== StateOperation.UPDATE) return;
    for (const entry of operation.blocks) {
      const { block, object, role } = entry;
      if (block.cachedState instanceof TcpCachedState) checkCached(watch, object, block.cachedState);
      if (role !== Role.NEW_OFFLOAD) continue;
      if (block.constState instanceof TcpConstState) checkConst(watch, object, block.constState);
      if (block.constState instanceof NeighborConstState) checkNeighbor(watch, entry, block.constState);
      if (block.delegatedState instanceof TcpDelegatedState) checkDelegated(watch, entry, block.delegatedState);
    }
  },
};

function checkConst(watch: Watch, object: ObjectRecord | null, constant: TcpConstState): void {
  const { flags, sndWindScale, rcvWindScale } = constant;
  if ((flags & ~CONST_FLAGS) !== 0) {
    watch.breach('STATE-021', 'host', object, 'an OR of the three TCP_FLAG_*_ENABLED', `flags ${flags}`);
  }
  if (!isWithin(sndWindScale, SCALE_MOST) || !isWithin(rcvWindScale, SCALE_MOST)) {
    const seen = `${sndWindScale} and ${rcvWindScale}`;
    watch.breach('STATE-026', 'host', object, 'window scales of four bits', seen);
  }
}

function checkCached(watch: Watch, object: ObjectRecord | null, cached: TcpCachedState): void {
  const { flags, flowLabel, userPriority } = cached;
  if ((flags & ~CACHED_FLAGS) !== 0) {
    watch.breach('STATE-029', 'host', object, 'an OR of the five TCP_FLAG_* of the cached state', `flags ${flags}`);
  }
  if (!isWithin(flowLabel, FLOW_LABEL_MOST)) {
    watch.breach('STATE-045', 'host', object, 'a FlowLabel of 20 bits', `${flowLabel}`);
  }
  if (!isWithin(userPriority, PRIORITY_MOST)) {
    watch.breach('STATE-049', 'host', object, 'a UserPriority of three bits', `${userPriority}`);
  }
}

function checkNeighbor(watch: Watch, { block, object }: BlockRecord, { vlanId }: NeighborConstState): void {
  if (!isWithin(vlanId, VLAN_MOST)) watch.breach('STATE-013', 'host', object, 'a VlanId of 12 bits', `${vlanId}`);
  const { cachedState: cached, delegatedState: delegated } = block;
  if (!(cached instanceof NeighborCachedState) || !(delegated instanceof NeighborDelegatedState)) return;
  const [hrd, nrd] = [cached.hostReachabilityDelta, delegated.nicReachabilityDelta];
  if (hrd !== nrd) watch.breach('NBR-003', 'host', object, 'HRD and NRD equal at the offload', `${hrd} and ${nrd}`);
}

function checkDelegated(watch: Watch, { object, sends }: BlockRecord, delegated: TcpDelegatedState): void {
  const { state, sndUna, sndNxt, sndMax, sendDataHead, retransmitTimeoutDelta } = delegated;
  const unacknowledged = seqDiff(sndMax, sndUna);
  if (sends.length === 0) {
    // In FIN-WAIT-2 the timer serves for that state (TCP-022); a FIN of ours counts as outstanding.
    const isIdle = unacknowledged === 0 && (state === ESTABLISHED || state === CLOSE_WAIT);
    if (isIdle && retransmitTimeoutDelta !== TIMER_NOT_RUNNING) {
      const seen = `${retransmitTimeoutDelta} ticks`;
      watch.breach(['STATE-068', 'TCP-019'], 'host', object, 'no retransmission timer with nothing outstanding', seen);
    }
    return;
  }
  let bytes = 0;
  for (const list of sends) bytes += dataLengthOf(list);
  // The FIN has a number of its own.
  const fin = state === ESTABLISHED || state === CLOSE_WAIT ? 0 : 1;
  if (unacknowledged > bytes + fin) {
    const seen = `${bytes} bytes, SndMax ${unacknowledged} beyond SndUna`;
    const isPast = seqDiff(sndNxt, sndUna) > bytes + fin;
    const rules = isPast ? ['SEND-035', 'SEND-036'] : 'SEND-036';
    watch.breach(rules, 'host', object, 'send lists from SndUna to SndMax at least', seen);
  }
  const first = sends.find((list) => dataLengthOf(list) > 0);
  if (first !== undefined && sendDataHead !== null && sends.includes(sendDataHead) && sendDataHead !== first) {
    watch.breach('SEND-037', 'host', object, 'SendDataHead at the first list that has data', 'another list');
  }
  if (first !== undefined) checkFirstByte(watch, object, first);
}

/** The byte numbered SndUna is found in the first MDL. */
function checkFirstByte(watch: Watch, object: ObjectRecord | null, first: NetBufferList): void {
  const nb = first.firstNetBuffer;
  if (nb === null || nb.dataLength === 0) return;
  const mdl = nb.currentMdl;
  if (mdl !== null && nb.currentMdlOffset >= 0 && nb.currentMdlOffset < mdl.byteCount) return;
  const seen = mdl === null ? 'no MDL' : `an offset of ${nb.currentMdlOffset} in an MDL of ${mdl.byteCount} bytes`;
  watch.breach('SEND-034', 'host', object, 'the byte numbered SndUna at CurrentMdlOffset in CurrentMdl', seen);
}

function isWithin(value: number, most: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= most;
}

/** The target only copies from the received data that comes with a connection. */
const buffered: Checker = {
  about: 'received data that goes down with a connection',
  must: ['NBL-008', 'INIT-059'],
  receiveIndicate(watch, { object, list }) {
    checkLent(watch, object, list);
  },
  stateComplete(watch, operation) {
    if (operation.operation === StateOperation.TERMINATE) {
      for (const { block, object } of operation.blocks) {
        if (!(block.delegatedState instanceof TcpDelegatedState)) continue;
        const lists: NetBufferList[] = [];
        listsOf(block.delegatedState.bufferedData, lists);
        for (const list of lists) checkLent(watch, object, list);
      }
    }
    if (operation.operation !== StateOperation.INITIATE) return;
    for (const { block, object, bufferedDigest: before } of operation.blocks) {
      if (before === 0 || !(block.delegatedState instanceof TcpDelegatedState)) continue;
      if (bufferedDigest(block) === before) continue;
      watch.breach('NBL-008', 'target', object, "the host's lists of BufferedData as they were", 'changed ones');
    }
  },
};

/** A list that came down as BufferedData is not the target's to use once the initiate is complete. */
function checkLent(watch: Watch, object: ObjectRecord | null, list: NetBufferList): void {
  if (watch.ledger.fateOf(list) !== 'lent') return;
  watch.breach(
    'INIT-059',
    'target',
    object,
    'received data copied before the initiate was complete',
    "the host's list",
  );
}

/** Values that a target hands up, in a terminate or a query. */
const handedUp: Checker = {
  about: 'the state that a terminate or a query brings',
  must: [
    ...[
      'TERM-015',
      'TERM-018',
      'STATE-006',
      'QRY-006',
      'QRY-008',
      'QRY-009',
      'STATE-001',
      'STATE-051',
      'STATE-054',
      'STATE-055',
    ],
    ...['RECV-091', 'SEND-038'],
  ],
  stateComplete(watch, operation) {
    const isTerminate = operation.operation === StateOperation.TERMINATE;
    if (!isTerminate && operation.operation !== StateOperation.QUERY) return;
    for (const { block, object } of operation.blocks) {
      if (object === null || block.status !== NdisStatus.SUCCESS) continue;
      if (block.constState instanceof TcpConstState) checkSame(watch, object, block.constState);
      const delegated = block.delegatedState;
      if (!(delegated instanceof TcpDelegatedState) || !object.isFlowKnown) continue;
      if (isBlank(delegated)) {
        const rules = isTerminate ? ['TERM-018', 'STATE-006'] : ['QRY-008', 'QRY-009'];
        watch.breach(rules, 'target', object, 'all delegated variables written with SUCCESS', 'none');
        continue;
      }
      if (isTerminate && delegated.cWnd === 0 && !isEnded(object)) {
        watch.breach('TERM-015', 'target', object, 'the current value of every delegated variable', 'no CWnd');
      }
      checkValues(watch, 'target', object, delegated);
      if (isTerminate && !isEnded(object)) checkStreams(watch, object, block, delegated);
    }
  },
};

function isBlank({ state, rcvNxt, sndUna, sndMax, sndWnd, cWnd }: TcpDelegatedState): boolean {
  return state === 0 && rcvNxt === 0 && sndUna === 0 && sndMax === 0 && sndWnd === 0 && cWnd === 0;
}

/** What becomes of the streams is nobody's concern any more. */
function isEnded(object: ObjectRecord): boolean {
  return object.hasAborted || object.hasAbortive || object.isCorrupt;
}

function checkSame(watch: Watch, object: ObjectRecord, { localPort, remotePort, remoteMss }: TcpConstState): void {
  const known = object.constants;
  if (known === null) return;
  if (known.localPort === localPort && known.remotePort === remotePort && known.remoteMss === remoteMss) return;
  const expected = `ports ${known.localPort} and ${known.remotePort}, RemoteMss ${known.remoteMss}, as offloaded`;
  let isOfOther = false;
  for (const { constants: other } of watch.ledger.live) {
    isOfOther ||= other !== null && other.localPort === localPort && other.remotePort === remotePort;
  }
  const rules = isOfOther ? ['QRY-006', 'STATE-001'] : 'STATE-001';
  watch.breach(rules, 'target', object, expected, `${localPort} and ${remotePort}, ${remoteMss}`);
}

function checkValues(watch: Watch, actor: Actor, object: ObjectRecord, delegated: TcpDelegatedState): void {
  const { state, sndUna, sndNxt, sndMax, sndWnd, maxSndWnd } = delegated;
  if (!STATES.includes(state)) watch.breach('STATE-051', actor, object, 'a TCP_OFFLOAD connection state', `${state}`);
  const isChained = delegated.sendDataHead !== null;
  if (!isChained && (seqDiff(sndNxt, sndUna) < 0 || seqDiff(sndMax, sndNxt) < 0)) {
    const seen = `${sndUna >>> 0}, ${sndNxt >>> 0}, ${sndMax >>> 0}`;
    watch.breach('STATE-054', actor, object, 'SndUna <= SndNxt <= SndMax', seen);
  }
  if (sndWnd > maxSndWnd) {
    watch.breach('STATE-055', actor, object, 'MaxSndWnd the largest window seen', `${maxSndWnd}, SndWnd ${sndWnd}`);
  }
}

function checkStreams(
  watch: Watch,
  object: ObjectRecord,
  block: BlockRecord['block'],
  delegated: TcpDelegatedState,
): void {
  const up: NetBufferList[] = [];
  listsOf(delegated.bufferedData, up);
  let received = object.delivered;
  for (const list of up) received += dataLengthOf(list);
  const advanced = seqDiff(delegated.rcvNxt, object.rcvBase);
  // A FIN has a number of its own, in either direction.
  if (advanced !== received && advanced !== received + 1) {
    const seen = `RcvNxt advanced by ${advanced}`;
    watch.breach('RECV-091', 'target', object, `${received} bytes received, all of them handed up`, seen);
  }
  const chain: NetBufferList[] = [];
  listsOf(block.netBufferListChain, chain);
  let sent = object.transferred;
  for (const list of chain) {
    const record = watch.ledger.lists.get(list);
    if (record !== undefined) sent += record.bytes - dataLengthOf(list);
  }
  const acknowledged = seqDiff(delegated.sndUna, object.sndBase);
  if (acknowledged !== sent && acknowledged !== sent + 1) {
    const seen = `SndUna advanced by ${acknowledged}`;
    watch.breach('SEND-038', 'target', object, `${sent} bytes told as transferred`, seen);
  }
}

export const ACCOUNT_CHECKERS: readonly Checker[] = [handedDown, buffered, handedUp];
