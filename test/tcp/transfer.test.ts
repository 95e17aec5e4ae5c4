/** Moving a connection: every variable of the DDI, and that what runs on afterwards is the same connection. */
import { describe, expect, test } from 'vitest';
import { NEVER } from '../../src/base/runtime.ts';
import { TcpConnectionState as State, TcpCachedFlag, TcpConstFlag } from '../../src/state/tcp.ts';
import { Moment, TcpMode } from '../../src/tcp/connection.ts';
import { Effect } from '../../src/tcp/effects.ts';
import { onDeadline } from '../../src/tcp/on-deadline.ts';
import { closeSend } from '../../src/tcp/on-send.ts';
import { type TcpParameters, tcpParameters } from '../../src/tcp/parameters.ts';
import { setReceiveSpace } from '../../src/tcp/receive-window.ts';
import { onRttSample, resetRtt, rttVarUs, sRttUs } from '../../src/tcp/rtt.ts';
import { timestampNow } from '../../src/tcp/timestamps.ts';
import { adopt, prepareTransfer, readDelegated, restoreSendData, takeSendData } from '../../src/tcp/transfer.ts';
import { TcpFlag } from '../../src/wire/tcp-segment.ts';
import { Bench } from './support/record.ts';
import { writeOut } from './support/write-out.ts';

const { ACK } = TcpFlag;

/** A target that took `from` over, on a clock of its own. */
function moved(from: Bench, changes: Partial<TcpParameters> = {}, skewUs = 0): Bench {
  const to = new Bench({ role: 'target', ...changes });
  to.nowUs = from.nowUs + skewUs;
  const parts = writeOut(from.c, from.p, from.nowUs);
  const chain = takeSendData(from.c);
  to.c.localMss = 1460;
  adopt(to.c, to.p, parts.constState, parts.cached, parts.delegated, to.nowUs);
  if (chain !== null) restoreSendData(to.c, to.p, chain);
  return to;
}

describe('times in the delegated state', () => {
  test('a timer that does not run is -1, one that has just expired is 0 (TCP-018, TCP-019, TCP-034, TCP-035, STATE-066, STATE-068, STATE-069)', () => {
    const b = new Bench().establish();
    let { delegated } = writeOut(b.c, b.p, b.nowUs);
    expect(delegated.retransmitTimeoutDelta).toBe(-1);
    expect(delegated.keepAliveTimeoutDelta).toBe(-1);
    b.write(100);
    b.sent();
    const dueUs = b.c.moments[b.c.momentBase + Moment.RETRANSMIT]!;
    ({ delegated } = writeOut(b.c, b.p, dueUs - 1));
    expect(delegated.retransmitTimeoutDelta).toBe(1);
    ({ delegated } = writeOut(b.c, b.p, dueUs));
    expect(delegated.retransmitTimeoutDelta).toBe(0);
    ({ delegated } = writeOut(b.c, b.p, dueUs + 5_000));
    expect(delegated.retransmitTimeoutDelta).toBe(0);
  });

  test('0 expires at once where it arrives (TCP-020, TCP-030, TCP-036, TCP-049)', () => {
    const b = new Bench().establish();
    b.write(100);
    b.sent();
    const { delegated } = writeOut(b.c, b.p, b.nowUs);
    delegated.retransmitTimeoutDelta = 0;
    readDelegated(b.c, b.p, delegated, b.nowUs);
    expect(onDeadline(b.c, b.p, b.nowUs) & Effect.TRANSMIT).toBe(Effect.TRANSMIT);
    expect(b.sent()).toEqual(['P. 1+100 1']);
    expect(b.c.retransmitCount).toBe(1);
  });

  test('round-trip times cross as eight and four times their ticks (STATE-058, STATE-059)', () => {
    const b = new Bench().establish();
    resetRtt(b.c);
    onRttSample(b.c, 40_000);
    const { delegated } = writeOut(b.c, b.p, b.nowUs);
    expect(delegated.sRtt).toBe(8 * 40);
    expect(delegated.rttVar).toBe(4 * 20);
    const to = moved(b, { ticksPerSecond: 1000 });
    expect(sRttUs(to.c)).toBe(40_000);
    expect(rttVarUs(to.c)).toBe(20_000);
  });

  test('ticks are those the host has set, 10, 100 or 1000 a second (TCP-003, TCP-004, STATE-077, STATE-078)', () => {
    for (const ticksPerSecond of [10, 100, 1000]) {
      const b = new Bench({ ticksPerSecond }).establish();
      b.write(100);
      b.sent();
      const { delegated } = writeOut(b.c, b.p, b.nowUs);
      const leftUs = b.c.moments[b.c.momentBase + Moment.RETRANSMIT]! - b.nowUs;
      expect(delegated.retransmitTimeoutDelta).toBe(Math.ceil((leftUs / 1_000_000) * ticksPerSecond));
    }
  });

  test('the age of TsRecent and the time spent retransmitting go along (STATE-060, STATE-062, TCP-016, TCP-017)', () => {
    const b = new Bench().establish();
    b.write(100);
    b.sent();
    b.nowUs = b.c.moments[b.c.momentBase + Moment.RETRANSMIT]!;
    onDeadline(b.c, b.p, b.nowUs);
    b.sent();
    b.nowUs += 50_000;
    b.c.moments[b.c.momentBase + Moment.TS_RECENT_AT] = b.nowUs - 3_000_000;
    const { delegated } = writeOut(b.c, b.p, b.nowUs);
    expect(delegated.retransmitCount).toBe(1);
    expect(delegated.tsRecentAge).toBe(3000);
    const totalRt = delegated.totalRt;
    expect(totalRt).toBeGreaterThan(200);
    const to = moved(b, {}, 777_000_000);
    to.nowUs += 10_000;
    const again = writeOut(to.c, to.p, to.nowUs).delegated;
    expect(again.totalRt).toBe(totalRt + 10);
    expect(again.tsRecentAge).toBe(3010);
    expect(again.retransmitCount).toBe(1);
    expect(again.retransmitTimeoutDelta).toBe(delegated.retransmitTimeoutDelta - 10);
  });
});

