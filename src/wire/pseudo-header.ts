/**
 * The pseudo-header of either IP version, by the addresses where they stand in a packet. RFC 9293 3.1, RFC 8200 8.1.
 */

import { pseudoHeaderSum4, pseudoHeaderSum6 } from '../base/checksum.ts';

/** Sum of the pseudo-header; `family` is 4 or 6, `upperLength` the bytes of the upper-layer packet. */
export function pseudoHeaderSum(
  bytes: Uint8Array,
  family: number,
  srcAt: number,
  dstAt: number,
  protocol: number,
  upperLength: number,
): number {
  return family === 4
    ? pseudoHeaderSum4(bytes, srcAt, dstAt, protocol, upperLength)
    : pseudoHeaderSum6(bytes, srcAt, dstAt, protocol, upperLength);
}
