/**
 * Puts a stack under Node's own modules: what a program finds in net, http, https, tls and dgram is on the stack from then on.
 *
 * Servers stay Node's classes and listen on the stack (`StackHttp.attach`); sockets are the stack's. What is no TCP (pipes,
 * descriptors, handles), and what is to bypass the stack, goes to the real net. Works for `import` and `require` alike: the modules' own objects are changed, and
 * their bindings are told (`module.syncBuiltinESMExports`).
 */

import dgram from 'node:dgram';
import http from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import tls from 'node:tls';
import type { EndList } from './register-rules.ts';
import { markNormalized } from './socket/arguments.ts';
import { likeOverKernel } from './socket/http.ts';
import type { StackNet } from './socket/net.ts';
import type { StackSocket } from './socket/socket.ts';

// biome-ignore lint/suspicious/noExplicitAny: Node's functions in all their forms
type AnyFunction = (...args: any[]) => any;
type Options = Record<string, unknown>;

/** Whether these options name something that only the real net has. */
function isNotTcp(options: Options): boolean {
  return Boolean(options['path']) || options['fd'] !== undefined || Boolean(options['handle'] ?? options['_handle']);
}

/** Ends of connections that are left to the real net. */
export interface Bypass {
  readonly bypass: EndList;
  readonly bypassListen: EndList;
}

/** Whether a connection with these options is to bypass the stack. */
function isBypassed(list: EndList, options: Options): boolean {
  if (list.isEmpty || options['port'] === undefined) return false;
  const host = options['host'] ?? 'localhost';
  return list.has(String(host), Number(options['port']));
}

/** Whether a server with these options is: without a host it listens on all addresses, which an entry names as '::' or by its port alone. */
function listensPast(list: EndList, options: Options): boolean {
  if (list.isEmpty || options['port'] === undefined) return false;
  return list.has(String(options['host'] ?? '::'), Number(options['port']));
}

/** Options of a call in any of its forms. */
function optionsOf(args: readonly unknown[]): Options {
  const normalize = (net as unknown as { _normalizeArgs(args: readonly unknown[]): [Options, unknown] })._normalizeArgs;
  return normalize(args)[0];
}

/** Whether a TLS socket is being made: Node's TLS must take a socket of the stack for a mere stream, which it is. */
let isMakingTls = false;

function makingTls<T>(make: () => T): T {
  const before = isMakingTls;
  isMakingTls = true;
  try {
    return make();
  } finally {
    isMakingTls = before;
  }
}

function replace(target: object, members: Readonly<Record<PropertyKey, unknown>>): void {
  for (const name of Reflect.ownKeys(members)) {
    const value = members[name as string];
    Object.defineProperty(target, name, { value, configurable: true, writable: true, enumerable: true });
  }
}

/** From now on the program's sockets are those of `ours`. */
export function routeThrough(ours: StackNet, { bypass, bypassListen }: Bypass): void {
  const connect = routeNet(ours, bypass);
  routeServers(ours, bypassListen);
  replace(http.Agent.prototype, { createConnection: connect });
  routeTls(connect, bypass);
  replace(dgram, { Socket: ours.dgram.Socket, createSocket: ours.dgram.createSocket });
  syncBuiltinESMExports();
}

/** net's sockets and functions. Answers its `connect`. */
function routeNet(ours: StackNet, bypass: EndList): AnyFunction {
  const theirs = { Socket: net.Socket, connect: net.connect as AnyFunction };
  letSocketsBypass(ours, theirs.Socket, bypass);
  const normalize = (net as unknown as { _normalizeArgs: AnyFunction })._normalizeArgs;
  const Socket = function (this: unknown, options?: Options | number): object {
    // Node's own subclasses (TLS, and TLS over a stream) call the class on themselves.
    if (new.target === undefined && this instanceof theirs.Socket) {
      return Reflect.apply(theirs.Socket as unknown as AnyFunction, this, [options]);
    }
    const isTheirs = typeof options === 'number' || (options !== undefined && options !== null && isNotTcp(options));
    const Base = isTheirs && (new.target === undefined || new.target === Socket) ? theirs.Socket : ours.Socket;
    const made = new.target === undefined || new.target === Socket ? Base : new.target;
    return Reflect.construct(Base, [options], made) as object;
  };
  Object.defineProperty(Socket, 'name', { value: 'Socket' });
  Object.defineProperty(Socket, 'prototype', { value: ours.Socket.prototype });
  Object.setPrototypeOf(Socket, ours.Socket);
  Object.defineProperty(Socket, Symbol.hasInstance, {
    value(this: { prototype: object }, thing: unknown): boolean {
      if (this !== (Socket as unknown)) return Function.prototype[Symbol.hasInstance].call(this, thing);
      return thing instanceof theirs.Socket || (!isMakingTls && thing instanceof ours.Socket);
    },
  });
  const connect = (...args: unknown[]): unknown => {
    const options = optionsOf(args);
    return isNotTcp(options) || isBypassed(bypass, options) ? theirs.connect(...args) : ours.connect(...args);
  };
  replace(net, {
    Socket,
    Stream: Socket,
    connect,
    createConnection: connect,
    _normalizeArgs: (args: readonly unknown[]) => markNormalized(normalize(args) as unknown[]),
    getDefaultAutoSelectFamily: ours.getDefaultAutoSelectFamily,
    setDefaultAutoSelectFamily: ours.setDefaultAutoSelectFamily,
    getDefaultAutoSelectFamilyAttemptTimeout: ours.getDefaultAutoSelectFamilyAttemptTimeout,
    setDefaultAutoSelectFamilyAttemptTimeout: ours.setDefaultAutoSelectFamilyAttemptTimeout,
  });
  return connect;
}

