/**
 * Neighbor discovery: solicitations, advertisements and redirects, with their options. RFC 4861 section 4.
 *
 * Promises: `decodeNd` reads a message whose checksum `decodeIcmpv6` has verified, and answers a status where code, length or options
 * are not those of its type (RFC 4861 6.1, 7.1: an option of length zero discards the whole packet). `isNdAcceptable` judges
 * what the same sections demand of the addresses and the hop limit. Encoding: nd-encode.ts.
 */

import { read16, read32 } from '../base/bytes.ts';
import { Icmpv6Type } from './icmpv6.ts';
import { isLinkLocalAt, isMulticastAt, isUnspecifiedAt } from './ip-address.ts';
import type { Ipv6Header } from './ipv6.ts';
import { WIRE_BAD_LENGTH, WIRE_BAD_OPTION, WIRE_BAD_TYPE, WIRE_OK, WIRE_SHORT, type WireStatus } from './status.ts';

/** Option types. */
export const NdOption = {
  SOURCE_LINK_ADDRESS: 1,
  TARGET_LINK_ADDRESS: 2,
  PREFIX_INFORMATION: 3,
  REDIRECTED_HEADER: 4,
  MTU: 5,
} as const;

/** Flags of a neighbor advertisement. */
export const NeighborFlag = { ROUTER: 0x80, SOLICITED: 0x40, OVERRIDE: 0x20 } as const;
/** Flags of a router advertisement. */
export const RouterFlag = { MANAGED: 0x80, OTHER: 0x40 } as const;
/** Flags of a prefix information option. */
export const PrefixFlag = { ON_LINK: 0x80, AUTONOMOUS: 0x40 } as const;

/** Hop limit that every such message has, so that it cannot come from another link. */
export const ND_HOP_LIMIT = 255;
/** Prefix options that are kept of one advertisement. */
export const ND_PREFIXES_MAX = 16;
/** A lifetime without end. */
export const ND_LIFETIME_INFINITE = 0xffffffff;

/** An option that is absent has this offset. */
const ABSENT = -1;

/** A decoded message. Offsets point into the bytes that were decoded; -1: absent. */
export class NdMessage {
  /** An {@link Icmpv6Type}, 133 to 137. */
  type = 0;
  /** {@link NeighborFlag} or {@link RouterFlag}. */
  flags = 0;
  /** Neighbor messages: the address asked for. Redirect: the better first hop. */
  targetAt: number = ABSENT;
  /** Redirect: the destination that is redirected. */
  destinationAt: number = ABSENT;

  /** Router advertisement: hop limit to use; 0: not said. */
  hopLimit = 0;
  /** Router advertisement: how long it is a default router, seconds; 0: it is none. */
  routerLifetimeS = 0;
  /** Router advertisement: how long a neighbor is reachable after a confirmation; 0: not said. */
  reachableTimeMs = 0;
  /** Router advertisement: time between solicitations; 0: not said. */
  retransTimerMs = 0;

  /** Source link-layer address option: six bytes. */
  sourceLinkAt: number = ABSENT;
  /** Target link-layer address option: six bytes. */
  targetLinkAt: number = ABSENT;
  /** MTU option, bytes; 0: absent. */
  mtu = 0;
  /** Prefix information options: offsets of the first {@link prefixCount}, see {@link decodePrefixInformation}. */
  prefixCount = 0;
  readonly prefixAt: Int32Array = new Int32Array(ND_PREFIXES_MAX);
}

/** A decoded prefix information option. RFC 4861 4.6.2. */
export class PrefixInformation {
  /** Leading bits that count, 0 to 128. */
  prefixLength = 0;
  /** An OR of {@link PrefixFlag}. */
  flags = 0;
  /** Seconds; {@link ND_LIFETIME_INFINITE}: for ever. */
  validLifetimeS = 0;
  preferredLifetimeS = 0;
  /** Sixteen bytes. */
  prefixAt = 0;
}

/** Whether `type` is one of the five messages. */
export function isNdType(type: number): boolean {
  return type >= Icmpv6Type.ROUTER_SOLICITATION && type <= Icmpv6Type.REDIRECT;
}

/** Reads the ICMPv6 message of `length` bytes at `at`. */
export function decodeNd(bytes: Uint8Array, at: number, length: number, out: NdMessage): WireStatus {
  if (length < 8) return WIRE_SHORT;
  const type = bytes[at]!;
  // RFC 4861 6.1, 7.1, 8.1: the code is 0 in all of them.
  if (!isNdType(type) || bytes[at + 1] !== 0) return WIRE_BAD_TYPE;
  const fixed = fixedLength(type);
  if (length < fixed) return WIRE_BAD_LENGTH;
  reset(out, type);
  readFixed(bytes, at, out);
  return readOptions(bytes, at + fixed, at + length, out);
}

/**
 * Whether the message may be believed as far as its packet goes: hop limit 255, and addresses as RFC 4861 6.1.1, 6.1.2, 7.1.1,
 * 7.1.2 and 8.1 demand. What it is about (our address? our router?) is left to the caller.
 */
