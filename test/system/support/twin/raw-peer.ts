/**
 * The peer of a subject, without any TCP of its own: builds the packets that a script asks for, bytes of option by byte, and reads what
 * comes back into one line each, with numbers relative to both ISNs, so that the lines of two subjects can be compared.
 */

import { write16, write32 } from '../../../../src/base/bytes.ts';
import { checksumAdd, checksumFinish, checksumOf } from '../../../../src/base/checksum.ts';
import { asSeq, type Seq, seqAdd, seqDiff } from '../../../../src/base/seq.ts';
import { parseIp } from '../../../../src/wire/ip-address.ts';
import { decodeIpv4, encodeIpv4Header, Ipv4Header } from '../../../../src/wire/ipv4.ts';
import { decodeIpv6, encodeIpv6Header, Ipv6Header } from '../../../../src/wire/ipv6.ts';
import { pseudoHeaderSum } from '../../../../src/wire/pseudo-header.ts';
import { WIRE_OK } from '../../../../src/wire/status.ts';
import { decodeTcp, encodeTcp, isTcpChecksumGood, writeTcpChecksum } from '../../../../src/wire/tcp.ts';
import { TcpFlag, TcpSegment } from '../../../../src/wire/tcp-segment.ts';
import { ourByte, peerByte } from '../../../support/packet-script/endpoint.ts';
import { fillSegment, flagsText, type Names, type PacketSpec } from '../../../support/packet-script/segment-text.ts';
import { type Family, PEER4, PEER6, ROUTER4, ROUTER6, SUBJECT4, SUBJECT6 } from './subject.ts';

/** Where the numbers of the peer begin: 300 bytes before they wrap. */
export const PEER_ISN: Seq = seqAdd(asSeq(0), -300);
/** What stands for the subject's ISN before it has told one. */
const UNKNOWN_ISN: Seq = asSeq(0x10000);

/** What came from a subject. */
export interface Seen {
  /** As it is compared. */
  readonly text: string;
  readonly segment: TcpSegment | null;
  readonly packet: Uint8Array;
}

/** What a packet has beside its TCP header. */
export interface Envelope {
  /** TCP options as they stand there, instead of those of the spec; a multiple of four bytes. */
  readonly options?: Uint8Array;
  /** Changes the segment, before the checksum is made. */
  readonly twist?: (segment: Uint8Array) => void;
  readonly badChecksum?: boolean;
}

export class RawPeer {
  readonly family: Family;
  readonly port: number;
  readonly subjectPort: number;
  subjectIsn: Seq | null = null;
  /** How far the subject's stream has come in order, from its ISN; and the furthest it has sent. */
  received = 0;
  furthest = 0;
  /** How far the subject has acknowledged us, from our ISN. */
  acknowledged = 0;
  lastWindow = 0;
  windowScale = 0;
  lastTimestamp = 0;
  readonly names: Names = new Map();
  /** What the subject sent last with text, as a whole packet: for ICMP errors to quote. */
  lastSent: Uint8Array | null = null;
  readonly #seg = new TcpSegment();

  constructor(family: Family, port: number, subjectPort: number) {
    this.family = family;
    this.port = port;
    this.subjectPort = subjectPort;
  }

