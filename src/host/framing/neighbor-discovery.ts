/**
 * Neighbor solicitations and advertisements, in and out. RFC 4861 7.1, 7.2; RFC 4862 5.4; RFC 4429; RFC 6980.
 *
 * Promises: nothing of a message is believed before the checks of RFC 4861 have passed, fragments not at all. Leaves to others:
 * the cache (neighbor-cache.ts), conflicts (duplicate-address.ts), routers and redirects (router-discovery.ts, redirects.ts).
 */

import { Event } from '../../trace/events.ts';
import { Icmpv6Type } from '../../wire/icmpv6.ts';
import {
  IPV6_ALL_NODES,
  IPV6_ALL_ROUTERS,
  IPV6_ANY,
  IpAddress,
  isUnspecifiedAt,
  solicitedNodeAddress,
} from '../../wire/ip-address.ts';
import type { Ipv6Header } from '../../wire/ipv6.ts';
import { MAC_LENGTH } from '../../wire/mac-address.ts';
import { decodeNd, isNdAcceptable, ND_HOP_LIMIT, NdMessage, NeighborFlag } from '../../wire/nd.ts';
import {
  encodeNeighborAdvertisement,
  encodeNeighborSolicitation,
  encodeRouterSolicitation,
} from '../../wire/nd-encode.ts';
import { IpProtocol } from '../../wire/protocol.ts';
import { WIRE_OK } from '../../wire/status.ts';
import { type AddressTable, addressTowards } from '../path/address-table.ts';
import type { IpContext } from '../path/context.ts';
import {
  AddressState,
  type Interface,
  type InterfaceAddress,
  type NeighborEntry,
  NeighborState,
  type OutPacket,
  type RxPacket,
} from '../path/types.ts';
import type { OnConflict } from './arp.ts';
import { CONTROL_AT, CONTROL_DST_AT, CONTROL_SRC_AT, type ControlSender } from './control-sender.ts';
import type { NeighborCache } from './neighbor-cache.ts';

/** Takes the messages that only routers send. */
export interface RouterMessages {
  /** A router advertisement that passed all checks of its form. */
  advertised(rx: RxPacket, message: NdMessage): void;
  /** A redirect that passed all checks of its form. */
  redirected(rx: RxPacket, message: NdMessage): void;
}

export class NeighborDiscovery {
  readonly #context: IpContext;
  readonly #sender: ControlSender;
  readonly #addresses: AddressTable;
  readonly #neighbors: NeighborCache;
  readonly #message = new NdMessage();
  readonly #askerMac = new Uint8Array(MAC_LENGTH);
  onConflict: OnConflict | null = null;
  routers: RouterMessages | null = null;

  constructor(context: IpContext, sender: ControlSender, addresses: AddressTable, neighbors: NeighborCache) {
    this.#context = context;
    this.#sender = sender;
    this.#addresses = addresses;
    this.#neighbors = neighbors;
  }

  /** A message of one of the five types, its checksum verified. */
  receive(rx: RxPacket, header: Ipv6Header, hadFragmentHeader: boolean): void {
    if (hadFragmentHeader || rx.wasReassembled) {
      this.#context.trace.count(Event.ND_FRAGMENTED);
      return;
    }
    const message = this.#message;
    const isGood =
      rx.iface.medium === 'ethernet' &&
      decodeNd(rx.bytes, rx.at, rx.length, message) === WIRE_OK &&
      isNdAcceptable(rx.bytes, header, message);
    if (!isGood) {
      this.#context.trace.count(Event.ND_BAD);
      return;
    }
    switch (message.type) {
      case Icmpv6Type.NEIGHBOR_SOLICITATION:
        this.#solicited(rx, message);
        return;
      case Icmpv6Type.NEIGHBOR_ADVERTISEMENT:
        this.#advertised(rx, message);
        return;
      case Icmpv6Type.ROUTER_ADVERTISEMENT:
        this.routers?.advertised(rx, message);
        return;
      case Icmpv6Type.REDIRECT:
        this.routers?.redirected(rx, message);
        return;
      default:
        // RFC 4861 6.2.6 speaks to routers only.
        this.#context.trace.count(Event.ROUTER_SOLICITATION_IGNORED);
    }
  }

  /** Asks for a neighbor's link-layer address, or by unicast whether it is still there. RFC 4861 7.2.2, 7.3.3. */
  solicit(neighbor: NeighborEntry, isUnicast: boolean): void {
    const { iface, ip } = neighbor;
    const source = this.#sourceFor(neighbor);
    if (source === null) return;
    const to = isUnicast ? ip : solicitedNodeAddress(ip);
    const out = this.#open(iface, source.address, to);
    if (out === null) return;
    // RFC 4429 3.3: no link-layer address option while the source is still under test.
    const link = source.state === AddressState.OPTIMISTIC ? null : iface.mac;
    const length = encodeNeighborSolicitation(out.bytes, CONTROL_AT, ip.bytes, 0, link, CONTROL_SRC_AT, CONTROL_DST_AT);
    this.#sender.close(iface, out, length, isUnicast ? neighbor.mac : null);
  }

  /** Asks whether anybody has an address of ours. RFC 4862 5.4.2. */
  solicitForDuplicates(entry: InterfaceAddress): void {
    const { iface, address } = entry;
    const out = this.#open(iface, IPV6_ANY, solicitedNodeAddress(address));
    if (out === null) return;
    const target = address.bytes;
    const length = encodeNeighborSolicitation(out.bytes, CONTROL_AT, target, 0, null, CONTROL_SRC_AT, CONTROL_DST_AT);
    this.#sender.close(iface, out, length, null);
  }

