/**
 * Loopback: what a stack sends to its own addresses comes back on the next turn. RFC 1122 3.2.1.3 (g), RFC 4291 2.5.3.
 *
 * Promises: never delivers from inside a send; what is under way is bounded by the packet pool; one turn delivers what was
 * there when it began, so two talking ends cannot hold the turn for ever.
 */

import type { Runtime } from '../../base/runtime.ts';
import type { OutPacket } from './types.ts';

/** Takes packets on their way in. */
export interface LoopbackReceiver {
  /** One IP packet, borrowed for the call. */
  loopedBack(bytes: Uint8Array, at: number, length: number): void;
  /** The turn's packets are over. */
  loopedBackDone(): void;
}

export class Loopback {
  readonly #runtime: Runtime;
  #first: OutPacket | null = null;
  #last: OutPacket | null = null;
  #isScheduled = false;
  readonly #deliver: () => void;
  receiver: LoopbackReceiver | null = null;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
    this.#deliver = () => this.#deliverAll();
  }

  /** Takes the packet `out.packetAt`, `out.packetLength`; it is put back after delivery. */
  send(out: OutPacket): void {
    out.next = null;
    if (this.#last === null) this.#first = out;
    else this.#last.next = out;
    this.#last = out;
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#runtime.defer(this.#deliver);
  }

  #deliverAll(): void {
    let out = this.#first;
    this.#first = null;
    this.#last = null;
    this.#isScheduled = false;
    while (out !== null) {
      const next: OutPacket | null = out.next;
      out.next = null;
      this.receiver!.loopedBack(out.bytes, out.packetAt, out.packetLength);
      out.home.put(out);
      out = next;
    }
    this.receiver!.loopedBackDone();
  }
}
