/**
 * The lower door of the flue: what an offload target (or the lower half of an intermediate driver) provides to be called, and
 * what it calls.
 *
 * `miniport.initiateOffload` is MiniportInitiateOffload, `ndisM.initiateOffloadComplete` is NdisMInitiateOffloadComplete,
 * `ndis.tcpOffloadSendComplete` is NdisTcpOffloadSendComplete. Sources: chimney-ddi 2, 3.2, 3.3, 4, 5, 6.
 */

import type { NetBufferList } from '../state/net-buffer-list.ts';
import type { MiniportOffloadBlock, NdisOffloadHandle } from './offload-block.ts';
import type { OidRequest } from './parameters.ts';
import type { AdapterAttributes, BytesConsumed, StatusIndication } from './protocol.ts';

export { presetInitiateStatuses, settledStatus, settleInitiateStatuses, wasOffloaded } from './initiate-status.ts';
export { isKnownRevision, type MiniportOffloadBlock, NdisOffloadHandle, OffloadBlock } from './offload-block.ts';
export {
  DEFAULT_OFFLOAD_PARAMETERS,
  type IpOffloadStats,
  type OidRequest,
  type TcpConnectionOffloadCapabilities,
  type TcpConnectionOffloadParameters,
  type TcpOffloadStats,
} from './parameters.ts';
export {
  type AdapterAttributes,
  type BytesConsumed,
  NDIS_RECEIVE_FLAGS_RESOURCES,
  type StatusIndication,
} from './protocol.ts';
export {
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

/** What a miniport driver provides. `context` is its MiniportAdapterContext. Offload entries store, return, and complete later. */
export interface MiniportDriver {
  readonly attributes: AdapterAttributes;
  /** Whether it registered NDIS_PROVIDER_CHIMNEY_OFFLOAD_*_CHARACTERISTICS (NdisSetOptionalHandlers in MiniportSetOptions). */
  readonly hasChimney: boolean;

  /**
   * MiniportInitializeEx: takes its handle, calls `ndisM.setMiniportAttributes` with its adapter context and, if it has a
   * chimney, `ndisM.getOffloadHandlers`. Answers a status.
   */
  initializeEx(handle: NdisMiniportHandle, ndisM: NdisM): number;
  /** MiniportHaltEx: after it nothing more is called or indicated. Not before every indicated list is back. */
  haltEx(context: unknown): void | Promise<void>;
  /** MiniportOidRequest: a status, or PENDING and then `ndisM.oidRequestComplete`. */
  oidRequest(context: unknown, request: OidRequest): number;

  /** MiniportSendNetBufferLists: ordinary frames; completed with `ndisM.sendNetBufferListsComplete`, possibly from inside. */
  sendNetBufferLists(context: unknown, lists: NetBufferList, portNumber: number): void;
  /** MiniportReturnNetBufferLists. */
  returnNetBufferLists(context: unknown, lists: NetBufferList): void;

  /** MiniportInitiateOffload. */
  initiateOffload(context: unknown, offloadBlockList: MiniportOffloadBlock): void;
  /** MiniportTerminateOffload. */
  terminateOffload(context: unknown, offloadBlockList: MiniportOffloadBlock): void;
  /** MiniportUpdateOffload. */
  updateOffload(context: unknown, offloadBlockList: MiniportOffloadBlock): void;
  /** MiniportQueryOffload. */
  queryOffload(context: unknown, offloadBlockList: MiniportOffloadBlock): void;
  /** MiniportInvalidateOffload. */
  invalidateOffload(context: unknown, offloadBlockList: MiniportOffloadBlock): void;

  // `offloadContext` is the PVOID that the driver stored at initiate. The first four answer PENDING and nothing else.
  /** MiniportTcpOffloadSend. */
  tcpOffloadSend(context: unknown, offloadContext: unknown, lists: NetBufferList): number;
  /** MiniportTcpOffloadReceive. */
  tcpOffloadReceive(context: unknown, offloadContext: unknown, lists: NetBufferList): number;
  /** MiniportTcpOffloadDisconnect. */
  tcpOffloadDisconnect(context: unknown, offloadContext: unknown, list: NetBufferList, flags: number): number;
  /** MiniportTcpOffloadForward. */
  tcpOffloadForward(context: unknown, offloadContext: unknown, lists: NetBufferList): number;
  /** MiniportTcpOffloadReceiveReturn: SUCCESS, synchronously. */
  tcpOffloadReceiveReturn(context: unknown, lists: NetBufferList): number;
}

/** NDIS_TCP_OFFLOAD_EVENT_HANDLERS: what a target gets from NdisMGetOffloadHandlers; the `ndis` of the target's calls. */
export interface TcpOffloadEventHandlers {
  readonly header: { readonly type: number; readonly revision: number; readonly size: number };
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
  tcpOffloadDisconnectComplete(handle: NdisMiniportHandle, list: NetBufferList): void;
  /** NdisTcpOffloadForwardComplete. */
  tcpOffloadForwardComplete(handle: NdisMiniportHandle, lists: NetBufferList): void;
}

/** Revision and size a target checks before it uses the handlers (CAP-012). */
export const NDIS_TCP_OFFLOAD_EVENT_HANDLERS_REVISION_1 = 1;
export const NDIS_TCP_OFFLOAD_EVENT_HANDLERS_SIZE = 56;

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
