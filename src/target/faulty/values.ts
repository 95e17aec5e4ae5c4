/** Faults of the values that a target hands up, of what it may only copy, and of what it answers about itself. */

import { seqAdd } from '../../base/seq.ts';
import { forEachBlock, NdisStatus, Oid, TcpOffloadEventType, type TcpOffloadStats } from '../../ndis/miniport.ts';
import { netBufferListOver } from '../../state/net-buffer-list.ts';
import { TcpConstState, TcpDelegatedState } from '../../state/tcp.ts';
import { answers } from './settings.ts';
import { type Fault, fault, onStateComplete, STATE, type StateNames } from './shim.ts';

const [INITIATE, TERMINATE, , QUERY] = STATE;
const { INDICATE_ABORT, INDICATE_DISCONNECT, INDICATE_SEND_BACKLOG_CHANGE } = TcpOffloadEventType;
const FAR = 1_000_000;

/** Changes the delegated state in completions of an operation. */
function writes(
  rule: string,
  how: string,
  names: StateNames,
  change: (delegated: TcpDelegatedState) => TcpDelegatedState | null,
  ...others: string[]
): Fault {
  return fault(
    rule,
    how,
    (shim) =>
      onStateComplete(shim, names, (root, former) => {
        forEachBlock(root, (block) => {
          if (!(block.delegatedState instanceof TcpDelegatedState)) return;
          block.delegatedState = change(block.delegatedState) ?? block.delegatedState;
        });
        former();
      }),
    ...others,
  );
}

function moved(delegated: TcpDelegatedState, by: number): null {
  delegated.sndUna = seqAdd(delegated.sndUna, by);
  delegated.sndNxt = seqAdd(delegated.sndNxt, by);
  delegated.sndMax = seqAdd(delegated.sndMax, by);
  return null;
}

/** Raises an event twice, as soon as there is a connection. */
function twice(rule: string, how: string, type: number): Fault {
  return fault(rule, how, (shim) =>
    shim.onLive((connection) => {
      shim.event(connection, type);
      shim.event(connection, type);
    }),
  );
}

export const VALUE_FAULTS: readonly Fault[] = [
  writes(
    'TERM-018',
    'says SUCCESS of a terminate and writes no state',
    TERMINATE,
    () => new TcpDelegatedState(),
    'TERM-055',
  ),
  writes('TERM-015', 'leaves CWnd out of what it hands up', TERMINATE, (delegated) => {
    delegated.cWnd = 0;
    return null;
  }),
  writes('QRY-008', 'says SUCCESS of a query and writes no state', QUERY, () => new TcpDelegatedState()),
  fault('STATE-001', 'answers a query with another port', (shim) =>
    onStateComplete(shim, QUERY, (root, former) => {
      forEachBlock(root, ({ constState }) => {
        if (constState instanceof TcpConstState) constState.localPort ^= 1;
      });
      former();
    }),
  ),
  writes('STATE-051', 'hands up a connection in a state that there is not', TERMINATE, (delegated) => {
    delegated.state = 99 as TcpDelegatedState['state'];
    return null;
  }),
  writes('STATE-054', 'answers a query with SndNxt before SndUna', QUERY, (delegated) => {
    delegated.sndNxt = seqAdd(delegated.sndUna, -1);
    return null;
  }),
  writes('STATE-055', 'hands up a MaxSndWnd below the window', TERMINATE, (delegated) => {
    delegated.maxSndWnd = delegated.sndWnd - 1;
    return null;
  }),
  writes('RECV-091', 'hands up RcvNxt beyond what was received', TERMINATE, (delegated) => {
    delegated.rcvNxt = seqAdd(delegated.rcvNxt, FAR);
    return null;
  }),
  writes('SEND-038', 'hands up SndUna beyond what it has told as sent', TERMINATE, (delegated) =>
    moved(delegated, FAR),
  ),
  fault('NBL-008', 'writes into the BufferedData that came with a connection', (shim) =>
    onStateComplete(shim, INITIATE, (root, former) => {
      forEachBlock(root, ({ delegatedState }) => {
        if (!(delegatedState instanceof TcpDelegatedState)) return;
        const list = delegatedState.bufferedData;
        if (list !== null) list.status = NdisStatus.FAILURE;
      });
      former();
    }),
  ),
  fault('TERM-074', 'indicates a resume before everything is back', (shim) =>
    shim.onLive(() =>
      shim.defer(() => {
        shim.above.indicateStatusEx(shim.handle, { statusCode: NdisStatus.UPLOAD_ALL });
        shim.above.indicateStatusEx(shim.handle, { statusCode: NdisStatus.OFFLOAD_RESUME });
      }),
    ),
  ),
  fault('CAP-035', 'knows nothing of its own statistics', (shim) =>
    answers(shim, ({ oid }, status) => (oid === Oid.TCP4_OFFLOAD_STATS ? NdisStatus.NOT_SUPPORTED : status)),
  ),
  fault('STAT-018', 'counts connections that are closed', (shim) =>
    answers(shim, (request, status) => {
      const stats = request.information as TcpOffloadStats;
      const currentlyEstablished = shim.connections.length;
      if (request.oid === Oid.TCP4_OFFLOAD_STATS) request.information = { ...stats, currentlyEstablished };
      return status;
    }),
  ),
  fault('STAT-003', 'counts connections that it has not', (shim) =>
    answers(shim, (request, status) => {
      const stats = request.information as TcpOffloadStats;
      if (request.oid === Oid.TCP4_OFFLOAD_STATS) request.information = { ...stats, currentlyEstablished: 100 };
      return status;
    }),
  ),
  twice('EVT-029', 'tells of two FINs', INDICATE_DISCONNECT),
  twice('EVT-030', 'tells of two resets', INDICATE_ABORT),
  fault('EVT-006', 'tells a backlog of less than nothing', (shim) =>
    shim.onLive((connection) => shim.event(connection, INDICATE_SEND_BACKLOG_CHANGE, -2)),
  ),
  fault('RSS-004', 'indicates data with the hash of another connection', (shim) => {
    const former = shim.above.tcpOffloadReceiveHandler;
    shim.above.tcpOffloadReceiveHandler = (handle, list, status, consumed) => {
      list.hashValue = 0x1234;
      return former(handle, list, status, consumed);
    };
  }),
  fault('NBL-018', 'indicates a list of ordinary frames through the chimney', (shim) => {
    const list = netBufferListOver(new Uint8Array(60));
    shim.onLive((connection) => {
      shim.above.indicateReceiveNetBufferLists(shim.handle, list, 0, 0);
      shim.indicate(connection, list);
    });
    const former = shim.below.returnNetBufferLists;
    shim.below.returnNetBufferLists = (context, lists) => {
      if (lists !== list) former(context, lists);
    };
  }),
];
