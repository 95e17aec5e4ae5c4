/**
 * Memory from which NIC threads send what sockets have written: in one block, shared by the host's thread and all of them, so that data
 * crosses by name. It outlives a NIC thread, as what lies in it is the host's until its sends are complete.
 */

import { SEND_PIECE_BYTES, type SendMemory } from '../../base/send-memory.ts';

/** Bytes unless told otherwise; memory is used as it is needed. */
export const LENT_BYTES: number = 32 << 20;

/** A block in pieces. */
export class LentMemory implements SendMemory {
  readonly buffer: ArrayBufferLike;
  readonly #pieces: Uint8Array[] = [];
  #taken = 0;

  constructor(buffer: ArrayBufferLike) {
    this.buffer = buffer;
  }

  take(): Uint8Array | null {
    return (this.#taken + 1) * SEND_PIECE_BYTES > this.buffer.byteLength ? null : this.piece(this.#taken++);
  }

  piece(index: number): Uint8Array {
    let piece = this.#pieces[index];
    if (piece === undefined) {
      piece = new Uint8Array(this.buffer, index * SEND_PIECE_BYTES, SEND_PIECE_BYTES);
      this.#pieces[index] = piece;
    }
    return piece;
  }

  /** The number of the piece in which all of these bytes lie; -1: of none. */
  pieceOf(bytes: Uint8Array, at: number, length: number): number {
    if (bytes.buffer !== this.buffer) return -1;
    const from = bytes.byteOffset + at;
    const index = Math.floor(from / SEND_PIECE_BYTES);
    return from + length <= (index + 1) * SEND_PIECE_BYTES ? index : -1;
  }
}
