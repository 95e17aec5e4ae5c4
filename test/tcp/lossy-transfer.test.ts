/** The engine against itself over a wire that loses, repeats, delays and reorders: every byte once, in order, both ways, and an end. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import { TcpConstFlag } from '../../src/state/tcp.ts';
import type { CongestionName } from '../../src/tcp/congestion/named.ts';
import { LIMIT_US, type PairEnd, type PairOptions, pair } from '../support/tcp-pair.ts';

const CLEAN: PairOptions = {
  bytes: [300_000, 300_000],
  loss: 0,
  duplicate: 0,
  reorder: 0,
  delayUs: 10_000,
  queue: 10_000,
  receiveBuffer: 100_000,
  eager: 1,
  mss: [1460, 1460],
  tsoSegments: 1,
  noDelay: false,
  simultaneous: false,
  parameters: {},
};

interface Outcome {
  readonly elapsedUs: number;
  readonly segments: number;
  readonly retransmissions: number;
  readonly moves: number;
}

/** Runs to the end and checks what must hold there. */
function run(options: PairOptions, seed: number): Outcome {
  const runtime = new VirtualRuntime(seed);
  const ends: readonly [PairEnd, PairEnd] = pair(runtime, options);
  const startUs = runtime.nowUs();
  const isDone = (): boolean => ends.every((end) => end.isClosed);
  let finishedUs = 0;
  const isFinished = (): boolean => ends.every((end) => end.isEnded && end.completed === options.bytes[end.name]);
  const hasFinished = runtime.runUntil(() => isFinished() || ends.some((end) => end.failure !== null), LIMIT_US);
  finishedUs = runtime.nowUs();
  const isOver = runtime.runUntil(isDone, LIMIT_US);
  const told = ends.map((end) => end.describe()).join('\n');
  expect(hasFinished && isOver, `it comes to an end\n${told}`).toBe(true);
  for (const end of ends) {
    expect(end.failure, told).toBeNull();
    expect(end.received, told).toBe(options.bytes[1 - end.name]);
    expect(end.completed, told).toBe(options.bytes[end.name]);
    expect(end.pagesHeld, 'pages of the reassemblers').toBe(0);
    expect(end.c.sendQueue?.isEmpty ?? true).toBe(true);
  }
  return {
    elapsedUs: finishedUs - startUs,
    segments: ends[0].segmentsSent + ends[1].segmentsSent,
    retransmissions: ends[0].retransmissions + ends[1].retransmissions,
    moves: ends[0].moves + ends[1].moves,
  };
}

/** `TIMES=50 npx vitest run test/tcp/lossy-transfer.test.ts`: a soak. */
const TIMES = Number(process.env['TIMES'] ?? 1);

const { TIMESTAMP_ENABLED, SACK_ENABLED, WINDOW_SCALING_ENABLED } = TcpConstFlag;
const ALL = TIMESTAMP_ENABLED | SACK_ENABLED | WINDOW_SCALING_ENABLED;

describe('over a clean wire', () => {
  test('nothing is sent twice', () => {
    for (let seed = 1; seed <= 10; seed++) expect(run(CLEAN, seed).retransmissions).toBe(0);
  });

  test('a slow reader closes the window and opens it again, and nothing is sent twice but window probes', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const outcome = run({ ...CLEAN, eager: 0, receiveBuffer: 8_000, bytes: [100_000, 30_000] }, seed);
      expect(outcome.retransmissions).toBeLessThan(outcome.segments / 20);
    }
  });

  test('nothing is sent twice because a connection moves (TCP-061 to TCP-070)', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const outcome = run({ ...CLEAN, moveEveryUs: 15_000 }, seed);
      expect(outcome.moves).toBeGreaterThan(5);
      expect(outcome.retransmissions).toBe(0);
    }
  });

  test('a window smaller than a segment works', () => {
    for (let seed = 1; seed <= 5; seed++)
      run({ ...CLEAN, eager: 0.5, receiveBuffer: 1000, bytes: [20_000, 20_000] }, seed);
  });
});

describe('over a wire that marks what it would have lost (RFC 3168)', () => {
  test.each(['newreno', 'cubic'] as const)(
    '%s keeps to its share, and nothing is sent twice [3168-11]',
    (congestion) => {
      const options = { ...CLEAN, bytes: [1_000_000, 100_000] as const, receiveBuffer: 1_000_000 };
      const parameters = { ecn: true, congestion, maxReceiveBuffer: 1_000_000 };
      let cleanUs = 0;
      let markedUs = 0;
      let lostUs = 0;
      for (let seed = 1; seed <= 12; seed++) {
        const clean = run({ ...options, parameters }, seed);
        const marked = run({ ...options, mark: 0.02, parameters }, seed);
        expect(clean.retransmissions + marked.retransmissions).toBe(0);
        cleanUs += clean.elapsedUs;
        markedUs += marked.elapsedUs;
        // Without ECN the same chance is one of loss.
        lostUs += run({ ...options, loss: 0.02, parameters }, seed).elapsedUs;
      }
      expect(markedUs).toBeGreaterThan(2 * cleanUs);
      expect(markedUs).toBeLessThan(1.3 * lostUs);
    },
  );

  test('where everything is marked it still goes on, a segment at a time [3168-13, 9438-10]', () => {
    for (const congestion of ['newreno', 'cubic'] as const) {
      const parameters = { ecn: true, congestion };
      const outcome = run({ ...CLEAN, bytes: [60_000, 0], mark: 1, parameters }, 1);
      expect(outcome.retransmissions).toBe(0);
    }
  });
});

