/**
 * The IP layer: IPv4 and IPv6 of one stack, with everything under the transports. It joins the parts and is what others call.
 *
 * Promises: no allocation per packet on the way in or out (fragments and first contacts excepted); nothing that arrives makes it throw; every
 * table and queue has a bound. Leaves to others: TCP and UDP (setUpper), the adapters (NDIS). Sources: RFC 1122, 8200, 4861.
 */

import type { MemoryOffer } from '../../base/memory-offer.ts';
import type { Runtime } from '../../base/runtime.ts';
import {
  type FamilyStatistics,
  NDIS_RECEIVE_FLAGS_RESOURCES,
  type NdisForProtocol,
  type ProtocolDriver,
} from '../../ndis/protocol.ts';
import { copyFromNetBuffer, type NetBufferList } from '../../state/net-buffer-list.ts';
import type { Trace } from '../../trace/trace.ts';
import { type IpAddress, parseIp } from '../../wire/ip-address.ts';
import type { TransportErrorCode } from '../api.ts';
import { FrameReceiver } from '../framing/frame-receiver.ts';
import type { IpOptions } from './context.ts';
import { IpParts } from './ip-parts.ts';
import type { PingReply } from './ping.ts';
import { type Candidate, orderDestinations } from './source-selection.ts';
import type {
  Interface,
  InterfaceConfig,
  NeighborEntry,
  OutPacket,
  PathEntry,
  PathObserver,
  RxPacket,
  UpperProtocol,
} from './types.ts';

const PING_TIMEOUT_US = 5_000_000;

export class IpLayer {
  readonly #ndis: NdisForProtocol;
  readonly #parts: IpParts;
  readonly #frames: FrameReceiver;
  /** Frames of several memory descriptors are put together here. */
  /** What was offered with the frame that is being received, and of which bytes. */
  #offer: MemoryOffer | null = null;
  #offered: Uint8Array | null = null;
  #scratch: Uint8Array = new Uint8Array(2048);

