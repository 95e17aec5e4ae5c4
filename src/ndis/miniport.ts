/**
 * The lower door of the flue: what an offload target (or the lower half of an intermediate driver) provides to be called, and
 * what it calls.
 *
 * `miniport.initiateOffload` is MiniportInitiateOffload, `ndisM.initiateOffloadComplete` is NdisMInitiateOffloadComplete,
 * `ndis.tcpOffloadSendComplete` is NdisTcpOffloadSendComplete. Sources: chimney-ddi 2, 3.2, 3.3, 4, 5, 6.
 */

import type { NetBufferList } from '../state/net-buffer-list.ts';
import type {
  BytesConsumed,
  NdisDriverHandle,
  NdisObjectHeader,
  NdisRegistration,
  ProviderGenericHandlers,
  ProviderTcpHandlers,
} from './characteristics.ts';
import type { MiniportOffloadBlock, NdisOffloadHandle } from './offload-block.ts';
import type { OidRequest } from './parameters.ts';
import type { AdapterAttributes, NetPnpEvent, StatusIndication } from './protocol.ts';
import { NdisChimneyOffloadType } from './status.ts';

export {
  type Characteristics,
  NDIS_OBJECT_TYPE_DEFAULT,
  type NdisDriverHandle,
  type NdisObjectHeader,
  type NdisRegistration,
  type OptionalHandlers,
  type ProviderGenericHandlers,
  type ProviderTcpHandlers,
  providerGeneric,
  providerTcp,
  type TypedCharacteristics,
} from './characteristics.ts';
export { presetInitiateStatuses, settledStatus, settleInitiateStatuses, wasOffloaded } from './initiate-status.ts';
export { isKnownRevision, type MiniportOffloadBlock, NdisOffloadHandle, OffloadBlock } from './offload-block.ts';
export { FamilyStatistics } from './offload-statistics.ts';
export {
  DEFAULT_OFFLOAD_PARAMETERS,
  type EncapsulationSetting,
  type IpOffloadStats,
  NdisDevicePowerState,
  NdisEncapsulation,
  type OffloadEncapsulation,
  OffloadParameter,
  type OffloadParameters,
  type OidRequest,
  type ReceiveScaleParameters,
  TCP_CONNECTION_OFFLOAD_PARAMETERS_REVISION_1,
  TCP_CONNECTION_OFFLOAD_PARAMETERS_SIZE,
  type TcpConnectionOffload,
  type TcpConnectionOffloadCapabilities,
  type TcpConnectionOffloadParameters,
  type TcpOffloadStats,
} from './parameters.ts';
export {
  type AdapterAttributes,
  type BytesConsumed,
  NDIS_RECEIVE_FLAGS_RESOURCES,
  type NetPnpEvent,
  type StatusIndication,
} from './protocol.ts';
export {
  DevicePnpEvent,
  HaltAction,
  IndicateOffloadEvent,
  NdisChimneyOffloadType,
  NdisStatus,
  ndisStatusName,
  OffloadStateType,
  Oid,
  TcpDisconnectFlag,
  TcpOffloadEventType,
  TcpUploadReason,
} from './status.ts';
export { BlockKind, BlockLayer, BlockWalk, forEachBlock, kindOfBlock, layerOf, setEveryStatus } from './walk.ts';

/** What NdisMRegisterMiniportDriver answers; names the miniport instance in every completion. Opaque below NDIS. */
export interface NdisMiniportHandle {
  readonly adapterName: string;
}

/**
 * What a miniport driver provides. `context` is its MiniportAdapterContext. Offload entries store, return, and complete later.
 * They count only if they were registered: by `setOptions`, or, where there is none, because `hasChimney` says so.
 */
export interface MiniportDriver extends ProviderGenericHandlers, ProviderTcpHandlers {
  readonly attributes: AdapterAttributes;
  /** Whether it has a chimney: names its chimney functions in MiniportSetOptions. */
  readonly hasChimney: boolean;

  /**
   * MiniportSetOptions, called first of all: names the driver's chimney functions with two `ndis.setOptionalHandlers`, one for
   * the generic and one for the TCP provider structure (CAP-002). Answers a status.
   */
  setOptions?(handle: NdisDriverHandle, ndis: NdisRegistration): number;

