/** Faults of a driver above: wrong trees, and operations at the wrong time. */

import { seqAdd } from '../../base/seq.ts';
import {
  forEachBlock,
  NdisDevicePowerState,
  type NdisForProtocol,
  NdisOffloadHandle,
  NdisStatus,
  OffloadBlock,
  OffloadStateType,
  Oid,
  type ProtocolOffloadBlock,
} from '../../ndis/protocol.ts';
import { emptyNetBufferList, NetBuffer, netBufferListOver } from '../../state/net-buffer-list.ts';
import { PathCachedState, PathConstState } from '../../state/path.ts';
import { TcpCachedState, TcpConnectionState, TcpDelegatedState } from '../../state/tcp.ts';
import {
  alias,
  connectionOf,
  type DriverFault,
  type DriverShim,
  fault,
  invalidateTree,
  newConnection,
  newNeighbor,
  newPath,
  over,
  queryTree,
  reference,
  updateTree,
} from './shim.ts';

type StateCall = 'initiateOffload' | 'terminateOffload' | 'updateOffload' | 'queryOffloadState' | 'invalidateOffload';

/** Replaces a call downward. */
export function onCall(
  shim: DriverShim,
  call: StateCall,
  act: (root: ProtocolOffloadBlock, former: (root: ProtocolOffloadBlock) => void) => void,
): void {
  const former = shim.ndis[call];
  shim.ndis[call] = (binding, root) => act(root, (its) => former(binding, its));
}

/** Makes the trees of new objects wrong. */
export function wrongTree(
  rule: string,
  how: string,
  change: (root: ProtocolOffloadBlock) => ProtocolOffloadBlock | null | undefined,
  ...others: string[]
): DriverFault {
  return fault(rule, how, (shim) => shim.onInitiate((root, pass) => pass(change(root) ?? root)), ...others);
}

/** Makes the connection of a tree wrong. */
export function wrongConnection(
  rule: string,
  how: string,
  change: (block: ProtocolOffloadBlock, delegated: TcpDelegatedState) => void,
  ...others: string[]
): DriverFault {
  return wrongTree(
    rule,
    how,
    (root) => {
      const block = connectionOf(root);
      if (block?.delegatedState instanceof TcpDelegatedState) change(block, block.delegatedState);
      return root;
    },
    ...others,
  );
}

/** Only where there is send data. */
export function wrongSends(
  rule: string,
  how: string,
  change: (block: ProtocolOffloadBlock, delegated: TcpDelegatedState) => void,
): DriverFault {
  return wrongConnection(rule, how, (block, delegated) => {
    if (block.netBufferListChain !== null) change(block, delegated);
  });
}

/** Uses a tree again while the driver below has it. */
function reuses(rule: string, call: StateCall, ...others: string[]): DriverFault {
  return fault(
    rule,
    `uses the tree of ${call} again while the driver below has it`,
    (shim) =>
      onCall(shim, call, (root, former) => {
        former(root);
        shim.ndis.queryOffloadState(shim.binding, root);
      }),
    ...others,
  );
}

/** Calls something on a connection whose offload is in progress. */
function during(
  rule: string,
  how: string,
  act: (ndis: NdisForProtocol, handle: NdisOffloadHandle, shim: DriverShim) => void,
): DriverFault {
  return fault(rule, how, (shim) =>
    shim.onInitiate((root, pass) => {
      const handle = connectionOf(root)?.offloadHandle ?? null;
      pass(root);
      if (handle !== null) act(shim.ndis, handle, shim);
    }),
  );
}

/** Does something as soon as a connection is offloaded. */
function once(
  rule: string,
  how: string,
  act: (shim: DriverShim, handle: NdisOffloadHandle) => void,
  ...others: string[]
): DriverFault {
  return fault(rule, how, (shim) => shim.onLive((handle) => act(shim, handle)), ...others);
}

/** Keeps terminates for itself: queries the state instead, and says above that all is back. */
export function keepsTerminates(shim: DriverShim, isMeant: (root: ProtocolOffloadBlock) => boolean): void {
  const kept = new Set<ProtocolOffloadBlock>();
  onCall(shim, 'terminateOffload', (root, former) => {
    if (!isMeant(root)) {
      former(root);
      return;
    }
    kept.add(root);
    shim.ndis.queryOffloadState(shim.binding, root);
  });
  const queried = shim.driver.queryOffloadComplete;
  shim.driver.queryOffloadComplete = (context, root) => {
    if (kept.delete(root)) shim.driver.terminateOffloadComplete(context, root);
    else queried.call(shim.driver, context, root);
  };
}

const updatesEarly = during('INIT-044', 'updates a connection while its offload is in progress', (ndis, handle, shim) =>
  ndis.updateOffload(shim.binding, updateTree(handle)),
);
const invalidatesEarly = during(
  'INIT-046',
  'invalidates a connection while its offload is in progress',
  (ndis, handle, shim) => ndis.invalidateOffload(shim.binding, invalidateTree(handle)),
);

