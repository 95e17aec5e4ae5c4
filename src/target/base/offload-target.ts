/**
 * The base of offload targets: a NIC over a link, and the whole contract of the chimney but for TCP itself.
 *
 * Whoever extends it says which connections it takes (`admit`), what it makes of a segment (`segment`), when it sends (`transmit`) and
 * what happens when its timer expires (`expired`); the base keeps the contract: block lists and statuses, completions in their order
 * and never from inside an entry, delivery of received data, posted receives, windows, uploads, invalidation, reachability, requests.
 * See docs/write-your-own-target.md. Leaves out what a target may leave to the host: FINs, keepalive probes, VLANs.
 */

import {
  copyOffloadHandlers,
  type MiniportOffloadBlock,
  NdisChimneyOffloadType,
  type NdisDriverHandle,
  type NdisM,
  type NdisMiniportHandle,
  type NdisRegistration,
  NdisStatus,
  Oid,
  type OidRequest,
  providerGeneric,
  providerTcp,
  type StatusIndication,
} from '../../ndis/miniport.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import { Event } from '../../trace/events.ts';
import { HandledBy, type PacketTap, type Trace } from '../../trace/trace.ts';
import type { TcpSegment } from '../../wire/tcp-segment.ts';
import type { Capacity } from '../engine/capacity.ts';
import { postRequests } from '../engine/delivery.ts';
import { OperationKind } from '../engine/engine.ts';
import { oidRequest } from '../engine/oids.ts';
import { PlainAdapter, type PlainAdapterOptions } from '../plain/plain-adapter.ts';
import { postDisconnect, postForwards, postSends } from './calls.ts';
import type { TargetConnection } from './connection.ts';
import { TargetCore } from './core.ts';
import { noteTerminate } from './trees.ts';

export interface OffloadTargetOptions extends PlainAdapterOptions {
  /** Limits that are published and enforced. */
  readonly capacity?: Partial<Capacity>;
  /** Most bytes of received data held for the host or by it. Default 16 MiB. */
  readonly receivePoolBytes?: number;
}

/** To be extended. */
export abstract class OffloadTarget extends PlainAdapter {
  override readonly hasChimney: boolean = true;
  readonly #core: TargetCore;
  readonly #tap: PacketTap | null;
  readonly #trace: Trace;
  #onAllReturned: (() => void) | null = null;
  #isStill = false;

