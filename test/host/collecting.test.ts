/** Text that is collected before it is offered (SO_RCVLOWAT), and the host's push timer, here and over moves. chimney-sequences 13. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NEVER } from '../../src/base/runtime.ts';
import { TcpFlag } from '../../src/wire/tcp-segment.ts';
import { seed } from '../support/seed.ts';
import { ChimneyScene } from './chimney-scene.ts';

const { ACK, PSH, FIN } = TcpFlag;
const PUSH_US = 500_000;

function collecting(bytes: number): ChimneyScene {
  const s = new ChimneyScene();
  s.endpoint.setReceiveLowWater(bytes);
  return s;
}

/** Text without PSH. */
function trickle(s: ChimneyScene, text: string): void {
  s.deliver(0, s.text(text, ACK));
}

const pushAt = (s: ChimneyScene): number => s.host.tcp.collecting.pushAtUs(s.endpoint);

describe('on the host path', () => {
  test('text is offered when there is enough of it', () => {
    const s = collecting(8);
    trickle(s, 'abc');
    trickle(s, 'def');
    expect(s.got()).toBe('');
    trickle(s, 'ghi');
    expect([s.got(), pushAt(s)]).toEqual(['abcdefghi', NEVER]);
  });

  test('at once when the peer pushes or finishes', () => {
    const s = collecting(8);
    trickle(s, 'abc');
    s.deliver(0, s.text('d', ACK | PSH));
    expect(s.got()).toBe('abcd');
    trickle(s, 'e');
    s.receive({ flags: ACK | FIN, seq: s.seq, ack: s.ack });
    expect([s.got(), s.peer.hasEnded]).toEqual(['abcde', true]);
  });

  test('and when the push timer expires, which each text starts anew', () => {
    const s = collecting(8);
    trickle(s, 'abc');
    s.runtime.advance(PUSH_US - 1_000);
    trickle(s, 'd');
    s.runtime.advance(PUSH_US - 1_000);
    expect(s.got()).toBe('');
    s.runtime.advance(1_001);
    expect([s.got(), pushAt(s)]).toEqual(['abcd', NEVER]);
  });

  test('a mark that is taken away, or lowered, lets what waits through', () => {
    const s = collecting(100);
    trickle(s, 'abc');
    s.endpoint.setReceiveLowWater(3);
    s.runtime.settle();
    expect(s.got()).toBe('abc');
    trickle(s, 'd');
    s.endpoint.setReceiveLowWater(0);
    s.runtime.settle();
    trickle(s, 'e');
    expect(s.got()).toBe('abcde');
  });

  test('a mark beyond the receive buffer does not keep the peer waiting for its window', () => {
    const s = new ChimneyScene();
    s.endpoint.setReceiveBuffer(4_096);
    s.endpoint.setReceiveLowWater(1 << 20);
    trickle(s, 'x'.repeat(1_400));
    expect(s.got()).toBe('');
    trickle(s, 'y'.repeat(700));
    expect(s.got()).toHaveLength(2_100);
  });

  test('nothing is left running when the connection is over', () => {
    const s = collecting(8);
    trickle(s, 'abc');
    s.endpoint.abort();
    s.runtime.settle();
    s.runtime.advance(2 * PUSH_US);
    expect([s.got(), s.peer.isClosed]).toEqual(['', true]);
  });
});

describe('over a move', () => {
  test('the push timer stops before the offload, and what waited goes along; the target pushes it [INIT-076]', () => {
    const s = collecting(8);
    trickle(s, 'abc');
    expect(pushAt(s)).not.toBe(NEVER);
    let armedAtInitiate = 0;
    s.door.onState = () => {
      armedAtInitiate = pushAt(s);
    };
    s.offload();
    expect(armedAtInitiate).toBe(NEVER);
    s.runtime.advance(2 * PUSH_US);
    expect([s.got(), s.location]).toEqual(['abc', 'target']);
  });

  test('below, the target collects it in a receive of that size: full, pushed, or after its push timer', () => {
    const s = collecting(8).offload();
    trickle(s, 'abc');
    expect(s.got()).toBe('');
    trickle(s, 'defgh');
    expect(s.got()).toBe('abcdefgh');
    trickle(s, 'i');
    s.runtime.advance(2 * PUSH_US);
    expect(s.got()).toBe('abcdefghi');
    s.deliver(0, s.text('j', ACK | PSH));
    expect(s.got()).toBe('abcdefghij');
    expect(s.door.take().filter((line) => line.startsWith('indicate'))).toEqual([]);
    s.receive({ flags: ACK | FIN, seq: s.seq, ack: s.ack });
    expect(s.peer.hasEnded).toBe(true);
  });

  test('after the upload the push timer is started again for what came up [TERM-079]', () => {
    const s = new ChimneyScene();
    s.peer.appetite = 0;
    s.offload();
    trickle(s, 'abc');
    expect(s.target.control.connections()[0]!.bufferedBytes).toBe(3);
    s.endpoint.setReceiveLowWater(8);
    s.beginTakeBack();
    s.runtime.settle();
    expect(s.location).toBe('host');
    expect(pushAt(s)).toBe(s.runtime.nowUs() + PUSH_US);
    s.peer.appetite = 100;
    s.runtime.advance(PUSH_US - 1);
    expect(s.got()).toBe('');
    s.runtime.advance(1);
    s.endpoint.resume();
    s.runtime.settle();
    expect(s.got()).toBe('abc');
  });

  test('whatever is done in whatever order, every byte is offered once, in order, and none waits for ever', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('text' as const), length: fc.integer({ min: 1, max: 40 }), push: fc.boolean() }),
      fc.record({ kind: fc.constant('move' as const) }),
      fc.record({ kind: fc.constant('wait' as const), us: fc.integer({ min: 1, max: 700_000 }) }),
      fc.record({ kind: fc.constant('mark' as const), bytes: fc.integer({ min: 0, max: 60 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const s = new ChimneyScene();
        let sent = '';
        for (const one of steps) {
          if (one.kind === 'text') {
            const text = Array.from({ length: one.length }, (_, i) =>
              String.fromCharCode(97 + ((sent.length + i) % 26)),
            );
            sent += text.join('');
            s.deliver(0, s.text(text.join(''), one.push ? ACK | PSH : ACK));
            // Up here the promise is exact.
            if (one.push && s.location === 'host') expect(s.got()).toBe(sent);
          } else if (one.kind === 'move') {
            if (s.location === 'host') s.beginOffload();
            else s.beginTakeBack();
            s.runtime.settle();
          } else if (one.kind === 'wait') s.runtime.advance(one.us);
          else s.endpoint.setReceiveLowWater(one.bytes);
          expect(sent.startsWith(s.got())).toBe(true);
        }
        s.runtime.advance(3 * PUSH_US);
        expect(s.got()).toBe(sent);
      }),
      { seed, numRuns: 150 },
    );
  });
});
