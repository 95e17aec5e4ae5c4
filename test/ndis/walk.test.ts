import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { presetInitiateStatuses, settleInitiateStatuses } from '../../src/ndis/initiate-status.ts';
import { NdisOffloadHandle, OffloadBlock } from '../../src/ndis/offload-block.ts';
import { NdisStatus, OffloadStateType } from '../../src/ndis/status.ts';
import {
  BlockKind,
  BlockLayer,
  BlockWalk,
  forEachBlock,
  kindOfBlock,
  layerOf,
  setEveryStatus,
} from '../../src/ndis/walk.ts';
import { hang, neighborBlock, pathBlock, reference, statusesOf, tcpBlock } from './fakes.ts';

const { SUCCESS, FAILURE, RESOURCES, OFFLOAD_PARTIAL_SUCCESS: PARTIAL } = NdisStatus;

/** A new-offload block as the target sees it. */
function fresh(layer: number, owner: string): OffloadBlock {
  const handle = new NdisOffloadHandle(owner);
  const block = layer === 0 ? neighborBlock(handle) : layer === 1 ? pathBlock(handle) : tcpBlock(handle);
  block.miniportOffloadContext = handle;
  return block;
}

function linker(layer: number, owner: string): OffloadBlock {
  const handle = new NdisOffloadHandle(owner);
  handle.miniportOffloadContext = {};
  const types = [OffloadStateType.NEIGHBOR, OffloadStateType.IP4, OffloadStateType.TCP];
  const block = reference(handle, types[layer]!);
  block.miniportOffloadContext = handle;
  return block;
}

function order(root: OffloadBlock): string[] {
  const names: string[] = [];
  forEachBlock(root, (block, parent) => {
    names.push(`${String(block.offloadHandle?.owner ?? '-')}<${String(parent?.offloadHandle?.owner ?? '')}`);
  });
  return names;
}

/** Writes what became of each block's own state, in the order of the walk; 'not reached' blocks are left out. */
function decide(root: OffloadBlock, own: Record<string, number>): void {
  presetInitiateStatuses(root);
  forEachBlock(root, (block) => {
    const status = own[String(block.offloadHandle?.owner)];
    if (status !== undefined) block.status = status;
  });
  settleInitiateStatuses(root);
}

