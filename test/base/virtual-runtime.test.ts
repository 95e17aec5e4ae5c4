import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NEVER, type Timer } from '../../src/base/runtime.ts';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';

describe('virtual time', () => {
  test('moves only when told to, and stops exactly where it was told', () => {
    const runtime = new VirtualRuntime(1, 500);
    expect(runtime.nowUs()).toBe(500);
    runtime.advance(1234);
    expect(runtime.nowUs()).toBe(1734);
  });

  test('a timer fires at its own moment, once, and is then disarmed', () => {
    const runtime = new VirtualRuntime(1, 0);
    const fired: number[] = [];
    const timer = runtime.timer((nowUs) => fired.push(nowUs));
    timer.arm(70);
    expect(timer.atUs).toBe(70);
    runtime.advance(69);
    expect(fired).toEqual([]);
    runtime.advance(100);
    expect(fired).toEqual([70]);
    expect(timer.atUs).toBe(NEVER);
    runtime.advance(1000);
    expect(fired).toEqual([70]);
  });

  test('arming an armed timer moves it, and disarming silences it', () => {
    const runtime = new VirtualRuntime(1, 0);
    const fired: string[] = [];
    const moved = runtime.timer((nowUs) => fired.push(`moved ${nowUs}`));
    const silenced = runtime.timer((nowUs) => fired.push(`silenced ${nowUs}`));
    moved.arm(10);
    silenced.arm(20);
    moved.arm(30);
    silenced.disarm();
    runtime.advance(100);
    expect(fired).toEqual(['moved 30']);
  });

  test('a moment in the past means as soon as possible, never from inside arm', () => {
    const runtime = new VirtualRuntime(1, 1000);
    const fired: number[] = [];
    const timer = runtime.timer((nowUs) => fired.push(nowUs));
    timer.arm(1);
    expect(fired).toEqual([]);
    runtime.settle();
    expect(fired).toEqual([1000]);
    expect(runtime.nowUs()).toBe(1000);
  });

  test('timers fire in the order of their moments, each seeing its own time', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 500 }), { maxLength: 60 }), (moments) => {
        const runtime = new VirtualRuntime(1, 0);
        const fired: number[] = [];
        for (const atUs of moments) {
          runtime
            .timer((nowUs) => {
              expect(nowUs).toBe(atUs);
              expect(runtime.nowUs()).toBe(atUs);
              fired.push(atUs);
            })
            .arm(atUs);
        }
        runtime.advance(1000);
        expect(fired).toEqual(moments.toSorted((a, b) => a - b));
      }),
    );
  });

  test('a timer that arms itself again goes on, and advance sees every round', () => {
    const runtime = new VirtualRuntime(1, 0);
    let rounds = 0;
    const timer: Timer = runtime.timer((nowUs) => {
      rounds++;
      timer.arm(nowUs + 10);
    });
    timer.arm(10);
    runtime.advance(100);
    expect(rounds).toBe(10);
    expect(timer.atUs).toBe(110);
  });
});

describe('deferred tasks', () => {
  test('run after the caller has returned, in the order of the calls, at the same instant, before later timers', () => {
    const runtime = new VirtualRuntime(1, 0);
    const seen: string[] = [];
    runtime
      .timer((nowUs) => {
        seen.push(`timer ${nowUs}`);
        runtime.defer(() => seen.push(`deferred ${runtime.nowUs()}`));
      })
      .arm(5);
    runtime.timer((nowUs) => seen.push(`timer ${nowUs}`)).arm(6);
    runtime.defer(() => {
      seen.push('first');
      runtime.defer(() => seen.push('inner'));
    });
    runtime.defer(() => seen.push('second'));
    expect(seen).toEqual([]);
    runtime.advance(10);
    expect(seen).toEqual(['first', 'second', 'inner', 'timer 5', 'deferred 5', 'timer 6']);
  });

  test('make now the soonest moment', () => {
    const runtime = new VirtualRuntime(1, 77);
    expect(runtime.soonestUs).toBe(NEVER);
    runtime.timer(() => {}).arm(100);
    expect(runtime.soonestUs).toBe(100);
    runtime.defer(() => {});
    expect(runtime.soonestUs).toBe(77);
  });
});

describe('running until something holds', () => {
  test('stops at the event that made it hold', () => {
    const runtime = new VirtualRuntime(1, 0);
    let isDone = false;
    runtime.timer(() => (isDone = true)).arm(40);
    runtime.timer(() => expect.fail('one event too many')).arm(41);
    expect(runtime.runUntil(() => isDone, 1000)).toBe(true);
    expect(runtime.nowUs()).toBe(40);
  });

  test('gives up at its limit, and not before', () => {
    const runtime = new VirtualRuntime(1, 0);
    let rounds = 0;
    const timer = runtime.timer((nowUs) => {
      rounds++;
      timer.arm(nowUs + 10);
    });
    timer.arm(10);
    expect(runtime.runUntil(() => false, 95)).toBe(false);
    expect(runtime.nowUs()).toBe(95);
    expect(rounds).toBe(9);
  });

  test('an event at the very limit still happens', () => {
    const runtime = new VirtualRuntime(1, 0);
    let isDone = false;
    runtime.timer(() => (isDone = true)).arm(100);
    expect(runtime.runUntil(() => isDone, 100)).toBe(true);
  });

  test('a world at rest with no end answers false at once', () => {
    const runtime = new VirtualRuntime(1, 0);
    expect(runtime.runUntil(() => false, 1000)).toBe(false);
    expect(runtime.nowUs()).toBe(1000);
  });
});

test('the same seed gives the same run, another seed another', () => {
  const run = (seed: number): number[] => {
    const runtime = new VirtualRuntime(seed);
    const seen: number[] = [];
    const timer = runtime.timer((nowUs) => {
      seen.push(nowUs);
      timer.arm(nowUs + 1 + (runtime.random.nextUint32() % 1000));
    });
    timer.arm(runtime.nowUs());
    runtime.advance(50_000);
    return seen;
  };
  expect(run(9)).toEqual(run(9));
  expect(run(9)).not.toEqual(run(10));
});
