/**
 * The device of a NIC thread as a link: read by the thread's loop, written at once, waited for together with the driver half's bell.
 *
 * Promises: reads and writes never block; the wait does, for a bounded time. A device that goes down is a link that went down; one that
 * vanishes is gone for good, which is told.
 */

import type { Gather, Link, LinkReceiver } from '../../link/link.ts';
import { type DeviceDescription, Outcome } from '../../link/node/device.ts';
import { DevicePort } from '../../link/node/device-port.ts';
import { FrameReader } from '../../link/node/frame-reader.ts';
import { type Libc, libc } from '../../link/node/libc.ts';
import { ControlWord } from './arena.ts';

/** Bytes read before they are acknowledged: a sender that hears of a whole window at once stands still until then. */
const BATCH_BYTES = 256 << 10;
const POLLIN = 1;
const POLLOUT = 4;
const POLLERR = 8;
const POLLHUP = 16;
const DEVICE = 0;
const WAKE = 1;
const MONITOR = 2;

/** What the link of a NIC thread is made from; see NicThreadData. */
export interface NicLinkParts {
  readonly device: DeviceDescription;
  readonly wakeFd: number;
  readonly buffer: ArrayBufferLike;
  readonly isRestart: boolean;
}

/** The link of one NIC thread. */
export class NicLink extends DevicePort implements Link {
  readonly #libc: Libc = libc();
  readonly #control: Int32Array;
  #asked = 0;
  readonly #wakeFd: number;
  readonly #reader: FrameReader;
  /** What an eventfd is read into. */
  readonly #bell: Uint8Array = new Uint8Array(128);
  readonly #bellAddress: number;
  /** struct pollfd[3]. */
  readonly #poll: Uint8Array = new Uint8Array(128);
  readonly #view: DataView = new DataView(this.#poll.buffer);
  readonly #pollAddress: number;
  #wantsRoom = false;

  /**
   * `buffer`: memory from which much is written. `wakeFd`: an eventfd, the driver half's bell. `control`: the arena's words.
   */
  constructor({ device, wakeFd, buffer, isRestart }: NicLinkParts, control: Int32Array) {
    super(device, isRestart ? null : true);
    this.#control = control;
    this.device.pin(buffer);
    this.#wakeFd = wakeFd;
    this.#reader = new FrameReader(this.device, () => this.#isAsked(), false);
    this.#bellAddress = this.#libc.addressOf(this.#bell);
    this.#pollAddress = this.#libc.addressOf(this.#poll);
  }

  /** Whether the driver half has published an operation since it was last asked. */
  #isAsked(): boolean {
    const asked = Atomics.load(this.#control, ControlWord.ASKED);
    if (asked === this.#asked) return false;
    this.#asked = asked;
    return true;
  }

  start(receiver: LinkReceiver): void {
    this.receiver = receiver;
    this.#want(WAKE, this.#wakeFd, POLLIN);
    this.#want(MONITOR, this.monitor?.fd ?? -1, POLLIN);
  }

  #want(which: number, fd: number, events: number): void {
    this.#view.setInt32(8 * which, fd, true);
    this.#view.setInt16(8 * which + 4, events, true);
  }

  transmit(bytes: Uint8Array, at: number, length: number, segmentBytes = 0, text: Gather | null = null): boolean {
    if (this.isGone) return true;
    const outcome = this.device.write(bytes, at, length, segmentBytes, text);
    if (outcome !== Outcome.AGAIN) return true;
    this.#wantsRoom = true;
    return false;
  }

  /**
   * Reads up to so many frames, acknowledged every {@link BATCH_BYTES}, or until the driver half has published an operation, which waits
   * for no more frames. Answers how many there were; then the batch is over.
   */
  drain(most: number): number {
    if (this.isGone || this.#isAsked()) return 0;
    const outcome = this.#reader.drain(this.receiver!, 0, most, BATCH_BYTES);
    if (outcome === Outcome.GONE) this.vanished();
    return this.#reader.frames;
  }

  /** Whether frames wait for room on the device. */
  get wantsRoom(): boolean {
    return this.#wantsRoom;
  }

  /** Waits for the device, the bell or a change of the link, `timeoutMs` at most. */
  wait(timeoutMs: number): void {
    this.#want(DEVICE, this.isGone ? -1 : this.device.fd, POLLIN | (this.#wantsRoom ? POLLOUT : 0));
    if (this.#libc.poll(this.#pollAddress, 3, timeoutMs) <= 0) return;
    if (this.#revents(WAKE) !== 0) this.#libc.read(this.#wakeFd, this.#bellAddress, 8);
    if (this.#revents(MONITOR) !== 0 && this.monitor !== null) this.changed(this.monitor.read());
    if (this.#wantsRoom && (this.#revents(DEVICE) & (POLLOUT | POLLERR | POLLHUP)) !== 0) {
      this.#wantsRoom = false;
      this.receiver!.writable();
    }
  }

  #revents(which: number): number {
    return this.#view.getInt16(8 * which + 6, true);
  }

  /** The device itself is closed by whoever opened it, when the thread is over. */
  close(): void {
    this.monitor?.close();
  }
}
