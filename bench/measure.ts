/**
 * What the benches share: a clock, medians, a line about the machine, and running a case in a process of its own.
 *
 * Each variant runs alone in its process (sharing one process made winners look three times slower) and prints one JSON line.
 */
import { spawnSync } from 'node:child_process';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

/** One figure of one run: name, value, unit. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

/** Prints the figures of a case for {@link runCase} to read. */
export function report(figures: readonly Figure[]): void {
  process.stdout.write(`${JSON.stringify({ figures })}\n`);
}

/** Longest time a case may take: the soak has as many minutes as it is told. */
const CASE_MS_MAX = 24 * 3_600_000;

/** Runs a compiled case (`cases/goodput.js`) with arguments and Node flags; answers its figures. */
export function runCase(file: string, args: readonly string[], flags: readonly string[] = []): Figure[] {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const run = spawnSync(process.execPath, [...flags, path, ...args], { encoding: 'utf8', timeout: CASE_MS_MAX });
  const line = run.stdout
    .split('\n')
    .filter((text) => text.startsWith('{"figures"'))
    .at(-1);
  if (run.status !== 0 || line === undefined) throw new Error(`${file} ${args.join(' ')}: ${run.stderr || run.stdout}`);
  return (JSON.parse(line) as { figures: Figure[] }).figures;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

/** 'Node 20.20.2, linux 6.18, 2 x Some CPU, 24 GiB, load 0.8'. */
export function machineLine(): string {
  const cpu = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  const load = loadavg()[0]!.toFixed(1);
  return `Node ${process.versions.node}, ${process.platform} ${release()}, ${cpu.length} x ${cpu[0]?.model.trim() ?? '?'}, ${memory} GiB, load ${load}`;
}
