/** When what is in flight was sent, and what is lost for that: against RFC 8985 written out byte by byte. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { asSeq, type Seq, seqAdd, seqDiff } from '../../src/base/seq.ts';
import { SackScoreboard } from '../../src/tcp/scoreboard.ts';
import { RESENT_RUNS_MAX, SENT_RUNS_MAX, Transmissions } from '../../src/tcp/transmissions.ts';
import { TcpSegment } from '../../src/wire/tcp-segment.ts';

const FIRST: Seq = seqAdd(asSeq(0x7fffffff), -20);
const START_US = 5_000_000_000;

/** RFC 8985 with a segment for each byte. */
class Model {
  readonly sentAt: number[] = [];
  readonly isResent: boolean[] = [];
  readonly isLost: boolean[] = [];
  readonly isDelivered: boolean[] = [];
  una = 0;
  rackAt = -1;
  rackEnd = 0;
  rackRtt = 0;

  get max(): number {
    return this.sentAt.length;
  }

  send(bytes: number, nowUs: number): void {
    for (let i = 0; i < bytes; i++) {
      this.sentAt.push(nowUs);
      this.isResent.push(false);
      this.isLost.push(false);
      this.isDelivered.push(false);
    }
  }

  resend(left: number, right: number, nowUs: number): void {
    for (let i = left; i < right; i++) {
      this.sentAt[i] = nowUs;
      this.isResent[i] = true;
      this.isLost[i] = false;
    }
  }

  ack(una: number, blocks: readonly (readonly [number, number])[], nowUs: number, minRttUs: number): number {
    let delivered = 0;
    for (let i = this.una; i < this.max; i++) {
      const isNews = i < una || blocks.some(([left, right]) => i >= left && i < right);
      if (!isNews || this.isDelivered[i]) continue;
      this.isDelivered[i] = true;
      delivered++;
      if (this.isResent[i] && nowUs - this.sentAt[i]! < minRttUs) continue;
      const isLater = this.sentAt[i]! > this.rackAt || (this.sentAt[i] === this.rackAt && i + 1 > this.rackEnd);
      if (!isLater) continue;
      this.rackAt = this.sentAt[i]!;
      this.rackEnd = i + 1;
      this.rackRtt = nowUs - this.sentAt[i]!;
    }
    this.una = Math.max(this.una, una);
    return delivered;
  }

  detect(reoWndUs: number, nowUs: number): void {
    if (this.rackAt < 0) return;
    for (let i = this.una; i < this.max; i++) {
      if (this.isDelivered[i] || this.isLost[i]) continue;
      const at = this.sentAt[i]!;
      const isBefore = at < this.rackAt || (at === this.rackAt && i + 1 < this.rackEnd);
      if (isBefore && at + this.rackRtt + reoWndUs <= nowUs) this.isLost[i] = true;
    }
  }

  firstLost(): number {
    for (let i = this.una; i < this.max; i++) if (this.isLost[i] && !this.isDelivered[i]) return i;
    return -1;
  }

  /** In flight: not delivered and not lost. */
  inFlight(): number {
    let bytes = 0;
    for (let i = this.una; i < this.max; i++) if (!this.isDelivered[i] && !this.isLost[i]) bytes++;
    return bytes;
  }
}

interface Step {
  readonly send: number;
  readonly waitUs: number;
  readonly ack: number;
  readonly blocks: readonly (readonly [number, number])[];
  readonly reoWndUs: number;
  readonly resend: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  send: fc.nat({ max: 12 }),
  waitUs: fc.constantFrom(0, 0, 1, 5, 20),
  ack: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat({ max: 10 }) }),
  blocks: fc.array(fc.tuple(fc.nat({ max: 50 }), fc.integer({ min: 1, max: 6 })), { maxLength: 3 }),
  reoWndUs: fc.constantFrom(0, 3, 30),
  resend: fc.nat({ max: 6 }),
});

const at = (offset: number): Seq => seqAdd(FIRST, offset);

