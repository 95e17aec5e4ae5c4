/**
 * The five operations on state trees, for a target built on {@link OffloadTarget}: taking, giving back, querying, updating and
 * invalidating neighbors, paths and connections; each completed from the turn, never from inside its entry.
 *
 * Sources: chimney-sequences 2, 3, 6, 8, 9, 11; rules INIT-*, TERM-*, QRY-*, UPD-*, INV-*.
 */

import {
  BlockLayer,
  BlockWalk,
  isKnownRevision,
  layerOf,
  type MiniportOffloadBlock,
  NdisDevicePowerState,
  NdisStatus,
  TcpUploadReason,
} from '../../ndis/miniport.ts';
import type { NeighborCachedState, NeighborConstState, NeighborDelegatedState } from '../../state/neighbor.ts';
import type { PathCachedState, PathConstState } from '../../state/path.ts';
import {
  TcpCachedFlag,
  type TcpCachedState,
  TcpConnectionState,
  type TcpConstState,
  type TcpDelegatedState,
} from '../../state/tcp.ts';
import { isZeroMac, MAC_LENGTH } from '../../wire/mac-address.ts';
import { takesFamily } from '../engine/configuration.ts';
import { Due, NeighborContext, PathContext, Standing } from '../engine/contexts.ts';
import { answerPendingPower } from '../engine/oids.ts';
import { completeInitiate, takeTree } from '../engine/take-tree.ts';
import { TargetConnection } from './connection.ts';
import type { TargetCore } from './core.ts';
import { bufferedFits, fillState, takeLuggage, terminateConnection } from './moving.ts';

type Block = MiniportOffloadBlock;
type Context = NeighborContext | PathContext | TargetConnection;

/** MiniportInitiateOffload. */
export function initiate(core: TargetCore, root: Block): void {
  const taken: TargetConnection[] = [];
  takeTree(root, {
    isReady: core.isEnabled && core.powerState === NdisDevicePowerState.D0,
    isLive: (block) => isHere(core, contextOf(block)),
    take: (block, parent, depth) => takeBlock(core, block, contextOf(parent), depth, taken),
    refused: () => {},
  });
  completeInitiate(core, root, taken);
}

function takeBlock(
  core: TargetCore,
  block: Block,
  parent: Context | null,
  depth: number,
  taken: TargetConnection[],
): number {
  const slot = block.miniportOffloadContext!;
  const layer = layerOf(block.header.type);
  if (slot.miniportOffloadContext !== null || !isKnownRevision(block)) return NdisStatus.FAILURE;
  if (depth !== layer && !(core.attributes.medium === 'ip' && depth === layer - 1)) return NdisStatus.FAILURE;
  const context =
    layer === BlockLayer.NEIGHBOR
      ? takeNeighbor(core, block)
      : layer === BlockLayer.PATH
        ? takePath(core, block, parent)
        : takeConnection(core, block, parent);
  if (typeof context === 'number') return context;
  slot.miniportOffloadContext = context;
  if (context instanceof TargetConnection) taken.push(context);
  return NdisStatus.SUCCESS;
}

function takeNeighbor(core: TargetCore, block: Block): NeighborContext | number {
  const constant = block.constState as NeighborConstState | null;
  const cached = block.cachedState as NeighborCachedState | null;
  const delegated = block.delegatedState as NeighborDelegatedState | null;
  if (constant === null || cached === null || delegated === null) return NdisStatus.FAILURE;
  if (core.neighbors.size >= core.capacity.neighborEntries) return NdisStatus.OFFLOAD_NEIGHBOR_ENTRIES;
  if (constant.vlanId !== 0) return NdisStatus.OFFLOAD_VLAN_ENTRIES;
  if (!isZeroMac(constant.dlSourceAddress, 0)) return NdisStatus.OFFLOAD_HW_ADDRESS_ENTRIES;
  const context = new NeighborContext(block.ndisOffloadHandle!, core.attributes.macAddress.slice(), false, 0);
  setDestination(core, context, cached);
  context.nrtUs = core.runtime.nowUs() - (delegated.nicReachabilityDelta >>> 0) * core.tickUs;
  core.neighbors.add(context);
  return context;
}

function setDestination(core: TargetCore, context: NeighborContext, cached: NeighborCachedState): void {
  for (let i = 0; i < MAC_LENGTH; i++) context.destination[i] = cached.dlDestinationAddress[i]!;
  context.hrtUs = core.runtime.nowUs() - (cached.hostReachabilityDelta >>> 0) * core.tickUs;
}

