/**
 * What follows from a table of checkers, once for all verifiers that use it: who looks when, and how binding each rule is.
 */

import type { Checker } from './checker.ts';
import type { RuleLevel } from './finding.ts';

/** The optional methods of a checker. */
export type Moment = Exclude<keyof Checker, 'about' | 'must' | 'should'>;

const MOMENTS: readonly Moment[] = Object.keys({
  stateCall: 0,
  stateComplete: 0,
  stateCompleteStray: 0,
  dataCall: 0,
  dataCallDone: 0,
  listCompleted: 0,
  receiveIndicate: 0,
  receiveIndicateDone: 0,
  listReturned: 0,
  receiveReturnDone: 0,
  tcpEvent: 0,
  offloadEvent: 0,
  offloadEventDone: 0,
  status: 0,
  oidRequest: 0,
  oidAnswered: 0,
  closed: 0,
  givenUp: 0,
  finish: 0,
} satisfies Record<Moment, 0>) as Moment[];

/** What follows from a table of checkers; made once a table. */
interface Plan {
  readonly watching: Readonly<Record<Moment, readonly Checker[]>>;
  readonly levels: ReadonlyMap<string, RuleLevel>;
}

const plans: WeakMap<readonly Checker[], Plan> = new WeakMap();

/** The plan of a table of checkers. */
export function planOf(checkers: readonly Checker[]): Plan {
  const known = plans.get(checkers);
  if (known !== undefined) return known;
  const watching = {} as Record<Moment, readonly Checker[]>;
  for (const moment of MOMENTS) watching[moment] = checkers.filter((checker) => checker[moment] !== undefined);
  const levels = new Map<string, RuleLevel>();
  for (const checker of checkers) {
    for (const rule of checker.must) levels.set(rule, 'must');
    for (const rule of checker.should ?? []) levels.set(rule, 'should');
  }
  const plan = { watching, levels };
  plans.set(checkers, plan);
  return plan;
}
