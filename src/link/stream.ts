/**
 * A link over a byte stream: frames with a 4-byte big-endian length in front, as QEMU's `-netdev stream` speaks it.
 *
 * Promises: takes chunks in any cut; a length of zero or beyond the largest frame is the end of the stream's sense, so the
 * link goes down and says why, and nothing else is disturbed. The carrier (a socket, a pipe) stays outside: whoever has one
 * feeds `push` and provides `write`. Frames are copied once, into the chunk that is written.
 */

import { assert } from '../base/assert.ts';
import { checkNeeded, type Expectations, FUNCTION, having } from '../base/options.ts';
import type { Runtime } from '../base/runtime.ts';
import type { Link, LinkReceiver, Medium } from './link.ts';
import { LINK_OPTIONS } from './link-options.ts';

/** What carries the bytes. */
export interface StreamCarrier {
  /** Sends bytes, which are the carrier's from now on. False: stop until `drained` is called; the bytes were taken all the same. */
  write(bytes: Uint8Array): boolean;
  /** Ends the stream. */
  end(): void;
}

export interface StreamLinkOptions {
  readonly runtime: Runtime;
  readonly name?: string;
  readonly medium?: Medium;
  /** Bytes of IP packet, default 1500. */
  readonly mtu?: number;
  readonly carrier: StreamCarrier;
  /** Told once, when the stream stopped making sense or the carrier ended. */
  readonly onClosed?: (why: string) => void;
}

const OPTIONS: Expectations = {
  ...LINK_OPTIONS,
  carrier: having('an object with write and end', 'write', 'end'),
  onClosed: FUNCTION,
};

const LENGTH_BYTES = 4;
const ETHERNET_HEADER_MAX = 18;
/** Frames gathered into one write; a batch leaves at the end of the turn or when it is full. */
const BATCH_BYTES = 65536;

/** A {@link Link} over a byte stream. */
export class StreamLink implements Link {
  readonly name: string;
  readonly medium: Medium;
  readonly mtu: number;
  readonly #options: StreamLinkOptions;
  readonly #frameMax: number;
  #receiver: LinkReceiver | null = null;
  // Receiving: a frame (or its length) cut by the end of a chunk is collected here.
  readonly #partial: Uint8Array;
  #partialLength = 0;
  // Sending.
  #batch: Uint8Array;
  #batchLength = 0;
  #isFlushDeferred = false;
  #isBlocked = false;
  #hasRefused = false;
  #isClosed = false;
  readonly #flush: () => void;

  constructor(options: StreamLinkOptions) {
    checkNeeded('StreamLink', options, OPTIONS, 'runtime', 'carrier');
    this.#options = options;
    this.name = options.name ?? 'stream';
    this.medium = options.medium ?? 'ethernet';
    this.mtu = options.mtu ?? 1500;
    if (!Number.isInteger(this.mtu) || this.mtu < 68 || this.mtu > 65535) {
      throw new RangeError(`mtu: expected 68 to 65535, got ${this.mtu}`);
    }
    this.#frameMax = this.mtu + ETHERNET_HEADER_MAX;
    this.#partial = new Uint8Array(LENGTH_BYTES + this.#frameMax);
    this.#batch = new Uint8Array(BATCH_BYTES + LENGTH_BYTES + this.#frameMax);
    this.#flush = () => this.#flushBatch();
  }

  start(receiver: LinkReceiver): void {
    assert(this.#receiver === null, 'a link is started once: no two stacks have the same');
    this.#receiver = receiver;
  }

  transmit(bytes: Uint8Array, at: number, length: number): boolean {
    if (this.#isClosed) return true;
    if (this.#isBlocked) {
      this.#hasRefused = true;
      return false;
    }
    if (length > this.#frameMax) return true; // a giant: the other side would close the stream
    const batch = this.#batch;
    let to = this.#batchLength;
    batch[to++] = length >>> 24;
    batch[to++] = length >>> 16;
    batch[to++] = length >>> 8;
    batch[to++] = length;
    batch.set(bytes.subarray(at, at + length), to);
    this.#batchLength = to + length;
    if (this.#batchLength >= BATCH_BYTES) this.#flushBatch();
    else if (!this.#isFlushDeferred) {
      this.#isFlushDeferred = true;
      this.#options.runtime.defer(this.#flush);
    }
    return true;
  }

  /** Bytes have come in on the carrier; borrowed for the call. */
  push(chunk: Uint8Array): void {
    let at = 0;
    let frames = 0;
    while (!this.#isClosed && at < chunk.length) {
      if (this.#partialLength === 0 && chunk.length - at >= LENGTH_BYTES) {
        // The common case: a whole frame inside the chunk, handed on where it lies.
        const length = lengthAt(chunk, at);
        if (!this.#isLengthSane(length)) return;
        if (chunk.length - at - LENGTH_BYTES >= length) {
          this.#receiver?.receive(chunk, at + LENGTH_BYTES, length);
          at += LENGTH_BYTES + length;
          frames++;
          continue;
        }
      }
      at = this.#collect(chunk, at);
      if (this.#partialLength < LENGTH_BYTES) break;
      const length = lengthAt(this.#partial, 0);
      if (!this.#isLengthSane(length)) return;
      if (this.#partialLength === LENGTH_BYTES + length) {
        this.#receiver?.receive(this.#partial, LENGTH_BYTES, length);
        this.#partialLength = 0;
        frames++;
      }
    }
    if (frames > 0) this.#receiver?.receiveDone();
  }

  /** The carrier can take more after a `write` that answered false. */
  drained(): void {
    this.#isBlocked = false;
    if (this.#hasRefused) {
      this.#hasRefused = false;
      this.#receiver?.writable();
    }
  }

  /** The carrier has ended or failed. */
  ended(why: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#receiver?.linkState(false);
    this.#options.onClosed?.(why);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#flushBatch();
    this.#isClosed = true;
    this.#receiver = null;
    this.#options.carrier.end();
  }

  /** Collects bytes of a cut frame, never more than belong to it; answers where the chunk goes on. */
  #collect(chunk: Uint8Array, at: number): number {
    let from = at;
    while (this.#partialLength < LENGTH_BYTES && from < chunk.length) {
      this.#partial[this.#partialLength++] = chunk[from++]!;
    }
    if (this.#partialLength < LENGTH_BYTES) return from;
    const whole = LENGTH_BYTES + lengthAt(this.#partial, 0);
    if (whole > this.#partial.length) return from; // judged by the caller
    const n = Math.min(whole - this.#partialLength, chunk.length - from);
    this.#partial.set(chunk.subarray(from, from + n), this.#partialLength);
    this.#partialLength += n;
    return from + n;
  }

  #isLengthSane(length: number): boolean {
    if (length > 0 && length <= this.#frameMax) return true;
    this.#options.carrier.end();
    this.ended(`a frame length of ${length} bytes: expected 1 to ${this.#frameMax}`);
    return false;
  }

  #flushBatch(): void {
    this.#isFlushDeferred = false;
    if (this.#batchLength === 0 || this.#isClosed) return;
    const batch = this.#batch.subarray(0, this.#batchLength);
    // The carrier keeps what it is given, so the next batch gets memory of its own.
    this.#batch = new Uint8Array(this.#batch.length);
    this.#batchLength = 0;
    if (!this.#options.carrier.write(batch)) this.#isBlocked = true;
  }
}

function lengthAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
