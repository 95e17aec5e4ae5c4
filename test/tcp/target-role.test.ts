/** What a target does otherwise than a host: urgent data, SYNs, resets, giving up. chimney-sequences 20 and 21. */
import { describe, expect, test } from 'vitest';
import { NEVER } from '../../src/base/runtime.ts';
import { TcpConnectionState as State, TcpCachedFlag, TcpDelegatedState } from '../../src/state/tcp.ts';
import { Moment } from '../../src/tcp/connection.ts';
import { Effect } from '../../src/tcp/effects.ts';
import { onDeadline, soonestDeadline } from '../../src/tcp/on-deadline.ts';
import { closeSend } from '../../src/tcp/on-send.ts';
import { writeDelegated } from '../../src/tcp/transfer.ts';
import { TcpFlag } from '../../src/wire/tcp-segment.ts';
import { Bench } from './support/record.ts';

const { SYN, ACK, RST, URG, FIN } = TcpFlag;
const target = (): Bench => new Bench({ role: 'target' }).establish();

/** The soonest deadline, exactly. */
function soonest(b: Bench): number {
  onDeadline(b.c, b.p, b.nowUs);
  return soonestDeadline(b.c);
}

/** Lets the soonest deadline come; answers the effects. */
function expire(b: Bench): number {
  onDeadline(b.c, b.p, b.nowUs);
  b.nowUs = Math.max(b.nowUs, soonestDeadline(b.c));
  return onDeadline(b.c, b.p, b.nowUs);
}

describe('urgent data at a target', () => {
  test('a valid URG segment is left as if it had not come, not even acknowledged (TCP-079, TCP-081, TCP-082, TCP-087)', () => {
    const b = target();
    const words = Array.from(b.c.words.subarray(b.c.base, b.c.base + 96));
    expect(b.receive(ACK | URG, 1, 1, 100)).toBe(Effect.URGENT);
    expect(Array.from(b.c.words.subarray(b.c.base, b.c.base + 96))).toEqual(words);
    expect(b.sent()).toEqual([]);
  });

  test('one outside the window or with an impossible ACK is discarded and the connection goes on (TCP-080)', () => {
    const b = target();
    expect(b.receive(ACK | URG, 100_000, 1, 100) & Effect.URGENT).toBe(0);
    expect(b.receive(ACK | URG, 1, 5000, 100) & Effect.URGENT).toBe(0);
    b.sent();
    expect(b.receive(ACK, 1, 1, 100) & Effect.TEXT).toBe(Effect.TEXT);
  });
});

describe('SYN at a target', () => {
  test('in order: the connection is to be uploaded in CLOSED (TCP-089)', () => {
    const b = target();
    expect(b.receive(SYN, 1, 0)).toBe(Effect.SYN_IN_ORDER);
    expect(b.c.state).toBe(State.CLOSED);
  });

  test('outside the window: one ACK each, however many (TCP-090, TCP-092, TCP-093)', () => {
    const b = target();
    for (let i = 0; i < 50; i++) {
      expect(b.receive(SYN, 200_000 + i, 0) & Effect.TRANSMIT).not.toBe(0);
      expect(b.sent()).toEqual(['. 1+0 1']);
    }
    expect(soonest(b)).toBe(NEVER);
  });

  test('in the window: one challenge in three seconds, and keepalive within five minutes (TCP-094, TCP-099)', () => {
    const b = target();
    b.receive(SYN, 10, 0);
    expect(b.sent()).toEqual(['. 1+0 1']);
    b.nowUs += 2_900_000;
    b.receive(SYN, 20, 0);
    expect(b.sent()).toEqual([]);
    b.nowUs += 200_000;
    b.receive(SYN, 20, 0);
    expect(b.sent()).toEqual(['. 1+0 1']);
    expect(soonest(b)).toBe(5_000_000_000 + 300_000_000);
  });

  test('in TIME-WAIT: not for the target (TCP-088)', () => {
    const b = target();
    closeSend(b.c, b.p, b.nowUs);
    b.sent();
    b.receive(ACK | FIN, 1, 2);
    expect(b.c.state).toBe(State.TIME_WAIT);
    b.sent();
    expect(b.receive(SYN, 1, 0)).toBe(Effect.DROPPED | Effect.REOPEN);
    expect(b.sent()).toEqual([]);
  });
});

