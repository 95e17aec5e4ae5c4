/**
 * The records of the IP layer that its users hold: interfaces, neighbors, paths, packets in and packets out.
 *
 * Data and promises only; who changes what is said at each member. Everything else of the IP layer is reached through
 * `IpLayer` (ip-layer.ts). Sources: RFC 1122, RFC 4861, RFC 8200; the cut neighbor / path / TCP is that of chimney-ddi 7.
 */

import type { NdisBindingHandle } from '../../ndis/protocol.ts';
import { Mdl, NetBuffer, NetBufferList } from '../../state/net-buffer-list.ts';
import { type IpAddress, writeAddressWords } from '../../wire/ip-address.ts';
import type { IpPrefix } from '../../wire/ip-prefix.ts';
import { IPV4_HEADER_LENGTH } from '../../wire/ipv4.ts';
import { IPV6_HEADER_LENGTH } from '../../wire/ipv6.ts';
import type { TransportErrorCode } from '../api.ts';
import type { InterfaceConfig } from './interface-config.ts';
import { TextRuns } from './text-runs.ts';

export type { InterfaceConfig, RouteConfig } from './interface-config.ts';

/** Bytes kept free in front of every IP packet for link headers; a multiple of 8 keeps IPv6 payloads aligned. */
export const LINK_HEADROOM = 32;

/** RFC 4862 2 and 5.5.4, RFC 4429 for OPTIMISTIC; IPv4 addresses use the same words. */
export const AddressState = {
  /** Being tested, not usable. */
  TENTATIVE: 0,
  /** Being tested and usable. */
  OPTIMISTIC: 1,
  PREFERRED: 2,
  /** Still ours, not for new connections while there is another. */
  DEPRECATED: 3,
  /** Somebody else has it: not ours. */
  DUPLICATE: 4,
} as const;
export type AddressState = (typeof AddressState)[keyof typeof AddressState];

/** One of our addresses. Changed by address-table.ts and what belongs to it. */
export class InterfaceAddress {
  readonly address: IpAddress;
  /** The address with the length of its on-link prefix. */
  readonly prefix: IpPrefix;
  readonly iface: Interface;
  /** Who gave it: the configuration, or the interface itself. */
  readonly origin: 'manual' | 'link-local' | 'autoconf';
  state: AddressState = AddressState.PREFERRED;
  /** End of the preferred and of the valid lifetime, microseconds; NEVER for manual addresses. */
  preferredUntilUs: number = Number.POSITIVE_INFINITY;
  validUntilUs: number = Number.POSITIVE_INFINITY;
  /** How often an identifier was formed anew after a conflict. RFC 7217 section 6. */
  dadCounter = 0;
  /** When it was last defended, microseconds. RFC 5227 2.4. */
  defendedUs: number = Number.NEGATIVE_INFINITY;

  constructor(iface: Interface, prefix: IpPrefix, origin: InterfaceAddress['origin']) {
    this.iface = iface;
    this.prefix = prefix;
    this.address = prefix.address;
    this.origin = origin;
  }

  /** Whether packets may be sent from it and are received for it. */
  get isUsable(): boolean {
    return this.state !== AddressState.TENTATIVE && this.state !== AddressState.DUPLICATE;
  }
}

