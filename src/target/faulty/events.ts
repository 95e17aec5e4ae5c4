/** Faults of events, statuses, reachability queries and power. */

import {
  IndicateOffloadEvent,
  type MiniportOffloadBlock,
  NdisStatus,
  OffloadBlock,
  OffloadStateType,
  Oid,
  TcpDisconnectFlag,
  TcpOffloadEventType,
  TcpUploadReason,
} from '../../ndis/miniport.ts';
import { NeighborCachedState, NeighborConstState, NeighborDelegatedState } from '../../state/neighbor.ts';
import { DATA, type Fault, fault, onDataEntry, onStateComplete, onStateEntry, type Shim, STATE } from './shim.ts';

const [INITIATE, TERMINATE] = STATE;
const [, , DISCONNECT] = DATA;
const { INDICATE_RETRIEVE, INDICATE_ABORT, INDICATE_SEND_BACKLOG_CHANGE } = TcpOffloadEventType;
const { NEIGHBOR_REACHABILITY_QUERY, NEIGHBOR_REACHABILITY_IN_DOUBT } = IndicateOffloadEvent;

/** Raises an event as soon as there is a connection. */
function raises(rule: string, how: string, type: number, information = 0): Fault {
  return fault(rule, how, (shim) => shim.onLive((connection) => shim.event(connection, type, information)));
}

/** Ticks beyond any NceStaleTicks. */
const STALE = 1_000_000;

/** A block that asks about a neighbor, rightly made. */
export function queryBlock(shim: Shim, delta: number = STALE): OffloadBlock {
  const block = new OffloadBlock(OffloadStateType.NEIGHBOR);
  block.ndisOffloadHandle = shim.neighbors[0] ?? null;
  const [cached, delegated] = [new NeighborCachedState(), new NeighborDelegatedState()];
  cached.hostReachabilityDelta = delta;
  delegated.nicReachabilityDelta = delta;
  block.constState = new NeighborConstState();
  block.cachedState = cached;
  block.delegatedState = delegated;
  return block;
}

/** Asks about a neighbor with a block in which something is wrong. */
function asks(rule: string, how: string, change: (block: OffloadBlock) => void): Fault {
  return fault(rule, how, (shim) =>
    shim.onLive(() => {
      const block = queryBlock(shim);
      change(block);
      shim.above.offloadEventIndicate(shim.handle, block, NEIGHBOR_REACHABILITY_QUERY);
    }),
  );
}

function indicates(rule: string, how: string, code: number, hasBlock: boolean, ...others: string[]): Fault {
  return fault(
    rule,
    how,
    (shim) => shim.onLive(() => shim.above.offloadEventIndicate(shim.handle, hasBlock ? queryBlock(shim) : null, code)),
    ...others,
  );
}

const SLOW_US = 1_000_000;

/** Answers a power-down while a terminate is under way. */
function wakesEarly(rule: string, how: string, isLate: boolean): Fault {
  return fault(rule, how, (shim) => {
    // Terminates take their time, so that the power-down meets one.
    onStateComplete(shim, TERMINATE, (_root, former) => {
      shim.runtime.timer(former).arm(shim.runtime.nowUs() + SLOW_US);
    });
    const former = shim.below.oidRequest;
    shim.below.oidRequest = (context, request) => {
      if (request.oid !== Oid.PNP_SET_POWER) return former(context, request);
      if (!isLate) return NdisStatus.SUCCESS;
      shim.defer(() => shim.above.oidRequestComplete(shim.handle, request, NdisStatus.SUCCESS));
      return NdisStatus.PENDING;
    };
  });
}

