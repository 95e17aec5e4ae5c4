/**
 * Checkers of what belongs to whom: contexts and handles of their own, structures where they were put, objects that are left.
 */

import { BlockLayer, layerOf, StateOperation } from '../../ndis/protocol.ts';
import { NeighborConstState } from '../../state/neighbor.ts';
import { TcpDelegatedState } from '../../state/tcp.ts';
import type { Checker, Watch } from '../checker.ts';
import { wasTaken } from '../ledger.ts';
import { structuresBehind } from '../read-tree.ts';
import { type BlockRecord, Phase, Role } from '../records.ts';

/** A context area for each object, named by a PVOID in the slot. */
const contexts: Checker = {
  about: 'contexts of offloaded objects',
  must: ['CTX-001', 'CTX-008'],
  stateComplete(watch, operation) {
    if (operation.operation !== StateOperation.INITIATE) return;
    const here = new Map<unknown, BlockRecord>();
    for (const entry of operation.blocks) {
      const context = entry.handle === null ? null : entry.handle.miniportOffloadContext;
      if (entry.role !== Role.NEW_OFFLOAD || context === null || !wasTaken(entry.block.status)) continue;
      const { object } = entry;
      if (context === entry.handle) {
        const expected = "the target's own reference in the slot";
        watch.breach('CTX-008', 'target', object, expected, 'the address of the slot');
      }
      const other = here.get(context)?.object ?? watch.ledger.contexts.get(context);
      if (other !== undefined && other !== null && other !== object) {
        watch.breach('CTX-001', 'target', object, 'a context of its own for each object', `that of ${other.name}`);
      }
      here.set(context, entry);
    }
  },
};

/** A handle for each object, in the host's control block of it. */
const handles: Checker = {
  about: 'handles and ports in a tree',
  must: ['CTX-012', 'TREE-042'],
  stateCall(watch, operation) {
    const seen = new Set<unknown>();
    for (const { role, handle, object, portNumber } of operation.blocks) {
      if (portNumber !== 0) watch.breach('TREE-042', 'host', object, 'the default port, 0', `${portNumber}`);
      if (role !== Role.NEW_OFFLOAD) continue;
      if (seen.has(handle)) {
        watch.breach('CTX-012', 'host', object, 'a handle of its own for each object', 'one handle in two blocks');
      }
      seen.add(handle);
    }
  },
};

/** Structures are filled where the host has put them, and nowhere else. */
const structures: Checker = {
  about: 'structures behind the blocks of a terminate',
  must: ['TERM-014', 'TERM-016', 'STATE-005'],
  stateComplete(watch, operation) {
    if (operation.operation !== StateOperation.TERMINATE) return;
    for (const { block, object, structures: before } of operation.blocks) {
      const added = structuresBehind(block) & ~before;
      if (added === 0) continue;
      if ((added & 4) !== 0) {
        watch.breach('TERM-014', 'target', object, 'delegated state only where the host has put it', 'one more');
      } else {
        const expected = 'no constant and no cached variables from a terminate';
        watch.breach(['TERM-016', 'STATE-005'], 'target', object, expected, 'some');
      }
    }
  },
};

/** What an initiate that failed at its root may have taken: nothing. */
const roots: Checker = {
  about: 'trees whose root was not taken',
  must: ['INIT-029'],
  stateComplete(watch, operation) {
    if (operation.operation !== StateOperation.INITIATE) return;
    const [root, ...others] = operation.blocks;
    if (root === undefined || root.role !== Role.NEW_OFFLOAD || wasTaken(root.block.status)) return;
    for (const { block, role, object } of others) {
      if (role !== Role.NEW_OFFLOAD || !wasTaken(block.status)) continue;
      watch.breach('INIT-029', 'target', object, 'nothing taken where the root was not', 'an object taken');
      return;
    }
  },
};

/** State that the host has to supply. */
const supplied: Checker = {
  about: 'state that comes with a new connection',
  must: ['INIT-086', 'INIT-065', 'STATE-025'],
  stateCall(watch, operation) {
    if (operation.operation !== StateOperation.INITIATE) return;
    for (const entry of operation.blocks) if (entry.role === Role.NEW_OFFLOAD) checkSupplied(watch, entry);
  },
};

function checkSupplied(watch: Watch, { block, object, sends }: BlockRecord): void {
  const { constState: constant, delegatedState: delegated } = block;
  if (layerOf(block.header.type) !== BlockLayer.TCP || !(delegated instanceof TcpDelegatedState)) return;
  if (constant !== null && 'localPort' in constant) {
    const { localPort, remotePort } = constant;
    const isRight = localPort > 0 && localPort < 65_536 && remotePort > 0 && remotePort < 65_536;
    if (!isRight) watch.breach('STATE-025', 'host', object, 'two ports', `${localPort} and ${remotePort}`);
  }
  if (delegated.cWnd === 0 && delegated.maxSndWnd === 0 && delegated.rcvWnd === 0) {
    watch.breach('INIT-086', 'host', object, 'initial values of all delegated variables', 'no windows');
    return;
  }
  const { sndUna, sndMax } = delegated;
  // Whether the FIN is the one byte that is outstanding is not known here.
  const outstanding = (sndMax - sndUna) | 0;
  if (sends.length > 0 || outstanding <= 1) return;
  const seen = `${outstanding} bytes unacknowledged and no lists`;
  watch.breach('INIT-065', 'host', object, 'outstanding send data in NetBufferListChain', seen);
}

/** The VLAN of a neighbor comes once, with its constants. */
const vlans: Checker = {
  about: 'where VLAN and priority come from',
  must: ['VLAN-004'],
  stateCall(watch, { operation, blocks }) {
    if (operation !== StateOperation.UPDATE) return;
    for (const { block, object } of blocks) {
      if (object === null || !(block.constState instanceof NeighborConstState)) continue;
      if (block.constState.vlanId === object.vlanId) continue;
      const expected = 'a VlanId with the constants of the offload, and no other later';
      watch.breach('VLAN-004', 'host', object, expected, `VLAN ${block.constState.vlanId} with an update`);
    }
  },
};

/** A relinking update names a neighbor that is there; the former one goes. */
const relinks: Checker = {
  about: 'paths that move to another neighbor',
  must: ['UPD-024', 'UPD-026', 'TERM-073'],
  stateCall(watch, operation) {
    if (operation.operation !== StateOperation.UPDATE) return;
    for (const { object, dependents } of operation.blocks) {
      if (object === null || object.layer !== 0 || object.phase !== Phase.ABSENT || dependents.length === 0) continue;
      watch.breach('UPD-024', 'host', object, 'a neighbor offloaded before paths are moved to it', 'one that is not');
    }
  },
  finish(watch) {
    for (const object of watch.ledger.live) {
      if (object.layer === 2 || object.phase !== Phase.OFFLOADED || object.dependents.size > 0) continue;
      if (object.wasLeftByRelink) {
        watch.breach('UPD-026', 'host', object, 'a terminate of the neighbor that its paths have left', 'none');
      } else if (object.isWantedByAll) {
        watch.breach('TERM-073', 'host', object, 'paths and neighbors terminated after UPLOAD_ALL', 'one left');
      }
    }
  },
};

export const IDENTITY_CHECKERS: readonly Checker[] = [contexts, handles, structures, roots, supplied, vlans, relinks];
