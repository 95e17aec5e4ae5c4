/** The rule book, the scanner of citations, the matrix made of both, and the DDI table. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { repositoryRoot } from '../../scripts/files.ts';
import { citationsIn, idsIn } from '../../scripts/rules/citations.ts';
import { ddiEntries } from '../../scripts/rules/ddi.ts';
import { isMissing, type Matrix, matrixFrom, matrixOf, tallyOf } from '../../scripts/rules/matrix.ts';
import { matrixJson } from '../../scripts/rules/print.ts';
import { generatedPages } from '../../scripts/rules.ts';
import { CHECKERS } from '../../src/contract/checkers.ts';
import { RULE_BOOK, UNWATCHED } from '../../src/contract/rule-book.ts';

const root = repositoryRoot();
const book = RULE_BOOK.flatMap((area) => area.rules);

describe('the rule book', () => {
  test('has 1,033 rules with ids of their own: 843 must, 102 should, 88 may', () => {
    expect(new Set(book.map((rule) => rule.id)).size).toBe(1033);
    const count = (level: string): number => book.filter((rule) => rule.level === level).length;
    expect(['must', 'should', 'may'].map(count)).toEqual([843, 102, 88]);
  });

  test('each area holds the rules of its prefix, numbered from 1 in order', () => {
    for (const { prefix, rules } of RULE_BOOK) {
      expect(rules.map((rule) => rule.id)).toEqual(
        rules.map((_, index) => `${prefix}-${String(index + 1).padStart(3, '0')}`),
      );
    }
  });
});

describe('citations', () => {
  const cited = (code: string): string[] => citationsIn('test/x.test.ts', code).map((one) => one.rule);

  test('an id, several, and a range written out', () => {
    expect(idsIn('a (INIT-001, TERM-010)')).toEqual(['INIT-001', 'TERM-010']);
    expect(idsIn('a (INIT-008 to INIT-010, CTX-001)')).toEqual(['INIT-008', 'INIT-009', 'INIT-010', 'CTX-001']);
    expect(idsIn('INIT-008 to 009')).toEqual(['INIT-008', 'INIT-009']);
    expect(idsIn('RFC 9293 MUST-40, SHLD-19')).toEqual([]);
  });

  test.each([
    ['the title of a test', "test('x (INIT-001)', () => {});"],
    ['a title with values in it', 'test(`x $' + '{1} (INIT-001)`, () => {});'],
    ['the title of a suite', "describe('x (INIT-001)', () => { test('y', () => {}); });"],
    ['a suite that needs something', "describeIf(requires.tun, 'x (INIT-001)', () => {});"],
    ['a test in a suite', "describe('x', () => { test('y (INIT-001)', () => {}); });"],
    ['a test in a loop', 'for (const a of [1]) { test(`y $' + '{a} (INIT-001)`, () => {}); }'],
    ['the rows of a table', "test.each([['a', 'INIT-001'], ['b', 2]])('%s breaks %s', () => {});"],
    ['a call that makes a row', "const t = [breach('INIT-001', 'how', (s) => s.act())];"],
    ['a call that makes rows', "const t = [...ofEach(['INIT-001', ''], 'how', act)];"],
    ['the property of a row', "const t = [{ rule: 'INIT-001', act() {} }];"],
    ['properties of a row', "const t = [{ cites: ['INIT-001'], act() {} }];"],
  ])('count in %s', (_, code) => {
    expect(cited(code)).toEqual(['INIT-001']);
  });

  test.each([
    ['a comment', "test('x', () => { /* INIT-001 */ }); // INIT-001"],
    ['what a test expects', "test('x', () => { expect(rules).toEqual(['INIT-001']); });"],
    ['a helper that expects', "function f(s) { expect(s.rules).toEqual(['INIT-001']); expect('INIT-001').toBe(1); }"],
    ['a call inside a test', "test('x', () => { breach('INIT-001', 'how'); });"],
    ['a test that is skipped', "test.skip('x (INIT-001)', () => {});"],
    ['a suite that is skipped', "describe.skip('x', () => { test('y (INIT-001)', () => {}); });"],
    ['a test that is only planned', "test.todo('x (INIT-001)');"],
    ['the companions of a breach', "const t = [breach('', 'how', act, 'INIT-001')];"],
  ])('do not count in %s', (_, code) => {
    expect(cited(code)).toEqual([]);
  });
});

