/**
 * IP addresses as values: their text, what kind they are, and the four words by which connection records keep them.
 *
 * Promises: `parseIp` takes exactly what inet_pton takes (no zones, no octal, no missing parts) and answers null otherwise;
 * `toString` is canonical. Packets carry addresses as bytes at an offset: values are for configuration and tables, not for
 * the path of a packet. Source: RFC 4291, RFC 5952.
 */

import { equalBytes, isZeroBytes, read32 } from '../base/bytes.ts';
import type { IpFamily } from './protocol.ts';

/** Bytes of an address: 4 or 16. */
export function addressLength(family: number): number {
  return family === 4 ? 4 : 16;
}

/** An address that never changes. */
export class IpAddress {
  readonly family: IpFamily;
  /** 4 or 16 bytes, network order; never written. */
  readonly bytes: Uint8Array;
  #text: string | null = null;

  /** `bytes`: 4 or 16 of them, which nobody writes afterwards. */
  constructor(bytes: Uint8Array) {
    this.family = bytes.length === 4 ? 4 : 6;
    this.bytes = bytes;
  }

  /** Copies the address of `family` that stands in `bytes` at `at`. */
  static fromBytes(bytes: Uint8Array, at: number, family: number): IpAddress {
    return new IpAddress(bytes.slice(at, at + addressLength(family)));
  }

  /** Canonical text: dotted decimal, or RFC 5952. */
  toString(): string {
    this.#text ??= formatIp(this.bytes, 0, this.family);
    return this.#text;
  }

  equals(other: IpAddress): boolean {
    return this.family === other.family && equalBytes(this.bytes, 0, other.bytes, 0, this.bytes.length);
  }

  /** Whether the address stands in `bytes` at `at`. */
  equalsAt(bytes: Uint8Array, at: number): boolean {
    return equalBytes(this.bytes, 0, bytes, at, this.bytes.length);
  }

  /** 0.0.0.0 or ::. */
  get isUnspecified(): boolean {
    return isUnspecifiedAt(this.bytes, 0, this.family);
  }

  /** 127.0.0.0/8 or ::1. */
  get isLoopback(): boolean {
    return isLoopbackAt(this.bytes, 0, this.family);
  }

  /** 224.0.0.0/4 or ff00::/8. */
  get isMulticast(): boolean {
    return isMulticastAt(this.bytes, 0, this.family);
  }

  /** 169.254.0.0/16 or fe80::/10. */
  get isLinkLocal(): boolean {
    return isLinkLocalAt(this.bytes, 0, this.family);
  }

  /** 255.255.255.255. Directed broadcast is a matter of the prefix: `IpPrefix.isBroadcastAt`. */
  get isBroadcast(): boolean {
    return this.family === 4 && read32(this.bytes, 0) === -1;
  }

  /** ::ffff:0:0/96. RFC 4291 2.5.5.2. */
  get isV4Mapped(): boolean {
    return this.family === 6 && isZeroBytes(this.bytes, 0, 10) && this.bytes[10] === 0xff && this.bytes[11] === 0xff;
  }

  /** The IPv4 address inside an IPv4-mapped one; itself otherwise. */
  unmapped(): IpAddress {
    return this.isV4Mapped ? new IpAddress(this.bytes.slice(12)) : this;
  }

  /** The IPv4-mapped IPv6 address of an IPv4 one; itself otherwise. */
  mapped(): IpAddress {
    if (this.family === 6) return this;
    const bytes = new Uint8Array(16);
    bytes.fill(0xff, 10, 12);
    bytes.set(this.bytes, 12);
    return new IpAddress(bytes);
  }
}

/** 0.0.0.0. */
export const IPV4_ANY: IpAddress = new IpAddress(new Uint8Array(4));
/** ::. */
export const IPV6_ANY: IpAddress = new IpAddress(new Uint8Array(16));
/** 255.255.255.255. */
export const IPV4_BROADCAST: IpAddress = new IpAddress(new Uint8Array([255, 255, 255, 255]));
/** ff02::1. */
export const IPV6_ALL_NODES: IpAddress = new IpAddress(linkLocalGroup(1));
/** ff02::2. */
export const IPV6_ALL_ROUTERS: IpAddress = new IpAddress(linkLocalGroup(2));

/** The solicited-node group of an IPv6 address: ff02::1:ff00:0/104 with its last 24 bits. RFC 4291 2.7.1. */
export function solicitedNodeAddress(address: IpAddress): IpAddress {
  const bytes = linkLocalGroup(0);
  bytes[11] = 1;
  bytes[12] = 0xff;
  bytes.set(address.bytes.subarray(13), 13);
  return new IpAddress(bytes);
}

