/** Wires for tests that take text where it lies, and can be full; and what counts what passes. */
import type { Gather, Link, LinkReceiver, Medium } from '../../src/link/link.ts';
import { BigSend } from '../../src/link/node/big-send.ts';
import type { PacketTap } from '../../src/trace/trace.ts';

/** Counts packets by length. */
export class Lengths implements PacketTap {
  longest = 0;
  long = 0;
  packet(_direction: 0 | 1, _by: number, _bytes: Uint8Array, _at: number, length: number): void {
    this.longest = Math.max(this.longest, length);
    if (length > 1514) this.long++;
  }
  operation(): void {}
}

/** A wire that takes text where it lies, and can be full. */
export class Gate implements Link {
  readonly name = 'gate';
  readonly medium: Medium;
  readonly mtu: number;
  readonly largeSendBytes = 65_535;
  readonly takesGather = true;
  isFull = false;
  gathered = 0;
  /** Frames it did not take, super-segments that came in one piece, and frames whose text begins before that of one that was sent. */
  refused = 0;
  longCopied = 0;
  retransmitted = 0;
  #nextSeq: number | null = null;
  readonly #inner: Link;
  #receiver: LinkReceiver | null = null;
  constructor(inner: Link) {
    this.#inner = inner;
    this.medium = inner.medium;
    this.mtu = inner.mtu;
  }
  start(receiver: LinkReceiver): void {
    this.#receiver = receiver;
    this.#inner.start(receiver);
  }
  transmit(bytes: Uint8Array, at: number, length: number, segmentBytes = 0, text: Gather | null = null): boolean {
    if (this.isFull) {
      this.refused++;
      return false;
    }
    this.#follow(bytes, at, length + (text === null ? 0 : text.length));
    if (text === null && length > 8192) this.longCopied++;
    if (text === null) return this.#inner.transmit(bytes, at, length, segmentBytes);
    this.gathered++;
    const parts = [bytes.subarray(at, at + length)];
    for (let i = 0; i < text.count; i++)
      parts.push(text.buffers[i]!.subarray(text.ats[i]!, text.ats[i]! + text.lengths[i]!));
    const whole = Buffer.concat(parts);
    return this.#inner.transmit(whole, 0, whole.length, segmentBytes);
  }
  /** IPv4 over Ethernet: whether the text of a segment lies behind all that was sent. */
  #follow(bytes: Uint8Array, at: number, length: number): void {
    if (this.medium !== 'ethernet' || bytes[at + 12] !== 8 || bytes[at + 13] !== 0 || bytes[at + 23] !== 6) return;
    const view = new DataView(bytes.buffer, bytes.byteOffset + at);
    const textLength =
      Math.max(view.getUint16(16) === 0 ? length - 14 : view.getUint16(16), 40) - 20 - 4 * (bytes[at + 46]! >> 4);
    if (textLength === 0) return;
    const seq = view.getUint32(38);
    if (this.#nextSeq !== null && ((seq - this.#nextSeq) | 0) < 0) this.retransmitted++;
    this.#nextSeq = (seq + textLength) >>> 0;
  }
  open(): void {
    this.isFull = false;
    this.#receiver?.writable();
  }
  close(): void | Promise<void> {
    return this.#inner.close();
  }
}

/** A wire that takes IPv4 super-segments longer than their header can say, in pieces of its own. */
export class BigGate extends Gate {
  readonly bigSendBytes = 262_144;
  readonly big: number[] = [];
  readonly saidLengths: Set<number> = new Set<number>();
  override transmit(
    bytes: Uint8Array,
    at: number,
    length: number,
    segmentBytes = 0,
    text: Gather | null = null,
  ): boolean {
    if (this.isFull || text === null || length + text.length <= 65_535 + 14)
      return super.transmit(bytes, at, length, segmentBytes, text);
    this.big.push(length + text.length);
    this.saidLengths.add((bytes[at + 16]! << 8) | bytes[at + 17]!);
    const pieces = new BigSend(this.medium);
    const count = pieces.begin(bytes, at, length, segmentBytes, text);
    for (let i = 0; i < count; i++) {
      pieces.make(i);
      super.transmit(pieces.head, 0, pieces.headLength, segmentBytes, pieces.text);
    }
    return true;
  }
}