function run(steps: readonly Step[]): void {
  const model = new Model();
  const table = new Transmissions();
  const scoreboard = new SackScoreboard();
  const seg = new TcpSegment();
  table.reset(FIRST);
  let nowUs = START_US;
  const minRttUs = 5;
  for (const { send, waitUs, ack, blocks, reoWndUs, resend } of steps) {
    if (send > 0) {
      model.send(send, nowUs);
      table.sent(at(model.max), nowUs);
    }
    nowUs += waitUs;
    let una = Math.min(model.una + ack, model.max);
    // A peer that does not renege: the cumulative ACK takes in what it holds behind it.
    while (ack > 0 && model.isDelivered[una]) una++;
    const told = blocks
      .map(([left, length]) => [una + left, Math.min(una + left + length, model.max)] as const)
      .filter(([left, right]) => left > una && left < right);
    seg.sackCount = told.length;
    told.forEach(([left, right], i) => {
      seg.sackEdges[2 * i] = at(left);
      seg.sackEdges[2 * i + 1] = at(right);
    });

    table.beginAck(nowUs, minRttUs, scoreboard.highSacked(at(model.una)));
    let from = at(model.una);
    while (seqDiff(at(una), from) > 0) {
      from = scoreboard.skipSacked(from);
      if (seqDiff(at(una), from) <= 0) break;
      const end = scoreboard.nextSackedAfter(from, at(una));
      table.delivered(from, end);
      from = end;
    }
    scoreboard.update(seg, at(una), at(model.max), table);
    const delivered = model.ack(una, told, nowUs, minRttUs);
    table.acknowledge(at(una));
    scoreboard.acknowledge(at(una));
    expect(table.deliveredBytes).toBe(delivered);

    const waitUsAnswered = table.detectLoss(scoreboard, reoWndUs, nowUs);
    model.detect(reoWndUs, nowUs);
    expect(waitUsAnswered).toBeGreaterThanOrEqual(0);
    for (let i = 0; i <= resend; i++) {
      const first = model.firstLost();
      expect(table.nextLost(at(model.una), scoreboard, 4) ? seqDiff(table.nextLeft, FIRST) : -1).toBe(first);
      if (first < 0 || i === resend) break;
      expect(table.nextLength).toBeGreaterThan(0);
      for (let k = 0; k < table.nextLength; k++)
        expect(model.isLost[first + k]! && !model.isDelivered[first + k]).toBe(true);
      model.resend(first, first + table.nextLength, nowUs);
      table.resent(at(first), at(first + table.nextLength), nowUs);
    }
    const edge = table.lostEdge;
    const lost = seqDiff(edge, at(model.una)) - scoreboard.sackedWithin(at(model.una), edge);
    const inFlight = model.max - model.una - scoreboard.sackedBytes - lost + table.resentBytes;
    expect(inFlight).toBe(model.inFlight());
  }
}

describe('the table of transmissions', () => {
  test('finds lost what RFC 8985 finds lost, and counts in flight what is not, whatever is delivered and when [8985-3, 8985-4, 9937-2]', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        run(steps);
      }),
      { numRuns: 400 },
    );
  });

  test('segments sent at one moment share a run, and the acknowledged ones are forgotten', () => {
    const table = new Transmissions();
    table.reset(at(0));
    for (let i = 1; i <= 40; i++) table.sent(at(i * 1000), START_US + (i >> 2));
    expect(table.sentRuns).toBe(11);
    expect(table.sentAtUs(at(4000)) - START_US).toBe(1);
    expect(table.sentAtUs(at(3999)) - START_US).toBe(1);
    expect(table.sentAtUs(at(3000)) - START_US).toBe(0);
    table.acknowledge(at(20_500));
    expect(table.sentAtUs(at(21_000)) - START_US).toBe(5);
    table.acknowledge(at(40_000));
    expect(table.sentRuns).toBe(0);
  });

  test('never grows beyond its bounds: what does not fit looks as if it was sent later', () => {
    const table = new Transmissions();
    table.reset(at(0));
    const sent = SENT_RUNS_MAX + 100;
    for (let i = 1; i <= sent; i++) table.sent(at(i * 10), START_US + i);
    expect(table.sentRuns).toBe(SENT_RUNS_MAX);
    expect(table.sentAtUs(at(10 * sent - 500)) - START_US).toBe(sent);
    let resent = 0;
    for (; table.hasRoom; resent++) table.resent(at(20 * resent), at(20 * resent + 10), START_US + sent);
    expect(resent).toBeGreaterThan(RESENT_RUNS_MAX - 3);
    expect(table.resentBytes).toBe(10 * resent);
    table.onTimeout();
    expect(table.resentBytes).toBe(0);
  });

  test('the arrival of what a former runner sent makes nothing lost that was sent since the move [8985-3]', () => {
    const table = new Transmissions();
    table.adopt(at(0), at(5000), true, START_US);
    table.resent(at(0), at(1000), START_US);
    table.beginAck(START_US + 10_000, 1000, at(0));
    table.delivered(at(3000), at(4000));
    table.detectLoss(null, 0, START_US + 10_000);
    // What was sent again at the move is on its way; what lies behind it, and before what arrived, is not.
    expect(table.nextLost(at(0), null, 1000)).toBe(true);
    expect(table.nextLeft).toBe(at(1000));
  });

  test('what a former runner sent counts as sent at the move, and tells no round-trip time where it was repairing', () => {
    const table = new Transmissions();
    table.adopt(at(0), at(5000), true, START_US);
    table.beginAck(START_US + 5, 100, at(0));
    table.delivered(at(1000), at(2000));
    expect(table.detectLoss(null, 0, START_US + 5)).toBe(0);
    expect(table.nextLost(at(0), null, 1000)).toBe(false);
    expect(table.hasReordering).toBe(false);
  });
});
