/** Copying runs of bytes: how all of this is done unless memory asks for something else. */

/** What copies bytes between two buffers: {@link copyBytes}, or what is faster for some memory. */
export type CopyBytes = (from: Uint8Array, fromAt: number, length: number, to: Uint8Array, toAt: number) => void;

/**
 * Copies bytes between two buffers without making a view where that is dearer than the copy.
 * Ranges inside one buffer must not overlap.
 */
export function copyBytes(from: Uint8Array, fromAt: number, length: number, to: Uint8Array, toAt: number): void {
  // A subarray costs about 30 ns and 100 bytes; below some dozens of bytes a loop is cheaper and makes no garbage.
  if (length <= 64) {
    for (let i = 0; i < length; i++) to[toAt + i] = from[fromAt + i]!;
  } else if (fromAt === 0 && length === from.length) to.set(from, toAt);
  else to.set(from.subarray(fromAt, fromAt + length), toAt);
}
