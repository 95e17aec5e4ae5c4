/** Random histories: two engines on a bad wire, moving between host and target at random moments. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TcpConnectionState as State } from '../../src/state/tcp.ts';
import { Pair, type PeerOptions, type WireOptions } from './support/pair.ts';

const wire: fc.Arbitrary<WireOptions> = fc.record({
  lostPerMille: fc.constantFrom(0, 0, 10, 50, 100),
  doubledPerMille: fc.constantFrom(0, 20),
  latePerMille: fc.constantFrom(0, 0, 50, 200),
  delayUs: fc.constantFrom(50, 2_000, 20_000),
});

const peer: fc.Arbitrary<PeerOptions> = fc.record({
  bytes: fc.oneof(fc.integer({ min: 0, max: 3000 }), fc.integer({ min: 10_000, max: 150_000 })),
  writeMax: fc.constantFrom(1, 100, 5_000, 40_000),
  receiveBuffer: fc.constantFrom(1_000, 8_000, 65_535, 300_000),
  readMax: fc.constantFrom(0, 700, 20_000),
  readPauseUs: fc.constantFrom(0, 0, 3_000, 50_000),
  isNagling: fc.boolean(),
  mss: fc.constantFrom(200, 1000, 1460, 8960),
  options: fc.integer({ min: 0, max: 7 }),
  tsoSegments: fc.constantFrom(1, 1, 8),
  moveUs: fc.constant(0),
});

/** Small writes of much data take for ever to simulate and show nothing more. */
function bounded(options: PeerOptions): PeerOptions {
  const bytes = Math.min(
    options.bytes,
    options.writeMax * 400,
    options.receiveBuffer === 1000 ? 30_000 : options.bytes,
  );
  const readMax = options.readMax !== 0 && options.readPauseUs === 0 ? 0 : options.readMax;
  return { ...options, bytes, readMax };
}

function check(pair: Pair, a: PeerOptions, b: PeerOptions, isDone: boolean): void {
  const { a: one, b: two } = pair;
  const story = `${JSON.stringify({ state: [one.c.state, two.c.state], delivered: [one.delivered, two.delivered] })}\n${pair.log.slice(-40).join('\n')}`;
  expect(one.isTimedOut || two.isTimedOut, story).toBe(false);
  expect(isDone, story).toBe(true);
  expect(one.delivered).toBe(b.bytes);
  expect(two.delivered).toBe(a.bytes);
  expect(one.completedBytes).toBe(a.bytes);
  expect(two.completedBytes).toBe(b.bytes);
  expect(one.resets + two.resets).toBe(0);
  // TIME-WAIT ends, and everything borrowed is back.
  pair.runtime.advance(400_000_000);
  for (const each of [one, two]) {
    expect(each.c.state, story).toBe(State.CLOSED);
    expect(each.targetSlab.live).toBe(0);
    for (const p of [each.hostParameters, each.targetParameters]) expect(p.spares.textPool.pagesHeld).toBe(0);
    expect(each.c.reassembly).toBe(null);
    expect(each.c.scoreboard).toBe(null);
  }
}

describe('two engines', () => {
  test('carry every byte once, in order, both ways, over any wire', () => {
    fc.assert(
      fc.property(fc.integer(), wire, peer, peer, (seed, w, left, right) => {
        const a = bounded(left);
        const b = bounded(right);
        const pair = new Pair(seed, w, a, b);
        check(pair, a, b, pair.run(3_600_000_000));
      }),
      { numRuns: 120 },
    );
  });

  test('carry every byte once while the connection moves between host and target (STATE-003, STATE-006, TCP-016, TCP-017, TCP-135)', () => {
    const moving = fc.tuple(peer, fc.constantFrom(0, 3_000, 40_000, 400_000)).map(([p, moveUs]) => ({ ...p, moveUs }));
    fc.assert(
      fc.property(fc.integer(), wire, moving, moving, (seed, w, left, right) => {
        const a = bounded(left);
        const b = bounded(right);
        const pair = new Pair(seed, w, a, b);
        check(pair, a, b, pair.run(3_600_000_000));
      }),
      { numRuns: 160 },
    );
  });
});