describe('the walk', () => {
  test('goes depth first, breadth next, a block before its dependents and they before its sibling (TREE-003, TREE-007, TREE-011 to TREE-015)', () => {
    const n1 = hang(
      fresh(0, 'N1'),
      hang(fresh(1, 'P1'), fresh(2, 'T1'), fresh(2, 'T2')),
      hang(fresh(1, 'P2'), fresh(2, 'T3')),
    );
    n1.nextBlock = hang(fresh(0, 'N2'), hang(fresh(1, 'P3'), fresh(2, 'T4')));
    expect(order(n1)).toEqual(['N1<', 'P1<N1', 'T1<P1', 'T2<P1', 'P2<N1', 'T3<P2', 'N2<', 'P3<N2', 'T4<P3']);
  });

  test('follows the links of placeholders, with and without dependents (TREE-016, TREE-019)', () => {
    const root = hang(new OffloadBlock(OffloadStateType.NEIGHBOR), new OffloadBlock(OffloadStateType.IP4));
    root.dependentBlockList!.nextBlock = hang(fresh(1, 'P'), fresh(2, 'T'));
    expect(order(root)).toEqual(['-<', '-<', 'P<', 'T<P']);
  });

  test('can pass over the dependents of a block that was not taken (INIT-027)', () => {
    const root = hang(fresh(0, 'N'), hang(fresh(1, 'P1'), fresh(2, 'T1')), hang(fresh(1, 'P2'), fresh(2, 'T2')));
    const walk = new BlockWalk<OffloadBlock>();
    const seen: string[] = [];
    walk.start(root);
    for (let block = walk.next(); block !== null; block = walk.next()) {
      seen.push(String(block.offloadHandle?.owner));
      if (seen.at(-1) === 'P1') walk.skipDependents();
    }
    expect(seen).toEqual(['N', 'P1', 'P2', 'T2']);
  });

  test('a hundred thousand siblings do not overflow the call stack (TREE-008)', () => {
    const count = 100_000;
    const root = fresh(0, 'N');
    const path = hang(fresh(1, 'P'));
    hang(root, path);
    let last = path;
    for (let i = 0; i < count; i++) {
      const tcp = fresh(2, 'T');
      if (i === 0) path.dependentBlockList = tcp;
      else last.nextBlock = tcp;
      last = tcp;
    }
    setEveryStatus(root, SUCCESS);
    settleInitiateStatuses(root);
    let seen = 0;
    forEachBlock(root, () => seen++);
    expect(seen).toBe(count + 2);
    expect(root.status).toBe(SUCCESS);
  });

  test('a tree of four layers ends the walk, which tells (TREE-001, TREE-006)', () => {
    const root = hang(fresh(0, 'N'), hang(fresh(1, 'P'), hang(fresh(2, 'T'), fresh(2, 'X'))));
    const walk = new BlockWalk<OffloadBlock>();
    walk.start(root);
    const seen = [walk.next(), walk.next(), walk.next(), walk.next()].map((block) => block?.offloadHandle?.owner);
    expect([seen, walk.isBroken, walk.next()]).toEqual([['N', 'P', 'T', undefined], true, null]);
    // It may be used again.
    walk.start(fresh(0, 'N'));
    expect([walk.next() !== null, walk.next(), walk.isBroken]).toEqual([true, null, false]);
  });

  test('a tree whose links go round ends the walk, wherever they lead (TREE-001)', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.nat(6), { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 6 }),
        fc.nat(),
        fc.nat(),
        fc.boolean(),
        (shape, from, to, isSibling) => {
          const all: OffloadBlock[] = [];
          const known = <T extends OffloadBlock>(block: T): T => {
            all.push(block);
            return block;
          };
          const roots = shape.map((paths) =>
            hang(
              known(fresh(0, 'N')),
              ...paths.map((tcps) =>
                hang(known(fresh(1, 'P')), ...Array.from({ length: tcps }, () => known(fresh(2, 'T')))),
              ),
            ),
          );
          for (let i = 0; i + 1 < roots.length; i++) roots[i]!.nextBlock = roots[i + 1]!;
          const [block, target] = [all[from % all.length]!, all[to % all.length]!];
          if (isSibling) block.nextBlock = target;
          else block.dependentBlockList = target;
          // Wherever it leads: the walk ends, after no more steps than a walk over every pair of blocks would take.
          let steps = 0;
          const walk = new BlockWalk<OffloadBlock>();
          walk.start(roots[0]!);
          while (walk.next() !== null) steps++;
          expect(steps).toBeLessThan(4 * all.length * all.length + 16);
          const isLoop = isSibling && block === target && reaches(roots[0]!, block);
          if (isLoop) expect(walk.isBroken).toBe(true);
        },
      ),
    );
  });

  test('visits every block of any tree once, dependents inside their parent (TREE-011)', () => {
    const tree = fc.array(fc.array(fc.nat(4), { maxLength: 5 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(tree, (shape) => {
        const expected: string[] = [];
        const roots = shape.map((paths, n) => {
          expected.push(`${n}`);
          const pathBlocks = paths.map((tcps, p) => {
            expected.push(`${n}.${p}`);
            const ts = Array.from({ length: tcps }, (_, t) => {
              expected.push(`${n}.${p}.${t}`);
              return fresh(2, `${n}.${p}.${t}`);
            });
            return hang(fresh(1, `${n}.${p}`), ...ts);
          });
          return hang(fresh(0, `${n}`), ...pathBlocks);
        });
        for (let i = 0; i + 1 < roots.length; i++) roots[i]!.nextBlock = roots[i + 1]!;
        const seen: string[] = [];
        forEachBlock(roots[0]!, (block) => seen.push(String(block.offloadHandle!.owner)));
        expect(seen).toEqual(expected);
      }),
    );
  });

  test('tells layers by type and kinds by what follows a block (TREE-023, TREE-024, TREE-026)', () => {
    expect(layerOf(OffloadStateType.NEIGHBOR_DELEGATED)).toBe(BlockLayer.NEIGHBOR);
    expect(layerOf(OffloadStateType.IP6)).toBe(BlockLayer.PATH);
    expect(layerOf(OffloadStateType.TCP_CACHED)).toBe(BlockLayer.TCP);
    expect(layerOf(OffloadStateType.TCP_RESOURCE)).toBe(-1);
    expect(kindOfBlock(new OffloadBlock(OffloadStateType.TCP))).toBe(BlockKind.PLACEHOLDER);
    expect(kindOfBlock(linker(1, 'P'))).toBe(BlockKind.LINKER);
    const taken = fresh(2, 'T');
    taken.miniportOffloadContext!.miniportOffloadContext = {};
    expect(kindOfBlock(taken)).toBe(BlockKind.NEW_OFFLOAD);
  });
});

