/**
 * Checkers of completed lists: whose they are, in what order they come, which statuses they carry, and whether the bytes add up.
 */

import {
  DATA_CALL_NAMES,
  DataOperation,
  NdisStatus,
  ndisStatusName,
  TcpDisconnectFlag,
  TcpUploadReason,
} from '../../ndis/protocol.ts';
import { dataLengthOf, type NetBufferList } from '../../state/net-buffer-list.ts';
import type { Checker, Watch } from '../checker.ts';
import { type ListRecord, Phase } from '../records.ts';

const { SEND, RECEIVE, DISCONNECT, FORWARD } = DataOperation;
const {
  SUCCESS,
  PENDING,
  REQUEST_ABORTED,
  UPLOAD_IN_PROGRESS,
  INVALID_STATE,
  REQUEST_UPLOAD,
  UPLOAD_REQUESTED,
  PAUSED,
} = NdisStatus;

/** By DataOperation: completed later, never from inside. */
const LATER = ['SEND-002', 'RECV-003', 'DISC-001', 'FWD-001'];
/** By DataOperation: completed at all. */
const EVER = ['SEND-002', 'RECV-044', 'DISC-001', 'FWD-001'];

/** Each list comes back once, by its own kind's completion, later, as it was posted. */
const routes: Checker = {
  about: 'lists and the way they come back',
  must: ['NBL-007', 'NBL-009', 'NBL-010', 'NBL-011', 'DISC-030', 'INIT-070', 'SEND-026', 'SEND-028', ...LATER, ...EVER],
  listCompleted(watch, as, list, record) {
    if (record === undefined) checkStranger(watch, as, list);
    else checkRoute(watch, as, list, record);
  },
  finish(watch) {
    for (const { object, kind, call, isOfInitiate } of watch.ledger.lists.values()) {
      const seen = `the list of call #${call} still out`;
      const rules = isOfInitiate ? ['INIT-070', 'SEND-028'] : EVER[kind]!;
      watch.breach(rules, 'target', object, `a completion of every ${DATA_CALL_NAMES[kind]!}`, seen);
    }
  },
};

function checkStranger(watch: Watch, as: DataOperation, list: NetBufferList): void {
  const fate = watch.ledger.fateOf(list);
  if (fate === 'not taken') return;
  const held = watch.ledger.held.get(list);
  if (held !== undefined) {
    watch.breach(
      held.from === 'buffered data' ? 'NBL-007' : 'NBL-011',
      'target',
      held.object,
      'an indicated list left with the host',
      `${DATA_CALL_NAMES[as]!} completed with it`,
    );
    return;
  }
  const seen = fate === undefined ? 'a list that was never posted' : `one that was ${fate} before`;
  const rule = fate === undefined ? 'NBL-010' : 'NBL-009';
  watch.breach(rule, 'target', null, 'a list that the target owns', seen);
}

function checkRoute(watch: Watch, as: DataOperation, list: NetBufferList, record: ListRecord): void {
  const object = record.object;
  if (record.kind !== as) {
    const rule = record.kind === SEND && as === DISCONNECT ? 'DISC-030' : 'NBL-011';
    const seen = `a list of ${DATA_CALL_NAMES[record.kind]!}`;
    watch.breach(rule, 'target', object, `lists of ${DATA_CALL_NAMES[as]!} only`, seen);
  }
  if (object.callInside[record.kind] === record.call) {
    const expected = 'a completion after the entry point has returned';
    watch.breach(LATER[record.kind]!, 'target', object, expected, 'one from inside it');
  }
  if (list.firstNetBuffer !== record.firstNetBuffer) {
    watch.breach('NBL-010', 'target', object, 'the list with its own NET_BUFFERs', 'others');
  } else if (record.mdlChain !== null && record.firstNetBuffer?.mdlChain !== record.mdlChain) {
    watch.breach('SEND-026', 'target', object, 'all MDLs of a list left in their chain', 'another chain');
  }
}

/** First in, first out. */
const orders: Checker = {
  about: 'the order in which lists come back',
  must: ['NBL-021', 'SEND-005', 'RECV-006'],
  should: ['RECV-008', 'RECV-009'],
  listCompleted(watch, as, list, record) {
    if (record === undefined || record.kind !== as || (as !== SEND && as !== RECEIVE)) return;
    // An intermediate driver without memory answers out of turn: what is below goes on (IM-042).
    if (list.status === REQUEST_UPLOAD || list.status === UPLOAD_REQUESTED) return;
    // Sends posted while an upload is asked for come back at once; older ones are acknowledged or passed up (TERM-051, TERM-058).
    if (as === SEND && list.status === UPLOAD_IN_PROGRESS) return;
    const oldest = record.object.oldest(as);
    if (oldest === undefined || oldest === record) return;
    const hasBytes = list.tcpOffloadBytesTransferred > record.bytesBefore;
    const seen = `order ${record.order} before ${oldest.order}`;
    watch.breach(
      orderRules(as, hasBytes),
      'target',
      record.object,
      'lists of a connection in the order of their posting',
      seen,
    );
  },
};

