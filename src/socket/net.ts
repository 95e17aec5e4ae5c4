/**
 * `stack.net`: node:net's module over the transports of one stack, and node:dgram's beside it.
 *
 * `createNet` answers what `import net from 'node:net'` answers, as far as it is about TCP, so that whatever takes a socket or
 * makes one through `createConnection` (http, https, tls, ws and others) runs on the stack.
 */

import type { IpcNetConnectOpts, ListenOptions, TcpNetConnectOpts } from 'node:net';
import type { CopyBytes } from '../base/copy-bytes.ts';
import type { SendMemory } from '../base/send-memory.ts';
import type { Transports } from '../host/api.ts';
import { isIP, isIPv4, isIPv6 } from './addresses.ts';
import { type LookupFunction, lookupLocal, normalizedList } from './arguments.ts';
import { type BoundSocketOptions, StackBoundSocket } from './bound-socket.ts';
import { type Callable, callable } from './callable.ts';
import { clientSocket, tell } from './diagnostics.ts';
import type { ConnectWay, HandleContext, KeepAlive } from './handle-events.ts';
import { createHttp, type StackHttp } from './http.ts';
import type { NetContext, OwnOption, SocketOptions } from './net-context.ts';
import { isNode20, required } from './node.ts';
import { type ServerOptions, StackServer } from './server.ts';
import { freshSettings, type SettingsFunctions, settingsFunctions } from './settings.ts';
import { SlabPool } from './slabs.ts';
import { StackSocket } from './socket.ts';
import type { UdpSocketOptions, UdpType } from './udp-options.ts';
import { StackUdpSocket } from './udp-socket.ts';

/** Options of `connect`: Node's, and the receive window. */
export type StackConnectOptions = (Omit<TcpNetConnectOpts, OwnOption> | Omit<IpcNetConnectOpts, OwnOption>) &
  SocketOptions & { readonly receiveBuffer?: number | undefined };

/** Options of `listen`: Node's, and the receive window of the connections. */
export type StackListenOptions = Omit<ListenOptions, 'reusePort'> & {
  readonly receiveBuffer?: number | undefined;
  readonly reusePort?: boolean | undefined;
};

type NodeNet = typeof import('node:net');
type OnConnection = (socket: StackSocket) => void;

/** The class of a stack's sockets; may be called without `new`. */
export type SocketClass = Callable<new (options?: SocketOptions) => StackSocket>;
/** The class of a stack's servers; may be called without `new`. */
export type ServerClass = Callable<
  new (
    options?: ServerOptions | OnConnection | null,
    onConnection?: OnConnection,
  ) => StackServer
>;

/** The class of a stack's ports that are bound and not yet anybody's. */
export type BoundSocketClass = new (options?: BoundSocketOptions) => StackBoundSocket;

/** node:net over a stack. */
export interface StackNet extends SettingsFunctions {
  readonly Socket: SocketClass;
  readonly Stream: SocketClass;
  readonly Server: ServerClass;
  readonly BoundSocket: BoundSocketClass;
  /** Node's own: they are about addresses and not about a network. */
  readonly BlockList: typeof import('node:net').BlockList;
  readonly SocketAddress: typeof import('node:net').SocketAddress;
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
  /** Node's name for: [options, callback] of whatever `connect` is given. */
  _normalizeArgs(args: readonly unknown[]): unknown[];
  /** Closes the servers and UDP sockets that are open; called when the stack is closed. */
  closeAll(): void;
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
  /** Copies received data; default: V8 does. */
  readonly copy?: CopyBytes;
  /** Memory that a target sends from as it lies; written to with `copy`. */
  readonly sendMemory?: SendMemory;
  /** Connects to pipes: the path stands where an address would. Absent: a pipe is a wrong argument. */
  readonly pipes?: ConnectWay;
}

const NO_KEEP_ALIVE: KeepAlive = { ref: () => {}, unref: () => {} };

/** Makes node:net over the transports of a stack. */
export function createNet(transports: Transports, options: NetOptions = {}): StackNet {
  const handles: HandleContext = {
    transports,
    slabs: new SlabPool(options.copy, options.sendMemory),
    keepAlive: options.keepAlive ?? NO_KEEP_ALIVE,
  };
  const context: NetContext = {
    handles,
    settings: freshSettings(),
    pipes: options.pipes ?? null,
    opened: new Set(),
    lookup: options.lookup ?? lookupLocal,
    accept: (accepted) => new Socket(accepted),
  };
  const { Socket, Server, BoundSocket } = classesOf(context);
  const connect = (...args: unknown[]): StackSocket => {
    const normal = normalizedList(args);
    const given = normal[0] as SocketOptions & { timeout?: number };
    const socket = new Socket(given);
    if (isNode20) tell(clientSocket, { socket });
    if (given.timeout) socket.setTimeout(given.timeout);
    return socket.connect(normal);
  };
  const net: StackNet = {
    Socket,
    Stream: Socket,
    Server,
    BoundSocket,
    createServer: (given, onConnection) => new Server(given, onConnection),
    connect,
    createConnection: connect,
    isIP,
    isIPv4,
    isIPv6,
    ...settingsFunctions(context.settings),
    get BlockList(): NodeNet['BlockList'] {
      return required<NodeNet>('node:net').BlockList;
    },
    get SocketAddress(): NodeNet['SocketAddress'] {
      return required<NodeNet>('node:net').SocketAddress;
    },
    _normalizeArgs: normalizedList,
    closeAll: () => {
      for (const one of [...context.opened]) one.closeWithStack();
    },
    dgram: createDgram(context),
    get http(): StackHttp {
      return http;
    },
  };
  const http = createHttp(net);
  return net;
}

/** The classes of one stack, which know it. */
function classesOf(context: NetContext): Pick<StackNet, 'Socket' | 'Server' | 'BoundSocket'> {
  const Socket = callable(
    'Socket',
    class extends StackSocket {
      constructor(given?: SocketOptions) {
        super(given, context);
      }
    },
  );
  const Server = callable(
    'Server',
    class extends StackServer {
      constructor(given?: ServerOptions | OnConnection | null, onConnection?: OnConnection) {
        super(given, onConnection, context);
      }
    },
  );
  class BoundSocket extends StackBoundSocket {
    constructor(given?: BoundSocketOptions) {
      super(given, context.handles.transports);
    }
  }
  return { Socket, Server, BoundSocket };
}

function createDgram(context: NetContext): StackDgram {
  class Socket extends StackUdpSocket {
    constructor(options: UdpSocketOptions | UdpType, onMessage?: (...args: never[]) => void) {
      super(options, onMessage, context);
    }
  }
  return { Socket, createSocket: (options, onMessage) => new Socket(options, onMessage) };
}
