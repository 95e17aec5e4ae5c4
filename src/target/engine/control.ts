/**
 * What an operator (a test, a demo, a person) can make the engine target do, and see of it.
 *
 * Everything that calls the driver above is done in the target's own turn, so these may be called at any time.
 */

import { type IpOffloadStats, NdisOffloadHandle, NdisStatus, type TcpOffloadStats } from '../../ndis/miniport.ts';
import { tcpStateName } from '../../tcp/names.ts';
import { formatIp } from '../../wire/ip-address.ts';
import type { Capacity } from './capacity.ts';
import { changeConfiguration } from './configuration.ts';
import { Standing, type TcpContext } from './contexts.ts';
import { type Engine, OperationKind } from './engine.ts';
import { isHalfClosed, optimalBacklog, requestUpload } from './events.ts';
import { resumeIfEmpty } from './turn.ts';

/** An offloaded connection, for people. */
export interface OffloadedConnection {
  readonly handle: NdisOffloadHandle;
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly state: string;
  /** Not processed any more: an upload was asked for, or it was aborted. */
  readonly isStopped: boolean;
  readonly queuedBytes: number;
  readonly bufferedBytes: number;
  readonly sendBacklogSize: number;
}

/** Which connections: one, those that match, or all (null). */
export type Which = NdisOffloadHandle | ((connection: OffloadedConnection) => boolean) | null;

/** What the target holds now; all 0 when everything has been given back. */
export interface Held {
  readonly tcpObjects: number;
  readonly pathObjects: number;
  readonly neighborObjects: number;
  /** Lists that were indicated (or uploaded as BufferedData) and have not been returned. */
  readonly indicatedLists: number;
  /** Blocks of the receive pool in which there is data. */
  readonly receiveBlocks: number;
  /** Connections with sends, posted receives, disconnects or forwards outstanding. */
  readonly sends: number;
  readonly receives: number;
  readonly disconnects: number;
  readonly forwards: number;
  /** State operations that are not complete. */
  readonly operations: number;
  /** Ordinary frames that wait for the link. */
  readonly frames: number;
}

/** Statistics of both families, as the OIDs report them. */
export interface EngineStatistics {
  readonly ip4: IpOffloadStats;
  readonly ip6: IpOffloadStats;
  readonly tcp4: TcpOffloadStats;
  readonly tcp6: TcpOffloadStats;
}

/** What operators can do with any target that has a chimney of ours. */
export type TargetControl = Pick<EngineControl, keyof EngineControl>;

/** The control object of an engine target. */
export class EngineControl {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /**
   * Asks for the upload of connections (TcpIndicateRetrieve with `reason`, a TCP_UPLOAD_REASON). Half-closed ones and those that
   * are asked for already are passed over (EVT-023). Answers how many are asked for.
   */
  retrieve(which: Which, reason: number): number {
    let count = 0;
    for (const ctx of this.#engine.connections()) {
      if (!this.#isMeant(ctx, which) || ctx.standing !== Standing.NORMAL || isHalfClosed(ctx.tcp.state)) continue;
      requestUpload(this.#engine, ctx, reason, false);
      count++;
    }
    if (count > 0) this.#engine.schedule();
    return count;
  }

  /** NDIS_STATUS_UPLOAD_ALL: everything is to be terminated, nothing new is taken before {@link resume} (EVT-043, EVT-044). */
  uploadAll(): void {
    this.#engine.isUploadingAll = true;
    this.#engine.wantsResume = false;
    this.#engine.enqueue(OperationKind.STATUS, null, NdisStatus.UPLOAD_ALL);
  }

  /** NDIS_STATUS_OFFLOAD_PAUSE: nothing new, please; what is offloaded goes on (EVT-031, EVT-032). */
  pause(): void {
    this.#engine.isPaused = true;
    this.#engine.wantsResume = false;
    this.#engine.enqueue(OperationKind.STATUS, null, NdisStatus.OFFLOAD_PAUSE);
  }

  /**
   * NDIS_STATUS_OFFLOAD_RESUME, with other capabilities if given (EVT-038, EVT-040). While everything is being uploaded it waits for
   * the last connection to go (TERM-074).
   */
  resume(capacity: Partial<Capacity> = {}): void {
    const engine = this.#engine;
    engine.capacity = { ...engine.capacity, ...capacity };
    engine.wantsResume = true;
    resumeIfEmpty(engine);
  }

  /**
   * Gives the hardware other limits: NDIS_STATUS_TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES, and ..._CURRENT_CONFIG where that
   * changes with them. What is offloaded already stays, also beyond the new limits.
   */
  setCapacity(capacity: Partial<Capacity>): void {
    const engine = this.#engine;
    changeConfiguration(engine, () => {
      engine.capacity = { ...engine.capacity, ...capacity };
      engine.enqueue(OperationKind.STATUS, null, NdisStatus.TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES);
    });
  }

  /** Makes the state of connections corrupt, as a failing NIC would: what is next asked of them fails (chimney-sequences 7). */
  corrupt(which: Which): number {
    let count = 0;
    for (const ctx of this.#engine.connections()) {
      if (!this.#isMeant(ctx, which)) continue;
      ctx.isCorrupt = true;
      count++;
    }
    return count;
  }

  /** Frames that each receive queue has processed; empty with one queue. */
  receiveQueues(): number[] {
    return this.#engine.scaling?.processed ?? [];
  }

  stats(): EngineStatistics {
    const engine = this.#engine;
    return {
      ip4: engine.statistics4.ip(),
      ip6: engine.statistics6.ip(),
      tcp4: engine.statistics4.tcp(engine.establishedCount(4)),
      tcp6: engine.statistics6.tcp(engine.establishedCount(6)),
    };
  }

  held(): Held {
    const engine = this.#engine;
    let sends = 0;
    let receives = 0;
    let disconnects = 0;
    let forwards = 0;
    for (const ctx of engine.connections()) {
      if ((ctx.tcp.sendQueue !== null && !ctx.tcp.sendQueue.isEmpty) || ctx.returned?.firstSend) sends++;
      if (ctx.firstRequest !== null || ctx.firstDone !== null) receives++;
      if (ctx.disconnect !== null || ctx.abort !== null || ctx.returned?.disconnects) disconnects++;
      if (ctx.forwards !== null) forwards++;
    }
    return {
      tcpObjects: engine.connectionCount,
      pathObjects: engine.paths.size,
      neighborObjects: engine.neighbors.size,
      indicatedLists: engine.pool.listsOut,
      receiveBlocks: engine.pool.blocksHeld,
      sends,
      receives,
      disconnects,
      forwards,
      operations: engine.operations.length + engine.pausedInitiates.length,
      frames: engine.outlet.waitingLists + engine.outlet.waitingFrames,
    };
  }

  connections(): OffloadedConnection[] {
    return [...this.#engine.connections()].map(describe);
  }

  #isMeant(ctx: TcpContext, which: Which): boolean {
    if (which === null) return true;
    return which instanceof NdisOffloadHandle ? ctx.handle === which : which(describe(ctx));
  }
}

function describe(ctx: TcpContext): OffloadedConnection {
  const { tcp, path } = ctx;
  return {
    handle: ctx.handle,
    localAddress: formatIp(path.source, 0, path.family),
    localPort: tcp.localPort,
    remoteAddress: formatIp(path.destination, 0, path.family),
    remotePort: tcp.remotePort,
    state: tcpStateName(tcp.state),
    isStopped: ctx.standing !== Standing.NORMAL,
    queuedBytes: tcp.queuedBytes,
    bufferedBytes: ctx.buffered.length,
    sendBacklogSize: optimalBacklog(ctx),
  };
}