/** An adapter as the IP layer sees it. Made by `IpLayer.attach`. */
export class Interface {
  /** Name of the adapter; 'loopback' for the built-in one. */
  readonly name: string;
  /** Position in the stack's list of interfaces. */
  readonly index: number;
  readonly medium: 'ethernet' | 'ip' | 'loopback';
  readonly mac: Uint8Array;
  readonly config: InterfaceConfig;
  /** Null on the loopback interface. */
  binding: NdisBindingHandle | null = null;
  isUp = true;
  /** Bytes of IP packet that may be sent now: {@link linkMtu}, or less as a router has advertised. RFC 4861 LinkMTU. */
  mtu: number;
  /** What the adapter's link carries now, {@link fullMtu} at most: the bound of {@link mtu}. */
  linkMtu: number;
  /** The adapter's or the configuration's MTU at the beginning: what buffers are made for. */
  readonly fullMtu: number;
  /** The MTU that a router has advertised, bytes; 0: none has. */
  advertisedMtu = 0;
  /** Largest IP packet that the adapter cuts into segments and computes checksums of, UDP too if {@link largeDatagrams}; 0: neither. */
  readonly largeSendBytes: number;
  /** The same for TCP over IPv4 where its text is not copied, though the header cannot say the length; 0: no larger than others. */
  bigSendBytes = 0;
  readonly largeDatagrams: boolean;
  readonly addresses: InterfaceAddress[] = [];
  /** 802.1Q tag control information for frames sent, or -1. */
  readonly vlanTci: number;
  /** RFC 4861 6.3.2: CurHopLimit, 0 to 255; 0: not told. */
  hopLimit = 0;
  /** ReachableTime, microseconds, already randomised. */
  reachableTimeUs = 30_000_000;
  /** When it was drawn, microseconds. */
  reachableDrawnUs: number = Number.NEGATIVE_INFINITY;
  /** BaseReachableTime, microseconds. */
  baseReachableTimeUs = 30_000_000;
  /** RetransTimer, microseconds. */
  retransTimerUs = 1_000_000;
  /** IPv6 was disabled after a duplicate of a hardware-derived link-local address. RFC 4862 5.4.5. */
  isIpv6Disabled = false;

  constructor(
    name: string,
    index: number,
    medium: Interface['medium'],
    mac: Uint8Array,
    mtu: number,
    config: InterfaceConfig,
    largeSendBytes = 0,
    largeDatagrams = false,
  ) {
    this.largeSendBytes = largeSendBytes;
    this.largeDatagrams = largeDatagrams;
    this.name = name;
    this.index = index;
    this.medium = medium;
    this.mac = mac;
    this.mtu = mtu;
    this.linkMtu = mtu;
    this.fullMtu = mtu;
    this.config = config;
    this.vlanTci = config.vlanId ?? -1;
  }
}

/** RFC 4861 7.3.2, for IPv4 (ARP) neighbors as well. The order matters: from REACHABLE on the link-layer address is known. */
export const NeighborState = {
  /** Nothing is known and nothing is being done; also after probes were not answered. */
  NONE: 0,
  INCOMPLETE: 1,
  REACHABLE: 2,
  STALE: 3,
  DELAY: 4,
  PROBE: 5,
  /** Multicast and broadcast addresses: derived, never resolved. */
  PERMANENT: 6,
} as const;
export type NeighborState = (typeof NeighborState)[keyof typeof NeighborState];

/** What a neighbor entry asks of the cache that keeps it. */
export interface NeighborKeeper {
  /** Its deadline in the agenda has come. */
  due(neighbor: NeighborEntry, nowUs: number): void;
  /** Positive advice from above; the entry is not REACHABLE. */
  confirm(neighbor: NeighborEntry, nowUs: number): void;
  /** Negative advice from above: check it now. */
  doubt(neighbor: NeighborEntry, nowUs: number): void;
}

/** An entry of the neighbor cache (IPv6) or of the ARP table (IPv4). Changed by framing/neighbor-cache.ts. */
export class NeighborEntry {
  readonly ip: IpAddress;
  readonly iface: Interface;
  /** Six bytes; meaningful from REACHABLE on. The array stays the same when the address changes. */
  readonly mac: Uint8Array = new Uint8Array(6);
  state: NeighborState = NeighborState.NONE;
  /** When it was last known to be reachable, microseconds; -Infinity: never. */
  confirmedUs: number = Number.NEGATIVE_INFINITY;
  /** RFC 4861 IsRouter. */
  isRouter = false;
  /** When it was last asked, microseconds. */
  solicitedUs: number = Number.NEGATIVE_INFINITY;
  /** When its resolution or probing last failed, microseconds; -Infinity: never. */
  failedUs: number = Number.NEGATIVE_INFINITY;
  /** Solicitations or ARP requests sent without an answer since the last change of state. */
  probes = 0;
  /** Paths that have it as next hop: such an entry is not evicted. */
  pathCount = 0;
  /** Packets that wait for its link-layer address, oldest first. */
  pendingFirst: OutPacket | null = null;
  pendingLast: OutPacket | null = null;
  pendingCount = 0;
  /** Slot in the agenda; -1 while it has none. For its keeper. */
  agendaSlot = -1;
  /** When it was last wanted by a path or a packet; for eviction. */
  usedUs = 0;
  /** The chimney client's object for it (host/chimney); null until it is first used there. */
  chimney: unknown = null;
  nextInBucket: NeighborEntry | null = null;
  readonly #keeper: NeighborKeeper;

