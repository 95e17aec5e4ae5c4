/** The main job: `chimney demo` as its users run it, in a process of its own. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { DemoResult } from '../../apps/cli/demo/result.ts';
import { compiled } from '../support/child.ts';
import { describeIf, requires } from '../support/requires.ts';

const folder = mkdtempSync(join(tmpdir(), 'chimney-demo-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Run {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

function chimney(...args: string[]): Run {
  const program = compiled('apps/cli/main.ts');
  const done = spawnSync(process.execPath, [program, ...args], { encoding: 'utf8', timeout: 110_000 });
  return { status: done.status, out: done.stdout, err: done.stderr };
}

/** Runs the demonstration and answers with its JSON, which stands alone on standard output. */
function demo(...args: string[]): DemoResult {
  const { status, out, err } = chimney('demo', '--json', ...args);
  expect(`${err}${status}`, out).toBe('0');
  expect(out.endsWith('}\n')).toBe(true);
  return JSON.parse(out) as DemoResult;
}

function expectClean(result: DemoResult): void {
  expect(result).toMatchObject({
    ok: true,
    hashesEqual: true,
    bytesLost: 0,
    bytesRepeated: 0,
    resets: 0,
    findings: [],
    held: { buffers: 0, stateObjects: 0, connections: 0 },
  });
  const { moves, operations, freezeUs } = result;
  for (const kind of ['manual', 'retrieve', 'uploadAll', 'viaIntermediate'] as const) {
    expect(moves[kind], kind).toBeGreaterThan(0);
  }
  expect(moves.total).toBeGreaterThanOrEqual(moves.manual + moves.retrieve + moves.uploadAll);
  expect(moves.viaIntermediate).toBeLessThan(moves.total);
  for (const name of ['initiate', 'terminate', 'query', 'update', 'invalidate', 'send'] as const) {
    expect(operations[name], name).toBeGreaterThan(0);
  }
  expect(freezeUs.p50).toBeGreaterThan(0);
  expect(freezeUs.p99).toBeGreaterThanOrEqual(freezeUs.p50);
  expect(freezeUs.max).toBeGreaterThanOrEqual(freezeUs.p99);
}

describe('chimney demo --json', () => {
  test.each([
    [11, []],
    [12, ['--ipv6', '--loss', '0.03']],
  ] as const)(
    'is clean with seed %i %j, every field of it',
    (seed, more) => {
      const pcapng = join(folder, `seed-${seed}.pcapng`);
      const result = demo('--seed', `${seed}`, '--connections', '8', '--capture', pcapng, ...more);
      expectClean(result);
      // Eight downloads of four bodies each, two uploads of one.
      expect(result).toMatchObject({ seed, connections: 8, streams: 34, pcapng });
      for (const name of ['query', 'update', 'receiveReturn', 'disconnect'] as const) {
        expect(result.operations[name], name).toBeGreaterThan(0);
      }
      // Ten connections, six moves each at least.
      expect(result.moves.total).toBeGreaterThanOrEqual(60);
      expect(result.bytes).toBeGreaterThan(9 << 20);
      expect(result.elapsedMs).toBeGreaterThan(0);
      expect(Object.keys(result)).toEqual([
        'ok',
        'seed',
        'connections',
        'streams',
        'bytes',
        'hashesEqual',
        'bytesLost',
        'bytesRepeated',
        'resets',
        'moves',
        'operations',
        'freezeUs',
        'findings',
        'held',
        'pcapng',
        'elapsedMs',
      ]);
      expect(readFileSync(pcapng).subarray(0, 4)).toEqual(Buffer.from([0x0a, 0x0d, 0x0d, 0x0a]));
    },
    60_000,
  );

  test('a single connection on a perfect link moves as often as it must', () => {
    const capture = join(folder, 'single.pcapng');
    expectClean(demo('--connections', '1', '--loss', '0', '--rtt', '0', '--capture', capture));
  }, 60_000);
});

describe('chimney demo', () => {
  test('prints a table of 80 columns and says how to open the capture and how to repeat the run', () => {
    const capture = join(folder, 'table.pcapng');
    const { status, out } = chimney('demo', '--seed', '5', '--connections', '4', '--size', '0.5', '--capture', capture);
    expect(status).toBe(0);
    const long = out.split('\n').filter((line) => line.length > 80 && !line.includes(capture));
    expect(long).toEqual([]);
    for (const text of ['of these through an intermediate driver', 'same SHA-256 at both ends', '\nOK: ']) {
      expect(out).toContain(text);
    }
    expect(out).toContain(`wireshark ${capture}`);
    expect(out).toContain(`chimney demo --seed 5 --connections 4`);
    expect(out).not.toContain('\x1b');
  }, 60_000);

  test.each([
    [['demo', '--loss', 'abc'], "--loss: expected a probability from 0 to 0.5, got 'abc'"],
    [['demo', '--connections', '0'], "--connections: expected a whole number from 1 to 1000, got '0'"],
    [['demo', '--seed', '1.5'], "--seed: expected a whole number from 0 to 4294967295, got '1.5'"],
    [['demo', '--rtt', ''], '--rtt: expected milliseconds from 0 to 2000, got nothing'],
    [['demo', '--tun', '--loss', '0.1'], '--loss: cannot be used together with --tun'],
    [['demo', '--connection', '3'], 'Did you mean --connections?'],
    [['demo', '--capture', '/no/such/folder/x.pcapng'], "--capture: expected a file that can be written, got '/no"],
    [['dmo'], 'Did you mean demo?'],
  ] as const)('a wrong command line is told: %j', (args, message) => {
    const { status, out, err } = chimney(...args);
    expect(err).toContain(message);
    expect(err).toContain('--help');
    expect([status, out]).toEqual([2, '']);
  });

  test('--version and --help', () => {
    expect(chimney('--version')).toMatchObject({ status: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
    expect(chimney('demo', '--help')).toMatchObject({ status: 0, out: expect.stringContaining('--connections') });
  });
});

describeIf([requires.tun, requires.program('curl'), requires.program('tshark')], 'chimney demo --tun', () => {
  test('curl over real TUN devices has every byte, and the capture shows no reset', () => {
    const result = demo('--tun', '--size', '16', '--seed', '5');
    expectClean(result);
    const all = ['-r', result.pcapng, '-Y', 'tcp.flags.reset==1'];
    const found = execFileSync('tshark', all, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 64 << 20,
    });
    expect(found).toBe('');
  }, 160_000);
});
