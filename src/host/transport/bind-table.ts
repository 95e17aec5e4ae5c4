/**
 * Who is bound to which port: TCP listeners, or UDP ports.
 *
 * Promises: two bindings of which one packet could go to either are refused, unless both are to be shared; then the later one gets it. So a
 * packet is for one of them at most. Looking up allocates nothing. Leaves to others: how many there may be. Source: RFC 1122 4.1.3.5,
 * RFC 3493 5.3.
 */

import type { IpAddress } from '../../wire/ip-address.ts';
import { type BindAddress, matches, overlaps } from './addresses.ts';

/** Something bound: a listener, a UDP port. */
export interface Bound {
  readonly bind: BindAddress;
  readonly port: number;
  /** Whether others that say so, too, may be bound to the same. */
  readonly isShared?: boolean;
}

/** The bindings of one protocol. */
export class BindTable<T extends Bound> {
  readonly #byPort: Map<number, T[]> = new Map();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Whether `bind` on `port` would stand in the way of something that is bound. */
  conflicts(bind: BindAddress, port: number, isShared = false): boolean {
    const bound = this.#byPort.get(port);
    return bound?.some((other) => !(isShared && other.isShared) && overlaps(other.bind, bind)) ?? false;
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

  /** Who takes a packet of `family` to the address in `bytes` at `dstAt` and to `port`; null: nobody. */
  find(family: number, bytes: Uint8Array, dstAt: number, port: number): T | null {
    const bound = this.#byPort.get(port);
    if (bound === undefined) return null;
    for (let i = 0; i < bound.length; i++) {
      if (matches(bound[i]!.bind, family, bytes, dstAt)) return bound[i]!;
    }
    return null;
  }

  /** As {@link find}, for an address that is a value. */
  findFor(address: IpAddress, port: number): T | null {
    return this.find(address.family, address.bytes, 0, port);
  }

  /** All that are bound, in no order; a copy. */
  all(): T[] {
    return [...this.#byPort.values()].flat();
  }
}
