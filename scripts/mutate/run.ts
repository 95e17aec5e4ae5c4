/**
 * `npm run rules -- --mutate`: every checked rule is broken by a faulty driver, tested ones by changes of the source.
 *
 *   --json            the report as one JSON object
 *   --area AREA       only rules of that area
 *   --rule ID         only that rule
 *   --faults          only the faulty drivers (seconds); of the source it goes on saying what docs/mutation.md says
 *   --quick           of the source one mutant an area
 *   --left            of the source only those that docs/mutation.md does not say are killed; the others are taken from there
 *   --write           write docs/mutation.md; of areas that were not run it goes on saying what it says
 *
 * Ends with 1 when fewer than 95 % are killed, or a faulty driver goes unnoticed.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Outcome, runFaults } from './faults.ts';
import { mutationPage, outcomesIn } from './page.ts';
import { runMutants, whatOf } from './source.ts';
import { areaOf, MUTANTS, type Mutant } from './table.ts';

/** Of all mutants so many must be killed. */
const ENOUGH = 0.95;

export interface MutationReport {
  readonly total: number;
  readonly killed: number;
  readonly faults: number;
  readonly areas: Readonly<Record<string, { readonly total: number; readonly killed: number }>>;
  readonly survived: readonly { readonly rule: string; readonly what: string; readonly reason: string }[];
}

export function reportOf(outcomes: readonly Outcome[]): MutationReport {
  const areas: Record<string, { total: number; killed: number }> = {};
  for (const { rule, isKilled } of outcomes) {
    const area = areas[areaOf(rule)] ?? { total: 0, killed: 0 };
    areas[areaOf(rule)] = { total: area.total + 1, killed: area.killed + (isKilled ? 1 : 0) };
  }
  return {
    total: outcomes.length,
    killed: outcomes.filter(({ isKilled }) => isKilled).length,
    faults: outcomes.filter(({ kind }) => kind === 'fault').length,
    areas,
    survived: outcomes.filter(({ isKilled }) => !isKilled).map(({ rule, what, reason }) => ({ rule, what, reason })),
  };
}

/** Which source mutants a command line asks for. */
export function chosen(args: readonly string[]): readonly Mutant[] {
  if (args.includes('--faults')) return [];
  const [area, rule] = [valueGiven(args, '--area'), valueGiven(args, '--rule')];
  const meant = MUTANTS.filter(
    (one) => (area === null || areaOf(one.rule) === area) && (rule === null || one.rule === rule),
  );
  if (!args.includes('--quick')) return meant;
  return meant.filter((one, i) => meant.findIndex((other) => areaOf(other.rule) === areaOf(one.rule)) === i);
}

function valueGiven(args: readonly string[], name: string): string | null {
  const at = args.indexOf(name);
  return at < 0 ? null : (args[at + 1] ?? null);
}

function keyOf(rule: string, what: string): string {
  return `${rule} ${what}`;
}

/** Source mutants that the page says are killed. */
function killedBefore(page: string): ReadonlyMap<string, Outcome> {
  const killed = outcomesIn(page).filter(({ kind, isKilled }) => kind === 'source' && isKilled);
  return new Map(killed.map((outcome) => [keyOf(outcome.rule, outcome.what), outcome]));
}

/** What the page says of source mutants. */
function ofSource(page: string, area: string | null, rule: string | null): readonly Outcome[] {
  return outcomesIn(page).filter(
    (one) =>
      one.kind === 'source' && (area === null || areaOf(one.rule) === area) && (rule === null || one.rule === rule),
  );
}

/** The command. Answers the exit status. */
export async function mutate(root: string, args: readonly string[]): Promise<number> {
  const startedMs = performance.now();
  // An orderly exit, in which the tests under way are ended as well.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
  const rule = valueGiven(args, '--rule');
  const faults = runFaults(valueGiven(args, '--area')).filter((one) => rule === null || one.rule === rule);
  console.error(`${faults.length} faulty drivers: ${faults.filter(({ isKilled }) => isKilled).length} named`);
  const path = join(root, 'docs/mutation.md');
  const former = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const wanted = chosen(args);
  const known = args.includes('--left') ? killedBefore(former) : new Map<string, Outcome>();
  const mutants = wanted.filter((mutant) => !known.has(keyOf(mutant.rule, whatOf(mutant))));
  const carried = args.includes('--faults')
    ? ofSource(former, valueGiven(args, '--area'), rule)
    : wanted.flatMap((mutant) => known.get(keyOf(mutant.rule, whatOf(mutant))) ?? []);
  let done = 0;
  const outcomes = await runMutants(root, mutants, (outcome) => {
    const verdict = outcome.isKilled ? 'killed' : `SURVIVED: ${outcome.what}: ${outcome.reason}`;
    console.error(`${++done}/${mutants.length} ${outcome.rule} ${verdict}`);
  });
  const all = [...faults, ...carried, ...outcomes];
  const report = reportOf(all);
  console.log(args.includes('--json') ? JSON.stringify(report) : textOf(report, performance.now() - startedMs));
  if (args.includes('--write')) writeFileSync(path, mutationPage(all, former, rule !== null));
  const isGood = report.killed >= ENOUGH * report.total && faults.every(({ isKilled }) => isKilled);
  return isGood ? 0 : 1;
}

function textOf(report: MutationReport, elapsedMs: number): string {
  const lines = Object.entries(report.areas).map(([area, { total, killed }]) => `${area.padEnd(6)} ${killed}/${total}`);
  const share = report.total === 0 ? 100 : (100 * report.killed) / report.total;
  lines.push(
    `${report.killed} of ${report.total} mutants killed (${share.toFixed(1)} %), ${report.faults} of them faulty drivers; ${Math.round(elapsedMs / 1000)} s`,
  );
  for (const { rule, what, reason } of report.survived) lines.push(`survived: ${rule}: ${what}: ${reason}`);
  return lines.join('\n');
}
