/**
 * Programs and namespaces for the comparison: started, waited for, stopped; by their process id, never by name.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { delimiter, join } from 'node:path';
import { READY } from './services.ts';

const START_MS = 15_000;
const STOP_MS = 3_000;

/** How much sooner than others the measured programs run, as `nice` has it: other work on the machine disturbs them less. */
const NICENESS = -15;

/** The command that runs a program at that priority, where that is allowed. */
export function prioritized(command: string, args: readonly string[]): [string, ...string[]] {
  if (process.getuid?.() !== 0 || which('nice') === null) return [command, ...args];
  return ['nice', '-n', String(NICENESS), command, ...args];
}

/** The same for the kernel's own thread of a device (NAPI), which a busy machine would otherwise let wait. */
export function prioritizeKernelThread(device: string): void {
  if (process.getuid?.() !== 0) return;
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      // The kernel cuts names of threads at 15 characters.
      const isIt = readFileSync(`/proc/${entry}/comm`, 'utf8').startsWith(`napi/${device}-`.slice(0, 15));
      if (isIt) setPriority(Number(entry), NICENESS);
    } catch {
      // Over already.
    }
  }
}

/** Where a program is; null: it is not installed. */
export function which(program: string): string | null {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  for (const folder of [...folders, '/usr/sbin', '/sbin']) {
    const path = join(folder, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return null;
}

/** Runs a command to its end; throws with what it said when it fails. */
export function run(command: string, ...args: string[]): string {
  const done = spawnSync(command, args, { encoding: 'utf8', timeout: 300_000 });
  if (done.status === 0) return done.stdout;
  throw new Error(`${command} ${args.join(' ')}: ${done.error?.message ?? (done.stderr.trim() || done.stdout.trim())}`);
}

/** Runs a command that may fail, as cleaning up may. */
export function attempt(command: string, ...args: string[]): void {
  spawnSync(command, args, { stdio: 'ignore', timeout: 30_000 });
}

/** A program in the background. */
export class Program {
  readonly #child: ChildProcess;
  readonly #name: string;
  #said = '';
  #hasEnded = false;

  constructor(command: string, args: readonly string[]) {
    this.#name = [command, ...args].join(' ');
    const [program, ...rest] = prioritized(command, args);
    this.#child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
    const hear = (text: Buffer): void => {
      this.#said = (this.#said + text.toString('utf8')).slice(-8192);
    };
    this.#child.stdout?.on('data', hear);
    this.#child.stderr?.on('data', hear);
    this.#child.on('error', hear as unknown as () => void);
    this.#child.on('exit', () => {
      this.#hasEnded = true;
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** What it printed last. */
  get said(): string {
    return this.#said;
  }

  /** Resolves when it has printed what says that it serves, or when `isReady` says so. */
  async ready(isReady: () => boolean = () => this.#said.split('\n').includes(READY)): Promise<this> {
    const end = Date.now() + START_MS;
    while (!isReady()) {
      if (this.#hasEnded || Date.now() > end) {
        await this.stop();
        throw new Error(`${this.#name}: did not start: ${this.#said.trim()}`);
      }
      await pause(20);
    }
    return this;
  }

  /** Asks it to end, and insists. */
  async stop(): Promise<void> {
    if (this.#hasEnded) return;
    this.#child.kill('SIGTERM');
    const end = Date.now() + STOP_MS;
    while (!this.#hasEnded && Date.now() < end) await pause(20);
    if (!this.#hasEnded) this.#child.kill('SIGKILL');
  }
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
