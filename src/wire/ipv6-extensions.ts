/**
 * The chain of IPv6 extension headers: hop-by-hop options, routing, fragment, destination options. RFC 8200 section 4.
 *
 * Promises: headers are taken strictly in the order in which they stand, in any number up to a bound, with a bound on options
 * too. What the sender is owed for a bad one is put into words of RFC 4443 section 3.4 and left to the caller, who knows whether an
 * error may be sent at all. The walk ends at the first protocol that is no extension header, or at the fragment header of a
 * real fragment. ESP and AH are protocols that we do not speak, and end the walk.
 */

import { read16, read32, write16, write32 } from '../base/bytes.ts';
import type { Ipv6Header } from './ipv6.ts';
import { IpProtocol } from './protocol.ts';
import { WIRE_DISCARD, WIRE_OK, WIRE_PARAMETER_PROBLEM, WIRE_SHORT, WIRE_TOO_MANY, type WireStatus } from './status.ts';

/** The fragment header, bytes. */
export const IPV6_FRAGMENT_HEADER_LENGTH = 8;
/** Extension headers that are walked before a packet is given up. Any real chain has four at most. */
export const IPV6_EXTENSIONS_MAX = 8;
/** Options that are looked at in one packet: RFC 8504 section 5.3 lets a host bound them; padding is counted too. */
export const IPV6_OPTIONS_MAX = 32;

/** Codes of ICMPv6 parameter problem. RFC 4443 section 3.4, RFC 7112 section 5. */
export const ParameterProblem = { HEADER: 0, NEXT_HEADER: 1, OPTION: 2, INCOMPLETE_CHAIN: 3 } as const;

const OPTION_PAD1 = 0;
const OPTION_PADN = 1;
const OPTION_ROUTER_ALERT = 5;

/** What a walk found. Offsets point into the bytes that were walked. */
export class Ipv6Extensions {
  /** The first protocol that is no extension header; for a fragment: what its first header is. */
  protocol = 0;
  /** Where the byte stands that names {@link protocol}: a parameter problem about an unknown one points at it. */
  protocolNamedAt = 0;
  /** What follows the chain; of a fragment: what follows the fragment header. */
  payloadAt = 0;
  payloadLength = 0;

  /** The packet is one part of a longer one, and the walk ended at its fragment header. */
  isFragment = false;
  /** There was a fragment header, if only that of an atomic fragment (RFC 6946): neighbor discovery refuses such. RFC 6980. */
  hasFragmentHeader = false;
  fragmentHeaderAt = 0;
  /** Where the byte stands that names the fragment header: reassembly puts the fragment's next header there. */
  fragmentNamedAt = 0;
  /** Where the fragment stands in the fragmentable part, bytes; a multiple of 8. */
  fragmentOffset = 0;
  moreFragments = false;
  /** Identification, int32. */
  fragmentId = 0;

  hasRouterAlert = false;

  /** With WIRE_PARAMETER_PROBLEM: the code ({@link ParameterProblem}), and what octet of `bytes` it points at. */
  problemCode = 0;
  problemAt = 0;
  /** The problem is reported even if the packet's destination was multicast. RFC 8200 4.2, RFC 4443 2.4 (e.3). */
  isProblemForMulticast = false;

  /** Options looked at, all headers together. */
  options = 0;
}

/**
 * Walks the headers behind `header`. Answers WIRE_OK; WIRE_SHORT (a header runs over the end of the packet); WIRE_DISCARD
 * (an unknown option says: silently); WIRE_PARAMETER_PROBLEM; WIRE_TOO_MANY.
 */
export function walkIpv6Extensions(bytes: Uint8Array, header: Ipv6Header, out: Ipv6Extensions): WireStatus {
  let at = header.payloadAt;
  const end = at + header.payloadLength;
  reset(out, header, end);
  for (let headers = 0; ; headers++) {
    const protocol = out.protocol;
    // RFC 8200 section 4: hop-by-hop options only right behind the fixed header.
    if (protocol === IpProtocol.HOP_BY_HOP && headers > 0) {
      return problem(out, ParameterProblem.NEXT_HEADER, out.protocolNamedAt);
    }
    if (!isExtension(protocol)) return WIRE_OK;
    if (headers === IPV6_EXTENSIONS_MAX) return WIRE_TOO_MANY;
    if (end - at < 8) return WIRE_SHORT;
    const headerLength = protocol === IpProtocol.FRAGMENT ? 8 : (bytes[at + 1]! + 1) << 3;
    if (headerLength > end - at) return WIRE_SHORT;
    const status = walkHeader(bytes, at, headerLength, protocol, header, out);
    if (status !== WIRE_OK && !out.isFragment) return status;
    out.protocol = bytes[at]!;
    out.protocolNamedAt = at;
    at += headerLength;
    out.payloadAt = at;
    out.payloadLength = end - at;
    // A fragment of bad lengths too is described in full: the quote of one in an ICMPv6 error may be cut anywhere.
    if (out.isFragment) return status;
  }
}

/**
 * Whether the first fragment of a packet holds all of its headers, the upper layer's included. RFC 7112 section 5: otherwise it
 * is discarded, with parameter problem code 3. `fragment` is the result of the walk that ended at the fragment header.
 */
export function isHeaderChainComplete(bytes: Uint8Array, fragment: Ipv6Extensions): boolean {
  let at = fragment.payloadAt;
  const end = at + fragment.payloadLength;
  let protocol = fragment.protocol;
  for (let headers = 0; isExtension(protocol); headers++) {
    if (end - at < 8 || headers === IPV6_EXTENSIONS_MAX) return false;
    const headerLength = protocol === IpProtocol.FRAGMENT ? 8 : (bytes[at + 1]! + 1) << 3;
    if (headerLength > end - at) return false;
    protocol = bytes[at]!;
    at += headerLength;
  }
  return end - at >= upperHeaderLength(protocol);
}

