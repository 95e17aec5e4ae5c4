/**
 * Interface identifiers of autoconfigured IPv6 addresses: stable and opaque (RFC 7217), or from the MAC (RFC 4291 appendix A).
 *
 * Promises: the same secret, interface name, prefix and counter give the same identifier; another prefix gives another one.
 */

import { read32, write32 } from '../../base/bytes.ts';
import { SipHash } from '../../tcp/siphash.ts';
import { IpAddress, linkLocalAddress } from '../../wire/ip-address.ts';
import { IpPrefix } from '../../wire/ip-prefix.ts';
import type { Interface } from '../path/types.ts';

/** Bits of prefix that an identifier completes. */
export const IDENTIFIER_PREFIX_BITS = 64;

export class InterfaceIdentifiers {
  readonly #hash: SipHash;

  /** `secret`: 16 bytes. */
  constructor(secret: Uint8Array) {
    this.#hash = new SipHash([read32(secret, 0), read32(secret, 4), read32(secret, 8), read32(secret, 12)]);
  }

  /**
   * The address under the 64-bit prefix whose first eight bytes stand in `bytes` at `at`. `dadCounter`: conflicts so far; a
   * hardware-derived identifier has no second form, and is the same for each. RFC 7217 section 5.
   */
  address(iface: Interface, bytes: Uint8Array, at: number, dadCounter: number): IpPrefix {
    const address = linkLocalAddress(iface.mac).bytes.slice();
    address.set(bytes.subarray(at, at + 8), 0);
    if (iface.config.interfaceIdentifier !== 'eui64') {
      const hash = this.#hash
        .begin()
        .add(read32(bytes, at))
        .add(read32(bytes, at + 4))
        .add(dadCounter);
      for (let i = 0; i < iface.name.length; i++) hash.add(iface.name.charCodeAt(i));
      write32(address, 8, hash.end());
      write32(address, 12, hash.high);
      if (isReserved(address)) return this.address(iface, bytes, at, dadCounter + 0x100);
    }
    return new IpPrefix(new IpAddress(address), IDENTIFIER_PREFIX_BITS);
  }
}

/** RFC 5453: the subnet-router anycast identifier (all zero), and the anycast block fdff:ffff:ffff:ff80 to fdff:ffff:ffff:ffff. */
function isReserved(address: Uint8Array): boolean {
  const high = read32(address, 8);
  const low = read32(address, 12);
  return (high === 0 && low === 0) || (high === (0xfdffffff | 0) && low >>> 0 >= 0xffffff80);
}
