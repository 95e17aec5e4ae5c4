/**
 * Registration: the four characteristics structures through which drivers name their chimney functions to NDIS.
 *
 * A miniport driver gives the two provider structures from MiniportSetOptions, a protocol driver the two client structures from
 * ProtocolSetOptions, an intermediate driver both, each with one NdisSetOptionalHandlers. The handlers of a structure are the
 * methods of one object, as a rule the driver itself. Source: chimney-ddi 6, 7.9; rules CAP-002 to CAP-008, IM-001 to IM-006.
 */

import type { NetBufferList } from '../state/net-buffer-list.ts';
import type { MiniportOffloadBlock, NdisOffloadHandle, ProtocolOffloadBlock } from './offload-block.ts';
import { NdisChimneyOffloadType } from './status.ts';

/** NDIS_OBJECT_HEADER. */
export interface NdisObjectHeader {
  readonly type: number;
  readonly revision: number;
  readonly size: number;
}

/** NDIS_OBJECT_TYPE_DEFAULT. */
export const NDIS_OBJECT_TYPE_DEFAULT = 0x80;

/** Revision of all four structures; their sizes on a 64-bit machine, bytes. By its size NDIS tells what a structure is (CAP-006). */
export const CHARACTERISTICS_REVISION_1 = 1;
export const PROVIDER_GENERIC_SIZE = 48;
export const PROVIDER_TCP_SIZE = 56;
export const CLIENT_GENERIC_SIZE = 56;
export const CLIENT_TCP_SIZE = 64;

/** The out parameter BytesConsumed. */
export interface BytesConsumed {
  value: number;
}

/** Handlers of NDIS_PROVIDER_CHIMNEY_OFFLOAD_GENERIC_CHARACTERISTICS. They store, return, and complete later. */
export interface ProviderGenericHandlers {
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
}

/**
 * Handlers of NDIS_PROVIDER_CHIMNEY_OFFLOAD_TCP_CHARACTERISTICS. `offloadContext` is the PVOID that the driver stored at
 * initiate. The first four answer PENDING and nothing else.
 */
