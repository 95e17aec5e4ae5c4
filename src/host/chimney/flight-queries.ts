/**
 * What is in flight of a connection that its target has: asked for where the host must judge whether it sent what an ICMP error quotes.
 *
 * Promises: one query of a connection at a time, whoever sends errors; what is asked meanwhile, up to a bound, is judged by the same answer.
 * None is begun on a connection that is on its way back, so that nobody can keep it below. Source: RFC 5927 4.1, chimney-sequences 8.
 */

import type { Seq } from '../../base/seq.ts';
import type { OffloadedConnection } from './objects.ts';
import type { StateOperations } from './operations.ts';

/** Told SND.UNA and SND.MAX of the target. */
export type FlightJudge = (sndUna: Seq, sndMax: Seq) => void;

/** Who waits for one answer, at most: more are anybody's guess. */
const JUDGES_MAX = 8;

/** The queries of one chimney client. */
export class FlightQueries {
  readonly #operations: StateOperations;
  readonly #judges: Map<OffloadedConnection, FlightJudge[]> = new Map();

  constructor(operations: StateOperations) {
    this.#operations = operations;
  }

  /** Asks the target, and tells `judge` unless there is no answer. False: it cannot be asked now. */
  ask(connection: OffloadedConnection, judge: FlightJudge): boolean {
    if (!connection.isOffloaded || connection.wantsTerminate || connection.isReleased) return false;
    const waiting = this.#judges.get(connection);
    if (waiting !== undefined) {
      if (waiting.length >= JUDGES_MAX) return false;
      waiting.push(judge);
      return true;
    }
    const judges = [judge];
    this.#judges.set(connection, judges);
    this.#operations.queryDelegated(connection, (delegated) => {
      this.#judges.delete(connection);
      if (delegated === null) return;
      for (const one of judges) one(delegated.sndUna, delegated.sndMax);
    });
    return true;
  }
}
