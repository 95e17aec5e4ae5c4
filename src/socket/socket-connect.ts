/**
 * Where a socket connects to: the options of `connect` judged, names looked up, and errors said as node:net says them.
 */

import type { ConnectOptions, TransportErrorCode } from '../host/api.ts';
import { isIP } from './addresses.ts';
import {
  anyAddress,
  familyNumber,
  type LookupFunction,
  validateFunction,
  validateNumber,
  validatePort,
} from './arguments.ts';
import { invalidAddressFamily, invalidArgType, invalidIpAddress, placeError, type SystemError } from './errors.ts';

/** The remote end of an attempt, and what was asked of our own. */
export interface ConnectTarget {
  readonly address: string;
  readonly port: number;
  readonly family: 4 | 6;
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
  readonly receiveBuffer: number | undefined;
}

/** What is needed of a socket here. */
interface ConnectingSocket {
  readonly connecting: boolean;
  emit(event: string, ...args: unknown[]): boolean;
  destroy(error: Error): unknown;
}

/**
 * Judges the options, finds the address and, unless the socket was destroyed meanwhile, calls `begin` on a later tick.
 * Throws what the program got wrong.
 */
export function resolveTarget(
  socket: ConnectingSocket,
  options: Record<string, unknown>,
  defaultLookup: LookupFunction,
  begin: (target: ConnectTarget) => void,
): void {
  const { localAddress, localPort, port: givenPort } = options;
  const host = (options['host'] as string | undefined) || 'localhost';
  if (localAddress && !isIP(localAddress as string)) throw invalidIpAddress(String(localAddress));
  if (localPort) validateNumber(localPort, 'options.localPort');
  if (givenPort !== undefined && typeof givenPort !== 'number' && typeof givenPort !== 'string') {
    throw invalidArgType('options.port', 'one of type number or string', givenPort);
  }
  const port = givenPort === undefined ? 0 : validatePort(givenPort);
  if (options['lookup'] != null) validateFunction(options['lookup'], 'options.lookup');
  const target = (address: string, family: 4 | 6): ConnectTarget => ({
    address,
    port,
    family,
    localAddress: (localAddress as string | undefined) || undefined,
    localPort: (localPort as number | undefined) || undefined,
    receiveBuffer: options['receiveBuffer'] as number | undefined,
  });
  const literal = isIP(host);
  if (literal !== 0) {
    process.nextTick(() => {
      if (socket.connecting) begin(target(host, literal));
    });
    return;
  }
  const family = familyNumber(options['family']);
  const lookup = (options['lookup'] as LookupFunction | undefined) ?? defaultLookup;
  lookup(
    host,
    { family: family === 0 ? options['family'] : family, hints: options['hints'] ?? 0 },
    (error, found, of) => {
      const address = typeof found === 'string' ? found : found?.[0]?.address;
      const answered = typeof found === 'string' ? of : found?.[0]?.family;
      socket.emit('lookup', error, address, answered, host);
      if (!socket.connecting) return;
      let failure: Error | null = error;
      if (failure === null || failure === undefined) {
        if (address === undefined || !isIP(address)) failure = invalidIpAddress(String(address));
        else if (answered !== 4 && answered !== 6) failure = invalidAddressFamily(answered, host, port);
        else begin(target(address, answered));
      }
      // The program may not have had the time to listen for errors yet.
      if (failure) process.nextTick(() => socket.destroy(failure));
    },
  );
}

/** What the transport is asked for. The unspecified address means this host, as it does in a kernel. */
export function connectOptions(target: ConnectTarget): ConnectOptions {
  const local: { address?: string; port?: number } = {};
  if (target.localAddress !== undefined) local.address = target.localAddress;
  if (target.localPort !== undefined) local.port = target.localPort;
  return {
    remote: { address: orLoopback(target.address), port: target.port },
    ...(target.localAddress === undefined && target.localPort === undefined ? {} : { local }),
    ...(target.receiveBuffer === undefined ? {} : { receiveBuffer: target.receiveBuffer }),
  };
}

function orLoopback(address: string): string {
  if (address === '0.0.0.0') return '127.0.0.1';
  return address === '::' ? '::1' : address;
}

/** The error of an attempt that failed at once. */
export function attemptError(target: ConnectTarget, code: TransportErrorCode): SystemError {
  const { localAddress, localPort } = target;
  const isOwnEnd = code === 'EADDRINUSE' || code === 'EADDRNOTAVAIL';
  if (isOwnEnd && (localAddress !== undefined || localPort !== undefined)) {
    return placeError(code, 'bind', localAddress ?? anyAddress(target.family), localPort);
  }
  return placeError(code, 'connect', target.address, target.port, `${anyAddress(target.family)}:0`);
}

/** The error of an attempt that failed later. */
export function connectError(target: ConnectTarget, code: TransportErrorCode): SystemError {
  const { localAddress, localPort } = target;
  if (localAddress === undefined || localPort === undefined) {
    return placeError(code, 'connect', target.address, target.port);
  }
  const error = placeError(code, 'connect', target.address, target.port, `${localAddress}:${localPort}`);
  error.localAddress = localAddress;
  error.localPort = localPort;
  return error;
}
