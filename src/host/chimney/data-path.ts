/**
 * Data of offloaded connections: sends, received data, closes, forwarded segments, events.
 *
 * Sends go straight down while the connection is the target's and are held while it moves or the target's backlog is full.
 * Received data is taken from indications, which go back when the batch is over or when an application that keeps them says so (loans.ts); what
 * it refuses stays at the target (posted-receives.ts). Sources: chimney-sequences 12 to 17.
 */

import {
  type BytesConsumed,
  isMandatoryUploadReason,
  NdisStatus,
  TcpDisconnectFlag,
  TcpOffloadEventType,
  TcpUploadReason,
} from '../../ndis/protocol.ts';
import {
  copyFromNetBuffer,
  dataLengthOf,
  emptyNetBufferList,
  type Mdl,
  type NetBufferList,
  netBufferListOver,
} from '../../state/net-buffer-list.ts';
import { TcpConnectionState } from '../../state/tcp.ts';
import { Event } from '../../trace/events.ts';
import type { HostEndpoint } from '../transport/tcp-endpoint.ts';
import type { ChimneyAdapter } from './adapter.ts';
import { type ChimneyContext, HELD_SEGMENT_BYTES_MAX, HELD_SEGMENTS_MAX, uploadReasonName } from './context.ts';
import { Loans } from './loans.ts';
import type { OffloadedConnection } from './objects.ts';
import { PostedReceives } from './posted-receives.ts';

export class DataPath {
  readonly receives: PostedReceives;
  readonly loans: Loans;
  readonly #context: ChimneyContext;
  /** Accepted indications that are to be returned, by adapter; flushed once a turn. */
  readonly #returns: Map<ChimneyAdapter, NetBufferList> = new Map();
  /** Endpoints that were offered data and are owed the end of the batch. */
  #offered: HostEndpoint[] = [];
  #isBatchEndDeferred = false;
  /** The run that is being shown to an application. */
  #shown: Mdl | null = null;
  readonly #endBatch: () => void;

  constructor(context: ChimneyContext) {
    this.#context = context;
    this.receives = new PostedReceives(context);
    this.loans = new Loans((connection, list) => {
      this.#returnSoon(connection, list);
      this.#batchEndSoon();
    });
    this.#endBatch = () => this.receiveDone();
  }

  // ---- send ----

  /** A write of a connection that is not on the host path. */
  send(connection: OffloadedConnection, list: NetBufferList): void {
    if (connection.isOffloaded && !connection.hasHeld && this.#hasBacklogRoom(connection)) {
      this.#post(connection, list);
    } else connection.held.push(list);
  }

