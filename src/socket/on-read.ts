/**
 * The `onread` option of a socket: a callback instead of 'data'.
 *
 * Two forms. Node's: received bytes go into the application's own buffer, and the callback tells how many. A target that has the
 * connection is given that buffer and fills it itself. And ours, `{ borrow: true, callback }`: the callback is shown the bytes where
 * they lie, without a copy, and they are its own until it returns; for longer with `loan.keep()`, until `release()`.
 * Source: documentation of `new net.Socket`; docs/node-net.md has the rules.
 */

import type { OnReadOpts } from 'node:net';
import { invalidArgValue, invalidState } from './errors.ts';
import type { Lender } from './handle-events.ts';

type Filled = (this: unknown, bytes: number, buffer: Uint8Array) => boolean;

/** Bytes that an application keeps. */
export interface KeptBytes {
  /** The bytes: where they were, or a copy. Nobody writes there until {@link release}. */
  readonly bytes: Uint8Array;
  /** Whether they are a copy, because the memory they were in was needed again at once. */
  readonly isCopy: boolean;
  /** Returns the memory; calling it again does nothing. A stack is not closed before all that was kept is returned. */
  release(): void;
}

/** What a borrowing callback can do with the bytes it is shown, until it returns. */
export interface Loan {
  /** Keeps the bytes beyond the callback. Throws when called after it. */
  keep(): KeptBytes;
}

/** Node's form of `onread`. */
export interface FillingOnRead extends OnReadOpts {
  readonly borrow?: false;
}

/** The form of `onread` that copies nothing. */
export interface BorrowingOnRead {
  readonly borrow: true;
  readonly buffer?: undefined;
  /** `bytes` is valid until it returns. False stops reading, as `pause` does; these bytes count as read. */
  readonly callback: (length: number, bytes: Uint8Array, loan: Loan) => unknown;
}

/** The application's way of reading from one socket. */
export class OnRead {
  /** The application's buffer that is filled next. */
  buffer: Uint8Array | null = null;
  readonly borrows: boolean;
  readonly #next: (() => unknown) | null;
  readonly #filled: Filled;
  readonly #shown: BorrowingOnRead['callback'];

  /** The option judged, as Node does: what is none is ignored. */
  static of(option: FillingOnRead | BorrowingOnRead | null | undefined): OnRead | null {
    if (option === null || typeof option !== 'object' || typeof option.callback !== 'function') return null;
    if ((option as BorrowingOnRead).borrow === true) return new OnRead(option);
    const { buffer } = option as OnReadOpts;
    const isBuffer = (buffer as unknown) instanceof Uint8Array || typeof buffer === 'function';
    return isBuffer ? new OnRead(option) : null;
  }

  /** As {@link of}, but what is none is an error. */
  static required(option: FillingOnRead | BorrowingOnRead): OnRead {
    const made = OnRead.of(option);
    if (made === null) throw invalidArgValue('onread', option, 'must have a callback, and a buffer or borrow: true');
    return made;
  }

  constructor(option: FillingOnRead | BorrowingOnRead) {
    this.borrows = (option as BorrowingOnRead).borrow === true;
    this.#filled = option.callback as Filled;
    this.#shown = option.callback as BorrowingOnRead['callback'];
    const buffer = this.borrows ? null : (option as FillingOnRead).buffer;
    this.#next = typeof buffer === 'function' ? (buffer as () => unknown) : null;
    if (this.#next === null) this.buffer = buffer as Uint8Array | null;
  }

  /** There is a connection to read from, or will be. */
  begin(): void {
    if (this.#next !== null) this.#take(this.#next());
  }

  /** Bytes 0 to `length` of the buffer of `socket` were filled. Answers whether more are wanted. */
  filled(socket: unknown, length: number): boolean {
    const wantsMore = this.#filled.call(socket, length, this.buffer!) !== false;
    if (this.#next !== null) this.#take(this.#next());
    return wantsMore;
  }

  /** Shows bytes where they lie. Answers whether more are wanted. */
  lent(socket: unknown, bytes: Uint8Array, lender: Lender): boolean {
    const loan = new ShownBytes(bytes, lender);
    try {
      return this.#shown.call(socket, bytes.length, bytes, loan) !== false;
    } finally {
      loan.end();
    }
  }

  #take(buffer: unknown): void {
    if (buffer instanceof Uint8Array) this.buffer = buffer;
  }
}

/** The bytes that a callback is shown. */
class ShownBytes implements Loan {
  readonly #bytes: Uint8Array;
  #lender: Lender | null;

  constructor(bytes: Uint8Array, lender: Lender) {
    this.#bytes = bytes;
    this.#lender = lender;
  }

  keep(): KeptBytes {
    if (this.#lender === null)
      throw invalidState('bytes can be kept only until the callback that is shown them returns');
    const release = this.#lender.keep();
    if (release !== null) return { bytes: this.#bytes, isCopy: false, release };
    return { bytes: Buffer.from(this.#bytes), isCopy: true, release: () => {} };
  }

  end(): void {
    this.#lender = null;
  }
}
