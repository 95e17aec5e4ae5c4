/**
 * Faulty drivers: each breaks, towards the driver below it, one rule that a driver above has to keep.
 *
 * Each is a pass-through driver but for its fault. Rules that a target has to keep are broken by the targets in `target/faulty`.
 */

import type { IntermediateEnvironment } from '../intermediate-driver.ts';
import type { PassThrough } from '../pass-through.ts';
import { DATA_FAULTS } from './data.ts';
import { DUTY_FAULTS } from './duties.ts';
import { PASSING_FAULTS } from './passing.ts';
import { alias, type DriverFault, type Temper, withDriverFault } from './shim.ts';
import { MOMENT_FAULTS, TREE_FAULTS } from './state.ts';
import { VALUE_FAULTS } from './values.ts';

export type { DriverFault, Temper };
export { PASSING_FAULTS };

/** All faults of drivers. */
export const DRIVER_FAULTS: readonly DriverFault[] = withAliases([
  ...TREE_FAULTS,
  ...MOMENT_FAULTS,
  ...DATA_FAULTS,
  ...VALUE_FAULTS,
  ...DUTY_FAULTS,
  ...PASSING_FAULTS,
]);

/** Rules that say the same as another one of the same breach: findings name both. */
function withAliases(faults: readonly DriverFault[]): DriverFault[] {
  const same: readonly (readonly [rule: string, as: string])[] = [
    ['SEND-009', 'NBL-001'],
    ['FWD-016', 'NBL-003'],
    ['FWD-022', 'FWD-010'],
    ['TERM-040', 'FWD-010'],
    ['STATE-018', 'TREE-028'],
    ['TCP-019', 'STATE-068'],
    ['NBL-006', 'RECV-076'],
    ['CAP-036', 'EVT-039'],
    ['TERM-072', 'EVT-044'],
    ['TERM-008', 'EVT-021'],
  ];
  return [...faults, ...same.map(([rule, as]) => alias(rule, faults.find((one) => one.rule === as)!))];
}

/** A driver with a fault, over the adapter named. */
export function faultyDriver(
  one: DriverFault,
  environment: IntermediateEnvironment,
  adapterBelow: string,
  name: string,
): PassThrough {
  return withDriverFault(one, environment, adapterBelow, name);
}
