/** Breaches of the rules about trees and operations, one each. */

import { NdisOffloadHandle, OffloadBlock } from '../../src/ndis/offload-block.ts';
import { NdisStatus, OffloadStateType, Oid } from '../../src/ndis/status.ts';
import { StateOperation } from '../../src/ndis/tap.ts';
import { PathConstState } from '../../src/state/path.ts';
import { TcpCachedState, TcpDelegatedState } from '../../src/state/tcp.ts';
import { connectionTree, data, hang, neighborBlock, pathBlock, reference, tcpBlock } from '../ndis/fakes.ts';
import { type Breach, breach, freshTree, type Scene } from './scene.ts';

const { INITIATE, TERMINATE, UPDATE, QUERY, INVALIDATE } = StateOperation;
const { SUCCESS, FAILURE, RESOURCES, OFFLOAD_PARTIAL_SUCCESS: PARTIAL, REQUEST_ABORTED } = NdisStatus;

const handle = (): NdisOffloadHandle => new NdisOffloadHandle('x');

/** A host's tree that is wrong; the target refuses it all, which is always right. */
function wrongTree(rule: string, how: string, make: (scene: Scene) => OffloadBlock, ...others: string[]): Breach {
  return breach(rule, how, (s) => s.attempt(() => s.initiateAs(make(s), Array(9).fill(FAILURE))), ...others);
}

export const SHAPE_BREACHES: readonly Breach[] = [
  breach(
    'TREE-001',
    'a tree of four layers',
    (s) => {
      s.bind();
      const root = freshTree(1);
      root.dependentBlockList!.dependentBlockList!.dependentBlockList = tcpBlock(handle());
      s.initiate(root);
    },
    'INIT-002',
  ),
  breach(
    'TREE-001',
    'a tree that bites its own tail',
    (s) => {
      s.bind();
      const root = freshTree(3);
      const first = root.dependentBlockList!.dependentBlockList!;
      first.nextBlock!.nextBlock!.nextBlock = first;
      s.initiate(root);
    },
    'INIT-002',
  ),
  wrongTree('TREE-002', 'a path beside a neighbor', (s) => {
    s.bind();
    const root = neighborBlock(handle());
    root.nextBlock = pathBlock(handle());
    return root;
  }),
  wrongTree('TREE-004', 'a connection below a neighbor', (s) => {
    s.bind();
    return hang(neighborBlock(handle()), tcpBlock(handle()));
  }),
  wrongTree('TREE-005', 'a neighbor below a path', (s) => {
    s.bind();
    return hang(pathBlock(handle()), neighborBlock(handle()));
  }),
  wrongTree(
    'TREE-006',
    'a block below a connection',
    (s) => {
      s.bind();
      return hang(tcpBlock(handle()), new OffloadBlock(OffloadStateType.TCP));
    },
    'INIT-084',
    'INIT-085',
  ),
  wrongTree(
    'TREE-018',
    'state behind a placeholder',
    (s) => {
      s.bind();
      const root = hang(new OffloadBlock(OffloadStateType.IP4), tcpBlock(handle()));
      root.cachedState = new TcpCachedState();
      return root;
    },
    'INIT-084',
  ),
  breach('TREE-021', 'state behind a linker', (s) => {
    s.offload();
    const root = hang(reference(s.handles.path, OffloadStateType.IP4), tcpBlock(handle()));
    root.constState = new PathConstState(new Uint8Array(4), new Uint8Array(4));
    s.initiateAs(root, [SUCCESS, SUCCESS]);
  }),
  breach('TREE-022', 'a linker without new state below', (s) => {
    s.offload();
    s.initiateAs(reference(s.handles.path, OffloadStateType.IP4), [SUCCESS]);
  }),
  wrongTree('TREE-024', 'a new offload without state', (s) => {
    s.bind();
    return reference(handle(), OffloadStateType.TCP);
  }),
  wrongTree('TREE-025', 'a header without size', (s) => {
    s.bind();
    const root = neighborBlock(handle());
    root.header.size = 0;
    return root;
  }),
  wrongTree('TREE-026', 'a new offload without its delegated state', (s) => {
    s.bind();
    const root = neighborBlock(handle());
    root.delegatedState = null;
    return root;
  }),
  breach('TREE-027', 'an update with delegated state behind a cached type', (s) => {
    s.offload();
    const root = s.treeFor(UPDATE);
    root.delegatedState = new TcpDelegatedState();
    s.call(UPDATE, root);
    s.target.complete(UPDATE);
  }),
  wrongTree('TREE-028', 'an IPv6 path with addresses of four bytes', (s) => {
    s.bind();
    const root = pathBlock(handle());
    root.header.type = OffloadStateType.IP6;
    return root;
  }),
  wrongTree('TREE-029', 'a reserved type', (s) => {
    s.bind();
    const root = tcpBlock(handle());
    root.header.type = OffloadStateType.TCP_RESOURCE;
    return root;
  }),
  breach('INV-003', 'an invalidate with state behind a block', (s) => {
    s.offload();
    s.call(INVALIDATE, s.treeFor(UPDATE));
    s.target.complete(INVALIDATE);
  }),
  breach('QRY-007', 'a query without the structure to fill', (s) => {
    s.offload();
    s.call(QUERY, reference(s.handles.tcp, OffloadStateType.TCP_DELEGATED));
    s.target.complete(QUERY);
  }),
];

