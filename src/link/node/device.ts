/**
 * A device: a descriptor from which frames are read and to which they are written, one a call, without blocking.
 *
 * This is all that links and NIC threads know of the operating system: about ten functions. A TUN or TAP device, an AF_PACKET socket
 * and one end of a socket pair are opened in files of their own and are used alike. Promises: a write gathers header and text
 * without a copy; an error is a number, never a throw. The same descriptor may be used from any thread, one at a time.
 */

import { GATHER_MAX, type Gather, type Medium } from '../link.ts';
import { BigSend, SAID_MAX } from './big-send.ts';
import { type Libc, libc } from './libc.ts';
import { MessageBatch } from './message-batch.ts';
import { BATCH_FRAMES, HEADS, Segmenter } from './segmenter.ts';
import { TaggedReads } from './tagged-reads.ts';
import {
  clearVirtioNetHeader,
  readVirtioNetHeader,
  VIRTIO_NET_HEADER_BYTES,
  writeVirtioNetHeader,
} from './virtio-net-header.ts';

/** What a device is, as plain data: it can be sent to another thread, and opened there with {@link Device}. */
export interface DeviceDescription {
  readonly kind: 'tun' | 'tap' | 'packet' | 'pair';
  readonly fd: number;
  readonly name: string;
  readonly medium: Medium;
  /** Bytes of IP packet. */
  readonly mtu: number;
  /** The interface's own address, where there is one. */
  readonly macAddress: Uint8Array | null;
  /** Whether every frame has a virtio-net header before it. */
  readonly hasHeader: boolean;
  /** See `Link.largeSendBytes`. */
  readonly largeSendBytes: number;
  /** See `Link.bigSendBytes`. Absent: none. */
  readonly bigSendBytes?: number;
  /** Whether the device makes the checksums of what is written. */
  readonly checksums: boolean;
  /** Whether the device cuts super-segments and hands over such. */
  readonly segments: boolean;
  /** Whether UDP is cut as well (USO), by the device or here. */
  readonly datagrams: boolean;
  /** Whether, where the device does not, super-segments are cut ({@link Segmenter}) and segments joined (FrameReader) here. */
  readonly bulk: boolean;
  /** Number of the network interface; 0: it is none. */
  readonly index: number;
  /** The VLAN of what is read, whose tags the kernel has taken off ({@link ofVlan}). Absent: they are as they were sent. */
  readonly vlanId?: number;
}

/** A tag of 802.1Q, behind the addresses: its type, 81 00, and two bytes of which the last twelve bits are the VLAN. */
const TAG_BYTES = 4;
const ADDRESSES_BYTES = 12;

/** Bytes in front of a frame in the buffer that {@link Device.read} fills. */
export const READ_HEADROOM: number = VIRTIO_NET_HEADER_BYTES;
/** What a buffer must hold: header, Ethernet with a tag, the largest IP packet. */
export const READ_BYTES: number = READ_HEADROOM + 18 + 65_535 + 40;

/** A device whose queue is full that long, milliseconds, has nobody who empties it (no carrier, say): what is written is lost then. */
const FULL_MS_MAX = 20;
/** Runs in a batch: headers and text of each frame, and one more wherever a run of the application's ends within a frame. */
const BATCH_RUNS = 2 * BATCH_FRAMES + GATHER_MAX + 2;

/** After a super-segment that the kernel had no room for in one piece so many are cut before one is tried whole again. */
const CUT_AFTER_REFUSAL = 256;

const EAGAIN = 11;
const EINTR = 4;
const EIO = 5;
const ENXIO = 6;
const ENOMEM = 12;
const EINVAL = 22;
const EMSGSIZE = 90;
const ENOBUFS = 105;
const ENETDOWN = 100;

/** What became of a read or a write. */
export const Outcome = {
  /** Nothing is there; or the queue is full. */
  AGAIN: -1,
  /** The device is down for now: what is written is lost. */
  DOWN: -2,
  /** The device is gone. */
  GONE: -3,
} as const;

