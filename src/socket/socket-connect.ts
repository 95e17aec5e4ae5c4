/**
 * Where a socket connects to: the options of `connect` judged, names looked up, and errors said as node:net says them.
 *
 * A name with addresses of several families is tried address by address (`autoSelectFamily`, RFC 8305's idea); how is in
 * `socket-attempts.ts`.
 */

import type { ConnectOptions, TransportErrorCode } from '../host/api.ts';
import { isIP } from './addresses.ts';
import {
  anyAddress,
  familyNumber,
  type LookupFunction,
  validateBoolean,
  validateFunction,
  validateInt32,
  validateNumber,
  validatePort,
  validateString,
} from './arguments.ts';
import {
  invalidAddressFamily,
  invalidArgType,
  invalidArgValue,
  invalidIpAddress,
  placeError,
  type SystemError,
} from './errors.ts';
import type { NetSettings } from './settings.ts';

/** What the options of `connect` ask for, judged. */
export interface ConnectWish {
  /** A name, an address, or the path of a pipe. */
  readonly host: string;
  /** Undefined: `host` is the path of a pipe. */
  readonly port: number | undefined;
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
  readonly receiveBuffer: number | undefined;
  readonly family: 0 | 4 | 6;
  readonly hints: number;
  readonly lookup: LookupFunction;
  /** Whether all addresses of the name are to be tried in turn. */
  readonly triesAll: boolean;
  /** Milliseconds that an attempt has before the next address is tried. */
  readonly attemptTimeoutMs: number;
}

/** The remote end of an attempt. */
export interface ConnectTarget {
  readonly address: string;
  /** Undefined: a pipe. */
  readonly family: 4 | 6 | undefined;
}

/** What is needed of a socket here. */
interface ConnectingSocket {
  readonly connecting: boolean;
  _host: string | null;
  emit(event: string, ...args: unknown[]): boolean;
  destroy(error: Error): unknown;
}

/** Attempts are never given less. Node's bound. */
const ATTEMPT_TIMEOUT_MS_MIN = 10;

/** Judges the options. Throws what the program got wrong. */
export function judgeConnect(
  options: Record<string, unknown>,
  defaults: { readonly settings: NetSettings; readonly lookup: LookupFunction },
): ConnectWish {
  const { localAddress, localPort, port: givenPort, autoSelectFamily, autoSelectFamilyAttemptTimeout } = options;
  const host = (options['host'] as string | undefined) || 'localhost';
  if (localAddress && !isIP(localAddress as string)) throw invalidIpAddress(String(localAddress));
  if (localPort) validateNumber(localPort, 'options.localPort');
  if (givenPort !== undefined && typeof givenPort !== 'number' && typeof givenPort !== 'string') {
    throw invalidArgType('options.port', 'one of type number or string', givenPort);
  }
  const port = givenPort === undefined ? 0 : validatePort(givenPort);
  let isSelecting = defaults.settings.autoSelectFamily;
  if (autoSelectFamily != null) isSelecting = validateBoolean(autoSelectFamily, 'options.autoSelectFamily');
  let attemptTimeoutMs = defaults.settings.attemptTimeoutMs;
  if (autoSelectFamilyAttemptTimeout != null) {
    const ms = validateInt32(autoSelectFamilyAttemptTimeout, 'options.autoSelectFamilyAttemptTimeout', 1);
    attemptTimeoutMs = Math.max(ATTEMPT_TIMEOUT_MS_MIN, ms);
  }
  if (isIP(host) === 0 && options['lookup'] != null) validateFunction(options['lookup'], 'options.lookup');
  const family = familyNumber(options['family']);
  return {
    host,
    port,
    localAddress: (localAddress as string | undefined) || undefined,
    localPort: (localPort as number | undefined) || undefined,
    receiveBuffer: options['receiveBuffer'] as number | undefined,
    family,
    hints: hintsOf(options, host),
    lookup: (options['lookup'] as LookupFunction | undefined) || defaults.lookup,
    triesAll: family === 0 && !localAddress && isSelecting,
    attemptTimeoutMs,
  };
}

/** dns.lookup judges them, where it is asked. */
function hintsOf(options: Record<string, unknown>, host: string): number {
  const hints = (options['hints'] as number | undefined) || 0;
  if (isIP(host) === 0 && options['lookup'] == null && (hints & ~HINTS) !== 0) throw invalidArgValue('hints', hints);
  return hints;
}

/** A wish for a pipe. */
export function pipeWish(path: unknown, lookup: LookupFunction): ConnectWish {
  return {
    host: validateString(path, 'options.path'),
    port: undefined,
    localAddress: undefined,
    localPort: undefined,
    receiveBuffer: undefined,
    family: 0,
    hints: 0,
    lookup,
    triesAll: false,
    attemptTimeoutMs: 0,
  };
}

/**
 * Finds the addresses and, unless the socket was destroyed meanwhile, calls `begin` on a later tick with those that are to be
 * tried, in order.
 */
