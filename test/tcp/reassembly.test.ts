/** The reassembler: against a model that remembers every byte, at the seam of sequence space. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { asSeq, type Seq, seqAdd, seqDiff } from '../../src/base/seq.ts';
import { Reassembly } from '../../src/tcp/reassembly.ts';
import { PAGE_BYTES, TextPiece, TextPool } from '../../src/tcp/text-pool.ts';
import { TcpSegment } from '../../src/wire/tcp-segment.ts';

/** RCV.NXT of all tests: a little before sequence numbers wrap. */
const START: Seq = asSeq(-100);

function bytesOf(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

function insert(store: Reassembly, at: number, text: string): number {
  const bytes = new TextEncoder().encode(`##${text}##`);
  return store.insert(seqAdd(START, at), bytes, 2, text.length);
}

function drain(store: Reassembly): string {
  let out = '';
  const piece = new TextPiece();
  while (store.take(piece)) out += new TextDecoder().decode(piece.bytes.slice(piece.at, piece.at + piece.length));
  return out;
}

/** Blocks in sequence order, relative to START. */
function blocks(store: Reassembly): [number, number][] {
  return Array.from({ length: store.blockCount }, (_, i) => [
    seqDiff(store.blockLeft(i), START),
    seqDiff(store.blockRight(i), START),
  ]);
}

/** SACK blocks as they would be sent, relative to START. */
function sack(store: Reassembly, most = 4): [number, number][] {
  const segment = new TcpSegment();
  store.writeSack(segment, most);
  return Array.from({ length: segment.sackCount }, (_, i) => [
    seqDiff(asSeq(segment.sackEdges[2 * i]!), START),
    seqDiff(asSeq(segment.sackEdges[2 * i + 1]!), START),
  ]);
}

describe('the reassembler', () => {
  test('text that fills the hole makes what waited behind it ready, once and in order (RFC 9293 3.10.7.4, across the wrap)', () => {
    const pool = new TextPool();
    const store = new Reassembly(pool);
    expect(insert(store, 95, 'world')).toBe(5);
    expect(insert(store, 105, 'later')).toBe(5);
    expect(store.advance(seqAdd(START, 95))).toBe(5);
    expect(drain(store)).toBe('world');
    expect(blocks(store)).toEqual([[105, 110]]);
    expect(store.advance(seqAdd(START, 105))).toBe(5);
    expect(drain(store)).toBe('later');
    expect(store.isEmpty).toBe(true);
    expect(pool.pagesHeld).toBe(0);
  });

  test('of two versions of a byte the first that arrived is kept', () => {
    const store = new Reassembly(new TextPool());
    insert(store, 10, 'BBB');
    expect(insert(store, 8, 'aaaaaaa')).toBe(4);
    store.advance(seqAdd(START, 8));
    expect(drain(store)).toBe('aaBBBaa');
  });

  test('blocks that touch are one block', () => {
    const store = new Reassembly(new TextPool());
    insert(store, 10, 'abc');
    insert(store, 16, 'ghi');
    insert(store, 13, 'def');
    expect(blocks(store)).toEqual([[10, 19]]);
  });

  test('SACK blocks: the one that changed last comes first, the others by age (RFC 2018 section 4)', () => {
    const store = new Reassembly(new TextPool());
    for (const at of [10, 20, 30, 40, 50]) insert(store, at, 'xxxxx');
    expect(sack(store)).toEqual([
      [50, 55],
      [40, 45],
      [30, 35],
      [20, 25],
    ]);
    insert(store, 15, 'y');
    expect(sack(store, 3)).toEqual([
      [10, 16],
      [50, 55],
      [40, 45],
    ]);
    insert(store, 25, 'zzzzz');
    expect(sack(store)).toEqual([
      [20, 35],
      [10, 16],
      [50, 55],
      [40, 45],
    ]);
    store.advance(seqAdd(START, 18));
    expect(sack(store)).toEqual([
      [20, 35],
      [50, 55],
      [40, 45],
    ]);
  });

  test('the example of RFC 2018 section 4: losses in a window of eight segments', () => {
    // Case 2 of the RFC: 5000 arrives, 5500 is lost, the rest arrives.
    const store = new Reassembly(new TextPool());
    const text = new Uint8Array(500);
    const seen: [number, number][][] = [];
    for (const at of [6000, 6500, 7000, 7500, 8000, 8500]) {
      store.insert(seqAdd(START, at), text, 0, 500);
      seen.push(sack(store, 3));
    }
    expect(seen).toEqual([6500, 7000, 7500, 8000, 8500, 9000].map((right) => [[6000, right]]));
  });

  test('it tells which part of a segment was here before (RFC 2883 section 4)', () => {
    const store = new Reassembly(new TextPool());
    insert(store, 10, 'abcdef');
    expect(store.duplicateLeft).toBe(store.duplicateRight);
    insert(store, 14, 'efgh');
    expect([seqDiff(store.duplicateLeft, START), seqDiff(store.duplicateRight, START)]).toEqual([14, 16]);
    insert(store, 12, 'cd');
    expect([seqDiff(store.duplicateLeft, START), seqDiff(store.duplicateRight, START)]).toEqual([12, 14]);
    insert(store, 18, 'ij');
    expect(store.duplicateLeft).toBe(store.duplicateRight);
  });

  test('more blocks than allowed are refused; what was taken stays (no reneging, RFC 2018 section 8)', () => {
    const store = new Reassembly(new TextPool(), 65536, 3);
    for (const at of [10, 20, 30]) insert(store, at, 'x');
    expect(insert(store, 40, 'x')).toBe(0);
    expect(insert(store, 11, 'y')).toBe(1);
    expect(insert(store, 12, 'zzzzzzzz')).toBe(8);
    expect(blocks(store)).toEqual([
      [10, 21],
      [30, 31],
    ]);
    expect(insert(store, 40, 'x')).toBe(1);
  });

  test('a pool that is used up takes as much of a segment as fits, and is whole again afterwards', () => {
    const pool = new TextPool(2 * PAGE_BYTES);
    const store = new Reassembly(pool, 1 << 20);
    const seq = seqAdd(START, 200); // 100 behind the wrap: page 0
    expect(store.insert(seq, new Uint8Array(3 * PAGE_BYTES), 0, 3 * PAGE_BYTES)).toBe(2 * PAGE_BYTES - 100);
    expect(store.insert(seqAdd(seq, 4 * PAGE_BYTES), bytesOf(1), 0, 1)).toBe(0);
    expect(pool.pagesHeld).toBe(2);
    store.clear();
    expect(pool.pagesHeld).toBe(0);
    expect(store.isEmpty).toBe(true);
  });

  test('a wide window with holes all over it keeps every byte in its place while the store grows', () => {
    const pool = new TextPool();
    const store = new Reassembly(pool);
    const wide = 600 * PAGE_BYTES;
    const step = 7919;
    const length = 5000;
    const of = (at: number): number => (at * 31 + (at >> 8)) & 0xff;
    const offsets = Array.from(
      { length: Math.floor(wide / step) },
      (_, i) => 1 + ((i * 263) % Math.floor(wide / step)) * step,
    );
    for (const at of offsets) {
      const bytes = Uint8Array.from({ length }, (_, i) => of(at + i));
      expect(store.insert(seqAdd(START, at), bytes, 0, length)).toBe(length);
    }
    expect(store.blockCount).toBe(offsets.length);
    const piece = new TextPiece();
    for (const at of offsets.toSorted((a, b) => a - b)) {
      let next = at;
      expect(store.advance(seqAdd(START, at))).toBe(length);
      while (store.take(piece)) {
        for (let i = 0; i < piece.length; i++)
          if (piece.bytes[piece.at + i] !== of(next + i)) expect.fail(`byte ${next + i}`);
        next += piece.length;
      }
      expect(next).toBe(at + length);
    }
    expect(store.isEmpty).toBe(true);
    expect(pool.pagesHeld).toBe(0);
  });

  test('a FIN seen early is found when its turn comes, and nothing is taken behind it', () => {
    const store = new Reassembly(new TextPool());
    insert(store, 10, 'abc');
    store.insertFin(seqAdd(START, 13));
    expect(insert(store, 13, 'lie')).toBe(0);
    store.advance(seqAdd(START, 10));
    expect(drain(store)).toBe('abc');
    expect(store.takeFin(seqAdd(START, 12))).toBe(false);
    expect(store.isEmpty).toBe(false);
    expect(store.takeFin(seqAdd(START, 13))).toBe(true);
    expect(store.takeFin(seqAdd(START, 13))).toBe(false);
    expect(store.isEmpty).toBe(true);
  });
});

const WINDOW = 5 * PAGE_BYTES;
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('insert' as const),
      at: fc.nat({ max: WINDOW }),
      length: fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 9000 })),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('advance' as const),
      by: fc.oneof(fc.nat({ max: 50 }), fc.nat({ max: 9000 })),
    }),
  },
);

