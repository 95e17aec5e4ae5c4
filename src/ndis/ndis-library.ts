/**
 * The NDIS library: joins protocol drivers to adapters, any number of drivers stacked over each other.
 *
 * It passes calls, converts block lists from one driver's face to the next's, resolves handles, and counts what is out, so
 * that an adapter is not closed or halted before every indicated list has been returned (RECV-086). It never reorders and
 * never queues. Its two halves are `upper-functions.ts` (called by protocols) and `lower-functions.ts` (called by miniports).
 */

import { Adapter, AdapterState } from './adapter.ts';
import { type LifeLibrary, pauseAdapter, removeAdapter, resetAdapter, restartAdapter } from './adapter-life.ts';
import { LowerFunctions } from './lower-functions.ts';
import type { MiniportDriver, NdisMiniportHandle } from './miniport.ts';
import type { NdisBindingHandle } from './protocol.ts';
import { registerMiniport } from './registration.ts';
import { NdisStatus, ndisStatusName } from './status.ts';
import type { BindingTap } from './tap.ts';
import { TapFanOut } from './tap-fan-out.ts';

/** One per stack. */
export class NdisLibrary extends LowerFunctions {
  /**
   * Registers a miniport driver's instance: calls its MiniportSetOptions, then its MiniportInitializeEx (CAP-001). The adapter's name is that of the driver's
   * attributes. Throws when the name is taken or the driver does not come up. Answers the name.
   */
  registerAdapter(driver: MiniportDriver): string {
    const name = driver.attributes.name;
    if (this.adapters.has(name)) throw new Error(`an adapter named '${name}' exists already`);
    const adapter = new Adapter(name, driver, registerMiniport(driver, this));
    this.adapters.set(name, adapter);
    const status = driver.initializeEx(adapter, this);
    if (status !== NdisStatus.SUCCESS) {
      this.adapters.delete(name);
      throw new Error(`adapter '${name}' did not initialise: ${ndisStatusName(status)}`);
    }
    return name;
  }

  /** Names of the adapters there are, in the order of their registration. */
  get adapterNames(): string[] {
    return [...this.adapters.keys()];
  }

  /**
   * MiniportHaltEx, once nobody is bound to the adapter any more, which is once all lists are back. Whoever is bound closes
   * the binding himself; drivers stacked over each other are halted from the top.
   */
  async haltAdapter(adapterName: string): Promise<void> {
    const adapter = this.#adapter(adapterName);
    const removal = this.#removals.get(adapter);
    if (removal !== undefined) return removal;
    if (adapter.upper !== null) {
      await new Promise<void>((resolve) => {
        adapter.onUnbound = resolve;
      });
    }
    this.adapters.delete(adapterName);
    await adapter.driver.haltEx(adapter.context);
  }

