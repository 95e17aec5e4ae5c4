/**
 * A link over a WebSocket: one frame (or packet) in each binary message, as network relays for machines in pages speak it.
 *
 * The way out of a page: the other end is a program that has a WebSocket server, such as a stack in Node over the same class and a
 * socket of the `ws` package. Promises: what waits in the socket is bounded; a message that makes no sense is counted and
 * dropped; a socket that closes is a link that went down for good. A socket that is not open yet is a link that is down until it is.
 */

import { assert } from '../../base/assert.ts';
import { ANY, checkNeeded, type Expectations, FUNCTION, having } from '../../base/options.ts';
import { NEVER, type Runtime, type Timer } from '../../base/runtime.ts';
import { Event } from '../../trace/events.ts';
import type { Trace } from '../../trace/trace.ts';
import type { Link, LinkReceiver, Medium } from '../link.ts';
import { LINK_OPTIONS } from '../link-options.ts';

/** What is used of a WebSocket, a browser's or that of the package `ws`. */
export interface FrameSocket {
  binaryType: string;
  /** 0 connecting, 1 open, 2 closing, 3 closed. */
  readonly readyState: number;
  /** Bytes that were sent and have not left. */
  readonly bufferedAmount: number;
  send(bytes: Uint8Array<ArrayBuffer>): void;
  close(): void;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
}

export interface WebSocketLinkOptions {
  readonly runtime: Runtime;
  /** Connecting or open; the link's own from now on. */
  readonly socket: FrameSocket;
  readonly name?: string;
  readonly medium?: Medium;
  /** Bytes of IP packet, 576 to 65535; default 1500. */
  readonly mtu?: number;
  /** Bytes that may wait in the socket before `transmit` answers false; default 256 KiB. */
  readonly queueBytes?: number;
  readonly trace?: Trace;
  /** Told once, when the socket has closed. */
  readonly onClosed?: () => void;
}

const OPTIONS: Expectations = {
  ...LINK_OPTIONS,
  socket: having('a WebSocket', 'send', 'close'),
  queueBytes: ANY,
  onClosed: FUNCTION,
};

const ETHERNET_HEADER_MAX = 18;
const QUEUE_BYTES = 1 << 18;
/** A WebSocket does not say when it has room again: it is asked so often. */
const ASK_US = 2_000;
const CONNECTING = 0;
const OPEN = 1;

/** A {@link Link} over a WebSocket. */
export class WebSocketLink implements Link {
  readonly name: string;
  readonly medium: Medium;
  readonly mtu: number;
  readonly #options: WebSocketLinkOptions;
  readonly #socket: FrameSocket;
  readonly #queueBytes: number;
  readonly #frameMax: number;
  readonly #roomTimer: Timer;
  readonly #doneTimer: Timer;
  #receiver: LinkReceiver | null = null;
  #isClosed = false;

  /** Throws RangeError on options out of range. */
  constructor(options: WebSocketLinkOptions) {
    checkNeeded('WebSocketLink', options, OPTIONS, 'runtime', 'socket');
    this.#options = options;
    this.#socket = options.socket;
    this.name = options.name ?? 'websocket';
    this.medium = options.medium ?? 'ethernet';
    this.mtu = options.mtu ?? 1500;
    if (!Number.isInteger(this.mtu) || this.mtu < 68 || this.mtu > 65535) {
      throw new RangeError(`mtu: expected 68 to 65535, got ${this.mtu}`);
    }
    this.#frameMax = this.mtu + ETHERNET_HEADER_MAX;
    this.#queueBytes = Math.max(options.queueBytes ?? QUEUE_BYTES, this.#frameMax);
    this.#socket.binaryType = 'arraybuffer';
    this.#roomTimer = options.runtime.timer((nowUs) => this.#askForRoom(nowUs));
    this.#doneTimer = options.runtime.timer(() => this.#receiver?.receiveDone());
  }

  start(receiver: LinkReceiver): void {
    assert(this.#receiver === null, 'a link is started once: no two stacks have the same');
    this.#receiver = receiver;
    const socket = this.#socket;
    socket.onmessage = (event: { readonly data: unknown }) => this.#message(event.data);
    socket.onopen = () => this.#receiver?.linkState(true);
    socket.onclose = () => this.#closed();
    if (socket.readyState === OPEN) return;
    // The adapter that starts its link cannot be told yet.
    this.#options.runtime.defer(() => {
      if (socket.readyState === CONNECTING) this.#receiver?.linkState(false);
      else if (socket.readyState !== OPEN) this.#closed();
    });
  }

  transmit(bytes: Uint8Array, at: number, length: number): boolean {
    const socket = this.#socket;
    if (this.#isClosed || socket.readyState !== OPEN) return true; // taken and lost, as on a dead wire
    if (length > this.#frameMax) {
      this.#options.trace?.count(Event.LINK_FRAME_LOST);
      return true; // a giant: the other end would not take it
    }
    if (socket.bufferedAmount + length > this.#queueBytes) {
      this.#options.trace?.count(Event.LINK_QUEUE_FULL);
      if (this.#roomTimer.atUs === NEVER) this.#askLater(this.#options.runtime.nowUs());
      return false;
    }
    // A copy of its own: some sockets keep what they are given until it has left.
    socket.send(bytes.slice(at, at + length) as Uint8Array<ArrayBuffer>);
    return true;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#receiver = null;
    this.#roomTimer.disarm();
    this.#doneTimer.disarm();
    this.#socket.onmessage = null;
    this.#socket.onopen = null;
    this.#socket.close();
  }

  #message(data: unknown): void {
    if (!(data instanceof ArrayBuffer) || data.byteLength === 0 || data.byteLength > this.#frameMax) {
      this.#options.trace?.count(Event.LINK_MESSAGE_BAD);
      return;
    }
    if (this.#receiver === null) return;
    this.#receiver.receive(new Uint8Array(data), 0, data.byteLength);
    // The receiver may have closed the link. Each message is an event of its own: those that are there already are one batch, acknowledged together.
    if (!this.#isClosed && this.#doneTimer.atUs === NEVER) this.#doneTimer.arm(this.#options.runtime.nowUs());
  }

  #askLater(nowUs: number): void {
    this.#roomTimer.arm(nowUs + ASK_US);
  }

  #askForRoom(nowUs: number): void {
    if (this.#isClosed) return;
    // Half of it: so that there is something to do when there is room.
    if (this.#socket.bufferedAmount > this.#queueBytes >> 1) this.#askLater(nowUs);
    else this.#receiver?.writable();
  }

  #closed(): void {
    if (this.#isClosed) return;
    this.#roomTimer.disarm();
    // What came last is a batch like any other.
    if (this.#doneTimer.atUs !== NEVER) {
      this.#doneTimer.disarm();
      this.#receiver?.receiveDone();
    }
    this.#receiver?.linkState(false);
    this.#isClosed = true;
    this.#options.onClosed?.();
  }
}
