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
import { StackBoundSocket } from './socket/bound-socket.ts';
import type { StackNet } from './socket/net.ts';
import { beginningTls, connectSecureOver, connectsItself, type SecureWay, teachHandle } from './socket/secure.ts';
import type { StackSocket } from './socket/socket.ts';

// biome-ignore lint/suspicious/noExplicitAny: Node's functions in all their forms
type AnyFunction = (...args: any[]) => any;
type Options = Record<string, unknown>;

/** Whether these options name something that only the real net has. A port that was bound on the stack is none. */
function isNotTcp(options: Options): boolean {
  const handle = options['handle'] ?? options['_handle'];
  const isForeign = Boolean(handle) && !(handle instanceof StackBoundSocket);
  return Boolean(options['path']) || options['fd'] !== undefined || isForeign;
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

/**
 * Whether a TLS socket is about to ask whether its stream is a socket, whose connecting it would have to wait for: one of the stack's that is
 * connected it must take for a mere stream, which it is.
 */
let isTlsAsking = false;

/** The `onread` option of the TLS socket that is being made, which Node forgets for one over a stream. */
let onreadOfTls: unknown;

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
  const { reuseSocket } = http.Agent.prototype as unknown as { reuseSocket: AnyFunction };
  replace(http.Agent.prototype, {
    createConnection: connect,
    reuseSocket(this: http.Agent, socket: unknown, request: unknown): void {
      if (socket instanceof ours.Socket) socket._enterContext();
      Reflect.apply(reuseSocket, this, [socket, request]);
    },
  });
  routeTls(ours, bypass);
  replace(dgram, { Socket: ours.dgram.Socket, createSocket: ours.dgram.createSocket });
  syncBuiltinESMExports();
}

/** net's sockets and functions. Answers its `connect`. */
function routeNet(ours: StackNet, bypass: EndList): AnyFunction {
  const theirs = { Socket: net.Socket, connect: net.connect as AnyFunction };
  letSocketsBypass(ours, theirs.Socket, bypass);
  letWrappingsKnow(ours, theirs.Socket);
  const normalize = (net as unknown as { _normalizeArgs: AnyFunction })._normalizeArgs;
  const Socket = function (this: unknown, options?: Options | number): object {
    // Node's own subclasses (TLS, and TLS over a stream) call the class on themselves.
    if (new.target === undefined && this instanceof theirs.Socket) {
      const given = options as Options | undefined;
      teachHandle(given?.['handle'], ours.Socket);
      const made = onreadOfTls ? { ...given, onread: onreadOfTls } : options;
      return Reflect.apply(theirs.Socket as unknown as AnyFunction, this, [made]);
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
      return thing instanceof theirs.Socket || (thing instanceof ours.Socket && (!isTlsAsking || thing.pending));
    },
  });
  const connect = (...args: unknown[]): unknown => {
    const options = optionsOf(args);
    return isNotTcp(options) || isBypassed(bypass, options) ? theirs.connect(...args) : ours.connect(...args);
  };
  routeBoundSockets(ours);
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

