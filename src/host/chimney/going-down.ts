/**
 * Initiate offload: the host's half of chimney-sequences 2 to 5.
 *
 * A connection is served by nobody between the call and its completion: what the application writes meanwhile is held, segments
 * that arrive are kept, and both are dealt with by whoever has the connection afterwards.
 */

import {
  NdisStatus,
  ndisStatusName,
  OffloadBlock,
  OffloadStateType,
  type ProtocolOffloadBlock,
} from '../../ndis/protocol.ts';
import { dataLengthOf, type NetBufferList } from '../../state/net-buffer-list.ts';
import { TCP_STATE_WORDS, TcpCachedState, TcpConstState, TcpDelegatedState } from '../../state/tcp.ts';
import type { TcpConnection } from '../../tcp/connection.ts';
import { Effect } from '../../tcp/effects.ts';
import { releaseFlight, releaseReassembly } from '../../tcp/lifecycle.ts';
import { isUrgentUnread } from '../../tcp/on-segment.ts';
import { prepareTransfer, writeConst, writeDelegated } from '../../tcp/transfer.ts';
import { Event } from '../../trace/events.ts';
import type { ChimneyAdapter } from './adapter.ts';
import { writeCachedState } from './cached-state.ts';
import type { ChimneyContext } from './context.ts';
import { refusal } from './error.ts';
import { finishMove, giveBackToHost, lastMove, resetPeer, restoreUnread } from './hand-over.ts';
import { ObjectState, OffloadedConnection, OffloadedNeighbor, type OffloadedObject, OffloadedPath } from './objects.ts';
import { whyNotOffloadable } from './offloadable.ts';
import { forEachBlock, groupConnections, initiateTree } from './tree.ts';

export class Initiates {
  readonly #context: ChimneyContext;

  constructor(context: ChimneyContext) {
    this.#context = context;
  }

