/**
 * `stack.net`: node:net's module over the transports of one stack, and node:dgram's beside it.
 *
 * `createNet` answers what `import net from 'node:net'` answers, as far as it is about TCP, so that whatever takes a socket or
 * makes one through `createConnection` (http, https, tls, ws and others) runs on the stack.
 */

import type { ListenOptions, NetConnectOpts } from 'node:net';
import type { Transports } from '../host/api.ts';
import { isIP, isIPv4, isIPv6 } from './addresses.ts';
import { type LookupFunction, lookupLocal, normalizeArgs } from './arguments.ts';
import { createHttp, type StackHttp } from './http.ts';
import type { NetContext, SocketOptions } from './net-context.ts';
import { type ServerOptions, StackServer } from './server.ts';
import { SlabPool } from './slabs.ts';
import { StackSocket } from './socket.ts';
import type { HandleContext, KeepAlive } from './tcp-handle.ts';
import { StackUdpSocket, type UdpSocketOptions, type UdpType } from './udp-socket.ts';

/** Options of `connect`: Node's, and the receive window. */
export type StackConnectOptions = NetConnectOpts & SocketOptions & { readonly receiveBuffer?: number | undefined };

/** Options of `listen`: Node's, and the receive window of the connections. */
export type StackListenOptions = ListenOptions & { readonly receiveBuffer?: number | undefined };

type OnConnection = (socket: StackSocket) => void;

/** node:net over a stack. */
export interface StackNet {
  readonly Socket: new (options?: SocketOptions) => StackSocket;
  readonly Stream: new (options?: SocketOptions) => StackSocket;
  readonly Server: new (options?: ServerOptions | OnConnection, onConnection?: OnConnection) => StackServer;
  createServer(options?: ServerOptions | OnConnection | null, onConnection?: OnConnection): StackServer;
  /** (options[, callback]) or (port[, host][, callback]). */
  connect(...args: unknown[]): StackSocket;
  /** The same; what http, https and ws take as `createConnection`. */
  createConnection(...args: unknown[]): StackSocket;
  isIP(input: string): 0 | 4 | 6;
  isIPv4(input: string): boolean;
  isIPv6(input: string): boolean;
  /** node:dgram over the stack. */
  readonly dgram: StackDgram;
  /** Servers and agents of node:http, node:https and node:tls on the stack. */
  readonly http: StackHttp;
}

/** node:dgram over a stack. */
export interface StackDgram {
  readonly Socket: new (options: UdpSocketOptions | UdpType, onMessage?: (...args: never[]) => void) => StackUdpSocket;
  createSocket(options: UdpSocketOptions | UdpType, onMessage?: (...args: never[]) => void): StackUdpSocket;
}

export interface NetOptions {
  /** Kept while a socket or server is open, so that the process lives on; a runtime has these. */
  readonly keepAlive?: KeepAlive;
  /** Finds addresses of names, in the form of dns.lookup. The default knows `localhost` and addresses. */
  readonly lookup?: LookupFunction;
}

const NO_KEEP_ALIVE: KeepAlive = { ref: () => {}, unref: () => {} };

/** Makes node:net over the transports of a stack. */
export function createNet(transports: Transports, options: NetOptions = {}): StackNet {
  const handles: HandleContext = {
    transports,
    slabs: new SlabPool(),
    keepAlive: options.keepAlive ?? NO_KEEP_ALIVE,
  };
  const context: NetContext = {
    handles,
    lookup: options.lookup ?? lookupLocal,
    accept: (accepted) => new Socket(accepted),
  };
  class Socket extends StackSocket {
    constructor(given?: SocketOptions) {
      super(given, context);
    }
  }
  class Server extends StackServer {
    constructor(given?: ServerOptions | OnConnection | null, onConnection?: OnConnection) {
      super(given, onConnection, context);
    }
  }
  const connect = (...args: unknown[]): StackSocket => {
    const normal = normalizeArgs(args);
    const socket = new Socket(normal.options as SocketOptions);
    const timeout = normal.options['timeout'];
    if (timeout) socket.setTimeout(timeout as number);
    return socket.connect(...args);
  };
  const net: StackNet = {
    Socket,
    Stream: Socket,
    Server,
    createServer: (given, onConnection) => new Server(given, onConnection),
    connect,
    createConnection: connect,
    isIP,
    isIPv4,
    isIPv6,
    dgram: createDgram(context),
    get http(): StackHttp {
      return http;
    },
  };
  const http = createHttp(net);
  return net;
}

function createDgram(context: NetContext): StackDgram {
  class Socket extends StackUdpSocket {
    constructor(options: UdpSocketOptions | UdpType, onMessage?: (...args: never[]) => void) {
      super(options, onMessage, context);
    }
  }
  return { Socket, createSocket: (options, onMessage) => new Socket(options, onMessage) };
}
