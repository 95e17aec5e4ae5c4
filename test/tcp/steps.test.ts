/** Steps of the engine that a script does not show well: TIME-WAIT, urgent data, probe rounds, ICMP, resets. */
import { describe, expect, test } from 'vitest';
import { asSeq, seqAdd, seqDiff } from '../../src/base/seq.ts';
import { emptyNetBufferList } from '../../src/state/net-buffer-list.ts';
import { TcpConnectionState as State, TcpConstFlag } from '../../src/state/tcp.ts';
import { Moment, TcpMode } from '../../src/tcp/connection.ts';
import { Effect } from '../../src/tcp/effects.ts';
import { isQuoteOurs, onIcmpError, onPathMtu } from '../../src/tcp/icmp.ts';
import { onDeadline, soonestDeadline } from '../../src/tcp/on-deadline.ts';
import { onSegment, resetFor } from '../../src/tcp/on-segment.ts';
import { abort, closeSend, queueData } from '../../src/tcp/on-send.ts';
import { openActive, openPassive } from '../../src/tcp/open.ts';
import { setReceiveSpace } from '../../src/tcp/receive-window.ts';
import { TcpFlag, TcpSegment } from '../../src/wire/tcp-segment.ts';
import { Bench } from './support/record.ts';

const { SYN, ACK, RST, FIN, URG } = TcpFlag;

function inTimeWait(options = 0): Bench {
  const b = new Bench({ options });
  if (options === 0) b.establish();
  else {
    const syn = b.segment(SYN, 0, 0);
    syn.hasTimestamps = true;
    syn.tsVal = 1000;
    b.c.family = 4;
    openPassiveFrom(b, syn);
  }
  closeSend(b.c, b.p, b.nowUs);
  b.sent();
  const fin = b.segment(ACK | FIN, 1, 2);
  fin.hasTimestamps = options !== 0;
  fin.tsVal = 1000;
  onSegment(b.c, b.p, fin, b.nowUs);
  b.sent();
  expect(b.c.state).toBe(State.TIME_WAIT);
  return b;
}

function openPassiveFrom(b: Bench, syn: TcpSegment): void {
  openPassive(b.c, b.p, syn, asSeq(-100), b.nowUs);
  b.sent();
  const ack = b.segment(ACK, 1, 1);
  ack.hasTimestamps = true;
  ack.tsVal = 1000;
  onSegment(b.c, b.p, ack, b.nowUs);
}

describe('TIME-WAIT', () => {
  test('lasts 2 MSL from the last FIN (RFC 9293 MUST-13, 9293-SM-13)', () => {
    const b = inTimeWait();
    b.nowUs += 50_000_000;
    expect(b.receive(ACK | FIN, 1, 2) & Effect.TRANSMIT).toBe(Effect.TRANSMIT);
    expect(b.sent()).toEqual(['. 2+0 2']);
    b.nowUs += 59_999_999;
    expect(onDeadline(b.c, b.p, b.nowUs)).toBe(Effect.NONE);
    b.nowUs += 1;
    expect(onDeadline(b.c, b.p, b.nowUs)).toBe(Effect.CLOSED);
    expect(b.c.state).toBe(State.CLOSED);
  });

  test('is not ended by a reset (RFC 1337, 1337-1)', () => {
    const b = inTimeWait();
    expect(b.receive(RST, 2, 0)).toBe(Effect.DROPPED);
    expect(b.c.state).toBe(State.TIME_WAIT);
  });

  test('gives way to a SYN that is surely younger: by its sequence number without timestamps (MAY-2, 6191-2)', () => {
    expect(inTimeWait().receive(SYN, 3, 0) & Effect.REOPEN).toBe(Effect.REOPEN);
    const old = inTimeWait();
    expect(old.receive(SYN, 1, 0) & Effect.REOPEN).toBe(0);
    expect(old.sent()).toEqual(['. 2+0 2']);
  });

  test('and by its timestamp where there are some (RFC 6191 2, 6191-1)', () => {
    const answer = (seq: number, tsVal: number): number => {
      const b = inTimeWait(TcpConstFlag.TIMESTAMP_ENABLED);
      const syn = b.segment(SYN, seq, 0);
      syn.hasTimestamps = true;
      syn.tsVal = tsVal;
      return onSegment(b.c, b.p, syn, b.nowUs) & Effect.REOPEN;
    };
    expect(answer(-5000, 1001)).toBe(Effect.REOPEN);
    expect(answer(-5000, 1000)).toBe(0);
    expect(answer(5000, 1000)).toBe(Effect.REOPEN);
    expect(answer(5000, 999)).toBe(0);
  });
});