describe('RST at a target', () => {
  test('at RCV.NXT ends the connection, outside the window does nothing (TCP-095, TCP-096)', () => {
    const b = target();
    expect(b.receive(RST, 100_000, 0)).toBe(Effect.DROPPED);
    expect(b.sent()).toEqual([]);
    expect(b.receive(RST, 1, 0)).toBe(Effect.ABORTED);
    expect(b.c.state).toBe(State.CLOSED);
  });

  test('elsewhere in the window: one challenge ACK until an acceptable segment comes (TCP-097, TCP-098)', () => {
    const b = target();
    b.receive(RST, 10, 0);
    expect(b.sent()).toEqual(['. 1+0 1']);
    b.nowUs += 60_000_000;
    b.receive(RST, 11, 0);
    expect(b.sent()).toEqual([]);
    b.receive(ACK, 1, 1);
    b.receive(RST, 12, 0);
    expect(b.sent()).toEqual(['. 1+0 1']);
  });
});

describe('the blind-reset defence', () => {
  test('an acceptable segment stops the timer that only the defence had started (TCP-106)', () => {
    const b = target();
    b.receive(RST, 10, 0);
    expect(soonest(b)).not.toBe(NEVER);
    b.receive(ACK, 1, 1);
    expect(soonest(b)).toBe(NEVER);
  });

  test('with keepalive on, the timer is drawn to five minutes, and back to normal by an acceptable segment (TCP-100, TCP-107)', () => {
    const b = target();
    b.c.cachedFlags = TcpCachedFlag.KEEP_ALIVE_ENABLED;
    b.c.kaTimeout = 3_600_000;
    b.c.moments[b.c.momentBase + Moment.KEEP_ALIVE] = b.nowUs + 3_600_000_000;
    b.receive(RST, 10, 0);
    expect(b.c.moments[b.c.momentBase + Moment.KEEP_ALIVE]).toBe(b.nowUs + 300_000_000);
    b.receive(ACK, 1, 1);
    expect(b.c.moments[b.c.momentBase + Moment.KEEP_ALIVE]).toBe(b.nowUs + 3_600_000_000);
  });

  test('ten probes a second apart, then CLOSED; probes counted before count (TCP-101, TCP-102, TCP-103, TCP-104)', () => {
    const b = target();
    b.sent();
    b.receive(RST, 10, 0);
    b.sent();
    b.c.keepAliveProbeCount = 3;
    const moments: number[] = [];
    let effects = expire(b);
    while ((effects & Effect.TIMED_OUT) === 0) {
      expect(b.sent()).toEqual(['. 0+0 1']);
      moments.push(b.nowUs);
      effects = expire(b);
    }
    expect(moments.length).toBe(7);
    expect(moments[1]! - moments[0]!).toBe(1_000_000);
    expect(b.c.state).toBe(State.CLOSED);
  });

  test('in the middle of it the upload shows probes sent and time left (TCP-105)', () => {
    const b = target();
    b.receive(RST, 10, 0);
    expire(b);
    b.nowUs += 400_000;
    const out = new TcpDelegatedState();
    writeDelegated(b.c, b.p, out, b.nowUs);
    expect(out.keepAliveProbeCount).toBe(1);
    expect(out.keepAliveTimeoutDelta).toBe(600);
  });
});

describe('a target that gives up', () => {
  test('leaves the connection as it is, for an upload whose timer has expired (TCP-011, TCP-012, TCP-020)', () => {
    const b = new Bench({ role: 'target', maximumRetransmissions: 2 }).establish();
    b.write(100);
    expect(b.sent()).toEqual(['P. 1+100 1']);
    for (let i = 0; i < 2; i++) {
      expire(b);
      expect(b.sent()).toEqual(['P. 1+100 1']);
    }
    expect(expire(b)).toBe(Effect.TIMED_OUT);
    expect(b.c.state).toBe(State.ESTABLISHED);
    expect(b.sent()).toEqual([]);
    const out = new TcpDelegatedState();
    writeDelegated(b.c, b.p, out, b.nowUs);
    expect(out.retransmitTimeoutDelta).toBe(0);
    expect(out.retransmitCount).toBe(2);
  });

  test('after the FIN-WAIT-2 time it is CLOSED; an acceptable segment starts that time anew (TCP-022 to TCP-026)', () => {
    const b = target();
    closeSend(b.c, b.p, b.nowUs);
    b.sent();
    b.receive(ACK, 1, 2);
    expect(b.c.state).toBe(State.FIN_WAIT2);
    b.nowUs += 100_000_000;
    b.receive(ACK, 1, 2, 10);
    b.sent();
    b.nowUs += 119_999_999;
    expect(onDeadline(b.c, b.p, b.nowUs) & Effect.TIMED_OUT).toBe(0);
    b.nowUs += 1;
    expect(onDeadline(b.c, b.p, b.nowUs) & Effect.TIMED_OUT).toBe(Effect.TIMED_OUT);
    expect(b.c.state).toBe(State.CLOSED);
  });
});
