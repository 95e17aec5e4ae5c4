/**
 * Addresses as applications give and see them: parsing, what may be bound or connected to, and the dual-stack rules.
 *
 * '::' takes both families unless asked otherwise; connections that came to it over IPv4 are shown with IPv4-mapped
 * addresses, and an IPv4-mapped address given to us means the IPv4 one. Sources: RFC 4291 2.5.5.2, RFC 3493 3.7 and 5.3, RFC 9293
 * 3.9.1.1 (MUST-46).
 */

import { type IpAddress, parseIp } from '../../wire/ip-address.ts';
import { type Endpoint, TransportError } from '../api.ts';

/** What an application binds to: an address of one family, or any address of one family or of both. */
export interface BindAddress {
  /** The address as given, unmapped; unspecified for a wildcard. */
  readonly address: IpAddress;
  /** 4, 6, or 0 for both ('::' without ipv6Only). */
  readonly family: 0 | 4 | 6;
  readonly isWildcard: boolean;
}

/** Parses what an application gave; throws EINVAL with a sentence. IPv4-mapped addresses become IPv4 ones. */
export function parseAddress(text: string, what: string): IpAddress {
  const address = parseIp(text);
  if (address === null) throw new TransportError('EINVAL', `${what}: '${text}' is not an IP address`);
  return address.unmapped();
}

/** Throws EINVAL unless `port` is 0 to 65535. */
export function checkPort(port: number, what: string): void {
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new TransportError('EINVAL', `${what}: ${port} is not a port (0 to 65535)`);
  }
}

/** What a listener or a UDP port is bound to. Whether the address is ours is the caller's to check. */
export function parseBindAddress(local: Endpoint, ipv6Only: boolean, what: string): BindAddress {
  checkPort(local.port, what);
  const address = parseAddress(local.address, what);
  if (address.isMulticast || address.isBroadcast) {
    throw new TransportError('EADDRNOTAVAIL', `${what}: ${local.address} is not an address of one host`);
  }
  const isWildcard = address.isUnspecified;
  const isDual = isWildcard && address.family === 6 && !ipv6Only;
  return { address, family: isDual ? 0 : address.family, isWildcard };
}

/** The remote end of an active open or of a datagram. Throws where no such host or port can be. */
export function parseRemote(remote: Endpoint, what: string): IpAddress {
  checkPort(remote.port, what);
  const address = parseAddress(remote.address, what);
  if (address.isUnspecified || remote.port === 0) {
    throw new TransportError('EADDRNOTAVAIL', `${what}: ${remote.address} port ${remote.port} names nobody`);
  }
  return address;
}

/** Whether two bindings of one port stand in each other's way. */
export function overlaps(a: BindAddress, b: BindAddress): boolean {
  if (a.family !== 0 && b.family !== 0 && a.family !== b.family) return false;
  return a.isWildcard || b.isWildcard || a.address.equals(b.address);
}

/** Whether a packet of `family` to the address in `bytes` at `dstAt` is for this binding. */
export function matches(bind: BindAddress, family: number, bytes: Uint8Array, dstAt: number): boolean {
  if (bind.family !== 0 && bind.family !== family) return false;
  return bind.isWildcard || bind.address.equalsAt(bytes, dstAt);
}

/** An endpoint as applications see it. */
export function endpointText(address: IpAddress, port: number, asMapped: boolean): Endpoint {
  return { address: asMapped && address.family === 4 ? `::ffff:${address.toString()}` : address.toString(), port };
}
