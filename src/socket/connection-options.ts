/**
 * The options of a connection that a socket keeps for it: Nagle, keepalive, type of service.
 *
 * They may be set before there is a connection, and are told to it when there is one; once set, what says nothing new is not told again.
 * Source: documentation of node:net (setNoDelay, setKeepAlive, setTypeOfService).
 */

import type { TcpEndpoint } from '../host/api.ts';
import { keepAliveDelay, validateInt32 } from './arguments.ts';
import { invalidArgType } from './errors.ts';
import type { SocketOptions } from './net-context.ts';

/** What `setKeepAlive` takes instead of its arguments, milliseconds. */
export interface KeepAliveOptions {
  readonly enable?: boolean | undefined;
  readonly initialDelay?: number | undefined;
  readonly interval?: number | undefined;
  /** Probes. */
  readonly count?: number | undefined;
}

/** With a first delay, and nothing said of these: what node:net documents. */
const INTERVAL_MS = 1000;
const PROBES = 10;

/** The highest TOS and traffic class: a byte. */
const SERVICE_MAX = 255;
/** The two lowest bits of it are ECN's, and a TCP's own. RFC 3168 section 5. */
const SERVICE_BITS = 0xfc;

/** Whole seconds, as the kernel's option has them; undefined stays so. */
function wholeSeconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.trunc(ms / 1000) * 1000;
}

/** One a socket. */
export class ConnectionOptions {
  #noDelay: boolean;
  #keepAlive: boolean;
  #delayMs: number;
  #intervalMs: number | undefined = undefined;
  #probes: number | undefined = undefined;
  /** Undefined: never set. */
  #service: number | undefined;

  /** Throws what the program got wrong. */
  constructor(options: SocketOptions | undefined) {
    this.#delayMs = wholeSeconds(keepAliveDelay(options ?? {}))!;
    this.#noDelay = Boolean(options?.noDelay);
    this.#keepAlive = Boolean(options?.keepAlive);
    const service = options?.typeOfService;
    this.#service = service === undefined ? undefined : validateInt32(service, 'options.typeOfService', 0, SERVICE_MAX);
  }

  /** `endpoint`: the connection, if there is one that can be told. */
  setNoDelay(enable: boolean | undefined, endpoint: TcpEndpoint | null): void {
    const on = enable === undefined ? true : Boolean(enable);
    if (this.#noDelay === on) return;
    this.#noDelay = on;
    endpoint?.setNoDelay(on);
  }

  setKeepAlive(wish: KeepAliveOptions, endpoint: TcpEndpoint | null): void {
    const on = Boolean(wish.enable);
    const delayMs = wholeSeconds(wish.initialDelay ?? 0)!;
    const intervalMs = wholeSeconds(wish.interval);
    const { count } = wish;
    const isSame = this.#delayMs === delayMs && this.#intervalMs === intervalMs && this.#probes === count;
    if (this.#keepAlive === on && (!on || isSame)) return;
    this.#keepAlive = on;
    this.#delayMs = delayMs;
    this.#intervalMs = intervalMs;
    this.#probes = count;
    if (endpoint !== null) this.#tellKeepAlive(endpoint);
  }

  setTypeOfService(value: number, endpoint: TcpEndpoint | null): void {
    if (Number.isNaN(value)) throw invalidArgType('tos', 'of type number', value);
    const service = validateInt32(value, 'tos', 0, SERVICE_MAX);
    if (this.#service === service) return;
    this.#service = service;
    endpoint?.setTrafficClass(service & SERVICE_BITS);
  }

  /** What was set, and of a connection what it has. */
  typeOfService(isConnected: boolean): number {
    const service = this.#service ?? 0;
    return isConnected ? service & SERVICE_BITS : service;
  }

  /** There is a connection. */
  apply(endpoint: TcpEndpoint): void {
    if (this.#noDelay) endpoint.setNoDelay(true);
    if (this.#keepAlive) this.#tellKeepAlive(endpoint);
    if (this.#service !== undefined) endpoint.setTrafficClass(this.#service & SERVICE_BITS);
  }

  /** Without a first delay all that is not said is as the stack has it; as over the kernel. */
  #tellKeepAlive(endpoint: TcpEndpoint): void {
    const isTimed = this.#delayMs > 0;
    const intervalMs = this.#intervalMs ?? (isTimed ? INTERVAL_MS : 0);
    const probes = this.#probes ?? (isTimed ? PROBES : 0);
    endpoint.setKeepAlive(this.#keepAlive, this.#delayMs, intervalMs, probes);
  }
}

/** The arguments of `setKeepAlive` in any of its forms. */
export function keepAliveWish(
  enable: boolean | KeepAliveOptions | undefined,
  initialDelay: number | undefined,
  interval: number | undefined,
  count: number | undefined,
): KeepAliveOptions {
  return typeof enable === 'object' && enable !== null ? enable : { enable, initialDelay, interval, count };
}
