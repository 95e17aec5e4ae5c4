/**
 * An intermediate driver: a protocol to the adapter below, an adapter to the protocol above, and between them nothing.
 *
 * The base of every driver that sits between host and target: everything passes unchanged, by the propagation rules of the
 * chimney (chimney-sequences 24, 25; IM-001 to IM-064). A driver that does something overrides the method through which that
 * something passes. Leaves to others: choosing the adapter below (`pass-through.ts`). Zero allocation per data call and frame.
 */

import { assert } from '../base/assert.ts';
import type { Runtime } from '../base/runtime.ts';
import type {
  MiniportDriver,
  MiniportOffloadBlock,
  NdisM,
  NdisMiniportHandle,
  TcpOffloadEventHandlers,
} from '../ndis/miniport.ts';
import { copyOffloadHandlers, providerGeneric, providerTcp } from '../ndis/miniport.ts';
import type {
  AdapterAttributes,
  BytesConsumed,
  NdisBindingHandle,
  NdisDriverHandle,
  NdisForProtocol,
  NdisOffloadHandle,
  NdisRegistration,
  NetPnpEvent,
  OffloadBlock,
  OidRequest,
  ProtocolDriver,
  ProtocolOffloadBlock,
  StatusIndication,
} from '../ndis/protocol.ts';
import {
  BlockWalk,
  clientGeneric,
  clientTcp,
  NDIS_RECEIVE_FLAGS_RESOURCES,
  NdisChimneyOffloadType,
  NdisStatus,
  NetPnpEventCode,
  Oid,
  StateOperation,
  TcpDisconnectFlag,
} from '../ndis/protocol.ts';
import type { NetBufferList } from '../state/net-buffer-list.ts';
import { Event } from '../trace/events.ts';
import type { Trace } from '../trace/trace.ts';
import {
  adoptTaken,
  countEnded,
  countNewOffloads,
  countSendLists,
  countSendListsLost,
  overlayAsMiniportBlocks,
  overlayAsProtocolBlocks,
  refuseInitiate,
} from './block-lists.ts';
import { entryOf, ImCallEntry, type ImOffloadEntry } from './entries.ts';

/** What bounds a driver, and what it registers. */
export interface IntermediateOptions {
  /** Its name, as an adapter to those above and as a protocol to those below. */
  readonly name: string;
  /** Whether it registers chimney functions; without, NDIS lets no offload through it. Default true. IM-056. */
  readonly hasChimney?: boolean;
  /** Objects it can keep entries for; an initiate that needs more is refused whole, with RESOURCES. Default 3,000,000. */
  readonly maxOffloadEntries?: number;
  /** Send lists that may be below at a time; a send beyond it comes back with REQUEST_UPLOAD. Default 1,000,000. IM-042. */
  readonly maxSendLists?: number;
  /** Whether the capability query may reach the target; if not it is answered NOT_SUPPORTED. Default true. IM-057. */
  readonly allowOffload?: boolean;
}

/** What a driver is given to live in. */
export interface IntermediateEnvironment {
  readonly ndis: NdisForProtocol;
  readonly runtime: Runtime;
  readonly trace: Trace;
}

/** The base of intermediate drivers. */
export abstract class IntermediateDriver implements ProtocolDriver, MiniportDriver {
  readonly name: string;
  readonly hasChimney: boolean;
  abstract readonly attributes: AdapterAttributes;
  /** The binding to the adapter below. */
  protected abstract readonly below: NdisBindingHandle;

  protected readonly ndis: NdisForProtocol;
  protected readonly runtime: Runtime;
  protected readonly trace: Trace;
  readonly #maxOffloadEntries: number;
  readonly #maxSendLists: number;
  readonly #allowOffload: boolean;
  readonly #walk: BlockWalk<OffloadBlock> = new BlockWalk();
  #ndisM: NdisM | null = null;
  #handle: NdisMiniportHandle | null = null;
  #events: TcpOffloadEventHandlers | null = null;
  #offloadEntries = 0;
  #callEntries = 0;
  #sendListsBelow = 0;

