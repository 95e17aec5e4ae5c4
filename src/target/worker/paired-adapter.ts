/**
 * Both halves of the worker target in one thread, over the same rings: for tests under virtual time, for the conformance suite,
 * and wherever there are no threads. Promises: neither half calls the other; each goes on in a task of its own.
 */

import { Arena, arenaBytes, ControlWord } from './arena.ts';
import type { NicPort } from './driver.ts';
import { NicHalf } from './nic-half.ts';
import { type PortParts, WorkerAdapter, type WorkerAdapterOptions } from './worker-adapter.ts';

/** The worker target without a worker. */
export class PairedAdapter extends WorkerAdapter {
  constructor(options: WorkerAdapterOptions) {
    super(
      { ...options, sizes: { ...SIZES, ...options.sizes } },
      (sizes) => new Arena(new ArrayBuffer(arenaBytes(sizes, false)), sizes, false),
      (parts) => new PairedPort(parts),
    );
  }
}

/** Enough for a link without large sends; small, because a test makes many. */
const SIZES = { upBytes: 1 << 16, downBytes: 1 << 16 };

class PairedPort implements NicPort {
  readonly #parts: PortParts;
  readonly #nic: NicHalf;
  readonly #control: Int32Array;
  #onBell: () => void = () => {};
  #onRoom: () => void = () => {};
  #isFlushComing = false;
  #isPollComing = false;
  #isClosed = false;

  constructor(parts: PortParts) {
    const { arena, config, link, options } = parts;
    this.#parts = parts;
    this.#control = arena.control;
    const { runtime, trace } = options;
    this.#nic = new NicHalf({ arena, config, link, runtime, trace, onDirty: () => this.#flushSoon() });
  }

  start(onBell: () => void, onRoom: () => void, onUp: () => void): void {
    this.#onBell = onBell;
    this.#onRoom = onRoom;
    Atomics.store(this.#control, ControlWord.NIC_ASLEEP, 1);
    this.#nic.start();
    this.#parts.options.runtime.defer(onUp);
  }

  ring(): void {
    if (this.#isPollComing || this.#isClosed) return;
    this.#isPollComing = true;
    this.#parts.options.runtime.defer(() => {
      this.#isPollComing = false;
      this.#poll();
    });
  }

  sleep(): void {}

  refresh(): void {
    this.#nic.publish();
  }

  close(): void | Promise<void> {
    // What was said last is done, then the NIC is halted.
    while (this.#nic.poll());
    this.#isClosed = true;
    return this.#nic.adapter.haltEx(null);
  }

  #poll(): void {
    if (this.#isClosed) return;
    this.#nic.poll();
    this.#onRoom();
    if (this.#nic.hasInput) {
      this.ring();
      return;
    }
    Atomics.store(this.#control, ControlWord.NIC_ASLEEP, 1);
    if (this.#nic.isWaiting) this.#flushSoon();
  }

  #flushSoon(): void {
    if (this.#isFlushComing || this.#isClosed) return;
    this.#isFlushComing = true;
    this.#parts.options.runtime.defer(() => {
      this.#isFlushComing = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#isClosed) return;
    this.#nic.publish();
    if (Atomics.exchange(this.#control, ControlWord.DRIVER_ASLEEP, 0) === 1) this.#onBell();
    if (this.#nic.isWaiting) this.#flushSoon();
  }
}
