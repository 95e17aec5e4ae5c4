/**
 * Uploads for reasons of the host's own, without a request of the target: lost media, a pause, no traffic, a connection of higher
 * priority. Each only if the policy says so (TERM-068, TERM-088).
 */

import { Later } from '../../base/later.ts';
import { TcpWord } from '../../state/tcp.ts';
import type { Move } from '../api.ts';
import type { ChimneyAdapter } from './adapter.ts';
import type { ChimneyContext } from './context.ts';
import { ObjectState, type OffloadedConnection } from './objects.ts';

/** How often in the time that makes a connection idle it is looked at. */
const LOOKS = 4;

export class OwnReasons {
  readonly #context: ChimneyContext;
  readonly #later: Later;
  /** What of a connection had flowed when it was last seen to flow, and when that was. */
  readonly #activity: Map<OffloadedConnection, { bytes: number; atUs: number }> = new Map();
  readonly #idleUs: number;

  constructor(context: ChimneyContext) {
    this.#context = context;
    this.#later = new Later(context.runtime);
    this.#idleUs = (context.takeBack.afterIdleSeconds ?? 0) * 1_000_000;
  }

  /** ProtocolNetPnPEvent: the link of the adapter is down. */
  mediaLost(adapter: ChimneyAdapter): void {
    if (this.#context.takeBack.onLinkDown === true) this.#takeAll(adapter, 'media');
  }

  /** NDIS_STATUS_OFFLOAD_PAUSE. */
  paused(adapter: ChimneyAdapter): void {
    if (this.#context.takeBack.onPause === true) this.#takeAll(adapter, 'pause');
  }

  #takeAll(adapter: ChimneyAdapter, cause: Move['cause']): void {
    for (const connection of adapter.connections) this.#context.moves.requestTakeBack(connection, cause, null, null);
  }

  /** A connection has been offloaded: is it ever used there? */
  wentDown(connection: OffloadedConnection): void {
    if (this.#idleUs === 0) return;
    if (this.#activity.size === 0) this.#lookLater();
    this.#activity.set(connection, { bytes: bytesOf(connection), atUs: this.#context.runtime.nowUs() });
  }

  #lookLater(): void {
    this.#later.at(this.#context.runtime.nowUs() + this.#idleUs / LOOKS, () => this.#lookAtAll());
  }

  #lookAtAll(): void {
    const nowUs = this.#context.runtime.nowUs();
    for (const [connection, seen] of this.#activity) {
      if (connection.state === ObjectState.NONE || connection.isReleased) this.#activity.delete(connection);
      else if (bytesOf(connection) !== seen.bytes)
        this.#activity.set(connection, { bytes: bytesOf(connection), atUs: nowUs });
      else if (nowUs - seen.atUs >= this.#idleUs) {
        this.#activity.delete(connection);
        this.#context.moves.requestTakeBack(connection, 'idle', null, null);
      }
    }
    if (this.#activity.size > 0) this.#lookLater();
  }

  /**
   * The target has no room for `connection`. True: one of lower priority makes room, and `connection` goes down after it; whoever
   * waits for it goes on waiting.
   */
  makeRoom(connection: OffloadedConnection): boolean {
    if (this.#context.takeBack.byPriority !== true || connection.isReleased) return false;
    let least: OffloadedConnection | null = null;
    for (const other of connection.adapter.connections) {
      if (other.state !== ObjectState.OFFLOADED || other.wantsTerminate || other.isReleased) continue;
      if (least === null || priorityOf(other) < priorityOf(least)) least = other;
    }
    if (least === null || priorityOf(least) >= priorityOf(connection)) return false;
    const { cause } = connection;
    // Whoever takes it back meanwhile has it stay where it is.
    connection.wantsOffload = true;
    const again = (): void => {
      if (!connection.wantsOffload) return;
      connection.wantsOffload = false;
      this.#context.moves.requestOffload(connection, cause, null);
    };
    this.#context.moves.requestTakeBack(least, 'priority', null, { resolve: again, reject: again });
    return true;
  }
}

function bytesOf(connection: OffloadedConnection): number {
  const { endpoint } = connection;
  return endpoint.bytesSent + endpoint.bytesReceived;
}

function priorityOf(connection: OffloadedConnection): number {
  const { tcp } = connection.endpoint;
  return tcp.words[tcp.base + TcpWord.USER_PRIORITY]!;
}
