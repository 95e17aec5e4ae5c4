/**
 * One direction of a wire that treats what passes badly, by a seed: loss, duplication, corruption, reordering, delay, a rate.
 *
 * Promises: deterministic for a random source and a runtime; order is kept except where reordering is asked for; what is on its
 * way is bounded in bytes; nothing is allocated per frame. A perfect line hands frames over in one batch a turn.
 * Leaves to others: what frames mean, and what stands at either end.
 */

import { FrameQueue } from './frame-queue.ts';
import { ANY, checkOptions, type Expectations } from './options.ts';
import type { SeededRandom } from './random.ts';
import type { Runtime, Timer } from './runtime.ts';

/** How one direction of a wire treats frames. All parts are optional; the default is a perfect wire without delay. */
export interface Impairment {
  /** Probability that a frame is lost; 0 to 1. */
  readonly loss?: number;
  /** Probability that a frame is delivered twice. */
  readonly duplicate?: number;
  /** Probability that one bit of a frame is flipped. */
  readonly corrupt?: number;
  /** Probability that a frame is held back by {@link reorderDelayUs}, so that later ones overtake it. */
  readonly reorder?: number;
  readonly reorderDelayUs?: number;
  /** One-way delay, microseconds. */
  readonly delayUs?: number;
  /** Up to so much more delay, uniformly distributed, microseconds. Order is kept. */
  readonly jitterUs?: number;
  /** Bits per second; absent: no limit. */
  readonly rateBps?: number;
}

/** What an impairment consists of. */
const PARTS: Expectations = Object.fromEntries(
  ['loss', 'duplicate', 'corrupt', 'reorder', 'reorderDelayUs', 'delayUs', 'jitterUs', 'rateBps'].map((part) => [
    part,
    ANY,
  ]),
);

/** Throws RangeError on an impairment out of range, and OptionError on a part that there is not. */
export function checkImpairment(impairment: Impairment): void {
  checkOptions('impairment', impairment, PARTS);
  for (const key of ['loss', 'duplicate', 'corrupt', 'reorder'] as const) {
    const value = impairment[key];
    if (value !== undefined && !(value >= 0 && value <= 1))
      throw new RangeError(`${key}: expected 0 to 1, got ${value}`);
  }
  for (const key of ['reorderDelayUs', 'delayUs', 'jitterUs'] as const) {
    const value = impairment[key];
    if (value !== undefined && !(value >= 0)) throw new RangeError(`${key}: expected microseconds >= 0, got ${value}`);
  }
  if (impairment.rateBps !== undefined && !(impairment.rateBps > 0)) {
    throw new RangeError(`rateBps: expected bits per second > 0, got ${impairment.rateBps}`);
  }
}

const REORDER_DELAY_US_DEFAULT = 5_000;

/** Whether an impairment changes nothing at all. */
export function isPerfect(impairment: Impairment): boolean {
  const { loss = 0, duplicate = 0, corrupt = 0, reorder = 0, delayUs = 0, jitterUs = 0, rateBps } = impairment;
  return loss + duplicate + corrupt + reorder + delayUs + jitterUs === 0 && rateBps === undefined;
}

/** What stands at the ends of a line. */
export interface LineEnds {
  /** A frame has come through; borrowed for the call. */
  deliver(bytes: Uint8Array, length: number, segmentBytes: number): void;
  /** Nothing more for now, after one or more frames. */
  delivered(): void;
  /** A frame was lost on purpose. */
  lost(): void;
  /** There is room again after {@link ImpairedLine.offer} answered false. */
  roomAgain(): void;
}

export interface LineOptions {
  readonly runtime: Runtime;
  readonly random: SeededRandom;
  readonly impairment: Impairment;
  /** Longest frame, bytes. */
  readonly frameBytes: number;
  /** Bytes that may be on their way; one frame is always taken. */
  readonly queueBytes: number;
}

/** One direction of a wire. */
export class ImpairedLine {
  readonly #runtime: Runtime;
  readonly #random: SeededRandom;
  readonly #queueBytes: number;
  readonly #queue: FrameQueue;
  readonly #ends: LineEnds;
  readonly #timer: Timer;
  readonly #deliver: () => void;
  #impairment: Impairment;
  #lineFreeUs = 0;
  #lastDueUs = 0;
  #isScheduled = false;
  #refused = false;

  constructor(options: LineOptions, ends: LineEnds) {
    this.#runtime = options.runtime;
    this.#random = options.random;
    this.#impairment = options.impairment;
    this.#queueBytes = options.queueBytes;
    this.#queue = new FrameQueue(options.frameBytes);
    this.#ends = ends;
    this.#deliver = () => this.#deliverDue();
    this.#timer = options.runtime.timer(this.#deliver);
  }

