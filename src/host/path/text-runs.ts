/**
 * Text of a packet that was not copied into it: runs that lie where the application has them, in MDLs behind the packet's own.
 *
 * Promises: whose text it is hears when the packet is back; nothing is allocated once a packet has had as many runs. Leaves to others:
 * to keep the text as it is until then.
 */

import { Mdl } from '../../state/net-buffer-list.ts';

/** Whose text a packet refers to. */
export interface TextOwner {
  /** The packets that refer to text of his, chained by {@link TextRuns.next}; null: none. */
  firstText: TextRuns | null;
  /** A packet with text of his is back: nobody reads it for that packet's sake any more. */
  packetBack(): void;
}

/** Runs of text that one packet refers to at most. */
export const TEXT_RUNS_MAX = 16;

const NO_BYTES: Uint8Array = new Uint8Array(0);

/** The runs of one packet. */
export class TextRuns {
  count = 0;
  /** Bytes in all of them. */
  length = 0;
  /** Others of the same owner. */
  next: TextRuns | null = null;
  #previous: TextRuns | null = null;
  #owner: TextOwner | null = null;
  readonly #head: Mdl;
  readonly #runs: Mdl[] = [];

  /** `head`: the packet's own MDL. */
  constructor(head: Mdl) {
    this.#head = head;
  }

  /** Puts a run behind the others. At most {@link TEXT_RUNS_MAX}. */
  add(bytes: Uint8Array, at: number, length: number): void {
    const last = this.count === 0 ? this.#head : this.#runs[this.count - 1]!;
    let run = this.#runs[this.count];
    if (run === undefined) {
      run = new Mdl(bytes, at, length);
      this.#runs.push(run);
    }
    run.buffer = bytes;
    run.byteOffset = at;
    run.byteCount = length;
    run.next = null;
    last.next = run;
    this.count++;
    this.length += length;
  }

  /** Forgets them. */
  clear(): void {
    for (let i = 0; i < this.count; i++) this.#runs[i]!.buffer = NO_BYTES;
    this.#head.next = null;
    this.count = 0;
    this.length = 0;
  }

  /** They are `owner`'s, until the packet is back. */
  lentBy(owner: TextOwner): void {
    this.#owner = owner;
    this.next = owner.firstText;
    if (this.next !== null) this.next.#previous = this;
    owner.firstText = this;
  }

  /** What lies in `from` lies at the same place in `to` from now on. */
  move(from: Uint8Array, to: Uint8Array): void {
    for (let i = 0; i < this.count; i++) {
      const run = this.#runs[i]!;
      if (run.buffer === from) run.buffer = to;
    }
  }

  /** The packet is back. */
  back(): void {
    const owner = this.#owner;
    if (this.count > 0) this.clear();
    if (owner === null) return;
    this.#owner = null;
    const { next } = this;
    const previous = this.#previous;
    if (next !== null) next.#previous = previous;
    if (previous === null) owner.firstText = next;
    else previous.next = next;
    this.next = null;
    this.#previous = null;
    owner.packetBack();
  }
}
