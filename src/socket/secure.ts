/**
 * Node's TLS over sockets of a stack: what it cannot know of the stream under it, and how a connection is begun.
 *
 * Node's TLS takes any stream, through a wrapping of its own. Over one of the kernel's sockets it would ask the socket's handle for
 * addresses, options and whether it holds the process; here that wrapping's handle is taught to answer. Sources: the documentation of node:tls;
 * how node:tls calls what is under it, as can be seen from outside.
 */

import type { Socket } from 'node:net';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { errnoOf } from './errors.ts';
import { nextTurn } from './node.ts';
import type { StackSocket } from './socket.ts';

type Options = Record<string, unknown>;
/** One write of TLS through the wrapping: what it is told with when it is done, and the bytes. */
type WrappedWrite = (request: unknown, bytes: unknown) => number;

/** Node's wrapping of a stream that is not the kernel's, as far as it is of use. */
interface Wrapping {
  readonly stream?: unknown;
  readonly _handle?: { finishWrite(request: unknown, code: number): void } | null;
  doWrite: WrappedWrite;
  finishWrite(handle: unknown, code: number): void;
}

/** The handle of a TLS socket, and that under it. */
interface TlsHandle {
  readonly _parent?: Options;
  readonly _parentWrap?: Wrapping;
}

/** Makes a TLS socket's handle what it would be over a socket of the kernel's, if it is over one of `kind`. */
export function teachHandle(handle: unknown, kind: abstract new (...args: never[]) => StackSocket): void {
  const { _parent: parent, _parentWrap: wrapping } = (handle ?? {}) as TlsHandle;
  const stream = wrapping?.stream;
  if (parent === undefined || wrapping === undefined || !(stream instanceof kind)) return;
  const told =
    (address: () => object) =>
    (out: object): number => {
      Object.assign(out, address());
      return 0;
    };
  const done = (act: () => unknown): number => {
    act();
    return 0;
  };
  Object.assign(parent, {
    getsockname: told(() => stream._getsockname()),
    getpeername: told(() => stream._getpeername()),
    setNoDelay: (on: boolean) => done(() => stream.setNoDelay(on)),
    setKeepAlive: (on: boolean, seconds: number, interval?: number, count?: number) =>
      done(() => stream.setKeepAlive(on, seconds * 1000, interval && interval * 1000, count)),
    setTypeOfService: (value: number) => done(() => stream.setTypeOfService(value)),
    getTypeOfService: () => stream.getTypeOfService(),
    ref: () => done(() => stream.ref()),
    unref: () => done(() => stream.unref()),
  });
  lineUpWrites(wrapping, stream);
}

/**
 * The wrapping takes one write at a time, and TLS does not wait where it answers its peer by itself (a renegotiation): then the
 * wrapping would end the process. So they are put in line. What TLS answers when it has ended the stream is a broken pipe, which TLS expects, and
 * no error of the stream's.
 */
function lineUpWrites(wrapping: Wrapping, stream: StackSocket): void {
  const { doWrite, finishWrite } = wrapping;
  const waiting: Parameters<WrappedWrite>[] = [];
  let isWriting = false;
  wrapping.doWrite = (...write) => {
    if (stream.writableEnded) {
      nextTurn(() => wrapping._handle?.finishWrite(write[0], errnoOf('EPIPE')));
      return 0;
    }
    if (isWriting) {
      waiting.push(write);
      return 0;
    }
    isWriting = true;
    return doWrite.apply(wrapping, write);
  };
  wrapping.finishWrite = (handle, code) => {
    isWriting = false;
    finishWrite.call(wrapping, handle, code);
    const next = isWriting ? undefined : waiting.shift();
    if (next !== undefined) wrapping.doWrite(...next);
  };
}

/** Events of a connection that is being made: Node's TLS sockets, being sockets, have them too. */
const CONNECTING = [
  'lookup',
  'connectionAttempt',
  'connectionAttemptFailed',
  'connectionAttemptTimeout',
  'connect',
  'ready',
] as const;

/**
 * Makes a TLS socket over `socket`. It is half-open only where that is wanted, although the stream under it always is: TLS writes on after
 * that stream's other side has ended, and takes from it, when it begins, whether it is half-open itself.
 */
export function beginningTls<T>(socket: { allowHalfOpen: boolean }, allowHalfOpen: boolean, begin: () => T): T {
  socket.allowHalfOpen = allowHalfOpen;
  try {
    return begin();
  } finally {
    socket.allowHalfOpen = true;
  }
}

/** The TLS socket tells what happens before TLS begins. */
function likeOverKernel(from: StackSocket, to: TLSSocket): void {
  const { connecting } = to as { connecting: boolean };
  for (const event of CONNECTING) {
    // Where Node knows that the socket is still to connect it tells this one itself.
    if (event === 'connect' && connecting) continue;
    from.on(event, (...args: unknown[]) => {
      if (event === 'connect') (to as { connecting: boolean }).connecting = false;
      to.emit(event, ...args);
    });
  }
  (to as { connecting: boolean }).connecting = true;
}

/** How a TLS connection is begun: `socket` is one of the stack's that is not connected yet. */
export interface SecureWay {
  makeSocket(options: Options): StackSocket;
  connect(options: ConnectionOptions & { readonly socket: Socket }, ...callback: (() => void)[]): TLSSocket;
  readonly kind: abstract new (...args: never[]) => StackSocket;
}

/** What `tls.connect` does where it makes its socket itself. Throws what it throws. */
export function connectSecureOver(way: SecureWay, options: Options, callback: (() => void)[]): TLSSocket {
  const { timeout, ...rest } = options;
  const own = { ...rest, allowHalfOpen: true, onread: undefined, signal: undefined };
  const socket = way.makeSocket(own);
  // It is as good as begun: what TLS writes at once is to wait for the connection.
  socket.connecting = true;
  let made: TLSSocket | undefined;
  try {
    const given = { ...options, socket: socket as unknown as Socket };
    made = beginningTls(socket, Boolean(options['allowHalfOpen']), () => way.connect(given, ...callback));
    teachHandle((made as unknown as { _handle: unknown })._handle, way.kind);
    likeOverKernel(socket, made);
    if (timeout) made.setTimeout(timeout as number);
    socket.connect(own);
  } catch (error) {
    made?.destroy();
    socket.destroy();
    throw error;
  }
  return made;
}

/** A TLS socket that was made before anybody knew where it would connect to, over `socket`: it connects that. */
export function connectsItself(made: TLSSocket, socket: StackSocket, kind: SecureWay['kind']): TLSSocket {
  teachHandle((made as unknown as { _handle: unknown })._handle, kind);
  likeOverKernel(socket, made);
  const connect = (...args: unknown[]): TLSSocket => {
    const last = args[args.length - 1];
    if (typeof last === 'function') made.once('connect', args.pop() as () => void);
    socket.connect(...args);
    return made;
  };
  Object.defineProperty(made, 'connect', { value: connect, configurable: true, writable: true });
  return made;
}
