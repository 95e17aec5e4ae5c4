/**
 * Send lists of an offloaded connection in posting order. Nothing is allocated before the first one, and none per list after that.
 */

import type { NetBufferList } from '../../state/net-buffer-list.ts';

/** Send lists in posting order, chained through a queue of references (their `next` belongs to whoever has them). */
export class SendList {
  #lists: (NetBufferList | null)[] = [];
  #head = 0;

  get isEmpty(): boolean {
    return this.#head === this.#lists.length;
  }

  get first(): NetBufferList | null {
    return this.#lists[this.#head] ?? null;
  }

  push(list: NetBufferList): void {
    this.#lists.push(list);
  }

  shift(): NetBufferList | null {
    if (this.isEmpty) return null;
    const list = this.#lists[this.#head]!;
    this.#lists[this.#head++] = null;
    if (this.#head > 32 && this.#head * 2 > this.#lists.length) {
      this.#lists.splice(0, this.#head);
      this.#head = 0;
    }
    return list;
  }

  /** Takes out one list, wherever it stands; answers whether it was there. Almost always it is the first. */
  remove(list: NetBufferList): boolean {
    for (let i = this.#head; i < this.#lists.length; i++) {
      if (this.#lists[i] !== list) continue;
      if (i === this.#head) this.shift();
      else this.#lists.splice(i, 1);
      return true;
    }
    return false;
  }

  /** All lists as one chain, in order; the queue is empty afterwards. */
  takeChain(): NetBufferList | null {
    let head: NetBufferList | null = null;
    let tail: NetBufferList | null = null;
    for (let list = this.shift(); list !== null; list = this.shift()) {
      list.next = null;
      if (tail === null) head = list;
      else tail.next = list;
      tail = list;
    }
    return head;
  }
}