  constructor(keeper: NeighborKeeper, iface: Interface, ip: IpAddress) {
    this.#keeper = keeper;
    this.iface = iface;
    this.ip = ip;
  }

  onDue(nowUs: number): void {
    this.#keeper.due(this, nowUs);
  }

  /** Confirms reachability (forward progress of an upper layer, RFC 4861 7.3.1). */
  confirmReachable(nowUs: number): void {
    if (this.state === NeighborState.REACHABLE) this.confirmedUs = nowUs;
    else this.#keeper.confirm(this, nowUs);
  }

  /** Doubts reachability (repeated retransmission, RFC 1122 3.3.1.4): a REACHABLE or STALE entry is probed. */
  doubtReachable(nowUs: number): void {
    this.#keeper.doubt(this, nowUs);
  }
}

/** What a path asks of the table that keeps it. */
export interface PathKeeper {
  /** The first user came. */
  used(path: PathEntry): void;
  /** The last user let go. */
  unused(path: PathEntry): void;
  /** The path MTU has aged (its deadline in the agenda has come). */
  due(path: PathEntry, nowUs: number): void;
}

/** A pair of local and remote address, the way between them and its MTU. Changed by path-table.ts and path-mtu.ts. */
export class PathEntry {
  readonly family: 4 | 6;
  readonly local: IpAddress;
  readonly remote: IpAddress;
  /** The addresses as connection records hold them: four words, IPv4 in the last. */
  readonly localWords: Int32Array = new Int32Array(4);
  readonly remoteWords: Int32Array = new Int32Array(4);
  /** The interface it leaves by; the loopback interface when the remote address is ours. */
  iface: Interface;
  /** The next hop; null on bare-IP links and on loopback. */
  neighbor: NeighborEntry | null = null;
  /** Path MTU, bytes of IP packet. */
  mtu: number;
  /** False: no route at present; nothing can be sent. */
  isUp = true;
  /** IPv4: routers reported less than the smallest MTU that is believed: packets go without DF. See path-mtu.ts. */
  mayFragment = false;
  /** When the MTU may be raised again, microseconds; NEVER while it was not lowered. */
  mtuUntilUs: number = Number.POSITIVE_INFINITY;
  /** Whether the table still has it: an unused path can be dropped to make room, and sends nothing from then on. */
  isKept = true;
  /** Users; see {@link retain}. */
  useCount = 0;
  /** Identification of the next IPv4 packet (lower half of 16 bits) or IPv6 fragmented packet (lower half of 32 bits). */
  nextId = 0;
  /** The chimney client's object for it (host/chimney); null until it is first used there. */
  chimney: unknown = null;
  /** For its keepers: chain of the hash bucket, order of use, slot in the agenda. */
  nextInBucket: PathEntry | null = null;
  newer: PathEntry | null = null;
  older: PathEntry | null = null;
  agendaSlot = -1;
  readonly #keeper: PathKeeper;

  constructor(keeper: PathKeeper, iface: Interface, local: IpAddress, remote: IpAddress) {
    this.#keeper = keeper;
    this.iface = iface;
    this.family = local.family;
    this.local = local;
    this.remote = remote;
    this.mtu = iface.mtu;
    writeAddressWords(local.bytes, 0, local.family, this.localWords, 0);
    writeAddressWords(remote.bytes, 0, remote.family, this.remoteWords, 0);
  }

  /** Bytes of IP header in front of the upper layer's: 20 or 40. */
  get headerLength(): number {
    return this.family === 4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH;
  }

  /** Most bytes of upper-layer header and payload in one packet. RFC 1122 3.3.3 MMS_S. */
  get room(): number {
    return this.mtu - this.headerLength;
  }

  /** Counts a user; a path in use is not dropped. To be called in the turn in which the path was asked for. */
  retain(): void {
    this.useCount++;
    if (this.useCount === 1) this.#keeper.used(this);
  }

  /** The user has gone. */
  release(): void {
    this.useCount--;
    if (this.useCount === 0) this.#keeper.unused(this);
  }

