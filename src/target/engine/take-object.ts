/**
 * Taking a neighbor or a path at initiate: limits, VLAN rules, and the context that holds its state.
 *
 * Answers the context, or the status with which the block is refused; then nothing was changed.
 * Source: chimney-sequences 2 and 3; INIT-013 to INIT-024, VLAN-007 to VLAN-011, STATE-008 to STATE-019.
 */

import { equalBytes } from '../../base/bytes.ts';
import { type MiniportOffloadBlock, NdisStatus, OffloadStateType } from '../../ndis/miniport.ts';
import type { NeighborCachedState, NeighborConstState, NeighborDelegatedState } from '../../state/neighbor.ts';
import type { PathCachedState, PathConstState } from '../../state/path.ts';
import { isZeroMac, MAC_LENGTH } from '../../wire/mac-address.ts';
import { allowsTags, takesFamily } from './configuration.ts';
import { NeighborContext, PathContext } from './contexts.ts';
import type { Engine } from './engine.ts';
import { setHostReachability, setNicReachability } from './neighbors.ts';

/** A new neighbor. */
export function takeNeighbor(engine: Engine, block: MiniportOffloadBlock): NeighborContext | number {
  if (block.header.type !== OffloadStateType.NEIGHBOR) return NdisStatus.FAILURE;
  const constant = block.constState as NeighborConstState | null;
  const cached = block.cachedState as NeighborCachedState | null;
  const delegated = block.delegatedState as NeighborDelegatedState | null;
  if (constant === null || cached === null || delegated === null) return NdisStatus.FAILURE;
  if (engine.neighbors.size >= engine.capacity.neighborEntries) return NdisStatus.OFFLOAD_NEIGHBOR_ENTRIES;
  const vlan = vlanStatus(engine, constant.vlanId);
  if (vlan !== NdisStatus.SUCCESS) return vlan;
  const isGiven = !isZeroMac(constant.dlSourceAddress, 0);
  if (isGiven && !hasSourceRoom(engine, constant.dlSourceAddress)) return NdisStatus.OFFLOAD_HW_ADDRESS_ENTRIES;
  const refusal = askPolicy(engine, 'neighbor', block);
  if (refusal !== NdisStatus.SUCCESS) return refusal;

  const nowUs = engine.runtime.nowUs();
  const source = (isGiven ? constant.dlSourceAddress : engine.attributes.macAddress).slice(0, MAC_LENGTH);
  const context = new NeighborContext(block.ndisOffloadHandle!, source, isGiven, constant.vlanId);
  setDestination(context, cached);
  setHostReachability(engine, context, cached.hostReachabilityDelta, nowUs);
  setNicReachability(engine, context, delegated.nicReachabilityDelta, nowUs);
  engine.neighbors.add(context);
  return context;
}

/** DlDestinationAddress, at initiate and at update (STATE-015). */
export function setDestination(context: NeighborContext, cached: NeighborCachedState): void {
  for (let i = 0; i < MAC_LENGTH; i++) context.destination[i] = cached.dlDestinationAddress[i]!;
}

/** Whether the policy lets an object be taken. */
export function askPolicy(engine: Engine, layer: 'neighbor' | 'path' | 'tcp', block: MiniportOffloadBlock): number {
  return engine.refuse === null ? NdisStatus.SUCCESS : engine.refuse({ layer, block });
}

function vlanStatus(engine: Engine, vlanId: number): number {
  if (vlanId === 0) return NdisStatus.SUCCESS;
  // CAP-025: with an encapsulation that has no tags there is no room for any VLAN.
  if (!allowsTags(engine)) return NdisStatus.OFFLOAD_VLAN_ENTRIES;
  if (engine.vlanIds.length > 0 && !engine.vlanIds.includes(vlanId)) return NdisStatus.OFFLOAD_VLAN_MISMATCH;
  const inUse = new Set<number>();
  for (const neighbor of engine.neighbors) if (neighbor.vlanId !== 0) inUse.add(neighbor.vlanId);
  if (inUse.has(vlanId) || inUse.size < engine.capacity.vlanEntries) return NdisStatus.SUCCESS;
  return NdisStatus.OFFLOAD_VLAN_ENTRIES;
}

function hasSourceRoom(engine: Engine, address: Uint8Array): boolean {
  if (!engine.allowSourceMac) return false;
  if (equalBytes(address, 0, engine.attributes.macAddress, 0, MAC_LENGTH)) return true;
  const inUse: Uint8Array[] = [];
  for (const { isSourceGiven, source } of engine.neighbors) {
    if (!isSourceGiven) continue;
    if (equalBytes(address, 0, source, 0, MAC_LENGTH)) return true;
    if (!inUse.some((other) => equalBytes(other, 0, source, 0, MAC_LENGTH))) inUse.push(source);
  }
  return inUse.length < engine.capacity.hwAddressEntries;
}

/** A new path below `parent`, a neighbor. */
export function takePath(engine: Engine, block: MiniportOffloadBlock, parent: unknown): PathContext | number {
  const family =
    block.header.type === OffloadStateType.IP4 ? 4 : block.header.type === OffloadStateType.IP6 ? 6 : undefined;
  const constant = block.constState as PathConstState | null;
  const cached = block.cachedState as PathCachedState | null;
  if (family === undefined || constant === null || cached === null) return NdisStatus.FAILURE;
  if (!takesFamily(engine, family)) return NdisStatus.FAILURE;
  const neighbor = parent instanceof NeighborContext ? parent : null;
  if (neighbor === null && engine.attributes.medium === 'ethernet') return NdisStatus.FAILURE;
  const length = family === 4 ? 4 : 16;
  if (constant.sourceAddress.length !== length || constant.destinationAddress.length !== length) {
    return NdisStatus.FAILURE;
  }
  if (engine.paths.size >= engine.capacity.pathEntries) return NdisStatus.OFFLOAD_PATH_ENTRIES;
  if (cached.pathMtu > engine.capacity.maxPathMtu) return NdisStatus.OFFLOAD_PATH_MTU;
  if (!hasAddressRoom(engine, constant.sourceAddress)) return NdisStatus.OFFLOAD_IP_ADDRESS_ENTRIES;
  const refusal = askPolicy(engine, 'path', block);
  if (refusal !== NdisStatus.SUCCESS) return refusal;

  const context = new PathContext(
    block.ndisOffloadHandle!,
    neighbor,
    family,
    constant.sourceAddress.slice(),
    constant.destinationAddress.slice(),
    cached.pathMtu,
  );
  context.packing = engine.packing;
  if (neighbor !== null) neighbor.paths.add(context);
  engine.paths.add(context);
  return context;
}

function hasAddressRoom(engine: Engine, address: Uint8Array): boolean {
  const { ipAddressEntries, pathEntries } = engine.capacity;
  // Never more addresses than paths: the search is for targets that are made small.
  if (ipAddressEntries >= pathEntries) return true;
  const inUse: Uint8Array[] = [];
  for (const { source } of engine.paths) {
    if (source.length === address.length && equalBytes(source, 0, address, 0, address.length)) return true;
    const isKnown = inUse.some((o) => o.length === source.length && equalBytes(o, 0, source, 0, source.length));
    if (!isKnown) inUse.push(source);
  }
  return inUse.length < ipAddressEntries;
}
