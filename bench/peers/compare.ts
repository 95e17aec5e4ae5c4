/**
 * The comparison: for each kind of work each server in turn (A B C A B C), each a fresh process, the kernel's end the same program for all.
 *
 * A peer that is missing, does not start or does not finish is named with the reason and does not stop the others.
 */
import { spawnSync } from 'node:child_process';
import type { Figure } from '../measure.ts';
import { kernelMissing, kernelProgram } from './kernel/subjects.ts';
import { prioritized } from './shell.ts';
import type { Mode, Running, Subject } from './subject.ts';

/** More than these in one run are worth a word. */
const RETRANSMISSIONS_NOTED = 500;

/** What a comparison is made of. */
export interface Plan {
  readonly subjects: readonly Subject[];
  readonly modes: readonly Mode[];
  readonly connections: readonly number[];
  readonly rounds: number;
  readonly warmMs: number;
  readonly runMs: number;
  readonly congestion: string;
}

/** Latency of one run: [quantile, microseconds]. */
export type Curve = readonly (readonly [number, number])[];

/** What came of it. */
export interface Comparison {
  /** In the order of measuring; the same name once a round. */
  readonly figures: Figure[];
  readonly curves: Map<string, Curve[]>;
  /** 'passt in: did not finish: ...', each once. */
  readonly notes: Set<string>;
}

/** What kernel.c prints. */
interface Load {
  readonly seconds: number;
  readonly bytes: number;
  readonly answers: number;
  readonly connections: number;
  readonly lost: number;
  readonly retransmitted: number;
  readonly cpu: number;
  readonly hostCpu: number;
  readonly quantiles?: Curve;
}

export async function compare(plan: Plan): Promise<Comparison> {
  const comparison: Comparison = { figures: [], curves: new Map(), notes: new Set() };
  const without = kernelMissing();
  if (without !== null) {
    comparison.notes.add(without);
    return comparison;
  }
  const present = plan.subjects.filter((subject) => {
    const why = subject.missing();
    if (why !== null) comparison.notes.add(`${subject.name}: left out: ${why}`);
    return why === null;
  });
  for (let round = 0; round < plan.rounds; round++) {
    // Those that are compared are measured next to each other: what the machine does otherwise, it does for minutes.
    for (const mode of plan.modes) {
      for (const connections of plan.connections) {
        for (const subject of present) await measure(subject, mode, connections, plan, comparison);
      }
    }
  }
  return comparison;
}

async function measure(subject: Subject, mode: Mode, connections: number, plan: Plan, into: Comparison): Promise<void> {
  if (!subject.modes.includes(mode)) return;
  // A fresh process for each: what one load leaves behind must not weigh on the next.
  let running: Running;
  try {
    running = await subject.start(plan.congestion);
  } catch (error) {
    into.notes.add(`${subject.name}: ${(error as Error).message}`);
    return;
  }
  try {
    keep(subject, mode, connections, load(running, mode, connections, plan), plan, into);
  } catch (error) {
    const said = running.said().replace('ready\n', '').trim();
    into.notes.add(`${subject.name} ${mode}: did not finish: ${(error as Error).message} ${said}`.trim());
  } finally {
    await running.stop();
  }
}

function load(running: Running, mode: Mode, connections: number, plan: Plan): Load {
  const { warmMs, runMs, congestion } = plan;
  const numbers = [connections, warmMs, runMs].map(String);
  const args = ['load', mode, running.address, ...numbers, congestion, String(running.pid)];
  const [own, ...parts] = [...(running.prefix ?? []), kernelProgram(), ...args];
  const [command, ...rest] = prioritized(own!, parts);
  const done = spawnSync(command, rest, { encoding: 'utf8', timeout: warmMs + runMs + 30_000 });
  if (done.status !== 0) throw new Error(done.error?.message ?? done.stderr.trim());
  return JSON.parse(done.stdout) as Load;
}

function keep(subject: Subject, mode: Mode, connections: number, load: Load, plan: Plan, into: Comparison): void {
  const suffix = plan.connections.length > 1 ? ` x${connections}` : '';
  const name = `${subject.name} ${mode}${suffix}`;
  if (load.lost > 0) into.notes.add(`${name}: ${load.lost} of ${load.connections} connections were lost`);
  if (load.retransmitted > RETRANSMISSIONS_NOTED) {
    into.notes.add(`${name}: ${load.retransmitted.toLocaleString('en-US')} segments retransmitted by the kernel's end`);
  }
  const put = (what: string, value: number, unit: string): void => {
    into.figures.push({ name: what, value, unit });
  };
  if (mode === 'echo') {
    const quantiles = load.quantiles ?? [];
    const at = (wanted: number): number => quantiles.find(([q]) => q === wanted)?.[1] ?? Number.NaN;
    put(`${name} p50`, at(0.5), 'us');
    put(`${name} p99`, at(0.99), 'us');
    into.curves.set(name, [...(into.curves.get(name) ?? []), quantiles]);
    return;
  }
  put(name, (load.bytes * 8) / load.seconds / 1e9, 'Gbit/s');
  if (load.bytes === 0) return;
  put(`${name}: CPU`, load.cpu / (load.bytes / 1e9), 's/GB');
  if (subject.kind !== 'ours' && subject.kind !== 'node') return;
  put(`${name}: host thread`, load.hostCpu / (load.bytes / 1e9), 's/GB');
  put(`${name}: host thread busy`, (100 * load.hostCpu) / load.seconds, '%');
}
