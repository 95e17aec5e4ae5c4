/**
 * One host stack on a bare-IP link whose other end is the test: segments are made by hand, and what comes out is kept.
 */

import { asSeq } from '../../src/base/seq.ts';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import { type HostOptions, HostStack } from '../../src/host/host-stack.ts';
import type { Link, LinkReceiver } from '../../src/link/link.ts';
import { NdisLibrary } from '../../src/ndis/ndis-library.ts';
import { PlainAdapter } from '../../src/target/plain/plain-adapter.ts';
import { Trace } from '../../src/trace/trace.ts';
import { parseIp } from '../../src/wire/ip-address.ts';
import { decodeIpv4, encodeIpv4Header, Ipv4Header } from '../../src/wire/ipv4.ts';
import { decodeTcp, encodeTcp, writeTcpChecksum } from '../../src/wire/tcp.ts';
import { TcpFlag, TcpSegment } from '../../src/wire/tcp-segment.ts';
import { Peer } from './two-hosts.ts';

export const RAW = '10.0.0.1';
export const RAW_PORT = 80;

export interface SegmentFields {
  readonly from: string;
  readonly srcPort: number;
  readonly to?: string;
  readonly dstPort?: number;
  readonly flags: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly text?: Uint8Array;
  readonly window?: number;
}

/** A host at 10.0.0.1/16 with a listener on port 80. */
export class RawHost implements Link {
  readonly name = 'raw';
  readonly medium = 'ip';
  readonly mtu = 1500;
  readonly runtime: VirtualRuntime = new VirtualRuntime(7);
  readonly trace: Trace = new Trace();
  readonly host: HostStack;
  /** Every packet the host sent, whole. */
  readonly sent: Uint8Array[] = [];
  readonly accepted: Peer[] = [];
  #receiver: LinkReceiver | null = null;

  constructor(options: { backlog?: number; host?: HostOptions } = {}) {
    const ndis = new NdisLibrary(this.runtime, this.trace);
    ndis.registerAdapter(new PlainAdapter({ link: this, runtime: this.runtime, trace: this.trace }));
    this.host = new HostStack(this.runtime, this.trace, ndis, options.host ?? {});
    this.host.attachInterface(this.name, { addresses: [`${RAW}/16`], acceptRouterAdvertisements: false });
    this.host.listen({ local: { address: '0.0.0.0', port: RAW_PORT }, backlog: options.backlog ?? 511 }, (endpoint) => {
      const peer = new Peer();
      peer.attach(endpoint);
      this.accepted.push(peer);
    });
    this.runtime.settle();
  }

  start(receiver: LinkReceiver): void {
    this.#receiver = receiver;
  }

  transmit(bytes: Uint8Array, at: number, length: number): boolean {
    this.sent.push(bytes.slice(at, at + length));
    return true;
  }

  close(): void {}

  /** Gives the host a packet, alone in its batch. */
  receive(packet: Uint8Array): void {
    this.#receiver!.receive(packet, 0, packet.length);
    this.#receiver!.receiveDone();
    this.runtime.settle();
  }

  /** Gives the host packets in one batch. */
  receiveBatch(packets: readonly Uint8Array[]): void {
    for (const packet of packets) this.#receiver!.receive(packet, 0, packet.length);
    this.#receiver!.receiveDone();
    this.runtime.settle();
  }

  segment(fields: SegmentFields): void {
    this.receive(packetOf(fields));
  }

  syn(from: string, srcPort: number, to: string = RAW): void {
    this.segment({ from, srcPort, to, flags: TcpFlag.SYN, seq: 1000 });
  }

  /** Opens a connection from a made-up address; answers the host's end. */
  open(from: string, srcPort: number): Peer {
    const before = this.accepted.length;
    this.syn(from, srcPort);
    const synAck = this.lastSegment();
    this.segment({ from, srcPort, flags: TcpFlag.ACK, seq: 1001, ack: synAck.seq + 1 });
    if (this.accepted.length !== before + 1) throw new Error('not accepted');
    return this.accepted[before]!;
  }

  /** The last TCP segment the host sent. */
  lastSegment(): TcpSegment {
    const packet = this.sent.at(-1);
    if (packet === undefined) throw new Error('nothing was sent');
    return segmentIn(packet);
  }
}

/** The TCP segment in an IPv4 packet. */
export function segmentIn(packet: Uint8Array): TcpSegment {
  const ip = new Ipv4Header();
  const segment = new TcpSegment();
  if (decodeIpv4(packet, 0, packet.length, ip) !== 0) throw new Error('not an IPv4 packet');
  if (decodeTcp(packet, ip.payloadAt, ip.payloadLength, segment) !== 0) throw new Error('not a TCP segment');
  return segment;
}

/** An IPv4 packet with one TCP segment, checksums right. */
export function packetOf(fields: SegmentFields): Uint8Array {
  const segment = new TcpSegment();
  segment.srcPort = fields.srcPort;
  segment.dstPort = fields.dstPort ?? RAW_PORT;
  segment.flags = fields.flags;
  segment.seq = asSeq(fields.seq ?? 0);
  segment.ack = asSeq(fields.ack ?? 0);
  segment.window = fields.window ?? 60_000;
  if ((fields.flags & TcpFlag.SYN) !== 0) segment.mss = 1460;
  const text = fields.text ?? new Uint8Array(0);
  const packet = new Uint8Array(20 + 60 + text.length);
  const header = encodeTcp(packet, 20, segment);
  packet.set(text, 20 + header);
  const length = 20 + header + text.length;
  const ip = new Ipv4Header();
  ip.totalLength = length;
  ip.ttl = 64;
  ip.protocol = 6;
  encodeIpv4Header(packet, 0, ip, parseIp(fields.from)!.bytes, 0, parseIp(fields.to ?? RAW)!.bytes, 0);
  writeTcpChecksum(packet, 20, length - 20, 4, 12, 16);
  return packet.slice(0, length);
}
