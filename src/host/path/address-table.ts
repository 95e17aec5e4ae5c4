/**
 * Our own addresses: whether a packet is for us, and in what way.
 *
 * Promises: looking an address up allocates nothing. Multicast groups are kept in group-table.ts; testing addresses is
 * framing/duplicate-address.ts. Sources: RFC 1122 3.2.1.3, RFC 4291 2.8.
 */

import { read32 } from '../../base/bytes.ts';
import type { IpAddress } from '../../wire/ip-address.ts';
import type { Interface, InterfaceAddress } from './types.ts';

export class AddressTable {
  /** By the last 32 bits; addresses that share them stand behind one another. */
  readonly #byWord = new Map<number, InterfaceAddress[]>();
  #last: InterfaceAddress | null = null;

  /** The entry of the address that stands in `bytes` at `at`, usable or not. */
  find(bytes: Uint8Array, at: number, family: number): InterfaceAddress | null {
    const last = this.#last;
    if (last !== null && last.address.family === family && last.address.equalsAt(bytes, at)) return last;
    const entries = this.#byWord.get(read32(bytes, family === 4 ? at : at + 12));
    if (entries === undefined) return null;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      if (entry.address.family === family && entry.address.equalsAt(bytes, at)) {
        this.#last = entry;
        return entry;
      }
    }
    return null;
  }

  /** The entry of `address` if it is ours and usable. */
  usable(address: IpAddress): InterfaceAddress | null {
    const entry = this.find(address.bytes, 0, address.family);
    return entry?.isUsable ? entry : null;
  }

  /** Adds an entry to the table and to its interface; one address stands in the table once. */
  add(entry: InterfaceAddress): void {
    const word = wordOf(entry);
    const entries = this.#byWord.get(word);
    if (entries === undefined) this.#byWord.set(word, [entry]);
    else entries.push(entry);
    entry.iface.addresses.push(entry);
  }

  remove(entry: InterfaceAddress): void {
    const entries = this.#byWord.get(wordOf(entry)) ?? [];
    const at = entries.indexOf(entry);
    if (at >= 0) entries.splice(at, 1);
    if (entries.length === 0) this.#byWord.delete(wordOf(entry));
    const own = entry.iface.addresses.indexOf(entry);
    if (own >= 0) entry.iface.addresses.splice(own, 1);
    this.#last = null;
  }

  /** Whether the IPv4 address in `bytes` at `at` is the limited broadcast or a directed broadcast of the interface. RFC 1122 3.3.6. */
  isBroadcast(iface: Interface, bytes: Uint8Array, at: number): boolean {
    if (read32(bytes, at) === -1) return true;
    const addresses = iface.addresses;
    for (let i = 0; i < addresses.length; i++) {
      const entry = addresses[i]!;
      if (entry.address.family === 4 && entry.prefix.isBroadcastAt(bytes, at)) return true;
    }
    return false;
  }
}

function wordOf(entry: InterfaceAddress): number {
  return read32(entry.address.bytes, entry.address.family === 4 ? 0 : 12);
}

/** A usable address of the interface with a prefix that covers `remote`, or any usable one of its family; null: none. */
export function addressTowards(iface: Interface, remote: IpAddress): InterfaceAddress | null {
  let any: InterfaceAddress | null = null;
  for (const entry of iface.addresses) {
    if (entry.address.family !== remote.family || !entry.isUsable) continue;
    if (entry.prefix.contains(remote)) return entry;
    any ??= entry;
  }
  return any;
}
