/**
 * ARP for IPv4 over Ethernet. RFC 826, RFC 5227.
 *
 * Promises: a packet of another hardware or protocol, or with other address lengths, is answered with a status (RFC 826:
 * both are checked before anything is used). Whether to merge or answer is the host's.
 */

import { read16, write16 } from '../base/bytes.ts';
import { WIRE_BAD_LENGTH, WIRE_BAD_TYPE, WIRE_OK, WIRE_SHORT, type WireStatus } from './status.ts';

/** ar$op. */
export const ArpOperation = { REQUEST: 1, REPLY: 2 } as const;

/** An ARP packet for IPv4 over Ethernet, bytes; frames are padded to 46. */
export const ARP_LENGTH = 28;

const HARDWARE_ETHERNET = 1;
const PROTOCOL_IPV4 = 0x0800;

/** A decoded packet: offsets into the bytes that were decoded. */
export class ArpPacket {
  /** An {@link ArpOperation}, or another number that was sent. */
  operation = 0;
  /** ar$sha, six bytes. */
  senderMacAt = 0;
  /** ar$spa, four bytes. */
  senderIpAt = 0;
  /** ar$tha, six bytes; meaningless in a request. */
  targetMacAt = 0;
  /** ar$tpa, four bytes. */
  targetIpAt = 0;
}

/** Reads an ARP packet. */
export function decodeArp(bytes: Uint8Array, at: number, length: number, out: ArpPacket): WireStatus {
  if (length < 8) return WIRE_SHORT;
  if (read16(bytes, at) !== HARDWARE_ETHERNET || read16(bytes, at + 2) !== PROTOCOL_IPV4) return WIRE_BAD_TYPE;
  if (bytes[at + 4] !== 6 || bytes[at + 5] !== 4) return WIRE_BAD_LENGTH;
  if (length < ARP_LENGTH) return WIRE_SHORT;
  out.operation = read16(bytes, at + 6);
  out.senderMacAt = at + 8;
  out.senderIpAt = at + 14;
  out.targetMacAt = at + 18;
  out.targetIpAt = at + 24;
  return WIRE_OK;
}

/** Writes an ARP packet from whole addresses (six and four bytes). Answers its length, {@link ARP_LENGTH}. */
export function encodeArp(
  bytes: Uint8Array,
  at: number,
  operation: number,
  senderMac: Uint8Array,
  senderIp: Uint8Array,
  targetMac: Uint8Array,
  targetIp: Uint8Array,
): number {
  write16(bytes, at, HARDWARE_ETHERNET);
  write16(bytes, at + 2, PROTOCOL_IPV4);
  bytes[at + 4] = 6;
  bytes[at + 5] = 4;
  write16(bytes, at + 6, operation);
  for (let i = 0; i < 6; i++) {
    bytes[at + 8 + i] = senderMac[i]!;
    bytes[at + 18 + i] = targetMac[i]!;
  }
  for (let i = 0; i < 4; i++) {
    bytes[at + 14 + i] = senderIp[i]!;
    bytes[at + 24 + i] = targetIp[i]!;
  }
  return ARP_LENGTH;
}