export function resolveTargets(
  socket: ConnectingSocket,
  wish: ConnectWish,
  begin: (targets: readonly ConnectTarget[]) => void,
): void {
  const { host } = wish;
  if (wish.port === undefined) {
    begin([{ address: host, family: undefined }]);
    return;
  }
  const literal = isIP(host);
  if (literal !== 0) {
    process.nextTick(() => {
      if (socket.connecting) begin([{ address: host, family: literal }]);
    });
    return;
  }
  socket._host = host;
  // As Node: only addresses of families that the host has are of use.
  const hints = wish.family === 0 && wish.hints === 0 ? ADDRCONFIG : wish.hints;
  if (wish.triesAll) lookUpAll(socket, wish, hints, begin);
  else lookUpOne(socket, wish, hints, begin);
}

/** dns.ADDRCONFIG, on all platforms of Node. */
const ADDRCONFIG = 32;
/** With dns.V4MAPPED and dns.ALL: all that dns.lookup takes. */
const HINTS = ADDRCONFIG | 8 | 16;

/** The program may not have had the time to listen for errors yet. */
function failSoon(socket: ConnectingSocket, error: Error): void {
  process.nextTick(() => socket.destroy(error));
}

/** Why an answer of a lookup is no address to connect to; null: it is one. */
function faultOf(address: unknown, family: unknown, wish: ConnectWish): Error | null {
  if (!isIP(address as string)) return invalidIpAddress(String(address));
  return family === 4 || family === 6 ? null : invalidAddressFamily(family, wish.host, wish.port ?? 0);
}

function lookUpOne(
  socket: ConnectingSocket,
  wish: ConnectWish,
  hints: number,
  begin: (targets: readonly ConnectTarget[]) => void,
): void {
  const options = { family: wish.family === 0 ? undefined : wish.family, hints };
  wish.lookup(wish.host, options, (error, found, family) => {
    socket.emit('lookup', error, found, family, wish.host);
    if (!socket.connecting) return;
    const failure = error || faultOf(found, family, wish);
    if (failure) failSoon(socket, failure);
    else begin([{ address: found as string, family: family as 4 | 6 }]);
  });
}

function lookUpAll(
  socket: ConnectingSocket,
  wish: ConnectWish,
  hints: number,
  begin: (targets: readonly ConnectTarget[]) => void,
): void {
  wish.lookup(wish.host, { family: undefined, hints, all: true }, (error, found) => {
    if (!socket.connecting) return;
    if (error) {
      socket.emit('lookup', error, undefined, undefined, wish.host);
      failSoon(socket, error);
      return;
    }
    const answers = found as readonly { readonly address: string; readonly family: number }[];
    for (const { address, family } of answers) {
      socket.emit('lookup', error, address, family, wish.host);
      if (!socket.connecting) return;
    }
    const targets = inTurns(answers);
    if (targets.length > 0) begin(targets);
    else failSoon(socket, faultOf(answers[0]?.address, answers[0]?.family, wish)!);
  });
}

/** Each address once, the families by turns, the family of the first address first. */
export function inTurns(
  answers: readonly { readonly address: string; readonly family: number }[],
): readonly ConnectTarget[] {
  const byFamily = new Map<number, Map<string, ConnectTarget>>();
  for (const { address, family } of answers) {
    if (!isIP(address) || (family !== 4 && family !== 6)) continue;
    if (!byFamily.has(family)) byFamily.set(family, new Map());
    byFamily.get(family)!.set(address, { address, family });
  }
  const lists = [...byFamily.values()].map((targets) => [...targets.values()]);
  const targets: ConnectTarget[] = [];
  for (let i = 0; lists.some((list) => i < list.length); i++) {
    for (const list of lists) if (i < list.length) targets.push(list[i]!);
  }
  return targets;
}

/** What the transport is asked for. The unspecified address means this host, as it does in a kernel. */
export function connectOptions(target: ConnectTarget, wish: ConnectWish): ConnectOptions {
  const local: { address?: string; port?: number } = {};
  if (wish.localAddress !== undefined) local.address = wish.localAddress;
  if (wish.localPort !== undefined) local.port = wish.localPort;
  return {
    remote: { address: orLoopback(target.address), port: wish.port ?? 0 },
    ...(wish.localAddress === undefined && wish.localPort === undefined ? {} : { local }),
    ...(wish.receiveBuffer === undefined ? {} : { receiveBuffer: wish.receiveBuffer }),
  };
}

function orLoopback(address: string): string {
  if (address === '0.0.0.0') return '127.0.0.1';
  return address === '::' ? '::1' : address;
}

/** The error of an attempt that failed at once. */
export function attemptError(target: ConnectTarget, wish: ConnectWish, code: TransportErrorCode): SystemError {
  const { localAddress, localPort } = wish;
  const isOwnEnd = code === 'EADDRINUSE' || code === 'EADDRNOTAVAIL';
  if (isOwnEnd && (localAddress !== undefined || localPort !== undefined)) {
    return placeError(code, 'bind', localAddress ?? anyAddress(target.family ?? 4), localPort);
  }
  const own = target.family === undefined ? undefined : `${anyAddress(target.family)}:0`;
  return placeError(code, 'connect', target.address, wish.port, own);
}

/** The error of an attempt that failed later. */
export function connectError(target: ConnectTarget, wish: ConnectWish, code: TransportErrorCode): SystemError {
  const { localAddress, localPort } = wish;
  if (localAddress === undefined || localPort === undefined) {
    return placeError(code, 'connect', target.address, wish.port);
  }
  const error = placeError(code, 'connect', target.address, wish.port, `${localAddress}:${localPort}`);
  error.localAddress = localAddress;
  error.localPort = localPort;
  return error;
}
