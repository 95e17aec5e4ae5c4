/**
 * IP packets out: headers of both families, fragmentation at the source, and the way to the next hop. RFC 791, 1122 3.2.1, 8200.
 *
 * Promises: no allocation for a packet that needs no fragments; a source address is always one of ours (or any, where the
 * interface forwards all); IPv4 identifications stay in the host's half of the space (chimney SEND-042) and no two
 * datagrams of a path that may be fragmented share one until the half has gone round (RFC 6864 4.3).
 */

import { copyBytes } from '../../base/copy-bytes.ts';
import { Event } from '../../trace/events.ts';
import { EtherType } from '../../wire/ethernet.ts';
import { encodeIpv4Header, IPV4_HEADER_LENGTH, IPV4_LENGTH_MAX, Ipv4Flag, Ipv4Header } from '../../wire/ipv4.ts';
import { encodeIpv6Header, IPV6_HEADER_LENGTH, Ipv6Header } from '../../wire/ipv6.ts';
import { encodeIpv6FragmentHeader, IPV6_FRAGMENT_HEADER_LENGTH } from '../../wire/ipv6-extensions.ts';
import { MAC_BROADCAST } from '../../wire/mac-address.ts';
import { IpProtocol } from '../../wire/protocol.ts';
import type { NeighborCache } from '../framing/neighbor-cache.ts';
import { PACKET_SLACK, type Transmitter } from '../framing/transmitter.ts';
import type { IpContext } from './context.ts';
import type { Loopback } from './loopback.ts';
import { LINK_HEADROOM, type OutPacket, type PathEntry } from './types.ts';

/** Identifications of the host: below the offload target's half. */
const IPV4_ID_MASK = 0x7fff;
const IPV6_ID_MASK = 0x7fff_ffff;

/** What a packet's header says, for the fragments of it. */
class SendRequest {
  protocol = 0;
  ttl = 0;
  tos = 0;
  flowLabel = 0;
}

export class IpSender {
  readonly #context: IpContext;
  readonly #transmitter: Transmitter;
  readonly #neighbors: NeighborCache;
  readonly #loopback: Loopback;
  readonly #ipv4 = new Ipv4Header();
  readonly #ipv6 = new Ipv6Header();
  readonly #request = new SendRequest();

  constructor(context: IpContext, transmitter: Transmitter, neighbors: NeighborCache, loopback: Loopback) {
    this.#context = context;
    this.#transmitter = transmitter;
    this.#neighbors = neighbors;
    this.#loopback = loopback;
  }

  /**
   * A buffer for a packet on `path`: the caller writes its header and payload at `out.at`, `out.room` bytes at most.
   * `upperLength`: what the caller needs, bytes; more than the path takes gives a buffer for a datagram that is sent in
   * fragments (at most 65515 over IPv4, 65535 over IPv6). Null: no buffer is free, or it is more than that.
   */
  begin(path: PathEntry, upperLength: number): OutPacket | null {
    const headerLength = path.family === 4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH;
    const small = path.iface.fullMtu + PACKET_SLACK - headerLength;
    const most = path.family === 4 ? 65_535 - IPV4_HEADER_LENGTH : 65_535;
    if (upperLength > most) return null;
    const room = upperLength > small ? most : small;
    const out = this.#transmitter.begin(path.iface, upperLength + headerLength, path);
    if (out === null) return null;
    out.at = LINK_HEADROOM + headerLength;
    out.room = room;
    return out;
  }

  /** A buffer for a packet on `path` that its interface cuts into segments. Null: none is free. */
  beginLarge(path: PathEntry): OutPacket | null {
    const out = this.#transmitter.beginLarge(path.iface, path);
    if (out === null) return null;
    const headerLength = path.family === 4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH;
    out.at = LINK_HEADROOM + headerLength;
    out.room = path.iface.largeSendBytes - headerLength;
    return out;
  }

  abandon(out: OutPacket): void {
    out.home.put(out);
  }

  /**
   * Sends `upperLength` bytes from `out.at` and takes the buffer back. `ttl` 0: the default. False: not sent, because there is no way
   * (any more), or because it is larger than the path MTU and `dontFragment`. `segmentBytes` greater than 0: the interface makes it whole.
   */
  send(
    out: OutPacket,
    upperLength: number,
    protocol: number,
    ttl: number,
    tos: number,
    flowLabel: number,
    dontFragment: boolean,
    segmentBytes: number,
  ): boolean {
    const path = out.path!;
    out.list.largeSendMss = segmentBytes;
    const statistics = this.#context.statistics(path.family);
    statistics.outRequests++;
    if (!path.isUp || !path.iface.isUp) {
      statistics.outNoRoutes++;
      return this.#refuse(out, Event.SEND_NO_ROUTE);
    }
    const hops = ttl > 0 ? ttl : this.defaultHops(path);
    const isIpv4 = path.family === 4;
    const length = upperLength + (isIpv4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH);
    statistics.outOctets += length;
    if (length > path.mtu && segmentBytes === 0) {
      if (dontFragment && !path.mayFragment) return this.#refuse(out, Event.SEND_TOO_BIG);
      const request = this.#request;
      request.protocol = protocol;
      request.ttl = hops;
      request.tos = tos;
      request.flowLabel = flowLabel;
      return this.#sendFragments(out, upperLength, request);
    }
    out.packetAt = LINK_HEADROOM;
    out.packetLength = length;
    if (isIpv4) {
      const flags = dontFragment && !path.mayFragment ? Ipv4Flag.DF : 0;
      this.#writeIpv4(out, path, length, protocol, hops, tos, takeIpv4Id(path), flags, 0);
    } else this.#writeIpv6(out, path, upperLength, protocol, hops, tos, flowLabel);
    this.#pass(path, out);
    return true;
  }

