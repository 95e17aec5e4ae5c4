/**
 * The table of checkers, and what may be asked of it: which rules are watched at run time, and by whom.
 */

import type { Checker } from './checker.ts';
import { ACCOUNT_CHECKERS } from './checkers/accounts.ts';
import { CLOCK_CHECKERS } from './checkers/clock.ts';
import { COMPLETION_CHECKERS } from './checkers/completions.ts';
import { CORRUPTION_CHECKERS } from './checkers/corruption.ts';
import { DUTY_CHECKERS } from './checkers/duties.ts';
import { EVENT_CHECKERS } from './checkers/events.ts';
import { FRAMES } from './checkers/frames.ts';
import { IDENTITY_CHECKERS } from './checkers/identity.ts';
import { INITIATE_CHECKERS } from './checkers/initiate.ts';
import { OPERATION_CHECKERS } from './checkers/operations.ts';
import { OUTCOME_CHECKERS } from './checkers/outcomes.ts';
import { POSTING_CHECKERS } from './checkers/posting.ts';
import { PROPAGATION } from './checkers/propagation.ts';
import { RECEIVING_CHECKERS } from './checkers/receiving.ts';
import { SETTING_CHECKERS } from './checkers/settings.ts';
import { TERMINATE_CHECKERS } from './checkers/terminate.ts';
import { TREE_CHECKERS } from './checkers/trees.ts';
import { VALUE_CHECKERS } from './checkers/values.ts';

/** All checkers, in the order in which they look; the last two look elsewhere (at two doors at once, at the wire). */
export const CHECKERS: readonly Checker[] = [
  ...TREE_CHECKERS,
  ...OPERATION_CHECKERS,
  ...INITIATE_CHECKERS,
  ...TERMINATE_CHECKERS,
  ...CORRUPTION_CHECKERS,
  ...POSTING_CHECKERS,
  ...COMPLETION_CHECKERS,
  ...RECEIVING_CHECKERS,
  ...EVENT_CHECKERS,
  ...ACCOUNT_CHECKERS,
  ...DUTY_CHECKERS,
  ...OUTCOME_CHECKERS,
  ...IDENTITY_CHECKERS,
  ...SETTING_CHECKERS,
  ...VALUE_CHECKERS,
  ...CLOCK_CHECKERS,
  PROPAGATION,
  FRAMES,
];

/** Ids of all rules that some checker watches, sorted. */
export function checkedRules(checkers: readonly Checker[] = CHECKERS): string[] {
  const rules = new Set<string>();
  for (const checker of checkers) {
    for (const rule of checker.must) rules.add(rule);
    for (const rule of checker.should ?? []) rules.add(rule);
  }
  return [...rules].sort();
}
