/**
 * Cutting super-segments where the device does not (what Linux calls GSO): the frames of one, one after another, each ready to be written.
 *
 * The stack above works once for some forty segments, and what is left for each is a copy of the headers, five fields and a sum. The frames
 * are made in one of two ways. For a device that takes one a call the text is copied once, all of it, and each segment's headers go right in
 * front of its text, over the end of the segment before, which has left by then: one run of bytes to write. For one that takes many a call
 * the headers of each have a place of their own, and the text stays where the application has it; it is copied only if it must be summed. Promises: nothing is allocated per segment; every frame is whole (or lacks what the
 * device adds: the checksum). The packets are the stack's own: TCP or UDP right behind an IPv4 header or the fixed IPv6 header.
 * Sources: RFC 9293 3.1, RFC 768, RFC 791, RFC 8200; RFC 6864 (the identification of packets that are not fragmented).
 */

import { foldChecksum } from '../../base/checksum.ts';
import { GATHER_MAX, type Gather, type Medium } from '../link.ts';
import { FrameMemory } from './frame-memory.ts';
import { VIRTIO_NET_HEADER_BYTES } from './virtio-net-header.ts';

/** Where text is laid: behind room for the longest headers. */
const TEXT_AT = 256;
/** Frames whose headers stand side by side at most. */
export const BATCH_FRAMES = 64;
/** Room for the headers of one of them: virtio-net, Ethernet with a tag, IPv4 or IPv6, TCP. */
const HEAD_BYTES = 192;
const TEXT_MAX = 65_535;
const TCP = 6;
const UDP = 17;
const UDP_HEADER = 8;
const FLAG_FIN = 0x01;
const FLAG_PSH = 0x08;
const FLAG_CWR = 0x80;
const NEEDS_CSUM = 1;

/** Which of {@link Segmenter.bases} is that of headers, and of whole frames. */
export const HEADS = 0;

/** Copies memory; addresses as the system knows them. */
export type CopyMemory = (to: number, from: number, length: number) => void;

/** Cuts one super-segment at a time. */
export class Segmenter {
  readonly #memory: FrameMemory;
  readonly #address: number;
  readonly #medium: Medium;
  /** Bytes of virtio-net header before each frame. */
  readonly #before: number;
  /** Whether the device makes the transport checksum. */
  readonly #leavesChecksum: boolean;
  readonly #addressOf: (bytes: Uint8Array) => number;
  readonly #copy: CopyMemory;
  /** Whether many frames are made before they are written. */
  readonly #isBatched: boolean;
  /**
   * Where memory is, as the system knows it: that of the headers first ({@link HEADS}), then each run of the super-segment's text. What
   * is made is told as an offset in one of them, as numbers of more than 31 bits would be allocated.
   */
  readonly bases: Float64Array = new Float64Array(1 + GATHER_MAX + 2);
  readonly #runLength: Int32Array = new Int32Array(1 + GATHER_MAX + 2);
  /** Behind the last run. */
  #runs = 1;
  /** The run in which the next part of the text begins, and how far into it. */
  #run = 0;
  #runOffset = 0;
  /** The headers of the super-segment. */
  readonly #head: Uint8Array = new Uint8Array(TEXT_AT);
  readonly #headView: DataView = new DataView(this.#head.buffer);
  #headLength = 0;
  #ip = 0;
  #isIpv4 = false;
  #transport = 0;
  #isTcp = false;
  #textLength = 0;
  #segmentBytes = 0;
  #ipSum = 0;
  #pseudoSum = 0;
  #transportSum = 0;

  constructor(
    medium: Medium,
    before: number,
    leavesChecksum: boolean,
    addressOf: (bytes: Uint8Array) => number,
    copy: CopyMemory,
    isBatched = false,
  ) {
    this.#isBatched = isBatched;
    this.#memory = new FrameMemory(TEXT_AT + TEXT_MAX + (isBatched ? BATCH_FRAMES * HEAD_BYTES : 0));
    this.#medium = medium;
    this.#before = before;
    this.#leavesChecksum = leavesChecksum;
    this.#addressOf = addressOf;
    this.#copy = copy;
    this.#address = addressOf(this.#memory.bytes);
    this.bases[HEADS] = this.#address;
  }

