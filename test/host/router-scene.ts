/**
 * A whole stack with an engine target on an Ethernet link whose other end is the test: IPv6 routers that advertise themselves, and
 * peers behind them. Every call through the door is written down.
 */

import type { HostEndpoint } from '../../src/host/transport/tcp-endpoint.ts';
import type { StackOptions } from '../../src/stack-options.ts';
import { frame6, hex, join, linkOption, typeOf6, u16, u32 } from '../host-path/frames.ts';
import { ip } from '../host-path/station.ts';
import { buildFrame, type Frame, type SegmentSpec } from '../target/support/frames.ts';
import { Peer } from './two-hosts.ts';
import { HOST_MAC, routerMac, WireScene } from './wire-scene.ts';

export const HOST6 = '2001:db8:1::1';
/** Routers by the last byte of their address and MAC. */
export const FIRST = 0xfe;
export const SECOND = 0xfd;
const PEER_PORT = 4711;
const MINUTE_US = 60_000_000;

export interface Advertised {
  /** CurHopLimit; 0: not told. */
  readonly hops?: number;
  readonly mtu?: number;
  /** Seconds; 0: no router any more. */
  readonly lifetime?: number;
  /** Valid lifetime, seconds, of an address that the host is to form in 2001:db8:2::/64. */
  readonly autonomous?: number;
}

/** One connection of a peer behind the routers to the stack. */
export class RoutedPeer {
  readonly #scene: RouterScene;
  readonly address: string;
  readonly to: string;
  readonly peer: Peer = new Peer();
  seq = 1_001;
  ack = 0;

  constructor(scene: RouterScene, number: number, to: string) {
    this.#scene = scene;
    this.address = `2001:db8:ffff::${number}`;
    this.to = to;
  }

  get endpoint(): HostEndpoint {
    return this.peer.endpoint;
  }
  get location(): string {
    return this.endpoint.chimney.location;
  }

  send(spec: SegmentSpec): void {
    this.#scene.link.deliver(
      buildFrame('ethernet', {
        family: 6,
        source: ip(this.address).bytes,
        destination: ip(this.to).bytes,
        srcMac: routerMac(FIRST),
        srcPort: PEER_PORT,
        dstPort: 80,
        seq: this.seq,
        ack: this.ack,
        ...spec,
        dstMac: HOST_MAC,
      }),
    );
    this.#scene.run(2_000);
  }

  /** The application writes; what leaves for it is answered with an ACK. */
  write(bytes: number): Frame[] {
    this.#scene.frames();
    this.endpoint.write(new Uint8Array(bytes), null);
    this.#scene.run(2_000);
    this.ack += bytes;
    const frames = this.#scene.frames();
    this.send({});
    return frames;
  }
}

/** A stack at 2001:db8:1::1 that believes the router fe80::fe. */
export class RouterScene extends WireScene {
  #waiting: RoutedPeer | null = null;

  constructor(options: Partial<StackOptions> = {}, advertised: Advertised = {}) {
    super({ addresses: [`${HOST6}/64`] }, options);
    this.stack.transports.listen({ local: { address: '::', port: 80 } }, (endpoint) => {
      this.#waiting?.peer.attach(endpoint);
    });
    this.run(1_000);
    this.advertise(FIRST, advertised);
  }

  /** A router says what it is. */
  advertise(router: number, what: Advertised): void {
    const { hops = 0, mtu, lifetime = 1800, autonomous } = what;
    const prefix = [3, 4, 64, 0x40, ...u32(autonomous ?? 0), ...u32(autonomous ?? 0), ...u32(0)];
    const body = join(
      [hops, 0],
      u16(lifetime),
      u32(0),
      u32(0),
      linkOption(1, routerMac(router)),
      mtu === undefined ? [] : join([5, 1, 0, 0], u32(mtu)),
      autonomous === undefined ? [] : join(prefix, ip('2001:db8:2::').bytes),
    );
    this.link.deliver(frame6(`fe80::${router.toString(16)}`, 'ff02::1', 134, body, { mac: routerMac(router) }));
    this.run(2_000);
  }

  /** A peer connects. */
  connect(number = 9, to: string = HOST6): RoutedPeer {
    const peer = new RoutedPeer(this, number, to);
    this.#waiting = peer;
    peer.send({ flags: 'S', seq: 1_000, ack: 0, mss: 1440 });
    peer.ack = (this.frames().at(-1)!.seq + 1) | 0;
    peer.send({});
    this.#waiting = null;
    if (!peer.peer.isAttached) throw new Error('not accepted');
    return peer;
  }

  offload(...peers: RoutedPeer[]): void {
    for (const { endpoint } of peers) endpoint.chimney.offload().catch(() => undefined);
    this.run(5_000);
    for (const peer of peers) if (peer.location !== 'target') throw new Error(`not offloaded: ${peer.location}`);
    this.door.take();
    this.frames();
  }

  /** Offloads a connection, and lets `meanwhile` happen while the target has not answered yet. */
  offloadSlowly(peer: RoutedPeer, meanwhile: () => void): void {
    this.initiateSlowly(peer.endpoint, meanwhile);
    if (peer.location !== 'target') throw new Error(`not offloaded: ${peer.location}`);
  }

  runMinutes(minutes: number): void {
    this.runtime.advance(minutes * MINUTE_US);
    this.look();
  }

  /** A neighbor advertisement of a router that was solicited. */
  protected answer(frame: Uint8Array): void {
    if (typeOf6(frame) !== 135) return;
    const target = frame.slice(62, 78);
    const router = target[15]!;
    if (target[0] !== 0xfe || (router !== FIRST && router !== SECOND)) return;
    const source = frame.slice(22, 38);
    if (source.every((byte) => byte === 0)) return;
    const body = join([0xe0, 0, 0, 0], target, linkOption(2, routerMac(router)));
    const text = hex(source).replaceAll(':', '').match(/.{4}/g)!.join(':');
    this.link.deliver(
      frame6(`fe80::${router.toString(16)}`, text, 136, body, { mac: routerMac(router), to: HOST_MAC }),
    );
  }
}
