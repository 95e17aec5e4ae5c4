/** The SACK scoreboard: against RFC 6675's own words, octet by octet, and against lies. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { asSeq, type Seq, seqAdd, seqDiff } from '../../src/base/seq.ts';
import { NextSeg, SackScoreboard } from '../../src/tcp/scoreboard.ts';
import { TcpSegment } from '../../src/wire/tcp-segment.ts';

/** SND.UNA at the start: 1000 bytes before sequence numbers wrap. */
const START: Seq = asSeq(-1000);
const at = (offset: number): Seq => seqAdd(START, offset);

function blocks(...edges: readonly (readonly [number, number])[]): TcpSegment {
  const segment = new TcpSegment();
  edges.forEach(([left, right], i) => {
    segment.sackEdges[2 * i] = at(left);
    segment.sackEdges[2 * i + 1] = at(right);
  });
  segment.sackCount = edges.length;
  return segment;
}

function ranges(board: SackScoreboard): [number, number][] {
  return Array.from({ length: board.rangeCount }, (_, i) => [
    seqDiff(board.rangeLeft(i), START),
    seqDiff(board.rangeRight(i), START),
  ]);
}

/** A board over 20 segments of 100 bytes, in recovery. */
function boardWith(...edges: readonly (readonly [number, number])[]): SackScoreboard {
  const board = new SackScoreboard();
  board.setThresholds(3, 100);
  board.enterRecovery(START);
  for (const edge of edges) board.update(blocks(edge), START, at(2000));
  return board;
}

const next = (board: SackScoreboard, hasNew = false, una = 0): readonly [number, number, number] => {
  const kind = board.nextSeg(at(una), at(2000), at(2000), hasNew, 100);
  return [
    kind,
    kind === NextSeg.NONE || kind === NextSeg.NEW ? 0 : seqDiff(board.nextLeft, START),
    kind === NextSeg.NONE || kind === NextSeg.NEW ? 0 : board.nextLength,
  ];
};

describe('what the peer holds', () => {
  test('blocks are joined, counted once, and dropped as the cumulative acknowledgment passes them (RFC 6675 4, Update)', () => {
    const board = boardWith();
    expect(board.update(blocks([300, 400]), START, at(2000))).toBe(100);
    expect(board.update(blocks([500, 600], [300, 400]), START, at(2000))).toBe(100);
    expect(board.update(blocks([350, 500]), START, at(2000))).toBe(100);
    expect(ranges(board)).toEqual([[300, 600]]);
    expect(board.update(blocks([300, 600]), START, at(2000))).toBe(0);
    expect(board.acknowledge(at(600))).toBe(true);
    expect(board.isEmpty).toBe(true);
    expect(board.sackedBytes).toBe(0);
  });

  test('blocks that touch on either side become one', () => {
    const board = boardWith([300, 400], [500, 600]);
    board.update(blocks([400, 500]), START, at(2000));
    expect(ranges(board)).toEqual([[300, 600]]);
  });

  test('lies change nothing: behind SND.UNA, beyond SND.MAX, empty, reversed, half a window away', () => {
    const board = boardWith([300, 400]);
    for (const edge of [
      [-200, -100],
      [-100, 0],
      [1900, 2001],
      [2500, 2600],
      [500, 500],
      [700, 600],
      [500, 500 + 2 ** 31],
      [-(2 ** 31), 100],
    ] as const) {
      expect(board.update(blocks(edge), START, at(2000))).toBe(0);
    }
    expect(ranges(board)).toEqual([[300, 400]]);
    // Half old, half new: the new half counts.
    expect(board.update(blocks([-100, 50]), START, at(2000))).toBe(50);
  });

  test('a duplicate report is noticed: behind the acknowledgment, or inside the second block (RFC 2883 4)', () => {
    const board = boardWith();
    board.update(blocks([-200, -100]), START, at(2000));
    expect([seqDiff(board.duplicateLeft, START), seqDiff(board.duplicateRight, START)]).toEqual([-200, -100]);
    board.update(blocks([350, 400], [300, 500]), START, at(2000));
    expect([seqDiff(board.duplicateLeft, START), seqDiff(board.duplicateRight, START)]).toEqual([350, 400]);
    board.update(blocks([600, 700], [300, 500]), START, at(2000));
    expect(board.duplicateLeft).toBe(board.duplicateRight);
  });

  test('a peer that acknowledges up to a byte it said it holds has reneged, and is not believed any more (RFC 2018 8)', () => {
    const board = boardWith([300, 400], [600, 700]);
    expect(board.acknowledge(at(100))).toBe(true);
    expect(board.acknowledge(at(300))).toBe(false);
    expect(board.isEmpty).toBe(true);
  });

  test('beyond its bound it remembers no more, which is safe, and goes on with what it has', () => {
    const board = new SackScoreboard(3);
    for (const left of [100, 300, 500, 700]) board.update(blocks([left, left + 100]), START, at(2000));
    expect(ranges(board)).toEqual([
      [100, 200],
      [300, 400],
      [500, 600],
    ]);
    expect(board.sackedBytes).toBe(300);
    board.update(blocks([200, 300]), START, at(2000));
    board.update(blocks([700, 800]), START, at(2000));
    expect(ranges(board)).toEqual([
      [100, 400],
      [500, 600],
      [700, 800],
    ]);
  });

  test('after a timeout nothing that was SACKed is relied upon (RFC 2018 8, 2018-11)', () => {
    const board = boardWith([300, 400]);
    board.onRetransmitted(at(100));
    board.onTimeout(START);
    expect(board.isEmpty).toBe(true);
    expect(board.highRxt).toBe(START);
    expect(board.pipe(START, at(2000))).toBe(2000);
  });
});