export function isNdAcceptable(bytes: Uint8Array, ip: Ipv6Header, message: NdMessage): boolean {
  if (ip.hopLimit !== ND_HOP_LIMIT) return false;
  const isFromNobody = isUnspecifiedAt(bytes, ip.srcAt, 6);
  switch (message.type) {
    case Icmpv6Type.ROUTER_SOLICITATION:
      return !isFromNobody || message.sourceLinkAt < 0;
    case Icmpv6Type.ROUTER_ADVERTISEMENT:
      return isLinkLocalAt(bytes, ip.srcAt, 6);
    case Icmpv6Type.NEIGHBOR_SOLICITATION:
      if (isMulticastAt(bytes, message.targetAt, 6)) return false;
      // Duplicate address detection: to the solicited-node group, and without a link-layer address.
      return !isFromNobody || (message.sourceLinkAt < 0 && isSolicitedNodeAt(bytes, ip.dstAt));
    case Icmpv6Type.NEIGHBOR_ADVERTISEMENT:
      if (isMulticastAt(bytes, message.targetAt, 6)) return false;
      return !isMulticastAt(bytes, ip.dstAt, 6) || (message.flags & NeighborFlag.SOLICITED) === 0;
    default:
      return isLinkLocalAt(bytes, ip.srcAt, 6) && isRedirectSound(bytes, message);
  }
}

/** Reads the prefix information option at `at`, one of `NdMessage.prefixAt`. */
export function decodePrefixInformation(bytes: Uint8Array, at: number, out: PrefixInformation): void {
  out.prefixLength = bytes[at + 2]!;
  out.flags = bytes[at + 3]!;
  out.validLifetimeS = read32(bytes, at + 4) >>> 0;
  out.preferredLifetimeS = read32(bytes, at + 8) >>> 0;
  out.prefixAt = at + 16;
}

/** Bytes in front of the options. */
function fixedLength(type: number): number {
  switch (type) {
    case Icmpv6Type.ROUTER_SOLICITATION:
      return 8;
    case Icmpv6Type.ROUTER_ADVERTISEMENT:
      return 16;
    case Icmpv6Type.REDIRECT:
      return 40;
    default:
      return 24;
  }
}

function reset(out: NdMessage, type: number): void {
  out.type = type;
  out.flags = 0;
  out.targetAt = ABSENT;
  out.destinationAt = ABSENT;
  out.hopLimit = 0;
  out.routerLifetimeS = 0;
  out.reachableTimeMs = 0;
  out.retransTimerMs = 0;
  out.sourceLinkAt = ABSENT;
  out.targetLinkAt = ABSENT;
  out.mtu = 0;
  out.prefixCount = 0;
}

function readFixed(bytes: Uint8Array, at: number, out: NdMessage): void {
  switch (out.type) {
    case Icmpv6Type.ROUTER_SOLICITATION:
      return;
    case Icmpv6Type.ROUTER_ADVERTISEMENT:
      out.hopLimit = bytes[at + 4]!;
      out.flags = bytes[at + 5]!;
      out.routerLifetimeS = read16(bytes, at + 6);
      out.reachableTimeMs = read32(bytes, at + 8) >>> 0;
      out.retransTimerMs = read32(bytes, at + 12) >>> 0;
      return;
    case Icmpv6Type.REDIRECT:
      out.targetAt = at + 8;
      out.destinationAt = at + 24;
      return;
    default:
      out.flags = bytes[at + 4]!;
      out.targetAt = at + 8;
  }
}

/** RFC 4861 4.6: lengths count in eight bytes; unknown options are skipped. */
function readOptions(bytes: Uint8Array, at: number, end: number, out: NdMessage): WireStatus {
  let i = at;
  while (i < end) {
    if (i + 1 >= end) return WIRE_BAD_OPTION;
    const optionLength = bytes[i + 1]! << 3;
    if (optionLength === 0 || i + optionLength > end) return WIRE_BAD_OPTION;
    readOption(bytes, i, optionLength, out);
    i += optionLength;
  }
  return WIRE_OK;
}

function readOption(bytes: Uint8Array, at: number, length: number, out: NdMessage): void {
  switch (bytes[at]) {
    case NdOption.SOURCE_LINK_ADDRESS:
      if (length === 8) out.sourceLinkAt = at + 2;
      return;
    case NdOption.TARGET_LINK_ADDRESS:
      if (length === 8) out.targetLinkAt = at + 2;
      return;
    case NdOption.MTU:
      if (length === 8) out.mtu = read32(bytes, at + 4) >>> 0;
      return;
    case NdOption.PREFIX_INFORMATION:
      if (length === 32 && bytes[at + 2]! <= 128 && out.prefixCount < ND_PREFIXES_MAX) {
        out.prefixAt[out.prefixCount++] = at;
      }
      return;
  }
}

/** ff02::1:ff00:0/104. */
function isSolicitedNodeAt(bytes: Uint8Array, at: number): boolean {
  return (
    read32(bytes, at) === (0xff020000 | 0) &&
    read32(bytes, at + 4) === 0 &&
    read32(bytes, at + 8) === 1 &&
    bytes[at + 12] === 0xff
  );
}

/** RFC 4861 8.1: no redirect of a group; the target is a router (link-local) or the destination itself. */
function isRedirectSound(bytes: Uint8Array, message: NdMessage): boolean {
  if (isMulticastAt(bytes, message.destinationAt, 6)) return false;
  if (isLinkLocalAt(bytes, message.targetAt, 6)) return true;
  for (let i = 0; i < 16; i++) if (bytes[message.targetAt + i] !== bytes[message.destinationAt + i]) return false;
  return true;
}
