/**
 * A TCP connection in node:net's shape: `net.Socket` over the stack.
 *
 * The same events in the same order, the same properties, errors and half-open rules as Node's class; a handle
 * (`tcp-handle.ts`) stands where libuv's stands there. What is left out: pipes, file descriptors, and trying several
 * addresses of one name.
 */

import type { OnReadOpts } from 'node:net';
import {
  type ChimneyHandle,
  type TcpEndpoint,
  type TcpInfo,
  TransportError,
  type TransportErrorCode,
} from '../host/api.ts';
import { type AddressInfo, addressInfo } from './addresses.ts';
import { keepAliveDelay, noPipes, normalizeArgs, timerDuration, validateFunction } from './arguments.ts';
import { callError, closedBeforeConnection, missingArgs, type SystemError, socketClosed } from './errors.ts';
import type { AcceptedSocketOptions, NetContext, ServerOfSocket, SocketOptions } from './net-context.ts';
import { Duplex, required } from './node.ts';
import { attemptError, type ConnectTarget, connectError, connectOptions, resolveTarget } from './socket-connect.ts';
import { bytesIn, bytesOf, type Callback, checkModes, type WriteItem, writeAfterEnd } from './socket-writes.ts';
import { type HandleEvents, TcpHandle } from './tcp-handle.ts';

