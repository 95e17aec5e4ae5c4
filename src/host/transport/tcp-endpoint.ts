/**
 * One TCP connection of the host: the application's side of it, and what the chimney client needs to move it.
 *
 * While `location` is 'host' the endpoint runs on the host's engine: received text goes from the borrowed frame straight to
 * the handler, and only what the handler refuses is kept, in chunks of a shared pool. At any other location it calls its
 * {@link ChimneyPort} instead. An idle endpoint holds no queue, no chunk and no timer of its own. The application's calls
 * (write, shutdown, resume) only take note; the work is done on the stack's own turn, so no handler is called from inside
 * one of them. Sources: RFC 9293 section 3.9.1, chimney-sequences 2, 6, 12 to 15.
 */

import type { NetBufferList } from '../../state/net-buffer-list.ts';
import type { TcpConnection } from '../../tcp/connection.ts';
import { Effect } from '../../tcp/effects.ts';
import { queueData } from '../../tcp/on-send.ts';
import type {
  ChimneyHandle,
  ChimneyLocation,
  Endpoint,
  TcpEndpoint,
  TcpHandler,
  TcpInfo,
  TransportErrorCode,
} from '../api.ts';
import type { TextRuns } from '../path/text-runs.ts';
import type { PathEntry } from '../path/types.ts';
import { endpointText } from './addresses.ts';
import { EndpointExtras } from './endpoint-extras.ts';
import { EndpointFlag } from './endpoint-flags.ts';
import { infoOf, sendBacklogOf } from './endpoint-info.ts';
import * as options from './endpoint-options.ts';
import { NO_HANDLER } from './no-handler.ts';
import type { TcpTransport } from './tcp-transport.ts';
import { UnreadQueue } from './unread-queue.ts';
import type { WriteDone } from './write-pool.ts';

/** Why a call on an endpoint that is over changes nothing. */
const GONE = EndpointFlag.CLOSED_TOLD | EndpointFlag.CLOSED_DUE;

/** A connection of the host stack. Made by the transport only. */
export class HostEndpoint extends EndpointExtras implements TcpEndpoint {
  readonly transport: TcpTransport;
  /** The record, or the number under which it is packed; see {@link tcp}. */
  #tcp: TcpConnection | number;
  readonly path: PathEntry;
  /** Written by the chimney client, which calls {@link suspend} and {@link backOnHost} around it. */
  location: ChimneyLocation = 'host';
  /** The chimney client's own object; null until it first needs one. */
  chimneyState: unknown = null;
  /** An OR of {@link EndpointFlag}. */
  flags = 0;
  /** Local port in the upper, remote port in the lower half. */
  readonly ports: number;
  /** Bytes taken by `write` since the connection began. */
  bytesSent = 0;
  /** Bytes of in-order text accepted since the connection began. */
  bytesReceived = 0;
  /** Bytes in writes that were not completed. */
  queuedBytes = 0;
  /** Accepted by TCP and not yet taken by the handler; null: nothing. */
  unread: UnreadQueue | null = null;
  /** Next in the turn list, or in the queue of a blocked interface. */
  nextTurn: HostEndpoint | null = null;
  /** Packets on their way down that refer to bytes of writes. */
  firstText: TextRuns | null = null;
  #handler: TcpHandler = NO_HANDLER;

  constructor(transport: TcpTransport, tcp: TcpConnection, path: PathEntry, localPort: number, remotePort: number) {
    super();
    this.transport = transport;
    this.#tcp = tcp;
    this.path = path;
    this.ports = (localPort << 16) | remotePort;
    tcp.owner = this;
  }

  /** The engine's record, unpacked now if it was packed; a dead one (state 0) once the connection is released. */
  get tcp(): TcpConnection {
    const tcp = this.#tcp;
    return typeof tcp === 'number' ? this.transport.packing.unpack(this, tcp) : tcp;
  }
  set tcp(tcp: TcpConnection | number) {
    this.#tcp = tcp;
  }

  /** See `TableEntry`. */
  get record(): TcpConnection {
    return this.tcp;
  }

  get isPacked(): boolean {
    return typeof this.#tcp === 'number';
  }

