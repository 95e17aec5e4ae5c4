/**
 * The upper door of the flue: what a driver that sits above another (the host stack, or the upper half of an intermediate
 * driver) calls, and what it provides to be called.
 *
 * The object and its method together spell the DDI name: `ndis.initiateOffload` is NdisInitiateOffload,
 * `protocol.initiateOffloadComplete` is ProtocolInitiateOffloadComplete. Sources: chimney-ddi 2, 3.1, 3.4, 4, 5.
 */

import type { NetBufferList } from '../state/net-buffer-list.ts';
import type {
  ClientGenericHandlers,
  ClientTcpHandlers,
  NdisDriverHandle,
  NdisRegistration,
} from './characteristics.ts';
import type { NdisOffloadHandle, ProtocolOffloadBlock } from './offload-block.ts';
import type { OidRequest } from './parameters.ts';
import type { NetPnpEventCode } from './status.ts';
import type { BindingTap } from './tap.ts';

export {
  type BytesConsumed,
  type Characteristics,
  type ClientGenericHandlers,
  type ClientTcpHandlers,
  clientGeneric,
  clientTcp,
  NDIS_OBJECT_TYPE_DEFAULT,
  type NdisDriverHandle,
  type NdisObjectHeader,
  type NdisRegistration,
  type OptionalHandlers,
  type TypedCharacteristics,
} from './characteristics.ts';
export { NdisOffloadHandle, OffloadBlock, type ProtocolOffloadBlock } from './offload-block.ts';
export { FamilyStatistics } from './offload-statistics.ts';
export { addressText, OperationTrace, type OperationTraceOptions } from './operation-trace.ts';
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
  IndicateOffloadEvent,
  isMandatoryUploadReason,
  NdisChimneyOffloadType,
  NdisStatus,
  NetPnpEventCode,
  ndisStatusName,
  OffloadStateType,
  Oid,
  TcpDisconnectFlag,
  TcpOffloadEventType,
  TcpUploadReason,
} from './status.ts';
export {
  type BindingTap,
  DATA_CALL_NAMES,
  DATA_COMPLETION_NAMES,
  DataOperation,
  IdleTap,
  STATE_CALL_NAMES,
  STATE_COMPLETION_NAMES,
  StateOperation,
} from './tap.ts';
export { BlockLayer, BlockWalk, forEachBlock, layerOf } from './walk.ts';

/** What NdisOpenAdapterEx answers: names one protocol bound to one adapter. Opaque above NDIS. */
export interface NdisBindingHandle {
  /** Name of the adapter below, for messages. */
  readonly adapterName: string;
}

/** Facts about the adapter that the protocol learns when it opens it (NDIS_BIND_PARAMETERS). */
export interface AdapterAttributes {
  readonly name: string;
  readonly medium: 'ethernet' | 'ip';
  /** Bytes of IP packet. */
  readonly mtu: number;
  /** Six bytes; all zero on an 'ip' medium. */
  readonly macAddress: Uint8Array;
  /**
   * Largest IP packet that may be sent with `NetBufferList.largeSendMss` (NDIS_TCP_LARGE_SEND_OFFLOAD MaxOffLoadSize); 0 or absent:
   * every frame is sent complete, checksum and all.
   */
  readonly largeSendBytes?: number;
  /**
   * The same for TCP over IPv4, where it is more than an IP header can say: the total length in the header is 0 then (BIG TCP of Linux),
   * and the text is in MDLs of its own. A driver that looks into packets or copies them does not pass it on. Absent: largeSendBytes is all.
   */
  readonly bigSendBytes?: number;
  /** Whether such a packet may be UDP, too: one that stands for several datagrams (USO). Absent: TCP only. */
  readonly largeDatagrams?: boolean;
}

/** An NDIS status indication (NDIS_STATUS_INDICATION). */
export interface StatusIndication {
  readonly statusCode: number;
  readonly statusBuffer?: unknown;
}

/** NET_PNP_EVENT_NOTIFICATION. Who answered PENDING completes with the very same one. */
export interface NetPnpEvent {
  readonly code: NetPnpEventCode;
  /** Of a PAUSE: why. */
  readonly reason?: 'pause' | 'reset';
}

/** Receive flag NDIS_RECEIVE_FLAGS_RESOURCES: the lists are borrowed for the call and are not returned. */
export const NDIS_RECEIVE_FLAGS_RESOURCES = 1;

/** Functions NDIS offers to protocol drivers. */
export interface NdisForProtocol {
  /** NdisOpenAdapterEx. Throws when there is no such adapter. */
  openAdapterEx(protocol: ProtocolDriver, protocolBindingContext: unknown, adapterName: string): NdisBindingHandle;
  /** NdisCloseAdapterEx. Answers only once every accepted receive list has been returned (RECV-086): PENDING until then. */
  closeAdapterEx(binding: NdisBindingHandle, onClosed: () => void): void;
  adapterAttributes(binding: NdisBindingHandle): AdapterAttributes;
  /** NdisCompleteNetPnPEvent: of an event that was answered PENDING. */
  completeNetPnpEvent(binding: NdisBindingHandle, event: NetPnpEvent, status: number): void;
  /** NdisOidRequest: a status, or PENDING and then ProtocolOidRequestComplete. */
  oidRequest(binding: NdisBindingHandle, request: OidRequest): number;

