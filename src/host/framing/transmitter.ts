/**
 * The last step out: the link header in front of a packet, and the net buffer list to the adapter.
 *
 * Promises: no allocation per packet; a buffer that was begun is always put back: by the adapter's completion, or here when it
 * cannot be sent. Leaves to others: which link-layer address (neighbor-cache.ts).
 */

import type { NdisForProtocol } from '../../ndis/protocol.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import { Event } from '../../trace/events.ts';
import { encodeEthernet, NO_VLAN, vlanTci } from '../../wire/ethernet.ts';
import type { IpContext } from '../path/context.ts';
import { PacketPool } from '../path/packet-pool.ts';
import { type Interface, LINK_HEADROOM, OutPacket, type PathEntry } from '../path/types.ts';

/** Largest IP packet of either family, and how many of that size are built at once, to be fragmented. */
const LARGE_PACKET = 65_535 + 40;
const LARGE_PACKETS_MAX = 8;
const POOL_LEAST = 64;
/** Super-segments of an interface that are under way at once: more than a device takes before it says that it is full. */
const SUPER_PACKETS_MAX = 128;
/** Callers that do not know the length of their header yet ask for more than they will write: so much more is no large packet. */
export const PACKET_SLACK = 64;

export class Transmitter {
  readonly #context: IpContext;
  readonly #ndis: NdisForProtocol;
  /** By `Interface.index`. */
  readonly #pools: PacketPool[] = [];
  /** For super-segments, by `Interface.index`; where the interface takes them. */
  readonly #superPools: PacketPool[] = [];
  readonly #large = new PacketPool(LARGE_PACKET, LARGE_PACKETS_MAX, true);

  constructor(context: IpContext, ndis: NdisForProtocol) {
    this.#context = context;
    this.#ndis = ndis;
  }

  /** Makes the pool of a new interface. */
  addInterface(iface: Interface): void {
    const size = iface.fullMtu + PACKET_SLACK;
    const limit = Math.max(POOL_LEAST, Math.floor(this.#context.options.packetPoolBytes / (size + LINK_HEADROOM)));
    this.#pools[iface.index] = new PacketPool(size, limit);
    if (iface.largeSendBytes > 0)
      this.#superPools[iface.index] = new PacketPool(iface.largeSendBytes, SUPER_PACKETS_MAX);
  }

  /** Packet buffers that are out, of all interfaces: 0 when everything has come back. */
  get held(): number {
    let held = this.#large.held;
    for (const pool of this.#pools) held += pool.held;
    for (const pool of this.#superPools) held += pool?.held ?? 0;
    return held;
  }

  /** A buffer that takes `length` bytes of IP packet; null when none is free. `path` is for the sender of IP packets. */
  begin(iface: Interface, length: number, path: PathEntry | null): OutPacket | null {
    const pool = length > iface.fullMtu + PACKET_SLACK ? this.#large : this.#pools[iface.index]!;
    const out = pool.take(path);
    if (out === null) this.#context.trace.count(Event.SEND_POOL_EMPTY);
    return out;
  }

  /** A buffer for a super-segment; null when none is free. */
  beginLarge(iface: Interface, path: PathEntry): OutPacket | null {
    const out = this.#superPools[iface.index]?.take(path) ?? null;
    if (out === null) this.#context.trace.count(Event.SEND_POOL_EMPTY);
    return out;
  }

  /** Sends `out.packetLength` bytes from `out.packetAt` to a link-layer address (which bare-IP links do not look at). */
  send(iface: Interface, out: OutPacket, etherType: number, mac: Uint8Array): void {
    const { binding } = iface;
    if (!iface.isUp || binding === null) {
      this.#context.trace.count(Event.SEND_NO_ROUTE);
      out.home.put(out);
      return;
    }
    let at = out.packetAt;
    if (iface.medium === 'ethernet') {
      // IEEE 802.1Q: a priority without a VLAN goes in a tag of VLAN 0.
      const tci = iface.vlanTci < 0 && out.priority === 0 ? NO_VLAN : vlanTci(Math.max(0, iface.vlanTci), out.priority);
      at -= tci < 0 ? 14 : 18;
      encodeEthernet(out.bytes, at, mac, 0, iface.mac, 0, etherType, tci);
    }
    const length = out.packetAt + out.packetLength - at;
    const { list, netBuffer, mdl } = out;
    mdl.byteOffset = at;
    mdl.byteCount = length - out.text.length;
    netBuffer.currentMdl = mdl;
    netBuffer.currentMdlOffset = 0;
    netBuffer.dataOffset = 0;
    netBuffer.dataLength = length;
    list.next = null;
    list.status = 0;
    this.#ndis.sendNetBufferLists(binding, list, 0);
  }

  /** ProtocolSendNetBufferListsComplete: the chain's packets are ours again. */
  complete(lists: NetBufferList): void {
    let list: NetBufferList | null = lists;
    while (list !== null) {
      const next: NetBufferList | null = list.next;
      list.next = null;
      const out = list.protocolReserved as OutPacket;
      out.home.put(out);
      list = next;
    }
  }

  /** Whether the list is one of ours (a composed protocol driver may send others). */
  isOurs(list: NetBufferList): boolean {
    return list.protocolReserved instanceof OutPacket;
  }
}
