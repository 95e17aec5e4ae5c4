/**
 * UDP datagrams over IPv4 and IPv6. RFC 768, RFC 1122 section 4.1, RFC 8200 section 8.1.
 *
 * Promises: a length field that lies is a status; bytes behind it are not part of the datagram. The checksum is verified by
 * `isUdpChecksumGood`, apart from decoding, because a fragmented datagram is decoded before its addresses are at hand.
 */

import { read16, write16 } from '../base/bytes.ts';
import { checksumAdd, checksumFinish } from '../base/checksum.ts';
import { IpProtocol } from './protocol.ts';
import { pseudoHeaderSum } from './pseudo-header.ts';
import { WIRE_BAD_LENGTH, WIRE_OK, WIRE_SHORT, type WireStatus } from './status.ts';

/** The header, bytes. */
export const UDP_HEADER_LENGTH = 8;

/** A decoded datagram. */
export class UdpDatagram {
  srcPort = 0;
  dstPort = 0;
  /** The length field: header and payload, bytes. */
  length = 0;
  /** The checksum field; 0: the sender made none. */
  checksum = 0;
  payloadAt = 0;
  payloadLength = 0;
}

/** Reads the header at `at` of an IP payload `length` bytes long. */
export function decodeUdp(bytes: Uint8Array, at: number, length: number, out: UdpDatagram): WireStatus {
  if (length < UDP_HEADER_LENGTH) return WIRE_SHORT;
  const udpLength = read16(bytes, at + 4);
  if (udpLength < UDP_HEADER_LENGTH || udpLength > length) return WIRE_BAD_LENGTH;
  out.srcPort = read16(bytes, at);
  out.dstPort = read16(bytes, at + 2);
  out.length = udpLength;
  out.checksum = read16(bytes, at + 6);
  out.payloadAt = at + UDP_HEADER_LENGTH;
  out.payloadLength = udpLength - UDP_HEADER_LENGTH;
  return WIRE_OK;
}

/**
 * Whether the checksum of the datagram of `length` bytes (its own length field) at `at` is right. The IP addresses stand in
 * the same bytes. A field of 0 is good over IPv4 (none was made) and bad over IPv6 (RFC 8200 8.1).
 */
export function isUdpChecksumGood(
  bytes: Uint8Array,
  at: number,
  length: number,
  family: number,
  srcAt: number,
  dstAt: number,
): boolean {
  if (read16(bytes, at + 6) === 0) return family === 4;
  const sum = pseudoHeaderSum(bytes, family, srcAt, dstAt, IpProtocol.UDP, length);
  return checksumFinish(checksumAdd(sum, bytes, at, length)) === 0;
}

/**
 * Writes the header in front of `payloadLength` bytes that already stand at `at + 8`, with the checksum over both and the pseudo-header,
 * whose sum is given. A computed 0 is sent as 0xffff: 0 says that there is no checksum. Answers 8. RFC 768.
 */
export function encodeUdp(
  bytes: Uint8Array,
  at: number,
  srcPort: number,
  dstPort: number,
  payloadLength: number,
  pseudoSum: number,
): number {
  const length = UDP_HEADER_LENGTH + payloadLength;
  write16(bytes, at, srcPort);
  write16(bytes, at + 2, dstPort);
  write16(bytes, at + 4, length);
  write16(bytes, at + 6, 0);
  const checksum = checksumFinish(checksumAdd(pseudoSum, bytes, at, length));
  write16(bytes, at + 6, checksum === 0 ? 0xffff : checksum);
  return UDP_HEADER_LENGTH;
}