/** A target that changes something in an update's tree. */
function touched(rule: string, how: string, change: (root: OffloadBlock) => void, ...others: string[]): Breach {
  return breach(
    rule,
    how,
    (s) => {
      s.offload();
      const root = s.call(UPDATE);
      s.target.take(UPDATE);
      root.status = SUCCESS;
      change(root);
      s.target.handBack(UPDATE, root);
    },
    ...others,
  );
}

export const TOUCH_BREACHES: readonly Breach[] = [
  touched('TREE-035', 'a target that adds a block', (root) => {
    root.nextBlock = new OffloadBlock(OffloadStateType.TCP);
  }),
  touched('TREE-035', 'a target that changes a header', (root) => {
    root.header.type = OffloadStateType.TCP;
  }),
  touched('TREE-035', 'a target that changes the port', (root) => {
    root.portNumber = 3;
  }),
  touched('TREE-035', 'a target that hangs a send chain on an update', (root) => {
    root.netBufferListChain = data(1);
  }),
  touched('TREE-035', 'a target that changes the handle', (root) => {
    root.ndisOffloadHandle = handle();
  }),
  touched('TREE-036', 'a target that writes ProtocolReserved', (root) => {
    root.protocolReserved[1] = 1;
  }),
  touched('TREE-037', 'a target that writes ImReserved', (root) => {
    root.imReserved[0] = 1;
  }),
  touched('TREE-038', 'a target that writes SourceHandle', (root) => {
    root.sourceHandle = 1;
  }),
  touched('TREE-041', 'a target that writes NdisReserved', (root) => {
    root.ndisReserved[2] = 1;
  }),
  touched('UPD-008', 'a target that changes a cached variable', (root) => {
    (root.cachedState as TcpCachedState).tosOrTrafficClass = 4;
  }),
  touched('CTX-006', 'a target that moves its context', (root) => {
    root.offloadHandle!.miniportOffloadContext = {};
  }),
];

/** Each operation's rules of storing, completing, statuses, in the order of StateOperation. */
function ofEach(rules: readonly string[], how: string, act: (s: Scene, operation: StateOperation) => void): Breach[] {
  return rules
    .map((rule, operation) => breach(rule, how, (s) => act(s, operation as StateOperation)))
    .filter((b) => b.rule !== '');
}

/** Calls the operation on something it may be called on. */
function callAny(s: Scene, operation: StateOperation): OffloadBlock {
  if (operation === INITIATE) {
    s.bind();
    const { root, handles } = connectionTree();
    s.handles = handles;
    return s.call(operation, root);
  }
  s.offload();
  return s.call(operation);
}

