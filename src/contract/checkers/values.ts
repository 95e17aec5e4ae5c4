/**
 * Checkers of single values of the delegated state, whoever hands it over: counts, timers, backlogs, and the state of a connection
 * against what its target has told of it.
 */

import { NdisStatus, StateOperation } from '../../ndis/protocol.ts';
import { BACKLOG_UNSUPPORTED, TcpConnectionState, TcpDelegatedState, TIMER_NOT_RUNNING } from '../../state/tcp.ts';
import type { Checker, Watch } from '../checker.ts';
import type { Actor } from '../finding.ts';
import { AFTER_PEERS_FIN, type ObjectRecord, Role } from '../records.ts';

const { INITIATE, TERMINATE, QUERY } = StateOperation;
const { CLOSED, ESTABLISHED, CLOSE_WAIT } = TcpConnectionState;

/** Counts and times of which there is nothing less than none. */
const COUNTS: readonly (readonly [rule: string, name: keyof TcpDelegatedState])[] = [
  ['STATE-062', 'totalRt'],
  ['STATE-063', 'dupAckCount'],
  ['STATE-064', 'sndWndProbeCount'],
  ['STATE-065', 'keepAliveProbeCount'],
  ['STATE-067', 'retransmitCount'],
];

/** What is counted, and how long timers still run. */
const counts: Checker = {
  about: 'counts and timers of the delegated state',
  must: ['STATE-062', 'STATE-063', 'STATE-064', 'STATE-065', 'STATE-066', 'STATE-067', 'STATE-069'],
  stateCall(watch, { operation, blocks }) {
    if (operation !== INITIATE) return;
    for (const { block, object, role } of blocks) {
      if (role !== Role.NEW_OFFLOAD || !(block.delegatedState instanceof TcpDelegatedState)) continue;
      checkCounts(watch, 'host', object, block.delegatedState);
    }
  },
  stateComplete(watch, { operation, blocks }) {
    if (operation !== TERMINATE && operation !== QUERY) return;
    for (const { block, object } of blocks) {
      if (block.status !== NdisStatus.SUCCESS || !(block.delegatedState instanceof TcpDelegatedState)) continue;
      checkCounts(watch, 'target', object, block.delegatedState);
    }
  },
};

function checkCounts(watch: Watch, actor: Actor, object: ObjectRecord | null, delegated: TcpDelegatedState): void {
  for (const [rule, name] of COUNTS) {
    // Times are unsigned in the interface; nothing retransmits for half of what a word holds.
    const value = (delegated[name] as number) | 0;
    if (value < 0) watch.breach(rule, actor, object, `${name} of 0 or more`, `${value}`);
  }
  if (delegated.retransmitTimeoutDelta < TIMER_NOT_RUNNING) {
    const seen = `${delegated.retransmitTimeoutDelta}`;
    watch.breach('STATE-069', actor, object, 'ticks that are left, 0: just expired, or -1: not running', seen);
  }
  if (delegated.keepAliveTimeoutDelta < TIMER_NOT_RUNNING) {
    const seen = `${delegated.keepAliveTimeoutDelta}`;
    watch.breach('STATE-066', actor, object, 'ticks to the next keepalive timeout, or -1: not running', seen);
  }
}

/** Timers that cannot run. */
const timers: Checker = {
  about: 'timers of a connection at rest',
  must: [],
  should: ['QRY-024', 'TCP-018'],
  stateComplete(watch, { operation, blocks }) {
    if (operation !== TERMINATE && operation !== QUERY) return;
    for (const { block, object } of blocks) {
      const delegated = block.delegatedState;
      if (object === null || block.status !== NdisStatus.SUCCESS || !(delegated instanceof TcpDelegatedState)) continue;
      const { state, sndUna, sndMax, sndWnd, retransmitTimeoutDelta: delta } = delegated;
      const isAtRest = sndUna === sndMax && sndWnd > 0 && (state === ESTABLISHED || state === CLOSE_WAIT);
      if (!isAtRest || !object.isFlowKnown || object.posted[0]! > 0 || delta === TIMER_NOT_RUNNING) continue;
      const rule = operation === QUERY ? 'QRY-024' : 'TCP-018';
      watch.breach(rule, 'target', object, '-1 for a retransmit timer that does not run', `${delta} ticks`);
    }
  },
};

/** Backlogs that a query tells. */
const backlogs: Checker = {
  about: 'backlogs that a query tells',
  must: ['QRY-020', 'STATE-072'],
  should: ['QRY-021'],
  stateComplete(watch, { operation, blocks }) {
    if (operation !== QUERY) return;
    for (const { block, object } of blocks) {
      const delegated = block.delegatedState;
      if (object === null || block.status !== NdisStatus.SUCCESS || !(delegated instanceof TcpDelegatedState)) continue;
      // A structure that nobody has filled is told as such (QRY-008).
      if (!object.isFlowKnown || delegated.state === 0) continue;
      const { sendBacklogSize, receiveBacklogSize } = delegated;
      if (sendBacklogSize === 0) {
        const expected = 'the bytes of sends to keep outstanding, or 0xFFFFFFFF';
        watch.breach(['QRY-020', 'STATE-072'], 'target', object, expected, 'none');
      }
      if (receiveBacklogSize !== BACKLOG_UNSUPPORTED && receiveBacklogSize > 0x7fff_ffff) {
        watch.breach('QRY-021', 'target', object, 'buffered bytes, or 0xFFFFFFFF', `${receiveBacklogSize}`);
      }
    }
  },
};

/** What the target ought to have told of a connection in such a state. */
const told: Checker = {
  about: 'the state of a connection and the events of it',
  must: ['DISC-034', 'DISC-037', 'DISC-038'],
  stateComplete(watch, { operation, blocks }) {
    if (operation !== TERMINATE) return;
    for (const { block, object } of blocks) {
      const delegated = block.delegatedState;
      if (object === null || block.status !== NdisStatus.SUCCESS || !(delegated instanceof TcpDelegatedState)) continue;
      if (object.isFlowKnown) checkTold(watch, object, delegated);
    }
  },
};

function checkTold(watch: Watch, object: ObjectRecord, delegated: TcpDelegatedState): void {
  if (object.hasAborted || object.hasAbortive || object.isCorrupt) return;
  const { state, bufferedData } = delegated;
  if (AFTER_PEERS_FIN.includes(state) && !object.hasPeerFinished && bufferedData === null) {
    watch.breach('DISC-034', 'target', object, "TcpIndicateDisconnect for the peer's FIN", `state ${state} without it`);
  } else if (state === CLOSED && !object.hasGraceful && !object.hasMandatoryRetrieve) {
    const expected = 'TcpIndicateAbort for a connection that was aborted';
    watch.breach(['DISC-038', 'DISC-037'], 'target', object, expected, 'CLOSED without it');
  }
}

export const VALUE_CHECKERS: readonly Checker[] = [counts, timers, backlogs, told];
