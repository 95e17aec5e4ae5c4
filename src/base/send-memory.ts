/** Memory that a target can send from as it lies: what sockets write is copied into it once, and nowhere else. */

/** Bytes of one piece of it: what sockets copy into at a time. */
export const SEND_PIECE_BYTES = 65_536;

/** A supply of such memory. */
export interface SendMemory {
  /** A piece that was not given out before, whoever takes it keeps it; null: there is none left. */
  take(): Uint8Array | null;
}
