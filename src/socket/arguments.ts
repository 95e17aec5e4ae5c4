/**
 * What node:net's calls may be given: their overloads brought into one form, and wrong values named as Node names them.
 */

import { isIP } from './addresses.ts';
import { badPort, invalidArgType, invalidArgValue, notFoundError, outOfRange } from './errors.ts';
import { EventEmitter } from './node.ts';

/** A callback of any form; the caller knows which. */
export type AnyFunction = (...args: never[]) => unknown;

/** Options and callback of a call that takes (options, cb), (path, cb) or (port, host, cb). */
export interface NormalizedArgs {
  readonly options: Record<string, unknown>;
  readonly callback: AnyFunction | null;
}

/** Lists of arguments that were normalized already. */
const normalized = new WeakSet<unknown[]>();

/** node:net's `_normalizeArgs`: [options, callback], marked, so that `connect` takes it as its only argument. */
export function normalizedList(args: readonly unknown[]): unknown[] {
  const { options, callback } = normalizeArgs(args);
  return markNormalized([options, callback]);
}

/** Marks a list [options, callback] of somebody else's making. */
export function markNormalized(list: unknown[]): unknown[] {
  normalized.add(list);
  return list;
}

/** What a socket's `connect` is given: such a list, or arguments that are still to be normalized. */
export function normalizedOnce(args: readonly unknown[]): NormalizedArgs {
  const [list] = args;
  if (!Array.isArray(list) || !normalized.has(list)) return normalizeArgs(args);
  return { options: list[0] as Record<string, unknown>, callback: list[1] as AnyFunction | null };
}

/** Brings the arguments of `connect` and `listen` into one form. The options are the caller's own object, if any. */
export function normalizeArgs(args: readonly unknown[]): NormalizedArgs {
  const first = args[0];
  let options: Record<string, unknown> = {};
  if (typeof first === 'object' && first !== null) options = first as Record<string, unknown>;
  else if (args.length > 0 && isPipeName(first)) options['path'] = first;
  else if (args.length > 0) {
    options['port'] = first;
    if (args.length > 1 && typeof args[1] === 'string') options['host'] = args[1];
  }
  const last = args[args.length - 1];
  return { options, callback: typeof last === 'function' ? (last as AnyFunction) : null };
}

/** A text that is no port number names a pipe. */
function isPipeName(value: unknown): boolean {
  return typeof value === 'string' && !(Number(value) >= 0);
}

export function validateNumber(value: unknown, name: string): number {
  if (typeof value !== 'number') throw invalidArgType(name, 'of type number', value);
  return value;
}

export function validateBoolean(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean') throw invalidArgType(name, 'of type boolean', value);
  return value;
}

/** A whole number of 32 bits, from `min` to `max`. */
export function validateInt32(value: unknown, name: string, min = -0x8000_0000, max = 0x7fff_ffff): number {
  const number = validateNumber(value, name);
  if (!Number.isInteger(number)) throw outOfRange(name, 'an integer', value);
  if (number < min || number > max) throw outOfRange(name, `>= ${min} && <= ${max}`, value);
  return number;
}

/** A whole number of 32 bits without a sign. */
export function validateUint32(value: unknown, name: string): number {
  const number = validateNumber(value, name);
  if (!Number.isInteger(number)) throw outOfRange(name, 'an integer', value);
  if (number < 0 || number > 0xffff_ffff) throw outOfRange(name, '>= 0 && <= 4294967295', value);
  return number;
}

export function validateString(value: unknown, name: string): string {
  if (typeof value !== 'string') throw invalidArgType(name, 'of type string', value);
  return value;
}

/** An object that is no list. */
export function validateObject(value: unknown, name: string): object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidArgType(name, 'of type object', value);
  }
  return value;
}

export function validateFunction(value: unknown, name: string): void {
  if (typeof value !== 'function') throw invalidArgType(name, 'of type function', value);
}

/** A port: a number or its text, 0 to 65535. Answers the number. */
export function validatePort(value: unknown, name = 'Port', mayBeZero = true): number {
  const isText = typeof value === 'string' && value.trim().length > 0;
  const port = Number(value);
  const isPort = (typeof value === 'number' || isText) && port === port >>> 0 && port <= 65535;
  if (!isPort || (port === 0 && !mayBeZero)) throw badPort(name, value, mayBeZero);
  return port;
}

