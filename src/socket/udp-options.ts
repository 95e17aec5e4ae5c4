/**
 * Options of a UDP socket, judged: node:dgram's, as far as they have a meaning on a stack.
 */

import type { UdpBindOptions } from '../host/api.ts';
import { isIP } from './addresses.ts';
import {
  anyAddress,
  type LookupCallback,
  type LookupFunction,
  validateFunction,
  validateObject,
  validatePort,
  validateString,
} from './arguments.ts';
import { type AddressBlocker, blockListOf } from './blocking.ts';
import { badSocketType, invalidArgValue } from './errors.ts';

export type UdpType = 'udp4' | 'udp6';

/** Options of a UDP socket: Node's, as far as they have a meaning here. */
export interface UdpSocketOptions {
  readonly type: UdpType;
  readonly lookup?: LookupFunction | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly recvBufferSize?: number | undefined;
  readonly sendBufferSize?: number | undefined;
  /** udp6 only: no datagrams over IPv4. */
  readonly ipv6Only?: boolean | undefined;
  /** Others with this option may bind the same port; the last one gets what comes. */
  readonly reuseAddr?: boolean | undefined;
  /** Others with this option may bind the same port; each gets what comes from some of the senders. */
  readonly reusePort?: boolean | undefined;
  /** Addresses from which nothing is received. */
  readonly receiveBlockList?: AddressBlocker | undefined;
  /** Addresses to which nothing is sent. */
  readonly sendBlockList?: AddressBlocker | undefined;
}

/** dgram.lookup is asked with the family alone. */
export type FamilyLookup = (hostname: string, family: 4 | 6, callback: LookupCallback) => void;

/** What the options come to. */
export interface UdpSettings {
  readonly type: UdpType;
  readonly family: 4 | 6;
  /** The program's own function; undefined: the stack's is asked. */
  readonly lookup: FamilyLookup | undefined;
  readonly bind: UdpBindOptions;
  readonly receiveBlockList: AddressBlocker | undefined;
  readonly sendBlockList: AddressBlocker | undefined;
}

/** The argument of `createSocket` as options. */
export function optionsOf(given: UdpSocketOptions | UdpType): UdpSocketOptions {
  return typeof given === 'object' && given !== null ? given : { type: given };
}

/** Judges the options. Throws what the program got wrong. */
export function udpSettings(options: UdpSocketOptions): UdpSettings {
  const { type, lookup } = options;
  if (lookup !== undefined) validateFunction(lookup, 'lookup');
  const receiveBlockList = blockListOf(options.receiveBlockList, 'receiveBlockList');
  const sendBlockList = blockListOf(options.sendBlockList, 'sendBlockList');
  if (type !== 'udp4' && type !== 'udp6') throw badSocketType();
  return {
    type,
    family: type === 'udp4' ? 4 : 6,
    lookup: lookup as unknown as FamilyLookup | undefined,
    bind: {
      ipv6Only: Boolean(options.ipv6Only),
      reuseAddress: Boolean(options.reuseAddr),
      reusePort: Boolean(options.reusePort),
    },
    receiveBlockList,
    sendBlockList,
  };
}

/** Where `bindSync` binds: {port, address}. Throws what the program got wrong. */
export function syncBinding(given: unknown, family: 4 | 6): { readonly address: string; readonly port: number } {
  const { port, address } = validateObject(given ?? {}, 'options') as { port?: unknown; address?: unknown };
  const number = validatePort(port ?? 0, 'options.port');
  return { address: literal(address, anyAddress(family), 'options.address', 'bindSync'), port: number };
}

/** The address `connectSync` is given; none is this host. */
export function syncPeer(address: unknown, family: 4 | 6): string {
  return literal(address, family === 4 ? '127.0.0.1' : '::1', 'address', 'connectSync');
}

function literal(address: unknown, byDefault: string, name: string, call: string): string {
  if (address === undefined || address === null || address === '') return byDefault;
  const text = validateString(address, name);
  if (isIP(text) !== 0) return text;
  throw invalidArgValue(name, text, `must be a numeric IP address; ${call} does not perform DNS resolution`);
}
