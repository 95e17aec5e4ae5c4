/**
 * Where the headers of a TCP segment are in a frame, and whether two segments belong together. RFC 791, RFC 8200, RFC 9293 3.1.
 *
 * For joining received segments ({@link FrameReader}): what is out of the ordinary in any way is not told apart, only refused.
 */

import { foldChecksum } from '../../base/checksum.ts';
import type { Medium } from '../link.ts';
import type { FrameMemory } from './frame-memory.ts';

const ETHERNET_HEADER = 14;
const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
const TCP_HEADER = 20;
const TCP = 6;
const FLAG_ACK = 0x10;
const FLAG_PSH = 0x08;
/** More fragments, and the fragment offset. */
const IPV4_FRAGMENT = 0x3fff;

/** One segment in a frame. */
export class FrameLayout {
  /** Bytes in front of the IP header. */
  linkLength = 0;
  ipAt = 0;
  isIpv4 = false;
  tcpAt = 0;
  /** Link, IP and TCP header together. */
  headerLength = 0;
  payloadLength = 0;
  seq = 0;
  isPushed = false;

  /**
   * Reads the headers of the frame of `length` bytes at `at`. False: it is no plain segment with text, or not a sound one. `isVouched`:
   * the device says that its TCP checksum is right.
   */
  read(memory: FrameMemory, medium: Medium, at: number, length: number, isVouched: boolean): boolean {
    const { view } = memory;
    const linkLength = medium === 'ip' ? 0 : ETHERNET_HEADER;
    const ipAt = at + linkLength;
    const ipLength = length - linkLength;
    if (ipLength < IPV4_HEADER + TCP_HEADER) return false;
    const isIpv4 = medium === 'ip' ? view.getUint8(ipAt) === 0x45 : view.getUint16(at + 12) === IPV4;
    if (isIpv4) {
      if (!isPlainIpv4(memory, ipAt, ipLength)) return false;
    } else {
      if (medium !== 'ip' && view.getUint16(at + 12) !== IPV6) return false;
      if (ipLength < IPV6_HEADER + TCP_HEADER || !isPlainIpv6(view, ipAt, ipLength)) return false;
    }
    const ipHeader = isIpv4 ? IPV4_HEADER : IPV6_HEADER;
    const tcpAt = ipAt + ipHeader;
    const tcpHeader = (view.getUint8(tcpAt + 12) >> 4) << 2;
    const flags = view.getUint8(tcpAt + 13);
    const payloadLength = ipLength - ipHeader - tcpHeader;
    if ((flags & ~FLAG_PSH) !== FLAG_ACK || tcpHeader < TCP_HEADER || payloadLength <= 0) return false;
    if (!isVouched && !isChecksumGood(memory, isIpv4, ipAt, tcpAt, ipLength - ipHeader)) return false;
    this.linkLength = linkLength;
    this.ipAt = ipAt;
    this.isIpv4 = isIpv4;
    this.tcpAt = tcpAt;
    this.headerLength = linkLength + ipHeader + tcpHeader;
    this.payloadLength = payloadLength;
    this.seq = view.getInt32(tcpAt + 4);
    this.isPushed = (flags & FLAG_PSH) !== 0;
    return true;
  }

  /** The same segment, its frame now at `at`. */
  copyFrom(from: FrameLayout, at: number): void {
    this.linkLength = from.linkLength;
    this.ipAt = at + from.linkLength;
    this.isIpv4 = from.isIpv4;
    this.tcpAt = this.ipAt + (from.tcpAt - from.ipAt);
    this.headerLength = from.headerLength;
    this.payloadLength = from.payloadLength;
    this.seq = from.seq;
    this.isPushed = from.isPushed;
  }

  /** The frame is `length` bytes long now: its lengths and the IPv4 checksum say so, and the TCP checksum is that of the pseudo-header. */
  setLength(view: DataView, length: number): void {
    const { ipAt, tcpAt } = this;
    const ipLength = length - this.linkLength;
    if (this.isIpv4) {
      view.setUint16(ipAt + 2, ipLength);
      view.setUint16(ipAt + 10, 0);
      view.setUint16(ipAt + 10, ~foldChecksum(sumOf(view, ipAt, IPV4_HEADER)) & 0xffff);
    } else view.setUint16(ipAt + 4, ipLength - IPV6_HEADER);
    view.setUint16(
      tcpAt + 16,
      foldChecksum(pseudoSum(view, this.isIpv4, ipAt, length - (tcpAt - ipAt) - this.linkLength)),
    );
  }
}

