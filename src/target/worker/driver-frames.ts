/**
 * Ordinary frames of the host, in the driver half: into the ring, or kept while it is full; once the NIC half is dead, over its device.
 *
 * Promises: frames leave in their order; what waits is bounded; every list is completed exactly once.
 */

import { NdisStatus } from '../../ndis/miniport.ts';
import type { NetBuffer, NetBufferList } from '../../state/net-buffer-list.ts';
import { Event } from '../../trace/events.ts';
import type { PacketTap } from '../../trace/trace.ts';
import type { Driver } from './driver.ts';
import { type DeviceLeft, FramesWithoutNic } from './frames-without-nic.ts';
import { Down } from './records.ts';

const BACKLOG_LISTS_DEFAULT = 16_384;

export interface DriverFramesOptions {
  /** Longest frame, bytes. */
  readonly frameBytes: number;
  /** Lists that wait for room in the ring at most. */
  readonly backlogLists: number | undefined;
  readonly tap: PacketTap | null;
}

/** The way of ordinary frames. */
export class DriverFrames {
  readonly #driver: () => Driver;
  readonly #options: DriverFramesOptions;
  // Lists that wait for room in the ring.
  #first: NetBufferList | null = null;
  #last: NetBufferList | null = null;
  #waiting = 0;
  /** What of the first of them is still to be sent; null: all of it. */
  #rest: NetBuffer | null = null;
  /** The way while the NIC half is dead. */
  #without: FramesWithoutNic | null = null;
  /** Settled when a device that was used here is free. */
  #released: Promise<void> | null = null;

  /** `driver`: the one that is in use. */
  constructor(driver: () => Driver, options: DriverFramesOptions) {
    this.#driver = driver;
    this.#options = options;
  }

  /** Lists that wait, for room in the ring or for the device. */
  get waitingLists(): number {
    return this.#waiting + (this.#without?.waitingLists ?? 0);
  }

  /** MiniportSendNetBufferLists. */
  send(lists: NetBufferList): void {
    if (this.#without !== null) {
      this.#without.send(lists);
      return;
    }
    let first: NetBufferList | null = null;
    let last: NetBufferList | null = null;
    let list: NetBufferList | null = lists;
    while (list !== null) {
      const next: NetBufferList | null = list.next;
      list.next = null;
      const status = this.#sendOrKeep(list);
      if (status !== NdisStatus.PENDING) {
        list.status = status;
        if (last === null) first = list;
        else last.next = list;
        last = list;
      }
      list = next;
    }
    if (first !== null) this.#complete(first);
  }

  #sendOrKeep(list: NetBufferList): number {
    const driver = this.#driver();
    if (driver.isAsleep) {
      driver.trace.count(Event.TARGET_ASLEEP);
      return NdisStatus.LOW_POWER_STATE;
    }
    // A link that is gone loses what is sent.
    if (driver.isDead) return NdisStatus.SUCCESS;
    if (this.#first === null && this.#sendList(list)) return NdisStatus.SUCCESS;
    if (this.#waiting >= (this.#options.backlogLists ?? BACKLOG_LISTS_DEFAULT)) {
      if (this.#first === null) this.#rest = null;
      driver.trace.count(Event.TARGET_SEND_BACKLOG_FULL);
      return NdisStatus.RESOURCES;
    }
    if (this.#last === null) this.#first = list;
    else this.#last.next = list;
    this.#last = list;
    this.#waiting++;
    driver.retrySoon();
    return NdisStatus.PENDING;
  }

  /** All of a list, or what is left of the first that waits; false: there is no room for the rest, which stays the first's. */
  #sendList(list: NetBufferList): boolean {
    for (let nb = this.#rest ?? list.firstNetBuffer; nb !== null; nb = nb.next) {
      if (this.#sendBuffer(nb, list.largeSendMss)) continue;
      this.#rest = nb;
      return false;
    }
    this.#rest = null;
    return true;
  }

  #sendBuffer(nb: NetBuffer, mss: number): boolean {
    const mdl = nb.currentMdl;
    const length = nb.dataLength;
    if (mdl === null || length === 0) return true;
    const { out, trace } = this.#driver();
    if (length > this.#options.frameBytes) {
      trace.count(Event.TARGET_FRAME_DROPPED);
      return true;
    }
    if (length <= mdl.byteCount - nb.currentMdlOffset) {
      return out.frame(Down.FRAME, mss, 0, mdl.buffer, mdl.byteOffset + nb.currentMdlOffset, length);
    }
    return out.frameOf(Down.FRAME, mss, 0, nb);
  }

  /** The ring may have room again, or nobody reads it any more, and what waits is lost. */
  sendWaiting(): void {
    const driver = this.#driver();
    let first: NetBufferList | null = null;
    let last: NetBufferList | null = null;
    while (this.#first !== null) {
      const list = this.#first;
      if (!driver.isDead && !this.#sendList(list)) {
        driver.retrySoon();
        break;
      }
      this.#first = list.next;
      if (this.#first === null) this.#last = null;
      this.#rest = null;
      this.#waiting--;
      list.next = null;
      list.status = NdisStatus.SUCCESS;
      if (last === null) first = list;
      else last.next = list;
      last = list;
    }
    if (first !== null) this.#complete(first);
  }

  /** Everything that waits goes back: MiniportPause, MiniportHaltEx. */
  flush(status: number): void {
    this.#without?.flush(status);
    const lists = this.#first;
    if (lists === null) return;
    this.#first = null;
    this.#last = null;
    this.#rest = null;
    this.#waiting = 0;
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) list.status = status;
    this.#complete(lists);
  }

  #complete(lists: NetBufferList): void {
    const { ndisM, handle } = this.#driver();
    ndisM.sendNetBufferListsComplete(handle, lists);
  }

  /** The NIC half is dead: its device is this thread's; nothing comes before {@link receive}. */
  takeOver(device: DeviceLeft): void {
    this.#without = new FramesWithoutNic(this.#driver, device, this.#options.tap, this.#options.backlogLists);
  }

  /** Frames of the device that was taken over may come. */
  receive(): void {
    this.#without?.start();
  }

  /** Another NIC half has the device. What waited for it is lost, as on a wire. */
  handBack(): void {
    const without = this.#without;
    if (without === null) return;
    this.#without = null;
    without.flush(NdisStatus.SUCCESS);
    this.#released = without.release();
  }

  /**
   * Nothing is done with the device any more. `keepsDevice`: a NIC half has it too, and closes it; else it is closed here, if it was taken
   * over.
   */
  close(keepsDevice: boolean): void | Promise<void> {
    const without = this.#without;
    if (without === null) return this.#released ?? undefined;
    return keepsDevice ? without.release() : without.close();
  }
}
