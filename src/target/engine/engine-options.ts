/** What the options of the engine target, and of those that are like it, are to be. */

import {
  BOOLEAN,
  checkOptions,
  type Expectation,
  type Expectations,
  expectation,
  FUNCTION,
  integer,
  isObject,
  numberFrom,
  oneOf,
} from '../../base/options.ts';
import { DEFAULT_TCP_PARAMETERS } from '../../tcp/parameters.ts';
import { DEFAULT_CAPACITY } from './capacity.ts';

const COUNT = integer(0);
const OBJECT: Expectation = expectation('an object', isObject);
const isMac = (value: unknown): boolean => value instanceof Uint8Array && value.length === 6;

/** All of them: what a stack gives a target itself is not among them. */
export const ENGINE_OPTIONS: Expectations = {
  macAddress: expectation('six bytes', isMac),
  capacity: OBJECT,
  receivePoolBytes: integer(1, 2 ** 31),
  slab: OBJECT,
  pool: OBJECT,
  vlanIds: expectation(
    'an array of VLANs, 0 to 4094',
    (value) => Array.isArray(value) && value.every((id) => integer(0, 4094).holds(id)),
  ),
  allowSourceMac: BOOLEAN,
  supports8021p: BOOLEAN,
  multicastAddresses: expectation(
    'an array of addresses of six bytes',
    (value) => Array.isArray(value) && value.every(isMac),
  ),
  badPackets: oneOf('pass-up', 'drop'),
  receiveQueues: integer(1, 64),
  wakeQueue: FUNCTION,
  invalidated: oneOf('halt', 'continue'),
  discretion: OBJECT,
  refuse: FUNCTION,
  allocateSends: FUNCTION,
  backlogLists: COUNT,
  pauseQueueUs: numberFrom(0),
  tcp: OBJECT,
};

const CAPACITY: Expectations = Object.fromEntries(Object.keys(DEFAULT_CAPACITY).map((key) => [key, COUNT]));

const DISCRETION: Expectations = Object.fromEntries(
  [
    'intervalUs',
    'repeatUs',
    'leastSegments',
    'retransmittedShare',
    'fragmentShare',
    'outOfOrderShare',
    'quietUs',
    'quietSegments',
    'unpostedBytes',
    'stuckUs',
    'smallIoBytes',
    'leastRequests',
  ].map((key) => [key, numberFrom(0)]),
);

/** Each parameter is of the kind that its default is of. */
const TCP: Expectations = {
  ...Object.fromEntries(
    Object.entries(DEFAULT_TCP_PARAMETERS).map(([key, value]) => [
      key,
      typeof value === 'number'
        ? numberFrom(0)
        : expectation(`a ${typeof value}`, (given) => typeof given === typeof value),
    ]),
  ),
  role: oneOf('host', 'target'),
  congestion: expectation(
    "'newreno', 'cubic' or a congestion control",
    (value) => value === 'newreno' || value === 'cubic' || isObject(value),
  ),
};

/** Throws OptionError unless changes of TCP's parameters are right; `prefix`: with a dot behind. */
export function checkTcpParameters(where: string, changes: unknown, prefix: string): void {
  checkOptions(where, changes, TCP, prefix);
}

/** Throws OptionError unless `options` are right; `more`: those that a target has beside. */
export function checkEngineOptions(where: string, options: unknown, more: Expectations, prefix = ''): void {
  checkOptions(where, options, { ...ENGINE_OPTIONS, ...more }, prefix);
  const { capacity, discretion, tcp } = options as Record<string, unknown>;
  if (capacity !== undefined) checkOptions(where, capacity, CAPACITY, `${prefix}capacity.`);
  if (discretion !== undefined) checkOptions(where, discretion, DISCRETION, `${prefix}discretion.`);
  if (tcp !== undefined) checkTcpParameters(where, tcp, `${prefix}tcp.`);
}
