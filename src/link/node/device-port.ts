/**
 * What every link over a device is, whatever reads it: the properties that the device gives it, and what becomes of it.
 *
 * Promises: the receiver is told of each change of the link, and of its MTU, once; a device that was removed is told as gone for good, and nothing after that.
 * Leaves to others: reading, writing and waiting (device-link.ts; the loop of a NIC thread).
 */

import type { LinkReceiver } from '../link.ts';
import { DescribedDevice } from './described-device.ts';
import { Device, type DeviceDescription } from './device.ts';
import { LinkChange, LinkMonitor } from './link-monitor.ts';

/** The part that links over a device share. */
export abstract class DevicePort extends DescribedDevice {
  protected readonly device: Device;
  /** Null: nobody tells of changes of this device. */
  protected readonly monitor: LinkMonitor | null;
  protected receiver: LinkReceiver | null = null;
  protected isGone = false;
  #isUp: boolean | null;
  /** As the receiver was told, or knows from the beginning; 0: what it believes is not known. */
  #toldMtu: number;

  /** `isUp`: what the receiver believes already; null: that is not known (nor which MTU), and how things stand is told in any case. */
  constructor(description: DeviceDescription, isUp: boolean | null = true) {
    super(description);
    this.#isUp = isUp;
    this.#toldMtu = isUp === null ? 0 : description.mtu;
    this.device = new Device(description);
    const { index, kind } = description;
    this.monitor = index > 0 ? new LinkMonitor(index, kind === 'packet') : null;
  }

  /**
   * The monitor has spoken. Of REMOVED (from this namespace) a read tells whether it is gone, but for an AF_PACKET socket, which has lost its
   * interface then, wherever that is now, and whose reads only tell that there is nothing.
   */
  protected changed(change: LinkChange): void {
    // What is sent when the link comes up goes by it already.
    this.#setMtu(this.monitor!.mtu);
    if (change === LinkChange.UP) this.#setUp(true);
    else if (change === LinkChange.DOWN) this.#setUp(false);
    else if (change === LinkChange.REMOVED && this.device.description.kind === 'packet') this.vanished();
  }

  #setUp(isUp: boolean): void {
    if (isUp === this.#isUp || this.isGone) return;
    this.#isUp = isUp;
    this.receiver?.linkState(isUp);
  }

  /** More than at the opening is not made use of: buffers were made for that. */
  #setMtu(now: number): void {
    const mtu = Math.min(now, this.mtu);
    if (mtu === 0 || mtu === this.#toldMtu || this.isGone) return;
    this.#toldMtu = mtu;
    this.receiver?.mtuChanged?.(mtu);
  }

  /** The device was removed under us. */
  protected vanished(): void {
    if (this.isGone) return;
    this.#setUp(false);
    this.isGone = true;
    this.receiver?.removed?.();
  }
}
