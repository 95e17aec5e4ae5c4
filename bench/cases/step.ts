/**
 * The TCP engine's step: nanoseconds and bytes allocated per segment, as test/alloc measures them. Run with --expose-gc and
 * semi-spaces of 64 MiB.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Figure, report } from '../measure.ts';

const script = fileURLToPath(new URL('../../test/alloc/tcp-engine.js', import.meta.url));
const run = spawnSync(process.execPath, [...process.execArgv, script], { encoding: 'utf8' });
if (run.status !== 0) throw new Error(run.stderr);
const answer = JSON.parse(run.stdout.trim().split('\n').at(-1)!) as Record<string, unknown>;
const figures: Figure[] = [];
for (const [name, value] of Object.entries(answer)) {
  if (typeof value !== 'object' || value === null || !('nsPerSegment' in value) || name === 'control') continue;
  const { nsPerSegment, bytesPerSegment } = value as { nsPerSegment: number; bytesPerSegment: number };
  figures.push({ name: `${name}, time`, value: nsPerSegment, unit: 'ns/segment' });
  figures.push({ name: `${name}, allocated`, value: bytesPerSegment, unit: 'B/segment' });
}
report(figures);
