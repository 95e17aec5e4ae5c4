/** Runs a program of this folder under `chimney/register`; the last line it prints, as JSON. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { compiled } from '../support/child.ts';

export function runRegistered(
  program: string,
  env: Readonly<Record<string, string>>,
): Promise<Record<string, unknown>> {
  const path = fileURLToPath(new URL(program, import.meta.url));
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', compiled('src/register.ts'), path], {
      env: { ...process.env, ...env },
      timeout: 60_000,
    });
    let out = '';
    let errors = '';
    child.stdout.on('data', (data) => {
      out += data;
    });
    child.stderr.on('data', (data) => {
      errors += data;
    });
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(out.trim().split('\n').at(-1)!) as Record<string, unknown>);
      else reject(new Error(`${program} ended with ${code}: ${errors || out}`));
    });
  });
}
