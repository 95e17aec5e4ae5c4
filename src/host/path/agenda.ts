/**
 * The agenda of the IP layer: one timer for all its deadlines (neighbors, routers, addresses, fragments, path MTUs).
 *
 * Promises: no allocation per change once it has grown; an item stands in it at most once, and is out of it when it is called.
 */

import { DeadlineHeap } from '../../base/deadline-heap.ts';
import { NEVER, type Runtime, type Timer } from '../../base/runtime.ts';

/** Whoever wants to be called at a moment. */
export interface AgendaItem {
  /** Its slot while it stands in the agenda, else -1. Only the agenda writes it. */
  agendaSlot: number;
  onDue(nowUs: number): void;
}

export class Agenda {
  readonly #heap = new DeadlineHeap();
  readonly #items: (AgendaItem | null)[] = [];
  readonly #freeSlots: number[] = [];
  readonly #timer: Timer;

  constructor(runtime: Runtime) {
    this.#timer = runtime.timer((nowUs) => this.#run(nowUs));
  }

  /** Items that wait. */
  get size(): number {
    return this.#heap.size;
  }

  /** When the item is due, microseconds, or NEVER. */
  atUs(item: AgendaItem): number {
    return item.agendaSlot < 0 ? NEVER : this.#heap.atUs(item.agendaSlot);
  }

  /** Puts the item in, or moves it; NEVER takes it out. */
  set(item: AgendaItem, atUs: number): void {
    if (atUs === NEVER) {
      this.clear(item);
      return;
    }
    if (item.agendaSlot < 0) {
      item.agendaSlot = this.#freeSlots.pop() ?? this.#items.length;
      this.#items[item.agendaSlot] = item;
    }
    this.#heap.set(item.agendaSlot, atUs);
    // A timer that is early finds nothing due and is armed anew: moving deadlines back costs nothing here.
    if (atUs < this.#timer.atUs) this.#timer.arm(atUs);
  }

  clear(item: AgendaItem): void {
    const slot = item.agendaSlot;
    if (slot < 0) return;
    this.#heap.set(slot, NEVER);
    this.#release(item, slot);
  }

  /** Takes everything out and stops. */
  close(): void {
    for (const item of this.#items) if (item !== null) this.clear(item);
    this.#timer.disarm();
  }

  #run(nowUs: number): void {
    for (let slot = this.#heap.takeDue(nowUs); slot >= 0; slot = this.#heap.takeDue(nowUs)) {
      const item = this.#items[slot]!;
      this.#release(item, slot);
      item.onDue(nowUs);
    }
    if (this.#heap.soonestUs < NEVER) this.#timer.arm(this.#heap.soonestUs);
  }

  #release(item: AgendaItem, slot: number): void {
    item.agendaSlot = -1;
    this.#items[slot] = null;
    this.#freeSlots.push(slot);
  }
}
