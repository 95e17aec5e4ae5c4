/**
 * ARP: requests, replies, probes and announcements for IPv4 over Ethernet. RFC 826, RFC 1122 2.3.2, RFC 5227.
 *
 * Promises: only addresses of the receiving interface are answered for, and only usable ones; nothing in a packet is believed
 * before its types and lengths were checked. Leaves to others: the table (neighbor-cache.ts), what follows from a conflict
 * (duplicate-address.ts).
 */

import { Event } from '../../trace/events.ts';
import { ARP_LENGTH, ArpOperation, ArpPacket, decodeArp, encodeArp } from '../../wire/arp.ts';
import { EtherType } from '../../wire/ethernet.ts';
import { IPV4_ANY, type IpAddress, isLoopbackAt, isMulticastAt, isUnspecifiedAt } from '../../wire/ip-address.ts';
import { equalMac, isGroupMac, isZeroMac, MAC_BROADCAST, MAC_ZERO } from '../../wire/mac-address.ts';
import { WIRE_OK } from '../../wire/status.ts';
import { type AddressTable, addressTowards } from '../path/address-table.ts';
import type { IpContext } from '../path/context.ts';
import {
  AddressState,
  type Interface,
  type InterfaceAddress,
  LINK_HEADROOM,
  type NeighborEntry,
  NeighborState,
} from '../path/types.ts';
import type { NeighborCache } from './neighbor-cache.ts';
import type { Transmitter } from './transmitter.ts';

/** Is told when somebody else claims an address of ours. */
export type OnConflict = (entry: InterfaceAddress) => void;

export class Arp {
  readonly #context: IpContext;
  readonly #transmitter: Transmitter;
  readonly #addresses: AddressTable;
  readonly #neighbors: NeighborCache;
  readonly #packet = new ArpPacket();
  readonly #mac = new Uint8Array(6);
  readonly #ip = new Uint8Array(4);
  onConflict: OnConflict | null = null;

  constructor(context: IpContext, transmitter: Transmitter, addresses: AddressTable, neighbors: NeighborCache) {
    this.#context = context;
    this.#transmitter = transmitter;
    this.#addresses = addresses;
    this.#neighbors = neighbors;
  }

  /** An ARP packet of `length` bytes has arrived. */
  receive(iface: Interface, bytes: Uint8Array, at: number, length: number): void {
    const packet = this.#packet;
    if (decodeArp(bytes, at, length, packet) !== WIRE_OK || !this.#isPossible(iface, bytes, packet)) {
      this.#context.trace.count(Event.ARP_BAD);
      return;
    }
    // Our own, come back by some bridge.
    if (equalMac(bytes, packet.senderMacAt, iface.mac, 0)) return;
    const target = this.#addresses.find(bytes, packet.targetIpAt, 4);
    const isForUs = target !== null && target.iface === iface;
    if (this.#isConflict(iface, bytes, packet, isForUs ? target : null)) return;
    const isProbe = isUnspecifiedAt(bytes, packet.senderIpAt, 4);
    if (!isProbe) this.#merge(iface, bytes, packet, isForUs && target.isUsable);
    if (isForUs && target.isUsable && packet.operation === ArpOperation.REQUEST)
      this.#reply(iface, bytes, packet, target);
  }

  /** Asks for the neighbor's link-layer address by broadcast, or by unicast whether it is still there (RFC 1122 2.3.2.1 (2)). */
  request(neighbor: NeighborEntry, isUnicast: boolean): void {
    const { iface } = neighbor;
    const source = this.#sourceFor(neighbor);
    this.#send(
      iface,
      ArpOperation.REQUEST,
      source.bytes,
      MAC_ZERO,
      neighbor.ip.bytes,
      isUnicast ? neighbor.mac : MAC_BROADCAST,
    );
  }

  /** Asks whether anybody has an address, without claiming it. RFC 5227 2.1.1. */
  probe(entry: InterfaceAddress): void {
    this.#send(entry.iface, ArpOperation.REQUEST, IPV4_ANY.bytes, MAC_ZERO, entry.address.bytes, MAC_BROADCAST);
  }

