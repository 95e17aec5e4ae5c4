/**
 * The chimney handle of a connection: what an application sees and asks. See host/api.ts.
 */

import type { ChimneyHandle, ChimneyLocation, ChimneyQuery, Move } from '../api.ts';
import type { HostEndpoint } from '../transport/tcp-endpoint.ts';
import type { ChimneyContext } from './context.ts';
import { ChimneyError } from './error.ts';
import { ObjectState, type OffloadedConnection } from './objects.ts';

/** Made anew each time it is asked for; holds nothing of its own. */
export class ConnectionHandle implements ChimneyHandle {
  readonly #context: ChimneyContext;
  readonly #endpoint: HostEndpoint;
  readonly #connect: () => OffloadedConnection | null;

  constructor(context: ChimneyContext, endpoint: HostEndpoint, connect: () => OffloadedConnection | null) {
    this.#context = context;
    this.#endpoint = endpoint;
    this.#connect = connect;
  }

  get #connection(): OffloadedConnection | null {
    return this.#endpoint.chimneyState as OffloadedConnection | null;
  }

  get location(): ChimneyLocation {
    return this.#endpoint.location;
  }

  get target(): string | null {
    const connection = this.#connection;
    return connection === null || connection.state === ObjectState.NONE ? null : connection.adapter.name;
  }

  offload(): Promise<Move> {
    const connection = this.#connect();
    if (connection === null) {
      return Promise.reject(new ChimneyError('NOT_OFFLOADABLE', 'the interface of the connection has no chimney'));
    }
    return new Promise((resolve, reject) => {
      this.#context.moves.requestOffload(connection, 'manual', { resolve, reject });
    });
  }

  takeBack(): Promise<Move> {
    const connection = this.#connection;
    if (connection === null) {
      return Promise.resolve({ kind: 'terminate', cause: 'manual', reason: null, freezeUs: 0, status: 'SUCCESS' });
    }
    return new Promise((resolve, reject) => {
      this.#context.moves.requestTakeBack(connection, 'manual', null, { resolve, reject });
    });
  }

  query(): Promise<ChimneyQuery> {
    const connection = this.#connection;
    return connection === null ? this.#notOffloaded() : this.#context.operations.query(connection);
  }

  invalidate(): Promise<void> {
    const connection = this.#connection;
    return connection === null ? this.#notOffloaded() : this.#context.operations.invalidate(connection);
  }

  #notOffloaded(): Promise<never> {
    return Promise.reject(new ChimneyError('NOT_OFFLOADABLE', 'the connection is not offloaded'));
  }

  get moves(): readonly Move[] {
    return this.#connection?.moves ?? [];
  }

  get moveCount(): number {
    return this.#connection?.moveCount ?? 0;
  }
}
