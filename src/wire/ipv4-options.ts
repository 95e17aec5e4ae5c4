/**
 * The options of an IPv4 header. RFC 791 section 3.1, RFC 1122 section 3.2.1.8, RFC 7126.
 *
 * Unknown options are skipped (RFC 9293 MUST-50). The walk names what a host decides on: source routes, which by RFC 7126
 * are dropped by default, and a broken list, whose place an ICMP parameter problem would point at.
 */

import { IPV4_HEADER_LENGTH, type Ipv4Header } from './ipv4.ts';
import { WIRE_BAD_OPTION, WIRE_OK, type WireStatus } from './status.ts';

/** Option types, copied flag and class included. IANA. */
export const Ipv4Option = {
  END: 0,
  NOP: 1,
  RECORD_ROUTE: 7,
  TIMESTAMP: 68,
  LOOSE_SOURCE_ROUTE: 131,
  STRICT_SOURCE_ROUTE: 137,
  ROUTER_ALERT: 148,
} as const;

/** What stands in a header's options. */
export class Ipv4Options {
  /** A loose or strict source route is present. */
  hasSourceRoute = false;
  hasRecordRoute = false;
  hasTimestamp = false;
  hasRouterAlert = false;
  /** With WIRE_BAD_OPTION: the octet of `bytes` that is wrong. */
  problemAt = 0;
}

/** Walks the options of a decoded header. Answers WIRE_OK, or WIRE_BAD_OPTION for an impossible length. */
export function walkIpv4Options(bytes: Uint8Array, header: Ipv4Header, out: Ipv4Options): WireStatus {
  out.hasSourceRoute = false;
  out.hasRecordRoute = false;
  out.hasTimestamp = false;
  out.hasRouterAlert = false;
  out.problemAt = 0;
  let i = header.headerAt + IPV4_HEADER_LENGTH;
  const end = header.headerAt + header.headerLength;
  while (i < end) {
    const type = bytes[i]!;
    if (type === Ipv4Option.END) return WIRE_OK;
    if (type === Ipv4Option.NOP) {
      i++;
      continue;
    }
    const optionLength = i + 1 < end ? bytes[i + 1]! : 0;
    if (optionLength < 2 || i + optionLength > end) {
      out.problemAt = i + 1 < end ? i + 1 : i;
      return WIRE_BAD_OPTION;
    }
    if (type === Ipv4Option.LOOSE_SOURCE_ROUTE || type === Ipv4Option.STRICT_SOURCE_ROUTE) out.hasSourceRoute = true;
    else if (type === Ipv4Option.RECORD_ROUTE) out.hasRecordRoute = true;
    else if (type === Ipv4Option.TIMESTAMP) out.hasTimestamp = true;
    else if (type === Ipv4Option.ROUTER_ALERT) out.hasRouterAlert = true;
    i += optionLength;
  }
  return WIRE_OK;
}
