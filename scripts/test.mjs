/**
 * `npm test` and `npm run check`: everything that must hold, one summary, one last line with the counts.
 *
 * Works as the first command after a clone. Each check below counts as one test beside the tests of vitest. A suite that was
 * skipped is named with its reason; with CI=true a suite that lacks what it needs fails instead (test/support/requires.ts).
 *
 *   --unprivileged   leave out the suites that need root or a device (what `npm run check` does)
 *   anything else    goes to vitest: a path, -t NAME
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureInstalled, root, tool } from './setup.mjs';
import { tally } from './tally.mjs';

const args = process.argv.slice(2);
const unprivileged = args.includes('--unprivileged');
const forVitest = args.filter((arg) => arg !== '--unprivileged');
const seed = process.env.SEED || String(1 + Math.floor(Math.random() * 0x7ffffffe));

/** In this order: the later ones run what `types` builds. */
const CHECKS = [
  { name: 'lock', command: [process.execPath, 'scripts/lock.mjs', '--check'] },
  { name: 'types', command: [tool('tsc'), '-b'] },
  { name: 'format', command: [tool('biome'), 'format', '.'] },
  { name: 'lint', command: [tool('biome'), 'check', '--formatter-enabled=false', '--error-on-warnings', '.'] },
  { name: 'rooms', command: [process.execPath, 'dist/scripts/check-rooms.js'] },
  { name: 'tidy', command: [process.execPath, 'dist/scripts/tidy.js'] },
];

function runCheck({ name, command: [program, ...rest] }) {
  const started = performance.now();
  const done = spawnSync(program, rest, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 });
  const isGood = done.status === 0;
  console.log(`${isGood ? 'ok    ' : 'FAILED'} ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
  if (!isGood) console.log([done.error?.message, done.stdout, done.stderr].filter(Boolean).join('\n'));
  return isGood;
}

function runVitest() {
  const folder = mkdtempSync(join(tmpdir(), 'chimney-test-'));
  const report = join(folder, 'report.json');
  const options = ['run', '--allowOnly=false', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const env = { ...process.env, SEED: seed, CHIMNEY_BUILT: '1' };
  if (unprivileged) env.CHIMNEY_UNPRIVILEGED = '1';
  try {
    const done = spawnSync(tool('vitest'), [...options, ...forVitest], { cwd: root, env, stdio: 'inherit' });
    return tally(readJson(report), done.status === 0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

const failures = [];
let passed = 0;
let skipped = 0;

if (!ensureInstalled()) {
  failures.push('setup: the dependencies could not be installed');
} else {
  for (const check of CHECKS) {
    if (runCheck(check)) passed++;
    else failures.push(`check: ${check.name}`);
  }
  console.log(`seed ${seed}`);
  const tests = runVitest();
  passed += tests.passed;
  skipped = tests.skipped;
  failures.push(...tests.failures);
  if (tests.skippedSuites.length > 0) {
    console.log(`\nskipped (${tests.skippedSuites.length}):`);
    for (const suite of tests.skippedSuites) console.log(`  ${suite}`);
  }
}

if (failures.length > 0) {
  console.log(`\nfailed (${failures.length}), repeat with SEED=${seed}:`);
  for (const failure of failures) console.log(`  ${failure}`);
  process.exitCode = 1;
}
console.log(`\n${passed} passed, ${failures.length} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