describe('the reassembler as a law', () => {
  test('whatever arrives in whatever order, each byte comes out once, in order, as it first came in; all pages come back', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 1, max: 8 }),
        (start, steps, maxPages) => {
          const pool = new TextPool(maxPages * PAGE_BYTES);
          const store = new Reassembly(pool, WINDOW + 9000, 6);
          let rcvNxt = asSeq(start);
          let origin = 0;
          /** First version of each byte that was taken, by distance from `start`. */
          const model = new Map<number, number>();
          let version = 1;
          for (const s of steps) {
            if (s.do === 'insert') {
              const at = origin + 1 + s.at;
              const bytes = new Uint8Array(s.length).fill(version++ & 0xff);
              const before = store.bytesHeld;
              const added = store.insert(seqAdd(asSeq(start), at), bytes, 0, s.length);
              expect(store.bytesHeld).toBe(before + added);
              // A part of the segment may have been refused, but only its end.
              let fresh = 0;
              for (let i = at; i < at + s.length && fresh < added; i++) {
                if (model.has(i)) continue;
                model.set(i, bytes[0]!);
                fresh++;
              }
              expect(fresh).toBe(added);
            } else {
              origin += s.by;
              rcvNxt = seqAdd(rcvNxt, s.by);
              for (const at of model.keys()) if (at < origin) model.delete(at);
              const ready = store.advance(rcvNxt);
              const piece = new TextPiece();
              let taken = 0;
              while (store.take(piece)) {
                for (let i = 0; i < piece.length; i++) {
                  if (piece.bytes[piece.at + i] !== model.get(origin + taken + i))
                    expect.fail(`byte ${origin + taken + i} is wrong`);
                  model.delete(origin + taken + i);
                }
                taken += piece.length;
              }
              expect(taken).toBe(ready);
              expect(model.has(origin + taken)).toBe(false);
              origin += taken;
              rcvNxt = seqAdd(rcvNxt, taken);
            }
            expect(store.bytesHeld).toBe(model.size);
            // The blocks are the runs of the model.
            const held = [...model.keys()].sort((a, b) => a - b);
            const runs: [number, number][] = [];
            for (const at of held) {
              if (runs.length > 0 && runs.at(-1)![1] === at) runs.at(-1)![1] = at + 1;
              else runs.push([at, at + 1]);
            }
            const seen = Array.from({ length: store.blockCount }, (_, i) => [
              seqDiff(store.blockLeft(i), asSeq(start)),
              seqDiff(store.blockRight(i), asSeq(start)),
            ]);
            expect(seen).toEqual(runs);
            expect(store.blockCount).toBeLessThanOrEqual(6);
            // No page is held without a reason: each touches held text.
            const touched = new Set<number>();
            for (const at of held) touched.add(seqAdd(asSeq(start), at) >>> 12);
            expect(pool.pagesHeld).toBeLessThanOrEqual(touched.size + 1);
            // The newest four blocks are reported, all of them held.
            const segment = new TcpSegment();
            store.writeSack(segment, 4);
            expect(segment.sackCount).toBe(Math.min(4, store.blockCount));
            const reported = new Set<number>();
            for (let i = 0; i < segment.sackCount; i++)
              reported.add(seqDiff(asSeq(segment.sackEdges[2 * i]!), asSeq(start)));
            expect(reported.size).toBe(segment.sackCount);
            for (const left of reported) expect(runs.some((run) => run[0] === left)).toBe(true);
          }
          store.clear();
          expect(pool.pagesHeld).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });
});
