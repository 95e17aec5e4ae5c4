/**
 * A device as a link, driven by the event loop of this thread, which polls it like its own sockets.
 *
 * Promises: reads and writes never block; a device that vanishes or goes down is a link that went down, not a crash; one that
 * comes up again is a link that came up; a change of its MTU is told. Closing closes the device, which removes it if it was made here.
 */

import type { Gather, Link, LinkReceiver } from '../link.ts';
import { type DeviceDescription, Outcome } from './device.ts';
import { checkDevice } from './device-options.ts';
import { DevicePort } from './device-port.ts';
import { FrameReader } from './frame-reader.ts';
import { type Libc, libc } from './libc.ts';
import { pollWatch, ReadWatch, type Watch } from './read-watch.ts';
import { StayAwake } from './stay-awake.ts';
import { ofVlan } from './vlan-filter.ts';

const POLLOUT = 4;
const POLLERR = 8;
const POLLHUP = 16;
/** Frames read in one go before the event loop gets its turn. */
const BATCH_FRAMES = 64;
/**
 * Bytes after which what was read is done with and acknowledged, before more is read: a sender that hears of a whole window at once
 * stands still until then, and a window is more than the caches hold.
 */
const BATCH_BYTES = 256 << 10;
/** How long one poll for room lasts at most: bounds how long a close waits for it, milliseconds. */
const ROOM_POLL_MS = 20;
/** A device whose reads fail for now is tried again after so long, milliseconds. */
const RETRY_MS = 100;

/** A link over a device. */
export class DeviceLink extends DevicePort implements Link {
  readonly #libc: Libc = libc();
  readonly #closesDevice: boolean;
  readonly #reader: FrameReader;
  /** Null: the event loop has other things to do than wait for frames. */
  readonly #stayAwake: StayAwake | null;
  #readView: Uint8Array = new Uint8Array(0);
  /** struct pollfd: the device, while there is no room. */
  readonly #poll: Uint8Array = new Uint8Array(128);
  readonly #pollView: DataView = new DataView(this.#poll.buffer);
  readonly #pollAddress: number;
  #watch: Watch | null = null;
  #monitorWatch: ReadWatch | null = null;
  #retry: ReturnType<typeof setTimeout> | null = null;
  #isClosed = false;
  #waitsForRoom = false;

  /**
   * `closesDevice`: whether the descriptor is closed with the link, or by whoever opened it, when no one uses it any more. `isUp`: see
   * {@link DevicePort}. `isOwnThread`: this thread is there for the device.
   */
  constructor(description: DeviceDescription, closesDevice = true, isUp: boolean | null = true, isOwnThread = false) {
    checkDevice('DeviceLink', 'description', description);
    super(description, isUp);
    this.#closesDevice = closesDevice;
    this.#reader = new FrameReader(this.device);
    this.#stayAwake = isOwnThread ? new StayAwake() : null;
    this.#pollAddress = this.#libc.addressOf(this.#poll);
  }

  /** Frames the kernel did not take. */
  get transmitErrors(): number {
    return this.device.writeErrors;
  }

  setVlan(vlanId: number): void {
    const { vlanId: known } = ofVlan(this.device.description, vlanId);
    if (known !== undefined) this.device.setVlan(known);
  }

  start(receiver: LinkReceiver): void {
    this.receiver = receiver;
    this.#watchDevice();
    this.#watchMonitor();
  }

  transmit(bytes: Uint8Array, at: number, length: number, segmentBytes = 0, text: Gather | null = null): boolean {
    if (this.#isClosed || this.isGone) return true;
    const outcome = this.device.write(bytes, at, length, segmentBytes, text);
    if (outcome === 0) return true;
    if (outcome === Outcome.AGAIN) {
      this.#waitForRoom();
      return false;
    }
    // Told by a read, as nothing may be told from inside here; that of an AF_PACKET socket waits for frames that no longer come.
    this.device.writeErrors++;
    if (outcome === Outcome.GONE) setImmediate(() => this.#drain(0));
    return true;
  }

  /** Closes the device, which removes it if it was made here. */
  close(): Promise<void> {
    return this.#end(this.#closesDevice);
  }

  /** The same, but the descriptor stays open: somebody else has the device. */
  release(): Promise<void> {
    return this.#end(false);
  }

  async #end(closesDevice: boolean): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.receiver = null;
    this.#reader.stop();
    if (this.#retry !== null) clearTimeout(this.#retry);
    await this.#watch?.close();
    await this.#monitorWatch?.close();
    while (this.#waitsForRoom) await new Promise((resolve) => setImmediate(resolve));
    if (closesDevice) this.device.close();
    this.monitor?.close();
  }

  #watchDevice(): void {
    const failed = (): void => this.#readFailed();
    const { fd, readsItself } = this.device;
    const own = readsItself ? pollWatch(fd, { readable: () => this.#drain(0), failed }) : null;
    const readable = (bytes: number): void => this.#drain(this.device.took(bytes, this.#reader.buffer, 0));
    this.#watch = own ?? new ReadWatch(fd, () => this.#firstRead(), { readable, failed });
  }

  /** Where the next batch begins: the same view as long as the reader has the same memory. */
  #firstRead(): Uint8Array {
    const { buffer } = this.#reader;
    if (this.#readView.buffer !== buffer.buffer) this.#readView = buffer.subarray(this.device.skipped);
    return this.#readView;
  }

  /** Notifications of the interface. They end when too many were lost, and are asked for anew. */
  #watchMonitor(): void {
    const monitor = this.monitor;
    if (monitor === null || this.#isClosed) return;
    this.#monitorWatch = new ReadWatch(monitor.fd, monitor.buffer, {
      readable: (bytes) => this.changed(monitor.took(bytes)),
      failed: () => {
        monitor.lost();
        this.#watchMonitor();
      },
    });
  }

  /** The device is gone, or it is down and reads fail for now. */
  #readFailed(): void {
    this.#drain(0);
    if (this.#isClosed || this.isGone) return;
    this.#retry = setTimeout(() => this.#watchDevice(), RETRY_MS);
  }

  #waitForRoom(): void {
    if (this.#waitsForRoom) return;
    this.#waitsForRoom = true;
    this.#pollForRoom();
  }

  #pollForRoom(): void {
    this.#pollView.setInt32(0, this.device.fd, true);
    this.#pollView.setInt16(4, POLLOUT, true);
    this.#libc.pollAsync(this.#pollAddress, 1, ROOM_POLL_MS, () => {
      const hasRoom = (this.#pollView.getInt16(6, true) & (POLLOUT | POLLERR | POLLHUP)) !== 0;
      if (!hasRoom && !this.#isClosed && !this.isGone) {
        this.#pollForRoom();
        return;
      }
      this.#waitsForRoom = false;
      if (!this.#isClosed) this.receiver?.writable();
    });
  }

  /** A frame of `first` bytes has been read (or an outcome; 0: nothing yet); reads what else is there, at most a batch: the poll tells again. */
  #drain(first: number): void {
    if (this.receiver === null) return;
    const outcome = this.#reader.drain(this.receiver, first, BATCH_FRAMES, BATCH_BYTES);
    this.#stayAwake?.came(first);
    if (outcome === Outcome.GONE) this.vanished();
  }
}