  /** Claims an address: RFC 5227 2.3. */
  announce(entry: InterfaceAddress): void {
    const { bytes } = entry.address;
    this.#send(entry.iface, ArpOperation.REQUEST, bytes, MAC_ZERO, bytes, MAC_BROADCAST);
  }

  #isPossible(iface: Interface, bytes: Uint8Array, packet: ArpPacket): boolean {
    if (packet.operation !== ArpOperation.REQUEST && packet.operation !== ArpOperation.REPLY) return false;
    if (isGroupMac(bytes, packet.senderMacAt) || isZeroMac(bytes, packet.senderMacAt)) return false;
    const { senderIpAt } = packet;
    if (isMulticastAt(bytes, senderIpAt, 4) || isLoopbackAt(bytes, senderIpAt, 4)) return false;
    return !this.#addresses.isBroadcast(iface, bytes, senderIpAt);
  }

  /** RFC 5227 2.1.1 and 2.4: another host has, or probes for, an address of ours. */
  #isConflict(iface: Interface, bytes: Uint8Array, packet: ArpPacket, target: InterfaceAddress | null): boolean {
    const own = this.#addresses.find(bytes, packet.senderIpAt, 4);
    if (own !== null && own.iface === iface && own.state !== AddressState.DUPLICATE) {
      this.onConflict?.(own);
      return true;
    }
    if (target === null || target.state !== AddressState.TENTATIVE) return false;
    if (!isUnspecifiedAt(bytes, packet.senderIpAt, 4) || packet.operation !== ArpOperation.REQUEST) return false;
    this.onConflict?.(target);
    return true;
  }

  /** RFC 826: who is known is brought up to date whatever was asked; who asks for us is remembered. */
  #merge(iface: Interface, bytes: Uint8Array, packet: ArpPacket, isForUs: boolean): void {
    const { senderIpAt, senderMacAt } = packet;
    const known = this.#neighbors.find(iface, bytes, senderIpAt, 4);
    const isAsked = known !== null && (known.state === NeighborState.INCOMPLETE || known.state === NeighborState.PROBE);
    if (isAsked && packet.operation === ArpOperation.REPLY) {
      this.#neighbors.answered(known, bytes, senderMacAt, true, true, known.isRouter);
    } else this.#neighbors.learn(iface, bytes, senderIpAt, 4, bytes, senderMacAt, isForUs);
  }

  #reply(iface: Interface, bytes: Uint8Array, packet: ArpPacket, target: InterfaceAddress): void {
    for (let i = 0; i < 6; i++) this.#mac[i] = bytes[packet.senderMacAt + i]!;
    for (let i = 0; i < 4; i++) this.#ip[i] = bytes[packet.senderIpAt + i]!;
    this.#send(iface, ArpOperation.REPLY, target.address.bytes, this.#mac, this.#ip, this.#mac);
  }

  /** The address of the packet that waits, as the neighbor may answer only such (RFC 4861 7.2.2 says so for IPv6). */
  #sourceFor(neighbor: NeighborEntry): IpAddress {
    const waiting = neighbor.pendingFirst?.path?.local;
    if (waiting !== undefined && this.#addresses.usable(waiting)?.iface === neighbor.iface) return waiting;
    return addressTowards(neighbor.iface, neighbor.ip)?.address ?? waiting ?? IPV4_ANY;
  }

  #send(
    iface: Interface,
    operation: number,
    senderIp: Uint8Array,
    targetMac: Uint8Array,
    targetIp: Uint8Array,
    to: Uint8Array,
  ): void {
    const out = this.#transmitter.begin(iface, ARP_LENGTH, null);
    if (out === null) return;
    out.packetAt = LINK_HEADROOM;
    out.packetLength = encodeArp(out.bytes, LINK_HEADROOM, operation, iface.mac, senderIp, targetMac, targetIp);
    this.#transmitter.send(iface, out, EtherType.ARP, to);
  }
}
