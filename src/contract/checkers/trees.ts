/**
 * Checkers of the shape of trees: layers, links, what follows a block. TREE-001 to TREE-034, INV-003; mostly the host's duty.
 */

import { layerOf, NdisStatus, ndisStatusName, OffloadStateType, StateOperation } from '../../ndis/protocol.ts';
import { PathConstState } from '../../state/path.ts';
import type { Checker, Watch } from '../checker.ts';
import { cachedDigest, structuresBehind } from '../read-tree.ts';
import { type BlockRecord, type OperationRecord, Role } from '../records.ts';

/** Which of const, cached and delegated state a type says follows; a bit each. */
function structuresOf(type: number): number {
  const { NEIGHBOR, IP4, IP6, TCP } = OffloadStateType;
  if (type === NEIGHBOR || type === IP4 || type === IP6 || type === TCP) return 7;
  const { NEIGHBOR_CONST, IP4_CONST, IP6_CONST, TCP_CONST } = OffloadStateType;
  if (type === NEIGHBOR_CONST || type === IP4_CONST || type === IP6_CONST || type === TCP_CONST) return 1;
  const { NEIGHBOR_CACHED, IP4_CACHED, IP6_CACHED, TCP_CACHED } = OffloadStateType;
  if (type === NEIGHBOR_CACHED || type === IP4_CACHED || type === IP6_CACHED || type === TCP_CACHED) return 2;
  return 4;
}

const LAYER_NAMES = ['a neighbor', 'a path', 'a TCP'];

/** Three layers, each of its own kind, in their order. */
const layers: Checker = {
  about: 'layers and links of a tree',
  must: ['TREE-001', 'TREE-002', 'TREE-004', 'TREE-005', 'TREE-006'],
  stateCall(watch, operation) {
    if (operation.brokenTree !== null) {
      watch.breach('TREE-001', 'host', null, 'a tree of at most three layers without loops', operation.brokenTree);
      return;
    }
    for (const entry of operation.blocks) checkLayer(watch, operation, entry);
  },
};

function checkLayer(watch: Watch, operation: OperationRecord, entry: BlockRecord): void {
  if (entry.role === Role.PLACEHOLDER) return;
  const layer = layerOf(entry.type);
  if (layer === -1) return;
  if (layer === 2 && entry.dependentBlockList !== null) {
    watch.breach('TREE-006', 'host', entry.object, 'no dependents of a TCP block', 'a DependentBlockList');
  }
  const parent = entry.parent;
  if (parent !== null && parent.role !== Role.PLACEHOLDER) {
    const above = layerOf(parent.type);
    if (above === 0 && layer !== 1)
      watch.breach('TREE-004', 'host', entry.object, 'a path block below a neighbor', named(layer));
    if (above === 1 && layer !== 2)
      watch.breach('TREE-005', 'host', entry.object, 'a TCP block below a path', named(layer));
    return;
  }
  const siblings = parent === null ? operation.blocks : parent.dependents;
  for (const first of siblings) {
    if (first.parent !== parent || first.role === Role.PLACEHOLDER) continue;
    const other = layerOf(first.type);
    if (other !== layer && other !== -1) {
      watch.breach('TREE-002', 'host', entry.object, `only ${LAYER_NAMES[other]} block along NextBlock`, named(layer));
    }
    return;
  }
}

function named(layer: number): string {
  return `${LAYER_NAMES[layer] ?? 'no known'} block`;
}

/** What follows a block agrees with what the block is. */
const structures: Checker = {
  about: 'the state that follows a block',
  must: [
    ...['TREE-018', 'TREE-022', 'TREE-024', 'TREE-025', 'TREE-026', 'TREE-027', 'TREE-028', 'TREE-029', 'STATE-018'],
    ...['INV-003', 'QRY-007', 'TREE-021'],
  ],
  stateCall(watch, operation) {
    for (const entry of operation.blocks) {
      if (entry.role === Role.PLACEHOLDER) checkPlaceholder(watch, entry);
      else checkNamed(watch, operation.operation, entry);
    }
  },
};

