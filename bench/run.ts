/**
 * `npm run bench`: every comparison in one run, variants in turn (A B C A B C), medians and spreads, a machine line, what is promised and
 * what was seen. `--json FILE` writes all of it, `--page FILE` a page of plots. `npm run bench -- peers http` runs some groups only;
 * `soak` and `idle-million` run only when they are named. `--setup` installs and builds the peers first (Debian, root). Figures inform; only allocations are a test (test/alloc).
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { COMPARISONS, type ComparisonGroup } from './comparisons.ts';
import { GROUPS, type Group } from './groups.ts';
import { type Figure, machineLine, runCase } from './measure.ts';
import { type Document, pageOf } from './page.ts';
import { compare } from './peers/compare.ts';
import { setUpPeers } from './peers/setup.ts';
import { which } from './peers/shell.ts';
import { verdicts } from './promises.ts';
import { printResult, type Result, resultsOf, shown } from './results.ts';

const OPTIONS = {
  json: { type: 'string' },
  page: { type: 'string' },
  rounds: { type: 'string' },
  only: { type: 'string' },
  modes: { type: 'string' },
  connections: { type: 'string' },
  congestion: { type: 'string', default: 'cubic' },
  setup: { type: 'boolean', default: false },
  minutes: { type: 'string', default: '10' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

const USAGE = `usage: npm run bench -- [group ...] [options]

  groups            ${[...COMPARISONS, ...GROUPS].map(({ name }) => name).join(', ')}; none: all but the long ones
  --rounds N        how often each is measured
  --only A,B        of a comparison only these subjects
  --modes A,B       of a comparison only these: in, back, out, echo ...
  --connections N,M of a comparison only so many connections
  --congestion C    the kernel's congestion control (cubic)
  --minutes N       how long the soak takes (10)
  --json FILE       writes the results there
  --page FILE       draws them as a page
  --setup           installs and builds the peers`;

function parse(args: readonly string[]) {
  return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
}

type Values = ReturnType<typeof parse>['values'];

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

function unknownGroup(wanted: readonly string[]): boolean {
  const names = [...GROUPS, ...COMPARISONS].map(({ name }) => name);
  const unknown = wanted.find((name) => !names.includes(name));
  if (unknown !== undefined) console.error(`bench: no group '${unknown}': expected one of ${names.join(', ')}`);
  return unknown !== undefined;
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

/** What is wrong with the command line; null: nothing. */
function complaintAbout(values: Values): string | null {
  for (const name of ['rounds', 'minutes'] as const) {
    const given = values[name];
    if (given !== undefined && !(Number(given) > 0)) return `--${name}: expected a number above 0, got '${given}'`;
  }
  return null;
}

/** The command line; its exit status when it asks for nothing that can be done. */
function understood(args: readonly string[]): ReturnType<typeof parse> | number {
  let given: ReturnType<typeof parse>;
  let complaint: string | null;
  try {
    given = parse(args);
    complaint = complaintAbout(given.values);
  } catch (error) {
    console.error(`bench: ${(error as Error).message.split('. ')[0]}\n\n${USAGE}`);
    return 2;
  }
  if (complaint !== null) console.error(`bench: ${complaint}\n\n${USAGE}`);
  else if (given.values.help) console.log(USAGE);
  else return given;
  return complaint === null ? 0 : 2;
}

async function main(args: readonly string[]): Promise<number> {
  const given = understood(args);
  if (typeof given === 'number') return given;
  const { values, positionals: wanted } = given;
  if (unknownGroup(wanted)) return 2;
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
