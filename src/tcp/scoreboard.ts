/**
 * The SACK scoreboard: what the peer holds of what we sent beyond SND.UNA, and what that means for loss recovery.
 *
 * Promises: RFC 6675's Update, IsLost, SetPipe and NextSeg with its rescue retransmission; blocks that lie (behind SND.UNA,
 * beyond SND.MAX, empty) change nothing; a bounded number of ranges, of which further ones are simply not remembered, which
 * is always safe. Leaves to others: the windows (congestion/) and when recovery begins and ends (the engine).
 * Edges are exclusive at the right: HighRxt here is one beyond the RFC's. Source: RFC 6675, RFC 2018, RFC 2883.
 */

import { asSeq, type Seq, seqAdd, seqAtOrBefore, seqBefore, seqDiff, seqMax, seqMin } from '../base/seq.ts';
import type { TcpSegment } from '../wire/tcp-segment.ts';
import type { Transmissions } from './transmissions.ts';

/** Ranges remembered at most. */
export const SCOREBOARD_RANGES_MAX = 1024;
const FIRST_RANGES = 8;

/** What {@link SackScoreboard.nextSeg} found: by which rule of RFC 6675's NextSeg(). */
export const NextSeg = {
  /** Nothing to be sent. */
  NONE: 0,
  /** Rule 1: a hole that counts as lost. */
  LOST: 1,
  /** Rule 2: new data. */
  NEW: 2,
  /** Rule 3: a hole that does not count as lost yet. */
  UNSACKED: 3,
  /** Rule 4: the rescue retransmission, once a recovery. */
  RESCUE: 4,
} as const;
export type NextSeg = (typeof NextSeg)[keyof typeof NextSeg];

/** One connection's scoreboard; made when the first SACK arrives, let go of when {@link isEmpty} outside recovery. */
export class SackScoreboard {
  readonly #maxRanges: number;
  // SACKed ranges above SND.UNA in sequence order, disjoint and not touching: [left, right).
  #left: Int32Array = new Int32Array(FIRST_RANGES);
  #right: Int32Array = new Int32Array(FIRST_RANGES);
  #ranges = 0;
  #sackedBytes = 0;
  #highRxt: Seq = asSeq(0);
  #rescueRxt: Seq = asSeq(0);
  #hasRescue = false;
  // Everything unSACKed before lostEdge is lost; sackedAbove: SACKed bytes from there on. Valid while !isStale.
  #lostEdge: Seq = asSeq(0);
  #sackedAbove = 0;
  #hasLost = false;
  #isStale = true;
  #dupThresh = 3;
  #smss = 1460;
  /** After {@link nextSeg}: where the segment starts, and how many bytes of it there are at most (NEW: not set). */
  nextLeft: Seq = asSeq(0);
  nextLength = 0;
  /** After {@link update}: the segment reported [left, right) as a duplicate (D-SACK); equal when it did not. RFC 2883. */
  duplicateLeft: Seq = asSeq(0);
  duplicateRight: Seq = asSeq(0);

  constructor(maxRanges: number = SCOREBOARD_RANGES_MAX) {
    this.#maxRanges = maxRanges;
  }

  get isEmpty(): boolean {
    return this.#ranges === 0;
  }

  /** Bytes above SND.UNA that the peer said it holds. */
  get sackedBytes(): number {
    return this.#sackedBytes;
  }

  get rangeCount(): number {
    return this.#ranges;
  }