function takePath(core: TargetCore, block: Block, parent: Context | null): PathContext | number {
  const constant = block.constState as PathConstState | null;
  const cached = block.cachedState as PathCachedState | null;
  if (constant === null || cached === null) return NdisStatus.FAILURE;
  const family = constant.sourceAddress.length === 4 ? 4 : 6;
  const neighbor = parent instanceof NeighborContext ? parent : null;
  if (!takesFamily(core, family) || (neighbor === null && core.attributes.medium === 'ethernet')) {
    return NdisStatus.FAILURE;
  }
  if (core.paths.size >= core.capacity.pathEntries) return NdisStatus.OFFLOAD_PATH_ENTRIES;
  if (cached.pathMtu > core.capacity.maxPathMtu) return NdisStatus.OFFLOAD_PATH_MTU;
  const { sourceAddress, destinationAddress } = constant;
  const [source, destination] = [sourceAddress.slice(), destinationAddress.slice()];
  const handle = block.ndisOffloadHandle!;
  const context = new PathContext(handle, neighbor, family, source, destination, cached.pathMtu);
  if (neighbor !== null) neighbor.paths.add(context);
  core.paths.add(context);
  return context;
}

function takeConnection(core: TargetCore, block: Block, parent: Context | null): TargetConnection | number {
  const constant = block.constState as TcpConstState | null;
  const cached = block.cachedState as TcpCachedState | null;
  const delegated = block.delegatedState as TcpDelegatedState | null;
  if (constant === null || cached === null || delegated === null || !(parent instanceof PathContext)) {
    return NdisStatus.FAILURE;
  }
  if (core.connections.size >= core.capacity.tcpEntries) return NdisStatus.OFFLOAD_TCP_ENTRIES;
  if (cached.initialRcvWnd > core.capacity.maxRcvWindow) return NdisStatus.OFFLOAD_TCP_RCV_WINDOW;
  if (!bufferedFits(core, delegated)) return NdisStatus.OFFLOAD_TCP_RCV_BUFFER;
  const c = new TargetConnection(core, block.ndisOffloadHandle!, parent);
  fillState(c, constant, cached, delegated);
  if (core.has(c)) return NdisStatus.FAILURE;
  // A connection of which one side is closing is left to the host (INIT-024).
  const mayBe = delegated.state === TcpConnectionState.ESTABLISHED && !(delegated.bufferedData?.hasUrgentData ?? false);
  const status = mayBe ? core.hooks.admit(c) : NdisStatus.OFFLOAD_CONNECTION_REJECTED;
  if (status !== NdisStatus.SUCCESS) return status;
  takeLuggage(core, c, block.netBufferListChain, delegated.bufferedData);
  core.add(c);
  return c;
}

/** MiniportTerminateOffload: connections first, then what they hung on. */
export function terminate(core: TargetCore, root: Block): void {
  eachBlock(root, (block, context) => {
    block.status = NdisStatus.SUCCESS;
    if (context instanceof TargetConnection) terminateConnection(core, context, block);
  });
  eachBlock(root, (block, context) => {
    if (context instanceof PathContext) block.status = endPath(core, context);
  });
  eachBlock(root, (block, context) => {
    if (context instanceof NeighborContext) block.status = endNeighbor(core, block, context);
  });
  core.hasIndicated = true;
  core.ndisM.terminateOffloadComplete(core.handle, root);
  answerPendingPower(core);
}

function endPath(core: TargetCore, path: PathContext): number {
  if (path.connectionCount > 0 || !core.paths.delete(path)) return NdisStatus.FAILURE;
  path.neighbor?.paths.delete(path);
  return NdisStatus.SUCCESS;
}

function endNeighbor(core: TargetCore, block: Block, neighbor: NeighborContext): number {
  if (neighbor.paths.size > 0 || !core.neighbors.delete(neighbor)) return NdisStatus.FAILURE;
  core.writeNeighbor(neighbor, null, null, block.delegatedState as NeighborDelegatedState | null);
  return NdisStatus.SUCCESS;
}