describe('the statuses of an initiate', () => {
  test('the worked example: N1 PARTIAL, P1 PARTIAL, T1 SUCCESS, T2 RESOURCES, P2 FAILURE, T3 FAILURE (INIT-031)', () => {
    const root = hang(
      fresh(0, 'N1'),
      hang(fresh(1, 'P1'), fresh(2, 'T1'), fresh(2, 'T2')),
      hang(fresh(1, 'P2'), fresh(2, 'T3')),
    );
    decide(root, { N1: SUCCESS, P1: SUCCESS, T1: SUCCESS, T2: RESOURCES, P2: FAILURE });
    expect(statusesOf(root)).toEqual([PARTIAL, PARTIAL, SUCCESS, RESOURCES, FAILURE, FAILURE]);
  });

  test('only immediate dependents count: a failing grandchild leaves the root at SUCCESS (INIT-008, INIT-009, INIT-011)', () => {
    const root = hang(fresh(0, 'N'), hang(fresh(1, 'P'), fresh(2, 'T1'), fresh(2, 'T2')));
    decide(root, { N: SUCCESS, P: SUCCESS, T1: SUCCESS, T2: FAILURE });
    expect(statusesOf(root)).toEqual([SUCCESS, PARTIAL, SUCCESS, FAILURE]);
  });

  test('own state taken and every dependent lost is PARTIAL, not a failure (INIT-012)', () => {
    const root = hang(fresh(1, 'P'), fresh(2, 'T1'), fresh(2, 'T2'));
    decide(root, { P: SUCCESS, T1: NdisStatus.OFFLOAD_TCP_ENTRIES, T2: FAILURE });
    expect(root.status).toBe(PARTIAL);
  });

  test('a failing block keeps its own code, and what was never reached says FAILURE (INIT-007, INIT-013, INIT-029)', () => {
    const root = hang(fresh(0, 'N'), hang(fresh(1, 'P'), fresh(2, 'T')));
    decide(root, { N: NdisStatus.OFFLOAD_VLAN_MISMATCH });
    expect(statusesOf(root)).toEqual([NdisStatus.OFFLOAD_VLAN_MISMATCH, FAILURE, FAILURE]);
  });

  test('a linker says SUCCESS, PARTIAL or FAILURE as all, some or none of its dependents were taken (INIT-081 to INIT-083)', () => {
    const tree = (): OffloadBlock => hang(linker(1, 'P'), fresh(2, 'T1'), fresh(2, 'T2'));
    const results = [
      { T1: SUCCESS, T2: SUCCESS },
      { T1: SUCCESS, T2: RESOURCES },
      { T1: RESOURCES, T2: RESOURCES },
    ].map((own) => {
      const root = tree();
      decide(root, own);
      return root.status;
    });
    expect(results).toEqual([SUCCESS, PARTIAL, FAILURE]);
  });

  test('a placeholder says SUCCESS whatever is below it, or nothing is (INIT-084, INIT-085)', () => {
    const root = hang(new OffloadBlock(OffloadStateType.NEIGHBOR), hang(fresh(1, 'P'), fresh(2, 'T')));
    root.nextBlock = new OffloadBlock(OffloadStateType.NEIGHBOR);
    decide(root, { P: FAILURE });
    expect(statusesOf(root)).toEqual([SUCCESS, FAILURE, FAILURE, SUCCESS]);
  });
});

/** Whether a walk from `root` comes to `block`. */
function reaches(root: OffloadBlock, block: OffloadBlock): boolean {
  const walk = new BlockWalk<OffloadBlock>();
  walk.start(root);
  for (let here = walk.next(); here !== null; here = walk.next()) if (here === block) return true;
  return false;
}