  rangeLeft(i: number): Seq {
    return asSeq(this.#left[i]!);
  }

  rangeRight(i: number): Seq {
    return asSeq(this.#right[i]!);
  }

  /** One beyond the highest number SACKed, `una` when nothing is. */
  highSacked(una: Seq): Seq {
    return this.#ranges === 0 ? una : asSeq(this.#right[this.#ranges - 1]!);
  }

  /** One beyond the highest number retransmitted in this recovery. HighRxt + 1. */
  get highRxt(): Seq {
    return this.#highRxt;
  }

  /**
   * Takes in the SACK blocks of a segment that acknowledges up to `una` (the new SND.UNA). Answers how many bytes it newly
   * reported: 0 means the segment carries no new SACK information. `transmissions` is told each run that is news.
   */
  update(seg: TcpSegment, una: Seq, sndMax: Seq, transmissions: Transmissions | null = null): number {
    const before = this.#sackedBytes;
    this.#noteDuplicate(seg, una);
    for (let i = 0; i < seg.sackCount; i++) {
      const left = asSeq(seg.sackEdges[2 * i]!);
      const right = asSeq(seg.sackEdges[2 * i + 1]!);
      // Empty or reversed; old news or a duplicate report; data that we never sent: a lie.
      if (!seqBefore(left, right) || seqAtOrBefore(right, una) || seqBefore(sndMax, right)) continue;
      this.#add(seqMax(left, una), right, transmissions);
    }
    return this.#sackedBytes - before;
  }

  /**
   * SND.UNA has moved to `una`. Answers false when the peer has reneged: it acknowledges up to a byte that it said it holds,
   * and not that byte; what it said before is then worth nothing and is forgotten (RFC 2018 section 8).
   */
  acknowledge(una: Seq): boolean {
    let gone = 0;
    while (gone < this.#ranges && seqAtOrBefore(asSeq(this.#right[gone]!), una)) {
      this.#sackedBytes -= seqDiff(asSeq(this.#right[gone]!), asSeq(this.#left[gone]!));
      gone++;
    }
    if (gone > 0) {
      this.#left.copyWithin(0, gone, this.#ranges);
      this.#right.copyWithin(0, gone, this.#ranges);
      this.#ranges -= gone;
    }
    this.#isStale = true;
    this.#highRxt = seqMax(this.#highRxt, una);
    if (this.#ranges > 0 && seqAtOrBefore(asSeq(this.#left[0]!), una)) {
      this.#forget();
      return false;
    }
    return true;
  }

  /** DupThresh and SMSS of RFC 6675, from which loss is judged. */
  setThresholds(dupThresh: number, smss: number): void {
    if (this.#dupThresh === dupThresh && this.#smss === smss) return;
    this.#dupThresh = dupThresh;
    this.#smss = smss;
    this.#isStale = true;
  }

  /** Recovery begins at SND.UNA: nothing has been retransmitted in it yet. RFC 6675 section 5, (4.1)-(4.2). */
  enterRecovery(una: Seq): void {
    this.#highRxt = una;
    this.#hasRescue = false;
  }

  /** The retransmission timer expired: what was SACKed is no longer relied upon. RFC 2018 section 8, RFC 6675 section 5.1. */
  onTimeout(una: Seq): void {
    this.#forget();
    this.#highRxt = una;
    this.#hasRescue = false;
  }

  /** A retransmission of text up to `right` (exclusive) by rule 1 or 3 was sent. */
  onRetransmitted(right: Seq): void {
    this.#highRxt = seqMax(this.#highRxt, right);
  }

  /** The rescue retransmission was sent. RFC 6675 section 4, NextSeg (4). */
  onRescued(recoveryPoint: Seq): void {
    this.#hasRescue = true;
    this.#rescueRxt = recoveryPoint;
  }

  /** Whether the byte at `seq`, not SACKed, is to be taken as lost. RFC 6675 section 4, IsLost(). */
  isLost(seq: Seq): boolean {
    this.#judge();
    return this.#hasLost && seqBefore(seq, this.#lostEdge);
  }

  /** Whether the byte at `seq` was SACKed. */
  isSacked(seq: Seq): boolean {
    const i = this.#firstBeyond(seq);
    return i < this.#ranges && !seqBefore(seq, asSeq(this.#left[i]!));
  }

  /**
   * Bytes thought to be in the network: [una, sndMax) without what is SACKed and what is lost, plus what was retransmitted.
   * RFC 6675 section 4, SetPipe().
   */
  pipe(una: Seq, sndMax: Seq): number {
    this.#judge();
    const from = this.#hasLost ? seqMax(una, this.#lostEdge) : una;
    const notLost = seqDiff(sndMax, from) - (this.#hasLost ? this.#sackedAbove : this.#sackedBytes);
    const rxt = seqMin(seqMax(this.#highRxt, una), sndMax);
    return notLost + seqDiff(rxt, una) - this.#sackedBelow(rxt);
  }

  /**
   * What to send next, in a recovery up to `recoveryPoint`; fills {@link nextLeft} and {@link nextLength} but for NEW.
   * `hasNew`: unsent data is there and the peer's window allows it. `maxBytes`: the longest retransmission wanted, at least
   * one SMSS. RFC 6675 section 4, NextSeg().
   */
  nextSeg(una: Seq, sndMax: Seq, recoveryPoint: Seq, hasNew: boolean, maxBytes: number): NextSeg {
    const hole = this.#findHole(seqMax(this.#highRxt, una), maxBytes);
    if (hole && this.isLost(this.nextLeft)) {
      // A run that is partly lost is sent as far as it is lost; below lostEdge everything is.
      return NextSeg.LOST;
    }
    if (hasNew) return NextSeg.NEW;
    if (hole) return NextSeg.UNSACKED;
    if (this.#hasRescue && seqAtOrBefore(una, this.#rescueRxt)) return NextSeg.NONE;
    return this.#findRescue(una, seqMin(recoveryPoint, sndMax)) ? NextSeg.RESCUE : NextSeg.NONE;
  }

  /** The first unSACKed run from `from` on that has SACKed text above it. NextSeg (1.a) and (1.b). */
  #findHole(from: Seq, maxBytes: number): boolean {
    let i = this.#firstBeyond(from);
    if (i === this.#ranges) return false;
    let left = from;
    if (!seqBefore(left, asSeq(this.#left[i]!))) {
      left = asSeq(this.#right[i]!);
      i++;
      if (i === this.#ranges) return false;
    }
    this.nextLeft = left;
    this.nextLength = Math.min(maxBytes, seqDiff(asSeq(this.#left[i]!), left));
    return true;
  }

  /**
   * The last unSACKed segment below `end`, if this recovery has not sent it again already: the RFC would repeat a hole that was
   * repaired a moment ago, where the rescue is meant for a tail that nobody SACKed.
   */
  #findRescue(una: Seq, end: Seq): boolean {
    let right = end;
    let i = this.#ranges - 1;
    while (i >= 0 && !seqBefore(asSeq(this.#right[i]!), right)) {
      right = seqMin(right, asSeq(this.#left[i]!));
      i--;
    }
    if (seqAtOrBefore(right, this.#highRxt)) return false;
    const floor = i >= 0 ? seqMax(una, asSeq(this.#right[i]!)) : una;
    const length = Math.min(this.#smss, seqDiff(right, floor));
    if (length <= 0) return false;
    this.nextLeft = seqAdd(right, -length);
    this.nextLength = length;
    return true;
  }

  /** Finds lostEdge: the left edge of the lowest range that has DupThresh ranges, or enough bytes, from itself upwards. */
  #judge(): void {
    if (!this.#isStale) return;
    this.#isStale = false;
    this.#hasLost = false;
    this.#sackedAbove = 0;
    const enough = (this.#dupThresh - 1) * this.#smss;
    for (let i = this.#ranges - 1; i >= 0; i--) {
      this.#sackedAbove += seqDiff(asSeq(this.#right[i]!), asSeq(this.#left[i]!));
      if (this.#ranges - i >= this.#dupThresh || this.#sackedAbove > enough) {
        this.#hasLost = true;
        this.#lostEdge = asSeq(this.#left[i]!);
        return;
      }
    }
  }

  /** The first byte from `seq` on that is not SACKed. */
  skipSacked(seq: Seq): Seq {
    const i = this.#firstBeyond(seq);
    return i < this.#ranges && !seqBefore(seq, asSeq(this.#left[i]!)) ? asSeq(this.#right[i]!) : seq;
  }

  /** Where the next SACKed run beyond `seq`, itself not SACKed, begins; `end` if there is none before that. */
  nextSackedAfter(seq: Seq, end: Seq): Seq {
    const i = this.#firstBeyond(seq);
    return i < this.#ranges ? seqMin(asSeq(this.#left[i]!), end) : end;
  }

  /** SACKed bytes in [from, to). */
  sackedWithin(from: Seq, to: Seq): number {
    let bytes = 0;
    for (let i = this.#firstBeyond(from); i < this.#ranges && seqBefore(asSeq(this.#left[i]!), to); i++) {
      bytes += seqDiff(seqMin(asSeq(this.#right[i]!), to), seqMax(asSeq(this.#left[i]!), from));
    }
    return bytes;
  }

  #sackedBelow(seq: Seq): number {
    let bytes = 0;
    for (let i = 0; i < this.#ranges && seqBefore(asSeq(this.#left[i]!), seq); i++) {
      bytes += seqDiff(seqMin(asSeq(this.#right[i]!), seq), asSeq(this.#left[i]!));
    }
    return bytes;
  }

  /** Index of the first range whose right edge is beyond `seq`. */
  #firstBeyond(seq: Seq): number {
    let low = 0;
    let high = this.#ranges;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (seqAtOrBefore(asSeq(this.#right[middle]!), seq)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #add(left: Seq, right: Seq, transmissions: Transmissions | null): void {
    // Ranges that touch become one: begin at the first that reaches `left`.
    let first = this.#firstBeyond(left);
    if (first > 0 && asSeq(this.#right[first - 1]!) === left) first--;
    let from = left;
    let to = right;
    let i = first;
    let news = left;
    for (; i < this.#ranges && seqAtOrBefore(asSeq(this.#left[i]!), right); i++) {
      const rangeLeft = asSeq(this.#left[i]!);
      const rangeRight = asSeq(this.#right[i]!);
      if (seqBefore(news, rangeLeft)) transmissions?.delivered(news, rangeLeft);
      news = seqMax(news, rangeRight);
      this.#sackedBytes -= seqDiff(rangeRight, rangeLeft);
      from = seqMin(from, rangeLeft);
      to = seqMax(to, rangeRight);
    }
    const grown = 1 - (i - first);
    if (grown > 0 && this.#ranges === this.#maxRanges) return;
    if (seqBefore(news, right)) transmissions?.delivered(news, right);
    if (this.#ranges + grown > this.#left.length) this.#grow();
    if (grown !== 0) {
      this.#left.copyWithin(first + 1, i, this.#ranges);
      this.#right.copyWithin(first + 1, i, this.#ranges);
      this.#ranges += grown;
    }
    this.#left[first] = from;
    this.#right[first] = to;
    this.#sackedBytes += seqDiff(to, from);
    this.#isStale = true;
  }

  /** D-SACK: the first block is behind the acknowledgment, or inside the second block. RFC 2883 section 4. */
  #noteDuplicate(seg: TcpSegment, una: Seq): void {
    this.duplicateLeft = this.duplicateRight = una;
    if (seg.sackCount === 0) return;
    const left = asSeq(seg.sackEdges[0]!);
    const right = asSeq(seg.sackEdges[1]!);
    if (!seqBefore(left, right)) return;
    const isBehind = seqAtOrBefore(right, una);
    const isInside =
      seg.sackCount > 1 && !seqBefore(left, asSeq(seg.sackEdges[2]!)) && seqAtOrBefore(right, asSeq(seg.sackEdges[3]!));
    if (!isBehind && !isInside) return;
    this.duplicateLeft = left;
    this.duplicateRight = right;
  }

  #forget(): void {
    this.#ranges = 0;
    this.#sackedBytes = 0;
    this.#isStale = true;
  }

  #grow(): void {
    const length = Math.min(this.#left.length * 2, this.#maxRanges);
    const left = new Int32Array(length);
    const right = new Int32Array(length);
    left.set(this.#left);
    right.set(this.#right);
    this.#left = left;
    this.#right = right;
  }
}