/** Keeps what the target says of pauses to itself. */
function deaf(rule: string, how: string): DriverFault {
  return fault(rule, how, (shim) => {
    shim.driver.statusEx = () => {};
  });
}

export const TREE_FAULTS: readonly DriverFault[] = [
  wrongConnection('TREE-001', 'offloads a tree of four layers', (block) => {
    block.dependentBlockList = newConnection();
  }),
  wrongTree('TREE-002', 'puts a path beside a neighbor', (root) => {
    root.nextBlock = newPath();
    return root;
  }),
  wrongTree('TREE-004', 'hangs a connection on a neighbor', (root) => {
    root.dependentBlockList = newConnection();
    return root;
  }),
  wrongTree('TREE-005', 'hangs a neighbor on a path', (root) => {
    const path = root.dependentBlockList;
    if (path !== null) path.dependentBlockList = newNeighbor();
    return root;
  }),
  wrongTree('TREE-006', 'hangs something on a connection', () => {
    const block = newConnection();
    block.dependentBlockList = new OffloadBlock(OffloadStateType.TCP);
    return block;
  }),
  wrongTree('TREE-018', 'puts state behind a placeholder', (root) => {
    if (root.offloadHandle === null) root.cachedState = new PathCachedState(1500);
    return root;
  }),
  wrongTree('TREE-021', 'puts state behind a linker', (root) => {
    const isLinker = root.offloadHandle !== null && root.offloadHandle.miniportOffloadContext !== null;
    if (isLinker) root.constState = newNeighbor().constState;
    return root;
  }),
  once('TREE-022', 'offloads a linker with nothing new below it', (shim) =>
    shim.ndis.initiateOffload(shim.binding, reference(shim.paths[0]!, OffloadStateType.IP4)),
  ),
  wrongConnection('TREE-024', 'offloads a connection without its state', (block) => {
    block.constState = null;
    block.cachedState = null;
    block.delegatedState = null;
  }),
  wrongTree('TREE-025', 'leaves Header.Size empty', (root) => {
    root.header.size = 0;
    return root;
  }),
  wrongTree('TREE-026', 'offloads a neighbor without its delegated state', (root) => {
    root.delegatedState = null;
    return root;
  }),
  fault('TREE-027', 'puts delegated state behind a block of a cached type', (shim) =>
    onCall(shim, 'updateOffload', (root, former) => {
      root.delegatedState = new TcpDelegatedState();
      former(root);
    }),
  ),
  wrongTree('TREE-028', 'offloads an IPv6 path with addresses of four bytes', (root) => {
    forEachBlock(root, (block) => {
      if (block.constState instanceof PathConstState) block.header.type = OffloadStateType.IP6;
    });
    return root;
  }),
  wrongConnection('TREE-029', 'offloads a block of a reserved type', (block) => {
    block.header.type = OffloadStateType.TCP_RESOURCE;
  }),
  fault('INV-003', 'puts state behind the block of an invalidate', (shim) =>
    onCall(shim, 'invalidateOffload', (root, former) => {
      root.cachedState = new TcpCachedState();
      former(root);
    }),
  ),
  fault('QRY-007', 'asks for a structure that it does not hand down', (shim) =>
    onCall(shim, 'queryOffloadState', (root, former) => {
      root.delegatedState = null;
      former(root);
    }),
  ),
];