export const EVENT_FAULTS: readonly Fault[] = [
  raises('EVT-002', 'raises an event of no type', 9),
  raises('EVT-005', 'raises a Retrieve without a reason', INDICATE_RETRIEVE, 0),
  fault('EVT-007', 'raises an event of a connection that was terminated', (shim) => {
    let connection = null as (typeof shim.connections)[0] | null;
    shim.onLive((its) => {
      connection = its;
    });
    onStateComplete(shim, TERMINATE, (_root, former) => {
      former();
      if (connection !== null) shim.event(connection, INDICATE_ABORT);
    });
  }),
  fault('EVT-023', 'asks for the upload of a half-closed connection at its own discretion', (shim) =>
    onDataEntry(shim, DISCONNECT, (_list, former, flags) => {
      const [connection] = shim.connections;
      const answer = former();
      if (flags === TcpDisconnectFlag.GRACEFUL_CLOSE) {
        shim.event(connection!, INDICATE_RETRIEVE, TcpUploadReason.LOW_ACTIVITY);
      }
      return answer;
    }),
  ),
  fault('EVT-025', 'tells the same backlog twice', (shim) =>
    shim.onLive((connection) => {
      shim.event(connection, INDICATE_SEND_BACKLOG_CHANGE, 65_536);
      shim.event(connection, INDICATE_SEND_BACKLOG_CHANGE, 65_536);
    }),
  ),
  fault('INIT-054', 'raises an event while an offload is in progress', (shim) =>
    onStateComplete(shim, INITIATE, (root, former) => {
      let block: MiniportOffloadBlock = root;
      while (block.dependentBlockList !== null) block = block.dependentBlockList;
      if (block.ndisOffloadHandle !== null) shim.event(block.ndisOffloadHandle, INDICATE_ABORT);
      former();
    }),
  ),
  fault('CTX-011', 'raises an Abort of a path', (shim) =>
    shim.onLive(() => shim.event(shim.paths[0]!, INDICATE_ABORT)),
  ),
  fault('TERM-006', 'raises a Retrieve of a neighbor', (shim) =>
    shim.onLive(() => shim.event(shim.neighbors[0]!, INDICATE_RETRIEVE, TcpUploadReason.UPLOAD_REQUESTED)),
  ),
  fault('INIT-052', 'indicates a status while an offload is in progress', (shim) =>
    onStateEntry(shim, INITIATE, (_root, former) => {
      former();
      shim.above.indicateStatusEx(shim.handle, { statusCode: NdisStatus.LINK_STATE_UP });
    }),
  ),
  fault('INIT-053', 'asks about a neighbor while an offload is in progress', (shim) =>
    onStateEntry(shim, INITIATE, (_root, former) => {
      former();
      if (shim.neighbors.length === 0) return;
      shim.above.offloadEventIndicate(shim.handle, queryBlock(shim), NEIGHBOR_REACHABILITY_QUERY);
    }),
  ),
  indicates('EVT-048', 'indicates the reserved code', NEIGHBOR_REACHABILITY_IN_DOUBT, false),
  indicates('EVT-047', 'indicates a code of nothing', 7, false),
  indicates('NBR-018', 'hands up a block with another code', NEIGHBOR_REACHABILITY_IN_DOUBT, true, 'EVT-048'),
  indicates('NBR-012', 'asks about a neighbor without a block', NEIGHBOR_REACHABILITY_QUERY, false),
  asks('NBR-013', 'asks about a neighbor with a tree', (block) => {
    block.dependentBlockList = new OffloadBlock(OffloadStateType.IP4);
  }),
  asks('NBR-014', 'asks about a neighbor with another Header.Type', (block) => {
    block.header.type = OffloadStateType.NEIGHBOR_CACHED;
  }),
  asks('NBR-015', 'asks about a neighbor with Status FAILURE', (block) => {
    block.status = NdisStatus.FAILURE;
  }),
  asks('NBR-017', 'asks about a neighbor with a sibling', (block) => {
    block.nextBlock = new OffloadBlock(OffloadStateType.NEIGHBOR);
  }),
  asks('CTX-018', 'asks about it does not say which neighbor', (block) => {
    block.ndisOffloadHandle = null;
  }),
  wakesEarly('PWR-002', 'answers a power-down while a connection is being terminated', false),
  wakesEarly('PWR-004', 'completes a power-down before the last terminate', true),
];
