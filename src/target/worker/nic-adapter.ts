/**
 * The engine target as the NIC half runs it: accepts whatever it indicates, for the driver half to deliver.
 *
 * What a host would decide inside an indication is decided in the other thread, later: until it says that data is taken, the data
 * narrows the window, so that no more is received than the host can hold.
 */

import { Due, NeighborContext, Standing, type TcpContext } from '../engine/contexts.ts';
import type { EngineAdapterOptions } from '../engine/engine.ts';
import { EngineAdapter } from '../engine/engine-adapter.ts';
import { requestUpload } from '../engine/events.ts';
import { setHostReachability } from '../engine/neighbors.ts';
import { onReturned } from '../engine/turn.ts';
import { STATISTICS_DOUBLES } from './arena.ts';
import { Rehearsal } from './rehearsal.ts';

/** The engine behind the rings. */
export class NicAdapter extends EngineAdapter {
  readonly #rehearsal: Rehearsal;

  constructor(options: EngineAdapterOptions) {
    super(options);
    this.engine.keepsPush = true;
    this.#rehearsal = new Rehearsal(this.engine);
  }

  /** A connection is about to come or to go. */
  rehearse(): void {
    this.#rehearsal.run();
  }

  /** Told before anything is done with a connection. */
  set onTouch(onTouch: (context: TcpContext) => void) {
    this.engine.onTouch = onTouch;
  }

  /** The driver half has taken so much of what was indicated. */
  taken(connection: TcpContext, bytes: number): void {
    connection.unreadBytes -= bytes;
    if (connection.standing === Standing.NORMAL) this.engine.markSoon(connection, Due.DELIVER);
  }

  /** Blocks of the pool came back. */
  returned(block: number, pieces: number): void {
    this.engine.pool.dropReferences(block, pieces);
    onReturned(this.engine);
  }

  /** The host's answer to a reachability query. NBR-020. */
  reachability(context: unknown, hrd: number): void {
    const { engine } = this;
    if (!(context instanceof NeighborContext) || !engine.neighbors.has(context)) return;
    setHostReachability(engine, context, hrd, engine.runtime.nowUs());
  }

  /** An upload is asked for at once. */
  upload(connection: TcpContext, reason: number): void {
    requestUpload(this.engine, connection, reason, true);
    this.engine.schedule();
  }

  /** The counters of both families, for the other thread. */
  writeStatistics(into: Float64Array): void {
    for (let i = 0; i < 2; i++) {
      const s = i === 0 ? this.engine.statistics4 : this.engine.statistics6;
      let at = i * STATISTICS_DOUBLES;
      into[at++] = s.inReceives;
      into[at++] = s.inOctets;
      into[at++] = s.inDelivers;
      into[at++] = s.outRequests;
      into[at++] = s.outOctets;
      into[at++] = s.inHeaderErrors;
      into[at++] = s.inTruncatedPackets;
      into[at++] = s.inDiscards;
      into[at++] = s.outDiscards;
      into[at++] = s.outNoRoutes;
      into[at++] = s.inSegments;
      into[at++] = s.outSegments;
      into[at++] = s.resetEstablished;
      into[at++] = s.retransmittedSegments;
      into[at++] = s.inErrors;
      into[at++] = s.outResets;
    }
  }
}
