/**
 * Which of our addresses a new path starts from, and in which order destinations are tried. RFC 6724, RFC 1122 3.3.4.3.
 *
 * Rules that need what is not here (home addresses, temporary addresses, next hop's prefix) are passed over: every candidate is
 * equal under them, and the next rule decides. Candidates are the usable addresses of the outgoing interface (RFC 6724 4).
 */

import type { IpAddress } from '../../wire/ip-address.ts';
import { type IpPrefix, parsePrefix } from '../../wire/ip-prefix.ts';
import { AddressState, type Interface, type InterfaceAddress } from './types.ts';

/** RFC 6724 2.1: prefix, precedence, label. */
const POLICY: readonly (readonly [prefix: IpPrefix, precedence: number, label: number])[] = (
  [
    ['::1/128', 50, 0],
    ['::ffff:0:0/96', 35, 4],
    ['2002::/16', 30, 2],
    ['2001::/32', 5, 5],
    ['fc00::/7', 3, 13],
    ['::/96', 1, 3],
    ['fec0::/10', 1, 11],
    ['3ffe::/16', 1, 12],
    ['::/0', 40, 1],
  ] as const
).map(([text, precedence, label]) => [parsePrefix(text)!, precedence, label] as const);

/** Scopes of RFC 4291 2.7, which unicast addresses are mapped to by RFC 6724 3.1. */
const SCOPE_LINK_LOCAL = 2;
const SCOPE_GLOBAL = 14;

/** The best source on `iface` for `remote`, or null when it has none that is usable. RFC 6724 section 5. */
export function selectSource(iface: Interface, remote: IpAddress): InterfaceAddress | null {
  let best: InterfaceAddress | null = null;
  for (const candidate of iface.addresses) {
    if (candidate.address.family !== remote.family || !candidate.isUsable) continue;
    if (best === null || compareSources(candidate, best, remote) > 0) best = candidate;
  }
  return best;
}

/** Positive: `a` is the better source for `remote`. */
function compareSources(a: InterfaceAddress, b: InterfaceAddress, remote: IpAddress): number {
  // Rule 1: the same address.
  const same = Number(a.address.equals(remote)) - Number(b.address.equals(remote));
  if (same !== 0) return same;
  // Rule 2: the appropriate scope: the smallest that is not smaller than the destination's.
  const scope = scopeOf(remote);
  const scopeA = scopeOf(a.address);
  const scopeB = scopeOf(b.address);
  if (scopeA < scopeB) return scopeA < scope ? -1 : 1;
  if (scopeB < scopeA) return scopeB < scope ? 1 : -1;
  // Rule 3: no deprecated addresses. Addresses still under test are likewise avoided (RFC 4429 3.1).
  const standing = standingOf(a) - standingOf(b);
  if (standing !== 0) return standing;
  // Rule 6: the same label.
  const label = labelOf(remote);
  const labels = Number(labelOf(a.address) === label) - Number(labelOf(b.address) === label);
  if (labels !== 0) return labels;
  // Rule 8: the longest common prefix, no longer than the source's own prefix.
  return (
    Math.min(commonBits(a.address, remote), a.prefix.length) - Math.min(commonBits(b.address, remote), b.prefix.length)
  );
}

function standingOf(entry: InterfaceAddress): number {
  if (entry.state === AddressState.PREFERRED) return 2;
  return entry.state === AddressState.OPTIMISTIC ? 1 : 0;
}

/** A destination and the source that would be used for it; null: it cannot be reached. */
export interface Candidate {
  readonly remote: IpAddress;
  readonly source: InterfaceAddress | null;
}

/** Orders destinations, the best first; equals keep their order. RFC 6724 section 6. */
export function orderDestinations(candidates: readonly Candidate[]): Candidate[] {
  return [...candidates].sort((a, b) => -compareDestinations(a, b));
}

function compareDestinations(a: Candidate, b: Candidate): number {
  // Rule 1: avoid unusable destinations.
  if (a.source === null || b.source === null) return Number(a.source !== null) - Number(b.source !== null);
  // Rule 2: matching scope.
  const scopes =
    Number(scopeOf(a.remote) === scopeOf(a.source.address)) - Number(scopeOf(b.remote) === scopeOf(b.source.address));
  if (scopes !== 0) return scopes;
  // Rule 3: no deprecated sources.
  const standing = standingOf(a.source) - standingOf(b.source);
  if (standing !== 0) return standing;
  // Rule 5: matching label.
  const labels =
    Number(labelOf(a.remote) === labelOf(a.source.address)) - Number(labelOf(b.remote) === labelOf(b.source.address));
  if (labels !== 0) return labels;
  // Rule 6: higher precedence.
  const precedence = precedenceOf(a.remote) - precedenceOf(b.remote);
  if (precedence !== 0) return precedence;
  // Rule 8: smaller scope.
  const scope = scopeOf(b.remote) - scopeOf(a.remote);
  if (scope !== 0) return scope;
  // Rule 9: longest common prefix, among destinations of one family.
  if (a.remote.family !== b.remote.family) return 0;
  return (
    Math.min(commonBits(a.source.address, a.remote), a.source.prefix.length) -
    Math.min(commonBits(b.source.address, b.remote), b.source.prefix.length)
  );
}

/** RFC 6724 3.1 and 3.2: multicast scope values; loopback and link-local count as link-local, all other unicast as global. */
export function scopeOf(address: IpAddress): number {
  if (address.family === 6 && address.isMulticast) return address.bytes[1]! & 15;
  if (address.isLinkLocal || address.isLoopback) return SCOPE_LINK_LOCAL;
  // Site-local, deprecated by RFC 3879 but still told apart by RFC 6724 3.1.
  if (address.family === 6 && address.bytes[0] === 0xfe && address.bytes[1]! >> 6 === 3) return 5;
  return SCOPE_GLOBAL;
}

function policyOf(address: IpAddress): readonly [IpPrefix, number, number] {
  const mapped = address.mapped();
  let best = POLICY[POLICY.length - 1]!;
  for (const entry of POLICY) if (entry[0].length > best[0].length && entry[0].contains(mapped)) best = entry;
  return best;
}

function labelOf(address: IpAddress): number {
  return policyOf(address)[2];
}

function precedenceOf(address: IpAddress): number {
  return policyOf(address)[1];
}

/** CommonPrefixLen: leading bits that two addresses of one family share. RFC 6724 2.2 counts 64 bits of IPv6 at most. */
function commonBits(a: IpAddress, b: IpAddress): number {
  const limit = a.family === 4 ? 4 : 8;
  for (let i = 0; i < limit; i++) {
    const difference = a.bytes[i]! ^ b.bytes[i]!;
    if (difference !== 0) return 8 * i + Math.clz32(difference) - 24;
  }
  return 8 * limit;
}