  get localPort(): number {
    return this.ports >>> 16;
  }

  get remotePort(): number {
    return this.ports & 0xffff;
  }

  get local(): Endpoint {
    return endpointText(this.path.local, this.localPort, (this.flags & EndpointFlag.MAPPED) !== 0);
  }

  get remote(): Endpoint {
    return endpointText(this.path.remote, this.remotePort, (this.flags & EndpointFlag.MAPPED) !== 0);
  }

  /** Of the addresses as they are shown: 6 for a v4-mapped one. The packets' is `path.family`. */
  get family(): 4 | 6 {
    return (this.flags & EndpointFlag.MAPPED) !== 0 ? 6 : this.path.family;
  }

  get chimney(): ChimneyHandle {
    return this.transport.chimney.handleOf(this);
  }

  get handler(): TcpHandler {
    return this.#handler;
  }

  set handler(handler: TcpHandler) {
    const had = this.#handler;
    this.#handler = handler;
    // Whatever came before somebody was there to take it is offered to him now.
    if (had === NO_HANDLER && (this.flags & GONE) === 0) this.resume();
  }

  get unacknowledgedBytes(): number {
    if (this.location === 'host') return this.tcp.sendQueue === null ? 0 : this.tcp.sendQueue.length;
    return this.queuedBytes;
  }

  get sendBacklog(): number {
    return sendBacklogOf(this);
  }

  write(bytes: Uint8Array, done: WriteDone | null): NetBufferList | null {
    const transport = this.transport;
    if ((this.flags & (GONE | EndpointFlag.SHUTDOWN | EndpointFlag.OVER)) !== 0) {
      if (done !== null) transport.runtime.defer(() => done('EPIPE'));
      return null;
    }
    const list = transport.writes.listOver(bytes, done);
    this.bytesSent += bytes.length;
    this.queuedBytes += bytes.length;
    if (this.location !== 'host') transport.chimney.send(this, list);
    else {
      const effects = queueData(this.tcp, transport.parameters, list, transport.runtime.nowUs());
      if ((effects & Effect.TRANSMIT) !== 0) transport.sendSoon(this);
      // An empty write is finished as soon as everything in front of it is, which may be now.
      if (bytes.length === 0) transport.completeSoon(this);
      transport.countBytes(this);
    }
    return list;
  }

  moveWrite(name: unknown, bytes: Uint8Array): void {
    if (name === null) return;
    const old = this.transport.writes.move(name as NetBufferList, bytes);
    // Packets that wait for a full link, too.
    for (let text = this.firstText; text !== null; text = text.next) text.move(old, bytes);
  }

  shutdown(): void {
    if ((this.flags & (GONE | EndpointFlag.SHUTDOWN)) !== 0) return;
    this.flags |= EndpointFlag.SHUTDOWN;
    if (this.location !== 'host') this.transport.chimney.disconnect(this, true);
    // What is queued before the handshake is done is still sent; RFC 9293 3.10.4 would drop it with the connection.
    else if ((this.flags & EndpointFlag.CONNECTED) !== 0) this.transport.closeSend(this);
  }

  close(): void {
    if ((this.flags & GONE) !== 0) return;
    // What was received and will never be read is lost: say so. RFC 9293 SHLD-3, RFC 2525 section 2.17.
    if (this.#hasUnread) {
      this.transport.abort(this, 'ECONNABORTED', true);
      return;
    }
    this.flags |= EndpointFlag.DISCARD;
    if ((this.flags & EndpointFlag.SHUTDOWN) === 0) this.shutdown();
    else if (this.location === 'host') this.transport.orphaned(this);
    else this.transport.chimney.orphaned(this);
  }

