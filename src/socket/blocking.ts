/**
 * Block lists: addresses that a socket does not connect or send to, and a server or UDP socket does not hear. node:net's `blockList`, and
 * node:dgram's `receiveBlockList` and `sendBlockList`.
 */

import { invalidArgType } from './errors.ts';

/** What is needed of a net.BlockList. */
export interface AddressBlocker {
  check(address: string, family: 'ipv4' | 'ipv6'): boolean;
}

/** The option of that name, judged. */
export function blockListOf(value: unknown, name = 'blockList'): AddressBlocker | undefined {
  if (!value) return undefined;
  if (typeof (value as Partial<AddressBlocker>).check !== 'function') {
    throw invalidArgType(`options.${name}`, 'an net.BlockList', value);
  }
  return value as AddressBlocker;
}

/** Whether the list, if there is one, has the address. */
export function isBlocked(list: AddressBlocker | undefined, address: string, family: 4 | 6 | undefined): boolean {
  return list !== undefined && family !== undefined && list.check(address, family === 4 ? 'ipv4' : 'ipv6');
}