  /** Frames on their way. */
  get framesInFlight(): number {
    return this.#queue.count;
  }

  get impairment(): Impairment {
    return this.#impairment;
  }

  /** Treats frames otherwise from now on; those on their way arrive when they would have. */
  set impairment(impairment: Impairment) {
    this.#impairment = impairment;
  }

  /**
   * Takes a frame, borrowed for the call; `segmentBytes` is what it leaves to the device to cut, 0 of a complete one. False: the
   * line is full and it was not taken; `roomAgain` follows.
   */
  offer(bytes: Uint8Array, at: number, length: number, segmentBytes = 0): boolean {
    if (this.#queue.count > 0 && this.#queue.bytes + length > this.#queueBytes) {
      this.#refused = true;
      return false;
    }
    const { loss = 0, duplicate = 0 } = this.#impairment;
    const dueUs = this.#dueFor(length);
    if (loss > 0 && this.#random.nextFloat() < loss) this.#ends.lost();
    else {
      this.#enqueue(bytes, at, length, dueUs, segmentBytes);
      if (duplicate > 0 && this.#random.nextFloat() < duplicate) this.#enqueue(bytes, at, length, dueUs, segmentBytes);
    }
    this.#schedule();
    return true;
  }

  /** Loses everything that is on its way. */
  clear(): void {
    this.#timer.disarm();
    while (this.#queue.count > 0) this.#queue.recycle(this.#queue.shift());
  }

  #dueFor(length: number): number {
    const {
      delayUs = 0,
      jitterUs = 0,
      rateBps,
      reorder = 0,
      reorderDelayUs = REORDER_DELAY_US_DEFAULT,
    } = this.#impairment;
    const isPrompt = delayUs === 0 && jitterUs === 0 && rateBps === undefined && reorder === 0;
    // Nothing overtakes what was put on the line when it was slower.
    if (isPrompt && (this.#queue.count === 0 || this.#lastDueUs === 0)) return 0;
    const nowUs = this.#runtime.nowUs();
    let sentUs = nowUs;
    if (rateBps !== undefined) {
      // The line is busy with earlier frames; this one follows them.
      sentUs = Math.max(nowUs, this.#lineFreeUs) + (length * 8_000_000) / rateBps;
      this.#lineFreeUs = sentUs;
    }
    let dueUs = sentUs + delayUs + (jitterUs > 0 ? this.#random.nextFloat() * jitterUs : 0);
    dueUs = Math.ceil(Math.max(dueUs, this.#lastDueUs));
    this.#lastDueUs = dueUs;
    if (reorder > 0 && this.#random.nextFloat() < reorder) dueUs += reorderDelayUs;
    return dueUs;
  }

  #enqueue(bytes: Uint8Array, at: number, length: number, dueUs: number, segmentBytes: number): void {
    const { corrupt = 0 } = this.#impairment;
    const isCorrupted = corrupt > 0 && this.#random.nextFloat() < corrupt;
    if (isCorrupted && segmentBytes > 0) {
      // Its checksum is not computed yet, so nothing would tell: it is lost instead.
      this.#ends.lost();
      return;
    }
    const copy = this.#queue.push(bytes, at, length, dueUs, segmentBytes);
    if (isCorrupted) {
      const bit = this.#random.nextUint32() % (length * 8);
      copy[bit >> 3] = copy[bit >> 3]! ^ (1 << (bit & 7));
    }
  }

  #schedule(): void {
    if (this.#queue.count === 0) return;
    const dueUs = this.#queue.soonestUs;
    if (dueUs === 0) {
      if (this.#isScheduled) return;
      this.#isScheduled = true;
      this.#runtime.defer(this.#deliver);
    } else if (dueUs < this.#timer.atUs) this.#timer.arm(dueUs);
  }

  #deliverDue(): void {
    this.#isScheduled = false;
    const nowUs = this.#runtime.nowUs();
    let delivered = 0;
    while (this.#queue.count > 0 && this.#queue.soonestUs <= nowUs) {
      const frame = this.#queue.shift();
      this.#ends.deliver(frame, this.#queue.lastLength, this.#queue.lastSegmentBytes);
      this.#queue.recycle(frame);
      delivered++;
      if (delivered === BATCH_FRAMES) break;
    }
    if (delivered > 0) this.#ends.delivered();
    this.#schedule();
    if (this.#refused && this.#queue.bytes <= this.#queueBytes / 2) {
      this.#refused = false;
      this.#ends.roomAgain();
    }
  }
}

/** Frames handed over before the other end may answer: enough to batch ACKs, few enough to keep both ends in cache. */
const BATCH_FRAMES = 64;
