/** The whole host path allocates nothing per segment beyond the view of a copy: measured in a process of its own. */
import { expect, test } from 'vitest';
import { ALLOCATION_FLAGS, runScript } from '../support/child.ts';

interface Result {
  readonly bytesPerSegment: number;
  readonly nsPerSegment: number;
  readonly segments: number;
}

interface Answer {
  readonly bulk: Result;
  readonly pingPong: Result;
  readonly control: Result;
}

test('from write to handler a segment costs no memory, except the view of a copy of more than some dozens of bytes', async () => {
  const answer = await runScript<Answer>('test/alloc/host-transport.ts', {
    flags: ALLOCATION_FLAGS,
    timeoutMs: 60_000,
  });
  expect(answer.bulk.segments).toBeGreaterThan(40_000);
  // Two or three segments an exchange: one heap number in each would be seen.
  expect(answer.pingPong.bytesPerSegment).toBeLessThan(8);
  expect(answer.control.bytesPerSegment).toBeGreaterThan(answer.pingPong.bytesPerSegment + 10);
  // The gather copy out of the application's bytes is the only copy (copyBytes makes a view for it).
  expect(answer.bulk.bytesPerSegment).toBeLessThan(120);
}, 90_000);
