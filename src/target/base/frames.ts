/**
 * Frames of offloaded connections: which connection a received one is for, and how one is built.
 *
 * Taken are whole TCP segments in plain packets: no fragments, no IP options or extension headers, checksum right, for the neighbor's
 * MAC. Everything else goes up the ordinary way (chimney-sequences 20, 27). Timestamps are the base's, as their clock moves with
 * the connection (chimney-sequences 23).
 */

import { asSeq, type Seq, seqDiff } from '../../base/seq.ts';
import { TcpConstFlag } from '../../state/tcp.ts';
import { decodeEthernet, EthernetFrame, EtherType, encodeEthernet, NO_VLAN } from '../../wire/ethernet.ts';
import { decodeIpv4, encodeIpv4Header, Ipv4Flag, Ipv4Header } from '../../wire/ipv4.ts';
import { decodeIpv6, encodeIpv6Header, Ipv6Header } from '../../wire/ipv6.ts';
import { equalMac } from '../../wire/mac-address.ts';
import { IpProtocol } from '../../wire/protocol.ts';
import { WIRE_OK } from '../../wire/status.ts';
import { decodeTcp, encodeTcp, isTcpChecksumGood, tcpHeaderLength, writeTcpChecksum } from '../../wire/tcp.ts';
import { TcpFlag, TcpSegment } from '../../wire/tcp-segment.ts';
import type { TargetConnection } from './connection.ts';

const LINK_HEADER_MAX = 18;

/** Reads and writes frames, one at a time. */
export class Frames {
  /** The segment that was read last. */
  readonly segment: TcpSegment = new TcpSegment();
  readonly #ethernet = new EthernetFrame();
  readonly #ipv4 = new Ipv4Header();
  readonly #ipv6 = new Ipv6Header();
  readonly #out = new TcpSegment();
  readonly #outIpv4 = new Ipv4Header();
  readonly #outIpv6 = new Ipv6Header();
  readonly #medium: 'ethernet' | 'ip';
  /** The frame that was built last. */
  readonly bytes: Uint8Array;
  #ipId = 0x7fff;

  constructor(medium: 'ethernet' | 'ip', mtu: number) {
    this.#medium = medium;
    this.bytes = new Uint8Array(mtu + LINK_HEADER_MAX);
  }

