/**
 * Faulty drivers: each breaks, towards the driver below it, one rule that a driver above has to keep.
 *
 * Each is a pass-through driver but for its fault. Rules that a target has to keep are broken by the targets in `target/faulty`.
 */

import type { IntermediateEnvironment } from '../intermediate-driver.ts';
import type { PassThrough } from '../pass-through.ts';
import { DATA_FAULTS } from './data.ts';
import { type DriverFault, type Temper, withDriverFault } from './shim.ts';
import { MOMENT_FAULTS, TREE_FAULTS } from './state.ts';

export type { DriverFault, Temper };

/** All faults of drivers. */
export const DRIVER_FAULTS: readonly DriverFault[] = [...TREE_FAULTS, ...MOMENT_FAULTS, ...DATA_FAULTS];

/** A driver with a fault, over the adapter named. */
export function faultyDriver(
  one: DriverFault,
  environment: IntermediateEnvironment,
  adapterBelow: string,
  name: string,
): PassThrough {
  return withDriverFault(one, environment, adapterBelow, name);
}
