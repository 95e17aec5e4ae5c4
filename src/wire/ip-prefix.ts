/**
 * An address with a prefix length: what is on the link, what a route covers. RFC 4632, RFC 4291 section 2.3.
 */

import { addressLength, IpAddress, parseIp } from './ip-address.ts';

/** An address and the number of its leading bits that count. */
export class IpPrefix {
  /** As given, host bits included: '10.0.0.1/24' keeps 10.0.0.1. */
  readonly address: IpAddress;
  /** 0 to 32, or 0 to 128. */
  readonly length: number;

  /** `length` is 0 to 32 or 0 to 128. */
  constructor(address: IpAddress, length: number) {
    this.address = address;
    this.length = length;
  }

  /** '10.0.0.1/24'. */
  toString(): string {
    return `${this.address}/${this.length}`;
  }

  contains(address: IpAddress): boolean {
    return address.family === this.address.family && this.containsAt(address.bytes, 0);
  }

  /** Whether the address of the prefix's own family that stands in `bytes` at `at` is covered. */
  containsAt(bytes: Uint8Array, at: number): boolean {
    const whole = this.length >> 3;
    const own = this.address.bytes;
    for (let i = 0; i < whole; i++) if (own[i] !== bytes[at + i]) return false;
    const rest = this.length & 7;
    return rest === 0 || (own[whole]! ^ bytes[at + whole]!) >> (8 - rest) === 0;
  }

  /** The address with its host bits cleared. */
  network(): IpAddress {
    return new IpAddress(this.#withHostBits(0));
  }

  /**
   * The directed broadcast address; null where there is none: IPv6, and IPv4 /31 (RFC 3021) and /32.
   */
  broadcast(): IpAddress | null {
    if (this.address.family === 6 || this.length > 30) return null;
    return new IpAddress(this.#withHostBits(0xff));
  }

  /** Whether the IPv4 address in `bytes` at `at` is this prefix's directed broadcast. */
  isBroadcastAt(bytes: Uint8Array, at: number): boolean {
    if (this.address.family === 6 || this.length > 30 || !this.containsAt(bytes, at)) return false;
    for (let bit = this.length; bit < 32; bit++) {
      if (((bytes[at + (bit >> 3)]! >> (7 - (bit & 7))) & 1) === 0) return false;
    }
    return true;
  }

  #withHostBits(fill: number): Uint8Array {
    const bytes = this.address.bytes.slice();
    for (let i = 0; i < bytes.length; i++) {
      const kept = Math.min(8, Math.max(0, this.length - 8 * i));
      const mask = (0xff00 >> kept) & 0xff;
      bytes[i] = (bytes[i]! & mask) | (fill & ~mask & 0xff);
    }
    return bytes;
  }
}

/** The prefix that '10.0.0.1/24' or 'fd00::1/64' spells, or null. Without '/': all bits count. */
export function parsePrefix(text: string): IpPrefix | null {
  const slash = text.indexOf('/');
  const address = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (address === null) return null;
  const bits = 8 * addressLength(address.family);
  if (slash < 0) return new IpPrefix(address, bits);
  const length = text.slice(slash + 1);
  if (!/^(0|[1-9][0-9]{0,2})$/.test(length) || Number(length) > bits) return null;
  return new IpPrefix(address, Number(length));
}
