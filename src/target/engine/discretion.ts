/**
 * Uploads at the target's own discretion: connections that are not worth being offloaded, found by what happens on them.
 *
 * Each connection is watched over an interval; where a threshold is passed the host is asked to take it back, with the reason that
 * fits: HighDropRate, HighFragmentation, HighOutofOrderPackets, LowActivity, NoBufferPreposting, SmallIO. The target carries on
 * meanwhile, and if the host does not want it (EVT-020, EVT-050); it asks again after a while. Half-closed connections are left alone (EVT-023).
 * Nothing is counted where no threshold is set. Source: chimney-ddi 8.4; rules EVT-013 to EVT-018.
 */

import { NEVER, type Runtime, type Timer } from '../../base/runtime.ts';
import { TcpUploadReason } from '../../ndis/miniport.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import { Standing, type TcpContext } from './contexts.ts';
import type { Engine } from './engine.ts';
import { isHalfClosed, requestUpload } from './events.ts';

/** Thresholds; one that is left out is never passed. Shares are of 1. */
export interface Discretion {
  /** How long a connection is watched before it is judged, each time, microseconds. Default 1 s. */
  readonly intervalUs?: number;
  /** How long after a request that was not granted the next may follow, microseconds. Default 60 s. */
  readonly repeatUs?: number;
  /** Segments of an interval that shares are taken of at least. Default 100. */
  readonly leastSegments?: number;
  /** HighDropRate: so much of the segments sent were sent again. */
  readonly retransmittedShare?: number;
  /** HighFragmentation: so much of the segments received came in fragments. */
  readonly fragmentShare?: number;
  /** HighOutofOrderPackets: so much of the segments received left a gap before them. */
  readonly outOfOrderShare?: number;
  /** LowActivity: for so long fewer than {@link quietSegments} segments in each interval, microseconds. */
  readonly quietUs?: number;
  /** Default 1: none at all. */
  readonly quietSegments?: number;
  /** NoBufferPreposting: so many bytes of an interval came while no receive was posted, and none ever was. */
  readonly unpostedBytes?: number;
  /** NoBufferPreposting: received data that the host refused lies here for so long, microseconds. */
  readonly stuckUs?: number;
  /** SmallIO: posted receives have fewer bytes than that, on the average. */
  readonly smallIoBytes?: number;
  /** Posted receives that an average is taken of at least. Default 16. */
  readonly leastRequests?: number;
}

/** What has happened on one connection since it was judged last. */
export class Activity {
  segmentsSent = 0;
  segmentsRepeated = 0;
  segmentsReceived = 0;
  segmentsOutOfOrder = 0;
  fragments = 0;
  unpostedBytes = 0;
  requests = 0;
  requestBytes = 0;
  /** Since when there has been little to do, and data nobody takes; NEVER: it is not so. */
  quietSinceUs: number;
  stuckSinceUs: number = NEVER;
  /** When the host may be asked again. */
  mayAskUs: number = Number.NEGATIVE_INFINITY;

  constructor(nowUs: number) {
    this.quietSinceUs = nowUs;
  }

  clear(): void {
    this.segmentsSent = 0;
    this.segmentsRepeated = 0;
    this.segmentsReceived = 0;
    this.segmentsOutOfOrder = 0;
    this.fragments = 0;
    this.unpostedBytes = 0;
    this.requests = 0;
    this.requestBytes = 0;
  }
}

/** MiniportTcpOffloadReceive was called. */
export function noteRequests(activity: Activity, lists: NetBufferList): void {
  for (let list: NetBufferList | null = lists; list !== null; list = list.next) {
    activity.requests++;
    activity.requestBytes += list.firstNetBuffer!.dataLength;
  }
}

/** Watches the connections of one engine. */
export class DiscretionWatch {
  readonly #engine: Engine;
  readonly #runtime: Runtime;
  readonly #limits: Discretion;
  readonly #intervalUs: number;
  readonly #timer: Timer;

