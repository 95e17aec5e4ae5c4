/**
 * Spare parts: the objects that a connection has only while it is busy, kept for the next one that needs them.
 *
 * A connection that has nothing to send, nothing out of order and no SACK holds none of these, which is what keeps an idle one
 * small; taking them from here and giving them back is what keeps a busy one from making garbage. The stacks are bounded.
 */

import { Reassembly } from './reassembly.ts';
import { SackScoreboard } from './scoreboard.ts';
import { SendQueue } from './send-queue.ts';
import { TextPool } from './text-pool.ts';
import { Transmissions } from './transmissions.ts';

/** Spares of each kind kept at most; what is given back beyond that is left to the garbage collector. */
const SPARES_MAX = 256;

/** Spare send queues, reassemblers, scoreboards and tables of transmissions, and the pages behind the reassemblers. One per user of the engine. */
export class TcpSpares {
  readonly textPool: TextPool;
  readonly #sendQueues: SendQueue[] = [];
  readonly #reassemblies: Reassembly[] = [];
  readonly #scoreboards: SackScoreboard[] = [];
  readonly #transmissions: Transmissions[] = [];

  constructor(textPool: TextPool = new TextPool()) {
    this.textPool = textPool;
  }

  takeSendQueue(): SendQueue {
    return this.#sendQueues.pop() ?? new SendQueue();
  }

  /** Takes back an empty queue. */
  giveSendQueue(queue: SendQueue): void {
    if (queue.isEmpty && this.#sendQueues.length < SPARES_MAX) this.#sendQueues.push(queue);
  }

  takeReassembly(): Reassembly {
    return this.#reassemblies.pop() ?? new Reassembly(this.textPool);
  }

  /** Takes back a reassembler; what it still holds is dropped. */
  giveReassembly(reassembly: Reassembly): void {
    reassembly.clear();
    if (this.#reassemblies.length < SPARES_MAX) this.#reassemblies.push(reassembly);
  }

  takeScoreboard(): SackScoreboard {
    return this.#scoreboards.pop() ?? new SackScoreboard();
  }

  /** Takes back a scoreboard; what it still knows is forgotten. */
  giveScoreboard(scoreboard: SackScoreboard): void {
    scoreboard.onTimeout(scoreboard.highRxt);
    if (this.#scoreboards.length < SPARES_MAX) this.#scoreboards.push(scoreboard);
  }

  /** Transmissions of nothing yet: see {@link Transmissions.reset}. */
  takeTransmissions(): Transmissions {
    return this.#transmissions.pop() ?? new Transmissions();
  }

  giveTransmissions(transmissions: Transmissions): void {
    if (this.#transmissions.length < SPARES_MAX) this.#transmissions.push(transmissions);
  }
}
