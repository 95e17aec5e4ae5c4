/**
 * The engine target: a NIC with a chimney, whose TCP engine runs in this thread.
 *
 * Promises: every entry only stores and returns (its work is done in a turn of its own), every list comes back exactly once by
 * the completion of its kind, nothing of the driver above is touched after it was given back. Everything that the chimney
 * does not handle goes the ordinary way, as through the plain target.
 * Source: chimney-ddi 3.2, 4.2; chimney-sequences 1. The operations are in the other files of this folder.
 */

import { assert } from '../../base/assert.ts';
import type { MemoryOffer } from '../../base/memory-offer.ts';
import type { LinkReceiver } from '../../link/link.ts';
import {
  type AdapterAttributes,
  copyOffloadHandlers,
  DevicePnpEvent,
  type MiniportDriver,
  type MiniportOffloadBlock,
  NdisChimneyOffloadType,
  type NdisDriverHandle,
  type NdisM,
  type NdisMiniportHandle,
  type NdisRegistration,
  NdisStatus,
  type OidRequest,
  providerGeneric,
  providerTcp,
} from '../../ndis/miniport.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import { Event } from '../../trace/events.ts';
import { attributesOf, withBigSends } from '../plain/attributes.ts';
import { Standing, TcpContext } from './contexts.ts';
import { EngineControl } from './control.ts';
import { postRequests } from './delivery.ts';
import { noteRequests } from './discretion.ts';
import { Engine, type EngineAdapterOptions, OperationKind } from './engine.ts';
import { postForwards } from './forward.ts';
import { oidRequest } from './oids.ts';
import { receiveFrame } from './receive-path.ts';
import { ReceiveScaling } from './receive-scaling.ts';
import { updateReceiveSpace } from './receive-space.ts';
import { postDisconnect, postSends } from './sends.ts';
import { noteTerminate } from './terminate.ts';
import { unblock } from './transmit.ts';
import { done, flush, onReturned, onTimer, runTurn, runUrgentTurn } from './turn.ts';

/** Receive queues at most. */
const RECEIVE_QUEUES_MAX = 64;

/** A miniport driver over one link, with a TCP chimney. */
export class EngineAdapter implements MiniportDriver, LinkReceiver {
  readonly attributes: AdapterAttributes;
  readonly hasChimney: boolean = true;
  /** For operators, tests and demos. */
  readonly control: EngineControl;
  /** What its parts share; for drivers that are built on this one. */
  protected readonly engine: Engine;
  /** NdisMGetOffloadHandlers gave no usable handlers: it runs as a plain NIC (chimney-sequences 1, variant). */
  #isPlain = false;

