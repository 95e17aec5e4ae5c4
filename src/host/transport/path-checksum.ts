/**
 * The checksum of an upper-layer packet that is about to leave by a path, over the pseudo-header of its two addresses.
 *
 * The IP header is written later and elsewhere, so the addresses are the path's. RFC 9293 3.1, RFC 768, RFC 8200 8.1.
 */

import { checksumAdd, checksumFinish } from '../../base/checksum.ts';
import type { PathEntry } from '../path/types.ts';

/** The checksum field for the packet of `length` bytes at `at`, whose own checksum field is 0 now. */
export function pathChecksum(path: PathEntry, protocol: number, bytes: Uint8Array, at: number, length: number): number {
  const local = path.local.bytes;
  const remote = path.remote.bytes;
  let sum = protocol + (length & 0xffff) + (length >>> 16);
  sum = checksumAdd(sum, local, 0, local.length);
  sum = checksumAdd(sum, remote, 0, remote.length);
  return checksumFinish(checksumAdd(sum, bytes, at, length));
}
