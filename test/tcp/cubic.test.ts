/** CUBIC's windows against the formulas of RFC 9438, ACK by ACK. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CWND_MAX, SS_THRESH_INITIAL } from '../../src/tcp/congestion/congestion-control.ts';
import { ALPHA, BETA, C, cubic } from '../../src/tcp/congestion/cubic.ts';
import { chooseCongestion, congestionControl, congestionOf } from '../../src/tcp/congestion/named.ts';
import { newReno } from '../../src/tcp/congestion/new-reno.ts';
import { RECORD_WORDS, TcpConnection } from '../../src/tcp/connection.ts';
import { tcpParameters } from '../../src/tcp/parameters.ts';
import { onRttSample } from '../../src/tcp/rtt.ts';

const MSS = 1000;
const START_US = 7_000_000_000;

class Flow {
  readonly c: TcpConnection;
  nowUs = START_US;
  readonly rttUs: number;

  constructor(segments: number, rttUs: number) {
    const words = new Int32Array(RECORD_WORDS);
    this.c = new TcpConnection(words, new Float64Array(words.buffer), 0, 0);
    this.c.effectiveMss = MSS;
    this.rttUs = rttUs;
    onRttSample(this.c, rttUs);
    cubic.onConnected(this.c, 10 * MSS);
    this.c.cWnd = segments * MSS;
  }

  get segments(): number {
    return this.c.cWnd / MSS;
  }

  lose(): this {
    cubic.onLoss(this.c, this.c.cWnd, 0, this.nowUs);
    cubic.onRecovered(this.c, this.c.cWnd, true, this.nowUs);
    return this;
  }

  /** A round trip in which the whole window is acknowledged, two segments an ACK, evenly. */
  round(isCwndLimited = true): this {
    const acks = Math.max(1, Math.floor(this.segments / 2));
    const endUs = this.nowUs + this.rttUs;
    for (let i = 0; i < acks; i++) {
      this.nowUs += this.rttUs / acks;
      cubic.onAck(this.c, 2 * MSS, isCwndLimited, this.nowUs);
    }
    this.nowUs = endUs;
    return this;
  }

  rounds(count: number): this {
    for (let i = 0; i < count; i++) this.round();
    return this;
  }
}

/** W_cubic(t), segments. */
function wCubic(tSeconds: number, k: number, wMax: number): number {
  return C * (tSeconds - k) ** 3 + wMax;
}

describe('the decrease', () => {
  test('takes 30 % of what was in flight, never below two segments [9438-7, 9438-8]', () => {
    const flow = new Flow(100, 50_000).lose();
    expect(flow.c.ssThresh).toBe(70 * MSS);
    expect(flow.c.cWnd).toBe(70 * MSS);
    expect(new Flow(2, 50_000).lose().c.ssThresh).toBe(2 * MSS);
    const idle = new Flow(100, 50_000);
    cubic.onLoss(idle.c, 10 * MSS, 0, START_US);
    expect(idle.c.ssThresh).toBe(7 * MSS);
  });

  test('at a timeout SSTHRESH falls the same, once a segment, and the window to one segment [9438-12, 5681-15, 5681-16]', () => {
    const { c } = new Flow(100, 50_000);
    cubic.onTimeout(c, 100 * MSS, true, START_US);
    expect([c.ssThresh, c.cWnd]).toEqual([70 * MSS, MSS]);
    cubic.onTimeout(c, MSS, false, START_US);
    expect([c.ssThresh, c.cWnd]).toEqual([70 * MSS, MSS]);
  });
});

describe('slow start [9438-15, 9438-16]', () => {
  test("is Reno's below SSTHRESH, and stops there", () => {
    const flow = new Flow(10, 50_000);
    expect(flow.c.ssThresh).toBe(SS_THRESH_INITIAL);
    flow.round();
    expect(flow.segments).toBe(20);
    flow.c.ssThresh = 30 * MSS;
    flow.round();
    expect(flow.segments).toBeGreaterThanOrEqual(30);
    expect(flow.segments).toBeLessThan(31);
  });
});

