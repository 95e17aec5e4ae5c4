/** Suspicious and last segments of connections that move: the blind-reset defence, urgent data, SYNs, TIME-WAIT. chimney-sequences 20, 21. */
import { describe, expect, test } from 'vitest';
import { TcpFlag } from '../../src/wire/tcp-segment.ts';
import { ChimneyScene } from './chimney-scene.ts';

const { ACK, FIN, PSH, RST, SYN, URG } = TcpFlag;

/** Lets time pass in steps, moving at the moments given; answers when and what was sent, and when the connection was over. */
function watch(s: ChimneyScene, us: number, moves: readonly number[]): { probes: number[]; endUs: number } {
  const startUs = s.runtime.nowUs();
  const left = [...moves];
  const probes: number[] = [];
  let endUs = Number.NaN;
  while (s.runtime.nowUs() - startUs < us && Number.isNaN(endUs)) {
    s.runtime.advance(10_000);
    const atUs = s.runtime.nowUs() - startUs;
    for (const segment of s.sent()) if (((segment.seq - s.ack) | 0) === -1) probes.push(atUs);
    if (left.length > 0 && atUs >= left[0]!) {
      left.shift();
      if (s.location === 'host') s.beginOffload();
      else s.beginTakeBack();
      s.runtime.settle();
    }
    if (s.peer.isClosed) endUs = atUs;
  }
  return { probes, endUs };
}

describe('the blind-reset defence', () => {
  const MINUTES = 60_000_000;

  test.each([
    ['stays below', []],
    ['goes up before the first probe', [2 * MINUTES]],
    ['goes up between probes', [5 * MINUTES + 4_500_000]],
    ['goes up and down again', [1 * MINUTES, 3 * MINUTES]],
  ] as const)(
    'of a connection that %s: a challenge, ten probes after five minutes, and the end [TCP-097, TCP-099, TCP-102, TCP-103, TCP-104, TCP-105]',
    (_name, moves) => {
      const s = new ChimneyScene().offload();
      s.receive({ flags: RST, seq: s.seq + 1_000, ack: 0 });
      const challenges = s.sent();
      expect(challenges.map((one) => [one.flags, one.ack, one.textLength])).toEqual([[ACK, s.seq, 0]]);
      s.receive({ flags: RST, seq: s.seq + 2_000, ack: 0 });
      expect(s.sent()).toEqual([]);
      const { probes, endUs } = watch(s, 6 * MINUTES, moves);
      expect(probes).toHaveLength(10);
      expect(Math.abs(probes[0]! - 5 * MINUTES)).toBeLessThanOrEqual(20_000);
      expect(Math.abs(probes[9]! - probes[0]! - 9_000_000)).toBeLessThanOrEqual(50_000);
      expect(Math.abs(endUs - 5 * MINUTES - 10_000_000)).toBeLessThanOrEqual(50_000);
      expect(s.peer.error).not.toBe(null);
    },
  );

  test('a sign of life from the peer ends it, wherever the connection is [TCP-098, TCP-106]', () => {
    for (const isUp of [false, true]) {
      const s = new ChimneyScene().offload();
      s.receive({ flags: RST, seq: s.seq + 1_000, ack: 0 });
      s.runtime.advance(60_000_000);
      if (isUp) s.beginTakeBack();
      s.runtime.settle();
      s.deliver(0, s.text('alive'));
      const { probes, endUs } = watch(s, 400_000_000, []);
      expect([probes, endUs, s.got()]).toEqual([[], Number.NaN, 'alive']);
    }
  });
});

describe('segments that are not for a target', () => {
  test('an in-order SYN: the connection comes up closed, and the application hears of a reset [TCP-089]', () => {
    const s = new ChimneyScene().offload();
    s.receive({ flags: SYN, seq: s.seq, ack: 0 });
    s.runtime.settle();
    expect([s.location, s.peer.error]).toEqual(['closed', 'ECONNRESET']);
  });

  test('urgent data: nothing of it is acknowledged below, all of it is read above, in order, once [TCP-081 to TCP-085, TCP-087]', () => {
    const s = new ChimneyScene().offload();
    s.deliver(0, s.text('before '));
    s.sent();
    const at = s.seq;
    const first = s.text('urgent ', ACK | PSH | URG, { urgentPointer: 7 });
    const second = s.text('after');
    s.links[0]!.deliver(first, second);
    const acked: number[] = [];
    s.door.onState = (_operation, _root, isCompletion) => {
      if (!isCompletion) acked.push(...s.sent().map((one) => one.ack));
    };
    s.runtime.settle();
    expect(acked.every((ack) => ack === at)).toBe(true);
    expect([s.location, s.got()]).toEqual(['host', 'before urgent after']);
    expect(s.sent().at(-1)!.ack).toBe(s.seq);
    expect(s.moves.at(-1)).toMatchObject({ cause: 'retrieve', reason: 'ReceivedUrgentData' });
  });
});

