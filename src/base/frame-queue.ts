/**
 * Runs of bytes that wait for their moment: a ring in the order of those moments.
 *
 * Promises: the bytes are copied into slots that are used again, so nothing is allocated per run once the ring has grown; what a
 * burst took is not kept for ever. Leaves to others: what the moments are, and a bound on the number of bytes.
 */

/** Frames on their way: a ring kept in the order in which they are due. */
export class FrameQueue {
  readonly #slots: Uint8Array[] = [];
  readonly #free: Uint8Array[] = [];
  #lengths: Int32Array = new Int32Array(64);
  #dueUs: Float64Array = new Float64Array(64);
  #segmentBytes: Int32Array = new Int32Array(64);
  #head = 0;
  #count = 0;
  bytes = 0;
  readonly #slotBytes: number;

  constructor(slotBytes: number) {
    this.#slotBytes = slotBytes;
    this.#slots.length = 64;
  }

  get count(): number {
    return this.#count;
  }

  get soonestUs(): number {
    return this.#dueUs[this.#head]!;
  }

  /** Puts a frame in at its due time; frames with one due time keep their order. Answers the stored copy. */
  push(frame: Uint8Array, at: number, length: number, dueUs: number, segmentBytes: number): Uint8Array {
    if (this.#count === this.#slots.length) this.#grow();
    const mask = this.#slots.length - 1;
    let place = this.#count;
    // Almost always the last; an overtaken frame moves the later ones by one place.
    while (place > 0 && this.#dueUs[(this.#head + place - 1) & mask]! > dueUs) {
      const from = (this.#head + place - 1) & mask;
      const to = (this.#head + place) & mask;
      this.#slots[to] = this.#slots[from]!;
      this.#lengths[to] = this.#lengths[from]!;
      this.#dueUs[to] = this.#dueUs[from]!;
      this.#segmentBytes[to] = this.#segmentBytes[from]!;
      place--;
    }
    const index = (this.#head + place) & mask;
    const slot = this.#slotFor(length);
    if (at === 0 && length === frame.length) slot.set(frame);
    else slot.set(frame.subarray(at, at + length));
    this.#slots[index] = slot;
    this.#lengths[index] = length;
    this.#dueUs[index] = dueUs;
    this.#segmentBytes[index] = segmentBytes;
    this.#count++;
    this.bytes += length;
    return slot;
  }

  /** Takes the first frame out; its bytes stay valid until {@link recycle}. */
  shift(): Uint8Array {
    const slot = this.#slots[this.#head]!;
    this.#slots[this.#head] = NO_SLOT; // whether the slot is kept is the pools' affair
    this.lastLength = this.#lengths[this.#head]!;
    this.lastSegmentBytes = this.#segmentBytes[this.#head]!;
    this.bytes -= this.lastLength;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#count--;
    return slot;
  }

  /** Length of the frame last taken out, bytes. */
  lastLength = 0;
  /** What the frame last taken out leaves to the device. */
  lastSegmentBytes = 0;

  recycle(slot: Uint8Array): void {
    const pool = slot.length === this.#slotBytes ? this.#free : this.#small;
    // A burst must not leave its memory behind for ever.
    if (pool.length * slot.length < POOL_BYTES) pool.push(slot);
  }

  // Small frames (pure ACKs) do not take a slot of a whole MTU.
  readonly #small: Uint8Array[] = [];

  #slotFor(length: number): Uint8Array {
    if (length <= SMALL_SLOT) return this.#small.pop() ?? new Uint8Array(SMALL_SLOT);
    return this.#free.pop() ?? new Uint8Array(this.#slotBytes);
  }

  #grow(): void {
    const old = this.#slots.length;
    const slots: Uint8Array[] = new Array(old * 2);
    const lengths = new Int32Array(old * 2);
    const dueUs = new Float64Array(old * 2);
    const segmentBytes = new Int32Array(old * 2);
    for (let i = 0; i < this.#count; i++) {
      const from = (this.#head + i) & (old - 1);
      slots[i] = this.#slots[from]!;
      lengths[i] = this.#lengths[from]!;
      dueUs[i] = this.#dueUs[from]!;
      segmentBytes[i] = this.#segmentBytes[from]!;
    }
    this.#slots.length = 0;
    for (const slot of slots) this.#slots.push(slot);
    this.#lengths = lengths;
    this.#dueUs = dueUs;
    this.#segmentBytes = segmentBytes;
    this.#head = 0;
  }
}

const NO_SLOT: Uint8Array = new Uint8Array(0);
const SMALL_SLOT = 192;
/** Bytes of slots of one size that a direction keeps for the next frames. */
const POOL_BYTES = 1 << 20;
