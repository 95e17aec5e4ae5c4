/**
 * A link over a MessagePort: one stack in a page, the other in a worker, or each in a worker of its own.
 *
 * Frames of a turn cross together in one buffer, which is transferred and not copied, and comes back when they have been taken; so
 * nothing is allocated per frame, and what may be on its way is bounded by the buffers that have not come back. Promises: a
 * message that makes no sense is counted and disturbs nothing else; the other end's close is a link that went down. Both ends are
 * made with the same `mtu` and `largeSendBytes`. Runs wherever there are MessagePorts: browsers, and threads of Node.
 */

import { assert } from '../../base/assert.ts';
import { copyBytes } from '../../base/copy-bytes.ts';
import { ANY, checkNeeded, type Expectations, having } from '../../base/options.ts';
import type { Runtime } from '../../base/runtime.ts';
import { Event } from '../../trace/events.ts';
import type { Trace } from '../../trace/trace.ts';
import { type Link, type LinkReceiver, type Medium, WHOLE_FRAME } from '../link.ts';
import { LINK_OPTIONS } from '../link-options.ts';

/** What is used of a MessagePort, a browser's or that of `node:worker_threads`. */
export interface FramePort {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  onmessage: ((event: never) => void) | null;
  /** For 'close': the other end is gone. Node says so, and browsers that have it; of a worker that was terminated many say nothing. */
  addEventListener?(type: 'close', listener: () => void): void;
  close(): void;
}

export interface MessagePortLinkOptions {
  readonly runtime: Runtime;
  /** One port of a `MessageChannel`, the link's own from now on. */
  readonly port: FramePort;
  readonly name?: string;
  readonly medium?: Medium;
  /** Bytes of IP packet, 68 to 65535; default 1500. */
  readonly mtu?: number;
  /** Largest super-segment that crosses as one frame, as two virtual machines on one host pass them; at most 65535. Absent: none. */
  readonly largeSendBytes?: number;
  /** Buffers of 64 KiB that may be on their way before `transmit` answers false; default 32. */
  readonly buffersMax?: number;
  readonly trace?: Trace;
}

/** Frames in a buffer, from its beginning: `length` bytes of records, each of two numbers in network order and a frame. */
interface FramesMessage {
  readonly frames: ArrayBuffer;
  readonly length: number;
}

/** All frames of a buffer have been taken; here it is again. */
interface TakenMessage {
  readonly taken: ArrayBuffer;
}

/** This end is closed. */
interface ClosedMessage {
  readonly closed: true;
}

type PortMessage = FramesMessage | TakenMessage | ClosedMessage;

const OPTIONS: Expectations = {
  ...LINK_OPTIONS,
  port: having('a MessagePort', 'postMessage', 'close'),
  largeSendBytes: ANY,
  buffersMax: ANY,
};

const ETHERNET_HEADER_MAX = 18;
/** Before each frame: its length, and `segmentBytes` as the door of the links has it. */
const RECORD_HEAD_BYTES = 8;
/** A buffer that has so many bytes leaves at once. */
const BATCH_BYTES = 1 << 16;
const BUFFERS_MAX = 32;

/** A {@link Link} over a MessagePort. */
export class MessagePortLink implements Link {
  readonly name: string;
  readonly medium: Medium;
  readonly mtu: number;
  readonly largeSendBytes: number;
  readonly largeDatagrams: boolean;
  readonly #runtime: Runtime;
  readonly #port: FramePort;
  readonly #trace: Trace | null;
  readonly #plainMax: number;
  readonly #frameMax: number;
  readonly #bufferBytes: number;
  readonly #buffersMax: number;
  #receiver: LinkReceiver | null = null;
  /** The buffer that is being filled; null: none has anything in it. */
  #batch: Uint8Array | null = null;
  #view: DataView | null = null;
  #length = 0;
  /** Buffers that have come back. */
  readonly #free: ArrayBuffer[] = [];
  /** Buffers on their way. */
  #out = 0;
  #isFlushDeferred = false;
  #hasRefused = false;
  #isDown = false;
  #isClosed = false;

  /** Throws RangeError on options out of range. */
  constructor(options: MessagePortLinkOptions) {
    checkNeeded('MessagePortLink', options, OPTIONS, 'runtime', 'port');
    this.#runtime = options.runtime;
    this.#port = options.port;
    this.#trace = options.trace ?? null;
    this.name = options.name ?? 'port';
    this.medium = options.medium ?? 'ethernet';
    this.mtu = within('mtu', options.mtu ?? 1500, 68, 65535);
    this.largeSendBytes =
      options.largeSendBytes === undefined ? 0 : within('largeSendBytes', options.largeSendBytes, this.mtu, 65535);
    this.largeDatagrams = this.largeSendBytes > 0;
    this.#plainMax = this.mtu + ETHERNET_HEADER_MAX;
    this.#frameMax = Math.max(this.mtu, this.largeSendBytes) + ETHERNET_HEADER_MAX;
    this.#bufferBytes = BATCH_BYTES + RECORD_HEAD_BYTES + this.#frameMax;
    this.#buffersMax = within('buffersMax', options.buffersMax ?? BUFFERS_MAX, 1, 4096);
  }

