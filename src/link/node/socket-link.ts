/**
 * A stream link over a socket of Node's: what QEMU's `-netdev stream` and like programs connect to.
 *
 * Promises: frames in any cut; back-pressure both ways; a socket that ends or fails is a link that went down. The socket is the
 * link's from the call on and is ended with it.
 */

import type { Socket } from 'node:net';
import { having, OptionError } from '../../base/options.ts';
import type { Runtime } from '../../base/runtime.ts';
import type { Medium } from '../link.ts';
import { StreamLink } from '../stream.ts';

export interface SocketLinkOptions {
  readonly runtime: Runtime;
  readonly name?: string;
  readonly medium?: Medium;
  /** Bytes of IP packet, default 1500. */
  readonly mtu?: number;
  /** Told once, when the link has gone down for good, and why. */
  readonly onClosed?: (why: string) => void;
}

const SOCKET = having('a connected socket', 'on', 'write', 'end');

/** Makes a link of a connected socket (TCP or Unix). */
export function socketLink(socket: Socket, options: SocketLinkOptions): StreamLink {
  if (!SOCKET.holds(socket)) throw new OptionError('socketLink', 'socket', SOCKET.words, socket);
  const link = new StreamLink({
    ...options,
    carrier: {
      write: (bytes) => socket.write(bytes),
      end: () => socket.end(),
    },
  });
  socket.on('data', (chunk: Buffer) => link.push(chunk));
  socket.on('drain', () => link.drained());
  socket.on('error', (error) => link.ended(error.message));
  socket.on('close', () => link.ended('the socket was closed'));
  return link;
}