describe('over a bad wire', () => {
  const arbitrary: fc.Arbitrary<PairOptions> = fc.record({
    bytes: fc.tuple(fc.nat({ max: 150_000 }), fc.nat({ max: 150_000 })),
    loss: fc.constantFrom(0, 0.01, 0.03, 0.1, 0.25),
    duplicate: fc.constantFrom(0, 0.02, 0.2),
    reorder: fc.constantFrom(0, 0.05, 0.5),
    mark: fc.constantFrom(0, 0.1, 1),
    delayUs: fc.constantFrom(1, 100, 10_000, 100_000),
    queue: fc.constantFrom(5, 20, 1000),
    receiveBuffer: fc.constantFrom(1000, 4000, 65_535, 1_000_000),
    eager: fc.constantFrom(0, 0.5, 1),
    mss: fc.constantFrom([1460, 1460] as const, [536, 1460] as const, [8960, 1220] as const, [100, 88] as const),
    tsoSegments: fc.constantFrom(1, 10, 44),
    noDelay: fc.boolean(),
    simultaneous: fc.boolean(),
    parameters: fc
      .tuple(
        fc.nat({ max: ALL }),
        fc.constantFrom(1, 2, 8),
        fc.constantFrom(0, 8),
        fc.constantFrom<CongestionName>('newreno', 'cubic'),
        fc.record({
          rack: fc.boolean(),
          tailLossProbe: fc.boolean(),
          proportionalRate: fc.boolean(),
          ecn: fc.boolean(),
        }),
      )
      .map(([options, ackFrequency, quickAckSegments, congestion, repair]) => ({
        ...repair,
        congestion,
        options,
        ackFrequency,
        quickAckSegments,
        // With a quarter of the segments lost some waits would be long, and none may end the connection.
        rtoMaxUs: 5_000_000,
        finWait2Us: 3_600_000_000,
        timeWaitUs: 1_800_000_000,
        maximumRetransmissions: 60,
        synRetries: 30,
        maxReceiveBuffer: 1_000_000,
      })),
  });

  test('whatever the wire does and whatever was agreed on, both streams arrive whole and both ends close', () => {
    fc.assert(
      fc.property(arbitrary, fc.nat(), (options, wireSeed) => {
        run(options, wireSeed);
      }),
      { numRuns: 60 * TIMES },
    );
  }, 600_000);

  test('nor does it matter how often either end moves between host and target meanwhile (SEND-038, TERM-059)', () => {
    let moves = 0;
    fc.assert(
      fc.property(arbitrary, fc.constantFrom(5_000, 50_000, 500_000), fc.nat(), (options, moveEveryUs, wireSeed) => {
        moves += run({ ...options, moveEveryUs }, wireSeed).moves;
      }),
      { numRuns: 15 * TIMES },
    );
    expect(moves).toBeGreaterThan(100);
  }, 600_000);

  test('SACK repairs loss with less repetition and in less time than without it', () => {
    const lossy = { ...CLEAN, bytes: [1_000_000, 0] as const, loss: 0.02, receiveBuffer: 1_000_000 };
    let withSack = 0;
    let without = 0;
    for (let seed = 1; seed <= 10; seed++) {
      withSack += run({ ...lossy, parameters: { options: ALL, maxReceiveBuffer: 1_000_000 } }, seed).elapsedUs;
      without += run(
        { ...lossy, parameters: { options: ALL & ~SACK_ENABLED, maxReceiveBuffer: 1_000_000 } },
        seed,
      ).elapsedUs;
    }
    expect(withSack).toBeLessThan(without);
  }, 600_000);

  test.each([
    ['1 % loss', { loss: 0.01 }, 1.05],
    ['5 % loss', { loss: 0.05 }, 1],
    ['10 % loss', { loss: 0.1 }, 0.95],
    ['loss and reordering', { loss: 0.01, reorder: 0.05 }, 0.8],
    ['reordering', { reorder: 0.05 }, 0.7],
    ['much reordering', { reorder: 0.5 }, 0.5],
    ['loss and moves', { loss: 0.01, moveEveryUs: 25_000 }, 0.9],
  ] as const)(
    'RACK-TLP and PRR over %s: in less time than counting ACKs, and with less sent twice [8985-4, 8985-6, 8985-18]',
    (_name, change, most) => {
      const options = { ...CLEAN, bytes: [600_000, 0] as const, receiveBuffer: 1_000_000, ...change };
      const outcome = (rack: boolean) => {
        let elapsedUs = 0;
        let retransmissions = 0;
        for (let seed = 1; seed <= 12; seed++) {
          const one = run({ ...options, parameters: { rack, maxReceiveBuffer: 1_000_000 } }, seed);
          elapsedUs += one.elapsedUs;
          retransmissions += one.retransmissions;
        }
        return { elapsedUs, retransmissions };
      };
      const byTime = outcome(true);
      const byCount = outcome(false);
      expect(byTime.elapsedUs).toBeLessThan(most * byCount.elapsedUs);
      // A receiver that moves drops what it holds out of order, and more of that is under way here.
      const more = 'moveEveryUs' in change ? 1.4 : 1.05;
      expect(byTime.retransmissions).toBeLessThan(more * byCount.retransmissions);
    },
  );

  test('reordering alone costs almost no retransmission once it was seen [8985-5, 8985-6]', () => {
    let segments = 0;
    let retransmissions = 0;
    for (let seed = 1; seed <= 10; seed++) {
      const outcome = run(
        {
          ...CLEAN,
          bytes: [1_000_000, 0],
          receiveBuffer: 1_000_000,
          reorder: 0.2,
          parameters: { maxReceiveBuffer: 1_000_000 },
        },
        seed,
      );
      segments += outcome.segments;
      retransmissions += outcome.retransmissions;
    }
    expect(retransmissions / segments).toBeLessThan(0.01);
  });
});
