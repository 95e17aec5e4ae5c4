/**
 * Ordinary frames of an adapter whose NIC half is dead: its device is read and written by the host's thread from then on.
 *
 * Promises: those of a NIC without chimney; the adapter's name, addresses and handle stay, so that the host goes on over it.
 */

import type { Link, LinkReceiver } from '../../link/link.ts';
import { NdisStatus } from '../../ndis/miniport.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import { Event } from '../../trace/events.ts';
import { HandledBy, type PacketTap } from '../../trace/trace.ts';
import { FrameOutlet } from '../plain/frame-outlet.ts';
import type { Driver } from './driver.ts';

/** The ordinary way, up and down. */
export class FramesWithoutNic implements LinkReceiver {
  readonly #driver: Driver;
  readonly #link: Link;
  readonly #tap: PacketTap | null;
  readonly #outlet: FrameOutlet;

  constructor(driver: Driver, link: Link, tap: PacketTap | null, backlogLists: number | undefined) {
    this.#driver = driver;
    this.#link = link;
    this.#tap = tap;
    const { runtime, trace } = driver;
    this.#outlet = new FrameOutlet({ link, runtime, trace, packetTap: tap, backlogLists });
    this.#outlet.attach(driver.ndisM, driver.handle);
  }

  start(): void {
    this.#link.start(this);
  }

  get waitingLists(): number {
    return this.#outlet.waitingLists;
  }

  /** MiniportSendNetBufferLists. */
  send(lists: NetBufferList): void {
    if (!this.#isAsleep) this.#outlet.sendLists(lists);
    else {
      this.#driver.trace.count(Event.TARGET_ASLEEP);
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

  get #isAsleep(): boolean {
    return this.#driver.powerState !== 1 && this.#driver.pendingPower === null;
  }

  // The link's side.

  receive(bytes: Uint8Array, at: number, length: number, segmentBytes = 0): void {
    const driver = this.#driver;
    if (driver.isHalted || driver.isStill || this.#isAsleep) return;
    if (this.#tap !== null) this.#tap.packet(0, HandledBy.HOST, bytes, at, length, driver.runtime.nowUs());
    driver.indicator.indicate(bytes, at, length, segmentBytes);
  }

  receiveDone(): void {
    if (!this.#driver.isHalted) this.#driver.indicator.done();
  }

  linkState(isUp: boolean): void {
    const driver = this.#driver;
    const statusCode = isUp ? NdisStatus.LINK_STATE_UP : NdisStatus.LINK_STATE_DOWN;
    if (!driver.isHalted) driver.ndisM.indicateStatusEx(driver.handle, { statusCode });
  }

  writable(): void {
    if (!this.#driver.isHalted) this.#outlet.writable();
  }

  removed(): void {
    const driver = this.#driver;
    if (!driver.isHalted) driver.ndisM.removeMiniport(driver.handle);
  }
}
