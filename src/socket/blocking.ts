/**
 * Block lists: addresses that a socket does not connect to and a server does not serve. node:net's `blockList` option.
 */

import { invalidArgType } from './errors.ts';

/** What is needed of a net.BlockList. */
export interface AddressBlocker {
  check(address: string, family: 'ipv4' | 'ipv6'): boolean;
}

/** The `blockList` option, judged. */
export function blockListOf(value: unknown): AddressBlocker | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof (value as Partial<AddressBlocker>).check !== 'function') {
    throw invalidArgType('options.blockList', 'an instance of net.BlockList', value);
  }
  return value as AddressBlocker;
}

/** Whether the list, if there is one, has the address. */
export function isBlocked(list: AddressBlocker | undefined, address: string, family: 4 | 6 | undefined): boolean {
  return list !== undefined && family !== undefined && list.check(address, family === 4 ? 'ipv4' : 'ipv6');
}
