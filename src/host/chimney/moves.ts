/**
 * Moves: connections go down to their target and come back.
 *
 * Calls only note what is wanted; once a turn, everything wanted of an adapter goes into one tree each way (CAP-039). What must
 * wait (for a path that is on its way back, for a query below) is looked at again when that is over.
 */

import { Later } from '../../base/later.ts';
import type { ProtocolOffloadBlock } from '../../ndis/protocol.ts';
import type { Move } from '../api.ts';
import type { ChimneyAdapter } from './adapter.ts';
import { Terminates } from './coming-back.ts';
import type { ChimneyContext } from './context.ts';
import { ChimneyError } from './error.ts';
import { Initiates } from './going-down.ts';
import { lastMove } from './hand-over.ts';
import { type MoveWaiter, ObjectState, type OffloadedConnection, type OffloadedObject } from './objects.ts';
import { whyNotOffloadable } from './offloadable.ts';

export class Moves {
  readonly #context: ChimneyContext;
  readonly #initiates: Initiates;
  readonly #terminates: Terminates;
  readonly #later: Later;

  constructor(context: ChimneyContext) {
    this.#context = context;
    this.#initiates = new Initiates(context);
    this.#terminates = new Terminates(context);
    this.#later = new Later(context.runtime);
  }

  /** Hands a connection down as soon as possible. `waiter` is told how it ended. */
  requestOffload(connection: OffloadedConnection, cause: Move['cause'], waiter: MoveWaiter | null): void {
    if (connection.isOffloaded && !connection.wantsTerminate) {
      waiter?.resolve(lastMove(connection, 'initiate', cause));
      return;
    }
    if (waiter !== null) connection.offloadWaiters.push(waiter);
    if (connection.state === ObjectState.INITIATING || connection.wantsOffload) return;
    connection.wantsOffload = true;
    if (connection.state !== ObjectState.NONE) return; // on its way back: goes down again after that
    connection.cause = cause;
    const why = whyNotOffloadable(connection);
    if (why !== null) this.#initiates.refuse(connection, why);
    else {
      connection.adapter.offloads.add(connection);
      this.#flushWhenExpected(connection.adapter);
    }
  }

  /** Takes a connection back as soon as its operations below have completed. */
  requestTakeBack(
    connection: OffloadedConnection,
    cause: Move['cause'],
    reason: string | null,
    waiter: MoveWaiter | null,
  ): void {
    // Who wants it back by hand does not want it to go down again when its target resumes.
    if (cause === 'manual') connection.adapter.sleepers.delete(connection);
    if (connection.state === ObjectState.NONE) {
      if (connection.wantsOffload) {
        this.#initiates.refuse(connection, new ChimneyError('NOT_OFFLOADABLE', 'taken back before it went'));
      }
      waiter?.resolve(lastMove(connection, 'terminate', cause));
      return;
    }
    if (waiter !== null) connection.takeBackWaiters.push(waiter);
    if (connection.wantsTerminate || connection.state === ObjectState.TERMINATING) return;
    connection.wantsTerminate = true;
    connection.cause = cause;
    connection.reason = reason;
    if (connection.state !== ObjectState.INITIATING) {
      connection.adapter.terminates.add(connection);
      this.#flushWhenExpected(connection.adapter);
    }
  }

  /** An operation of an object has completed: a terminate may have waited for it. */
  operationDone(object: OffloadedObject): void {
    object.operations--;
    if (object.operations === 0) this.#flushSoon(object.adapter);
  }

  /** ProtocolInitiateOffloadComplete. */
  initiateComplete(adapter: ChimneyAdapter, root: ProtocolOffloadBlock): void {
    this.#initiates.complete(adapter, root);
    this.#flushSoon(adapter);
  }

  /** ProtocolTerminateOffloadComplete. */
  terminateComplete(adapter: ChimneyAdapter, root: ProtocolOffloadBlock): void {
    this.#terminates.complete(adapter, root);
    this.#flushSoon(adapter);
  }

  #flushSoon(adapter: ChimneyAdapter): void {
    if (adapter.isFlushDeferred) return;
    adapter.isFlushDeferred = true;
    this.#context.runtime.defer(() => this.#flush(adapter));
  }

  /** As {@link #flushSoon}, but the target gets the time it wants to make itself ready: connections are served meanwhile. */
  #flushWhenExpected(adapter: ChimneyAdapter): void {
    if (adapter.isFlushDeferred) return;
    const { ndis, runtime } = this.#context;
    adapter.isFlushDeferred = true;
    let hasGone = false;
    const go = (): void => {
      if (hasGone) return;
      hasGone = true;
      this.#flush(adapter);
    };
    if (ndis.offloadExpected?.(adapter.binding, go) === true) this.#later.at(runtime.nowUs() + READY_US_MAX, go);
    else runtime.defer(go);
  }

  #flush(adapter: ChimneyAdapter): void {
    adapter.isFlushDeferred = false;
    this.#flushTerminates(adapter);
    this.#flushOffloads(adapter);
    this.#terminates.collectUnused(adapter);
  }

  #flushTerminates(adapter: ChimneyAdapter): void {
    const ready: OffloadedConnection[] = [];
    const later = new Set<OffloadedConnection>();
    for (const connection of adapter.terminates) {
      if (!connection.wantsTerminate || !connection.isOffloaded) continue;
      if (connection.operations > 0) later.add(connection);
      else ready.push(connection);
    }
    adapter.terminates = later;
    if (ready.length > 0) this.#terminates.start(adapter, ready);
  }

  #flushOffloads(adapter: ChimneyAdapter): void {
    const ready: OffloadedConnection[] = [];
    const later = new Set<OffloadedConnection>();
    for (const connection of adapter.offloads) {
      if (!connection.wantsOffload) continue;
      const why = whyNotOffloadable(connection);
      if (why !== null) this.#initiates.refuse(connection, why);
      else if (this.#hasGap(connection)) later.add(connection);
      else if (isSettled(connection.path) && isSettled(connection.path.neighbor)) ready.push(connection);
      else later.add(connection);
    }
    adapter.offloads = later;
    if (ready.length > 0) this.#initiates.start(adapter, ready);
  }

  /**
   * What arrived out of order is lost by a move, and the peer, who had it acknowledged selectively, repairs that by timeout. A
   * gap closes within a round trip as a rule: worth a short wait.
   */
  #hasGap(connection: OffloadedConnection): boolean {
    const { reassembly } = connection.endpoint.tcp;
    if (reassembly === null || reassembly.bytesHeld === 0) return false;
    const nowUs = this.#context.runtime.nowUs();
    if (connection.gapUntilUs < nowUs - GAP_WAIT_US) connection.gapUntilUs = nowUs + GAP_WAIT_US;
    if (connection.gapUntilUs <= nowUs) return false;
    this.#later.at(Math.min(connection.gapUntilUs, nowUs + GAP_LOOK_US), () => this.#flushSoon(connection.adapter));
    return true;
  }
}

/** Longest wait for a target that makes itself ready for a move, microseconds: one that forgets to say so keeps nobody. */
const READY_US_MAX = 10_000;

/** Longest wait of an offload for a gap in the received data to close, and how often it is looked at; microseconds. */
const GAP_WAIT_US = 100_000;
const GAP_LOOK_US = 2_000;

/** Whether nothing stands in the way of hanging something on the object (or of offloading it first). */
function isSettled(object: OffloadedObject): boolean {
  return object.state === ObjectState.NONE || object.state === ObjectState.OFFLOADED;
}