  constructor(runtime: Runtime, trace: Trace, ndis: NdisForProtocol, options: Partial<IpOptions> = {}) {
    this.#ndis = ndis;
    this.#parts = new IpParts(runtime, trace, ndis, options);
    this.#frames = new FrameReceiver(this.#parts.context, this.#parts.arp, this.#parts.receiver);
    this.#parts.loopback.receiver = {
      loopedBack: (bytes, at, length) => this.#frames.receivePacket(this.interfaces[0]!, bytes, at, length, 0),
      loopedBackDone: () => this.#upperDone(),
    };
  }

  /** What passed the host's own IP and TCP of a family. */
  statistics(family: number): FamilyStatistics {
    return this.#parts.context.statistics(family);
  }

  /** All interfaces; the first is the built-in loopback. */
  get interfaces(): readonly Interface[] {
    return this.#parts.context.interfaces;
  }

  /** Who hears of changes to neighbors and paths: the chimney client. */
  get observer(): PathObserver | null {
    return this.#parts.context.observer;
  }
  set observer(observer: PathObserver | null) {
    this.#parts.context.observer = observer;
  }

  /**
   * Binds `driver` to the adapter and brings an interface up on it. `context` is the driver's ProtocolBindingContext. Throws an
   * Error that names what is wrong with the configuration, or that there is no such adapter.
   */
  attach(driver: ProtocolDriver, context: unknown, adapterName: string, config: InterfaceConfig): Interface {
    const binding = this.#ndis.openAdapterEx(driver, context, adapterName);
    try {
      return this.#parts.attach(binding, this.#ndis.adapterAttributes(binding), config);
    } catch (error) {
      this.#ndis.closeAdapterEx(binding, () => {});
      throw error;
    }
  }

  /** Gives an interface up and lets its adapter go. Whoever has connections from its addresses is told first. */
  detach(iface: Interface): void {
    const { binding } = iface;
    if (binding === null) return;
    this.#parts.detach(iface);
    iface.binding = null;
    this.#ndis.closeAdapterEx(binding, () => {});
  }

  /** Ends everything and releases the adapters; resolves once all of their buffers are back. */
  async close(): Promise<void> {
    this.#parts.close();
    const bound = this.interfaces.filter((iface) => iface.binding !== null);
    await Promise.all(
      bound.map((iface) => {
        const binding = iface.binding!;
        iface.binding = null;
        iface.isUp = false;
        return new Promise<void>((resolve) => {
          this.#ndis.closeAdapterEx(binding, resolve);
        });
      }),
    );
  }

  /** The adapter's link came up or went down. */
  linkState(iface: Interface, isUp: boolean): void {
    this.#parts.linkState(iface, isUp);
  }

  /** The adapter's link carries packets of `mtu` bytes now. */
  linkMtu(iface: Interface, mtu: number): void {
    this.#parts.linkMtu(iface, mtu);
  }

  /** The adapter was asleep or paused, and works again. */
  resumed(iface: Interface): void {
    this.#parts.neighbors.doubtSilence(iface);
  }

  /** Tells all neighbors the link-layer address of our addresses: after the interface has moved. RFC 4861 7.2.6, RFC 5227 2.3. */
  announce(iface: Interface): void {
    for (const entry of [...iface.addresses]) this.#parts.tester.announce(entry);
  }

  /** Registers who takes a protocol (6, 17, ...). ICMP and ICMPv6 are taken here. */
  setUpper(protocol: number, upper: UpperProtocol): void {
    this.#parts.setUpper(protocol, upper);
  }

  /** ProtocolReceiveNetBufferLists: frames of the interface. What is not borrowed is given back at once. */
  receiveNetBufferLists(iface: Interface, lists: NetBufferList, flags: number): void {
    const { binding } = iface;
    if (binding !== null && iface.isUp) {
      for (let list: NetBufferList | null = lists; list !== null; list = list.next) this.#receive(iface, list);
    }
    if (binding !== null && (flags & NDIS_RECEIVE_FLAGS_RESOURCES) === 0) {
      this.#ndis.returnNetBufferLists(binding, lists);
    }
  }

  /** The batch is over: everybody above hears of it. */
  receiveDone(_iface: Interface): void {
    this.#upperDone();
  }

  /** ProtocolSendNetBufferListsComplete. */
  sendComplete(lists: NetBufferList): void {
    this.#parts.transmitter.complete(lists);
  }

  /**
   * The path to `remote`, from `local` or an address that is chosen (RFC 6724). A string says why there is none: EADDRNOTAVAIL,
   * ENETUNREACH, ENETDOWN, EINVAL. Whoever keeps the path calls `retain` on it.
   */
  routeTo(remote: IpAddress, local: IpAddress | null): PathEntry | TransportErrorCode {
    return this.#parts.chooser.routeTo(remote, local);
  }

  /** The path on which the packet that is being received is answered. */
  routeBack(rx: RxPacket): PathEntry | TransportErrorCode {
    return this.#parts.chooser.routeBack(rx);
  }

  /** Whether the address is one of ours that can be used, loopback included, or any is (see InterfaceConfig.forwardAll). */
  isOurs(address: IpAddress): boolean {
    if (address.isLoopback || this.#parts.addresses.usable(address) !== null) return true;
    if (address.isUnspecified || address.isMulticast || address.isBroadcast) return false;
    return this.interfaces.some((iface) => iface.config.forwardAll === true);
  }

  /** Whether the IPv4 address is the limited broadcast address or that of a subnet of ours. */
  isBroadcast(address: IpAddress): boolean {
    if (address.family !== 4) return false;
    return this.interfaces.some((iface) => this.#parts.addresses.isBroadcast(iface, address.bytes, 0));
  }

  /** Orders addresses of one host by how well they can be reached, the best first. RFC 6724 section 6. */
  orderDestinations(remotes: readonly IpAddress[]): IpAddress[] {
    const candidates = remotes.map((remote): Candidate => {
      const path = this.#parts.chooser.routeTo(remote, null);
      return { remote, source: typeof path === 'string' ? null : this.#parts.addresses.usable(path.local) };
    });
    return orderDestinations(candidates).map((candidate) => candidate.remote);
  }

  /**
   * A buffer for a packet on the path: header and payload of the upper layer go to `out.at`, `out.room` bytes at most.
   * `upperLength`: how long they will be, where that may be more than the path takes; the datagram is then fragmented. Null: no
   * buffer is free, or nothing of that length can be sent at all.
   */
  beginPacket(path: PathEntry, upperLength = 0): OutPacket | null {
    return this.#parts.sender.begin(path, upperLength);
  }

  /**
   * A buffer for a packet that its interface makes whole: up to {@link Interface.largeSendBytes} with `sendPacket`'s `segmentBytes`.
   * Null: none is free.
   */
  beginLargePacket(path: PathEntry): OutPacket | null {
    return this.#parts.sender.beginLarge(path);
  }

  /**
   * Sends `upperLength` bytes from `out.at`; the buffer is ours again, whatever is answered. `ttl`: 1 to 255, or 0 for the default; `tos`: TOS or
   * traffic class; `flowLabel`: IPv6. False: it was not sent (no way any more, or too long and `dontFragment`). True does not
   * say that it arrives, nor that the next hop's address is known already. `segmentBytes` greater than 0: the checksum is partial and
   * the packet may be longer than the path takes, see `NetBufferList.largeSendMss`.
   */
  sendPacket(
    out: OutPacket,
    upperLength: number,
    protocol: number,
    ttl: number,
    tos: number,
    flowLabel: number,
    dontFragment: boolean,
    segmentBytes = 0,
  ): boolean {
    return this.#parts.sender.send(out, upperLength, protocol, ttl, tos, flowLabel, dontFragment, segmentBytes);
  }

  /** TTL or hop limit of packets on this path that are sent with 0. */
  defaultHops(path: PathEntry): number {
    return this.#parts.sender.defaultHops(path);
  }

  /** Gives a buffer back that is not to be sent. */
  abandonPacket(out: OutPacket): void {
    this.#parts.sender.abandon(out);
  }

  /** Asks for the link-layer address of a neighbor that has none. The observer hears of the answer, or that there was none. */
  resolve(neighbor: NeighborEntry): void {
    this.#parts.neighbors.resolve(neighbor);
  }

  /** Asks the neighbor by unicast whether it is there (chimney NBR-024). The observer hears if it does not answer. */
  probe(neighbor: NeighborEntry): void {
    this.#parts.neighbors.probe(neighbor, this.#parts.context.runtime.nowUs());
  }

  /**
   * Sends an echo request; `onReply` is called once: with the reply, an ICMP error's code, or ETIMEDOUT. Answers null, or why nothing was
   * sent.
   */
  ping(
    remote: string | IpAddress,
    payload: Uint8Array,
    onReply: (reply: PingReply) => void,
    timeoutUs: number = PING_TIMEOUT_US,
  ): TransportErrorCode | null {
    const address = typeof remote === 'string' ? parseIp(remote) : remote;
    if (address === null) return 'EINVAL';
    const path = this.routeTo(address, null);
    if (typeof path === 'string') return path;
    return this.#parts.pings.send(path, payload, timeoutUs, onReply);
  }

  /** What is held at this moment; all of `packets`, `waiting` and `reassembling` is 0 in a stack at rest. */
  held(): { packets: number; waiting: number; reassembling: number; neighbors: number; paths: number } {
    return {
      packets: this.#parts.transmitter.held,
      waiting: this.#parts.neighbors.pendingCount,
      reassembling: this.#parts.receiver.reassembling,
      neighbors: this.#parts.neighbors.count,
      paths: this.#parts.paths.count,
    };
  }

  /** Inside `receive` of an upper protocol only: keeps the memory in which these bytes lie, if that was offered. */
  takeMemory(bytes: Uint8Array): boolean {
    const offer = this.#offer;
    if (offer === null || offer.isTaken || bytes !== this.#offered) return false;
    offer.isTaken = true;
    return true;
  }

  #receive(iface: Interface, list: NetBufferList): void {
    for (let nb = list.firstNetBuffer; nb !== null; nb = nb.next) {
      const mdl = nb.currentMdl;
      if (mdl === null) continue;
      const length = nb.dataLength;
      if (mdl.byteCount - nb.currentMdlOffset >= length) {
        const at = mdl.byteOffset + nb.currentMdlOffset;
        this.#offer = list.memoryOffer;
        this.#offered = mdl.buffer;
        this.#frames.receive(iface, mdl.buffer, at, length, list.largeSendMss);
        this.#offer = null;
        continue;
      }
      if (this.#scratch.length < length) this.#scratch = new Uint8Array(length);
      const copied = copyFromNetBuffer(nb, 0, length, this.#scratch, 0);
      this.#frames.receive(iface, this.#scratch, 0, copied, list.largeSendMss);
    }
  }

  #upperDone(): void {
    const { uppers } = this.#parts;
    for (let i = 0; i < uppers.length; i++) uppers[i]!.receiveDone();
  }
}
