/**
 * Records and buffers that the engine target uses for one packet at a time, made once.
 */

import { Gather } from '../../link/link.ts';
import { TextPiece } from '../../tcp/text-pool.ts';
import { EthernetFrame } from '../../wire/ethernet.ts';
import { Ipv4Header } from '../../wire/ipv4.ts';
import { Ipv6Header } from '../../wire/ipv6.ts';
import { TcpSegment } from '../../wire/tcp-segment.ts';
import type { TcpContext } from './contexts.ts';

/** What is to be known of a frame before it is queued. */
export class FrameLook {
  connection: TcpContext | null = null;
  /** Where source and destination address stand, one behind the other, and how long each is; 0: no IP. */
  addressesAt = 0;
  addressBytes = 0;
  hasPorts = false;
  srcPort = 0;
  dstPort = 0;
}

/** Ethernet with a tag: what may stand in front of an IP packet. */
const LINK_HEADER_MAX = 18;

/** Longest segment that is put together, bytes. */
export const FORWARDED_MAX = 65_535;

/** The work records of one engine. */
export class Work {
  // Received.
  readonly ethernet: EthernetFrame = new EthernetFrame();
  readonly ipv4: Ipv4Header = new Ipv4Header();
  readonly ipv6: Ipv6Header = new Ipv6Header();
  readonly segment: TcpSegment = new TcpSegment();
  readonly look: FrameLook = new FrameLook();
  /** What the frame that is being received leaves to the device; 0: nothing. */
  segmentBytes = 0;
  readonly piece: TextPiece = new TextPiece();

  // To be sent.
  readonly outgoing: TcpSegment = new TcpSegment();
  readonly outgoingIpv4: Ipv4Header = new Ipv4Header();
  readonly outgoingIpv6: Ipv6Header = new Ipv6Header();
  readonly frame: Uint8Array;
  /** Text that is sent from where it lies. */
  readonly gather: Gather = new Gather();
  readonly run: TextPiece = new TextPiece();

  #forwarded: Uint8Array | null = null;

  /** `packetBytes`: largest IP packet that is sent, bytes. */
  constructor(packetBytes: number) {
    this.frame = new Uint8Array(LINK_HEADER_MAX + packetBytes);
  }
  /** Where a forwarded segment in several MDLs is put together; made when the first one comes. */
  get forwarded(): Uint8Array {
    this.#forwarded ??= new Uint8Array(FORWARDED_MAX);
    return this.#forwarded;
  }
}
