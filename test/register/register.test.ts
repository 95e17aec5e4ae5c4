/** Unmodified programs under `--import chimney/register`, and what it makes of its environment. */

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { registeredOptions, registration } from '../../src/register-options.ts';
import { endList } from '../../src/register-rules.ts';
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
  onLine: (line: string) => void = () => {},
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
      onLine(String(data));
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

  test('meets the same at the edges, and ends when it would on the kernel', async () => {
    const [plain, registered] = await Promise.all([run('details.cjs', false), run('details.cjs', true)]);
    expect(registered).toEqual(plain);
    expect(plain).toMatchObject({ itsServer: true, dropped: true, again: true, pipe: 'by pipe', onread: [4, true] });
  });

  test('meets the same at the edges of TLS', async () => {
    const [plain, registered] = await Promise.all([run('secure.cjs', false), run('secure.cjs', true)]);
    expect(registered).toEqual(plain);
    expect(plain).toMatchObject({ given: 'by another way', onread: [4, true] });
  });

  test('meets the same of HTTP/2', async () => {
    const [plain, registered] = await Promise.all([run('http2.cjs', false), run('http2.cjs', true)]);
    expect(registered).toEqual(plain);
    expect(plain).toMatchObject({ client: [true, 'connect', false, true, '127.0.0.1', 'IPv4', 100_000] });
  });

  test('runs on the stack that a module configures', async () => {
    const config = join(folder, 'config.mjs');
    writeFileSync(config, 'export default async () => ({ links: [], tcp: {} });\n');
    expect((await run('app.cjs', true, { CHIMNEY_CONFIG: config }))['where']).toBe('a stack');
  });
});

