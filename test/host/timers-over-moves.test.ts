/**
 * The seven timers over moves both ways: those that are handed over go on as if nothing had happened, the others are settled
 * before. The oracle is the same connection left alone: what it sends and when. chimney-sequences 2, 6, 22; TCP-002 to TCP-058.
 */
import { describe, expect, test } from 'vitest';
import { TcpFlag } from '../../src/wire/tcp-segment.ts';
import { ChimneyScene, type SceneOptions } from './chimney-scene.ts';

const { ACK, FIN, PSH } = TcpFlag;
/** Each move rounds what is left up to a tick of 1 ms; and the scene looks once a millisecond. */
const TOLERANCE_US = 4_000;

interface Sent {
  readonly atUs: number;
  readonly what: string;
}

/** What a connection sends in `us` microseconds after `begin`, with moves (down, up, down ...) at the moments given. */
function sentIn(
  us: number,
  moves: readonly number[],
  begin: (s: ChimneyScene) => void,
  options: SceneOptions = {},
): Sent[] {
  const s = new ChimneyScene(options);
  begin(s);
  s.sent();
  const startUs = s.runtime.nowUs();
  const sent: Sent[] = [];
  const left = [...moves];
  const look = (): void => {
    for (const segment of s.sent()) {
      const offset = (segment.seq - s.ack) | 0;
      sent.push({
        atUs: s.runtime.nowUs() - startUs,
        what: `${offset}+${segment.textLength} ${segment.flags & (FIN | TcpFlag.RST)}`,
      });
    }
  };
  for (let atUs = 0; atUs < us; atUs += 1_000) {
    if (left.length > 0 && left[0]! <= atUs) {
      left.shift();
      if (s.location === 'host') s.beginOffload();
      else s.beginTakeBack();
      s.runtime.settle();
      look();
    }
    s.runtime.advance(1_000);
    look();
  }
  expect(left).toEqual([]);
  if (s.peer.isClosed) sent.push({ atUs: s.runtime.nowUs() - startUs, what: `closed ${s.peer.error}` });
  return sent;
}

function expectSame(moved: readonly Sent[], alone: readonly Sent[]): void {
  expect(moved.map((one) => one.what)).toEqual(alone.map((one) => one.what));
  for (const [i, one] of moved.entries()) {
    const parts = `${one.what} at ${one.atUs}, alone at ${alone[i]!.atUs}`;
    expect(Math.abs(one.atUs - alone[i]!.atUs), parts).toBeLessThanOrEqual(TOLERANCE_US);
  }
}

const write = (s: ChimneyScene, text: string): void => {
  s.endpoint.write(new TextEncoder().encode(text), null);
  s.runtime.settle();
};