  get #peer(): Uint8Array {
    return parseIp(this.family === 4 ? PEER4 : PEER6)!.bytes;
  }

  get #subject(): Uint8Array {
    return parseIp(this.family === 4 ? SUBJECT4 : SUBJECT6)!.bytes;
  }

  /** A segment, from its TCP header on. */
  segment(spec: PacketSpec, envelope: Envelope = {}): Uint8Array {
    const seg = this.#seg;
    this.names.set('last', this.lastTimestamp);
    fillSegment(spec, seg, PEER_ISN, this.subjectIsn ?? UNKNOWN_ISN, this.names);
    seg.srcPort = this.port;
    seg.dstPort = this.subjectPort;
    if (spec.win === null && (seg.flags & TcpFlag.RST) === 0) seg.window = 65_535;
    const bytes = new Uint8Array(60 + spec.length);
    let header = encodeTcp(bytes, 0, seg);
    const { options } = envelope;
    if (options !== undefined) {
      bytes.set(options, 20);
      header = 20 + options.length;
      bytes[12] = header << 2;
    }
    const first = (spec.flags & TcpFlag.SYN) !== 0 ? 0 : -1;
    for (let i = 0; i < spec.length; i++) bytes[header + i] = peerByte(spec.seq + first + i);
    const out = bytes.slice(0, header + spec.length);
    envelope.twist?.(out);
    return out;
  }

  /** The whole packet of it. */
  packet(spec: PacketSpec, envelope: Envelope = {}): Uint8Array {
    const segment = this.segment(spec, envelope);
    const packet = this.wrap(segment, 6);
    const at = packet.length - segment.length;
    if (this.family === 4) writeTcpChecksum(packet, at, segment.length, 4, 12, 16);
    else writeTcpChecksum(packet, at, segment.length, 6, 8, 24);
    if (envelope.badChecksum) packet[at + 16]! ^= 0x55;
    return packet;
  }

  /** An IP packet from the peer, or from the router. */
  wrap(payload: Uint8Array, protocol: number, from: 'peer' | 'router' = 'peer'): Uint8Array {
    const source = from === 'peer' ? this.#peer : parseIp(this.family === 4 ? ROUTER4 : ROUTER6)!.bytes;
    const at = this.family === 4 ? 20 : 40;
    const packet = new Uint8Array(at + payload.length);
    packet.set(payload, at);
    if (this.family === 4) {
      const ip = new Ipv4Header();
      ip.totalLength = packet.length;
      ip.ttl = 64;
      ip.protocol = protocol;
      ip.flags = 2;
      encodeIpv4Header(packet, 0, ip, source, 0, this.#subject, 0);
    } else {
      const ip = new Ipv6Header();
      ip.payloadLength = payload.length;
      ip.nextHeader = protocol;
      ip.hopLimit = 64;
      encodeIpv6Header(packet, 0, ip, source, 0, this.#subject, 0);
    }
    return packet;
  }

  /** An ICMP error about `quoted`, a packet of the subject's. `rest`: the second word of the header. */
  icmp(type: number, code: number, rest: number, quoted: Uint8Array): Uint8Array {
    const message = new Uint8Array(8 + quoted.length);
    message[0] = type;
    message[1] = code;
    write32(message, 4, rest);
    message.set(quoted, 8);
    if (this.family === 4) {
      write16(message, 2, checksumOf(message, 0, message.length));
      return this.wrap(message, 1, 'router');
    }
    const packet = this.wrap(message, 58, 'router');
    const sum = pseudoHeaderSum(packet, 6, 8, 24, 58, message.length);
    write16(packet, 42, checksumFinish(checksumAdd(sum, packet, 40, message.length)));
    return packet;
  }

  /** Reads what came; null: it is not for the peer, or no TCP and no error. */
  read(packet: Uint8Array): Seen | null {
    const version = packet[0]! >> 4;
    const ip4 = new Ipv4Header();
    const ip6 = new Ipv6Header();
    if (version === 4 && decodeIpv4(packet, 0, packet.length, ip4) !== WIRE_OK) throw new Error('IPv4 header is wrong');
    if (version === 6 && decodeIpv6(packet, 0, packet.length, ip6) !== WIRE_OK) throw new Error('IPv6 header is wrong');
    const ip = version === 4 ? ip4 : ip6;
    const protocol = version === 4 ? ip4.protocol : ip6.nextHeader;
    if (protocol === 1 || protocol === 58) {
      const type = packet[ip.payloadAt]!;
      const isError = version === 4 ? type === 3 || type === 11 || type === 12 : type < 128;
      if (!isError) return null;
      const code = packet[ip.payloadAt + 1]!;
      const pointer =
        type === (version === 4 ? 12 : 4) ? ` at ${packet.slice(ip.payloadAt + 4, ip.payloadAt + 8)}` : '';
      return { text: `icmp ${type}/${code}${pointer}`, segment: null, packet };
    }
    if (protocol !== 6) return null;
    const seg = new TcpSegment();
    if (decodeTcp(packet, ip.payloadAt, ip.payloadLength, seg) !== WIRE_OK) throw new Error('TCP header is wrong');
    if (!isTcpChecksumGood(packet, ip.payloadAt, ip.payloadLength, version, ip.srcAt, ip.dstAt)) {
      throw new Error('TCP checksum is wrong');
    }
    if (seg.dstPort !== this.port || seg.srcPort !== this.subjectPort) return null;
    return this.#note(seg, packet);
  }

  #note(seg: TcpSegment, packet: Uint8Array): Seen {
    const { SYN, RST, ACK, FIN, PSH } = TcpFlag;
    if ((seg.flags & (SYN | RST)) === SYN) {
      this.subjectIsn = seg.seq;
      this.windowScale = seg.windowScale < 0 ? 0 : seg.windowScale;
      this.received = Math.max(1, this.received);
    }
    const base = this.subjectIsn ?? UNKNOWN_ISN;
    const seq = seqDiff(seg.seq, base);
    const isReset = (seg.flags & RST) !== 0;
    let text = `${flagsText(seg.flags & ~PSH)} ${isReset && seg.seq === 0 ? 'zero' : seq}`;
    if (seg.textLength > 0) {
      text += `+${seg.textLength}`;
      for (let i = 0; i < seg.textLength; i++) {
        if (seg.bytes[seg.textAt + i] !== ourByte(seq - 1 + i)) throw new Error(`byte ${seq - 1 + i} was sent wrong`);
      }
    }
    if ((seg.flags & ACK) !== 0) text += ` ack ${seqDiff(seg.ack, PEER_ISN)}`;
    if (!isReset) {
      text += this.#optionsText(seg, base);
      const length = seg.textLength + ((seg.flags & FIN) !== 0 ? 1 : 0);
      if (seq <= this.received) this.received = Math.max(this.received, seq + length);
      this.furthest = Math.max(this.furthest, seq + length);
      if ((seg.flags & ACK) !== 0) this.acknowledged = Math.max(this.acknowledged, seqDiff(seg.ack, PEER_ISN));
      this.lastWindow = seg.window << ((seg.flags & SYN) !== 0 ? 0 : this.windowScale);
      if (seg.hasTimestamps) this.lastTimestamp = seg.tsVal >>> 0;
    }
    this.lastSent = packet;
    return { text, segment: seg, packet };
  }

  #optionsText(seg: TcpSegment, base: Seq): string {
    let text = seg.window === 0 ? ' win 0' : '';
    if (seg.mss !== 0) text += ` mss ${seg.mss}`;
    if (seg.windowScale >= 0) text += ' ws';
    if (seg.sackPermitted) text += ' sackOK';
    if (seg.hasTimestamps) text += ` ecr ${seg.tsEcr >>> 0}`;
    for (let i = 0; i < seg.sackCount; i++) {
      const [left, right] = [asSeq(seg.sackEdges[2 * i]!), asSeq(seg.sackEdges[2 * i + 1]!)];
      text += `${i === 0 ? ' sack' : ''} ${seqDiff(left, PEER_ISN)}:${seqDiff(right, PEER_ISN)}`;
    }
    void base;
    return text;
  }
}
