/**
 * ICMPv6 messages that the link's own protocols send (neighbor discovery, MLD): to a link-layer address that is known, past the paths.
 *
 * `open` writes the IP header, so that the encoder of the message can sum its addresses; `close` completes and sends it.
 */

import { write16 } from '../../base/bytes.ts';
import { EtherType } from '../../wire/ethernet.ts';
import { type IpAddress, isMulticastAt } from '../../wire/ip-address.ts';
import { encodeIpv6Header, IPV6_HEADER_LENGTH, Ipv6Header } from '../../wire/ipv6.ts';
import { writeMulticastMac } from '../../wire/mac-address.ts';
import { type Interface, LINK_HEADROOM, type NeighborEntry, type OutPacket } from '../path/types.ts';
import type { NeighborCache } from './neighbor-cache.ts';
import type { Transmitter } from './transmitter.ts';

/** More than any message of these protocols takes. */
const MESSAGE_MAX = 1280;

/** Where the addresses of the IPv6 header and the message stand in the buffer that `open` answers. */
export const CONTROL_SRC_AT: number = LINK_HEADROOM + 8;
export const CONTROL_DST_AT: number = LINK_HEADROOM + 24;
export const CONTROL_AT: number = LINK_HEADROOM + IPV6_HEADER_LENGTH;

export class ControlSender {
  readonly #transmitter: Transmitter;
  readonly #header = new Ipv6Header();
  readonly #mac = new Uint8Array(6);

  constructor(transmitter: Transmitter) {
    this.#transmitter = transmitter;
  }

  /** A packet from `src` to the address in `dst` at `dstAt`; the message goes to {@link CONTROL_AT}. Null: no buffer. */
  open(
    iface: Interface,
    src: IpAddress,
    dst: Uint8Array,
    dstAt: number,
    nextHeader: number,
    hopLimit: number,
  ): OutPacket | null {
    const out = this.#transmitter.begin(iface, MESSAGE_MAX, null);
    if (out === null) return null;
    const header = this.#header;
    header.nextHeader = nextHeader;
    header.hopLimit = hopLimit;
    header.payloadLength = 0;
    encodeIpv6Header(out.bytes, LINK_HEADROOM, header, src.bytes, 0, dst, dstAt);
    return out;
  }

  /** Sends it to a neighbor, whose address may have to be asked for first. */
  closeTo(out: OutPacket, length: number, neighbor: NeighborEntry, neighbors: NeighborCache): void {
    this.#complete(out, length);
    neighbors.send(neighbor, out);
  }

  /** Sends it with `length` bytes behind the header: to `mac`, or to the group's own where that is null. */
  close(iface: Interface, out: OutPacket, length: number, mac: Uint8Array | null): void {
    this.#complete(out, length);
    let to = mac;
    if (to === null && isMulticastAt(out.bytes, CONTROL_DST_AT, 6)) {
      writeMulticastMac(out.bytes, CONTROL_DST_AT, 6, this.#mac, 0);
      to = this.#mac;
    }
    this.#transmitter.send(iface, out, EtherType.IPV6, to ?? this.#mac);
  }

  #complete(out: OutPacket, length: number): void {
    write16(out.bytes, LINK_HEADROOM + 4, length);
    out.packetAt = LINK_HEADROOM;
    out.packetLength = IPV6_HEADER_LENGTH + length;
  }
}
