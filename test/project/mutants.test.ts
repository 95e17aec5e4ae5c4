/** The table of mutants agrees with the sources and the tests; and a few of them are tried. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { repositoryRoot } from '../../scripts/files.ts';
import type { Outcome } from '../../scripts/mutate/faults.ts';
import { mutationPage, outcomesIn } from '../../scripts/mutate/page.ts';
import { chosen, reportOf } from '../../scripts/mutate/run.ts';
import { citingTests, runMutants, testsOf } from '../../scripts/mutate/source.ts';
import { areaOf, MUTANTS } from '../../scripts/mutate/table.ts';
import { RULE_BOOK } from '../../src/contract/rule-book.ts';
import { FAULTS } from '../../src/faulty.ts';

const root = repositoryRoot();
const citing = citingTests(root);

/** Sources go on under the table; what does not fit any more counts as survived when the mutants are run. */
const STALE_MOST = 0.04;

describe('the table of mutants', () => {
  test('fits the sources: nearly every text stands there exactly once', () => {
    const isStale = ({ file, from }: (typeof MUTANTS)[number]): boolean =>
      !existsSync(join(root, file)) || readFileSync(join(root, file), 'utf8').split(from).length !== 2;
    const stale = MUTANTS.filter(isStale).map(({ rule, file, from }) => `${rule} ${file}: ${from}`);
    expect(stale.length, stale.join('\n')).toBeLessThanOrEqual(STALE_MOST * MUTANTS.length);
  });

  test('names for each mutant tests that must notice, and that there are', () => {
    for (const mutant of MUTANTS) {
      const tests = testsOf(mutant, citing);
      expect(tests.length, mutant.rule).toBeGreaterThan(0);
      for (const path of tests) expect(existsSync(join(root, path)), path).toBe(true);
    }
  });

  test('changes what it names: no mutant is another once more, none changes nothing', () => {
    const keys = MUTANTS.map(({ rule, file, from, to }) => [rule, file, from, to].join('\n'));
    expect(new Set(keys).size).toBe(keys.length);
    expect(MUTANTS.filter(({ from, to }) => from === to)).toEqual([]);
  });
});

test('every area of the rule book is covered by faulty drivers or by mutants, most by several', () => {
  const counts = new Map<string, number>();
  for (const { rule } of [...FAULTS, ...MUTANTS]) counts.set(areaOf(rule), (counts.get(areaOf(rule)) ?? 0) + 1);
  const left = RULE_BOOK.map(({ prefix }) => prefix).filter((prefix) => (counts.get(prefix) ?? 0) < 3);
  // Receive side scaling has nothing yet that a mutant could break.
  expect(left.filter((prefix) => prefix !== 'RSS')).toEqual([]);
});

test('--quick takes one mutant an area, --area and --rule those that are meant', () => {
  const quick = chosen(['--quick']).map(({ rule }) => areaOf(rule));
  expect(quick.length).toBe(new Set(MUTANTS.map(({ rule }) => areaOf(rule))).size);
  expect(chosen(['--area', 'PWR']).every(({ rule }) => rule.startsWith('PWR-'))).toBe(true);
  expect(chosen(['--rule', 'PWR-002']).map(({ rule }) => rule)).toEqual(['PWR-002']);
  expect(chosen(['--faults'])).toEqual([]);
});

test('a mutant that its tests notice is killed, one that they do not is told with the reason; the tree stays as it is', async () => {
  const file = 'src/ndis/initiate-status.ts';
  const before = readFileSync(join(root, file), 'utf8');
  const tests = ['test/ndis/walk.test.ts'];
  const outcomes = await runMutants(
    root,
    [
      { rule: 'INIT-083', file, from: 'kind === BlockKind.LINKER && taken === 0', to: 'false', tests },
      { rule: 'INIT-083', file, from: 'Before the walk', to: 'After the walk', tests },
      { rule: 'INIT-083', file, from: 'there is no such text', to: '', tests },
    ],
    () => {},
  );
  const report = reportOf(outcomes);
  expect(report).toMatchObject({ total: 3, killed: 1 });
  expect(report.survived.map(({ reason }) => reason)).toEqual([
    'test/ndis/walk.test.ts did not notice',
    'its text does not stand exactly once in the file',
  ]);
  expect(readFileSync(join(root, file), 'utf8')).toBe(before);
}, 60_000);

test('the page of the report keeps what it says of areas that were not run', () => {
  const outcome = (rule: string, isKilled: boolean, kind: 'fault' | 'source'): Outcome => ({
    rule,
    what: kind === 'fault' ? 'a target that answers <nothing>' : "src/x.ts: 'a | b & c*' -> nothing",
    kind,
    isKilled,
    reason: isKilled ? '' : "test/x_y.test.ts did not notice 'it'",
  });
  const first = [outcome('SEND-001', true, 'fault'), outcome('TERM-002', false, 'source')];
  const page = mutationPage(first, '');
  expect(outcomesIn(page)).toEqual(first);
  const second = mutationPage([outcome('TERM-002', true, 'source'), outcome('TERM-003', true, 'source')], page);
  expect(outcomesIn(second).map(({ rule, isKilled }) => [rule, isKilled])).toEqual([
    ['SEND-001', true],
    ['TERM-002', true],
    ['TERM-003', true],
  ]);
  expect(second).toContain('| all | 1 | 1 | 2 | 2 | 3 |');
});
