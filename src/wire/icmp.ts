/**
 * ICMP for IPv4: echo, and the errors with the packet they quote. RFC 792, RFC 1191, RFC 1122 section 3.2.2.
 *
 * Promises: the checksum is verified before anything is read. Unknown types decode, so that they can be counted and dropped in
 * silence (RFC 1122 3.2.2). Whether an error may be sent at all (never about an error, a broadcast, a later fragment) is the host's.
 */

import { read16, read32, write16, write32 } from '../base/bytes.ts';
import { checksumOf } from '../base/checksum.ts';
import { QuotedPacket } from './icmp-quote.ts';
import { WIRE_BAD_CHECKSUM, WIRE_OK, WIRE_SHORT, type WireStatus } from './status.ts';

/** Message types. */
export const IcmpType = {
  ECHO_REPLY: 0,
  DESTINATION_UNREACHABLE: 3,
  SOURCE_QUENCH: 4,
  REDIRECT: 5,
  ECHO: 8,
  ROUTER_ADVERTISEMENT: 9,
  TIME_EXCEEDED: 11,
  PARAMETER_PROBLEM: 12,
} as const;

/** Codes of destination unreachable. RFC 792, RFC 1122 3.2.2.1. */
export const IcmpUnreachable = {
  NET: 0,
  HOST: 1,
  PROTOCOL: 2,
  PORT: 3,
  FRAGMENTATION_NEEDED: 4,
  SOURCE_ROUTE_FAILED: 5,
  NET_UNKNOWN: 6,
  HOST_UNKNOWN: 7,
  NET_PROHIBITED: 9,
  HOST_PROHIBITED: 10,
  COMMUNICATION_PROHIBITED: 13,
} as const;

/** Codes of time exceeded. */
export const IcmpTimeExceeded = { TTL: 0, REASSEMBLY: 1 } as const;

/** Header in front of echo data or of a quote, bytes. */
export const ICMP_HEADER_LENGTH = 8;
/** Length of the packet that carries an error, at most: RFC 1812 4.3.2.3. */
export const ICMP_ERROR_PACKET_MAX = 576;

/** A decoded message. */
export class IcmpMessage {
  type = 0;
  code = 0;
  /** Echo: identifier and sequence number. */
  identifier = 0;
  sequence = 0;
  /** Fragmentation needed: MTU of the next hop, bytes; 0: an old router that does not say (RFC 1191 section 5). */
  mtu = 0;
  /** Parameter problem: the octet of the quoted packet that is wrong. */
  pointer = 0;
  /** Redirect: where the address of the better gateway stands. */
  gatewayAt = 0;
  /** What follows the eight bytes of header: echo data, or the quote. */
  dataAt = 0;
  dataLength = 0;
  /** The packet that an error (or redirect) quotes; `family` 0 for other messages. */
  readonly quote: QuotedPacket = new QuotedPacket();

  /** Whether it reports about a packet that was sent: RFC 1122 forbids an error in answer to it. */
  get isError(): boolean {
    return isIcmpError(this.type);
  }
}

/** Whether messages of `type` quote a packet. */
export function isIcmpError(type: number): boolean {
  return (
    type === IcmpType.DESTINATION_UNREACHABLE ||
    type === IcmpType.SOURCE_QUENCH ||
    type === IcmpType.REDIRECT ||
    type === IcmpType.TIME_EXCEEDED ||
    type === IcmpType.PARAMETER_PROBLEM
  );
}

/** Reads and verifies the message of `length` bytes at `at`. */
export function decodeIcmp(bytes: Uint8Array, at: number, length: number, out: IcmpMessage): WireStatus {
  if (length < ICMP_HEADER_LENGTH) return WIRE_SHORT;
  if (checksumOf(bytes, at, length) !== 0) return WIRE_BAD_CHECKSUM;
  out.type = bytes[at]!;
  out.code = bytes[at + 1]!;
  out.identifier = read16(bytes, at + 4);
  out.sequence = read16(bytes, at + 6);
  out.mtu = out.sequence;
  out.pointer = bytes[at + 4]!;
  out.gatewayAt = at + 4;
  out.dataAt = at + ICMP_HEADER_LENGTH;
  out.dataLength = length - ICMP_HEADER_LENGTH;
  if (isIcmpError(out.type)) out.quote.decode(bytes, out.dataAt, out.dataLength, 4);
  else out.quote.clear();
  return WIRE_OK;
}

/**
 * Writes the header of an echo or echo reply in front of `dataLength` bytes that already stand at `at + 8`, with the checksum
 * over both. Answers the message's length.
 */
export function encodeIcmpEcho(
  bytes: Uint8Array,
  at: number,
  type: number,
  identifier: number,
  sequence: number,
  dataLength: number,
): number {
  return encodeIcmp(bytes, at, type, 0, (identifier << 16) | (sequence & 0xffff), dataLength);
}

/**
 * Writes the header of an error in front of `quoteLength` bytes of the packet that it is about, which already stand at `at + 8`.
 * `rest` is the second word: the MTU, or the pointer << 24, or 0. Answers the message's length.
 */
export function encodeIcmpError(
  bytes: Uint8Array,
  at: number,
  type: number,
  code: number,
  rest: number,
  quoteLength: number,
): number {
  return encodeIcmp(bytes, at, type, code, rest, quoteLength);
}

/** Turns the echo of `length` bytes at `at` into its reply, in place: the type and the checksum change. RFC 792. */
export function turnIcmpEchoIntoReply(bytes: Uint8Array, at: number, length: number): void {
  encodeIcmp(bytes, at, IcmpType.ECHO_REPLY, 0, read32(bytes, at + 4), length - ICMP_HEADER_LENGTH);
}

function encodeIcmp(
  bytes: Uint8Array,
  at: number,
  type: number,
  code: number,
  rest: number,
  dataLength: number,
): number {
  const length = ICMP_HEADER_LENGTH + dataLength;
  bytes[at] = type;
  bytes[at + 1] = code;
  write16(bytes, at + 2, 0);
  write32(bytes, at + 4, rest);
  write16(bytes, at + 2, checksumOf(bytes, at, length));
  return length;
}
