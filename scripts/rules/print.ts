/** The matrix on the terminal: a table by area, one JSON object, or the rules that nothing has become of. */
import { UNWATCHED_CLASSES } from '../../src/contract/rule-book.ts';
import { byArea, COLUMNS, isMissing, type Matrix, type RuleState, type Tally, tallyOf } from './matrix.ts';

const HEADS = ['total', 'must', 'should', 'may', 'tested', 'checked', 'unwatched', 'n/a', 'missing'];

/** The table, a line an area and one for all. */
export function matrixText(matrix: Matrix): string {
  const line = (name: string, cells: readonly (string | number)[]): string =>
    name.padEnd(7) + cells.map((cell) => String(cell).padStart(10)).join('');
  const row = (name: string, tally: Tally): string =>
    line(
      name,
      COLUMNS.map((column) => tally[column]),
    );
  const lines = [line('area', HEADS)];
  for (const [prefix, states] of byArea(matrix)) lines.push(row(prefix, tallyOf(states)));
  lines.push(row('all', tallyOf(matrix.states)));
  return lines.join('\n');
}

/** What `--json` prints. */
export function matrixJson(matrix: Matrix): string {
  const areas = [...byArea(matrix)].map(([prefix, states]) => [prefix, tallyOf(states)] as const);
  const { total, tested, checked, notApplicable } = tallyOf(matrix.states);
  const unwatched: Record<string, number> = {};
  for (const { unwatched: why } of matrix.states) {
    if (why !== undefined) unwatched[why] = (unwatched[why] ?? 0) + 1;
  }
  const missing = matrix.states.filter(isMissing).map((state) => state.rule.id);
  return JSON.stringify({
    total,
    tested,
    checked,
    unwatched,
    notApplicable,
    missing,
    byArea: Object.fromEntries(areas),
  });
}

/** The missing rules with their texts, of one area or of all. */
export function missingText(matrix: Matrix, prefix: string | undefined): string {
  const areas = [...new Set(matrix.states.map((state) => state.prefix))];
  if (prefix !== undefined && !areas.includes(prefix))
    return `${prefix}: there is no such area; there are ${areas.join(', ')}`;
  const missing = matrix.states.filter(
    (state) => isMissing(state) && (prefix === undefined || state.prefix === prefix),
  );
  return [...missing.map(ruleText), `${missing.length} missing`].join('\n');
}

function ruleText({ rule }: RuleState): string {
  return `${rule.id} [${rule.level}, ${rule.actor}] ${rule.rule}\n    observable: ${rule.observable}`;
}

/** What is known of one rule: text, tests, checkers, reason. */
export function showText(matrix: Matrix, ids: readonly string[]): string {
  const lines: string[] = [];
  for (const id of ids) {
    const state = matrix.states.find((one) => one.rule.id === id);
    if (state === undefined) lines.push(`${id}: there is no such rule`);
    else {
      lines.push(ruleText(state));
      for (const test of state.tests) lines.push(`    tested: ${test.file}:${test.line} ${test.name}`);
      for (const about of state.checkers) lines.push(`    checked: ${about}`);
      if (state.unwatched !== undefined) {
        lines.push(`    unwatched: ${state.unwatched}: it ${UNWATCHED_CLASSES[state.unwatched]}`);
      }
      if (state.reason !== undefined) lines.push(`    not applicable: ${state.reason}`);
    }
  }
  return lines.join('\n');
}