  constructor(environment: IntermediateEnvironment, options: IntermediateOptions) {
    this.ndis = environment.ndis;
    this.runtime = environment.runtime;
    this.trace = environment.trace;
    this.name = options.name;
    this.hasChimney = options.hasChimney ?? true;
    this.#maxOffloadEntries = options.maxOffloadEntries ?? 3_000_000;
    this.#maxSendLists = options.maxSendLists ?? 1_000_000;
    this.#allowOffload = options.allowOffload ?? true;
  }

  /** IM offload entries alive: objects offloaded through this driver, those being offloaded included. */
  get offloadEntries(): number {
    return this.#offloadEntries;
  }

  /** IM call entries alive: operations under way below. */
  get callEntries(): number {
    return this.#callEntries;
  }

  /** Send lists passed on and not yet completed. */
  get sendListsBelow(): number {
    return this.#sendListsBelow;
  }

  /** What this driver calls upward. */
  protected get ndisM(): NdisM {
    assert(this.#ndisM !== null, 'an intermediate driver is initialised before it is used');
    return this.#ndisM;
  }

  /** This driver's handle as an adapter. */
  protected get miniportHandle(): NdisMiniportHandle {
    assert(this.#handle !== null, 'an intermediate driver is initialised before it is used');
    return this.#handle;
  }

  /** What this driver calls upward for one connection. */
  protected get events(): TcpOffloadEventHandlers {
    assert(this.#events !== null, 'chimney calls pass only through a driver that registered for them (IM-056)');
    return this.#events;
  }

  // The adapter that it is to those above.

  /**
   * ProtocolSetOptions when it opens the adapter below, MiniportSetOptions when it becomes an adapter itself: two structures
   * each time. IM-001 to IM-006.
   */
  setOptions(handle: NdisDriverHandle, ndis: NdisRegistration): number {
    if (!this.hasChimney) return NdisStatus.SUCCESS;
    const isProtocol = handle.role === 'protocol';
    const status = ndis.setOptionalHandlers(handle, isProtocol ? clientGeneric(this) : providerGeneric(this));
    if (status !== NdisStatus.SUCCESS) return status;
    return ndis.setOptionalHandlers(handle, isProtocol ? clientTcp(this) : providerTcp(this));
  }

  /** MiniportInitializeEx. */
  initializeEx(handle: NdisMiniportHandle, ndisM: NdisM): number {
    this.#handle = handle;
    this.#ndisM = ndisM;
    ndisM.setMiniportAttributes(handle, this);
    if (!this.hasChimney) return NdisStatus.SUCCESS;
    this.#events = copyOffloadHandlers(ndisM.getOffloadHandlers(handle, NdisChimneyOffloadType.TCP));
    return NdisStatus.SUCCESS;
  }

  /** MiniportHaltEx: lets go of the adapter below, which waits until its lists are back. */
  haltEx(_context: unknown): void | Promise<void> {
    return new Promise<void>((resolve) => {
      this.ndis.closeAdapterEx(this.below, resolve);
    });
  }

  /**
   * ProtocolNetPnPEvent: passed on to whoever is above, who answers. A lost link is not: its status goes up, and NDIS makes an event
   * of that at each adapter.
   */
  netPnpEvent(_context: unknown, event: NetPnpEvent): number {
    if (event.code === NetPnpEventCode.MEDIA_DISCONNECT || this.#ndisM === null) return NdisStatus.SUCCESS;
    return this.ndisM.imNotifyPnpEvent(this.miniportHandle, event);
  }

  /** ProtocolUnbindAdapterEx: this driver's own adapter goes first; its MiniportHaltEx lets go of the one below. */
  unbindAdapterEx(_context: unknown, isGone: boolean): void {
    this.ndisM.imDeinitializeDeviceInstance(this.miniportHandle, isGone);
  }

  /** MiniportOidRequest: passed down. IM-054, IM-057, IM-058. */
  oidRequest(_context: unknown, request: OidRequest): number {
    const isCapabilityQuery = request.oid === Oid.TCP_TASK_OFFLOAD && request.kind === 'query';
    if (isCapabilityQuery && !this.#allowOffload) return NdisStatus.NOT_SUPPORTED;
    return this.ndis.oidRequest(this.below, request);
  }

  /** MiniportSendNetBufferLists. */
  sendNetBufferLists(_context: unknown, lists: NetBufferList, portNumber: number): void {
    this.ndis.sendNetBufferLists(this.below, lists, portNumber);
  }

  /** MiniportReturnNetBufferLists. */
  returnNetBufferLists(_context: unknown, lists: NetBufferList): void {
    this.ndis.returnNetBufferLists(this.below, lists);
  }

  offloadExpected(_context: unknown, onReady: () => void): boolean {
    return this.ndis.offloadExpected?.(this.below, onReady) === true;
  }

  /** MiniportInitiateOffload. */
  initiateOffload(_context: unknown, offloadBlockList: MiniportOffloadBlock): void {
    const root = offloadBlockList as OffloadBlock;
    const fresh = countNewOffloads(this.#walk, root);
    if (this.#offloadEntries + fresh > this.#maxOffloadEntries) {
      this.refuseOffload(root);
      return;
    }
    this.#offloadEntries += fresh;
    this.#sendListsBelow += countSendLists(this.#walk, root);
    this.ndis.initiateOffload(this.below, this.#passDown(StateOperation.INITIATE, root));
  }

  /** MiniportTerminateOffload. */
  terminateOffload(_context: unknown, offloadBlockList: MiniportOffloadBlock): void {
    this.ndis.terminateOffload(this.below, this.#passDown(StateOperation.TERMINATE, offloadBlockList));
  }

  /** MiniportUpdateOffload. */
  updateOffload(_context: unknown, offloadBlockList: MiniportOffloadBlock): void {
    this.ndis.updateOffload(this.below, this.#passDown(StateOperation.UPDATE, offloadBlockList));
  }

  /** MiniportQueryOffload. */
  queryOffload(_context: unknown, offloadBlockList: MiniportOffloadBlock): void {
    this.ndis.queryOffloadState(this.below, this.#passDown(StateOperation.QUERY, offloadBlockList));
  }

  /** MiniportInvalidateOffload. */
  invalidateOffload(_context: unknown, offloadBlockList: MiniportOffloadBlock): void {
    this.ndis.invalidateOffload(this.below, this.#passDown(StateOperation.INVALIDATE, offloadBlockList));
  }

  /** MiniportTcpOffloadSend. */
  tcpOffloadSend(_context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    const entry = offloadContext as ImOffloadEntry;
    let count = 0;
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) count++;
    if (entry.hasRefusedSend || this.#sendListsBelow + count > this.#maxSendLists) this.#refuseSend(entry, lists);
    else {
      this.#sendListsBelow += count;
      this.ndis.offloadTcpSend(entry.handle, lists);
    }
    return NdisStatus.PENDING;
  }

  /** MiniportTcpOffloadReceive. */
  tcpOffloadReceive(_context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    return this.ndis.offloadTcpReceive((offloadContext as ImOffloadEntry).handle, lists);
  }

  /** MiniportTcpOffloadDisconnect: Flags unchanged (IM-037). */
  tcpOffloadDisconnect(_context: unknown, offloadContext: unknown, list: NetBufferList, flags: number): number {
    const entry = offloadContext as ImOffloadEntry;
    if (entry.hasRefusedSend && flags === TcpDisconnectFlag.GRACEFUL_CLOSE) {
      // A FIN must not overtake the data that was refused; the host, who has that data, closes after the upload.
      this.runtime.defer(() => {
        list.status = NdisStatus.UPLOAD_IN_PROGRESS;
        list.tcpOffloadBytesTransferred = 0;
        this.events.tcpOffloadDisconnectComplete(this.miniportHandle, list);
      });
      return NdisStatus.PENDING;
    }
    return this.ndis.offloadTcpDisconnect(entry.handle, list, flags);
  }

  /** MiniportTcpOffloadForward. */
  tcpOffloadForward(_context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    return this.ndis.offloadTcpForward((offloadContext as ImOffloadEntry).handle, lists);
  }

  /** MiniportTcpOffloadReceiveReturn: straight down, without a completion (IM-041). */
  tcpOffloadReceiveReturn(_context: unknown, lists: NetBufferList): number {
    return this.ndis.offloadTcpReceiveReturn(this.below, lists);
  }

  // The protocol that it is to the adapter below.

  /** ProtocolReceiveNetBufferLists. */
  receiveNetBufferLists(_context: unknown, lists: NetBufferList, portNumber: number, flags: number): void {
    if (this.#ndisM === null) {
      // Bound below, not yet an adapter to anybody.
      if ((flags & NDIS_RECEIVE_FLAGS_RESOURCES) === 0) this.ndis.returnNetBufferLists(this.below, lists);
      return;
    }
    this.ndisM.indicateReceiveNetBufferLists(this.miniportHandle, lists, portNumber, flags);
  }

  receiveDone(_context: unknown): void {
    if (this.#ndisM !== null) this.ndisM.indicateReceiveDone(this.miniportHandle);
  }

  /** ProtocolSendNetBufferListsComplete. */
  sendNetBufferListsComplete(_context: unknown, lists: NetBufferList): void {
    this.ndisM.sendNetBufferListsComplete(this.miniportHandle, lists);
  }

  /** ProtocolStatusEx. */
  statusEx(_context: unknown, indication: StatusIndication): void {
    if (this.#ndisM !== null) this.ndisM.indicateStatusEx(this.miniportHandle, indication);
  }

  /** ProtocolOidRequestComplete. */
  oidRequestComplete(_context: unknown, request: OidRequest, status: number): void {
    this.ndisM.oidRequestComplete(this.miniportHandle, request, status);
  }

  /** ProtocolInitiateOffloadComplete. */
  initiateOffloadComplete(_context: unknown, offloadBlockList: ProtocolOffloadBlock): void {
    const root = offloadBlockList as OffloadBlock;
    this.#offloadEntries -= adoptTaken(this.#walk, root);
    this.#sendListsBelow -= countSendListsLost(this.#walk, root);
    this.#passUp(StateOperation.INITIATE, root);
    this.initiateCompleting(root);
    this.ndisM.initiateOffloadComplete(this.miniportHandle, root);
  }

  /** ProtocolTerminateOffloadComplete. */
  terminateOffloadComplete(_context: unknown, offloadBlockList: ProtocolOffloadBlock): void {
    const root = offloadBlockList as OffloadBlock;
    const ended = countEnded(this.#walk, root);
    this.#sendListsBelow -= countSendLists(this.#walk, root);
    this.#passUp(StateOperation.TERMINATE, root);
    this.terminateCompleting(root);
    this.ndisM.terminateOffloadComplete(this.miniportHandle, root);
    this.#offloadEntries -= ended;
  }

  /** ProtocolUpdateOffloadComplete. */
  updateOffloadComplete(_context: unknown, offloadBlockList: ProtocolOffloadBlock): void {
    this.ndisM.updateOffloadComplete(this.miniportHandle, this.#passUp(StateOperation.UPDATE, offloadBlockList));
  }

  /** ProtocolQueryOffloadComplete. */
  queryOffloadComplete(_context: unknown, offloadBlockList: ProtocolOffloadBlock): void {
    this.ndisM.queryOffloadStateComplete(this.miniportHandle, this.#passUp(StateOperation.QUERY, offloadBlockList));
  }

  /** ProtocolInvalidateOffloadComplete. */
  invalidateOffloadComplete(_context: unknown, offloadBlockList: ProtocolOffloadBlock): void {
    const root = this.#passUp(StateOperation.INVALIDATE, offloadBlockList);
    this.ndisM.invalidateOffloadComplete(this.miniportHandle, root);
  }

  /** ProtocolIndicateOffloadEvent: with the overlying driver's handle of the neighbor. IM-061. */
  indicateOffloadEvent(_context: unknown, offloadBlockList: ProtocolOffloadBlock | null, indicationCode: number): void {
    const block = offloadBlockList as OffloadBlock | null;
    if (block !== null) overlayAsMiniportBlocks(this.#walk, block);
    this.ndisM.offloadEventIndicate(this.miniportHandle, block, indicationCode);
  }

  /** ProtocolTcpOffloadSendComplete. */
  tcpOffloadSendComplete(_context: unknown, lists: NetBufferList): void {
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) this.#sendListsBelow--;
    this.events.tcpOffloadSendComplete(this.miniportHandle, lists);
  }

  /** ProtocolTcpOffloadReceiveComplete. */
  tcpOffloadReceiveComplete(_context: unknown, lists: NetBufferList): void {
    this.events.tcpOffloadReceiveComplete(this.miniportHandle, lists);
  }

  /** ProtocolTcpOffloadDisconnectComplete. */
  tcpOffloadDisconnectComplete(_context: unknown, list: NetBufferList | null): void {
    this.events.tcpOffloadDisconnectComplete(this.miniportHandle, list);
  }

  /** ProtocolTcpOffloadForwardComplete. */
  tcpOffloadForwardComplete(_context: unknown, lists: NetBufferList): void {
    this.events.tcpOffloadForwardComplete(this.miniportHandle, lists);
  }

  /** ProtocolTcpOffloadEvent. IM-047 to IM-049. */
  tcpOffloadEvent(offloadContext: NdisOffloadHandle, eventType: number, eventSpecificInformation: number): void {
    const above = entryOf(offloadContext).handleAbove;
    this.events.tcpOffloadEventHandler(above, eventType, eventSpecificInformation);
  }

  /** ProtocolTcpOffloadReceiveIndicate: the answer and BytesConsumed travel down. IM-050 to IM-052. */
  tcpOffloadReceiveIndicate(
    offloadContext: NdisOffloadHandle,
    list: NetBufferList,
    status: number,
    bytesConsumed: BytesConsumed,
  ): number {
    return this.events.tcpOffloadReceiveHandler(entryOf(offloadContext).handleAbove, list, status, bytesConsumed);
  }

  /**
   * An initiate is about to be completed above; for drivers that look. `root` has its lower face: the slot of each object that
   * was taken names its entry.
   */
  protected initiateCompleting(_root: OffloadBlock): void {}

  /** A terminate is about to be completed above; for drivers that look. The slots of ended objects still name their entries. */
  protected terminateCompleting(_root: OffloadBlock): void {}

  /** Answers an initiate that goes no further: later, with RESOURCES in every object that it asked for. */
  protected refuseOffload(root: OffloadBlock): void {
    this.trace.count(Event.IM_OFFLOAD_REFUSED);
    this.runtime.defer(() => {
      refuseInitiate(this.#walk, root, NdisStatus.RESOURCES);
      this.initiateCompleting(root);
      this.ndisM.initiateOffloadComplete(this.miniportHandle, root);
    });
  }

  /** What every operation does on its way down: a call entry, and the list as a protocol block list. */
  #passDown(operation: StateOperation, offloadBlockList: MiniportOffloadBlock): OffloadBlock {
    const root = offloadBlockList as OffloadBlock;
    overlayAsProtocolBlocks(this.#walk, root, operation === StateOperation.INITIATE);
    // IM-022: where the completion finds it.
    root.imReserved[0] = new ImCallEntry(operation, root);
    this.#callEntries++;
    return root;
  }

  /** And on its way up: what the call entry saved, and the list as a miniport block list. */
  #passUp(operation: StateOperation, offloadBlockList: ProtocolOffloadBlock): OffloadBlock {
    const root = offloadBlockList as OffloadBlock;
    const call = root.imReserved[0];
    assert(call instanceof ImCallEntry && call.operation === operation, 'an operation completes as itself (IM-031)');
    call.restore(root);
    this.#callEntries--;
    overlayAsMiniportBlocks(this.#walk, root);
    return root;
  }

  /** No memory to pass a send on: the host is to take the connection back and to send itself. IM-042, IM-043. */
  #refuseSend(entry: ImOffloadEntry, lists: NetBufferList): void {
    entry.hasRefusedSend = true;
    this.trace.count(Event.IM_SEND_REFUSED);
    this.runtime.defer(() => {
      for (let list: NetBufferList | null = lists; list !== null; list = list.next) {
        list.status = list === lists ? NdisStatus.REQUEST_UPLOAD : NdisStatus.UPLOAD_REQUESTED;
        list.tcpOffloadBytesTransferred = 0;
      }
      this.events.tcpOffloadSendComplete(this.miniportHandle, lists);
    });
  }
}