  /**
   * Hands down these connections of one adapter, with what they hang on, in one tree. Everything that can be made ready is made ready
   * while they are still served.
   */
  start(adapter: ChimneyAdapter, connections: readonly OffloadedConnection[]): void {
    const nowUs = this.#context.runtime.nowUs();
    const moving = connections.filter((connection) => this.#isReady(connection, nowUs));
    if (moving.length === 0) return;
    const grouped = groupConnections(moving);
    const root = initiateTree(grouped, nowUs, newTcpBlock);
    for (const [neighbor, paths] of grouped) {
      if (neighbor.state === ObjectState.NONE) begin(neighbor, adapter.neighbors);
      for (const [path, there] of paths) {
        if (path.state === ObjectState.NONE) {
          begin(path, adapter.paths);
          path.entry.retain();
          neighbor.dependents++;
        }
        path.dependents += there.length;
      }
    }
    // All of them before the first is handed over: what its application does then meets no other half-way.
    for (const connection of moving) this.#leaveHost(connection);
    forEachBlock(root, (block) => {
      const object = block.offloadHandle?.owner;
      if (object instanceof OffloadedConnection) this.#handOver(object, block as OffloadBlock);
    });
    this.#context.ndis.initiateOffload(adapter.binding, root);
  }

  /** Its owed ACKs go out, its timers stop (INIT-075 to 077). False: it cannot go after all. */
  #isReady(connection: OffloadedConnection, nowUs: number): boolean {
    const { endpoint } = connection;
    if ((prepareTransfer(endpoint.tcp, this.#context.parameters, nowUs) & Effect.TRANSMIT) !== 0) endpoint.pump(nowUs);
    const why = whyNotOffloadable(connection);
    if (why === null) return true;
    this.refuse(connection, why);
    return false;
  }

  /** From here on nobody serves it. */
  #leaveHost(connection: OffloadedConnection): void {
    const { endpoint } = connection;
    connection.wantsOffload = false;
    connection.state = ObjectState.INITIATING;
    connection.needsUpdate = false; // its block was written just now
    connection.frozenAtUs = this.#context.runtime.nowUs();
    connection.disconnectDone = false;
    connection.adapter.connections.add(connection);
    endpoint.suspend();
    endpoint.location = 'initiating';
  }

  /** What is only final once it stands still: its delegated state, its sends, what was received and not read. */
  #handOver(connection: OffloadedConnection, block: OffloadBlock): void {
    const { endpoint } = connection;
    const { tcp } = endpoint;
    const delegated = block.delegatedState as TcpDelegatedState;
    writeDelegated(tcp, this.#context.parameters, delegated, connection.frozenAtUs);
    block.netBufferListChain = this.#takeSends(connection);
    delegated.sendDataHead = block.netBufferListChain;
    for (let list = block.netBufferListChain; list !== null; list = list.next) delegated.sendDataTail = list;
    delegated.bufferedData = endpoint.takeUnread();
    markUrgent(tcp, delegated.bufferedData);
    // What only SACK has promised to keep may be dropped: the peer still has it (RFC 2018 section 8).
    releaseReassembly(tcp, this.#context.parameters);
    releaseFlight(tcp, this.#context.parameters);
    connection.delegated = delegated;
  }

  #takeSends(connection: OffloadedConnection): NetBufferList | null {
    const { tcp } = connection.endpoint;
    const queue = tcp.sendQueue;
    if (queue === null) return null;
    const completed = queue.takeCompleted();
    if (completed !== null) connection.endpoint.sendsCompleted(completed, null);
    const chain = queue.takeAll();
    tcp.sendQueue = null;
    this.#context.parameters.spares.giveSendQueue(queue);
    for (let list = chain; list !== null; list = list.next) {
      list.protocolReserved2 = connection;
      connection.outstanding.push(list);
      connection.outstandingBytes += dataLengthOf(list);
    }
    return chain;
  }

  /** ProtocolInitiateOffloadComplete. */
  complete(adapter: ChimneyAdapter, root: ProtocolOffloadBlock): void {
    const nowUs = this.#context.runtime.nowUs();
    const connections: { connection: OffloadedConnection; block: ProtocolOffloadBlock }[] = [];
    const failed: (OffloadedNeighbor | OffloadedPath)[] = [];
    forEachBlock(root, (block) => {
      const object = block.offloadHandle?.owner;
      if (object instanceof OffloadedConnection) connections.push({ connection: object, block });
      else if (object instanceof OffloadedPath || object instanceof OffloadedNeighbor) {
        if (object.state !== ObjectState.INITIATING) return; // a linker
        if (block.status === NdisStatus.SUCCESS || block.status === NdisStatus.OFFLOAD_PARTIAL_SUCCESS) {
          object.state = ObjectState.OFFLOADED;
        } else failed.push(object);
      }
    });
    for (const { connection, block } of connections) {
      if (block.status === NdisStatus.SUCCESS) this.#wentDown(connection, block.handedOverAtUs || nowUs);
      else this.#stayedUp(connection, block.status, nowUs);
    }
    for (const object of failed.reverse()) forgetObject(adapter, object);
  }

  #wentDown(connection: OffloadedConnection, servedAtUs: number): void {
    const { endpoint, delegated } = connection;
    connection.state = ObjectState.OFFLOADED;
    const buffered = delegated?.bufferedData ?? null;
    if (buffered !== null) {
      for (let list: NetBufferList | null = buffered; list !== null; list = list.next) {
        connection.refusedBytes += dataLengthOf(list);
        connection.bufferedBelow += dataLengthOf(list);
      }
      endpoint.unreadTaken(buffered); // the target has copied it (INIT-061)
    }
    connection.delegated = null;
    this.#context.trace.count(Event.CHIMNEY_INITIATED);
    if (!connection.isReleased && endpoint.location === 'initiating') endpoint.location = 'target';
    finishMove(this.#context, connection, 'initiate', NdisStatus.SUCCESS, servedAtUs);
    this.#context.data.afterInitiate(connection);
    this.#context.operations.afterInitiate(connection);
    this.#context.own.wentDown(connection);
    if (connection.wantsTerminate) connection.adapter.terminates.add(connection);
    endpoint.transport.packing.soon(endpoint);
  }

  #stayedUp(connection: OffloadedConnection, status: number, nowUs: number): void {
    const { endpoint, delegated } = connection;
    connection.state = ObjectState.NONE;
    connection.path.dependents--;
    connection.adapter.connections.delete(connection);
    connection.handle.miniportOffloadContext = null;
    connection.delegated = null;
    const isWantedBack = connection.wantsTerminate;
    connection.wantsTerminate = false;
    if (connection.disconnectWanted === 'abortive' && delegated !== null) resetPeer(connection, delegated);
    const buffered = delegated?.bufferedData ?? null;
    if (buffered !== null) {
      if (!connection.isReleased) restoreUnread(connection, buffered);
      endpoint.unreadTaken(buffered);
    }
    giveBackToHost(this.#context, connection, nowUs);
    const isFull = status === NdisStatus.OFFLOAD_TCP_ENTRIES;
    if (!isFull || isWantedBack || !this.#context.own.makeRoom(connection))
      this.refuse(connection, refusal(ndisStatusName(status)));
    for (const waiter of connection.takeBackWaiters.splice(0))
      waiter.resolve(lastMove(connection, 'terminate', 'manual'));
  }

  /** The connection stays where it is; whoever asked is told why. */
  refuse(connection: OffloadedConnection, error: Error): void {
    connection.wantsOffload = false;
    this.#context.trace.count(Event.CHIMNEY_OFFLOAD_REFUSED);
    for (const waiter of connection.offloadWaiters.splice(0)) waiter.reject(error);
  }
}

/** A block with what a connection that is still served will not change any more, and room for the rest. */
function newTcpBlock(connection: OffloadedConnection): OffloadBlock {
  const { tcp } = connection.endpoint;
  const words = new Int32Array(TCP_STATE_WORDS);
  const constState = new TcpConstState(words, 0);
  const cachedState = new TcpCachedState(words, 0);
  writeConst(tcp, constState);
  writeCachedState(connection, cachedState);
  const block = new OffloadBlock(OffloadStateType.TCP, connection.handle);
  block.constState = constState;
  block.cachedState = cachedState;
  block.delegatedState = new TcpDelegatedState(words, 0);
  return block;
}

function begin<T extends OffloadedObject>(object: T, registry: Set<T>): void {
  object.state = ObjectState.INITIATING;
  object.needsUpdate = false; // its block was written just now
  registry.add(object);
}

/** A path or neighbor is not below any more. */
export function forgetObject(adapter: ChimneyAdapter, object: OffloadedNeighbor | OffloadedPath): void {
  object.state = ObjectState.NONE;
  object.handle.miniportOffloadContext = null;
  if (object instanceof OffloadedPath) {
    adapter.paths.delete(object);
    object.neighbor.dependents--;
    object.entry.release();
  } else adapter.neighbors.delete(object);
}

/** TCP-086: tells the target that there is urgent data in what goes down with the initiate. */
function markUrgent(tcp: TcpConnection, buffered: NetBufferList | null): void {
  let bytes = 0;
  for (let list = buffered; list !== null; list = list.next) bytes += dataLengthOf(list);
  if (buffered !== null) buffered.hasUrgentData = isUrgentUnread(tcp, bytes);
}
