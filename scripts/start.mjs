/**
 * `npm start`: sets up what is missing, then runs the demonstration with all the arguments it was given.
 *
 * Setting up speaks on stderr only: with `--json`, nothing but the JSON reaches stdout. (npm itself prints two lines there
 * unless it is asked not to: `npm start --silent -- --json`.)
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, root } from './setup.mjs';

if (!ensureInstalled() || !ensureBuilt()) {
  process.exitCode = 1;
} else {
  const main = join(root, 'dist', 'apps', 'cli', 'main.js');
  const child = spawn(process.execPath, [main, 'demo', ...process.argv.slice(2)], { stdio: 'inherit' });
  // The terminal sends an interrupt to both; the child decides what it means, and its end is ours.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    process.exitCode = signal ? 1 : (code ?? 1);
  });
}
