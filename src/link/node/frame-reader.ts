/**
 * Reading a device in batches; segments of a connection that follow one another are joined to a super-segment as they are read
 * (receive segment coalescing, what Linux calls GRO), where the device itself does not join them.
 *
 * Promises: only what is beyond doubt is joined: TCP over IPv4 without options or IPv6 without extensions, checksums right, all of the
 * headers alike but for the sequence number, which follows, and nothing but ACK and PSH set; PSH, a short segment, another flow
 * and the end of the batch end it. Whatever else is read is handed on as it is, in its order. No payload is copied: each frame is
 * read so that its payload lies behind what is held, and the bytes under its header are put back. Nothing is allocated.
 */

import { assert } from '../../base/assert.ts';
import { MemoryOffer } from '../../base/memory-offer.ts';
import { FRAME_MEMORY_BYTES, type LinkReceiver, WHOLE_FRAME } from '../link.ts';
import { type Device, READ_BYTES, READ_HEADROOM } from './device.ts';
import { FrameLayout, headersFollow } from './frame-layout.ts';
import { FrameMemory } from './frame-memory.ts';

/** Frames from so many bytes on are offered with their memory: most of it is used then. */
const OFFERED_FROM = 32_768;
/** Longest IP packet. */
const IP_MAX = 65_535;
/** Headers and headroom at most: what lies under the head of a frame is kept in so many words. */
const SAVED_WORDS = (READ_HEADROOM + 14 + 40 + 60 + 2) >> 2;
const TCP_PSH = 0x08;

function freshMemory(): Uint8Array {
  return new Uint8Array(Buffer.allocUnsafeSlow(FRAME_MEMORY_BYTES).buffer);
}

/** Reads the frames of one device for a {@link LinkReceiver}. */
export class FrameReader {
  /** Where a first frame may be read to by others, from {@link Device.skipped} on; another one whenever somebody has kept it. */
  buffer: Uint8Array;
  /** Frames of the last drain. */
  frames = 0;
  /** Frames that were joined to one before them. */
  joined = 0;
  readonly #device: Device;
  readonly #memory: FrameMemory | null;
  #address: number;
  readonly #offer: MemoryOffer = new MemoryOffer();
  readonly #saved: Int32Array = new Int32Array(SAVED_WORDS);
  readonly #head: Int32Array = new Int32Array(SAVED_WORDS);
  readonly #held: FrameLayout = new FrameLayout();
  readonly #next: FrameLayout = new FrameLayout();
  /** Bytes of the frame that is held back; 0: none is. */
  #heldLength = 0;
  /** Payload of each segment in it, and how many there are. */
  #heldMss = 0;
  #heldCount = 0;
  #heldSegmentBytes = 0;
  #expectedSeq = 0;
  /** Who is given frames now; null: nobody any more. */
  #receiver: LinkReceiver | null = null;
  readonly #hasOther: (() => boolean) | null;
  /** Memory of its own that nobody may keep; null: all may be kept. */
  readonly #own: Uint8Array | null;

  /**
   * `hasOther`: asked after each frame whether there is something to do that waits for no more of them. `mayKeepOwn`: whether others may keep
   * memory that was made here, too, and not the receiver's alone; a thread's own is of no use to another.
   */
  constructor(device: Device, hasOther: (() => boolean) | null = null, mayKeepOwn = true) {
    this.#hasOther = hasOther;
    const { segments, bulk } = device.description;
    this.#device = device;
    this.#memory = bulk && !segments ? new FrameMemory(2 * READ_BYTES) : null;
    this.buffer = this.#memory?.bytes ?? new Uint8Array(READ_BYTES);
    this.#own = mayKeepOwn ? null : this.buffer;
    this.#address = device.addressOf(this.buffer);
  }

