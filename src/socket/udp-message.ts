/**
 * What `send` of a UDP socket is given, as the bytes of one datagram. node:dgram's forms and errors.
 */

import { invalidArgType, outOfBounds } from './errors.ts';

const EXPECTED = 'of type string or an instance of Buffer, TypedArray, or DataView';

/** A string or any view, as bytes; undefined: it is neither. */
function bytesOf(part: unknown): Uint8Array | undefined {
  if (typeof part === 'string') return Buffer.from(part);
  if (!ArrayBuffer.isView(part)) return undefined;
  return new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
}

function bytesOfOne(part: unknown): Uint8Array {
  const bytes = bytesOf(part);
  if (bytes === undefined) throw invalidArgType('buffer', EXPECTED, part);
  return bytes;
}

/** A message, or a list of parts of one. */
export function joined(message: unknown): Uint8Array {
  if (!Array.isArray(message)) return bytesOfOne(message);
  const parts: Uint8Array[] = [];
  for (const part of message) {
    const bytes = bytesOf(part);
    if (bytes === undefined) throw invalidArgType('buffer list arguments', EXPECTED, message);
    parts.push(bytes);
  }
  return Buffer.concat(parts);
}

/** A range of a message. */
export function sliceOf(message: unknown, offset: unknown, length: unknown): Uint8Array {
  const bytes = bytesOfOne(message);
  const from = Number(offset) >>> 0;
  const count = Number(length) >>> 0;
  if (from > bytes.length) throw outOfBounds('offset');
  if (from + count > bytes.length) throw outOfBounds('length');
  return bytes.subarray(from, from + count);
}
