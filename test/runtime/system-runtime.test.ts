/** The runtime of real programs, on a platform played by hand, and on Node's own. */

import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { NEVER } from '../../src/base/runtime.ts';
import { type Platform, SystemRuntime, systemPlatform } from '../../src/runtime.ts';
import { runScript } from '../support/child.ts';
import { seed } from '../support/seed.ts';

/** An event loop turned by hand: what runs when is the test's choice. */
class HandPlatform implements Platform {
  ms = 0;
  readonly soonTasks: (() => void)[] = [];
  readonly immediates: (() => void)[] = [];
  timeouts: { task: () => void; atMs: number }[] = [];
  held = 0;
  filled = 0;

  nowMs(): number {
    return this.ms;
  }
  setTimeout(task: () => void, ms: number): unknown {
    const timeout = { task, atMs: this.ms + ms };
    this.timeouts.push(timeout);
    return timeout;
  }
  clearTimeout(handle: unknown): void {
    this.timeouts = this.timeouts.filter((timeout) => timeout !== handle);
  }
  setImmediate(task: () => void): void {
    this.immediates.push(task);
  }
  soon(task: () => void): void {
    this.soonTasks.push(task);
  }
  keepAlive(): () => void {
    this.held++;
    return () => {
      this.held--;
    };
  }
  randomFill(bytes: Uint8Array): void {
    this.filled++;
    bytes.fill(this.filled);
  }

  /** Ticks and microtasks, until there are none. */
  settle(): void {
    for (let task = this.soonTasks.shift(); task !== undefined; task = this.soonTasks.shift()) task();
  }
  /** One turn of the event loop, `ms` later. */
  turn(ms = 0): void {
    this.ms += ms;
    const due = this.timeouts.filter((timeout) => timeout.atMs <= this.ms);
    this.timeouts = this.timeouts.filter((timeout) => timeout.atMs > this.ms);
    for (const { task } of due) {
      task();
      this.settle();
    }
    for (const task of this.immediates.splice(0)) {
      task();
      this.settle();
    }
  }
}

const open: SystemRuntime[] = [];

function handMade(): { platform: HandPlatform; runtime: SystemRuntime } {
  const platform = new HandPlatform();
  const runtime = new SystemRuntime(platform);
  open.push(runtime);
  return { platform, runtime };
}

function real(): SystemRuntime {
  const runtime = new SystemRuntime();
  open.push(runtime);
  return runtime;
}

afterEach(() => {
  for (const runtime of open.splice(0)) runtime.close();
});

describe('the clock', () => {
  test('is integer microseconds and does not begin at zero', () => {
    const { platform, runtime } = handMade();
    expect(runtime.nowUs()).toBeGreaterThan(0);
    const before = runtime.nowUs();
    platform.ms += 1.23456;
    expect(runtime.nowUs() - before).toBe(1234);
  });
});

describe('deferred tasks', () => {
  test('run after the caller, in the order of the calls, those deferred meanwhile last', () => {
    const { platform, runtime } = handMade();
    const log: string[] = [];
    runtime.defer(() => {
      log.push('a');
      runtime.defer(() => log.push('c'));
    });
    runtime.defer(() => log.push('b'));
    log.push('caller');
    platform.settle();
    expect(log).toEqual(['caller', 'a', 'b', 'c']);
  });

  test('let the event loop turn after half a millisecond, however many there are', () => {
    const { platform, runtime } = handMade();
    let runs = 0;
    const again = (): void => {
      runs++;
      platform.ms += 0.01;
      runtime.defer(again);
    };
    runtime.defer(again);
    platform.settle();
    expect(runs).toBeGreaterThanOrEqual(50);
    expect(runs).toBeLessThan(50 + 32);
    const before = runs;
    platform.turn();
    expect(runs).toBeGreaterThan(before);
    expect(runs - before).toBeLessThan(50 + 32);
  });

  test('many at once are cut after half a millisecond too, and none is lost or run twice', () => {
    const { platform, runtime } = handMade();
    const ran: number[] = [];
    for (let i = 0; i < 5000; i++) {
      runtime.defer(() => {
        platform.ms += 0.005;
        ran.push(i);
      });
    }
    platform.settle();
    expect(ran.length).toBeLessThan(200);
    for (let turns = 0; turns < 100; turns++) platform.turn();
    expect(ran).toEqual(Array.from({ length: 5000 }, (_, i) => i));
  });

  test('one that throws does not take the others with it', () => {
    const { platform, runtime } = handMade();
    const log: string[] = [];
    runtime.defer(() => {
      throw new Error('a bug');
    });
    runtime.defer(() => log.push('still run'));
    expect(() => platform.settle()).toThrow('a bug');
    platform.settle();
    expect(log).toEqual(['still run']);
  });

  test('neither ticks nor promises of the program wait for the end of a burst', async () => {
    // A clock that stands still: the burst would never end.
    const runtime = new SystemRuntime({ ...systemPlatform(), nowMs: () => 0 });
    open.push(runtime);
    let rounds = 0;
    let ticked = -1;
    let promised = -1;
    const again = (): void => {
      if (++rounds < 1000) runtime.defer(again);
    };
    runtime.defer(() => {
      process.nextTick(() => {
        ticked = rounds;
      });
      void Promise.resolve().then(() => {
        promised = rounds;
      });
      again();
    });
    while (rounds < 1000) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(ticked).toBeLessThan(10);
    expect(promised).toBeLessThan(10);
  });
});

