/**
 * `npm run bench`: every comparison in one run, variants in turn (A B C A B C), medians and spreads, a machine line; JSON with
 * `--json FILE`. `npm run bench -- goodput` runs one group. Figures inform; only allocations are a test (test/alloc).
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Figure, machineLine, median, runCase } from './measure.ts';

/** Flags under which no scavenge hides garbage. */
const ALLOCATION_FLAGS = ['--expose-gc', '--min-semi-space-size=64', '--max-semi-space-size=64'];

interface Variant {
  readonly file: string;
  readonly args: readonly string[];
  readonly flags?: readonly string[];
}

interface Group {
  readonly name: string;
  readonly what: string;
  readonly rounds: number;
  /** Left out, and said so, where the process is not root. */
  readonly needsRoot?: boolean;
  /** Left out, and said so, where this program is not installed. */
  readonly needsProgram?: string;
  readonly variants: readonly Variant[];
}

const GROUPS: readonly Group[] = [
  {
    name: 'goodput',
    what: 'one bulk stream, both ends in one thread, 64 KiB writes; Gbit/s. Memory link against Node over loopback',
    rounds: 5,
    variants: [
      { file: './cases/goodput.js', args: ['host', '1024', '65535'] },
      { file: './cases/goodput.js', args: ['target', '1024', '65535'] },
      { file: './cases/goodput.js', args: ['node', '1024', '65535'] },
    ],
  },
  {
    name: 'goodput-1500',
    what: 'the same at MTU 1500',
    rounds: 3,
    variants: [
      { file: './cases/goodput.js', args: ['host', '256', '1500'] },
      { file: './cases/goodput.js', args: ['target', '256', '1500'] },
    ],
  },
  {
    name: 'device',
    what: 'one connection, kernel to application and back, over a TUN device; Node over loopback beside it',
    rounds: 3,
    needsRoot: true,
    variants: [
      { file: './cases/device.js', args: ['node', 'in', '2048'] },
      { file: './cases/device.js', args: ['host', 'in', '2048'] },
      { file: './cases/device.js', args: ['target', 'in', '2048'] },
      { file: './cases/device.js', args: ['host-plain', 'in', '512'] },
      { file: './cases/device.js', args: ['target-plain', 'in', '512'] },
      { file: './cases/device.js', args: ['node', 'out', '2048'] },
      { file: './cases/device.js', args: ['host', 'out', '2048'] },
      { file: './cases/device.js', args: ['target', 'out', '2048'] },
      { file: './cases/device.js', args: ['host-plain', 'out', '512'] },
      { file: './cases/device.js', args: ['target-plain', 'out', '512'] },
    ],
  },
  {
    name: 'http',
    what: "node:http, short requests of wrk, 64 connections kept alive or one a request: Node's own net over loopback, stack.net over TUN",
    rounds: 3,
    needsRoot: true,
    needsProgram: 'wrk',
    variants: ['kept', 'fresh'].flatMap((mode) =>
      ['node', 'host', 'target'].map((variant) => ({ file: './cases/http.js', args: [variant, mode, '3'] })),
    ),
  },
  {
    name: 'step',
    what: "the engine's step: time and bytes allocated per segment",
    rounds: 3,
    variants: [{ file: './cases/step.js', args: [], flags: ALLOCATION_FLAGS }],
  },
  {
    name: 'wire',
    what: 'codecs and checksum',
    rounds: 1,
    variants: [{ file: './cases/wire.js', args: [], flags: ALLOCATION_FLAGS }],
  },
  {
    name: 'freeze',
    what: 'freeze of a move in one process, data flowing both ways',
    rounds: 3,
    variants: [{ file: './cases/freeze.js', args: ['4000'] }],
  },
  {
    name: 'bulk',
    what: '100,000 idle connections, all moved through one tree each way',
    rounds: 1,
    variants: [{ file: './cases/bulk.js', args: ['100000', '5'] }],
  },
  {
    name: 'crowd',
    what: '10,000 connections at once',
    rounds: 3,
    variants: [{ file: './cases/crowd.js', args: ['10000'] }],
  },
  {
    name: 'idle',
    what: 'memory of 100,000 idle established connections, one end',
    rounds: 1,
    variants: [{ file: './cases/idle.js', args: ['100000'], flags: ['--expose-gc'] }],
  },
];

interface Result {
  readonly group: string;
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

function runGroup(group: Group): Result[] {
  const values = new Map<string, { unit: string; all: number[] }>();
  for (let round = 0; round < group.rounds; round++) {
    for (const { file, args, flags = [] } of group.variants) {
      for (const figure of runCase(file, args, flags)) keep(values, figure);
    }
  }
  return [...values].map(([name, { unit, all }]) => ({
    group: group.name,
    name,
    unit,
    median: median(all),
    min: Math.min(...all),
    max: Math.max(...all),
  }));
}

function keep(values: Map<string, { unit: string; all: number[] }>, figure: Figure): void {
  const there = values.get(figure.name);
  if (there === undefined) values.set(figure.name, { unit: figure.unit, all: [figure.value] });
  else there.all.push(figure.value);
}

function shown(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US');
  return value.toPrecision(3);
}

/** What a group needs and is not there; null: nothing. */
function lackOf(group: Group): string | null {
  if (group.needsRoot === true && process.getuid?.() !== 0) return 'root';
  const { needsProgram } = group;
  if (needsProgram === undefined) return null;
  return spawnSync('which', [needsProgram]).status === 0 ? null : needsProgram;
}

function main(args: readonly string[]): number {
  const { values, positionals: wanted } = parseArgs({
    args: [...args],
    options: { json: { type: 'string' } },
    allowPositionals: true,
  });
  const unknown = wanted.filter((name) => !GROUPS.some((group) => group.name === name));
  if (unknown.length > 0) {
    console.error(`bench: no group '${unknown[0]}': expected one of ${GROUPS.map((group) => group.name).join(', ')}`);
    return 2;
  }
  const machine = machineLine();
  console.log(machine);
  const results: Result[] = [];
  for (const group of GROUPS) {
    if (wanted.length > 0 && !wanted.includes(group.name)) continue;
    console.log(`\n${group.name}: ${group.what} (${group.rounds} rounds)`);
    const lack = lackOf(group);
    if (lack !== null) {
      console.log(`  left out: needs ${lack}`);
      continue;
    }
    for (const result of runGroup(group)) {
      results.push(result);
      const spread = result.min === result.max ? '' : `  [${shown(result.min)} … ${shown(result.max)}]`;
      console.log(`  ${result.name.padEnd(44)} ${shown(result.median).padStart(10)} ${result.unit}${spread}`);
    }
  }
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ machine, results }, null, 2)}\n`);
  return 0;
}

process.exitCode = main(process.argv.slice(2));
