/** Breaches of the rules about data calls, completions, events and terminates, one each. */

import { asSeq } from '../../src/base/seq.ts';
import type { OffloadBlock } from '../../src/ndis/offload-block.ts';
import {
  IndicateOffloadEvent,
  NdisStatus,
  OffloadStateType,
  TcpDisconnectFlag,
  TcpOffloadEventType,
  TcpUploadReason,
} from '../../src/ndis/status.ts';
import { DataOperation, StateOperation } from '../../src/ndis/tap.ts';
import type { NeighborCachedState, NeighborDelegatedState } from '../../src/state/neighbor.ts';
import { NetBuffer, NetBufferList } from '../../src/state/net-buffer-list.ts';
import { TcpConnectionState, type TcpDelegatedState } from '../../src/state/tcp.ts';
import { chainOf, connectionTree, data, neighborBlock, reference } from '../ndis/fakes.ts';
import { type Breach, breach, freshTree, type Scene } from './scene.ts';

const { SEND, RECEIVE, DISCONNECT, FORWARD } = DataOperation;
const { SUCCESS, REQUEST_ABORTED, UPLOAD_IN_PROGRESS, INVALID_STATE, FAILURE, PENDING } = NdisStatus;
const { TERMINATE, UPDATE } = StateOperation;
const { INDICATE_DISCONNECT, INDICATE_RETRIEVE, INDICATE_ABORT, INDICATE_SEND_BACKLOG_CHANGE } = TcpOffloadEventType;

/** A segment: a list that looks like a TCP header. */
function segment(bytes = 20): NetBufferList {
  const list = data(bytes);
  if (bytes > 12) list.firstNetBuffer!.mdlChain!.buffer[12] = 0x50;
  return list;
}

function twoBuffers(): NetBufferList {
  const list = data(10);
  list.firstNetBuffer!.next = new NetBuffer(null, 0);
  return list;
}

/** Lists by DataOperation, each rightly made, with its flags. */
function postAny(s: Scene, operation: DataOperation): NetBufferList {
  const list = operation === FORWARD ? segment() : operation === DISCONNECT ? data(0) : data(10);
  s.post(operation, list, operation === DISCONNECT ? TcpDisconnectFlag.GRACEFUL_CLOSE : 0);
  return list;
}

/** One breach by DataOperation; '' for none. */
function ofEach(rules: readonly string[], how: string, act: (s: Scene, operation: DataOperation) => void): Breach[] {
  const all = rules.map((rule, operation) => breach(rule, how, (s) => act(s.offload(), operation as DataOperation)));
  return all.filter((b) => b.rule !== '');
}

const ENTRIES = ['tcpOffloadSend', 'tcpOffloadReceive', 'tcpOffloadDisconnect', 'tcpOffloadForward'] as const;