/** Milliseconds of a timer, as timers take them; longer than they can measure is cut, with Node's warning. */
export function timerDuration(value: unknown, name: string): number {
  const ms = validateNumber(value, name);
  if (!(ms >= 0 && Number.isFinite(ms))) throw outOfRange(name, 'a non-negative finite number', value);
  if (ms <= TIMER_MS_MAX) return ms;
  const text = `${ms} does not fit into a 32-bit signed integer.\nTimer duration was truncated to ${TIMER_MS_MAX}.`;
  process.emitWarning(text, 'TimeoutOverflowWarning');
  return TIMER_MS_MAX;
}

const TIMER_MS_MAX = 0x7fff_ffff;

/** A number of milliseconds for the first keepalive probe; a negative one is none. */
export function keepAliveDelay(options: { keepAliveInitialDelay?: unknown }): number {
  if (options.keepAliveInitialDelay === undefined) return 0;
  const ms = validateNumber(options.keepAliveInitialDelay, 'options.keepAliveInitialDelay');
  return Math.max(0, ms);
}

/** Why a socket path cannot be used here. */
export function noPipes(options: unknown): Error {
  return invalidArgValue('options', options, 'names a pipe, which is no TCP and not on the stack');
}

/** A descriptor, or another library's handle, is none of the stack's. */
export function noDescriptors(options: unknown): void {
  const given = options as { fd?: unknown } | number | undefined;
  const fd = typeof given === 'number' ? given : given?.fd;
  if (fd !== undefined)
    throw invalidArgValue('options.fd', fd, 'is a descriptor of the process, which is not on the stack');
}

/** Calls `onAbort` once when the signal is aborted. Answers a function that forgets about it. */
export function onAbort(value: unknown, onAborted: () => void): () => void {
  if (typeof value !== 'object' || value === null || !('aborted' in value)) {
    throw invalidArgType('options.signal', 'an instance of AbortSignal', value);
  }
  const signal = value as AbortSignal;
  if (signal.aborted) {
    process.nextTick(onAborted);
    return () => {};
  }
  const add = (EventEmitter as unknown as { addAbortListener?: (s: AbortSignal, f: () => void) => Disposable })
    .addAbortListener;
  if (add !== undefined) {
    const disposable = add(signal, onAborted);
    return () => disposable[Symbol.dispose]();
  }
  signal.addEventListener('abort', onAborted, { once: true });
  return () => signal.removeEventListener('abort', onAborted);
}

/** What a `lookup` function calls back with: an address, or all of them. */
export type LookupCallback = (
  error: Error | null,
  address?: string | readonly { readonly address: string; readonly family: number }[],
  family?: number,
) => void;

/** Finds addresses of a name, in the form of dns.lookup. */
export type LookupFunction = (hostname: string, options: Record<string, unknown>, callback: LookupCallback) => void;

/** The stack asks no name server: it knows itself, and addresses. */
export const lookupLocal: LookupFunction = (hostname, options, callback) => {
  validateString(hostname, 'hostname');
  const wanted = familyNumber(options['family']);
  const literal = isIP(hostname);
  const found: { address: string; family: number }[] = [];
  if (literal !== 0) found.push({ address: hostname, family: literal });
  else if (hostname === 'localhost' || hostname.endsWith('.localhost')) {
    if (wanted !== 6) found.push({ address: '127.0.0.1', family: 4 });
    if (wanted !== 4) found.push({ address: '::1', family: 6 });
  }
  process.nextTick(() => {
    const first = found[0];
    if (first === undefined) callback(notFoundError(hostname));
    else if (options['all'] === true) callback(null, found);
    else callback(null, first.address, first.family);
  });
};

/** 4, 6, or 0 for either; Node takes the names as well. */
export function familyNumber(value: unknown): 0 | 4 | 6 {
  if (value === 4 || value === 'IPv4') return 4;
  return value === 6 || value === 'IPv6' ? 6 : 0;
}

/** The wildcard address of a family. */
export function anyAddress(family: number): string {
  return family === 6 ? '::' : '0.0.0.0';
}