  #hasBacklogRoom(connection: OffloadedConnection): boolean {
    const { outstandingBytes, sendBacklog } = connection;
    return outstandingBytes === 0 || sendBacklog === 0 || outstandingBytes < sendBacklog;
  }

  #post(connection: OffloadedConnection, list: NetBufferList): void {
    list.next = null;
    list.protocolReserved2 = connection;
    connection.outstanding.push(list);
    connection.outstandingBytes += dataLengthOf(list);
    this.#context.ndis.offloadTcpSend(connection.handle, list);
  }

  /** Hands down what was held, as far as the target wants it, then the close behind it. */
  #flushHeld(connection: OffloadedConnection): void {
    if (!connection.isOffloaded) return;
    while (connection.hasHeld && this.#hasBacklogRoom(connection)) this.#post(connection, connection.held.shift()!);
    this.#flushDisconnect(connection);
  }

  /** ProtocolTcpOffloadSendComplete. */
  sendComplete(lists: NetBufferList): void {
    let list: NetBufferList | null = lists;
    while (list !== null) {
      const next: NetBufferList | null = list.next;
      list.next = null;
      const connection = list.protocolReserved2 as OffloadedConnection;
      this.#oneSendComplete(connection, list);
      list = next;
    }
  }

  #oneSendComplete(connection: OffloadedConnection, list: NetBufferList): void {
    const { status } = list;
    if (status === NdisStatus.SUCCESS || status === NdisStatus.REQUEST_ABORTED) {
      connection.outstanding.remove(list);
      connection.outstandingBytes -= list.tcpOffloadBytesTransferred + dataLengthOf(list);
      list.protocolReserved2 = null;
      connection.endpoint.sendsCompleted(
        list,
        status === NdisStatus.SUCCESS ? null : (connection.aborted ?? 'ECONNRESET'),
      );
      this.#flushHeld(connection);
      return;
    }
    // UPLOAD_IN_PROGRESS and the intermediate drivers' codes: the host sends it, in its old place, after the upload.
    if (status === NdisStatus.REQUEST_UPLOAD || status === NdisStatus.UPLOAD_REQUESTED) {
      this.#context.moves.requestTakeBack(connection, 'retrieve', 'RequestUpload', null);
    }
  }

  // ---- close ----

  disconnect(connection: OffloadedConnection, graceful: boolean): void {
    if (!graceful) connection.disconnectWanted = 'abortive';
    else if (connection.disconnectWanted === 'none') connection.disconnectWanted = 'graceful';
    this.#flushDisconnect(connection);
  }

  /** A disconnect that is still under way brings it back when it is done; one that was done long ago did not. */
  orphaned(connection: OffloadedConnection): void {
    // The host waits for its peer's FIN, and not for ever.
    if (connection.disconnectDone) this.#context.moves.requestTakeBack(connection, 'close', null, null);
  }

  #flushDisconnect(connection: OffloadedConnection): void {
    const wanted = connection.disconnectWanted;
    if (wanted === 'none' || !connection.isOffloaded || connection.wantsTerminate) return;
    if (wanted === 'graceful' && connection.hasHeld) return;
    connection.disconnectWanted = 'none';
    connection.isDisconnecting = wanted === 'graceful';
    const list = emptyNetBufferList();
    list.protocolReserved = wanted;
    list.protocolReserved2 = connection;
    const flag = wanted === 'graceful' ? TcpDisconnectFlag.GRACEFUL_CLOSE : TcpDisconnectFlag.ABORTIVE_CLOSE;
    this.#context.ndis.offloadTcpDisconnect(connection.handle, list, flag);
  }

  /** ProtocolTcpOffloadDisconnectComplete. */
  disconnectComplete(list: NetBufferList): void {
    const connection = list.protocolReserved2 as OffloadedConnection;
    if (list.protocolReserved === 'abortive') {
      if (list.status === NdisStatus.UPLOAD_IN_PROGRESS) connection.disconnectWanted = 'abortive';
      this.#context.moves.requestTakeBack(connection, 'close', null, null);
      return;
    }
    if (list.status === NdisStatus.UPLOAD_IN_PROGRESS) return; // the state that comes up tells how far the FIN got
    connection.isDisconnecting = false;
    connection.disconnectDone = true;
    // An orphan has nobody to read for: the host waits for its peer's FIN, and not for ever.
    const isOver = connection.peerFinished || connection.endpoint.isOrphan || wentDownFinished(connection);
    if (list.status !== NdisStatus.SUCCESS || isOver) {
      this.#context.moves.requestTakeBack(connection, 'close', null, null);
    }
  }

  // ---- receive ----

  /** ProtocolTcpOffloadReceiveIndicate. */
  receiveIndicate(connection: OffloadedConnection, list: NetBufferList, bytesConsumed: BytesConsumed): number {
    const { endpoint } = connection;
    const offered = dataLengthOf(list);
    this.loans.begin(connection, list);
    let taken = this.#offer(endpoint, list);
    if (taken < offered && this.loans.isKept) {
      // The target would use the memory of what it gets back again: the host keeps the rest.
      this.#keepRest(endpoint, list, taken);
      taken = offered;
    }
    const goesBackLater = this.loans.end();
    bytesConsumed.value = taken;
    connection.refusedBytes = offered - taken;
    connection.cameUp(taken);
    if (this.#offered[this.#offered.length - 1] !== endpoint) this.#offered.push(endpoint);
    this.#batchEndSoon();
    if (taken === offered) {
      if (!goesBackLater) this.#returnSoon(connection, list);
      return NdisStatus.SUCCESS;
    }
    // The handler may have resumed inside the call; whoever asks later is served by `readable`.
    if (endpoint.isReadable) this.#context.runtime.defer(() => this.receives.readable(connection));
    return taken === 0 ? NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED : NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED;
  }

  /** Inside `deliver` only: keeps the memory in which these bytes lie, if the target has offered it. */
  takeMemory(bytes: Uint8Array): boolean {
    const shown = this.#shown;
    const offer = shown === null || shown.buffer !== bytes ? null : shown.memoryOffer;
    if (offer === null || offer.isTaken) return false;
    offer.isTaken = true;
    return true;
  }

  /** Shows the application a list, as far as it wants it. Answers how many bytes it took. */
  #offer(endpoint: HostEndpoint, list: NetBufferList): number {
    let taken = 0;
    for (let nb = list.firstNetBuffer; nb !== null; nb = nb.next) {
      let offset = nb.currentMdlOffset;
      let left = nb.dataLength;
      for (let mdl = nb.currentMdl; mdl !== null && left > 0; mdl = mdl.next) {
        const here = Math.min(left, mdl.byteCount - offset);
        if (here > 0) {
          this.#shown = mdl;
          const tookHere = endpoint.deliver(mdl.buffer, mdl.byteOffset + offset, here);
          this.#shown = null;
          taken += tookHere;
          // Once part was refused, the rest is not offered.
          if (tookHere < here) return taken;
        }
        left -= here;
        offset = 0;
      }
    }
    return taken;
  }

  /** Copies what lies behind the first `skip` bytes of a list, for when the application reads again. */
  #keepRest(endpoint: HostEndpoint, list: NetBufferList, skip: number): void {
    const rest = new Uint8Array(dataLengthOf(list) - skip);
    let before = 0;
    for (let nb = list.firstNetBuffer; nb !== null; nb = nb.next) {
      const from = Math.max(0, skip - before);
      if (from < nb.dataLength) copyFromNetBuffer(nb, from, nb.dataLength - from, rest, Math.max(0, before - skip));
      before += nb.dataLength;
    }
    endpoint.bytesReceived += rest.length;
    endpoint.restoreUnread(rest, 0, rest.length);
  }

  #returnSoon(connection: OffloadedConnection, list: NetBufferList): void {
    list.next = this.#returns.get(connection.adapter) ?? null;
    this.#returns.set(connection.adapter, list);
  }

  #batchEndSoon(): void {
    if (this.#isBatchEndDeferred) return;
    this.#isBatchEndDeferred = true;
    this.#context.runtime.defer(this.#endBatch);
  }

  /** The batch of indications is over: handlers are told, buffers go back to their targets (RECV-077, RECV-084). */
  receiveDone(): void {
    this.#isBatchEndDeferred = false;
    if (this.#offered.length > 0) {
      const offered = this.#offered;
      this.#offered = [];
      for (const endpoint of offered) {
        endpoint.deliverDone();
        endpoint.tellEnd();
        const connection = endpoint.chimneyState as OffloadedConnection | null;
        if (connection !== null) this.receives.postOwn(connection);
      }
    }
    if (this.#returns.size === 0) return;
    for (const [adapter, lists] of this.#returns) this.#context.ndis.offloadTcpReceiveReturn(adapter.binding, lists);
    this.#returns.clear();
  }

  // ---- segments that arrive on the ordinary path ----

  /** Keeps, forwards or leaves to the host a segment of a connection that is not on the host path. */
  segment(connection: OffloadedConnection, bytes: Uint8Array, at: number, length: number): void {
    if (connection.isOffloaded && !connection.wantsTerminate) {
      const list = netBufferListOver(bytes.slice(at, at + length));
      list.protocolReserved2 = connection;
      this.#context.trace.count(Event.CHIMNEY_SEGMENT_FORWARDED);
      this.#context.ndis.offloadTcpForward(connection.handle, list);
      return;
    }
    this.#hold(connection, bytes.slice(at, at + length));
  }

  #hold(connection: OffloadedConnection, bytes: Uint8Array): void {
    const tooMuch = connection.segmentBytes + bytes.length > HELD_SEGMENT_BYTES_MAX;
    if (connection.segments.length >= HELD_SEGMENTS_MAX || tooMuch) {
      this.#context.trace.count(Event.CHIMNEY_SEGMENT_LOST);
      return;
    }
    this.#context.trace.count(Event.CHIMNEY_SEGMENT_HELD);
    connection.segments.push({ bytes });
    connection.segmentBytes += bytes.length;
  }

  /** ProtocolTcpOffloadForwardComplete. */
  forwardComplete(lists: NetBufferList): void {
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) {
      if (list.status !== NdisStatus.UPLOAD_IN_PROGRESS) continue;
      const connection = list.protocolReserved2 as OffloadedConnection;
      const nb = list.firstNetBuffer!;
      const bytes = new Uint8Array(nb.dataLength);
      copyFromNetBuffer(nb, 0, bytes.length, bytes, 0);
      this.#hold(connection, bytes);
    }
  }

  /** The initiate has completed: what waited goes down now, in the order of its age. */
  afterInitiate(connection: OffloadedConnection): void {
    const segments = connection.segments.splice(0);
    connection.segmentBytes = 0;
    if (connection.wantsTerminate) {
      // On its way back already: the host keeps them for itself.
      for (const segment of segments) this.#hold(connection, segment.bytes);
      return;
    }
    for (const segment of segments) this.segment(connection, segment.bytes, 0, segment.bytes.length);
    this.#flushHeld(connection);
    connection.settle();
    this.receives.readable(connection);
  }

  // ---- events ----

  /** What a target asks back while it wants nothing new goes down again when it resumes, as with UPLOAD_ALL (EVT-036). */
  #sleepWhilePaused(connection: OffloadedConnection): void {
    const { adapter } = connection;
    if (!this.#context.offloadsAgain || !adapter.isPaused || !connection.isOffloaded) return;
    adapter.sleepers.add(connection);
    adapter.resumedBecause = 'upload-all';
  }

  /** ProtocolTcpOffloadEvent. */
  event(connection: OffloadedConnection, type: number, information: number): void {
    const { moves } = this.#context;
    switch (type) {
      case TcpOffloadEventType.INDICATE_DISCONNECT:
        connection.peerFinished = true;
        connection.endpoint.textIsUp();
        if (!connection.isReleased) connection.endpoint.peerFinished();
        if (connection.disconnectDone) moves.requestTakeBack(connection, 'close', null, null);
        break;
      case TcpOffloadEventType.INDICATE_RETRIEVE:
        if (isMandatoryUploadReason(information) || this.#context.grantsOptionalUploads) {
          if (information === TcpUploadReason.UPLOAD_REQUESTED) this.#sleepWhilePaused(connection);
          moves.requestTakeBack(connection, 'retrieve', uploadReasonName(information), null);
        }
        break;
      case TcpOffloadEventType.INDICATE_ABORT:
        connection.aborted = 'ECONNRESET';
        if (!connection.isReleased) connection.endpoint.failed('ECONNRESET');
        moves.requestTakeBack(connection, 'close', null, null);
        break;
      case TcpOffloadEventType.INDICATE_SEND_BACKLOG_CHANGE:
        connection.sendBacklog = Math.max(0, information);
        this.#flushHeld(connection);
        break;
      default:
        break;
    }
  }
}

/** Whether the peer's FIN had come before it was offloaded: no event will tell of it. The host's record is as it was then. */
function wentDownFinished(connection: OffloadedConnection): boolean {
  return !connection.isReleased && connection.endpoint.tcp.state === TcpConnectionState.CLOSE_WAIT;
}
