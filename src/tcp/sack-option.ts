/**
 * What we report in SACK options: duplicates first, then what the reassembler holds; and whether the peer reports a duplicate.
 *
 * Promises: a duplicate is reported once, in the next ACK, as its first block (RFC 2883 section 4); then come the block that
 * changed last and the others by age (RFC 2018 section 4). Leaves to others: whether the peer permits SACK at all.
 */

import { asSeq, type Seq, seqAtOrBefore, seqBefore } from '../base/seq.ts';
import { SACK_BLOCKS_MAX, type TcpSegment } from '../wire/tcp-segment.ts';
import { PrivateWord, type TcpConnection } from './connection.ts';

/** Text [left, right) came though we had it. The last one before an ACK is the one reported. */
export function noteDuplicate(c: TcpConnection, left: Seq, right: Seq): void {
  if (!seqBefore(left, right)) return;
  c.words[c.base + PrivateWord.SACK_DUP_LEFT] = left;
  c.words[c.base + PrivateWord.SACK_DUP_RIGHT] = right;
}

/** Whether the next ACK has something to report by SACK. */
export function hasSack(c: TcpConnection): boolean {
  if (c.words[c.base + PrivateWord.SACK_DUP_LEFT]! !== c.words[c.base + PrivateWord.SACK_DUP_RIGHT]!) return true;
  return c.reassembly !== null && c.reassembly.blockCount > 0;
}

/** How many SACK blocks the next ACK will carry if it has room for `most`. */
export function sackBlocksDue(c: TcpConnection, most: number): number {
  const isDuplicate = c.words[c.base + PrivateWord.SACK_DUP_LEFT]! !== c.words[c.base + PrivateWord.SACK_DUP_RIGHT]!;
  const held = c.reassembly === null ? 0 : c.reassembly.blockCount;
  return Math.min(most, held + (isDuplicate ? 1 : 0));
}

/** Fills the SACK blocks of `out`, at most `most` (3 beside timestamps, else 4); what was a duplicate is then reported. */
export function writeSackOption(c: TcpConnection, out: TcpSegment, most: number): void {
  const left = asSeq(c.words[c.base + PrivateWord.SACK_DUP_LEFT]!);
  const right = asSeq(c.words[c.base + PrivateWord.SACK_DUP_RIGHT]!);
  out.sackCount = 0;
  if (left !== right && most > 0) {
    out.sackEdges[0] = left;
    out.sackEdges[1] = right;
    out.sackCount = 1;
    c.words[c.base + PrivateWord.SACK_DUP_RIGHT] = left;
  }
  c.reassembly?.writeSack(out, Math.min(most, SACK_BLOCKS_MAX));
}

/** Whether the first block of the segment reports a duplicate: behind its ACK, or inside its second block. RFC 2883 4 and 5. */
export function reportsDuplicate(seg: TcpSegment): boolean {
  if (seg.sackCount === 0) return false;
  const left = asSeq(seg.sackEdges[0]!);
  const right = asSeq(seg.sackEdges[1]!);
  if (!seqBefore(left, right)) return false;
  if (seqAtOrBefore(right, seg.ack)) return true;
  if (seg.sackCount < 2) return false;
  return !seqBefore(left, asSeq(seg.sackEdges[2]!)) && seqAtOrBefore(right, asSeq(seg.sackEdges[3]!));
}
