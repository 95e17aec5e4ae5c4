/** Faults of a driver above: what it sets, moves, answers and takes back otherwise than it must. */

import {
  BlockLayer,
  forEachBlock,
  layerOf,
  NdisOffloadHandle,
  NdisStatus,
  OffloadStateType,
  Oid,
  type ProtocolOffloadBlock,
  TcpOffloadEventType,
} from '../../ndis/protocol.ts';
import { NeighborCachedState, NeighborConstState, NeighborDelegatedState } from '../../state/neighbor.ts';
import { type NetBufferList, netBufferListOver } from '../../state/net-buffer-list.ts';
import { PathCachedState } from '../../state/path.ts';
import { TcpDelegatedState } from '../../state/tcp.ts';
import { type DriverFault, type DriverShim, fault, newPath, over, reference } from './shim.ts';
import { keepsTerminates, onCall, wrongConnection, wrongTree } from './state.ts';

/** Changes what is set with OID_TCP_TASK_OFFLOAD. */
function sets(rule: string, how: string, change: (tunables: object) => unknown, ...others: string[]): DriverFault {
  return fault(
    rule,
    how,
    (shim) => {
      const former = shim.ndis.oidRequest;
      shim.ndis.oidRequest = (binding, request) => {
        const { oid, kind, information } = request;
        if (oid !== Oid.TCP_TASK_OFFLOAD || kind !== 'set') return former(binding, request);
        return former(binding, { oid, kind, information: change(information as object) });
      };
    },
    ...others,
  );
}

/** Keeps lists that came up as BufferedData. */
function hoards(shim: DriverShim): void {
  const kept = new Set<NetBufferList>();
  const terminated = shim.driver.terminateOffloadComplete;
  shim.driver.terminateOffloadComplete = (context, root) => {
    forEachBlock(root, ({ delegatedState }) => {
      if (!(delegatedState instanceof TcpDelegatedState)) return;
      for (let list = delegatedState.bufferedData; list !== null; list = list.next) kept.add(list);
    });
    terminated.call(shim.driver, context, root);
  };
  const returned = shim.ndis.offloadTcpReceiveReturn;
  shim.ndis.offloadTcpReceiveReturn = (binding, lists) => {
    for (let list: NetBufferList | null = lists; list !== null; ) {
      const next: NetBufferList | null = list.next;
      list.next = null;
      if (!kept.has(list)) returned(binding, list);
      list = next;
    }
    return NdisStatus.SUCCESS;
  };
}

function isNeighbor(root: ProtocolOffloadBlock): boolean {
  return layerOf(root.header.type) === BlockLayer.NEIGHBOR;
}

export const DUTY_FAULTS: readonly DriverFault[] = [
  sets('CAP-021', 'sets OID_TCP_TASK_OFFLOAD without tunables', ({ header }: { header?: unknown }) => ({ header })),
  sets('TCP-004', 'sets seven ticks a second', (tunables) => ({ ...tunables, ticksPerSecond: 7 })),
  wrongTree('CTX-012', 'offloads two paths by one handle', (root) => {
    const path = root.dependentBlockList;
    if (path?.constState !== null && path?.offloadHandle) {
      const other = newPath(path.offloadHandle);
      other.nextBlock = path.nextBlock as typeof other | null;
      path.nextBlock = other;
    }
    return root;
  }),
  over(
    'tells-backlogs',
    fault('EVT-028', 'sends far more than the backlog that it was told', (shim) => {
      const former = shim.driver.tcpOffloadEvent;
      shim.driver.tcpOffloadEvent = (handle, type, information) => {
        former.call(shim.driver, handle, type, information);
        if (type !== TcpOffloadEventType.INDICATE_SEND_BACKLOG_CHANGE) return;
        for (let i = 0; i < 4; i++) {
          shim.ndis.offloadTcpSend(shim.connections[0]!, netBufferListOver(new Uint8Array(information)));
        }
      };
    }),
  ),
  fault('FWD-011', 'forwards an IP datagram', (shim) => {
    const former = shim.ndis.offloadTcpForward;
    shim.ndis.offloadTcpForward = (handle) => {
      const bytes = new Uint8Array(40);
      bytes.set([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1]);
      return former(handle, netBufferListOver(bytes));
    };
  }),
  wrongConnection('INIT-065', 'offloads a connection without its outstanding send data', (block, delegated) => {
    block.netBufferListChain = null;
    delegated.sendDataHead = null;
    delegated.sendDataTail = null;
    delegated.sndNxt = (delegated.sndUna + 100) as typeof delegated.sndNxt;
    delegated.sndMax = delegated.sndNxt;
  }),
  wrongConnection('INIT-086', 'offloads a connection without its windows', (_block, delegated) => {
    delegated.rcvWnd = 0;
    delegated.maxSndWnd = 0;
    delegated.cWnd = 0;
  }),
  over(
    'asks-about-neighbors',
    fault('NBR-019', 'answers that a neighbor was confirmed longer ago than it has said before', (shim) => {
      shim.driver.indicateOffloadEvent = (_context, block) => {
        if (block?.cachedState instanceof NeighborCachedState) block.cachedState.hostReachabilityDelta = 0x7fff_ffff;
      };
    }),
  ),
  fault('TERM-050', 'keeps lists that came up as BufferedData', hoards),
  over(
    'wants-all',
    fault(
      'TERM-073',
      'leaves paths and neighbors below after UPLOAD_ALL',
      (shim) =>
        keepsTerminates(shim, (root) => {
          let hasConnection = false;
          forEachBlock(root, ({ header }) => {
            hasConnection ||= layerOf(header.type) === BlockLayer.TCP;
          });
          return !hasConnection;
        }),
      'TERM-066',
    ),
  ),
  wrongTree('TREE-042', 'names a port of an adapter that has none', (root) => {
    root.portNumber = 1;
    return root;
  }),
  fault('VLAN-004', 'moves a neighbor to another VLAN by an update', (shim) =>
    shim.onLive(() => {
      const tree = reference(shim.neighbors[0]!, OffloadStateType.NEIGHBOR);
      const constant = new NeighborConstState();
      constant.vlanId = 5;
      tree.constState = constant;
      tree.cachedState = new NeighborCachedState();
      tree.delegatedState = new NeighborDelegatedState();
      shim.ndis.updateOffload(shim.binding, tree);
    }),
  ),
  fault(
    'UPD-024',
    'moves a path to a neighbor that was never offloaded',
    (shim) =>
      shim.onLive(() => {
        const tree = reference(new NdisOffloadHandle(null), OffloadStateType.NEIGHBOR_CACHED);
        const path = reference(shim.paths[0]!, OffloadStateType.IP4_CACHED);
        tree.cachedState = new NeighborCachedState();
        path.cachedState = new PathCachedState(1500);
        tree.dependentBlockList = path;
        shim.ndis.updateOffload(shim.binding, tree);
      }),
    'CTX-007',
  ),
  fault(
    'UPD-026',
    'leaves a neighbor below from which its paths were moved',
    (shim) => {
      let hasMoved = false;
      onCall(shim, 'updateOffload', (root, former) => {
        hasMoved ||= isNeighbor(root) && root.dependentBlockList !== null;
        former(root);
      });
      keepsTerminates(shim, (root) => hasMoved && isNeighbor(root));
    },
    'TERM-066',
  ),
];
