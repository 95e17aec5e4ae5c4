/**
 * What stands above the engine in the NIC half in place of NDIS: everything that is completed or indicated becomes a record.
 *
 * Promises: records are made in the order of the calls; a receive indication is always accepted; a reachability query is answered
 * for the time being, until the host's answer comes.
 */

import { assert } from '../../base/assert.ts';
import {
  BlockWalk,
  type BytesConsumed,
  type MiniportOffloadBlock,
  NdisChimneyOffloadType,
  type NdisM,
  type NdisMiniportHandle,
  type NdisOffloadHandle,
  NdisStatus,
  type StatusIndication,
  type TcpOffloadEventHandlers,
} from '../../ndis/miniport.ts';
import type { NeighborCachedState, NeighborDelegatedState } from '../../state/neighbor.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import { TcpDelegatedState } from '../../state/tcp.ts';
import { Event } from '../../trace/events.ts';
import type { Trace } from '../../trace/trace.ts';
import { OperationKind } from '../engine/engine.ts';
import type { PoolList, ReceivePool } from '../engine/receive-pool.ts';
import { type NicList, NicListKind, type NicLists, NicObject } from './nic-objects.ts';
import type { Outbox } from './outbox.ts';
import { Up } from './records.ts';
import { putState } from './state-codec.ts';

/** Pieces or parts in one record at most: records must be short against the ring. */
const ITEMS_MAX = 256;

/** NDIS, as the engine sees it. */
export class NicDoors implements NdisM, TcpOffloadEventHandlers {
  readonly header: TcpOffloadEventHandlers['header'] = { type: NdisChimneyOffloadType.TCP, revision: 1, size: 56 };
  readonly #out: Outbox;
  readonly #trace: Trace;
  readonly #lists: NicLists;
  readonly #pool: ReceivePool;
  /** Ordinary frames were indicated in this batch. */
  #hasFrames = false;
  /** Operations of the trees that are in the engine. */
  readonly operations: Map<MiniportOffloadBlock, number> = new Map();
  /** An operation was completed since this was last made false. */
  hasAnswered = false;
  /** An ordinary frame of the host was sent. */
  onFrameSent: (lists: NetBufferList) => void = () => {};
  /** An object is gone. */
  onGone: (object: NicObject) => void = () => {};

  constructor(out: Outbox, trace: Trace, lists: NicLists, pool: ReceivePool) {
    this.#out = out;
    this.#trace = trace;
    this.#lists = lists;
    this.#pool = pool;
  }

  setMiniportAttributes(_handle: NdisMiniportHandle, _context: unknown): void {}

  getOffloadHandlers(_handle: NdisMiniportHandle, _chimneyType: number): TcpOffloadEventHandlers {
    return {
      header: this.header,
      tcpOffloadEventHandler: (handle, type, information) => this.tcpOffloadEventHandler(handle, type, information),
      tcpOffloadReceiveHandler: (handle, list, _status, consumed) =>
        this.tcpOffloadReceiveHandler(handle, list, 0, consumed),
      tcpOffloadSendComplete: (handle, lists) => this.tcpOffloadSendComplete(handle, lists),
      tcpOffloadReceiveComplete: () => this.tcpOffloadReceiveComplete(),
      tcpOffloadDisconnectComplete: (handle, list) => this.tcpOffloadDisconnectComplete(handle, list),
      tcpOffloadForwardComplete: (handle, lists) => this.tcpOffloadForwardComplete(handle, lists),
    };
  }

  // Ordinary frames and statuses.

  indicateReceiveNetBufferLists(_handle: NdisMiniportHandle, lists: NetBufferList): void {
    const nb = lists.firstNetBuffer!;
    const mdl = nb.currentMdl!;
    const isTaken = this.#out.frame(Up.FRAME, lists.largeSendMss, 0, mdl.buffer, mdl.byteOffset, nb.dataLength);
    if (isTaken) this.#hasFrames = true;
    else this.#trace.count(Event.TARGET_RING_FULL);
  }

