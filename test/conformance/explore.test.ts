/** The suite against the project's own drivers, which pass it, and against drivers that lose what they were given. */
import { describe, expect, test } from 'vitest';
import { findSubject } from '../../apps/cli/verify/subject.ts';
import { explore, replay } from '../../src/conformance/explore.ts';
import type { DriverFactory, Subject, TargetFactory } from '../../src/conformance/run.ts';
import { SCENARIOS } from '../../src/conformance/scenarios/index.ts';
import { findingText } from '../../src/contract/finding.ts';
import { PassThrough } from '../../src/im/pass-through.ts';
import type { NetBufferList } from '../../src/state/net-buffer-list.ts';
import { EngineAdapter } from '../../src/target/engine/engine-adapter.ts';
import { PlainAdapter } from '../../src/target/plain/plain-adapter.ts';
import { seed, seedNote } from '../support/seed.ts';

const engine: TargetFactory = (environment) => new EngineAdapter(environment);
const passThrough: DriverFactory = (environment, below, name) => new PassThrough(environment, below, { name });
const numeric = [...String(seed)].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) >>> 0, 7);

function texts(subject: Subject, interleavings: number): string[] {
  return explore(subject, { seed: numeric, interleavings }).findings.map((one) => `${one.replay} ${findingText(one)}`);
}

describe('the own drivers pass', () => {
  test('the engine target', () => {
    expect(texts({ target: engine }, 2000), seedNote).toEqual([]);
  }, 120_000);

  test('the pass-through driver, alone and three times over itself', () => {
    expect(texts({ target: engine, drivers: [passThrough] }, 500), seedNote).toEqual([]);
    expect(texts({ target: engine, drivers: [passThrough, passThrough, passThrough] }, 150), seedNote).toEqual([]);
  });

  test.each(['worker', 'pass-through', 'filter', 'impair', 'capture', 'team', 'stack'])(
    '%s, as `chimney verify` knows it',
    async (name) => {
      expect(texts((await findSubject(name)).subject, 300), seedNote).toEqual([]);
    },
    120_000,
  );

  test('a target without a chimney is told to have none', () => {
    const report = explore({ target: (environment) => new PlainAdapter(environment) }, { seed: 1, interleavings: 50 });
    expect(report.hasNoChimney).toBe(true);
    expect(report.findings).toEqual([]);
  });
});

/** A target that bends a byte of what it received. */
class Bender extends EngineAdapter {
  override receive(bytes: Uint8Array, at: number, length: number): void {
    if (length > 70) bytes[at + length - 1]! ^= 1;
    super.receive(bytes, at, length);
  }
}

/** A target that loses sends of one byte. */
class Loser extends EngineAdapter {
  override tcpOffloadSend(context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    if (lists.firstNetBuffer!.dataLength === 1) return 1;
    return super.tcpOffloadSend(context, offloadContext, lists);
  }
}

/** A target that throws at every third segment. */
class Thrower extends EngineAdapter {
  #segments = 0;

  override receive(bytes: Uint8Array, at: number, length: number): void {
    if (++this.#segments % 3 === 0) throw new Error('the third');
    super.receive(bytes, at, length);
  }
}

describe('what the suite sees', () => {
  test('a byte that is bent on its way through the target, which no rule of the door can tell', () => {
    // Bent below the checksum, so it is put right again.
    const target: TargetFactory = (environment) => {
      const driver = new EngineAdapter(environment);
      const send = driver.tcpOffloadSend.bind(driver);
      driver.tcpOffloadSend = (context, offloadContext, lists) => {
        lists.firstNetBuffer!.mdlChain!.buffer[0]! ^= 0x55;
        return send(context, offloadContext, lists);
      };
      return driver;
    };
    const report = explore({ target }, { seed: 1, interleavings: 100, stopAtFirst: true });
    expect(report.findings.map(({ rule }) => rule)).toEqual(['WIRE']);
  });

  test('segments that are thrown away for their checksum, as a peer does who is bent', () => {
    expect(texts({ target: (environment) => new Bender(environment) }, 100)).toEqual([]);
  });

  test('a send that is lost is left behind by the terminate (TERM-035)', () => {
    const report = explore(
      { target: (environment) => new Loser(environment) },
      { seed: 1, interleavings: 500, scenarios: SCENARIOS.filter(({ name }) => name === 'sends') },
    );
    expect(report.findings[0]!.rule).toBe('TERM-035');
    expect(report.findings[0]!.lastCalls.length).toBeGreaterThan(3);
    expect(report.findings[0]!.lastCalls.length).toBeLessThanOrEqual(20);
  });

  test('an exception, with the steps that led to it; and the replay repeats it', () => {
    const subject: Subject = { target: (environment) => new Thrower(environment) };
    const [verdict] = explore(subject, { seed: 1, interleavings: 200, stopAtFirst: true }).findings;
    expect(verdict!.rule).toBe('THROWN');
    expect(verdict!.seen).toBe('Error: the third');
    const again = replay(subject, verdict!.replay, { seed: 1 });
    expect(again.names).toEqual(verdict!.steps);
    expect(again.findings[0]!.seen).toBe('Error: the third');
  });
});

describe('exploration', () => {
  test('a run is a function of its choices: twice the same gives the same report', () => {
    const options = { seed: numeric, interleavings: 400 };
    const [one, two] = [explore({ target: engine }, options), explore({ target: engine }, options)];
    expect(one, seedNote).toEqual(two);
    expect(one.interleavings).toBe(400);
  });

  test('small scenarios are exhausted, and that is said; the others tell how far they came', () => {
    const scenarios = SCENARIOS.filter(({ name }) => ['relink', 'terminate-under-fire'].includes(name));
    const report = explore({ target: engine }, { seed: 1, interleavings: 200, scenarios });
    const byName = new Map(report.scenarios.map((one) => [one.name, one]));
    expect(byName.get('relink')).toMatchObject({ exhaustedTo: null, random: 0 });
    expect(byName.get('terminate-under-fire')!.exhaustedTo).toBeGreaterThanOrEqual(1);
    expect(byName.get('terminate-under-fire')!.random).toBeGreaterThan(0);
  });

  test('where there is a limit of time, every scenario has its share of it', () => {
    let runs = 0;
    const report = explore(
      { target: engine },
      { seed: 1, interleavings: 1e9, timeUsed: () => runs++ / (SCENARIOS.length * 50) },
    );
    for (const one of report.scenarios) {
      expect(one.systematic + one.random, one.name).toBeGreaterThan(0);
      expect(one.systematic + one.random, one.name).toBeLessThan(200);
    }
    expect(report.interleavings).toBeGreaterThan(SCENARIOS.length * 10);
  });

  test('a wrong replay says what is wrong', () => {
    expect(() => replay({ target: engine }, 'nothing/-', { seed: 1 })).toThrow("there is no scenario 'nothing'");
    expect(() => replay({ target: engine }, 'sends/x', { seed: 1 })).toThrow('expected choices like');
    expect(() => replay({ target: engine }, 'sends/0:77', { seed: 1 })).toThrow('fewer options');
  });
});
