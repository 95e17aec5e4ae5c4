/**
 * Checkers of data calls: what the host may post, in what shape and when; what the target answers to the call.
 */

import { DATA_CALL_NAMES, DataOperation, NdisStatus, ndisStatusName, TcpDisconnectFlag } from '../../ndis/protocol.ts';
import { dataLengthOf, type NetBufferList } from '../../state/net-buffer-list.ts';
import type { Checker, DataCall, Watch } from '../checker.ts';
import { Phase } from '../records.ts';

const { SEND, RECEIVE, DISCONNECT, FORWARD } = DataOperation;

/** By DataOperation: not while the connection is being offloaded; not while, nor after, it is terminated. */
const DURING_INITIATE = [['INIT-042'], ['INIT-043'], [], ['INIT-048', 'FWD-008']];
const DURING_TERMINATE = [['TERM-030'], ['TERM-030'], ['TERM-029'], ['FWD-010', 'FWD-022', 'TERM-040']];

/** Data calls only on connections that are offloaded. */
const phase: Checker = {
  about: 'when data calls are allowed',
  must: [
    'INIT-042',
    'INIT-043',
    'INIT-048',
    'FWD-008',
    'FWD-010',
    'FWD-022',
    'TERM-029',
    'TERM-040',
    'CTX-015',
    'DISC-032',
  ],
  should: ['TERM-030'],
  dataCall(watch, call) {
    const { object, operation } = call;
    const name = DATA_CALL_NAMES[operation]!;
    if (object.phase === Phase.INITIATING && operation !== DISCONNECT) {
      watch.breach(DURING_INITIATE[operation]!, 'host', object, 'no such call before the offload has completed', name);
    } else if (object.phase === Phase.TERMINATING) {
      watch.breach(DURING_TERMINATE[operation]!, 'host', object, 'no such call once terminate was called', name);
    } else if (object.phase === Phase.ABSENT) {
      watch.breach('CTX-015', 'host', object, 'calls on offloaded connections only', `${name} on one that is not`);
    }
    if (operation === DISCONNECT && (object.failedDisconnects & call.flags) !== 0) {
      watch.breach('DISC-032', 'host', object, 'no second try of a disconnect that failed', name);
    }
  },
};

/** By DataOperation. */
const SERIAL = ['SEND-010', 'RECV-010', '', ''];
const OWNED = [['NBL-001', 'SEND-009'], ['NBL-002'], ['NBL-004'], ['NBL-003', 'FWD-016']];

/** One call at a time, and only lists that are the host's. */
const posting: Checker = {
  about: 'serial posting of lists that are free',
  must: ['SEND-010', 'RECV-010', ...OWNED.flat()],
  dataCall(watch, call) {
    const { object, operation } = call;
    if (SERIAL[operation] !== '' && object.callInside[operation] !== 0) {
      const name = DATA_CALL_NAMES[operation]!;
      watch.breach(SERIAL[operation]!, 'host', object, `${name} one at a time on a connection`, 'a second one inside');
    }
    for (const list of call.lists) {
      const record = watch.ledger.lists.get(list);
      if (record === undefined) continue;
      const seen = `one posted with call #${record.call} and not back`;
      watch.breach(OWNED[record.kind]!, 'host', object, 'a list that is not with the target', seen);
    }
  },
};

/** The shape of posted lists. */
const shapes: Checker = {
  about: 'the shape of posted lists',
  must: [
    ...[
      'EVT-028',
      'FWD-011',
      'RECV-004',
      'RECV-056',
      'DISC-003',
      'DISC-004',
      'DISC-013',
      'FWD-012',
      'FWD-013',
      'SEND-004',
      'NBL-012',
    ],
  ],
  dataCall(watch, call) {
    for (const list of call.lists) {
      if (call.operation === RECEIVE) checkReceive(watch, call, list);
      else if (call.operation === FORWARD) checkForward(watch, call, list);
      else if (call.operation === SEND && list.firstNetBuffer === null) {
        watch.breach('SEND-004', 'host', call.object, 'at least one NET_BUFFER in a send list', 'none');
      }
    }
    if (call.operation === DISCONNECT) checkDisconnect(watch, call);
    if (call.operation === SEND) checkBacklog(watch, call);
  },
};