  indicateReceiveDone(_handle: NdisMiniportHandle): void {
    // Of everything else the driver half knows by itself when the batch is over.
    if (!this.#hasFrames) return;
    this.#hasFrames = false;
    this.#out.say(Up.BATCH);
  }

  sendNetBufferListsComplete(_handle: NdisMiniportHandle, lists: NetBufferList): void {
    this.onFrameSent(lists);
  }

  indicateStatusEx(_handle: NdisMiniportHandle, indication: StatusIndication): void {
    const { statusCode, statusBuffer } = indication;
    // The driver half has the same configuration and speaks of it itself.
    if (statusCode === NdisStatus.TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG) return;
    if (statusCode === NdisStatus.TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES) return;
    this.#out.say(Up.STATUS, statusCode, typeof statusBuffer === 'number' ? statusBuffer : 0);
  }

  /** Power: the driver half answers for itself. */
  oidRequestComplete(): void {}

  // The driver half is paused, reset and removed; the NIC half only follows, and says when there is no device any more.
  pauseComplete(): void {}
  restartComplete(): void {}
  resetComplete(): void {}
  removeMiniport(): void {
    this.#out.say(Up.REMOVED);
  }
  imNotifyPnpEvent(): number {
    return NdisStatus.NOT_SUPPORTED;
  }
  imDeinitializeDeviceInstance(): void {}

  // State operations.

  initiateOffloadComplete(_handle: NdisMiniportHandle, root: MiniportOffloadBlock): void {
    this.#result(root, OperationKind.INITIATE);
  }
  terminateOffloadComplete(_handle: NdisMiniportHandle, root: MiniportOffloadBlock): void {
    this.#result(root, OperationKind.TERMINATE);
  }
  updateOffloadComplete(_handle: NdisMiniportHandle, root: MiniportOffloadBlock): void {
    this.#result(root, OperationKind.UPDATE);
  }
  queryOffloadStateComplete(_handle: NdisMiniportHandle, root: MiniportOffloadBlock): void {
    this.#result(root, OperationKind.QUERY);
  }
  invalidateOffloadComplete(_handle: NdisMiniportHandle, root: MiniportOffloadBlock): void {
    this.#result(root, OperationKind.INVALIDATE);
  }

  #result(root: MiniportOffloadBlock, kind: number): void {
    const operation = this.operations.get(root)!;
    this.operations.delete(root);
    const out = this.#out;
    const walk = new BlockWalk<MiniportOffloadBlock>();
    walk.start(root);
    for (let block = walk.next(); block !== null; block = walk.next()) {
      const object = block.ndisOffloadHandle?.owner;
      const chain = kind === OperationKind.TERMINATE ? block.netBufferListChain : null;
      if (object instanceof NicObject) {
        if (kind === OperationKind.TERMINATE) this.#last(object, block, chain);
        // What the host has not taken of what it had received before narrows the window from the start.
        if (kind === OperationKind.INITIATE && object.connection !== null && typeof block.scratch[0] === 'number') {
          object.connection.unreadBytes = block.scratch[0];
        }
        if (isGone(kind, block, object)) this.onGone(object);
      }
      out.begin(Up.RESULT);
      out.put(operation);
      out.put(block.status);
      out.putDouble(block.handedOverAtUs);
      const isWanted = kind === OperationKind.QUERY || kind === OperationKind.TERMINATE;
      putState(out, isWanted ? block.constState : null);
      putState(out, isWanted ? block.cachedState : null);
      putState(out, isWanted ? block.delegatedState : null);
      out.end();
    }
    out.say(Up.DONE, operation);
    this.hasAnswered = true;
  }

