/** What the options of a NIC thread are to be. */

import {
  checkOptions,
  type Expectations,
  expectation,
  FUNCTION,
  integer,
  isObject,
  numberFrom,
  OptionError,
} from '../../base/options.ts';
import { checkDevice } from '../../link/node/device-options.ts';
import { checkEngineOptions } from '../engine/engine-options.ts';
import { BLOCK_BYTES } from '../engine/receive-pool.ts';

const RING = expectation(
  'a power of two from 4096 to 2^30',
  (value) => integer(4096, 2 ** 30).holds(value) && ((value as number) & ((value as number) - 1)) === 0,
);
const POOL = integer(BLOCK_BYTES, 2 ** 31);

const SIZES: Expectations = {
  upBytes: RING,
  downBytes: RING,
  receiveBytes: POOL,
  sendBytes: POOL,
  stateBytes: integer(0, 2 ** 31),
};

const MEGABYTES = expectation('a number greater than 0', (value) => typeof value === 'number' && value > 0);

/** What `node:worker_threads` calls so. */
const LIMITS: Expectations = {
  maxYoungGenerationSizeMb: MEGABYTES,
  maxOldGenerationSizeMb: MEGABYTES,
  codeRangeSizeMb: MEGABYTES,
  stackSizeMb: MEGABYTES,
};

const OF_THREADS: Expectations = {
  spinUs: numberFrom(0),
  socketBytes: integer(0, 2 ** 31),
  lazyUs: numberFrom(0),
  restart: integer(0),
  sizes: expectation('an object', isObject),
  resourceLimits: expectation('an object', isObject),
  onDeath: FUNCTION,
  onRestart: FUNCTION,
};

/** Options of the engine target that mean a thread of the host's, or memory of its own. */
const NOT_HERE: readonly string[] = ['slab', 'pool', 'receiveQueues', 'wakeQueue'];

/** Throws OptionError unless a device and the options of its thread are right. */
export function checkWorkerOptions(where: string, option: string, device: unknown, options: unknown): void {
  checkDevice(where, option, device);
  checkEngineOptions(where, options, OF_THREADS);
  for (const name of NOT_HERE) {
    const given = (options as Record<string, unknown>)[name];
    if (given !== undefined) throw new OptionError(where, name, 'no such option of a NIC thread', given);
  }
  const { sizes } = options as { sizes?: unknown };
  if (sizes !== undefined) checkOptions(where, sizes, SIZES, 'sizes.');
  const { resourceLimits } = options as { resourceLimits?: unknown };
  if (resourceLimits !== undefined) checkOptions(where, resourceLimits, LIMITS, 'resourceLimits.');
}