  constructor(options: OffloadTargetOptions) {
    super(options);
    this.#tap = options.packetTap ?? null;
    this.#trace = options.trace;
    this.#core = new TargetCore(options, this.attributes, {
      admit: (c) => this.admit(c),
      segment: (c, segment) => this.segment(c, segment),
      transmit: (c) => this.transmit(c),
      expired: (c) => this.expired(c),
      emitFrame: (bytes, length) => this.emitFrame(bytes, length),
      batchDone: () => super.receiveDone(),
    });
  }

  // To be provided.

  /** Whether an established connection is taken: NdisStatus.SUCCESS, or why not. Its state may be read. Default: it is. */
  protected admit(_c: TargetConnection): number {
    return NdisStatus.SUCCESS;
  }
  /**
   * A segment has arrived, its checksum and timestamps looked at, its text in `segment.bytes` from `segment.textAt`. False: it is
   * none of this target's business; the host gets it, and the connection with it.
   */
  protected abstract segment(c: TargetConnection, segment: TcpSegment): boolean;
  /** At the end of each batch and turn in which something happened: the place to send. An acknowledgment that is owed follows. */
  protected abstract transmit(c: TargetConnection): void;
  /** The timer set with `c.setTimer` has expired; `transmit` follows. */
  protected abstract expired(c: TargetConnection): void;

  /** The connections that are here. */
  get connections(): Iterable<TargetConnection> {
    return this.#core.connections;
  }

  // The lower door.

  /** MiniportSetOptions. */
  setOptions(handle: NdisDriverHandle, ndis: NdisRegistration): number {
    const status = ndis.setOptionalHandlers(handle, providerGeneric(this));
    return status === NdisStatus.SUCCESS ? ndis.setOptionalHandlers(handle, providerTcp(this)) : status;
  }

  /** MiniportInitializeEx. */
  override initializeEx(handle: NdisMiniportHandle, ndisM: NdisM): number {
    this.#core.handle = handle;
    this.#core.ndisM = ndisM;
    const handlers = copyOffloadHandlers(ndisM.getOffloadHandlers(handle, NdisChimneyOffloadType.TCP));
    if (handlers === null) return NdisStatus.NOT_SUPPORTED;
    this.#core.ndis = handlers;
    return super.initializeEx(handle, ndisM);
  }

  /** MiniportHaltEx: not before every indicated list is back (RECV-086). */
  override async haltEx(context: unknown): Promise<void> {
    this.#core.isHalted = true;
    await this.#allReturned();
    await super.haltEx(context);
  }

  /** MiniportPause. */
  override pause(context: unknown): number {
    this.#isStill = true;
    const status = super.pause(context);
    if (this.#core.pool.listsOut === 0) return status;
    void this.#allReturned().then(() => this.#core.ndisM.pauseComplete(this.#core.handle));
    return NdisStatus.PENDING;
  }

  /** MiniportRestart. */
  override restart(context: unknown): number {
    this.#isStill = false;
    return super.restart(context);
  }

  /** MiniportResetEx: off until the host enables the chimney again. */
  override resetEx(context: unknown): number {
    this.#core.isEnabled = false;
    return super.resetEx(context);
  }

  #allReturned(): Promise<void> {
    if (this.#core.pool.listsOut === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onAllReturned = resolve;
    });
  }

  /** MiniportOidRequest. */
  override oidRequest(context: unknown, request: OidRequest): number {
    const status = oidRequest(this.#core, request);
    const isPower = request.oid === Oid.PNP_SET_POWER && request.kind === 'set';
    if (isPower && status === NdisStatus.SUCCESS) super.oidRequest(context, request);
    return status;
  }

  override initiateOffload(_context: unknown, root: MiniportOffloadBlock): void {
    this.#core.enqueue(OperationKind.INITIATE, root);
  }
  override terminateOffload(_context: unknown, root: MiniportOffloadBlock): void {
    noteTerminate(root);
    this.#core.enqueue(OperationKind.TERMINATE, root);
  }
  override updateOffload(_context: unknown, root: MiniportOffloadBlock): void {
    this.#core.enqueue(OperationKind.UPDATE, root);
  }
  override queryOffload(_context: unknown, root: MiniportOffloadBlock): void {
    this.#core.enqueue(OperationKind.QUERY, root);
  }
  override invalidateOffload(_context: unknown, root: MiniportOffloadBlock): void {
    this.#core.enqueue(OperationKind.INVALIDATE, root);
  }

  override tcpOffloadSend(_context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    postSends(this.#core, offloadContext as TargetConnection, lists);
    return NdisStatus.PENDING;
  }
  override tcpOffloadReceive(_context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    postRequests(this.#core, offloadContext as TargetConnection, lists);
    return NdisStatus.PENDING;
  }
  override tcpOffloadDisconnect(
    _context: unknown,
    offloadContext: unknown,
    list: NetBufferList,
    flags: number,
  ): number {
    postDisconnect(this.#core, offloadContext as TargetConnection, list, flags);
    return NdisStatus.PENDING;
  }
  override tcpOffloadForward(_context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    postForwards(this.#core, offloadContext as TargetConnection, lists);
    return NdisStatus.PENDING;
  }
  override tcpOffloadReceiveReturn(_context: unknown, lists: NetBufferList): number {
    const core = this.#core;
    let list: NetBufferList | null = lists;
    while (list !== null) {
      const next: NetBufferList | null = list.next;
      if (!core.pool.takeBack(list)) this.#trace.count(Event.TARGET_RETURN_UNKNOWN);
      list = next;
    }
    if (core.pool.listsOut > 0 || this.#onAllReturned === null) return NdisStatus.SUCCESS;
    const onAllReturned = this.#onAllReturned;
    this.#onAllReturned = null;
    onAllReturned();
    return NdisStatus.SUCCESS;
  }

  // The link's side.

  override receive(bytes: Uint8Array, at: number, length: number, segmentBytes = 0): void {
    const core = this.#core;
    if (core.isHalted || this.#isStill) return;
    const c =
      core.connections.size === 0 ? null : core.frames.connectionOf(core.find, bytes, at, length, segmentBytes > 0);
    if (c?.isServed && core.takeSegment(c, core.frames.segment)) {
      this.#tap?.packet(0, HandledBy.TARGET, bytes, at, length, core.runtime.nowUs());
      return;
    }
    if (c !== null) this.#trace.count(Event.TARGET_PASSED_UP);
    super.receive(bytes, at, length, segmentBytes);
  }

  /** Not while an offload is in progress (INIT-052). */
  protected override indicateStatus(indication: StatusIndication): void {
    this.#core.indicateStatus(indication);
  }

  override receiveDone(): void {
    this.#core.flush();
    this.#core.hasIndicated = false;
    super.receiveDone();
  }
}
