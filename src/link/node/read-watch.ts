/**
 * Waits for a descriptor with the event loop's own poll, whatever kind of descriptor it is: Node gives that to pipes and sockets only.
 *
 * A pipe is handed to Node, and then the descriptor is put in the pipe's place (dup3). What becomes readable is read by the event loop,
 * straight into the buffer that was given. A poll on a thread of the pool instead costs two thread switches a batch.
 * Promises: nothing is told any more once it is closed; the descriptor that was given stays open.
 */

import { Socket, type SocketConstructorOpts } from 'node:net';
import { DeviceError, errnoName, libc } from './libc.ts';

const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;

/** What is to be ended. */
export interface Watch {
  /** Stops. Resolves when the descriptor is not used any more. */
  close(): Promise<void>;
}

/** Who is told. */
export interface ReadWatcher {
  /** So many bytes were read into the buffer; there may be more to read. */
  readable(bytes: number): void;
  /** Reading failed or came to an end; nothing more is told. */
  failed(): void;
}

/** Reads from a descriptor when there is something, and keeps the process alive meanwhile. */
export class ReadWatch implements Watch {
  readonly #socket: Socket;
  readonly #closed: Promise<void>;
  #isClosed = false;

  /** `buffer`: what is read into, or a function that is asked after each read. Throws {@link DeviceError} when there are no descriptors left. */
  constructor(fd: number, buffer: Uint8Array | (() => Uint8Array), watcher: ReadWatcher) {
    const c = libc();
    const ends = new Uint8Array(128);
    if (c.pipe(c.addressOf(ends), O_CLOEXEC | O_NONBLOCK) < 0) {
      throw new DeviceError(errnoName(c.errno()), 'pipe', 'waiting for a device');
    }
    const view = new DataView(ends.buffer);
    const stand = view.getInt32(0, true);
    const callback = (bytes: number): boolean => {
      if (!this.#isClosed) watcher.readable(bytes);
      return true;
    };
    const options = { fd: stand, readable: true, writable: false, onread: { buffer, callback } };
    this.#socket = new Socket(options as SocketConstructorOpts);
    // Before the event loop first looks at it.
    c.dup(fd, stand, O_CLOEXEC);
    c.close(view.getInt32(4, true));
    const failed = (): void => {
      if (!this.#isClosed) watcher.failed();
    };
    this.#socket.on('error', failed);
    this.#socket.on('end', failed);
    this.#closed = new Promise((resolve) => this.#socket.once('close', () => resolve()));
  }

  /** Stops. Resolves when its copy of the descriptor is closed. */
  close(): Promise<void> {
    this.#isClosed = true;
    this.#socket.destroy();
    return this.#closed;
  }
}

/**
 * Waits likewise, but reads nothing: for descriptors that are not to be read by read(2). `readable` is told of 0 bytes. Null: the FFI cannot, and
 * a {@link ReadWatch} must do.
 */
export function pollWatch(fd: number, watcher: ReadWatcher): Watch | null {
  let isOver = false;
  const handle = libc().watch(fd, (hasFailed) => {
    if (isOver) return;
    if (!hasFailed) {
      watcher.readable(0);
      return;
    }
    close();
    watcher.failed();
  });
  const close = (): void => {
    if (isOver) return;
    isOver = true;
    handle?.close();
  };
  if (handle === null) return null;
  return {
    close: () => {
      close();
      return Promise.resolve();
    },
  };
}
