/**
 * One IP layer on a fake NDIS: what the tests of the IP layer run on. Frames go in as bytes and come out as bytes.
 *
 * `Station` is the stack under test, at MAC 02:00:00:00:00:01; the tests play everybody else on the link.
 */

import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import type { IpOptions } from '../../src/host/path/context.ts';
import { IpLayer } from '../../src/host/path/ip-layer.ts';
import type { Interface, InterfaceConfig } from '../../src/host/path/types.ts';
import { IcmpError, type PathEntry, type RxPacket, type UpperProtocol } from '../../src/host/path/types.ts';
import {
  type AdapterAttributes,
  NDIS_RECEIVE_FLAGS_RESOURCES,
  type NdisBindingHandle,
  type NdisForProtocol,
  type ProtocolDriver,
} from '../../src/ndis/protocol.ts';
import { copyFromNetBuffer, Mdl, NetBuffer, NetBufferList } from '../../src/state/net-buffer-list.ts';
import type { EventName } from '../../src/trace/events.ts';
import { Trace } from '../../src/trace/trace.ts';
import { type IpAddress, parseIp } from '../../src/wire/ip-address.ts';

export const OUR_MAC: Uint8Array = new Uint8Array([2, 0, 0, 0, 0, 1]);
export const PEER_MAC: Uint8Array = new Uint8Array([2, 0, 0, 0, 0, 2]);
export const ROUTER_MAC: Uint8Array = new Uint8Array([2, 0, 0, 0, 0, 0xfe]);
export const OUR4 = '10.0.0.1';
export const PEER4 = '10.0.0.2';
export const OUR6 = 'fd00::1';
export const PEER6 = 'fd00::2';

/** An address that is right because a test wrote it. */
export function ip(text: string): IpAddress {
  const address = parseIp(text);
  if (address === null) throw new Error(`'${text}' is no address`);
  return address;
}

/** The functions of NDIS that the IP layer calls; sends are kept as copies and completed at once, or when told to. */
export class FakeNdis implements Partial<NdisForProtocol> {
  readonly sent: Uint8Array[] = [];
  readonly attributes: AdapterAttributes;
  /** False: sends stay with the adapter until {@link complete}. */
  completesAtOnce = true;
  returned = 0;
  isOpen = false;
  layer: IpLayer | null = null;
  readonly #held: NetBufferList[] = [];

  constructor(attributes: AdapterAttributes) {
    this.attributes = attributes;
  }

  openAdapterEx(_protocol: ProtocolDriver, _context: unknown, adapterName: string): NdisBindingHandle {
    if (adapterName !== this.attributes.name) throw new Error(`there is no adapter '${adapterName}'`);
    this.isOpen = true;
    return { adapterName };
  }

  closeAdapterEx(_binding: NdisBindingHandle, onClosed: () => void): void {
    this.isOpen = false;
    onClosed();
  }

  adapterAttributes(): AdapterAttributes {
    return this.attributes;
  }

  sendNetBufferLists(_binding: NdisBindingHandle, lists: NetBufferList): void {
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) {
      const nb = list.firstNetBuffer!;
      const frame = new Uint8Array(nb.dataLength);
      copyFromNetBuffer(nb, 0, nb.dataLength, frame, 0);
      this.sent.push(frame);
    }
    if (this.completesAtOnce) this.layer!.sendComplete(lists);
    else this.#held.push(lists);
  }

  returnNetBufferLists(): void {
    this.returned++;
  }

  /** Gives everything back that was kept. */
  complete(): void {
    for (const lists of this.#held.splice(0)) this.layer!.sendComplete(lists);
  }
}

/** An upper protocol that keeps copies of what it gets. */
export class Upper implements UpperProtocol {
  readonly packets: {
    data: Uint8Array;
    family: number;
    ttl: number;
    tos: number;
    wasReassembled: boolean;
    hadOptions: boolean;
    toBroadcast: boolean;
    toMulticast: boolean;
  }[] = [];
  readonly errors: IcmpError[] = [];
  readonly mtuChanges: number[] = [];
  readonly lost: string[] = [];
  dones = 0;
  takes = true;
  believes = true;
  onPacket: ((rx: RxPacket) => void) | null = null;

  receive(rx: RxPacket): boolean {
    this.onPacket?.(rx);
    this.packets.push({
      data: rx.bytes.slice(rx.at, rx.at + rx.length),
      family: rx.family,
      ttl: rx.ttl,
      tos: rx.tos,
      wasReassembled: rx.wasReassembled,
      hadOptions: rx.hadOptions,
      toBroadcast: rx.toBroadcast,
      toMulticast: rx.toMulticast,
    });
    return this.takes;
  }

  receiveDone(): void {
    this.dones++;
  }