describe('timers', () => {
  test.each([
    [100, ['due', 'input']],
    [250, ['input', 'due']],
  ])('are due after what has arrived when the process stood still: %s ms', (afterMs, order) => {
    const { platform, runtime } = handMade();
    const log: string[] = [];
    runtime.timer(() => log.push('due')).arm(runtime.nowUs() + 100_000);
    platform.setImmediate(() => log.push('input')); // read in the loop's poll, which is between its timers and its immediates
    platform.turn(afterMs);
    expect(log).toEqual(order);
  });

  test('fire in the order of their moments, with one time for all that are due', () => {
    const { platform, runtime } = handMade();
    const log: [string, number][] = [];
    const start = runtime.nowUs();
    const timer = (name: string, afterUs: number): void => {
      runtime.timer((nowUs) => log.push([name, nowUs - start])).arm(start + afterUs);
    };
    timer('late', 30_000);
    timer('soon', 10_000);
    timer('between', 20_000);
    platform.turn(25);
    expect(log).toEqual([
      ['soon', 25_000],
      ['between', 25_000],
    ]);
    platform.turn(10);
    expect(log[2]).toEqual(['late', 35_000]);
  });

  test('one platform timer serves them all, and one moved later is not moved there', () => {
    const { platform, runtime } = handMade();
    let fired = 0;
    const timers = Array.from({ length: 100 }, () => runtime.timer(() => fired++));
    for (const [i, timer] of timers.entries()) timer.arm(runtime.nowUs() + (i + 10) * 10_000);
    expect(platform.timeouts.length).toBe(1);
    for (const timer of timers) timer.arm(runtime.nowUs() + 5_000_000);
    expect(platform.timeouts.length).toBe(1);
    platform.turn(100);
    expect(fired).toBe(0);
    expect(platform.timeouts).toEqual([expect.objectContaining({ atMs: 5000 })]);
    platform.turn(4900);
    expect(fired).toBe(100);
    expect(platform.timeouts).toEqual([]);
  });

  test('a fired timer is disarmed, a disarmed one does not fire, an armed one knows its moment', () => {
    const { platform, runtime } = handMade();
    let fired = 0;
    const timer = runtime.timer(() => fired++);
    expect(timer.atUs).toBe(NEVER);
    const at = runtime.nowUs() + 5_000;
    timer.arm(at);
    expect(timer.atUs).toBe(at);
    platform.turn(5);
    expect([fired, timer.atUs]).toEqual([1, NEVER]);
    timer.arm(runtime.nowUs() + 5_000);
    timer.disarm();
    platform.turn(10);
    expect(fired).toBe(1);
  });

  test('a moment in the past means: as soon as possible, never from inside', () => {
    const { platform, runtime } = handMade();
    let fired = 0;
    runtime.timer(() => fired++).arm(runtime.nowUs() - 1);
    expect(fired).toBe(0);
    platform.turn();
    expect(fired).toBe(1);
  });

  test('under a millisecond the loop is polled while something is open, and left alone when nothing is', () => {
    const { platform, runtime } = handMade();
    const log: number[] = [];
    const start = runtime.nowUs();
    const timer = runtime.timer((nowUs) => log.push(nowUs - start));
    timer.arm(start + 300);
    expect([platform.immediates.length, platform.timeouts.length]).toEqual([0, 1]);
    runtime.ref();
    expect(platform.immediates.length).toBe(1);
    for (let i = 0; i < 40; i++) platform.turn(0.01);
    expect(log).toEqual([300]);
    expect(platform.immediates.length).toBe(0);
  });

  test('a timer armed from its own callback for now does not keep the loop from turning', () => {
    const { platform, runtime } = handMade();
    let fired = 0;
    const timer = runtime.timer((nowUs) => {
      fired++;
      timer.arm(nowUs + 1);
    });
    timer.arm(runtime.nowUs());
    platform.turn(1);
    expect(fired).toBe(1);
  });

  test('any timers, armed and moved at will: each fires once, not before its moment (property)', () => {
    const step = fc.record({
      timer: fc.nat(7),
      afterUs: fc.integer({ min: -500, max: 40_000 }),
      waitUs: fc.integer({ min: 0, max: 9_000 }),
      disarms: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { platform, runtime } = handMade();
        runtime.ref();
        const dueUs: number[] = Array.from({ length: 8 }, () => NEVER);
        const timers = dueUs.map((_, i) =>
          runtime.timer((nowUs) => {
            expect(nowUs).toBeGreaterThanOrEqual(dueUs[i]!);
            expect(dueUs[i]).not.toBe(NEVER);
            dueUs[i] = NEVER;
          }),
        );
        for (const { timer, afterUs, waitUs, disarms } of steps) {
          dueUs[timer] = disarms ? NEVER : runtime.nowUs() + afterUs;
          if (disarms) timers[timer]!.disarm();
          else timers[timer]!.arm(dueUs[timer]!);
          for (let us = 0; us < waitUs; us += 250) platform.turn(0.25);
        }
        for (let i = 0; i < 200; i++) platform.turn(0.25);
        expect(dueUs.every((at) => at === NEVER)).toBe(true);
      }),
      { seed, numRuns: 50 },
    );
  });

  test('keep close to their moment in the real world', async () => {
    const runtime = real();
    runtime.ref();
    const lateUs: number[] = [];
    for (const afterUs of [100, 500, 900, 3_000, 12_000]) {
      const at = runtime.nowUs() + afterUs;
      runtime.timer((nowUs) => lateUs.push(nowUs - at)).arm(at);
    }
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(lateUs.length).toBe(5);
    for (const us of lateUs) expect(us).toBeGreaterThanOrEqual(0);
  });
});