/** `net.Socket`. Programs use the class that `createNet` made of it for their stack. */
export class StackSocket extends Duplex {
  connecting = false;
  /** Milliseconds of inactivity after which 'timeout' is emitted; undefined: never set. */
  timeout?: number;
  /** The server that accepted it; null for others. http sets its own. */
  server: unknown = null;
  /** The server whose connections it is one of. Node's name. */
  _server: ServerOfSocket | null = null;
  /** What the handle tells. */
  static readonly #events: HandleEvents<StackSocket> = {
    connected: (socket) => socket.#connected(),
    connectFailed: (socket, code) => socket.#connectFailed(code),
    chunk: (socket, chunk) => {
      socket.#refreshIdle();
      return socket.push(chunk);
    },
    userBuffer: (socket) => socket.#userBuffer,
    filled: (socket, length) => socket.#filled(length),
    ended: (socket) => socket.#ended(),
    readFailed: (socket, code) => {
      // The stack itself was closed under its sockets: who does not ask why is not made to end for it.
      const isMoot = code === 'ECONNABORTED' && socket.listenerCount('error') === 0;
      socket.destroy(isMoot ? undefined : callError(code, 'read'));
    },
    progress: (socket) => socket.#refreshIdle(),
  };
  readonly #net: NetContext;
  #handle: TcpHandle | null = null;
  #endpoint: TcpEndpoint | null = null;
  #target: ConnectTarget | null = null;
  #idle: NodeJS.Timeout | null = null;
  #lastWriteQueueSize = 0;
  #bytesRead = 0;
  #bytesWritten = 0;
  /** What `_write` was given while connecting. */
  #pendingBytes = 0;
  #own: AddressInfo | null = null;
  #peer: AddressInfo | null = null;
  #noDelay: boolean;
  #keepAlive: boolean;
  #keepAliveDelayMs: number;
  #isResetting = false;
  #nextBuffer: (() => Uint8Array) | null = null;
  /** The buffer that `onread` wants filled next. */
  #userBuffer: Uint8Array | null = null;
  #onRead: ((bytes: number, buffer: Uint8Array) => boolean) | null = null;

  constructor(options: SocketOptions | undefined, net: NetContext) {
    checkModes(options);
    const delayMs = keepAliveDelay(options ?? {});
    super({
      ...options,
      allowHalfOpen: Boolean(options?.allowHalfOpen),
      emitClose: false,
      autoDestroy: true,
      decodeStrings: false,
      signal: undefined,
    } as ConstructorParameters<typeof Duplex>[0]);
    this.#net = net;
    this.#noDelay = Boolean(options?.noDelay);
    this.#keepAlive = Boolean(options?.keepAlive);
    this.#keepAliveDelayMs = delayMs;
    this.#takeOnRead(options?.onread);
    this.on('end', afterEnd);
    const accepted = options as Partial<AcceptedSocketOptions> | undefined;
    if (accepted?.handle instanceof TcpHandle) this.#adopt(accepted.handle, Boolean(accepted.pauseOnCreate));
    // Not left to Duplex: a signal that is aborted already destroys at once, which only a finished socket can bear.
    if (options?.signal) required<typeof import('node:stream')>('node:stream').addAbortSignal(options.signal, this);
  }

  /** The connection's chimney: where it runs, offload, take back. Null before the first connect. */
  get chimney(): ChimneyHandle | null {
    return this.#endpoint?.chimney ?? null;
  }

  /** Numbers of the connection for people; null before the first connect. */
  tcpInfo(): TcpInfo | null {
    return this.#endpoint?.info() ?? null;
  }

  connect(...args: unknown[]): this {
    const { options, callback } = normalizeArgs(args);
    if (callback !== null) this.once('connect', callback as () => void);
    if (options['port'] === undefined && options['path'] == null) throw missingArgs('options', 'port', 'path');
    if (options['path']) throw noPipes(options);
    delete (this as { write?: unknown }).write;
    if (this.destroyed) {
      this.#handle = null;
      this.#peer = null;
    }
    if (this.#handle === null) {
      // A closed socket may connect anew.
      (this as unknown as { _undestroy(): void })._undestroy();
      this.#own = null;
      this.#handle = new TcpHandle(this.#net.handles);
      this.#handle.belongTo(this, StackSocket.#events);
      this.#handle.hold();
    }
    this.#refreshIdle();
    this.connecting = true;
    const handle = this.#handle;
    resolveTarget(this, options, this.#net.lookup, (target) => {
      if (this.#handle === handle) this.#attempt(handle, target);
    });
    return this;
  }

  setTimeout(ms: number, callback?: () => void): this {
    if (this.destroyed) return this;
    this.timeout = ms;
    const duration = timerDuration(ms, 'msecs');
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#idle = null;
    if (callback !== undefined) validateFunction(callback, 'callback');
    if (duration === 0) {
      if (callback !== undefined) this.removeListener('timeout', callback);
      return this;
    }
    this.#idle = setTimeout(() => this._onTimeout(), duration).unref();
    if (callback !== undefined) this.once('timeout', callback);
    return this;
  }

  setNoDelay(enable?: boolean): this {
    const on = enable === undefined ? true : Boolean(enable);
    if (this.#noDelay === on) return this;
    this.#noDelay = on;
    if (!this.connecting) this.#liveEndpoint?.setNoDelay(on);
    return this;
  }

  setKeepAlive(enable?: boolean, initialDelayMs?: number): this {
    const on = Boolean(enable);
    // Whole seconds, as the kernel's option has them.
    const delayMs = Math.trunc((initialDelayMs ?? 0) / 1000) * 1000;
    if (this.#keepAlive === on && (!on || this.#keepAliveDelayMs === delayMs)) return this;
    this.#keepAlive = on;
    this.#keepAliveDelayMs = delayMs;
    if (!this.connecting) this.#liveEndpoint?.setKeepAlive(on, delayMs);
    return this;
  }

  address(): AddressInfo | Record<string, never> {
    return this.#ownAddress() ?? {};
  }

  get pending(): boolean {
    return this.#handle === null || this.connecting;
  }

  get readyState(): 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.connecting) return 'opening';
    if (this.readable) return this.writable ? 'open' : 'readOnly';
    return this.writable ? 'writeOnly' : 'closed';
  }

  /** Bytes the stream holds for writing; undefined without a connection. */
  get bufferSize(): number | undefined {
    return this.#handle === null ? undefined : this.writableLength;
  }

  get bytesRead(): number {
    return this.#handle?.bytesRead ?? this.#bytesRead;
  }

  get bytesWritten(): number {
    const waiting = (this as unknown as { writableBuffer?: readonly WriteItem[] }).writableBuffer ?? [];
    return (this.#handle?.bytesWritten ?? this.#bytesWritten) + this.#pendingBytes + bytesIn(waiting);
  }

  get localAddress(): string | undefined {
    return this.#ownAddress()?.address;
  }

  get localPort(): number | undefined {
    return this.#ownAddress()?.port;
  }

  get localFamily(): 'IPv4' | 'IPv6' | undefined {
    return this.#ownAddress()?.family;
  }

  get remoteAddress(): string | undefined {
    return this.#peerAddress()?.address;
  }

  get remotePort(): number | undefined {
    return this.#peerAddress()?.port;
  }

  get remoteFamily(): 'IPv4' | 'IPv6' | undefined {
    return this.#peerAddress()?.family;
  }

  override pause(): this {
    if (this.#onRead !== null && !this.connecting) this.#handle?.readStop();
    return super.pause();
  }

  override resume(): this {
    this.#readWithOnRead();
    return super.resume();
  }

  override read(size?: number): unknown {
    this.#readWithOnRead();
    return super.read(size);
  }

  /** Ends the stream, then destroys it once everything was written. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', this.destroy);
  }

  /** Closes the connection by RST. */
  resetAndDestroy(): this {
    if (this.#handle === null) this.destroy(socketClosed());
    else if (this.connecting) this.once('connect', () => this.#reset());
    else this.#reset();
    return this;
  }

  ref(): this {
    if (this.#handle === null) this.once('connect', this.ref);
    else this.#handle.ref();
    return this;
  }

  unref(): this {
    if (this.#handle === null) this.once('connect', this.unref);
    else this.#handle.unref();
    return this;
  }

  // What stream.Duplex asks for.

  override _read(size: number): void {
    if (this.connecting || this.#handle === null) this.once('connect', () => this._read(size));
    else if (!this.#handle.reading) this.#handle.readStart();
  }

  override _write(chunk: string | Uint8Array, encoding: BufferEncoding, callback: Callback): void {
    this.#writeAll([{ chunk, encoding }], callback);
  }

  override _writev(chunks: WriteItem[], callback: Callback): void {
    this.#writeAll(chunks, callback);
  }

  override _final(callback: Callback): void {
    if (this.pending) {
      this.once('connect', () => this._final(callback));
      return;
    }
    this.#handle?.shutdown();
    callback();
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.connecting = false;
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#idle = null;
    const handle = this.#handle;
    if (handle === null) {
      callback(error);
      process.nextTick(() => this.emit('close'));
    } else {
      const closed = (): void => void this.emit('close', error !== null && error !== undefined);
      this.#bytesRead = handle.bytesRead;
      this.#bytesWritten = handle.bytesWritten;
      if (this.#isResetting) handle.reset(closed);
      else handle.close(closed);
      this.#isResetting = false;
      this.#handle = null;
      this.#own = null;
      callback(error);
    }
    const server = this._server;
    if (server === null) return;
    server._connections--;
    server._emitCloseIfDrained();
  }

  /** Node's name for what happens when nothing did for a while; TLS and http call it too. */
  _onTimeout(): void {
    const queued = this.#handle?.writeQueueSize ?? 0;
    if (this.#lastWriteQueueSize > 0 && this.#lastWriteQueueSize !== queued) {
      // A write is making progress.
      this.#lastWriteQueueSize = queued;
      this.#refreshIdle();
      return;
    }
    this.emit('timeout');
  }

  /** Node's name for: something happened. */
  _unrefTimer(): void {
    this.#refreshIdle();
  }

  #connected(): void {
    if (this.destroyed) return;
    this.connecting = false;
    this.#own = null;
    this.#refreshIdle();
    this.#applyOptions();
    this.emit('connect');
    this.emit('ready');
    if (!this.isPaused()) this.read(0);
  }

  #connectFailed(code: TransportErrorCode): void {
    if (this.destroyed) return;
    this.connecting = false;
    const target = this.#target!;
    const error = connectError(target, code);
    this.emit('connectionAttemptFailed', target.address, target.port, target.family, error);
    this.destroy(error);
  }

  #filled(length: number): boolean {
    this.#refreshIdle();
    const wantsMore = this.#onRead!(length, this.#userBuffer!) !== false;
    if (this.#nextBuffer !== null) {
      const next = this.#nextBuffer();
      if (next instanceof Uint8Array) this.#userBuffer = next;
    }
    return wantsMore;
  }

  #ended(): void {
    this.#refreshIdle();
    if (this.readableEnded) return;
    this.push(null);
    this.read(0);
  }

  #takeOnRead(onread: OnReadOpts | undefined): void {
    if (onread === undefined || onread === null || typeof onread !== 'object' || typeof onread.callback !== 'function')
      return;
    const buffer = onread.buffer as Uint8Array | (() => Uint8Array);
    if (typeof buffer === 'function') {
      this.#nextBuffer = buffer;
      this.#userBuffer = buffer();
    } else if (buffer instanceof Uint8Array) this.#userBuffer = buffer;
    else return;
    this.#onRead = onread.callback as (bytes: number, buffer: Uint8Array) => boolean;
  }

  #adopt(handle: TcpHandle, isPaused: boolean): void {
    this.#handle = handle;
    this.#endpoint = handle.endpoint;
    handle.belongTo(this, StackSocket.#events);
    this.#applyOptions();
    if (isPaused) (this as unknown as { readableFlowing: boolean | null }).readableFlowing = false;
    else this.read(0);
  }

  #attempt(handle: TcpHandle, target: ConnectTarget): void {
    this.#refreshIdle();
    this.#target = target;
    let failure: SystemError | null = null;
    try {
      if (handle.endpoint !== null) throw new TransportError('EINVAL', 'the socket is connected already');
      handle.connect(connectOptions(target));
      this.#endpoint = handle.endpoint;
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      failure = attemptError(target, error.code);
    }
    // An own end that cannot be had is no attempt.
    if (failure?.syscall !== 'bind') this.emit('connectionAttempt', target.address, target.port, target.family);
    if (failure !== null) this.destroy(failure);
  }

  #applyOptions(): void {
    const endpoint = this.#endpoint;
    if (endpoint === null) return;
    if (this.#noDelay) endpoint.setNoDelay(true);
    if (this.#keepAlive) endpoint.setKeepAlive(true, this.#keepAliveDelayMs);
  }

  get #liveEndpoint(): TcpEndpoint | null {
    return this.#handle === null ? null : this.#handle.endpoint;
  }

  #reset(): void {
    this.#isResetting = true;
    this.destroy();
  }

  #readWithOnRead(): void {
    const handle = this.#handle;
    if (this.#onRead !== null && !this.connecting && handle !== null && !handle.reading) handle.readStart();
  }

  #refreshIdle(): void {
    this.#idle?.refresh();
  }

  #ownAddress(): AddressInfo | null {
    const endpoint = this.#liveEndpoint;
    if (endpoint !== null) this.#own ??= addressInfo(endpoint.local, endpoint.family);
    return this.#own;
  }

  #peerAddress(): AddressInfo | null {
    const endpoint = this.connecting ? null : this.#liveEndpoint;
    if (endpoint !== null) this.#peer ??= addressInfo(endpoint.remote, endpoint.family);
    return this.#peer;
  }

  #writeAll(items: readonly WriteItem[], callback: Callback): void {
    if (this.connecting) {
      this.#writeWhenConnected(items, callback);
      return;
    }
    const handle = this.#handle;
    if (handle === null) {
      callback(socketClosed());
      return;
    }
    this.#refreshIdle();
    const chunks = bytesOf(items);
    const total = bytesIn(items);
    const isDone = handle.write(chunks, total, (code) => this.#written(code, callback));
    if (isDone) callback();
    else this.#lastWriteQueueSize = total;
  }

  #writeWhenConnected(items: readonly WriteItem[], callback: Callback): void {
    this.#pendingBytes = bytesIn(items);
    const onClose = (): void => callback(closedBeforeConnection());
    this.once('connect', () => {
      this.off('close', onClose);
      this.#pendingBytes = 0;
      this.#writeAll(items, callback);
    });
    this.once('close', onClose);
  }

  #written(code: TransportErrorCode | null, callback: Callback): void {
    if (this.destroyed) {
      callback(null);
      return;
    }
    if (code !== null) {
      callback(callError(code, 'write'));
      return;
    }
    this.#refreshIdle();
    this.#lastWriteQueueSize = 0;
    callback(null);
  }
}

/** What is written after the peer has ended, and we with it, is no ordinary write after end. */
function afterEnd(this: StackSocket): void {
  if (!this.allowHalfOpen) (this as { write: unknown }).write = writeAfterEnd;
}
