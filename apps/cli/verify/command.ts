/**
 * The command `chimney verify`: a target or driver in, a report and an exit status out. Progress goes to standard error only.
 */
import { writeFileSync } from 'node:fs';
import { findingText, rulesOf } from 'chimney';
import { explore, ReplayError, replay, SCENARIOS } from 'chimney/conformance';
import { Command } from 'commander';
import { UsageError } from '../demo/options.ts';
import { INTERLEAVINGS_DEFAULT, parseVerifyOptions, type VerifyArguments, type VerifyOptions } from './options.ts';
import { type Examination, jsonReport, junitReport, sayingOf, textReport } from './report.ts';
import { findSubject, type NamedSubject } from './subject.ts';

const FOUND = 1;

export function verifyCommand(): Command {
  const many = (value: string, all: readonly string[] = []): readonly string[] => [...all, ...value.split(',')];
  return new Command('verify')
    .description('examine an offload target or an intermediate driver in all interleavings of small scenarios')
    .summary('examine an offload target or a driver')
    .argument(
      '[what]',
      "a module that exports a target or a driver, or 'engine', 'worker', 'plain', 'pass-through', 'filter', 'impair', 'capture', 'team', 'stack', 'faulty:RULE'",
    )
    .option(
      '--interleavings <number>',
      `how many (default: ${INTERLEAVINGS_DEFAULT}, with --time as many as there is time for)`,
    )
    .option('--time <seconds>', 'begin no new run after so long')
    .option('--seed <number>', 'of what is left to chance (default: 1)')
    .option('--scenario <names>', 'only these; see --list', many)
    .option('--rule <ids>', 'only findings about these rules', many)
    .option('--musts-only', 'pass over rules that say should')
    .option('--first', 'stop at the first finding')
    .option('--json <file>', "write the report as JSON, '-' for standard output")
    .option('--junit <file>', "write a JUnit XML report, '-' for standard output")
    .option('--replay <run>', "repeat one run, as a finding names it: 'scenario/choices'")
    .option('--list', 'say what scenarios there are')
    .allowExcessArguments(false)
    .action(async (what: string | undefined, given: VerifyArguments & { list?: boolean }) => {
      if (given.list === true) process.exitCode = list();
      else if (what === undefined)
        throw new UsageError("expected a module that exports a target or a driver, or 'engine'");
      else process.exitCode = await verify(what, parseVerifyOptions(given));
    });
}

function list(): number {
  for (const { name, about } of SCENARIOS) process.stdout.write(`${name.padEnd(24)} ${about}\n`);
  return 0;
}

async function verify(what: string, options: VerifyOptions): Promise<number> {
  const named = await findSubject(what);
  probe(named);
  if (options.replay !== null) return repeat(named, options.replay, options.seed);
  const startedMs = performance.now();
  const isTty = process.stderr.isTTY;
  const report = explore(named.subject, {
    seed: options.seed,
    interleavings: options.interleavings,
    timeUsed: () => (performance.now() - startedMs) / (options.timeS * 1000),
    stopAtFirst: options.stopAtFirst,
    shoulds: options.shoulds,
    ...(options.rules === null ? {} : { rules: options.rules }),
    ...(options.scenarios === null
      ? {}
      : { scenarios: SCENARIOS.filter(({ name }) => options.scenarios!.includes(name)) }),
    onProgress: (done, findings, scenario) => {
      const text = `${done} interleavings, ${findings} findings, ${scenario}`;
      if (isTty) process.stderr.write(`\r\x1b[K${text}`);
      else if (done % 10_000 === 0) process.stderr.write(`${text}\n`);
    },
  });
  if (isTty) process.stderr.write('\r\x1b[K');
  write({ subject: named, report, elapsedMs: performance.now() - startedMs }, options);
  return report.findings.length > 0 ? FOUND : 0;
}

/** One run before all: a module whose factory makes something else is told so, and not accused of breaking rules. */
function probe(named: NamedSubject): void {
  const { findings } = replay(named.subject, SCENARIOS[0]!.name, { seed: 1 });
  const shape = findings.find(({ rule, seen }) => rule === 'THROWN' && seen.startsWith('ShapeError: '));
  if (shape !== undefined) throw new UsageError(shape.seen.slice('ShapeError: '.length));
}

function write(examination: Examination, options: VerifyOptions): void {
  const outputs: [string | null, (examination: Examination) => string][] = [
    [options.json, (one) => `${jsonReport(one)}\n`],
    [options.junit, junitReport],
  ];
  let isSilent = false;
  for (const [to, make] of outputs) {
    if (to === '-') {
      process.stdout.write(make(examination));
      isSilent = true;
    } else if (to !== null) save(to, make(examination));
  }
  if (!isSilent) process.stdout.write(`${textReport(examination)}\n`);
}

function save(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new UsageError(
      `expected a file that can be written, got '${file}' (${(error as NodeJS.ErrnoException).code})`,
    );
  }
}

/** One run, step by step. */
function repeat(named: NamedSubject, text: string, seed: number): number {
  try {
    const result = replay(named.subject, text, { seed });
    result.names.forEach((name, i) => {
      process.stdout.write(`${String(i + 1).padStart(4)}  ${name}\n`);
    });
    for (const finding of result.findings) {
      process.stdout.write(
        `\n${findingText(finding)}\n${rulesOf(finding)
          .map((rule) => `  ${rule}: ${sayingOf(rule)}\n`)
          .join('')}`,
      );
      for (const call of finding.lastCalls) process.stdout.write(`  ${call}\n`);
    }
    if (result.findings.length === 0) process.stdout.write('\nnothing found\n');
    return result.findings.length > 0 ? FOUND : 0;
  } catch (error) {
    if (error instanceof ReplayError) throw new UsageError(`--replay: ${error.message}`);
    throw error;
  }
}
