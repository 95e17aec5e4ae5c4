/**
 * IP packets in, both families: whether they are ours and sound, options and extension headers, fragments, and to whom they go.
 * RFC 791, RFC 1122 3.2 and 3.3, RFC 8200, RFC 4291.
 *
 * Promises: no allocation for a packet that is no fragment; whatever arrives is either delivered or counted by reason. Leaves to
 * others: what a protocol does with it.
 */

import type { FamilyStatistics } from '../../ndis/protocol.ts';
import { Event } from '../../trace/events.ts';
import { isLoopbackAt, isMulticastAt, isUnspecifiedAt } from '../../wire/ip-address.ts';
import { decodeIpv4, Ipv4Flag, Ipv4Header } from '../../wire/ipv4.ts';
import { Ipv4Options, walkIpv4Options } from '../../wire/ipv4-options.ts';
import { decodeIpv6, IPV6_HEADER_LENGTH, Ipv6Header } from '../../wire/ipv6.ts';
import {
  Ipv6Extensions,
  isHeaderChainComplete,
  ParameterProblem,
  walkIpv6Extensions,
} from '../../wire/ipv6-extensions.ts';
import { IpProtocol } from '../../wire/protocol.ts';
import { WIRE_BAD_CHECKSUM, WIRE_OK, WIRE_PARAMETER_PROBLEM } from '../../wire/status.ts';
import type { GroupTable } from '../framing/groups.ts';
import type { AddressTable } from './address-table.ts';
import type { IpContext } from './context.ts';
import type { IcmpReceiver } from './icmp-receiver.ts';
import type { IcmpSender } from './icmp-sender.ts';
import { type Datagram, Reassembler } from './reassembly.ts';
import { isPossibleSource } from './source-check.ts';
import { type Interface, RxPacket } from './types.ts';

/** A TCP header without options: a first fragment that holds less hides flags or ports. RFC 1858 section 3. */
const TCP_HEADER_MIN = 20;

function countReceived(statistics: FamilyStatistics, octets: number): void {
  statistics.inReceives++;
  statistics.inOctets += octets;
}

export class IpReceiver {
  readonly #context: IpContext;
  readonly #addresses: AddressTable;
  readonly #groups: GroupTable;
  readonly #icmp: IcmpReceiver;
  readonly #icmpSender: IcmpSender;
  readonly #reassembler: Reassembler;
  readonly #rx: RxPacket;
  /** Packets about which an error is sent when no packet is being received. */
  readonly #quotedRx: RxPacket;
  readonly #ipv4 = new Ipv4Header();
  readonly #ipv4Options = new Ipv4Options();
  readonly #ipv6 = new Ipv6Header();
  readonly #extensions = new Ipv6Extensions();

  constructor(
    context: IpContext,
    addresses: AddressTable,
    groups: GroupTable,
    icmp: IcmpReceiver,
    icmpSender: IcmpSender,
    loopback: Interface,
  ) {
    this.#context = context;
    this.#addresses = addresses;
    this.#groups = groups;
    this.#icmp = icmp;
    this.#icmpSender = icmpSender;
    this.#rx = new RxPacket(loopback);
    this.#quotedRx = new RxPacket(loopback);
    this.#reassembler = new Reassembler(context, (datagram) => this.#timedOut(datagram));
  }

  /** Where the source address of the frame that is being received stands; -1: it has none. For whoever receives frames. */
  linkSourceAt = -1;

  /** Datagrams that wait for their fragments. */
  get reassembling(): number {
    return this.#reassembler.count;
  }

