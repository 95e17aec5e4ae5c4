/**
 * When what is in flight was sent: the per-segment transmit times that RACK needs, without an object per segment.
 *
 * Text is sent for the first time in order, so its times are a ring of runs [.., edge), each sent at one moment, oldest first. What
 * was sent again is a short list of disjoint runs in sequence order, each with the moment of its last transmission. A first
 * transmission is lost below one edge, {@link Transmissions.lostEdge}, because everything before it was sent earlier; a
 * retransmission is lost run by run. What the peer holds is the scoreboard's to know.
 * Both tables are bounded: runs beyond the bound share the time of the last, which makes them look sent later and is always safe.
 * Source: RFC 8985 section 5.2 (Segment.xmit_ts, Segment.retransmitted, Segment.lost) and 6.2.
 */

import { asSeq, type Seq, seqAtOrBefore, seqBefore, seqDiff, seqMax, seqMin } from '../base/seq.ts';
import type { SackScoreboard } from './scoreboard.ts';

/** Runs of first transmissions remembered at most, and of retransmissions; powers of two. */
export const SENT_RUNS_MAX = 16_384;
export const RESENT_RUNS_MAX = 4096;
const FIRST_SENT_RUNS = 16;
const FIRST_RESENT_RUNS = 8;

/** RACK.xmit_ts before anything was delivered. */
const NOTHING_DELIVERED = -1;

/** RACK.xmit_ts: when the latest sent of all that was delivered was sent. */
const RACK_AT = 0;
/** RACK.rtt of that. */
const RACK_RTT = 1;
/** Of the ACK that is being taken in: now, and the least round-trip time. */
const NOW = 2;
const MIN_RTT = 3;
const TIMES = 4;

/** Longest wait {@link Transmissions.detectLoss} answers; it is asked again then. */
const WAIT_MAX_US = 1_000_000_000;

/** One connection's transmissions; made with the first segment in flight, let go of when nothing is in flight. */
export class Transmissions {
  // First transmissions: a ring of runs; run i ends before #edge and was sent at #sentAt.
  #edge: Int32Array = new Int32Array(FIRST_SENT_RUNS);
  #sentAt: Float64Array = new Float64Array(FIRST_SENT_RUNS);
  #first = 0;
  #sentRuns = 0;
  // Retransmissions: [left, right), disjoint, in sequence order, the last time each was sent, and whether that is lost.
  #left: Int32Array = new Int32Array(FIRST_RESENT_RUNS);
  #right: Int32Array = new Int32Array(FIRST_RESENT_RUNS);
  #resentAt: Float64Array = new Float64Array(FIRST_RESENT_RUNS);
  #isLost: Uint8Array = new Uint8Array(FIRST_RESENT_RUNS);
  #resentRuns = 0;
  #resentBytes = 0;
  #lostEdge: Seq = asSeq(0);
  /** Below this nothing waits for retransmission. */
  #resumeAt: Seq = asSeq(0);
  /** Moments and times by the names below: in an array, for a field of this size would be a heap number. */
  readonly #times: Float64Array = new Float64Array(TIMES);
  #rackEnd: Seq = asSeq(0);
  /** RACK.fack before the ACK that is being taken in. */
  #highest: Seq = asSeq(0);
  /** The ACK that is being taken in is looked at closely: {@link beginAck} was called for it. */
  isRepairing = false;
  /** Bytes delivered by this ACK. DeliveredData of RFC 9937. */
  deliveredBytes = 0;
  /** This ACK delivered text below the highest delivered before, which was sent only once: the path reorders. RFC 8985 6.2 step 3. */
  hasReordering = false;
  /** After {@link nextLost}: the run that is to be sent again. */
  nextLeft: Seq = asSeq(0);
  nextLength = 0;

  /** Nothing is in flight; the first byte to be sent is `una`. */
  reset(una: Seq): void {
    this.#first = 0;
    this.#sentRuns = 0;
    this.deliveredBytes = 0;
    this.#forgetLosses(una);
  }

