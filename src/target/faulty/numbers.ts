/** Faults of single values, contexts and structures that a target hands up. */

import { seqAdd } from '../../base/seq.ts';
import { forEachBlock, type MiniportOffloadBlock, type NdisOffloadHandle, NdisStatus } from '../../ndis/miniport.ts';
import { NeighborDelegatedState } from '../../state/neighbor.ts';
import { PathDelegatedState } from '../../state/path.ts';
import { TcpConstState, TcpDelegatedState } from '../../state/tcp.ts';
import {
  alias,
  emptyNetBufferList,
  type Fault,
  fault,
  onStateComplete,
  onStateEntry,
  STATE,
  type StateNames,
} from './shim.ts';

const [INITIATE, TERMINATE, UPDATE, QUERY] = STATE;

/** Changes the blocks of an operation before it is completed. */
function changes(
  rule: string,
  how: string,
  names: StateNames,
  change: (block: MiniportOffloadBlock) => void,
  ...others: string[]
): Fault {
  return fault(
    rule,
    how,
    (shim) =>
      onStateComplete(shim, names, (root, former) => {
        forEachBlock(root, change);
        former();
      }),
    ...others,
  );
}

/** The same for the delegated state of connections. */
function writes(
  rule: string,
  how: string,
  names: StateNames,
  change: (delegated: TcpDelegatedState) => void,
  ...others: string[]
): Fault {
  return changes(
    rule,
    how,
    names,
    ({ delegatedState }) => {
      if (delegatedState instanceof TcpDelegatedState) change(delegatedState);
    },
    ...others,
  );
}

/** The last slot that an initiate has filled holds something else. */
function misnames(rule: string, how: string, change: (handles: readonly NdisOffloadHandle[]) => void): Fault {
  return fault(rule, how, (shim) =>
    onStateComplete(shim, INITIATE, (root, former) => {
      const filled: NdisOffloadHandle[] = [];
      forEachBlock(root, ({ miniportOffloadContext: slot, constState }) => {
        if (constState !== null && slot !== null && slot.miniportOffloadContext !== null) filled.push(slot);
      });
      if (filled.length > 1) change(filled);
      former();
    }),
  );
}

const farDelta = changes('NBR-005', 'tells reachability in microseconds', QUERY, ({ delegatedState }) => {
  if (delegatedState instanceof NeighborDelegatedState) delegatedState.nicReachabilityDelta += 1_000_000;
});
const farClock = writes('TERM-081', 'hands up a TsTime of another clock', TERMINATE, (delegated) => {
  delegated.tsTime = (delegated.tsTime + 1_000_000) | 0;
});
const noBacklog = writes('QRY-020', 'answers a query without SendBacklogSize', QUERY, (delegated) => {
  delegated.sendBacklogSize = 0;
});
const bringsConstants = changes(
  'TERM-016',
  'brings constants with a terminate',
  TERMINATE,
  (block) => {
    if (block.delegatedState instanceof TcpDelegatedState) block.constState = new TcpConstState();
  },
  'STATE-001',
);

export const NUMBER_FAULTS: readonly Fault[] = [
  misnames('CTX-001', 'names two objects by one context', (handles) => {
    handles.at(-1)!.miniportOffloadContext = handles[0]!.miniportOffloadContext;
  }),
  misnames('CTX-008', 'writes the address of the slot into the slot', (handles) => {
    const last = handles.at(-1)!;
    last.miniportOffloadContext = last;
  }),
  farDelta,
  alias('NBR-002', farDelta),
  fault('QRY-006', 'answers a query with the state of another connection', (shim) => {
    const ports = new Map<NdisOffloadHandle, readonly [number, number]>();
    onStateEntry(shim, INITIATE, (root, former) => {
      forEachBlock(root, ({ ndisOffloadHandle: handle, constState }) => {
        if (handle === null || !(constState instanceof TcpConstState)) return;
        ports.set(handle, [constState.localPort, constState.remotePort]);
      });
      former();
    });
    onStateComplete(shim, QUERY, (root, former) => {
      forEachBlock(root, ({ ndisOffloadHandle: handle, constState }) => {
        if (handle === null || !(constState instanceof TcpConstState)) return;
        const other = shim.connections.find((one) => one !== handle);
        if (other === undefined) return;
        [constState.localPort, constState.remotePort] = ports.get(other)! as [number, number];
      });
      former();
    });
  }),
  noBacklog,
  alias('STATE-072', noBacklog),
  writes('QRY-021', 'answers a query with fewer buffered bytes than none', QUERY, (delegated) => {
    delegated.receiveBacklogSize = -2;
  }),
  writes('QRY-024', 'answers a query with a retransmit timer that does not run', QUERY, (delegated) => {
    if (delegated.sndUna === delegated.sndMax) delegated.retransmitTimeoutDelta = 100;
  }),
  writes('TCP-018', 'hands up a retransmit timer that does not run', TERMINATE, (delegated) => {
    if (delegated.sndUna === delegated.sndMax) delegated.retransmitTimeoutDelta = 100;
  }),
  bringsConstants,
  alias('STATE-005', bringsConstants),
  changes('TERM-014', 'writes delegated state where there is no structure', TERMINATE, (block) => {
    if (block.delegatedState === null && block.miniportOffloadContext !== null) {
      block.delegatedState = new PathDelegatedState();
    }
  }),
  farClock,
  alias('TCP-060', farClock),
  alias('STATE-061', farClock),
  writes('TCP-059', 'hands up a TsTime that goes backwards', TERMINATE, (delegated) => {
    delegated.tsTime = seqAdd(delegated.tsTime as never, -1000);
  }),
  writes('STATE-062', 'hands up a TotalRT of less than nothing', TERMINATE, (delegated) => {
    delegated.totalRt = -1;
  }),
  writes('STATE-063', 'hands up a DupAckCount of less than nothing', TERMINATE, (delegated) => {
    delegated.dupAckCount = -1;
  }),
  writes('STATE-064', 'hands up a SndWndProbeCount of less than nothing', TERMINATE, (delegated) => {
    delegated.sndWndProbeCount = -1;
  }),
  writes('STATE-065', 'hands up a KeepAlive.ProbeCount of less than nothing', TERMINATE, (delegated) => {
    delegated.keepAliveProbeCount = -1;
  }),
  writes('STATE-066', 'hands up a keepalive timer that is neither running nor not', TERMINATE, (delegated) => {
    delegated.keepAliveTimeoutDelta = -2;
  }),
  writes('STATE-067', 'hands up a Retransmit.Count of less than nothing', TERMINATE, (delegated) => {
    delegated.retransmitCount = -1;
  }),
  writes(
    'STATE-069',
    'hands up a retransmit timer that is neither running nor not',
    TERMINATE,
    (delegated) => {
      delegated.retransmitTimeoutDelta = -2;
    },
    'TCP-018',
  ),
  writes('STATE-071', 'answers a query with lists of received data', QUERY, (delegated) => {
    delegated.bufferedData = emptyNetBufferList();
  }),
  changes('UPD-039', 'leaves the placeholder of an update without a status', UPDATE, (block) => {
    if (block.miniportOffloadContext === null) block.status = NdisStatus.PENDING;
  }),
];
