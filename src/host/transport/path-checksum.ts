/**
 * The checksum of an upper-layer packet that is about to leave by a path, over the pseudo-header of its two addresses.
 *
 * The IP header is written later and elsewhere, so the addresses are the path's. RFC 9293 3.1, RFC 768, RFC 8200 8.1.
 */

import { checksumAdd, checksumFinish, foldChecksum } from '../../base/checksum.ts';
import type { PathEntry } from '../path/types.ts';

/**
 * What stands in the checksum field of a packet of `length` bytes whose checksum the device makes: the folded, not inverted sum of
 * the pseudo-header.
 */
export function partialPathChecksum(path: PathEntry, protocol: number, length: number): number {
  return foldChecksum(pathPseudoSum(path, protocol, length));
}

/** The checksum field for the packet of `length` bytes at `at`, whose own checksum field is 0 now. */
export function pathChecksum(path: PathEntry, protocol: number, bytes: Uint8Array, at: number, length: number): number {
  return checksumFinish(checksumAdd(pathPseudoSum(path, protocol, length), bytes, at, length));
}

/** The sum of the pseudo-header alone, not folded. */
export function pathPseudoSum(path: PathEntry, protocol: number, length: number): number {
  const local = path.local.bytes;
  const remote = path.remote.bytes;
  const sum = checksumAdd(protocol + (length & 0xffff) + (length >>> 16), local, 0, local.length);
  return checksumAdd(sum, remote, 0, remote.length);
}
