/**
 * Checkers of how lists come back while a connection ends: taken back, aborted, asked for, or put to sleep; and of a driver between
 * that has no memory to pass a send on. The statuses as such are in completions.ts.
 */

import {
  DataOperation,
  NdisDevicePowerState,
  NdisStatus,
  ndisStatusName,
  type OffloadBlock,
  StateOperation,
  TcpDisconnectFlag,
  TcpOffloadEventType,
  TcpUploadReason,
} from '../../ndis/protocol.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import { TcpDelegatedState } from '../../state/tcp.ts';
import type { Checker, Watch } from '../checker.ts';
import { wasTaken } from '../ledger.ts';
import { AFTER_PEERS_FIN, type ListRecord, type ObjectRecord, Phase } from '../records.ts';

const { SEND, RECEIVE, DISCONNECT } = DataOperation;
const { SUCCESS, REQUEST_ABORTED, UPLOAD_IN_PROGRESS, REQUEST_UPLOAD, UPLOAD_REQUESTED } = NdisStatus;

/** What comes back by a terminate says so. */
const takenBack: Checker = {
  about: 'statuses of what an upload gives back',
  must: ['TERM-060', 'RECV-064', 'TERM-061', 'DISC-025'],
  stateComplete(watch, { operation, blocks }) {
    if (operation !== StateOperation.TERMINATE) return;
    for (const { block, object } of blocks) if (object !== null) checkEmpty(watch, object, block);
  },
  listCompleted(watch, as, list, record) {
    if (record === undefined || record.kind !== as || record.object.phase !== Phase.TERMINATING) return;
    const { object } = record;
    if (object.hasAborted || object.hasAbortive || object.isCorrupt) return;
    const seen = ndisStatusName(list.status);
    if (as === RECEIVE) {
      if (list.status === REQUEST_ABORTED) sayTakenBack(watch, object, seen);
    } else if (as === DISCONNECT && record.flags === TcpDisconnectFlag.GRACEFUL_CLOSE) {
      if (list.status !== REQUEST_ABORTED || object.retrieveReason === TcpUploadReason.TIMEOUT_EXPIRATION) return;
      const expected = 'UPLOAD_IN_PROGRESS in a disconnect that an upload gives back';
      watch.breach(['TERM-061', 'DISC-025'], 'target', object, expected, seen);
    }
  },
};

/** An empty SUCCESS is right where the peer has finished: that shows when the state comes up, if not before. */
function checkEmpty(watch: Watch, object: ObjectRecord, { delegatedState, status }: OffloadBlock): void {
  if (object.shortReceive !== 'empty' || object.hasPeerFinished || status !== SUCCESS) return;
  if (object.hasAborted || object.hasAbortive || object.isCorrupt) return;
  if (!(delegatedState instanceof TcpDelegatedState) || AFTER_PEERS_FIN.includes(delegatedState.state)) return;
  sayTakenBack(watch, object, 'SUCCESS and no data');
}

function sayTakenBack(watch: Watch, object: ObjectRecord, seen: string): void {
  const expected = 'UPLOAD_IN_PROGRESS in receives that an upload gives back';
  watch.breach(['TERM-060', 'RECV-064'], 'target', object, expected, seen);
}

/** After TcpIndicateAbort what was out comes back with REQUEST_ABORTED. */
const aborted: Checker = {
  about: 'what was out when the peer aborted',
  must: ['DISC-041', 'SEND-023'],
  listCompleted(watch, as, list, record) {
    if (record === undefined || record.kind !== as || (as !== SEND && as !== RECEIVE)) return;
    const { object } = record;
    if (object.abortedAt === 0 || record.call > object.abortedAt || object.isCorrupt || record.bytes === 0) return;
    // What is asked back besides is right to say so.
    if (object.isWantedByAll || object.hasMandatoryRetrieve) return;
    const isEmpty = list.tcpOffloadBytesTransferred === record.bytesBefore;
    const isWrong = list.status === UPLOAD_IN_PROGRESS || (as === RECEIVE && list.status === SUCCESS && isEmpty);
    if (!isWrong) return;
    const rule = as === SEND ? 'SEND-023' : 'DISC-041';
    watch.breach(rule, 'target', object, 'REQUEST_ABORTED after TcpIndicateAbort', ndisStatusName(list.status));
  },
};

/** Sends that a driver between could not pass on. */
const withoutMemory: Checker = {
  about: 'sends that a driver without memory gives back',
  must: ['IM-042'],
  listCompleted(watch, as, list, record) {
    if (record === undefined || as !== SEND || record.kind !== SEND) return;
    checkRefused(watch, list, record);
  },
};

function checkRefused(watch: Watch, { status }: NetBufferList, { isFirst, object }: ListRecord): void {
  if (status !== REQUEST_UPLOAD && status !== UPLOAD_REQUESTED) return;
  if ((status === REQUEST_UPLOAD) === isFirst) return;
  const expected = 'REQUEST_UPLOAD in the first list of the chain and UPLOAD_REQUESTED in all others';
  const seen = `${ndisStatusName(status)} in ${isFirst ? 'the first' : 'another'}`;
  watch.breach('IM-042', 'target', object, expected, seen);
}

/** The reason InvalidState is about an invalidated object. */
const invalidState: Checker = {
  about: 'the reason InvalidState',
  must: ['INV-009', 'EVT-009'],
  tcpEvent(watch, object, _handle, type, info) {
    if (type !== TcpOffloadEventType.INDICATE_RETRIEVE || info !== TcpUploadReason.INVALID_STATE) return;
    if (object === undefined || !watch.ledger.isWhole || object.phase === Phase.ABSENT) return;
    for (let one: ObjectRecord | null = object; one !== null; one = one.parent) {
      if (one.wasToInvalidate) return;
    }
    const expected = 'InvalidState for a connection that depends on an invalidated object';
    watch.breach(['INV-009', 'EVT-009'], 'target', object, expected, 'one that does not');
  },
};

/** Nothing is processed in a state of less power. */
const asleep: Checker = {
  about: 'what is processed in less than full power',
  must: ['PWR-005'],
  stateComplete(watch, { operation, blocks }) {
    if (operation !== StateOperation.INITIATE || !isAsleep(watch)) return;
    for (const { block, object } of blocks) {
      if (object !== null && object.layer === 2 && wasTaken(block.status)) say(watch, object, 'an offload');
    }
  },
  receiveIndicate(watch, { object }) {
    if (isAsleep(watch)) say(watch, object, 'an indication');
  },
  listCompleted(watch, as, list, record) {
    if (record === undefined || (as !== SEND && as !== RECEIVE) || list.status !== SUCCESS) return;
    if (isAsleep(watch) && list.tcpOffloadBytesTransferred > 0) say(watch, record.object, 'data');
  },
};

function isAsleep({ ledger }: Watch): boolean {
  return ledger.powerState !== NdisDevicePowerState.D0;
}

function say(watch: Watch, object: ObjectRecord, what: string): void {
  watch.breach('PWR-005', 'target', object, 'connections processed at full power only', `${what} in less`);
}

export const OUTCOME_CHECKERS: readonly Checker[] = [takenBack, aborted, withoutMemory, invalidState, asleep];