/** A list that has bytes of the stream before an older one also had them sent, or placed, before. */
function orderRules(as: DataOperation, hasBytes: boolean): readonly string[] {
  if (as === SEND) return hasBytes ? ['NBL-021', 'SEND-005'] : ['NBL-021'];
  return hasBytes ? ['RECV-009', 'RECV-006', 'RECV-008'] : ['RECV-009', 'RECV-006'];
}

/** By DataOperation: what a completed list may say. */
const LEGAL: readonly (readonly number[])[] = [
  [SUCCESS, REQUEST_ABORTED, UPLOAD_IN_PROGRESS, REQUEST_UPLOAD, UPLOAD_REQUESTED],
  [SUCCESS, REQUEST_ABORTED, UPLOAD_IN_PROGRESS, INVALID_STATE],
  [SUCCESS, REQUEST_ABORTED, UPLOAD_IN_PROGRESS],
  [SUCCESS, REQUEST_ABORTED, UPLOAD_IN_PROGRESS, NdisStatus.FAILURE, INVALID_STATE],
];
const ILLEGAL = ['SEND-018', 'RECV-063', 'DISC-031', 'FWD-019'];

/** Which statuses lists carry, and when. */
const statuses: Checker = {
  about: 'statuses of completed lists',
  must: [...ILLEGAL, 'SEND-006', 'SEND-022', 'TERM-057', 'NBL-015', 'DISC-040', 'RECV-065', 'EVT-019'],
  should: ['SEND-044', 'EVT-037', 'INIT-079', 'FWD-021'],
  listCompleted(watch, as, list, record) {
    if (record === undefined || record.kind !== as) return;
    const status = list.status;
    const object = record.object;
    if (status === PENDING) {
      const rule = as === FORWARD ? 'FWD-019' : 'NBL-015';
      watch.breach(rule, 'target', object, 'a status in every completed list', 'none written');
    } else if (as === SEND && status === PAUSED) {
      const rules = watch.ledger.isPaused ? ['SEND-044', 'EVT-037'] : 'SEND-044';
      watch.breach(rules, 'target', object, 'UPLOAD_IN_PROGRESS for sends that a pause stops', 'PAUSED');
    } else if (!LEGAL[as]!.includes(status)) {
      const expected = LEGAL[as]!.map(ndisStatusName).join(', ');
      // No room is no reason to give a send back.
      const rules = as === SEND && status === NdisStatus.RESOURCES ? ['SEND-006', 'SEND-018'] : ILLEGAL[as]!;
      watch.breach(rules, 'target', object, expected, ndisStatusName(status));
    } else checkMoment(watch, as, list, record);
  },
};

function checkMoment(watch: Watch, as: DataOperation, list: NetBufferList, record: ListRecord): void {
  const { status } = list;
  const object = record.object;
  const isEnded = object.hasAborted || object.hasAbortive || object.isCorrupt;
  if (status === REQUEST_ABORTED && as === SEND && !isEnded) {
    const isBack = object.phase === Phase.TERMINATING;
    watch.breach(
      isBack ? ['TERM-057', 'SEND-022', 'DISC-040'] : 'DISC-040',
      'target',
      object,
      'REQUEST_ABORTED after TcpIndicateAbort or an abortive close',
      'neither',
    );
  }
  if (as === RECEIVE) {
    if (status === INVALID_STATE && !record.isAfterDisconnect && !object.hasPeerFinished) {
      watch.breach(
        'RECV-065',
        'target',
        object,
        'INVALID_STATE only for posts after TcpIndicateDisconnect',
        'another post',
      );
    } else if (status === SUCCESS && record.isAfterDisconnect) {
      watch.breach('RECV-065', 'target', object, 'INVALID_STATE for posts after TcpIndicateDisconnect', 'SUCCESS');
    }
  }
  // How a corrupt connection ends has rules of its own (TERM-024).
  const isServed = as === SEND || ((as === RECEIVE || as === FORWARD) && !object.isCorrupt);
  if (isServed && status === SUCCESS && record.isAfterMandatory && record.bytes > 0) {
    const seen = `the list of a ${DATA_CALL_NAMES[as]!} after it with SUCCESS`;
    const isForWant = record.reasonBefore === TcpUploadReason.UPLOAD_REQUESTED;
    const rules = isForWant ? ['EVT-019', as === FORWARD ? 'FWD-021' : 'INIT-079'] : 'EVT-019';
    watch.breach(rules, 'target', object, 'no processing after a Retrieve with a mandatory reason', seen);
  }
}

