/**
 * A TCP connection in node:net's shape: `net.Socket` over the stack.
 *
 * Events, properties, errors and half-open rules of Node's class (docs/node-net.md); `tcp-handle.ts` stands for libuv's handle.
 */

import {
  type ChimneyHandle,
  type TcpEndpoint,
  type TcpInfo,
  TransportError,
  type TransportErrorCode,
} from '../host/api.ts';
import { type AddressInfo, defineAddresses, defineNodeNames, EndAddresses } from './addresses.ts';
import { noPipes, normalizedOnce, timerDuration, validateFunction } from './arguments.ts';
import { type AddressBlocker, blockListOf } from './blocking.ts';
import { type AdoptedPort, adoptedPort, fromPort } from './bound-socket.ts';
import { ConnectionOptions, type KeepAliveOptions, keepAliveWish } from './connection-options.ts';
import { clientSocket, tell } from './diagnostics.ts';
import { callError, closedBeforeConnection, invalidState, missingArgs, socketClosed } from './errors.ts';
import type { HandleEvents } from './handle-events.ts';
import { IdleTimer } from './idle-timer.ts';
import type { AcceptedSocketOptions, NetContext, ServerOfSocket, SocketOptions } from './net-context.ts';
import { isNode20 } from './node.ts';
import { type BorrowingOnRead, type FillingOnRead, OnRead } from './on-read.ts';
import { onwardOf } from './onward.ts';
import { Attempts } from './socket-attempts.ts';
import {
  type ConnectTarget,
  type ConnectWish,
  connectOptions,
  judgeConnect,
  pipeWish,
  resolveTargets,
} from './socket-connect.ts';
import { NamedDuplex } from './socket-names.ts';
import {
  afterEnd,
  allBytesOf,
  bytesIn,
  bytesOf,
  type Callback,
  checkModes,
  heedSignal,
  isMoot,
  type ReadyState,
  readyStateOf,
  streamOptions,
  type WriteItem,
} from './socket-writes.ts';
import { TcpHandle } from './tcp-handle.ts';