/** An open device. */
export class Device {
  readonly description: DeviceDescription;
  /** What the frame read last leaves to the device, see `LinkReceiver.receive`. */
  segmentBytes = 0;
  /** Frames the kernel did not take for reasons of their own. */
  writeErrors = 0;
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #headerBytes: number;
  readonly #medium: Medium;
  // Off the heap (more than 64 bytes), so that V8 does not move them.
  readonly #header: Uint8Array = new Uint8Array(128);
  readonly #iov: Uint8Array = new Uint8Array(16 * (GATHER_MAX + 2));
  readonly #iovView: DataView = new DataView(this.#iov.buffer);
  readonly #headerAddress: number;
  readonly #iovAddress: number;
  /** Cuts what the device does not; null: it does, or nothing is to be cut. */
  readonly #segmenter: Segmenter | null;
  /** Where it is a socket: many frames are written by one call. */
  readonly #batch: MessageBatch | null;
  /** A write has found that an AF_PACKET socket has lost its interface, of which reads tell nothing. */
  #isGone = false;
  /** Since when each frame has met a full queue of which no poll tells; 0: the last one was taken. */
  #fullSinceMs = 0;
  /** Frames of a super-segment that the device took before it was full, and which it was. */
  #taken = 0;
  #takenTag = 0;
  #takenLength = 0;
  /** Cuts what the kernel does not take whole; made when that is first needed. */
  #bigSend: BigSend | null = null;
  /** So many are cut before one is tried whole. */
  #toCut = 0;
  /** See {@link setVlan}. 0: nothing is put back. */
  #vlanId = 0;
  #tagBytes = 0;
  #tagged: TaggedReads | null = null;
  #sharedBuffer: ArrayBufferLike | null = null;
  #sharedAddress = 0;

  constructor(description: DeviceDescription) {
    this.description = description;
    this.#libc = libc();
    this.#fd = description.fd;
    this.#headerBytes = description.hasHeader ? VIRTIO_NET_HEADER_BYTES : 0;
    this.#medium = description.medium;
    this.#headerAddress = this.#libc.addressOf(this.#header);
    this.#iovAddress = this.#libc.addressOf(this.#iov);
    const isCut = description.bulk && !description.segments;
    const isSocket = description.kind === 'packet' || description.kind === 'pair';
    this.#batch = isCut && isSocket ? new MessageBatch(this.#libc, BATCH_FRAMES, BATCH_RUNS) : null;
    this.#segmenter = isCut ? this.#makeSegmenter() : null;
    if (description.vlanId !== undefined) this.setVlan(description.vlanId);
  }

  /** Every frame that is read has lost its tag, which was of this VLAN; it is put back. */
  setVlan(vlanId: number): void {
    this.#vlanId = vlanId;
    this.#tagged = new TaggedReads(this.#libc, this.#fd);
    this.#tagBytes = TAG_BYTES;
  }

  /** Whether a read is more than read(2), so that nobody else can do it. */
  get readsItself(): boolean {
    return this.#tagged !== null;
  }

  get fd(): number {
    return this.#fd;
  }

  /** Remembers where a buffer is whose views are written again and again; it is kept alive by this. */
  pin(buffer: ArrayBufferLike): void {
    this.#sharedBuffer = buffer;
    this.#sharedAddress = this.#libc.addressOf(new Uint8Array(buffer));
  }

