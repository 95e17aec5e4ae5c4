/**
 * Neighbor discovery messages to be sent. RFC 4861 section 4. Reading them: nd.ts.
 *
 * The IP header (hop limit 255) is written before its message: the checksum takes the addresses from `srcAt` and `dstAt` in the same
 * bytes. Every encoder answers the length of its message, so where that length is needed first, ask `ND_..._LENGTH`.
 */

import { write16, write32 } from '../base/bytes.ts';
import { Icmpv6Type, writeIcmpv6Checksum } from './icmpv6.ts';
import { NdOption } from './nd.ts';

/** A neighbor solicitation or advertisement without options, bytes. */
export const ND_NEIGHBOR_LENGTH = 24;
/** A router solicitation without options, bytes. */
export const ND_ROUTER_SOLICITATION_LENGTH = 8;
/** A link-layer address option, bytes. */
export const ND_LINK_ADDRESS_LENGTH = 8;

/** What a router advertisement says; lifetimes in seconds, times in milliseconds. */
export interface RouterAdvertisement {
  readonly hopLimit: number;
  readonly flags: number;
  readonly routerLifetimeS: number;
  readonly reachableTimeMs: number;
  readonly retransTimerMs: number;
  /** Source link-layer address, six bytes; null: no option. */
  readonly sourceLink: Uint8Array | null;
  /** 0: no option. */
  readonly mtu: number;
  readonly prefixes: readonly AdvertisedPrefix[];
}

/** One prefix information option. */
export interface AdvertisedPrefix {
  /** Sixteen bytes. */
  readonly prefix: Uint8Array;
  readonly prefixLength: number;
  readonly flags: number;
  readonly validLifetimeS: number;
  readonly preferredLifetimeS: number;
}

/** Asks for the link-layer address of `target`; `sourceLink` null: no option, as from the unspecified address. RFC 4861 4.3. */
export function encodeNeighborSolicitation(
  bytes: Uint8Array,
  at: number,
  target: Uint8Array,
  targetAt: number,
  sourceLink: Uint8Array | null,
  srcAt: number,
  dstAt: number,
): number {
  writeNeighbor(bytes, at, Icmpv6Type.NEIGHBOR_SOLICITATION, 0, target, targetAt);
  const length = ND_NEIGHBOR_LENGTH + writeLink(bytes, at + 24, NdOption.SOURCE_LINK_ADDRESS, sourceLink);
  return writeIcmpv6Checksum(bytes, at, length, srcAt, dstAt);
}

/** Tells the link-layer address of `target`; `flags` is an OR of NeighborFlag. RFC 4861 4.4. */
export function encodeNeighborAdvertisement(
  bytes: Uint8Array,
  at: number,
  flags: number,
  target: Uint8Array,
  targetAt: number,
  targetLink: Uint8Array | null,
  srcAt: number,
  dstAt: number,
): number {
  writeNeighbor(bytes, at, Icmpv6Type.NEIGHBOR_ADVERTISEMENT, flags, target, targetAt);
  const length = ND_NEIGHBOR_LENGTH + writeLink(bytes, at + 24, NdOption.TARGET_LINK_ADDRESS, targetLink);
  return writeIcmpv6Checksum(bytes, at, length, srcAt, dstAt);
}

/** Asks routers for an advertisement. RFC 4861 4.1. */
export function encodeRouterSolicitation(
  bytes: Uint8Array,
  at: number,
  sourceLink: Uint8Array | null,
  srcAt: number,
  dstAt: number,
): number {
  write32(bytes, at, Icmpv6Type.ROUTER_SOLICITATION << 24);
  write32(bytes, at + 4, 0);
  const length = ND_ROUTER_SOLICITATION_LENGTH + writeLink(bytes, at + 8, NdOption.SOURCE_LINK_ADDRESS, sourceLink);
  return writeIcmpv6Checksum(bytes, at, length, srcAt, dstAt);
}

/** Tells what a router offers: for simulated routers and tests, and gateways that take a router's place. RFC 4861 4.2. */
export function encodeRouterAdvertisement(
  bytes: Uint8Array,
  at: number,
  advertisement: RouterAdvertisement,
  srcAt: number,
  dstAt: number,
): number {
  const { prefixes } = advertisement;
  write32(bytes, at, Icmpv6Type.ROUTER_ADVERTISEMENT << 24);
  bytes[at + 4] = advertisement.hopLimit;
  bytes[at + 5] = advertisement.flags;
  write16(bytes, at + 6, advertisement.routerLifetimeS);
  write32(bytes, at + 8, advertisement.reachableTimeMs);
  write32(bytes, at + 12, advertisement.retransTimerMs);
  let i = at + 16;
  i += writeLink(bytes, i, NdOption.SOURCE_LINK_ADDRESS, advertisement.sourceLink);
  if (advertisement.mtu > 0) {
    write32(bytes, i, (NdOption.MTU << 24) | (1 << 16));
    write32(bytes, i + 4, advertisement.mtu);
    i += 8;
  }
  for (const prefix of prefixes) i += writePrefix(bytes, i, prefix);
  return writeIcmpv6Checksum(bytes, at, i - at, srcAt, dstAt);
}

/** Tells a better first hop for `destination`. RFC 4861 4.5; the redirected header is left out (it is a SHOULD for routers). */
export function encodeRedirect(
  bytes: Uint8Array,
  at: number,
  target: Uint8Array,
  destination: Uint8Array,
  targetLink: Uint8Array | null,
  srcAt: number,
  dstAt: number,
): number {
  write32(bytes, at, Icmpv6Type.REDIRECT << 24);
  write32(bytes, at + 4, 0);
  for (let i = 0; i < 16; i++) {
    bytes[at + 8 + i] = target[i]!;
    bytes[at + 24 + i] = destination[i]!;
  }
  const length = 40 + writeLink(bytes, at + 40, NdOption.TARGET_LINK_ADDRESS, targetLink);
  return writeIcmpv6Checksum(bytes, at, length, srcAt, dstAt);
}

function writeNeighbor(
  bytes: Uint8Array,
  at: number,
  type: number,
  flags: number,
  target: Uint8Array,
  targetAt: number,
): void {
  write32(bytes, at, type << 24);
  write32(bytes, at + 4, flags << 24);
  for (let i = 0; i < 16; i++) bytes[at + 8 + i] = target[targetAt + i]!;
}

/** Answers the bytes written: 8, or 0 without an address. */
function writeLink(bytes: Uint8Array, at: number, option: number, link: Uint8Array | null): number {
  if (link === null) return 0;
  bytes[at] = option;
  bytes[at + 1] = 1;
  for (let i = 0; i < 6; i++) bytes[at + 2 + i] = link[i]!;
  return ND_LINK_ADDRESS_LENGTH;
}

function writePrefix(bytes: Uint8Array, at: number, prefix: AdvertisedPrefix): number {
  bytes[at] = NdOption.PREFIX_INFORMATION;
  bytes[at + 1] = 4;
  bytes[at + 2] = prefix.prefixLength;
  bytes[at + 3] = prefix.flags;
  write32(bytes, at + 4, prefix.validLifetimeS);
  write32(bytes, at + 8, prefix.preferredLifetimeS);
  write32(bytes, at + 12, 0);
  for (let i = 0; i < 16; i++) bytes[at + 16 + i] = prefix.prefix[i]!;
  return 32;
}
