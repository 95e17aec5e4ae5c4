/**
 * A whole stack with an engine target on an Ethernet link whose other end is the test: it answers ARP for whom it wants to, and is a
 * peer behind a router. Every call through the door is written down.
 */
import type { StackOptions } from '../../src/stack-options.ts';
import { arp, hex, icmp, ipv4, seeArp } from '../host-path/frames.ts';
import { ip } from '../host-path/station.ts';
import { buildFrame, type Frame, type SegmentSpec } from '../target/support/frames.ts';
import { Peer } from './two-hosts.ts';
import { HOST_MAC, routerMac, WireScene } from './wire-scene.ts';

export const HOST = '10.0.0.1';
export const ROUTER = '10.0.0.254';
export const OTHER_ROUTER = '10.0.0.253';
export const FAR = '192.0.2.9';
const PEER_PORT = 4711;

/** A connection of 192.0.2.9, behind the router 10.0.0.254, to the stack at 10.0.0.1. */
export class EtherScene extends WireScene {
  readonly peer: Peer = new Peer();
  /** Who answers ARP, by address. */
  readonly answering: Map<string, Uint8Array> = new Map([[ROUTER, routerMac(254)]]);
  /** ARP requests of the host: 'who-has 10.0.0.254 to ff:ff:ff:ff:ff:ff'. */
  readonly arps: string[] = [];
  seq = 1_001;
  ack = 0;

  constructor(options: Partial<StackOptions> = {}) {
    const addressing = { addresses: [`${HOST}/24`], routes: [{ to: '0.0.0.0/0', via: ROUTER }] };
    super({ ...addressing, linkLocal: false, acceptRouterAdvertisements: false }, options);
    this.stack.transports.listen({ local: { address: HOST, port: 80 } }, (endpoint) => this.peer.attach(endpoint));
    this.run(1_000);
    this.send({ flags: 'S', seq: 1_000, ack: 0 });
    this.ack = (this.frames().at(-1)!.seq + 1) | 0;
    this.send({});
    if (!this.peer.isAttached) throw new Error('not accepted');
  }

  protected answer(frame: Uint8Array): void {
    const asked = seeArp(frame);
    if (asked === null || asked.operation !== 1 || asked.target === HOST) return;
    this.arps.push(`who-has ${asked.target} to ${asked.to}`);
    const mac = this.answering.get(asked.target);
    if (mac !== undefined) this.link.deliver(arp(2, mac, asked.target, HOST_MAC, HOST, HOST_MAC));
  }

  /** A segment of the peer. */
  send(spec: SegmentSpec): void {
    this.link.deliver(
      buildFrame('ethernet', {
        family: 4,
        source: ip(FAR).bytes,
        destination: ip(HOST).bytes,
        srcMac: routerMac(254),
        srcPort: PEER_PORT,
        dstPort: 80,
        seq: this.seq,
        ack: this.ack,
        ...spec,
        dstMac: HOST_MAC,
      }),
    );
    this.runtime.settle();
    this.run(2_000);
  }

  /** The peer's next text. */
  text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.send({ flags: 'PA', text: bytes });
    this.seq += bytes.length;
  }

  /** The application writes; the peer, if it is to, acknowledges. */
  write(text: string, isAcknowledged: boolean): void {
    this.peer.endpoint.write(new TextEncoder().encode(text), null);
    this.run(2_000);
    this.ack += text.length;
    if (isAcknowledged) this.send({});
  }

  /** The router (or `from`) sends the host's traffic for the peer elsewhere. */
  redirect(gateway: string, from: string = ROUTER): void {
    const quoted = ipv4({ src: HOST, dst: FAR, protocol: 6 }, new Uint8Array(8));
    const message = icmp(5, 1, new DataView(ip(gateway).bytes.slice().buffer).getUint32(0), quoted);
    const packet = ipv4({ src: from, dst: HOST, protocol: 1 }, message);
    const frame = new Uint8Array(14 + packet.length);
    frame.set(HOST_MAC, 0);
    frame.set(routerMac(254), 6);
    frame.set([0x08, 0x00], 12);
    frame.set(packet, 14);
    this.link.deliver(frame);
    this.runtime.settle();
  }

  offload(): this {
    this.peer.endpoint.chimney.offload().catch(() => undefined);
    this.run(5_000);
    if (this.location !== 'target') throw new Error(`not offloaded: ${this.location}`);
    this.door.take();
    this.frames();
    this.arps.length = 0;
    return this;
  }

  get location(): string {
    return this.peer.endpoint.chimney.location;
  }

  /** Where frames go: the MACs of those given. */
  static destinations(frames: readonly Frame[]): string[] {
    return frames.map((frame) => hex(frame.dstMac));
  }
}
