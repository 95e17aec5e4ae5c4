/** Answers of several NIC threads for one block, put together. */
import { expect, test } from 'vitest';
import { NdisOffloadHandle, NdisStatus, OffloadBlock, OffloadStateType } from '../../src/ndis/miniport.ts';
import { joinedStatus, type Part, SpreadObject } from '../../src/target/worker/spread-objects.ts';

function answers(object: SpreadObject, statuses: readonly number[]): Part[] {
  return statuses.map((status, thread) => {
    const block = new OffloadBlock(OffloadStateType.NEIGHBOR);
    block.status = status;
    return { thread, block, object, asked: block };
  });
}

const { SUCCESS, FAILURE } = NdisStatus;

test('what all threads are to have is taken if one has taken it, and who refused it does without (INIT-027)', () => {
  const shared = new SpreadObject(new NdisOffloadHandle(null), -1, null, null);
  expect(joinedStatus(answers(shared, [SUCCESS, FAILURE, SUCCESS]), true)).toBe(SUCCESS);
  expect([0, 1, 2].map((thread) => shared.gone[thread] === true)).toEqual([false, true, false]);
});

test('what nobody has taken, one thread was to have, or is not new has the first answer that is not good', () => {
  const shared = new SpreadObject(new NdisOffloadHandle(null), -1, null, null);
  expect(joinedStatus(answers(shared, [FAILURE, FAILURE]), true)).toBe(FAILURE);
  expect(joinedStatus(answers(shared, [SUCCESS, FAILURE]), false)).toBe(FAILURE);
  const own = new SpreadObject(new NdisOffloadHandle(null), 1, null, null);
  expect(joinedStatus(answers(own, [FAILURE]), true)).toBe(FAILURE);
  expect(joinedStatus(answers(shared, [SUCCESS, SUCCESS]), true)).toBe(SUCCESS);
  expect(shared.gone).toEqual([]);
});
