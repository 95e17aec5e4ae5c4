/**
 * The plain target: a NIC without a chimney. Ordinary frames between a link and the driver above, and nothing else.
 *
 * Promises: a received frame is shown from where the link has it; a sent frame in one MDL is not copied; what waits for a full
 * link is bounded; nothing is allocated per frame. Source: NDIS 6.0 miniport entry points; chimney-ddi 2.
 */

import { assert } from '../../base/assert.ts';
import type { MemoryOffer } from '../../base/memory-offer.ts';
import type { Runtime } from '../../base/runtime.ts';
import type { Link, LinkReceiver } from '../../link/link.ts';
import {
  type AdapterAttributes,
  DevicePnpEvent,
  type MiniportDriver,
  type MiniportOffloadBlock,
  NdisDevicePowerState,
  type NdisM,
  type NdisMiniportHandle,
  NdisStatus,
  Oid,
  type OidRequest,
  type StatusIndication,
} from '../../ndis/miniport.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import { HandledBy, type PacketTap, type Trace } from '../../trace/trace.ts';
import { attributesOf, withBigSends } from './attributes.ts';
import { FrameIndicator } from './frame-indicator.ts';
import { FrameOutlet } from './frame-outlet.ts';

export interface PlainAdapterOptions {
  readonly link: Link;
  readonly runtime: Runtime;
  readonly trace: Trace;
  /** The adapter's name; default: the link's. */
  readonly name?: string;
  /** Six bytes; default: the link's own, else one is made up. */
  readonly macAddress?: Uint8Array;
  /** Sees every packet. */
  readonly packetTap?: PacketTap | null;
  /** Ordinary lists that may wait for a full link. Default 16,384: more than a host has packet buffers. */
  readonly backlogLists?: number;
}

/** A miniport driver over one link, without chimney functions. */
export class PlainAdapter implements MiniportDriver, LinkReceiver {
  readonly attributes: AdapterAttributes;
  readonly hasChimney: boolean = false;
  readonly #link: Link;
  readonly #runtime: Runtime;
  readonly #tap: PacketTap | null;
  readonly #outlet: FrameOutlet;
  readonly #indicator = new FrameIndicator();
  #ndisM: NdisM | null = null;
  #handle: NdisMiniportHandle | null = null;
  #isHalted = false;
  #isAsleep = false;
  /** Between MiniportPause and MiniportRestart. */
  #isStill = false;

