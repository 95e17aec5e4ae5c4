/**
 * Offload block lists as the host builds them: trees for initiate and terminate, single blocks for the rest.
 *
 * Initiate: what is not offloaded yet gets its state behind its block, what is gets a linker (TREE-021, TREE-024).
 * Terminate: a path or neighbor that loses its last dependent goes in the same tree, others are placeholders (TERM-063,
 * TERM-065, TREE-016). Trees are at most three layers deep and may be a hundred thousand blocks wide: siblings are walked in
 * loops, never by recursion.
 */

import { OffloadBlock, OffloadStateType, type ProtocolOffloadBlock } from '../../ndis/protocol.ts';
import { NeighborCachedState, NeighborConstState, NeighborDelegatedState } from '../../state/neighbor.ts';
import { PathCachedState, PathConstState, PathDelegatedState } from '../../state/path.ts';
import type { OffloadedConnection, OffloadedNeighbor, OffloadedPath } from './objects.ts';
import { ObjectState } from './objects.ts';

/** Connections by path by neighbor, in the order in which they came. */
export type Grouped = Map<OffloadedNeighbor, Map<OffloadedPath, OffloadedConnection[]>>;

export function groupConnections(connections: readonly OffloadedConnection[]): Grouped {
  const grouped: Grouped = new Map();
  for (const connection of connections) {
    const { path } = connection;
    let paths = grouped.get(path.neighbor);
    if (paths === undefined) {
      paths = new Map();
      grouped.set(path.neighbor, paths);
    }
    const there = paths.get(path);
    if (there === undefined) paths.set(path, [connection]);
    else there.push(connection);
  }
  return grouped;
}

/** Chains blocks of one layer. */
class Layer {
  first: OffloadBlock | null = null;
  #last: OffloadBlock | null = null;

