/** Faults of what is handed down with a connection, and of what has to be done once the driver below has spoken. */

import { seqAdd } from '../../base/seq.ts';
import { NdisStatus, Oid } from '../../ndis/protocol.ts';
import { NeighborCachedState, NeighborConstState, NeighborDelegatedState } from '../../state/neighbor.ts';
import { TcpCachedState, TcpConstState } from '../../state/tcp.ts';
import { type DriverFault, type DriverShim, fault, over, type Temper } from './shim.ts';
import { keepsTerminates, wrongConnection, wrongSends, wrongTree } from './state.ts';

function wrongConst(rule: string, how: string, change: (constant: TcpConstState) => void): DriverFault {
  return wrongConnection(rule, how, ({ constState }) => {
    if (constState instanceof TcpConstState) change(constState);
  });
}

function wrongCached(rule: string, how: string, change: (cached: TcpCachedState) => void): DriverFault {
  return wrongConnection(rule, how, ({ cachedState }) => {
    if (cachedState instanceof TcpCachedState) change(cachedState);
  });
}

/** Looks at what comes back from below, and calls `note` when there is reason to take the connection back. */
type Watch = (shim: DriverShim, note: () => void) => void;

/** Keeps what it should take back, from when it should, and what is said of it from then on. */
function stubborn(rule: string, how: string, below: Temper, watch: Watch): DriverFault {
  return over(
    below,
    fault(rule, how, (shim) => {
      let [hasReason, hasKept] = [false, false];
      watch(shim, () => {
        hasReason = true;
      });
      keepsTerminates(shim, () => {
        hasKept ||= hasReason;
        return hasReason;
      });
      const { driver } = shim;
      const [indicated, event] = [driver.tcpOffloadReceiveIndicate, driver.tcpOffloadEvent];
      driver.tcpOffloadReceiveIndicate = (handle, list, status, consumed) =>
        hasKept ? NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED : indicated.call(driver, handle, list, status, consumed);
      driver.tcpOffloadEvent = (handle, type, information) => {
        if (!hasKept) event.call(driver, handle, type, information);
      };
    }),
  );
}

const onEvent: Watch = ({ driver }, note) => {
  const former = driver.tcpOffloadEvent;
  driver.tcpOffloadEvent = (handle, type, information) => {
    note();
    former.call(driver, handle, type, information);
  };
};

const onStatus: Watch = ({ driver }, note) => {
  const former = driver.statusEx;
  driver.statusEx = (context, indication) => {
    if (indication.statusCode === NdisStatus.UPLOAD_ALL) note();
    former.call(driver, context, indication);
  };
};

function onFailureOf(completion: 'updateOffloadComplete' | 'queryOffloadComplete'): Watch {
  return ({ driver }, note) => {
    const former = driver[completion];
    driver[completion] = (context, root) => {
      if (root.status !== NdisStatus.SUCCESS) note();
      former.call(driver, context, root);
    };
  };
}

const onFailedClose: Watch = ({ driver }, note) => {
  const former = driver.tcpOffloadDisconnectComplete;
  driver.tcpOffloadDisconnectComplete = (context, list) => {
    if (list?.status === NdisStatus.REQUEST_ABORTED) note();
    former.call(driver, context, list);
  };
};

export const VALUE_FAULTS: readonly DriverFault[] = [
  wrongTree('STATE-013', 'offloads a neighbor with a VlanId of 13 bits', (root) => {
    if (root.constState instanceof NeighborConstState) root.constState.vlanId = 0x1000;
    return root;
  }),
  wrongConst('STATE-021', 'offloads a connection with a constant flag that there is not', (constant) => {
    constant.flags |= 64;
  }),
  wrongConst('STATE-025', 'offloads a connection without a port', (constant) => {
    constant.localPort = 0;
  }),
  wrongConst('STATE-026', 'offloads a connection with a window scale of five bits', (constant) => {
    constant.sndWindScale = 16;
  }),
  wrongCached('STATE-029', 'offloads a connection with a cached flag that there is not', (cached) => {
    cached.flags |= 64;
  }),
  wrongCached('STATE-045', 'offloads a connection with a FlowLabel of 21 bits', (cached) => {
    cached.flowLabel = 0x10_0000;
  }),
  wrongCached('STATE-049', 'offloads a connection with a UserPriority of four bits', (cached) => {
    cached.userPriority = 8;
  }),
  wrongConnection('STATE-068', 'offloads an idle connection with a retransmission timer', (_block, delegated) => {
    delegated.retransmitTimeoutDelta = 100;
  }),
  wrongTree('NBR-003', 'offloads a neighbor whose NRD is not its HRD', (root) => {
    const { cachedState: cached, delegatedState: delegated } = root;
    if (cached instanceof NeighborCachedState && delegated instanceof NeighborDelegatedState) {
      delegated.nicReachabilityDelta = cached.hostReachabilityDelta + 5;
    }
    return root;
  }),
  wrongSends('SEND-036', 'offloads less send data than it says to have sent', (_block, delegated) => {
    delegated.sndMax = seqAdd(delegated.sndUna, 1_000_000);
  }),
  wrongSends('SEND-035', 'offloads less send data than stands before SndNxt', (_block, delegated) => {
    delegated.sndNxt = seqAdd(delegated.sndUna, 1_000_000);
    delegated.sndMax = delegated.sndNxt;
  }),
  wrongSends('SEND-034', 'offloads sends whose first byte is not where the buffer says', (block) => {
    const nb = block.netBufferListChain!.firstNetBuffer!;
    nb.currentMdlOffset = nb.currentMdl!.byteCount;
  }),
  wrongSends('SEND-037', 'offloads sends with SendDataHead behind the first data', (block, delegated) => {
    delegated.sendDataHead = block.netBufferListChain!.next ?? block.netBufferListChain;
  }),
  stubborn('EVT-021', 'keeps a connection below after a mandatory Retrieve', 'retrieves', onEvent),
  stubborn('DISC-042', 'keeps a connection below after an Abort', 'aborts', onEvent),
  stubborn('DISC-027', 'keeps a connection below whose graceful disconnect failed', 'fails-closes', onFailedClose),
  stubborn(
    'UPD-035',
    'keeps a connection below whose update failed',
    'fails-updates',
    onFailureOf('updateOffloadComplete'),
  ),
  stubborn(
    'QRY-012',
    'keeps a connection below that could not be queried',
    'fails-queries',
    onFailureOf('queryOffloadComplete'),
  ),
  stubborn('EVT-043', 'keeps connections below after UPLOAD_ALL', 'wants-all', onStatus),
  fault(
    'CAP-018',
    'switches the chimney on without having asked for capabilities',
    (shim) => {
      const former = shim.ndis.oidRequest;
      shim.ndis.oidRequest = (binding, request) =>
        request.oid === Oid.TCP_TASK_OFFLOAD && request.kind === 'query' ? 0 : former(binding, request);
    },
    'CAP-019',
  ),
  fault(
    'CAP-024',
    'sets tunables of a revision that there is not',
    (shim) => {
      const former = shim.ndis.oidRequest;
      shim.ndis.oidRequest = (binding, request) => {
        const { oid, kind, information } = request;
        if (oid !== Oid.TCP_TASK_OFFLOAD || kind !== 'set') return former(binding, request);
        const tunables = information as { header: { revision: number } };
        return former(binding, {
          oid,
          kind,
          information: { ...tunables, header: { ...tunables.header, revision: 9 } },
        });
      };
    },
    'CAP-022',
  ),
];