  /**
   * MiniportInitializeEx: takes its handle, calls `ndisM.setMiniportAttributes` with its adapter context and, if it has a
   * chimney, `ndisM.getOffloadHandlers`. Answers a status.
   */
  initializeEx(handle: NdisMiniportHandle, ndisM: NdisM): number;
  /**
   * MiniportHaltEx: after it nothing more is called or indicated. Not before every indicated list is back. `action` is a HaltAction,
   * DISABLED where it is left out.
   */
  haltEx(context: unknown, action?: number): void | Promise<void>;
  /**
   * MiniportPause: sends are completed, receiving stops, indicated lists are waited for. SUCCESS, or PENDING and then
   * `ndisM.pauseComplete`. What is sent meanwhile NDIS gives back as PAUSED. A driver without the function is paused by that alone.
   */
  pause?(context: unknown): number;
  /** MiniportRestart: SUCCESS, or PENDING and then `ndisM.restartComplete`. */
  restart?(context: unknown): number;
  /**
   * MiniportResetEx: the hardware starts anew, disabled until the host enables it again. SUCCESS, or PENDING and then
   * `ndisM.resetComplete`. Called of a paused adapter without offloaded state; and of one that hangs, whatever is offloaded then: what it
   * has not completed is to be completed, state operations on what is lost with FAILURE, and everything is terminated afterwards. A
   * driver that hangs and has no such function, or goes on hanging after it, is removed.
   */
  resetEx?(context: unknown): number;
  /** MiniportCheckForHangEx: whether the hardware does not work any more; asked now and then, and brief. */
  checkForHangEx?(context: unknown): boolean;
  /** MiniportDevicePnPEventNotifyEx, a DevicePnpEvent: nothing touches the device from here on. */
  devicePnpEventNotifyEx?(context: unknown, event: number): void;
  /** MiniportOidRequest: a status, or PENDING and then `ndisM.oidRequestComplete`. */
  oidRequest(context: unknown, request: OidRequest): number;

  /** MiniportSendNetBufferLists: ordinary frames; completed with `ndisM.sendNetBufferListsComplete`, possibly from inside. */
  sendNetBufferLists(context: unknown, lists: NetBufferList, portNumber: number): void;
  /** MiniportReturnNetBufferLists. */
  returnNetBufferLists(context: unknown, lists: NetBufferList): void;

  /**
   * Connections are about to be offloaded or taken back (Chimney's own; NDIS 6.0 has nothing like it): whatever the driver can make ready
   * beforehand makes nobody wait later. True: it does so, and calls `onReady` within a millisecond, once, and not from inside. False, or
   * without the function: it is ready.
   */
  offloadExpected?(context: unknown, onReady: () => void): boolean;
}

/** NDIS_TCP_OFFLOAD_EVENT_HANDLERS: what a target gets from NdisMGetOffloadHandlers; the `ndis` of the target's calls. */
export interface TcpOffloadEventHandlers {
  readonly header: NdisObjectHeader;
  /** NdisTcpOffloadEventHandler. */
  tcpOffloadEventHandler(handle: NdisOffloadHandle, eventType: number, eventSpecificInformation: number): void;
  /** NdisTcpOffloadReceiveHandler: the answer and `bytesConsumed` say who owns the list now. */
  tcpOffloadReceiveHandler(
    handle: NdisOffloadHandle,
    list: NetBufferList,
    status: number,
    bytesConsumed: BytesConsumed,
  ): number;
  /** NdisTcpOffloadSendComplete. */
  tcpOffloadSendComplete(handle: NdisMiniportHandle, lists: NetBufferList): void;
  /** NdisTcpOffloadReceiveComplete. */
  tcpOffloadReceiveComplete(handle: NdisMiniportHandle, lists: NetBufferList): void;
  /** NdisTcpOffloadDisconnectComplete. */
  tcpOffloadDisconnectComplete(handle: NdisMiniportHandle, list: NetBufferList | null): void;
  /** NdisTcpOffloadForwardComplete. */
  tcpOffloadForwardComplete(handle: NdisMiniportHandle, lists: NetBufferList): void;
}

/** Revision and size a target checks before it uses the handlers (CAP-012). */
export const NDIS_TCP_OFFLOAD_EVENT_HANDLERS_REVISION_1 = 1;
export const NDIS_TCP_OFFLOAD_EVENT_HANDLERS_SIZE = 56;

/**
 * The six entry points in storage of the driver's own (CAP-013), or null where the structure is not one that this code knows:
 * then it must not be used (CAP-012). A structure of a later revision begins with the six.
 */
