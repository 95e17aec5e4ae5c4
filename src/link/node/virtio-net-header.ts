/**
 * struct virtio_net_hdr: what a device does, or has done, for a packet. Virtual I/O Device 1.2, 5.1.6; little-endian.
 *
 * Promises: what a header says of a received packet becomes one number (`segmentBytes` of link.ts), and the other way round. The
 * packets it is written for are the stack's own: TCP or UDP right behind an IPv4 header or the fixed IPv6 header, in Ethernet
 * with at most one tag. Nothing is allocated.
 */

import { type Medium, WHOLE_FRAME } from '../link.ts';

/** Length that TUN and AF_PACKET are told to use: IP headers behind it are aligned to 4. */
export const VIRTIO_NET_HEADER_BYTES = 12;

const FLAG_NEEDS_CSUM = 1;
const FLAG_DATA_VALID = 2;
const GSO_NONE = 0;
const GSO_TCPV4 = 1;
const GSO_TCPV6 = 4;
const GSO_UDP_L4 = 5;
/** Beside the type: the segments are ECN-capable. */
const GSO_ECN = 0x80;
const TCP = 6;
const UDP = 17;

/** What the header at `at` says: 0, or what `LinkReceiver.receive` takes. */
export function readVirtioNetHeader(bytes: Uint8Array, at: number): number {
  if ((bytes[at + 1]! & ~GSO_ECN) !== GSO_NONE) return bytes[at + 4]! | (bytes[at + 5]! << 8);
  return (bytes[at]! & (FLAG_NEEDS_CSUM | FLAG_DATA_VALID)) !== 0 ? WHOLE_FRAME : 0;
}

/** Writes the header that says nothing. */
export function clearVirtioNetHeader(header: Uint8Array): void {
  header.fill(0, 0, VIRTIO_NET_HEADER_BYTES);
}

/**
 * Writes the header for a frame whose first bytes (link, IP and transport header) are at `at`; `length`: of the whole frame. Answers
 * false for one that is neither TCP nor UDP: then nothing can be left to the device.
 */
export function writeVirtioNetHeader(
  header: Uint8Array,
  medium: Medium,
  bytes: Uint8Array,
  at: number,
  length: number,
  segmentBytes: number,
): boolean {
  const linkBytes = medium === 'ip' ? 0 : bytes[at + 12] === 0x81 && bytes[at + 13] === 0 ? 18 : 14;
  const ip = at + linkBytes;
  const isIpv4 = bytes[ip]! >> 4 === 4;
  const transport = linkBytes + (isIpv4 ? (bytes[ip]! & 15) << 2 : 40);
  const protocol = bytes[ip + (isIpv4 ? 9 : 6)]!;
  const isTcp = protocol === TCP;
  if (!isTcp && protocol !== UDP) return false;
  const headerBytes = transport + (isTcp ? (bytes[at + transport + 12]! >> 4) << 2 : 8);
  const isSuper = length - headerBytes > segmentBytes;
  header[0] = FLAG_NEEDS_CSUM;
  header[1] = !isSuper ? GSO_NONE : isTcp ? (isIpv4 ? GSO_TCPV4 : GSO_TCPV6) : GSO_UDP_L4;
  put16(header, 2, isSuper ? headerBytes : 0);
  put16(header, 4, isSuper ? segmentBytes : 0);
  put16(header, 6, transport);
  put16(header, 8, isTcp ? 16 : 6);
  put16(header, 10, 0);
  return true;
}

function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value & 0xff;
  bytes[at + 1] = value >> 8;
}
