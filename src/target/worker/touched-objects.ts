/**
 * The connections with which the NIC half has done something that is not published yet.
 *
 * What is settled is exact: nothing that was received waits here to be told, nothing that was acknowledged either. One that is stopped,
 * aborted or has given calls back is never settled again: what remains of it is not in its record alone.
 */

import { Standing, type TcpContext } from '../engine/contexts.ts';
import type { NicObject } from './nic-objects.ts';
import type { StateTable } from './state-table.ts';

/** Marks connections in the {@link StateTable}. */
export class TouchedObjects {
  readonly #table: StateTable;
  readonly #objects: NicObject[] = [];

  constructor(table: StateTable) {
    this.#table = table;
  }

  /** Something is about to be done with a connection. */
  touch(context: TcpContext): void {
    const object = context.handle.owner as NicObject;
    if (object.isTouched) return;
    object.isTouched = true;
    this.#table.touch(object.id, context.tcp.slot);
    this.#objects.push(object);
  }

  /** How many there are. */
  get count(): number {
    return this.#objects.length;
  }

  /** Everything is published. */
  settle(): void {
    const objects = this.#objects;
    for (let i = 0; i < objects.length; i++) {
      const object = objects[i]!;
      object.isTouched = false;
      const { connection } = object;
      if (connection !== null && isExact(connection)) this.#table.settle(object.id);
    }
    objects.length = 0;
  }

  /** An object is gone. */
  end(id: number): void {
    this.#table.end(id);
  }
}

function isExact(context: TcpContext): boolean {
  if (context.standing !== Standing.NORMAL || context.isTerminating) return false;
  return context.buffered.length === 0 && context.returned === null && context.held === null;
}
