/**
 * Terminate offload ("upload"): the host's half of chimney-sequences 6 and 7.
 *
 * A connection comes back when its operations below have completed (TERM-028). Paths and neighbors go when nothing depends
 * on them any more, in the same tree where possible (TERM-063 to 066).
 */

import { NdisStatus, OffloadBlock, OffloadStateType, type ProtocolOffloadBlock } from '../../ndis/protocol.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import { TcpConnectionState, TcpDelegatedState } from '../../state/tcp.ts';
import { readDelegated } from '../../tcp/transfer.ts';
import { Event } from '../../trace/events.ts';
import type { ChimneyAdapter } from './adapter.ts';
import type { ChimneyContext } from './context.ts';
import { forgetObject } from './going-down.ts';
import { finishMove, giveBackToHost, resetPeer, restoreUnread } from './hand-over.ts';
import { ObjectState, OffloadedConnection, OffloadedNeighbor, type OffloadedObject, OffloadedPath } from './objects.ts';
import { forEachBlock, type Grouped, groupConnections, loneTerminateBlock, terminateTree } from './tree.ts';

/** States in which the peer's FIN was received. */
const PEER_FINISHED_STATES: ReadonlySet<number> = new Set([
  TcpConnectionState.CLOSE_WAIT,
  TcpConnectionState.CLOSING,
  TcpConnectionState.LAST_ACK,
  TcpConnectionState.TIME_WAIT,
]);

export class Terminates {
  readonly #context: ChimneyContext;

  constructor(context: ChimneyContext) {
    this.#context = context;
  }

  /** Takes back these connections of one adapter in one tree. */
  start(adapter: ChimneyAdapter, connections: readonly OffloadedConnection[]): void {
    const nowUs = this.#context.runtime.nowUs();
    const grouped = groupConnections(connections);
    const going = this.#loseDependents(grouped, pathsWanted(adapter));
    const root = terminateTree(
      grouped,
      (object) => going.has(object),
      (connection) => beginTerminate(connection, nowUs),
    );
    this.#context.ndis.terminateOffload(adapter.binding, root);
  }

