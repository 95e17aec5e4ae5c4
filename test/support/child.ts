/**
 * Runs a script of this repository in a Node of its own, for what cannot share a process: V8 flags, threads, a clean heap.
 *
 * The script is named by its source (`test/alloc/segment.ts`) and run as compiled, so it may be TypeScript and may import
 * from `src/`. It answers with one line of JSON, the last that it prints on stdout.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Flags under which no scavenge hides garbage: the young generation never fills during a measurement. */
export const ALLOCATION_FLAGS: readonly string[] = [
  '--expose-gc',
  '--min-semi-space-size=64',
  '--max-semi-space-size=64',
];

export interface ChildOptions {
  readonly flags?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

let isBuilt = process.env['CHIMNEY_BUILT'] === '1';

/** The compiled file of a source, `test/alloc/x.ts` -> `<root>/dist/test/alloc/x.js`; builds first unless npm test did. */
export function compiled(source: string): string {
  if (!isBuilt) {
    // A room that does not compile is the business of `tsc -b`; what could be built is used.
    spawnSync(`${ROOT}node_modules/.bin/tsc`, ['-b'], { cwd: ROOT });
    isBuilt = true;
  }
  const path = `${ROOT}dist/${source.replace(/\.ts$/, '.js')}`;
  if (!existsSync(path)) throw new Error(`${source} has not been compiled to ${path}: npm run build`);
  return path;
}

/** Starts the script and leaves it to the caller, who must end it. */
export function startScript(source: string, options: ChildOptions = {}): ChildProcess {
  return spawn(process.execPath, [...(options.flags ?? []), compiled(source), ...(options.args ?? [])], {
    cwd: ROOT,
    env: { ...process.env, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

/** Runs the script to its end and answers with the JSON of its last line. */
export async function runScript<T>(source: string, options: ChildOptions = {}): Promise<T> {
  const child = startScript(source, options);
  child.stdin?.end();
  let out = '';
  let err = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const timeoutMs = options.timeoutMs ?? 15_000;
  let isLate = false;
  const alarm = setTimeout(() => {
    isLate = true;
    child.kill('SIGKILL');
  }, timeoutMs);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  }).finally(() => clearTimeout(alarm));

  if (isLate) throw new Error(`${source} did not end within ${timeoutMs} ms\n${err}`);
  if (code !== 0) throw new Error(`${source} ended with ${code}\n${err}`);
  const last = out.trimEnd().split('\n').at(-1) ?? '';
  try {
    return JSON.parse(last) as T;
  } catch {
    throw new Error(`the last line of ${source} is not JSON: ${last}\n${err}`);
  }
}
