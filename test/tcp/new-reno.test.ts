/** NewReno's windows: RFC 5681, 6582, 6928 and 3465, window by window. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TcpConstFlag } from '../../src/state/tcp.ts';
import {
  CWND_MAX,
  initialWindowBytes,
  SS_THRESH_INITIAL,
  senderMss,
} from '../../src/tcp/congestion/congestion-control.ts';
import { NewReno, newReno } from '../../src/tcp/congestion/new-reno.ts';
import { RECORD_WORDS, TcpConnection } from '../../src/tcp/connection.ts';

const MSS = 1000;

function connection(mss = MSS): TcpConnection {
  const words = new Int32Array(RECORD_WORDS);
  const c = new TcpConnection(words, new Float64Array(words.buffer), 0, 0);
  c.effectiveMss = mss;
  return c;
}

/** In slow start with a window of `segments`. */
function started(segments = 10): TcpConnection {
  const c = connection();
  newReno.onConnected(c, segments * MSS);
  return c;
}

/** In congestion avoidance with a window of `segments`. */
function avoiding(segments: number): TcpConnection {
  const c = started(segments);
  c.ssThresh = c.cWnd;
  return c;
}

describe('the initial window', () => {
  test('is min(10 SMSS, max(2 SMSS, 14600)) (RFC 6928 2)', () => {
    expect(initialWindowBytes(connection(1460), 10)).toBe(14600);
    expect(initialWindowBytes(connection(536), 10)).toBe(5360);
    expect(initialWindowBytes(connection(9000), 10)).toBe(18000);
  });

  test('is one segment when the SYN was lost (RFC 5681 3.1, 5681-6)', () => {
    expect(initialWindowBytes(connection(1460), 10, true)).toBe(1460);
  });

  test('counts segments as they are sent, without the timestamps option (RFC 5681 2, SMSS)', () => {
    const c = connection(1460);
    c.constFlags = TcpConstFlag.TIMESTAMP_ENABLED;
    expect(senderMss(c)).toBe(1448);
  });

  test('SSTHRESH starts arbitrarily high (RFC 5681 3.1, 5681-8)', () => {
    expect(started().ssThresh).toBe(SS_THRESH_INITIAL);
  });
});

describe('slow start', () => {
  test('adds what was acknowledged, at most L segments an ACK: eight until something is lost (RFC 5681 3.1 equation 2, RFC 9406 4.3, TCP-115)', () => {
    const c = started(10);
    newReno.onAck(c, MSS, true, 0);
    expect(c.cWnd).toBe(11 * MSS);
    newReno.onAck(c, 2 * MSS, true, 0);
    expect(c.cWnd).toBe(13 * MSS);
    newReno.onAck(c, 20 * MSS, true, 0);
    expect(c.cWnd).toBe(21 * MSS);
    const strict = started(10);
    new NewReno(1).onAck(strict, 20 * MSS, true, 0);
    expect(strict.cWnd).toBe(11 * MSS);
  });

  test('after a loss an ACK adds two segments at most (RFC 3465 2.2)', () => {
    const c = started(100);
    newReno.onTimeout(c, 100 * MSS, true, 0);
    newReno.onAck(c, 20 * MSS, true, 0);
    expect(c.cWnd).toBe(3 * MSS);
  });

  test('gains nothing from an ACK split into many (5681-11)', () => {
    const c = started(10);
    for (let i = 0; i < 100; i++) newReno.onAck(c, MSS / 100, true, 0);
    expect(c.cWnd).toBe(11 * MSS);
  });

  test('does not overshoot SSTHRESH; what is beyond counts for congestion avoidance', () => {
    const c = started(10);
    c.ssThresh = 10_500;
    newReno.onAck(c, 2 * MSS, true, 0);
    expect(c.cWnd).toBe(10_500);
  });

  test('a window that is not used does not grow (RFC 7661 4.1)', () => {
    const c = started(10);
    newReno.onAck(c, 2 * MSS, false, 0);
    expect(c.cWnd).toBe(10 * MSS);
  });
});

describe('congestion avoidance', () => {
  test('adds one segment for each window acknowledged, however the ACKs come (RFC 5681 3.1, 5681-12, 5681-13)', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 5 * MSS }), { minLength: 50, maxLength: 400 }), (acks) => {
        const c = avoiding(20);
        let acked = 0;
        for (const bytes of acks) {
          newReno.onAck(c, bytes, true, 0);
          acked += bytes;
        }
        // Windows of 20, 21, 22 ... segments fit into what was acknowledged.
        let grown = 0;
        let left = acked;
        while (left >= (20 + grown) * MSS) {
          left -= (20 + grown) * MSS;
          grown++;
        }
        expect(c.cWnd).toBe((20 + grown) * MSS);
      }),
    );
  });

  test('grows by at least a byte a window even where a segment is tiny beside it (5681-14), and never beyond the largest window', () => {
    const c = connection(88);
    newReno.onConnected(c, CWND_MAX - 100);
    c.ssThresh = 1000;
    newReno.onAck(c, CWND_MAX, true, 0);
    expect(c.cWnd).toBe(CWND_MAX - 12);
    newReno.onAck(c, CWND_MAX, true, 0);
    newReno.onAck(c, CWND_MAX, true, 0);
    expect(c.cWnd).toBe(CWND_MAX);
  });
});