function checkPlaceholder(watch: Watch, entry: BlockRecord): void {
  if (structuresBehind(entry.block) !== 0) {
    watch.breach('TREE-018', 'host', null, 'no state behind a placeholder', 'state structures');
  }
}

function checkNamed(watch: Watch, operation: StateOperation, entry: BlockRecord): void {
  const { block, object } = entry;
  const behind = structuresBehind(block);
  if (layerOf(entry.type) === -1) {
    watch.breach('TREE-029', 'host', object, 'a Header.Type that carries state', `type ${entry.type}`);
    return;
  }
  if (entry.size <= 0 || entry.revision <= 0) {
    watch.breach('TREE-025', 'host', object, 'Header.Size and Header.Revision set', `${entry.size}, ${entry.revision}`);
  }
  if (operation === StateOperation.INVALIDATE && behind !== 0) {
    watch.breach('INV-003', 'host', object, 'blocks without state structures', 'state structures');
  } else if (operation === StateOperation.INITIATE) checkInitiateState(watch, entry, behind);
  else if (operation === StateOperation.QUERY && behind !== structuresOf(entry.type)) {
    watch.breach('QRY-007', 'host', object, 'the structures to fill that Header.Type names', `others (${behind})`);
  } else if (behind !== 0 && (behind & ~structuresOf(entry.type)) !== 0) {
    watch.breach('TREE-027', 'host', object, 'only structures that Header.Type names', `others (${behind})`);
  }
}

function checkInitiateState(watch: Watch, entry: BlockRecord, behind: number): void {
  const { block, object } = entry;
  if (entry.role === Role.REFERENCE) {
    if (behind !== 0) watch.breach('TREE-021', 'host', object, 'no state behind a linker', 'state structures');
    else if (!entry.dependents.some(conveysState)) {
      watch.breach('TREE-022', 'host', object, 'a linker with a dependent that conveys new state', 'none');
    }
    return;
  }
  if (behind === 0) watch.breach('TREE-024', 'host', object, 'state behind a block with an empty slot', 'none');
  else if (behind !== structuresOf(entry.type)) {
    watch.breach('TREE-026', 'host', object, 'const, cached and delegated state, by Header.Type', `others (${behind})`);
  }
  const constant = block.constState;
  if (!(constant instanceof PathConstState)) return;
  const { IP6, IP6_CONST, IP6_CACHED, IP6_DELEGATED } = OffloadStateType;
  const isSix = [IP6, IP6_CONST, IP6_CACHED, IP6_DELEGATED].some((type) => type === entry.type);
  const bytes = isSix ? 16 : 4;
  if (constant.sourceAddress.length !== bytes || constant.destinationAddress.length !== bytes) {
    const seen = `${constant.sourceAddress.length} and ${constant.destinationAddress.length}`;
    watch.breach(['TREE-028', 'STATE-018'], 'host', object, `addresses of ${bytes} bytes, as Header.Type says`, seen);
  }
}

/** Whether a block, or what hangs on it, brings a new object. A linker may lead to another one. */
function conveysState(entry: BlockRecord): boolean {
  return entry.role === Role.NEW_OFFLOAD || entry.dependents.some(conveysState);
}

/** What the target may not touch. */
const untouched: Checker = {
  about: 'what a target leaves alone in a tree',
  must: ['TREE-035', 'TREE-036', 'TREE-037', 'TREE-038', 'TREE-041', 'UPD-008', 'CTX-006'],
  stateComplete(watch, operation) {
    for (const entry of operation.blocks) checkUntouched(watch, operation, entry);
  },
};

