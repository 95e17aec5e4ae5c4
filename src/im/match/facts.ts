/**
 * What a filter expression may ask about a frame, and what is known of a connection before it has sent any.
 *
 * Looks inside frames: a frame is decoded as far as the ports, which is what an expression is about.
 * Promises: one record, reused; nothing is allocated per frame; a frame that cannot be decoded is a frame of which little is
 * known, never an error. Checksums are not looked at: whoever the frame is for does that.
 */

import { read16 } from '../../base/bytes.ts';
import { copyFromNetBuffer, type NetBuffer } from '../../state/net-buffer-list.ts';
import { ArpPacket, decodeArp } from '../../wire/arp.ts';
import { decodeEthernet, EthernetFrame, EtherType } from '../../wire/ethernet.ts';
import { decodeQuotedIpv4, Ipv4Header } from '../../wire/ipv4.ts';
import { decodeQuotedIpv6, Ipv6Header } from '../../wire/ipv6.ts';
import { Ipv6Extensions, walkIpv6Extensions } from '../../wire/ipv6-extensions.ts';
import { IpProtocol } from '../../wire/protocol.ts';
import { WIRE_OK } from '../../wire/status.ts';

/** The value of a fact that the frame does not have: the port of a datagram that is no TCP or UDP. */
export const ABSENT = -1;
/** The value of a fact that is not known: the flags of a connection's segments to come. */
export const UNKNOWN = -2;

/** Which way a frame goes, as a driver sees it: in (up, to the host) or out (down, to the wire). */
export const Direction = { IN: 0, OUT: 1 } as const;
export type Direction = (typeof Direction)[keyof typeof Direction];

const NO_BYTES: Uint8Array = new Uint8Array(0);
/** Bytes of a frame in several pieces that are looked at: all headers of any sane packet. */
const LOOKED_AT = 512;

/** The facts of one frame or of one direction of a connection. Addresses point into bytes that are borrowed. */
export class PacketFacts {
  direction: Direction = Direction.IN;
  /** Bytes of the frame, link header included; or UNKNOWN. */
  length = 0;
  /** Whether there are MACs: {@link ABSENT} on bare IP, {@link UNKNOWN} of a connection, else where they stand. */
  srcMacAt: number = ABSENT;
  dstMacAt: number = ABSENT;
  macs: Uint8Array = NO_BYTES;
  /** EtherType behind a tag; of a bare IP packet that of its version. */
  etherType: number = ABSENT;
  /** VLAN identifier of a tagged frame. */
  vlanId: number = ABSENT;
  /** 4, 6, or ABSENT. An ARP packet is of family 4. */
  family: number = ABSENT;
  /** Source and destination address: where they stand in {@link addresses}. Of ARP: those of sender and target. */
  srcAt = 0;
  dstAt = 0;
  srcAddress: Uint8Array = NO_BYTES;
  dstAddress: Uint8Array = NO_BYTES;
  /** Protocol behind the IP headers. */
  protocol: number = ABSENT;
  srcPort: number = ABSENT;
  dstPort: number = ABSENT;
  tcpFlags: number = ABSENT;
  icmpType: number = ABSENT;

  readonly #ethernet = new EthernetFrame();
  readonly #arp = new ArpPacket();
  readonly #ipv4 = new Ipv4Header();
  readonly #ipv6 = new Ipv6Header();
  readonly #extensions = new Ipv6Extensions();
  #scratch: Uint8Array = NO_BYTES;

