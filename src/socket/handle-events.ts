/**
 * What a handle of a socket's is told with, and what it tells: the two sides of {@link TcpHandle}.
 */

import type { TransportErrorCode, Transports } from '../host/api.ts';
import type { SlabPool } from './slabs.ts';
import type { TcpHandle } from './tcp-handle.ts';

/** Keeps the process alive while something is open. */
export interface KeepAlive {
  ref(): void;
  unref(): void;
}

/** Whatever opens connections. */
export type ConnectWay = Pick<Transports, 'connect'>;

/** What the handles of one stack share. */
export interface HandleContext {
  readonly transports: Transports;
  readonly slabs: SlabPool;
  readonly keepAlive: KeepAlive;
}

/**
 * What a handle tells its owner, a socket: one table for all sockets of a class, so that the socket's own names stay free.
 * Every call runs in the async context in which the handle was made.
 */
export interface HandleEvents<O> {
  /** The handshake is done. */
  connected(owner: O): void;
  /** The active open failed. */
  connectFailed(owner: O, code: TransportErrorCode): void;
  /** The handle into which all bytes would be written at once, and unseen by anybody; null: there is none. */
  onward(owner: O): TcpHandle | null;
  /** Bytes, now the owner's. Answers whether it wants more. */
  chunk(owner: O, chunk: Uint8Array): boolean;
  /** Whether it wants to be shown bytes where they lie. */
  borrows(owner: O): boolean;
  /** Bytes where they lie, the owner's for the call. Answers whether it wants more. */
  lent(owner: O, bytes: Uint8Array, lender: Lender): boolean;
  /** The buffer that is to be filled next; null: chunks are wanted. */
  userBuffer(owner: O): Uint8Array | null;
  /** Bytes 0 to `length` of that buffer were filled. Answers whether it wants more. */
  filled(owner: O, length: number): boolean;
  /** The peer has finished. */
  ended(owner: O): void;
  /** The connection broke while it was read. */
  readFailed(owner: O, code: TransportErrorCode): void;
  /** A write that waits for room made progress, or bytes passed through it unseen. */
  progress(owner: O): void;
}

/** Whose bytes an owner is shown: see {@link HandleEvents.lent}. */
export interface Lender {
  /** Inside `lent` only: the bytes stay where they are until the answer is called; null: they cannot. */
  keep(): (() => void) | null;
}

/** The end of a write: null, or the code it failed with. */
export type WriteCallback = (code: TransportErrorCode | null) => void;