describe('loss', () => {
  test('halves the flight, at least two segments, whatever CWND was (RFC 5681 equation 4, 5681-15)', () => {
    const c = avoiding(40);
    newReno.onLoss(c, 16 * MSS, 0, 0);
    expect([c.ssThresh, c.cWnd]).toEqual([8 * MSS, 8 * MSS]);
    newReno.onLoss(c, MSS, 0, 0);
    expect(c.ssThresh).toBe(2 * MSS);
  });

  test('without SACK the window is inflated by what has left the network (RFC 5681 3.2 steps 3 and 4, 5681-24)', () => {
    const c = avoiding(10);
    newReno.onLoss(c, 10 * MSS, 3, 0);
    expect(c.cWnd).toBe(8 * MSS);
    newReno.onDuplicateAck(c, 10 * MSS);
    expect(c.cWnd).toBe(9 * MSS);
  });

  test('forged duplicate ACKs inflate it by no more than what was outstanding (RFC 5681 4.3 and 3.2, 5681-25)', () => {
    const c = avoiding(10);
    newReno.onLoss(c, 10 * MSS, 3, 0);
    for (let i = 0; i < 1000; i++) newReno.onDuplicateAck(c, 10 * MSS);
    expect(c.cWnd).toBe((5 + 10 + 1) * MSS);
  });

  test('a partial ACK deflates by what it acknowledges and gives one segment back (RFC 6582 3.2 step 3, 6582-1)', () => {
    const c = avoiding(20);
    newReno.onLoss(c, 20 * MSS, 3, 0);
    newReno.onPartialAck(c, 3 * MSS);
    expect(c.cWnd).toBe(11 * MSS);
    newReno.onPartialAck(c, MSS / 2);
    expect(c.cWnd).toBe(10.5 * MSS);
    newReno.onPartialAck(c, 50 * MSS);
    expect(c.cWnd).toBe(MSS);
  });

  test('recovery ends at SSTHRESH, without a burst where little is in flight (RFC 5681 3.2 step 6, 5681-26, RFC 6582 3.2)', () => {
    const full = avoiding(20);
    newReno.onLoss(full, 20 * MSS, 3, 0);
    newReno.onRecovered(full, 15 * MSS, false, 0);
    expect(full.cWnd).toBe(10 * MSS);
    const empty = avoiding(20);
    newReno.onLoss(empty, 20 * MSS, 3, 0);
    newReno.onRecovered(empty, 0, false, 0);
    expect(empty.cWnd).toBe(2 * MSS);
    const sack = avoiding(20);
    newReno.onLoss(sack, 20 * MSS, 0, 0);
    newReno.onRecovered(sack, 0, true, 0);
    expect(sack.cWnd).toBe(10 * MSS);
  });

  test('a timeout leaves one segment; SSTHRESH falls at the first expiry for a segment only (5681-15, 5681-16)', () => {
    const c = avoiding(20);
    newReno.onTimeout(c, 20 * MSS, true, 0);
    expect([c.cWnd, c.ssThresh]).toEqual([MSS, 10 * MSS]);
    newReno.onTimeout(c, MSS, false, 0);
    expect([c.cWnd, c.ssThresh]).toEqual([MSS, 10 * MSS]);
  });

  test('after a long pause the window restarts at the initial one or stays where it is smaller (RFC 5681 4.1, 5681-27)', () => {
    const large = avoiding(40);
    newReno.onRestart(large, 10 * MSS);
    expect(large.cWnd).toBe(10 * MSS);
    const small = avoiding(3);
    newReno.onRestart(small, 10 * MSS);
    expect(small.cWnd).toBe(3 * MSS);
  });

  test('a smaller segment size takes the window down with it, by the ratio (5681-7)', () => {
    const c = avoiding(20);
    c.effectiveMss = 500;
    newReno.onMssReduced(c, 1000);
    expect(c.cWnd).toBe(10_000);
  });
});

describe('laws of NewReno', () => {
  const event = fc.oneof(
    fc.record({ do: fc.constant('ack' as const), bytes: fc.nat({ max: 100_000 }), limited: fc.boolean() }),
    fc.record({ do: fc.constant('loss' as const), bytes: fc.nat({ max: 2 ** 30 }), limited: fc.boolean() }),
    fc.record({ do: fc.constant('dup' as const), bytes: fc.nat({ max: 2 ** 30 }), limited: fc.boolean() }),
    fc.record({ do: fc.constant('partial' as const), bytes: fc.nat({ max: 100_000 }), limited: fc.boolean() }),
    fc.record({ do: fc.constant('recovered' as const), bytes: fc.nat({ max: 2 ** 30 }), limited: fc.boolean() }),
    fc.record({ do: fc.constant('timeout' as const), bytes: fc.nat({ max: 2 ** 30 }), limited: fc.boolean() }),
    fc.record({ do: fc.constant('restart' as const), bytes: fc.nat({ max: 2 ** 20 }), limited: fc.boolean() }),
  );

  test('whatever happens, the window is at least a segment and an int32, SSTHRESH at least two segments', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 100 }), (events) => {
        const c = started();
        for (const e of events) {
          if (e.do === 'ack') newReno.onAck(c, e.bytes, e.limited, 0);
          else if (e.do === 'loss') newReno.onLoss(c, e.bytes, e.limited ? 3 : 0, 0);
          else if (e.do === 'dup') newReno.onDuplicateAck(c, e.bytes);
          else if (e.do === 'partial') newReno.onPartialAck(c, e.bytes);
          else if (e.do === 'recovered') newReno.onRecovered(c, e.bytes, e.limited, 0);
          else if (e.do === 'timeout') newReno.onTimeout(c, e.bytes, e.limited, 0);
          else newReno.onRestart(c, Math.max(MSS, e.bytes));
          expect(c.cWnd).toBeGreaterThanOrEqual(MSS);
          expect(c.cWnd).toBeLessThanOrEqual(CWND_MAX);
          expect(c.ssThresh).toBeGreaterThanOrEqual(2 * MSS);
        }
      }),
    );
  });
});
