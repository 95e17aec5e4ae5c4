/**
 * The write of a socket that goes on: what of the application's chunks has not found its way into the send buffer.
 *
 * Chunks are copied as there is room; where memory for copies would be many connections' together they are lent instead, and the write
 * is over when the peer has them (see {@link SendBuffer.prefersLoans}). Promises: the application's memory is its own again
 * when the write is over, or is given up.
 */

import type { SendBuffer } from './send-buffer.ts';

/** Writes shorter than this are copied in any case. */
const LENT_FROM = 16_384;

export class PendingWrite {
  /** Bytes that are not taken yet, or are lent. */
  bytes = 0;
  #chunks: readonly Uint8Array[] = [];
  #at = 0;
  #offset = 0;
  #isLent = false;
  #isFilling = false;
  /** There was room again while chunks were being moved. */
  #isRoomier = false;

  begin(chunks: readonly Uint8Array[], total: number): void {
    this.#chunks = chunks;
    this.#at = 0;
    this.#offset = 0;
    this.bytes = total;
    this.#isLent = false;
  }

  /**
   * Moves on as far as the send buffer allows. What is handed on may be sent at once, and what was sent before come back at once, which
   * makes room: that is used when the chunks that are being moved are.
   */
  fill(send: SendBuffer): void {
    this.#isRoomier = true;
    if (this.#isFilling) return;
    this.#isFilling = true;
    try {
      while (this.#isRoomier) {
        this.#isRoomier = false;
        this.#move(send);
      }
    } finally {
      this.#isFilling = false;
    }
  }

  #move(send: SendBuffer): void {
    if (this.#isLent) {
      this.bytes = send.lentBytes;
      return;
    }
    if (this.bytes >= LENT_FROM && send.prefersLoans) {
      this.#lend(send);
      return;
    }
    const room = send.roomFor(this.bytes);
    if (room > 0) this.#copy(send, room);
  }

  #copy(send: SendBuffer, bytes: number): void {
    let room = bytes;
    send.begin(room);
    this.bytes -= room;
    // Given up meanwhile, there are none left.
    while (room > 0 && this.#at < this.#chunks.length) {
      const chunk = this.#chunks[this.#at]!;
      const count = Math.min(room, chunk.length - this.#offset);
      if (count > 0) send.append(chunk, this.#offset, count);
      room -= count;
      this.#offset += count;
      if (this.#offset < chunk.length) continue;
      this.#at++;
      this.#offset = 0;
    }
    send.flush();
    if (this.bytes === 0) this.#chunks = [];
  }

  /** The connection has no owner any more: what is lent is copied, the rest is not written. */
  giveUp(send: SendBuffer | null): void {
    if (this.#isLent) send?.endLoans();
    this.#isLent = false;
    this.#chunks = [];
  }

  #lend(send: SendBuffer): void {
    this.#isLent = true;
    for (; this.#at < this.#chunks.length; this.#at++) {
      const chunk = this.#chunks[this.#at]!;
      if (chunk.length > this.#offset) send.borrow(this.#offset === 0 ? chunk : chunk.subarray(this.#offset));
      this.#offset = 0;
    }
    this.#chunks = [];
  }
}
