/**
 * The packet that an ICMP or ICMPv6 error quotes: whose it was, as far as it is there. RFC 792, RFC 1122 3.2.2, RFC 4443 3.
 *
 * Promises: a quote cut anywhere has a reading. Nothing of it is verified: it is only good for finding the sender of the packet,
 * who then judges whether he sent it (RFC 5927: the sequence number must be in flight).
 */

import { read16, read32 } from '../base/bytes.ts';
import { asSeq, type Seq } from '../base/seq.ts';
import { decodeQuotedIpv4, Ipv4Header } from './ipv4.ts';
import { decodeQuotedIpv6, Ipv6Header } from './ipv6.ts';
import { Ipv6Extensions, walkIpv6Extensions } from './ipv6-extensions.ts';
import { IpProtocol } from './protocol.ts';
import { WIRE_OK } from './status.ts';

/** A quoted packet. Offsets point into the bytes that were decoded. */
export class QuotedPacket {
  /** 4 or 6; 0: there is no quote, or it is too short to name addresses. */
  family = 0;
  /** Where the quoted IP header stands. */
  at = 0;
  /** Bytes that are quoted, IP header included. */
  length = 0;
  /** The upper-layer protocol; of IPv6: behind the extension headers. */
  protocol = 0;
  /** Source of the quoted packet: us, if it was ours. */
  srcAt = 0;
  dstAt = 0;
  /** Where the upper-layer header stands, and how much of the packet is there. */
  upperAt = 0;
  upperLength = 0;
  /** A fragment other than the first: no upper-layer header, hence no ports. */
  isLaterFragment = false;
  /** TCP and UDP with at least eight bytes of header. */
  hasPorts = false;
  srcPort = 0;
  dstPort = 0;
  /** TCP: the sequence number of the quoted segment, when {@link hasPorts}. */
  seq: Seq = asSeq(0);

  readonly #ipv4 = new Ipv4Header();
  readonly #ipv6 = new Ipv6Header();
  readonly #extensions = new Ipv6Extensions();

  /** Forgets the quote. */
  clear(): void {
    this.family = 0;
    this.at = 0;
    this.length = 0;
    this.hasPorts = false;
    this.isLaterFragment = false;
  }

  /** Reads the quote of `length` bytes at `at`; `family` is that of the ICMP message. */
  decode(bytes: Uint8Array, at: number, length: number, family: number): void {
    this.clear();
    this.at = at;
    this.length = length;
    const isRead = family === 4 ? this.#readIpv4(bytes, at, length) : this.#readIpv6(bytes, at, length);
    if (!isRead) return;
    this.family = family;
    const hasPorts = this.protocol === IpProtocol.TCP || this.protocol === IpProtocol.UDP;
    if (!hasPorts || this.isLaterFragment || this.upperLength < 8) return;
    this.hasPorts = true;
    this.srcPort = read16(bytes, this.upperAt);
    this.dstPort = read16(bytes, this.upperAt + 2);
    this.seq = asSeq(this.protocol === IpProtocol.TCP ? read32(bytes, this.upperAt + 4) : 0);
  }

  #readIpv4(bytes: Uint8Array, at: number, length: number): boolean {
    const header = this.#ipv4;
    if (decodeQuotedIpv4(bytes, at, length, header) !== WIRE_OK) return false;
    this.protocol = header.protocol;
    this.srcAt = header.srcAt;
    this.dstAt = header.dstAt;
    this.upperAt = header.payloadAt;
    this.upperLength = header.payloadLength;
    this.isLaterFragment = header.fragmentOffset !== 0;
    return true;
  }

  #readIpv6(bytes: Uint8Array, at: number, length: number): boolean {
    const header = this.#ipv6;
    const extensions = this.#extensions;
    if (decodeQuotedIpv6(bytes, at, length, header) !== WIRE_OK) return false;
    this.srcAt = header.srcAt;
    this.dstAt = header.dstAt;
    const status = walkIpv6Extensions(bytes, header, extensions);
    // The lengths of a fragment cannot be right in a quote that was cut; what its header says is.
    const isWhole = status === WIRE_OK || extensions.isFragment;
    // A chain that cannot be walked to its end leaves the upper layer unknown, and the addresses known.
    this.protocol = isWhole ? extensions.protocol : IpProtocol.NO_NEXT_HEADER;
    this.upperAt = extensions.payloadAt;
    this.upperLength = isWhole ? extensions.payloadLength : 0;
    this.isLaterFragment = extensions.fragmentOffset !== 0;
    return true;
  }
}
