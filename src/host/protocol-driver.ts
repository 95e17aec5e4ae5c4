/**
 * The host stack as a protocol driver: what NDIS calls, handed on to the part that it is for.
 *
 * Frames go to the IP layer, completions of frames likewise (and wake senders that waited for a buffer), everything of the
 * chimney to the chimney client, status indications to both. Nothing is decided here. Sources: chimney-ddi 2 to 5, CAP-001 and following.
 */

import {
  type BytesConsumed,
  clientGeneric,
  clientTcp,
  type NdisBindingHandle,
  type NdisDriverHandle,
  type NdisOffloadHandle,
  type NdisRegistration,
  NdisStatus,
  type NetPnpEvent,
  NetPnpEventCode,
  type OidRequest,
  type ProtocolDriver,
  type ProtocolOffloadBlock,
  type StatusIndication,
} from '../ndis/protocol.ts';
import type { NetBufferList } from '../state/net-buffer-list.ts';
import type { ChimneyClient } from './chimney/client.ts';
import type { OidRequests } from './oid-requests.ts';
import type { IpLayer } from './path/ip-layer.ts';
import type { Interface } from './path/types.ts';
import type { TcpTransport } from './transport/tcp-transport.ts';

/** ProtocolBindingContext of one interface: filled as soon as the interface is attached. */
export class HostBinding {
  iface: Interface | null = null;

  /** The handle that NDIS knows the binding by. */
  get handle(): NdisBindingHandle {
    return this.iface!.binding!;
  }
}

/** The parts of a host stack that the driver calls. */
export interface HostProtocolParts {
  readonly ip: IpLayer;
  readonly tcp: TcpTransport;
  readonly chimney: ChimneyClient;
  readonly oids: OidRequests;
  /** Gives an interface up. */
  detachInterface(iface: Interface): Promise<void>;
  completeNetPnpEvent(binding: NdisBindingHandle, event: NetPnpEvent): void;
}

/** ProtocolXxx of the host stack, for all its bindings. */
export class HostProtocol implements ProtocolDriver {
  readonly name: string;
  readonly hasChimney: boolean;
  readonly #ip: IpLayer;
  readonly #tcp: TcpTransport;
  readonly #chimney: ChimneyClient;
  readonly #oids: OidRequests;
  readonly #parts: HostProtocolParts;

  /** `hasChimney` false: the stack never offloads, and drivers below see a protocol without chimney. */
  constructor(name: string, parts: HostProtocolParts, hasChimney = true) {
    this.name = name;
    this.hasChimney = hasChimney;
    this.#parts = parts;
    this.#ip = parts.ip;
    this.#tcp = parts.tcp;
    this.#chimney = parts.chimney;
    this.#oids = parts.oids;
  }

  /** ProtocolSetOptions. */
  setOptions(handle: NdisDriverHandle, ndis: NdisRegistration): number {
    if (!this.hasChimney) return NdisStatus.SUCCESS;
    const status = ndis.setOptionalHandlers(handle, clientGeneric(this));
    return status === NdisStatus.SUCCESS ? ndis.setOptionalHandlers(handle, clientTcp(this)) : status;
  }

  receiveNetBufferLists(context: unknown, lists: NetBufferList, _portNumber: number, flags: number): void {
    const { iface } = context as HostBinding;
    if (iface !== null) this.#ip.receiveNetBufferLists(iface, lists, flags);
  }

  receiveDone(context: unknown): void {
    const { iface } = context as HostBinding;
    if (iface === null) return;
    this.#chimney.receiveDone();
    this.#ip.receiveDone(iface);
  }

  sendNetBufferListsComplete(context: unknown, lists: NetBufferList): void {
    this.#ip.sendComplete(lists);
    const { iface } = context as HostBinding;
    if (iface !== null) this.#tcp.writable(iface);
  }

  statusEx(context: unknown, indication: StatusIndication): void {
    const { iface } = context as HostBinding;
    if (iface === null) return;
    const { statusCode } = indication;
    if (statusCode === NdisStatus.LINK_STATE_UP) this.#ip.linkState(iface, true);
    else if (statusCode === NdisStatus.LINK_STATE_DOWN) this.#ip.linkState(iface, false);
    else if (statusCode === NdisStatus.NETWORK_CHANGE) this.#ip.announce(iface);
    else if (statusCode === NdisStatus.L2_MTU_SIZE_CHANGE) this.#ip.linkMtu(iface, indication.statusBuffer as number);
    this.#chimney.statusEx(iface.binding!, indication);
  }