  /** What the steps of an adapter's life call. */
  readonly #life: LifeLibrary = {
    tell: (adapter, event) =>
      new Promise((resolve) => {
        if (adapter.upper === null) resolve(NdisStatus.SUCCESS);
        else this.tellProtocol(adapter.upper, event, resolve);
      }),
    status: (adapter, statusCode) => this.indicateStatusEx(adapter, { statusCode }),
    unbind: (adapter, isGone) => this.#unbind(adapter, isGone),
    forget: (adapter) => this.adapters.delete(adapter.adapterName),
  };

  #unbind(adapter: Adapter, isGone: boolean): Promise<void> {
    const binding = adapter.upper;
    if (binding === null) return Promise.resolve();
    return new Promise((resolve) => {
      adapter.onUnbound = resolve;
      if (!binding.isOpen) return;
      if (adapter.tap !== null) adapter.tap.unbinding(isGone);
      binding.protocol.unbindAdapterEx?.(binding.context, isGone);
    });
  }

  /** Takes everything back and lets the adapter stand still; what is sent to it comes back as PAUSED. */
  pauseAdapter(adapterName: string): Promise<void> {
    return pauseAdapter(this.#life, this.#adapter(adapterName));
  }

  /** A paused adapter works again. */
  restartAdapter(adapterName: string): Promise<void> {
    return restartAdapter(this.#life, this.#adapter(adapterName));
  }

  /** Takes everything back, resets the hardware, and lets it work again. */
  resetAdapter(adapterName: string): Promise<void> {
    return resetAdapter(this.#life, this.#adapter(adapterName));
  }

  /** Removes an adapter in good order: protocols give everything back and unbind, then the driver is halted. */
  removeAdapter(adapterName: string): Promise<void> {
    const adapter = this.#adapter(adapterName);
    return this.#removing(adapter, () => removeAdapter(this.#life, adapter, false));
  }

  /** NdisMRemoveMiniport. Removing what is being removed changes nothing. */
  override removeMiniport(handle: NdisMiniportHandle): void {
    this.#removeLater(handle as Adapter, true);
  }

  /** NdisIMDeInitializeDeviceInstance. */
  override imDeinitializeDeviceInstance(handle: NdisMiniportHandle, isGone: boolean): void {
    this.#removeLater(handle as Adapter, isGone);
  }

  #removeLater(adapter: Adapter, isGone: boolean): void {
    if (isGone) adapter.state = AdapterState.REMOVED;
    this.runtime.defer(() => {
      if (this.adapters.get(adapter.adapterName) !== adapter || this.#removals.has(adapter)) return;
      void this.#removing(adapter, () => removeAdapter(this.#life, adapter, isGone));
    });
  }

  /** Removals under way; a second one is the first. */
  readonly #removals: Map<Adapter, Promise<void>> = new Map();

  #removing(adapter: Adapter, remove: () => Promise<void>): Promise<void> {
    let removal = this.#removals.get(adapter);
    if (removal === undefined) {
      removal = remove().finally(() => this.#removals.delete(adapter));
      this.#removals.set(adapter, removal);
    }
    return removal;
  }

  /**
   * Seats an observer between the adapter and whoever is, or will be, bound to it. Several may sit there. Answers a function
   * that takes it away again.
   */
  attachTap(adapterName: string, tap: BindingTap): () => void {
    const adapter = this.#adapter(adapterName);
    adapter.tap = withTap(adapter.tap, tap);
    if (adapter.upper !== null) tap.opened(adapterName, adapter.upper.protocol.name, true);
    return () => {
      adapter.tap = withoutTap(adapter.tap, tap);
    };
  }

  override observe(binding: NdisBindingHandle, tap: BindingTap): () => void {
    return this.attachTap(binding.adapterName, tap);
  }

  /** Lists of chimney indications and of buffered data that protocols hold, over all adapters: 0 when all is returned. */
  get listsHeld(): number {
    let held = 0;
    for (const adapter of this.adapters.values()) held += adapter.upper === null ? 0 : adapter.upper.chimneyLists;
    return held;
  }

  /** State operations that no target has completed yet, over all adapters. */
  get operationsHeld(): number {
    let held = 0;
    for (const adapter of this.adapters.values()) held += adapter.upper === null ? 0 : adapter.upper.operations;
    return held;
  }

  #adapter(adapterName: string): Adapter {
    const adapter = this.adapters.get(adapterName);
    if (adapter === undefined) throw new Error(`there is no adapter named '${adapterName}'`);
    return adapter;
  }
}

function withTap(present: BindingTap | null, tap: BindingTap): BindingTap {
  if (present === null) return tap;
  return new TapFanOut(present instanceof TapFanOut ? [...present.taps, tap] : [present, tap]);
}

function withoutTap(present: BindingTap | null, tap: BindingTap): BindingTap | null {
  if (present === tap) return null;
  if (!(present instanceof TapFanOut)) return present;
  const left = present.taps.filter((other) => other !== tap);
  return left.length === 1 ? left[0]! : left.length === 0 ? null : new TapFanOut(left);
}