/** About as many bytes outstanding as the target has told: a post comes when there are fewer. */
function checkBacklog(watch: Watch, { object }: DataCall): void {
  const { idealBacklog, sendBytesOut } = object;
  if (idealBacklog <= 0 || sendBytesOut < 2 * idealBacklog) return;
  const expected = `about ${idealBacklog} bytes of sends outstanding`;
  watch.breach('EVT-028', 'host', object, expected, `another send with ${sendBytesOut} outstanding`);
}

function hasOneBuffer(list: NetBufferList): boolean {
  return list.firstNetBuffer !== null && list.firstNetBuffer.next === null;
}

function checkReceive(watch: Watch, call: DataCall, list: NetBufferList): void {
  if (!hasOneBuffer(list)) {
    watch.breach(['RECV-004', 'NBL-012'], 'host', call.object, 'one NET_BUFFER in a posted receive', 'another number');
  }
  if (!list.tcpReceiveNoPush && list.tcpReceiveBytesTransferred !== 0) {
    const seen = `${list.tcpReceiveBytesTransferred} bytes in push mode`;
    watch.breach('RECV-056', 'host', call.object, 'data only in receives of nonpush mode', seen);
  }
}

/** Shortest TCP header, bytes. */
const TCP_HEADER = 20;

function checkForward(watch: Watch, call: DataCall, list: NetBufferList): void {
  if (!hasOneBuffer(list)) {
    watch.breach(
      ['FWD-013', 'NBL-012'],
      'host',
      call.object,
      'one NET_BUFFER with one segment in a forwarded list',
      'another number',
    );
    return;
  }
  const nb = list.firstNetBuffer!;
  const mdl = nb.currentMdl;
  if (nb.dataLength < TCP_HEADER || mdl === null || mdl.byteCount - nb.currentMdlOffset < TCP_HEADER) {
    watch.breach('FWD-012', 'host', call.object, 'a TCP header in the first MDL', `${nb.dataLength} bytes`);
    return;
  }
  const at = mdl.byteOffset + nb.currentMdlOffset;
  // What stands where a data offset belongs tells an IP header from a TCP header well enough.
  const words = mdl.buffer[at + 12]! >> 4;
  if (words < 5 || words * 4 > nb.dataLength) {
    watch.breach(
      ['FWD-011', 'FWD-012'],
      'host',
      call.object,
      'data that begins with the TCP header',
      `a data offset of ${words} words`,
    );
  }
}

function checkDisconnect(watch: Watch, call: DataCall): void {
  const { object, flags, lists } = call;
  if (lists.length !== 1 || !hasOneBuffer(lists[0]!)) {
    const rules = lists.length === 1 ? ['DISC-003', 'NBL-012'] : 'DISC-003';
    watch.breach(rules, 'host', object, 'one list with one NET_BUFFER', 'another shape');
  }
  if (flags !== TcpDisconnectFlag.ABORTIVE_CLOSE && flags !== TcpDisconnectFlag.GRACEFUL_CLOSE) {
    watch.breach('DISC-004', 'host', object, 'ABORTIVE_CLOSE or GRACEFUL_CLOSE', `flags ${flags}`);
  } else if (flags === TcpDisconnectFlag.ABORTIVE_CLOSE && dataLengthOf(lists[0]!) !== 0) {
    watch.breach('DISC-013', 'host', object, 'no data in an abortive disconnect', `${dataLengthOf(lists[0]!)} bytes`);
  }
}

/** By DataOperation. */
const PENDING_ONLY = ['SEND-001', 'RECV-001', 'DISC-001', 'FWD-001'];

/** The target's entries answer PENDING, and complete later. */
const answers: Checker = {
  about: 'what data entries answer',
  must: PENDING_ONLY,
  should: ['RECV-082'],
  dataCallDone(watch, call, status) {
    if (status === NdisStatus.PENDING) return;
    const rule = PENDING_ONLY[call.operation]!;
    watch.breach(rule, 'target', call.object, 'PENDING from the entry point', ndisStatusName(status));
  },
  receiveReturnDone(watch, status) {
    if (status === NdisStatus.SUCCESS) return;
    watch.breach('RECV-082', 'target', null, 'SUCCESS from MiniportTcpOffloadReceiveReturn', ndisStatusName(status));
  },
};

export const POSTING_CHECKERS: readonly Checker[] = [phase, posting, shapes, answers];
