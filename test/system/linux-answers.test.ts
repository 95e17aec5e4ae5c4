/**
 * The kernel's TCP and ours, segment by segment: the same scripts of raw packets are played to both, and what comes back is compared.
 *
 * Ours is played to on the host path, at each target, and while the connection moves between every two steps. The kernel is no authority: where
 * the two differ, the table of departures says which section of which RFC allows ours.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeIf, requires } from '../support/requires.ts';
import { type Comparison, compareAll, compareOne, Reference } from './support/twin/compare.ts';
import { DEPARTURES } from './support/twin/departures.ts';
import { KernelSubject } from './support/twin/kernel-subject.ts';
import { networkScripts } from './support/twin/network-scripts.ts';
import { optionScripts } from './support/twin/option-scripts.ts';
import { randomScript } from './support/twin/random-scripts.ts';
import type { Script } from './support/twin/script.ts';
import { type Place, StackSubject } from './support/twin/stack-subject.ts';
import { stateScripts } from './support/twin/state-scripts.ts';
import { streamScripts } from './support/twin/stream-scripts.ts';

const PLACES: readonly Place[] = ['host', 'engine', 'worker', 'moving', 'moving-worker'];
/**
 * The lot is always the same, for what the kernel does is not ours to hold: other kernels, and rare mixtures of two departures, would fail
 * where nothing of ours is wrong. Another number explores.
 */
const LOT = 20_261_122;
const LOTS: readonly (readonly [place: Place, numRuns: number])[] = [
  ['host', 300],
  ['engine', 150],
  ['moving', 150],
  ['moving-worker', 60],
];
/** The worker target runs the same engine: of the many scripts it gets every third. */
const WORKER_STRIDE = 3;

describeIf([requires.tun, requires.netns, requires.program('ip')], 'the same packets for the kernel and for us', () => {
  let kernel: KernelSubject;
  let reference: Reference;
  const used = new Map<string, number>();

  beforeAll(() => {
    kernel = new KernelSubject();
    reference = new Reference(kernel);
  });

  afterAll(() => kernel?.dispose());

  const compared = async (place: Place, all: readonly Script[]): Promise<Comparison> => {
    const subject = new StackSubject(place);
    const scripts = place.endsWith('worker') ? all.filter((_, i) => i % WORKER_STRIDE === 0) : all;
    const comparison = await compareAll(scripts, subject, reference);
    for (const [id, times] of comparison.departures) used.set(id, times + (used.get(id) ?? 0));
    if (place !== 'host') expect(subject.moves).toBeGreaterThan(scripts.length / 3);
    return comparison;
  };

  const STATES = stateScripts();
  test.each(PLACES)('every kind of segment in every state, %s (RFC 9293 3.10.7, RFC 5961)', async (place) => {
    expect((await compared(place, STATES)).differences).toEqual([]);
  });

  const OPTIONS = optionScripts();
  test.each(PLACES)('options, right and wrong, and how a connection opens, %s', async (place) => {
    expect((await compared(place, OPTIONS)).differences).toEqual([]);
  });

  const STREAMS = streamScripts();
  test.each(PLACES)('timestamps, disorder, reports, windows and ends, %s', async (place) => {
    expect((await compared(place, STREAMS)).differences).toEqual([]);
  });

  const NETWORK = networkScripts();
  test.each(PLACES)('IP options, extension headers, fragments and ICMP errors, %s', async (place) => {
    expect((await compared(place, NETWORK)).differences).toEqual([]);
  });

  test.each(LOTS)('scripts by lot, %s', async (place, numRuns) => {
    const ours = new StackSubject(place);
    const holds = async (script: Script): Promise<void> => {
      expect(await compareOne(script, ours, reference, used)).toBe(null);
    };
    await fc.assert(fc.asyncProperty(randomScript, holds), { seed: LOT, numRuns });
  });

  test('every departure of the table is one that happens', () => {
    expect(DEPARTURES.filter(({ id }) => !used.has(id)).map(({ id }) => id)).toEqual([]);
  });
});