describe('what is lost (RFC 6675 4, IsLost)', () => {
  test('three discontiguous runs above', () => {
    const board = boardWith([100, 110], [200, 210]);
    expect(board.isLost(at(0))).toBe(false);
    board.update(blocks([300, 310]), START, at(2000));
    expect(board.isLost(at(0))).toBe(true);
    expect(board.isLost(at(99))).toBe(true);
    expect(board.isLost(at(110))).toBe(false);
  });

  test('more than (DupThresh - 1) * SMSS bytes above; exactly that many are not enough', () => {
    const board = boardWith([100, 300]);
    expect(board.isLost(at(0))).toBe(false);
    board.update(blocks([300, 301]), START, at(2000));
    expect(board.isLost(at(0))).toBe(true);
    expect(board.isLost(at(301))).toBe(false);
  });
});

describe('what to send next (RFC 6675 4, NextSeg)', () => {
  test('rule 1: lost holes first, each once, lowest first, no further than the hole', () => {
    const board = boardWith([100, 200], [250, 700]);
    expect(next(board, true)).toEqual([NextSeg.LOST, 0, 100]);
    board.onRetransmitted(at(100));
    expect(next(board, true)).toEqual([NextSeg.LOST, 200, 50]);
    board.onRetransmitted(at(250));
    expect(next(board, true)[0]).toBe(NextSeg.NEW);
  });

  test('rule 2 before rule 3: new data before holes that do not count as lost', () => {
    const board = boardWith([100, 200]);
    expect(next(board, true)[0]).toBe(NextSeg.NEW);
    expect(next(board)).toEqual([NextSeg.UNSACKED, 0, 100]);
  });

  test('rule 4: one rescue retransmission of the highest unSACKed segment, HighRxt untouched', () => {
    const board = boardWith([100, 400]);
    board.onRetransmitted(at(100));
    expect(next(board)).toEqual([NextSeg.RESCUE, 1900, 100]);
    expect(seqDiff(board.highRxt, START)).toBe(100);
    board.onRescued(at(2000));
    expect(next(board)[0]).toBe(NextSeg.NONE);
    // The next recovery has one of its own.
    board.enterRecovery(at(50));
    board.onRetransmitted(at(100));
    expect(next(board, false, 50)[0]).toBe(NextSeg.RESCUE);
  });

  test('rule 4 takes what is left when the highest hole is smaller than a segment', () => {
    const board = boardWith([100, 1930], [1950, 2000]);
    board.onRetransmitted(at(100));
    board.update(blocks([1900, 1930]), START, at(2000));
    expect(next(board)).toEqual([NextSeg.UNSACKED, 1930, 20]);
    board.onTimeout(START);
    board.update(blocks([100, 1980]), START, at(2000));
    board.onRetransmitted(at(100));
    expect(next(board)).toEqual([NextSeg.RESCUE, 1980, 20]);
  });

  test('rule 4 does not repeat a hole that this recovery has repaired', () => {
    const board = boardWith([100, 2000]);
    expect(next(board)).toEqual([NextSeg.LOST, 0, 100]);
    board.onRetransmitted(at(100));
    expect(next(board)[0]).toBe(NextSeg.NONE);
  });
});

