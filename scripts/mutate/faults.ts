/** The first half of a mutation run: each checked rule is broken by a faulty driver, and the suite must name it. */
import { explore } from '../../src/conformance/explore.ts';
import { rulesOf } from '../../src/contract/finding.ts';
import { FAULTS, type FaultInfo, faulty } from '../../src/faulty.ts';
import { areaOf } from './table.ts';

/** What became of a mutant. */
export interface Outcome {
  readonly rule: string;
  /** What was changed. */
  readonly what: string;
  readonly kind: 'fault' | 'source';
  readonly isKilled: boolean;
  /** Why it survived; empty: it did not. */
  readonly reason: string;
}

/** Interleavings within which a fault must show. */
const ENOUGH = 400;

/** Breaks the rules of an area (null: of all), one by one. */
export function runFaults(area: string | null): Outcome[] {
  return FAULTS.filter(({ rule }) => area === null || areaOf(rule) === area).map(runFault);
}

function runFault(fault: FaultInfo): Outcome {
  const { target, intermediates } = faulty({ breaks: fault.rule });
  const { findings } = explore(
    { target, drivers: intermediates, comparesDoors: fault.seat !== 'driver' },
    { seed: 1, interleavings: ENOUGH, stopAtFirst: true },
  );
  const isKilled = findings.some((finding) => rulesOf(finding).includes(fault.rule));
  const named = findings.flatMap(rulesOf).join(', ');
  const reason = isKilled ? '' : named === '' ? 'the verifier noticed nothing' : `the verifier named ${named}`;
  return {
    rule: fault.rule,
    what: `a ${fault.seat === 'target' ? 'target' : 'driver'} that ${fault.how}`,
    kind: 'fault',
    isKilled,
    reason,
  };
}
