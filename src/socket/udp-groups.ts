/**
 * Groups and broadcasts of a UDP socket: the stack takes part in none on behalf of programs, and says so as a kernel would that has no
 * device for them. Arguments are judged as node:dgram judges them. Source: documentation of node:dgram; ip(7), IP_ADD_MEMBERSHIP.
 */

import { isIP } from './addresses.ts';
import { validateNumber, validateString } from './arguments.ts';
import { callError, missingArgs } from './errors.ts';
import { EventEmitter } from './node.ts';

/** Why a group cannot be joined: there is no device for it. Or left: it was not joined. */
const REASON = {
  addMembership: 'ENODEV',
  dropMembership: 'EADDRNOTAVAIL',
  addSourceSpecificMembership: 'ENODEV',
  dropSourceSpecificMembership: 'EADDRNOTAVAIL',
} as const;

/** Whether a text is the address of a group: 224.0.0.0/4, ff00::/8. */
function isGroup(text: string): boolean {
  const family = isIP(text);
  if (family === 6) return /^ff[0-9a-f]{2}:/i.test(text);
  return family === 4 && Number.parseInt(text, 10) >> 4 === 14;
}

function refuseGroup(call: 'addMembership' | 'dropMembership', group: string): never {
  if (!group) throw missingArgs('multicastAddress');
  throw callError(isGroup(group) ? REASON[call] : 'EINVAL', call);
}

function refuseSource(
  call: 'addSourceSpecificMembership' | 'dropSourceSpecificMembership',
  source: string,
  group: string,
): never {
  validateString(source, 'sourceAddress');
  validateString(group, 'groupAddress');
  throw callError(isIP(source) !== 0 && isGroup(group) ? REASON[call] : 'EINVAL', call);
}

/** The part of a UDP socket that is about groups. */
export abstract class UdpGroups extends EventEmitter {
  /** Node's name for: throws if the socket is closed. */
  abstract _healthCheck(): void;
  /** Throws, for a call that needs a port where there is none. */
  abstract _checkBound(call: string): void;

  /** The stack sends no broadcasts for programs, whatever this says. */
  setBroadcast(_isOn: boolean): void {
    this._checkBound('setBroadcast');
  }

  /** 0 to 255; judged, and without effect: the stack sends to no groups that others could be in. */
  setMulticastTTL(hops: number): number {
    const ttl = validateNumber(hops, 'ttl');
    if (!(ttl >= 0 && ttl <= 255)) throw callError('EINVAL', 'setMulticastTTL');
    this._checkBound('setMulticastTTL');
    return ttl;
  }

  setMulticastLoopback<T>(isOn: T): T {
    this._checkBound('setMulticastLoopback');
    return isOn;
  }

  setMulticastInterface(address: string): void {
    this._healthCheck();
    const isAddress = isIP(validateString(address, 'interfaceAddress')) !== 0;
    throw callError(isAddress ? 'EADDRNOTAVAIL' : 'EINVAL', 'setMulticastInterface');
  }

  addMembership(group: string, _interface?: string): void {
    this._healthCheck();
    refuseGroup('addMembership', group);
  }

  dropMembership(group: string, _interface?: string): void {
    this._healthCheck();
    refuseGroup('dropMembership', group);
  }

  addSourceSpecificMembership(source: string, group: string, _interface?: string): void {
    this._healthCheck();
    refuseSource('addSourceSpecificMembership', source, group);
  }

  dropSourceSpecificMembership(source: string, group: string, _interface?: string): void {
    this._healthCheck();
    refuseSource('dropSourceSpecificMembership', source, group);
  }
}