  /** The connection that a frame is for, its segment in {@link segment}; null: none, or it is not for a chimney. */
  connectionOf(
    find: (family: 4 | 6, bytes: Uint8Array, dstAt: number, srcAt: number, seg: TcpSegment) => TargetConnection | null,
    bytes: Uint8Array,
    at: number,
    length: number,
    isVouchedFor: boolean,
  ): TargetConnection | null {
    let ipAt = at;
    let ipLength = length;
    let family: 4 | 6 = length > 0 && bytes[at]! >> 4 === 4 ? 4 : 6;
    if (this.#medium === 'ethernet') {
      const frame = this.#ethernet;
      if (decodeEthernet(bytes, at, length, frame) !== WIRE_OK || frame.tagged) return null;
      // TCP-076: whatever else it is goes up.
      if (frame.etherType !== EtherType.IPV4 && frame.etherType !== EtherType.IPV6) return null;
      family = frame.etherType === EtherType.IPV4 ? 4 : 6;
      ipAt = frame.payloadAt;
      ipLength = frame.payloadLength;
    }
    const ip = family === 4 ? this.#ipv4 : this.#ipv6;
    if (!(family === 4 ? this.#isPlain4(bytes, ipAt, ipLength) : this.#isPlain6(bytes, ipAt, ipLength))) return null;
    const { segment } = this;
    if (decodeTcp(bytes, ip.payloadAt, ip.payloadLength, segment) !== WIRE_OK) return null;
    const c = find(family, bytes, ip.dstAt, ip.srcAt, segment);
    if (c === null) return null;
    const { neighbor } = c.path;
    if (neighbor !== null && !equalMac(bytes, at, neighbor.source, 0)) return null;
    const isGood = isVouchedFor || isTcpChecksumGood(bytes, ip.payloadAt, ip.payloadLength, family, ip.srcAt, ip.dstAt);
    return isGood ? c : null;
  }

  #isPlain4(bytes: Uint8Array, at: number, length: number): boolean {
    const ip = this.#ipv4;
    if (decodeIpv4(bytes, at, length, ip) !== WIRE_OK) return false;
    return ip.protocol === IpProtocol.TCP && !ip.isFragment && !ip.hasOptions;
  }

  #isPlain6(bytes: Uint8Array, at: number, length: number): boolean {
    return decodeIpv6(bytes, at, length, this.#ipv6) === WIRE_OK && this.#ipv6.nextHeader === IpProtocol.TCP;
  }

  /** PAWS (RFC 7323 5.3) and TS.Recent (4.3). False: the segment is too old. */
  checkTimestamps(c: TargetConnection, nowUs: number): boolean {
    const { segment } = this;
    if ((c.constant.flags & TcpConstFlag.TIMESTAMP_ENABLED) === 0) return true;
    if (!segment.hasTimestamps) return (segment.flags & TcpFlag.RST) !== 0;
    const age = seqDiff(asSeq(segment.tsVal | 0), asSeq(c.state.tsRecent | 0));
    if (age < 0 && (segment.flags & TcpFlag.RST) === 0) return false;
    if (age >= 0 && seqDiff(segment.seq, c.state.rcvNxt) <= 0) {
      c.state.tsRecent = segment.tsVal;
      c.tsRecentAtUs = nowUs;
    }
    return true;
  }

  /** Builds a segment in {@link bytes}; answers the length of the frame. Text is copied from the send queue. */
  build(c: TargetConnection, seq: Seq, flags: number, offset: number, length: number, tsVal: number): number {
    const { path, constant, state } = c;
    const seg = this.#out;
    seg.clearOptions();
    seg.srcPort = constant.localPort;
    seg.dstPort = constant.remotePort;
    seg.seq = seq;
    seg.ack = state.rcvNxt;
    seg.flags = flags;
    seg.window = Math.min(0xffff, state.rcvWnd >> scaleOf(c));
    seg.textLength = length;
    seg.hasTimestamps = (constant.flags & TcpConstFlag.TIMESTAMP_ENABLED) !== 0;
    seg.tsVal = tsVal;
    seg.tsEcr = state.tsRecent;
    const { bytes } = this;
    const { neighbor } = path;
    const etherType = path.family === 4 ? EtherType.IPV4 : EtherType.IPV6;
    const ipAt =
      neighbor === null ? 0 : encodeEthernet(bytes, 0, neighbor.destination, 0, neighbor.source, 0, etherType, NO_VLAN);
    const headerLength = tcpHeaderLength(seg);
    const tcpAt = ipAt + (path.family === 4 ? 20 : 40);
    this.#writeIp(c, ipAt, headerLength + length);
    encodeTcp(bytes, tcpAt, seg);
    if (length > 0) c.sends.copyOut(offset, length, bytes, tcpAt + headerLength);
    const srcAt = ipAt + (path.family === 4 ? 12 : 8);
    const dstAt = ipAt + (path.family === 4 ? 16 : 24);
    writeTcpChecksum(bytes, tcpAt, headerLength + length, path.family, srcAt, dstAt);
    return tcpAt + headerLength + length;
  }

  #writeIp({ path, cached }: TargetConnection, at: number, upperLength: number): void {
    if (path.family === 4) {
      const ip = this.#outIpv4;
      // Half of the numbers are the target's (SEND-040).
      this.#ipId = this.#ipId === 0xffff || this.#ipId < 0x8000 ? 0x8000 : this.#ipId + 1;
      ip.tos = cached.tosOrTrafficClass;
      ip.totalLength = 20 + upperLength;
      ip.id = this.#ipId;
      ip.flags = Ipv4Flag.DF;
      ip.ttl = cached.ttlOrHopLimit;
      ip.protocol = IpProtocol.TCP;
      encodeIpv4Header(this.bytes, at, ip, path.source, 0, path.destination, 0);
      return;
    }
    const ip = this.#outIpv6;
    ip.trafficClass = cached.tosOrTrafficClass;
    ip.flowLabel = cached.flowLabel;
    ip.payloadLength = upperLength;
    ip.nextHeader = IpProtocol.TCP;
    ip.hopLimit = cached.ttlOrHopLimit;
    encodeIpv6Header(this.bytes, at, ip, path.source, 0, path.destination, 0);
  }
}

/** Scales mean something only with the option (STATE-024). */
export function scaleOf({ constant }: TargetConnection): number {
  return (constant.flags & TcpConstFlag.WINDOW_SCALING_ENABLED) === 0 ? 0 : constant.rcvWindScale;
}
