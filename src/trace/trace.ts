/**
 * The trace: counters of every event and a ring of the last ones.
 *
 * Promises: counting and recording allocate nothing; the ring is bounded. Leaves to others: printing and files.
 */

import { EVENT_NAMES, Event, type EventName } from './events.ts';

/** Who handled a packet: for captures, so that a reader sees which engine ran the connection at that moment. */
export const HandledBy = { NOBODY: 0, HOST: 1, TARGET: 2 } as const;
export type HandledBy = (typeof HandledBy)[keyof typeof HandledBy];

/** Sees every packet of an adapter and every chimney operation: a capture file, a live view. */
export interface PacketTap {
  /** A frame went by: `direction` 0 in, 1 out. Borrowed for the call. */
  packet(direction: 0 | 1, handledBy: HandledBy, bytes: Uint8Array, at: number, length: number, nowUs: number): void;
  /** An operation of the chimney, in words: 'NdisInitiateOffload tcp 10.0.0.1:80-10.0.0.2:4711'. */
  operation(text: string, nowUs: number): void;
}

const RECORD_WORDS = 4;

/** Counters and the ring. One per stack. */
export class Trace {
  readonly #counts: Float64Array = new Float64Array(EVENT_NAMES.length);
  readonly #ring: Float64Array;
  #recorded = 0;

  /** `capacity`: events kept in the ring; a power of two. */
  constructor(capacity = 1024) {
    this.#ring = new Float64Array(capacity * RECORD_WORDS);
  }

  /** Counts an event (an `Event.X`). */
  count(event: number): void {
    this.#counts[event] = this.#counts[event]! + 1;
  }

  /** Counts an event and records it with up to two numbers that its text explains. */
  emit(event: number, nowUs: number, a = 0, b = 0): void {
    this.#counts[event] = this.#counts[event]! + 1;
    const at = (this.#recorded * RECORD_WORDS) % this.#ring.length;
    this.#ring[at] = event;
    this.#ring[at + 1] = nowUs;
    this.#ring[at + 2] = a;
    this.#ring[at + 3] = b;
    this.#recorded++;
  }

  /** How often an event was counted. */
  countOf(name: EventName): number {
    return this.#counts[Event[name]]!;
  }

  /** All counters that are not zero. */
  counters(): Partial<Record<EventName, number>> {
    const out: Partial<Record<EventName, number>> = {};
    for (const name of EVENT_NAMES) if (this.#counts[Event[name]]! > 0) out[name] = this.#counts[Event[name]]!;
    return out;
  }

  /** The last recorded events, oldest first. */
  recent(): { name: EventName; atUs: number; a: number; b: number }[] {
    const capacity = this.#ring.length / RECORD_WORDS;
    const out = [];
    for (let i = Math.max(0, this.#recorded - capacity); i < this.#recorded; i++) {
      const at = (i * RECORD_WORDS) % this.#ring.length;
      out.push({
        name: EVENT_NAMES[this.#ring[at]!]!,
        atUs: this.#ring[at + 1]!,
        a: this.#ring[at + 2]!,
        b: this.#ring[at + 3]!,
      });
    }
    return out;
  }
}