  /**
   * Gives `receiver` what there is: at most so many frames, and `receiveDone` after each `batchBytes`, and at the end. `first`: what a
   * read into {@link buffer} has answered already, or 0: nothing was read yet. Answers the last outcome: 0 when there may be more.
   */
  drain(receiver: LinkReceiver, first: number, mostFrames: number, batchBytes: number): number {
    const device = this.#device;
    this.#receiver = receiver;
    let n = first !== 0 ? first : device.read(this.buffer, 0, this.#address);
    let at = 0;
    let bytes = 0;
    let frames = 0;
    while (n > 0 && this.#receiver !== null) {
      this.#take(at, n);
      bytes += n;
      frames++;
      if (bytes >= batchBytes) {
        this.#done();
        bytes = 0;
      }
      if (frames >= mostFrames || this.#hasOther?.() === true) break;
      at = this.#heldLength === 0 ? 0 : this.#makeRoom();
      n = device.read(this.buffer, at, this.#address + at);
      if (n <= 0 && at > 0) this.#restore(this.#saved, at);
    }
    if (bytes > 0) this.#done();
    this.frames = frames;
    return frames >= mostFrames ? 0 : n;
  }

  /** Nobody is given anything any more, though a batch be going on. */
  stop(): void {
    this.#receiver = null;
  }

  #done(): void {
    this.#release();
    this.#receiver?.receiveDone();
  }

  /** A frame of `length` bytes was read behind `at` + headroom: held, joined to the one that is, or handed on. */
  #take(at: number, length: number): void {
    const memory = this.#memory;
    if (memory === null) {
      this.#giveDirectly(length);
      return;
    }
    const next = this.#next;
    const isVouched = this.#device.segmentBytes !== 0;
    const frameAt = at + READ_HEADROOM;
    const isJoinable = next.read(memory, this.#device.description.medium, frameAt, length, isVouched);
    if (this.#heldLength > 0) {
      if (isJoinable && this.#follows(memory, next)) {
        this.#restore(this.#saved, at);
        this.#join(next);
        return;
      }
      // Not of it: its head makes way for what it lies on, until that is handed on.
      this.#keep(this.#head, at);
      this.#restore(this.#saved, at);
      this.#release();
      this.#restore(this.#head, at);
      this.buffer.copyWithin(READ_HEADROOM, frameAt, frameAt + length);
    }
    if (isJoinable && !next.isPushed && (next.payloadLength & 3) === 0) this.#hold(length);
    else this.#receiver?.receive(this.buffer, READ_HEADROOM, length, this.#device.segmentBytes);
  }

  /** Whoever has use for the whole of a long frame may keep the memory: reading into other memory costs less than a copy. */
  #giveDirectly(length: number): void {
    const receiver = this.#receiver;
    if (receiver === null) return;
    const isOffered = length >= OFFERED_FROM && this.buffer !== this.#own;
    const offer = this.#offer;
    receiver.receive(this.buffer, READ_HEADROOM, length, this.#device.segmentBytes, isOffered ? offer : null);
    if (offer.isTaken) {
      offer.isTaken = false;
      this.#use(receiver.frameMemory?.() ?? this.#own ?? freshMemory());
    } else if (length >= OFFERED_FROM && !isOffered) {
      const lent = receiver.frameMemory?.() ?? null;
      if (lent !== null) this.#use(lent);
    }
  }

  #use(memory: Uint8Array): void {
    assert(memory.length >= READ_BYTES, 'memory for frames has room for the longest: the kernel writes into it');
    this.buffer = memory;
    this.#address = this.#device.addressOf(memory);
  }

  #hold(length: number): void {
    const { payloadLength } = this.#next;
    this.#held.copyFrom(this.#next, READ_HEADROOM);
    this.#heldLength = length;
    this.#heldMss = payloadLength;
    this.#heldCount = 1;
    this.#heldSegmentBytes = this.#device.segmentBytes;
    this.#expectedSeq = (this.#next.seq + payloadLength) | 0;
  }

  #follows(memory: FrameMemory, next: FrameLayout): boolean {
    return (
      next.seq === this.#expectedSeq &&
      next.payloadLength <= this.#heldMss &&
      this.#heldLength - this.#held.linkLength + next.payloadLength <= IP_MAX &&
      headersFollow(memory.view, this.#held, next)
    );
  }

  #join(next: FrameLayout): void {
    this.#heldLength += next.payloadLength;
    this.#expectedSeq = (this.#expectedSeq + next.payloadLength) | 0;
    this.#heldCount++;
    this.joined++;
    if (next.isPushed) this.buffer[this.#held.tcpAt + 13]! |= TCP_PSH;
    const isFull = this.#heldLength - this.#held.linkLength + this.#heldMss > IP_MAX;
    if (next.isPushed || isFull || next.payloadLength < this.#heldMss) this.#release();
  }

  /** Hands on what is held. */
  #release(): void {
    const length = this.#heldLength;
    if (length === 0) return;
    this.#heldLength = 0;
    if (this.#heldCount === 1) {
      this.#receiver?.receive(this.buffer, READ_HEADROOM, length, this.#heldSegmentBytes);
      return;
    }
    this.#held.setLength(this.#memory!.view, length);
    this.#receiver?.receive(this.buffer, READ_HEADROOM, length, Math.min(this.#heldMss, WHOLE_FRAME - 1));
  }

  /** Where the next frame is read to, so that its payload lies behind what is held; what its head will lie on is kept. */
  #makeRoom(): number {
    const at = this.#heldLength - this.#held.headerLength;
    this.#keep(this.#saved, at);
    return at;
  }

  /** The words from `at` on that a head of the length of the one that is held takes, with its headroom. */
  #keep(into: Int32Array, at: number): void {
    const words = this.#memory!.words;
    const from = at >> 2;
    const count = (READ_HEADROOM + this.#held.headerLength) >> 2;
    for (let i = 0; i < count; i++) into[i] = words[from + i]!;
    if ((this.#held.headerLength & 2) !== 0) into[count] = this.#memory!.view.getUint16((from + count) << 2);
  }

  #restore(saved: Int32Array, at: number): void {
    const words = this.#memory!.words;
    const from = at >> 2;
    const count = (READ_HEADROOM + this.#held.headerLength) >> 2;
    for (let i = 0; i < count; i++) words[from + i] = saved[i]!;
    if ((this.#held.headerLength & 2) !== 0) this.#memory!.view.setUint16((from + count) << 2, saved[count]!);
  }
}