  /** Which paths and neighbors lose their last dependent to this tree and may go with it. */
  #loseDependents(grouped: Grouped, wanted: ReadonlySet<OffloadedPath>): Set<OffloadedObject> {
    const going = new Set<OffloadedObject>();
    for (const [neighbor, paths] of grouped) {
      let pathsGoing = 0;
      for (const [path, connections] of paths) {
        if (path.dependents !== connections.length || !mayGo(path) || wanted.has(path)) continue;
        path.state = ObjectState.TERMINATING;
        going.add(path);
        pathsGoing++;
      }
      if (pathsGoing > 0 && pathsGoing === neighbor.dependents && mayGo(neighbor) && !neighbor.isKept) {
        neighbor.state = ObjectState.TERMINATING;
        going.add(neighbor);
      }
    }
    return going;
  }

  /** Terminates paths, then neighbors, that nothing depends on. */
  collectUnused(adapter: ChimneyAdapter): void {
    const wanted = pathsWanted(adapter);
    for (const path of adapter.paths) {
      if (path.dependents === 0 && mayGo(path) && !wanted.has(path)) this.#terminateLone(path);
    }
    for (const neighbor of adapter.neighbors) {
      if (neighbor.dependents === 0 && mayGo(neighbor) && !neighbor.isKept) this.#terminateLone(neighbor);
    }
  }

  #terminateLone(object: OffloadedNeighbor | OffloadedPath): void {
    object.state = ObjectState.TERMINATING;
    this.#context.ndis.terminateOffload(object.adapter.binding, loneTerminateBlock(object));
  }

  /** ProtocolTerminateOffloadComplete. */
  complete(adapter: ChimneyAdapter, root: ProtocolOffloadBlock): void {
    const nowUs = this.#context.runtime.nowUs();
    const blocks: { connection: OffloadedConnection; block: ProtocolOffloadBlock }[] = [];
    const objects: (OffloadedNeighbor | OffloadedPath)[] = [];
    forEachBlock(root, (block) => {
      const object = block.offloadHandle?.owner;
      if (object instanceof OffloadedConnection) blocks.push({ connection: object, block });
      else if (object instanceof OffloadedPath || object instanceof OffloadedNeighbor) {
        // One that could not go, as a connection on it is corrupt, stays below until that has been terminated again. With nothing on it
        // FAILURE says that it is lost (TERM-019): to ask again would be to ask for ever.
        if (block.status === NdisStatus.SUCCESS || object.dependents === 0) objects.push(object);
        else object.state = ObjectState.OFFLOADED;
      }
    });
    for (const { connection, block } of blocks) this.#cameBack(connection, block, nowUs);
    // Dependents first: a neighbor is forgotten after its paths.
    for (const object of objects.reverse()) forgetObject(adapter, object);
  }

  #cameBack(connection: OffloadedConnection, block: ProtocolOffloadBlock, nowUs: number): void {
    if (block.status !== NdisStatus.SUCCESS && connection.failures === 0) {
      // Corrupt state: the target raises Retrieve and Abort and expects a second terminate (TERM-021 to 025).
      connection.failures++;
      connection.state = ObjectState.OFFLOADED;
      this.#context.moves.requestTakeBack(connection, 'failure', null, null);
      return;
    }
    const { endpoint } = connection;
    const delegated = connection.delegated!;
    const isLost = connection.failures > 0 || block.status !== NdisStatus.SUCCESS;
    connection.state = ObjectState.NONE;
    connection.failures = 0;
    connection.delegated = null;
    connection.refusedBytes = 0;
    connection.bufferedBelow = 0;
    connection.path.dependents--;
    connection.adapter.connections.delete(connection);
    connection.handle.miniportOffloadContext = null;
    this.#context.trace.count(Event.CHIMNEY_TERMINATED);

    if (isLost) replaceLost(connection);
    const hadPeerFinished = connection.peerFinished;
    connection.peerFinished = false;
    const buffered = delegated.bufferedData;
    if (!connection.isReleased && !isLost) {
      readDelegated(endpoint.tcp, this.#context.parameters, delegated, nowUs);
      if (buffered !== null) restoreUnread(connection, buffered);
      // The FIN came while data before it was still unread: nobody has told the application yet.
      if (!hadPeerFinished && PEER_FINISHED_STATES.has(delegated.state)) endpoint.peerFinished();
    }
    if (buffered !== null) this.#context.ndis.offloadTcpReceiveReturn(connection.adapter.binding, buffered);
    if (isLost && !connection.isReleased) endpoint.failed(connection.aborted ?? 'ECONNABORTED');
    if (connection.isReleased && connection.disconnectWanted === 'abortive' && !isLost)
      resetPeer(connection, delegated);
    // The target has gone on until it heard of it.
    connection.frozenAtUs = Math.max(connection.frozenAtUs, block.handedOverAtUs);
    const servedAtUs = this.#context.runtime.nowUs();
    giveBackToHost(this.#context, connection, nowUs);
    finishMove(this.#context, connection, 'terminate', block.status, servedAtUs);
    if (connection.wantsOffload) {
      connection.wantsOffload = false;
      this.#context.moves.requestOffload(connection, connection.cause, null);
    }
  }
}

function beginTerminate(connection: OffloadedConnection, nowUs: number): OffloadBlock {
  connection.wantsTerminate = false;
  connection.state = ObjectState.TERMINATING;
  connection.frozenAtUs = nowUs;
  if (!connection.isReleased && connection.endpoint.location === 'target') connection.endpoint.location = 'terminating';
  connection.delegated = new TcpDelegatedState();
  return new OffloadBlock(OffloadStateType.TCP_DELEGATED, connection.handle).withDelegated(connection.delegated);
}

/** Sends that a target has kept to itself although it is done with the connection: it has stopped responding, and was given up. */
function replaceLost(connection: OffloadedConnection): void {
  const { writes } = connection.endpoint.transport;
  const lost: NetBufferList[] = [];
  for (let list = connection.outstanding.shift(); list !== null; list = connection.outstanding.shift()) lost.push(list);
  for (const list of lost) connection.outstanding.push(writes.replace(list));
}

function mayGo(object: OffloadedObject): boolean {
  return object.operations === 0 && !object.isUpdating && object.isOffloaded;
}

/** The paths that connections which wait to be offloaded will hang on. */
function pathsWanted(adapter: ChimneyAdapter): ReadonlySet<OffloadedPath> {
  const paths = new Set<OffloadedPath>();
  for (const connection of adapter.offloads) paths.add(connection.path);
  return paths;
}
