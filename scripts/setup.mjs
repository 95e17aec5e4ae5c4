/**
 * Makes a fresh clone ready: dependencies as the lock file says, then the build. Plain JavaScript, because it runs first.
 *
 * Promises to do nothing, silently, where nothing is to be done, and to write only to stderr, so that a command which
 * prints JSON may call it. `node scripts/setup.mjs` installs and builds, with `--install` it only installs: what the scripts of
 * package.json begin with; the functions serve test.mjs and start.mjs.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** The path of a tool which the dependencies bring. @param {string} name */
export function tool(name) {
  return join(root, 'node_modules', '.bin', name);
}

/** @param {string} path */
function packagesOf(path) {
  try {
    return JSON.parse(readFileSync(join(root, path), 'utf8')).packages ?? {};
  } catch {
    return undefined;
  }
}

/** Why the dependencies are not what the lock file says; `undefined` when they are. */
export function staleness() {
  const wanted = packagesOf('package-lock.json');
  const installed = packagesOf('node_modules/.package-lock.json');
  if (!wanted) throw new Error('package-lock.json is missing or is not JSON');
  if (!installed) return 'there are none';
  for (const [path, entry] of Object.entries(wanted)) {
    // Optional ones differ by machine; what is not for this machine is not there.
    if (path === '' || entry.optional || entry.devOptional || entry.peer) continue;
    if (installed[path]?.version !== entry.version) return `${path.replace(/^.*node_modules\//, '')} is not as locked`;
  }
  return undefined;
}

/**
 * The environment without what another npm command was asked for: `npm pack --dry-run` would install nothing.
 * @param {NodeJS.ProcessEnv} env
 */
function withoutWishes(env) {
  const { npm_config_dry_run: _dryRun, npm_config_json: _json, npm_config_global: _global, ...rest } = env;
  return rest;
}

/** Installs when something is missing or stale. Answers whether the dependencies are there now. */
export function ensureInstalled() {
  const why = staleness();
  if (why === undefined) return true;
  console.error(`setup: installing dependencies (${why}) ...`);
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  const done = spawnSync('npm', args, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    shell: process.platform === 'win32',
    env: withoutWishes(process.env),
  });
  if (done.status === 0) return true;
  console.error('setup: npm ci failed; is the package registry reachable?');
  return false;
}

/** Builds what has changed. Answers whether all of it compiled; what did not is told on stderr. */
export function ensureBuilt() {
  if (!existsSync(join(root, 'dist'))) console.error('setup: building ...');
  const built = spawnSync(tool('tsc'), ['-b'], { cwd: root, encoding: 'utf8' });
  if (built.error) console.error(`setup: ${built.error.message}`);
  if (built.stdout) process.stderr.write(built.stdout);
  if (built.stderr) process.stderr.write(built.stderr);
  return built.status === 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const isReady = ensureInstalled() && (process.argv.includes('--install') || ensureBuilt());
  process.exitCode = isReady ? 0 : 1;
}