/** Options that `new net.Socket()` takes, and that the socket keeps when it changes its kind. */
const OPTIONS_KEPT = ['allowHalfOpen', 'readable', 'writable'] as const;

/**
 * A socket that was made before anybody knew where it would connect to is the stack's. Where that turns out to be a pipe, or to bypass the
 * stack, and nothing has happened on it yet, it becomes one of the real net's: the same object, with the listeners that it has.
 */
function letSocketsBypass(ours: StackNet, Theirs: typeof net.Socket, bypass: EndList): void {
  const { prototype } = ours.Socket as unknown as { prototype: { connect: AnyFunction } };
  const { connect } = prototype;
  replace(prototype, {
    connect(this: StackSocket, ...args: unknown[]): unknown {
      const isFresh = !this.connecting && !this.destroyed && this.pending && this.writableLength === 0;
      const options = optionsOf(args);
      if (!isFresh || !(isNotTcp(options) || isBypassed(bypass, options))) return Reflect.apply(connect, this, args);
      const kept: Options = {};
      for (const name of OPTIONS_KEPT) kept[name] = (this as unknown as Options)[name];
      Object.setPrototypeOf(this, Theirs.prototype as object);
      Reflect.apply(Theirs as unknown as AnyFunction, this, [kept]);
      return (this as unknown as net.Socket).connect(...(args as Parameters<net.Socket['connect']>));
    },
  });
}

/** All servers made of net.Server, of whatever module: they listen on the stack. */
function routeServers(ours: StackNet, bypass: EndList): void {
  const { listen } = net.Server.prototype as unknown as { listen: AnyFunction };
  replace(net.Server.prototype, {
    listen(this: net.Server, ...args: unknown[]): unknown {
      const first = args[0];
      const options = optionsOf(args);
      const isShared = typeof first === 'object' && first !== null && isHandle(first);
      const isTheirs = isNotTcp(options) || isShared || listensPast(bypass, options);
      if (isTheirs) return Reflect.apply(listen, this, args);
      if (this instanceof tls.Server) prepareSecure(this);
      const attached: net.Server = ours.http.attach(this);
      return (attached.listen as AnyFunction)(...args);
    },
  });
}

/** A server or socket whose handle is to be shared. */
function isHandle(value: object): boolean {
  return '_handle' in value && Boolean(value._handle);
}

function routeTls(connect: AnyFunction, bypass: EndList): void {
  const { connect: connectTls, TLSSocket } = tls as unknown as { connect: AnyFunction; TLSSocket: AnyFunction };
  const secure = (...args: unknown[]): unknown => {
    const options = { ...optionsOf(args) };
    for (const given of args.slice(1, 3))
      if (typeof given === 'object' && given !== null) Object.assign(options, given);
    const last = args[args.length - 1];
    const callback = typeof last === 'function' ? [last] : [];
    if (isNotTcp(options) || (!options['socket'] && isBypassed(bypass, options))) {
      return makingTls(() => connectTls(...args));
    }
    if (options['socket']) return makingTls(() => connectTls(options, ...callback));
    const { timeout, ...rest } = options;
    const socket = connect({ ...rest, allowHalfOpen: true, onread: undefined, signal: undefined }) as StackSocket;
    const made = makingTls(() => connectTls({ ...options, socket }, ...callback)) as tls.TLSSocket;
    lend(made, socket);
    likeOverKernel(socket, made, Boolean(options['allowHalfOpen']));
    if (timeout) made.setTimeout(timeout as number);
    return made;
  };
  const Made = function (this: unknown, ...args: unknown[]): unknown {
    if (new.target === undefined) return makingTls(() => Reflect.apply(TLSSocket, this, args));
    const target = new.target === Made ? TLSSocket : new.target;
    return makingTls(() => Reflect.construct(TLSSocket, args, target));
  };
  Object.defineProperty(Made, 'name', { value: 'TLSSocket' });
  Object.defineProperty(Made, 'prototype', { value: TLSSocket.prototype });
  Object.setPrototypeOf(Made, Object.getPrototypeOf(TLSSocket) as object);
  replace(tls, { connect: secure, TLSSocket: Made });
}

/** A TLS server takes the stack's sockets as streams; its own sockets then know their addresses. */
function prepareSecure(server: tls.Server): void {
  const emit = server.emit as AnyFunction;
  replace(server, {
    emit(this: tls.Server, event: string, ...args: unknown[]): boolean {
      if (event === 'connection') return makingTls(() => emit.call(server, event, ...args));
      if (event === 'secureConnection') lendFrom(args[0] as tls.TLSSocket);
      return emit.call(server, event, ...args);
    },
  });
}

/** Finds the socket under a TLS socket, through Node's wrapping of streams. */
function lendFrom(socket: tls.TLSSocket): void {
  const handle = (socket as unknown as { _handle?: { _parentWrap?: { stream?: StackSocket } } })._handle;
  const stream = handle?._parentWrap?.stream;
  if (stream !== undefined) lend(socket, stream);
}

/** What a TLS socket cannot ask of the stream under it. */
function lend(socket: tls.TLSSocket, from: StackSocket): void {
  const forward = (name: 'setNoDelay' | 'setKeepAlive' | 'ref' | 'unref') => ({
    [name]: (...args: unknown[]): tls.TLSSocket => {
      (from[name] as AnyFunction)(...args);
      return socket;
    },
  });
  replace(socket, {
    _getpeername: () => from._getpeername(),
    _getsockname: () => from._getsockname(),
    ...forward('setNoDelay'),
    ...forward('setKeepAlive'),
    ...forward('ref'),
    ...forward('unref'),
  });
}