  constructor(options: EngineAdapterOptions) {
    this.attributes = withBigSends(attributesOf(options), options.link);
    const engine: Engine = new Engine(
      options,
      this.attributes,
      () => {
        runTurn(engine);
        done(engine);
      },
      () => {
        runUrgentTurn(engine);
        done(engine);
      },
      (nowUs) => onTimer(engine, nowUs),
    );
    this.engine = engine;
    engine.onDelivered = (ctx, nowUs) => updateReceiveSpace(engine, ctx, nowUs);
    const queues = Math.max(1, Math.min(RECEIVE_QUEUES_MAX, options.receiveQueues ?? 1));
    if (queues > 1) {
      engine.scaling = new ReceiveScaling(engine, queues, options.wakeQueue ?? null, () => this.#batchDone());
    }
    this.control = new EngineControl(engine);
  }

  /** MiniportSetOptions (CAP-002 to CAP-007). */
  setOptions(handle: NdisDriverHandle, ndis: NdisRegistration): number {
    const status = ndis.setOptionalHandlers(handle, providerGeneric(this));
    return status === NdisStatus.SUCCESS ? ndis.setOptionalHandlers(handle, providerTcp(this)) : status;
  }

  /** MiniportInitializeEx (CAP-009 to CAP-016). */
  initializeEx(handle: NdisMiniportHandle, ndisM: NdisM): number {
    const engine = this.engine;
    engine.handle = handle;
    engine.ndisM = ndisM;
    ndisM.setMiniportAttributes(handle, this);
    engine.outlet.attach(ndisM, handle);
    engine.indicator.attach(ndisM, handle);
    const handlers = copyOffloadHandlers(ndisM.getOffloadHandlers(handle, NdisChimneyOffloadType.TCP));
    if (handlers === null) this.#isPlain = true;
    else engine.ndis = handlers;
    engine.link.start(this);
    return NdisStatus.SUCCESS;
  }

  /** MiniportHaltEx: resolves once the last indicated list is back (RECV-086). */
  haltEx(_context: unknown): void | Promise<void> {
    const engine = this.engine;
    engine.isHalted = true;
    engine.timer.disarm();
    engine.discretion?.stop();
    engine.outlet.flush(NdisStatus.ADAPTER_REMOVED);
    const closed = engine.link.close();
    if (engine.pool.listsOut === 0) return closed;
    const returned = new Promise<void>((resolve) => {
      engine.onAllReturned = resolve;
    });
    return Promise.all([closed, returned]).then(() => undefined);
  }

  /** MiniportPause: everything offloaded has been taken back; what is left are lists that the host still holds. */
  pause(_context: unknown): number {
    const engine = this.engine;
    engine.isStill = true;
    engine.outlet.flush(NdisStatus.PAUSED);
    if (engine.pool.listsOut === 0) return NdisStatus.SUCCESS;
    engine.onAllReturned = () => engine.ndisM.pauseComplete(engine.handle);
    return NdisStatus.PENDING;
  }

  /** MiniportRestart. */
  restart(_context: unknown): number {
    this.engine.isStill = false;
    return NdisStatus.SUCCESS;
  }

  /**
   * MiniportResetEx: as after initialisation; the host enables the chimney anew (CAP-020). With state offloaded NDIS calls it because it
   * waits for something in vain: that is not to be mended by forgetting.
   */
  resetEx(_context: unknown): number {
    const engine = this.engine;
    if (engine.connectionCount + engine.paths.size + engine.neighbors.size > 0) return NdisStatus.FAILURE;
    engine.isEnabled = false;
    engine.isPaused = false;
    engine.isUploadingAll = false;
    engine.wantsResume = false;
    engine.outlet.dropKept();
    return NdisStatus.SUCCESS;
  }

  /** MiniportDevicePnPEventNotifyEx: what is sent from here on is lost; what is offloaded waits for its terminate. */
  devicePnpEventNotifyEx(_context: unknown, event: number): void {
    if (event === DevicePnpEvent.SURPRISE_REMOVED) this.engine.outlet.gone();
  }

  /** MiniportOidRequest. */
  oidRequest(_context: unknown, request: OidRequest): number {
    return this.#isPlain ? NdisStatus.NOT_SUPPORTED : oidRequest(this.engine, request);
  }

  /** MiniportSendNetBufferLists. */
  sendNetBufferLists(_context: unknown, lists: NetBufferList, _portNumber: number): void {
    const engine = this.engine;
    if (engine.isAsleep) {
      engine.trace.count(Event.TARGET_ASLEEP);
      engine.outlet.giveBack(lists, NdisStatus.LOW_POWER_STATE);
    } else engine.outlet.sendLists(lists);
  }

  /** MiniportReturnNetBufferLists: all ordinary indications are borrowed. */
  returnNetBufferLists(_context: unknown, _lists: NetBufferList): void {}

  /** MiniportInitiateOffload. */
  initiateOffload(_context: unknown, offloadBlockList: MiniportOffloadBlock): void {
    this.engine.enqueue(OperationKind.INITIATE, offloadBlockList);
  }

  /** MiniportTerminateOffload. */
  terminateOffload(_context: unknown, offloadBlockList: MiniportOffloadBlock): void {
    noteTerminate(offloadBlockList);
    this.engine.enqueue(OperationKind.TERMINATE, offloadBlockList);
  }

  /** MiniportUpdateOffload. */
  updateOffload(_context: unknown, offloadBlockList: MiniportOffloadBlock): void {
    this.engine.enqueue(OperationKind.UPDATE, offloadBlockList);
  }

  /** MiniportQueryOffload. */
  queryOffload(_context: unknown, offloadBlockList: MiniportOffloadBlock): void {
    this.engine.enqueue(OperationKind.QUERY, offloadBlockList);
  }

  /** MiniportInvalidateOffload. */
  invalidateOffload(_context: unknown, offloadBlockList: MiniportOffloadBlock): void {
    this.engine.enqueue(OperationKind.INVALIDATE, offloadBlockList);
  }

  /** MiniportTcpOffloadSend. */
  tcpOffloadSend(_context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    postSends(this.engine, liveContext(offloadContext), lists);
    return NdisStatus.PENDING;
  }

  /** MiniportTcpOffloadReceive. */
  tcpOffloadReceive(_context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    const ctx = liveContext(offloadContext);
    if (ctx.activity !== null) noteRequests(ctx.activity, lists);
    postRequests(this.engine, ctx, lists);
    return NdisStatus.PENDING;
  }

  /** MiniportTcpOffloadDisconnect. */
  tcpOffloadDisconnect(_context: unknown, offloadContext: unknown, list: NetBufferList, flags: number): number {
    postDisconnect(this.engine, liveContext(offloadContext), list, flags);
    return NdisStatus.PENDING;
  }

  /** MiniportTcpOffloadForward. */
  tcpOffloadForward(_context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    postForwards(this.engine, liveContext(offloadContext), lists);
    return NdisStatus.PENDING;
  }

  /** MiniportTcpOffloadReceiveReturn: synchronous, and never fails (RECV-082, RECV-083). */
  tcpOffloadReceiveReturn(_context: unknown, lists: NetBufferList): number {
    const engine = this.engine;
    let list: NetBufferList | null = lists;
    while (list !== null) {
      const next: NetBufferList | null = list.next;
      if (!engine.pool.takeBack(list)) engine.trace.count(Event.TARGET_RETURN_UNKNOWN);
      list = next;
    }
    onReturned(engine);
    return NdisStatus.SUCCESS;
  }

  // The link's side.

  receive(bytes: Uint8Array, at: number, length: number, segmentBytes = 0, offer: MemoryOffer | null = null): void {
    const engine = this.engine;
    if (engine.isHalted || engine.isStill) return;
    if (engine.isAsleep) engine.trace.count(Event.TARGET_ASLEEP);
    else if (engine.scaling !== null) engine.scaling.receive(bytes, at, length, segmentBytes);
    else receiveFrame(engine, bytes, at, length, segmentBytes, offer);
  }

  frameMemory(): Uint8Array | null {
    return this.engine.pool.lendFrame();
  }

  receiveDone(): void {
    const engine = this.engine;
    // With several queues the batches are theirs.
    if (!engine.isHalted && engine.scaling === null) this.#batchDone();
  }

  #batchDone(): void {
    const engine = this.engine;
    flush(engine);
    engine.hasIndicated = false;
    engine.indicator.done();
    engine.packing.rest();
  }