/** net.BoundSocket, where Node has one: a path names a pipe, which is the kernel's. */
function routeBoundSockets(ours: StackNet): void {
  const { BoundSocket: Theirs } = net as unknown as { BoundSocket?: abstract new (...args: never[]) => object };
  if (Theirs === undefined) return;
  function BoundSocket(options?: Options): object {
    const isPipe = options?.['path'] !== undefined;
    return Reflect.construct(isPipe ? Theirs! : ours.BoundSocket, options === undefined ? [] : [options]) as object;
  }
  Object.defineProperty(BoundSocket, 'prototype', { value: ours.BoundSocket.prototype });
  Object.defineProperty(BoundSocket, Symbol.hasInstance, {
    value: (thing: unknown) => thing instanceof Theirs || thing instanceof ours.BoundSocket,
  });
  replace(net, { BoundSocket });
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

/** What Node's wrapping of a stream (HTTP/2 over a socket of the stack) is asked, and the socket knows. */
const KNOWN_BELOW = ['_getpeername', '_getsockname', 'setNoDelay', 'setKeepAlive', 'ref', 'unref'];
/** And in newer versions of Node. */
const NEWLY_KNOWN_BELOW = ['setTypeOfService', 'getTypeOfService'];

function letWrappingsKnow(ours: StackNet, Theirs: typeof net.Socket): void {
  const prototype = Theirs.prototype as unknown as Record<string, AnyFunction>;
  for (const name of [...KNOWN_BELOW, ...NEWLY_KNOWN_BELOW.filter((newer) => newer in prototype)]) {
    const own = prototype[name]!;
    replace(prototype, {
      [name](this: { readonly stream?: unknown }, ...args: unknown[]): unknown {
        const { stream } = this;
        if (!(stream instanceof ours.Socket)) return Reflect.apply(own, this, args);
        const answer: unknown = Reflect.apply((stream as unknown as Record<string, AnyFunction>)[name]!, stream, args);
        return answer === stream ? this : answer;
      },
    });
  }
  Object.defineProperty(prototype, 'stream', {
    // How the wrapping is told of its stream: one that still connects is to be waited for.
    set(this: net.Socket, stream: unknown) {
      Object.defineProperty(this, 'stream', { value: stream, writable: true, enumerable: true, configurable: true });
      if (stream instanceof ours.Socket && stream.pending) waitFor(this as unknown as Wrapping, stream);
    },
    configurable: true,
  });
}

interface Wrapping {
  connecting: boolean;
  emit(event: string): boolean;
}

function waitFor(wrapping: Wrapping, stream: StackSocket): void {
  wrapping.connecting = true;
  stream.once('connect', () => {
    wrapping.connecting = false;
    wrapping.emit('connect');
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
      const isOurs = first instanceof StackBoundSocket;
      const isTheirs = !isOurs && (isNotTcp(options) || isShared || listensPast(bypass, options));
      if (isTheirs) return Reflect.apply(listen, this, args);
      const attached: net.Server = ours.http.attach(this);
      return (attached.listen as AnyFunction)(...args);
    },
  });
}

/** A server or socket whose handle is to be shared. */
function isHandle(value: object): boolean {
  return '_handle' in value && Boolean(value._handle);
}

// biome-ignore lint/suspicious/noExplicitAny: Node's class, with what it calls by itself
type TlsClass = (new (...args: any[]) => tls.TLSSocket) & { prototype: { _init: AnyFunction } };

/** tls.TLSSocket: one that is made without a socket gets one of the stack's. */
function tlsSocketClass(ours: StackNet, TLSSocket: TlsClass): object {
  const Made = function (this: unknown, socket?: object | null, options?: Options): tls.TLSSocket {
    // Old-style inheritance.
    if (new.target === undefined) return Reflect.apply(TLSSocket as unknown as AnyFunction, this, [socket, options]);
    const target = new.target === Made ? TLSSocket : new.target;
    const make = (given: unknown): tls.TLSSocket =>
      Reflect.construct(TLSSocket, [given, options], target) as tls.TLSSocket;
    if (socket || options?.['pipe']) return make(socket);
    const own = new ours.Socket({ allowHalfOpen: true });
    const made = beginningTls(own, Boolean(options?.['allowHalfOpen']), () => make(own));
    return connectsItself(made, own, ours.Socket);
  };
  Object.defineProperty(Made, 'name', { value: 'TLSSocket' });
  Object.defineProperty(Made, 'prototype', { value: TLSSocket.prototype });
  Object.setPrototypeOf(Made, Object.getPrototypeOf(TLSSocket) as object);
  return Made;
}

function routeTls(ours: StackNet, bypass: EndList): void {
  const { connect, TLSSocket } = tls as unknown as {
    connect: AnyFunction;
    TLSSocket: TlsClass;
  };
  const secure = (...args: unknown[]): unknown => {
    const options = { ...optionsOf(args) };
    for (const given of args.slice(1, 3))
      if (typeof given === 'object' && given !== null) Object.assign(options, given);
    const isTheirs = isNotTcp(options) || isBypassed(bypass, options);
    if (options['socket'] || isTheirs) return connect(...args);
    const last = args[args.length - 1];
    const way: SecureWay = {
      makeSocket: (given) => new ours.Socket(given),
      connect: (given, ...callback) => {
        onreadOfTls = options['onread'];
        try {
          return connect(given, ...callback) as tls.TLSSocket;
        } finally {
          onreadOfTls = undefined;
        }
      },
      kind: ours.Socket,
    };
    return connectSecureOver(way, options, typeof last === 'function' ? [last as () => void] : []);
  };
  replace(tls, { connect: secure, TLSSocket: tlsSocketClass(ours, TLSSocket) });
  const { _init: init } = TLSSocket.prototype;
  replace(TLSSocket.prototype, {
    _init(this: tls.TLSSocket, ...args: unknown[]): void {
      isTlsAsking = true;
      try {
        Reflect.apply(init, this, args);
      } finally {
        isTlsAsking = false;
      }
    },
  });
}
