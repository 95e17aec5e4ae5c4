/**
 * Receive-side scaling: several receive queues, each with a processor of its own, over one link.
 *
 * A frame goes to the queue that the indirection table names for its hash. For an offloaded connection that is the HashValue the
 * host supplied, and nothing is computed (RSS-003, RSS-004). Promises: a connection's frames are processed in the order in which
 * they came, also when the table changes between them: what was queued under an older table goes first (RSS-005, RSS-006).
 * Queues are bounded; a frame beyond is lost as on a wire. Without several queues this is not there at all.
 */

import { NdisStatus, type ReceiveScaleParameters } from '../../ndis/miniport.ts';
import { TcpWord } from '../../state/tcp.ts';
import { Event } from '../../trace/events.ts';
import { RSS_KEY_BYTES, Toeplitz } from '../../wire/toeplitz.ts';
import { FrameRing } from '../plain/frame-ring.ts';
import type { Engine } from './engine.ts';
import { lookAtFrame, receiveFrame } from './receive-path.ts';

/** Entries of the table at most. */
const TABLE_MAX = 128;
/** Frames that wait in one queue at most. */
const QUEUE_FRAMES = 1024;

/** Wakes the processor of a queue: is to call `drain` soon, and not from inside. */
export type WakeQueue = (queue: number, drain: () => void) => void;

class ReceiveQueue {
  readonly frames = new FrameRing(QUEUE_FRAMES);
  /** Under which table each frame was queued, by its number modulo the ring. */
  readonly tables: Int32Array = new Int32Array(QUEUE_FRAMES);
  pushed = 0;
  processed = 0;
  isAwake = false;

  get isEmpty(): boolean {
    return this.frames.count === 0;
  }

  get firstTable(): number {
    return this.tables[this.processed % QUEUE_FRAMES]!;
  }
}

/** The queues of one engine target. */
export class ReceiveScaling {
  readonly #engine: Engine;
  readonly #queues: ReceiveQueue[];
  readonly #wake: WakeQueue;
  readonly #afterBatch: () => void;
  #table: Uint8Array;
  #tableNumber = 0;
  #toeplitz: Toeplitz = new Toeplitz();
  #isDraining = false;

  /** `afterBatch`: a queue has been worked off; the end of a receive batch. */
  constructor(engine: Engine, queues: number, wake: WakeQueue | null, afterBatch: () => void) {
    this.#engine = engine;
    this.#queues = Array.from({ length: queues }, () => new ReceiveQueue());
    this.#wake = wake ?? ((_queue, drain) => engine.runtime.defer(drain));
    this.#afterBatch = afterBatch;
    this.#table = Uint8Array.from({ length: TABLE_MAX }, (_, i) => i % queues);
  }

  /** Frames that each queue has processed so far. */
  get processed(): number[] {
    return this.#queues.map((queue) => queue.processed);
  }

  /** OID_GEN_RECEIVE_SCALE_PARAMETERS, set: another indirection table, another key. Frames queued before keep their place. */
  set(information: unknown): number {
    if (!this.#areParameters(information)) return NdisStatus.INVALID_PARAMETER;
    this.#table = information.indirectionTable.slice();
    this.#toeplitz = new Toeplitz(information.hashSecretKey.slice());
    this.#tableNumber++;
    return NdisStatus.SUCCESS;
  }

  #areParameters(value: unknown): value is ReceiveScaleParameters {
    if (typeof value !== 'object' || value === null) return false;
    const { indirectionTable, hashSecretKey } = value as ReceiveScaleParameters;
    if (!(indirectionTable instanceof Uint8Array) || !(hashSecretKey instanceof Uint8Array)) return false;
    const size = indirectionTable.length;
    const isPower = size > 0 && size <= TABLE_MAX && (size & (size - 1)) === 0;
    return isPower && hashSecretKey.length === RSS_KEY_BYTES && indirectionTable.every((q) => q < this.#queues.length);
  }

  /** A frame from the link: copied into its queue, whose processor is woken. */
  receive(bytes: Uint8Array, at: number, length: number, segmentBytes: number): void {
    const number = this.#table[this.#hashOf(bytes, at, length) & (this.#table.length - 1)]!;
    const queue = this.#queues[number]!;
    if (!queue.frames.push(bytes, at, length, segmentBytes, null)) {
      this.#engine.trace.count(Event.TARGET_QUEUE_FULL);
      return;
    }
    queue.tables[queue.pushed++ % QUEUE_FRAMES] = this.#tableNumber;
    this.#wakeUp(queue, number);
  }

  #wakeUp(queue: ReceiveQueue, number: number): void {
    if (queue.isAwake) return;
    queue.isAwake = true;
    this.#wake(number, () => this.#drain(queue, number));
  }

  #hashOf(bytes: Uint8Array, at: number, length: number): number {
    const look = lookAtFrame(this.#engine, bytes, at, length);
    if (look.connection !== null) return look.connection.tcp.words[look.connection.tcp.base + TcpWord.HASH_VALUE]!;
    if (look.addressBytes === 0) return 0;
    const hash = this.#toeplitz.begin().add(bytes, look.addressesAt, 2 * look.addressBytes);
    if (look.hasPorts) hash.addPort(look.srcPort).addPort(look.dstPort);
    return hash.end();
  }

  #drain(queue: ReceiveQueue, number: number): void {
    queue.isAwake = false;
    if (this.#engine.isHalted) return;
    if (this.#isDraining) {
      // The one that is at it was called from inside: another time.
      this.#wakeUp(queue, number);
      return;
    }
    this.#isDraining = true;
    try {
      while (!queue.isEmpty) {
        const table = queue.firstTable;
        // RSS-006: whatever was queued under an older table, wherever, comes before it.
        for (const other of this.#queues) while (!other.isEmpty && other.firstTable < table) this.#process(other);
        this.#process(queue);
      }
    } finally {
      this.#isDraining = false;
    }
    this.#afterBatch();
  }

  #process(queue: ReceiveQueue): void {
    const { frames } = queue;
    receiveFrame(this.#engine, frames.first, 0, frames.firstLength, frames.firstSegmentBytes);
    frames.shift();
    queue.processed++;
  }
}