  linkState(isUp: boolean): void {
    // TERM-069: reported; whether connections go up is the host's decision.
    this.#indicate(isUp ? NdisStatus.LINK_STATE_UP : NdisStatus.LINK_STATE_DOWN, undefined);
  }

  mtuChanged(mtu: number): void {
    // What is offloaded goes by it when the host has updated its paths (UPD-012).
    this.engine.linkMtu = mtu;
    this.#indicate(NdisStatus.L2_MTU_SIZE_CHANGE, mtu);
  }

  #indicate(statusCode: number, statusBuffer: unknown): void {
    const engine = this.engine;
    if (engine.isHalted) return;
    // Not while an offload is in progress (INIT-052).
    if (engine.operations.length > 0) engine.enqueue(OperationKind.STATUS, null, statusCode);
    else engine.ndisM.indicateStatusEx(engine.handle, { statusCode, statusBuffer });
  }

  writable(): void {
    const engine = this.engine;
    if (engine.isHalted || !engine.outlet.writable()) return;
    unblock(engine);
    flush(engine);
    done(engine);
  }

  removed(): void {
    const engine = this.engine;
    if (!engine.isHalted) engine.ndisM.removeMiniport(engine.handle);
  }
}

/** The context that a slot holds; a context that was terminated is named by nobody any more (CTX-015). */
function liveContext(offloadContext: unknown): TcpContext {
  assert(
    offloadContext instanceof TcpContext && offloadContext.standing !== Standing.TERMINATED,
    'a data call names a connection that is offloaded here (CTX-006)',
  );
  return offloadContext;
}
