/** docs/mutation.md: what a mutation run broke, and what noticed it. */
import type { Outcome } from './faults.ts';
import { areaOf } from './table.ts';

const HEAD = `# Mutation report

Made by \`npm run rules -- --mutate --write\`; not by hand.

A citation of a rule counts only if the test notices when the rule is broken. So the rules are broken, one at a time: those that
the verifier watches by a **faulty driver** (\`chimney verify faulty:TERM-035\`), in a run of the conformance suite, which must
name just that rule; the others by a **source mutant**, a small change in a copy of the source, upon which a test that cites the
rule must fail. A mutant that is noticed is killed.
`;

/** The whole page. */
export function mutationPage(outcomes: readonly Outcome[]): string {
  const areas = new Map<string, Outcome[]>();
  for (const outcome of outcomes) {
    const area = areaOf(outcome.rule);
    areas.set(area, [...(areas.get(area) ?? []), outcome]);
  }
  const lines = [
    HEAD,
    '| area | faulty drivers | named | source mutants | killed | rules broken |',
    '|---|--:|--:|--:|--:|--:|',
  ];
  for (const [area, own] of areas) lines.push(row(area, own));
  lines.push(row('all', outcomes), '', '## Survivors', '');
  const left = outcomes.filter(({ isKilled }) => !isKilled);
  if (left.length === 0) lines.push('None.');
  for (const { rule, what, reason } of left) lines.push(`- **${rule}**: ${code(what)}: ${reason}`);
  lines.push('', '## What was broken', '', '| rule | how | killed |', '|---|---|---|');
  const sorted = [...outcomes].sort((a, b) => (a.rule < b.rule ? -1 : a.rule > b.rule ? 1 : 0));
  for (const { rule, what, isKilled } of sorted)
    lines.push(`| ${rule} | ${code(what)} | ${isKilled ? 'yes' : '**no**'} |`);
  return `${lines.join('\n')}\n`;
}

function row(name: string, outcomes: readonly Outcome[]): string {
  const faults = outcomes.filter(({ kind }) => kind === 'fault');
  const mutants = outcomes.filter(({ kind }) => kind === 'source');
  const killed = (of: readonly Outcome[]): number => of.filter(({ isKilled }) => isKilled).length;
  const rules = new Set(outcomes.map(({ rule }) => rule)).size;
  return `| ${name} | ${faults.length} | ${killed(faults)} | ${mutants.length} | ${killed(mutants)} | ${rules} |`;
}

/** Text in a table, as it stands. */
function code(text: string): string {
  return text.replace(/[|<>*_`]/g, (c) => `&#${c.charCodeAt(0)};`);
}
