/** The conformance suite, unchanged, over the worker target: both halves in one thread, and every order in which they go on. */
import { describe, expect, test } from 'vitest';
import { explore } from '../../src/conformance/explore.ts';
import type { DriverFactory, Subject, TargetFactory } from '../../src/conformance/run.ts';
import { findingText } from '../../src/contract/finding.ts';
import { PassThrough } from '../../src/im/pass-through.ts';
import { PairedAdapter } from '../../src/target/worker/paired-adapter.ts';
import { seed, seedNote } from '../support/seed.ts';

const worker: TargetFactory = (environment) => new PairedAdapter(environment);
const passThrough: DriverFactory = (environment, below, name) => new PassThrough(environment, below, { name });
const numeric = [...String(seed)].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) >>> 0, 7);

function texts(subject: Subject, interleavings: number): string[] {
  return explore(subject, { seed: numeric, interleavings }).findings.map((one) => `${one.replay} ${findingText(one)}`);
}

describe('the worker target passes', () => {
  test('by itself', () => {
    expect(texts({ target: worker }, 800), seedNote).toEqual([]);
  });

  test('under an intermediate driver', () => {
    expect(texts({ target: worker, drivers: [passThrough] }, 150), seedNote).toEqual([]);
  });
});
