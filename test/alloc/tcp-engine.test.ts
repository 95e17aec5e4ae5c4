/** The engine allocates nothing per segment: measured in a process of its own, with a control that does. */
import { expect, test } from 'vitest';
import { ALLOCATION_FLAGS, runScript } from '../support/child.ts';

interface Result {
  readonly bytesPerSegment: number;
  readonly nsPerSegment: number;
}

interface Answer {
  readonly bulk: Result;
  readonly pingPong: Result;
  readonly lossy: Result;
  readonly control: Result;
  readonly dropped: number;
}

/** What the clock of the measurement and late compilation leave; even one heap number a segment would be 16. */
const NOISE_BYTES = 4;

test('a segment costs no memory: not in bulk, not in small exchanges; out of order only the view of a copy', async () => {
  const answer = await runScript<Answer>('test/alloc/tcp-engine.ts', { flags: ALLOCATION_FLAGS, timeoutMs: 60_000 });
  expect(answer.control.bytesPerSegment).toBeGreaterThan(20);
  expect(answer.bulk.bytesPerSegment).toBeLessThan(NOISE_BYTES);
  expect(answer.pingPong.bytesPerSegment).toBeLessThan(NOISE_BYTES);
  // Text out of order is copied into pages, and a copy of more than some dozens of bytes takes a view (copyBytes).
  expect(answer.dropped).toBeGreaterThan(1000);
  expect(answer.lossy.bytesPerSegment).toBeLessThan(60);
}, 90_000);