/**
 * Writes a fragment header: `offset` in bytes, a multiple of 8; `nextHeader` is the first header of the fragmentable part.
 * Answers 8.
 */
export function encodeIpv6FragmentHeader(
  bytes: Uint8Array,
  at: number,
  nextHeader: number,
  offset: number,
  moreFragments: boolean,
  id: number,
): number {
  bytes[at] = nextHeader;
  bytes[at + 1] = 0;
  write16(bytes, at + 2, offset | (moreFragments ? 1 : 0));
  write32(bytes, at + 4, id);
  return IPV6_FRAGMENT_HEADER_LENGTH;
}

function reset(out: Ipv6Extensions, header: Ipv6Header, end: number): void {
  out.protocol = header.nextHeader;
  out.protocolNamedAt = header.headerAt + 6;
  out.payloadAt = header.payloadAt;
  out.payloadLength = end - header.payloadAt;
  out.isFragment = false;
  out.hasFragmentHeader = false;
  out.fragmentHeaderAt = 0;
  out.fragmentNamedAt = 0;
  out.fragmentOffset = 0;
  out.moreFragments = false;
  out.fragmentId = 0;
  out.hasRouterAlert = false;
  out.problemCode = 0;
  out.problemAt = 0;
  out.isProblemForMulticast = false;
  out.options = 0;
}

function isExtension(protocol: number): boolean {
  return (
    protocol === IpProtocol.HOP_BY_HOP ||
    protocol === IpProtocol.ROUTING ||
    protocol === IpProtocol.FRAGMENT ||
    protocol === IpProtocol.DESTINATION_OPTIONS
  );
}

function walkHeader(
  bytes: Uint8Array,
  at: number,
  headerLength: number,
  protocol: number,
  header: Ipv6Header,
  out: Ipv6Extensions,
): WireStatus {
  if (protocol === IpProtocol.FRAGMENT) return walkFragment(bytes, at, header, out);
  if (protocol === IpProtocol.ROUTING) {
    // RFC 8200 4.4, RFC 5095: we know no routing type; with nothing left to visit it is skipped.
    return bytes[at + 3] === 0 ? WIRE_OK : problem(out, ParameterProblem.HEADER, at + 2);
  }
  return walkOptions(bytes, at + 2, at + headerLength, out);
}

function walkFragment(bytes: Uint8Array, at: number, header: Ipv6Header, out: Ipv6Extensions): WireStatus {
  const field = read16(bytes, at + 2);
  out.hasFragmentHeader = true;
  out.fragmentHeaderAt = at;
  out.fragmentNamedAt = out.protocolNamedAt;
  out.fragmentOffset = field & 0xfff8;
  out.moreFragments = (field & 1) !== 0;
  out.fragmentId = read32(bytes, at + 4);
  // RFC 6946: an atomic fragment is a whole packet, and the chain goes on behind the header.
  out.isFragment = out.fragmentOffset !== 0 || out.moreFragments;
  if (!out.isFragment) return WIRE_OK;
  const length = header.payloadAt + header.payloadLength - at - IPV6_FRAGMENT_HEADER_LENGTH;
  // RFC 8200 4.5: all fragments but the last are a multiple of 8 bytes long; code 0, pointing at Payload Length.
  if (out.moreFragments && (length & 7) !== 0) return problem(out, ParameterProblem.HEADER, header.headerAt + 4);
  // And the packet put together has a payload of at most 65535 bytes, headers before the fragment header included.
  if (at - header.payloadAt + out.fragmentOffset + length > 0xffff)
    return problem(out, ParameterProblem.HEADER, at + 2);
  return WIRE_OK;
}

/** Options of a hop-by-hop or destination header in [from, end). RFC 8200 4.2. */
function walkOptions(bytes: Uint8Array, from: number, end: number, out: Ipv6Extensions): WireStatus {
  let i = from;
  while (i < end) {
    const type = bytes[i]!;
    if (++out.options > IPV6_OPTIONS_MAX) return WIRE_TOO_MANY;
    if (type === OPTION_PAD1) {
      i++;
      continue;
    }
    // An option that runs over the end of its header: code 0, pointing at its length.
    if (i + 1 >= end || i + 2 + bytes[i + 1]! > end)
      return problem(out, ParameterProblem.HEADER, Math.min(i + 1, end - 1));
    if (type === OPTION_ROUTER_ALERT) out.hasRouterAlert = true;
    else if (type !== OPTION_PADN) {
      const action = type >> 6;
      if (action === 1) return WIRE_DISCARD;
      if (action >= 2) {
        out.isProblemForMulticast = action === 2;
        return problem(out, ParameterProblem.OPTION, i);
      }
    }
    i += 2 + bytes[i + 1]!;
  }
  return WIRE_OK;
}

function problem(out: Ipv6Extensions, code: number, at: number): WireStatus {
  out.problemCode = code;
  out.problemAt = at;
  return WIRE_PARAMETER_PROBLEM;
}

/** The least that an upper-layer header takes, bytes; 0 for protocols that are not known here. */
function upperHeaderLength(protocol: number): number {
  if (protocol === IpProtocol.TCP) return 20;
  if (protocol === IpProtocol.UDP || protocol === IpProtocol.ICMPV6) return 8;
  return 0;
}
