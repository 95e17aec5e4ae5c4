/**
 * Checkers of operations as such: stored and completed later, once, by their own completion, with the same root; and which of
 * them may be under way at a time. chimney-ddi 13.
 */

import { DataOperation, STATE_CALL_NAMES, STATE_COMPLETION_NAMES, StateOperation } from '../../ndis/protocol.ts';
import type { Checker, Watch } from '../checker.ts';
import { type BlockRecord, type ObjectRecord, PHASE_NAMES, Phase, Role } from '../records.ts';

/** By StateOperation. */
const STORED = ['INIT-001', 'TERM-011', 'UPD-001', 'QRY-001', 'INV-001'];
const SAME_ROOT = ['INIT-003', 'TERM-012', 'UPD-002', 'QRY-002', 'INV-002'];

/** Every operation is completed later, once, as itself. */
const pairing: Checker = {
  about: 'operations and their completions',
  must: [...STORED, ...SAME_ROOT, 'INIT-002', 'IM-031'],
  stateComplete(watch, operation, as) {
    const object = operation.blocks[0]?.object ?? null;
    if (operation.operation !== as) {
      const expected = STATE_COMPLETION_NAMES[operation.operation]!;
      watch.breach('IM-031', 'target', object, expected, STATE_COMPLETION_NAMES[as]!);
    }
    if (!operation.isInside) return;
    const rule = STORED[operation.operation]!;
    watch.breach(rule, 'target', object, 'a completion after the entry point has returned', 'one from inside it');
  },
  stateCompleteStray(watch, as, root) {
    const handle = root.offloadHandle;
    const object = handle === null ? null : (watch.ledger.objectOf(handle) ?? null);
    const expected = `the root of a ${STATE_CALL_NAMES[as]!} that is under way`;
    watch.breach(SAME_ROOT[as]!, 'target', object, expected, 'another block, or one completed before');
  },
  givenUp: checkCompleted,
  finish: checkCompleted,
};

/** Every operation has been completed by now. */
function checkCompleted(watch: Watch): void {
  for (const { operation, blocks } of watch.ledger.operations.values()) {
    const rule = operation === StateOperation.INITIATE ? 'INIT-002' : STORED[operation]!;
    const expected = STATE_COMPLETION_NAMES[operation]!;
    watch.breach(
      rule,
      'target',
      blocks[0]?.object ?? null,
      expected,
      `no completion of ${STATE_CALL_NAMES[operation]!}`,
    );
  }
}

/** By StateOperation: not while the object is being offloaded. */
const DURING_INITIATE = [['INIT-039'], ['INIT-047'], ['INIT-044', 'UPD-029'], ['INIT-045'], ['INIT-046', 'INV-022']];

/** What the host may ask of an object at a time. */
const order: Checker = {
  about: 'which operations may meet on an object',
  must: [
    ...['INIT-044', 'INIT-045', 'INIT-046', 'INIT-047', 'INV-022', 'UPD-029', 'UPD-030', 'UPD-032'],
    ...['CTX-007', 'CTX-015', 'TERM-028', 'TERM-029'],
  ],
  stateCall(watch, operation) {
    if (operation.operation === StateOperation.INITIATE) return;
    for (const entry of operation.blocks) {
      if (entry.object !== null) checkOrder(watch, operation.operation, entry, entry.object);
    }
  },
};

function checkOrder(watch: Watch, operation: StateOperation, entry: BlockRecord, object: ObjectRecord): void {
  const call = STATE_CALL_NAMES[operation]!;
  if (object.phase === Phase.INITIATING) {
    watch.breach(DURING_INITIATE[operation]!, 'host', object, 'no such call while the offload is in progress', call);
    return;
  }
  if (object.phase === Phase.ABSENT) {
    const rule = object.wasOffloaded ? 'CTX-015' : 'CTX-007';
    watch.breach(rule, 'host', object, 'a reference to an offloaded object', `${call} on one that is not`);
    return;
  }
  if (object.phase === Phase.TERMINATING) {
    watch.breach('TERM-028', 'host', object, 'no operation on what is being terminated', call);
    return;
  }
  const under = (which: StateOperation): boolean => object.operations[which]! > 0;
  if (operation === StateOperation.UPDATE) {
    if (object.isInvalid && hasCached(entry)) {
      watch.breach('UPD-032', 'host', object, 'no update of an invalidated object', call);
    } else if (under(StateOperation.UPDATE)) {
      watch.breach('UPD-030', 'host', object, 'one update of an object at a time', 'a second one');
    }
  } else if (operation === StateOperation.TERMINATE) checkTerminate(watch, object);
}

/** A block of a relinking update may name an object without updating it. UPD-023. */
function hasCached(entry: BlockRecord): boolean {
  return entry.block.cachedState !== null || entry.parent === null;
}

function checkTerminate(watch: Watch, object: ObjectRecord): void {
  const { UPDATE, QUERY, INVALIDATE } = StateOperation;
  for (const operation of [INVALIDATE, QUERY, UPDATE]) {
    if (object.operations[operation]! === 0) continue;
    const seen = `${STATE_CALL_NAMES[operation]!} not completed`;
    watch.breach('TERM-028', 'host', object, 'all invalidates, queries and updates completed', seen);
    return;
  }
  if (object.callInside[DataOperation.RECEIVE] !== 0 || object.callInside[DataOperation.DISCONNECT] !== 0) {
    watch.breach('TERM-029', 'host', object, 'receive and disconnect calls returned', 'one that is inside the target');
  }
}

/** Dependents go before what they depend on. */
const dependents: Checker = {
  about: 'paths and neighbors that still have dependents',
  must: ['TERM-063', 'TERM-065', 'UPD-022'],
  stateCall(watch, operation) {
    if (operation.operation === StateOperation.UPDATE) {
      for (const entry of operation.blocks) checkRelink(watch, entry);
    } else if (operation.operation === StateOperation.TERMINATE) {
      const inTree = new Set(operation.blocks.map((entry) => entry.object));
      for (const { object } of operation.blocks) {
        if (object === null) continue;
        const left = [...object.dependents].filter((dependent) => !inTree.has(dependent)).length;
        if (left === 0) continue;
        // Alone, or in a combination that leaves some of its dependents out.
        const rule = left < object.dependents.size ? 'TERM-065' : 'TERM-063';
        watch.breach(rule, 'host', object, 'a terminate once no dependent is left', `${left} left`);
      }
    }
  },
};

function checkRelink(watch: Watch, entry: BlockRecord): void {
  const parent = entry.parent === null ? null : entry.parent.object;
  const object = entry.object;
  if (entry.role === Role.PLACEHOLDER || object === null || parent === null || object.layer !== 2) return;
  if (object.parent !== null && object.parent !== parent) {
    watch.breach('UPD-022', 'host', object, 'a TCP object left on its path', `${parent.name} in its place`);
  }
}

/** Objects that nobody ever ended. */
const ended: Checker = {
  about: 'objects at the end of the binding',
  must: ['INV-013', 'TERM-066'],
  finish(watch) {
    for (const object of watch.ledger.live) {
      if (object.isInvalid) watch.breach('INV-013', 'host', object, 'a terminate of every invalidated object', 'none');
      else if (object.layer !== 2 && object.dependents.size === 0 && object.phase !== Phase.TERMINATING) {
        const seen = `${PHASE_NAMES[object.phase]} without dependents`;
        watch.breach('TERM-066', 'host', object, 'a terminate of paths and neighbors after their dependents', seen);
      }
    }
  },
};

export const OPERATION_CHECKERS: readonly Checker[] = [pairing, order, dependents, ended];
