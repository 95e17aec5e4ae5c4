/**
 * Errors in node:net's form: the same code, errno, syscall, address, port and message for the same mishap.
 *
 * Two kinds: what the network answers (made here from a transport's code), and what the program got wrong (ERR_ codes).
 * Numbers and texts of the former are the platform's own, as libuv gives them.
 */

import type { InspectOptions } from 'node:util';
import type { TransportErrorCode } from '../host/api.ts';
import { builtin } from './node.ts';

/** An error of a system call, as Node makes it. */
export interface SystemError extends Error {
  code: string;
  errno: number;
  syscall: string;
  address?: string;
  port?: number;
  localAddress?: string;
  localPort?: number;
  hostname?: string;
}

/** Where Node cannot be asked: Linux's numbers and libuv's texts. */
const FALLBACK: Readonly<Record<TransportErrorCode, readonly [errno: number, text: string]>> = {
  ECONNREFUSED: [-111, 'connection refused'],
  ECONNRESET: [-104, 'connection reset by peer'],
  ECONNABORTED: [-103, 'software caused connection abort'],
  ETIMEDOUT: [-110, 'connection timed out'],
  EHOSTUNREACH: [-113, 'host is unreachable'],
  ENETUNREACH: [-101, 'network is unreachable'],
  ENETDOWN: [-100, 'network is down'],
  EADDRINUSE: [-98, 'address already in use'],
  EADDRNOTAVAIL: [-99, 'address not available'],
  EPIPE: [-32, 'broken pipe'],
  ECANCELED: [-125, 'operation canceled'],
  EMSGSIZE: [-90, 'message too long'],
  EINVAL: [-22, 'invalid argument'],
  ENOBUFS: [-105, 'no buffer space available'],
};

/** getaddrinfo's answer for a name that nobody knows; libuv's own number. */
const EAI_NONAME = -3008;

const CODES: ReadonlyMap<string, readonly [errno: number, text: string]> = codesOfPlatform();

function codesOfPlatform(): Map<string, readonly [errno: number, text: string]> {
  const codes = new Map<string, readonly [errno: number, text: string]>(Object.entries(FALLBACK));
  const map = builtin<typeof import('node:util')>('node:util')?.getSystemErrorMap?.();
  if (map !== undefined) for (const [errno, [code, text]] of map) codes.set(code, [errno, text]);
  return codes;
}

/** The platform's number of a code, as libuv has it: negative. */
export function errnoOf(code: string): number {
  return CODES.get(code)?.[0] ?? FALLBACK.EINVAL[0];
}

function make(message: string, code: string, syscall: string): SystemError {
  const error = new Error(message) as SystemError;
  error.errno = errnoOf(code);
  error.code = code;
  error.syscall = syscall;
  return error;
}

function place(address: string | undefined, port: number | undefined): string {
  if (port !== undefined && port > 0) return ` ${address}:${port}`;
  return address === undefined || address === '' ? '' : ` ${address}`;
}

/** 'read ECONNRESET'. */
export function callError(code: string, syscall: string): SystemError {
  return make(`${syscall} ${code}`, code, syscall);
}

/** 'connect ECONNREFUSED 10.0.0.2:80', with our own end behind it when that is known. */
export function placeError(
  code: string,
  syscall: string,
  address: string | undefined,
  port: number | undefined,
  ownEnd?: string,
): SystemError {
  const own = ownEnd === undefined ? '' : ` - Local (${ownEnd})`;
  return withPlace(make(`${syscall} ${code}${place(address, port)}${own}`, code, syscall), address, port);
}

/** 'listen EADDRINUSE: address already in use 10.0.0.2:80'. */
export function listenError(code: string, address: string | undefined, port: number | undefined): SystemError {
  const text = CODES.get(code)?.[1] ?? 'unknown error';
  return withPlace(make(`listen ${code}: ${text}${place(address, port)}`, code, 'listen'), address, port);
}

function withPlace(error: SystemError, address: string | undefined, port: number | undefined): SystemError {
  // Node sets it even where it knows none.
  (error as { address: string | undefined }).address = address;
  if (port !== undefined && port !== 0) error.port = port;
  return error;
}

