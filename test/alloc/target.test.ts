/** The target allocates nothing per segment, and an idle connection is small: measured in a process of its own. */
import { expect, test } from 'vitest';
import { ALLOCATION_FLAGS, runScript } from '../support/child.ts';

interface Result {
  readonly bytesPerSegment: number;
  readonly nsPerSegment: number;
}

interface Answer {
  readonly indicated: Result;
  readonly posted: Result;
  readonly held: { readonly indicatedLists: number };
  readonly idleBytes: number;
}

/**
 * A copy of more than some dozens of bytes takes a view (copyBytes): one where the text enters a frame, one where it leaves it.
 * Anything else would be a list, an MDL or a record.
 */
const VIEWS_BYTES = 260;

test('a segment through two targets costs the views of its copies and nothing else; an idle connection 1 KiB at most', async () => {
  const answer = await runScript<Answer>('test/alloc/target.ts', { flags: ALLOCATION_FLAGS, timeoutMs: 60_000 });
  expect(answer.indicated.bytesPerSegment).toBeLessThan(VIEWS_BYTES);
  expect(answer.posted.bytesPerSegment).toBeLessThan(VIEWS_BYTES);
  expect(answer.held.indicatedLists).toBe(0);
  // The host's handle of it is in this number, too.
  expect(answer.idleBytes).toBeLessThan(1024 + 64);
}, 90_000);

/** What a batch costs beside, shared by its segments: tasks that are deferred, and a word or two of theirs. */
const BATCH_BYTES = 35;

test('the same through the rings of the worker target, both halves together: a batch costs a little, a segment no more', async () => {
  const answer = await runScript<Answer>('test/alloc/target.ts', {
    flags: ALLOCATION_FLAGS,
    args: ['worker'],
    timeoutMs: 60_000,
  });
  expect(answer.indicated.bytesPerSegment).toBeLessThan(VIEWS_BYTES + BATCH_BYTES);
  expect(answer.posted.bytesPerSegment).toBeLessThan(VIEWS_BYTES + BATCH_BYTES);
  expect(answer.held.indicatedLists).toBe(0);
}, 90_000);