  onDue(nowUs: number): void {
    this.#keeper.due(this, nowUs);
  }

  /** Forward progress of the upper layer: the next hop is reachable. RFC 4861 7.3.1. */
  confirmReachable(nowUs: number): void {
    const neighbor = this.neighbor;
    if (neighbor !== null) neighbor.confirmReachable(nowUs);
  }

  /** The upper layer retransmits again and again: is the next hop still there? RFC 1122 3.3.1.4, 4.2.3.5 R1. */
  doubtReachable(nowUs: number): void {
    const neighbor = this.neighbor;
    if (neighbor !== null) neighbor.doubtReachable(nowUs);
  }
}

/** A received packet as the upper layer sees it. One record, reused: valid only inside `UpperProtocol.receive`. */
export class RxPacket {
  bytes: Uint8Array = NO_BYTES;
  /** The upper-layer segment or datagram: where it starts and how long it is. */
  at = 0;
  length = 0;
  family: 4 | 6 = 4;
  /** Where the source and destination address stand in {@link bytes}. */
  srcAt = 0;
  dstAt = 0;
  /** Of the upper layer: 6, 17, ... */
  protocol = 0;
  /** TTL or hop limit as received. */
  ttl = 0;
  /** TOS or traffic class, ECN bits included. */
  tos = 0;
  /** IPv6; 0 for IPv4. */
  flowLabel = 0;
  /** The IP header, and the length of the whole packet from there on. */
  headerAt = 0;
  packetLength = 0;
  /** IPv4: header with options; IPv6: up to the upper-layer header. Bytes. */
  headerLength = 0;
  /** IPv6: where the Next Header field that names {@link protocol} stands. */
  nextHeaderAt = 0;
  wasReassembled = false;
  /** IPv4 options or IPv6 extension headers were there. They stand between the fixed header and {@link at}. */
  hadOptions = false;
  toMulticast = false;
  toBroadcast = false;
  /** The frame was a link-layer broadcast or multicast. */
  linkBroadcast = false;
  /** IPv6: where the frame's own source address stands in {@link bytes}; -1: there is none. */
  linkSourceAt = -1;
  /** Greater than 0: the device vouches for the checksum, and has joined segments of so much payload. `NetBufferList.largeSendMss`. */
  segmentBytes = 0;
  iface: Interface;

  constructor(iface: Interface) {
    this.iface = iface;
  }
}

const NO_BYTES: Uint8Array = new Uint8Array(0);

/** Where a packet goes back to. */
export interface PacketHome {
  put(out: OutPacket): void;
}

/** A packet to be sent, from `IpLayer.beginPacket`: a pooled NET_BUFFER_LIST with one linear buffer, behind it text that was not copied. */
export class OutPacket {
  readonly bytes: Uint8Array;
  /** Where the upper layer writes its header. */
  at = 0;
  /** Most bytes it may write there. */
  room = 0;
  path: PathEntry | null = null;
  readonly list: NetBufferList;
  readonly netBuffer: NetBuffer;
  readonly mdl: Mdl;
  /** Larger than the MTU: never given to the adapter itself, only its fragments. */
  readonly isLarge: boolean;
  /** For its keepers: the next free or waiting packet; what of it waits (IP packet, bytes of `bytes`). */
  next: OutPacket | null = null;
  packetAt = 0;
  packetLength = 0;
  /** Text behind what stands in `bytes`; `packetLength` counts it in. */
  readonly text: TextRuns;
  /** 802.1p priority of the frame, 0 to 7. */
  priority = 0;
  /** False from `beginPacket` until it is back. */
  isFree = true;
  readonly home: PacketHome;

  constructor(home: PacketHome, size: number, isLarge = false) {
    this.home = home;
    this.bytes = new Uint8Array(size);
    this.isLarge = isLarge;
    this.mdl = new Mdl(this.bytes, 0, 0);
    this.text = new TextRuns(this.mdl);
    this.netBuffer = new NetBuffer(this.mdl, 0);
    this.list = new NetBufferList(this.netBuffer);
    this.list.protocolReserved = this;
  }
}

