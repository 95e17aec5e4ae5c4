/** Faults of the corruption sequence: a good target that has lost its state, and then does something else than it must. */

import {
  BlockLayer,
  layerOf,
  type MiniportOffloadBlock,
  type NdisOffloadHandle,
  NdisStatus,
  setEveryStatus,
  TcpOffloadEventType,
  TcpUploadReason,
} from '../../ndis/miniport.ts';
import { type Fault, fault, onStateEntry, type Shim, STATE, type StateNames } from './shim.ts';

const [, TERMINATE, , QUERY, INVALIDATE] = STATE;

function isConnection(root: MiniportOffloadBlock): boolean {
  return layerOf(root.header.type) === BlockLayer.TCP && root.nextBlock === null;
}

/** What is said of the connection. */
type Speech = (shim: Shim, connection: NdisOffloadHandle) => void;

/** Fails the first operation of a kind on a connection, as a NIC does that has lost its state. */
function corrupt(shim: Shim, names: StateNames, before: Speech, after: Speech): void {
  let isFirst = true;
  onStateEntry(shim, names, (root, former) => {
    if (!isFirst || !isConnection(root)) {
      former();
      return;
    }
    isFirst = false;
    shim.defer(() => {
      const connection = root.ndisOffloadHandle!;
      before(shim, connection);
      setEveryStatus(root, NdisStatus.FAILURE);
      shim.above[names.complete](shim.handle, root);
      after(shim, connection);
    });
  });
}

const retrieve: Speech = (shim, connection) =>
  shim.event(connection, TcpOffloadEventType.INDICATE_RETRIEVE, TcpUploadReason.HARDWARE_FAILURE);
const abort: Speech = (shim, connection) => shim.event(connection, TcpOffloadEventType.INDICATE_ABORT);
const both: Speech = (shim, connection) => {
  retrieve(shim, connection);
  abort(shim, connection);
};
const nothing: Speech = () => {};

/** Raises the Retrieve while the operation is still under way. */
function hasty(rule: string, names: StateNames): Fault {
  return fault(rule, `asks for a corrupt connection before it has failed the ${names.name}`, (shim) =>
    corrupt(shim, names, retrieve, abort),
  );
}

function silent(rule: string, names: StateNames): Fault {
  return fault(rule, `says nothing after a ${names.name} that failed for corruption`, (shim) =>
    corrupt(shim, names, nothing, nothing),
  );
}

function abortsFirst(rule: string, names: StateNames): Fault {
  return fault(rule, `raises the Abort after a ${names.name} that failed without a Retrieve`, (shim) =>
    corrupt(shim, names, nothing, abort),
  );
}

function goesOn(rule: string, names: StateNames): Fault {
  return fault(rule, `gives lists back as if a connection were whole whose ${names.name} failed`, (shim) =>
    corrupt(shim, names, nothing, both),
  );
}

/** Never completes the second terminate. */
function hangs(rule: string, names: StateNames): Fault {
  return fault(
    rule,
    `never completes the terminate that follows a corrupt ${names.name}`,
    (shim) => {
      let hasFailed = false;
      onStateEntry(shim, TERMINATE, (root, former) => {
        if (!hasFailed || !isConnection(root)) former();
      });
      corrupt(shim, names, nothing, (its, connection) => {
        hasFailed = true;
        both(its, connection);
      });
    },
    'TERM-011',
  );
}

export const CORRUPTION_FAULTS: readonly Fault[] = [
  hasty('TERM-021', TERMINATE),
  hasty('QRY-013', QUERY),
  silent('TERM-022', TERMINATE),
  silent('QRY-014', QUERY),
  abortsFirst('TERM-023', TERMINATE),
  abortsFirst('QRY-015', QUERY),
  abortsFirst('INV-020', INVALIDATE),
  goesOn('TERM-024', TERMINATE),
  goesOn('QRY-016', QUERY),
  goesOn('INV-021', INVALIDATE),
  hangs('TERM-025', TERMINATE),
  hangs('QRY-017', QUERY),
];
