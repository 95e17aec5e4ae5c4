/**
 * What the verifier costs the engine target: nanoseconds per segment through two targets, with an NDIS that knows nothing of
 * observers (`bare`), with none seated (`absent`) and with one on each binding (`seated`). Run with --expose-gc and
 * semi-spaces of 64 MiB.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Figure, report } from '../measure.ts';

const how = process.argv[2] ?? 'absent';
const script = fileURLToPath(new URL('../../test/alloc/target.js', import.meta.url));
const run = spawnSync(process.execPath, [...process.execArgv, script, how], { encoding: 'utf8' });
if (run.status !== 0) throw new Error(run.stderr);
const answer = JSON.parse(run.stdout.trim().split('\n').at(-1)!) as Record<string, { nsPerSegment: number }>;
const figures: Figure[] = ['indicated', 'posted'].map((name) => ({
  name: `${how} ${name}`,
  value: answer[name]!.nsPerSegment,
  unit: 'ns/segment',
}));
report(figures);
