/**
 * Faulty drivers by the rule that they break: what is to be seated where.
 *
 * A rule of the driver below is broken by a target, a rule of the driver above by an intermediate driver over a good target.
 */

import { checkNeeded, TEXT } from './base/options.ts';
import { DRIVER_FAULTS, faultyDriver, PASSING_FAULTS } from './im/faulty/index.ts';
import type { IntermediateEnvironment } from './im/intermediate-driver.ts';
import type { PassThrough } from './im/pass-through.ts';
import type { MiniportDriver } from './ndis/miniport.ts';
import type { TargetEnvironment } from './stack-options.ts';
import { TARGET_FAULTS, withFault } from './target/faulty/index.ts';
import { TEMPERS } from './target/faulty/tempers.ts';

/** A target; a driver that stands for whoever is above; a driver between, by what it makes of what passes it. */
export type FaultySeat = 'target' | 'driver' | 'between';

/** What a fault is about. */
export interface FaultInfo {
  /** The rule that is broken. */
  readonly rule: string;
  /** What is done, as a clause. */
  readonly how: string;
  /** Who breaks it. */
  readonly seat: FaultySeat;
  /** Rules whose breach is reported with it, or before it. */
  readonly alongside: readonly string[];
}

/** Parts of a link of `createStack`, to be spread into it. */
export interface FaultyParts {
  readonly target: (environment: TargetEnvironment) => MiniportDriver;
  readonly intermediates: readonly ((
    environment: IntermediateEnvironment,
    adapterBelow: string,
    name: string,
  ) => PassThrough)[];
}

/** All rules that can be broken on purpose, and how. */
export const FAULTS: readonly FaultInfo[] = [
  ...TARGET_FAULTS.map((one) => ({ ...infoOf(one), seat: 'target' as const })),
  ...DRIVER_FAULTS.map((one) => ({ ...infoOf(one), seat: seatOf(one) })),
];

function seatOf({ rule }: { rule: string }): FaultySeat {
  return PASSING_FAULTS.some((one) => one.rule === rule) ? 'between' : 'driver';
}

function infoOf(one: { rule: string; how: string; with?: readonly string[] }): Omit<FaultInfo, 'seat'> {
  return { rule: one.rule, how: one.how, alongside: one.with ?? [] };
}

/** A target, or a driver over a target, that breaks one rule and is good in everything else. Throws on a rule that cannot be broken so. */
export function faulty(options: { readonly breaks: string }): FaultyParts {
  checkNeeded('faulty', options, { breaks: TEXT }, 'breaks');
  const ofTarget = TARGET_FAULTS.find(({ rule }) => rule === options.breaks);
  if (ofTarget !== undefined) return { target: (environment) => withFault(ofTarget, environment), intermediates: [] };
  const ofDriver = DRIVER_FAULTS.find(({ rule }) => rule === options.breaks);
  if (ofDriver === undefined) {
    throw new RangeError(
      `faulty: breaks: expected a rule that a driver can break (see FAULTS), got '${options.breaks}'`,
    );
  }
  const seat = ofDriver.below === undefined ? () => {} : TEMPERS[ofDriver.below]!;
  return {
    target: (environment) => withFault({ rule: '', how: '', seat }, environment),
    intermediates: [(environment, adapterBelow, name) => faultyDriver(ofDriver, environment, adapterBelow, name)],
  };
}