describe('urgent data at a host', () => {
  test('is ordinary text, told once for each pointer that is further on (MUST-30, MUST-32, MUST-33, MUST-62)', () => {
    const b = new Bench().establish();
    const send = (seq: number, length: number, pointer: number): number => {
      const seg = b.segment(ACK | URG, seq, 1, length);
      seg.urgentPointer = pointer;
      return onSegment(b.c, b.p, seg, b.nowUs);
    };
    expect(send(1, 100, 300) & (Effect.URGENT | Effect.TEXT)).toBe(Effect.URGENT | Effect.TEXT);
    expect(seqDiff(b.c.rcvUp, b.c.rcvNxt)).toBe(200);
    expect(send(101, 100, 200) & Effect.URGENT).toBe(0);
    expect(send(201, 100, 200) & Effect.URGENT).toBe(Effect.URGENT);
    expect(seqDiff(b.c.rcvUp, b.c.rcvNxt)).toBe(100);
    expect(b.receive(ACK, 301, 1, 100) & Effect.URGENT).toBe(0);
    expect(seqDiff(b.c.rcvUp, b.c.rcvNxt)).toBe(0);
  });

  test('is heard with a closed window (MUST-66)', () => {
    const b = new Bench();
    b.c.initialRcvWnd = 100;
    b.establish();
    b.receive(ACK, 1, 1, 100);
    const seg = b.segment(ACK | URG, 101, 1, 10);
    seg.urgentPointer = 10;
    expect(onSegment(b.c, b.p, seg, b.nowUs) & Effect.URGENT).toBe(Effect.URGENT);
  });
});

describe('a closed window', () => {
  test('is probed in rounds as the chimney has them: RTO << Count, a new round for each answer (TCP-037 to TCP-044)', () => {
    const b = new Bench().establish(0);
    b.write(100);
    expect(b.sent()).toEqual([]);
    const gaps: number[] = [];
    const probe = (): void => {
      const atUs = b.c.moments[b.c.momentBase + Moment.RETRANSMIT]!;
      gaps.push(Math.round((atUs - b.nowUs) / 1000));
      b.nowUs = atUs;
      onDeadline(b.c, b.p, b.nowUs);
      expect(b.sent().join()).toMatch(/^\. 1\+1 \d$/);
    };
    probe();
    probe();
    probe();
    expect([b.c.sndWndProbeCount, b.c.retransmitCount]).toEqual([0, 3]);
    b.receive(ACK, 1, 1, 0, 0);
    expect([b.c.sndWndProbeCount, b.c.retransmitCount]).toEqual([1, 0]);
    // Another segment with a closed window is no answer: no probe is out.
    b.receive(ACK, 1, 1, 5, 0);
    b.sent();
    expect(b.c.sndWndProbeCount).toBe(1);
    probe();
    probe();
    b.receive(ACK, 6, 1, 0, 0);
    probe();
    const rto = gaps[0]!;
    expect(gaps).toEqual([rto, rto, 2 * rto, 2 * rto, rto, 4 * rto]);
    b.receive(ACK, 6, 1, 0, 1000);
    expect([b.c.sndWndProbeCount, b.c.retransmitCount]).toEqual([0, 0]);
    expect(b.sent()).toEqual(['P. 1+100 6']);
  });

  test('whose probes are never answered ends the connection (TCP-045)', () => {
    const b = new Bench({ maximumRetransmissions: 3 }).establish(0);
    b.write(1);
    b.sent();
    let effects = 0;
    let probes = 0;
    while ((effects & Effect.TIMED_OUT) === 0) {
      b.nowUs = soonestDeadline(b.c);
      effects = onDeadline(b.c, b.p, b.nowUs);
      probes += b.sent().length;
    }
    expect(probes).toBe(3);
    expect(b.c.state).toBe(State.CLOSED);
  });

  test('shows its FIN in the probe when there is nothing else', () => {
    const b = new Bench().establish(0);
    closeSend(b.c, b.p, b.nowUs);
    expect(b.sent()).toEqual([]);
    b.nowUs = b.c.moments[b.c.momentBase + Moment.RETRANSMIT]!;
    onDeadline(b.c, b.p, b.nowUs);
    expect(b.sent()).toEqual(['F. 1+0 1']);
    expect(b.receive(ACK, 1, 2, 0, 0) & Effect.FIN_ACKED).toBe(Effect.FIN_ACKED);
    expect(b.c.state).toBe(State.FIN_WAIT2);
    // The FIN-WAIT-2 timer is not taken for a persist timer.
    expect(b.c.moments[b.c.momentBase + Moment.RETRANSMIT]).toBe(b.nowUs + b.p.finWait2Us);
    b.receive(ACK, 1, 2, 10, 0);
    expect(b.c.moments[b.c.momentBase + Moment.RETRANSMIT]).toBe(b.nowUs + b.p.finWait2Us);
  });
});

