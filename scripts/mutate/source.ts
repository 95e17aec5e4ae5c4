/**
 * The second half of a mutation run: a change in the source, in a copy of the tree, and the tests that must notice.
 *
 * The tree itself is never touched. First the tests run on the copy as it is: a test that fails without a mutant would kill them all.
 */
import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { citationsUnder } from '../rules/citations.ts';
import type { Outcome } from './faults.ts';
import type { Mutant } from './table.ts';

/** What is not copied: nobody changes it, so the copy shares it. */
const SHARED: readonly string[] = ['node_modules', 'dist'];
/** Copies worked on at once; each runs its tests one file after the other. */
const COPIES = 2;
/** Longest that the tests of one mutant may take: one that hangs them is noticed as well. */
const TESTS_TIMEOUT_MS = 120_000;
/** And all of them together, before there is any mutant. */
const ALL_TESTS_TIMEOUT_MS = 900_000;
const LEFT_OUT: readonly string[] = ['.git', ...SHARED];

/** The tests that must notice a mutant. */
export function testsOf(mutant: Mutant, citing: ReadonlyMap<string, readonly string[]>): readonly string[] {
  return mutant.tests ?? citing.get(mutant.rule) ?? [];
}

/** By rule: the test files that cite it. Tables of breaches, which test checkers and not the implementation, do not count. */
export function citingTests(root: string): ReadonlyMap<string, readonly string[]> {
  const files = new Map<string, string[]>();
  for (const { rule, file } of citationsUnder(root)) {
    if (!file.endsWith('.test.ts') || /^test\/(?:system|alloc|contract|conformance|project)\//.test(file)) continue;
    const known = files.get(rule) ?? [];
    if (!known.includes(file)) known.push(file);
    files.set(rule, known);
  }
  return files;
}

/** A copy in which mutants are tried. */
class Copy {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'chimney-mutants-'));

  constructor(root: string) {
    for (const name of readdirSync(root)) {
      if (!LEFT_OUT.includes(name)) cpSync(join(root, name), join(this.folder, name), { recursive: true });
    }
    for (const name of SHARED) if (existsSync(join(root, name))) symlinkSync(join(root, name), join(this.folder, name));
  }

  /** Whether these tests pass; the last lines they wrote. */
  passes(tests: readonly string[], workers = 1): Promise<{ isGood: boolean; text: string }> {
    const program = join(this.folder, 'node_modules/vitest/vitest.mjs');
    const given = [
      program,
      'run',
      '--project',
      'unit',
      '--bail',
      '1',
      '--reporter',
      'dot',
      '--maxWorkers',
      `${workers}`,
    ];
    // A group of its own: where a mutant never ends, the runner's workers have to go with the runner.
    const child = spawn(process.execPath, [...given, ...tests], { cwd: this.folder, detached: true });
    const killGroup = (): void => {
      try {
        process.kill(-child.pid!, 'SIGKILL');
      } catch {} // they have all ended
    };
    const late = setTimeout(killGroup, workers === 1 ? TESTS_TIMEOUT_MS : ALL_TESTS_TIMEOUT_MS);
    process.once('exit', killGroup);
    const lines: string[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => lines.push(String(data)));
    return new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (status) => {
        clearTimeout(late);
        process.off('exit', killGroup);
        killGroup();
        resolve({ isGood: status === 0, text: lines.join('').split('\n').slice(-30).join('\n') });
      });
    });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Tries mutants, two at a time, each in a copy of its own. Throws where the tests fail without any. */
export async function runMutants(
  root: string,
  mutants: readonly Mutant[],
  onDone: (outcome: Outcome) => void,
): Promise<Outcome[]> {
  if (mutants.length === 0) return [];
  const citing = citingTests(root);
  const copies = Array.from({ length: Math.min(COPIES, mutants.length) }, () => new Copy(root));
  try {
    const all = [...new Set(mutants.flatMap((mutant) => testsOf(mutant, citing)))];
    const before = await copies[0]!.passes(all, COPIES);
    if (!before.isGood) throw new Error(`the tests fail without any mutant:\n${before.text}`);
    const outcomes: Outcome[] = [];
    let next = 0;
    const work = async (copy: Copy): Promise<void> => {
      for (let i = next++; i < mutants.length; i = next++) {
        outcomes[i] = await tryMutant(copy, mutants[i]!, testsOf(mutants[i]!, citing));
        onDone(outcomes[i]!);
      }
    };
    await Promise.all(copies.map(work));
    return outcomes;
  } finally {
    for (const copy of copies) copy.remove();
  }
}

async function tryMutant(copy: Copy, mutant: Mutant, tests: readonly string[]): Promise<Outcome> {
  const path = join(copy.folder, mutant.file);
  const text = readFileSync(path, 'utf8');
  const outcome = {
    rule: mutant.rule,
    what: whatOf(mutant),
    kind: 'source',
  } as const;
  if (text.split(mutant.from).length !== 2) {
    return { ...outcome, isKilled: false, reason: 'its text does not stand exactly once in the file' };
  }
  if (tests.length === 0) return { ...outcome, isKilled: false, reason: 'no test cites the rule' };
  writeFileSync(
    path,
    text.replace(mutant.from, () => mutant.to),
  );
  try {
    const isKilled = !(await copy.passes(tests)).isGood;
    return { ...outcome, isKilled, reason: isKilled ? '' : (mutant.survives ?? `${tests.join(', ')} did not notice`) };
  } finally {
    writeFileSync(path, text);
  }
}

/** What a mutant changes, in one line. */
export function whatOf({ file, from, to }: Mutant): string {
  return `${file}: ${oneLine(from)} -> ${oneLine(to)}`;
}

function oneLine(text: string): string {
  const line = text.trim().replace(/\s+/g, ' ');
  return line === '' ? 'nothing' : `'${line.length > 60 ? `${line.slice(0, 57)}...` : line}'`;
}
