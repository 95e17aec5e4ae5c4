/**
 * What a decoder answers: one number, 0 for good. What a peer can send is never a throw.
 */

/** Decoded. */
export const WIRE_OK = 0;
/** Fewer bytes than the fixed part of the header (or message) takes. */
export const WIRE_SHORT = 1;
/** The IP version is another than the decoder's. */
export const WIRE_BAD_VERSION = 2;
/** A length field says more than has arrived, or less than it must. */
export const WIRE_BAD_LENGTH = 3;
/** A header length (IHL, data offset) is below the minimum or beyond the end. */
export const WIRE_BAD_OFFSET = 4;
/** The checksum that the decoder verifies is wrong. */
export const WIRE_BAD_CHECKSUM = 5;
/** An option list that must be whole is not: a length of zero, or beyond the end. */
export const WIRE_BAD_OPTION = 6;
/** A type, code or hardware type that the decoder is not for. */
export const WIRE_BAD_TYPE = 7;
/** Drop it, and say nothing to the sender. */
export const WIRE_DISCARD = 8;
/** Drop it; the record says which ICMPv6 parameter problem the sender is owed. */
export const WIRE_PARAMETER_PROBLEM = 9;
/** More headers or options than the decoder is willing to walk. */
export const WIRE_TOO_MANY = 10;

/** The answer of a decoder; {@link WIRE_OK} or why not. */
export type WireStatus =
  | typeof WIRE_OK
  | typeof WIRE_SHORT
  | typeof WIRE_BAD_VERSION
  | typeof WIRE_BAD_LENGTH
  | typeof WIRE_BAD_OFFSET
  | typeof WIRE_BAD_CHECKSUM
  | typeof WIRE_BAD_OPTION
  | typeof WIRE_BAD_TYPE
  | typeof WIRE_DISCARD
  | typeof WIRE_PARAMETER_PROBLEM
  | typeof WIRE_TOO_MANY;

/** Names for people, indexed by status. */
export const WIRE_STATUS_NAMES: readonly string[] = [
  'ok',
  'short',
  'bad version',
  'bad length',
  'bad header length',
  'bad checksum',
  'bad option',
  'bad type',
  'discard',
  'parameter problem',
  'too many headers',
];
