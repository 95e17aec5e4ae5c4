/**
 * A TCP server in node:net's shape: `net.Server` over the stack.
 *
 * `listen` in all of Node's forms that mean TCP, 'listening', 'connection', 'drop', 'close' and 'error' in its order, and a
 * `close` that waits for the connections. What is left out stands in docs/node-net.md.
 */

import type { ServerOpts } from 'node:net';
import { type TcpEndpoint, type TcpListener, TransportError } from '../host/api.ts';
import { type AddressInfo, addressInfo, isIP } from './addresses.ts';
import {
  keepAliveDelay,
  type LookupCallback,
  noPipes,
  normalizeArgs,
  onAbort,
  validateNumber,
  validatePort,
} from './arguments.ts';
import { type AddressBlocker, blockListOf, isBlocked } from './blocking.ts';
import { type AdoptedPort, StackBoundSocket } from './bound-socket.ts';
import { listenEnd, listenFailed, listenStart, serverSocket, tell } from './diagnostics.ts';
import {
  alreadyListening,
  invalidArgType,
  invalidArgValue,
  invalidIpAddress,
  listenError,
  notRunning,
} from './errors.ts';
import type { AcceptedSocket, ClosedWithStack, NetContext, OwnOption, ServerOfSocket } from './net-context.ts';
import { AsyncResource, EventEmitter, isNode20, outsideContexts, reportUncaught, required } from './node.ts';
import { TcpHandle } from './tcp-handle.ts';

/** Options of a server: Node's. */
export interface ServerOptions extends Omit<ServerOpts, OwnOption> {
  /** Addresses whose connections are closed at once and not told of. */
  readonly blockList?: AddressBlocker | undefined;
}

/** Connections that wait, when the program does not say: Node's number. */
const BACKLOG_DEFAULT = 511;
const BACKLOG_MAX = 65535;

/** `net.Server`. Programs use the class that `createNet` made of it for their stack. */
export class StackServer extends EventEmitter implements ServerOfSocket, ClosedWithStack {
  allowHalfOpen: boolean;
  pauseOnConnect: boolean;
  noDelay: boolean;
  keepAlive: boolean;
  /** Seconds, although the option is milliseconds: as in Node. */
  keepAliveInitialDelay: number;
  highWaterMark: number;
  blockList: AddressBlocker | undefined;
  /** Connections above this number are closed at once, with 'drop'. Undefined, and on Node 20 also 0: no limit. */
  maxConnections?: number | undefined;
  /** Connections there are. Node's name. */
  _connections = 0;
  /** What it listens on: family, address, port asked for. Node's name. */
  _connectionKey?: string;
  static {
    // A listener of 'connection' has rejected: its socket is at fault, not the server.
    const rejected = function (this: StackServer, error: Error, event: string, socket: AcceptedSocket): void {
      if (event === 'connection') socket.destroy(error);
      else this.emit('error', error);
    };
    Object.defineProperty(StackServer.prototype, Symbol.for('nodejs.rejection'), { value: rejected });
  }
  readonly #net: NetContext;
  #listener: TcpListener | null = null;
  /** The async context of `listen`, in which connections are told of. Null: it never listened. */
  #scope: InstanceType<typeof AsyncResource> | null = null;
  #isReferenced = true;
  #isHolding = false;
  /** Which call of `listen` counts; a later one, or `close`, makes an older one void. */
  #listening = 0;

  constructor(
    options: ServerOptions | ((socket: never) => void) | null | undefined,
    onConnection: ((socket: never) => void) | undefined,
    net: NetContext,
  ) {
    super();
    if (options != null && typeof options !== 'function' && typeof options !== 'object') {
      throw invalidArgType('options', 'of type object', options);
    }
    const settings: ServerOptions = typeof options === 'object' && options !== null ? options : {};
    const listener = typeof options === 'function' ? options : onConnection;
    if (typeof listener === 'function') this.on('connection', listener as (...args: unknown[]) => void);
    this.#net = net;
    this.keepAliveInitialDelay = Math.trunc(keepAliveDelay(settings) / 1000);
    this.blockList = blockListOf(settings.blockList);
    if (settings.highWaterMark !== undefined) validateNumber(settings.highWaterMark, 'options.highWaterMark');
    this.allowHalfOpen = settings.allowHalfOpen || false;
    this.pauseOnConnect = Boolean(settings.pauseOnConnect);
    this.noDelay = Boolean(settings.noDelay);
    this.keepAlive = Boolean(settings.keepAlive);
    const isGiven = (settings.highWaterMark ?? -1) >= 0;
    this.highWaterMark = isGiven ? settings.highWaterMark! : defaultHighWaterMark();
  }

