/** An event loop that stays awake for the next frame of a stream, and learns where none comes. */
import { expect, test } from 'vitest';
import { StayAwake } from '../../src/link/node/stay-awake.ts';

/** A loop whose rounds take 10 microseconds each. */
class Loop {
  nowMs = 0;
  rounds = 0;
  #turn: (() => void) | null = null;
  readonly awake: StayAwake = new StayAwake(
    () => this.nowMs,
    (turn) => {
      expect(this.#turn).toBe(null);
      this.#turn = turn;
    },
  );

  get isAwake(): boolean {
    return this.#turn !== null;
  }

  round(): void {
    const turn = this.#turn;
    this.#turn = null;
    this.rounds++;
    this.nowMs += 0.01;
    turn?.();
  }

  /** Goes round until it sleeps; answers how often. */
  sleep(): number {
    const { rounds } = this;
    while (this.isAwake) this.round();
    return this.rounds - rounds;
  }
}

test('after a long frame the loop goes round some microseconds without sleeping, after a short one it sleeps', () => {
  const loop = new Loop();
  loop.awake.came(1500);
  expect(loop.isAwake).toBe(false);
  loop.awake.came(64_000);
  expect(loop.sleep()).toBe(3);
});

test('as long as the next frame comes in time it does not sleep', () => {
  const loop = new Loop();
  loop.awake.came(64_000);
  for (let i = 0; i < 100; i++) {
    loop.round();
    loop.round();
    expect(loop.isAwake).toBe(true);
    loop.awake.came(64_000);
  }
});

test('where frames come too seldom it stays awake ever more seldom, and again where they come in time', () => {
  const loop = new Loop();
  let waits = 0;
  for (let i = 0; i < 5000; i++) {
    loop.awake.came(64_000);
    if (loop.isAwake) waits++;
    loop.sleep();
  }
  expect(waits).toBeGreaterThan(10);
  expect(waits).toBeLessThan(40);
  // One that meets the next frame awake is believed at once.
  while (!loop.isAwake) loop.awake.came(64_000);
  loop.round();
  loop.awake.came(64_000);
  loop.sleep();
  loop.awake.came(64_000);
  loop.awake.came(64_000);
  expect(loop.isAwake).toBe(true);
});
