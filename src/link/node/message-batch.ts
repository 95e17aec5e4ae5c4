/**
 * Many frames by one system call, each gathered from several runs of memory: what sendmmsg(2) takes.
 *
 * Promises: nothing is allocated per frame; whoever adds a run keeps its memory alive until the frames are sent. Sources: sendmmsg(2),
 * struct mmsghdr and struct iovec of the 64-bit systems that Node runs on, least significant byte first.
 */

import type { Libc } from './libc.ts';

/** struct mmsghdr: a struct msghdr of 56 bytes, whose msg_iov is at 16 and msg_iovlen at 24; msg_len behind it. */
const MESSAGE_BYTES = 64;
const MESSAGE_IOV = 16;
const MESSAGE_IOV_COUNT = 24;
/** struct iovec: address and length. */
const IOVEC_BYTES = 16;
const MSG_DONTWAIT = 0x40;
const TWO_TO_32 = 0x1_0000_0000;

/** Frames that are put together and then sent. */
export class MessageBatch {
  /** Frames in it. */
  count = 0;
  readonly #libc: Libc;
  readonly #runsAt: number;
  readonly #view: DataView;
  readonly #address: number;
  #runs = 0;
  #frameRuns = 0;

  /** `frames`, `runs`: how many it holds at most, of all frames together. */
  constructor(libc: Libc, frames: number, runs: number) {
    this.#libc = libc;
    this.#runsAt = frames * MESSAGE_BYTES;
    const bytes = new Uint8Array(this.#runsAt + runs * IOVEC_BYTES);
    this.#view = new DataView(bytes.buffer);
    this.#address = libc.addressOf(bytes);
  }

  clear(): void {
    this.count = 0;
    this.#runs = 0;
  }

  /** Begins another frame. */
  addFrame(): void {
    this.#frameRuns = 0;
    const address = this.#address + this.#runsAt + this.#runs * IOVEC_BYTES;
    const at = this.count * MESSAGE_BYTES + MESSAGE_IOV;
    this.#view.setUint32(at, address >>> 0, true);
    this.#view.setUint32(at + 4, Math.floor(address / TWO_TO_32), true);
    this.count++;
  }

  /** Puts a run behind the others of the frame that was begun last: `length` bytes, `offset` bytes behind `bases[which]`. */
  addRun(bases: Float64Array, which: number, offset: number, length: number): void {
    const address = bases[which]! + offset;
    const at = this.#runsAt + this.#runs++ * IOVEC_BYTES;
    this.#view.setUint32(at, address >>> 0, true);
    this.#view.setUint32(at + 4, Math.floor(address / TWO_TO_32), true);
    this.#view.setUint32(at + 8, length, true);
    this.#view.setUint32((this.count - 1) * MESSAGE_BYTES + MESSAGE_IOV_COUNT, ++this.#frameRuns, true);
  }

  /** Sends the frames from number `first` on. Answers how many were taken, or -1: not even that one (see errno). */
  send(fd: number, first: number): number {
    return this.#libc.sendmmsg(fd, this.#address + first * MESSAGE_BYTES, this.count - first, MSG_DONTWAIT);
  }
}
