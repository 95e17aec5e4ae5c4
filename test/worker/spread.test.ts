/** Several NIC halves behind one adapter: whole stacks in storms, and the conformance suite; also where frames come to wrong queues. */
import { expect, test } from 'vitest';
import { explore } from '../../src/conformance/explore.ts';
import { findingText } from '../../src/contract/finding.ts';
import { threadOfFrame } from '../../src/target/worker/flow-hash.ts';
import { subject } from '../stack/two-hosts.ts';
import { seed, seedNote } from '../support/seed.ts';
import { spread } from './queues.ts';

const THREADS = 3;
const numeric = [...String(seed)].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) >>> 0, 7);

// One frame in eight comes to a queue that its flow does not belong to.
subject.target = (environment) => {
  let frames = numeric & 7;
  const isIp = environment.link.medium === 'ip';
  return spread(
    environment,
    THREADS,
    (bytes, at, length) => (threadOfFrame(bytes, at, length, isIp, THREADS) + (++frames % 8 === 0 ? 1 : 0)) % THREADS,
  );
};

test('several NIC halves pass the conformance suite', () => {
  const target = subject.target as Parameters<typeof explore>[0]['target'];
  const report = explore({ target }, { seed: numeric, interleavings: 300 });
  expect(
    report.findings.map((one) => `${one.replay} ${findingText(one)}`),
    seedNote,
  ).toEqual([]);
});

await import('../stack/storm.test.ts');
await import('../stack/operations.test.ts');
await import('../stack/first-light.test.ts');
