/**
 * The other end of the wire: one small TCP peer for each connection, and the link by which the target reaches them.
 *
 * The peer takes what comes in order, checks every byte of it, acknowledges each segment (or holds its acknowledgments back),
 * and sends what a scenario tells it to. Nothing it sends arrives by itself: frames wait until they are delivered, one by one.
 */

import { asSeq, type Seq, seqAdd, seqDiff } from '../base/seq.ts';
import type { Link, LinkReceiver } from '../link/link.ts';
import { decodeEthernet, EthernetFrame, EtherType, encodeEthernet, NO_VLAN } from '../wire/ethernet.ts';
import { decodeIpv4, encodeIpv4Header, Ipv4Header } from '../wire/ipv4.ts';
import { decodeIpv6, encodeIpv6Header, Ipv6Header } from '../wire/ipv6.ts';
import { IpProtocol } from '../wire/protocol.ts';
import { WIRE_OK } from '../wire/status.ts';
import { decodeTcp, encodeTcp, isTcpChecksumGood, writeTcpChecksum } from '../wire/tcp.ts';
import { TcpFlag, TcpSegment } from '../wire/tcp-segment.ts';
import { pattern, patternByte } from './pattern.ts';

/** MACs of the peer, and of a second router to which paths may be moved. */
export const PEER_MAC: Uint8Array = Uint8Array.of(2, 0, 0, 0, 0, 0x99);
export const OTHER_MAC: Uint8Array = Uint8Array.of(2, 0, 0, 0, 0, 0x98);
const OWN_MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);

/** The two ends of a connection. */
export interface FourTuple {
  readonly family: 4 | 6;
  readonly local: Uint8Array;
  readonly remote: Uint8Array;
  readonly localPort: number;
  readonly remotePort: number;
}

/** What is wrong with what the target sends. */
export type Complain = (peer: Peer, expected: string, seen: string) => void;

const WINDOW = 65_535;

/** The peer of one connection. */
export class Peer {
  readonly tuple: FourTuple;
  /** Sequence numbers at which each stream begins. */
  readonly sendBase: Seq;
  readonly receiveBase: Seq;
  /** Bytes sent and received; what was acknowledged to the target. */
  sent = 0;
  received = 0;
  /** How much of our stream the target has acknowledged. */
  acknowledged = 0;
  hasSentFin = false;
  hasReceivedFin = false;
  hasReset = false;
  wasReset = false;
  /** Bytes of the stream before the first urgent one; -1: none was sent. */
  urgentAt = -1;
  /** Acknowledgments are held back. */
  holdsAcks = false;
  readonly key: number;
  readonly #wire: ModelWire;

  constructor(wire: ModelWire, tuple: FourTuple, sendBase: Seq, receiveBase: Seq, key: number) {
    this.#wire = wire;
    this.tuple = tuple;
    this.sendBase = sendBase;
    this.receiveBase = receiveBase;
    this.key = key;
  }

  /** Puts the next bytes of the stream on the wire. */
  send(length: number, flags: number = TcpFlag.ACK | TcpFlag.PSH, urgentPointer = 0): void {
    if (this.hasSentFin || this.hasReset) return;
    const text = pattern(this.sent, length, this.key);
    if ((flags & TcpFlag.URG) !== 0 && this.urgentAt < 0) this.urgentAt = this.sent;
    this.#emit(seqAdd(this.sendBase, this.sent), flags, text, urgentPointer);
    this.sent += length;
  }

  /** Sends the last segment of the stream once more. */
  repeat(length: number): void {
    const from = Math.max(0, this.sent - length);
    const text = pattern(from, this.sent - from, this.key);
    this.#emit(seqAdd(this.sendBase, from), TcpFlag.ACK | TcpFlag.PSH, text, 0);
  }

  finish(): void {
    if (this.hasSentFin || this.hasReset) return;
    this.#emit(seqAdd(this.sendBase, this.sent), TcpFlag.FIN | TcpFlag.ACK, new Uint8Array(0), 0);
    this.hasSentFin = true;
  }

  reset(): void {
    if (this.hasReset) return;
    this.#emit(this.#sndNxt, TcpFlag.RST | TcpFlag.ACK, new Uint8Array(0), 0);
    this.hasReset = true;
  }

