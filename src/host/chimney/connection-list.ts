/**
 * The connections of an adapter that are offloaded or on their way: chained through themselves, which costs a third of a Set.
 *
 * Promises: in the order in which they came; one that is taken out while the list is walked does not disturb the walk.
 */

import type { OffloadedConnection } from './objects.ts';

/** A list, each in it once. */
export class ConnectionList implements Iterable<OffloadedConnection> {
  #first: OffloadedConnection | null = null;
  #last: OffloadedConnection | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(connection: OffloadedConnection): void {
    if (connection.isListed) return;
    connection.isListed = true;
    connection.previous = this.#last;
    connection.next = null;
    if (this.#last === null) this.#first = connection;
    else this.#last.next = connection;
    this.#last = connection;
    this.#size++;
  }

  delete(connection: OffloadedConnection): void {
    if (!connection.isListed) return;
    connection.isListed = false;
    const { previous, next } = connection;
    if (previous === null) this.#first = next;
    else previous.next = next;
    if (next === null) this.#last = previous;
    else next.previous = previous;
    connection.previous = null;
    connection.next = null;
    this.#size--;
  }

  *[Symbol.iterator](): Generator<OffloadedConnection> {
    for (let connection = this.#first; connection !== null; ) {
      const { next } = connection;
      yield connection;
      connection = next;
    }
  }
}