/** `net.Socket`. Programs use the class that `createNet` made of it for their stack. */
export class StackSocket extends NamedDuplex {
  connecting = false;
  /** Milliseconds of inactivity after which 'timeout' is emitted; undefined: never set. */
  timeout?: number;
  /** The server that accepted it; null for others. http sets its own. */
  server: unknown = null;
  /** The server whose connections it is one of. Node's name. */
  _server: ServerOfSocket | null = null;
  /** The name that was looked up. Node's name; TLS takes it for its server name. */
  _host: string | null = null;
  /** Node's names, which http and tls set on the sockets that they use. */
  _parent: unknown = null;
  _hadError = false;
  /** Addresses tried for a name with several: 'address:port'. Undefined: none were. */
  autoSelectFamilyAttemptedAddresses?: string[];
  /** Addresses that it does not connect to. */
  blockList?: AddressBlocker | undefined;
  /** What the handle tells. */
  static readonly #events: HandleEvents<StackSocket> = {
    connected: (socket) => socket.#connected(),
    connectFailed: (socket, code) => {
      if (isMoot(code)) socket.destroy();
      else if (!socket.destroyed) socket.#attempts?.failed(code);
    },
    chunk: (socket, chunk) => {
      socket.#idle.refresh();
      return socket.push(chunk);
    },
    onward: (socket) => {
      const sink = onwardOf(socket, StackSocket);
      return sink === null ? null : sink.#handle;
    },
    borrows: (socket) => socket.#onRead?.borrows ?? false,
    lent: (socket, bytes, lender) => {
      socket.#idle.refresh();
      return socket.#onRead!.lent(socket, bytes, lender);
    },
    userBuffer: (socket) => socket.#onRead?.buffer ?? null,
    filled: (socket, length) => {
      socket.#idle.refresh();
      return socket.#onRead!.filled(socket, length);
    },
    ended: (socket) => socket.#ended(),
    readFailed: (socket, code) => socket.destroy(isMoot(code) ? undefined : callError(code, 'read')),
    progress: (socket) => socket.#idle.refresh(),
  };
  readonly #net: NetContext;
  #handle: TcpHandle | null = null;
  #endpoint: TcpEndpoint | null = null;
  #attempts: Attempts | null = null;
  readonly #idle = new IdleTimer();
  #lastWriteQueueSize = 0;
  #bytesRead = 0;
  #bytesWritten = 0;
  /** What `_write` was given while connecting. */
  #pendingBytes = 0;
  readonly #ends = new EndAddresses();
  readonly #options: ConnectionOptions;
  /** A port that was bound before the socket was made, and from which it is to connect. */
  #adopted: AdoptedPort | null;
  #isResetting = false;
  #onRead: OnRead | null;

  constructor(options: SocketOptions | undefined, net: NetContext) {
    checkModes(options);
    const connectionOptions = new ConnectionOptions(options);
    super(streamOptions(options));
    this.#net = net;
    this.blockList = blockListOf(options?.blockList);
    this.#options = connectionOptions;
    this.#onRead = OnRead.of(options?.onread);
    this.on('end', afterEnd);
    const accepted = options as Partial<AcceptedSocketOptions> | undefined;
    if (accepted?.handle instanceof TcpHandle) this.#adopt(accepted.handle, Boolean(accepted.pauseOnCreate));
    this.#adopted = adoptedPort(options);
    if (this.#adopted !== null) this.#ends.bound(this.#adopted.reservation.local);
    heedSignal(this, options?.signal);
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
    const { options, callback } = normalizedOnce(args);
    if (!isNode20) tell(clientSocket, { socket: this });
    if (callback !== null) this.once('connect', callback as () => void);
    if (options['port'] === undefined && options['path'] == null) throw missingArgs('options', 'port', 'path');
    const { path } = options;
    if (path && this.#net.pipes === null) throw noPipes(options);
    const wish = path ? pipeWish(path, this.#net.lookup) : judgeConnect(fromPort(options, this.#adopted), this.#net);
    delete (this as { write?: unknown }).write;
    if (this.destroyed) {
      this.#handle = null;
      this.#ends.forgetPeer();
    }
    if (this.#handle === null) {
      // A closed socket may connect anew.
      (this as unknown as { _undestroy(): void })._undestroy();
      this.#openHandle();
    }
    this.#idle.refresh();
    this.connecting = true;
    const handle = this.#handle;
    resolveTargets(this, wish, (targets) => {
      if (this.#handle !== handle) return;
      this.#idle.refresh();
      this.#attempts = new Attempts(this, wish, targets, (target, isFresh) => this.#attempt(wish, target, isFresh));
      this.#attempts.start();
    });
    return this;
  }

  /**
   * The `onread` option for a socket that is there already, such as an accepted one: from now on a callback instead of 'data'.
   * Throws when bytes have come before.
   */
  setOnRead(onread: FillingOnRead | BorrowingOnRead): this {
    const made = OnRead.required(onread);
    if (this.#handle?.hasBytes || this.bytesRead > 0) throw invalidState('onread is set before bytes have come');
    this.#onRead = made;
    if (this.#handle !== null) made.begin();
    this.#readWithOnRead();
    return this;
  }

  setTimeout(ms: number, callback?: () => void): this {
    if (this.destroyed) return this;
    this.timeout = ms;
    const duration = timerDuration(ms, 'msecs');
    this.#idle.set(duration, () => this._onTimeout());
    if (callback === undefined) return this;
    validateFunction(callback, 'callback');
    return duration === 0 ? this.removeListener('timeout', callback) : this.once('timeout', callback);
  }

  setNoDelay(enable?: boolean): this {
    this.#options.setNoDelay(enable, this.#openEndpoint);
    return this;
  }

  /** (enable, initialDelay, interval, count), in milliseconds and probes, or an object of these. */
  setKeepAlive(enable?: boolean | KeepAliveOptions, initialDelay?: number, interval?: number, count?: number): this {
    this.#options.setKeepAlive(keepAliveWish(enable, initialDelay, interval, count), this.#openEndpoint);
    return this;
  }

  /** TOS of IPv4, traffic class of IPv6; its two ECN bits are TCP's own and not set. */
  setTypeOfService(value: number): this {
    this.#options.setTypeOfService(value, this.#openEndpoint);
    return this;
  }

  getTypeOfService(): number {
    return this.#options.typeOfService(this.#openEndpoint !== null);
  }

  address(): AddressInfo | Record<string, never> {
    return this.#ends.own(this.#liveEndpoint) ?? {};
  }

  get pending(): boolean {
    return this.connecting || (this.#handle === null && this.#adopted === null);
  }

  get readyState(): ReadyState {
    return readyStateOf(this);
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
    return this._bytesDispatched + this.#pendingBytes + bytesIn(waiting);
  }

  /** Node's name for the above. */
  get _bytesDispatched(): number {
    return this.#handle?.bytesWritten ?? this.#bytesWritten;
  }

  _getpeername(): AddressInfo | Record<string, never> {
    return this.#ends.peer(this.#openEndpoint) ?? {};
  }

  _reset(): this {
    this.#isResetting = true;
    return this.destroy();
  }

  override pause(): this {
    if (this.#onRead !== null && !this.connecting) this.#handle?.readStop();
    return super.pause();
  }

  override resume(): this {
    this.#readWithOnRead();
    this.#handle?.retry();
    return super.resume();
  }

  override unpipe(destination?: NodeJS.WritableStream): this {
    super.unpipe(destination);
    this.#handle?.retry();
    return this;
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
    else if (this.connecting) this.once('connect', () => this._reset());
    else this._reset();
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

  /** An agent uses the connection for another request: its events belong to the async context of now. */
  _enterContext(): void {
    this.#handle?.enterContext();
  }

  // What stream.Duplex asks for.
  override _read(size: number): void {
    if (this.connecting || this.#handle === null) this.once('connect', () => this._read(size));
    else if (!this.#handle.reading) this.#handle.readStart();
  }

  override _write(chunk: string | Uint8Array, encoding: BufferEncoding, callback: Callback): void {
    if (this.connecting) {
      this.#writeWhenConnected([{ chunk, encoding }], callback);
      return;
    }
    const bytes = bytesOf(chunk, encoding);
    this.#writeBytes([bytes], bytes.length, callback);
  }

  override _writev(chunks: WriteItem[], callback: Callback): void {
    if (this.connecting) {
      this.#writeWhenConnected(chunks, callback);
      return;
    }
    const all = allBytesOf(chunks);
    this.#writeBytes(all.chunks, all.total, callback);
  }

  override _final(callback: Callback): void {
    if (this.connecting || (isNode20 && this.pending)) {
      this.once('connect', () => this._final(callback));
      return;
    }
    if (this.#handle === null) callback();
    else this.#handle.shutdown(callback);
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.connecting = false;
    this.#idle.clear();
    this.#letGoOfPort();
    const handle = this.#handle;
    const attempts = this.#attempts;
    this.#attempts = null;
    if (handle === null) {
      callback(error);
      process.nextTick(() => this.emit('close'));
    } else {
      const closed = (): void => {
        attempts?.cancelled();
        this.emit('close', error !== null && error !== undefined);
      };
      this.#bytesRead = handle.bytesRead;
      this.#bytesWritten = handle.bytesWritten;
      if (this.#isResetting) handle.reset(closed);
      else handle.close(closed);
      this.#isResetting = false;
      this.#handle = null;
      this.#ends.forgetOwn();
      callback(error);
    }
    const server = this._server;
    if (server === null) return;
    server._connections--;
    server._emitCloseIfDrained();
  }

  /** Node's names for: nothing happened for a while, and something did; TLS and http call them too. */
  _onTimeout(): void {
    const queued = this.#handle?.writeQueueSize ?? 0;
    if (this.#lastWriteQueueSize > 0 && this.#lastWriteQueueSize !== queued) {
      // A write is making progress.
      this.#lastWriteQueueSize = queued;
      this.#idle.refresh();
      return;
    }
    this.emit('timeout');
  }

  _unrefTimer(): void {
    this.#idle.refresh();
  }

  #connected(): void {
    if (this.destroyed) return;
    this.#attempts?.succeeded();
    this.#attempts = null;
    this.connecting = false;
    this.#ends.forgetOwn();
    this.#idle.refresh();
    this.#options.apply(this.#endpoint!);
    this.emit('connect');
    this.emit('ready');
    if (!this.isPaused()) this.read(0);
  }

  #ended(): void {
    this.#idle.refresh();
    if (this.readableEnded) return;
    this.push(null);
    this.read(0);
  }

  #adopt(handle: TcpHandle, isPaused: boolean): void {
    this.#handle = handle;
    this.#endpoint = handle.endpoint;
    handle.belongTo(this, StackSocket.#events);
    this.#onRead?.begin();
    this.#options.apply(handle.endpoint!);
    if (isPaused) (this as unknown as { readableFlowing: boolean | null }).readableFlowing = false;
    else this.read(0);
  }

  #openHandle(): void {
    this.#ends.forgetOwn();
    this.#handle = new TcpHandle(this.#net.handles);
    this.#handle.belongTo(this, StackSocket.#events);
    this.#onRead?.begin();
  }

  #letGoOfPort(): void {
    this.#adopted?.reservation.close();
    this.#adopted = null;
  }

  /** Begins an attempt. Throws TransportError. */
  #attempt(wish: ConnectWish, target: ConnectTarget, isFresh: boolean): void {
    if (isFresh) {
      this.#handle?.close(() => {});
      this.#openHandle();
    }
    const handle = this.#handle!;
    this.#letGoOfPort();
    if (handle.endpoint !== null) throw new TransportError('EINVAL', 'the socket is connected already');
    handle.connect(connectOptions(target, wish), (target.family === undefined && this.#net.pipes) || undefined);
    this.#endpoint = handle.endpoint;
  }

  get #liveEndpoint(): TcpEndpoint | null {
    return this.#handle?.endpoint ?? null;
  }

  /** The endpoint once it can be told of options. */
  get #openEndpoint(): TcpEndpoint | null {
    return this.connecting ? null : this.#liveEndpoint;
  }

  #readWithOnRead(): void {
    const handle = this.#handle;
    if (this.#onRead !== null && !this.connecting && handle !== null && !handle.reading) handle.readStart();
  }

  #writeBytes(chunks: readonly Uint8Array[], total: number, callback: Callback): void {
    const handle = this.#handle;
    if (handle === null) {
      callback(socketClosed());
      return;
    }
    this.#idle.refresh();
    const isDone = handle.write(chunks, total, (code) => this.#written(code, callback));
    if (isDone) callback();
    else this.#lastWriteQueueSize = total;
  }

  #writeWhenConnected(items: WriteItem[], callback: Callback): void {
    this.#pendingBytes = bytesIn(items);
    const onClose = (): void => callback(closedBeforeConnection());
    this.once('connect', () => {
      this.off('close', onClose);
      this.#pendingBytes = 0;
      this._writev(items, callback);
    });
    this.once('close', onClose);
  }

  #written(code: TransportErrorCode | null, callback: Callback): void {
    if (this.destroyed && (isNode20 || code === null)) {
      callback(null);
      return;
    }
    if (code !== null) {
      if (isMoot(code)) this.destroy();
      callback(isMoot(code) && isNode20 ? null : callError(code, 'write'));
      return;
    }
    this.#idle.refresh();
    this.#lastWriteQueueSize = 0;
    callback(null);
  }
}

defineAddresses(StackSocket.prototype);
defineNodeNames(StackSocket.prototype);