  /** Tells all nodes our link-layer address, unasked. RFC 4861 7.2.6. */
  announce(entry: InterfaceAddress): void {
    const { iface, address } = entry;
    const out = this.#open(iface, address, IPV6_ALL_NODES);
    if (out === null) return;
    this.#sender.close(iface, out, this.#writeAdvertisement(out, entry, NeighborFlag.OVERRIDE), null);
  }

  /** Asks for router advertisements. RFC 4861 6.3.7. */
  solicitRouters(iface: Interface): void {
    const source = addressTowards(iface, LINK_LOCAL);
    const isUsable = source?.address.isLinkLocal && source.state !== AddressState.OPTIMISTIC;
    const out = this.#open(iface, isUsable ? source.address : IPV6_ANY, IPV6_ALL_ROUTERS);
    if (out === null) return;
    const link = isUsable ? iface.mac : null;
    const length = encodeRouterSolicitation(out.bytes, CONTROL_AT, link, CONTROL_SRC_AT, CONTROL_DST_AT);
    this.#sender.close(iface, out, length, null);
  }

  #open(iface: Interface, source: IpAddress, to: IpAddress): OutPacket | null {
    return this.#sender.open(iface, source, to.bytes, 0, IpProtocol.ICMPV6, ND_HOP_LIMIT);
  }

  /** RFC 4861 7.2.3 and 7.2.4, RFC 4862 5.4.3. */
  #solicited(rx: RxPacket, message: NdMessage): void {
    const { iface, bytes } = rx;
    const entry = this.#addresses.find(bytes, message.targetAt, 6);
    if (entry === null || entry.iface !== iface || entry.state === AddressState.DUPLICATE) return;
    if (isUnspecifiedAt(bytes, rx.srcAt, 6)) {
      // Somebody else tests the address: ours if it is established, nobody's if both are only testing.
      if (entry.state === AddressState.TENTATIVE || entry.state === AddressState.OPTIMISTIC) this.onConflict?.(entry);
      else this.announce(entry);
      return;
    }
    if (!entry.isUsable) return;
    if (message.sourceLinkAt >= 0) {
      this.#neighbors.learn(iface, bytes, rx.srcAt, 6, bytes, message.sourceLinkAt, true);
    }
    this.#answer(rx, entry);
  }

  #answer(rx: RxPacket, entry: InterfaceAddress): void {
    const { iface } = rx;
    const known = this.#neighbors.find(iface, rx.bytes, rx.srcAt, 6);
    const asker = known ?? this.#neighbors.entryFor(iface, IpAddress.fromBytes(rx.bytes, rx.srcAt, 6));
    const out = this.#open(iface, entry.address, asker.ip);
    if (out === null) return;
    const isOptimistic = entry.state === AddressState.OPTIMISTIC;
    const flags = NeighborFlag.SOLICITED | (isOptimistic ? 0 : NeighborFlag.OVERRIDE);
    const length = this.#writeAdvertisement(out, entry, flags);
    if (isOptimistic && asker.state < NeighborState.REACHABLE && rx.linkSourceAt >= 0) {
      // To ask the asker first would be in vain where it is testing its address as well: neither of two solicitations would name a link-layer
      // address, and each would wait for the answer to the other. The frame says where the question came from.
      for (let i = 0; i < MAC_LENGTH; i++) this.#askerMac[i] = rx.bytes[rx.linkSourceAt + i]!;
      this.#sender.close(iface, out, length, this.#askerMac);
    } else this.#sender.closeTo(out, length, asker, this.#neighbors);
  }

  #writeAdvertisement(out: OutPacket, entry: InterfaceAddress, flags: number): number {
    const target = entry.address.bytes;
    const link = entry.iface.mac;
    return encodeNeighborAdvertisement(out.bytes, CONTROL_AT, flags, target, 0, link, CONTROL_SRC_AT, CONTROL_DST_AT);
  }

  /** RFC 4861 7.2.5, RFC 4862 5.4.4. */
  #advertised(rx: RxPacket, message: NdMessage): void {
    const { iface, bytes } = rx;
    const own = this.#addresses.find(bytes, message.targetAt, 6);
    if (own !== null && own.iface === iface) {
      if (own.state !== AddressState.DUPLICATE) this.onConflict?.(own);
      return;
    }
    const neighbor = this.#neighbors.find(iface, bytes, message.targetAt, 6);
    if (neighbor === null || neighbor.state === NeighborState.NONE) {
      this.#context.trace.count(Event.ND_UNSOLICITED);
      return;
    }
    const { flags } = message;
    this.#neighbors.answered(
      neighbor,
      bytes,
      message.targetLinkAt,
      (flags & NeighborFlag.SOLICITED) !== 0,
      (flags & NeighborFlag.OVERRIDE) !== 0,
      (flags & NeighborFlag.ROUTER) !== 0,
    );
  }

  /** RFC 4861 7.2.2: the source of the packet that waits if it is ours on this link, else any of ours there. */
  #sourceFor(neighbor: NeighborEntry): InterfaceAddress | null {
    const waiting = neighbor.pendingFirst?.path?.local;
    if (waiting !== undefined) {
      const entry = this.#addresses.usable(waiting);
      if (entry !== null && entry.iface === neighbor.iface) return entry;
    }
    return addressTowards(neighbor.iface, neighbor.ip);
  }
}

/** fe80::. */
const LINK_LOCAL: IpAddress = new IpAddress(new Uint8Array([0xfe, 0x80, ...new Array<number>(14).fill(0)]));
