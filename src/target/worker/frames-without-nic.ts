/**
 * Ordinary frames of an adapter whose NIC half is dead: its device is read and written by the host's thread until there is another.
 *
 * Promises: those of a NIC without chimney; the adapter's name, addresses and handle stay, so that the host goes on over it.
 */

import type { Link, LinkReceiver } from '../../link/link.ts';
import { NdisStatus } from '../../ndis/miniport.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import { Event } from '../../trace/events.ts';
import { HandledBy, type PacketTap } from '../../trace/trace.ts';
import { OperationKind } from '../engine/engine.ts';
import { FrameOutlet } from '../plain/frame-outlet.ts';
import type { Driver } from './driver.ts';

/** What a dead NIC half had. */
export interface DeviceLeft {
  /** Its device as a link of this thread; closing it closes the device. */
  readonly link: Link;
  /** The same as {@link Link.close}, and the device stays open: another has it. */
  release(): Promise<void>;
}

/** The ordinary way, up and down. */
export class FramesWithoutNic implements LinkReceiver {
  readonly #driver: () => Driver;
  readonly #device: DeviceLeft;
  readonly #link: Link;
  #isReleased = false;
  readonly #tap: PacketTap | null;
  readonly #outlet: FrameOutlet;

  constructor(driver: () => Driver, device: DeviceLeft, tap: PacketTap | null, backlogLists: number | undefined) {
    this.#driver = driver;
    this.#device = device;
    const { link } = device;
    this.#link = link;
    this.#tap = tap;
    const { runtime, trace, ndisM, handle } = driver();
    this.#outlet = new FrameOutlet({ link, runtime, trace, packetTap: tap, backlogLists });
    this.#outlet.attach(ndisM, handle);
  }

  start(): void {
    this.#link.start(this);
  }

  get waitingLists(): number {
    return this.#outlet.waitingLists;
  }

  /** MiniportSendNetBufferLists. */
  send(lists: NetBufferList): void {
    if (!this.#driver().isAsleep) this.#outlet.sendLists(lists);
    else {
      this.#driver().trace.count(Event.TARGET_ASLEEP);
      this.#outlet.giveBack(lists, NdisStatus.LOW_POWER_STATE);
    }
  }

  /** Everything that waits goes back: MiniportPause, MiniportHaltEx. */
  flush(status: number): void {
    this.#outlet.flush(status);
  }

  close(): void | Promise<void> {
    return this.#link.close();
  }

  /** The device is another's from now on. */
  release(): Promise<void> {
    this.#isReleased = true;
    return this.#device.release();
  }

  get #isOver(): boolean {
    return this.#isReleased || this.#driver().isHalted;
  }

  // The link's side.

  receive(bytes: Uint8Array, at: number, length: number, segmentBytes = 0): void {
    const driver = this.#driver();
    if (this.#isOver || driver.isStill || driver.isAsleep) return;
    if (this.#tap !== null) this.#tap.packet(0, HandledBy.HOST, bytes, at, length, driver.runtime.nowUs());
    driver.indicator.indicate(bytes, at, length, segmentBytes);
  }

  receiveDone(): void {
    if (!this.#isOver) this.#driver().indicator.done();
  }

  linkState(isUp: boolean): void {
    const driver = this.#driver();
    const statusCode = isUp ? NdisStatus.LINK_STATE_UP : NdisStatus.LINK_STATE_DOWN;
    if (!this.#isOver) driver.enqueue(OperationKind.STATUS, null, statusCode);
  }

  mtuChanged(mtu: number): void {
    const driver = this.#driver();
    if (this.#isOver) return;
    driver.linkMtu = mtu;
    driver.enqueue(OperationKind.STATUS, null, NdisStatus.L2_MTU_SIZE_CHANGE);
  }

  writable(): void {
    if (!this.#isOver) this.#outlet.writable();
  }

  removed(): void {
    const driver = this.#driver();
    if (!this.#isOver) driver.ndisM.removeMiniport(driver.handle);
  }
}
