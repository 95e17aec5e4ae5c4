/**
 * Several taps on one binding: calls each of them in the order in which they were attached.
 *
 * Promises: taps that come or go while an event is being shown take effect with the next event.
 */

import type { NetBufferList } from '../state/net-buffer-list.ts';
import type { NdisOffloadHandle, OffloadBlock } from './offload-block.ts';
import type { OidRequest } from './parameters.ts';
import type { NetPnpEvent, StatusIndication } from './protocol.ts';
import type { BindingTap, DataOperation, StateOperation } from './tap.ts';

/** The tap that a binding carries when it has more than one. */
export class TapFanOut implements BindingTap {
  readonly taps: readonly BindingTap[];

  constructor(taps: readonly BindingTap[]) {
    this.taps = taps;
  }

  opened(adapterName: string, protocolName: string, isLate: boolean): void {
    for (const tap of this.taps) tap.opened(adapterName, protocolName, isLate);
  }

  closing(): void {
    for (const tap of this.taps) tap.closing();
  }

  closed(): void {
    for (const tap of this.taps) tap.closed();
  }

  givenUp(isOwn: boolean): void {
    for (const tap of this.taps) tap.givenUp(isOwn);
  }

  stateCall(operation: StateOperation, root: OffloadBlock): void {
    for (const tap of this.taps) tap.stateCall(operation, root);
  }

  stateCallDone(operation: StateOperation, root: OffloadBlock): void {
    for (const tap of this.taps) tap.stateCallDone(operation, root);
  }

  stateComplete(operation: StateOperation, root: OffloadBlock): void {
    for (const tap of this.taps) tap.stateComplete(operation, root);
  }

  stateCompleteDone(operation: StateOperation, root: OffloadBlock): void {
    for (const tap of this.taps) tap.stateCompleteDone(operation, root);
  }

  dataCall(operation: DataOperation, handle: NdisOffloadHandle, lists: NetBufferList, flags: number): void {
    for (const tap of this.taps) tap.dataCall(operation, handle, lists, flags);
  }

  dataCallDone(operation: DataOperation, handle: NdisOffloadHandle, status: number): void {
    for (const tap of this.taps) tap.dataCallDone(operation, handle, status);
  }

  dataComplete(operation: DataOperation, lists: NetBufferList | null): void {
    for (const tap of this.taps) tap.dataComplete(operation, lists);
  }

  dataCompleteDone(operation: DataOperation): void {
    for (const tap of this.taps) tap.dataCompleteDone(operation);
  }

  receiveReturn(lists: NetBufferList): void {
    for (const tap of this.taps) tap.receiveReturn(lists);
  }

  receiveReturnDone(status: number): void {
    for (const tap of this.taps) tap.receiveReturnDone(status);
  }

  receiveIndicate(handle: NdisOffloadHandle, list: NetBufferList, status: number): void {
    for (const tap of this.taps) tap.receiveIndicate(handle, list, status);
  }

  receiveIndicateDone(handle: NdisOffloadHandle, list: NetBufferList, answer: number, bytesConsumed: number): void {
    for (const tap of this.taps) tap.receiveIndicateDone(handle, list, answer, bytesConsumed);
  }

  tcpEvent(handle: NdisOffloadHandle, eventType: number, eventSpecificInformation: number): void {
    for (const tap of this.taps) tap.tcpEvent(handle, eventType, eventSpecificInformation);
  }

  tcpEventDone(handle: NdisOffloadHandle, eventType: number, eventSpecificInformation: number): void {
    for (const tap of this.taps) tap.tcpEventDone(handle, eventType, eventSpecificInformation);
  }

  offloadEvent(block: OffloadBlock | null, indicationCode: number): void {
    for (const tap of this.taps) tap.offloadEvent(block, indicationCode);
  }

  offloadEventDone(block: OffloadBlock | null, indicationCode: number): void {
    for (const tap of this.taps) tap.offloadEventDone(block, indicationCode);
  }

  status(indication: StatusIndication): void {
    for (const tap of this.taps) tap.status(indication);
  }

  statusDone(indication: StatusIndication): void {
    for (const tap of this.taps) tap.statusDone(indication);
  }

  netPnpEvent(event: NetPnpEvent): void {
    for (const tap of this.taps) tap.netPnpEvent(event);
  }

  unbinding(isGone: boolean): void {
    for (const tap of this.taps) tap.unbinding(isGone);
  }

  oidRequest(request: OidRequest): void {
    for (const tap of this.taps) tap.oidRequest(request);
  }

  oidRequestDone(request: OidRequest, status: number): void {
    for (const tap of this.taps) tap.oidRequestDone(request, status);
  }

  oidRequestComplete(request: OidRequest, status: number): void {
    for (const tap of this.taps) tap.oidRequestComplete(request, status);
  }

  oidRequestCompleteDone(request: OidRequest, status: number): void {
    for (const tap of this.taps) tap.oidRequestCompleteDone(request, status);
  }

  sendFrames(lists: NetBufferList): void {
    for (const tap of this.taps) tap.sendFrames(lists);
  }

  sendFramesComplete(lists: NetBufferList): void {
    for (const tap of this.taps) tap.sendFramesComplete(lists);
  }

  receiveFrames(lists: NetBufferList, flags: number): void {
    for (const tap of this.taps) tap.receiveFrames(lists, flags);
  }

  returnFrames(lists: NetBufferList): void {
    for (const tap of this.taps) tap.returnFrames(lists);
  }
}
