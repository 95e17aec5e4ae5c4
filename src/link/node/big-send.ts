/**
 * A super-segment that is larger than its IPv4 header can say, cut into such as are not: for a kernel that has no room for it in one
 * piece just now (it wants memory that lies together).
 *
 * Promises: no text is copied but what stands behind the header; nothing is allocated. The pieces say together what the whole did: flags
 * that end something are on the last. Sources: RFC 791, RFC 9293 3.1; Linux Documentation/networking/segmentation-offloads.rst.
 */

import { foldChecksum } from '../../base/checksum.ts';
import { Gather, type Medium } from '../link.ts';

/** Longest packet whose header can say how long it is. */
export const SAID_MAX = 65_535;
const HEAD_BYTES = 18 + 60 + 60;
const TCP = 6;
const FLAG_FIN = 0x01;
const FLAG_PSH = 0x08;

/** Cuts one after the other. */
export class BigSend {
  /** Headers of the piece that was made last, and how long they are; {@link text} follows. */
  readonly head: Uint8Array = new Uint8Array(HEAD_BYTES);
  headLength = 0;
  readonly text: Gather = new Gather();
  /** Sequence number of the whole. */
  seq = 0;
  readonly #medium: Medium;
  readonly #view: DataView = new DataView(this.head.buffer);
  #ip = 0;
  #tcp = 0;
  #flags = 0;
  #bytes: Uint8Array = this.head;
  /** Text behind the header in #bytes, and in all. */
  #at = 0;
  #behind = 0;
  #whole: Gather = this.text;
  #textLength = 0;
  #pieceText = 0;

  constructor(medium: Medium) {
    this.#medium = medium;
  }

  /** Takes a frame on; parameters as in `Link.transmit`. Answers in how many pieces it is to be written. */
  begin(bytes: Uint8Array, at: number, length: number, segmentBytes: number, text: Gather): number {
    const { head } = this;
    this.#ip = this.#medium === 'ip' ? 0 : bytes[at + 12] === 0x81 && bytes[at + 13] === 0 ? 18 : 14;
    this.#tcp = this.#ip + ((bytes[at + this.#ip]! & 15) << 2);
    this.headLength = this.#tcp + ((bytes[at + this.#tcp + 12]! >> 4) << 2);
    for (let i = 0; i < this.headLength; i++) head[i] = bytes[at + i]!;
    this.seq = this.#view.getInt32(this.#tcp + 4);
    this.#flags = head[this.#tcp + 13]!;
    this.#bytes = bytes;
    this.#at = at + this.headLength;
    this.#behind = length - this.headLength;
    this.#whole = text;
    this.#textLength = this.#behind + text.length;
    const most = SAID_MAX - (this.headLength - this.#ip);
    this.#pieceText = most - (most % segmentBytes);
    return Math.ceil(this.#textLength / this.#pieceText);
  }

  /** Makes piece number `index`. */
  make(index: number): void {
    const from = index * this.#pieceText;
    const to = Math.min(this.#textLength, from + this.#pieceText);
    this.#collect(from, to);
    const view = this.#view;
    const ip = this.#ip;
    const tcp = this.#tcp;
    const upper = this.headLength - tcp + (to - from);
    view.setUint16(ip + 2, tcp - ip + upper);
    view.setUint16(ip + 10, 0);
    view.setUint16(ip + 10, ~foldChecksum(this.#sum(ip, tcp - ip)) & 0xffff);
    view.setInt32(tcp + 4, (this.seq + from) | 0);
    this.head[tcp + 13] = to === this.#textLength ? this.#flags : this.#flags & ~(FLAG_FIN | FLAG_PSH);
    view.setUint16(tcp + 16, foldChecksum(TCP + upper + this.#sum(ip + 12, 8)));
  }

  /** Bytes [from, to) of the text, as runs. */
  #collect(from: number, to: number): void {
    this.text.clear();
    let at = 0;
    if (from < this.#behind) this.text.add(this.#bytes, this.#at + from, Math.min(to, this.#behind) - from);
    at = this.#behind;
    for (let i = 0; i < this.#whole.count && at < to; i++) {
      const length = this.#whole.lengths[i]!;
      const left = Math.max(from, at);
      const right = Math.min(to, at + length);
      if (left < right) this.text.add(this.#whole.buffers[i]!, this.#whole.ats[i]! + left - at, right - left);
      at += length;
    }
  }

  #sum(at: number, length: number): number {
    let sum = 0;
    for (let i = at; i < at + length; i += 2) sum += this.#view.getUint16(i);
    return sum;
  }
}
