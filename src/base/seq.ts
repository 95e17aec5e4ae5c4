/**
 * Sequence numbers: positions in a byte stream, modulo 2^32, kept as int32.
 *
 * Promises: no function here allocates or branches on sign; comparison is only defined for numbers less than 2^31 apart.
 * Leaves to others: what the numbers count. Source: RFC 9293 section 3.4.
 */

declare const seqBrand: unique symbol;

/** A sequence number as int32. Never compare two of them with `<`: use {@link seqBefore}. */
export type Seq = number & { readonly [seqBrand]: true };

/** Takes any integer modulo 2^32 as a sequence number. */
export function asSeq(value: number): Seq {
  return (value | 0) as Seq;
}

/** The number `bytes` further on (negative: further back). */
export function seqAdd(a: Seq, bytes: number): Seq {
  return ((a + bytes) | 0) as Seq;
}

/** Bytes from `b` up to `a`; negative when `a` is before `b`. */
export function seqDiff(a: Seq, b: Seq): number {
  return (a - b) | 0;
}

/** Whether `a` comes before `b`. */
export function seqBefore(a: Seq, b: Seq): boolean {
  return ((a - b) | 0) < 0;
}

/** Whether `a` comes before `b` or is `b`. */
export function seqAtOrBefore(a: Seq, b: Seq): boolean {
  return ((a - b) | 0) <= 0;
}

/** The later of the two. */
export function seqMax(a: Seq, b: Seq): Seq {
  return ((a - b) | 0) < 0 ? b : a;
}

/** The earlier of the two. */
export function seqMin(a: Seq, b: Seq): Seq {
  return ((a - b) | 0) < 0 ? a : b;
}

/** Whether first <= a < first + size. */
export function seqInWindow(a: Seq, first: Seq, size: number): boolean {
  return (a - first) >>> 0 < size;
}
