/**
 * A device as a link, driven by the event loop of this thread: a poll of the thread pool says when there is something to read.
 *
 * Promises: reads and writes never block; a device that vanishes or goes down is a link that went down, not a crash; one that
 * comes up again is a link that came up. Closing closes the device, which removes it if it was made here.
 */

import type { Gather, Link, LinkReceiver, Medium } from '../link.ts';
import { Device, type DeviceDescription, Outcome, READ_BYTES, READ_HEADROOM } from './device.ts';
import { type Libc, libc } from './libc.ts';
import { LinkChange, LinkMonitor } from './link-monitor.ts';

const POLLIN = 1;
const POLLOUT = 4;
const POLLERR = 8;
const POLLHUP = 16;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
/** Frames read in one go before the event loop gets its turn. */
const BATCH_FRAMES = 64;
/** How long one poll lasts at most: bounds how long the end of the process can be held up, milliseconds. */
const POLL_MS = 100;
const DEVICE = 0;
const WAKE = 1;
const MONITOR = 2;

/** A link over a device. */
export class DeviceLink implements Link {
  readonly name: string;
  readonly medium: Medium;
  readonly mtu: number;
  readonly macAddress?: Uint8Array;
  readonly largeSendBytes: number;
  readonly takesGather = true;
  readonly #libc: Libc = libc();
  readonly #device: Device;
  readonly #wakeFd: number;
  readonly #monitor: LinkMonitor | null;
  readonly #buffer: Uint8Array = new Uint8Array(READ_BYTES);
  readonly #bufferAddress: number;
  /** struct pollfd[3]: device, wake-up, notifications. */
  readonly #poll: Uint8Array = new Uint8Array(128);
  readonly #pollView: DataView = new DataView(this.#poll.buffer);
  readonly #pollAddress: number;
  #receiver: LinkReceiver | null = null;
  #isPolling = false;
  #isClosed = false;
  #isUp = true;
  #isGone = false;
  #wantsRoom = false;

  constructor(description: DeviceDescription) {
    this.#device = new Device(description);
    this.name = description.name;
    this.medium = description.medium;
    this.mtu = description.mtu;
    if (description.macAddress !== null) this.macAddress = description.macAddress;
    this.largeSendBytes = description.largeSendBytes;
    this.#monitor = description.index > 0 ? new LinkMonitor(description.index) : null;
    this.#wakeFd = this.#libc.eventfd(0, O_NONBLOCK | O_CLOEXEC);
    this.#bufferAddress = this.#libc.addressOf(this.#buffer);
    this.#pollAddress = this.#libc.addressOf(this.#poll);
  }

  /** Frames the kernel did not take. */
  get transmitErrors(): number {
    return this.#device.writeErrors;
  }

  start(receiver: LinkReceiver): void {
    this.#receiver = receiver;
    this.#pollView.setInt32(8 * DEVICE, this.#device.fd, true);
    this.#pollView.setInt32(8 * WAKE, this.#wakeFd, true);
    this.#pollView.setInt16(8 * WAKE + 4, POLLIN, true);
    this.#pollView.setInt32(8 * MONITOR, this.#monitor?.fd ?? -1, true);
    this.#pollView.setInt16(8 * MONITOR + 4, POLLIN, true);
    this.#wait();
  }

  transmit(bytes: Uint8Array, at: number, length: number, segmentBytes = 0, text: Gather | null = null): boolean {
    if (this.#isClosed || this.#isGone) return true;
    const outcome = this.#device.write(bytes, at, length, segmentBytes, text);
    if (outcome === 0) return true;
    if (outcome === Outcome.AGAIN) {
      this.#wantsRoom = true;
      this.#wake();
      return false;
    }
    // Told by the poll, as nothing may be told from inside here.
    this.#device.writeErrors++;
    return true;
  }

  /** Closes the device, which removes it. Resolves when the last poll has come back. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#receiver = null;
    this.#wake();
    while (this.#isPolling) await new Promise((resolve) => setImmediate(resolve));
    this.#device.close();
    this.#monitor?.close();
    this.#libc.close(this.#wakeFd);
  }

  #wake(): void {
    if (!this.#isPolling) return;
    const one = new Uint8Array(128);
    one[0] = 1;
    this.#libc.write(this.#wakeFd, this.#libc.addressOf(one), 8);
  }

  #wait(): void {
    if (this.#isClosed || this.#isPolling) return;
    this.#isPolling = true;
    // A device that is gone is always "readable".
    this.#pollView.setInt32(8 * DEVICE, this.#isGone ? -1 : this.#device.fd, true);
    this.#pollView.setInt16(8 * DEVICE + 4, POLLIN | (this.#wantsRoom ? POLLOUT : 0), true);
    this.#libc.pollAsync(this.#pollAddress, 3, POLL_MS, () => {
      this.#isPolling = false;
      if (this.#isClosed) return;
      this.#look();
      this.#drain();
    });
  }

  #revents(which: number): number {
    return this.#pollView.getInt16(8 * which + 6, true);
  }

  /** Wake-ups, notifications, room. */
  #look(): void {
    if (this.#revents(WAKE) !== 0) this.#libc.read(this.#wakeFd, this.#bufferAddress, 8);
    if (this.#revents(MONITOR) !== 0 && this.#monitor !== null) this.#changed(this.#monitor.read());
    const device = this.#revents(DEVICE);
    if (this.#wantsRoom && (device & (POLLOUT | POLLERR | POLLHUP)) !== 0) {
      this.#wantsRoom = false;
      this.#receiver?.writable();
    }
  }

  #changed(change: LinkChange): void {
    if (change === LinkChange.UP) this.#setUp(true);
    else if (change === LinkChange.DOWN) this.#setUp(false);
    // REMOVED from this namespace: a read tells whether it is gone.
  }

  #setUp(isUp: boolean): void {
    if (isUp === this.#isUp || this.#isGone) return;
    this.#isUp = isUp;
    this.#receiver?.linkState(isUp);
  }

  /** Reads what is there, a batch at a time, then waits again. */
  #drain(): void {
    const device = this.#device;
    for (let frames = 0; frames < BATCH_FRAMES; frames++) {
      if (this.#isClosed) return;
      const n = this.#isGone ? Outcome.AGAIN : device.read(this.#buffer, 0, this.#bufferAddress);
      if (n > 0) {
        this.#receiver?.receive(this.#buffer, READ_HEADROOM, n, device.segmentBytes);
        continue;
      }
      if (frames > 0) this.#receiver?.receiveDone();
      if (n === Outcome.GONE) this.#vanished();
      this.#wait();
      return;
    }
    this.#receiver?.receiveDone();
    setImmediate(() => this.#drain());
  }

  /** The device was removed under us. */
  #vanished(): void {
    this.#setUp(false);
    this.#isGone = true;
    this.#receiver?.removed?.();
  }
}
