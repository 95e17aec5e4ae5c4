/**
 * What one half has to say to the other: records of words, and frames, by way of a ring that may be full.
 *
 * Promises: records arrive in the order in which they were made; a full ring makes records wait here, in memory, in their order
 * (each answers something that was asked or was made of something that is bounded), and frames be refused, as by a full link.
 * Nothing is allocated per record while the ring has room.
 */

import { type CopyBytes, copyBytes } from '../../base/copy-bytes.ts';
import { copyFromNetBuffer, type NetBuffer } from '../../state/net-buffer-list.ts';
import type { RingWriter } from './ring.ts';

/** Words kept free for records when a frame is put into the ring. */
const FRAME_RESERVE_WORDS = 2048;

interface Waiting {
  readonly type: number;
  readonly words: Int32Array;
}

/** The writing side of a half. */
export class Outbox {
  readonly #ring: RingWriter;
  readonly #bytes: Uint8Array;
  readonly #onDirty: () => void;
  readonly #copy: CopyBytes;
  readonly #frameWords: number;
  #record: Int32Array = new Int32Array(256);
  #type = 0;
  #length = 0;
  #waiting: Waiting[] = [];
  /** Whether something was said that the reader waits for. */
  isUrgent = false;
  /** Bytes of data told of in records for which the reader need not be woken at once. */
  lazyBytes = 0;
  /** Nobody reads any more: what is said is lost. */
  isClosed = false;

  /**
   * `bytes`: the memory of the ring's words, as bytes. `onDirty`: there is something to be published. `frameBytes`: frames are refused
   * while the reader has so much before it.
   */
  constructor(
    ring: RingWriter,
    bytes: Uint8Array,
    copy: CopyBytes | null,
    onDirty: () => void,
    frameBytes: number = Number.POSITIVE_INFINITY,
  ) {
    this.#frameWords = frameBytes / 4;
    this.#copy = copy ?? copyBytes;
    this.#ring = ring;
    this.#bytes = bytes;
    this.#onDirty = onDirty;
  }

  /** Whether something was written since the last {@link publish}. */
  get isDirty(): boolean {
    return this.#ring.isDirty;
  }

  /** Whether records wait for room. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  begin(type: number): void {
    this.#type = type;
    this.#length = 0;
  }

  put(word: number): void {
    if (this.#length === this.#record.length) this.#grow(this.#length + 1);
    this.#record[this.#length++] = word;
  }

  /** A number that needs more than 32 bits: two words. */
  putDouble(value: number): void {
    SCRATCH_DOUBLE[0] = value;
    this.put(SCRATCH_WORDS[0]!);
    this.put(SCRATCH_WORDS[1]!);
  }

  putWords(words: Int32Array, at: number, count: number): void {
    for (let i = 0; i < count; i++) this.put(words[at + i]!);
  }

  /** A string, or anything that JSON can say, as a length and characters. */
  putJson(value: unknown): void {
    const text = JSON.stringify(value);
    this.put(text.length);
    for (let i = 0; i < text.length; i++) this.put(text.charCodeAt(i));
  }

  /** The record is complete. */
  end(): void {
    this.isUrgent = true;
    this.#end();
  }

  /** The record is complete, and tells of data that makes room: the reader is woken once it is much, or late. */
  endLazily(bytes: number): void {
    this.lazyBytes += bytes;
    this.#end();
  }

  #end(): void {
    if (this.isClosed) return;
    this.#onDirty();
    if (this.#waiting.length === 0 && this.#write(this.#type, this.#record, this.#length)) return;
    this.#waiting.push({ type: this.#type, words: this.#record.slice(0, this.#length) });
  }

  /** begin, put for each, end. */
  say(type: number, a = 0, b = 0, c = 0): void {
    this.begin(type);
    this.put(a);
    this.put(b);
    this.put(c);
    this.end();
  }

  /**
   * A record of three words, padding, and a frame: `a`, `b`, where the frame starts behind the words (bytes), its length. False:
   * there is no room.
   */
  frame(type: number, a: number, b: number, bytes: Uint8Array, at: number, length: number): boolean {
    if (this.isClosed) return true;
    const to = this.#reserveFrame(type, a, b, length, bytes.byteOffset + at);
    if (to < 0) return false;
    this.#copy(bytes, at, length, this.#bytes, to);
    return true;
  }

  /** The same of data that lie in pieces: all of `nb`. */
  frameOf(type: number, a: number, b: number, nb: NetBuffer): boolean {
    if (this.isClosed) return true;
    const to = this.#reserveFrame(type, a, b, nb.dataLength, 0);
    if (to < 0) return false;
    copyFromNetBuffer(nb, 0, nb.dataLength, this.#bytes, to, this.#copy);
    return true;
  }

  /** Where in the ring's memory a frame belongs that lies `from` now; -1: there is no room. */
  #reserveFrame(type: number, a: number, b: number, length: number, from: number): number {
    const words = FRAME_WORDS + ((length + 7 + 3) >> 2);
    if (this.#waiting.length > 0 || this.#ring.freeWords < 2 * words + FRAME_RESERVE_WORDS) return -1;
    if (this.#ring.usedWords >= this.#frameWords) return -1;
    const index = this.#ring.reserve(type, words);
    if (index < 0) return -1;
    this.isUrgent = true;
    this.#onDirty();
    const base = (index + FRAME_WORDS) << 2;
    // V8 copies to and from shared memory byte by byte unless both sides are aligned alike.
    const skip = (from - base) & 7;
    const ring = this.#ring.words;
    ring[index] = a;
    ring[index + 1] = b;
    ring[index + 2] = skip;
    ring[index + 3] = length;
    return base + skip;
  }

  /** Puts in what waits, as far as there is room, and makes everything visible. */
  publish(): void {
    let sent = 0;
    for (const { type, words } of this.#waiting) {
      if (!this.#write(type, words, words.length)) break;
      sent++;
    }
    if (sent > 0) this.#waiting.splice(0, sent);
    this.#ring.publish();
  }

  #write(type: number, words: Int32Array, length: number): boolean {
    const index = this.#ring.reserve(type, length);
    if (index < 0) return false;
    const ring = this.#ring.words;
    for (let i = 0; i < length; i++) ring[index + i] = words[i]!;
    return true;
  }

  #grow(least: number): void {
    const larger = new Int32Array(Math.max(least, 2 * this.#record.length));
    larger.set(this.#record.subarray(0, this.#length));
    this.#record = larger;
  }
}

/** Words before the bytes in the record of a frame. */
export const FRAME_WORDS = 4;

const SCRATCH_DOUBLE = new Float64Array(1);
const SCRATCH_WORDS = new Int32Array(SCRATCH_DOUBLE.buffer);

/** Reads the words of a record in their order. */
export class RecordReader {
  readonly words: Int32Array;
  at = 0;

  constructor(words: Int32Array) {
    this.words = words;
  }

  next(): number {
    return this.words[this.at++]!;
  }

  nextDouble(): number {
    SCRATCH_WORDS[0] = this.next();
    SCRATCH_WORDS[1] = this.next();
    return SCRATCH_DOUBLE[0]!;
  }

  nextWords(into: Int32Array, at: number, count: number): void {
    for (let i = 0; i < count; i++) into[at + i] = this.next();
  }

  nextJson(): unknown {
    const length = this.next();
    let text = '';
    for (let i = 0; i < length; i++) text += String.fromCharCode(this.next());
    return JSON.parse(text);
  }
}