export const MOMENT_FAULTS: readonly DriverFault[] = [
  fault('CAP-022', 'offloads without OID_TCP_TASK_OFFLOAD', (shim) => {
    const former = shim.ndis.oidRequest;
    shim.ndis.oidRequest = (binding, request) =>
      request.oid === Oid.TCP_TASK_OFFLOAD && request.kind === 'set' ? NdisStatus.SUCCESS : former(binding, request);
  }),
  over('pauses', deaf('EVT-042', 'offloads in a pause')),
  over('uploads-all', deaf('EVT-044', 'offloads after UPLOAD_ALL')),
  over('resumes', deaf('EVT-039', 'offloads after OFFLOAD_RESUME without asking for the capabilities')),
  reuses('INIT-004', 'initiateOffload', 'INIT-045', 'TREE-027', 'QRY-007'),
  reuses('TERM-013', 'terminateOffload', 'TERM-028', 'TREE-027', 'QRY-007'),
  reuses('UPD-003', 'updateOffload', 'TREE-027', 'QRY-007'),
  reuses('QRY-003', 'queryOffloadState', 'TREE-027', 'QRY-007'),
  fault('INIT-039', 'offloads an object that is being offloaded', (shim) =>
    shim.onInitiate((root, pass) => {
      pass(root);
      if (root.offloadHandle !== null) pass(newNeighbor(root.offloadHandle as NdisOffloadHandle));
    }),
  ),
  updatesEarly,
  alias('UPD-029', updatesEarly),
  during('INIT-045', 'queries a connection while its offload is in progress', (ndis, handle, shim) =>
    ndis.queryOffloadState(shim.binding, queryTree(handle)),
  ),
  invalidatesEarly,
  alias('INV-022', invalidatesEarly),
  during('INIT-047', 'terminates a connection while its offload is in progress', (ndis, handle, shim) =>
    ndis.terminateOffload(shim.binding, queryTree(handle)),
  ),
  during('INIT-042', 'sends on a connection while its offload is in progress', (ndis, handle) => {
    ndis.offloadTcpSend(handle, netBufferListOver(new Uint8Array(4)));
  }),
  during('INIT-043', 'posts a receive on a connection while its offload is in progress', (ndis, handle) => {
    ndis.offloadTcpReceive(handle, netBufferListOver(new Uint8Array(4)));
  }),
  wrongSends('INIT-066', 'offloads a send list of two buffers', (block) => {
    block.netBufferListChain!.firstNetBuffer!.next = new NetBuffer(null, 0);
  }),
  wrongSends('INIT-067', 'offloads sends with SendDataTail outside the chain', (_block, delegated) => {
    delegated.sendDataTail = emptyNetBufferList();
  }),
  wrongSends('INIT-071', 'offloads sends with SndNxt before SndUna', (_block, delegated) => {
    delegated.sndNxt = seqAdd(delegated.sndUna, -5);
  }),
  wrongConnection('INIT-072', 'offloads a connection in TIME_WAIT', (_block, delegated) => {
    delegated.state = TcpConnectionState.TIME_WAIT;
  }),
  wrongConnection('INIT-074', 'offloads a connection that is not established yet', (_block, delegated) => {
    delegated.state = TcpConnectionState.SYN_RCVD;
  }),
  fault(
    'INV-013',
    'never terminates what it has invalidated',
    (shim) => {
      let hasInvalidated = false;
      onCall(shim, 'invalidateOffload', (root, former) => {
        hasInvalidated = true;
        former(root);
      });
      keepsTerminates(shim, () => hasInvalidated);
    },
    'EVT-021',
  ),
  fault('TERM-066', 'leaves paths and neighbors behind', (shim) =>
    keepsTerminates(shim, (root) => connectionOf(root) === null),
  ),
  once('TERM-028', 'terminates a connection while a query of it is under way', (shim, handle) => {
    shim.ndis.queryOffloadState(shim.binding, queryTree(handle));
    shim.ndis.terminateOffload(shim.binding, queryTree(handle));
  }),
  over(
    'slow-updates',
    once(
      'TERM-031',
      'terminates a connection under an update, which the target then completes late',
      (shim, handle) => {
        shim.ndis.updateOffload(shim.binding, updateTree(handle));
        shim.ndis.terminateOffload(shim.binding, queryTree(handle));
      },
      'TERM-028',
    ),
  ),
  once('TERM-063', 'terminates a path before its connection', (shim) =>
    shim.ndis.terminateOffload(shim.binding, reference(shim.paths[0]!, OffloadStateType.IP4_DELEGATED)),
  ),
  once('TERM-065', 'terminates a path with one of its two connections', (shim, handle) => {
    if (shim.connections.length !== 2 || shim.paths.length !== 1) return;
    const tree = reference(shim.paths[0]!, OffloadStateType.IP4_DELEGATED);
    tree.dependentBlockList = queryTree(handle);
    shim.ndis.terminateOffload(shim.binding, tree);
  }),
  fault('UPD-022', 'moves a connection to another path', (shim) => {
    shim.onLive((handle) => {
      const [, other] = shim.paths;
      if (other === undefined) return;
      const tree = reference(other, OffloadStateType.IP4);
      tree.dependentBlockList = reference(handle, OffloadStateType.TCP);
      shim.ndis.updateOffload(shim.binding, tree);
    });
  }),
  once('UPD-030', 'updates a connection twice at a time', (shim, handle) => {
    shim.ndis.updateOffload(shim.binding, updateTree(handle));
    shim.ndis.updateOffload(shim.binding, updateTree(handle));
  }),
  fault('UPD-032', 'updates a connection that it has invalidated', (shim) => {
    const former = shim.driver.invalidateOffloadComplete;
    shim.driver.invalidateOffloadComplete = (context, root) => {
      const handle = connectionOf(root)?.offloadHandle ?? null;
      former.call(shim.driver, context, root);
      if (handle !== null) shim.ndis.updateOffload(shim.binding, updateTree(handle));
    };
  }),
  once('CTX-007', 'queries a connection that was never offloaded', (shim) =>
    shim.ndis.queryOffloadState(shim.binding, queryTree(new NdisOffloadHandle(null))),
  ),
  fault('CTX-015', 'queries a connection that was terminated', (shim) => {
    const former = shim.driver.terminateOffloadComplete;
    shim.driver.terminateOffloadComplete = (context, root) => {
      const handle = connectionOf(root)?.offloadHandle ?? null;
      former.call(shim.driver, context, root);
      if (handle !== null) shim.ndis.queryOffloadState(shim.binding, queryTree(handle));
    };
  }),
  once('PWR-001', 'puts the adapter to sleep with connections offloaded', (shim) => {
    const information = NdisDevicePowerState.D3;
    shim.ndis.oidRequest(shim.binding, { oid: Oid.PNP_SET_POWER, kind: 'set', information });
  }),
];
