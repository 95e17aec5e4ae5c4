/**
 * Multicast listener reports: how a host tells switches and routers which IPv6 groups it wants. RFC 3810 (version 2).
 *
 * Only what a host sends: a report of one change, or of all groups in answer to a query. Hop limit 1 and a router alert option in a
 * hop-by-hop header go with it (RFC 3810 section 5), which `encodeRouterAlertHeader` writes.
 */

import { write16, write32 } from '../base/bytes.ts';
import { Icmpv6Type, writeIcmpv6Checksum } from './icmpv6.ts';

/** Record types of a version 2 report. RFC 3810 5.2.12. */
export const MldRecord = { IS_EXCLUDE: 2, TO_INCLUDE: 3, TO_EXCLUDE: 4 } as const;

/** A hop-by-hop header with nothing but a router alert, bytes. */
export const ROUTER_ALERT_HEADER_LENGTH = 8;
/** A report of `groups` records without sources, bytes. */
export function mldReportLength(groups: number): number {
  return 8 + 20 * groups;
}

/** Writes a hop-by-hop header with a router alert for MLD (RFC 2711, value 0) and padding. Answers 8. */
export function encodeRouterAlertHeader(bytes: Uint8Array, at: number, nextHeader: number): number {
  bytes[at] = nextHeader;
  bytes[at + 1] = 0;
  write32(bytes, at + 2, 0x05020000);
  write16(bytes, at + 6, 0x0100);
  return ROUTER_ALERT_HEADER_LENGTH;
}

/**
 * Writes a report that `record` (a {@link MldRecord}) holds for all `groups` (sixteen bytes each). Destination is ff02::16; the IP addresses
 * stand in the same bytes. Answers the message's length.
 */
export function encodeMldReport(
  bytes: Uint8Array,
  at: number,
  record: number,
  groups: readonly Uint8Array[],
  srcAt: number,
  dstAt: number,
): number {
  write32(bytes, at, Icmpv6Type.MLD2_REPORT << 24);
  write16(bytes, at + 4, 0);
  write16(bytes, at + 6, groups.length);
  for (let g = 0; g < groups.length; g++) {
    const recordAt = at + 8 + 20 * g;
    write32(bytes, recordAt, record << 24);
    for (let i = 0; i < 16; i++) bytes[recordAt + 4 + i] = groups[g]![i]!;
  }
  return writeIcmpv6Checksum(bytes, at, mldReportLength(groups.length), srcAt, dstAt);
}