  icmpError(error: IcmpError): boolean {
    this.errors.push(Object.assign(new IcmpError(), error, { bytes: error.bytes.slice() }));
    return this.believes;
  }

  pathMtuChanged(path: PathEntry): void {
    this.mtuChanges.push(path.mtu);
  }

  addressLost(address: IpAddress): void {
    this.lost.push(address.toString());
  }
}

export interface StationOptions {
  readonly medium?: 'ethernet' | 'ip';
  readonly mtu?: number;
  readonly config?: Partial<InterfaceConfig>;
  readonly ip?: Partial<IpOptions>;
  readonly seed?: number;
  /** The test begins at the very moment of the attachment, with the frames that were sent for it. */
  readonly isFresh?: boolean;
}

/** The stack under test. By default both families, no tests of addresses, no router discovery, no link-local address. */
export class Station {
  readonly runtime: VirtualRuntime;
  readonly trace: Trace = new Trace();
  readonly ndis: FakeNdis;
  readonly layer: IpLayer;
  readonly iface: Interface;
  readonly udp: Upper = new Upper();
  readonly tcp: Upper = new Upper();

  constructor(options: StationOptions = {}) {
    this.runtime = new VirtualRuntime(options.seed ?? 1);
    const medium = options.medium ?? 'ethernet';
    const macAddress = medium === 'ethernet' ? OUR_MAC : new Uint8Array(6);
    this.ndis = new FakeNdis({ name: 'eth0', medium, mtu: options.mtu ?? 1500, macAddress });
    this.layer = new IpLayer(this.runtime, this.trace, this.ndis as unknown as NdisForProtocol, options.ip ?? {});
    this.ndis.layer = this.layer;
    this.layer.setUpper(17, this.udp);
    this.layer.setUpper(6, this.tcp);
    this.iface = this.layer.attach({} as ProtocolDriver, null, 'eth0', {
      addresses: [`${OUR4}/24`, `${OUR6}/64`],
      acceptRouterAdvertisements: false,
      linkLocal: false,
      duplicateAddressDetection: 'off',
      ...options.config,
    });
    this.runtime.settle();
    // The group memberships that are told at the start are of interest to few tests.
    if (options.isFresh !== true && options.config?.duplicateAddressDetection === undefined) {
      this.runtime.advance(2_000_000);
      this.ndis.sent.length = 0;
    }
  }

  /** Frames sent since the last call. */
  sent(): Uint8Array[] {
    this.runtime.settle();
    return this.ndis.sent.splice(0);
  }

  /** A frame arrives: as one borrowed list, then the end of the batch. */
  receive(frame: Uint8Array): void {
    const list = new NetBufferList(new NetBuffer(new Mdl(frame, 0, frame.length), frame.length));
    this.layer.receiveNetBufferLists(this.iface, list, NDIS_RECEIVE_FLAGS_RESOURCES);
    this.layer.receiveDone(this.iface);
    this.runtime.settle();
  }

  /** A frame arrives in several memory descriptors, cut after so many bytes each; it is not borrowed. */
  receiveInPieces(frame: Uint8Array, cuts: readonly number[]): void {
    let at = 0;
    let first: Mdl | null = null;
    let last: Mdl | null = null;
    for (const length of [...cuts, frame.length]) {
      const piece = frame.slice(at, at + length);
      const mdl = new Mdl(piece, 0, piece.length);
      if (last === null) first = mdl;
      else last.next = mdl;
      last = mdl;
      at += length;
    }
    this.layer.receiveNetBufferLists(this.iface, new NetBufferList(new NetBuffer(first, frame.length)), 0);
    this.layer.receiveDone(this.iface);
    this.runtime.settle();
  }

  /** A frame arrives; answers what was sent because of it, at once. */
  answers(frame: Uint8Array): Uint8Array[] {
    this.sent();
    this.receive(frame);
    return this.sent();
  }

  count(name: EventName): number {
    return this.trace.countOf(name);
  }

  /** The path to an address; the test fails where there is none. */
  path(remote: string, local: string | null = null): PathEntry {
    const path = this.layer.routeTo(ip(remote), local === null ? null : ip(local));
    if (typeof path === 'string') throw new Error(`no path to ${remote}: ${path}`);
    return path;
  }

  /** Sends a datagram of the upper layer; answers what sendPacket answers. */
  send(
    path: PathEntry,
    data: Uint8Array,
    options: { protocol?: number; ttl?: number; tos?: number; df?: boolean } = {},
  ): boolean {
    const out = this.layer.beginPacket(path, data.length);
    if (out === null) throw new Error('no packet buffer');
    out.bytes.set(data, out.at);
    const { protocol = 17, ttl = 0, tos = 0, df = false } = options;
    return this.layer.sendPacket(out, data.length, protocol, ttl, tos, 0, df);
  }
}
