/** An example of the repository as its reader runs it: compiled, in a process of its own, ended by a signal. */
import type { ChildProcess } from 'node:child_process';
import { startScript } from '../../support/child.ts';
import { until } from './kernel-world.ts';

export interface Example {
  readonly child: ChildProcess;
  /** What it has printed on standard output so far. */
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Asks it to end as Ctrl-C does; answers its exit status. */
  end(): Promise<number | null>;
  /** Waits for its own end; answers its exit status. */
  ended(timeoutMs?: number): Promise<number | null>;
}

/** Starts `examples/NAME.ts`. */
export function startExample(name: string, args: readonly string[] = []): Example {
  const child = startScript(`examples/${name}.ts`, { args });
  let stdout = '';
  let stderr = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
  const ended = async (timeoutMs = 20_000): Promise<number | null> => {
    const alarm = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    const code = await closed;
    clearTimeout(alarm);
    return code;
  };
  const end = (): Promise<number | null> => {
    child.kill('SIGINT');
    return ended(5000);
  };
  return { child, stdout: () => stdout, stderr: () => stderr, end, ended };
}

/** Starts an example that serves, and waits until it says where. */
export async function startServer(name: string, args: readonly string[] = []): Promise<Example> {
  const example = startExample(name, args);
  try {
    await until(() => example.stdout().includes('Ctrl-C ends'), `examples/${name} serves`);
  } catch (error) {
    await example.end();
    throw new Error(`${String(error)}\n${example.stdout()}\n${example.stderr()}`);
  }
  return example;
}

/** Subnet of a test's device, apart from the usual one. */
export const SUBNET: string = String(2 + (process.pid % 250));