export const OPERATION_BREACHES: readonly Breach[] = [
  ...ofEach(
    ['INIT-001', 'TERM-011', 'UPD-001', 'QRY-001', 'INV-001'],
    'a completion inside the entry',
    (s, operation) => {
      if (operation !== INITIATE) s.offload();
      else s.bind();
      const inside = (_context: unknown, root: OffloadBlock): void => {
        s.target.pending.push({ operation, root });
        s.target.complete(operation);
      };
      const entries = [
        'initiateOffload',
        'terminateOffload',
        'updateOffload',
        'queryOffload',
        'invalidateOffload',
      ] as const;
      s.target[entries[operation]] = inside as never;
      if (operation === INITIATE) s.initiate(freshTree(1));
      else s.call(operation);
    },
  ),
  ...ofEach(['INIT-003', 'TERM-012', 'UPD-002', 'QRY-002', 'INV-002'], 'a second completion', (s, operation) => {
    const root = callAny(s, operation);
    s.target.complete(operation);
    s.target.handBack(operation, root);
  }),
  ...ofEach(['INIT-002', '', '', '', ''], 'an operation that is never completed', (s, operation) => {
    callAny(s, operation);
    s.verifier.finish();
  }),
  breach('IM-031', 'a query completed as an update', (s) => {
    s.offload();
    const root = s.call(QUERY);
    s.target.take(QUERY);
    root.status = SUCCESS;
    s.target.handBack(UPDATE, root);
  }),
  ...ofEach(
    ['INIT-004', 'TERM-013', 'UPD-003', 'QRY-003', ''],
    'a tree used while the target owns it',
    (s, operation) => {
      const root = callAny(s, operation);
      s.call(QUERY, root);
    },
  ).map((b) => ({ ...b, with: ['INIT-045', 'TERM-028', 'TREE-027', 'QRY-007'] })),
  ...ofEach(['INIT-007', 'TERM-017', 'UPD-033', 'QRY-010', 'INV-018'], 'a block without a status', (s, operation) => {
    const root = callAny(s, operation);
    s.target.take(operation);
    if (operation === INITIATE) {
      s.target.offload(root);
      root.dependentBlockList!.dependentBlockList!.status = NdisStatus.PENDING;
      root.dependentBlockList!.status = PARTIAL;
    }
    s.target.handBack(operation, root);
  }),
  ...ofEach(['', 'TERM-017', 'UPD-033', 'QRY-010', 'INV-018'], 'a status of no operation', (s, operation) => {
    const root = callAny(s, operation);
    s.target.take(operation);
    root.status = REQUEST_ABORTED;
    s.target.handBack(operation, root);
  }),
  ...ofEach(
    ['', 'TREE-043', 'TREE-043', 'TREE-043', 'TREE-043'],
    'a status that only an initiate has',
    (s, operation) => {
      const root = callAny(s, operation);
      s.target.take(operation);
      root.status = operation === QUERY ? RESOURCES : PARTIAL;
      s.target.handBack(operation, root);
    },
  ),
  breach('TREE-020', 'a placeholder without a status', (s) => {
    s.offload();
    const root = s.call(QUERY, hang(new OffloadBlock(OffloadStateType.IP4), s.treeFor(QUERY)));
    s.target.take(QUERY);
    root.dependentBlockList!.status = SUCCESS;
    s.target.handBack(QUERY, root);
  }),
  breach('QRY-022', 'a query that answers with lists', (s) => {
    s.offload();
    const root = s.call(QUERY);
    s.target.take(QUERY);
    root.status = SUCCESS;
    (root.delegatedState as TcpDelegatedState).sendDataHead = data(1);
    s.target.handBack(QUERY, root);
  }),
];

/** A call on an object whose offload is in progress. */
function during(rule: string, operation: StateOperation, how: string): Breach {
  return breach(rule, how, (s) => {
    s.bind();
    const { root, handles } = connectionTree();
    s.handles = handles;
    s.initiate(root);
    s.attempt(() => s.call(operation));
  });
}