describe('what bypasses the stack', () => {
  test('a program has connections on both, whichever way it makes them, and serves both', async () => {
    const outside = createServer((socket) => socket.on('data', (data) => socket.end(`outside heard ${data}`)));
    await new Promise<void>((resolve) => outside.listen(0, '127.0.0.1', resolve));
    const { port } = outside.address() as AddressInfo;
    const answers: Promise<string>[] = [];
    const said = await run(
      'bypass.mjs',
      true,
      {
        TEST_OUTSIDE: String(port),
        CHIMNEY_BYPASS: `127.0.0.1:${port}, 127.0.0.2/32`,
        CHIMNEY_BYPASS_LISTEN: '127.0.0.2',
        CHIMNEY_HOSTS: 'inner.test=127.0.0.1',
      },
      (line) => {
        const { openPort } = JSON.parse(line.trim().split('\n')[0]!) as { openPort?: number };
        if (openPort !== undefined) {
          answers.push(fetch(`http://127.0.0.2:${openPort}/asked`).then((response) => response.text()));
        }
      },
    );
    outside.close();
    expect(said).toEqual({
      inside: ['inside', 'a stack'],
      insideLater: ['inside', 'a stack', true],
      connect: ['outside heard a', 'the kernel', true],
      later: ['outside heard b', 'the kernel', true, 'mine', ['connect', 'end']],
      served: 'served /self',
      secure: 'secure /s',
      sockets: ['the kernel'],
    });
    expect(await Promise.all(answers)).toEqual(['served /asked']);
  });

  test.each([
    ['db.internal', ['db.internal:5432', 'DB.Internal:1'], ['x.db.internal:5432', 'internal:1']],
    ['*.internal:5432', ['db.internal:5432', 'a.b.internal:5432'], ['db.internal:5433', 'internal:5432']],
    ['.internal', ['internal:1', 'db.internal:2'], ['dbinternal:1']],
    ['10.0.0.0/8:80-90', ['10.1.2.3:80', '10.0.0.1:90'], ['10.1.2.3:91', '11.0.0.1:80', 'ten:80']],
    ['fd00::/16', ['fd00::1:1', 'fd00:5::1:65535'], ['fd01::1:1', '10.0.0.1:1']],
    ['[fd00::1]:443', ['fd00::1:443'], ['fd00::1:444', 'fd00::2:443']],
    [':3000', ['anything:3000', '10.0.0.1:3000', ':::3000'], ['anything:3001']],
    ['*', ['anything:0', '::1:65535'], []],
  ])('%s', (entry, inside, outside) => {
    const list = endList([entry], 'X');
    const has = (end: string): boolean => {
      const at = end.lastIndexOf(':');
      return list.has(end.slice(0, at), Number(end.slice(at + 1)));
    };
    expect(inside.filter((end) => !has(end))).toEqual([]);
    expect(outside.filter(has)).toEqual([]);
  });

  test('lists and names may stand in the configured module, and variables add to them', async () => {
    const config = join(folder, 'lists.mjs');
    writeFileSync(
      config,
      "export default { links: [], bypass: ['a.test'], bypassListen: [':81'], hosts: { 'n.test': ['10.0.0.1', 'fd00::1'] } };\n",
    );
    const { options, bypass, bypassListen } = await registration({
      CHIMNEY_CONFIG: config,
      CHIMNEY_BYPASS: 'b.test',
      CHIMNEY_HOSTS: 'm.test=10.0.0.2',
    });
    expect(Object.keys(options).sort()).toEqual(['links', 'lookup']);
    expect([bypass.has('a.test', 1), bypass.has('b.test', 1), bypass.has('c.test', 1)]).toEqual([true, true, false]);
    expect([bypassListen.has('::', 81), bypassListen.has('::', 82)]).toEqual([true, false]);
    const found = (name: string, family: number): Promise<unknown> =>
      new Promise((resolve) => {
        options.lookup!(name, { family, all: true }, (error, all) =>
          resolve((error as NodeJS.ErrnoException | null)?.code ?? all),
        );
      });
    expect(await found('N.test', 0)).toEqual([
      { address: '10.0.0.1', family: 4 },
      { address: 'fd00::1', family: 6 },
    ]);
    expect(await found('n.test', 6)).toEqual([{ address: 'fd00::1', family: 6 }]);
    expect(await found('m.test', 4)).toEqual([{ address: '10.0.0.2', family: 4 }]);
    expect(await found('m.test', 6)).toBe('ENOTFOUND');
  });

  test.each([
    [
      { CHIMNEY_BYPASS: '10.0.0.300' },
      /CHIMNEY_BYPASS has '10\.0\.0\.300': '10\.0\.0\.300' is neither an address nor a name; expected/,
    ],
    [{ CHIMNEY_BYPASS: 'a.test,,b.test' }, /CHIMNEY_BYPASS has an empty entry/],
    [{ CHIMNEY_BYPASS: 'http://a.test/' }, /that is a URL/],
    [{ CHIMNEY_BYPASS: 'a.test:http' }, /'http' is no port/],
    [{ CHIMNEY_BYPASS: 'a.test:70000' }, /ports end at 65535/],
    [{ CHIMNEY_BYPASS_LISTEN: ':90-80' }, /CHIMNEY_BYPASS_LISTEN has ':90-80': the range 90-80 is empty/],
    [{ CHIMNEY_BYPASS: '10.0.0.0/33' }, /neither an address nor a name/],
    [{ CHIMNEY_HOSTS: 'a.test:10.0.0.1' }, /CHIMNEY_HOSTS has 'a\.test:10\.0\.0\.1': there is no '='/],
    [{ CHIMNEY_HOSTS: 'a.test=b.test' }, /'b\.test' is no address; expected a name and its address/],
    [{ CHIMNEY_HOSTS: 'a test=10.0.0.1' }, /'a test' is no name/],
    [{ CHIMNEY_BYPAS: '*' }, /CHIMNEY_BYPAS is no variable of chimney\/register: did you mean CHIMNEY_BYPASS\?/],
    [{ CHIMNEY_HOST: 'a=10.0.0.1' }, /did you mean CHIMNEY_HOSTS\?/],
  ])('%j is told what was expected', async (environment, message) => {
    await expect(registration(environment)).rejects.toThrow(message);
  });

  test('a list in a module that is none', async () => {
    const config = join(folder, 'wrong.mjs');
    writeFileSync(config, "export default { links: [], bypass: 'a.test' };\n");
    await expect(registration({ CHIMNEY_CONFIG: config })).rejects.toThrow('bypass: expected an array of strings');
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
