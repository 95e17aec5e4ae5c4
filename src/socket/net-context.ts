/**
 * What the sockets and servers of one stack share, and what they know of each other.
 */

import type { SocketConstructorOpts } from 'node:net';
import type { LookupFunction } from './arguments.ts';
import type { AddressBlocker } from './blocking.ts';
import type { ConnectWay, HandleContext } from './handle-events.ts';
import type { BorrowingOnRead, FillingOnRead } from './on-read.ts';
import type { NetSettings } from './settings.ts';
import type { TcpHandle } from './tcp-handle.ts';

/** One a stack; made by `createNet`. */
export interface NetContext {
  readonly handles: HandleContext;
  readonly settings: NetSettings;
  /** Connects to pipes: the path stands where an address would. Null: there are none here. */
  readonly pipes: ConnectWay | null;
  /** What is open and has to be closed with the stack. */
  readonly opened: Set<ClosedWithStack>;
  /** Finds the addresses of names for sockets and servers that bring no `lookup` of their own. */
  readonly lookup: LookupFunction;
  /** Makes a socket of the class that programs of this stack see. */
  accept(options: AcceptedSocketOptions): AcceptedSocket;
}

/** A server or a UDP socket that listens. */
export interface ClosedWithStack {
  closeWithStack(): void;
}

/** Names of Node's options that are said here anew: the types of later versions of Node have some of them, in another form. */
export type OwnOption = 'onread' | 'blockList' | 'handle' | 'typeOfService';

/** Options of a socket: Node's, less pipes and descriptors. */
export interface SocketOptions extends Omit<SocketConstructorOpts, OwnOption> {
  readonly onread?: FillingOnRead | BorrowingOnRead | undefined;
  readonly noDelay?: boolean | undefined;
  readonly keepAlive?: boolean | undefined;
  readonly keepAliveInitialDelay?: number | undefined;
  /** TOS of IPv4, traffic class of IPv6, 0 to 255. */
  readonly typeOfService?: number | undefined;
  readonly highWaterMark?: number | undefined;
  readonly readableHighWaterMark?: number | undefined;
  readonly writableHighWaterMark?: number | undefined;
  /** Addresses that the socket does not connect to. */
  readonly blockList?: AddressBlocker | undefined;
  /** A bound socket that it adopts. */
  readonly handle?: object | undefined;
}

/** What a server hands to the sockets it makes. */
export interface AcceptedSocketOptions extends SocketOptions {
  readonly handle: TcpHandle;
  readonly pauseOnCreate: boolean;
}

/** What a server does to a socket that it made. */
export interface AcceptedSocket {
  server: unknown;
  _server: ServerOfSocket | null;
  destroy(error?: Error): unknown;
}

/** What a socket does to the server whose connection it is. Node's names. */
export interface ServerOfSocket {
  _connections: number;
  _emitCloseIfDrained(): void;
}