export const POSTING_BREACHES: readonly Breach[] = [
  ...['INIT-042', 'INIT-043', '', 'INIT-048'].flatMap((rule, operation) =>
    rule === ''
      ? []
      : breach(rule, 'a data call during the initiate', (s) => {
          s.bind();
          const { root, handles } = connectionTree();
          s.handles = handles;
          s.initiate(root);
          s.attempt(() => postAny(s, operation as DataOperation));
        }),
  ),
  ...ofEach(['TERM-030', 'TERM-030', 'TERM-029', 'FWD-010'], 'a data call during the terminate', (s, operation) => {
    s.call(TERMINATE);
    postAny(s, operation);
  }),
  ...ofEach(['CTX-015', 'CTX-015', 'CTX-015', 'CTX-015'], 'a data call after the terminate', (s, operation) => {
    s.terminate();
    s.attempt(() => postAny(s, operation));
  }),
  breach('DISC-032', 'a second graceful close after one that failed', (s) => {
    s.offload();
    s.complete(DISCONNECT, s.graceful(), UPLOAD_IN_PROGRESS, 0);
    s.graceful();
  }),
  ...ofEach(['SEND-010', 'RECV-010', '', ''], 'a call inside another on the same connection', (s, operation) => {
    const entry = s.target[ENTRIES[operation]].bind(s.target) as (...args: unknown[]) => number;
    let isFirst = true;
    s.target[ENTRIES[operation]] = ((...args: unknown[]) => {
      if (isFirst) {
        isFirst = false;
        postAny(s, operation);
      }
      return entry(...args);
    }) as never;
    postAny(s, operation);
  }),
  ...ofEach(['NBL-001', 'NBL-002', '', 'NBL-003'], 'a list posted while the target has it', (s, operation) => {
    s.post(operation, postAny(s, operation));
  }),
  breach('NBL-004', 'a disconnect list posted for sending', (s) => {
    s.offload();
    s.post(SEND, s.graceful());
  }),
  breach('RECV-004', 'a receive of two buffers', (s) => s.offload().post(RECEIVE, twoBuffers())),
  breach('RECV-056', 'data in a receive of push mode', (s) => {
    const list = data(10);
    list.tcpReceiveBytesTransferred = 3;
    s.offload().post(RECEIVE, list);
  }),
  breach('SEND-004', 'a send list without a buffer', (s) => s.offload().post(SEND, new NetBufferList(null))),
  breach('DISC-003', 'a disconnect of two buffers', (s) => {
    s.offload().post(DISCONNECT, twoBuffers(), TcpDisconnectFlag.GRACEFUL_CLOSE);
  }),
  breach('DISC-004', 'a disconnect of both kinds', (s) => s.offload().post(DISCONNECT, data(0), 3)),
  breach('DISC-013', 'data in an abortive disconnect', (s) => {
    s.offload().post(DISCONNECT, data(4), TcpDisconnectFlag.ABORTIVE_CLOSE);
  }),
  breach('FWD-012', 'a forwarded list that is too short for a header', (s) => s.offload().post(FORWARD, data(12))),
  breach('FWD-012', 'a forwarded IP datagram', (s) => {
    const datagram = data(60);
    datagram.firstNetBuffer!.mdlChain!.buffer.set([0x45, 0, 0, 60]);
    s.offload().post(FORWARD, datagram);
  }),
  breach('FWD-013', 'two segments in a forwarded list', (s) => s.offload().post(FORWARD, twoBuffers())),
  ...ofEach(
    ['SEND-001', 'RECV-001', 'DISC-001', 'FWD-001'],
    'an entry that does not answer PENDING',
    (s, operation) => {
      s.target[ENTRIES[operation]] = () => SUCCESS;
      postAny(s, operation);
    },
  ),
  breach('RECV-082', 'a receive return that fails', (s) => {
    s.offload();
    const list = s.indicate();
    s.target.tcpOffloadReceiveReturn = () => FAILURE;
    s.returnLists(list);
  }),
];

/** A completion with a status, bytes and data start of its own. */
function completed(
  rule: string,
  how: string,
  operation: DataOperation,
  status: number,
  told: number,
  advanced: number,
): Breach {
  return breach(rule, how, (s) => {
    s.offload();
    const list = operation === DISCONNECT ? s.graceful(10) : postAny(s, operation);
    list.status = status;
    list.tcpOffloadBytesTransferred = told;
    list.firstNetBuffer!.dataLength -= advanced;
    s.completeAsItIs(operation, list);
  });
}

