/**
 * Ethernet II frames without FCS, with at most one 802.1Q tag. IEEE 802.3, 802.1Q, RFC 894, RFC 2464.
 *
 * Decoding judges nothing but length: an EtherType below 0x600 (an 802.3 length) is handed over as it stands.
 */

import { read16, write16 } from '../base/bytes.ts';
import { WIRE_OK, WIRE_SHORT, type WireStatus } from './status.ts';

/** EtherTypes spoken here. */
export const EtherType = { IPV4: 0x0800, ARP: 0x0806, VLAN: 0x8100, IPV6: 0x86dd } as const;

/** Header without a tag, bytes. */
export const ETHERNET_HEADER_LENGTH = 14;
/** An 802.1Q tag, bytes. */
export const VLAN_TAG_LENGTH = 4;
/** `vlanTci` of a frame that carries no tag. */
export const NO_VLAN = -1;

/** A decoded frame header: offsets into the bytes that were decoded. */
export class EthernetFrame {
  dstAt = 0;
  srcAt = 0;
  /** The EtherType behind the tag, if there is one. */
  etherType = 0;
  tagged = false;
  /** VLAN identifier, 12 bits; 0 in a tagged frame: priority only. */
  vlanId = 0;
  /** 802.1p priority, 0 to 7. */
  priority = 0;
  /** Header with tag, bytes: 14 or 18. */
  headerLength: number = ETHERNET_HEADER_LENGTH;
  payloadAt = 0;
  /** What follows the header, bytes; short packets are padded to 46, so the network header's own length rules. */
  payloadLength = 0;
}

/** Reads the header of a frame of `length` bytes at `at`. */
export function decodeEthernet(bytes: Uint8Array, at: number, length: number, out: EthernetFrame): WireStatus {
  if (length < ETHERNET_HEADER_LENGTH) return WIRE_SHORT;
  let etherType = read16(bytes, at + 12);
  let headerLength = ETHERNET_HEADER_LENGTH;
  let tci = 0;
  out.tagged = etherType === EtherType.VLAN;
  if (out.tagged) {
    headerLength += VLAN_TAG_LENGTH;
    if (length < headerLength) return WIRE_SHORT;
    tci = read16(bytes, at + 14);
    etherType = read16(bytes, at + 16);
  }
  out.dstAt = at;
  out.srcAt = at + 6;
  out.etherType = etherType;
  out.vlanId = tci & 0xfff;
  out.priority = tci >> 13;
  out.headerLength = headerLength;
  out.payloadAt = at + headerLength;
  out.payloadLength = length - headerLength;
  return WIRE_OK;
}

/** Tag control information of a VLAN (12 bits) and a priority (0 to 7). */
export function vlanTci(vlanId: number, priority: number): number {
  return ((priority & 7) << 13) | (vlanId & 0xfff);
}

/**
 * Writes a header at `at`; `vlanTci` is tag control information, or {@link NO_VLAN} for none. Answers the header's length.
 */
export function encodeEthernet(
  bytes: Uint8Array,
  at: number,
  dst: Uint8Array,
  dstAt: number,
  src: Uint8Array,
  srcAt: number,
  etherType: number,
  vlanTci: number,
): number {
  for (let i = 0; i < 6; i++) {
    bytes[at + i] = dst[dstAt + i]!;
    bytes[at + 6 + i] = src[srcAt + i]!;
  }
  if (vlanTci < 0) {
    write16(bytes, at + 12, etherType);
    return ETHERNET_HEADER_LENGTH;
  }
  write16(bytes, at + 12, EtherType.VLAN);
  write16(bytes, at + 14, vlanTci);
  write16(bytes, at + 16, etherType);
  return ETHERNET_HEADER_LENGTH + VLAN_TAG_LENGTH;
}
