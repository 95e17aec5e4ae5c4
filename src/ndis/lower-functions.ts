/**
 * What NDIS offers to miniport drivers: completions, indications, statuses, ordinary frames.
 *
 * Promises: whatever a driver completes or indicates is shown to the driver above at once, inside the call, in order. The
 * answer to a receive indication and BytesConsumed go back down unchanged. No allocation per completion, indication or frame.
 * Source: chimney-ddi 3.3, 4.3, 4.4, 5, 6.
 */

import { assert } from '../base/assert.ts';
import type { NetBufferList } from '../state/net-buffer-list.ts';
import { Event } from '../trace/events.ts';
import { type Adapter, AdapterState, type Binding } from './adapter.ts';
import { tellStateComplete } from './answers.ts';
import type { NdisObjectHeader } from './characteristics.ts';
import { releaseTerminated, toProtocolFace } from './faces.ts';
import {
  NDIS_TCP_OFFLOAD_EVENT_HANDLERS_REVISION_1,
  NDIS_TCP_OFFLOAD_EVENT_HANDLERS_SIZE,
  type NdisM,
  type NdisMiniportHandle,
  type TcpOffloadEventHandlers,
} from './miniport.ts';
import type { MiniportOffloadBlock, NdisOffloadHandle, OffloadBlock } from './offload-block.ts';
import type { OidRequest } from './parameters.ts';
import {
  type BytesConsumed,
  NDIS_RECEIVE_FLAGS_RESOURCES,
  type NetPnpEvent,
  type StatusIndication,
} from './protocol.ts';
import { NdisChimneyOffloadType, NdisStatus, NetPnpEventCode } from './status.ts';
import { DataOperation, StateOperation } from './tap.ts';
import { countLists, UpperFunctions } from './upper-functions.ts';

/** The lower half of the library. */
export abstract class LowerFunctions extends UpperFunctions implements NdisM, TcpOffloadEventHandlers {
  /** Six functions and a header that tells what they are: Type is the chimney type asked for (CAP-012, CAP-014). */
  readonly header: NdisObjectHeader = {
    type: NdisChimneyOffloadType.TCP,
    revision: NDIS_TCP_OFFLOAD_EVENT_HANDLERS_REVISION_1,
    size: NDIS_TCP_OFFLOAD_EVENT_HANDLERS_SIZE,
  };