/**
 * Whether the headers of `next` are those of `held` but for lengths, checksums, the IPv4 identification, the sequence number and PSH.
 * Sources: what Linux joins (inet_gro_receive, ipv6_gro_receive, tcp_gro_receive).
 */
export function headersFollow(view: DataView, held: FrameLayout, next: FrameLayout): boolean {
  if (held.headerLength !== next.headerLength || held.isIpv4 !== next.isIpv4) return false;
  const a = held.ipAt;
  const b = next.ipAt;
  if (held.linkLength > 0 && !isSame(view, a - ETHERNET_HEADER, b - ETHERNET_HEADER, 12)) return false;
  if (held.isIpv4) {
    // TOS; time to live and protocol; addresses.
    if (view.getUint8(a + 1) !== view.getUint8(b + 1)) return false;
    if (view.getUint16(a + 6) !== view.getUint16(b + 6) || view.getUint16(a + 8) !== view.getUint16(b + 8))
      return false;
    if (!isSame(view, a + 12, b + 12, 8)) return false;
  } else {
    // Traffic class and flow label; next header and hop limit, addresses.
    if (view.getInt32(a) !== view.getInt32(b) || view.getUint16(a + 6) !== view.getUint16(b + 6)) return false;
    if (!isSame(view, a + 8, b + 8, 32)) return false;
  }
  const c = held.tcpAt;
  const d = next.tcpAt;
  // Ports; ACK number; header length; window; options.
  if (view.getInt32(c) !== view.getInt32(d) || view.getInt32(c + 8) !== view.getInt32(d + 8)) return false;
  if (view.getUint8(c + 12) !== view.getUint8(d + 12) || view.getUint16(c + 14) !== view.getUint16(d + 14))
    return false;
  return isSame(view, c + TCP_HEADER, d + TCP_HEADER, held.headerLength - (c - a) - held.linkLength - TCP_HEADER);
}

/** Whether `length` bytes, a multiple of 4, are the same at both places. */
function isSame(view: DataView, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i += 4) if (view.getInt32(a + i) !== view.getInt32(b + i)) return false;
  return true;
}

/** No options, no fragment, no padding behind it, TCP, and a right checksum. */
function isPlainIpv4({ view }: FrameMemory, at: number, length: number): boolean {
  if (view.getUint8(at) !== 0x45 || view.getUint16(at + 2) !== length || view.getUint8(at + 9) !== TCP) return false;
  if ((view.getUint16(at + 6) & IPV4_FRAGMENT) !== 0) return false;
  return foldChecksum(sumOf(view, at, IPV4_HEADER)) === 0xffff;
}

function isPlainIpv6(view: DataView, at: number, length: number): boolean {
  const isIpv6 = view.getUint8(at) >> 4 === 6;
  return isIpv6 && view.getUint16(at + 4) === length - IPV6_HEADER && view.getUint8(at + 6) === TCP;
}

/** `length`: of TCP header and payload. */
function isChecksumGood(memory: FrameMemory, isIpv4: boolean, ipAt: number, tcpAt: number, length: number): boolean {
  const sum = pseudoSum(memory.view, isIpv4, ipAt, length) + memory.sum(tcpAt, length);
  return foldChecksum(sum) === 0xffff;
}

/** Sum of the pseudo-header of a TCP segment. */
function pseudoSum(view: DataView, isIpv4: boolean, ipAt: number, length: number): number {
  return TCP + length + (isIpv4 ? sumOf(view, ipAt + 12, 8) : sumOf(view, ipAt + 8, 32));
}

/** Sum of big-endian words; `length` is even. */
function sumOf(view: DataView, at: number, length: number): number {
  let sum = 0;
  for (let i = at; i < at + length; i += 2) sum += view.getUint16(i);
  return sum;
}