  /**
   * Sends a packet that is whole from its IP header on, `out.packetLength` bytes from `out.packetAt`: for messages that set
   * headers of their own (hop limit 255, router alert).
   */
  sendWhole(path: PathEntry, out: OutPacket): void {
    this.#pass(path, out);
  }

  /** TTL or hop limit of packets that are given none. */
  defaultHops(path: PathEntry): number {
    if (path.remote.isMulticast) return 1;
    if (path.family === 6 && path.iface.hopLimit > 0) return path.iface.hopLimit;
    return this.#context.options.hopLimit;
  }

  #refuse(out: OutPacket, event: number): boolean {
    this.#context.trace.count(event);
    out.home.put(out);
    return false;
  }

  #pass(path: PathEntry, out: OutPacket): void {
    const { iface, neighbor } = path;
    out.path = path;
    if (neighbor !== null) this.#neighbors.send(neighbor, out);
    else if (iface.medium === 'loopback') this.#loopback.send(out);
    else this.#transmitter.send(iface, out, path.family === 4 ? EtherType.IPV4 : EtherType.IPV6, MAC_BROADCAST);
  }

  #writeIpv4(
    out: OutPacket,
    path: PathEntry,
    totalLength: number,
    protocol: number,
    ttl: number,
    tos: number,
    id: number,
    flags: number,
    offset: number,
  ): void {
    const header = this.#ipv4;
    header.tos = tos;
    // What is larger is cut by the device, which knows how long it is.
    header.totalLength = totalLength > IPV4_LENGTH_MAX ? 0 : totalLength;
    header.id = id;
    header.flags = flags;
    header.fragmentOffset = offset;
    header.ttl = ttl;
    header.protocol = protocol;
    encodeIpv4Header(out.bytes, out.packetAt, header, path.local.bytes, 0, path.remote.bytes, 0);
  }

  #writeIpv6(
    out: OutPacket,
    path: PathEntry,
    payloadLength: number,
    nextHeader: number,
    hopLimit: number,
    trafficClass: number,
    flowLabel: number,
  ): void {
    const header = this.#ipv6;
    header.trafficClass = trafficClass;
    header.flowLabel = flowLabel;
    header.payloadLength = payloadLength;
    header.nextHeader = nextHeader;
    header.hopLimit = hopLimit;
    encodeIpv6Header(out.bytes, out.packetAt, header, path.local.bytes, 0, path.remote.bytes, 0);
  }

  /** Cuts the datagram `out` into packets of the path MTU and puts it back. */
  #sendFragments(out: OutPacket, upperLength: number, request: SendRequest): boolean {
    const path = out.path!;
    const headerLength = path.family === 4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH + IPV6_FRAGMENT_HEADER_LENGTH;
    const most = (path.mtu - headerLength) & ~7;
    const id = path.family === 4 ? takeIpv4Id(path) : takeIpv6Id(path);
    for (let offset = 0; offset < upperLength; offset += most) {
      const length = Math.min(most, upperLength - offset);
      const fragment = this.#transmitter.begin(path.iface, headerLength + length, path);
      // The rest would be thrown away by the receiver.
      if (fragment === null) return this.#refuse(out, Event.SEND_POOL_EMPTY);
      fragment.packetAt = LINK_HEADROOM;
      fragment.list.largeSendMss = 0;
      fragment.packetLength = headerLength + length;
      copyBytes(out.bytes, out.at + offset, length, fragment.bytes, LINK_HEADROOM + headerLength);
      this.#writeFragmentHeaders(fragment, path, request, id, offset, offset + length < upperLength);
      this.#pass(path, fragment);
    }
    this.#context.trace.count(Event.DATAGRAM_FRAGMENTED);
    out.home.put(out);
    return true;
  }

  #writeFragmentHeaders(
    fragment: OutPacket,
    path: PathEntry,
    request: SendRequest,
    id: number,
    offset: number,
    isMore: boolean,
  ): void {
    const { protocol, ttl, tos, flowLabel } = request;
    const length = fragment.packetLength;
    if (path.family === 4) {
      this.#writeIpv4(fragment, path, length, protocol, ttl, tos, id, isMore ? Ipv4Flag.MF : 0, offset);
      return;
    }
    this.#writeIpv6(fragment, path, length - IPV6_HEADER_LENGTH, IpProtocol.FRAGMENT, ttl, tos, flowLabel);
    encodeIpv6FragmentHeader(fragment.bytes, LINK_HEADROOM + IPV6_HEADER_LENGTH, protocol, offset, isMore, id);
  }
}

function takeIpv4Id(path: PathEntry): number {
  const id = path.nextId & IPV4_ID_MASK;
  path.nextId = (id + 1) & IPV4_ID_MASK;
  return id;
}

function takeIpv6Id(path: PathEntry): number {
  const id = path.nextId & IPV6_ID_MASK;
  path.nextId = (id + 1) & IPV6_ID_MASK;
  return id;
}