  /** Whether text came that the handler has not taken: here, or refused and kept by the target that has the connection. */
  get #hasUnread(): boolean {
    if (this.unread !== null && !this.unread.isEmpty) return true;
    if (this.location === 'host') return false;
    return (this.flags & EndpointFlag.TEXT_BELOW) !== 0 || this.transport.chimney.holdsText(this);
  }

  abort(): void {
    if ((this.flags & GONE) === 0) this.transport.abort(this, 'ECONNABORTED');
  }

  resume(): void {
    if ((this.flags & GONE) !== 0) return;
    this.flags = (this.flags & ~EndpointFlag.REFUSED) | EndpointFlag.RESUMED;
    if (this.location !== 'host') this.transport.chimney.readable(this);
    if (this.unread !== null || this.isEndDue || (this.flags & EndpointFlag.OVER) !== 0) {
      this.flags |= EndpointFlag.READ_DUE;
      this.transport.turnSoon(this);
    }
  }

  keepData(): (() => void) | null {
    return this.location === 'target' ? this.transport.chimney.keepData(this) : null;
  }

  takeData(bytes: Uint8Array): boolean {
    if (this.location === 'host') return this.transport.ip.takeMemory(bytes);
    return this.location === 'target' && this.transport.chimney.takeData(bytes);
  }

  setNoDelay(on: boolean): void {
    options.setNoDelay(this, on);
  }

  setKeepAlive(on: boolean, idleMs: number, intervalMs?: number, probes?: number): void {
    options.setKeepAlive(this, on, idleMs, intervalMs ?? 0, probes ?? 0);
  }

  setReceiveBuffer(bytes: number): void {
    options.setReceiveBuffer(this, bytes);
  }

  setReceiveLowWater(bytes: number): void {
    options.setReceiveLowWater(this, bytes);
  }

  setUserTimeout(ms: number): void {
    options.setUserTimeout(this, ms);
  }

  setHopLimit(hops: number): void {
    options.setHopLimit(this, hops);
  }

  setTrafficClass(value: number): void {
    options.setTrafficClass(this, value);
  }

  setUserPriority(priority: number): void {
    options.setUserPriority(this, priority);
  }

  info(): TcpInfo {
    return infoOf(this);
  }

  // What follows is for the transport and the chimney client, not for applications.

  /** Bytes the unread queue holds. */
  get unreadBytes(): number {
    return this.unread === null ? 0 : this.unread.length;
  }

  /** Whether the handler wants data: it has taken everything it was offered, or has resumed since. */
  get isReadable(): boolean {
    return (this.flags & EndpointFlag.REFUSED) === 0 && this.unread === null;
  }

  /** Whether its application has closed it for good, see {@link close}. */
  get isOrphan(): boolean {
    return (this.flags & EndpointFlag.DISCARD) !== 0;
  }

  /** Whether `handler.end` can be called now. */
  get isEndDue(): boolean {
    const { FIN_RECEIVED, END_TOLD, TEXT_BELOW } = EndpointFlag;
    return (this.flags & (FIN_RECEIVED | END_TOLD | TEXT_BELOW)) === FIN_RECEIVED;
  }

  /**
   * Offers in-order text to the handler. Answers what the handler took; the rest is kept for later on the host path, and
   * stays the caller's at any other location. {@link deliverDone} follows, once a batch.
   */
  deliver(bytes: Uint8Array, at: number, length: number): number {
    if ((this.flags & (GONE | EndpointFlag.DISCARD)) !== 0) {
      // Nobody will ever read it. RFC 9293 SHLD-3.
      if ((this.flags & GONE) === 0 && length > 0) this.transport.abort(this, 'ECONNABORTED', true);
      return length;
    }
    let taken = 0;
    const isHeldBack = this.isCollecting && this.location === 'host';
    if (this.isReadable && !isHeldBack) taken = HostEndpoint.#offer(this, bytes, at, length);
    const isHost = this.location === 'host';
    this.bytesReceived += isHost ? length : taken;
    if (taken < length && isHost && (this.flags & GONE) === 0) {
      this.unread ??= new UnreadQueue(this.transport.chunks);
      this.unread.append(bytes, at + taken, length - taken);
    }
    if (isHost) this.transport.countBytes(this);
    return taken;
  }

  /** Whether the handler wants text in larger pieces than it comes in. */
  get isCollecting(): boolean {
    return (this.flags & EndpointFlag.COLLECTS) !== 0;
  }

  /** Bytes a receive is to be posted for, for a target to collect them; 0: none. */
  get lowWater(): number {
    return this.isCollecting ? this.transport.collecting.lowWaterOf(this) : 0;
  }

  /** More text waits than before, the last of it pushed by the peer or not: it is offered, or the push timer begins anew. */
  collected(isPush: boolean): void {
    if (this.unread === null || (this.flags & (EndpointFlag.REFUSED | EndpointFlag.RELEASED)) !== 0) return;
    if (isPush || !this.isCollecting || this.unread.length >= this.lowWater) this.push();
    else this.transport.collecting.start(this);
  }

  /** What waits is offered on the next turn, however little it is. */
  push(): void {
    this.transport.collecting.stop(this);
    if (this.unread === null || this.location !== 'host') return;
    this.flags |= EndpointFlag.READ_DUE;
    this.transport.turnSoon(this);
  }

  /**
   * The first `length` bytes of the handler's own memory were filled by the target. Answers false when there is nobody any more
   * whose memory that is.
   */
  filled(length: number): boolean {
    if ((this.flags & (GONE | EndpointFlag.DISCARD)) !== 0) return false;
    this.bytesReceived += length;
    this.#handler.filled?.(length);
    return true;
  }

  /** Tells the handler that the batch is over, if it was offered anything. */
  deliverDone(): void {
    if ((this.flags & EndpointFlag.DATA_DONE_DUE) === 0) return;
    this.flags &= ~EndpointFlag.DATA_DONE_DUE;
    if ((this.flags & GONE) === 0) this.#handler.dataDone();
  }

  /** The peer's FIN is next in order: `end` follows once the handler has taken all text. EVT: TcpIndicateDisconnect. */
  peerFinished(): void {
    this.flags |= EndpointFlag.FIN_RECEIVED;
    if (this.isCollecting) this.push();
    this.tellEnd();
  }

  /** A packet that referred to writes of ours is back. */
  packetBack(): void {
    const held = this.heldSends;
    if (this.firstText !== null || held === null) return;
    this.heldSends = null;
    for (const { lists, error } of held) this.sendsCompleted(lists, error);
  }

  /**
   * A chain of writes is finished (error null: acknowledged) or given up. Owns the lists again; the application has its bytes back once no
   * packet refers to any of them.
   */
  sendsCompleted(lists: NetBufferList, error: TransportErrorCode | null): void {
    if (this.firstText !== null) {
      this.heldSends ??= [];
      this.heldSends.push({ lists, error });
      return;
    }
    let list: NetBufferList | null = lists;
    while (list !== null) {
      const next: NetBufferList | null = list.next;
      this.queuedBytes -= this.transport.writes.lengthOf(list);
      const done = this.transport.writes.recycle(list);
      if (done !== null) done(error);
      list = next;
    }
  }

  /** The connection is over, badly: releases it and tells the handler on the stack's next turn. */
  failed(code: TransportErrorCode): void {
    this.transport.fail(this, code);
  }

  /** Takes what is unread as a chain of lists over pooled memory, for BufferedData; null: nothing. INIT-031. */
  takeUnread(): NetBufferList | null {
    const unread = this.unread;
    this.unread = null;
    if (unread === null) return null;
    this.flags |= EndpointFlag.TEXT_BELOW;
    return unread.takeAsLists();
  }

  /** All text of {@link takeUnread} is up again: {@link tellEnd} may be called. */
  textIsUp(): void {
    this.flags &= ~EndpointFlag.TEXT_BELOW;
  }

  /** The memory behind lists of {@link takeUnread} is no longer needed. */
  unreadTaken(lists: NetBufferList): void {
    this.transport.chunks.giveLists(lists);
  }

  /** Puts bytes (copied) behind what is unread: BufferedData that came back, or was not taken. TERM: BufferedData. */
  restoreUnread(bytes: Uint8Array, at: number, length: number): void {
    if (length === 0 || (this.flags & (GONE | EndpointFlag.DISCARD)) !== 0) return;
    this.unread ??= new UnreadQueue(this.transport.chunks);
    this.unread.append(bytes, at, length);
    // TERM-079. At any other place what the target gave is offered at once: it has done the collecting.
    if (this.isCollecting && this.location !== 'target' && this.unread.length < this.lowWater) {
      this.transport.collecting.start(this);
      return;
    }
    this.flags |= EndpointFlag.READ_DUE;
    this.transport.turnSoon(this);
  }

  /**
   * Runs one TCP segment, from the TCP header on, through the host's engine as if it had just been received. Its checksum
   * was verified. Answers are sent at the end of the batch or turn.
   */
  processSegment(bytes: Uint8Array, at: number, length: number, nowUs: number): void {
    this.transport.processSegment(this, bytes, at, length, nowUs);
  }

  /** Sends what the engine has to send, now, and arms the deadlines. Host path only. */
  pump(nowUs: number): void {
    if ((this.flags & EndpointFlag.RELEASED) === 0) this.transport.pump(this, nowUs);
  }

  /** Takes it off the host path: no deadline, no sending. The caller then sets `location`. */
  suspend(): void {
    // INIT-076: the text that it waited with goes along, and the target has a push timer of its own.
    this.transport.collecting.stop(this);
    this.transport.disarm(this);
    this.flags &= ~EndpointFlag.SEND_DUE;
  }

  /**
   * The record is the host's again (delegated state read back, sends and BufferedData requeued): goes on where the target
   * stopped, whatever state that is. `closedBecause`: what the handler is told if it is CLOSED and was not closed in good order.
   */
  backOnHost(nowUs: number, closedBecause: TransportErrorCode = 'ECONNRESET'): void {
    this.textIsUp();
    this.transport.backOnHost(this, nowUs, closedBecause);
  }

  /** Offers what is unread again, then the end of the stream, then the end of the connection. On the stack's turn only. */
  readAgain(): void {
    this.flags &= ~EndpointFlag.READ_DUE;
    const unread = this.unread;
    if (unread !== null) {
      while (!unread.isEmpty && (this.flags & (GONE | EndpointFlag.REFUSED)) === 0) {
        const { bytes, at, length } = unread.first();
        const taken = HostEndpoint.#offer(this, bytes, at, length);
        unread.consume(taken);
        if (taken < length) break;
      }
      if (unread.isEmpty && this.unread === unread) this.unread = null;
      const isOpen = (this.flags & (GONE | EndpointFlag.RELEASED)) === 0;
      if (isOpen && this.location === 'host') this.transport.openWindow(this, this.transport.runtime.nowUs());
      // What the target holds comes behind what was unread here.
      else if (isOpen && this.unread === null) this.transport.chimney.readable(this);
    }
    this.deliverDone();
    this.tellEnd();
  }

  /** Calls `end` and `closed(null)` when nothing stands before them any more. */
  tellEnd(): void {
    if (this.unread !== null || (this.flags & GONE) !== 0) return;
    if (this.isEndDue) {
      this.deliverDone();
      this.flags |= EndpointFlag.END_TOLD;
      if ((this.flags & EndpointFlag.DISCARD) === 0) this.#handler.end();
    }
    if ((this.flags & EndpointFlag.OVER) !== 0) this.tellClosed(null);
  }

  /** The last call of all. On the stack's turn only. */
  tellClosed(error: TransportErrorCode | null): void {
    if ((this.flags & EndpointFlag.CLOSED_TOLD) !== 0) return;
    this.flags = (this.flags | EndpointFlag.CLOSED_TOLD) & ~EndpointFlag.CLOSED_DUE;
    this.location = 'closed';
    const handler = this.#handler;
    this.#handler = NO_HANDLER;
    handler.closed(error);
  }

  /** Calls the handler; marks it as refusing when it did not take everything. Answers what it took. Static: see EndpointExtras. */
  static #offer(endpoint: HostEndpoint, bytes: Uint8Array, at: number, length: number): number {
    endpoint.flags = (endpoint.flags & ~EndpointFlag.RESUMED) | EndpointFlag.DATA_DONE_DUE;
    let taken = endpoint.#handler.data(bytes, at, length);
    if (!(taken >= 0)) taken = 0;
    if (taken >= length) return length;
    if ((endpoint.flags & EndpointFlag.RESUMED) === 0) endpoint.flags |= EndpointFlag.REFUSED;
    else {
      endpoint.flags |= EndpointFlag.READ_DUE;
      endpoint.transport.turnSoon(endpoint);
    }
    return taken;
  }
}