  start(receiver: LinkReceiver): void {
    assert(this.#receiver === null, 'a link is started once: no two stacks have the same');
    this.#receiver = receiver;
    this.#port.addEventListener?.('close', () => this.#down());
    // The port begins to deliver now; what came before has waited in it.
    this.#port.onmessage = (event: { readonly data: unknown }) => this.#message(event.data);
  }

  transmit(bytes: Uint8Array, at: number, length: number, segmentBytes = 0): boolean {
    if (this.#isClosed || this.#isDown) return true; // taken and lost, as on a dead wire
    if (length > (segmentBytes > 0 ? this.#frameMax : this.#plainMax)) {
      this.#trace?.count(Event.LINK_FRAME_LOST);
      return true; // a giant: the other end would not take it
    }
    if (this.#out >= this.#buffersMax && this.#length >= BATCH_BYTES) {
      this.#trace?.count(Event.LINK_QUEUE_FULL);
      this.#hasRefused = true;
      return false;
    }
    if (this.#batch === null) this.#begin();
    const view = this.#view!;
    view.setUint32(this.#length, length);
    view.setUint32(this.#length + 4, segmentBytes);
    copyBytes(bytes, at, length, this.#batch!, this.#length + RECORD_HEAD_BYTES);
    this.#length += RECORD_HEAD_BYTES + length;
    if (this.#length >= BATCH_BYTES) this.#flush();
    else if (!this.#isFlushDeferred) {
      this.#isFlushDeferred = true;
      this.#runtime.defer(this.#deferredFlush);
    }
    return true;
  }

  /** What it has sent before still arrives. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (!this.#isDown) {
      this.#send();
      this.#post({ closed: true }, []);
    }
    this.#receiver = null;
    this.#port.onmessage = null;
    this.#port.close();
  }

  #begin(): void {
    const buffer = this.#free.pop() ?? new ArrayBuffer(this.#bufferBytes);
    this.#batch = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
    this.#length = 0;
  }

  readonly #deferredFlush = (): void => {
    this.#isFlushDeferred = false;
    if (!this.#isClosed) this.#flush();
  };

  /** Sends what is there, unless too much is on its way already: then it goes when a buffer comes back. */
  #flush(): void {
    if (this.#out < this.#buffersMax) this.#send();
  }

  #send(): void {
    if (this.#batch === null) return;
    const frames = this.#batch.buffer as ArrayBuffer;
    const length = this.#length;
    this.#batch = null;
    this.#view = null;
    this.#length = 0;
    this.#out++;
    this.#post({ frames, length }, [frames]);
  }

  #post(message: PortMessage, transfer: ArrayBuffer[]): void {
    this.#port.postMessage(message, transfer);
  }

  #message(data: unknown): void {
    if (this.#isClosed) return;
    const message = (typeof data === 'object' && data !== null ? data : {}) as Partial<
      FramesMessage & TakenMessage & ClosedMessage
    >;
    if (message.frames instanceof ArrayBuffer) this.#take(message.frames, Number(message.length));
    else if (message.taken instanceof ArrayBuffer) this.#cameBack(message.taken);
    else if (message.closed === true) this.#down();
    else this.#trace?.count(Event.LINK_MESSAGE_BAD);
  }

  #take(frames: ArrayBuffer, length: number): void {
    if (!Number.isInteger(length) || length > frames.byteLength) {
      this.#trace?.count(Event.LINK_MESSAGE_BAD);
    } else {
      const bytes = new Uint8Array(frames);
      const view = new DataView(frames);
      let at = 0;
      while (at + RECORD_HEAD_BYTES <= length) {
        const frameBytes = view.getUint32(at);
        const segmentBytes = view.getUint32(at + 4);
        const frameMax = segmentBytes > 0 ? this.#frameMax : this.#plainMax;
        const end = at + RECORD_HEAD_BYTES + frameBytes;
        if (frameBytes === 0 || frameBytes > frameMax || segmentBytes > WHOLE_FRAME || end > length) break;
        this.#receiver?.receive(bytes, at + RECORD_HEAD_BYTES, frameBytes, segmentBytes);
        at = end;
      }
      if (at !== length) this.#trace?.count(Event.LINK_MESSAGE_BAD);
      this.#receiver?.receiveDone();
    }
    // The receiver may have closed the link.
    if (!this.#isClosed) this.#post({ taken: frames }, [frames]);
  }

  #cameBack(buffer: ArrayBuffer): void {
    if (this.#out === 0 || buffer.byteLength !== this.#bufferBytes) {
      this.#trace?.count(Event.LINK_MESSAGE_BAD);
      return;
    }
    this.#out--;
    this.#free.push(buffer);
    if (this.#length >= BATCH_BYTES || !this.#isFlushDeferred) this.#flush();
    if (!this.#hasRefused) return;
    this.#hasRefused = false;
    this.#receiver?.writable();
  }

  #down(): void {
    if (this.#isDown || this.#isClosed) return;
    this.#isDown = true;
    this.#batch = null;
    this.#view = null;
    this.#length = 0;
    this.#free.length = 0;
    this.#receiver?.linkState(false);
  }
}

function within(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new RangeError(`${name}: expected ${min} to ${max}, got ${value}`);
}
