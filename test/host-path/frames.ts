/**
 * Frames made by hand, byte by byte, without the codecs under src/wire: what the tests put on the wire and how they read it.
 */

import { ip, OUR_MAC, PEER_MAC } from './station.ts';

export function u16(value: number): number[] {
  return [(value >> 8) & 255, value & 255];
}

export function u32(value: number): number[] {
  return [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

export function join(...parts: (Uint8Array | readonly number[])[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** The Internet checksum by the book, two bytes at a time. RFC 1071. */
export function sum16(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

export function ethernet(
  etherType: number,
  payload: Uint8Array,
  dst: Uint8Array = OUR_MAC,
  src: Uint8Array = PEER_MAC,
): Uint8Array {
  return join(dst, src, u16(etherType), payload);
}

export const BROADCAST_MAC: Uint8Array = new Uint8Array(6).fill(255);
export const ZERO_MAC: Uint8Array = new Uint8Array(6);

export interface Ip4 {
  src: string;
  dst: string;
  protocol?: number;
  id?: number;
  df?: boolean;
  mf?: boolean;
  offset?: number;
  ttl?: number;
  tos?: number;
  options?: readonly number[];
  version?: number;
  totalLength?: number;
  checksum?: number;
}

/** An IPv4 packet. */
export function ipv4(fields: Ip4, payload: Uint8Array): Uint8Array {
  const options = fields.options ?? [];
  const headerLength = 20 + options.length;
  const flags = ((fields.df ? 2 : 0) | (fields.mf ? 1 : 0)) << 13;
  const header = join(
    [((fields.version ?? 4) << 4) | (headerLength >> 2), fields.tos ?? 0],
    u16(fields.totalLength ?? headerLength + payload.length),
    u16(fields.id ?? 0),
    u16(flags | ((fields.offset ?? 0) >> 3)),
    [fields.ttl ?? 64, fields.protocol ?? 17, 0, 0],
    ip(fields.src).bytes,
    ip(fields.dst).bytes,
    options,
  );
  const checksum = fields.checksum ?? sum16(header);
  header[10] = checksum >> 8;
  header[11] = checksum & 255;
  return join(header, payload);
}

export interface Ip6 {
  src: string;
  dst: string;
  next?: number;
  hops?: number;
  tos?: number;
  version?: number;
  payloadLength?: number;
}

/** An IPv6 packet. */
export function ipv6(fields: Ip6, payload: Uint8Array): Uint8Array {
  const tos = fields.tos ?? 0;
  return join(
    [((fields.version ?? 6) << 4) | (tos >> 4), (tos & 15) << 4, 0, 0],
    u16(fields.payloadLength ?? payload.length),
    [fields.next ?? 17, fields.hops ?? 64],
    ip(fields.src).bytes,
    ip(fields.dst).bytes,
    payload,
  );
}

/** A fragment header of IPv6. */
export function fragmentHeader(next: number, offset: number, more: boolean, id: number): number[] {
  return [next, 0, ...u16(offset | (more ? 1 : 0)), ...u32(id)];
}

/** An ICMP message with its checksum. */
export function icmp(type: number, code: number, rest: number, data: Uint8Array): Uint8Array {
  const message = join([type, code, 0, 0], u32(rest), data);
  const checksum = sum16(message);
  message[2] = checksum >> 8;
  message[3] = checksum & 255;
  return message;
}

/** An ICMPv6 message with its checksum; `body` is what follows the checksum. */
export function icmpv6(src: string, dst: string, type: number, code: number, body: Uint8Array): Uint8Array {
  const message = join([type, code, 0, 0], body);
  const checksum = sum16(join(ip(src).bytes, ip(dst).bytes, u32(message.length), [0, 0, 0, 58], message));
  message[2] = checksum >> 8;
  message[3] = checksum & 255;
  return message;
}

/** Whether the ICMPv6 checksum of a packet without extension headers is right. */
export function isIcmpv6Right(packet: Uint8Array): boolean {
  const message = packet.slice(40);
  return sum16(join(packet.slice(8, 40), u32(message.length), [0, 0, 0, 58], message)) === 0;
}

/** An ARP packet in a frame. */
export function arp(
  operation: number,
  senderMac: Uint8Array,
  senderIp: string,
  targetMac: Uint8Array,
  targetIp: string,
  to: Uint8Array = BROADCAST_MAC,
): Uint8Array {
  const body = join(
    [0, 1, 8, 0, 6, 4],
    u16(operation),
    senderMac,
    ip(senderIp).bytes,
    targetMac,
    ip(targetIp).bytes,
    new Uint8Array(18),
  );
  return ethernet(0x0806, body, to, senderMac);
}

/** An ICMPv6 message in a packet in a frame; multicast destinations get their MAC. */
export function frame6(
  src: string,
  dst: string,
  type: number,
  body: Uint8Array,
  options: { hops?: number; code?: number; mac?: Uint8Array; to?: Uint8Array } = {},
): Uint8Array {
  const message = icmpv6(src, dst, type, options.code ?? 0, body);
  return ethernet(
    0x86dd,
    ipv6({ src, dst, next: 58, hops: options.hops ?? 255 }, message),
    options.to ?? macFor(dst),
    options.mac ?? PEER_MAC,
  );
}

/** The MAC of a group, or ours. */
export function macFor(dst: string): Uint8Array {
  const { bytes } = ip(dst);
  if (bytes.length === 16 && bytes[0] === 0xff) return join([0x33, 0x33], bytes.slice(12));
  if (bytes.length === 4 && bytes[0]! >> 4 === 14)
    return new Uint8Array([1, 0, 0x5e, bytes[1]! & 127, bytes[2]!, bytes[3]!]);
  return OUR_MAC;
}

export function solicitedNode(address: string): string {
  const { bytes } = ip(address);
  const hex = (at: number): string => bytes[at]!.toString(16).padStart(2, '0');
  return `ff02::1:ff${hex(13)}:${hex(14)}${hex(15)}`;
}

/** A link-layer address option. */
export function linkOption(type: number, mac: Uint8Array): number[] {
  return [type, 1, ...mac];
}

/** A neighbor solicitation in a frame. */
export function solicitation(
  src: string,
  target: string,
  options: { dst?: string; link?: Uint8Array | null; hops?: number; code?: number; extra?: readonly number[] } = {},
): Uint8Array {
  const link = options.link === undefined ? PEER_MAC : options.link;
  const body = join([0, 0, 0, 0], ip(target).bytes, link === null ? [] : linkOption(1, link), options.extra ?? []);
  return frame6(src, options.dst ?? solicitedNode(target), 135, body, options);
}

/** A neighbor advertisement in a frame. */
export function advertisement(
  src: string,
  dst: string,
  target: string,
  flags: number,
  link: Uint8Array | null = PEER_MAC,
  options: { hops?: number; code?: number; extra?: readonly number[] } = {},
): Uint8Array {
  const body = join([flags, 0, 0, 0], ip(target).bytes, link === null ? [] : linkOption(2, link), options.extra ?? []);
  return frame6(src, dst, 136, body, options);
}

export const ROUTER = 0x80;
export const SOLICITED = 0x40;
export const OVERRIDE = 0x20;

/** What a frame that was sent is, as far as the tests look. */
export interface Seen {
  dst: string;
  etherType: number;
  /** The IP packet or ARP packet. */
  packet: Uint8Array;
}

export function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

export function see(frame: Uint8Array): Seen {
  return { dst: hex(frame.slice(0, 6)), etherType: (frame[12]! << 8) | frame[13]!, packet: frame.slice(14) };
}

/** An ARP packet that was sent. */
export function seeArp(
  frame: Uint8Array,
): { to: string; operation: number; senderMac: string; sender: string; targetMac: string; target: string } | null {
  const { dst, etherType, packet } = see(frame);
  if (etherType !== 0x0806) return null;
  return {
    to: dst,
    operation: packet[7]!,
    senderMac: hex(packet.slice(8, 14)),
    sender: [...packet.slice(14, 18)].join('.'),
    targetMac: hex(packet.slice(18, 24)),
    target: [...packet.slice(24, 28)].join('.'),
  };
}

/** The ICMPv6 type of a frame that was sent, or -1; extension headers are not followed. */
export function typeOf6(frame: Uint8Array): number {
  const { etherType, packet } = see(frame);
  return etherType === 0x86dd && packet[6] === 58 ? packet[40]! : -1;
}

/** The ICMP type and code of a frame that was sent, 'type/code'; '' for other frames. */
export function icmpOf(frame: Uint8Array): string {
  const { etherType, packet } = see(frame);
  if (etherType === 0x0800 && packet[9] === 1) return `${packet[20]}/${packet[21]}`;
  if (etherType === 0x86dd && packet[6] === 58) return `${packet[40]}/${packet[41]}`;
  return '';
}

export function count(from: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (from + i) & 255);
}

/** ICMP errors among frames that were sent, 'type/code': reachability probes and ARP are left out. */
export function errorsIn(frames: readonly Uint8Array[]): string[] {
  return frames.map(icmpOf).filter((one) => one !== '' && one !== '135/0' && one !== '136/0');
}

/** What an NS or NA that was sent says. */
export function seeNd(frame: Uint8Array): {
  to: string;
  src: string;
  dst: string;
  hops: number;
  type: number;
  flags: number;
  target: string;
  options: string;
} {
  const { dst, packet } = see(frame);
  if (!isIcmpv6Right(packet)) throw new Error('a wrong ICMPv6 checksum was sent');
  return {
    to: dst,
    src: hex(packet.slice(8, 24)),
    dst: hex(packet.slice(24, 40)),
    hops: packet[7]!,
    type: packet[40]!,
    flags: packet[44]!,
    target: hex(packet.slice(48, 64)),
    options: hex(packet.slice(64)),
  };
}