describe('the edge of a window', () => {
  test('less than a segment is sent at once if it is half of the largest window (RFC 9293 3.8.6.2.1 (3), TCP-055)', () => {
    const b = new Bench().establish(1000);
    b.receive(ACK, 1, 1, 0, 600);
    b.write(5000);
    expect(b.sent()).toEqual(['. 1+600 1']);
    const narrow = new Bench().establish(1000);
    narrow.receive(ACK, 1, 1, 0, 499);
    narrow.write(5000);
    expect(narrow.sent()).toEqual([]);
  });

  test('a FIN needs no room: it is taken with a closed window, whose edge then stands behind it', () => {
    const b = new Bench();
    b.c.initialRcvWnd = 100;
    b.establish();
    b.receive(ACK, 1, 1, 100);
    expect(b.receive(ACK | FIN, 101, 1) & Effect.END_OF_STREAM).toBe(Effect.END_OF_STREAM);
    expect(b.c.rcvAdv).toBe(b.c.rcvNxt);
    expect(b.sent()).toEqual(['. 1+0 102']);
  });

  test('scaled, it does not seem to shrink while there is room (RFC 7323 2.4, SHLD-14)', () => {
    const b = new Bench({ options: TcpConstFlag.WINDOW_SCALING_ENABLED });
    b.c.initialRcvWnd = 40_000;
    b.openWith((syn) => {
      syn.windowScale = 0;
    });
    setReceiveSpace(b.c, b.p, 60_000, b.nowUs);
    b.sent();
    let edge = b.c.rcvAdv;
    for (let i = 0; i < 20; i++) {
      b.receive(ACK, 1 + 101 * i, 1, 101);
      setReceiveSpace(b.c, b.p, 60_000, b.nowUs);
      b.c.setMode(TcpMode.ACK_NOW);
      b.sent();
      const told = seqAdd(b.c.rcvNxt, b.out.window << b.c.rcvWindScale);
      expect(seqDiff(told, edge)).toBeGreaterThanOrEqual(0);
      expect(seqDiff(told, b.c.rcvNxt)).toBeLessThanOrEqual(60_000);
      edge = told;
    }
  });
});

describe('the congestion window', () => {
  test('holds back in full segments, without a silly-window timer', () => {
    const b = new Bench().establish();
    b.c.cWnd = 2 * 1460 + 700;
    b.write(10_000);
    expect(b.sent()).toEqual(['. 1+1460 1', '. 1461+1460 1']);
    expect(b.c.moments[b.c.momentBase + Moment.SWS]).toBe(Number.POSITIVE_INFINITY);
  });

  test('a repair that an ACK in the same batch has made needless is not sent (MUST-59)', () => {
    const b = new Bench().establish();
    b.write(1460 * 6);
    b.sent();
    for (let i = 0; i < 3; i++) b.receive(ACK, 1, 1);
    b.receive(ACK, 1, 1 + 1460 * 6);
    expect(b.sent()).toEqual([]);
    b.write(1460 * 2);
    expect(b.sent()).toEqual(['. 8761+1460 1', 'P. 10221+1460 1']);
  });
});

