/**
 * What a socket's stream is given to write, what becomes of it when it may not be written any more, and what it is open for.
 */

import type { DuplexOptions, Duplex as NodeDuplex } from 'node:stream';
import type { TransportErrorCode } from '../host/api.ts';
import { noDescriptors } from './arguments.ts';
import { endedByOther, invalidArgValue } from './errors.ts';
import { Duplex, required } from './node.ts';

/** A chunk as stream.Writable hands it over when it does not decode strings. */
export interface WriteItem {
  readonly chunk: string | Uint8Array;
  readonly encoding: BufferEncoding;
}

/** The end of a step of a stream. */
export type Callback = (error?: Error | null) => void;

/** Bytes of all items together. */
export function bytesIn(items: readonly WriteItem[]): number {
  let bytes = 0;
  for (const { chunk, encoding } of items) {
    bytes += typeof chunk === 'string' ? Buffer.byteLength(chunk, encoding) : chunk.length;
  }
  return bytes;
}

/** A chunk as bytes. */
export function bytesOf(chunk: string | Uint8Array, encoding: BufferEncoding): Uint8Array {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
}

/** The items as bytes, and how many. */
export function allBytesOf(items: readonly WriteItem[]): { chunks: Uint8Array[]; total: number } {
  const chunks: Uint8Array[] = [];
  let total = 0;
  for (const { chunk, encoding } of items) {
    const bytes = bytesOf(chunk, encoding);
    chunks.push(bytes);
    total += bytes.length;
  }
  return { chunks, total };
}

/**
 * Stands in for `write` once the peer has ended and we with it: what is written then is no ordinary write after end, and the
 * error says so.
 */
export function writeAfterEnd(
  this: NodeDuplex,
  chunk: unknown,
  encoding: BufferEncoding | Callback | null,
  callback?: Callback,
): boolean {
  if (!this.writableEnded) return Duplex.prototype.write.call(this, chunk, encoding as BufferEncoding, callback);
  const error = endedByOther();
  const told = typeof encoding === 'function' ? encoding : callback;
  if (typeof told === 'function') process.nextTick(told, error);
  this.destroy(error);
  return false;
}

/** A TCP stream is bytes, and this one's connection is the stack's. */
export function checkModes(options: object | undefined): void {
  noDescriptors(options);
  const modes = options as Record<string, unknown> | undefined;
  for (const mode of ['objectMode', 'readableObjectMode', 'writableObjectMode']) {
    if (modes?.[mode]) throw invalidArgValue(`options.${mode}`, modes[mode], 'is not supported');
  }
}

/** What `stream.Duplex` is made with for a socket that was given these options. */
export function streamOptions(options: object | undefined): DuplexOptions {
  const allowHalfOpen = Boolean((options as DuplexOptions | undefined)?.allowHalfOpen);
  const own = { allowHalfOpen, emitClose: false, autoDestroy: true, decodeStrings: false, signal: undefined };
  return { ...options, ...own } as DuplexOptions;
}

/** The program closed the stack itself, which is to its sockets what `destroy` is: no error. */
export function isMoot(code: TransportErrorCode): boolean {
  return code === 'ECANCELED';
}

/** What is written after the peer has ended, and we with it, is no ordinary write after end. */
export function afterEnd(this: NodeDuplex): void {
  if (!this.allowHalfOpen) (this as { write: unknown }).write = writeAfterEnd;
}

/** The `signal` option. Not left to Duplex: a signal that is aborted already destroys at once, which only a finished socket can bear. */
export function heedSignal(socket: NodeDuplex, signal: AbortSignal | undefined): void {
  if (signal) required<typeof import('node:stream')>('node:stream').addAbortSignal(signal, socket);
}

/** What a socket is open for. */
export type ReadyState = 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed';

export function readyStateOf(socket: NodeDuplex & { readonly connecting: boolean }): ReadyState {
  if (socket.connecting) return 'opening';
  if (socket.readable) return socket.writable ? 'open' : 'readOnly';
  return socket.writable ? 'writeOnly' : 'closed';
}
