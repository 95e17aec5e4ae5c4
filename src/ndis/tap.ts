/**
 * Observers of a binding: what the verifier and the operation trace see of the traffic between an upper driver and an adapter.
 *
 * A tap sits on the junction between the protocol above and the adapter below. Every method but the frames' comes in pairs,
 * before and after the driver's own function runs, so that nesting can be told. Promises: with no tap attached the library
 * makes one null test a call; a tap only looks, and must not throw. Blocks are shown with the upper face filled in, that of
 * the driver above this junction.
 */

import type { NetBufferList } from '../state/net-buffer-list.ts';
import type { NdisOffloadHandle, OffloadBlock } from './offload-block.ts';
import type { OidRequest } from './parameters.ts';
import type { NetPnpEvent, StatusIndication } from './protocol.ts';

/** The five operations on state trees. */
export const StateOperation = { INITIATE: 0, TERMINATE: 1, UPDATE: 2, QUERY: 3, INVALIDATE: 4 } as const;
export type StateOperation = (typeof StateOperation)[keyof typeof StateOperation];

/** The four data calls that have a completion. */
export const DataOperation = { SEND: 0, RECEIVE: 1, DISCONNECT: 2, FORWARD: 3 } as const;
export type DataOperation = (typeof DataOperation)[keyof typeof DataOperation];

/** The name of each call, by {@link StateOperation}, for messages. */
export const STATE_CALL_NAMES: readonly string[] = [
  'NdisInitiateOffload',
  'NdisTerminateOffload',
  'NdisUpdateOffload',
  'NdisQueryOffloadState',
  'NdisInvalidateOffload',
];

/** The name of each completion, by {@link StateOperation}. */
export const STATE_COMPLETION_NAMES: readonly string[] = [
  'NdisMInitiateOffloadComplete',
  'NdisMTerminateOffloadComplete',
  'NdisMUpdateOffloadComplete',
  'NdisMQueryOffloadStateComplete',
  'NdisMInvalidateOffloadComplete',
];

/** The name of each data call, by {@link DataOperation}. */
export const DATA_CALL_NAMES: readonly string[] = [
  'NdisOffloadTcpSend',
  'NdisOffloadTcpReceive',
  'NdisOffloadTcpDisconnect',
  'NdisOffloadTcpForward',
];

/** The name of each data completion, by {@link DataOperation}. */
export const DATA_COMPLETION_NAMES: readonly string[] = [
  'NdisTcpOffloadSendComplete',
  'NdisTcpOffloadReceiveComplete',
  'NdisTcpOffloadDisconnectComplete',
  'NdisTcpOffloadForwardComplete',
];

/** What a tap implements. `...Done` follows when the other driver's function has returned. */
export interface BindingTap {
  /** The protocol named so has opened the adapter; `isLate`: some time ago, the tap has only come now. */
  opened(adapterName: string, protocolName: string, isLate: boolean): void;
  /** NdisCloseAdapterEx was called. */
  closing(): void;
  /** The binding is closed: the last call. */
  closed(): void;
  /**
   * The driver below (`isOwn`), or one further down, hangs and was given up: the last call, too. What it has is lost; NDIS answers for it.
   */
  givenUp(isOwn: boolean): void;

  stateCall(operation: StateOperation, root: OffloadBlock): void;
  /** `root` for identity only: it may be completed, and gone, by now. */
  stateCallDone(operation: StateOperation, root: OffloadBlock): void;
  /** Before the protocol sees it; the slots of terminated objects still hold what they held. */
  stateComplete(operation: StateOperation, root: OffloadBlock): void;
  stateCompleteDone(operation: StateOperation, root: OffloadBlock): void;

  /** `flags` of a disconnect, else 0. */
  dataCall(operation: DataOperation, handle: NdisOffloadHandle, lists: NetBufferList, flags: number): void;
  /** `status` is what the driver below answered. */
  dataCallDone(operation: DataOperation, handle: NdisOffloadHandle, status: number): void;
  /** A disconnect may be completed with null. */
  dataComplete(operation: DataOperation, lists: NetBufferList | null): void;
  dataCompleteDone(operation: DataOperation): void;