export const COMPLETION_BREACHES: readonly Breach[] = [
  ...ofEach(['SEND-002', 'RECV-003', 'DISC-001', 'FWD-001'], 'a completion inside the entry', (s, operation) => {
    s.target[ENTRIES[operation]] = ((_context: unknown, _object: unknown, list: NetBufferList) => {
      const bytes = operation === SEND || operation === RECEIVE ? 10 : 0;
      s.complete(operation, list, SUCCESS, bytes);
      return PENDING;
    }) as never;
    postAny(s, operation);
  }),
  ...ofEach(['SEND-002', 'RECV-044', 'DISC-001', 'FWD-001'], 'a list that never comes back', (s, operation) => {
    postAny(s, operation);
    s.verifier.finish();
  }),
  breach('NBL-009', 'a send completed twice', (s) => {
    s.offload();
    const list = s.send(10);
    s.complete(SEND, list, SUCCESS, 10);
    s.completeAsItIs(SEND, list);
  }),
  breach('NBL-010', 'a completion of a list that was never posted', (s) => s.offload().completeAsItIs(SEND, data(1))),
  breach('NBL-010', 'a list that comes back with another buffer', (s) => {
    s.offload();
    const list = s.send(10);
    list.firstNetBuffer = new NetBuffer(null, 0);
    s.complete(SEND, list, SUCCESS, 10);
  }),
  breach('NBL-011', 'a receive completed as a send', (s) => {
    s.offload();
    s.complete(SEND, s.receive(10), SUCCESS, 10);
  }),
  breach('NBL-011', 'an indicated list completed as a receive', (s) => {
    s.offload();
    s.completeAsItIs(RECEIVE, s.indicate());
  }),
  breach('DISC-030', 'a send that comes back through the disconnect completion', (s) => {
    s.offload();
    s.complete(DISCONNECT, s.send(10), SUCCESS, 10);
  }),
  breach('NBL-021', 'sends completed out of order', (s) => {
    s.offload();
    s.send(10);
    s.complete(SEND, s.send(10), SUCCESS, 10);
  }),
  breach('RECV-009', 'receives completed out of order', (s) => {
    s.offload();
    s.receive(10);
    s.complete(RECEIVE, s.receive(10), SUCCESS, 10);
  }),
  completed('SEND-018', 'a send with a status of no send', SEND, FAILURE, 0, 0),
  completed('RECV-063', 'a receive with a status of no receive', RECEIVE, FAILURE, 0, 0),
  completed('DISC-031', 'a disconnect that fails for another reason', DISCONNECT, NdisStatus.RESOURCES, 0, 0),
  completed('FWD-019', 'a forward with a status of no forward', FORWARD, NdisStatus.PAUSED, 0, 0),
  completed('FWD-019', 'a forward without a status', FORWARD, PENDING, 0, 0),
  breach('NBL-015', 'a send without a status', (s) => {
    s.offload();
    const list = s.send(10);
    s.completeAsItIs(SEND, list);
  }),
  completed('SEND-044', 'a send that a pause stopped', SEND, NdisStatus.PAUSED, 0, 0),
  completed('DISC-040', 'a send aborted before the event', SEND, REQUEST_ABORTED, 0, 0),
  completed('RECV-065', 'a receive INVALID_STATE before any disconnect', RECEIVE, INVALID_STATE, 0, 0),
  breach('RECV-065', 'a receive posted after the disconnect event that succeeds', (s) => {
    s.offload().event(INDICATE_DISCONNECT);
    s.complete(RECEIVE, s.receive(10), SUCCESS, 10);
  }),
  breach('EVT-019', 'a send carried out after a mandatory Retrieve', (s) => {
    s.offload().event(INDICATE_RETRIEVE, TcpUploadReason.UPLOAD_REQUESTED);
    s.complete(SEND, s.send(10), SUCCESS, 10);
  }),
  breach('EVT-019', 'a segment forwarded after a mandatory Retrieve that is processed', (s) => {
    s.offload().event(INDICATE_RETRIEVE, TcpUploadReason.UPLOAD_REQUESTED);
    const list = segment();
    s.post(FORWARD, list);
    s.complete(FORWARD, list, SUCCESS, 0);
  }),
  completed('SEND-017', 'a send that succeeds without a byte', SEND, SUCCESS, 0, 0),
  completed('SEND-021', 'a send that succeeds in part', SEND, SUCCESS, 6, 6),
  completed('SEND-024', 'a send with more bytes than it had', SEND, UPLOAD_IN_PROGRESS, 11, 10),
  completed('SEND-025', 'a send whose data start stands still', SEND, SUCCESS, 10, 0),
  completed('RECV-066', 'a receive with more bytes than it has room', RECEIVE, SUCCESS, 11, 10),
  completed('RECV-067', 'a receive whose data start stands still', RECEIVE, SUCCESS, 10, 0),
  completed('DISC-024', 'a close that succeeds in part', DISCONNECT, SUCCESS, 6, 6),
  completed('DISC-028', 'a close with more bytes than it had', DISCONNECT, UPLOAD_IN_PROGRESS, 11, 10),
  completed('DISC-029', 'a close whose data start stands still', DISCONNECT, UPLOAD_IN_PROGRESS, 5, 0),
  breach('SEND-019', 'a send that succeeds behind one that failed', (s) => {
    s.offload();
    const lists = [s.send(10), s.send(10)];
    s.complete(SEND, lists[0]!, UPLOAD_IN_PROGRESS, 0);
    s.complete(SEND, lists[1]!, SUCCESS, 10);
  }),
  breach('SEND-020', 'two sends carried out in part', (s) => {
    s.offload();
    const lists = [s.send(10), s.send(10)];
    for (const list of lists) s.complete(SEND, list, UPLOAD_IN_PROGRESS, 5);
  }),
  breach('DISC-008', 'an abortive disconnect completed before the sends', (s) => {
    s.offload();
    s.send(10);
    s.complete(DISCONNECT, s.abortive(), SUCCESS, 0);
  }),
  breach('DISC-023', 'a graceful disconnect completed before the sends', (s) => {
    s.offload();
    s.send(10);
    s.complete(DISCONNECT, s.graceful(), SUCCESS, 0);
  }),
];

