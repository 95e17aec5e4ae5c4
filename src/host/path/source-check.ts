/**
 * Source addresses that no packet may have, and those that are not one host. RFC 1122 3.2.1.3 and 3.2.2, RFC 4291 2.5 and 2.7.
 */

import { Icmpv6Type } from '../../wire/icmpv6.ts';
import { isLoopbackAt, isMulticastAt, isUnspecifiedAt } from '../../wire/ip-address.ts';
import { IpProtocol } from '../../wire/protocol.ts';
import type { AddressTable } from './address-table.ts';
import type { RxPacket } from './types.ts';

/**
 * Whether a packet from a link can have this source: one address of somebody else, or, for IPv6, none (which only neighbor discovery and
 * MLD may use: the caller's to check).
 */
export function isPossibleSource(rx: RxPacket, addresses: AddressTable): boolean {
  const { bytes, srcAt, family, iface } = rx;
  if (iface.medium === 'loopback') return true;
  if (family === 6) {
    if (isUnspecifiedAt(bytes, srcAt, 6)) return true;
    if (isMulticastAt(bytes, srcAt, 6) || isLoopbackAt(bytes, srcAt, 6)) return false;
    return !isOurs(rx, addresses) || isNeighborAdvertisement(rx);
  }
  const first = bytes[srcAt]!;
  // 0/8, 127/8, 224/4 and 240/4 with the limited broadcast.
  if (first === 0 || first === 127 || first >= 224) return false;
  return !isOurs(rx, addresses) && !addresses.isBroadcast(iface, bytes, srcAt);
}

/** Whether an ICMP error may go to the source. */
export function isSingleHost(rx: RxPacket, addresses: AddressTable): boolean {
  return isPossibleSource(rx, addresses) && !isUnspecifiedAt(rx.bytes, rx.srcAt, rx.family);
}

function isOurs(rx: RxPacket, addresses: AddressTable): boolean {
  return addresses.find(rx.bytes, rx.srcAt, rx.family)?.isUsable === true;
}

/** From our own address this says that somebody else has it: duplicate address detection must see it. RFC 4862 5.4.4. */
function isNeighborAdvertisement(rx: RxPacket): boolean {
  const { bytes, headerAt } = rx;
  return bytes[headerAt + 6] === IpProtocol.ICMPV6 && bytes[headerAt + 40] === Icmpv6Type.NEIGHBOR_ADVERTISEMENT;
}