  /**
   * Takes the frame that is written by `Device.write` with these parameters. Answers how many frames it is cut into; 0: it is not one
   * that can be.
   */
  begin(bytes: Uint8Array, at: number, length: number, segmentBytes: number, text: Gather | null): number {
    const head = this.#head;
    for (let i = 0, most = Math.min(length, TEXT_AT - VIRTIO_NET_HEADER_BYTES); i < most; i++) head[i] = bytes[at + i]!;
    if (!this.#readHead(length)) return 0;
    const here = length - this.#headLength;
    const all = here + (text === null ? 0 : text.length);
    if (all > TEXT_MAX) return 0;
    this.#textLength = all;
    this.#segmentBytes = segmentBytes;
    this.#runs = 1;
    this.#run = 1;
    this.#runOffset = 0;
    if (here > 0) this.#addRun(this.#addressOf(bytes) + at + this.#headLength, here);
    for (let i = 0; text !== null && i < text.count; i++) {
      this.#addRun(this.#addressOf(text.buffers[i]!) + text.ats[i]!, text.lengths[i]!);
    }
    if (!this.#isBatched || !this.#leavesChecksum) this.#copyText();
    this.#sumHead();
    return Math.max(1, Math.ceil(all / segmentBytes));
  }

  #addRun(address: number, length: number): void {
    if (length === 0) return;
    this.bases[this.#runs] = address;
    this.#runLength[this.#runs] = length;
    this.#runs++;
  }

  /** All of the text into one run of this memory. */
  #copyText(): void {
    let to = this.#address + TEXT_AT;
    for (let i = 1; i < this.#runs; i++) {
      this.#copy(to, this.bases[i]!, this.#runLength[i]!);
      to += this.#runLength[i]!;
    }
    this.bases[1] = this.#address + TEXT_AT;
    this.#runLength[1] = this.#textLength;
    this.#runs = this.#textLength > 0 ? 2 : 1;
  }

  /** The text of all frames before number `index` has been taken. */
  skipTo(index: number): void {
    this.#run = 1;
    this.#runOffset = 0;
    for (let left = index * this.#segmentBytes; left > 0; ) {
      const part = this.takeText(left);
      if (part === 0) break;
      left -= part;
    }
  }

  /** Where the text is that was taken last: the run, and how far into it. */
  textBase = 0;
  textAt = 0;

  /** Takes the next text, as much as is in one run, `most` bytes at most. Answers how much; 0: there is none left. */
  takeText(most: number): number {
    if (this.#run === this.#runs) return 0;
    const there = this.#runLength[this.#run]! - this.#runOffset;
    const part = Math.min(most, there);
    this.textBase = this.#run;
    this.textAt = this.#runOffset;
    this.#runOffset += part;
    if (part === there) {
      this.#run++;
      this.#runOffset = 0;
    }
    return part;
  }

  /**
   * Where the frame (or its virtio-net header) begins that {@link make} has made, in the memory of {@link HEADS}, and how long it is; in a
   * batch its headers alone, {@link textLength} bytes of text follow.
   */
  headAt = 0;
  length = 0;
  textLength = 0;

  /** Makes frame number `index`. Those before it cannot be made again; of a batch, those {@link BATCH_FRAMES} before it. */
  make(index: number): void {
    const { view, bytes } = this.#memory;
    const offset = index * this.#segmentBytes;
    const text = Math.min(this.#segmentBytes, this.#textLength - offset);
    const isLast = offset + text === this.#textLength;
    const before = this.#before;
    const at = this.#isBatched ? headAt(index) + before : TEXT_AT + offset - this.#headLength;
    copyHead(this.#head, bytes, at, this.#headLength);
    const upper = this.#headLength - this.#transport + text;
    this.#finishIp(view, at + this.#ip, upper, index);
    const transport = at + this.#transport;
    // The sum of the segment as it is but for its checksum, which is 0 in the head.
    let sum = this.#pseudoSum + upper;
    if (this.#isTcp) sum = this.#finishTcp(view, transport, sum, offset, index > 0, isLast);
    else {
      view.setUint16(transport + 4, upper);
      if (!this.#leavesChecksum) sum += this.#transportSum + upper;
    }
    const checksumAt = transport + (this.#isTcp ? 16 : 6);
    if (this.#leavesChecksum) view.setUint16(checksumAt, foldChecksum(sum));
    else {
      sum += this.#memory.sum(TEXT_AT + offset, text);
      const checksum = ~foldChecksum(sum) & 0xffff;
      // RFC 768: zero means that there is none.
      view.setUint16(checksumAt, checksum === 0 && !this.#isTcp ? 0xffff : checksum);
    }
    if (before > 0) this.#putVirtio(view, at - before);
    this.headAt = at - before;
    this.textLength = text;
    this.length = before + this.#headLength + (this.#isBatched ? 0 : text);
  }

  /** What tells the whole from others, for whoever wants to know whether it is the same as before. */
  get tag(): number {
    const view = this.#headView;
    if (this.#isTcp) return view.getInt32(this.#transport + 4);
    // Ports, and what tells packets of IPv4 apart.
    return view.getInt32(this.#transport) ^ (this.#isIpv4 ? view.getUint16(this.#ip + 4) : 0);
  }

  #readHead(length: number): boolean {
    const head = this.#head;
    this.#ip = this.#medium === 'ip' ? 0 : head[12] === 0x81 && head[13] === 0 ? 18 : 14;
    const version = head[this.#ip]! >> 4;
    this.#isIpv4 = version === 4;
    this.#transport = this.#ip + (this.#isIpv4 ? (head[this.#ip]! & 15) << 2 : 40);
    const protocol = head[this.#ip + (this.#isIpv4 ? 9 : 6)]!;
    this.#isTcp = protocol === TCP;
    if ((version !== 4 && version !== 6) || (!this.#isTcp && protocol !== UDP)) return false;
    this.#headLength = this.#transport + (this.#isTcp ? (head[this.#transport + 12]! >> 4) << 2 : UDP_HEADER);
    return this.#headLength <= length;
  }

  /** Sums of what is alike in all frames. */
  #sumHead(): void {
    const view = this.#headView;
    const ip = this.#ip;
    const transport = this.#transport;
    const protocol = this.#isTcp ? TCP : UDP;
    if (this.#isIpv4) {
      view.setUint16(ip + 10, 0);
      this.#ipSum = sumOf(view, ip, transport - ip) - view.getUint16(ip + 2) - view.getUint16(ip + 4);
      this.#pseudoSum = protocol + sumOf(view, ip + 12, 8);
    } else this.#pseudoSum = protocol + sumOf(view, ip + 8, 32);
    if (this.#isTcp) {
      view.setUint16(transport + 16, 0);
      const all = sumOf(view, transport, this.#headLength - transport);
      this.#transportSum =
        all - view.getUint16(transport + 4) - view.getUint16(transport + 6) - view.getUint16(transport + 12);
    } else {
      view.setUint16(transport + 6, 0);
      this.#transportSum = view.getUint16(transport) + view.getUint16(transport + 2);
    }
  }

  /** Lengths, identification and IPv4 checksum. `upper`: bytes behind the IP header. */
  #finishIp(view: DataView, at: number, upper: number, index: number): void {
    if (!this.#isIpv4) {
      view.setUint16(at + 4, upper);
      return;
    }
    const length = this.#transport - this.#ip + upper;
    const first = this.#headView.getUint16(this.#ip + 4);
    // The upper bit tells who gave it (host or target), and stays.
    const id = (first & 0x8000) | ((first + index) & 0x7fff);
    view.setUint16(at + 2, length);
    view.setUint16(at + 4, id);
    view.setUint16(at + 10, ~foldChecksum(this.#ipSum + length + id) & 0xffff);
  }

  /** Sequence number and flags; answers the sum with the header in it, if it is made here. */
  #finishTcp(view: DataView, at: number, sum: number, offset: number, isLater: boolean, isLast: boolean): number {
    const seq = (this.#headView.getInt32(this.#transport + 4) + offset) | 0;
    let flags = this.#headView.getUint16(this.#transport + 12);
    // FIN and PSH belong to the end, CWR to the beginning (RFC 3168).
    if (!isLast) flags &= ~(FLAG_FIN | FLAG_PSH);
    if (isLater) flags &= ~FLAG_CWR;
    view.setInt32(at + 4, seq);
    view.setUint16(at + 12, flags);
    return this.#leavesChecksum ? sum : sum + this.#transportSum + (seq >>> 16) + (seq & 0xffff) + flags;
  }

  #putVirtio(view: DataView, at: number): void {
    view.setInt32(at, this.#leavesChecksum ? NEEDS_CSUM : 0, true);
    view.setUint16(at + 4, 0, true);
    view.setUint16(at + 6, this.#leavesChecksum ? this.#transport : 0, true);
    view.setUint16(at + 8, this.#leavesChecksum ? (this.#isTcp ? 16 : 6) : 0, true);
    view.setUint16(at + 10, 0, true);
  }
}

/** Where the headers of a frame of a batch stand. */
function headAt(index: number): number {
  return TEXT_AT + TEXT_MAX + 1 + (index % BATCH_FRAMES) * HEAD_BYTES;
}

/** Copies the headers to `at`. */
function copyHead(head: Uint8Array, bytes: Uint8Array, at: number, length: number): void {
  for (let i = 0; i < length; i++) bytes[at + i] = head[i]!;
}

/** Sum of big-endian words; `length` is even. */
function sumOf(view: DataView, at: number, length: number): number {
  let sum = 0;
  for (let i = at; i < at + length; i += 2) sum += view.getUint16(i);
  return sum;
}
