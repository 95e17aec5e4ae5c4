/** Round-trip times: RFC 6298's arithmetic in microseconds, Karn's rule, timestamps, and the interface's units. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { asSeq } from '../../src/base/seq.ts';
import { TcpWord } from '../../src/state/tcp.ts';
import { RECORD_WORDS, TcpConnection } from '../../src/tcp/connection.ts';
import {
  ageRttMin,
  backOff,
  echoedRttUs,
  noteSynTimeout,
  onRttSample,
  RTT_MAX_US,
  RTT_MIN_VALID_S,
  readRttTicks,
  resetRtt,
  rtoUs,
  rttMinUs,
  rttVarUs,
  sRttUs,
  startTiming,
  stopTiming,
  timedRttUs,
  writeRttTicks,
} from '../../src/tcp/rtt.ts';

const P = { rtoMinUs: 200_000, rtoMaxUs: 120_000_000, rtoInitialUs: 1_000_000 };
/** No floor: RFC 6298's formula as it stands. */
const BARE = { rtoMinUs: 1, rtoMaxUs: 1e12, rtoInitialUs: 1_000_000 };

function connection(): TcpConnection {
  const words = new Int32Array(RECORD_WORDS);
  return new TcpConnection(words, new Float64Array(words.buffer), 0, 0);
}

test('the least round trip is forgotten when it has not been seen for minutes: the path may have become longer [8985-2]', () => {
  const c = connection();
  let nowUs = 4_000_000_000;
  const measure = (rttUs: number): number => {
    onRttSample(c, rttUs);
    ageRttMin(c, rttUs, nowUs);
    return rttMinUs(c);
  };
  onRttSample(c, 10_000);
  expect(measure(30_000)).toBe(10_000);
  nowUs += (RTT_MIN_VALID_S - 1) * 1e6;
  expect(measure(25_000)).toBe(10_000);
  expect(measure(10_000)).toBe(10_000);
  nowUs += (RTT_MIN_VALID_S - 1) * 1e6;
  expect(measure(30_000)).toBe(10_000);
  nowUs += 2e6;
  expect(measure(40_000)).toBe(40_000);
  expect(measure(20_000)).toBe(20_000);
});

describe('the retransmission timeout', () => {
  test('is 1 s before anything was measured (RFC 6298 2.1)', () => {
    const c = connection();
    expect(sRttUs(c)).toBe(0);
    expect(rtoUs(c, P)).toBe(1_000_000);
  });

  test('the first sample sets SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 RTTVAR (RFC 6298 2.2, TCP-119, TCP-108)', () => {
    const c = connection();
    onRttSample(c, 100_000);
    expect([sRttUs(c), rttVarUs(c), rtoUs(c, BARE)]).toEqual([100_000, 50_000, 300_000]);
  });

  test('later samples change RTTVAR before SRTT, by 1/4 and 1/8 (RFC 6298 2.3)', () => {
    const c = connection();
    onRttSample(c, 100_000);
    onRttSample(c, 180_000);
    // RTTVAR = 3/4 * 50 + 1/4 * |100 - 180| = 57.5 ms, SRTT = 7/8 * 100 + 1/8 * 180 = 110 ms.
    expect([sRttUs(c), rttVarUs(c), rtoUs(c, BARE)]).toEqual([110_000, 57_500, 340_000]);
  });

  test('never falls to the round trip itself: the variation has a floor, so the least RTO is above rtoMin (RFC 6298 2.4)', () => {
    const c = connection();
    for (let i = 0; i < 200; i++) onRttSample(c, 300);
    expect(rttVarUs(c)).toBeLessThan(5);
    expect(rtoUs(c, P)).toBe(200_300);
  });

  test('doubles at each expiry up to its bound, and a sample ends that (RFC 6298 5.5, 2.5)', () => {
    const c = connection();
    onRttSample(c, 100_000);
    const first = rtoUs(c, P);
    const seen = [];
    for (let i = 0; i < 12; i++) {
      backOff(c);
      seen.push(rtoUs(c, P));
    }
    expect(seen.slice(0, 3)).toEqual([2 * first, 4 * first, 8 * first]);
    expect(seen.at(-1)).toBe(120_000_000);
    for (let i = 0; i < 100; i++) backOff(c);
    expect(rtoUs(c, P)).toBe(120_000_000);
    onRttSample(c, 100_000);
    expect(rtoUs(c, P)).toBeLessThanOrEqual(first);
  });

  test('is 3 s when data begins after a lost SYN without a sample, and what a sample says with one (RFC 6298 5.7)', () => {
    const c = connection();
    backOff(c);
    noteSynTimeout(c);
    expect(rtoUs(c, P)).toBe(3_000_000);
    onRttSample(c, 100_000);
    expect(rtoUs(c, P)).toBe(300_000);
  });

  test('RFC 6298 in floating point says the same to within a microsecond or two, for any samples', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 5_000_000 }), { minLength: 1, maxLength: 100 }), (samples) => {
        const c = connection();
        let srtt = 0;
        let rttvar = 0;
        samples.forEach((rtt, i) => {
          onRttSample(c, rtt);
          if (i === 0) {
            srtt = rtt;
            rttvar = rtt / 2;
          } else {
            rttvar = 0.75 * rttvar + 0.25 * Math.abs(srtt - rtt);
            srtt = 0.875 * srtt + 0.125 * rtt;
          }
        });
        expect(Math.abs(sRttUs(c) - srtt)).toBeLessThan(2);
        expect(Math.abs(rttVarUs(c) - rttvar)).toBeLessThan(2);
        expect(rttMinUs(c)).toBe(Math.min(...samples));
      }),
    );
  });

  test('the most absurd samples do not overflow the record', () => {
    const c = connection();
    for (const rtt of [1e15, RTT_MAX_US, 0, -5, 1, 1e12]) {
      onRttSample(c, rtt);
      expect(sRttUs(c)).toBeGreaterThan(0);
      expect(rtoUs(c, P)).toBeGreaterThanOrEqual(200_000);
    }
  });

  test('many samples a round trip weigh less each (RFC 7323 appendix G)', () => {
    const once = connection();
    const often = connection();
    onRttSample(once, 100_000);
    onRttSample(often, 100_000);
    onRttSample(once, 200_000);
    for (let i = 0; i < 10; i++) onRttSample(often, 200_000, 10);
    expect(Math.abs(sRttUs(often) - sRttUs(once))).toBeLessThan(1_000);
  });
});