/** 'getaddrinfo ENOTFOUND name'. */
export function notFoundError(hostname: string): SystemError {
  const error = new Error(`getaddrinfo ENOTFOUND ${hostname}`) as SystemError;
  error.errno = EAI_NONAME;
  error.code = 'ENOTFOUND';
  error.syscall = 'getaddrinfo';
  error.hostname = hostname;
  return error;
}

/** An error of the program: Node's ERR_ codes. */
export interface CodedError extends Error {
  code: string;
}

function coded<T extends Error>(error: T, code: string): T & CodedError {
  const out = error as T & CodedError;
  out.code = code;
  // As Node does: the code stands in the stack, the name does not change.
  const name = out.name;
  Object.defineProperty(out, 'name', {
    value: `${name} [${code}]`,
    configurable: true,
    enumerable: false,
    writable: true,
  });
  void out.stack;
  Object.defineProperty(out, 'name', { value: name, configurable: true, enumerable: false, writable: true });
  return out;
}

/** A value as Node shows it. */
function inspected(value: unknown, options: InspectOptions = {}): string {
  return builtin<typeof import('node:util')>('node:util')?.inspect(value, options) ?? String(value);
}

/** A short description of a wrong value, in the words of Node's messages. */
function described(value: unknown): string {
  if (value === null || value === undefined) return `${value}`;
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value === 'object') {
    const name = (value as { constructor?: { name?: string } }).constructor?.name;
    return name ? `an instance of ${name}` : inspected(value, { depth: -1 });
  }
  const text = inspected(value);
  return `type ${typeof value} (${text.length > 28 ? `${text.slice(0, 25)}...` : text})`;
}

export function invalidArgType(name: string, expected: string, value: unknown): CodedError {
  const what = name.includes('.') ? 'property' : 'argument';
  const text = `The "${name}" ${what} must be ${expected}. Received ${described(value)}`;
  return coded(new TypeError(text), 'ERR_INVALID_ARG_TYPE');
}

export function invalidArgValue(name: string, value: unknown, reason = 'is invalid'): CodedError {
  const what = name.includes('.') ? 'property' : 'argument';
  const shown = inspected(value);
  const text = shown.length > 128 ? `${shown.slice(0, 128)}...` : shown;
  return coded(new TypeError(`The ${what} '${name}' ${reason}. Received ${text}`), 'ERR_INVALID_ARG_VALUE');
}

export function invalidState(sentence: string): CodedError {
  return coded(new Error(`Invalid state: ${sentence}`), 'ERR_INVALID_STATE');
}

/** A value as Node's range errors show it: long whole numbers in groups of three digits. */
function digits(value: unknown): string {
  const isLong = Number.isInteger(value) && Math.abs(value as number) > 2 ** 32;
  return isLong ? String(value).replace(/\B(?=(\d{3})+$)/g, '_') : inspected(value);
}

export function outOfRange(name: string, range: string, value: unknown): CodedError {
  const text = `The value of "${name}" is out of range. It must be ${range}. Received ${digits(value)}`;
  return coded(new RangeError(text), 'ERR_OUT_OF_RANGE');
}

export function badPort(name: string, value: unknown, mayBeZero: boolean): CodedError {
  const text = `${name} should be ${mayBeZero ? '>=' : '>'} 0 and < 65536. Received ${described(value)}.`;
  return coded(new RangeError(text), 'ERR_SOCKET_BAD_PORT');
}

export function missingArgs(...names: string[]): CodedError {
  const list = names.map((name) => `"${name}"`).join(' or ');
  return coded(new TypeError(`The ${list} argument must be specified`), 'ERR_MISSING_ARGS');
}

export function invalidIpAddress(value: string): CodedError {
  return coded(new TypeError(`Invalid IP address: ${value}`), 'ERR_INVALID_IP_ADDRESS');
}

export function invalidAddressFamily(family: unknown, host: string, port: number): CodedError {
  const text = `Invalid address family: ${String(family)} ${host}:${port}`;
  return Object.assign(coded(new RangeError(text), 'ERR_INVALID_ADDRESS_FAMILY'), { host, port });
}

