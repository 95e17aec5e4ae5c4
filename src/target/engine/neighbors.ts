/**
 * Neighbor reachability: the target's clock of forward progress, and the question to the host when it has run out.
 *
 * HRT and NRT are moments on the target's clock; HRD and NRD are how long ago they were, in ticks of the host, modulo 2^32
 * (NBR-001 to NBR-005). Source: chimney-sequences 19.
 */

import { IndicateOffloadEvent, OffloadBlock, OffloadStateType } from '../../ndis/miniport.ts';
import { NeighborCachedState, NeighborConstState, NeighborDelegatedState } from '../../state/neighbor.ts';
import { Event } from '../../trace/events.ts';
import type { NeighborContext } from './contexts.ts';
import type { Engine } from './engine.ts';
import { usPerTick } from './tunables.ts';

/** HRT from the HRD that the host gave (NBR-001, NBR-020). */
export function setHostReachability(engine: Engine, neighbor: NeighborContext, hrd: number, nowUs: number): void {
  neighbor.hrtUs = nowUs - (hrd >>> 0) * usPerTick(engine.tunables);
}

/** NRT from the NRD that came with the offload (NBR-002). */
export function setNicReachability(engine: Engine, neighbor: NeighborContext, nrd: number, nowUs: number): void {
  neighbor.nrtUs = nowUs - (nrd >>> 0) * usPerTick(engine.tunables);
}

/** HRD or NRD now: ticks since `sinceUs`, 32 bits. */
export function ticksSince(engine: Engine, sinceUs: number, nowUs: number): number {
  return Math.floor((nowUs - sinceUs) / usPerTick(engine.tunables)) >>> 0;
}

/** Fills whichever of the three structures are there. */
export function writeNeighbor(
  engine: Engine,
  neighbor: NeighborContext,
  constant: NeighborConstState | null,
  cached: NeighborCachedState | null,
  delegated: NeighborDelegatedState | null,
  nowUs: number,
): void {
  if (constant !== null) {
    constant.dlSourceAddress.fill(0);
    if (neighbor.isSourceGiven) constant.dlSourceAddress.set(neighbor.source);
    constant.vlanId = neighbor.vlanId;
  }
  if (cached !== null) {
    cached.dlDestinationAddress.fill(0);
    cached.dlDestinationAddress.set(neighbor.destination);
    cached.hostReachabilityDelta = ticksSince(engine, neighbor.hrtUs, nowUs);
  }
  if (delegated !== null) delegated.nicReachabilityDelta = ticksSince(engine, neighbor.nrtUs, nowUs);
}

/** The test before each datagram: whether both confirmations are older than NceStaleTicks (NBR-009). */
export function isStale(engine: Engine, neighbor: NeighborContext, nowUs: number): boolean {
  const limitUs = engine.tunables.nceStaleTicks * usPerTick(engine.tunables);
  return nowUs - neighbor.nrtUs > limitUs && nowUs - neighbor.hrtUs > limitUs;
}

/** NdisMOffloadEventIndicate(NeighborReachabilityQuery): the host's answer becomes HRT (NBR-011 to NBR-020). */
export function queryReachability(engine: Engine, neighbor: NeighborContext, nowUs: number): void {
  const block = new OffloadBlock(OffloadStateType.NEIGHBOR);
  block.ndisOffloadHandle = neighbor.handle;
  const cached = new NeighborCachedState();
  const delegated = new NeighborDelegatedState();
  const constant = new NeighborConstState();
  writeNeighbor(engine, neighbor, constant, cached, delegated, nowUs);
  block.constState = constant;
  block.cachedState = cached;
  block.delegatedState = delegated;
  engine.trace.emit(Event.TARGET_NEIGHBOR_QUERY, nowUs, delegated.nicReachabilityDelta);
  engine.ndisM.offloadEventIndicate(engine.handle, block, IndicateOffloadEvent.NEIGHBOR_REACHABILITY_QUERY);
  setHostReachability(engine, neighbor, cached.hostReachabilityDelta, nowUs);
}