describe('ICMP', () => {
  test('errors end a connection that opens if they are hard, and none that is synchronized (MUST-56, SHLD-26, RFC 5927)', () => {
    const opening = new Bench();
    openActive(opening.c, opening.p, asSeq(9), opening.nowUs);
    opening.sent();
    expect(onIcmpError(opening.c, opening.p, false, opening.nowUs)).toBe(Effect.NONE);
    expect(onIcmpError(opening.c, opening.p, true, opening.nowUs)).toBe(Effect.ABORTED);
    expect(opening.c.state).toBe(State.CLOSED);
    const b = new Bench().establish();
    expect(onIcmpError(b.c, b.p, true, b.nowUs)).toBe(Effect.NONE);
    expect(b.c.state).toBe(State.ESTABLISHED);
  });

  test('quotes what is in flight or is not believed (RFC 5927 4.1)', () => {
    const b = new Bench().establish();
    b.write(100);
    b.sent();
    const at = (seq: number): boolean => isQuoteOurs(b.c, seqAdd(asSeq(-100), seq));
    expect([at(0), at(1), at(100), at(101), at(102)]).toEqual([false, true, true, true, false]);
  });

  test('a smaller path MTU: what is out is sent again in pieces that fit, the window shrinks in proportion (5681-7)', () => {
    const b = new Bench().establish();
    b.write(2920);
    b.sent();
    const before = b.c.cWnd;
    expect(onPathMtu(b.c, b.p, 1040, 20, b.nowUs)).toBe(Effect.TRANSMIT);
    expect(b.c.effectiveMss).toBe(1000);
    expect(b.c.cWnd).toBe(Math.floor((before / 1460) * 1000));
    expect(b.sent()).toEqual(['. 1+1000 1', '. 1001+1000 1', 'P. 2001+920 1']);
    expect(onPathMtu(b.c, b.p, 9000, 20, b.nowUs)).toBe(Effect.NONE);
    expect(b.c.effectiveMss).toBe(1460);
  });

  test('an absurd path MTU leaves segments of a size worth sending', () => {
    const b = new Bench().establish();
    onPathMtu(b.c, b.p, 21, 20, b.nowUs);
    expect(b.c.effectiveMss).toBe(48);
  });
});

describe('calls of the user', () => {
  test('ABORT resets what is synchronized and nothing else (9293-SM-17)', () => {
    const b = new Bench().establish();
    b.write(10);
    b.sent();
    const out = new TcpSegment();
    expect(abort(b.c, b.p, out, b.nowUs)).toBe(true);
    expect([out.flags, (out.seq + 100) | 0, (out.ack - 500) | 0]).toEqual([RST | ACK, 11, 1]);
    expect(b.c.state).toBe(State.CLOSED);
    expect(b.c.sendQueue!.length).toBe(10);
    expect(abort(inTimeWait().c, b.p, out, 0)).toBe(false);
    // Text that nobody will read is told of in any state. SHLD-3.
    expect(abort(inTimeWait().c, b.p, out, 0, true)).toBe(true);
    const opening = new Bench();
    openActive(opening.c, opening.p, asSeq(9), opening.nowUs);
    expect(abort(opening.c, opening.p, out, 0)).toBe(false);
  });

  test('a list without data is finished when all before it is', () => {
    const b = new Bench().establish();
    expect(queueData(b.c, b.p, emptyNetBufferList(), b.nowUs) & Effect.ACKED).toBe(Effect.ACKED);
    expect(b.c.sendQueue!.takeCompleted()).not.toBe(null);
    b.write(10);
    expect(queueData(b.c, b.p, emptyNetBufferList(), b.nowUs) & Effect.ACKED).toBe(0);
    b.sent();
    expect(b.receive(ACK, 1, 11) & Effect.ACKED).toBe(Effect.ACKED);
    expect(b.c.sendQueue!.takeCompleted()?.next).not.toBe(null);
    b.sent();
    expect(b.c.sendQueue).toBe(null);
  });

  test('a reset is made for a segment without a connection, never for a reset (9293-SM-1)', () => {
    const b = new Bench();
    const out = new TcpSegment();
    expect(resetFor(b.segment(RST, 5, 5), out)).toBe(false);
    expect(resetFor(b.segment(ACK, 5, 7), out)).toBe(true);
    expect([out.flags, out.seq, out.srcPort, out.dstPort]).toEqual([RST, -93, 2, 1]);
    const syn = b.segment(SYN, 5, 0, 3);
    syn.hasTimestamps = true;
    syn.tsVal = 77;
    expect(resetFor(syn, out)).toBe(true);
    expect([out.flags, out.seq, out.ack, out.tsEcr]).toEqual([RST | ACK, 0, 509, 77]);
  });
});