  /**
   * Seats an observer at a binding: it sees whatever passes between the protocol and the adapter. Several may sit there. Answers a
   * function that takes it away again. (Chimney's own: the way of the verifier and of captures.)
   */
  observe(binding: NdisBindingHandle, tap: BindingTap): () => void;

  // Ordinary frames, one NET_BUFFER a list.
  /** NdisSendNetBufferLists: completed by ProtocolSendNetBufferListsComplete, possibly before it returns. */
  sendNetBufferLists(binding: NdisBindingHandle, lists: NetBufferList, portNumber: number): void;
  /** NdisReturnNetBufferLists: gives back ordinary indications that were not indicated with RESOURCES. */
  returnNetBufferLists(binding: NdisBindingHandle, lists: NetBufferList): void;

  // State manipulation: stored below and completed later, never from inside.
  /**
   * Tells the driver that an initiate or a terminate is near. True: it gets ready for that, and `onReady` is called in a moment; false: it
   * is ready. (Chimney's own.)
   */
  offloadExpected?(binding: NdisBindingHandle, onReady: () => void): boolean;
  /** NdisInitiateOffload. */
  initiateOffload(binding: NdisBindingHandle, offloadBlockList: ProtocolOffloadBlock): void;
  /** NdisTerminateOffload. */
  terminateOffload(binding: NdisBindingHandle, offloadBlockList: ProtocolOffloadBlock): void;
  /** NdisUpdateOffload. */
  updateOffload(binding: NdisBindingHandle, offloadBlockList: ProtocolOffloadBlock): void;
  /** NdisQueryOffloadState. */
  queryOffloadState(binding: NdisBindingHandle, offloadBlockList: ProtocolOffloadBlock): void;
  /** NdisInvalidateOffload. */
  invalidateOffload(binding: NdisBindingHandle, offloadBlockList: ProtocolOffloadBlock): void;

  // Data: the handle is the caller's own, of the connection. All but the last answer PENDING, always.
  /** NdisOffloadTcpSend. */
  offloadTcpSend(handle: NdisOffloadHandle, lists: NetBufferList): number;
  /** NdisOffloadTcpReceive. */
  offloadTcpReceive(handle: NdisOffloadHandle, lists: NetBufferList): number;
  /** NdisOffloadTcpDisconnect; `flags` is a TcpDisconnectFlag, `list` a single list with a single buffer. */
  offloadTcpDisconnect(handle: NdisOffloadHandle, list: NetBufferList, flags: number): number;
  /** NdisOffloadTcpForward: one TCP segment a list, beginning with the TCP header. */
  offloadTcpForward(handle: NdisOffloadHandle, lists: NetBufferList): number;
  /** NdisOffloadTcpReceiveReturn: synchronous, SUCCESS; takes the binding, as lists of several connections may be chained. */
  offloadTcpReceiveReturn(binding: NdisBindingHandle, lists: NetBufferList): number;
}

/** What a protocol driver provides. `context` is the one it gave to openAdapterEx. */
export interface ProtocolDriver extends ClientGenericHandlers, ClientTcpHandlers {
  readonly name: string;
  /** Whether it names chimney functions in ProtocolSetOptions. Without: no chimney through it. */
  readonly hasChimney: boolean;

  /**
   * ProtocolSetOptions, called before its first adapter is opened: two `ndis.setOptionalHandlers`, with the generic and the TCP
   * client structure (IM-003). Without it NDIS goes by `hasChimney`. An intermediate driver is asked twice, in either role.
   */
  setOptions?(handle: NdisDriverHandle, ndis: NdisRegistration): number;

  /** ProtocolReceiveNetBufferLists: frames; with RESOURCES in `flags` they are borrowed for the call. */
  receiveNetBufferLists(context: unknown, lists: NetBufferList, portNumber: number, flags: number): void;
  /** Nothing more has arrived for now; once a batch (Chimney's own, so that ACKs and doorbells are batched). */
  receiveDone(context: unknown): void;
  /** ProtocolSendNetBufferListsComplete. */
  sendNetBufferListsComplete(context: unknown, lists: NetBufferList): void;
  /** ProtocolStatusEx: pause, resume, upload all, link state. */
  statusEx(context: unknown, indication: StatusIndication): void;
  /** ProtocolOidRequestComplete. */
  oidRequestComplete(context: unknown, request: OidRequest, status: number): void;
  /**
   * ProtocolNetPnPEvent: SUCCESS, or PENDING and then `ndis.completeNetPnpEvent`. While the answer to a PAUSE is pending the adapter
   * works as before. A protocol without the function takes note of nothing.
   */
  netPnpEvent?(context: unknown, event: NetPnpEvent): number;
  /**
   * ProtocolUnbindAdapterEx: the adapter goes away. The protocol takes everything back, then closes the binding, now or later; the
   * adapter is not halted before. `isGone`: the device is gone already, nothing that is sent will leave. A protocol without the
   * function closes when it likes.
   */
  unbindAdapterEx?(context: unknown, isGone: boolean): void;
}
