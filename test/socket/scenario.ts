/** Tools of the behaviour scenarios: what happened, in order and comparable between worlds. */

import type { EventEmitter } from 'node:events';
import type { AddressInfo, ListenOptions, NetConnectOpts, Server, ServerOpts, Socket } from 'node:net';
import type { World } from './world.ts';

/** What one side saw. */
export type Log = unknown[];

export const SOCKET_EVENTS: readonly string[] = [
  'connectionAttempt',
  'connectionAttemptFailed',
  'connectionAttemptTimeout',
  'lookup',
  'connect',
  'ready',
  'timeout',
  'end',
  'finish',
  'error',
  'close',
];

export const SERVER_EVENTS: readonly string[] = ['listening', 'connection', 'drop', 'error', 'close'];

/** An error as a program can see it. */
export function seen(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { name, message, code, errno, syscall, address, port, hostname } = error as Error & Record<string, unknown>;
  const own = { name, message, code, errno, syscall, address, port, hostname };
  return error instanceof AggregateError ? { ...own, errors: error.errors.map(seen) } : own;
}

/** Notes the events of an emitter. Sockets among the arguments are noted by name only. */
export function watch(log: Log, emitter: EventEmitter, events: readonly string[] = SOCKET_EVENTS): void {
  for (const event of events) {
    emitter.on(event, (...args: unknown[]) => {
      log.push([event, ...args.map((arg) => (isSocket(arg) ? 'a socket' : seen(arg)))]);
    });
  }
}

function isSocket(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'destroySoon' in value;
}

/** A listening server and how to reach it. */
export interface Open {
  readonly server: Server;
  readonly port: number;
  connect(options?: Partial<NetConnectOpts>, onConnect?: () => void): Socket;
}

/** Listens in a world; what a test left open is closed at its end. */
export async function open(
  world: World,
  onConnection: (socket: Socket) => void,
  serverOptions: ServerOpts = {},
  listenOptions: ListenOptions = {},
): Promise<Open> {
  const server = world.server.createServer(serverOptions, onConnection);
  await new Promise<void>((resolve) => {
    server.listen({ port: 0, host: world.host, ...listenOptions }, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    server,
    port,
    connect: (options = {}, onConnect) =>
      world.client.connect({ port, host: world.host, ...options } as NetConnectOpts, onConnect),
  };
}

/** Replaces port numbers by names, so that logs of two runs can be compared. */
export function withoutPorts(log: unknown, ports: Readonly<Record<number, string>>): unknown {
  if (typeof log === 'number') return ports[log] ?? (log >= 1024 && log <= 65535 ? 'PORT' : log);
  if (typeof log === 'string') {
    return log.replace(/\b\d{4,5}\b/g, (text) => String(withoutPorts(Number(text), ports)));
  }
  if (Array.isArray(log)) return log.map((item) => withoutPorts(item, ports));
  if (typeof log !== 'object' || log === null || log instanceof Uint8Array) return log;
  return Object.fromEntries(Object.entries(log).map(([key, value]) => [key, withoutPorts(value, ports)]));
}

export function closed(emitter: EventEmitter): Promise<void> {
  return new Promise((resolve) => emitter.once('close', () => resolve()));
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Closes a server and waits for it. */
export async function shut(server: Server): Promise<void> {
  if (!server.listening) return;
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

/** What a call throws. */
export function thrown(call: () => unknown): unknown {
  try {
    call();
    return 'nothing thrown';
  } catch (error) {
    return seen(error);
  }
}

/** Bytes that can be told apart wherever they are cut. */
export function pattern(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let x = seed | 1;
  for (let i = 0; i < length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    bytes[i] = x;
  }
  return bytes;
}