describe('the timestamp clock', () => {
  test('the worked example: deltas -100, -50 and 30, and five ticks each time (TCP-059 to TCP-069, STATE-061)', () => {
    const host = new Bench({ options: TcpConstFlag.TIMESTAMP_ENABLED }).establish();
    const { p } = host;
    const ms = 1000;
    // Clocks in ticks of a millisecond. Offload at host 100, target 200.
    host.nowUs = 100 * ms;
    const first = writeOut(host.c, p, host.nowUs);
    expect(first.delegated.tsTime).toBe(100);
    const target = new Bench({ role: 'target' });
    adopt(target.c, target.p, first.constState, first.cached, first.delegated, 200 * ms);
    expect(target.c.tsDelta).toBe(-100);
    expect(timestampNow(target.c, target.p, 205 * ms) - 100).toBe(5);
    // Upload at target 250, host 200.
    const back = writeOut(target.c, target.p, 250 * ms);
    expect(back.delegated.tsTime).toBe(150);
    readDelegated(host.c, p, back.delegated, 200 * ms);
    expect(host.c.tsDelta).toBe(-50);
    expect(timestampNow(host.c, p, 205 * ms) - 150).toBe(5);
    // Offload again at host 400, target 320.
    const second = writeOut(host.c, p, 400 * ms);
    expect(second.delegated.tsTime).toBe(350);
    adopt(target.c, target.p, second.constState, second.cached, second.delegated, 320 * ms);
    expect(target.c.tsDelta).toBe(30);
    expect(timestampNow(target.c, target.p, 325 * ms) - 350).toBe(5);
  });

  test('runs on across its wrap (STATE-079)', () => {
    const b = new Bench({ options: TcpConstFlag.TIMESTAMP_ENABLED }).establish();
    b.c.tsDelta = (0xffffffff - b.nowUs / 1000) | 0;
    const { delegated } = writeOut(b.c, b.p, b.nowUs);
    expect(delegated.tsTime >>> 0).toBe(0xffffffff);
    readDelegated(b.c, b.p, delegated, 42);
    expect(timestampNow(b.c, b.p, 42 + 5000)).toBe(4);
  });
});

