/**
 * Who is bound to which port: TCP listeners, or UDP ports.
 *
 * Promises: two bindings of which one packet could go to either are refused, unless both are to be shared, and in the same way; then the
 * later one gets it, or each some of the remote ends. So a packet is for one of them at most. Looking up allocates nothing. Leaves to
 * others: how many there may be. Source: RFC 1122 4.1.3.5, RFC 3493 5.3; socket(7) of Linux for the two ways of sharing.
 */

import { read16 } from '../../base/bytes.ts';
import type { RandomSource } from '../../base/runtime.ts';
import { randomSipHash, type SipHash } from '../../tcp/siphash.ts';
import { addressLength } from '../../wire/ip-address.ts';
import { type BindAddress, matches, overlaps } from './addresses.ts';

/** Whether others that say the same may be bound to the same, and who of them then gets what comes. */
export const Sharing = {
  NONE: 0,
  /** The one that was bound last. SO_REUSEADDR of UDP. */
  LAST: 1,
  /** Each some of the remote ends. SO_REUSEPORT. */
  SPREAD: 2,
} as const;
export type Sharing = (typeof Sharing)[keyof typeof Sharing];

/** Something bound: a listener, a UDP port. */
export interface Bound {
  readonly bind: BindAddress;
  readonly port: number;
  readonly sharing: Sharing;
}

/** The bindings of one protocol. */
export class BindTable<T extends Bound> {
  readonly #byPort: Map<number, T[]> = new Map();
  #size = 0;
  readonly #random: RandomSource;
  /** By it remote ends are spread. Made when it is first wanted. */
  #hash: SipHash | null = null;

  constructor(random: RandomSource) {
    this.#random = random;
  }

  get size(): number {
    return this.#size;
  }

  /** Whether `bind` on `port` would stand in the way of something that is bound. */
  conflicts(bind: BindAddress, port: number, sharing: Sharing = Sharing.NONE): boolean {
    const bound = this.#byPort.get(port);
    const mayShare = (other: Sharing): boolean => sharing !== Sharing.NONE && other === sharing;
    return bound?.some((other) => !mayShare(other.sharing) && overlaps(other.bind, bind)) ?? false;
  }

  /** Whether anything is bound to `port`, on whatever address. */
  hasPort(port: number): boolean {
    return this.#byPort.has(port);
  }

  /** Binds; {@link conflicts} was asked before. */
  add(entry: T): void {
    const bound = this.#byPort.get(entry.port) ?? [];
    // One that takes any address comes after those that take one.
    const at = entry.bind.isWildcard ? bound.findIndex((other) => other.bind.isWildcard) : 0;
    bound.splice(at < 0 ? bound.length : at, 0, entry);
    this.#byPort.set(entry.port, bound);
    this.#size++;
  }

  remove(entry: T): void {
    const bound = this.#byPort.get(entry.port);
    const at = bound === undefined ? -1 : bound.indexOf(entry);
    if (bound === undefined || at < 0) return;
    bound.splice(at, 1);
    if (bound.length === 0) this.#byPort.delete(entry.port);
    this.#size--;
  }

  /**
   * Who takes a packet of `family` to the address in `bytes` at `dstAt` and to `port`, from the address at `srcAt` and `srcPort`; null:
   * nobody. As long as the same are bound it is the same one for a remote end.
   */
  find(family: number, bytes: Uint8Array, dstAt: number, port: number, srcAt: number, srcPort: number): T | null {
    const bound = this.#byPort.get(port);
    if (bound === undefined) return null;
    for (let i = 0; i < bound.length; i++) {
      const first = bound[i]!;
      if (!matches(first.bind, family, bytes, dstAt)) continue;
      if (first.sharing !== Sharing.SPREAD || bound.length === 1) return first;
      return oneOf(bound, first, this.#spread(family, bytes, srcAt, srcPort));
    }
    return null;
  }

  /** A number that belongs to a remote end. */
  #spread(family: number, bytes: Uint8Array, srcAt: number, srcPort: number): number {
    this.#hash ??= randomSipHash(this.#random);
    const hash = this.#hash.begin().add(srcPort);
    const end = srcAt + addressLength(family === 4 ? 4 : 6);
    for (let at = srcAt; at < end; at += 2) hash.add(read16(bytes, at));
    return hash.end() >>> 0;
  }

  /** All that are bound, in no order; a copy. */
  all(): T[] {
    return [...this.#byPort.values()].flat();
  }
}

/** Of those that are bound to the very address of `first`: the one whose turn it is by `number`. */
function oneOf<T extends Bound>(bound: readonly T[], first: T, number: number): T {
  let count = 0;
  for (let i = 0; i < bound.length; i++) if (isSame(bound[i]!.bind, first.bind)) count++;
  let left = number % count;
  for (let i = 0; i < bound.length; i++) if (isSame(bound[i]!.bind, first.bind) && left-- === 0) return bound[i]!;
  return first;
}

function isSame(a: BindAddress, b: BindAddress): boolean {
  return a.family === b.family && a.address.equals(b.address);
}
