/**
 * Checkers of the initiate: what the host may offload and when, which statuses and slots the target answers with.
 */

import { seqDiff } from '../../base/seq.ts';
import { BlockLayer, layerOf, NdisStatus, ndisStatusName, StateOperation } from '../../ndis/protocol.ts';
import { NeighborConstState } from '../../state/neighbor.ts';
import { TcpConnectionState, TcpDelegatedState } from '../../state/tcp.ts';
import type { Checker, Watch } from '../checker.ts';
import { wasTaken } from '../ledger.ts';
import { type BlockRecord, type ObjectRecord, Phase, Role } from '../records.ts';

/** When the host may offload at all. */
const enabling: Checker = {
  about: 'when offloading is allowed',
  must: ['CAP-022', 'CAP-036', 'EVT-042', 'EVT-044', 'EVT-039', 'TERM-072'],
  stateCall(watch, operation) {
    if (operation.operation !== StateOperation.INITIATE) return;
    const ledger = watch.ledger;
    const object = operation.blocks[0]?.object ?? null;
    if (!ledger.isEnabled)
      watch.breach('CAP-022', 'host', object, 'OID_TCP_TASK_OFFLOAD set before any offload', 'none');
    if (ledger.hasUploadAll) {
      const expected = 'no offload between UPLOAD_ALL and RESUME';
      watch.breach(['EVT-044', 'TERM-072'], 'host', object, expected, 'one');
    } else if (ledger.isPaused) watch.breach('EVT-042', 'host', object, 'no offload between PAUSE and RESUME', 'one');
    else if (ledger.needsQuery) {
      watch.breach(
        ['EVT-039', 'CAP-036'],
        'host',
        object,
        'OID_TCP_TASK_OFFLOAD queried after OFFLOAD_RESUME',
        'an offload without',
      );
    }
  },
};

/** Connections that may be offloaded, with the send data that goes with them. */
const offloadable: Checker = {
  about: 'what may be offloaded',
  must: ['INIT-039', 'INIT-072', 'INIT-074', 'INIT-066', 'INIT-067', 'INIT-071', 'CTX-007'],
  stateCall(watch, operation) {
    if (operation.operation !== StateOperation.INITIATE) return;
    for (const entry of operation.blocks) {
      const object = entry.object;
      if (object === null) continue;
      if (object.phase === Phase.INITIATING) {
        watch.breach('INIT-039', 'host', object, 'one offload of an object at a time', 'a second one');
      } else if (entry.role === Role.REFERENCE && object.phase !== Phase.OFFLOADED) {
        watch.breach('CTX-007', 'host', object, 'a linker that names an offloaded object', 'one that does not');
      }
      if (entry.role === Role.NEW_OFFLOAD) checkConnection(watch, entry);
    }
  },
};

const NOT_OFFLOADABLE: readonly number[] = [
  TcpConnectionState.CLOSED,
  TcpConnectionState.LISTEN,
  TcpConnectionState.SYN_SENT,
  TcpConnectionState.SYN_RCVD,
  TcpConnectionState.TIME_WAIT,
];

/** Those whose establishment is not complete. */
const UNESTABLISHED: readonly number[] = [
  TcpConnectionState.LISTEN,
  TcpConnectionState.SYN_SENT,
  TcpConnectionState.SYN_RCVD,
];

function checkConnection(watch: Watch, entry: BlockRecord): void {
  const delegated = entry.block.delegatedState;
  const object = entry.object;
  if (!(delegated instanceof TcpDelegatedState)) return;
  if (NOT_OFFLOADABLE.includes(delegated.state)) {
    const rules = UNESTABLISHED.includes(delegated.state) ? ['INIT-074', 'INIT-072'] : 'INIT-072';
    watch.breach(rules, 'host', object, 'a connection from ESTABLISHED to LAST_ACK', `state ${delegated.state}`);
  }
  const sends = entry.sends;
  if (sends.length === 0) return;
  for (const list of sends) {
    if (list.firstNetBuffer === null || list.firstNetBuffer.next !== null) {
      watch.breach('INIT-066', 'host', object, 'one NET_BUFFER in each offloaded send list', 'another number');
      break;
    }
  }
  const head = delegated.sendDataHead === null ? -1 : sends.indexOf(delegated.sendDataHead);
  const tail = delegated.sendDataTail === null ? -1 : sends.lastIndexOf(delegated.sendDataTail);
  if (head < 0 || tail < head) {
    watch.breach('INIT-067', 'host', object, 'SendDataHead and SendDataTail inside NetBufferListChain', 'others');
  }
  if (seqDiff(delegated.sndNxt, delegated.sndUna) < 0 || seqDiff(delegated.sndMax, delegated.sndNxt) < 0) {
    const seen = `${delegated.sndUna >>> 0}, ${delegated.sndNxt >>> 0}, ${delegated.sndMax >>> 0}`;
    watch.breach('INIT-071', 'host', object, 'SndUna <= SndNxt <= SndMax', seen);
  }
}

