/**
 * The TCP header and its options. RFC 9293 section 3.1 and 3.2, RFC 7323 (window scale, timestamps), RFC 2018 (SACK).
 *
 * Promises: every option list has a reading. Unknown kinds, and known ones of a wrong length, are skipped by their length byte
 * (MUST-6). An impossible length (0, 1, beyond the header) ends the list; what came before it counts and the segment is kept
 * (MUST-7). The checksum is not looked at by `decodeTcp`: whoever received the frame may already have verified it.
 * Encoding puts MSS, window scale and SACK-permitted into segments with SYN only (MUST-65), whatever the record holds.
 */

import { read16, read32, write16, write32 } from '../base/bytes.ts';
import { checksumAdd, checksumFinish, foldChecksum } from '../base/checksum.ts';
import { asSeq } from '../base/seq.ts';
import { IpProtocol } from './protocol.ts';
import { pseudoHeaderSum } from './pseudo-header.ts';
import { WIRE_BAD_OFFSET, WIRE_OK, WIRE_SHORT, type WireStatus } from './status.ts';
import { SACK_BLOCKS_MAX, TcpFlag, type TcpSegment } from './tcp-segment.ts';

/** Header without options, bytes. */
export const TCP_HEADER_LENGTH = 20;
/** Header with as many options as there can be, bytes. */
export const TCP_HEADER_LENGTH_MAX = 60;

/** Option kinds. IANA. */
export const TcpOption = {
  END: 0,
  NOP: 1,
  MSS: 2,
  WINDOW_SCALE: 3,
  SACK_PERMITTED: 4,
  SACK: 5,
  TIMESTAMPS: 8,
} as const;

/** NOP, NOP, timestamps, 10: how nearly everybody lays out a segment outside the handshake. RFC 7323 appendix A. */
const NOP_NOP_TIMESTAMPS = 0x0101080a;

/**
 * Reads the header at `at` of a segment `length` bytes long into `out`, and all options afresh. `out.bytes` becomes `bytes`.
 */
export function decodeTcp(bytes: Uint8Array, at: number, length: number, out: TcpSegment): WireStatus {
  if (length < TCP_HEADER_LENGTH) return WIRE_SHORT;
  const headerLength = (bytes[at + 12]! >> 4) << 2;
  if (headerLength < TCP_HEADER_LENGTH || headerLength > length) return WIRE_BAD_OFFSET;
  out.srcPort = read16(bytes, at);
  out.dstPort = read16(bytes, at + 2);
  out.seq = asSeq(read32(bytes, at + 4));
  out.ack = asSeq(read32(bytes, at + 8));
  out.flags = bytes[at + 13]!;
  out.window = read16(bytes, at + 14);
  out.urgentPointer = read16(bytes, at + 18);
  out.headerLength = headerLength;
  out.bytes = bytes;
  out.textAt = at + headerLength;
  out.textLength = length - headerLength;
  out.clearOptions();
  if (headerLength === 32 && read32(bytes, at + 20) === NOP_NOP_TIMESTAMPS) {
    readTimestamps(bytes, at + 22, out);
  } else if (headerLength > TCP_HEADER_LENGTH) {
    decodeOptions(bytes, at + TCP_HEADER_LENGTH, at + headerLength, out);
  }
  return WIRE_OK;
}

/** Walks the options in [at, end). A later option of one kind replaces an earlier one. */
function decodeOptions(bytes: Uint8Array, at: number, end: number, out: TcpSegment): void {
  let i = at;
  while (i < end) {
    const kind = bytes[i]!;
    if (kind === TcpOption.END) return;
    if (kind === TcpOption.NOP) {
      i++;
      continue;
    }
    if (i + 1 >= end) return;
    const optionLength = bytes[i + 1]!;
    if (optionLength < 2 || i + optionLength > end) return;
    readOption(bytes, i, kind, optionLength, out);
    i += optionLength;
  }
}

function readOption(bytes: Uint8Array, at: number, kind: number, length: number, out: TcpSegment): void {
  switch (kind) {
    case TcpOption.MSS:
      if (length === 4) out.mss = read16(bytes, at + 2);
      return;
    case TcpOption.WINDOW_SCALE:
      if (length === 3) out.windowScale = bytes[at + 2]!;
      return;
    case TcpOption.SACK_PERMITTED:
      if (length === 2) out.sackPermitted = true;
      return;
    case TcpOption.TIMESTAMPS:
      if (length === 10) readTimestamps(bytes, at, out);
      return;
    case TcpOption.SACK:
      if (length > 2 && (length - 2) % 8 === 0) readSack(bytes, at + 2, (length - 2) >> 3, out);
      return;
  }
}

function readTimestamps(bytes: Uint8Array, at: number, out: TcpSegment): void {
  out.hasTimestamps = true;
  out.tsVal = read32(bytes, at + 2);
  out.tsEcr = read32(bytes, at + 6);
}

function readSack(bytes: Uint8Array, at: number, blocks: number, out: TcpSegment): void {
  // At most four fit into 40 bytes of options.
  const count = blocks < SACK_BLOCKS_MAX ? blocks : SACK_BLOCKS_MAX;
  for (let i = 0; i < 2 * count; i++) out.sackEdges[i] = read32(bytes, at + 4 * i);
  out.sackCount = count;
}