  add(block: OffloadBlock): void {
    if (this.#last === null) this.first = block;
    else this.#last.nextBlock = block;
    this.#last = block;
  }
}

/** The initiate tree of these connections; `tcpBlock` makes the block of each with its state behind it. */
export function initiateTree(
  grouped: Grouped,
  nowUs: number,
  tcpBlock: (connection: OffloadedConnection) => OffloadBlock,
): OffloadBlock {
  const neighbors = new Layer();
  for (const [neighbor, groups] of grouped) {
    const neighborBlock =
      neighbor.state === ObjectState.NONE ? newNeighborBlock(neighbor, nowUs) : referenceTo(neighbor);
    const paths = new Layer();
    for (const [path, connections] of groups) {
      const pathBlock = path.state === ObjectState.NONE ? newPathBlock(path) : referenceToPath(path);
      const tcps = new Layer();
      for (const connection of connections) tcps.add(tcpBlock(connection));
      pathBlock.dependentBlockList = tcps.first;
      paths.add(pathBlock);
    }
    neighborBlock.dependentBlockList = paths.first;
    neighbors.add(neighborBlock);
  }
  return neighbors.first!;
}

/** The terminate tree of these connections; `isLast` says of a path or neighbor whether it goes with them. */
export function terminateTree(
  grouped: Grouped,
  isLast: (object: OffloadedNeighbor | OffloadedPath) => boolean,
  tcpBlock: (connection: OffloadedConnection) => OffloadBlock,
): OffloadBlock {
  const neighbors = new Layer();
  for (const [neighbor, groups] of grouped) {
    const paths = new Layer();
    for (const [path, connections] of groups) {
      const pathBlock = isLast(path) ? terminatingPath(path) : placeholder(OffloadStateType.IP4);
      const tcps = new Layer();
      for (const connection of connections) tcps.add(tcpBlock(connection));
      pathBlock.dependentBlockList = tcps.first;
      paths.add(pathBlock);
    }
    const neighborBlock = isLast(neighbor) ? terminatingNeighbor(neighbor) : placeholder(OffloadStateType.NEIGHBOR);
    neighborBlock.dependentBlockList = paths.first;
    neighbors.add(neighborBlock);
  }
  return neighbors.first!;
}

/** A block that names nothing and only leads on. */
function placeholder(type: OffloadStateType): OffloadBlock {
  return new OffloadBlock(type);
}

/** A block that names an offloaded neighbor, without state. */
export function referenceTo(neighbor: OffloadedNeighbor): OffloadBlock {
  return new OffloadBlock(OffloadStateType.NEIGHBOR, neighbor.handle);
}

/** A block that names an offloaded path, without state. */
export function referenceToPath(path: OffloadedPath): OffloadBlock {
  return new OffloadBlock(pathType(path), path.handle);
}

function pathType(path: OffloadedPath): OffloadStateType {
  return path.entry.family === 4 ? OffloadStateType.IP4 : OffloadStateType.IP6;
}

/** Ticks since the neighbor was last known to be reachable; unsigned 32 bits. */
export function reachabilityDelta(neighbor: OffloadedNeighbor, nowUs: number): number {
  if (neighbor.entry === null) return 0;
  return Math.max(0, Math.floor((nowUs - neighbor.entry.confirmedUs) / neighbor.adapter.tickUs)) >>> 0;
}

/** A block with all three structures of a neighbor that is to be offloaded. HRD and NRD start equal (NBR-003). */
export function newNeighborBlock(neighbor: OffloadedNeighbor, nowUs: number): OffloadBlock {
  const block = new OffloadBlock(OffloadStateType.NEIGHBOR, neighbor.handle);
  const cached = neighborCached(neighbor, nowUs);
  const delegated = new NeighborDelegatedState();
  delegated.nicReachabilityDelta = cached.hostReachabilityDelta;
  const constant = new NeighborConstState();
  // VLAN-004: the VLAN of our frames is the neighbor's; 0 where the interface has none.
  constant.vlanId = Math.max(0, neighbor.adapter.iface.vlanTci);
  block.constState = constant;
  block.cachedState = cached;
  block.delegatedState = delegated;
  return block;
}

function neighborCached(neighbor: OffloadedNeighbor, nowUs: number): NeighborCachedState {
  const cached = new NeighborCachedState();
  if (neighbor.entry !== null) cached.dlDestinationAddress.set(neighbor.entry.mac);
  cached.hostReachabilityDelta = reachabilityDelta(neighbor, nowUs);
  return cached;
}

/** A block with the cached structure of a neighbor, for an update. */
export function neighborUpdateBlock(neighbor: OffloadedNeighbor, nowUs: number): OffloadBlock {
  const block = new OffloadBlock(OffloadStateType.NEIGHBOR_CACHED, neighbor.handle);
  block.cachedState = neighborCached(neighbor, nowUs);
  return block;
}

function newPathBlock(path: OffloadedPath): OffloadBlock {
  const block = new OffloadBlock(pathType(path), path.handle);
  block.constState = new PathConstState(path.entry.local.bytes, path.entry.remote.bytes);
  block.cachedState = new PathCachedState(path.entry.mtu);
  block.delegatedState = new PathDelegatedState();
  return block;
}

/** A block with the cached structure of a path, for an update. */
export function pathUpdateBlock(path: OffloadedPath): OffloadBlock {
  const type = path.entry.family === 4 ? OffloadStateType.IP4_CACHED : OffloadStateType.IP6_CACHED;
  const block = new OffloadBlock(type, path.handle);
  block.cachedState = new PathCachedState(path.entry.mtu);
  return block;
}

function terminatingPath(path: OffloadedPath): OffloadBlock {
  return new OffloadBlock(
    path.entry.family === 4 ? OffloadStateType.IP4_DELEGATED : OffloadStateType.IP6_DELEGATED,
    path.handle,
  ).withDelegated(new PathDelegatedState());
}

function terminatingNeighbor(neighbor: OffloadedNeighbor): OffloadBlock {
  return new OffloadBlock(OffloadStateType.NEIGHBOR_DELEGATED, neighbor.handle).withDelegated(
    new NeighborDelegatedState(),
  );
}

/** A free-standing terminate block of a path or neighbor on which nothing depends any more. */
export function loneTerminateBlock(object: OffloadedNeighbor | OffloadedPath): OffloadBlock {
  return 'neighbor' in object ? terminatingPath(object) : terminatingNeighbor(object);
}

/** Visits every block of a tree, parents first. */
export function forEachBlock(root: ProtocolOffloadBlock, visit: (block: ProtocolOffloadBlock) => void): void {
  for (let block: ProtocolOffloadBlock | null = root; block !== null; block = block.nextBlock) {
    visit(block);
    if (block.dependentBlockList !== null) forEachBlock(block.dependentBlockList, visit);
  }
}