  receiveReturn(lists: NetBufferList): void;
  receiveReturnDone(status: number): void;

  receiveIndicate(handle: NdisOffloadHandle, list: NetBufferList, status: number): void;
  receiveIndicateDone(handle: NdisOffloadHandle, list: NetBufferList, answer: number, bytesConsumed: number): void;
  tcpEvent(handle: NdisOffloadHandle, eventType: number, eventSpecificInformation: number): void;
  tcpEventDone(handle: NdisOffloadHandle, eventType: number, eventSpecificInformation: number): void;
  offloadEvent(block: OffloadBlock | null, indicationCode: number): void;
  offloadEventDone(block: OffloadBlock | null, indicationCode: number): void;
  status(indication: StatusIndication): void;
  statusDone(indication: StatusIndication): void;

  /** ProtocolNetPnPEvent is about to be called. */
  netPnpEvent(event: NetPnpEvent): void;
  /** Likewise ProtocolUnbindAdapterEx. */
  unbinding(isGone: boolean): void;

  oidRequest(request: OidRequest): void;
  oidRequestDone(request: OidRequest, status: number): void;
  oidRequestComplete(request: OidRequest, status: number): void;
  oidRequestCompleteDone(request: OidRequest, status: number): void;

  // Ordinary frames, seen before they are passed on.
  sendFrames(lists: NetBufferList): void;
  sendFramesComplete(lists: NetBufferList): void;
  receiveFrames(lists: NetBufferList, flags: number): void;
  returnFrames(lists: NetBufferList): void;
}

/** A tap that looks at nothing: to be extended by taps that look at some things. */
export class IdleTap implements BindingTap {
  opened(_adapterName: string, _protocolName: string, _isLate: boolean): void {}
  closing(): void {}
  closed(): void {}
  givenUp(_isOwn: boolean): void {}
  stateCall(_operation: StateOperation, _root: OffloadBlock): void {}
  stateCallDone(_operation: StateOperation, _root: OffloadBlock): void {}
  stateComplete(_operation: StateOperation, _root: OffloadBlock): void {}
  stateCompleteDone(_operation: StateOperation, _root: OffloadBlock): void {}
  dataCall(_operation: DataOperation, _handle: NdisOffloadHandle, _lists: NetBufferList, _flags: number): void {}
  dataCallDone(_operation: DataOperation, _handle: NdisOffloadHandle, _status: number): void {}
  dataComplete(_operation: DataOperation, _lists: NetBufferList | null): void {}
  dataCompleteDone(_operation: DataOperation): void {}
  receiveReturn(_lists: NetBufferList): void {}
  receiveReturnDone(_status: number): void {}
  receiveIndicate(_handle: NdisOffloadHandle, _list: NetBufferList, _status: number): void {}
  receiveIndicateDone(_handle: NdisOffloadHandle, _list: NetBufferList, _answer: number, _consumed: number): void {}
  tcpEvent(_handle: NdisOffloadHandle, _eventType: number, _information: number): void {}
  tcpEventDone(_handle: NdisOffloadHandle, _eventType: number, _information: number): void {}
  offloadEvent(_block: OffloadBlock | null, _indicationCode: number): void {}
  offloadEventDone(_block: OffloadBlock | null, _indicationCode: number): void {}
  status(_indication: StatusIndication): void {}
  statusDone(_indication: StatusIndication): void {}
  netPnpEvent(_event: NetPnpEvent): void {}
  unbinding(_isGone: boolean): void {}
  oidRequest(_request: OidRequest): void {}
  oidRequestDone(_request: OidRequest, _status: number): void {}
  oidRequestComplete(_request: OidRequest, _status: number): void {}
  oidRequestCompleteDone(_request: OidRequest, _status: number): void {}
  sendFrames(_lists: NetBufferList): void {}
  sendFramesComplete(_lists: NetBufferList): void {}
  receiveFrames(_lists: NetBufferList, _flags: number): void {}
  returnFrames(_lists: NetBufferList): void {}
}
