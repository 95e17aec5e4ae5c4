/**
 * The channels of node:diagnostics_channel on which node:net tells of sockets and servers: the stack's tell on the same ones.
 *
 * Source: documentation of node:diagnostics_channel, "Built-in channels".
 */

import { builtin } from './node.ts';

/** What is needed of a channel. */
interface Channel {
  readonly hasSubscribers: boolean;
  publish(message: unknown): void;
}

const SILENT: Channel = { hasSubscribers: false, publish: () => {} };

function channel(name: string): Channel {
  const module = builtin<typeof import('node:diagnostics_channel')>('node:diagnostics_channel');
  return (module?.channel(name) as Channel | undefined) ?? SILENT;
}

/** A socket was made by `connect`: {socket}. */
export const clientSocket: Channel = channel('net.client.socket');
/** A server has made a socket: {socket}. */
export const serverSocket: Channel = channel('net.server.socket');
/** `listen` was called: {server, options}. */
export const listenStart: Channel = channel('tracing:net.server.listen:asyncStart');
/** A server listens: {server}. */
export const listenEnd: Channel = channel('tracing:net.server.listen:asyncEnd');
/** A server cannot listen: {server, error}. */
export const listenFailed: Channel = channel('tracing:net.server.listen:error');

/** A UDP socket was made: {socket}. */
export const udpSocket: Channel = channel('udp.socket');

/** Publishes, if anybody listens. */
export function tell(to: Channel, message: unknown): void {
  if (to.hasSubscribers) to.publish(message);
}
