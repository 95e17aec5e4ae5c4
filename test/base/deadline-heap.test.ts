import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DeadlineHeap } from '../../src/base/deadline-heap.ts';
import { NEVER } from '../../src/base/runtime.ts';

type Step =
  | { readonly kind: 'set'; readonly entry: number; readonly atUs: number }
  | { readonly kind: 'take'; readonly nowUs: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('set' as const),
      entry: fc.oneof(fc.nat(12), fc.nat(400)),
      atUs: fc.oneof(fc.nat(30), fc.constant(NEVER)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('take' as const), nowUs: fc.nat(40) }) },
);

/** The soonest moment of a model, or NEVER. */
const soonest = (model: ReadonlyMap<number, number>): number => Math.min(NEVER, ...model.values());

function expectSame(heap: DeadlineHeap, model: ReadonlyMap<number, number>): void {
  expect(heap.size).toBe(model.size);
  expect(heap.soonestUs).toBe(soonest(model));
}

describe('a heap of deadlines', () => {
  test('does what a sorted model does, whatever is armed, moved, disarmed and taken', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const heap = new DeadlineHeap();
        const model = new Map<number, number>();
        for (const next of steps) {
          if (next.kind === 'set') {
            heap.set(next.entry, next.atUs);
            if (next.atUs === NEVER) model.delete(next.entry);
            else model.set(next.entry, next.atUs);
            expect(heap.atUs(next.entry)).toBe(next.atUs);
          } else {
            const isDue = soonest(model) <= next.nowUs;
            const due = heap.takeDue(next.nowUs);
            expect(due >= 0).toBe(isDue);
            if (due >= 0) {
              expect(model.get(due)).toBe(soonest(model));
              model.delete(due);
              expect(heap.atUs(due)).toBe(NEVER);
            }
          }
          expectSame(heap, model);
        }
      }),
    );
  });

  test('gives everything back in order', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { maxLength: 300 }), (moments) => {
        const heap = new DeadlineHeap();
        moments.forEach((atUs, entry) => {
          heap.set(entry, atUs);
        });
        const taken: number[] = [];
        for (
          let at = heap.soonestUs, due = heap.takeDue(2000);
          due >= 0;
          at = heap.soonestUs, due = heap.takeDue(2000)
        ) {
          taken.push(at);
        }
        expect(taken).toEqual(moments.toSorted((a, b) => a - b));
        expect(heap.soonestUs).toBe(NEVER);
      }),
    );
  });

  test('takes nothing before it is due, and it at the very moment', () => {
    const heap = new DeadlineHeap();
    heap.set(3, 100);
    expect(heap.takeDue(99)).toBe(-1);
    expect(heap.takeDue(100)).toBe(3);
    expect(heap.takeDue(100)).toBe(-1);
  });

  test('disarming what was never armed, and asking about it, is nothing', () => {
    const heap = new DeadlineHeap();
    heap.set(5, NEVER);
    heap.set(100_000, NEVER);
    expect(heap.size).toBe(0);
    expect(heap.atUs(1_000_000)).toBe(NEVER);
  });

  test('grows to entries far beyond the first ones without losing any', () => {
    const heap = new DeadlineHeap();
    for (let entry = 0; entry < 5000; entry++) heap.set(entry, (entry * 7919) % 5003);
    heap.set(70_000, -1);
    expect(heap.size).toBe(5001);
    expect(heap.takeDue(0)).toBe(70_000);
  });
});
