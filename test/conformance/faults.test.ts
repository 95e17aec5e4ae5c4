/** Every rule that is checked at run time is broken once, on purpose, and named by the suite. */
import { describe, expect, test } from 'vitest';
import { MUTANTS } from '../../scripts/mutate/table.ts';
import { type ExploreReport, explore } from '../../src/conformance/explore.ts';
import { SCENARIOS } from '../../src/conformance/scenarios/index.ts';
import { checkedRules } from '../../src/contract/checkers.ts';
import { findingText, rulesOf } from '../../src/contract/finding.ts';
import { FAULTS, type FaultInfo, faulty } from '../../src/faulty.ts';
import { EngineAdapter } from '../../src/target/engine/engine-adapter.ts';

/** Interleavings within which each fault shows itself. */
const ENOUGH = 400;

function examine({ rule, seat }: FaultInfo): ExploreReport {
  const { target, intermediates } = faulty({ breaks: rule });
  const subject = { target, drivers: intermediates, comparesDoors: seat !== 'driver' };
  return explore(subject, { seed: 1, interleavings: ENOUGH, stopAtFirst: true });
}

describe('a driver that', () => {
  test.each(FAULTS.map((fault) => [fault.how, fault.rule, fault] as const))('%s breaks %s', (_how, _rule, fault) => {
    const { findings } = examine(fault);
    expect(findings.flatMap(rulesOf)).toContain(fault.rule);
    const meant = [fault.rule, ...fault.alongside];
    const others = findings.filter((verdict) => !rulesOf(verdict).some((rule) => meant.includes(rule)));
    expect(others.map(findingText)).toEqual([]);
  });
});

describe('the table of faults', () => {
  test('has a fault for every checked rule, but for those that only a change of the source can break', () => {
    const broken = new Set(FAULTS.map(({ rule }) => rule));
    const left = checkedRules().filter((rule) => !broken.has(rule));
    const byMutant = new Set(MUTANTS.map(({ rule }) => rule));
    expect(left.filter((rule) => !byMutant.has(rule))).toEqual([]);
  });

  test('names each rule once, and each rule is one that is checked', () => {
    const rules = FAULTS.map(({ rule }) => rule);
    expect(rules.length).toBe(new Set(rules).size);
    expect(rules.filter((rule) => !checkedRules().includes(rule))).toEqual([]);
  });

  test('breaks nothing by itself: the shims without a fault pass', () => {
    const target = (environment: ConstructorParameters<typeof EngineAdapter>[0]) => new EngineAdapter(environment);
    const report = explore({ target }, { seed: 1, interleavings: SCENARIOS.length * 2 });
    expect(report.findings.map(findingText)).toEqual([]);
  });

  test('is asked in words: a rule that nobody breaks is told so', () => {
    expect(() => faulty({ breaks: 'SEND-999' })).toThrow("got 'SEND-999'");
  });
});