/** The block of a question about a neighbor that is stale. */
function staleBlock(s: Scene): OffloadBlock {
  const block = neighborBlock(s.handles.neighbor);
  block.ndisOffloadHandle = s.handles.neighbor;
  (block.cachedState as NeighborCachedState).hostReachabilityDelta = 1_000_000;
  (block.delegatedState as NeighborDelegatedState).nicReachabilityDelta = 1_000_000;
  return block;
}

/** A reachability query with something wrong. */
function reachability(rule: string, how: string, change: (block: OffloadBlock) => void): Breach {
  return breach(rule, how, (s) => {
    s.offload();
    const block = staleBlock(s);
    change(block);
    const code = IndicateOffloadEvent.NEIGHBOR_REACHABILITY_QUERY;
    s.target.ndisM.offloadEventIndicate(s.target.handle, block, code);
  });
}

export const EVENT_BREACHES: readonly Breach[] = [
  breach('EVT-002', 'an event of no type', (s) => s.offload().event(9)),
  breach('EVT-005', 'a Retrieve without a reason', (s) => s.offload().event(INDICATE_RETRIEVE, 0)),
  breach('EVT-007', 'an event on a terminated connection', (s) => {
    s.offload().terminate();
    s.event(INDICATE_ABORT);
  }),
  breach('EVT-023', 'a discretionary Retrieve in FIN-WAIT', (s) => {
    s.offload().graceful();
    s.event(INDICATE_RETRIEVE, TcpUploadReason.LOW_ACTIVITY);
  }),
  breach('EVT-023', 'a discretionary Retrieve of a connection offloaded in CLOSE-WAIT', (s) => {
    s.offload(({ tcp }) => {
      (tcp.delegatedState as TcpDelegatedState).state = TcpConnectionState.CLOSE_WAIT;
    });
    s.event(INDICATE_RETRIEVE, TcpUploadReason.SMALL_IO);
  }),
  breach('EVT-025', 'the same backlog told twice', (s) => {
    s.offload();
    s.event(INDICATE_SEND_BACKLOG_CHANGE, 4096);
    s.event(INDICATE_SEND_BACKLOG_CHANGE, 4096);
  }),
  breach('INIT-054', 'an event inside the completion of the initiate', (s) => {
    s.host.onInitiated = () => s.event(INDICATE_ABORT);
    s.offload();
  }),
  breach('CTX-011', 'an abort of a path', (s) => {
    s.offload();
    s.target.events.tcpOffloadEventHandler(s.handles.path, INDICATE_ABORT, 0);
  }),
  breach('TERM-006', 'a Retrieve of a neighbor', (s) => {
    s.offload();
    s.target.events.tcpOffloadEventHandler(s.handles.neighbor, INDICATE_RETRIEVE, TcpUploadReason.UPLOAD_REQUESTED);
  }),
  breach('INIT-052', 'a status during an initiate', (s) => {
    s.bind().initiate(freshTree(1));
    s.target.ndisM.indicateStatusEx(s.target.handle, { statusCode: NdisStatus.OFFLOAD_PAUSE });
  }),
  breach('INIT-053', 'a reachability query during an initiate', (s) => {
    s.offload().initiate(freshTree(1));
    const block = staleBlock(s);
    s.target.ndisM.offloadEventIndicate(s.target.handle, block, 1);
  }),
  breach('EVT-048', 'the reserved indication code', (s) =>
    s.offload().target.ndisM.offloadEventIndicate(s.target.handle, null, 2),
  ),
  breach('EVT-047', 'an indication code of nothing', (s) =>
    s.offload().target.ndisM.offloadEventIndicate(s.target.handle, null, 7),
  ),
  breach(
    'NBR-018',
    'a block with another code',
    (s) => {
      s.offload();
      const block = staleBlock(s);
      s.target.ndisM.offloadEventIndicate(s.target.handle, block, 2);
    },
    'EVT-048',
  ),
  breach('NBR-012', 'a query without a block', (s) =>
    s.offload().target.ndisM.offloadEventIndicate(s.target.handle, null, 1),
  ),
  reachability('NBR-012', 'a query without delegated state', (block) => {
    block.delegatedState = null;
  }),
  reachability('NBR-013', 'a query with a tree', (block) => {
    block.dependentBlockList = reference(block.ndisOffloadHandle!, OffloadStateType.IP4);
  }),
  reachability('NBR-014', 'a query of another type', (block) => {
    block.header.type = OffloadStateType.NEIGHBOR_CACHED;
  }),
  reachability('NBR-015', 'a query without a status', (block) => {
    block.status = FAILURE;
  }),
  reachability('NBR-017', 'a query with a sibling', (block) => {
    block.nextBlock = neighborBlock(block.ndisOffloadHandle!);
  }),
  reachability('CTX-018', 'a query that does not say which neighbor', (block) => {
    block.ndisOffloadHandle = null;
  }),
];