  constructor(engine: Engine, limits: Discretion) {
    this.#engine = engine;
    this.#runtime = engine.runtime;
    this.#limits = limits;
    this.#intervalUs = limits.intervalUs ?? 1_000_000;
    this.#timer = engine.runtime.timer((nowUs) => this.#judgeAll(nowUs));
  }

  /** A connection has been offloaded. */
  begin(ctx: TcpContext, nowUs: number): void {
    ctx.activity = new Activity(nowUs);
    if (this.#timer.atUs === NEVER) this.#timer.arm(nowUs + this.#intervalUs);
  }

  /** The adapter is halted. */
  stop(): void {
    this.#timer.disarm();
  }

  #judgeAll(nowUs: number): void {
    const engine = this.#engine;
    let isAny = false;
    for (const ctx of engine.connections()) {
      const { activity } = ctx;
      if (activity === null) continue;
      const reason = this.#judge(ctx, activity, nowUs);
      activity.clear();
      if (reason === 0 || nowUs < activity.mayAskUs) continue;
      if (ctx.standing !== Standing.NORMAL || ctx.isTerminating || isHalfClosed(ctx.tcp.state)) continue;
      activity.mayAskUs = nowUs + (this.#limits.repeatUs ?? 60_000_000);
      requestUpload(engine, ctx, reason, false);
      isAny = true;
    }
    if (isAny) engine.schedule();
    if (engine.connectionCount > 0) this.#timer.arm(this.#runtime.nowUs() + this.#intervalUs);
  }

  /** The reason that there is to give a connection back; 0: none. */
  #judge(ctx: TcpContext, a: Activity, nowUs: number): number {
    const { retransmittedShare, fragmentShare, outOfOrderShare, unpostedBytes, smallIoBytes } = this.#limits;
    if (this.#isShare(a.segmentsRepeated, a.segmentsSent, retransmittedShare)) return TcpUploadReason.HIGH_DROP_RATE;
    // Those that the host puts together come back forwarded, as segments; those of another interface's do not.
    const arrived = Math.max(a.segmentsReceived, a.fragments);
    if (this.#isShare(a.fragments, arrived, fragmentShare)) return TcpUploadReason.HIGH_FRAGMENTATION;
    if (this.#isShare(a.segmentsOutOfOrder, a.segmentsReceived, outOfOrderShare)) {
      return TcpUploadReason.HIGH_OUT_OF_ORDER_PACKETS;
    }
    if (a.requests === 0 && a.unpostedBytes >= (unpostedBytes ?? NEVER)) return TcpUploadReason.NO_BUFFER_PREPOSTING;
    if (this.#isStuck(ctx, a, nowUs)) return TcpUploadReason.NO_BUFFER_PREPOSTING;
    const hasRequests = a.requests >= (this.#limits.leastRequests ?? 16);
    if (hasRequests && a.requestBytes < (smallIoBytes ?? 0) * a.requests) return TcpUploadReason.SMALL_IO;
    return this.#isQuiet(a, nowUs) ? TcpUploadReason.LOW_ACTIVITY : 0;
  }

  #isShare(part: number, whole: number, share: number | undefined): boolean {
    return share !== undefined && whole >= (this.#limits.leastSegments ?? 100) && part >= share * whole;
  }

  #isStuck(ctx: TcpContext, a: Activity, nowUs: number): boolean {
    if (ctx.buffered.length === 0 || ctx.firstRequest !== null) a.stuckSinceUs = NEVER;
    else if (a.stuckSinceUs === NEVER) a.stuckSinceUs = nowUs;
    return nowUs - a.stuckSinceUs >= (this.#limits.stuckUs ?? NEVER);
  }

  #isQuiet(a: Activity, nowUs: number): boolean {
    const segments = a.segmentsSent + a.segmentsReceived;
    if (segments >= (this.#limits.quietSegments ?? 1)) a.quietSinceUs = nowUs;
    return nowUs - a.quietSinceUs >= (this.#limits.quietUs ?? NEVER);
  }
}