/** All addresses of a name have failed: Node's AggregateError, with the code of the first failure. */
export function aggregateError(errors: readonly Error[]): Error {
  const error = new AggregateError(errors) as AggregateError & { code?: string | undefined };
  error.code = (errors[0] as { code?: string } | undefined)?.code;
  return error;
}

export function connectionTimeout(): CodedError {
  return coded(new Error('Socket connection timeout'), 'ERR_SOCKET_CONNECTION_TIMEOUT');
}

/** The address is on the socket's block list. */
export function ipBlocked(address: string): CodedError {
  return coded(new Error(`IP(${address}) is blocked by net.BlockList`), 'ERR_IP_BLOCKED');
}

export function socketClosed(): CodedError {
  return coded(new Error('Socket is closed'), 'ERR_SOCKET_CLOSED');
}

export function handleAdopted(): CodedError {
  const text = 'The bound socket has already been adopted by a server or socket';
  return coded(new Error(text), 'ERR_SOCKET_HANDLE_ADOPTED');
}

export function closedBeforeConnection(): CodedError {
  return coded(new Error('Socket closed before the connection was established'), 'ERR_SOCKET_CLOSED_BEFORE_CONNECTION');
}

export function endedByOther(): CodedError {
  const error = new Error('This socket has been ended by the other party') as CodedError;
  error.code = 'EPIPE';
  return error;
}

export function alreadyListening(): CodedError {
  const text = 'Listen method has been called more than once without closing.';
  return coded(new Error(text), 'ERR_SERVER_ALREADY_LISTEN');
}

export function notRunning(): CodedError {
  return coded(new Error('Server is not running.'), 'ERR_SERVER_NOT_RUNNING');
}

export function dgramNotRunning(): CodedError {
  return coded(new Error('Not running'), 'ERR_SOCKET_DGRAM_NOT_RUNNING');
}

export function dgramAlreadyBound(): CodedError {
  return coded(new Error('Socket is already bound'), 'ERR_SOCKET_ALREADY_BOUND');
}

export function dgramIsConnected(): CodedError {
  return coded(new Error('Already connected'), 'ERR_SOCKET_DGRAM_IS_CONNECTED');
}

export function dgramNotConnected(): CodedError {
  return coded(new Error('Not connected'), 'ERR_SOCKET_DGRAM_NOT_CONNECTED');
}

export function badSocketType(): CodedError {
  const text = 'Bad socket type specified. Valid types are: udp4, udp6';
  return coded(new TypeError(text), 'ERR_SOCKET_BAD_TYPE');
}

export function badBufferSize(): CodedError {
  return coded(new TypeError('Buffer size must be a positive integer'), 'ERR_SOCKET_BAD_BUFFER_SIZE');
}

/** A buffer size that cannot be had, and why: Node's SystemError. */
export function bufferSizeError(code: 'EBADF' | 'EINVAL', call: string): CodedError {
  const [errno, message] = CODES.get(code) ?? [-9, 'bad file descriptor'];
  const error = new Error(`Could not get or set buffer size: ${call} returned ${code} (${message})`);
  Object.defineProperty(error, 'name', { value: 'SystemError', configurable: true, writable: true });
  const made = coded(error, 'ERR_SOCKET_BUFFER_SIZE') as CodedError & { info: Record<string, unknown> };
  const info: Record<string, unknown> = { errno, code, message, syscall: call };
  made.info = info;
  for (const name of ['errno', 'syscall']) {
    const set = (value: unknown): void => {
      info[name] = value;
    };
    Object.defineProperty(made, name, { get: () => info[name], set, enumerable: true, configurable: true });
  }
  const shown = (_depth: number, options: object): string =>
    inspected(made, { ...options, getters: true, customInspect: false });
  Object.defineProperty(made, Symbol.for('nodejs.util.inspect.custom'), { value: shown, configurable: true });
  return made;
}

export function outOfBounds(name: string): CodedError {
  return coded(new RangeError(`"${name}" is outside of buffer bounds`), 'ERR_BUFFER_OUT_OF_BOUNDS');
}
