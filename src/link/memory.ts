/**
 * A wire in memory: two ends, with seeded loss, reordering, duplication, delay, corruption and a rate.
 *
 * Promises: deterministic for a seed and a runtime; frames are copied into a reused ring, so nothing is allocated per frame
 * once it has grown; each direction's queue is bounded in bytes and frames. A perfect wire without delay hands frames over in
 * one batch per turn. Leaves to others: what frames mean.
 */

import { assert } from '../base/assert.ts';
import { SeededRandom } from '../base/random.ts';
import type { RandomSource, Runtime, Timer } from '../base/runtime.ts';
import { Event } from '../trace/events.ts';
import type { Trace } from '../trace/trace.ts';
import type { Link, LinkReceiver, Medium } from './link.ts';

/** How one direction of the wire treats frames. All parts are optional; the default is a perfect wire without delay. */
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

/** Options of a wire. */
export interface MemoryLinkOptions {
  readonly runtime: Runtime;
  readonly medium?: Medium;
  /** Bytes of IP packet; 576 to 65535. Default 1500. */
  readonly mtu?: number;
  /**
   * Largest super-segment the wire carries as one frame, as two virtual machines on one host pass them; at most 65535. Absent: none,
   * every frame is complete. What is corrupted is lost then, as no checksum would tell.
   */
  readonly largeSendBytes?: number;
  /** Names of the two ends, for traces. */
  readonly names?: readonly [string, string];
  /** Impairment of both directions, or of [a to b, b to a]. */
  readonly impairment?: Impairment | readonly [Impairment, Impairment];
  /** Seed of the impairments. */
  readonly seed?: number | string;
  /** Bytes a direction may hold before `transmit` answers false. Default 4 MiB, at least one frame. */
  readonly queueBytes?: number;
  readonly trace?: Trace;
}

/** Both ends of a wire in memory. */
export interface MemoryLinkPair {
  readonly a: MemoryLink;
  readonly b: MemoryLink;
}

const QUEUE_BYTES_DEFAULT = 4 << 20;
const REORDER_DELAY_US_DEFAULT = 5_000;
const ETHERNET_HEADER_MAX = 18;

/** Makes a wire with two ends. Throws RangeError on options out of range. */
export function memoryLinkPair(options: MemoryLinkOptions): MemoryLinkPair {
  const mtu = options.mtu ?? 1500;
  if (!Number.isInteger(mtu) || mtu < 68 || mtu > 65535) throw new RangeError(`mtu: expected 68 to 65535, got ${mtu}`);
  const large = options.largeSendBytes ?? mtu;
  if (!Number.isInteger(large) || large < mtu || large > 65535) {
    throw new RangeError(`largeSendBytes: expected ${mtu} (the MTU) to 65535, got ${large}`);
  }
  const both = options.impairment ?? {};
  const [toB, toA] = isPair(both) ? both : [both, both];
  checkImpairment(toB);
  checkImpairment(toA);
  const random = new SeededRandom(options.seed ?? 1);
  const [nameA, nameB] = options.names ?? ['memory-a', 'memory-b'];
  const a = new MemoryLink(nameA, options, mtu, toB, random);
  const b = new MemoryLink(nameB, options, mtu, toA, random);
  a.join(b);
  b.join(a);
  return { a, b };
}

function isPair(value: Impairment | readonly [Impairment, Impairment]): value is readonly [Impairment, Impairment] {
  return Array.isArray(value);
}

