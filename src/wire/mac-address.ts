/**
 * MAC addresses: six bytes, their text, and the ones that IP multicast goes to. RFC 1112 section 6.4, RFC 2464 section 7.
 */

import { equalBytes, isZeroBytes } from '../base/bytes.ts';

/** Bytes of a MAC address. */
export const MAC_LENGTH = 6;

/** ff:ff:ff:ff:ff:ff; never written. */
export const MAC_BROADCAST: Uint8Array = new Uint8Array([255, 255, 255, 255, 255, 255]);
/** 00:00:00:00:00:00; never written. */
export const MAC_ZERO: Uint8Array = new Uint8Array(6);

/** Whether the MAC in `bytes` at `at` is the broadcast address. */
export function isBroadcastMac(bytes: Uint8Array, at: number): boolean {
  return equalBytes(bytes, at, MAC_BROADCAST, 0, MAC_LENGTH);
}

/** Whether it is a group address; broadcast is one. */
export function isGroupMac(bytes: Uint8Array, at: number): boolean {
  return (bytes[at]! & 1) !== 0;
}

/** Whether two MACs are the same. */
export function equalMac(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): boolean {
  return equalBytes(a, aAt, b, bAt, MAC_LENGTH);
}

/** Whether it is all zero: no address. */
export function isZeroMac(bytes: Uint8Array, at: number): boolean {
  return isZeroBytes(bytes, at, MAC_LENGTH);
}

/** Writes to `out` at `outAt` the MAC to which the multicast IP address in `bytes` at `at` is sent. */
export function writeMulticastMac(bytes: Uint8Array, at: number, family: number, out: Uint8Array, outAt: number): void {
  if (family === 4) {
    out[outAt] = 0x01;
    out[outAt + 1] = 0x00;
    out[outAt + 2] = 0x5e;
    out[outAt + 3] = bytes[at + 1]! & 0x7f;
    out[outAt + 4] = bytes[at + 2]!;
    out[outAt + 5] = bytes[at + 3]!;
    return;
  }
  out[outAt] = 0x33;
  out[outAt + 1] = 0x33;
  for (let i = 0; i < 4; i++) out[outAt + 2 + i] = bytes[at + 12 + i]!;
}

/** '02:00:00:00:00:01'. */
export function formatMac(bytes: Uint8Array, at = 0): string {
  let text = '';
  for (let i = 0; i < MAC_LENGTH; i++) text += (i === 0 ? '' : ':') + bytes[at + i]!.toString(16).padStart(2, '0');
  return text;
}

/** The MAC that '02:00:00:00:00:01' (or with '-') spells, or null. */
export function parseMac(text: string): Uint8Array | null {
  if (!/^[0-9a-fA-F]{2}([:-])([0-9a-fA-F]{2}\1){4}[0-9a-fA-F]{2}$/.test(text)) return null;
  return Uint8Array.from(text.split(/[:-]/), (part) => Number.parseInt(part, 16));
}
