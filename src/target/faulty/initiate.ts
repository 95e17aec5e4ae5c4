/** Faults of what an initiate answers: statuses, slots, send data of what was not taken. */

import {
  BlockKind,
  BlockLayer,
  forEachBlock,
  kindOfBlock,
  layerOf,
  type MiniportOffloadBlock,
  NdisStatus,
} from '../../ndis/miniport.ts';
import { alias, type Fault, fault, onStateComplete, type Shim, STATE } from './shim.ts';

const [INITIATE] = STATE;
const { SUCCESS, FAILURE, RESOURCES, OFFLOAD_PARTIAL_SUCCESS: PARTIAL, PENDING } = NdisStatus;

/** Which trees a fault answers wrongly. */
type Kind = 'fresh' | 'linked';

/** Whether all blocks are new; or there is a linker, and no placeholder. */
function isOfKind(root: MiniportOffloadBlock, kind: Kind): boolean {
  let [linkers, placeholders] = [0, 0];
  forEachBlock(root, (block) => {
    if (kindOfBlock(block) === BlockKind.LINKER) linkers++;
    else if (block.miniportOffloadContext === null) placeholders++;
  });
  return placeholders === 0 && (kind === 'fresh' ? linkers === 0 : linkers > 0);
}

/** Blocks in the order of the walk. */
function blocksOf(root: MiniportOffloadBlock): MiniportOffloadBlock[] {
  const blocks: MiniportOffloadBlock[] = [];
  forEachBlock(root, (block) => blocks.push(block));
  return blocks;
}

/** Writes statuses in the order of the walk; slots of what is not taken are emptied, unless `slots` keeps them. */
function write(
  blocks: readonly MiniportOffloadBlock[],
  statuses: readonly number[],
  slots: readonly boolean[] = [],
): void {
  blocks.forEach((block, i) => {
    const status = statuses[Math.min(i, statuses.length - 1)]!;
    block.status = status;
    const isTaken = slots[i] ?? (status === SUCCESS || status === PARTIAL);
    if (!isTaken && kindOfBlock(block) === BlockKind.NEW_OFFLOAD)
      block.miniportOffloadContext!.miniportOffloadContext = null;
  });
}

function answers(
  rule: string,
  how: string,
  kind: Kind,
  statuses: readonly number[],
  slots: readonly boolean[] = [],
): Fault {
  return fault(rule, how, (shim) =>
    changing(
      shim,
      (root) => isOfKind(root, kind),
      (blocks) => write(blocks, statuses, slots),
    ),
  );
}

/** Changes the answers of trees that are meant. */
function changing(
  shim: Shim,
  isMeant: (root: MiniportOffloadBlock) => boolean,
  change: (blocks: readonly MiniportOffloadBlock[]) => void,
): void {
  onStateComplete(shim, INITIATE, (root, former) => {
    if (isMeant(root)) change(blocksOf(root));
    former();
  });
}

/** Reports a code on a layer to which it does not belong. */
function misplaced(rule: string, code: number, at: 'neighbor' | 'tcp'): Fault {
  const statuses = at === 'neighbor' ? [code, FAILURE] : [SUCCESS, PARTIAL, code];
  return answers(rule, `reports a code of another layer for a ${at}`, 'fresh', statuses);
}

/** A linker with two new connections below a path linker. */
function linked(rule: string, how: string, statuses: readonly number[]): Fault {
  return fault(rule, how, (shim) =>
    changing(
      shim,
      (root) => isOfKind(root, 'linked') && blocksOf(root).filter(isConnection).length === 2,
      (blocks) => write(blocks, statuses),
    ),
  );
}

function isConnection(block: MiniportOffloadBlock): boolean {
  return layerOf(block.header.type) === BlockLayer.TCP;
}

/** Connections with send data are said not to have been taken. */
function refusesSends(shim: Shim, then: (block: MiniportOffloadBlock) => void): void {
  changing(
    shim,
    (root) => blocksOf(root).some(({ netBufferListChain }) => netBufferListChain !== null),
    (blocks) => {
      write(blocks, [SUCCESS, PARTIAL, RESOURCES]);
      // Two connections on one path: none of them, so that the path's status is right again.
      for (const block of blocks) if (block.netBufferListChain !== null) then(block);
    },
  );
}

const levelsDeep = answers('INIT-008', 'says SUCCESS over a dependent that was not taken', 'fresh', [
  SUCCESS,
  FAILURE,
  FAILURE,
]);