function checkUntouched(watch: Watch, operation: OperationRecord, entry: BlockRecord): void {
  const { block, object } = entry;
  const say = (rule: string, what: string): void =>
    watch.breach(rule, 'target', object, `${what} as it was given`, `another ${what}`);
  if (block.nextBlock !== entry.nextBlock) say('TREE-035', 'NextBlock');
  if (block.dependentBlockList !== entry.dependentBlockList) say('TREE-035', 'DependentBlockList');
  if (block.offloadHandle !== entry.handle) say('TREE-035', 'NdisOffloadHandle');
  const header = block.header;
  if (header.type !== entry.type || header.revision !== entry.revision || header.size !== entry.size)
    say('TREE-035', 'Header');
  if (block.portNumber !== entry.portNumber) say('TREE-035', 'PortNumber');
  if (block.sourceHandle !== entry.sourceHandle) say('TREE-038', 'SourceHandle');
  if (block.protocolReserved[0] !== entry.reserved[0] || block.protocolReserved[1] !== entry.reserved[1]) {
    say('TREE-036', 'ProtocolReserved');
  }
  if (block.imReserved[0] !== entry.reserved[2] || block.imReserved[1] !== entry.reserved[3])
    say('TREE-037', 'ImReserved');
  const ndis = block.ndisReserved;
  if (ndis[0] !== entry.reserved[4] || ndis[1] !== entry.reserved[5] || ndis[2] !== entry.reserved[6]) {
    say('TREE-041', 'NdisReserved');
  }
  const isTerminate = operation.operation === StateOperation.TERMINATE;
  if (!isTerminate && block.netBufferListChain !== entry.chain) say('TREE-035', 'NetBufferListChain');
  if (entry.role === Role.REFERENCE && entry.handle !== null && entry.handle.miniportOffloadContext !== entry.slot) {
    const seen = entry.handle.miniportOffloadContext === null ? 'an emptied slot' : 'another PVOID';
    watch.breach('CTX-006', 'target', object, 'the PVOID in the slot as it was written at initiate', seen);
  }
  if (operation.operation === StateOperation.UPDATE && cachedDigest(block) !== entry.cachedDigest) {
    watch.breach('UPD-008', 'target', object, 'cached variables that only the host writes', 'changed ones');
  }
}

/** One block in two operations at a time. */
const owned: Checker = {
  about: 'trees that the target still owns',
  must: ['INIT-004', 'TERM-013', 'UPD-003', 'QRY-003'],
  stateCall(watch, operation) {
    if (!watch.ledger.operations.has(operation.root)) return;
    const under = watch.ledger.operations.get(operation.root)!.operation;
    const rule = ['INIT-004', 'TERM-013', 'UPD-003', 'QRY-003'][under];
    if (rule === undefined) return;
    watch.breach(
      rule,
      'host',
      operation.blocks[0]?.object ?? null,
      'a tree left alone until it is completed',
      'a second use',
    );
  },
};

/** The statuses of the operations other than initiate. */
const statuses: Checker = {
  about: 'statuses of query, update, invalidate and terminate',
  must: ['TERM-017', 'UPD-033', 'QRY-010', 'INV-018', 'TREE-043', 'TREE-020', 'UPD-039'],
  stateComplete(watch, operation) {
    if (operation.operation === StateOperation.INITIATE) return;
    const rule = ['', 'TERM-017', 'UPD-033', 'QRY-010', 'INV-018'][operation.operation]!;
    for (const { block, object, role } of operation.blocks) {
      const status = block.status;
      if (status === NdisStatus.SUCCESS || status === NdisStatus.FAILURE) continue;
      const seen = ndisStatusName(status);
      const isMissing = status === NdisStatus.PENDING;
      const isInitiateOnly = status === NdisStatus.RESOURCES || (status >= 32 && status < 64);
      const isUnwritten = isMissing && role === Role.PLACEHOLDER;
      const ofPlaceholder = operation.operation === StateOperation.UPDATE ? ['UPD-039', 'TREE-020'] : 'TREE-020';
      const broken = isInitiateOnly ? 'TREE-043' : isUnwritten ? ofPlaceholder : rule;
      watch.breach(
        broken,
        'target',
        object,
        'SUCCESS or FAILURE in every block',
        isMissing ? 'no status written' : seen,
      );
    }
  },
};

export const TREE_CHECKERS: readonly Checker[] = [layers, structures, untouched, owned, statuses];
