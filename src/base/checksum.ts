/**
 * The Internet checksum: the 16-bit one's complement sum of big-endian words. RFC 1071.
 *
 * A sum is carried between calls as a plain non-negative integer; every call of `checksumAdd` folds it below 2^17, so that any
 * number of parts can be summed. Parts but the last have an even length.
 * Promises: no allocation per call on a buffer seen before; any alignment; several gigabytes a second on long runs.
 */

/** Whether 32-bit words of this machine are stored least byte first. */
const IS_LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/** Runs shorter than this are summed byte by byte: finding the word view of a buffer costs as much as about 100 bytes do. */
const WORDS_FROM = 160;

/** Words summed before a float64 sum could lose its last bit: 2^53 / 2^32. A run of them is 8 MiB. */
const WORDS_MAX = 1 << 20;

/**
 * A view of each buffer as 32-bit words. Making one for every packet would cost an allocation; the buffers that packets live
 * in are few and last long. Weak, so that it keeps no buffer alive.
 */
const wordViews = new WeakMap<ArrayBufferLike, Uint32Array>();

/** Adds `length` bytes of `bytes` from `at` to `sum`. An odd length is padded with a zero byte and must be the last part. */
export function checksumAdd(sum: number, bytes: Uint8Array, at: number, length: number): number {
  if (length >= WORDS_FROM) return foldOnce(sum + sumOfWords(bytes, at, length));
  let total = sum;
  let i = at;
  const end = at + (length & ~7);
  for (; i < end; i += 8) {
    total +=
      ((bytes[i]! << 8) | bytes[i + 1]!) +
      ((bytes[i + 2]! << 8) | bytes[i + 3]!) +
      ((bytes[i + 4]! << 8) | bytes[i + 5]!) +
      ((bytes[i + 6]! << 8) | bytes[i + 7]!);
  }
  const last = at + length - 1;
  for (; i < last; i += 2) total += (bytes[i]! << 8) | bytes[i + 1]!;
  if (i === last) total += bytes[i]! << 8;
  return foldOnce(total);
}

/** Folds `sum` and inverts it: what goes into a checksum field. 0 when a whole message with a right checksum was summed. */
export function checksumFinish(sum: number): number {
  return ~foldChecksum(sum) & 0xffff;
}

/** Folds `sum` (below 2^32) to 16 bits without inverting it. Zero only if everything summed was zero. */
export function foldChecksum(sum: number): number {
  return foldOnce(foldOnce(sum));
}

/** Below 2^17 for a sum below 2^32. */
function foldOnce(sum: number): number {
  return (sum & 0xffff) + (sum >>> 16);
}

/** The checksum field over one run of bytes. */
export function checksumOf(bytes: Uint8Array, at: number, length: number): number {
  return checksumFinish(checksumAdd(0, bytes, at, length));
}

/**
 * Sum of the IPv4 pseudo-header: the addresses that stand in `bytes` at `srcAt` and `dstAt`, the protocol, and the length of
 * the upper-layer packet, bytes. RFC 9293 section 3.1, RFC 768.
 */
export function pseudoHeaderSum4(
  bytes: Uint8Array,
  srcAt: number,
  dstAt: number,
  protocol: number,
  upperLength: number,
): number {
  return (
    ((bytes[srcAt]! << 8) | bytes[srcAt + 1]!) +
    ((bytes[srcAt + 2]! << 8) | bytes[srcAt + 3]!) +
    ((bytes[dstAt]! << 8) | bytes[dstAt + 1]!) +
    ((bytes[dstAt + 2]! << 8) | bytes[dstAt + 3]!) +
    protocol +
    upperLength
  );
}

/** Sum of the IPv6 pseudo-header; `protocol` is the upper layer's own number, not that of an extension header. RFC 8200 8.1. */
export function pseudoHeaderSum6(
  bytes: Uint8Array,
  srcAt: number,
  dstAt: number,
  protocol: number,
  upperLength: number,
): number {
  let sum = protocol + (upperLength & 0xffff) + (upperLength >>> 16);
  for (let i = 0; i < 16; i += 2) {
    sum += ((bytes[srcAt + i]! << 8) | bytes[srcAt + i + 1]!) + ((bytes[dstAt + i]! << 8) | bytes[dstAt + i + 1]!);
  }
  return sum;
}

/** The sum of a long run, folded to 16 bits: memory-aligned words in the machine's order, put right at the end. */
function sumOfWords(bytes: Uint8Array, at: number, length: number): number {
  const words = wordsOf(bytes);
  const first = bytes.byteOffset + at;
  const end = first + length;
  // Bytes before the first and behind the last aligned word, by the parity of their address.
  const bodyAt = (first + 3) & ~3;
  const bodyEnd = end & ~3;
  let even = 0;
  let odd = 0;
  for (let a = first; a < bodyAt; a++) {
    if ((a & 1) === 0) even += bytes[a - bytes.byteOffset]!;
    else odd += bytes[a - bytes.byteOffset]!;
  }
  for (let a = bodyEnd; a < end; a++) {
    if ((a & 1) === 0) even += bytes[a - bytes.byteOffset]!;
    else odd += bytes[a - bytes.byteOffset]!;
  }
  let sum = IS_LITTLE_ENDIAN ? even + odd * 256 : even * 256 + odd;
  for (let i = bodyAt >> 2; i < bodyEnd >> 2; i += WORDS_MAX) {
    sum += sumOfAligned(words, i, Math.min(bodyEnd >> 2, i + WORDS_MAX));
  }
  const folded = foldChecksum(sum);
  // The first byte of the run is the high half of a word. Where memory order put it into the low half, all words are swapped.
  const isFirstHigh = ((first & 1) === 1) === IS_LITTLE_ENDIAN;
  return isFirstHigh ? folded : ((folded << 8) | (folded >>> 8)) & 0xffff;
}

/**
 * The sum of words [from, end), at most {@link WORDS_MAX} of them, folded to 17 bits: a number that costs no memory where the call is not
 * inlined. Four sums, so that the additions overlap.
 */
function sumOfAligned(words: Uint32Array, from: number, end: number): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = from;
  const end8 = from + ((end - from) & ~7);
  for (; i < end8; i += 8) {
    s0 += words[i]! + words[i + 4]!;
    s1 += words[i + 1]! + words[i + 5]!;
    s2 += words[i + 2]! + words[i + 6]!;
    s3 += words[i + 3]! + words[i + 7]!;
  }
  for (; i < end; i++) s0 += words[i]!;
  const sum = s0 + s1 + s2 + s3;
  // 2^32 is 1 modulo 0xffff: the upper part may be added to the lower. (A remainder would make a zero of 0xffff.)
  return foldChecksum(sum >>> 0) + foldChecksum(Math.floor(sum / 0x1_0000_0000));
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  const buffer = bytes.buffer;
  const known = wordViews.get(buffer);
  // A resizable buffer may have grown since.
  if (known !== undefined && known.length === buffer.byteLength >>> 2) return known;
  const words = new Uint32Array(buffer, 0, buffer.byteLength >>> 2);
  wordViews.set(buffer, words);
  return words;
}