export function copyOffloadHandlers(from: TcpOffloadEventHandlers | null): TcpOffloadEventHandlers | null {
  if (from === null) return null;
  const { type, revision, size } = from.header;
  if (type !== NdisChimneyOffloadType.TCP) return null;
  if (revision < NDIS_TCP_OFFLOAD_EVENT_HANDLERS_REVISION_1 || size < NDIS_TCP_OFFLOAD_EVENT_HANDLERS_SIZE) return null;
  return {
    header: { type, revision, size },
    tcpOffloadEventHandler: from.tcpOffloadEventHandler,
    tcpOffloadReceiveHandler: from.tcpOffloadReceiveHandler,
    tcpOffloadSendComplete: from.tcpOffloadSendComplete,
    tcpOffloadReceiveComplete: from.tcpOffloadReceiveComplete,
    tcpOffloadDisconnectComplete: from.tcpOffloadDisconnectComplete,
    tcpOffloadForwardComplete: from.tcpOffloadForwardComplete,
  };
}

/** Functions NDIS offers to miniport drivers. */
export interface NdisM {
  /** NdisMSetMiniportAttributes. */
  setMiniportAttributes(handle: NdisMiniportHandle, miniportAdapterContext: unknown): void;
  /** NdisMGetOffloadHandlers: the handlers, or null for STATUS_NOT_SUPPORTED. */
  getOffloadHandlers(handle: NdisMiniportHandle, chimneyType: number): TcpOffloadEventHandlers | null;
  /** NdisMIndicateReceiveNetBufferLists: ordinary frames, and everything the chimney does not handle. */
  indicateReceiveNetBufferLists(
    handle: NdisMiniportHandle,
    lists: NetBufferList,
    portNumber: number,
    flags: number,
  ): void;
  /** See ProtocolDriver.receiveDone. */
  indicateReceiveDone(handle: NdisMiniportHandle): void;
  /** NdisMSendNetBufferListsComplete. */
  sendNetBufferListsComplete(handle: NdisMiniportHandle, lists: NetBufferList): void;
  /** NdisMIndicateStatusEx. */
  indicateStatusEx(handle: NdisMiniportHandle, indication: StatusIndication): void;
  /** NdisMOidRequestComplete. */
  oidRequestComplete(handle: NdisMiniportHandle, request: OidRequest, status: number): void;
  /** NdisMPauseComplete. */
  pauseComplete(handle: NdisMiniportHandle): void;
  /** NdisMRestartComplete. */
  restartComplete(handle: NdisMiniportHandle, status: number): void;
  /** NdisMResetComplete. */
  resetComplete(handle: NdisMiniportHandle, status: number): void;
  /** NdisMRemoveMiniport: the device is gone. Protocols are unbound, then the driver is halted; all of it later. */
  removeMiniport(handle: NdisMiniportHandle): void;
  /** NdisIMNotifyPnPEvent: an intermediate driver passes on what it was told; the answer is that of the protocol above. */
  imNotifyPnpEvent(handle: NdisMiniportHandle, event: NetPnpEvent): number;
  /** NdisIMDeInitializeDeviceInstance: an intermediate driver's adapter goes away, with the one below it. */
  imDeinitializeDeviceInstance(handle: NdisMiniportHandle, isGone: boolean): void;

  /** NdisMInitiateOffloadComplete: with the very root that came in, like the four that follow. */
  initiateOffloadComplete(handle: NdisMiniportHandle, offloadBlockList: MiniportOffloadBlock): void;
  /** NdisMTerminateOffloadComplete. */
  terminateOffloadComplete(handle: NdisMiniportHandle, offloadBlockList: MiniportOffloadBlock): void;
  /** NdisMUpdateOffloadComplete. */
  updateOffloadComplete(handle: NdisMiniportHandle, offloadBlockList: MiniportOffloadBlock): void;
  /** NdisMQueryOffloadStateComplete. */
  queryOffloadStateComplete(handle: NdisMiniportHandle, offloadBlockList: MiniportOffloadBlock): void;
  /** NdisMInvalidateOffloadComplete. */
  invalidateOffloadComplete(handle: NdisMiniportHandle, offloadBlockList: MiniportOffloadBlock): void;
  /** NdisMOffloadEventIndicate. */
  offloadEventIndicate(
    handle: NdisMiniportHandle,
    offloadBlockList: MiniportOffloadBlock | null,
    indicationCode: number,
  ): void;
}