  /** The structure that NdisMGetOffloadHandlers gives out: what is in it can be copied and called by itself (CAP-013). */
  readonly #eventHandlers: TcpOffloadEventHandlers = {
    header: this.header,
    tcpOffloadEventHandler: (handle, type, information) => this.tcpOffloadEventHandler(handle, type, information),
    tcpOffloadReceiveHandler: (handle, list, status, bytesConsumed) =>
      this.tcpOffloadReceiveHandler(handle, list, status, bytesConsumed),
    tcpOffloadSendComplete: (handle, lists) => this.tcpOffloadSendComplete(handle, lists),
    tcpOffloadReceiveComplete: (handle, lists) => this.tcpOffloadReceiveComplete(handle, lists),
    tcpOffloadDisconnectComplete: (handle, list) => this.tcpOffloadDisconnectComplete(handle, list),
    tcpOffloadForwardComplete: (handle, lists) => this.tcpOffloadForwardComplete(handle, lists),
  };

  /** NdisMSetMiniportAttributes. */
  setMiniportAttributes(handle: NdisMiniportHandle, miniportAdapterContext: unknown): void {
    (handle as Adapter).context = miniportAdapterContext;
  }

  /** NdisMGetOffloadHandlers: null is STATUS_NOT_SUPPORTED (CAP-011). */
  getOffloadHandlers(handle: NdisMiniportHandle, chimneyType: number): TcpOffloadEventHandlers | null {
    if (chimneyType !== NdisChimneyOffloadType.TCP || !(handle as Adapter).hasChimney) return null;
    return this.#eventHandlers;
  }

  /** NdisMIndicateReceiveNetBufferLists. With nobody above, frames go straight back to the driver. */
  indicateReceiveNetBufferLists(
    handle: NdisMiniportHandle,
    lists: NetBufferList,
    portNumber: number,
    flags: number,
  ): void {
    const adapter = handle as Adapter;
    if (this.#isLate(adapter)) return;
    const binding = adapter.upper;
    const isBorrowed = (flags & NDIS_RECEIVE_FLAGS_RESOURCES) !== 0;
    if (binding === null || !binding.isOpen) {
      this.trace.count(Event.NDIS_NO_RECEIVER);
      if (!isBorrowed) adapter.driver.returnNetBufferLists(adapter.context, lists);
      return;
    }
    if (!isBorrowed) binding.frameLists += countLists(lists);
    if (adapter.tap !== null) adapter.tap.receiveFrames(lists, flags);
    binding.protocol.receiveNetBufferLists(binding.context, lists, portNumber, flags);
  }

  indicateReceiveDone(handle: NdisMiniportHandle): void {
    const { upper: binding, isGivenUp } = handle as Adapter;
    if (binding?.isOpen && !isGivenUp) binding.protocol.receiveDone(binding.context);
  }

  /** NdisMSendNetBufferListsComplete. */
  sendNetBufferListsComplete(handle: NdisMiniportHandle, lists: NetBufferList): void {
    if (this.#isLate(handle as Adapter)) return;
    this.#framesSent(handle, lists);
  }

  #framesSent(handle: NdisMiniportHandle, lists: NetBufferList): void {
    const binding = bindingAbove(handle);
    const tap = binding.adapter.tap;
    if (tap !== null) tap.sendFramesComplete(lists);
    const count = countLists(lists);
    binding.protocol.sendNetBufferListsComplete(binding.context, lists);
    binding.sendLists -= count;
    if (!binding.isOpen) this.closeWhenQuiet(binding);
  }

  /** NdisMIndicateStatusEx. */
  indicateStatusEx(handle: NdisMiniportHandle, indication: StatusIndication): void {
    const adapter = handle as Adapter;
    const binding = adapter.upper;
    if (this.#isLate(adapter)) return;
    this.#noteStatus(adapter, indication.statusCode);
    if (binding === null) return;
    const tap = adapter.tap;
    if (tap !== null) tap.status(indication);
    binding.protocol.statusEx(binding.context, indication);
    if (tap !== null) tap.statusDone(indication);
    // TERM-070: a lost link is told as an event, too.
    if (indication.statusCode === NdisStatus.LINK_STATE_DOWN) {
      this.tellProtocol(binding, { code: NetPnpEventCode.MEDIA_DISCONNECT }, () => undefined);
    }
  }

  #noteStatus(adapter: Adapter, statusCode: number): void {
    if (statusCode === NdisStatus.OFFLOAD_PAUSE || statusCode === NdisStatus.UPLOAD_ALL) adapter.isOffloadPaused = true;
    else if (statusCode === NdisStatus.OFFLOAD_RESUME) adapter.isOffloadPaused = false;
  }

  /** ProtocolNetPnPEvent; `done` follows with the final status, inside the call unless that was PENDING. */
  protected tellProtocol(binding: Binding, event: NetPnpEvent, done: (status: number) => void): void {
    const { protocol, adapter } = binding;
    if (adapter.tap !== null) adapter.tap.netPnpEvent(event);
    if (protocol.netPnpEvent === undefined) {
      done(NdisStatus.SUCCESS);
      return;
    }
    binding.pnpEvents.set(event, done);
    const status = protocol.netPnpEvent(binding.context, event);
    if (status === NdisStatus.PENDING || !binding.pnpEvents.delete(event)) return;
    done(status);
  }

  protected refuseFrames(adapter: Adapter, lists: NetBufferList): void {
    const status = adapter.state === AdapterState.REMOVED ? NdisStatus.ADAPTER_REMOVED : NdisStatus.PAUSED;
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) list.status = status;
    this.#framesSent(adapter, lists);
  }

  /** NdisMOidRequestComplete. */
  oidRequestComplete(handle: NdisMiniportHandle, request: OidRequest, status: number): void {
    if (this.#isLate(handle as Adapter)) return;
    this.finishOid(handle as Adapter, request, status);
  }

  /** ProtocolOidRequestComplete. */
  protected finishOid(adapter: Adapter, request: OidRequest, status: number): void {
    const binding = bindingAbove(adapter);
    this.hangs.end(adapter, request);
    const tap = binding.adapter.tap;
    if (tap !== null) tap.oidRequestComplete(request, status);
    binding.protocol.oidRequestComplete(binding.context, request, status);
    if (tap !== null) tap.oidRequestCompleteDone(request, status);
  }

  /** NdisMPauseComplete. */
  pauseComplete(handle: NdisMiniportHandle): void {
    lifeComplete(handle as Adapter, NdisStatus.SUCCESS);
  }

  /** NdisMRestartComplete. */
  restartComplete(handle: NdisMiniportHandle, status: number): void {
    lifeComplete(handle as Adapter, status);
  }

  /** NdisMResetComplete. */
  resetComplete(handle: NdisMiniportHandle, status: number): void {
    lifeComplete(handle as Adapter, status);
  }

  /** NdisMRemoveMiniport. */
  abstract removeMiniport(handle: NdisMiniportHandle): void;

  /** NdisIMDeInitializeDeviceInstance. */
  abstract imDeinitializeDeviceInstance(handle: NdisMiniportHandle, isGone: boolean): void;

  /** NdisIMNotifyPnPEvent: PENDING as long as the protocol above has not answered; who was asked below then hears of it. */
  imNotifyPnpEvent(handle: NdisMiniportHandle, event: NetPnpEvent): number {
    const binding = (handle as Adapter).upper;
    if (binding === null) return NdisStatus.SUCCESS;
    let answer: number = NdisStatus.PENDING;
    let isInside = true;
    this.tellProtocol(binding, event, (status) => {
      answer = status;
      if (!isInside) this.#answerBelow(event, status);
    });
    isInside = false;
    return answer;
  }

  /** The binding at which the event that was passed on is still pending. */
  #answerBelow(event: NetPnpEvent, status: number): void {
    for (const adapter of this.adapters.values()) {
      if (adapter.upper?.pnpEvents.has(event)) this.completeNetPnpEvent(adapter.upper, event, status);
    }
  }

  /** NdisMInitiateOffloadComplete. */
  initiateOffloadComplete(handle: NdisMiniportHandle, offloadBlockList: MiniportOffloadBlock): void {
    this.#complete(handle, offloadBlockList, StateOperation.INITIATE);
  }

  /** NdisMTerminateOffloadComplete. */
  terminateOffloadComplete(handle: NdisMiniportHandle, offloadBlockList: MiniportOffloadBlock): void {
    this.#complete(handle, offloadBlockList, StateOperation.TERMINATE);
  }

  /** NdisMUpdateOffloadComplete. */
  updateOffloadComplete(handle: NdisMiniportHandle, offloadBlockList: MiniportOffloadBlock): void {
    this.#complete(handle, offloadBlockList, StateOperation.UPDATE);
  }

  /** NdisMQueryOffloadStateComplete. */
  queryOffloadStateComplete(handle: NdisMiniportHandle, offloadBlockList: MiniportOffloadBlock): void {
    this.#complete(handle, offloadBlockList, StateOperation.QUERY);
  }

  /** NdisMInvalidateOffloadComplete. */
  invalidateOffloadComplete(handle: NdisMiniportHandle, offloadBlockList: MiniportOffloadBlock): void {
    this.#complete(handle, offloadBlockList, StateOperation.INVALIDATE);
  }

  #complete(handle: NdisMiniportHandle, offloadBlockList: MiniportOffloadBlock, operation: StateOperation): void {
    if (this.#isLate(handle as Adapter)) return;
    const binding = bindingAbove(handle);
    this.hangs.end(binding.adapter, offloadBlockList);
    this.finishState(binding, offloadBlockList as OffloadBlock, operation);
  }

  /** What every completion does: the upper face, the event for the tap, the protocol's function. */
  protected override finishState(binding: Binding, root: OffloadBlock, operation: StateOperation): void {
    toProtocolFace(this.walk, root);
    const { tap } = binding.adapter;
    if (tap !== null) tap.stateComplete(operation, root);
    binding.operations--;
    if (operation === StateOperation.TERMINATE) binding.chimneyLists += releaseTerminated(this.walk, root);
    tellStateComplete(binding, root, operation);
    if (tap !== null) tap.stateCompleteDone(operation, root);
    if (!binding.isOpen) this.closeWhenQuiet(binding);
  }

  /** Whether a driver speaks that was given up: nobody listens. */
  #isLate(adapter: Adapter): boolean {
    if (!adapter.isGivenUp) return false;
    this.trace.count(Event.NDIS_LATE_COMPLETION);
    return true;
  }

  /** NdisMOffloadEventIndicate: the answer to a reachability query is written into the block inside the call. */
  offloadEventIndicate(
    handle: NdisMiniportHandle,
    offloadBlockList: MiniportOffloadBlock | null,
    indicationCode: number,
  ): void {
    if (this.#isLate(handle as Adapter)) return;
    const binding = bindingAbove(handle);
    const tap = binding.adapter.tap;
    const block = offloadBlockList as OffloadBlock | null;
    const handleBelow = block === null ? null : block.ndisOffloadHandle;
    if (block !== null) block.offloadHandle = handleBelow;
    if (tap !== null) tap.offloadEvent(block, indicationCode);
    binding.generic!.indicateOffloadEvent(binding.context, block, indicationCode);
    // A driver between may have rebuilt the block for those above it; its maker gets it back as it was.
    if (block !== null) block.ndisOffloadHandle = handleBelow;
    if (tap !== null) tap.offloadEventDone(block, indicationCode);
  }

  /** NdisTcpOffloadEventHandler. */
  tcpOffloadEventHandler(handle: NdisOffloadHandle, eventType: number, eventSpecificInformation: number): void {
    const binding = bindingOf(handle);
    if (this.#isLate(binding.adapter)) return;
    const tap = binding.adapter.tap;
    if (tap !== null) tap.tcpEvent(handle, eventType, eventSpecificInformation);
    binding.tcp!.tcpOffloadEvent(handle, eventType, eventSpecificInformation);
    if (tap !== null) tap.tcpEventDone(handle, eventType, eventSpecificInformation);
  }

  /** NdisTcpOffloadReceiveHandler. */
  tcpOffloadReceiveHandler(
    handle: NdisOffloadHandle,
    list: NetBufferList,
    status: number,
    bytesConsumed: BytesConsumed,
  ): number {
    const binding = bindingOf(handle);
    if (this.#isLate(binding.adapter)) {
      bytesConsumed.value = 0;
      return NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED;
    }
    const tap = binding.adapter.tap;
    if (tap !== null) tap.receiveIndicate(handle, list, status);
    const answer = binding.tcp!.tcpOffloadReceiveIndicate(handle, list, status, bytesConsumed);
    if (answer === NdisStatus.SUCCESS) binding.chimneyLists++;
    if (tap !== null) tap.receiveIndicateDone(handle, list, answer, bytesConsumed.value);
    return answer;
  }

  /** NdisTcpOffloadSendComplete. */
  tcpOffloadSendComplete(handle: NdisMiniportHandle, lists: NetBufferList): void {
    if (this.#isLate(handle as Adapter)) return;
    const binding = bindingAbove(handle);
    const tap = binding.adapter.tap;
    if (tap !== null) tap.dataComplete(DataOperation.SEND, lists);
    binding.tcp!.tcpOffloadSendComplete(binding.context, lists);
    if (tap !== null) tap.dataCompleteDone(DataOperation.SEND);
  }

  /** NdisTcpOffloadReceiveComplete. */
  tcpOffloadReceiveComplete(handle: NdisMiniportHandle, lists: NetBufferList): void {
    if (this.#isLate(handle as Adapter)) return;
    const binding = bindingAbove(handle);
    const tap = binding.adapter.tap;
    if (tap !== null) tap.dataComplete(DataOperation.RECEIVE, lists);
    binding.tcp!.tcpOffloadReceiveComplete(binding.context, lists);
    if (tap !== null) tap.dataCompleteDone(DataOperation.RECEIVE);
  }

  /** NdisTcpOffloadDisconnectComplete. */
  tcpOffloadDisconnectComplete(handle: NdisMiniportHandle, list: NetBufferList | null): void {
    if (this.#isLate(handle as Adapter)) return;
    const binding = bindingAbove(handle);
    const tap = binding.adapter.tap;
    if (tap !== null) tap.dataComplete(DataOperation.DISCONNECT, list);
    binding.tcp!.tcpOffloadDisconnectComplete(binding.context, list);
    if (tap !== null) tap.dataCompleteDone(DataOperation.DISCONNECT);
  }

  /** NdisTcpOffloadForwardComplete. */
  tcpOffloadForwardComplete(handle: NdisMiniportHandle, lists: NetBufferList): void {
    if (this.#isLate(handle as Adapter)) return;
    const binding = bindingAbove(handle);
    const tap = binding.adapter.tap;
    if (tap !== null) tap.dataComplete(DataOperation.FORWARD, lists);
    binding.tcp!.tcpOffloadForwardComplete(binding.context, lists);
    if (tap !== null) tap.dataCompleteDone(DataOperation.FORWARD);
  }
}

function lifeComplete(adapter: Adapter, status: number): void {
  if (adapter.isGivenUp) return;
  const done = adapter.onLifeComplete;
  assert(done !== null, 'a pause, restart or reset is completed once, if it was pending');
  adapter.onLifeComplete = null;
  done(status);
}

function bindingAbove(handle: NdisMiniportHandle): Binding {
  const binding = (handle as Adapter).upper;
  assert(binding !== null, 'a completion or indication finds the protocol that is bound above');
  return binding;
}

function bindingOf(handle: NdisOffloadHandle): Binding {
  const binding = handle.ndisReserved as Binding | null;
  assert(binding !== null, 'an indication names the handle from the block that offloaded its object (CTX-010)');
  return binding;
}
