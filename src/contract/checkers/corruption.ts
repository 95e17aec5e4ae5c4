/**
 * Checkers of the corruption sequence: an operation that fails because the hardware state is lost, then Retrieve with
 * HardwareFailure, then Abort, then a second terminate. TERM-021 to TERM-025, QRY-013 to QRY-017, INV-020, INV-021.
 */

import { DataOperation, NdisStatus, ndisStatusName, StateOperation, TcpOffloadEventType } from '../../ndis/protocol.ts';
import type { Checker, Watch } from '../checker.ts';
import type { ObjectRecord } from '../records.ts';

const { TERMINATE, QUERY, INVALIDATE } = StateOperation;

/** What is said of each step, by the operation whose failure begins the sequence. */
interface Sequence {
  readonly order: string;
  readonly retrieve: string;
  readonly abort: string;
  readonly lists: string;
  readonly end: string;
}

const TERMINATES: Sequence = {
  order: 'TERM-021',
  retrieve: 'TERM-022',
  abort: 'TERM-023',
  lists: 'TERM-024',
  end: 'TERM-025',
};
const QUERIES: Sequence = {
  order: 'QRY-013',
  retrieve: 'QRY-014',
  abort: 'QRY-015',
  lists: 'QRY-016',
  end: 'QRY-017',
};
const INVALIDATES: Sequence = {
  order: 'INV-020',
  retrieve: 'INV-020',
  abort: 'INV-020',
  lists: 'INV-021',
  end: 'INV-021',
};

/** By the operation that failed. */
function sequenceOf(operation: StateOperation): Sequence {
  return operation === QUERY ? QUERIES : operation === INVALIDATE ? INVALIDATES : TERMINATES;
}

const corruption: Checker = {
  about: 'what follows a corrupt object',
  must: [
    ...['TERM-021', 'TERM-022', 'TERM-023', 'TERM-024', 'TERM-025', 'QRY-013', 'QRY-014', 'QRY-015', 'QRY-016'],
    ...['QRY-017', 'INV-020', 'INV-021'],
  ],
  stateComplete(watch, { operation, blocks, number }) {
    if (operation !== TERMINATE && operation !== QUERY && operation !== INVALIDATE) return;
    for (const { block, object } of blocks) {
      if (object === null || object.layer !== 2) continue;
      if (block.status === NdisStatus.FAILURE && object.hardwareRetrieveAt > number && !object.isCorrupt) {
        const expected = 'FAILURE before the Retrieve with HardwareFailure';
        watch.breach(sequenceOf(operation).order, 'target', object, expected, 'the Retrieve before it');
      } else if (operation === TERMINATE && block.status === NdisStatus.SUCCESS) checkEnd(watch, object);
    }
  },
  tcpEvent(watch, object, _handle, type) {
    if (object === undefined || !object.isCorrupt || object.hardwareRetrieveAt > 0) return;
    if (type !== TcpOffloadEventType.INDICATE_ABORT) return;
    const rule = sequenceOf(object.corruptedBy).abort;
    watch.breach(rule, 'target', object, 'Retrieve with HardwareFailure before the Abort', 'no Retrieve');
  },
  listCompleted(watch, as, list, record) {
    if (record === undefined || !record.object.isCorrupt || as > DataOperation.RECEIVE) return;
    const object = record.object;
    if (object.operations[TERMINATE] === 0 || list.status === NdisStatus.REQUEST_ABORTED) return;
    const seen = ndisStatusName(list.status);
    const expected = 'REQUEST_ABORTED at the terminate of a corrupt object';
    watch.breach(sequenceOf(object.corruptedBy).lists, 'target', object, expected, seen);
  },
  finish(watch) {
    for (const object of watch.ledger.live) {
      if (object.layer !== 2 || !object.isCorrupt || object.hardwareRetrieveAt > 0) continue;
      const { retrieve } = sequenceOf(object.corruptedBy);
      watch.breach(retrieve, 'target', object, 'Retrieve with HardwareFailure after the failure', 'none');
    }
    for (const { operation, blocks } of watch.ledger.operations.values()) {
      const object = operation === TERMINATE ? (blocks[0]?.object ?? null) : null;
      if (object === null || !object.isCorrupt) continue;
      const expected = 'a completion of the terminate that ends the sequence';
      watch.breach(sequenceOf(object.corruptedBy).end, 'target', object, expected, 'none');
    }
  },
};

/** The second terminate: both events have been raised by now. */
function checkEnd(watch: Watch, object: ObjectRecord): void {
  if (!object.isCorrupt) return;
  const { retrieve, abort } = sequenceOf(object.corruptedBy);
  if (object.hardwareRetrieveAt === 0) {
    watch.breach(retrieve, 'target', object, 'Retrieve with HardwareFailure after the failure', 'none');
  } else if (!object.hasAborted) {
    watch.breach(abort, 'target', object, 'Abort after the Retrieve with HardwareFailure', 'none');
  }
}

export const CORRUPTION_CHECKERS: readonly Checker[] = [corruption];