  acknowledge(): void {
    if (!this.hasReset) this.#emit(this.#sndNxt, TcpFlag.ACK, new Uint8Array(0), 0);
  }

  get #sndNxt(): Seq {
    return seqAdd(this.sendBase, this.sent + (this.hasSentFin ? 1 : 0));
  }

  #emit(seq: Seq, flags: number, text: Uint8Array, urgentPointer: number): void {
    this.#wire.toTarget.push(this.#wire.frame(this, seq, flags, text, urgentPointer));
  }

  get rcvNxt(): Seq {
    return seqAdd(this.receiveBase, this.received + (this.hasReceivedFin ? 1 : 0));
  }

  /** A segment of the target. */
  onSegment(seg: TcpSegment, bytes: Uint8Array): void {
    if ((seg.flags & TcpFlag.RST) !== 0) {
      this.wasReset = true;
      return;
    }
    const acked = seqDiff(seg.ack, this.sendBase);
    const most = this.sent + (this.hasSentFin ? 1 : 0);
    if (acked > most) this.#wire.complain(this, `an acknowledgment of at most ${most} bytes`, `${acked}`);
    this.acknowledged = Math.max(this.acknowledged, Math.min(acked, this.sent));
    const isOld = this.#takeText(seg, bytes);
    const isFin = (seg.flags & TcpFlag.FIN) !== 0 && !isOld && !this.hasReceivedFin;
    if (isFin) this.hasReceivedFin = true;
    const occupies = seg.textLength > 0 || (seg.flags & TcpFlag.FIN) !== 0;
    if (occupies && !this.holdsAcks) this.acknowledge();
  }

  /** Answers whether the segment does not reach the end of what is here already. */
  #takeText(seg: TcpSegment, bytes: Uint8Array): boolean {
    const from = seqDiff(seg.seq, this.receiveBase);
    if (from > this.received + 1 || from < -1) {
      this.#wire.complain(this, `a segment that goes on from ${this.received}`, `one at ${from}`);
      return true;
    }
    for (let i = 0; i < seg.textLength; i++) {
      if (bytes[seg.textAt + i] === patternByte(from + i, this.key + 1)) continue;
      this.#wire.complain(this, `the byte at ${from + i} of the stream`, 'another byte');
      break;
    }
    const end = from + seg.textLength;
    if (end < this.received) return true;
    this.received = end;
    return false;
  }
}

/** The link of the adapter under test. */
export class ModelWire implements Link {
  readonly name: string;
  readonly medium: 'ethernet' | 'ip' = 'ethernet';
  readonly mtu: number = 1500;
  readonly macAddress: Uint8Array = OWN_MAC;
  readonly peers: Peer[] = [];
  /** Frames that wait to be delivered. */
  readonly toTarget: Uint8Array[] = [];
  readonly complain: Complain;
  /** Sees every frame as it arrives. */
  onFrame: ((isToTarget: boolean, bytes: Uint8Array) => void) | null = null;
  #receiver: LinkReceiver | null = null;
  readonly #ethernet = new EthernetFrame();
  readonly #ipv4 = new Ipv4Header();
  readonly #ipv6 = new Ipv6Header();
  readonly #segment = new TcpSegment();

  constructor(name: string, complain: Complain) {
    this.name = name;
    this.complain = complain;
  }

  start(receiver: LinkReceiver): void {
    this.#receiver = receiver;
  }

  close(): void {
    this.#receiver = null;
  }

  transmit(bytes: Uint8Array, at: number, length: number): boolean {
    const frame = bytes.slice(at, at + length);
    this.onFrame?.(false, frame);
    this.#onFrame(frame);
    return true;
  }