describe('keeping the process alive', () => {
  test('holds are counted', () => {
    const { platform, runtime } = handMade();
    runtime.ref();
    runtime.ref();
    expect(platform.held).toBe(1);
    runtime.unref();
    expect([platform.held, runtime.isHeld]).toEqual([1, true]);
    runtime.unref();
    runtime.unref();
    expect([platform.held, runtime.isHeld]).toEqual([0, false]);
  });

  test('close lets go of everything and runs nothing any more', () => {
    const { platform, runtime } = handMade();
    let ran = 0;
    runtime.ref();
    runtime.timer(() => ran++).arm(runtime.nowUs() + 5_000);
    runtime.defer(() => ran++);
    runtime.close();
    platform.settle();
    platform.turn(10);
    expect([platform.held, ran, platform.timeouts.length]).toEqual([0, 0, 0]);
  });

  test('a process with an armed timer and nothing open ends; one that holds the runtime lives on', async () => {
    const script = 'test/runtime/hold-script.ts';
    expect(await runScript(script, { args: ['free'] })).toEqual({ hasFired: false });
    expect(await runScript(script, { args: ['held'] })).toEqual({ hasFired: true });
  }, 60_000);
});

describe('randomness', () => {
  test('is fetched in blocks, handed out once, and fills any length', () => {
    const { platform, runtime } = handMade();
    for (let i = 0; i < 257; i++) expect(runtime.random.nextUint32()).toBe(i < 256 ? 0x01010101 : 0x02020202);
    const bytes = new Uint8Array(200_000);
    runtime.random.fill(bytes);
    expect(platform.filled).toBe(2 + 4);
    expect(bytes.every((byte) => byte > 0)).toBe(true);
  });

  test('is the platform’s own in a real program', () => {
    const { random } = real();
    const words = new Set(Array.from({ length: 1000 }, () => random.nextUint32()));
    expect(words.size).toBeGreaterThan(990);
  });
});