  /** What a terminated connection still had goes before its result. */
  #last(object: NicObject, block: MiniportOffloadBlock, chain: NetBufferList | null): void {
    const delegated = block.delegatedState;
    if (delegated instanceof TcpDelegatedState && delegated.bufferedData !== null) {
      this.#data(object.id, delegated.bufferedData as PoolList, true);
      delegated.bufferedData = null;
    }
    if (chain !== null) this.#parts(object.id, NdisStatus.PENDING, chain);
    block.netBufferListChain = null;
  }

  /** NdisMOffloadEventIndicate: a reachability query. */
  offloadEventIndicate(_handle: NdisMiniportHandle, block: MiniportOffloadBlock | null): void {
    const object = block!.ndisOffloadHandle!.owner as NicObject;
    const cached = block!.cachedState as NeighborCachedState;
    const delegated = block!.delegatedState as NeighborDelegatedState;
    this.#out.say(Up.REACHABILITY, object.id, delegated.nicReachabilityDelta | 0, cached.hostReachabilityDelta | 0);
    // Until the host has answered nothing is asked again.
    cached.hostReachabilityDelta = 0;
  }

  // Data.

  tcpOffloadEventHandler(handle: NdisOffloadHandle, eventType: number, information: number): void {
    this.#out.say(Up.EVENT, (handle.owner as NicObject).id, eventType, information);
  }

  tcpOffloadReceiveHandler(
    handle: NdisOffloadHandle,
    list: NetBufferList,
    _status: number,
    bytesConsumed: BytesConsumed,
  ): number {
    const object = handle.owner as NicObject;
    const length = list.firstNetBuffer!.dataLength;
    const connection = object.connection!;
    connection.unreadBytes += length;
    bytesConsumed.value = length;
    this.#data(object.id, list as PoolList, connection.isBufferedPushed);
    return NdisStatus.SUCCESS;
  }

  #data(id: number, list: PoolList, isPushed: boolean): void {
    const out = this.#out;
    let pieces = 0;
    this.#pool.ship(list, (block, at, length) => {
      if (pieces === ITEMS_MAX) {
        out.end();
        pieces = 0;
      }
      if (pieces++ === 0) {
        out.begin(Up.DATA);
        out.put(id);
        out.put(isPushed ? 1 : 0);
      }
      out.put(block);
      out.put(at);
      out.put(length);
    });
    if (pieces > 0) out.end();
  }

  tcpOffloadSendComplete(_handle: NdisMiniportHandle, lists: NetBufferList): void {
    this.#parts((lists as NicList).connection, lists.status, lists);
  }

  #parts(connection: number, status: number, lists: NetBufferList): void {
    const out = this.#out;
    let items = 0;
    let bytes = 0;
    let list: NicList | null = lists as NicList;
    while (list !== null) {
      const next = list.next as NicList | null;
      if (items === ITEMS_MAX) {
        out.end();
        items = 0;
      }
      if (items++ === 0) {
        out.begin(Up.PARTS);
        out.put(connection);
        out.put(status);
      }
      out.put(list.number);
      out.put(list.tcpOffloadBytesTransferred);
      bytes += list.tcpOffloadBytesTransferred;
      this.#lists.give(list);
      list = next;
    }
    if (status === NdisStatus.SUCCESS) out.endLazily(bytes);
    else out.end();
  }

  tcpOffloadReceiveComplete(): void {
    assert(false, 'no receive is posted to the NIC half');
  }

  tcpOffloadDisconnectComplete(_handle: NdisMiniportHandle, list: NetBufferList | null): void {
    const own = list as NicList;
    this.#out.say(Up.DISCONNECTED, own.connection, own.kind === NicListKind.ABORTIVE ? 1 : 0, own.status);
    this.#lists.give(own);
  }

  tcpOffloadForwardComplete(_handle: NdisMiniportHandle, lists: NetBufferList): void {
    const out = this.#out;
    out.begin(Up.FORWARDED);
    out.put((lists as NicList).connection);
    let items = 0;
    let list: NicList | null = lists as NicList;
    while (list !== null) {
      const next = list.next as NicList | null;
      if (items === ITEMS_MAX) {
        out.end();
        out.begin(Up.FORWARDED);
        out.put(list.connection);
        items = 0;
      }
      items++;
      out.put(list.number);
      out.put(list.status);
      this.#lists.give(list);
      list = next;
    }
    out.end();
  }
}

/** Whether the driver half will not name an object any more. */
function isGone(kind: number, block: MiniportOffloadBlock, object: NicObject): boolean {
  if (kind === OperationKind.TERMINATE) return block.status === NdisStatus.SUCCESS;
  return kind === OperationKind.INITIATE && object.handle.miniportOffloadContext === null;
}
