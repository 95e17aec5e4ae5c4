/**
 * The buffer sizes of a UDP socket. A datagram waits nowhere, so that they bound nothing; they are kept as Linux keeps them.
 *
 * Source: socket(7), SO_RCVBUF: the kernel doubles what it is given. Errors: node:dgram's.
 */

import { validateUint32 } from './arguments.ts';
import { badBufferSize, bufferSizeError } from './errors.ts';

/** Linux's default of both. */
const DEFAULT_BYTES = 212_992;
/** The largest size that a system call takes: its argument is an int. */
const BYTES_MAX = 0x7fff_ffff;

/** Both sizes of one socket. */
export class BufferSizes {
  #receive: number;
  #send: number;

  /** The options of the socket, judged. */
  constructor(options: { readonly recvBufferSize?: unknown; readonly sendBufferSize?: unknown }) {
    this.#receive = sizeOf(options.recvBufferSize, 'options.recvBufferSize');
    this.#send = sizeOf(options.sendBufferSize, 'options.sendBufferSize');
  }

  /** `isOpen`: whether there is a port, without which there is no buffer. */
  receive(isOpen: boolean, size = 0): number {
    this.#receive = changed(this.#receive, size, isOpen, 'uv_recv_buffer_size');
    return this.#receive;
  }

  send(isOpen: boolean, size = 0): number {
    this.#send = changed(this.#send, size, isOpen, 'uv_send_buffer_size');
    return this.#send;
  }
}

function sizeOf(option: unknown, name: string): number {
  return option ? 2 * validateUint32(option, name) : DEFAULT_BYTES;
}

/** What holds after a call with `size`; 0 asks only. */
function changed(now: number, size: number, isOpen: boolean, call: string): number {
  if (size >>> 0 !== size) throw badBufferSize();
  if (!isOpen) throw bufferSizeError('EBADF', call);
  if (size > BYTES_MAX) throw bufferSizeError('EINVAL', call);
  return size === 0 ? now : 2 * size;
}
