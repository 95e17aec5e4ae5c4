/**
 * The door of the links: frames or IP packets in and out. Whoever has a wire of his own implements {@link Link}.
 *
 * Promises: bytes given to `transmit` and to `receive` are borrowed for the call; whoever wants them longer copies them.
 * Both are synchronous and may be called from inside each other's owner, but `receive` is never called from inside `transmit`.
 */

import type { MemoryOffer } from '../base/memory-offer.ts';

/**
 * What a frame leaves to the device, in the one number that goes with it, `segmentBytes`:
 *
 * 0 or absent: the frame is as it is on a wire. Greater: it holds a TCP segment or UDP datagram whose checksum field has the folded,
 * not inverted sum of the pseudo-header only (received ones may also have a right checksum: the device vouches for them, it need
 * not be verified), and if there is more payload than `segmentBytes` it is a super-segment: it stands for segments with that much
 * payload each, the last one with the rest. {@link WHOLE_FRAME} where there is only a checksum to be left out.
 * Source: virtio 1.2, 5.1.6.2; NDIS TcpLargeSendNetBufferListInfo and TcpIpChecksumNetBufferListInfo.
 */
export const WHOLE_FRAME = 0xffff;

/** Runs of bytes that follow one another in a frame: text that lies where the application has it. Reused by its owner. */
export class Gather {
  /** Runs that are in use. */
  count = 0;
  readonly buffers: Uint8Array[] = [];
  readonly ats: number[] = [];
  readonly lengths: number[] = [];

  /** Bytes in all runs. */
  get length(): number {
    let bytes = 0;
    for (let i = 0; i < this.count; i++) bytes += this.lengths[i]!;
    return bytes;
  }

  clear(): void {
    this.count = 0;
  }

  /** Puts a run behind the others. */
  add(buffer: Uint8Array, at: number, length: number): void {
    this.buffers[this.count] = buffer;
    this.ats[this.count] = at;
    this.lengths[this.count] = length;
    this.count++;
  }
}

/** Runs in a {@link Gather} at most. */
export const GATHER_MAX = 16;
/** A run is at least so long; shorter ones are cheaper to copy (and the engine may move tiny buffers in memory). */
export const GATHER_RUN_LEAST = 1024;

/** Memory for the longest frame that a device hands over, and what stands in front of it, bytes. */
export const FRAME_MEMORY_BYTES: number = 68 * 1024;

/** What a link carries: Ethernet frames (without FCS), or bare IPv4 and IPv6 packets. */
export type Medium = 'ethernet' | 'ip';

/** Who is told what a link receives: an adapter (the miniport driver that owns the link). */
export interface LinkReceiver {
  /**
   * A frame (or packet) has arrived: `length` bytes of `bytes` from `at`, borrowed for the call. `segmentBytes`: what the device
   * has left out of it, see {@link WHOLE_FRAME}; any link may hand over such frames. `offer`: the memory of `bytes`, all of it, may be kept.
   */
  receive(bytes: Uint8Array, at: number, length: number, segmentBytes?: number, offer?: MemoryOffer | null): void;
  /** Nothing more has arrived for now: the moment to acknowledge, to complete and to ring bells, once a batch. */
  receiveDone(): void;
  /**
   * Memory of {@link FRAME_MEMORY_BYTES} to read a long frame into: the receiver may be able to keep it where other memory would be copied. It is
   * the link's until it is offered and taken, or until it asks again. Null: there is none for now.
   */
  frameMemory?(): Uint8Array | null;
  /** The link went up or down. */
  linkState(isUp: boolean): void;
  /**
   * The link carries packets of `mtu` bytes from now on; never more than {@link Link.mtu}, which stays as it is. A receiver without the
   * function goes on as before.
   */
  mtuChanged?(mtu: number): void;
  /** There is room again after `transmit` answered false. */
  writable(): void;
  /** The device is gone for good: nothing leaves or arrives any more. The link is still to be closed. */
  removed?(): void;
}

/** A way for frames to leave and to arrive. */
export interface Link {
  /** For traces and messages. */
  readonly name: string;
  readonly medium: Medium;
  /** Largest IP packet it carries (or may come to carry: `LinkReceiver.mtuChanged`), bytes; 576 to 65535 (68 at the very least for IPv4, 1280 for IPv6). */
  readonly mtu: number;
  /** The link's own MAC where it has one; a stack makes up a locally administered one where it has not. Six bytes. */
  readonly macAddress?: Uint8Array;
  /**
   * Largest IP packet (super-segment) that `transmit` takes with `segmentBytes`; 0 or absent: the link leaves nothing to a device
   * and every frame must be complete. At least the MTU, at most 65535.
   */
  readonly largeSendBytes?: number;
  /**
   * Largest IPv4 packet that `transmit` takes with `segmentBytes` and most of its text in a {@link Gather}, where that is more than an IP
   * header can say: its total length is 0 then (BIG TCP of Linux). Absent: {@link largeSendBytes} is all.
   */
  readonly bigSendBytes?: number;
  /** Whether a super-segment may be UDP, one that stands for several datagrams, too (USO). Absent: TCP only. */
  readonly largeDatagrams?: boolean;
  /** Whether `transmit` takes text in a {@link Gather}. */
  readonly takesGather?: boolean;
  /**
   * All frames are to be of this 802.1Q VLAN, 1 to 4094, with its tag. Called before {@link start} where that is so. Only for a link that
   * loses the tags of what it receives, and so has to be told: it puts them back.
   */
  setVlan?(vlanId: number): void;
  /** Begins to receive. Called once. */
  start(receiver: LinkReceiver): void;
  /**
   * Sends a frame, borrowed for the call. False: the link's queue is full and the frame was NOT taken; `writable` follows.
   * A link may lose a frame that it has taken. `segmentBytes`: what is left to the device, see {@link WHOLE_FRAME}; only where
   * {@link largeSendBytes} says so. `text`: what follows behind the bytes, only where {@link takesGather} says so.
   */
  transmit(bytes: Uint8Array, at: number, length: number, segmentBytes?: number, text?: Gather | null): boolean;
  /** Stops for good; nothing is received after it was called. */
  close(): void | Promise<void>;
}