/** The layer to which each specific failure belongs; anything else may be said of any block. */
const LAYER_OF_CODE: Readonly<Record<number, readonly [rule: string, layer: number]>> = {
  [NdisStatus.OFFLOAD_TCP_ENTRIES]: ['INIT-015', BlockLayer.TCP],
  [NdisStatus.OFFLOAD_PATH_ENTRIES]: ['INIT-016', BlockLayer.PATH],
  [NdisStatus.OFFLOAD_NEIGHBOR_ENTRIES]: ['INIT-017', BlockLayer.NEIGHBOR],
  [NdisStatus.OFFLOAD_HW_ADDRESS_ENTRIES]: ['INIT-018', BlockLayer.NEIGHBOR],
  [NdisStatus.OFFLOAD_IP_ADDRESS_ENTRIES]: ['INIT-019', BlockLayer.PATH],
  [NdisStatus.OFFLOAD_TCP_XMIT_BUFFER]: ['INIT-020', BlockLayer.TCP],
  [NdisStatus.OFFLOAD_TCP_RCV_BUFFER]: ['INIT-021', BlockLayer.TCP],
  [NdisStatus.OFFLOAD_TCP_RCV_WINDOW]: ['INIT-022', BlockLayer.TCP],
  [NdisStatus.OFFLOAD_PATH_MTU]: ['INIT-023', BlockLayer.PATH],
  [NdisStatus.OFFLOAD_CONNECTION_REJECTED]: ['INIT-024', BlockLayer.TCP],
  [NdisStatus.OFFLOAD_VLAN_ENTRIES]: ['VLAN-007', BlockLayer.NEIGHBOR],
  [NdisStatus.OFFLOAD_VLAN_MISMATCH]: ['VLAN-011', BlockLayer.NEIGHBOR],
};

const GENERAL: readonly number[] = [
  NdisStatus.SUCCESS,
  NdisStatus.FAILURE,
  NdisStatus.RESOURCES,
  NdisStatus.OFFLOAD_PARTIAL_SUCCESS,
];

/** The vocabulary of an initiate's statuses. */
const vocabulary: Checker = {
  about: 'statuses that an initiate may report',
  must: [
    ...['INIT-007', 'INIT-013', 'INIT-015', 'INIT-016', 'INIT-017', 'INIT-018', 'INIT-019', 'INIT-020'],
    ...['INIT-021', 'INIT-022', 'INIT-023', 'INIT-024', 'TREE-020', 'VLAN-007', 'VLAN-009', 'VLAN-011'],
  ],
  stateComplete(watch, operation) {
    if (operation.operation !== StateOperation.INITIATE) return;
    for (const { block, object, role, type } of operation.blocks) {
      const status = block.status;
      if (status === NdisStatus.PENDING) {
        const rule = role === Role.PLACEHOLDER ? 'TREE-020' : 'INIT-007';
        watch.breach(rule, 'target', object, 'a status in every block', 'none written');
      } else if (role !== Role.PLACEHOLDER && !GENERAL.includes(status)) {
        const code = LAYER_OF_CODE[status];
        const seen = ndisStatusName(status);
        if (code === undefined) watch.breach('INIT-013', 'target', object, 'a status of initiate, or FAILURE', seen);
        else if (code[1] !== layerOf(type)) watch.breach(code[0], 'target', object, 'that code on its own layer', seen);
        const isUntagged = block.constState instanceof NeighborConstState && block.constState.vlanId === 0;
        if (isUntagged && status === NdisStatus.OFFLOAD_VLAN_MISMATCH) {
          watch.breach('VLAN-009', 'target', object, 'no failure for the VLAN of a neighbor without', seen);
        }
      }
    }
  },
};

/** The PVOID of each object. */
const slots: Checker = {
  about: 'the slots that an initiate fills',
  must: ['INIT-035', 'CTX-014', 'INIT-012'],
  should: ['INIT-036'],
  stateComplete(watch, operation) {
    if (operation.operation !== StateOperation.INITIATE) return;
    for (const entry of operation.blocks) {
      if (entry.role !== Role.NEW_OFFLOAD || entry.block.status === NdisStatus.PENDING) continue;
      const isWritten = entry.handle !== null && entry.handle.miniportOffloadContext !== null;
      const isTaken = wasTaken(entry.block.status);
      if (isTaken === isWritten) continue;
      const seen = ndisStatusName(entry.block.status);
      if (isTaken && !isWritten) {
        const expected = 'a PVOID in the slot of an object that was taken';
        watch.breach(['INIT-035', 'CTX-014'], 'target', entry.object, expected, 'none');
      } else if (!isTaken && isWritten && wereDependentsTried(entry)) {
        watch.breach('INIT-012', 'target', entry.object, 'PARTIAL where own state was taken and no dependent', seen);
      } else if (!isTaken && isWritten) {
        watch.breach(
          'INIT-036',
          'target',
          entry.object,
          'an unwritten slot where nothing was taken',
          `a PVOID, ${seen}`,
        );
      }
    }
  },
};

/** Dependents of a block that was not taken are not attempted and say FAILURE; anything else shows that they were. */
function wereDependentsTried(entry: BlockRecord): boolean {
  return entry.dependents.some((dependent) => dependent.block.status !== NdisStatus.FAILURE);
}