describe('samples', () => {
  test('one segment is timed at a time, from its first transmission to the ACK that covers it (RFC 6298 3, across the wrap)', () => {
    const c = connection();
    startTiming(c, asSeq(5), 1_000);
    startTiming(c, asSeq(500), 2_000);
    expect(timedRttUs(c, asSeq(-5), 3_000)).toBe(-1);
    expect(timedRttUs(c, asSeq(5), 4_000)).toBe(3_000);
    expect(timedRttUs(c, asSeq(500), 5_000)).toBe(-1);
  });

  test("Karn's rule: what was retransmitted gives no sample (RFC 6298 3)", () => {
    const c = connection();
    startTiming(c, asSeq(5), 1_000);
    stopTiming(c);
    expect(timedRttUs(c, asSeq(5), 4_000)).toBe(-1);
  });

  test('an echoed timestamp gives one also then; an echo from the future or from another age gives none (RFC 7323 4.1)', () => {
    expect(echoedRttUs(1_000, 1_250, 1000)).toBe(250_000);
    expect(echoedRttUs(-10, 15, 100)).toBe(250_000);
    expect(echoedRttUs(1_000, 1_000, 1000)).toBe(500);
    expect(echoedRttUs(1_001, 1_000, 1000)).toBe(-1);
    expect(echoedRttUs(1_000, 1_000 + 65_000, 1000)).toBe(-1);
  });
});

describe('across the interface', () => {
  test('SRtt is 8 times ticks and RttVar 4 times ticks, both ways (STATE-058, STATE-059)', () => {
    const c = connection();
    onRttSample(c, 100_000);
    writeRttTicks(c, 1000);
    expect([c.words[TcpWord.S_RTT], c.words[TcpWord.RTT_VAR]]).toEqual([800, 200]);
    resetRtt(c);
    readRttTicks(c, 1000);
    expect([sRttUs(c), rttVarUs(c)]).toEqual([100_000, 50_000]);
  });

  test('nothing measured crosses as 0 and stays nothing measured', () => {
    const c = connection();
    writeRttTicks(c, 1000);
    expect([c.words[TcpWord.S_RTT], c.words[TcpWord.RTT_VAR]]).toEqual([0, 0]);
    readRttTicks(c, 1000);
    expect(sRttUs(c)).toBe(0);
    expect(rtoUs(c, P)).toBe(1_000_000);
  });

  test('a round trip shorter than a tick is not lost, a very long one is bounded to a USHORT', () => {
    const c = connection();
    onRttSample(c, 20);
    writeRttTicks(c, 10);
    expect(c.words[TcpWord.S_RTT]).toBe(1);
    readRttTicks(c, 10);
    expect(sRttUs(c)).toBeGreaterThan(0);
    resetRtt(c);
    onRttSample(c, 60_000_000);
    writeRttTicks(c, 1000);
    expect(c.words[TcpWord.S_RTT]).toBe(65535);
  });

  test('a move there and back never shortens the timeout and lengthens it by less than a tick or two', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4_000_000 }),
        fc.integer({ min: 1, max: 4_000_000 }),
        fc.constantFrom(10, 100, 1000),
        (a, b, tps) => {
          const c = connection();
          onRttSample(c, a);
          onRttSample(c, b);
          const before = rtoUs(c, BARE);
          writeRttTicks(c, tps);
          readRttTicks(c, tps);
          const after = rtoUs(c, BARE);
          expect(after).toBeGreaterThanOrEqual(before - 2);
          expect(after).toBeLessThan(before + 2 * (1_000_000 / tps));
        },
      ),
    );
  });
});