  /** Reads the frame in a net buffer. */
  readFrame(nb: NetBuffer, medium: 'ethernet' | 'ip', direction: Direction): void {
    const mdl = nb.currentMdl;
    if (mdl === null) this.read(NO_BYTES, 0, 0, medium, direction);
    else if (mdl.byteCount - nb.currentMdlOffset >= nb.dataLength) {
      this.read(mdl.buffer, mdl.byteOffset + nb.currentMdlOffset, nb.dataLength, medium, direction);
    } else {
      if (this.#scratch.length === 0) this.#scratch = new Uint8Array(LOOKED_AT);
      const copied = copyFromNetBuffer(nb, 0, Math.min(nb.dataLength, LOOKED_AT), this.#scratch, 0);
      this.read(this.#scratch, 0, copied, medium, direction);
      this.length = nb.dataLength;
    }
  }

  /** Reads a frame of `length` bytes at `at`. */
  read(bytes: Uint8Array, at: number, length: number, medium: 'ethernet' | 'ip', direction: Direction): void {
    this.#clear(direction, length);
    if (medium === 'ip') {
      if (length > 0) this.etherType = bytes[at]! >> 4 === 6 ? EtherType.IPV6 : EtherType.IPV4;
      this.#readNetwork(bytes, at, length);
      return;
    }
    const frame = this.#ethernet;
    if (decodeEthernet(bytes, at, length, frame) !== WIRE_OK) return;
    this.macs = bytes;
    this.srcMacAt = frame.srcAt;
    this.dstMacAt = frame.dstAt;
    this.etherType = frame.etherType;
    this.vlanId = frame.tagged ? frame.vlanId : ABSENT;
    this.#readNetwork(bytes, frame.payloadAt, frame.payloadLength);
  }

  /** What is known of the segments that a TCP connection sends from `src` to `dst` (4 or 16 bytes each). */
  ofConnection(src: Uint8Array, srcPort: number, dst: Uint8Array, dstPort: number, direction: Direction): void {
    this.#clear(direction, UNKNOWN);
    this.srcMacAt = UNKNOWN;
    this.dstMacAt = UNKNOWN;
    this.vlanId = UNKNOWN;
    this.family = src.length === 4 ? 4 : 6;
    this.etherType = this.family === 4 ? EtherType.IPV4 : EtherType.IPV6;
    this.srcAddress = src;
    this.srcAt = 0;
    this.dstAddress = dst;
    this.dstAt = 0;
    this.protocol = IpProtocol.TCP;
    this.srcPort = srcPort;
    this.dstPort = dstPort;
    this.tcpFlags = UNKNOWN;
  }

  #clear(direction: Direction, length: number): void {
    this.direction = direction;
    this.length = length;
    this.srcMacAt = ABSENT;
    this.dstMacAt = ABSENT;
    this.etherType = ABSENT;
    this.vlanId = ABSENT;
    this.family = ABSENT;
    this.protocol = ABSENT;
    this.srcPort = ABSENT;
    this.dstPort = ABSENT;
    this.tcpFlags = ABSENT;
    this.icmpType = ABSENT;
  }

  #readNetwork(bytes: Uint8Array, at: number, length: number): void {
    if (this.etherType === EtherType.IPV4) this.#readIpv4(bytes, at, length);
    else if (this.etherType === EtherType.IPV6) this.#readIpv6(bytes, at, length);
    else if (this.etherType === EtherType.ARP && decodeArp(bytes, at, length, this.#arp) === WIRE_OK) {
      this.#setAddresses(4, bytes, this.#arp.senderIpAt, this.#arp.targetIpAt);
    }
  }

  #setAddresses(family: number, bytes: Uint8Array, srcAt: number, dstAt: number): void {
    this.family = family;
    this.srcAddress = bytes;
    this.srcAt = srcAt;
    this.dstAddress = bytes;
    this.dstAt = dstAt;
  }

  #readIpv4(bytes: Uint8Array, at: number, length: number): void {
    const header = this.#ipv4;
    if (decodeQuotedIpv4(bytes, at, length, header) !== WIRE_OK) return;
    this.#setAddresses(4, bytes, header.srcAt, header.dstAt);
    this.protocol = header.protocol;
    // Ports stand in the first fragment only, and an expression about ports is false of the others (as pcap has it).
    if (header.fragmentOffset === 0) this.#readTransport(bytes, header.payloadAt, at + length - header.payloadAt);
  }

  #readIpv6(bytes: Uint8Array, at: number, length: number): void {
    const header = this.#ipv6;
    if (decodeQuotedIpv6(bytes, at, length, header) !== WIRE_OK) return;
    this.#setAddresses(6, bytes, header.srcAt, header.dstAt);
    const chain = this.#extensions;
    // A fragment of bad lengths is described in full all the same.
    if (walkIpv6Extensions(bytes, header, chain) !== WIRE_OK && !chain.isFragment) return;
    this.protocol = chain.protocol;
    if (!chain.isFragment || chain.fragmentOffset === 0) {
      this.#readTransport(bytes, chain.payloadAt, chain.payloadLength);
    }
  }

  #readTransport(bytes: Uint8Array, at: number, length: number): void {
    const { protocol } = this;
    if (protocol === IpProtocol.TCP || protocol === IpProtocol.UDP) {
      if (length < 4) return;
      this.srcPort = read16(bytes, at);
      this.dstPort = read16(bytes, at + 2);
      if (protocol === IpProtocol.TCP && length >= 14) this.tcpFlags = bytes[at + 13]!;
    } else if ((protocol === IpProtocol.ICMP || protocol === IpProtocol.ICMPV6) && length >= 1) {
      this.icmpType = bytes[at]!;
    }
  }
}
