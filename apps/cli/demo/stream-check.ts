/**
 * Checks a stream as it arrives against what was sent: which bytes are missing, which came twice.
 *
 * As long as the bytes are those of the content at the place where they arrive, nothing is lost or repeated. Where they are
 * not, the next KEY_BYTES are looked for in the content: found further on, what lies between was lost; found earlier, what
 * lies between was repeated; not found, they were changed, which counts as lost. What is missing at the end was lost.
 */
import { createHash, type Hash } from 'node:crypto';

const KEY_BYTES = 32;
/** Searches for a place before the rest is taken as changed: bounds the work for a stream that has nothing to do with it. */
const SEARCHES_MAX = 1000;

/** The receiving end of one stream. */
export class StreamCheck {
  readonly #content: Buffer;
  readonly #hash: Hash = createHash('sha256');
  /** Where in the content the next byte belongs. */
  #place = 0;
  /** Bytes behind a difference, not placed yet. */
  #unplaced: Buffer = Buffer.alloc(0);
  #searches = 0;
  #digest = '';
  bytesReceived = 0;
  bytesLost = 0;
  bytesRepeated = 0;

  constructor(content: Buffer) {
    this.#content = content;
  }

  add(chunk: Uint8Array): void {
    this.bytesReceived += chunk.length;
    this.#hash.update(chunk);
    this.#match(
      this.#unplaced.length === 0
        ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
        : Buffer.concat([this.#unplaced, chunk]),
      false,
    );
  }

  /** The stream has ended; answers its SHA-256 in hex. May be called again. */
  finish(): string {
    if (this.#digest !== '') return this.#digest;
    this.#match(this.#unplaced, true);
    this.bytesLost += Math.max(0, this.#content.length - this.#place);
    this.#place = this.#content.length;
    this.#digest = this.#hash.digest('hex');
    return this.#digest;
  }

  #match(arrived: Buffer, isEnd: boolean): void {
    let bytes = arrived;
    for (;;) {
      const same = this.#samePrefix(bytes);
      this.#place += same;
      bytes = bytes.subarray(same);
      if (bytes.length === 0 || (bytes.length < KEY_BYTES && !isEnd)) break;
      bytes = bytes.subarray(this.#placeAnew(bytes.subarray(0, KEY_BYTES)));
    }
    // Copied: the caller's chunk is his.
    this.#unplaced = Buffer.from(bytes);
  }

  /** How many bytes are those which belong here. */
  #samePrefix(bytes: Buffer): number {
    const length = Math.min(bytes.length, this.#content.length - this.#place);
    if (length <= 0) return 0;
    if (bytes.compare(this.#content, this.#place, this.#place + length, 0, length) === 0) return length;
    let i = 0;
    while (bytes[i] === this.#content[this.#place + i]) i++;
    return i;
  }

  /** Finds out where `key` belongs and counts what that means; answers how many of its bytes are done with. */
  #placeAnew(key: Buffer): number {
    this.#searches++;
    if (this.#searches <= SEARCHES_MAX && key.length === KEY_BYTES) {
      const later = this.#content.indexOf(key, this.#place);
      if (later !== -1) {
        this.bytesLost += later - this.#place;
        this.#place = later;
        return 0;
      }
      const earlier = this.#place === 0 ? -1 : this.#content.lastIndexOf(key, this.#place - 1);
      if (earlier !== -1) {
        this.bytesRepeated += this.#place - earlier;
        this.#place = earlier;
        return 0;
      }
    }
    // In the content's place stands something else; beyond its end, something that was never sent.
    const inside = Math.min(1, this.#content.length - this.#place);
    if (inside > 0) this.bytesLost += inside;
    else this.bytesRepeated++;
    this.#place += inside;
    return 1;
  }
}