  /** Nothing is lost, nothing was sent again, and nothing delivered tells of anything. */
  #forgetLosses(una: Seq): void {
    this.#resentRuns = 0;
    this.#resentBytes = 0;
    this.#lostEdge = una;
    this.#resumeAt = una;
    this.#times[RACK_AT] = NOTHING_DELIVERED;
    this.#times[RACK_RTT] = 0;
    this.#rackEnd = una;
    this.hasReordering = false;
  }

  /** Everything below, unless SACKed, was lost when it was sent first. Never behind SND.UNA. */
  get lostEdge(): Seq {
    return this.#lostEdge;
  }

  /** Bytes that were sent again and are thought to be in the network. */
  get resentBytes(): number {
    return this.#resentBytes;
  }

  /** Whether anything in flight was sent more than once. */
  get hasResent(): boolean {
    return this.#resentRuns > 0;
  }

  /** Runs held of either kind; for tests. */
  get sentRuns(): number {
    return this.#sentRuns;
  }
  get resentRuns(): number {
    return this.#resentRuns;
  }

  /** RACK.rtt: of the latest sent segment that was delivered, microseconds. */
  get rackRttUs(): number {
    return this.#times[RACK_RTT]!;
  }

  /** Text up to `end` (exclusive) is sent for the first time, behind all that was sent before. */
  sent(end: Seq, nowUs: number): void {
    const runs = this.#sentRuns;
    if (runs > 0) {
      const last = (this.#first + runs - 1) & (this.#edge.length - 1);
      if (this.#sentAt[last] === nowUs || runs === SENT_RUNS_MAX) {
        this.#edge[last] = end;
        this.#sentAt[last] = nowUs;
        return;
      }
      if (runs === this.#edge.length) this.#growSent();
    }
    const at = (this.#first + runs) & (this.#edge.length - 1);
    this.#edge[at] = end;
    this.#sentAt[at] = nowUs;
    this.#sentRuns = runs + 1;
  }

  /** SND.UNA has moved to `una`. */
  acknowledge(una: Seq): void {
    const mask = this.#edge.length - 1;
    let first = this.#first;
    let runs = this.#sentRuns;
    while (runs > 0 && ((this.#edge[first]! - una) | 0) <= 0) {
      first = (first + 1) & mask;
      runs--;
    }
    this.#first = first;
    this.#sentRuns = runs;
    if (seqBefore(this.#lostEdge, una)) this.#lostEdge = una;
    if (seqBefore(this.#resumeAt, una)) this.#resumeAt = una;
    if (this.#resentRuns > 0) this.#removeResent(asSeq(this.#left[0]!), una);
  }

  /** When the byte in front of `end` was sent first, microseconds. */
  sentAtUs(end: Seq): number {
    const mask = this.#edge.length - 1;
    let low = 0;
    let high = this.#sentRuns - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (seqBefore(asSeq(this.#edge[(this.#first + middle) & mask]!), end)) low = middle + 1;
      else high = middle;
    }
    return high < 0 ? this.#times[NOW]! : this.#sentAt[(this.#first + low) & mask]!;
  }

  /** [left, right) is sent again. Only while {@link hasRoom}. */
  resent(left: Seq, right: Seq, nowUs: number): void {
    this.#removeResent(left, right);
    const at = this.#firstResentBeyond(left);
    this.#resentBytes += seqDiff(right, left);
    if (at > 0 && this.#right[at - 1]! === left && this.#resentAt[at - 1] === nowUs && this.#isLost[at - 1] === 0) {
      this.#right[at - 1] = right;
    } else this.#insertResent(at, left, right, nowUs, 0);
    if (seqAtOrBefore(left, this.#resumeAt) && seqBefore(this.#resumeAt, right)) this.#resumeAt = right;
  }

  /** Whether another retransmission can be remembered; when not, none is made. */
  get hasRoom(): boolean {
    return this.#resentRuns + 2 <= RESENT_RUNS_MAX;
  }

  /**
   * The former runner of the connection sent [una, sndMax), nobody knows when: as if just before now, for its arrival must not make
   * anything look lost that is sent from now on. `isInRecovery`: and some of it more than once, so that none of it tells of reordering.
   */
  adopt(una: Seq, sndMax: Seq, isInRecovery: boolean, nowUs: number): void {
    this.reset(una);
    this.sent(sndMax, nowUs - 1);
    if (isInRecovery) this.#insertResent(0, una, sndMax, nowUs - 1, 1);
  }

  /** The retransmission timer expired, or everything is to be sent again for another reason: what was sent again is lost too. */
  onTimeout(): void {
    this.#isLost.fill(1, 0, this.#resentRuns);
    this.#resentBytes = 0;
  }

  /** A timeout was in vain: an ACK that seemed to answer what was sent again answers what was sent before. */
  onTimeoutUndone(una: Seq): void {
    this.#forgetLosses(una);
  }

  /** An ACK is about to be taken in. `highest`: one beyond the highest number delivered so far (RACK.fack). */
  beginAck(nowUs: number, minRttUs: number, highest: Seq): void {
    this.#times[NOW] = nowUs;
    this.#times[MIN_RTT] = minRttUs;
    this.#highest = highest;
    this.deliveredBytes = 0;
    this.hasReordering = false;
  }

  /**
   * The ACK delivered [left, right), not known to be delivered before. RFC 8985 6.2 steps 2 and 3: RACK's newest delivery, unless a
   * retransmission was answered faster than any path could (then its first transmission was meant), and reordering.
   */
  delivered(left: Seq, right: Seq): void {
    this.deliveredBytes += seqDiff(right, left);
    if (this.#resentRuns === 0) {
      this.#deliveredFirst(right);
      return;
    }
    let from = left;
    for (let i = this.#firstResentBeyond(left); i < this.#resentRuns; i++) {
      const runLeft = asSeq(this.#left[i]!);
      if (!seqBefore(runLeft, right)) break;
      if (seqBefore(from, runLeft)) this.#deliveredFirst(runLeft);
      from = seqMin(asSeq(this.#right[i]!), right);
      if (this.#times[NOW]! - this.#resentAt[i]! >= this.#times[MIN_RTT]!) this.#advance(this.#resentAt[i]!, from);
    }
    if (seqBefore(from, right)) this.#deliveredFirst(right);
    this.#removeResent(left, right);
  }

  /** Text that ends at `end` and was sent once was delivered. */
  #deliveredFirst(end: Seq): void {
    if (seqBefore(end, this.#highest)) this.hasReordering = true;
    this.#advance(this.sentAtUs(end), end);
  }

  /** RACK_sent_after: later, or at the same moment behind it. */
  #advance(atUs: number, end: Seq): void {
    const rackAtUs = this.#times[RACK_AT]!;
    if (atUs < rackAtUs || (atUs === rackAtUs && !seqBefore(this.#rackEnd, end))) return;
    this.#times[RACK_AT] = atUs;
    this.#times[RACK_RTT] = this.#times[NOW]! - atUs;
    this.#rackEnd = end;
  }

  /**
   * Marks as lost what was sent so long before the newest delivery that it should have come: by RACK.rtt + `reoWndUs`. Answers after
   * how many microseconds the rest of what was sent before that delivery will be overdue; 0: nothing is. RFC 8985 6.2 step 5.
   */
  detectLoss(scoreboard: SackScoreboard | null, reoWndUs: number, nowUs: number): number {
    const rackAtUs = this.#times[RACK_AT]!;
    if (rackAtUs === NOTHING_DELIVERED) return 0;
    const dueUs = nowUs - this.#times[RACK_RTT]! - reoWndUs;
    let waitUs = 0;
    this.#lostEdge = seqMax(this.#lostEdge, this.#sentUpTo(Math.min(dueUs, rackAtUs)));
    if (dueUs < rackAtUs) {
      // What was sent up to the newest delivery and is not due yet: the latest of it tells how long to wait.
      const edge = this.#sentUpTo(rackAtUs);
      const open = seqDiff(edge, this.#lostEdge);
      if (open > 0 && open > (scoreboard?.sackedWithin(this.#lostEdge, edge) ?? 0)) {
        waitUs = this.sentAtUs(edge) - dueUs;
      }
    }
    for (let i = 0; i < this.#resentRuns; i++) {
      if (this.#isLost[i] === 1) continue;
      const atUs = this.#resentAt[i]!;
      if (atUs > rackAtUs) continue;
      if (atUs === rackAtUs && !seqBefore(asSeq(this.#right[i]!), this.#rackEnd)) continue;
      if (atUs <= dueUs) this.#loseResent(i);
      else waitUs = Math.max(waitUs, atUs - dueUs);
    }
    return Math.min(WAIT_MAX_US, Math.ceil(waitUs)) | 0;
  }

  /** Everything below `edge` that is not SACKed counts as lost, when it was sent first. */
  loseBelow(edge: Seq): void {
    this.#lostEdge = seqMax(this.#lostEdge, edge);
  }

  /** One beyond the last byte sent first at `atUs` or before; at RACK's own moment only what was sent before RACK.end_seq. */
  #sentUpTo(atUs: number): Seq {
    const mask = this.#edge.length - 1;
    let low = 0;
    let high = this.#sentRuns;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#sentAt[(this.#first + middle) & mask]! <= atUs) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return this.#lostEdge;
    const run = (this.#first + low - 1) & mask;
    const edge = asSeq(this.#edge[run]!);
    return this.#sentAt[run] === this.#times[RACK_AT]
      ? seqMin(edge, seqMax(this.#rackEnd, this.#startOf(low - 1)))
      : edge;
  }

  /** Where run `i` of the first transmissions begins, as far as that matters: not before the lost edge. */
  #startOf(i: number): Seq {
    if (i === 0) return this.#lostEdge;
    return asSeq(this.#edge[(this.#first + i - 1) & (this.#edge.length - 1)]!);
  }

  #loseResent(i: number): void {
    this.#isLost[i] = 1;
    const left = asSeq(this.#left[i]!);
    this.#resentBytes -= seqDiff(asSeq(this.#right[i]!), left);
    this.#resumeAt = seqMin(this.#resumeAt, left);
  }

  /** Whether something lost waits to be sent again; fills {@link nextLeft} and {@link nextLength} with the lowest of it. */
  nextLost(una: Seq, scoreboard: SackScoreboard | null, maxBytes: number): boolean {
    let from = seqMax(this.#resumeAt, una);
    for (;;) {
      if (scoreboard !== null) from = scoreboard.skipSacked(from);
      if (!seqBefore(from, this.#lostEdge)) break;
      const i = this.#firstResentBeyond(from);
      let end = this.#lostEdge;
      if (i < this.#resentRuns && this.#isLost[i] === 0 && seqAtOrBefore(asSeq(this.#left[i]!), from)) {
        from = asSeq(this.#right[i]!);
        continue;
      }
      if (scoreboard !== null) end = seqMin(end, scoreboard.nextSackedAfter(from, end));
      this.#resumeAt = from;
      this.nextLeft = from;
      this.nextLength = Math.min(maxBytes, this.#untilInFlight(from, end));
      return true;
    }
    this.#resumeAt = seqMax(this.#resumeAt, seqMin(from, this.#lostEdge));
    return false;
  }

  /** Bytes from `from` up to the next retransmission that is in flight, or up to `end`. */
  #untilInFlight(from: Seq, end: Seq): number {
    for (let i = this.#firstResentBeyond(from); i < this.#resentRuns; i++) {
      const left = asSeq(this.#left[i]!);
      if (!seqBefore(left, end)) break;
      if (this.#isLost[i] === 0) return seqDiff(left, from);
    }
    return seqDiff(end, from);
  }

  #firstResentBeyond(seq: Seq): number {
    let low = 0;
    let high = this.#resentRuns;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (seqAtOrBefore(asSeq(this.#right[middle]!), seq)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Takes [left, right) out of the retransmissions. */
  #removeResent(left: Seq, right: Seq): void {
    let i = this.#firstResentBeyond(left);
    if (i === this.#resentRuns || !seqBefore(asSeq(this.#left[i]!), right)) return;
    const runLeft = asSeq(this.#left[i]!);
    const runRight = asSeq(this.#right[i]!);
    if (seqBefore(runLeft, left)) {
      // The front of this run stays; if its end does too, that becomes a run of its own.
      this.#uncount(i, left, seqMin(right, runRight));
      this.#right[i] = left;
      if (seqBefore(right, runRight)) {
        if (this.#resentRuns < RESENT_RUNS_MAX) {
          this.#insertResent(i + 1, right, runRight, this.#resentAt[i]!, this.#isLost[i]!);
        } else this.#uncount(i, right, runRight);
        return;
      }
      i++;
    }
    const from = i;
    while (i < this.#resentRuns && seqAtOrBefore(asSeq(this.#right[i]!), right)) {
      this.#uncount(i, asSeq(this.#left[i]!), asSeq(this.#right[i]!));
      i++;
    }
    if (i < this.#resentRuns && seqBefore(asSeq(this.#left[i]!), right)) {
      this.#uncount(i, asSeq(this.#left[i]!), right);
      this.#left[i] = right;
    }
    if (i === from) return;
    this.#left.copyWithin(from, i, this.#resentRuns);
    this.#right.copyWithin(from, i, this.#resentRuns);
    this.#resentAt.copyWithin(from, i, this.#resentRuns);
    this.#isLost.copyWithin(from, i, this.#resentRuns);
    this.#resentRuns -= i - from;
  }

  /** [left, right) of run `i` is no longer in flight as a retransmission. */
  #uncount(i: number, left: Seq, right: Seq): void {
    if (this.#isLost[i] === 0) this.#resentBytes -= seqDiff(right, left);
  }

  #insertResent(at: number, left: Seq, right: Seq, atUs: number, isLost: number): void {
    if (this.#resentRuns === this.#left.length) this.#growResent();
    const next = at + 1;
    this.#left.copyWithin(next, at, this.#resentRuns);
    this.#right.copyWithin(next, at, this.#resentRuns);
    this.#resentAt.copyWithin(next, at, this.#resentRuns);
    this.#isLost.copyWithin(next, at, this.#resentRuns);
    this.#left[at] = left;
    this.#right[at] = right;
    this.#resentAt[at] = atUs;
    this.#isLost[at] = isLost;
    this.#resentRuns++;
  }

  #growSent(): void {
    const old = this.#edge.length;
    const edge = new Int32Array(old * 2);
    const sentAt = new Float64Array(old * 2);
    for (let i = 0; i < this.#sentRuns; i++) {
      const from = (this.#first + i) & (old - 1);
      edge[i] = this.#edge[from]!;
      sentAt[i] = this.#sentAt[from]!;
    }
    this.#edge = edge;
    this.#sentAt = sentAt;
    this.#first = 0;
  }

  #growResent(): void {
    const length = this.#left.length * 2;
    const left = new Int32Array(length);
    const right = new Int32Array(length);
    const resentAt = new Float64Array(length);
    const isLost = new Uint8Array(length);
    left.set(this.#left);
    right.set(this.#right);
    resentAt.set(this.#resentAt);
    isLost.set(this.#isLost);
    this.#left = left;
    this.#right = right;
    this.#resentAt = resentAt;
    this.#isLost = isLost;
  }
}
