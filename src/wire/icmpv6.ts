/**
 * ICMPv6: echo, and the errors with the packet they quote; the frame of neighbor discovery messages (nd.ts). RFC 4443.
 *
 * Promises: the checksum, pseudo-header included, is verified before anything is read. The IP header is written before its message:
 * encoders take the addresses from where they stand in the same bytes.
 */

import { read16, read32, write16, write32 } from '../base/bytes.ts';
import { checksumAdd, checksumFinish, pseudoHeaderSum6 } from '../base/checksum.ts';
import { QuotedPacket } from './icmp-quote.ts';
import { IpProtocol } from './protocol.ts';
import { WIRE_BAD_CHECKSUM, WIRE_OK, WIRE_SHORT, type WireStatus } from './status.ts';

/** Message types; below 128 they are errors. */
export const Icmpv6Type = {
  DESTINATION_UNREACHABLE: 1,
  PACKET_TOO_BIG: 2,
  TIME_EXCEEDED: 3,
  PARAMETER_PROBLEM: 4,
  ECHO_REQUEST: 128,
  ECHO_REPLY: 129,
  MLD_QUERY: 130,
  MLD_REPORT: 131,
  MLD_DONE: 132,
  ROUTER_SOLICITATION: 133,
  ROUTER_ADVERTISEMENT: 134,
  NEIGHBOR_SOLICITATION: 135,
  NEIGHBOR_ADVERTISEMENT: 136,
  REDIRECT: 137,
  MLD2_REPORT: 143,
} as const;

/** Codes of destination unreachable. RFC 4443 section 3.1. */
export const Icmpv6Unreachable = {
  NO_ROUTE: 0,
  PROHIBITED: 1,
  BEYOND_SCOPE: 2,
  ADDRESS: 3,
  PORT: 4,
  POLICY: 5,
  REJECT: 6,
} as const;

/** Codes of time exceeded. */
export const Icmpv6TimeExceeded = { HOP_LIMIT: 0, REASSEMBLY: 1 } as const;

/** Header in front of echo data or of a quote, bytes. */
export const ICMPV6_HEADER_LENGTH = 8;
/** Length of the packet that carries an error, at most: the minimum MTU. RFC 4443 section 2.4 (c). */
export const ICMPV6_ERROR_PACKET_MAX = 1280;

/** A decoded message. */
export class Icmpv6Message {
  type = 0;
  code = 0;
  /** Echo: identifier and sequence number. */
  identifier = 0;
  sequence = 0;
  /** Packet too big: MTU of the next hop, bytes, unsigned. */
  mtu = 0;
  /** Parameter problem: the octet of the quoted packet that is wrong, unsigned. */
  pointer = 0;
  /** What follows the eight bytes of header: echo data, or the quote. */
  dataAt = 0;
  dataLength = 0;
  /** The packet that an error quotes; `family` 0 for other messages. */
  readonly quote: QuotedPacket = new QuotedPacket();

  /** Errors have types below 128; an unknown one is still passed up, an unknown other message dropped. RFC 4443 2.4. */
  get isError(): boolean {
    return this.type < 128;
  }
}

/** Reads and verifies the message of `length` bytes at `at`; the IP addresses stand in the same bytes. */
export function decodeIcmpv6(
  bytes: Uint8Array,
  at: number,
  length: number,
  srcAt: number,
  dstAt: number,
  out: Icmpv6Message,
): WireStatus {
  if (length < ICMPV6_HEADER_LENGTH) return WIRE_SHORT;
  const sum = pseudoHeaderSum6(bytes, srcAt, dstAt, IpProtocol.ICMPV6, length);
  if (checksumFinish(checksumAdd(sum, bytes, at, length)) !== 0) return WIRE_BAD_CHECKSUM;
  out.type = bytes[at]!;
  out.code = bytes[at + 1]!;
  out.identifier = read16(bytes, at + 4);
  out.sequence = read16(bytes, at + 6);
  out.mtu = read32(bytes, at + 4) >>> 0;
  out.pointer = out.mtu;
  out.dataAt = at + ICMPV6_HEADER_LENGTH;
  out.dataLength = length - ICMPV6_HEADER_LENGTH;
  if (out.isError) out.quote.decode(bytes, out.dataAt, out.dataLength, 6);
  else out.quote.clear();
  return WIRE_OK;
}

/**
 * Writes the header of an echo request or reply in front of `dataLength` bytes that already stand at `at + 8`. Answers the
 * message's length.
 */
export function encodeIcmpv6Echo(
  bytes: Uint8Array,
  at: number,
  type: number,
  identifier: number,
  sequence: number,
  dataLength: number,
  srcAt: number,
  dstAt: number,
): number {
  bytes[at] = type;
  bytes[at + 1] = 0;
  write16(bytes, at + 4, identifier);
  write16(bytes, at + 6, sequence);
  return writeIcmpv6Checksum(bytes, at, ICMPV6_HEADER_LENGTH + dataLength, srcAt, dstAt);
}

/**
 * Writes the header of an error in front of `quoteLength` bytes of the packet that it is about, which already stand at `at + 8`.
 * `rest` is the second word: the MTU, the pointer, or 0. Answers the message's length.
 */
export function encodeIcmpv6Error(
  bytes: Uint8Array,
  at: number,
  type: number,
  code: number,
  rest: number,
  quoteLength: number,
  srcAt: number,
  dstAt: number,
): number {
  bytes[at] = type;
  bytes[at + 1] = code;
  write32(bytes, at + 4, rest);
  return writeIcmpv6Checksum(bytes, at, ICMPV6_HEADER_LENGTH + quoteLength, srcAt, dstAt);
}

/** Computes and writes the checksum of the message of `length` bytes at `at`. Answers `length`. */
export function writeIcmpv6Checksum(
  bytes: Uint8Array,
  at: number,
  length: number,
  srcAt: number,
  dstAt: number,
): number {
  write16(bytes, at + 2, 0);
  const sum = pseudoHeaderSum6(bytes, srcAt, dstAt, IpProtocol.ICMPV6, length);
  write16(bytes, at + 2, checksumFinish(checksumAdd(sum, bytes, at, length)));
  return length;
}
