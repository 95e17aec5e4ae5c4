import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { asSeq, seqAdd, seqAtOrBefore, seqBefore, seqDiff, seqInWindow, seqMax, seqMin } from '../../src/base/seq.ts';

const seq = fc
  .oneof(fc.integer(), fc.constantFrom(0, 1, -1, 0x7fffffff, -0x80000000, 0x7ffffffe))
  .map((value) => asSeq(value));
/** Distances for which comparison is defined: less than 2^31. */
const distance = fc.oneof(fc.integer({ min: 1, max: 0x7fffffff }), fc.constantFrom(1, 2, 0x7fffffff, 0xffff));

describe('laws of sequence numbers, everywhere on the circle (RFC 9293 3.4)', () => {
  test('a comes before a + n, and not the other way about', () => {
    fc.assert(
      fc.property(seq, distance, (a, n) => {
        const b = seqAdd(a, n);
        expect(seqBefore(a, b)).toBe(true);
        expect(seqBefore(b, a)).toBe(false);
        expect(seqAtOrBefore(a, b)).toBe(true);
        expect(seqAtOrBefore(b, a)).toBe(false);
      }),
    );
  });

  test('no number comes before itself', () => {
    fc.assert(
      fc.property(seq, (a) => {
        expect(seqBefore(a, a)).toBe(false);
        expect(seqAtOrBefore(a, a)).toBe(true);
        expect(seqDiff(a, a)).toBe(0);
      }),
    );
  });

  test('the difference undoes the sum, in both directions', () => {
    fc.assert(
      fc.property(seq, distance, (a, n) => {
        expect(seqDiff(seqAdd(a, n), a)).toBe(n);
        expect(seqDiff(a, seqAdd(a, n))).toBe(-n);
        expect(seqAdd(seqAdd(a, n), -n)).toBe(a);
      }),
    );
  });

  test('sums associate', () => {
    fc.assert(
      fc.property(seq, distance, distance, (a, m, n) => {
        expect(seqAdd(seqAdd(a, m), n)).toBe(seqAdd(seqAdd(a, n), m));
      }),
    );
  });

  test('order is transitive within half the circle', () => {
    fc.assert(
      fc.property(seq, fc.integer({ min: 1, max: 0x3fffffff }), fc.integer({ min: 1, max: 0x3fffffff }), (a, m, n) => {
        const b = seqAdd(a, m);
        const c = seqAdd(b, n);
        expect(seqBefore(a, b) && seqBefore(b, c) && seqBefore(a, c)).toBe(true);
      }),
    );
  });

  test('of two numbers one is the earlier and the other the later', () => {
    fc.assert(
      fc.property(seq, distance, (a, n) => {
        const b = seqAdd(a, n);
        expect([seqMin(a, b), seqMin(b, a)]).toEqual([a, a]);
        expect([seqMax(a, b), seqMax(b, a)]).toEqual([b, b]);
      }),
    );
  });

  test('a number is in a window exactly when it is fewer than its size behind its start', () => {
    fc.assert(
      fc.property(seq, fc.integer({ min: 0, max: 0x40000000 }), fc.integer(), (first, size, offset) => {
        const isIn = offset >= 0 && offset < size;
        expect(seqInWindow(seqAdd(first, offset), first, size)).toBe(isIn);
      }),
    );
  });

  test('a window that is closed holds nothing', () => {
    fc.assert(
      fc.property(seq, seq, (a, first) => {
        expect(seqInWindow(a, first, 0)).toBe(false);
      }),
    );
  });

  test('any integer is taken modulo 2^32', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: -1000, max: 1000 }), (value, turns) => {
        expect(asSeq(value + turns * 0x1_0000_0000)).toBe(asSeq(value));
      }),
    );
  });
});