  listen(...args: unknown[]): this {
    const { options, callback } = normalizeArgs(args);
    if (this.#listener !== null) throw alreadyListening();
    tell(listenStart, { server: this, options });
    if (callback !== null) this.once('listening', callback as () => void);
    this.#listening++;
    this.#heedSignal(options['signal']);
    const bound = boundOf(options);
    if (bound !== null) {
      this.#adopt(bound._adopt(), backlogOf(args), options);
      return this;
    }
    const isAnyPort =
      args.length === 0 || typeof args[0] === 'function' || ('port' in options && options['port'] == null);
    const port = isAnyPort ? 0 : options['port'];
    if (typeof port !== 'number' && typeof port !== 'string') throw unlistenable(options);
    const number = validatePort(port, 'options.port');
    const backlog = Number(options['backlog']) || backlogOf(args);
    const host = options['host'] as string | undefined;
    if (host) this.#lookupAndListen(host, number, backlog, options);
    // As Node: without a host there is nothing that could be IPv6 only.
    else this.#listen(undefined, number, backlog, { ...options, ipv6Only: false });
    return this;
  }

  get listening(): boolean {
    return this.#listener !== null;
  }

  address(): AddressInfo | null {
    if (this.#listener === null) return null;
    const local = this.#listener.local;
    return addressInfo(local, isIP(local.address) === 4 ? 4 : 6);
  }

  getConnections(callback: (error: Error | null, count: number) => void): this {
    const count = this._connections;
    process.nextTick(() => callback(null, count));
    return this;
  }

  /** Takes no more connections; 'close' follows when the last one is gone. */
  close(callback?: (error?: Error) => void): this {
    this.#listening++;
    if (typeof callback === 'function') {
      if (this.#listener === null) this.once('close', () => callback(notRunning()));
      else this.once('close', callback);
    }
    if (this.#listener !== null) {
      this.#listener.close();
      this.#listener = null;
      this.#net.opened.delete(this);
      this.#letGo();
    }
    this._emitCloseIfDrained();
    return this;
  }

  closeWithStack(): void {
    this.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#listener === null) return;
    await new Promise<void>((resolve, reject) => {
      this.close((error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  ref(): this {
    this.#isReferenced = true;
    if (this.#listener !== null) this.#hold();
    return this;
  }

  unref(): this {
    this.#isReferenced = false;
    this.#letGo();
    return this;
  }

  /** Node's name for: one connection less, or no listener any more. */
  _emitCloseIfDrained(): void {
    if (this.#listener !== null || this._connections > 0) return;
    process.nextTick(() => this.emit('close'));
  }

  #heedSignal(signal: unknown): void {
    if (signal === undefined) return;
    const forget = onAbort(signal, () => void this.close());
    this.once('close', forget);
  }

  #lookupAndListen(host: string, port: number, backlog: number, options: Record<string, unknown>): void {
    const listening = this.#listening;
    const found: LookupCallback = (error, answer, _family) => {
      if (listening !== this.#listening) return;
      const address = typeof answer === 'string' ? answer : bestOf(answer ?? []);
      if (error) this.emit('error', error);
      else if (address === undefined || !isIP(address)) this.emit('error', invalidIpAddress(String(address)));
      else this.#listen(address, port, backlog, options);
    };
    if (isIP(host)) process.nextTick(found, null, host);
    else this.#net.lookup(host, { all: true }, found);
  }

  /** Listens on a port that was bound before. */
  #adopt(bound: AdoptedPort, backlog: number, options: Record<string, unknown>): void {
    const { address, port } = bound.reservation.local;
    // Nobody can take it meanwhile.
    bound.reservation.close();
    this.#listen(address, port, backlog, { ...options, ipv6Only: bound.ipv6Only, reusePort: bound.reusePort });
  }

  #listen(address: string | undefined, port: number, backlog: number, options: Record<string, unknown>): void {
    const { transports } = this.#net.handles;
    const receiveBuffer = options['receiveBuffer'] as number | undefined;
    try {
      this.#listener = transports.listen(
        {
          // Without a host, both families: '::' takes IPv4 too.
          local: { address: address ?? '::', port },
          backlog: Math.min(BACKLOG_MAX, Math.max(1, Math.trunc(backlog) || BACKLOG_DEFAULT)),
          ...(receiveBuffer === undefined ? {} : { receiveBuffer }),
          ...(options['ipv6Only'] ? { ipv6Only: true } : {}),
          ...(options['reusePort'] === true ? { reusePort: true } : {}),
        },
        this.#accept,
      );
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      const failure = listenError(error.code, address ?? '::', port);
      tell(listenFailed, { server: this, error: failure });
      process.nextTick(() => this.emit('error', failure));
      return;
    }
    this.#scope = new AsyncResource('TCPSERVERWRAP');
    this._connectionKey = `${isIP(address ?? '::')}:${address ?? '::'}:${port}`;
    this.#net.opened.add(this);
    if (this.#isReferenced) this.#hold();
    tell(listenEnd, { server: this });
    process.nextTick(() => {
      if (this.#listener !== null) this.emit('listening');
    });
  }

  /** A connection has come. On the stack's turn: nothing a listener throws may unwind it. */
  readonly #accept = (endpoint: TcpEndpoint): void => {
    try {
      this.#scope!.runInAsyncScope(this.#take, this, endpoint);
    } catch (error) {
      reportUncaught(error);
    }
  };

  #take(endpoint: TcpEndpoint): void {
    if (isBlocked(this.blockList, endpoint.remote.address, endpoint.family)) {
      endpoint.close();
      return;
    }
    if (this.#isFull) {
      this.#drop(endpoint);
      return;
    }
    const handle = outsideContexts(() => new TcpHandle(this.#net.handles));
    handle.accept(endpoint);
    const socket: AcceptedSocket = this.#net.accept({
      handle,
      allowHalfOpen: this.allowHalfOpen,
      pauseOnCreate: this.pauseOnConnect,
      noDelay: this.noDelay,
      keepAlive: this.keepAlive,
      keepAliveInitialDelay: this.keepAliveInitialDelay * 1000,
      readableHighWaterMark: this.highWaterMark,
      writableHighWaterMark: this.highWaterMark,
    });
    this._connections++;
    socket.server = this;
    socket._server = this;
    this.emit('connection', socket);
    tell(serverSocket, { socket });
  }

  get #isFull(): boolean {
    const most = this.maxConnections;
    return most != null && !(isNode20 && most === 0) && this._connections >= most;
  }

  #drop(endpoint: TcpEndpoint): void {
    const local = addressInfo(endpoint.local, endpoint.family);
    const remote = addressInfo(endpoint.remote, endpoint.family);
    this.emit('drop', {
      localAddress: local.address,
      localPort: local.port,
      localFamily: local.family,
      remoteAddress: remote.address,
      remotePort: remote.port,
      remoteFamily: remote.family,
    });
    endpoint.close();
  }

  #hold(): void {
    if (this.#isHolding) return;
    this.#isHolding = true;
    this.#net.handles.keepAlive.ref();
  }

  #letGo(): void {
    if (!this.#isHolding) return;
    this.#isHolding = false;
    this.#net.handles.keepAlive.unref();
  }
}

/** What a stream holds before it says stop; Node's, as it is set now. */
function defaultHighWaterMark(): number {
  return required<typeof import('node:stream')>('node:stream').getDefaultHighWaterMark(false);
}

/** listen(boundSocket) and listen({ handle: boundSocket }). */
function boundOf(options: Record<string, unknown>): StackBoundSocket | null {
  for (const given of [options, options['handle']]) if (given instanceof StackBoundSocket) return given;
  return null;
}

/** The address of a name to listen on: the first, unless it is link-local and there are others. */
function bestOf(answers: readonly { readonly address: string }[]): string | undefined {
  return (answers.find(({ address }) => !LINK_LOCAL.test(address)) ?? answers[0])?.address;
}

/** fe80::/10. RFC 4291 2.5.6. */
const LINK_LOCAL = /^fe[89ab][0-9a-f]:/i;

/** The backlog of listen(port, backlog) and listen(port, host, backlog); 0: none given. */
function backlogOf(args: readonly unknown[]): number {
  for (const value of args.slice(1, 3)) {
    const number = typeof value === 'function' ? Number.NaN : Number(value);
    if (number > 0) return number;
  }
  return 0;
}

function unlistenable(options: Record<string, unknown>): Error {
  if (options['path'] || 'fd' in options || 'handle' in options || '_handle' in options) return noPipes(options);
  if ('port' in options || 'path' in options) return invalidArgValue('options', options);
  return invalidArgValue('options', options, 'must have the property "port" or "path"');
}