describe('what goes on after a move', () => {
  test('unacknowledged, to be repeated and unsent data, in this order (STATE-054, SEND-034)', () => {
    const b = new Bench().establish();
    b.write(4000);
    b.sent();
    b.nowUs += 1_000_000;
    onDeadline(b.c, b.p, b.nowUs);
    expect(b.sent()).toEqual(['. 1+1460 1']);
    b.write(380);
    const to = moved(b);
    const { c } = to;
    expect([c.sndUna + 100, c.sndNxt + 100, c.sndMax + 100]).toEqual([1, 1461, 4001]);
    expect(to.receive(ACK, 1, 1461) & Effect.ACKED).toBe(Effect.ACKED);
    // What the timeout left to be repeated, filled up with what was never sent.
    expect(to.sent()).toEqual(['. 1461+1460 1', 'P. 2921+1460 1']);
  });

  test('a FIN that was sent is known from the state and SndMax, one that was not is sent (TCP-116)', () => {
    const b = new Bench().establish();
    b.write(100);
    closeSend(b.c, b.p, b.nowUs);
    expect(b.sent()).toEqual(['FP. 1+100 1']);
    const sentBefore = moved(b);
    expect(sentBefore.sent()).toEqual([]);
    expect(sentBefore.receive(ACK, 1, 102) & Effect.FIN_ACKED).toBe(Effect.FIN_ACKED);
    expect(sentBefore.c.state).toBe(State.FIN_WAIT2);

    const d = new Bench().establish(0);
    d.write(100);
    closeSend(d.c, d.p, d.nowUs);
    d.sent();
    const after = moved(d);
    expect(after.sent()).toEqual([]);
    after.receive(ACK, 1, 1, 0, 500);
    expect(after.sent()).toEqual(['FP. 1+100 1']);
  });

  test('FIN-WAIT-2 and its timer; without a timer there is none there either (TCP-027, TCP-028, TCP-029)', () => {
    const b = new Bench().establish();
    closeSend(b.c, b.p, b.nowUs);
    b.sent();
    b.receive(ACK, 1, 2);
    b.nowUs += 20_000_000;
    expect(writeOut(b.c, b.p, b.nowUs).delegated.retransmitTimeoutDelta).toBe(100_000);
    const to = moved(b, {}, 5_000_000);
    expect(to.c.moments[to.c.momentBase + Moment.RETRANSMIT]).toBe(to.nowUs + 100_000_000);
    b.p.finWait2Us = NEVER;
    b.receive(ACK, 1, 2, 10);
    expect(writeOut(b.c, b.p, b.nowUs).delegated.retransmitTimeoutDelta).toBe(-1);
    const untimed = moved(b);
    expect(untimed.c.moments[untimed.c.momentBase + Moment.RETRANSMIT]).toBe(NEVER);
  });

  test('the persist procedure: round, count and time left (TCP-038, TCP-046, TCP-047)', () => {
    const b = new Bench().establish(0);
    b.write(100);
    b.sent();
    const rtoUs = b.c.moments[b.c.momentBase + Moment.RETRANSMIT]! - b.nowUs;
    b.nowUs += rtoUs;
    onDeadline(b.c, b.p, b.nowUs);
    expect(b.sent()).toEqual(['. 1+1 1']);
    b.receive(ACK, 1, 1, 0, 0);
    expect([b.c.sndWndProbeCount, b.c.retransmitCount]).toEqual([1, 0]);
    b.nowUs += 100_000;
    const { delegated } = writeOut(b.c, b.p, b.nowUs);
    expect(delegated.sndWndProbeCount).toBe(1);
    expect(delegated.retransmitTimeoutDelta).toBe(Math.ceil((2 * rtoUs - 100_000) / 1000));
    const to = moved(b);
    to.nowUs = to.c.moments[to.c.momentBase + Moment.RETRANSMIT]!;
    onDeadline(to.c, to.p, to.nowUs);
    expect(to.sent()).toEqual(['. 1+1 1']);
    // TCP-043: the first wait after the probe is RTO << 0 again. (RTO itself comes from SRtt in ticks.)
    const nextUs = to.c.moments[to.c.momentBase + Moment.RETRANSMIT]! - to.nowUs;
    expect(Math.abs(nextUs - rtoUs)).toBeLessThan(2000);
  });

  test('the keepalive: probes and time left (TCP-032, TCP-033, STATE-065)', () => {
    const b = new Bench().establish();
    b.c.cachedFlags = TcpCachedFlag.KEEP_ALIVE_ENABLED;
    b.c.kaInterval = 1000;
    b.c.keepAliveProbeCount = 4;
    b.c.moments[b.c.momentBase + Moment.KEEP_ALIVE] = b.nowUs + 700_000;
    const to = moved(b, {}, -99_000_000);
    expect(to.c.keepAliveProbeCount).toBe(4);
    expect(to.c.moments[to.c.momentBase + Moment.KEEP_ALIVE]).toBe(to.nowUs + 700_000);
    expect(to.c.hasMode(TcpMode.DEFENCE)).toBe(false);
  });

  test('a keepalive timer that runs with the option off is that of the blind-reset defence (TCP-103, TCP-105)', () => {
    const b = new Bench().establish();
    const parts = writeOut(b.c, b.p, b.nowUs);
    parts.delegated.keepAliveTimeoutDelta = 5000;
    parts.delegated.keepAliveProbeCount = 9;
    const to = new Bench({ role: 'target' });
    adopt(to.c, to.p, parts.constState, parts.cached, parts.delegated, to.nowUs);
    to.nowUs += 5_000_000;
    expect(onDeadline(to.c, to.p, to.nowUs)).toBe(Effect.TRANSMIT);
    to.nowUs += 1_000_000;
    expect(onDeadline(to.c, to.p, to.nowUs) & Effect.TIMED_OUT).toBe(Effect.TIMED_OUT);
  });

  test('RcvWnd is what the peer was promised, not what might be offered next (STATE-053)', () => {
    const b = new Bench().establish();
    b.receive(ACK, 1, 1, 2000);
    b.sent();
    const promised = 65535 - 2000;
    setReceiveSpace(b.c, b.p, 65535, b.nowUs);
    expect(b.sent()).toEqual([]);
    expect(b.c.rcvWnd).toBe(65535);
    expect(writeOut(b.c, b.p, b.nowUs).delegated.rcvWnd).toBe(promised);
  });

  test('loss recovery with SACK: what was sent before the move is lost to the new runner, not what it has sent itself (RFC 6675 5, 8985-3)', () => {
    const b = new Bench({ options: TcpConstFlag.SACK_ENABLED });
    b.openWith((syn) => {
      syn.sackPermitted = true;
    });
    b.write(1460 * 6);
    b.sent();
    b.receiveSack(1, [2921, 4381]);
    b.receiveSack(1, [2921, 5841]);
    b.receiveSack(1, [2921, 7301]);
    b.sent();
    const to = moved(b);
    expect(to.sent()).toEqual(['. 1+1460 1']);
    to.receiveSack(1, [2921, 8761]);
    // It does not know what has been sent again before: all the rest of the hole is lost to it.
    expect(to.sent()).toEqual(['. 1461+1460 1']);
  });

  test('loss recovery: the segment at SND.UNA is sent again at once, without a second reduction (TCP-010, STATE-063)', () => {
    const b = new Bench().establish();
    b.write(1460 * 6);
    b.sent();
    for (let i = 0; i < 3; i++) b.receive(ACK, 1, 1);
    expect(b.sent()[0]).toBe('. 1+1460 1');
    const { ssThresh, cWnd } = b.c;
    const to = moved(b);
    expect(to.sent()[0]).toBe('. 1+1460 1');
    expect([to.c.ssThresh, to.c.cWnd]).toEqual([ssThresh, cWnd]);
    expect(to.receive(ACK, 1, 1 + 1460 * 6) & Effect.ACKED).toBe(Effect.ACKED);
    expect(to.c.hasMode(TcpMode.IN_RECOVERY)).toBe(false);
  });

  test('congestion state, windows and the number of the last window update (STATE-053, STATE-055, STATE-056, STATE-057)', () => {
    const b = new Bench().establish(30_000);
    b.c.cWnd = 12_345;
    b.c.ssThresh = 23_456;
    const to = moved(b);
    for (const name of ['cWnd', 'ssThresh', 'sndWnd', 'maxSndWnd', 'sndWl1', 'rcvNxt', 'remoteMss', 'state'] as const) {
      expect(to.c[name], name).toBe(b.c[name]);
    }
    expect(to.c.rcvAdv).toBe(b.c.rcvAdv);
  });

  test('TIME-WAIT lasts its full time at the host, CLOSED stays closed', () => {
    const b = new Bench().establish();
    const { delegated } = writeOut(b.c, b.p, b.nowUs);
    delegated.state = State.TIME_WAIT;
    readDelegated(b.c, b.p, delegated, b.nowUs);
    expect(b.c.moments[b.c.momentBase + Moment.TIME_WAIT]).toBe(b.nowUs + b.p.timeWaitUs);
    delegated.state = State.CLOSED;
    readDelegated(b.c, b.p, delegated, b.nowUs);
    for (let i = 0; i < 5; i++) expect(b.c.moments[b.c.momentBase + i]).toBe(NEVER);
  });

  test('what a given-up target uploads, the host gives up in its turn (TCP-011)', () => {
    const b = new Bench({ maximumRetransmissions: 2 }).establish();
    b.write(10);
    b.sent();
    const { delegated } = writeOut(b.c, b.p, b.nowUs);
    delegated.retransmitTimeoutDelta = 0;
    delegated.retransmitCount = 2;
    readDelegated(b.c, b.p, delegated, b.nowUs);
    expect(onDeadline(b.c, b.p, b.nowUs)).toBe(Effect.TIMED_OUT);
    expect(b.c.state).toBe(State.CLOSED);
  });
});

