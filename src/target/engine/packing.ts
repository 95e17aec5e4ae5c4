/**
 * Records of offloaded connections on which nothing happens, packed until something does.
 *
 * Promises: whoever asks a context for its record finds it unpacked; nothing of what a connection is changes by being packed. No
 * timer is spent on it: each batch and each turn look at a few connections whose records are unpacked, and at those that were unpacked
 * since the last one. One on which data flows stays as it is.
 */

import { NEVER } from '../../base/runtime.ts';
import { DEADLINES, type TcpConnection } from '../../tcp/connection.ts';
import { RecordStore } from '../../tcp/record-store.ts';
import { Standing, type TcpContext } from './contexts.ts';
import type { Engine } from './engine.ts';

/** How many of the older ones are looked at each time at most: about as many as there are frames in two batches. */
const LOOKS_MAX = 128;

/** The packed records of one engine. */
export class Packing {
  readonly #engine: Engine;
  readonly #store: RecordStore = new RecordStore();
  /** Records that others see stay where they are. */
  readonly #isOff: boolean;
  /** Taken or unpacked since the last look; and another list to put such into. */
  #fresh: TcpContext[] = [];
  #spare: TcpContext[] = [];
  /** All others that are not packed, in a ring. */
  #awake: (TcpContext | null)[] = new Array<TcpContext | null>(16).fill(null);
  #first = 0;
  #count = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#isOff = engine.slab.isShared;
  }

  /** Packed records. */
  get held(): number {
    return this.#store.held;
  }

  /** Its record is not packed. */
  woke(ctx: TcpContext): void {
    if (!this.#isOff) this.#fresh.push(ctx);
  }

  /** For `ctx.tcp`. */
  unpack(ctx: TcpContext, number: number): TcpConnection {
    const { slab, table } = this.#engine;
    const c = slab.take();
    this.#store.unpack(number, c.words, c.base);
    c.owner = ctx;
    ctx.tcp = c;
    table.replace(c, ctx, c);
    this.woke(ctx);
    this.#engine.schedule();
    return c;
  }

  /** A batch or a turn is over; nobody has a record in hand. */
  rest(): void {
    for (let looks = Math.min(LOOKS_MAX, (this.#count + 1) >> 1); looks > 0; looks--) {
      const ctx = this.#awake[this.#first]!;
      this.#awake[this.#first] = null;
      this.#first = (this.#first + 1) & (this.#awake.length - 1);
      this.#count--;
      this.#look(ctx);
    }
    if (this.#fresh.length === 0) return;
    const fresh = this.#fresh;
    this.#fresh = this.#spare;
    this.#spare = fresh;
    for (const ctx of fresh) {
      // What is due for it is done first.
      if (ctx.isQueued || ctx.isInitiating) this.#fresh.push(ctx);
      else this.#look(ctx);
    }
    fresh.length = 0;
  }

  #look(ctx: TcpContext): void {
    if (ctx.standing === Standing.TERMINATED || ctx.isPacked) return;
    if (ctx.isQuiet() && isIdle(ctx)) {
      this.#pack(ctx);
      return;
    }
    if (this.#count === this.#awake.length) this.#grow();
    this.#awake[(this.#first + this.#count++) & (this.#awake.length - 1)] = ctx;
  }

  #pack(ctx: TcpContext): void {
    const { slab, table, heap } = this.#engine;
    const c = ctx.tcp;
    // What is left there is too early, and would find nothing to be done.
    heap.set(c.slot, NEVER);
    table.replace(c, c, ctx);
    ctx.tcp = this.#store.pack(c.words, c.base);
    slab.free(c);
  }

  #grow(): void {
    const { length } = this.#awake;
    const larger = new Array<TcpContext | null>(2 * length).fill(null);
    for (let i = 0; i < this.#count; i++) larger[i] = this.#awake[(this.#first + i) & (length - 1)]!;
    this.#awake = larger;
    this.#first = 0;
  }
}

/** Whether everything of a connection is in its record and its context, and nothing will happen on it by itself. */
function isIdle(ctx: TcpContext): boolean {
  if (ctx.standing !== Standing.NORMAL || ctx.due !== 0 || ctx.isQueued || ctx.isTerminating) return false;
  if (ctx.isInitiating || ctx.isBlocked || ctx.isStarved || ctx.activity !== null || ctx.pushAtUs !== NEVER)
    return false;
  const c = ctx.tcp;
  if (c.sendQueue !== null || c.reassembly !== null || c.scoreboard !== null || c.transmissions !== null) return false;
  for (let i = 0; i < DEADLINES; i++) if (c.moments[c.momentBase + i] !== NEVER) return false;
  return true;
}