describe('TIME-WAIT', () => {
  test('entered below it is the host’s: a FIN that is repeated is acknowledged by the host, and after two MSL nothing is left [TCP-006]', () => {
    const s = new ChimneyScene().offload();
    s.endpoint.shutdown();
    s.runtime.settle();
    s.ack += 1;
    s.receive({ flags: ACK, seq: s.seq, ack: s.ack });
    s.sent();
    const fin = { flags: ACK | FIN, seq: s.seq, ack: s.ack };
    s.receive(fin);
    s.seq += 1;
    s.runtime.settle();
    expect([s.peer.hasEnded, s.peer.isClosed, s.peer.error]).toEqual([true, true, null]);
    expect(s.target.control.held()).toMatchObject({ tcpObjects: 0, pathObjects: 0, neighborObjects: 0 });
    expect(s.host.tcp.resting.timeWaitCount).toBe(1);
    s.sent();
    s.runtime.advance(5_000_000);
    s.receive(fin);
    expect(s.sent().map((one) => [one.flags, one.ack])).toEqual([[ACK, s.seq]]);
    s.runtime.advance(130_000_000);
    expect([s.host.tcp.resting.timeWaitCount, s.host.tcp.connectionCount]).toEqual([0, 0]);
  });

  test('a SYN for a new connection of the same ends is the host’s, and opens it [TCP-088]', () => {
    const s = new ChimneyScene().offload();
    s.endpoint.shutdown();
    s.runtime.settle();
    s.ack += 1;
    s.receive({ flags: ACK, seq: s.seq, ack: s.ack });
    s.receive({ flags: ACK | FIN, seq: s.seq, ack: s.ack });
    s.runtime.advance(1_000_000);
    s.sent();
    s.receive({ flags: SYN, seq: s.seq + 5_000_000, ack: 0 });
    const answer = s.sent().at(-1)!;
    expect([answer.flags, answer.ack]).toEqual([SYN | ACK, (s.seq + 5_000_001) | 0]);
  });
});

describe('the end of the stream', () => {
  /** A connection whose application has taken four bytes, with the rest and the peer's FIN behind it on the host. */
  const unread = (): ChimneyScene => {
    const s = new ChimneyScene();
    s.peer.appetite = 4;
    s.deliver(0, s.text('all of it'));
    s.receive({ flags: ACK | FIN, seq: s.seq, ack: s.ack });
    s.seq++;
    return s;
  };

  const steps = {
    settle: (s: ChimneyScene) => s.runtime.settle(),
    'take all': (s: ChimneyScene) => s.peer.take(1_000),
    'take one': (s: ChimneyScene) => s.peer.take(1),
    'take back': (s: ChimneyScene) => s.beginTakeBack(),
    pause: (s: ChimneyScene) => s.target.control.pause(),
    wait: (s: ChimneyScene) => s.runtime.advance(200_000),
  };

  test.each([
    ['reads again before it is below', ['take all']],
    ['reads again once it is below', ['settle', 'take all']],
    ['reads a byte at a time', Array.from({ length: 5 }, () => ['settle', 'take one'] as const).flat()],
    ['reads again once it is back', ['settle', 'take back', 'settle', 'take all']],
    ['reads again while it comes back', ['settle', 'take back', 'take all']],
    ['reads again while it is refused', ['pause', 'take all', 'wait']],
  ] as const)(
    'comes behind text that went down unread, when the application %s [INIT-057, TERM-049]',
    (_how, script) => {
      const s = unread();
      s.beginOffload();
      for (const step of script) steps[step](s);
      s.runtime.settle();
      s.runtime.advance(300_000);
      expect([s.got(), s.peer.calls.at(-1)]).toEqual(['all of it', 'end']);
    },
  );
});