/** What an ICMP error, or the loss of a packet here, says. */
export const IcmpErrorKind = {
  /** Network, host or address unreachable, administratively prohibited. */
  UNREACHABLE: 0,
  /** Nobody takes this protocol there. */
  PROTOCOL_UNREACHABLE: 1,
  /** Nobody listens on this port there. */
  PORT_UNREACHABLE: 2,
  /** The packet was larger than a link's MTU; see {@link IcmpError.mtu}. */
  PACKET_TOO_BIG: 3,
  TIME_EXCEEDED: 4,
  PARAMETER_PROBLEM: 5,
  /** ICMPv6 error message of a type nobody knows. RFC 4443 2.4 (a). */
  UNKNOWN: 6,
} as const;
export type IcmpErrorKind = (typeof IcmpErrorKind)[keyof typeof IcmpErrorKind];

/** An ICMP error about a packet we sent. One record, reused: valid only inside `UpperProtocol.icmpError`. */
export class IcmpError {
  kind: IcmpErrorKind = IcmpErrorKind.UNREACHABLE;
  /** ICMP type and code as received; -1 when it was made here (no answer from the next hop). */
  type = -1;
  code = -1;
  /** RFC 1122 4.2.3.9: hard errors end a connection that is being opened; soft ones only explain a later timeout. */
  hard = false;
  /** What an application is told. */
  error: TransportErrorCode = 'EHOSTUNREACH';
  family: 4 | 6 = 4;
  /** The quoted packet: bytes, where its local (source) and remote (destination) address stand, where its upper header starts. */
  bytes: Uint8Array = NO_BYTES;
  localAt = 0;
  remoteAt = 0;
  quotedAt = 0;
  /** Bytes of the quoted upper header and payload that are there; at least 8 from a conforming sender, can be less. */
  quotedLength = 0;
  protocol = 0;
  /** PACKET_TOO_BIG: the MTU that the path will have if this error is believed, bytes; else 0. */
  mtu = 0;
  /** The path it concerns; null when there is none (any more). */
  path: PathEntry | null = null;
  /** PACKET_TOO_BIG: an upper protocol that cannot judge at once takes this, calls it when the quote has proved genuine, and answers true. */
  believe: (() => void) | null = null;
}

/** A protocol above IP. */
export interface UpperProtocol {
  /** Takes a packet; false: nobody there, and IP answers with port unreachable (TCP resets instead and answers true). */
  receive(rx: RxPacket): boolean;
  /** The batch is over. */
  receiveDone(): void;
  /**
   * An ICMP error quotes a packet of this protocol from one of our addresses. Answers whether the quote can be genuine
   * (a connection or port is there, the sequence number is in flight: RFC 5927 4.1); a false answer keeps a PACKET_TOO_BIG
   * from lowering the path MTU.
   */
  icmpError(error: IcmpError): boolean;
  /** The path MTU was changed (lowered by ICMP, raised by age, or with the interface). RFC 1191 6.2: to all connections of it. */
  pathMtuChanged(path: PathEntry): void;
  /** An address was lost to a conflict or has expired: connections from it are to be given up. RFC 5227 2.4. */
  addressLost(address: IpAddress): void;
}

/** Whoever must know of changes below a path: the chimney client, whose target has copies of this state. */
export interface PathObserver {
  /** The link-layer address of a neighbor was learned anew. chimney UPD-009. */
  neighborMacChanged(neighbor: NeighborEntry): void;
  /** A neighbor without link-layer address has one now. chimney UPD-011. */
  neighborResolved(neighbor: NeighborEntry): void;
  /** Probes were not answered; the entry is without address now. chimney INV-017. */
  neighborUnreachable(neighbor: NeighborEntry): void;
  /**
   * The DELAY state of a neighbor has run out. True: the observer finds out itself whether there was forward progress and calls
   * `confirmReachable` or `IpLayer.probe` on it (chimney NBR-027); false: probes are sent now.
   */
  neighborDelayOver(neighbor: NeighborEntry): boolean;
  /** The path goes by another next hop or interface now (route change, redirect, dead router), or there is no way any more. chimney UPD-023. */
  nextHopChanged(path: PathEntry, oldNeighbor: NeighborEntry | null): void;
  /** chimney UPD-012. */
  pathMtuChanged(path: PathEntry): void;
  /** The default hop limit of packets that leave by it (RFC 4861 6.3.4). chimney UPD-007. */
  hopLimitChanged(iface: Interface): void;
}
