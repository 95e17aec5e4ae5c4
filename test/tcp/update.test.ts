/** Updates of cached variables: what is taken over, and the one-time actions. chimney-sequences 9. */
import { describe, expect, test } from 'vitest';
import { NEVER } from '../../src/base/runtime.ts';
import { MAX_RT_NO_LIMIT, TcpCachedFlag, TcpCachedState, TcpConstFlag } from '../../src/state/tcp.ts';
import { Moment } from '../../src/tcp/connection.ts';
import { Effect } from '../../src/tcp/effects.ts';
import { onDeadline } from '../../src/tcp/on-deadline.ts';
import { applyCached, writeCached } from '../../src/tcp/transfer.ts';
import { Bench } from './support/record.ts';
import { writeOut } from './support/write-out.ts';

describe('an update of cached variables', () => {
  function update(b: Bench, change: (cached: TcpCachedState) => void): number {
    const cached = new TcpCachedState();
    writeCached(b.c, cached);
    change(cached);
    return applyCached(b.c, b.p, cached, b.nowUs);
  }
  const at = (b: Bench): number => b.c.moments[b.c.momentBase + Moment.KEEP_ALIVE]!;

  test('switches keepalive on and off (STATE-030, UPD-013)', () => {
    const b = new Bench().establish();
    update(b, (cached) => {
      cached.flags = TcpCachedFlag.KEEP_ALIVE_ENABLED;
      cached.kaTimeout = 5000;
    });
    expect(at(b)).toBe(b.nowUs + 5_000_000);
    update(b, (cached) => {
      cached.flags = 0;
    });
    expect(at(b)).toBe(NEVER);
  });

  test('action flags are done and not kept (STATE-032)', () => {
    const b = new Bench().establish();
    update(b, (cached) => {
      cached.flags = 31;
    });
    expect(b.c.cachedFlags).toBe(TcpCachedFlag.KEEP_ALIVE_ENABLED | TcpCachedFlag.NAGLING_ENABLED);
  });

  test('KEEP_ALIVE_RESTART begins the keepalive anew (UPD-021)', () => {
    const b = new Bench().establish();
    b.c.cachedFlags = TcpCachedFlag.KEEP_ALIVE_ENABLED;
    b.c.kaTimeout = 5000;
    b.c.keepAliveProbeCount = 2;
    b.c.moments[b.c.momentBase + Moment.KEEP_ALIVE] = b.nowUs + 1;
    update(b, (cached) => {
      cached.flags |= TcpCachedFlag.KEEP_ALIVE_RESTART;
    });
    expect(at(b)).toBe(b.nowUs + 5_000_000);
    expect(b.c.keepAliveProbeCount).toBe(0);
  });

  test('MAX_RT_RESTART zeroes TotalRT; only with it a new KaProbeCount zeroes the count and new times the timer (UPD-018, UPD-019, UPD-020)', () => {
    const b = new Bench().establish();
    b.c.cachedFlags = TcpCachedFlag.KEEP_ALIVE_ENABLED;
    b.c.kaTimeout = 5000;
    b.c.keepAliveProbeCount = 2;
    b.c.retransmitCount = 1;
    b.c.moments[b.c.momentBase + Moment.KEEP_ALIVE] = b.nowUs + 1;
    b.c.moments[b.c.momentBase + Moment.RETRANSMIT_SINCE] = b.nowUs - 9_000_000;
    update(b, (cached) => {
      cached.kaProbeCount = 7;
      cached.kaTimeout = 6000;
    });
    expect(b.c.keepAliveProbeCount).toBe(2);
    expect(at(b)).toBe(b.nowUs + 1);
    expect(writeOut(b.c, b.p, b.nowUs).delegated.totalRt).toBe(9000);
    update(b, (cached) => {
      cached.flags |= TcpCachedFlag.MAX_RT_RESTART;
      cached.kaProbeCount = 8;
      cached.kaTimeout = 7000;
    });
    expect(b.c.keepAliveProbeCount).toBe(0);
    expect(at(b)).toBe(b.nowUs + 7_000_000);
    expect(writeOut(b.c, b.p, b.nowUs).delegated.totalRt).toBe(0);
  });

  test('UPDATE_RCV_WND tells the peer the new window, which never moves its right edge back (UPD-016, UPD-017, STATE-033)', () => {
    const b = new Bench({ options: TcpConstFlag.WINDOW_SCALING_ENABLED });
    b.establish();
    const before = b.c.rcvAdv;
    const { receiveSpace: space, initialRcvWnd: window } = b.c;
    const grow = update(b, (cached) => {
      cached.flags |= TcpCachedFlag.UPDATE_RCV_WND;
      cached.initialRcvWnd = 30_000;
    });
    expect(grow).toBe(Effect.TRANSMIT);
    expect(b.c.receiveSpace - space).toBe(30_000 - window);
    expect(b.sent().length).toBe(1);
    expect(b.c.rcvAdv).toBe(before);
    update(b, (cached) => {
      cached.flags |= TcpCachedFlag.UPDATE_RCV_WND;
      cached.initialRcvWnd = b.c.rcvWnd;
    });
    expect(b.sent()).toEqual([]);
  });

  test('MaxRT overrides the count: a time, for ever, or neither (STATE-040 to STATE-044, TCP-021)', () => {
    const b = new Bench({ maximumRetransmissions: 1 }).establish();
    b.c.maxRt = MAX_RT_NO_LIMIT;
    b.write(10);
    b.sent();
    const expire = (): number => {
      b.nowUs = b.c.moments[b.c.momentBase + Moment.RETRANSMIT]!;
      const effects = onDeadline(b.c, b.p, b.nowUs);
      b.sent();
      return effects;
    };
    for (let i = 0; i < 40; i++) expect(expire() & Effect.TIMED_OUT).toBe(0);
    // Nor when so many ticks have gone by as the number says.
    b.nowUs += MAX_RT_NO_LIMIT * 1_000;
    expect(onDeadline(b.c, b.p, b.nowUs) & Effect.TIMED_OUT).toBe(0);
    b.sent();
    const startUs = b.nowUs;
    // A MaxRT that is new counts from now on (STATE-044).
    update(b, (cached) => {
      cached.maxRt = 300_000;
    });
    let effects = 0;
    while ((effects & Effect.TIMED_OUT) === 0) effects = expire();
    expect(b.nowUs - startUs).toBeGreaterThanOrEqual(300_000_000);
    expect(b.nowUs - startUs).toBeLessThanOrEqual(300_000_000 + b.p.rtoMaxUs);
  });
});