function checkImpairment(impairment: Impairment): void {
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

/** Frames on their way in one direction: a ring of bytes and a heap-free list kept in order of arrival. */
class FrameQueue {
  readonly #slots: Uint8Array[] = [];
  readonly #free: Uint8Array[] = [];
  #lengths: Int32Array = new Int32Array(64);
  #dueUs: Float64Array = new Float64Array(64);
  #segmentBytes: Int32Array = new Int32Array(64);
  #head = 0;
  #count = 0;
  bytes = 0;
  readonly #slotBytes: number;

  constructor(slotBytes: number) {
    this.#slotBytes = slotBytes;
    this.#slots.length = 64;
  }

  get count(): number {
    return this.#count;
  }

  get soonestUs(): number {
    return this.#dueUs[this.#head]!;
  }

  /** Puts a frame in at its due time; frames with one due time keep their order. Answers the stored copy. */
  push(frame: Uint8Array, at: number, length: number, dueUs: number, segmentBytes: number): Uint8Array {
    if (this.#count === this.#slots.length) this.#grow();
    const mask = this.#slots.length - 1;
    let place = this.#count;
    // Almost always the last; an overtaken frame moves the later ones by one place.
    while (place > 0 && this.#dueUs[(this.#head + place - 1) & mask]! > dueUs) {
      const from = (this.#head + place - 1) & mask;
      const to = (this.#head + place) & mask;
      this.#slots[to] = this.#slots[from]!;
      this.#lengths[to] = this.#lengths[from]!;
      this.#dueUs[to] = this.#dueUs[from]!;
      this.#segmentBytes[to] = this.#segmentBytes[from]!;
      place--;
    }
    const index = (this.#head + place) & mask;
    const slot = this.#slotFor(length);
    if (at === 0 && length === frame.length) slot.set(frame);
    else slot.set(frame.subarray(at, at + length));
    this.#slots[index] = slot;
    this.#lengths[index] = length;
    this.#dueUs[index] = dueUs;
    this.#segmentBytes[index] = segmentBytes;
    this.#count++;
    this.bytes += length;
    return slot;
  }

  /** Takes the first frame out; its bytes stay valid until {@link recycle}. */
  shift(): Uint8Array {
    const slot = this.#slots[this.#head]!;
    this.#slots[this.#head] = NO_SLOT; // whether the slot is kept is the pools' affair
    this.lastLength = this.#lengths[this.#head]!;
    this.lastSegmentBytes = this.#segmentBytes[this.#head]!;
    this.bytes -= this.lastLength;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#count--;
    return slot;
  }

  /** Length of the frame last taken out, bytes. */
  lastLength = 0;
  /** What the frame last taken out leaves to the device. */
  lastSegmentBytes = 0;

  recycle(slot: Uint8Array): void {
    const pool = slot.length === this.#slotBytes ? this.#free : this.#small;
    // A burst must not leave its memory behind for ever.
    if (pool.length * slot.length < POOL_BYTES) pool.push(slot);
  }

  // Small frames (pure ACKs) do not take a slot of a whole MTU.
  readonly #small: Uint8Array[] = [];

  #slotFor(length: number): Uint8Array {
    if (length <= SMALL_SLOT) return this.#small.pop() ?? new Uint8Array(SMALL_SLOT);
    return this.#free.pop() ?? new Uint8Array(this.#slotBytes);
  }

  #grow(): void {
    const old = this.#slots.length;
    const slots: Uint8Array[] = new Array(old * 2);
    const lengths = new Int32Array(old * 2);
    const dueUs = new Float64Array(old * 2);
    const segmentBytes = new Int32Array(old * 2);
    for (let i = 0; i < this.#count; i++) {
      const from = (this.#head + i) & (old - 1);
      slots[i] = this.#slots[from]!;
      lengths[i] = this.#lengths[from]!;
      dueUs[i] = this.#dueUs[from]!;
      segmentBytes[i] = this.#segmentBytes[from]!;
    }
    this.#slots.length = 0;
    for (const slot of slots) this.#slots.push(slot);
    this.#lengths = lengths;
    this.#dueUs = dueUs;
    this.#segmentBytes = segmentBytes;
    this.#head = 0;
  }
}

const NO_SLOT: Uint8Array = new Uint8Array(0);
const SMALL_SLOT = 192;
/** Bytes of slots of one size that a direction keeps for the next frames. */
const POOL_BYTES = 1 << 20;

/** One end of a wire in memory. */
export class MemoryLink implements Link {
  readonly name: string;
  readonly medium: Medium;
  readonly mtu: number;
  readonly largeSendBytes: number;
  readonly #frameBytes: number;
  readonly #runtime: Runtime;
  readonly #random: SeededRandom;
  readonly #impairment: Impairment;
  readonly #trace: Trace | null;
  readonly #queueBytes: number;
  readonly #queue: FrameQueue;
  readonly #timer: Timer;
  readonly #deliver: () => void;
  #peer: MemoryLink | null = null;
  #receiver: LinkReceiver | null = null;
  #lineFreeUs = 0;
  #lastDueUs = 0;
  #isScheduled = false;
  #refused = false;
  #isUp = true;
  #isClosed = false;

  constructor(name: string, options: MemoryLinkOptions, mtu: number, impairment: Impairment, random: RandomSource) {
    this.name = name;
    this.medium = options.medium ?? 'ethernet';
    this.mtu = mtu;
    this.largeSendBytes = options.largeSendBytes ?? 0;
    this.#frameBytes = Math.max(mtu, this.largeSendBytes) + ETHERNET_HEADER_MAX;
    this.#runtime = options.runtime;
    this.#random = random as SeededRandom;
    this.#impairment = impairment;
    this.#trace = options.trace ?? null;
    this.#queueBytes = Math.max(options.queueBytes ?? QUEUE_BYTES_DEFAULT, this.#frameBytes);
    this.#queue = new FrameQueue(this.#frameBytes);
    this.#deliver = () => this.#deliverDue();
    this.#timer = options.runtime.timer(this.#deliver);
  }

  /** Connects this end to the other; done by {@link memoryLinkPair}. */
  join(peer: MemoryLink): void {
    assert(this.#peer === null, 'a link end is joined once');
    this.#peer = peer;
  }

  /** Frames on their way from this end to the other. */
  get framesInFlight(): number {
    return this.#queue.count;
  }

  start(receiver: LinkReceiver): void {
    assert(this.#receiver === null, 'a link is started once');
    this.#receiver = receiver;
  }

  /** Cuts or mends the wire, both directions; both ends are told. Frames on their way are lost when it is cut. */
  setUp(isUp: boolean): void {
    if (isUp === this.#isUp) return;
    this.#isUp = isUp;
    if (!isUp) while (this.#queue.count > 0) this.#queue.recycle(this.#queue.shift());
    this.#receiver?.linkState(isUp);
    this.#peer!.setUp(isUp);
  }

  transmit(bytes: Uint8Array, at: number, length: number, segmentBytes = 0): boolean {
    if (this.#isClosed || !this.#isUp) return true; // taken and lost, as on a dead wire
    if (length > (segmentBytes > 0 ? this.#frameBytes : this.mtu + ETHERNET_HEADER_MAX)) {
      this.#trace?.count(Event.LINK_FRAME_LOST);
      return true; // a giant: no wire carries it
    }
    if (this.#queue.count > 0 && this.#queue.bytes + length > this.#queueBytes) {
      this.#trace?.count(Event.LINK_QUEUE_FULL);
      this.#refused = true;
      return false;
    }
    const { loss = 0, duplicate = 0 } = this.#impairment;
    const dueUs = this.#dueFor(length);
    if (loss > 0 && this.#random.nextFloat() < loss) this.#trace?.count(Event.LINK_FRAME_LOST);
    else {
      this.#enqueue(bytes, at, length, dueUs, segmentBytes);
      if (duplicate > 0 && this.#random.nextFloat() < duplicate) this.#enqueue(bytes, at, length, dueUs, segmentBytes);
    }
    this.#schedule();
    return true;
  }

  close(): void {
    this.#isClosed = true;
    this.#timer.disarm();
    this.#receiver = null;
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
    if (delayUs === 0 && jitterUs === 0 && rateBps === undefined && reorder === 0) return 0;
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
      this.#trace?.count(Event.LINK_FRAME_LOST);
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
    const receiver = this.#peer === null ? null : this.#peer.#receiver;
    const nowUs = this.#runtime.nowUs();
    let delivered = 0;
    while (this.#queue.count > 0 && this.#queue.soonestUs <= nowUs) {
      const frame = this.#queue.shift();
      receiver?.receive(frame, 0, this.#queue.lastLength, this.#queue.lastSegmentBytes);
      this.#queue.recycle(frame);
      delivered++;
      if (delivered === BATCH_FRAMES) break;
    }
    if (delivered > 0) receiver?.receiveDone();
    this.#schedule();
    if (this.#refused && this.#queue.bytes <= this.#queueBytes / 2) {
      this.#refused = false;
      this.#receiver?.writable();
    }
  }
}

/** Frames handed over before the other end may answer: enough to batch ACKs, few enough to keep both ends in cache. */
const BATCH_FRAMES = 64;
