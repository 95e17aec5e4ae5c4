/**
 * A wire in memory: two ends, with seeded loss, reordering, duplication, delay, corruption and a rate.
 *
 * Promises: those of its two lines (base/impaired-line.ts): deterministic for a seed and a runtime, bounded, without allocation.
 * It can be cut and mended, and made narrower. Leaves to others: what frames mean.
 */

import { assert } from '../base/assert.ts';
import { checkImpairment, ImpairedLine, type Impairment } from '../base/impaired-line.ts';
import { ANY, checkNeeded, type Expectations, expectation } from '../base/options.ts';
import { SeededRandom } from '../base/random.ts';
import type { Runtime } from '../base/runtime.ts';
import { Event } from '../trace/events.ts';
import type { Trace } from '../trace/trace.ts';
import { type Link, type LinkReceiver, type Medium, WHOLE_FRAME } from './link.ts';
import { LINK_OPTIONS } from './link-options.ts';

export type { Impairment } from '../base/impaired-line.ts';

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
const ETHERNET_HEADER_MAX = 18;
/** IPv4 and UDP in front of what a super-segment is cut into. */
const HEADERS_LEAST = 28;

const { name: _none, ...COMMON } = LINK_OPTIONS;

/** Options of a wire; numbers are judged below. */
export const WIRE_OPTIONS: Expectations = {
  ...COMMON,
  largeSendBytes: ANY,
  names: expectation('an array of two names', (value) => Array.isArray(value) && value.length === 2),
  impairment: ANY,
  seed: ANY,
  queueBytes: ANY,
};

/** Makes a wire with two ends. Throws RangeError on options out of range, and OptionError on other wrong ones. */
export function memoryLinkPair(options: MemoryLinkOptions): MemoryLinkPair {
  checkNeeded('memoryLinkPair', options, WIRE_OPTIONS, 'runtime');
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

/** One end of a wire in memory. */
export class MemoryLink implements Link {
  readonly name: string;
  readonly medium: Medium;
  readonly mtu: number;
  readonly largeSendBytes: number;
  /** Super-segments cross as they are, whatever is in them. */
  readonly largeDatagrams: boolean;
  readonly #frameBytes: number;
  #mtuNow: number;
  readonly #trace: Trace | null;
  /** From this end to the other. */
  readonly #line: ImpairedLine;
  #peer: MemoryLink | null = null;
  #receiver: LinkReceiver | null = null;
  #isUp = true;
  #isRemoved = false;
  #isClosed = false;

  constructor(name: string, options: MemoryLinkOptions, mtu: number, impairment: Impairment, random: SeededRandom) {
    this.name = name;
    this.medium = options.medium ?? 'ethernet';
    this.mtu = mtu;
    this.#mtuNow = mtu;
    this.#trace = options.trace ?? null;
    this.largeSendBytes = options.largeSendBytes ?? 0;
    this.largeDatagrams = this.largeSendBytes > 0;
    const frameBytes = Math.max(mtu, this.largeSendBytes) + ETHERNET_HEADER_MAX;
    this.#frameBytes = frameBytes;
    const queueBytes = Math.max(options.queueBytes ?? QUEUE_BYTES_DEFAULT, frameBytes);
    this.#line = new ImpairedLine(
      { runtime: options.runtime, random, impairment, frameBytes, queueBytes },
      {
        deliver: (bytes, length, segmentBytes) => this.#receiverThere?.receive(bytes, 0, length, segmentBytes),
        delivered: () => this.#receiverThere?.receiveDone(),
        lost: () => this.#trace?.count(Event.LINK_FRAME_LOST),
        roomAgain: () => this.#receiver?.writable(),
      },
    );
  }

  /** Connects this end to the other; done by {@link memoryLinkPair}. */
  join(peer: MemoryLink): void {
    assert(this.#peer === null, 'a link end is joined once');
    this.#peer = peer;
  }

  /** Who receives at the other end; null: nobody (yet, or any more). */
  get #receiverThere(): LinkReceiver | null {
    return this.#peer === null ? null : this.#peer.#receiver;
  }

  /** Frames on their way from this end to the other. */
  get framesInFlight(): number {
    return this.#line.framesInFlight;
  }

  /** Whether the wire is whole. */
  get isUp(): boolean {
    return this.#isUp;
  }

  start(receiver: LinkReceiver): void {
    assert(this.#receiver === null, 'a link is started once: no two stacks have the same');
    this.#receiver = receiver;
  }

  /** Cuts or mends the wire, both directions; both ends are told. Frames on their way are lost when it is cut. */
  setUp(isUp: boolean): void {
    if (isUp === this.#isUp || this.#isRemoved || this.#peer!.#isRemoved) return;
    this.#isUp = isUp;
    if (!isUp) this.#line.clear();
    this.#receiver?.linkState(isUp);
    this.#peer!.setUp(isUp);
  }

  /** Both ends carry packets of `mtu` bytes from now on, {@link mtu} at most; longer ones are lost. Both are told. */
  setMtu(mtu: number): void {
    if (!Number.isInteger(mtu) || mtu < 68 || mtu > this.mtu) {
      throw new RangeError(`mtu: expected 68 to ${this.mtu} (that of the beginning), got ${mtu}`);
    }
    for (const end of [this, this.#peer!]) {
      end.#mtuNow = mtu;
      end.#receiver?.mtuChanged?.(mtu);
    }
  }

  /** This end is pulled out, as a NIC from its slot: its owner is told so, the other end loses its link. */
  remove(): void {
    if (this.#isRemoved || this.#isClosed) return;
    this.#isRemoved = true;
    this.#line.clear();
    this.#peer!.#cut();
    this.#receiver?.removed?.();
  }

  #cut(): void {
    if (!this.#isUp) return;
    this.#isUp = false;
    this.#line.clear();
    this.#receiver?.linkState(false);
  }

  transmit(bytes: Uint8Array, at: number, length: number, segmentBytes = 0): boolean {
    if (this.#isClosed || this.#isRemoved || !this.#isUp) return true; // taken and lost, as on a dead wire
    if (this.#isGiant(length, segmentBytes)) {
      this.#trace?.count(Event.LINK_FRAME_LOST);
      return true; // a giant: no wire carries it
    }
    if (this.#line.offer(bytes, at, length, segmentBytes)) return true;
    this.#trace?.count(Event.LINK_QUEUE_FULL);
    return false;
  }

  /** Whether a frame, or one of those that a super-segment stands for, is longer than the wire carries. */
  #isGiant(length: number, segmentBytes: number): boolean {
    if (segmentBytes === 0) return length > this.#mtuNow + ETHERNET_HEADER_MAX;
    const isSuper = segmentBytes !== WHOLE_FRAME;
    return length > this.#frameBytes || (isSuper && Math.min(length, segmentBytes) + HEADERS_LEAST > this.#mtuNow);
  }

  /** What it has sent before still arrives. */
  close(): void {
    this.#isClosed = true;
    this.#receiver = null;
  }
}
