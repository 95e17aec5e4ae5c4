/**
 * A ring of records in the arena, one writer and one reader, each in a thread of its own.
 *
 * A record is a word with its type and its length, and words behind it; it never wraps, so that a frame in it can be shown as it
 * lies. Promises: what is written becomes visible in whole records and in order, by `publish`, once a batch; no lock, no
 * allocation. Positions count words, modulo 2^32. Leaves to others: what records mean, and waking who waits.
 */

/** A record that fills the rest of the ring. */
const PAD = 0;
const TYPE_SHIFT = 24;
const LENGTH_MASK = 0xffffff;

/** The place of a ring in the arena. */
export interface RingPlace {
  readonly words: Int32Array;
  /** The first word of the ring. */
  readonly at: number;
  /** A power of two. */
  readonly capacity: number;
  readonly control: Int32Array;
  /** Control words: where the reader and where the writer is. */
  readonly head: number;
  readonly tail: number;
}

/** The end that writes. */
export class RingWriter {
  readonly words: Int32Array;
  readonly #place: RingPlace;
  readonly #mask: number;
  #tail = 0;
  #published = 0;
  /** As last seen; the reader may be further on. */
  #head = 0;

  constructor(place: RingPlace) {
    this.words = place.words;
    this.#place = place;
    this.#mask = place.capacity - 1;
  }

  /** Words that are free for certain, padding not considered. */
  get freeWords(): number {
    this.#head = Atomics.load(this.#place.control, this.#place.head);
    return this.#place.capacity - ((this.#tail - this.#head) | 0);
  }

  /** Words that the reader has not given back for certain. */
  get usedWords(): number {
    return this.#place.capacity - this.freeWords;
  }

  /** Whether there is something that was not published. */
  get isDirty(): boolean {
    return this.#tail !== this.#published;
  }

  /** Begins a record with room for so many words behind its first; answers the index of the first of them, -1: no room. */
  reserve(type: number, length: number): number {
    const { capacity, at, words } = this.#place;
    const start = this.#tail & this.#mask;
    const left = capacity - start;
    const pad = length + 1 > left ? left : 0;
    if (!this.#hasRoom(pad + length + 1)) return -1;
    if (pad > 0) {
      words[at + start] = (PAD << TYPE_SHIFT) | (pad - 1);
      this.#tail = (this.#tail + pad) | 0;
    }
    const index = at + (this.#tail & this.#mask);
    words[index] = (type << TYPE_SHIFT) | length;
    this.#tail = (this.#tail + length + 1) | 0;
    return index + 1;
  }

  /** Makes visible what was written. */
  publish(): void {
    if (this.#tail === this.#published) return;
    this.#published = this.#tail;
    Atomics.store(this.#place.control, this.#place.tail, this.#tail);
  }

  #hasRoom(needed: number): boolean {
    const { capacity } = this.#place;
    if (capacity - ((this.#tail - this.#head) | 0) >= needed) return true;
    return this.freeWords >= needed;
  }
}

/** The end that reads. */
export class RingReader {
  readonly words: Int32Array;
  readonly #place: RingPlace;
  readonly #mask: number;
  #head = 0;
  #tail = 0;
  #published = 0;
  /** The present record: its type, the index of its first word behind the head, and how many there are. */
  type = 0;
  at = 0;
  length = 0;

  constructor(place: RingPlace) {
    this.words = place.words;
    this.#place = place;
    this.#mask = place.capacity - 1;
  }

  /** Whether there is a record to be read. */
  get hasMore(): boolean {
    if (this.#head !== this.#tail) return true;
    this.#tail = Atomics.load(this.#place.control, this.#place.tail);
    return this.#head !== this.#tail;
  }

  /** Words that are there to be read, this record's not among them. */
  get waitingWords(): number {
    this.#tail = Atomics.load(this.#place.control, this.#place.tail);
    return (this.#tail - this.#head) | 0;
  }

  /** Goes to the next record; false: there is none. The one before is the writer's once {@link release} was called. */
  next(): boolean {
    const { at, words } = this.#place;
    while (this.hasMore) {
      const index = at + (this.#head & this.#mask);
      const first = words[index]!;
      this.type = first >>> TYPE_SHIFT;
      this.length = first & LENGTH_MASK;
      this.at = index + 1;
      this.#head = (this.#head + this.length + 1) | 0;
      if (this.type !== PAD) return true;
    }
    return false;
  }

  /** Gives all records that were read back to the writer. */
  release(): void {
    if (this.#head === this.#published) return;
    this.#published = this.#head;
    Atomics.store(this.#place.control, this.#place.head, this.#head);
  }
}