  /** An IPv4 packet in `length` bytes (link padding included) at `at`; `linkBroadcast`: its frame went to more than us. */
  receiveIpv4(
    iface: Interface,
    bytes: Uint8Array,
    at: number,
    length: number,
    linkBroadcast: boolean,
    segmentBytes: number,
  ): void {
    const header = this.#ipv4;
    const status = decodeIpv4(bytes, at, length, header);
    if (status !== WIRE_OK) {
      this.#context.trace.count(status === WIRE_BAD_CHECKSUM ? Event.IPV4_CHECKSUM_BAD : Event.IPV4_HEADER_BAD);
      countReceived(this.#context.statistics4, length);
      this.#context.statistics4.inHeaderErrors++;
      return;
    }
    const rx = this.#rx;
    this.#begin(rx, iface, bytes, at, linkBroadcast, segmentBytes);
    rx.family = 4;
    rx.srcAt = header.srcAt;
    rx.dstAt = header.dstAt;
    rx.packetLength = header.totalLength;
    countReceived(this.#context.statistics4, header.totalLength);
    rx.headerLength = header.headerLength;
    rx.at = header.payloadAt;
    rx.length = header.payloadLength;
    rx.protocol = header.protocol;
    rx.ttl = header.ttl;
    rx.tos = header.tos;
    rx.flowLabel = 0;
    rx.hadOptions = header.hasOptions;
    if (!this.#isAddressedWell(rx)) return;
    if (header.hasOptions && !this.#passesOptions(rx, header)) return;
    if (header.isFragment) this.#fragmentIpv4(rx, header);
    else this.#deliver(rx);
  }

  /** An IPv6 packet, likewise. */
  receiveIpv6(
    iface: Interface,
    bytes: Uint8Array,
    at: number,
    length: number,
    linkBroadcast: boolean,
    segmentBytes: number,
  ): void {
    const header = this.#ipv6;
    if (decodeIpv6(bytes, at, length, header) !== WIRE_OK || iface.isIpv6Disabled) {
      this.#context.trace.count(Event.IPV6_HEADER_BAD);
      countReceived(this.#context.statistics6, length);
      this.#context.statistics6.inHeaderErrors++;
      return;
    }
    const rx = this.#rx;
    this.#begin(rx, iface, bytes, at, linkBroadcast, segmentBytes);
    rx.family = 6;
    rx.srcAt = header.srcAt;
    rx.dstAt = header.dstAt;
    rx.packetLength = IPV6_HEADER_LENGTH + header.payloadLength;
    countReceived(this.#context.statistics6, rx.packetLength);
    rx.ttl = header.hopLimit;
    rx.tos = header.trafficClass;
    rx.flowLabel = header.flowLabel;
    if (this.#isAddressedWell(rx)) this.#walk(rx, header);
  }

  #begin(
    rx: RxPacket,
    iface: Interface,
    bytes: Uint8Array,
    at: number,
    linkBroadcast: boolean,
    segmentBytes: number,
  ): void {
    rx.iface = iface;
    rx.bytes = bytes;
    rx.headerAt = at;
    rx.linkBroadcast = linkBroadcast;
    rx.linkSourceAt = this.linkSourceAt;
    rx.segmentBytes = segmentBytes;
    rx.wasReassembled = false;
    rx.toMulticast = false;
    rx.toBroadcast = false;
  }

  /** RFC 1122 3.2.1.3 and 3.3.6, RFC 4291 2.5.3 and 2.7: source and destination, and their frame. Counts what it refuses. */
  #isAddressedWell(rx: RxPacket): boolean {
    if (!isPossibleSource(rx, this.#addresses)) {
      this.#context.trace.count(Event.IP_SOURCE_BAD);
      return false;
    }
    if (!this.#isForUs(rx)) {
      this.#context.trace.count(Event.IP_NOT_FOR_US);
      return false;
    }
    if (rx.linkBroadcast && !rx.toMulticast && !rx.toBroadcast) {
      this.#context.trace.count(Event.IP_BROADCAST_MISMATCH);
      return false;
    }
    return true;
  }

  #isForUs(rx: RxPacket): boolean {
    const { bytes, dstAt, family, iface } = rx;
    const entry = this.#addresses.find(bytes, dstAt, family);
    if (entry?.isUsable) return entry.iface.medium !== 'loopback' || iface.medium === 'loopback';
    if (isMulticastAt(bytes, dstAt, family)) {
      rx.toMulticast = true;
      return this.#groups.isMember(iface, bytes, dstAt, family);
    }
    if (iface.medium === 'loopback') return isLoopbackAt(bytes, dstAt, family);
    if (family === 4 && this.#addresses.isBroadcast(iface, bytes, dstAt)) {
      rx.toBroadcast = true;
      return true;
    }
    if (iface.config.forwardAll !== true || entry !== null) return false;
    return !isLoopbackAt(bytes, dstAt, family) && !isUnspecifiedAt(bytes, dstAt, family);
  }

  /** RFC 1122 3.2.1.8, RFC 7126: what is not understood is ignored; source routes and broken lists are not. */
  #passesOptions(rx: RxPacket, header: Ipv4Header): boolean {
    const options = this.#ipv4Options;
    if (walkIpv4Options(rx.bytes, header, options) !== WIRE_OK) {
      this.#context.trace.count(Event.IPV4_OPTION_BAD);
      this.#icmpSender.parameterProblem(rx, 0, options.problemAt, false);
      return false;
    }
    if (options.hasSourceRoute) {
      this.#context.trace.count(Event.IPV4_SOURCE_ROUTED);
      return false;
    }
    return true;
  }

  #fragmentIpv4(rx: RxPacket, header: Ipv4Header): void {
    const isMore = (header.flags & Ipv4Flag.MF) !== 0;
    const offset = header.fragmentOffset;
    // RFC 1858, RFC 3128: no TCP header is that large that it must be cut.
    if (rx.protocol === IpProtocol.TCP && (offset === 8 || (offset === 0 && rx.length < TCP_HEADER_MIN))) {
      this.#context.trace.count(Event.FRAGMENT_TINY);
      return;
    }
    const datagram = this.#reassembler.add(rx, header.id, offset, isMore, rx.protocol);
    if (datagram === null) return;
    rx.bytes = datagram.bytes;
    rx.headerAt = datagram.headerAt;
    rx.srcAt = rx.headerAt + 12;
    rx.dstAt = rx.headerAt + 16;
    rx.headerLength = datagram.headerLength;
    rx.hadOptions = datagram.headerLength > 20;
    rx.at = rx.headerAt + datagram.headerLength;
    rx.length = datagram.total;
    rx.packetLength = datagram.headerLength + datagram.total;
    rx.tos = datagram.bytes[rx.headerAt + 1]!;
    rx.ttl = datagram.bytes[rx.headerAt + 8]!;
    rx.wasReassembled = true;
    rx.segmentBytes = 0;
    this.#deliver(rx);
    this.#reassembler.release(datagram);
  }

  /** Extension headers. RFC 8200 4. */
  #walk(rx: RxPacket, header: Ipv6Header): void {
    const extensions = this.#extensions;
    const status = walkIpv6Extensions(rx.bytes, header, extensions);
    if (status !== WIRE_OK) {
      this.#context.trace.count(Event.IPV6_EXTENSION_BAD);
      if (status === WIRE_PARAMETER_PROBLEM) {
        const { problemCode, problemAt, isProblemForMulticast } = extensions;
        this.#icmpSender.parameterProblem(rx, problemCode, problemAt, isProblemForMulticast);
      }
      return;
    }
    rx.protocol = extensions.protocol;
    rx.nextHeaderAt = extensions.protocolNamedAt;
    rx.at = extensions.payloadAt;
    rx.length = extensions.payloadLength;
    rx.headerLength = rx.at - rx.headerAt;
    rx.hadOptions = rx.headerLength > IPV6_HEADER_LENGTH;
    if (extensions.isFragment) this.#fragmentIpv6(rx, extensions);
    else this.#deliver(rx);
  }

  #fragmentIpv6(rx: RxPacket, extensions: Ipv6Extensions): void {
    // A fragment inside a fragment is nothing that a sender makes.
    if (rx.wasReassembled) {
      this.#context.trace.count(Event.FRAGMENT_BAD);
      return;
    }
    const { fragmentOffset, moreFragments, fragmentId } = extensions;
    if (fragmentOffset === 0 && !isHeaderChainComplete(rx.bytes, extensions)) {
      this.#context.trace.count(Event.FRAGMENT_TINY);
      // RFC 8200 4.5: the pointer is zero.
      this.#icmpSender.parameterProblem(rx, ParameterProblem.INCOMPLETE_CHAIN, rx.headerAt, false);
      return;
    }
    const datagram = this.#reassembler.add(rx, fragmentId, fragmentOffset, moreFragments, extensions.protocol);
    if (datagram === null) return;
    const header = this.#ipv6;
    if (decodeIpv6(datagram.bytes, datagram.headerAt, IPV6_HEADER_LENGTH + datagram.total, header) === WIRE_OK) {
      rx.bytes = datagram.bytes;
      rx.headerAt = datagram.headerAt;
      rx.srcAt = header.srcAt;
      rx.dstAt = header.dstAt;
      rx.packetLength = IPV6_HEADER_LENGTH + datagram.total;
      rx.ttl = header.hopLimit;
      rx.tos = header.trafficClass;
      rx.wasReassembled = true;
      rx.segmentBytes = 0;
      this.#walk(rx, header);
    }
    this.#reassembler.release(datagram);
  }

  #deliver(rx: RxPacket): void {
    const { protocol } = rx;
    this.#context.statistics(rx.family).inDelivers++;
    if (rx.family === 4) {
      if (protocol === IpProtocol.ICMP) {
        this.#icmp.receiveIpv4(rx);
        return;
      }
    } else {
      if (protocol === IpProtocol.ICMPV6) {
        this.#icmp.receiveIpv6(rx, this.#ipv6, this.#extensions);
        return;
      }
      if (protocol === IpProtocol.NO_NEXT_HEADER) return;
      // RFC 4291 2.5.2: only neighbor discovery and MLD come from nowhere.
      if (isUnspecifiedAt(rx.bytes, rx.srcAt, 6)) {
        this.#context.trace.count(Event.IP_SOURCE_BAD);
        return;
      }
    }
    const upper = this.#context.uppers[protocol]!;
    if (upper === null) {
      this.#context.trace.count(Event.IP_PROTOCOL_UNKNOWN);
      this.#icmpSender.protocolUnreachable(rx);
    } else if (!upper.receive(rx)) this.#icmpSender.portUnreachable(rx);
  }

  /** RFC 1122 3.3.2, RFC 8200 4.5. */
  #timedOut(datagram: Datagram): void {
    const rx = this.#quotedRx;
    rx.family = datagram.family;
    rx.bytes = datagram.quote;
    rx.headerAt = 0;
    rx.packetLength = datagram.quoteLength;
    rx.srcAt = datagram.family === 4 ? 12 : 8;
    rx.dstAt = datagram.family === 4 ? 16 : 24;
    rx.toMulticast = datagram.wasToGroup;
    rx.toBroadcast = false;
    rx.linkBroadcast = datagram.wasLinkBroadcast;
    rx.iface = datagram.iface!;
    this.#icmpSender.reassemblyTimeExceeded(rx);
  }
}