  /** ProtocolNetPnPEvent: a pause is answered when everything has come back. */
  netPnpEvent(context: unknown, event: NetPnpEvent): number {
    const { iface } = context as HostBinding;
    const binding = iface?.binding ?? null;
    if (binding === null) return NdisStatus.SUCCESS;
    switch (event.code) {
      case NetPnpEventCode.MEDIA_DISCONNECT:
        this.#chimney.mediaLost(binding);
        return NdisStatus.SUCCESS;
      case NetPnpEventCode.PAUSE:
        void this.#chimney
          .suspend(binding, event.reason ?? 'pause')
          .then(() => this.#parts.completeNetPnpEvent(binding, event));
        return NdisStatus.PENDING;
      case NetPnpEventCode.RESTART:
        this.#ip.resumed(iface!);
        this.#chimney.resume(binding, 'pause');
        this.#chimney.resume(binding, 'reset');
        return NdisStatus.SUCCESS;
    }
  }

  /** ProtocolUnbindAdapterEx: the binding is closed once everything has come back. */
  unbindAdapterEx(context: unknown, _isGone: boolean): void {
    const { iface } = context as HostBinding;
    if (iface !== null) void this.#parts.detachInterface(iface);
  }

  oidRequestComplete(context: unknown, request: OidRequest, status: number): void {
    if (this.#oids.complete(request, status)) return;
    this.#chimney.oidRequestComplete((context as HostBinding).handle, request, status);
  }

  initiateOffloadComplete(context: unknown, offloadBlockList: ProtocolOffloadBlock): void {
    this.#chimney.initiateOffloadComplete((context as HostBinding).handle, offloadBlockList);
  }

  terminateOffloadComplete(context: unknown, offloadBlockList: ProtocolOffloadBlock): void {
    this.#chimney.terminateOffloadComplete((context as HostBinding).handle, offloadBlockList);
  }

  updateOffloadComplete(context: unknown, offloadBlockList: ProtocolOffloadBlock): void {
    this.#chimney.updateOffloadComplete((context as HostBinding).handle, offloadBlockList);
  }

  queryOffloadComplete(context: unknown, offloadBlockList: ProtocolOffloadBlock): void {
    this.#chimney.queryOffloadComplete((context as HostBinding).handle, offloadBlockList);
  }

  invalidateOffloadComplete(context: unknown, offloadBlockList: ProtocolOffloadBlock): void {
    this.#chimney.invalidateOffloadComplete((context as HostBinding).handle, offloadBlockList);
  }

  indicateOffloadEvent(context: unknown, offloadBlockList: ProtocolOffloadBlock | null, indicationCode: number): void {
    this.#chimney.indicateOffloadEvent((context as HostBinding).handle, offloadBlockList, indicationCode);
  }

  tcpOffloadSendComplete(_context: unknown, lists: NetBufferList): void {
    this.#chimney.tcpOffloadSendComplete(lists);
  }

  tcpOffloadReceiveComplete(_context: unknown, lists: NetBufferList): void {
    this.#chimney.tcpOffloadReceiveComplete(lists);
  }

  tcpOffloadDisconnectComplete(_context: unknown, list: NetBufferList | null): void {
    // DISC-046: nothing can be learned from a completion without a list.
    if (list !== null) this.#chimney.tcpOffloadDisconnectComplete(list);
  }

  tcpOffloadForwardComplete(_context: unknown, lists: NetBufferList): void {
    this.#chimney.tcpOffloadForwardComplete(lists);
  }

  tcpOffloadEvent(offloadContext: NdisOffloadHandle, eventType: number, eventSpecificInformation: number): void {
    this.#chimney.tcpOffloadEvent(offloadContext, eventType, eventSpecificInformation);
  }

  tcpOffloadReceiveIndicate(
    offloadContext: NdisOffloadHandle,
    list: NetBufferList,
    _status: number,
    bytesConsumed: BytesConsumed,
  ): number {
    return this.#chimney.tcpOffloadReceiveIndicate(offloadContext, list, bytesConsumed);
  }
}