/** A terminate completed while something is out. */
function tooEarly(rule: string, how: string, before: (s: Scene) => void): Breach {
  return breach(rule, how, (s) => {
    s.offload();
    before(s);
    s.target.upload = () => {};
    s.terminate();
  });
}

export const TERMINATE_BREACHES: readonly Breach[] = [
  breach(
    'TERM-031',
    'a terminate completed before the update that it waits for',
    (s) => {
      s.offload();
      s.call(UPDATE);
      s.terminate();
    },
    'TERM-028',
  ),
  tooEarly('TERM-032', 'a terminate completed before a receive', (s) => void s.receive(10)),
  tooEarly('TERM-033', 'a terminate completed before a disconnect', (s) => void s.graceful()),
  tooEarly('TERM-034', 'a terminate completed before a forward', (s) => s.post(FORWARD, segment())),
  tooEarly('TERM-035', 'a terminate that leaves a send behind', (s) => void s.send(10)),
  breach('TERM-036', 'a terminate completed inside an event', (s) => {
    s.offload();
    s.host.tcpOffloadEvent = () => s.terminate();
    s.event(INDICATE_RETRIEVE, TcpUploadReason.UPLOAD_REQUESTED);
  }),
  breach('TERM-036', 'a terminate completed inside a status indication', (s) => {
    s.offload();
    s.host.statusEx = () => s.terminate();
    s.target.ndisM.indicateStatusEx(s.target.handle, { statusCode: NdisStatus.UPLOAD_ALL });
  }),
  breach('TERM-048', 'a list of the host as BufferedData', (s) => {
    s.offload();
    const list = s.indicate();
    s.terminate((_root, tcp) => {
      (tcp.delegatedState as TcpDelegatedState).bufferedData = list;
    });
  }),
  breach('TERM-052', 'sends chained in another order', (s) => {
    s.offload();
    const lists = [s.send(1), s.send(2)];
    s.terminate((_root, tcp) => {
      tcp.netBufferListChain = chainOf([lists[1]!, lists[0]!]);
      const delegated = tcp.delegatedState as TcpDelegatedState;
      delegated.sendDataHead = lists[1]!;
      delegated.sendDataTail = lists[0]!;
    });
  }),
  breach('TERM-053', 'a list in the chain that was not sent', (s) => {
    s.offload();
    s.send(1);
    s.terminate((_root, tcp) => {
      tcp.netBufferListChain!.next = data(1);
    });
  }),
  breach('TERM-054', 'a chain where nothing was outstanding', (s) => {
    s.offload();
    s.terminate((_root, tcp) => {
      tcp.netBufferListChain = data(1);
    });
  }),
  breach('TERM-055', 'a chain without SendDataHead', (s) => {
    s.offload();
    s.send(1);
    s.terminate((_root, tcp) => {
      (tcp.delegatedState as TcpDelegatedState).sendDataHead = null;
    });
  }),
  breach('TERM-056', 'a chain with SndMax before SndNxt', (s) => {
    s.offload();
    s.send(1);
    s.terminate((_root, tcp) => {
      (tcp.delegatedState as TcpDelegatedState).sndMax = asSeq(0);
    });
  }),
  breach('TERM-023', 'an Abort before the Retrieve of a corrupt connection', (s) => {
    s.offload().terminate((root) => {
      root.dependentBlockList!.dependentBlockList!.status = FAILURE;
    });
    s.event(INDICATE_ABORT);
  }),
  breach('TERM-024', 'a send of a corrupt connection that is not aborted', (s) => {
    s.offload();
    const list = s.send(10);
    s.target.upload = () => {};
    s.terminate((root) => {
      root.dependentBlockList!.dependentBlockList!.status = FAILURE;
    });
    s.event(INDICATE_RETRIEVE, TcpUploadReason.HARDWARE_FAILURE);
    s.event(INDICATE_ABORT);
    s.call(TERMINATE);
    s.complete(SEND, list, UPLOAD_IN_PROGRESS, 0);
  }),
];