  /** Hands the frame at `index` of those that wait to the adapter. */
  deliver(index = 0): void {
    const frame = this.toTarget.splice(index, 1)[0];
    if (frame === undefined || this.#receiver === null) return;
    this.onFrame?.(true, frame);
    this.#receiver.receive(frame, 0, frame.length);
    this.#receiver.receiveDone();
  }

  #onFrame(bytes: Uint8Array): void {
    const frame = this.#ethernet;
    if (decodeEthernet(bytes, 0, bytes.length, frame) !== WIRE_OK) return;
    if (frame.etherType === EtherType.IPV4) {
      const ip = this.#ipv4;
      if (decodeIpv4(bytes, frame.payloadAt, frame.payloadLength, ip) !== WIRE_OK) return;
      if (ip.protocol === IpProtocol.TCP) this.#onTcp(bytes, ip.payloadAt, ip.payloadLength, 4, ip.srcAt, ip.dstAt);
    } else if (frame.etherType === EtherType.IPV6) {
      const ip = this.#ipv6;
      if (decodeIpv6(bytes, frame.payloadAt, frame.payloadLength, ip) !== WIRE_OK) return;
      if (ip.nextHeader === IpProtocol.TCP) this.#onTcp(bytes, ip.payloadAt, ip.payloadLength, 6, ip.srcAt, ip.dstAt);
    }
  }

  #onTcp(bytes: Uint8Array, at: number, length: number, family: 4 | 6, srcAt: number, dstAt: number): void {
    const seg = this.#segment;
    if (decodeTcp(bytes, at, length, seg) !== WIRE_OK) return;
    const peer = this.peers.find(({ tuple }) => tuple.localPort === seg.srcPort && tuple.remotePort === seg.dstPort);
    if (peer === undefined) return;
    if (!isTcpChecksumGood(bytes, at, length, family, srcAt, dstAt)) {
      this.complain(peer, 'a segment with a right checksum', 'a wrong one');
      return;
    }
    peer.onSegment(seg, bytes);
  }

  /** An acknowledgment of the peer, of which something else is made. */
  bareFrame(peer: Peer): Uint8Array {
    return this.frame(peer, seqAdd(peer.sendBase, peer.sent), TcpFlag.ACK, new Uint8Array(0), 0);
  }

  /** A frame of the peer. */
  frame(peer: Peer, seq: Seq, flags: number, text: Uint8Array, urgentPointer: number): Uint8Array {
    const { tuple } = peer;
    const seg = this.#segment;
    seg.srcPort = tuple.remotePort;
    seg.dstPort = tuple.localPort;
    seg.seq = seq;
    seg.ack = peer.rcvNxt;
    seg.flags = flags;
    seg.window = WINDOW;
    seg.urgentPointer = urgentPointer;
    seg.hasTimestamps = false;
    seg.sackCount = 0;
    const headerLength = tuple.family === 4 ? 20 : 40;
    const bytes = new Uint8Array(14 + headerLength + 20 + text.length);
    const etherType = tuple.family === 4 ? EtherType.IPV4 : EtherType.IPV6;
    const ipAt = encodeEthernet(bytes, 0, OWN_MAC, 0, PEER_MAC, 0, etherType, NO_VLAN);
    const tcpAt = ipAt + headerLength;
    const upper = encodeTcp(bytes, tcpAt, seg) + text.length;
    bytes.set(text, tcpAt + upper - text.length);
    this.#writeIp(bytes, ipAt, tuple, upper);
    writeTcpChecksum(
      bytes,
      tcpAt,
      upper,
      tuple.family,
      ipAt + (tuple.family === 4 ? 12 : 8),
      ipAt + (tuple.family === 4 ? 16 : 24),
    );
    return bytes;
  }

  #writeIp(bytes: Uint8Array, at: number, tuple: FourTuple, upper: number): void {
    if (tuple.family === 4) {
      const ip = new Ipv4Header();
      ip.totalLength = 20 + upper;
      ip.ttl = 64;
      ip.protocol = IpProtocol.TCP;
      ip.flags = 2;
      encodeIpv4Header(bytes, at, ip, tuple.remote, 0, tuple.local, 0);
      return;
    }
    const ip = new Ipv6Header();
    ip.payloadLength = upper;
    ip.nextHeader = IpProtocol.TCP;
    ip.hopLimit = 64;
    encodeIpv6Header(bytes, at, ip, tuple.remote, 0, tuple.local, 0);
  }
}

/** A sequence number near the end of the circle, so that streams wrap. */
export function baseSeq(index: number, which: 0 | 1): Seq {
  return asSeq((0xffff_ff00 + index * 64 + which * 32) | 0);
}
