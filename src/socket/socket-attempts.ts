/**
 * The attempts of one `connect`: one address, or several in turn until one answers (node:net's `autoSelectFamily`).
 *
 * A single address that fails destroys the socket with its error. Of several, each gets a time of its own, failures are
 * collected, and only when all have failed is the socket destroyed, with all errors in one AggregateError. Events as in Node:
 * 'connectionAttempt', 'connectionAttemptFailed', 'connectionAttemptTimeout'. Source: documentation of node:net, RFC 8305.
 */

import { TransportError, type TransportErrorCode } from '../host/api.ts';
import { type AddressBlocker, isBlocked } from './blocking.ts';
import { aggregateError, connectionTimeout, ipBlocked, placeError, type SystemError } from './errors.ts';
import { attemptError, type ConnectTarget, type ConnectWish, connectError } from './socket-connect.ts';

/** What the attempts do to their socket. */
export interface AttemptingSocket {
  readonly connecting: boolean;
  readonly blockList?: AddressBlocker | undefined;
  autoSelectFamilyAttemptedAddresses?: string[];
  emit(event: string, ...args: unknown[]): boolean;
  destroy(error?: Error): unknown;
}

/** What the socket lends them: begins an attempt on a handle, a fresh one when asked. Throws TransportError. */
export type BeginAttempt = (target: ConnectTarget, isFresh: boolean) => void;

/** Attempts of one call of `connect`. */
export class Attempts {
  readonly #socket: AttemptingSocket;
  readonly #wish: ConnectWish;
  readonly #targets: readonly ConnectTarget[];
  readonly #begin: BeginAttempt;
  readonly #errors: Error[] = [];
  #next = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Whether one is going on. */
  #isTrying = false;

  constructor(socket: AttemptingSocket, wish: ConnectWish, targets: readonly ConnectTarget[], begin: BeginAttempt) {
    this.#socket = socket;
    this.#wish = wish;
    this.#targets = targets;
    this.#begin = begin;
  }

  get #isSingle(): boolean {
    return this.#targets.length === 1;
  }

  start(): void {
    if (!this.#isSingle) this.#socket.autoSelectFamilyAttemptedAddresses = [];
    this.#attempt();
  }

  /** One of them is connected; the others are forgotten. */
  succeeded(): void {
    clearTimeout(this.#timer);
    this.#isTrying = false;
  }

  /** The attempt that goes on has failed. */
  failed(code: TransportErrorCode): void {
    clearTimeout(this.#timer);
    this.#isTrying = false;
    const target = this.#targets[this.#next - 1]!;
    const error = connectError(target, this.#wish, code);
    this.#failedWith(target, error);
    if (!this.#socket.connecting) return;
    if (this.#isSingle) this.#socket.destroy(error);
    else this.#attempt();
  }

  /** The socket was destroyed meanwhile. Of several attempts the one that goes on is said to be cancelled. */
  cancelled(): void {
    clearTimeout(this.#timer);
    if (this.#isSingle || !this.#isTrying) return;
    this.#isTrying = false;
    const target = this.#targets[this.#next - 1]!;
    this.#failedWith(target, connectError(target, this.#wish, 'ECANCELED'));
  }

  #failedWith(target: ConnectTarget, error: Error): void {
    this.#errors.push(error);
    this.#socket.emit('connectionAttemptFailed', target.address, this.#wish.port, target.family, error);
  }

  #attempt(): void {
    if (this.#next === this.#targets.length) {
      this.#socket.destroy(this.#errors.length === 0 ? connectionTimeout() : aggregateError(this.#errors));
      return;
    }
    const target = this.#targets[this.#next++]!;
    if (isBlocked(this.#socket.blockList, target.address, target.family)) {
      const error = ipBlocked(target.address);
      this.#announce(target);
      if (!this.#isSingle) this.#failedWith(target, error);
      this.#goOnAfter(error);
      return;
    }
    const failure = this.#try(target);
    if (failure !== null) {
      // An own end that cannot be had is no attempt.
      const isAttempt = failure.syscall !== 'bind';
      if (isAttempt) this.#announce(target);
      if (this.#isSingle || !isAttempt) this.#errors.push(failure);
      else this.#failedWith(target, failure);
      this.#goOnAfter(failure);
      return;
    }
    this.#isTrying = true;
    this.#announce(target);
    if (this.#next < this.#targets.length && this.#socket.connecting) {
      this.#timer = setTimeout(() => this.#timedOut(target), this.#wish.attemptTimeoutMs);
    }
  }

  #announce(target: ConnectTarget): void {
    this.#socket.emit('connectionAttempt', target.address, this.#wish.port, target.family);
    if (!this.#isSingle) {
      this.#socket.autoSelectFamilyAttemptedAddresses?.push(`${target.address}:${this.#wish.port}`);
    }
  }

  #goOnAfter(error: Error): void {
    if (this.#isSingle) this.#socket.destroy(error);
    else if (this.#socket.connecting) this.#attempt();
  }

  /** Begins. Answers why it could not. */
  #try(target: ConnectTarget): SystemError | null {
    try {
      this.#begin(target, this.#next > 1);
      return null;
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      return attemptError(target, this.#wish, error.code);
    }
  }

  #timedOut(target: ConnectTarget): void {
    const { port } = this.#wish;
    this.#isTrying = false;
    this.#socket.emit('connectionAttemptTimeout', target.address, port, target.family);
    this.#errors.push(placeError('ETIMEDOUT', 'connect', target.address, port));
    if (this.#socket.connecting) this.#attempt();
  }
}
