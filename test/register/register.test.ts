/** Unmodified programs under `--import chimney/register`, and what it makes of its environment. */

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { registeredOptions } from '../../src/register-options.ts';
import { CERTIFICATE, KEY } from '../socket/certificate.ts';
import { compiled } from '../support/child.ts';

const folder = mkdtempSync(join(tmpdir(), 'register-'));
writeFileSync(join(folder, 'key'), KEY);
writeFileSync(join(folder, 'cert'), CERTIFICATE);
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs a program of this folder; the last line it prints, as JSON. It must end by itself. */
function run(
  program: string,
  isRegistered: boolean,
  env: Record<string, string> = {},
): Promise<Record<string, unknown>> {
  const path = fileURLToPath(new URL(program, import.meta.url));
  const flags = isRegistered ? ['--import', compiled('src/register.ts')] : [];
  const keys = { TEST_KEY: join(folder, 'key'), TEST_CERT: join(folder, 'cert') };
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...flags, path], {
      env: { ...process.env, ...keys, ...env, NODE_TLS_REJECT_UNAUTHORIZED: '1' },
      timeout: 15_000,
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

describe('an unmodified program', () => {
  test.each(['app.mjs', 'app.cjs'])('%s does on a stack what it does on the kernel', async (app) => {
    const [plain, registered] = await Promise.all([run(app, false), run(app, true)]);
    expect(plain['where']).toBe('the kernel');
    expect(registered['where']).toBe('a stack');
    expect({ ...registered, where: 0 }).toEqual({ ...plain, where: 0 });
  });

  test('runs on the stack that a module configures', async () => {
    const config = join(folder, 'config.mjs');
    writeFileSync(config, 'export default async () => ({ links: [], tcp: {} });\n');
    expect((await run('app.cjs', true, { CHIMNEY_CONFIG: config }))['where']).toBe('a stack');
  });
});

describe('a wrong environment is told what was expected', () => {
  test('an unknown link', async () => {
    await expect(registeredOptions({ CHIMNEY_LINK: 'wire' })).rejects.toThrow(/'loopback' or 'tun'/);
  });

  test.each(['10.0.0.1', '10.0.0.1/33', 'x/24', '10.0.0.1/x', 'fd00::1/129'])('address %s', async (text) => {
    const wrong = { CHIMNEY_LINK: 'tun', CHIMNEY_ADDRESSES: text };
    await expect(registeredOptions(wrong)).rejects.toThrow(/CHIMNEY_ADDRESSES has/);
  });

  test('a module that exports no options', async () => {
    const config = join(folder, 'nothing.mjs');
    writeFileSync(config, 'export default 5;\n');
    await expect(registeredOptions({ CHIMNEY_CONFIG: config })).rejects.toThrow(/must export options/);
  });

  test('by default a program talks to itself', async () => {
    expect(await registeredOptions({})).toEqual({ links: [] });
  });
});
