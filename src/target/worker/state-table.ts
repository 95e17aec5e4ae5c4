/**
 * Where the record of each connection is that the NIC half runs, and whether it is whole: what is left of a NIC half that dies.
 *
 * A word for each object's number. The NIC half sets it before it does anything with a connection, and clears the mark when all
 * that follows from it has been published: whatever the moment at which it dies, a record without the mark says exactly what the peer
 * and the driver half have seen. The driver half looks only when the other is gone. Promises: one store a connection and round.
 */

import type { TcpConnection } from '../../tcp/connection.ts';
import { recordAt } from '../../tcp/slab.ts';
import type { Arena } from './arena.ts';

/** It is between two states. */
const BUSY = 1;

/** The words of the table. */
export class StateTable {
  readonly #arena: Arena;
  readonly #words: Int32Array;
  readonly #records: number;

  constructor(arena: Arena) {
    this.#arena = arena;
    this.#words = arena.stateWords;
    this.#records = arena.state?.records ?? 0;
  }

  /** The NIC half is about to take, or to do something with, object `id`, whose record is number `slot`. */
  touch(id: number, slot: number): void {
    if (id < this.#words.length && slot < this.#records) this.#words[id] = ((slot + 1) << 1) | BUSY;
  }

  /** All that was done with it is published. */
  settle(id: number): void {
    if (id < this.#words.length) this.#words[id]! &= ~BUSY;
  }

  /** The NIC half has it no more. */
  end(id: number): void {
    if (id < this.#words.length) this.#words[id] = 0;
  }

  /** Whether the NIC half may have taken it. */
  mayBeTaken(id: number): boolean {
    return id >= this.#words.length || this.#words[id] !== 0;
  }

  /** Its record, where that is whole; else null. */
  recordOf(id: number): TcpConnection | null {
    const word = this.#words[id] ?? 0;
    if (word === 0 || (word & BUSY) !== 0) return null;
    return recordAt(this.#arena.state!, (word >> 1) - 1);
  }
}