/** fe80::/64 with the modified EUI-64 identifier of a MAC. RFC 4291 appendix A. */
export function linkLocalAddress(mac: Uint8Array): IpAddress {
  const bytes = new Uint8Array(16);
  bytes[0] = 0xfe;
  bytes[1] = 0x80;
  bytes[8] = mac[0]! ^ 2;
  bytes[9] = mac[1]!;
  bytes[10] = mac[2]!;
  bytes[11] = 0xff;
  bytes[12] = 0xfe;
  bytes[13] = mac[3]!;
  bytes[14] = mac[4]!;
  bytes[15] = mac[5]!;
  return new IpAddress(bytes);
}

/** Whether the address in `bytes` at `at` is 0.0.0.0 or ::. */
export function isUnspecifiedAt(bytes: Uint8Array, at: number, family: number): boolean {
  return isZeroBytes(bytes, at, addressLength(family));
}

/** Whether it is in 127.0.0.0/8, or ::1. */
export function isLoopbackAt(bytes: Uint8Array, at: number, family: number): boolean {
  return family === 4 ? bytes[at] === 127 : bytes[at + 15] === 1 && isZeroBytes(bytes, at, 15);
}

/** Whether it is in 224.0.0.0/4 or ff00::/8. */
export function isMulticastAt(bytes: Uint8Array, at: number, family: number): boolean {
  return family === 4 ? bytes[at]! >> 4 === 14 : bytes[at] === 0xff;
}

/** Whether it is in 169.254.0.0/16 or fe80::/10. */
export function isLinkLocalAt(bytes: Uint8Array, at: number, family: number): boolean {
  if (family === 4) return bytes[at] === 169 && bytes[at + 1] === 254;
  return bytes[at] === 0xfe && bytes[at + 1]! >> 6 === 2;
}

/** Writes the address in `bytes` at `at` as four words from `words[base]`; an IPv4 address is the last, the others are 0. */
export function writeAddressWords(
  bytes: Uint8Array,
  at: number,
  family: number,
  words: Int32Array,
  base: number,
): void {
  if (family === 4) {
    words[base] = 0;
    words[base + 1] = 0;
    words[base + 2] = 0;
    words[base + 3] = read32(bytes, at);
    return;
  }
  words[base] = read32(bytes, at);
  words[base + 1] = read32(bytes, at + 4);
  words[base + 2] = read32(bytes, at + 8);
  words[base + 3] = read32(bytes, at + 12);
}

/** Text of the address in `bytes` at `at`: dotted decimal, or RFC 5952. */
export function formatIp(bytes: Uint8Array, at: number, family: number): string {
  if (family === 4) return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
  // RFC 5952 section 5: the mixed form where the prefix says that an IPv4 address is inside.
  if (isZeroBytes(bytes, at, 10) && bytes[at + 10] === 0xff && bytes[at + 11] === 0xff) {
    return `::ffff:${formatIp(bytes, at + 12, 4)}`;
  }
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((bytes[at + i]! << 8) | bytes[at + i + 1]!);
  const { from, length } = longestZeroRun(groups);
  const hex = groups.map((group) => group.toString(16));
  if (length < 2) return hex.join(':');
  return `${hex.slice(0, from).join(':')}::${hex.slice(from + length).join(':')}`;
}

/** RFC 5952 4.2.3: the longest run of zero groups, the first of equals. */
function longestZeroRun(groups: readonly number[]): { from: number; length: number } {
  let best = { from: 0, length: 0 };
  let from = 0;
  for (let i = 0; i <= groups.length; i++) {
    if (i < groups.length && groups[i] === 0) continue;
    if (i - from > best.length) best = { from, length: i - from };
    from = i + 1;
  }
  return best;
}

/** The address that `text` spells, or null. */
export function parseIp(text: string): IpAddress | null {
  const bytes = text.includes(':') ? parseIpv6(text) : parseIpv4(text);
  return bytes === null ? null : new IpAddress(bytes);
}

function parseIpv4(text: string): Uint8Array | null {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  const bytes = new Uint8Array(4);
  for (let i = 0; i < 4; i++) {
    const part = parts[i]!;
    // A leading zero would be octal to some readers.
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return null;
    bytes[i] = Number(part);
  }
  return bytes;
}

function parseIpv6(text: string): Uint8Array | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1]!, true) : [];
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  // '::' stands for at least one group (RFC 4291 2.2).
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 8; i++) {
    bytes[2 * i] = groups[i]! >> 8;
    bytes[2 * i + 1] = groups[i]!;
  }
  return bytes;
}

/** The 16-bit groups of one side of '::'; only the end of an address may be dotted decimal. */
function parseGroups(text: string, isEnd: boolean): number[] | null {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i]!;
    if (isEnd && i === parts.length - 1 && part.includes('.')) {
      const v4 = parseIpv4(part);
      if (v4 === null) return null;
      groups.push((v4[0]! << 8) | v4[1]!, (v4[2]! << 8) | v4[3]!);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return null;
  }
  return groups;
}

function linkLocalGroup(last: number): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes[0] = 0xff;
  bytes[1] = 2;
  bytes[15] = last;
  return bytes;
}
