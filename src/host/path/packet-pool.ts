/**
 * Pools of packet buffers: what is sent lives in one of these from `beginPacket` until its send is complete.
 *
 * Promises: bounded; buffers are made when they are first needed and are then kept; taking and putting back allocates nothing.
 */

import { assert } from '../../base/assert.ts';
import { LINK_HEADROOM, OutPacket, type PacketHome, type PathEntry } from './types.ts';

export class PacketPool implements PacketHome {
  readonly #size: number;
  readonly #limit: number;
  readonly #isLarge: boolean;
  #made = 0;
  #free: OutPacket | null = null;
  #freeCount = 0;

  /** `mtu`: bytes of IP packet a buffer takes; `limit`: buffers there can be. */
  constructor(mtu: number, limit: number, isLarge = false) {
    this.#size = mtu + LINK_HEADROOM;
    this.#limit = limit;
    this.#isLarge = isLarge;
  }

  /** Buffers that are out. */
  get held(): number {
    return this.#made - this.#freeCount;
  }

  /** An empty packet, or null when all are out. */
  take(path: PathEntry | null): OutPacket | null {
    let out = this.#free;
    if (out !== null) {
      this.#free = out.next;
      this.#freeCount--;
    } else {
      if (this.#made >= this.#limit) return null;
      out = new OutPacket(this, this.#size, this.#isLarge);
      this.#made++;
    }
    out.next = null;
    out.path = path;
    out.isFree = false;
    out.priority = 0;
    out.list.largeSendMss = 0;
    return out;
  }

  put(out: OutPacket): void {
    assert(!out.isFree, 'a packet buffer comes back once');
    out.isFree = true;
    out.path = null;
    out.next = this.#free;
    this.#free = out;
    this.#freeCount++;
    out.text.back();
  }
}