describe('before a move', () => {
  test('an owed ACK is sent and its timer stopped, the count of segments does not go along (TCP-007, INIT-075, TERM-042, TERM-076)', () => {
    const b = new Bench().establish();
    b.receive(ACK, 1, 1, 100);
    expect(b.sent()).toEqual([]);
    expect(prepareTransfer(b.c, b.p, b.nowUs)).toBe(Effect.TRANSMIT);
    expect(b.c.moments[b.c.momentBase + Moment.DELAYED_ACK]).toBe(NEVER);
    expect(b.sent()).toEqual(['. 1+0 101']);
    expect(prepareTransfer(b.c, b.p, b.nowUs)).toBe(Effect.NONE);
    expect(moved(b).c.ackPending).toBe(0);
  });

  test('a host that has its own record back counts from nothing, whatever it had counted before (TCP-007)', () => {
    const b = new Bench().establish();
    b.receive(ACK, 1, 1, 100);
    expect([b.c.ackPending, b.sent()]).toEqual([1, []]);
    readDelegated(b.c, b.p, writeOut(b.c, b.p, b.nowUs).delegated, b.nowUs);
    expect(b.c.ackPending).toBe(0);
    // And so the next segment is the first of two again.
    b.receive(ACK, 101, 1, 100);
    expect([b.c.ackPending, b.sent()]).toEqual([1, []]);
  });

  test('a target drops what it holds out of order, a host keeps it until the offload has succeeded (TERM-043, TERM-044)', () => {
    for (const role of ['host', 'target'] as const) {
      const b = new Bench({ role }).establish();
      b.receive(ACK, 1001, 1, 100);
      b.sent();
      prepareTransfer(b.c, b.p, b.nowUs);
      expect(b.c.reassembly === null).toBe(role === 'target');
      expect(b.p.spares.textPool.pagesHeld).toBe(role === 'target' ? 0 : 1);
    }
  });

  test('the silly-window timer stops at the one and starts at the other (TCP-057, TCP-058, TERM-078, TERM-080, INIT-077)', () => {
    const b = new Bench().establish();
    b.receive(ACK, 1, 1, 0, 100);
    b.write(1000);
    b.sent();
    expect(b.c.moments[b.c.momentBase + Moment.SWS]).not.toBe(NEVER);
    prepareTransfer(b.c, b.p, b.nowUs);
    expect(b.c.moments[b.c.momentBase + Moment.SWS]).toBe(NEVER);
    readDelegated(b.c, b.p, writeOut(b.c, b.p, b.nowUs).delegated, b.nowUs);
    expect(b.c.moments[b.c.momentBase + Moment.SWS]).toBe(b.nowUs + b.p.swsUs);
  });
});

test('parameters of two users share nothing that moves', () => {
  const one = tcpParameters();
  const two = tcpParameters();
  expect(one.spares).not.toBe(two.spares);
  expect(one.spares.textPool).not.toBe(two.spares.textPool);
});