/** The arithmetic of statuses: one level deep. */
const levels: Checker = {
  about: 'statuses of blocks with dependents',
  must: [
    ...['INIT-008', 'INIT-009', 'INIT-010', 'INIT-011', 'INIT-027', 'INIT-081', 'INIT-082', 'INIT-083'],
    ...['INIT-084', 'INIT-085'],
  ],
  stateComplete(watch, operation) {
    if (operation.operation !== StateOperation.INITIATE) return;
    for (const entry of operation.blocks) {
      if (entry.block.status === NdisStatus.PENDING) continue;
      if (entry.role === Role.PLACEHOLDER) checkPlaceholder(watch, entry);
      else if (entry.role === Role.REFERENCE) checkLinker(watch, entry);
      else if (wasTaken(entry.block.status)) checkTaken(watch, entry);
      else checkNotTaken(watch, entry);
    }
  },
};

function checkPlaceholder(watch: Watch, entry: BlockRecord): void {
  if (entry.block.status === NdisStatus.SUCCESS) return;
  const rule = entry.dependents.length === 0 ? 'INIT-085' : 'INIT-084';
  watch.breach(rule, 'target', null, 'SUCCESS in a placeholder', ndisStatusName(entry.block.status));
}

function lostOf(entry: BlockRecord): number {
  return entry.dependents.filter((dependent) => !wasTaken(dependent.block.status)).length;
}

function checkLinker(watch: Watch, entry: BlockRecord): void {
  const count = entry.dependents.length;
  if (count === 0) return;
  const lost = lostOf(entry);
  const { SUCCESS, OFFLOAD_PARTIAL_SUCCESS: PARTIAL, FAILURE } = NdisStatus;
  const [rule, expected] =
    lost === 0
      ? (['INIT-081', SUCCESS] as const)
      : lost < count
        ? (['INIT-082', PARTIAL] as const)
        : (['INIT-083', FAILURE] as const);
  if (entry.block.status === expected) return;
  const text = `${ndisStatusName(expected)} in a linker with ${lost} of ${count} dependents lost`;
  watch.breach(rule, 'target', entry.object, text, ndisStatusName(entry.block.status));
}

function checkTaken(watch: Watch, entry: BlockRecord): void {
  const lost = lostOf(entry);
  const isSuccess = entry.block.status === NdisStatus.SUCCESS;
  if (lost > 0 && isSuccess) {
    const text = `OFFLOAD_PARTIAL_SUCCESS with ${lost} of ${entry.dependents.length} immediate dependents not taken`;
    watch.breach('INIT-008', 'target', entry.object, text, 'SUCCESS');
  } else if (lost === 0 && !isSuccess) {
    const hasPartial = entry.dependents.some((dependent) => dependent.block.status !== NdisStatus.SUCCESS);
    const rule = hasPartial ? ['INIT-011', 'INIT-009'] : 'INIT-010';
    watch.breach(
      rule,
      'target',
      entry.object,
      'SUCCESS with every immediate dependent taken',
      'OFFLOAD_PARTIAL_SUCCESS',
    );
  }
}

function checkNotTaken(watch: Watch, entry: BlockRecord): void {
  if (entry.handle !== null && entry.handle.miniportOffloadContext !== null) return;
  for (const dependent of entry.dependents) {
    const status = dependent.block.status;
    if (dependent.role === Role.PLACEHOLDER || status === NdisStatus.FAILURE || status === NdisStatus.PENDING) continue;
    watch.breach(
      'INIT-027',
      'target',
      dependent.object,
      'FAILURE below an object that was not taken',
      ndisStatusName(status),
    );
  }
}

/** Send data that came with a connection that was not taken. */
const untouchedSends: Checker = {
  about: 'send data of connections that were not taken',
  must: ['INIT-032', 'INIT-033', 'INIT-034'],
  stateComplete(watch, operation) {
    if (operation.operation !== StateOperation.INITIATE) return;
    for (const entry of operation.blocks) {
      if (entry.role !== Role.NEW_OFFLOAD || wasTaken(entry.block.status)) continue;
      const isSame = entry.sends.every((list, i) => list.status === entry.sendStatuses[i]);
      if (!isSame)
        watch.breach('INIT-032', 'target', entry.object, 'send lists left untouched', 'another Status in one');
      const isHere = entry.sends.every((list) => watch.ledger.lists.get(list)?.object === entry.object);
      if (!isHere) sayCompleted(watch, entry.object);
    }
  },
  listCompleted(watch, _as, list, record) {
    if (record !== undefined || watch.ledger.fateOf(list) !== 'not taken') return;
    sayCompleted(watch, null);
  },
};

/** The lists are the host's again. */
function sayCompleted(watch: Watch, object: ObjectRecord | null): void {
  watch.breach(['INIT-033', 'INIT-034'], 'target', object, 'no send completion for what was not taken', 'one');
}

export const INITIATE_CHECKERS: readonly Checker[] = [enabling, offloadable, vocabulary, slots, levels, untouchedSends];