describe('congestion avoidance', () => {
  const K = Math.cbrt((1000 - 700) / C);

  test('follows the cubic function to W_max and beyond, within a round trip [9438-2, 9438-5, 9438-6, 9438-17]', () => {
    const flow = new Flow(1000, 100_000).lose();
    let isBeyond = false;
    for (let round = 1; round <= 180; round++) {
      flow.round();
      const t = (round * 100_000) / 1e6;
      // An ACK leads to where the function will be a round trip later, the last one of a round trip nearly there.
      const low = wCubic(t - 0.1, K, 1000);
      const high = wCubic(t + 0.1, K, 1000);
      expect(flow.segments).toBeGreaterThan(low - 1);
      expect(flow.segments).toBeLessThan(high + 1);
      if (flow.segments > 1001) isBeyond = true;
    }
    expect(isBeyond).toBe(true);
  });

  test('grows by at most half in a round trip [9438-2]', () => {
    const flow = new Flow(1000, 1_000_000).lose();
    flow.c.cWnd = 100 * MSS;
    flow.c.ssThresh = 100 * MSS;
    let before = flow.segments;
    for (let round = 0; round < 60; round++) {
      flow.round();
      expect(flow.segments).toBeLessThan(1.66 * before + 1);
      before = flow.segments;
    }
  });

  test('is as fast as Reno where the function is slower, by alpha, and by a segment a round trip from the old window on [9438-3, 9438-4]', () => {
    // 20 segments in 10 ms: the function would need 2.5 s.
    const flow = new Flow(20, 10_000).lose();
    expect(flow.segments).toBe(14);
    flow.rounds(10);
    expect(flow.segments).toBeGreaterThan(14 + 9 * ALPHA);
    expect(flow.segments).toBeLessThan(14 + 11 * ALPHA);
    let rounds = 10;
    for (; flow.segments < 20.5; rounds++) flow.round();
    expect(rounds).toBeLessThan(6 / ALPHA + 6);
    const before = flow.segments;
    flow.rounds(10);
    expect(flow.segments - before).toBeGreaterThan(9);
    expect(flow.segments - before).toBeLessThan(11);
  });

  test('a lower peak than the last one sets a lower target: fast convergence [9438-11]', () => {
    const kept = new Flow(1000, 100_000).lose();
    const shared = new Flow(1000, 100_000).lose();
    shared.c.cWnd = 800 * MSS;
    shared.lose();
    // W_max is 800 * (1 + beta) / 2 = 680: the plateau is there, and no longer at 800.
    const seconds = Math.cbrt((680 - 560) / C);
    shared.rounds(Math.round(seconds * 10));
    expect(Math.abs(shared.segments - 680)).toBeLessThan(3);
    kept.rounds(Math.round(K * 10));
    expect(Math.abs(kept.segments - 1000)).toBeLessThan(3);
  });

  test('time in which the window was not used does not count [9438-1]', () => {
    const used = new Flow(1000, 100_000).lose();
    const paused = new Flow(1000, 100_000).lose();
    used.rounds(20);
    paused.rounds(20);
    const before = paused.segments;
    for (let i = 0; i < 50; i++) paused.round(false);
    expect(paused.segments).toBe(before);
    paused.nowUs += 5_000_000;
    used.rounds(10);
    paused.rounds(11);
    expect(Math.abs(paused.segments - used.segments)).toBeLessThan(8);
  });

  test('after a timeout it begins where slow start ends, at the foot of the convex part [9438-12]', () => {
    const flow = new Flow(1000, 100_000);
    cubic.onTimeout(flow.c, 1000 * MSS, true, flow.nowUs);
    while (flow.c.cWnd < flow.c.ssThresh) flow.round();
    const start = flow.segments;
    const sinceUs = flow.nowUs;
    flow.rounds(100);
    const t = (flow.nowUs - sinceUs) / 1e6;
    expect(flow.segments).toBeGreaterThan(wCubic(t - 0.2, 0, start) - 1);
    expect(flow.segments).toBeLessThan(wCubic(t + 0.2, 0, start) + 1);
  });

  test('a timeout that was in vain changes nothing: the window goes on along its curve [9438-13, 9438-14]', () => {
    const undisturbed = new Flow(1000, 100_000).lose().rounds(20);
    const undone = new Flow(1000, 100_000).lose().rounds(20);
    const { cWnd } = undone.c;
    cubic.onTimeout(undone.c, cWnd, true, undone.nowUs);
    cubic.onTimeoutUndone(undone.c);
    undone.c.cWnd = cWnd;
    undone.c.ssThresh = cWnd;
    undisturbed.rounds(40);
    undone.rounds(40);
    expect(Math.abs(undone.segments - undisturbed.segments)).toBeLessThan(10);
  });

  test('never lets the window fall, nor grow beyond its bounds, whatever is acknowledged and when', () => {
    const ack = fc.tuple(
      fc.nat({ max: 200_000 }),
      fc.nat({ max: 3_000_000 }),
      fc.boolean(),
      fc.integer({ min: 0, max: 40 }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), fc.array(ack, { maxLength: 80 }), (segments, acks) => {
        const { c } = new Flow(segments, 30_000);
        let nowUs = START_US;
        for (const [bytes, waitUs, isLimited, event] of acks) {
          nowUs += waitUs;
          const before = c.cWnd;
          if (event === 0) cubic.onLoss(c, c.cWnd, 0, nowUs);
          else if (event === 1) cubic.onTimeout(c, c.cWnd, true, nowUs);
          else if (event === 2) cubic.onAdopted(c, nowUs);
          else if (event === 3) cubic.onRestart(c, 10 * MSS);
          else {
            cubic.onAck(c, Math.min(bytes, c.cWnd), isLimited, nowUs);
            expect(c.cWnd).toBeGreaterThanOrEqual(before);
            expect(c.cWnd - before).toBeLessThanOrEqual(Math.max(bytes, MSS) + 1);
          }
          expect(Number.isInteger(c.cWnd)).toBe(true);
          expect(c.cWnd).toBeGreaterThanOrEqual(MSS);
          expect(c.cWnd).toBeLessThanOrEqual(Math.max(CWND_MAX, segments * MSS));
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('a move (STATE-057)', () => {
  test.each([20, 67, 120])(
    'goes on along the same curve: CWND and SSTHRESH say where it was, %i round trips after the loss',
    (rounds) => {
      const stayed = new Flow(1000, 100_000).lose().rounds(rounds);
      const moved = new Flow(1000, 100_000);
      moved.c.cWnd = stayed.c.cWnd;
      moved.c.ssThresh = stayed.c.ssThresh;
      moved.nowUs = stayed.nowUs;
      cubic.onAdopted(moved.c, moved.nowUs);
      stayed.rounds(40);
      moved.rounds(40);
      expect(Math.abs(moved.segments - stayed.segments) / stayed.segments).toBeLessThan(0.04);
    },
  );
});

describe('the choice of a congestion control', () => {
  test("by name for all connections, and for one of them; NewReno where nobody chooses, as the chimney's rules have it (TCP-115)", () => {
    const { c } = new Flow(10, 10_000);
    expect(tcpParameters().congestion).toBe(newReno);
    const p = tcpParameters({ congestion: 'cubic' });
    expect(congestionOf(c, p)).toBe(cubic);
    chooseCongestion(c, 'newreno');
    expect(congestionOf(c, p)).toBe(newReno);
  });

  test('a name that does not exist is refused with the names that do', () => {
    expect(() => congestionControl('bbr' as 'cubic')).toThrow("congestion is 'newreno' or 'cubic', not 'bbr'");
    expect(() => tcpParameters({ congestion: 'bbr' as 'cubic' })).toThrow(TypeError);
  });
});

test('the constants are those of RFC 9438 [9438-8, 9438-17, 9438-3]', () => {
  expect([C, BETA]).toEqual([0.4, 0.7]);
  expect(ALPHA).toBeCloseTo(0.529, 3);
});
