/** Every example runs as it stands in its header, and does what it says. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { describeIf, requires } from '../support/requires.ts';
import { type Example, SUBNET, startExample, startServer } from './support/example.ts';
import { shell } from './support/programs.ts';

const WITHOUT_DEVICE = ['hello-http', 'move-a-connection', 'custom-link'];
/** Modules for `chimney verify`; also tested in test/target/offload-target. */
const MODULES = ['my-target', 'my-driver'];
const ON_A_DEVICE = ['tun-http', 'small-servers', 'iperf3-server'];

describe('the examples', () => {
  test('are all run by a test', () => {
    const folder = fileURLToPath(new URL('../../examples', import.meta.url));
    const programs = readdirSync(folder).filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'));
    expect(programs.sort()).toEqual([...WITHOUT_DEVICE, ...MODULES, ...ON_A_DEVICE].map((name) => `${name}.ts`).sort());
  });

  test('hello-http answers over IPv4 and IPv6', async () => {
    const example = startExample('hello-http');
    expect([await example.ended(), example.stderr()]).toEqual([0, '']);
    expect(example.stdout()).toBe('hello ::ffff:10.0.0.2, you asked for /world\nhello fd00::2, you asked for /world\n');
  });

  test('custom-link carries two conversations', async () => {
    const example = startExample('custom-link');
    expect([await example.ended(), example.stderr()]).toEqual([0, '']);
    expect(example.stdout()).toBe('10.0.0.1: over a link of my own\nfd00::1: over a link of my own\n');
  });

  test('move-a-connection moves it and loses nothing', async () => {
    const example = startExample('move-a-connection');
    expect([await example.ended(), example.stderr()]).toEqual([0, '']);
    expect(example.stdout()).toMatch(/^initiate: frozen for \d+ us$/m);
    expect(example.stdout()).toMatch(/^\d+ moves, 67108864 bytes, hashes equal\n0 rules of the contract broken\n$/m);
  });

  test.each(MODULES)('%s is examined by chimney verify, which finds nothing', (name) => {
    const file = (path: string): string => fileURLToPath(new URL(`../../dist/${path}`, import.meta.url));
    const given = [file('apps/cli/main.js'), 'verify', file(`examples/${name}.js`), '--interleavings', '300'];
    const { status, stdout } = spawnSync(process.execPath, given, { encoding: 'utf8' });
    expect(stdout).toContain('nothing found');
    expect(status).toBe(0);
  });

  test.each(ON_A_DEVICE)('%s says what was expected of a wrong option', async (name) => {
    const example = startExample(name, ['--subnet', 'x']);
    expect(await example.ended()).toBe(2);
    expect(example.stderr()).toContain("--subnet: expected an integer from 1 to 254, got 'x'");
  });
});

describeIf([requires.tun, requires.program('curl'), requires.program('nc')], 'the examples on a device', () => {
  const four = `10.99.${SUBNET}.2`;
  const six = `fd99:${Number(SUBNET).toString(16)}::2`;
  let example: Example | undefined;

  afterEach(async () => {
    expect(await example?.end()).toBe(0);
    expect(example?.stderr()).toBe('');
    // The device goes with its program.
    expect((await shell('ip -br address')).stdout).not.toContain(`10.99.${SUBNET}.1`);
    example = undefined;
  });

  test('tun-http serves curl while its connections move', async () => {
    example = await startServer('tun-http', ['--subnet', SUBNET, '--move', '20']);
    expect((await shell(`curl -sS http://${four}/`)).stdout).toBe(`hello ::ffff:10.99.${SUBNET}.1\n`);
    expect((await shell(`curl -sSg 'http://[${six}]/bytes/40000000' | wc -c`)).stdout.trim()).toBe('40000000');
    const moves = JSON.parse((await shell(`curl -sS http://${four}/moves`)).stdout);
    expect(moves.initiate).toBeGreaterThan(0);
    expect(moves.terminate).toBeGreaterThan(0);
    expect((await shell(`curl -sS -o /dev/null -w '%{http_code}' http://${four}/bytes/-1`)).stdout).toBe('400');
  });

  test('small-servers answer over TCP and UDP, IPv4 and IPv6', async () => {
    example = await startServer('small-servers', ['--subnet', SUBNET, '--move', '5']);
    for (const address of [four, six]) {
      expect((await shell(`echo hello | nc -N ${address} 7`)).stdout).toBe('hello\n');
      expect((await shell(`nc -N ${address} 13 < /dev/null`)).stdout).toMatch(/ GMT\r\n$/);
      expect((await shell(`head -c 3000000 /dev/zero | nc -N ${address} 9`)).stdout).toBe('');
      const generated = await shell(`nc ${address} 19 < /dev/null | head -n 2000`, { mustSucceed: false });
      const lines = generated.stdout.split('\r\n');
      expect([lines.length, lines[0]?.length, lines[1], lines[95]]).toEqual([
        2001,
        72,
        `${lines[0]!.slice(1)}h`,
        lines[0],
      ]);
      expect((await shell(`echo hello | nc -u -w 1 ${address} 7`)).stdout).toBe('hello\n');
      expect((await shell(`echo hello | nc -u -w 1 ${address} 13`)).stdout).toMatch(/ GMT\r\n$/);
    }
  });
});
