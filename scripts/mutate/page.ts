/** docs/mutation.md: what a mutation run broke, and what noticed it. */
import type { Outcome } from './faults.ts';
import { areaOf } from './table.ts';

const HEAD = `# Mutation report

Made by \`npm run rules -- --mutate --write\`, of all areas or one by one (\`--area TERM\`); not by hand.

A citation of a rule counts only if the test notices when the rule is broken. So the rules are broken, one at a time: those that
the verifier watches by a **faulty driver** (\`chimney verify faulty:TERM-035\`), in a run of the conformance suite, which must
name that rule (where several say the same of one breach, a finding names all of them); the others by a **source mutant**, a
small change in a copy of the source, upon which a test that cites the rule must fail. A mutant that is noticed is killed.
`;

/** The whole page. `former`: the page as it stands; what it says of areas (`byRule`: of rules) that were not run now is kept. */
export function mutationPage(outcomes: readonly Outcome[], former: string, byRule = false): string {
  const partOf = (rule: string): string => (byRule ? rule : areaOf(rule));
  const run = new Set(outcomes.map(({ rule }) => partOf(rule)));
  const kept = outcomesIn(former).filter(({ rule }) => !run.has(partOf(rule)));
  const all = [...kept, ...outcomes].sort((one, other) => (one.rule < other.rule ? -1 : one.rule > other.rule ? 1 : 0));
  const areas = new Map<string, Outcome[]>();
  for (const outcome of all) {
    const area = areaOf(outcome.rule);
    areas.set(area, [...(areas.get(area) ?? []), outcome]);
  }
  const lines = [
    HEAD,
    '| area | faulty drivers | named | source mutants | killed | rules broken |',
    '|---|--:|--:|--:|--:|--:|',
  ];
  for (const [area, own] of areas) lines.push(row(area, own));
  lines.push(row('all', all), '', '| rule | what was broken | killed |', '|---|---|---|');
  for (const { rule, what, isKilled, reason } of all) {
    lines.push(`| ${rule} | ${escaped(what)} | ${isKilled ? 'yes' : `**no**: ${escaped(reason)}`} |`);
  }
  return `${lines.join('\n')}\n`;
}

/** What a page says, read back. */
export function outcomesIn(page: string): Outcome[] {
  return [...page.matchAll(/^\| ([A-Z]+-\d{3}) \| (.*) \| (?:yes|\*\*no\*\*: (.*)) \|$/gm)].map(
    ([, rule = '', what = '', reason]) => ({
      rule,
      what: plain(what),
      kind: /^a (?:target|driver) that /.test(what) ? 'fault' : 'source',
      isKilled: reason === undefined,
      reason: plain(reason ?? ''),
    }),
  );
}

function row(name: string, outcomes: readonly Outcome[]): string {
  const faults = outcomes.filter(({ kind }) => kind === 'fault');
  const mutants = outcomes.filter(({ kind }) => kind === 'source');
  const killed = (of: readonly Outcome[]): number => of.filter(({ isKilled }) => isKilled).length;
  const rules = new Set(outcomes.map(({ rule }) => rule)).size;
  return `| ${name} | ${faults.length} | ${killed(faults)} | ${mutants.length} | ${killed(mutants)} | ${rules} |`;
}

/** Text in a table, as it stands. */
function escaped(text: string): string {
  return text.replace(/[|<>*_`&]/g, (c) => `&#${c.charCodeAt(0)};`);
}

function plain(text: string): string {
  return text.replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)));
}
