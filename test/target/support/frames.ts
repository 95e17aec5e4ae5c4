/** Frames of a peer, built and taken apart field by field. */
import { asSeq } from '../../../src/base/seq.ts';
import type { Medium } from '../../../src/link/link.ts';
import { decodeEthernet, EthernetFrame, EtherType, encodeEthernet, NO_VLAN } from '../../../src/wire/ethernet.ts';
import { decodeIpv4, encodeIpv4Header, Ipv4Header } from '../../../src/wire/ipv4.ts';
import { decodeIpv6, encodeIpv6Header, Ipv6Header } from '../../../src/wire/ipv6.ts';
import { decodeTcp, encodeTcp, isTcpChecksumGood, writeTcpChecksum } from '../../../src/wire/tcp.ts';
import { TcpFlag, TcpSegment } from '../../../src/wire/tcp-segment.ts';

export interface SegmentSpec {
  readonly seq?: number;
  readonly ack?: number;
  /** Letters: F S R P A U. */
  readonly flags?: string;
  readonly text?: Uint8Array;
  readonly window?: number;
  readonly urgentPointer?: number;
  /** Maximum segment size option. */
  readonly mss?: number;
  readonly ts?: readonly [number, number];
  readonly vlanTci?: number;
  readonly dstMac?: Uint8Array;
  readonly badChecksum?: boolean;
  readonly ipFlags?: number;
  readonly fragmentOffset?: number;
  readonly protocol?: number;
}

export interface FrameSpec extends SegmentSpec {
  readonly family: 4 | 6;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly dstMac: Uint8Array;
  readonly srcMac: Uint8Array;
  readonly srcPort: number;
  readonly dstPort: number;
}

const LETTERS: Record<string, number> = {
  F: TcpFlag.FIN,
  S: TcpFlag.SYN,
  R: TcpFlag.RST,
  P: TcpFlag.PSH,
  A: TcpFlag.ACK,
  U: TcpFlag.URG,
};

/** A TCP segment from its header on, checksum included, preceded by the IP header at 0. */
function buildPacket(spec: FrameSpec): Uint8Array {
  const seg = new TcpSegment();
  seg.srcPort = spec.srcPort;
  seg.dstPort = spec.dstPort;
  seg.seq = asSeq(spec.seq ?? 0);
  seg.ack = asSeq(spec.ack ?? 0);
  for (const letter of spec.flags ?? 'A') seg.flags |= LETTERS[letter]!;
  seg.window = spec.window ?? 65_535;
  seg.urgentPointer = spec.urgentPointer ?? 0;
  if (spec.mss !== undefined) seg.mss = spec.mss;
  if (spec.ts !== undefined) {
    seg.hasTimestamps = true;
    seg.tsVal = spec.ts[0];
    seg.tsEcr = spec.ts[1];
  }
  const text = spec.text ?? new Uint8Array(0);
  const bytes = new Uint8Array(40 + 60 + text.length);
  const at = spec.family === 4 ? 20 : 40;
  const headerLength = encodeTcp(bytes, at, seg);
  bytes.set(text, at + headerLength);
  const upper = headerLength + text.length;
  if (spec.family === 4) {
    const ip = new Ipv4Header();
    ip.totalLength = 20 + upper;
    ip.ttl = 64;
    ip.protocol = spec.protocol ?? 6;
    ip.flags = spec.ipFlags ?? 2;
    ip.fragmentOffset = spec.fragmentOffset ?? 0;
    encodeIpv4Header(bytes, 0, ip, spec.source, 0, spec.destination, 0);
    writeTcpChecksum(bytes, at, upper, 4, 12, 16);
  } else {
    const ip = new Ipv6Header();
    ip.payloadLength = upper;
    ip.nextHeader = spec.protocol ?? 6;
    ip.hopLimit = 64;
    encodeIpv6Header(bytes, 0, ip, spec.source, 0, spec.destination, 0);
    writeTcpChecksum(bytes, at, upper, 6, 8, 24);
  }
  if (spec.badChecksum) bytes[at + 16]! ^= 0x55;
  return bytes.slice(0, at + upper);
}

export function buildFrame(medium: Medium, spec: FrameSpec): Uint8Array {
  const packet = buildPacket(spec);
  if (medium === 'ip') return packet;
  const frame = new Uint8Array(18 + packet.length);
  const etherType = spec.family === 4 ? EtherType.IPV4 : EtherType.IPV6;
  const length = encodeEthernet(frame, 0, spec.dstMac, 0, spec.srcMac, 0, etherType, spec.vlanTci ?? NO_VLAN);
  frame.set(packet, length);
  return frame.slice(0, length + packet.length);
}

/** The TCP segment of a frame, from its header on: what a host forwards. */
export function segmentOf(frame: Uint8Array, medium: Medium = 'ethernet'): Uint8Array {
  const parsed = parseFrame(frame, medium);
  return frame.slice(parsed.tcpAt);
}

export interface Frame {
  readonly bytes: Uint8Array;
  readonly dstMac: Uint8Array;
  readonly srcMac: Uint8Array;
  readonly tagged: boolean;
  readonly vlanId: number;
  readonly priority: number;
  readonly ipId: number;
  readonly df: boolean;
  readonly ttl: number;
  readonly tcpAt: number;
  readonly seq: number;
  readonly ack: number;
  readonly flags: string;
  readonly window: number;
  readonly text: Uint8Array;
  readonly tsVal: number;
  readonly hasTimestamps: boolean;
  readonly srcPort: number;
  readonly dstPort: number;
}

/** Takes a TCP frame apart; throws when a length or checksum is wrong. */
export function parseFrame(bytes: Uint8Array, medium: Medium): Frame {
  const ethernet = new EthernetFrame();
  let at = 0;
  if (medium === 'ethernet') {
    decodeEthernet(bytes, 0, bytes.length, ethernet);
    at = ethernet.payloadAt;
  }
  const family = bytes[at]! >> 4;
  const ip4 = new Ipv4Header();
  const ip6 = new Ipv6Header();
  const status =
    family === 4 ? decodeIpv4(bytes, at, bytes.length - at, ip4) : decodeIpv6(bytes, at, bytes.length - at, ip6);
  if (status !== 0) throw new Error(`IP header: ${status}`);
  const ip = family === 4 ? ip4 : ip6;
  const seg = new TcpSegment();
  if (decodeTcp(bytes, ip.payloadAt, ip.payloadLength, seg) !== 0) throw new Error('TCP header');
  if (!isTcpChecksumGood(bytes, ip.payloadAt, ip.payloadLength, family, ip.srcAt, ip.dstAt)) {
    throw new Error('TCP checksum');
  }
  let flags = '';
  for (const letter of 'FSRPAU') if ((seg.flags & LETTERS[letter]!) !== 0) flags += letter;
  return {
    bytes,
    dstMac: bytes.slice(ethernet.dstAt, ethernet.dstAt + 6),
    srcMac: bytes.slice(ethernet.srcAt, ethernet.srcAt + 6),
    tagged: ethernet.tagged,
    vlanId: ethernet.vlanId,
    priority: ethernet.priority,
    ipId: ip4.id,
    df: (ip4.flags & 2) !== 0,
    ttl: family === 4 ? ip4.ttl : ip6.hopLimit,
    tcpAt: ip.payloadAt,
    seq: seg.seq,
    ack: seg.ack,
    flags,
    window: seg.window,
    text: bytes.slice(seg.textAt, seg.textAt + seg.textLength),
    tsVal: seg.tsVal,
    hasTimestamps: seg.hasTimestamps,
    srcPort: seg.srcPort,
    dstPort: seg.dstPort,
  };
}
