/**
 * node:http, node:https and node:tls on a stack: servers that listen there, agents that connect there.
 *
 * Nothing of these modules is replaced: a server is handed the stack's connections as its own ('connection'), an agent is
 * Node's with another `createConnection`. Sources: the documented events and options of node:http and node:tls.
 */

import type * as NodeHttp from 'node:http';
import type * as NodeHttps from 'node:https';
import type { Server as NodeServer } from 'node:net';
import type { Duplex } from 'node:stream';
import type * as NodeTls from 'node:tls';
import type { SocketOptions } from './net-context.ts';
import { required } from './node.ts';
import { beginningTls, connectSecureOver, type SecureWay, teachHandle } from './secure.ts';
import type { StackServer } from './server.ts';
import type { StackSocket } from './socket.ts';

/** What is needed here of the stack's net. */
interface NetForHttp {
  createServer(options: object, onConnection: (socket: StackSocket) => void): StackServer;
  connect(...args: unknown[]): StackSocket;
  readonly Socket: new (options?: SocketOptions) => StackSocket;
}

/**
 * http, https and tls on a stack.
 *
 * Node's TLS takes any stream under it, but writes on after that stream's other side has ended; whoever makes such a socket
 * himself makes it `allowHalfOpen`, or what TLS still has to send is lost. What is made here is.
 */
export interface StackHttp {
  /**
   * Makes a server of node:http, node:https, node:tls (or anything else made of net.Server) listen on the stack: its `listen`,
   * `close`, `address`, `listening`, `getConnections`, `ref` and `unref` now speak of the stack. Answers the same server.
   */
  attach<T extends NodeServer>(server: T): T;
  /** http.createServer, attached. */
  createServer(...args: unknown[]): NodeHttp.Server;
  /** https.createServer, attached. */
  createSecureServer(options: NodeHttps.ServerOptions, onRequest?: NodeHttp.RequestListener): NodeHttps.Server;
  /** http.Agent whose connections are the stack's. */
  readonly Agent: new (
    options?: NodeHttp.AgentOptions,
  ) => NodeHttp.Agent;
  /** https.Agent whose connections are the stack's. */
  readonly SecureAgent: new (
    options?: NodeHttps.AgentOptions,
  ) => NodeHttps.Agent;
  /** tls.connect over a connection of the stack; also what wss and others take as `createConnection`. */
  connectSecure(options: NodeTls.ConnectionOptions, onSecure?: () => void): NodeTls.TLSSocket;
  /** One agent for `http.request({agent})`, made when first asked for. Keeps connections alive, as Node's global one. */
  readonly agent: NodeHttp.Agent;
  /** One agent for `https.request({agent})`. */
  readonly secureAgent: NodeHttps.Agent;
}

/** Makes the helpers of one stack. Node's modules are asked for when they are first needed. */
export function createHttp(net: NetForHttp): StackHttp {
  const http = lazy(() => required<typeof NodeHttp>('node:http'));
  const https = lazy(() => required<typeof NodeHttps>('node:https'));
  const Agent = lazy(() => agentClass(net, http()));
  const SecureAgent = lazy(() => secureAgentClass(net, https()));
  const agent = lazy(() => new (Agent())({ keepAlive: true, scheduling: 'lifo', timeout: 5000 }));
  const secureAgent = lazy(() => new (SecureAgent())({ keepAlive: true, scheduling: 'lifo', timeout: 5000 }));
  return {
    attach: (server) => attach(net, server),
    createServer: (...args) => attach(net, http().createServer(...(args as []))),
    createSecureServer: (options, onRequest) => attach(net, https().createServer(options, onRequest)),
    connectSecure: (options, onSecure) => connectSecure(net, options, onSecure),
    get Agent() {
      return Agent();
    },
    get SecureAgent() {
      return SecureAgent();
    },
    get agent() {
      return agent();
    },
    get secureAgent() {
      return secureAgent();
    },
  };
}

function lazy<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

type AgentOptions = Record<string, unknown>;

function agentClass(net: NetForHttp, http: typeof NodeHttp): StackHttp['Agent'] {
  return class Agent extends http.Agent {
    override createConnection(options: NodeHttp.ClientRequestArgs): Duplex {
      return net.connect(options);
    }

    override reuseSocket(socket: Duplex, request: NodeHttp.ClientRequest): void {
      if (socket instanceof net.Socket) socket._enterContext();
      super.reuseSocket(socket, request);
    }
  };
}

/** Node's agent keeps the TLS sessions; only the socket under the TLS is ours. */
function secureAgentClass(net: NetForHttp, https: typeof NodeHttps): StackHttp['SecureAgent'] {
  type Create = (options: AgentOptions) => Duplex;
  const base = (https.Agent.prototype as unknown as { createConnection: Create }).createConnection;
  return class SecureAgent extends https.Agent {
    override createConnection(options: NodeHttp.ClientRequestArgs): Duplex {
      const connect = (given: object): NodeTls.TLSSocket => base.call(this, given as AgentOptions) as NodeTls.TLSSocket;
      const way = { makeSocket: (given: SocketOptions) => new net.Socket(given), connect, kind: net.Socket };
      return connectSecureOver(way, options as AgentOptions, []);
    }
  };
}