export const INITIATE_FAULTS: readonly Fault[] = [
  fault(
    'INIT-007',
    'leaves a connection without a status',
    (shim) =>
      changing(
        shim,
        () => true,
        (blocks) => {
          for (const block of blocks) if (isConnection(block)) block.status = PENDING;
        },
      ),
    'INIT-008',
  ),
  levelsDeep,
  alias('INIT-009', answers('INIT-011', 'counts a grandchild that was lost', 'fresh', [PARTIAL, PARTIAL, FAILURE])),
  answers('INIT-010', 'says PARTIAL over nothing lost', 'fresh', [PARTIAL, SUCCESS]),
  answers('INIT-011', 'says PARTIAL over a dependent that is PARTIAL', 'fresh', [PARTIAL, PARTIAL, FAILURE]),
  answers(
    'INIT-012',
    'says FAILURE though its own state was taken',
    'fresh',
    [PARTIAL, FAILURE, RESOURCES],
    [true, true],
  ),
  answers('INIT-013', 'reports a status of no initiate', 'fresh', [NdisStatus.REQUEST_ABORTED, FAILURE]),
  misplaced('VLAN-007', NdisStatus.OFFLOAD_VLAN_ENTRIES, 'tcp'),
  misplaced('VLAN-011', NdisStatus.OFFLOAD_VLAN_MISMATCH, 'tcp'),
  misplaced('VLAN-009', NdisStatus.OFFLOAD_VLAN_MISMATCH, 'neighbor'),
  misplaced('INIT-015', NdisStatus.OFFLOAD_TCP_ENTRIES, 'neighbor'),
  misplaced('INIT-016', NdisStatus.OFFLOAD_PATH_ENTRIES, 'neighbor'),
  misplaced('INIT-017', NdisStatus.OFFLOAD_NEIGHBOR_ENTRIES, 'tcp'),
  misplaced('INIT-018', NdisStatus.OFFLOAD_HW_ADDRESS_ENTRIES, 'tcp'),
  misplaced('INIT-019', NdisStatus.OFFLOAD_IP_ADDRESS_ENTRIES, 'neighbor'),
  misplaced('INIT-020', NdisStatus.OFFLOAD_TCP_XMIT_BUFFER, 'neighbor'),
  misplaced('INIT-021', NdisStatus.OFFLOAD_TCP_RCV_BUFFER, 'neighbor'),
  misplaced('INIT-022', NdisStatus.OFFLOAD_TCP_RCV_WINDOW, 'neighbor'),
  misplaced('INIT-023', NdisStatus.OFFLOAD_PATH_MTU, 'neighbor'),
  misplaced('INIT-024', NdisStatus.OFFLOAD_CONNECTION_REJECTED, 'neighbor'),
  fault('INIT-029', 'goes on after a root that it does not take', (shim) =>
    changing(
      shim,
      (root) => isOfKind(root, 'fresh') && root.nextBlock !== null,
      (blocks) => write(blocks.slice(0, 3), [RESOURCES, FAILURE, FAILURE]),
    ),
  ),
  answers('INIT-027', 'attempts what hangs on a path that failed', 'fresh', [PARTIAL, RESOURCES, RESOURCES]),
  fault('INIT-032', 'writes into send lists of a connection that it does not take', (shim) =>
    refusesSends(shim, (block) => {
      block.netBufferListChain!.status = NdisStatus.UPLOAD_IN_PROGRESS;
    }),
  ),
  fault('INIT-033', 'completes sends of a connection that it does not take', (shim) =>
    refusesSends(shim, (block) => {
      const list = block.netBufferListChain!;
      shim.defer(() => {
        list.next = null;
        list.status = NdisStatus.UPLOAD_IN_PROGRESS;
        shim.above.tcpOffloadSendComplete(shim.handle, list);
      });
    }),
  ),
  answers('INIT-035', 'says SUCCESS without a PVOID', 'fresh', [SUCCESS], [true, true, false]),
  answers(
    'INIT-036',
    'writes a PVOID for what it does not take',
    'fresh',
    [RESOURCES, FAILURE, FAILURE],
    [true, false, false],
  ),
  linked('INIT-081', 'says PARTIAL in a linker over nothing lost', [PARTIAL, SUCCESS]),
  linked('INIT-082', 'says SUCCESS in a linker over something lost', [SUCCESS, SUCCESS, SUCCESS, RESOURCES]),
  linked('INIT-083', 'says PARTIAL in a linker over everything lost', [SUCCESS, PARTIAL, RESOURCES, RESOURCES]),
  fault('INIT-084', 'says FAILURE in a placeholder', (shim) =>
    changing(
      shim,
      () => true,
      (blocks) => {
        for (const block of blocks) {
          if (block.miniportOffloadContext === null && block.dependentBlockList !== null) block.status = FAILURE;
        }
      },
    ),
  ),
  fault('INIT-085', 'says FAILURE in a placeholder without dependents', (shim) =>
    changing(
      shim,
      () => true,
      (blocks) => {
        for (const block of blocks) {
          if (block.miniportOffloadContext === null && block.dependentBlockList === null) block.status = FAILURE;
        }
      },
    ),
  ),
];
