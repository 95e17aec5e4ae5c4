/**
 * The IPv4 header. RFC 791, RFC 1122 section 3.2.1.
 *
 * Promises: the header checksum is verified here, because nothing in a header with a wrong one may be believed. Addresses,
 * TTL, options and fragments are handed over unjudged. We send no IP options, so an encoded header has 20 bytes.
 */

import { read16, write16 } from '../base/bytes.ts';
import { checksumOf } from '../base/checksum.ts';
import {
  WIRE_BAD_CHECKSUM,
  WIRE_BAD_LENGTH,
  WIRE_BAD_OFFSET,
  WIRE_BAD_VERSION,
  WIRE_OK,
  WIRE_SHORT,
  type WireStatus,
} from './status.ts';

/** Header without options, bytes. */
export const IPV4_HEADER_LENGTH = 20;
/** Header with as many options as there can be, bytes. */
export const IPV4_HEADER_LENGTH_MAX = 60;
/** Longest packet that its header can tell of, bytes. A super-segment that is longer says 0. */
export const IPV4_LENGTH_MAX = 65_535;

/** The flags above the fragment offset, as three bits. */
export const Ipv4Flag = { MF: 1, DF: 2, RESERVED: 4 } as const;

/** A header, decoded or to be encoded. Offsets point into the bytes that were decoded. */
export class Ipv4Header {
  headerAt = 0;
  /** Header with options, bytes; 20 to 60. */
  headerLength: number = IPV4_HEADER_LENGTH;
  hasOptions = false;
  tos = 0;
  /** Header and payload, bytes. */
  totalLength = 0;
  id = 0;
  /** An OR of {@link Ipv4Flag}. */
  flags = 0;
  /** Where the payload stands in the whole datagram, bytes; a multiple of 8. */
  fragmentOffset = 0;
  ttl = 0;
  protocol = 0;
  srcAt = 0;
  dstAt = 0;
  payloadAt = 0;
  /** Bytes behind the header, up to the total length: link padding is not counted. */
  payloadLength = 0;

  /** Whether this is one part of a longer datagram. */
  get isFragment(): boolean {
    return this.fragmentOffset !== 0 || (this.flags & Ipv4Flag.MF) !== 0;
  }
}

/** Reads and verifies the header of the packet at `at`, of which `length` bytes have arrived. */
export function decodeIpv4(bytes: Uint8Array, at: number, length: number, out: Ipv4Header): WireStatus {
  if (length < IPV4_HEADER_LENGTH) return WIRE_SHORT;
  if (bytes[at]! >> 4 !== 4) return WIRE_BAD_VERSION;
  const headerLength = (bytes[at]! & 15) << 2;
  if (headerLength < IPV4_HEADER_LENGTH || headerLength > length) return WIRE_BAD_OFFSET;
  const totalLength = read16(bytes, at + 2);
  if (totalLength < headerLength || totalLength > length) return WIRE_BAD_LENGTH;
  if (checksumOf(bytes, at, headerLength) !== 0) return WIRE_BAD_CHECKSUM;
  fillIpv4(bytes, at, headerLength, totalLength, out);
  return WIRE_OK;
}

/**
 * Reads the header quoted in an ICMP error: only a part of the packet is there, and routers have changed the checksum's
 * inputs (RFC 1812 4.3.2.3), so neither it nor the total length is verified. `payloadLength` is what is there.
 */
export function decodeQuotedIpv4(bytes: Uint8Array, at: number, length: number, out: Ipv4Header): WireStatus {
  if (length < IPV4_HEADER_LENGTH) return WIRE_SHORT;
  if (bytes[at]! >> 4 !== 4) return WIRE_BAD_VERSION;
  const headerLength = (bytes[at]! & 15) << 2;
  if (headerLength < IPV4_HEADER_LENGTH || headerLength > length) return WIRE_BAD_OFFSET;
  fillIpv4(bytes, at, headerLength, read16(bytes, at + 2), out);
  out.payloadLength = length - headerLength;
  return WIRE_OK;
}

function fillIpv4(bytes: Uint8Array, at: number, headerLength: number, totalLength: number, out: Ipv4Header): void {
  const fragment = read16(bytes, at + 6);
  out.headerAt = at;
  out.headerLength = headerLength;
  out.hasOptions = headerLength > IPV4_HEADER_LENGTH;
  out.tos = bytes[at + 1]!;
  out.totalLength = totalLength;
  out.id = read16(bytes, at + 4);
  out.flags = fragment >> 13;
  out.fragmentOffset = (fragment & 0x1fff) << 3;
  out.ttl = bytes[at + 8]!;
  out.protocol = bytes[at + 9]!;
  out.srcAt = at + 12;
  out.dstAt = at + 16;
  out.payloadAt = at + headerLength;
  out.payloadLength = totalLength - headerLength;
}

/**
 * Writes a header of 20 bytes with its checksum from `tos`, `totalLength`, `id`, `flags`, `fragmentOffset`, `ttl` and
 * `protocol` of `header` and the two addresses (four bytes each). Answers 20.
 */
export function encodeIpv4Header(
  bytes: Uint8Array,
  at: number,
  header: Ipv4Header,
  src: Uint8Array,
  srcAt: number,
  dst: Uint8Array,
  dstAt: number,
): number {
  bytes[at] = 0x45;
  bytes[at + 1] = header.tos;
  write16(bytes, at + 2, header.totalLength);
  write16(bytes, at + 4, header.id);
  write16(bytes, at + 6, (header.flags << 13) | (header.fragmentOffset >> 3));
  bytes[at + 8] = header.ttl;
  bytes[at + 9] = header.protocol;
  for (let i = 0; i < 4; i++) {
    bytes[at + 12 + i] = src[srcAt + i]!;
    bytes[at + 16 + i] = dst[dstAt + i]!;
  }
  writeIpv4Checksum(bytes, at, IPV4_HEADER_LENGTH);
  return IPV4_HEADER_LENGTH;
}

/** Computes the header checksum anew, after fields were changed in place. */
export function writeIpv4Checksum(bytes: Uint8Array, at: number, headerLength: number): void {
  write16(bytes, at + 10, 0);
  write16(bytes, at + 10, checksumOf(bytes, at, headerLength));
}
