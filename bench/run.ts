/**
 * `npm run bench`: every comparison in one run, variants in turn (A B C A B C), medians and spreads, a machine line, what is promised and
 * what was seen. `--json FILE` writes all of it, `--page FILE` a page of plots. `npm run bench -- peers http` runs some groups only;
 * `soak` and `idle-million` run only when they are named. `--setup` installs and builds the peers first (Debian, root). Figures inform; only allocations are a test (test/alloc).
 */
import { writeFileSync } from 'node:fs';
import { USAGE, understand, type Values } from './arguments.ts';
import { COMPARISONS, type ComparisonGroup } from './comparisons.ts';
import { GROUPS, type Group } from './groups.ts';
import { type Figure, machineLine, runCase } from './measure.ts';
import { type Document, pageOf } from './page.ts';
import { compare } from './peers/compare.ts';
import { setUpPeers } from './peers/setup.ts';
import { which } from './peers/shell.ts';
import { verdicts } from './promises.ts';
import { printResult, type Result, resultsOf, shown } from './results.ts';

function runGroup(group: Group, rounds: number, minutes: string): Result[] {
  const figures: Figure[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const { file, args, flags = [] } of group.variants) {
      const given = args.map((arg) => (arg === 'MINUTES' ? minutes : arg));
      figures.push(...runCase(file, given, flags));
    }
  }
  return resultsOf(group.name, figures);
}

/** Whether a comma-separated list has it; a list that is not there has all. */
function isAmong(list: string | undefined, wanted: string): boolean {
  return list === undefined || list.split(',').includes(wanted);
}

async function runComparison(group: ComparisonGroup, values: Values, document: Document): Promise<Result[]> {
  const { plan } = group;
  const subjects = plan.subjects.filter(({ name }) => isAmong(values.only, name));
  const modes = plan.modes.filter((mode) => isAmong(values.modes, mode));
  const connections = plan.connections.filter((count) => isAmong(values.connections, String(count)));
  const rounds = Number(values.rounds ?? plan.rounds);
  const found = await compare({ ...plan, subjects, modes, connections, rounds, congestion: values.congestion });
  for (const [name, curves] of found.curves) document.curves[name] = curves;
  for (const note of found.notes) {
    document.notes.push(note);
    console.log(`  ${note}`);
  }
  return resultsOf(group.name, found.figures);
}

/** What a group needs and is not there; null: nothing. */
function lackOf({ needsRoot = false, needsProgram }: Group): string | null {
  if (needsRoot && process.getuid?.() !== 0) return 'root';
  return needsProgram === undefined || which(needsProgram) !== null ? null : needsProgram;
}

function conclude(document: Document, values: Values): void {
  document.verdicts.push(...verdicts(document.results));
  if (document.verdicts.length > 0) console.log('\npromised ratios: within each round, the median of them');
  for (const { what, ratio, wanted, isKept } of document.verdicts) {
    console.log(
      `  ${what.padEnd(60)} ${shown(ratio).padStart(8)}  ${wanted.padEnd(14)} ${isKept ? 'kept' : 'NOT KEPT'}`,
    );
  }
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(document, null, 2)}\n`);
  if (values.page !== undefined) writeFileSync(values.page, pageOf(document));
}

async function main(args: readonly string[]): Promise<number> {
  const given = understand(args);
  if (typeof given === 'string') {
    console.error(`bench: ${given}\n\n${USAGE}`);
    return 2;
  }
  const { values, positionals: wanted } = given;
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  if (values.setup) {
    setUpPeers();
    return 0;
  }
  const congestion = `kernel's congestion control ${values.congestion}`;
  const document: Document = {
    machine: `${machineLine()}; ${congestion}`,
    results: [],
    curves: {},
    notes: [],
    verdicts: [],
  };
  console.log(document.machine);
  const isWanted = ({ name }: { readonly name: string }): boolean => wanted.length === 0 || wanted.includes(name);
  const finish = (results: readonly Result[]): void => {
    for (const result of results) {
      document.results.push(result);
      printResult(result);
    }
  };
  for (const group of COMPARISONS.filter(isWanted)) {
    console.log(`\n${group.name}: ${group.what} (${values.rounds ?? group.plan.rounds} rounds)`);
    finish(await runComparison(group, values, document));
  }
  for (const group of GROUPS.filter((group) => isWanted(group) && (group.isLong !== true || wanted.length > 0))) {
    const rounds = Number(values.rounds ?? group.rounds);
    console.log(`\n${group.name}: ${group.what} (${rounds} rounds)`);
    const lack = lackOf(group);
    if (lack === null) finish(runGroup(group, rounds, values.minutes));
    else {
      document.notes.push(`${group.name}: left out: needs ${lack}`);
      console.log(`  left out: needs ${lack}`);
    }
  }
  conclude(document, values);
  return 0;
}

process.exitCode = await main(process.argv.slice(2));