export const ORDER_BREACHES: readonly Breach[] = [
  during('INIT-044', UPDATE, 'an update during the initiate'),
  during('INIT-045', QUERY, 'a query during the initiate'),
  during('INIT-046', INVALIDATE, 'an invalidate during the initiate'),
  during('INIT-047', TERMINATE, 'a terminate during the initiate'),
  breach('INIT-039', 'a second offload of an object', (s) => {
    s.bind();
    const { root, handles } = connectionTree();
    s.initiate(root);
    s.initiate(neighborBlock(handles.neighbor));
  }),
  breach('CTX-007', 'a query of what was never offloaded', (s) => {
    s.offload();
    s.handles = { ...s.handles, tcp: handle() };
    s.call(QUERY);
  }),
  breach('CTX-015', 'a query of what was terminated', (s) => {
    s.offload().terminate();
    s.call(QUERY);
  }),
  breach('UPD-030', 'a second update of an object', (s) => {
    s.offload();
    s.call(UPDATE);
    s.call(UPDATE);
  }),
  breach('UPD-032', 'an update of an invalidated object', (s) => {
    s.offload();
    s.call(INVALIDATE);
    s.target.complete(INVALIDATE);
    s.call(UPDATE);
  }),
  breach('TERM-028', 'a terminate while a query is under way', (s) => {
    s.offload();
    s.call(QUERY);
    s.call(TERMINATE);
  }),
  breach('TERM-028', 'a query while the terminate is under way', (s) => {
    s.offload();
    s.call(TERMINATE);
    s.call(QUERY);
  }),
  breach('TERM-029', 'a terminate while a receive call is inside the target', (s) => {
    s.offload();
    s.target.tcpOffloadReceive = () => {
      s.call(TERMINATE);
      return NdisStatus.PENDING;
    };
    s.receive(10);
  }),
  breach('TERM-063', 'a path terminated before its connection', (s) => {
    s.offload();
    s.call(TERMINATE, reference(s.handles.path, OffloadStateType.IP4_DELEGATED));
  }),
  breach('UPD-022', 'a connection moved to another path', (s) => {
    s.offload();
    const other = handle();
    s.initiateAs(pathBlock(other), [SUCCESS]);
    s.call(UPDATE, hang(reference(other, OffloadStateType.IP4), reference(s.handles.tcp, OffloadStateType.TCP)));
  }),
  breach('INV-013', 'an invalidated object that is never terminated', (s) => {
    s.offload();
    s.call(INVALIDATE);
    s.target.complete(INVALIDATE);
    s.verifier.finish();
  }),
  breach('TERM-066', 'a neighbor left behind', (s) => {
    s.bind();
    s.initiateAs(neighborBlock(handle()), [SUCCESS]);
    s.verifier.finish();
  }),
  breach('CAP-022', 'an offload before the chimney was enabled', (s) => {
    s.binding = s.world.ndis.openAdapterEx(s.host, s.host, 'nic0');
    s.initiate(freshTree(1));
  }),
  breach('EVT-042', 'an offload during a pause', (s) => {
    s.bind();
    s.target.ndisM.indicateStatusEx(s.target.handle, { statusCode: NdisStatus.OFFLOAD_PAUSE });
    s.initiate(freshTree(1));
  }),
  breach('EVT-044', 'an offload after UPLOAD_ALL', (s) => {
    s.bind();
    s.target.ndisM.indicateStatusEx(s.target.handle, { statusCode: NdisStatus.UPLOAD_ALL });
    s.initiate(freshTree(1));
  }),
  breach('EVT-039', 'an offload after RESUME without a query', (s) => {
    s.bind();
    s.target.ndisM.indicateStatusEx(s.target.handle, { statusCode: NdisStatus.OFFLOAD_PAUSE });
    s.target.ndisM.indicateStatusEx(s.target.handle, { statusCode: NdisStatus.OFFLOAD_RESUME });
    s.initiate(freshTree(1));
  }),
  breach('PWR-001', 'a power-down with connections offloaded', (s) => {
    s.offload();
    s.world.ndis.oidRequest(s.binding, { oid: Oid.PNP_SET_POWER, kind: 'set', information: 3 });
  }),
  breach('PWR-002', 'a power-down answered during a terminate', (s) => {
    s.offload();
    s.call(TERMINATE);
    s.world.ndis.oidRequest(s.binding, { oid: Oid.PNP_SET_POWER, kind: 'set', information: 3 });
  }),
  breach('PWR-004', 'a power-down completed during a terminate', (s) => {
    s.offload();
    s.call(TERMINATE);
    s.target.oidAnswer = NdisStatus.PENDING;
    const request = { oid: Oid.PNP_SET_POWER, kind: 'set', information: 3 } as const;
    s.world.ndis.oidRequest(s.binding, request);
    s.target.ndisM.oidRequestComplete(s.target.handle, request, SUCCESS);
  }),
];