  /** Where the first byte of `bytes` is. */
  addressOf(bytes: Uint8Array): number {
    if (bytes.buffer === this.#sharedBuffer) return this.#sharedAddress + bytes.byteOffset;
    return this.#libc.addressOf(bytes);
  }

  /**
   * Reads a frame into `bytes`, which is {@link READ_BYTES} long at least, so that it starts {@link READ_HEADROOM} bytes behind `at`;
   * `address`: where `at` is in memory. Answers its length, or an {@link Outcome}.
   */
  read(bytes: Uint8Array, at: number, address: number): number {
    if (this.#isGone) return Outcome.GONE;
    const { skipped } = this;
    const tagged = this.#tagged;
    const to = address + skipped;
    const most = READ_BYTES - skipped;
    const n = tagged === null ? this.#libc.read(this.#fd, to, most) : tagged.read(to, most);
    if (n >= 0) return this.took(n, bytes, at, tagged === null || tagged.tci < 0 ? this.#vlanId : tagged.tci);
    const outcome = outcomeOf(this.#libc.errno());
    return outcome === REFUSED ? Outcome.AGAIN : outcome;
  }

  /** Bytes of headroom that a read leaves as they are: it begins behind them. With a tag to be put back there is room for that. */
  get skipped(): number {
    return READ_HEADROOM - this.#headerBytes + this.#tagBytes;
  }

  /**
   * Somebody else has read `n` bytes into `bytes` from `at` plus {@link skipped}; answers what {@link read} would. `tci`: the tag that the frame
   * has lost, where that is known.
   */
  took(n: number, bytes: Uint8Array, at: number, tci: number = this.#vlanId): number {
    if (n <= this.#headerBytes) return Outcome.GONE;
    this.segmentBytes = this.#headerBytes === 0 ? 0 : readVirtioNetHeader(bytes, at + this.skipped);
    if (this.#tagBytes > 0) this.#putTag(bytes, at + READ_HEADROOM, tci);
    return n - this.#headerBytes + this.#tagBytes;
  }

  /** The addresses of a frame move to the front by the length of the tag that comes behind them. */
  #putTag(bytes: Uint8Array, at: number, tci: number): void {
    bytes.copyWithin(at, at + TAG_BYTES, at + TAG_BYTES + ADDRESSES_BYTES);
    bytes[at + ADDRESSES_BYTES] = 0x81;
    bytes[at + ADDRESSES_BYTES + 1] = 0;
    bytes[at + ADDRESSES_BYTES + 2] = tci >> 8;
    bytes[at + ADDRESSES_BYTES + 3] = tci & 0xff;
  }

  /** Writes a frame; parameters as in `Link.transmit`. Answers 0, or an {@link Outcome}. A frame that the kernel refuses is lost. */
  write(bytes: Uint8Array, at: number, length: number, segmentBytes: number, text: Gather | null): number {
    if (segmentBytes > 0 && this.#segmenter !== null && this.#isCutHere(length, segmentBytes, text)) {
      return this.#writeCut(this.#segmenter, bytes, at, length, segmentBytes, text);
    }
    const address = this.addressOf(bytes) + at;
    let n: number;
    if (this.#headerBytes === 0 && text === null) n = this.#libc.write(this.#fd, address, length);
    else {
      const whole = text === null ? length : length + text.length;
      if (whole > SAID_MAX && text !== null && this.#toCut > 0) {
        this.#toCut--;
        return this.#writePieces(bytes, at, length, segmentBytes, text);
      }
      if (segmentBytes === 0) clearVirtioNetHeader(this.#header);
      else if (!writeVirtioNetHeader(this.#header, this.#medium, bytes, at, whole, segmentBytes)) return this.#failed();
      n = this.#libc.writev(this.#fd, this.#iovAddress, this.#fillIov(address, length, text));
    }
    if (n >= 0) {
      this.#fullSinceMs = 0;
      return 0;
    }
    const outcome = this.#refusal();
    if (outcome !== REFUSED) return outcome;
    if (text === null || length + text.length <= SAID_MAX) return this.#failed();
    this.#toCut = CUT_AFTER_REFUSAL;
    return this.#writePieces(bytes, at, length, segmentBytes, text);
  }

  close(): void {
    this.#libc.close(this.#fd);
  }

  #makeSegmenter(): Segmenter {
    const { medium, checksums } = this.description;
    const copy = (to: number, from: number, length: number): void => this.#libc.memcpy(to, from, length);
    const addressOf = (bytes: Uint8Array): number => this.addressOf(bytes);
    return new Segmenter(medium, this.#headerBytes, checksums, addressOf, copy, this.#batch !== null);
  }

  /** What is no longer than a segment goes to the device as it is, if that makes its checksum. */
  #isCutHere(length: number, segmentBytes: number, text: Gather | null): boolean {
    if (!this.description.checksums || text !== null) return true;
    return length > segmentBytes;
  }

  /**
   * Writes a super-segment as the frames it stands for. When the device is full in the middle of one, the next call with the same one goes on there; with
   * another one in between it is sent again from its beginning, which a receiver bears.
   */
  #writeCut(
    segmenter: Segmenter,
    bytes: Uint8Array,
    at: number,
    length: number,
    segmentBytes: number,
    text: Gather | null,
  ): number {
    const count = segmenter.begin(bytes, at, length, segmentBytes, text);
    if (count === 0) return this.#failed();
    const whole = text === null ? length : length + text.length;
    const isSame = this.#taken > 0 && this.#takenTag === segmenter.tag && this.#takenLength === whole;
    const from = isSame ? this.#taken : 0;
    this.#taken = 0;
    const batch = this.#batch;
    const outcome =
      batch === null ? this.#writeEach(segmenter, from, count) : this.#writeAll(segmenter, batch, from, count);
    if (outcome === Outcome.AGAIN) {
      this.#takenTag = segmenter.tag;
      this.#takenLength = whole;
    } else this.#taken = 0;
    return outcome;
  }

  /** A call for each frame. */
  #writeEach(segmenter: Segmenter, from: number, count: number): number {
    for (let i = from; i < count; i++) {
      segmenter.make(i);
      if (this.#libc.write(this.#fd, segmenter.bases[HEADS]! + segmenter.headAt, segmenter.length) >= 0) continue;
      const outcome = this.#refusal();
      if (outcome === REFUSED) {
        this.#failed();
        continue;
      }
      this.#taken = i;
      return outcome;
    }
    return 0;
  }

  /** As many frames a call as there may be. */
  #writeAll(segmenter: Segmenter, batch: MessageBatch, from: number, count: number): number {
    segmenter.skipTo(from);
    for (let first = from; first < count; first += BATCH_FRAMES) {
      this.#fill(segmenter, batch, first, Math.min(count, first + BATCH_FRAMES));
      for (let done = 0; done < batch.count; ) {
        const n = batch.send(this.#fd, done);
        if (n > 0) {
          this.#fullSinceMs = 0;
          done += n;
          continue;
        }
        const outcome = this.#refusal();
        if (outcome !== REFUSED) {
          this.#taken = first + done;
          return outcome;
        }
        this.#failed();
        done++;
      }
    }
    return 0;
  }

  #fill(segmenter: Segmenter, batch: MessageBatch, first: number, end: number): void {
    batch.clear();
    for (let i = first; i < end; i++) {
      segmenter.make(i);
      batch.addFrame();
      batch.addRun(segmenter.bases, HEADS, segmenter.headAt, segmenter.length);
      for (let left = segmenter.textLength; left > 0; ) {
        const part = segmenter.takeText(left);
        batch.addRun(segmenter.bases, segmenter.textBase, segmenter.textAt, part);
        left -= part;
      }
    }
  }

  /** Why the kernel has not taken a frame: {@link REFUSED} or an outcome. */
  #refusal(): number {
    const errno = this.#libc.errno();
    if (this.description.kind !== 'packet' || (errno !== ENOBUFS && errno !== ENXIO)) return outcomeOf(errno);
    if (errno === ENXIO) {
      this.#isGone = true;
      return Outcome.GONE;
    }
    const nowMs = performance.now();
    if (this.#fullSinceMs === 0) this.#fullSinceMs = nowMs;
    return nowMs - this.#fullSinceMs < FULL_MS_MAX ? Outcome.AGAIN : REFUSED;
  }

  /** Writes a super-segment in pieces that their headers can tell of; one that a full device cuts short goes on as in {@link #writeCut}. */
  #writePieces(bytes: Uint8Array, at: number, length: number, segmentBytes: number, text: Gather): number {
    this.#bigSend ??= new BigSend(this.#medium);
    const pieces = this.#bigSend;
    const count = pieces.begin(bytes, at, length, segmentBytes, text);
    const whole = length + text.length;
    const isSame = this.#taken > 0 && this.#takenTag === pieces.seq && this.#takenLength === whole;
    let i = isSame ? this.#taken : 0;
    this.#taken = 0;
    for (; i < count; i++) {
      pieces.make(i);
      const outcome = this.write(pieces.head, 0, pieces.headLength, segmentBytes, pieces.text);
      if (outcome === 0) continue;
      if (outcome !== Outcome.AGAIN) return outcome;
      this.#taken = i;
      this.#takenTag = pieces.seq;
      this.#takenLength = whole;
      return outcome;
    }
    return 0;
  }

  #failed(): number {
    this.writeErrors++;
    return 0;
  }

  #fillIov(address: number, length: number, text: Gather | null): number {
    let count = 0;
    if (this.#headerBytes > 0) this.#putIov(count++, this.#headerAddress, this.#headerBytes);
    this.#putIov(count++, address, length);
    if (text === null) return count;
    for (let i = 0; i < text.count; i++) {
      this.#putIov(count++, this.addressOf(text.buffers[i]!) + text.ats[i]!, text.lengths[i]!);
    }
    return count;
  }

  #putIov(index: number, address: number, length: number): void {
    const at = index * 16;
    const view = this.#iovView;
    view.setUint32(at, address >>> 0, true);
    view.setUint32(at + 4, Math.floor(address / 0x1_0000_0000), true);
    view.setUint32(at + 8, length, true);
    view.setUint32(at + 12, 0, true);
  }
}

/** An error that concerns this frame alone. */
const REFUSED = -4;

function outcomeOf(errno: number): number {
  switch (errno) {
    case EAGAIN:
    case EINTR:
      return Outcome.AGAIN;
    case EIO:
    case ENETDOWN:
      return Outcome.DOWN;
    case EINVAL:
    case EMSGSIZE:
    case ENOMEM:
    case ENOBUFS:
      return REFUSED;
    default:
      return Outcome.GONE;
  }
}