  constructor(options: PlainAdapterOptions) {
    this.attributes = withBigSends(attributesOf(options), options.link);
    this.#link = options.link;
    this.#runtime = options.runtime;
    this.#tap = options.packetTap ?? null;
    this.#outlet = new FrameOutlet({
      link: options.link,
      runtime: options.runtime,
      trace: options.trace,
      packetTap: this.#tap,
      backlogLists: options.backlogLists,
    });
  }

  /** MiniportInitializeEx. */
  initializeEx(handle: NdisMiniportHandle, ndisM: NdisM): number {
    this.#handle = handle;
    this.#ndisM = ndisM;
    ndisM.setMiniportAttributes(handle, this);
    this.#outlet.attach(ndisM, handle);
    this.#indicator.attach(ndisM, handle);
    this.#link.start(this);
    return NdisStatus.SUCCESS;
  }

  /** MiniportHaltEx. */
  haltEx(_context: unknown): void | Promise<void> {
    this.#isHalted = true;
    this.#outlet.flush(NdisStatus.ADAPTER_REMOVED);
    return this.#link.close();
  }

  /** MiniportPause: all indications are borrowed, so nothing is waited for. */
  pause(_context: unknown): number {
    this.#isStill = true;
    this.#outlet.flush(NdisStatus.PAUSED);
    return NdisStatus.SUCCESS;
  }

  /** MiniportRestart. */
  restart(_context: unknown): number {
    this.#isStill = false;
    return NdisStatus.SUCCESS;
  }

  /** MiniportResetEx. */
  resetEx(_context: unknown): number {
    this.#outlet.dropKept();
    return NdisStatus.SUCCESS;
  }

  /** MiniportDevicePnPEventNotifyEx. */
  devicePnpEventNotifyEx(_context: unknown, event: number): void {
    if (event === DevicePnpEvent.SURPRISE_REMOVED) this.#outlet.gone();
  }

  /** MiniportOidRequest: no chimney, so no capabilities (CAP-018); any power state will do. */
  oidRequest(_context: unknown, request: OidRequest): number {
    if (request.oid !== Oid.PNP_SET_POWER || request.kind !== 'set') return NdisStatus.NOT_SUPPORTED;
    this.#isAsleep = request.information !== NdisDevicePowerState.D0;
    return NdisStatus.SUCCESS;
  }

  /** MiniportSendNetBufferLists. */
  sendNetBufferLists(_context: unknown, lists: NetBufferList, _portNumber: number): void {
    if (this.#isAsleep) this.#outlet.giveBack(lists, NdisStatus.LOW_POWER_STATE);
    else this.#outlet.sendLists(lists);
  }

  /** MiniportReturnNetBufferLists: all indications are borrowed, so nothing is expected back. */
  returnNetBufferLists(_context: unknown, _lists: NetBufferList): void {}

  /** For targets built on this one: a frame of their own, which is lost when too many wait for the link. */
  protected emitFrame(bytes: Uint8Array, length: number): void {
    this.#outlet.emit(bytes, 0, length, 0, null);
  }

  // The link's side.

  receive(bytes: Uint8Array, at: number, length: number, segmentBytes = 0, offer: MemoryOffer | null = null): void {
    if (this.#isHalted || this.#isAsleep || this.#isStill) return;
    if (this.#tap !== null) this.#tap.packet(0, HandledBy.HOST, bytes, at, length, this.#runtime.nowUs());
    this.#indicator.indicate(bytes, at, length, segmentBytes, offer);
  }

  receiveDone(): void {
    if (!this.#isHalted) this.#indicator.done();
  }

  linkState(isUp: boolean): void {
    if (this.#isHalted) return;
    this.indicateStatus({ statusCode: isUp ? NdisStatus.LINK_STATE_UP : NdisStatus.LINK_STATE_DOWN });
  }

  mtuChanged(mtu: number): void {
    if (this.#isHalted) return;
    this.indicateStatus({ statusCode: NdisStatus.L2_MTU_SIZE_CHANGE, statusBuffer: mtu });
  }

  /** NdisMIndicateStatusEx, of what becomes of the link. */
  protected indicateStatus(indication: StatusIndication): void {
    this.#ndisM!.indicateStatusEx(this.#handle!, indication);
  }

  writable(): void {
    if (!this.#isHalted) this.#outlet.writable();
  }

  removed(): void {
    if (!this.#isHalted) this.#ndisM!.removeMiniport(this.#handle!);
  }

  // NDIS never calls these on a driver that registered no chimney (IM-056).

  initiateOffload(_context: unknown, _offloadBlockList: MiniportOffloadBlock): void {
    noChimney();
  }
  terminateOffload(_context: unknown, _offloadBlockList: MiniportOffloadBlock): void {
    noChimney();
  }
  updateOffload(_context: unknown, _offloadBlockList: MiniportOffloadBlock): void {
    noChimney();
  }
  queryOffload(_context: unknown, _offloadBlockList: MiniportOffloadBlock): void {
    noChimney();
  }
  invalidateOffload(_context: unknown, _offloadBlockList: MiniportOffloadBlock): void {
    noChimney();
  }
  tcpOffloadSend(_context: unknown, _offloadContext: unknown, _lists: NetBufferList): number {
    return noChimney();
  }
  tcpOffloadReceive(_context: unknown, _offloadContext: unknown, _lists: NetBufferList): number {
    return noChimney();
  }
  tcpOffloadDisconnect(_context: unknown, _offloadContext: unknown, _list: NetBufferList, _flags: number): number {
    return noChimney();
  }
  tcpOffloadForward(_context: unknown, _offloadContext: unknown, _lists: NetBufferList): number {
    return noChimney();
  }
  tcpOffloadReceiveReturn(_context: unknown, _lists: NetBufferList): number {
    return noChimney();
  }
}

function noChimney(): never {
  assert(false, 'a driver without chimney functions gets no chimney calls');
}
