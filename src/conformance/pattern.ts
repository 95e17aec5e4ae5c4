/** Bytes that tell their place in a stream, so that a lost, repeated or foreign byte is seen at once. */

/** The byte at `position` of the stream that `key` names. */
export function patternByte(position: number, key: number): number {
  return (Math.imul(position ^ (key << 8), 0x9e3779b1) >>> 24) & 255;
}

export function pattern(position: number, length: number, key: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = patternByte(position + i, key);
  return bytes;
}