describe('handed over with the time that is left', () => {
  test.each([
    ['down, between two retransmissions', [700_000]],
    ['down and up', [300_000, 1_700_000]],
    ['down, up, down, up', [100_000, 900_000, 2_500_000, 5_000_000]],
    ['at once', [0, 1_000, 2_000, 3_000]],
  ])('retransmit, %s: repeated at the same moments as without [TERM-075, TCP-016, TCP-017]', (_name, moves) => {
    const begin = (s: ChimneyScene): void => write(s, 'nobody answers');
    const alone = sentIn(8_000_000, [], begin);
    expect(alone.length).toBeGreaterThanOrEqual(3);
    expectSame(sentIn(8_000_000, moves, begin), alone);
  });

  test.each([
    ['down', [3_000_000]],
    ['down, up', [3_000_000, 11_500_000]],
    ['down, up, down', [11_500_000, 12_500_000, 13_500_000]],
  ])(
    'keepalive, %s: the probes, their number and the end come as without [TERM-075, TCP-032, TCP-033]',
    (_name, moves) => {
      const begin = (s: ChimneyScene): void => {
        s.endpoint.setKeepAlive(true, 10_000, 1_000, 4);
        s.runtime.settle();
      };
      const alone = sentIn(16_000_000, [], begin);
      // Four probes one octet before what is next; then it is given up.
      expect(alone.filter((one) => one.what.startsWith('-1+')).length).toBe(4);
      expect(alone.at(-1)!.what).toBe('closed ETIMEDOUT');
      expectSame(sentIn(16_000_000, moves, begin), alone);
    },
  );

  test.each([
    ['down, in the first round', [300_000]],
    ['down and up', [300_000, 3_300_000]],
    ['up and down again and again', [300_000, 1_000_000, 2_500_000, 4_000_000]],
  ])('persist, %s: window probes come as without, rounds counted on [TERM-075, TCP-046, TCP-047]', (_name, moves) => {
    const begin = (s: ChimneyScene): void => {
      s.receive({ flags: ACK, seq: s.seq, ack: s.ack, window: 0 });
      write(s, 'closed window');
    };
    const alone = sentIn(10_000_000, [], begin);
    expect(alone.length).toBeGreaterThanOrEqual(4);
    expectSame(sentIn(10_000_000, moves, begin), alone);
  });

  test('FIN_WAIT_2: what the target began the host ends, at the moment at which the target would have [TERM-075, TCP-028, TCP-030]', () => {
    const begin = (s: ChimneyScene): void => {
      s.offload();
      s.endpoint.shutdown();
      s.runtime.settle();
      s.ack += 1;
      s.receive({ flags: ACK, seq: s.seq, ack: s.ack });
      expect(s.target.control.connections()[0]!.state).toBe('FIN-WAIT-2');
    };
    // The target's 120 s, and -1 for a host that has no such timer.
    const ended = (moves: readonly number[]): number => {
      const s = new ChimneyScene();
      begin(s);
      const startUs = s.runtime.nowUs();
      const left = [...moves];
      while (!s.peer.isClosed && s.runtime.nowUs() - startUs < 200_000_000) {
        s.runtime.advance(10_000);
        if (left.length > 0 && s.runtime.nowUs() - startUs >= left[0]!) {
          left.shift();
          if (s.location === 'host') s.beginOffload();
          else s.beginTakeBack();
          s.runtime.settle();
        }
      }
      expect(s.peer.error).toBe('ETIMEDOUT');
      return s.runtime.nowUs() - startUs;
    };
    for (const moves of [[], [30_000_000], [30_000_000, 60_000_000], [5_000_000, 6_000_000, 119_000_000]]) {
      expect(Math.abs(ended(moves) - 120_000_000), String(moves)).toBeLessThanOrEqual(30_000);
    }
  });

  test('a host without FIN_WAIT_2 timer hands over -1, and the target waits as long as it does [TCP-027, TCP-029]', () => {
    const s = new ChimneyScene();
    s.endpoint.shutdown();
    s.runtime.settle();
    s.ack += 1;
    s.receive({ flags: ACK, seq: s.seq, ack: s.ack });
    s.offload();
    s.runtime.advance(300_000_000);
    expect([s.location, s.peer.isClosed]).toEqual(['target', false]);
    s.beginTakeBack();
    s.runtime.advance(300_000_000);
    expect([s.location, s.peer.isClosed]).toEqual(['host', false]);
  });

  test('0 and -1 are not the same: a timer that has just expired fires at once, one that does not run never does [TCP-020, TCP-036, TCP-049, STATE-069]', () => {
    for (const timer of ['retransmit', 'keepAlive'] as const) {
      for (const delta of [0, -1]) {
        const s = new ChimneyScene().offload();
        s.endpoint.setKeepAlive(timer === 'keepAlive', 10_000, 1_000, 4);
        if (timer === 'retransmit') write(s, 'unanswered');
        s.runtime.advance(50_000);
        s.sent();
        s.door.onState = (_operation, root, isCompletion) => {
          const delegated = isCompletion ? s.lastDelegated(root) : null;
          if (delegated === null) return;
          if (timer === 'retransmit') delegated.retransmitTimeoutDelta = delta;
          else delegated.keepAliveTimeoutDelta = delta;
        };
        s.beginTakeBack();
        s.runtime.settle();
        s.runtime.advance(2_000);
        expect(s.sent().length, `${timer} ${delta}`).toBe(delta === 0 ? 1 : 0);
      }
    }
  });
});