/** MiniportQueryOffload. */
export function query(core: TargetCore, root: Block): void {
  eachBlock(root, (block, context) => {
    block.status = context === null || isHere(core, context) ? NdisStatus.SUCCESS : NdisStatus.FAILURE;
    if (block.status !== NdisStatus.SUCCESS || !isKnownRevision(block)) return;
    if (context instanceof TargetConnection) core.writeConnection(context, block);
    else if (context instanceof NeighborContext) {
      const constant = block.constState as NeighborConstState | null;
      const cached = block.cachedState as NeighborCachedState | null;
      core.writeNeighbor(context, constant, cached, block.delegatedState as NeighborDelegatedState | null);
    } else if (context instanceof PathContext) writePath(context, block);
  });
  core.hasIndicated = true;
  core.ndisM.queryOffloadStateComplete(core.handle, root);
}

function writePath(path: PathContext, block: Block): void {
  const constant = block.constState as PathConstState | null;
  if (constant !== null) {
    constant.sourceAddress = path.source.slice();
    constant.destinationAddress = path.destination.slice();
  }
  if (block.cachedState !== null) (block.cachedState as PathCachedState).pathMtu = path.pathMtu;
}

/** MiniportUpdateOffload. */
export function update(core: TargetCore, root: Block): void {
  eachBlock(root, (block, context, parent) => {
    block.status = context === null ? NdisStatus.SUCCESS : updateObject(core, block, context, parent);
  });
  core.hasIndicated = true;
  core.ndisM.updateOffloadComplete(core.handle, root);
}

function updateObject(core: TargetCore, block: Block, context: Context, parent: Context | null): number {
  if (!isHere(core, context) || !isKnownRevision(block)) return NdisStatus.FAILURE;
  const { cachedState } = block;
  if (context instanceof NeighborContext) {
    if (cachedState !== null) setDestination(core, context, cachedState as NeighborCachedState);
  } else if (context instanceof PathContext) {
    if (parent instanceof NeighborContext && parent !== context.neighbor) relink(context, parent);
    if (cachedState !== null) context.pathMtu = (cachedState as PathCachedState).pathMtu;
  } else if (cachedState !== null) updateConnection(core, context, cachedState as TcpCachedState);
  return NdisStatus.SUCCESS;
}

/** UPD-023: the path goes by another neighbor from now on. */
function relink(path: PathContext, neighbor: NeighborContext): void {
  path.neighbor?.paths.delete(path);
  path.neighbor = neighbor;
  neighbor.paths.add(path);
}

function updateConnection(core: TargetCore, c: TargetConnection, from: TcpCachedState): void {
  const ACTIONS = TcpCachedFlag.KEEP_ALIVE_RESTART | TcpCachedFlag.MAX_RT_RESTART | TcpCachedFlag.UPDATE_RCV_WND;
  fillState(c, null, from, null);
  c.cached.flags &= ~ACTIONS;
  core.restartKeepAlive(c);
  core.onDelivered(c);
  core.mark(c, Due.TRANSMIT);
}

/** MiniportInvalidateOffload: nothing is sent on these, or on what hangs on them, any more; connections are asked back. */
export function invalidate(core: TargetCore, root: Block): void {
  const affected: TargetConnection[] = [];
  eachBlock(root, (block, context) => {
    block.status = context === null || isHere(core, context) ? NdisStatus.SUCCESS : NdisStatus.FAILURE;
    if (context === null || block.status !== NdisStatus.SUCCESS) return;
    context.isInvalid = true;
    for (const c of core.connections) if (c === context || c.path === context) affected.push(c);
  });
  core.hasIndicated = true;
  core.ndisM.invalidateOffloadComplete(core.handle, root);
  for (const c of affected) core.askBack(c, TcpUploadReason.INVALID_STATE);
}

/** From the entry of a terminate on segments of its connections go up unprocessed (TERM-038, TERM-039). */
export function noteTerminate(root: Block): void {
  eachBlock(root, (_block, context) => {
    if (context instanceof TargetConnection) context.isTerminating = true;
  });
}

function eachBlock(root: Block, visit: (block: Block, context: Context | null, parent: Context | null) => void): void {
  const walk = new BlockWalk<Block>();
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    visit(block, contextOf(block), contextOf(walk.parent));
  }
}

function contextOf(block: Block | null): Context | null {
  const slot = block === null ? null : block.miniportOffloadContext;
  return slot === null ? null : (slot.miniportOffloadContext as Context | null);
}

function isHere(core: TargetCore, context: Context | null): boolean {
  if (context instanceof TargetConnection) return context.standing !== Standing.TERMINATED;
  if (context instanceof PathContext) return core.paths.has(context);
  return context !== null && core.neighbors.has(context);
}
