/**
 * The fixed IPv6 header. RFC 8200 section 3. Extension headers: ipv6-extensions.ts.
 *
 * Jumbograms (RFC 2675) are not spoken: a payload length of 0 means that there is no payload.
 */

import { read16, write16, write32 } from '../base/bytes.ts';
import { WIRE_BAD_LENGTH, WIRE_BAD_VERSION, WIRE_OK, WIRE_SHORT, type WireStatus } from './status.ts';

/** The fixed header, bytes. */
export const IPV6_HEADER_LENGTH = 40;

/** A header, decoded or to be encoded. Offsets point into the bytes that were decoded. */
export class Ipv6Header {
  headerAt = 0;
  trafficClass = 0;
  /** 20 bits. RFC 6437. */
  flowLabel = 0;
  /** Everything behind the fixed header, bytes; link padding is not counted. */
  payloadLength = 0;
  /** Protocol of the first header behind this one. */
  nextHeader = 0;
  hopLimit = 0;
  srcAt = 0;
  dstAt = 0;
  payloadAt = 0;
}

/** Reads the fixed header of the packet at `at`, of which `length` bytes have arrived. */
export function decodeIpv6(bytes: Uint8Array, at: number, length: number, out: Ipv6Header): WireStatus {
  const status = decodeQuotedIpv6(bytes, at, length, out);
  if (status !== WIRE_OK) return status;
  const payloadLength = read16(bytes, at + 4);
  if (payloadLength > length - IPV6_HEADER_LENGTH) return WIRE_BAD_LENGTH;
  out.payloadLength = payloadLength;
  return WIRE_OK;
}

/** Reads the header quoted in an ICMPv6 error: `payloadLength` is what is there, which may be less than was sent. */
export function decodeQuotedIpv6(bytes: Uint8Array, at: number, length: number, out: Ipv6Header): WireStatus {
  if (length < IPV6_HEADER_LENGTH) return WIRE_SHORT;
  if (bytes[at]! >> 4 !== 6) return WIRE_BAD_VERSION;
  out.headerAt = at;
  out.trafficClass = ((bytes[at]! & 15) << 4) | (bytes[at + 1]! >> 4);
  out.flowLabel = ((bytes[at + 1]! & 15) << 16) | read16(bytes, at + 2);
  out.payloadLength = length - IPV6_HEADER_LENGTH;
  out.nextHeader = bytes[at + 6]!;
  out.hopLimit = bytes[at + 7]!;
  out.srcAt = at + 8;
  out.dstAt = at + 24;
  out.payloadAt = at + IPV6_HEADER_LENGTH;
  return WIRE_OK;
}

/**
 * Writes the fixed header from `trafficClass`, `flowLabel`, `payloadLength`, `nextHeader` and `hopLimit` of `header` and the
 * two addresses (sixteen bytes each). Answers 40.
 */
export function encodeIpv6Header(
  bytes: Uint8Array,
  at: number,
  header: Ipv6Header,
  src: Uint8Array,
  srcAt: number,
  dst: Uint8Array,
  dstAt: number,
): number {
  write32(bytes, at, (6 << 28) | ((header.trafficClass & 0xff) << 20) | (header.flowLabel & 0xfffff));
  write16(bytes, at + 4, header.payloadLength);
  bytes[at + 6] = header.nextHeader;
  bytes[at + 7] = header.hopLimit;
  for (let i = 0; i < 16; i++) {
    bytes[at + 8 + i] = src[srcAt + i]!;
    bytes[at + 24 + i] = dst[dstAt + i]!;
  }
  return IPV6_HEADER_LENGTH;
}
