/** Programs of this machine as peers: run to their end, with what they said, and never left behind. */
import { type ChildProcess, spawn } from 'node:child_process';

export interface Outcome {
  /** Exit status; null: ended by a signal. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Given to the program's standard input. */
  readonly input?: string | Uint8Array;
  /** After so many milliseconds it is killed and the promise rejects. Default 60 s. */
  readonly timeoutMs?: number;
  /** Whether another status than 0 rejects. Default true. */
  readonly mustSucceed?: boolean;
}

/** Runs a program without blocking the event loop: the stack under test lives on it. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
  const timeoutMs = options.timeoutMs ?? 60_000;
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdin.on('error', () => {}); // A program that ends early does not read its input.
  child.stdin.end(options.input ?? '');
  return new Promise((resolve, reject) => {
    const words = `${program} ${args.join(' ')}`;
    let isLate = false;
    const alarm = setTimeout(() => {
      isLate = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(alarm);
      if (isLate) reject(new Error(`${words}: not done after ${timeoutMs} ms\n${stdout.slice(-2000)}\n${stderr}`));
      else if (code !== 0 && options.mustSucceed !== false) {
        reject(new Error(`${words}: status ${code}\n${stdout.slice(-2000)}\n${stderr.slice(-2000)}`));
      } else resolve({ code, stdout, stderr });
    });
  });
}

/** Runs a line of shell: pipes between programs, so that no byte of theirs goes through this process. */
export function shell(line: string, options: RunOptions = {}): Promise<Outcome> {
  return run('bash', ['-o', 'pipefail', '-c', line], options);
}

/** Ends a program that was started to stay, and waits for its end. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGTERM');
  const alarm = setTimeout(() => child.kill('SIGKILL'), 2000);
  await ended;
  clearTimeout(alarm);
}
