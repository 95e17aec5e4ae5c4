/** Faults of state operations: when and how they are completed, and what is touched in their trees. */

import {
  forEachBlock,
  type MiniportOffloadBlock,
  NdisOffloadHandle,
  NdisStatus,
  setEveryStatus,
} from '../../ndis/miniport.ts';
import { TcpCachedState, TcpDelegatedState } from '../../state/tcp.ts';
import {
  emptyNetBufferList,
  type Fault,
  fault,
  onStateComplete,
  onStateEntry,
  type Shim,
  STATE,
  type StateNames,
} from './shim.ts';

const [INITIATE, , UPDATE, QUERY] = STATE;

/** One fault an operation; '' for none. */
function ofEach(
  rules: readonly string[],
  how: string,
  seat: (shim: Shim, names: StateNames) => void,
  ...others: string[]
): Fault[] {
  return rules.flatMap((rule, i) =>
    rule === '' ? [] : [fault(rule, how.replace('*', STATE[i]!.name), (shim) => seat(shim, STATE[i]!), ...others)],
  );
}

/** Changes a tree before it is completed. */
function touched(rule: string, what: string, change: (root: MiniportOffloadBlock) => void): Fault {
  return fault(rule, `writes ${what} of an update's block`, (shim) =>
    onStateComplete(shim, UPDATE, (root, former) => {
      change(root);
      former();
    }),
  );
}

export const OPERATION_FAULTS: readonly Fault[] = [
  ...ofEach(
    ['INIT-001', 'TERM-011', 'UPD-001', 'QRY-001', 'INV-001'],
    'completes the * from inside the entry',
    (shim, names) =>
      onStateEntry(shim, names, (root) => {
        setEveryStatus(root, NdisStatus.FAILURE);
        shim.above[names.complete](shim.handle, root);
      }),
  ),
  ...ofEach(['INIT-003', 'TERM-012', 'UPD-002', 'QRY-002', 'INV-002'], 'completes each * twice', (shim, names) =>
    onStateComplete(shim, names, (_root, former) => {
      former();
      former();
    }),
  ),
  fault('INIT-002', 'never completes an initiate', (shim) => onStateEntry(shim, INITIATE, () => {})),
  fault('IM-031', 'completes queries as updates', (shim) => {
    shim.above.queryOffloadStateComplete = (handle, root) => shim.above.updateOffloadComplete(handle, root);
  }),
  ...ofEach(
    ['', 'TERM-017', 'UPD-033', 'QRY-010', 'INV-018'],
    'writes no status into the block of a *',
    (shim, names) =>
      onStateComplete(shim, names, (root, former) => {
        if (root.miniportOffloadContext !== null) root.status = NdisStatus.PENDING;
        former();
      }),
  ),
  fault('TREE-043', 'answers a query with RESOURCES', (shim) =>
    onStateComplete(shim, QUERY, (root, former) => {
      root.status = NdisStatus.RESOURCES;
      former();
    }),
  ),
  fault('TREE-020', 'leaves placeholders without a status', (shim) => {
    for (const names of [INITIATE, QUERY]) {
      onStateComplete(shim, names, (root, former) => {
        forEachBlock(root, (block) => {
          if (block.miniportOffloadContext === null) block.status = NdisStatus.PENDING;
        });
        former();
      });
    }
  }),
  fault('QRY-022', 'answers a query with lists of send data', (shim) =>
    onStateComplete(shim, QUERY, (root, former) => {
      forEachBlock(root, ({ delegatedState }) => {
        if (delegatedState instanceof TcpDelegatedState) delegatedState.sendDataHead = emptyNetBufferList();
      });
      former();
    }),
  ),
  touched('TREE-035', 'PortNumber', (root) => {
    root.portNumber = 3;
  }),
  touched('TREE-036', 'ProtocolReserved', (root) => {
    root.protocolReserved[1] = 1;
  }),
  touched('TREE-037', 'ImReserved', (root) => {
    root.imReserved[1] = 1;
  }),
  touched('TREE-038', 'SourceHandle', (root) => {
    root.sourceHandle = 1;
  }),
  touched('TREE-041', 'NdisReserved', (root) => {
    root.ndisReserved[2] = 1;
  }),
  touched('UPD-008', 'a cached variable', (root) => {
    if (root.cachedState instanceof TcpCachedState) root.cachedState.tosOrTrafficClass ^= 4;
  }),
  fault('CTX-006', 'moves its context while the object is offloaded', (shim) =>
    onStateComplete(shim, UPDATE, (root, former) => {
      root.ndisOffloadHandle!.miniportOffloadContext = new NdisOffloadHandle(null);
      former();
    }),
  ),
];