describe('laws of the scoreboard', () => {
  /** RFC 6675 octet by octet: slow, and nearly word for word. */
  class Model {
    readonly sacked = new Set<number>();
    una = 0;
    highRxt = 0;
    readonly max: number;
    readonly smss: number;
    constructor(max: number, smss: number) {
      this.max = max;
      this.smss = smss;
    }
    isLost(seq: number): boolean {
      let runs = 0;
      let bytes = 0;
      for (let i = seq + 1; i < this.max; i++) {
        if (!this.sacked.has(i)) continue;
        bytes++;
        if (!this.sacked.has(i - 1)) runs++;
      }
      return runs >= 3 || bytes > 2 * this.smss;
    }
    pipe(): number {
      let pipe = 0;
      for (let s1 = this.una; s1 < this.max; s1++) {
        if (this.sacked.has(s1)) continue;
        if (!this.isLost(s1)) pipe++;
        if (s1 < this.highRxt) pipe++;
      }
      return pipe;
    }
    next(): number {
      const high = Math.max(-1, ...this.sacked);
      for (let s2 = Math.max(this.una, this.highRxt); s2 < high; s2++) if (!this.sacked.has(s2)) return s2;
      return -1;
    }
  }

  const MAX = 120;
  const event = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('sack' as const),
        left: fc.integer({ min: -20, max: MAX + 5 }),
        length: fc.integer({ min: -2, max: 30 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('ack' as const), by: fc.nat({ max: 20 }) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('send' as const) }) },
  );

  test('it agrees with RFC 6675 written out octet by octet, wherever sequence space wraps', () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(event, { maxLength: 25 }), (start, events) => {
        const origin = asSeq(start);
        const smss = 10;
        const board = new SackScoreboard();
        const model = new Model(MAX, smss);
        board.setThresholds(3, smss);
        board.enterRecovery(origin);
        const max = seqAdd(origin, MAX);
        for (const e of events) {
          if (e.do === 'sack') {
            const segment = new TcpSegment();
            segment.sackEdges[0] = seqAdd(origin, e.left);
            segment.sackEdges[1] = seqAdd(origin, e.left + e.length);
            segment.sackCount = 1;
            const before = model.sacked.size;
            if (e.length > 0 && e.left + e.length <= MAX) {
              for (let i = Math.max(e.left, model.una); i < e.left + e.length; i++) model.sacked.add(i);
            }
            expect(board.update(segment, seqAdd(origin, model.una), max)).toBe(model.sacked.size - before);
          } else if (e.do === 'ack') {
            model.una = Math.min(MAX, model.una + e.by);
            const isReneged = model.sacked.has(model.una);
            for (const s of model.sacked) if (s < model.una || isReneged) model.sacked.delete(s);
            model.highRxt = Math.max(model.highRxt, model.una);
            expect(board.acknowledge(seqAdd(origin, model.una))).toBe(!isReneged);
          } else {
            const kind = board.nextSeg(seqAdd(origin, model.una), max, max, false, smss);
            const s2 = model.next();
            if (s2 < 0) expect(kind === NextSeg.RESCUE || kind === NextSeg.NONE).toBe(true);
            else {
              expect(kind).toBe(model.isLost(s2) ? NextSeg.LOST : NextSeg.UNSACKED);
              expect(seqDiff(board.nextLeft, origin)).toBe(s2);
              for (let i = 0; i < board.nextLength; i++) expect(model.sacked.has(s2 + i)).toBe(false);
              expect(board.nextLength === smss || model.sacked.has(s2 + board.nextLength)).toBe(true);
              model.highRxt = s2 + board.nextLength;
              board.onRetransmitted(seqAdd(origin, model.highRxt));
            }
            if (kind === NextSeg.RESCUE) {
              const left = seqDiff(board.nextLeft, origin);
              for (let i = left + board.nextLength; i < MAX; i++) expect(model.sacked.has(i)).toBe(true);
              for (let i = left; i < left + board.nextLength; i++) expect(model.sacked.has(i)).toBe(false);
            }
          }
          expect(board.sackedBytes).toBe(model.sacked.size);
          expect(board.pipe(seqAdd(origin, model.una), max)).toBe(model.pipe());
          for (let i = model.una; i < MAX; i++) {
            expect(board.isSacked(seqAdd(origin, i))).toBe(model.sacked.has(i));
            if (!model.sacked.has(i)) expect(board.isLost(seqAdd(origin, i))).toBe(model.isLost(i));
          }
        }
      }),
      { numRuns: 80 },
    );
  });
});