export interface ProviderTcpHandlers {
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

/** Handlers of NDIS_CLIENT_CHIMNEY_OFFLOAD_GENERIC_CHARACTERISTICS. IM-004. */
export interface ClientGenericHandlers {
  /** ProtocolInitiateOffloadComplete. */
  initiateOffloadComplete(context: unknown, offloadBlockList: ProtocolOffloadBlock): void;
  /** ProtocolTerminateOffloadComplete. */
  terminateOffloadComplete(context: unknown, offloadBlockList: ProtocolOffloadBlock): void;
  /** ProtocolUpdateOffloadComplete. */
  updateOffloadComplete(context: unknown, offloadBlockList: ProtocolOffloadBlock): void;
  /** ProtocolQueryOffloadComplete. */
  queryOffloadComplete(context: unknown, offloadBlockList: ProtocolOffloadBlock): void;
  /** ProtocolInvalidateOffloadComplete. */
  invalidateOffloadComplete(context: unknown, offloadBlockList: ProtocolOffloadBlock): void;
  /** ProtocolIndicateOffloadEvent: a neighbor reachability query is answered inside the call, in the cached structure. */
  indicateOffloadEvent(context: unknown, offloadBlockList: ProtocolOffloadBlock | null, indicationCode: number): void;
}

/** Handlers of NDIS_CLIENT_CHIMNEY_OFFLOAD_TCP_CHARACTERISTICS, ForwardComplete included. IM-005. */
export interface ClientTcpHandlers {
  /** ProtocolTcpOffloadSendComplete. */
  tcpOffloadSendComplete(context: unknown, lists: NetBufferList): void;
  /** ProtocolTcpOffloadReceiveComplete. */
  tcpOffloadReceiveComplete(context: unknown, lists: NetBufferList): void;
  /** ProtocolTcpOffloadDisconnectComplete. The list may be null (DISC-046). */
  tcpOffloadDisconnectComplete(context: unknown, list: NetBufferList | null): void;
  /** ProtocolTcpOffloadForwardComplete. */
  tcpOffloadForwardComplete(context: unknown, lists: NetBufferList): void;
  /** ProtocolTcpOffloadEvent; `offloadContext` is the driver's own NDIS_OFFLOAD_HANDLE. */
  tcpOffloadEvent(offloadContext: NdisOffloadHandle, eventType: number, eventSpecificInformation: number): void;
  /** ProtocolTcpOffloadReceiveIndicate: SUCCESS, OFFLOAD_DATA_NOT_ACCEPTED or OFFLOAD_DATA_PARTIALLY_ACCEPTED. */
  tcpOffloadReceiveIndicate(
    offloadContext: NdisOffloadHandle,
    list: NetBufferList,
    status: number,
    bytesConsumed: BytesConsumed,
  ): number;
}

/** A characteristics structure: what all four have in common. */
export interface Characteristics<Handlers> {
  /** Revision and size count; the type does not (CAP-006). */
  readonly header: NdisObjectHeader;
  /** Reserved: zero (CAP-007). */
  readonly flags: number;
  readonly handlers: Handlers;
}

/** One that belongs to a type of chimney: the TCP structures (CAP-005, IM-006). */
export interface TypedCharacteristics<Handlers> extends Characteristics<Handlers> {
  /** NDIS_CHIMNEY_OFFLOAD_TYPE. */
  readonly offloadType: number;
}

/** What NdisSetOptionalHandlers takes. */
export type OptionalHandlers =
  | Characteristics<ProviderGenericHandlers>
  | TypedCharacteristics<ProviderTcpHandlers>
  | Characteristics<ClientGenericHandlers>
  | TypedCharacteristics<ClientTcpHandlers>;

/** What a driver is handed in MiniportSetOptions or ProtocolSetOptions; says which of the two it is. Opaque otherwise. */
export interface NdisDriverHandle {
  readonly role: 'miniport' | 'protocol';
}

/** What NDIS offers to a driver that is being registered. */
export interface NdisRegistration {
  /** NdisSetOptionalHandlers: SUCCESS, or why the structure was not taken. */
  setOptionalHandlers(handle: NdisDriverHandle, handlers: OptionalHandlers): number;
}

function headerOf(size: number): NdisObjectHeader {
  return { type: NDIS_OBJECT_TYPE_DEFAULT, revision: CHARACTERISTICS_REVISION_1, size };
}

/** NDIS_PROVIDER_CHIMNEY_OFFLOAD_GENERIC_CHARACTERISTICS of a driver. */
export function providerGeneric(handlers: ProviderGenericHandlers): Characteristics<ProviderGenericHandlers> {
  return { header: headerOf(PROVIDER_GENERIC_SIZE), flags: 0, handlers };
}

/** NDIS_PROVIDER_CHIMNEY_OFFLOAD_TCP_CHARACTERISTICS of a driver. */
export function providerTcp(handlers: ProviderTcpHandlers): TypedCharacteristics<ProviderTcpHandlers> {
  return { header: headerOf(PROVIDER_TCP_SIZE), flags: 0, offloadType: NdisChimneyOffloadType.TCP, handlers };
}

/** NDIS_CLIENT_CHIMNEY_OFFLOAD_GENERIC_CHARACTERISTICS of a driver. */
export function clientGeneric(handlers: ClientGenericHandlers): Characteristics<ClientGenericHandlers> {
  return { header: headerOf(CLIENT_GENERIC_SIZE), flags: 0, handlers };
}

/** NDIS_CLIENT_CHIMNEY_OFFLOAD_TCP_CHARACTERISTICS of a driver. */
export function clientTcp(handlers: ClientTcpHandlers): TypedCharacteristics<ClientTcpHandlers> {
  return { header: headerOf(CLIENT_TCP_SIZE), flags: 0, offloadType: NdisChimneyOffloadType.TCP, handlers };
}
