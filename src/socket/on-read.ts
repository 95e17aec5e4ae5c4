/**
 * The `onread` option of a socket: received bytes go into the application's own buffer, and a callback instead of 'data' tells
 * how many. Source: documentation of `new net.Socket`.
 */

import type { OnReadOpts } from 'node:net';

type Filled = (bytes: number, buffer: Uint8Array) => boolean;

/** The application's buffer of one socket, or the buffers, one after the other. */
export class OnRead {
  /** The buffer that is filled next. */
  buffer: Uint8Array | null = null;
  readonly #next: (() => unknown) | null;
  readonly #filled: Filled;

  /** The option judged, as Node does: what is none is ignored. */
  static of(option: OnReadOpts | null | undefined): OnRead | null {
    if (option === null || typeof option !== 'object' || typeof option.callback !== 'function') return null;
    const isBuffer = (option.buffer as unknown) instanceof Uint8Array || typeof option.buffer === 'function';
    return isBuffer ? new OnRead(option) : null;
  }

  constructor(option: OnReadOpts) {
    this.#filled = option.callback as Filled;
    this.#next = typeof option.buffer === 'function' ? (option.buffer as () => unknown) : null;
    if (this.#next === null) this.buffer = option.buffer as Uint8Array;
  }

  /** There is a connection to read from, or will be. */
  begin(): void {
    if (this.#next !== null) this.#take(this.#next());
  }

  /** Bytes 0 to `length` of the buffer were filled. Answers whether more are wanted. */
  filled(length: number): boolean {
    const wantsMore = this.#filled(length, this.buffer!) !== false;
    if (this.#next !== null) this.#take(this.#next());
    return wantsMore;
  }

  #take(buffer: unknown): void {
    if (buffer instanceof Uint8Array) this.buffer = buffer;
  }
}
