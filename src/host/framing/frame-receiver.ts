/**
 * Frames in: the link header, whom the frame is for, and which protocol takes it. RFC 894, RFC 2464, IEEE 802.1Q.
 *
 * Promises: a frame that is not ours goes no further, and is counted; a layer above learns whether the frame was a broadcast
 * (RFC 1122 2.4). On a bare-IP link the packet's version nibble stands for the EtherType.
 */

import { Event } from '../../trace/events.ts';
import { decodeEthernet, EthernetFrame, EtherType } from '../../wire/ethernet.ts';
import { equalMac, isGroupMac } from '../../wire/mac-address.ts';
import { WIRE_OK } from '../../wire/status.ts';
import type { IpContext } from '../path/context.ts';
import type { IpReceiver } from '../path/ip-receiver.ts';
import type { Interface } from '../path/types.ts';
import type { Arp } from './arp.ts';

export class FrameReceiver {
  readonly #context: IpContext;
  readonly #arp: Arp;
  readonly #ip: IpReceiver;
  readonly #frame = new EthernetFrame();

  constructor(context: IpContext, arp: Arp, ip: IpReceiver) {
    this.#context = context;
    this.#arp = arp;
    this.#ip = ip;
  }

  /**
   * A frame (on a bare-IP link: a packet) of `length` bytes at `at`, borrowed for the call. `segmentBytes`: what it leaves to the device,
   * see `NetBufferList.largeSendMss`.
   */
  receive(iface: Interface, bytes: Uint8Array, at: number, length: number, segmentBytes: number): void {
    if (iface.medium !== 'ethernet') {
      this.receivePacket(iface, bytes, at, length, segmentBytes);
      return;
    }
    const frame = this.#frame;
    if (decodeEthernet(bytes, at, length, frame) !== WIRE_OK) {
      this.#context.trace.count(Event.FRAME_TOO_SHORT);
      return;
    }
    if (!this.#isForUs(iface, bytes, frame)) {
      this.#context.trace.count(Event.FRAME_NOT_FOR_US);
      return;
    }
    const isGroup = isGroupMac(bytes, frame.dstAt);
    switch (frame.etherType) {
      case EtherType.IPV4:
        this.#ip.receiveIpv4(iface, bytes, frame.payloadAt, frame.payloadLength, isGroup, segmentBytes);
        return;
      case EtherType.IPV6:
        this.#ip.linkSourceAt = frame.srcAt;
        this.#ip.receiveIpv6(iface, bytes, frame.payloadAt, frame.payloadLength, isGroup, segmentBytes);
        this.#ip.linkSourceAt = -1;
        return;
      case EtherType.ARP:
        this.#arp.receive(iface, bytes, frame.payloadAt, frame.payloadLength);
        return;
      default:
        this.#context.trace.count(Event.ETHERTYPE_UNKNOWN);
    }
  }

  /** A packet without link header. */
  receivePacket(iface: Interface, bytes: Uint8Array, at: number, length: number, segmentBytes: number): void {
    if (length === 0) {
      this.#context.trace.count(Event.FRAME_TOO_SHORT);
      return;
    }
    const version = bytes[at]! >> 4;
    if (version === 4) this.#ip.receiveIpv4(iface, bytes, at, length, false, segmentBytes);
    else if (version === 6) this.#ip.receiveIpv6(iface, bytes, at, length, false, segmentBytes);
    else this.#context.trace.count(Event.ETHERTYPE_UNKNOWN);
  }

  #isForUs(iface: Interface, bytes: Uint8Array, frame: EthernetFrame): boolean {
    // Our own frames, come back from a hub or bridge, would look like somebody with our addresses (RFC 4862 5.4.3).
    if (equalMac(bytes, frame.srcAt, iface.mac, 0)) return false;
    if (!isGroupMac(bytes, frame.dstAt) && !equalMac(bytes, frame.dstAt, iface.mac, 0)) return false;
    // IEEE 802.1Q: VLAN 0 is a priority alone.
    const { vlanTci } = iface;
    if (vlanTci < 0) return frame.vlanId === 0;
    return frame.tagged && frame.vlanId === vlanTci;
  }
}