function connectSecure(
  net: NetForHttp,
  options: NodeTls.ConnectionOptions,
  onSecure: (() => void) | undefined,
): NodeTls.TLSSocket {
  const tls = required<typeof NodeTls>('node:tls');
  const callback = onSecure === undefined ? [] : [onSecure];
  return connectSecureOver(secureWay(net, tls), options as Record<string, unknown>, callback);
}

function secureWay(net: NetForHttp, tls: typeof NodeTls): SecureWay {
  return {
    makeSocket: (options) => new net.Socket(options),
    connect: (options, ...callback) => tls.connect(options, ...callback),
    kind: net.Socket,
  };
}

/** The parts of Node's servers that are used or replaced; http's have the last two. */
interface AttachableServer {
  emit(event: string, ...args: unknown[]): boolean;
  once(event: string, listener: (...args: unknown[]) => void): unknown;
  prependListener?(event: string, listener: (...args: unknown[]) => void): unknown;
  maxConnections?: number;
  allowHalfOpen?: boolean;
  pauseOnConnect?: boolean;
  noDelay?: boolean;
  /** Node's: `unref` was called before there was anything to let go of. */
  _unref?: boolean;
  keepAlive?: boolean;
  keepAliveInitialDelay?: number;
  highWaterMark?: number;
  close(callback?: (error?: Error) => void): unknown;
  closeIdleConnections?(): void;
  /** TLS servers only. */
  setSecureContext?(options: object): void;
}

function attach<T extends NodeServer>(net: NetForHttp, given: T): T {
  const server = given as unknown as AttachableServer;
  const settings = {
    allowHalfOpen: server.allowHalfOpen || server.setSecureContext !== undefined,
    pauseOnConnect: server.pauseOnConnect,
    noDelay: server.noDelay,
    keepAlive: server.keepAlive,
    keepAliveInitialDelay: (server.keepAliveInitialDelay ?? 0) * 1000,
    ...(server.highWaterMark === undefined ? {} : { highWaterMark: server.highWaterMark }),
  };
  const inner = net.createServer(settings, (socket) => {
    socket.server = given;
    if (server.setSecureContext === undefined) server.emit('connection', socket);
    else beginningTls(socket, Boolean(server.allowHalfOpen), () => server.emit('connection', socket));
  });
  if (server._unref) inner.unref();
  if (server.maxConnections !== undefined) inner.maxConnections = server.maxConnections;
  for (const event of ['listening', 'error', 'drop']) {
    inner.on(event, (...args: unknown[]) => void server.emit(event, ...args));
  }
  if (server.setSecureContext !== undefined) {
    server.prependListener?.('secureConnection', (socket) => {
      teachHandle((socket as { _handle?: unknown })._handle, net.Socket);
    });
  }
  const methods = methodsOf(server, inner);
  for (const name of Reflect.ownKeys(methods)) {
    const value = (methods as unknown as Record<PropertyKey, unknown>)[name];
    Object.defineProperty(given, name, { value, configurable: true, writable: true });
  }
  for (const name of ['listening', '_connectionKey'] as const) {
    Object.defineProperty(given, name, { get: () => inner[name], configurable: true });
  }
  Object.defineProperty(given, 'maxConnections', {
    get: () => inner.maxConnections,
    set: (value: number | undefined) => {
      inner.maxConnections = value;
    },
    configurable: true,
    enumerable: true,
  });
  return given;
}

/** What an attached server does instead of what it did. */
interface AttachedMethods {
  listen(...args: unknown[]): AttachableServer;
  close(callback?: (error?: Error) => void): AttachableServer;
  address(): ReturnType<StackServer['address']>;
  getConnections(callback: (error: Error | null, count: number) => void): AttachableServer;
  ref(): AttachableServer;
  unref(): AttachableServer;
  [Symbol.asyncDispose](): Promise<void>;
}

function methodsOf(server: AttachableServer, inner: StackServer): AttachedMethods {
  // Its own `close` sees to what it keeps beside its connections, and emits 'close'.
  const ownClose = server.close;
  let isOpen = false;
  /** `listen` was called, and has neither succeeded nor failed. */
  let isOpening = false;
  for (const event of ['listening', 'error']) {
    // Before the program hears of it, who may call `listen` again.
    inner.prependListener(event, () => {
      isOpening = false;
      isOpen = inner.listening;
    });
  }
  inner.on('close', () => {
    // Its `listen` may have been called again meanwhile.
    isOpen = isOpening || inner.listening;
    ownClose.call(server);
  });
  const methods: AttachedMethods = {
    listen(...args) {
      if (typeof args[args.length - 1] === 'function') server.once('listening', args.pop() as () => void);
      inner.listen(...args);
      isOpening = true;
      isOpen = true;
      return server;
    },
    close(callback) {
      if (!isOpen) {
        ownClose.call(server, callback);
        return server;
      }
      if (typeof callback === 'function') server.once('close', callback as () => void);
      server.closeIdleConnections?.();
      isOpen = false;
      isOpening = false;
      inner.close();
      return server;
    },
    address: () => inner.address(),
    getConnections(callback) {
      inner.getConnections(callback);
      return server;
    },
    ref() {
      inner.ref();
      return server;
    },
    unref() {
      inner.unref();
      return server;
    },
    async [Symbol.asyncDispose]() {
      if (isOpen) await new Promise<void>((resolve) => methods.close(() => resolve()));
    },
  };
  return methods;
}