/** What an IM driver says of a list that it did not pass on. */
function wasRefused(status: number): boolean {
  return status === REQUEST_UPLOAD || status === UPLOAD_REQUESTED;
}

/** The count of bytes, the start of the data and the status agree. */
const bytes: Checker = {
  about: 'bytes of completed lists',
  must: [
    ...['SEND-017', 'SEND-021', 'SEND-024', 'SEND-025', 'RECV-043', 'RECV-066', 'RECV-067'],
    ...['DISC-024', 'DISC-028', 'DISC-029', 'NBL-016', 'NBL-017'],
  ],
  listCompleted(watch, as, list, record) {
    if (record === undefined || record.kind !== as || as === FORWARD) return;
    if (as === DISCONNECT && record.flags !== TcpDisconnectFlag.GRACEFUL_CLOSE) return;
    if (list.firstNetBuffer !== record.firstNetBuffer || list.status === PENDING || wasRefused(list.status)) return;
    checkBytes(watch, as, list, record);
  },
};

/** By DataOperation: SUCCESS without all bytes; a wrong count; a wrong start of data. */
const BYTE_RULES = [
  ['SEND-017', 'SEND-024', 'SEND-025'],
  ['', 'RECV-066', 'RECV-067'],
  ['DISC-024', 'DISC-028', 'DISC-029'],
];

function checkBytes(watch: Watch, as: DataOperation, list: NetBufferList, record: ListRecord): void {
  const object = record.object;
  const [short, count, start] = BYTE_RULES[as] as [string, string, string];
  const told = list.tcpOffloadBytesTransferred;
  const advanced = record.bytes - dataLengthOf(list);
  // The count may go on from what an earlier owner had transferred.
  const isFull = told === record.bytes || told === record.bytes + record.bytesBefore;
  const agrees = told === advanced || told === advanced + record.bytesBefore;
  const seen = `TcpOffloadBytesTransferred ${told}, data start advanced by ${advanced} of ${record.bytes}`;
  if (as === RECEIVE && record.bytes === 0 && told !== 0) {
    watch.breach('RECV-043', 'target', object, 'no bytes in a receive of none', seen);
  } else if (told === record.bytesBefore && advanced > 0 && told !== advanced) {
    watch.breach('NBL-016', 'target', object, 'TcpOffloadBytesTransferred set in each list', seen);
  } else if (told < 0 || told > record.bytes + record.bytesBefore) {
    watch.breach(count, 'target', object, 'at most the bytes that were posted', seen);
  } else if (short !== '' && list.status === SUCCESS && !isFull) {
    const isPart = as === SEND && told > record.bytesBefore;
    const rule = agrees ? (isPart ? 'SEND-021' : short) : count;
    watch.breach(rule, 'target', object, 'all bytes transferred where the status is SUCCESS', seen);
  } else if (!agrees) {
    // Advanced by another number, or not at all.
    const rule = as === SEND && advanced !== 0 ? 'NBL-017' : start;
    watch.breach(rule, 'target', object, 'the data start advanced by the bytes reported', seen);
  }
}

/** After one send of a connection has failed. */
const failedSends: Checker = {
  about: 'sends behind a failed one',
  must: [],
  should: ['SEND-019', 'SEND-020'],
  listCompleted(watch, as, list, record) {
    if (record === undefined || record.kind !== as || as !== SEND) return;
    const object = record.object;
    if (object.failedSend < 0 || record.order < object.failedSend || record.bytes === 0) return;
    const sent = list.tcpOffloadBytesTransferred > record.bytesBefore;
    if (list.status === SUCCESS) {
      watch.breach('SEND-019', 'target', object, 'all lists behind a failed one failed', 'SUCCESS');
    } else if (sent && object.hasPartialSend && !wasRefused(list.status)) {
      watch.breach('SEND-020', 'target', object, 'at most one list sent in part', 'a second one');
    }
  },
};

/** Disconnects come after the sends before them. */
const disconnects: Checker = {
  about: 'sends outstanding at the completion of a disconnect',
  must: ['DISC-008', 'DISC-023'],
  listCompleted(watch, as, list, record) {
    if (record === undefined || record.kind !== as || as !== DISCONNECT) return;
    const object = record.object;
    let before = 0;
    for (const send of object.lists(SEND)) if (send.call < record.call) before++;
    if (before === 0) return;
    const isAbortive = record.flags === TcpDisconnectFlag.ABORTIVE_CLOSE;
    // While a connection is uploaded its sends may go up in the chain afterwards.
    if (!isAbortive && list.status === UPLOAD_IN_PROGRESS) return;
    const rule = isAbortive ? 'DISC-008' : 'DISC-023';
    watch.breach(rule, 'target', object, 'all sends completed before the disconnect', `${before} outstanding`);
  },
};

export const COMPLETION_CHECKERS: readonly Checker[] = [routes, orders, statuses, bytes, failedSends, disconnects];