describe('the matrix', () => {
  const rule = { ...book[0]!, id: 'AB-001' };
  const area = { prefix: 'AB', rules: [rule], notApplicable: {} as Record<string, string> };
  const cite = (id: string): { rule: string; file: string; line: number; name: string } => ({
    rule: id,
    file: 'f',
    line: 1,
    name: 'n',
  });
  const reason = 'speaks of a register that only the chip of a certain vendor has';
  const matrixWith = (notApplicable: Record<string, string>, citations: string[], checked: string[] = []): Matrix =>
    matrixFrom([{ ...area, notApplicable }], citations.map(cite), new Map(checked.map((id) => [id, ['it']])));

  test('a rule is missing until a test, a checker or a reason is there', () => {
    expect(matrixWith({}, []).states.filter(isMissing)).toHaveLength(1);
    expect(matrixWith({}, ['AB-001']).states.filter(isMissing)).toEqual([]);
    expect(matrixWith({}, [], ['AB-001']).states.filter(isMissing)).toEqual([]);
    expect(matrixWith({ 'AB-001': reason }, []).states.filter(isMissing)).toEqual([]);
  });

  test('what contradicts itself is told', () => {
    expect(matrixWith({}, ['AB-002']).complaints).toEqual(['f:1: there is no rule AB-002']);
    expect(matrixWith({}, ['UTF-008']).complaints).toEqual([]);
    expect(matrixWith({}, [], ['AB-003']).complaints).toEqual(['a checker names AB-003, which is no rule']);
    const { complaints } = matrixWith({ 'AB-001': 'no need', 'AB-004': reason }, ['AB-001'], ['AB-001']);
    expect(complaints).toEqual([
      'AB-001: "no need" is no reason',
      'not-applicable/AB.json: there is no rule AB-004',
      'AB-001 is not applicable, yet tested at f',
      'AB-001 is not applicable, yet checked',
      '1 rules are not applicable; 5 % of all may be',
    ]);
  });

  test("the tree's own contradicts itself nowhere, and its numbers add up", () => {
    const matrix = matrixOf(root);
    expect(matrix.complaints).toEqual([]);
    const { total, tested, checked, notApplicable, missing, byArea } = JSON.parse(matrixJson(matrix));
    expect(total).toBe(1033);
    expect(missing).toHaveLength(tallyOf(matrix.states).missing);
    const both = matrix.states.filter((state) => state.tests.length > 0 && state.checkers.length > 0).length;
    expect(tested + checked - both + notApplicable + missing.length).toBe(total);
    const sum = (key: string): number =>
      (Object.values(byArea) as Record<string, number>[]).reduce((all, one) => all + one[key]!, 0);
    expect(['total', 'tested', 'checked', 'notApplicable', 'missing'].map(sum)).toEqual([
      total,
      tested,
      checked,
      notApplicable,
      missing.length,
    ]);
  });

  test('no rule of the contract is without test, checker or reason', () => {
    expect(
      matrixOf(root)
        .states.filter(isMissing)
        .map((one) => one.rule.id),
    ).toEqual([]);
  });

  test('every rule is watched at run time, or does not apply, or says in one word why nothing at a door shows it', () => {
    const { states } = matrixOf(root);
    const dispositions = (one: (typeof states)[0]): number =>
      [one.checkers.length > 0, one.unwatched !== undefined, one.reason !== undefined].filter(Boolean).length;
    expect(states.filter((one) => dispositions(one) !== 1).map((one) => one.rule.id)).toEqual([]);
  });

  test('a rule that is neither watched nor said why not is a complaint; so is one that is both, or a word that there is not', () => {
    const watched = (checked: string[], unwatched: Record<string, string>): readonly string[] =>
      matrixFrom([area], [cite('AB-001')], new Map(checked.map((id) => [id, ['it']])), unwatched as never).complaints;
    expect(watched([], { 'AB-001': 'inside' })).toEqual([]);
    expect(watched(['AB-001'], { 'AB-001': 'inside' })).toEqual([
      'AB-001 is watched, unwatched or not applicable: only one of them',
    ]);
    expect(watched([], { 'AB-002': 'laziness' })).toEqual([
      'unwatched.json: there is no rule AB-002',
      "unwatched.json: AB-002: there is no class 'laziness'",
      'AB-001 is neither watched nor said why not (unwatched.json)',
    ]);
  });

  test('what allows something is not said of a rule that binds, but for a few that bind to put up with something', () => {
    const binding = book.filter(({ id, level }) => UNWATCHED[id] === 'permission' && level !== 'may');
    expect(binding.length).toBeLessThan(12);
  });

  test('every rule that a checker reports counts as checked', () => {
    const checked = new Set(
      matrixOf(root)
        .states.filter((one) => one.checkers.length > 0)
        .map((one) => one.rule.id),
    );
    for (const checker of CHECKERS) for (const id of checker.must) expect(checked).toContain(id);
  });
});

test('every function of the DDI has a door that names it and somebody behind the door', () => {
  const entries = [...ddiEntries(root).values()];
  expect(entries.length).toBeGreaterThan(60);
  expect(entries.filter((entry) => entry.doors.length === 0 || entry.places.length === 0)).toEqual([]);
});

test('the generated pages are fresh: npm run rules -- --write', () => {
  for (const [path, text] of generatedPages(root)) {
    expect(readFileSync(join(root, path), 'utf8') === text, `${path} is stale`).toBe(true);
  }
});
