/** docs/rules.md: the matrix by area, and each rule with its text and what has become of it. */
import { UNWATCHED_CLASSES } from '../../src/contract/rule-book.ts';
import type { Citation } from './citations.ts';
import { byArea, COLUMNS, isMissing, type Matrix, type RuleState, type Tally, tallyOf } from './matrix.ts';

const HEAD = `# The rules of the contract

Made by \`npm run rules -- --write\` from the rule book (\`src/contract/rules/\`), the names of the tests and the table of the
verifier's checkers; not by hand.

A rule is **tested** when the name of a test cites its id, **checked** when a checker of the verifier watches it wherever the
verifier is seated (\`verify: true\`; what shows in frames on the wire, in \`chimney verify\` only), and **n/a** when nothing in this system corresponds to it; then the reason stands there.
\`npm run rules\` fails when a rule has none of the three.

Not every rule can be watched at a door. One that applies and has no checker is **unwatched**, and says why in one word
(\`src/contract/rules/unwatched.json\`); \`npm run rules\` fails when a rule has neither checker nor such a word, or both.
`;

/** The words, what they mean, and how many rules they stand for. */
function classesTable(matrix: Matrix): string[] {
  const count = (why: string): number => matrix.states.filter(({ unwatched }) => unwatched === why).length;
  return [
    '| unwatched: | because it | rules |',
    '|---|---|--:|',
    ...Object.entries(UNWATCHED_CLASSES).map(([why, text]) => `| ${why} | ${cell(text)} | ${count(why)} |`),
    '',
  ];
}

/** The whole page. */
export function rulesPage(matrix: Matrix): string {
  const areas = byArea(matrix);
  const lines = [HEAD, ...classesTable(matrix)];
  lines.push('| area | | rules | must | should | may | tested | checked | unwatched | n/a | missing |');
  lines.push('|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|');
  const row = (name: string, about: string, tally: Tally): string =>
    `| ${name} | ${about} | ${COLUMNS.map((column) => tally[column]).join(' | ')} |`;
  for (const [prefix, states] of areas) {
    lines.push(row(`[${prefix}](#${prefix.toLowerCase()})`, states[0]!.rule.area, tallyOf(states)));
  }
  lines.push(row('all', '', tallyOf(matrix.states)));
  for (const [prefix, states] of areas) {
    lines.push('', `## ${prefix}`, '', '| id | | rule | disposition |', '|---|---|---|---|', ...states.map(ruleRow));
  }
  return `${lines.join('\n')}\n`;
}

function ruleRow(state: RuleState): string {
  const { id, level, actor, rule } = state.rule;
  return `| ${id} | ${level}, ${actor} | ${cell(rule)} | ${disposition(state)} |`;
}

function disposition(state: RuleState): string {
  const parts: string[] = [];
  if (state.tests.length > 0) parts.push(`tested: ${filesOf(state.tests)}`);
  if (state.checkers.length > 0) parts.push(`checked: ${[...new Set(state.checkers)].map(cell).join(', ')}`);
  if (state.unwatched !== undefined) parts.push(`unwatched: ${state.unwatched}`);
  if (state.reason !== undefined) parts.push(`n/a: ${cell(state.reason)}`);
  if (isMissing(state)) parts.push('**missing**');
  return parts.join('<br>');
}

/** The files, without line numbers: those move with every edit, and the page would never be fresh. */
function filesOf(tests: readonly Citation[]): string {
  const files = [...new Set(tests.map((test) => test.file))].sort();
  return files.map((file) => `[${file.slice('test/'.length)}](../${file})`).join(', ');
}

function cell(text: string): string {
  return text
    .replace(/\|/g, '\\|')
    .replace(/\n/g, ' ')
    .replace(/</g, '&lt;')
    .replace(/\*/g, '\\*')
    .replace(/_/g, '\\_');
}