describe('settled before the move, and not carried over', () => {
  test('delayed ACK: what is owed is sent first, and the new runner begins its own count [TCP-007, INIT-075, TERM-076]', () => {
    const s = new ChimneyScene();
    for (const move of ['down', 'up', 'down']) {
      // The first segments that a host has are acknowledged at once.
      for (let i = 0; i < 10; i++) s.deliver(0, s.text('quick'));
      s.runtime.advance(1_000_000);
      s.sent();
      s.deliver(0, s.text('x'));
      expect(s.sent(), move).toEqual([]);
      s.runtime.advance(5_000);
      if (move === 'up') s.beginTakeBack();
      else s.beginOffload();
      s.runtime.settle();
      const acks = s.sent();
      expect(acks.map((segment) => [segment.ack, segment.textLength])).toEqual([[s.seq, 0]]);
      s.runtime.advance(1_000_000);
      expect(s.sent()).toEqual([]);
    }
    expect(s.got()).toHaveLength(153);
  });

  test('silly-window, sending: what was held back by it is sent by the new runner, at once or after a whole time of its own [TCP-057, TCP-058, TERM-078, TERM-080]', () => {
    for (const from of ['host', 'target'] as const) {
      const s = new ChimneyScene();
      s.endpoint.setNoDelay(true);
      if (from === 'target') s.offload();
      // A window of less than half the largest is no reason to send less than there is.
      s.receive({ flags: ACK, seq: s.seq, ack: s.ack, window: 100 });
      write(s, 'y'.repeat(4_000));
      let highest = 0;
      /** Bytes that were never sent before. */
      const fresh = (): number => {
        const before = highest;
        for (const segment of s.sent()) highest = Math.max(highest, ((segment.seq - s.ack) | 0) + segment.textLength);
        return highest - before;
      };
      expect(fresh()).toBe(0);
      s.runtime.advance(150_000);
      if (from === 'host') s.beginOffload();
      else s.beginTakeBack();
      s.runtime.settle();
      const atOnce = fresh();
      s.runtime.advance(199_000);
      const early = fresh();
      s.runtime.advance(3_000);
      const after = fresh();
      // The target sends at once, the host starts its timer anew: both are allowed.
      expect([atOnce, early, after], from).toEqual(from === 'host' ? [100, 0, 0] : [0, 0, 100]);
    }
  });

  test('silly-window, receiving: a window that opened a little is told when the timer expires, here and below [TCP-014]', () => {
    for (const at of ['host', 'target'] as const) {
      const s = new ChimneyScene({ host: { tcp: { receiveBuffer: 20_000 } } });
      s.peer.appetite = 0;
      if (at === 'target') s.offload();
      for (let i = 0; i < 10; i++) s.deliver(0, s.text('z'.repeat(1_400), ACK | PSH));
      s.runtime.advance(1_000_000);
      const before = s.sent().at(-1)!.window;
      s.peer.take(3_000);
      s.runtime.settle();
      expect(s.sent(), at).toEqual([]);
      s.runtime.advance(199_000);
      expect(s.sent(), at).toEqual([]);
      s.runtime.advance(2_000);
      const updates = s.sent();
      expect(
        updates.map((segment) => segment.textLength),
        at,
      ).toEqual([0]);
      expect(updates[0]!.window - before, at).toBeGreaterThanOrEqual(2_900);
      s.runtime.advance(3_000_000);
      expect(s.sent(), at).toEqual([]);
    }
  });

  test('silly-window, receiving: stopped by a move, which tells the window that was promised [TERM-078, INIT-077]', () => {
    const s = new ChimneyScene({ host: { tcp: { receiveBuffer: 20_000 } } });
    s.peer.appetite = 0;
    for (let i = 0; i < 10; i++) s.deliver(0, s.text('z'.repeat(1_400), ACK | PSH));
    s.runtime.advance(1_000_000);
    const edge = s.sent().at(-1)!.window;
    s.peer.take(3_000);
    s.runtime.advance(100_000);
    s.offload();
    s.runtime.advance(5_000_000);
    // Never less than was promised before.
    for (const segment of s.sent()) expect(segment.window).toBeGreaterThanOrEqual(edge);
    s.beginTakeBack();
    s.runtime.settle();
    s.peer.take(100_000);
    s.runtime.advance(1_000_000);
    expect(s.got()).toHaveLength(14_000);
  });

  test('push, below: a receive partly full in push mode comes back with the upload, its timer stopped [TERM-077, TCP-050]', () => {
    const s = new ChimneyScene();
    s.endpoint.setReceiveLowWater(100);
    s.offload();
    s.deliver(0, s.text('abc', ACK));
    s.runtime.advance(200_000);
    expect(s.got()).toBe('');
    s.beginTakeBack();
    s.runtime.settle();
    expect([s.got(), s.location]).toEqual(['abc', 'host']);
    const calls = s.peer.calls.length;
    s.runtime.advance(2_000_000);
    expect(s.peer.calls).toHaveLength(calls);
  });
});