/** SACK blocks of `seg` that go into its header: beside timestamps three, else four. RFC 2018 section 3. */
function sackBlocksSent(seg: TcpSegment): number {
  const room = seg.hasTimestamps ? 3 : SACK_BLOCKS_MAX;
  // In a SYN the other options are in the way, and there is nothing to acknowledge selectively.
  if ((seg.flags & TcpFlag.SYN) !== 0) return 0;
  return seg.sackCount < room ? seg.sackCount : room;
}

/** Bytes the header of `seg` takes with the options it carries; a multiple of 4, at most 60. */
export function tcpHeaderLength(seg: TcpSegment): number {
  let length = TCP_HEADER_LENGTH;
  if ((seg.flags & TcpFlag.SYN) !== 0) {
    if (seg.mss !== 0) length += 4;
    if (seg.hasTimestamps) length += 12;
    else if (seg.sackPermitted) length += 4;
    if (seg.windowScale >= 0) length += 4;
    return length;
  }
  if (seg.hasTimestamps) length += 12;
  const blocks = sackBlocksSent(seg);
  return blocks === 0 ? length : length + 4 + 8 * blocks;
}

/**
 * Writes the header of `seg` at `at`; the checksum field is 0, see {@link writeTcpChecksum}. Answers the bytes written, which are
 * {@link tcpHeaderLength}; the text goes behind them. SACK blocks that do not fit are left out, the last first.
 */
export function encodeTcp(bytes: Uint8Array, at: number, seg: TcpSegment): number {
  let i = at + TCP_HEADER_LENGTH;
  if ((seg.flags & TcpFlag.SYN) !== 0) i = encodeSynOptions(bytes, i, seg);
  else if (seg.hasTimestamps || seg.sackCount > 0) i = encodeOptions(bytes, i, seg);
  write16(bytes, at, seg.srcPort);
  write16(bytes, at + 2, seg.dstPort);
  write32(bytes, at + 4, seg.seq);
  write32(bytes, at + 8, seg.ack);
  bytes[at + 12] = (i - at) << 2;
  bytes[at + 13] = seg.flags;
  write16(bytes, at + 14, seg.window);
  write32(bytes, at + 16, seg.urgentPointer & 0xffff);
  return i - at;
}

function encodeOptions(bytes: Uint8Array, at: number, seg: TcpSegment): number {
  let i = at;
  if (seg.hasTimestamps) {
    write32(bytes, i, NOP_NOP_TIMESTAMPS);
    write32(bytes, i + 4, seg.tsVal);
    write32(bytes, i + 8, seg.tsEcr);
    i += 12;
  }
  const blocks = sackBlocksSent(seg);
  if (blocks > 0) {
    write32(bytes, i, (0x0101 << 16) | (TcpOption.SACK << 8) | (2 + 8 * blocks));
    i += 4;
    for (let edge = 0; edge < 2 * blocks; edge++, i += 4) write32(bytes, i, seg.sackEdges[edge]!);
  }
  return i;
}

function encodeSynOptions(bytes: Uint8Array, at: number, seg: TcpSegment): number {
  let i = at;
  if (seg.mss !== 0) {
    write32(bytes, i, (TcpOption.MSS << 24) | (4 << 16) | (seg.mss & 0xffff));
    i += 4;
  }
  // SACK-permitted takes the place of the two NOPs before timestamps, as in most stacks.
  if (seg.hasTimestamps) {
    write32(bytes, i, seg.sackPermitted ? 0x0402080a : NOP_NOP_TIMESTAMPS);
    write32(bytes, i + 4, seg.tsVal);
    write32(bytes, i + 8, seg.tsEcr);
    i += 12;
  } else if (seg.sackPermitted) {
    write32(bytes, i, 0x01010402);
    i += 4;
  }
  if (seg.windowScale >= 0) {
    write32(bytes, i, (TcpOption.NOP << 24) | (TcpOption.WINDOW_SCALE << 16) | (3 << 8) | (seg.windowScale & 0xff));
    i += 4;
  }
  return i;
}

/**
 * Computes and writes the checksum of the segment of `length` bytes (header and text) at `at`. The IP addresses stand in the same
 * bytes, at `srcAt` and `dstAt`; `family` is 4 or 6. MUST-2.
 */
export function writeTcpChecksum(
  bytes: Uint8Array,
  at: number,
  length: number,
  family: number,
  srcAt: number,
  dstAt: number,
): void {
  write16(bytes, at + 16, 0);
  const sum = pseudoHeaderSum(bytes, family, srcAt, dstAt, IpProtocol.TCP, length);
  write16(bytes, at + 16, checksumFinish(checksumAdd(sum, bytes, at, length)));
}

/**
 * Writes the folded, not inverted sum of the pseudo-header into the checksum field: what a device that computes checksums (and
 * cuts super-segments) expects there. `length` is that of the whole super-segment, header and text.
 */
export function writeTcpPartialChecksum(
  bytes: Uint8Array,
  at: number,
  length: number,
  family: number,
  srcAt: number,
  dstAt: number,
): void {
  write16(bytes, at + 16, foldChecksum(pseudoHeaderSum(bytes, family, srcAt, dstAt, IpProtocol.TCP, length)));
}

/** Whether the checksum of the segment of `length` bytes at `at` is right. MUST-3. */
export function isTcpChecksumGood(
  bytes: Uint8Array,
  at: number,
  length: number,
  family: number,
  srcAt: number,
  dstAt: number,
): boolean {
  const sum = pseudoHeaderSum(bytes, family, srcAt, dstAt, IpProtocol.TCP, length);
  return checksumFinish(checksumAdd(sum, bytes, at, length)) === 0;
}
