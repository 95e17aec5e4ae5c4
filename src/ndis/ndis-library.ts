/**
 * The NDIS library: joins protocol drivers to adapters, any number of drivers stacked over each other.
 *
 * It passes calls, converts block lists from one driver's face to the next's, resolves handles, and counts what is out, so
 * that an adapter is not closed or halted before every indicated list has been returned (RECV-086). It never reorders and
 * never queues. Its two halves are `upper-functions.ts` (called by protocols) and `lower-functions.ts` (called by miniports).
 */

import { Event } from '../trace/events.ts';
import { Adapter, AdapterState } from './adapter.ts';
import {
  type LifeLibrary,
  pauseAdapter,
  removeAdapter,
  resetAdapter,
  resetHungAdapter,
  restartAdapter,
} from './adapter-life.ts';
import { answerForNobody } from './answers.ts';
import { LowerFunctions } from './lower-functions.ts';
import type { MiniportDriver, NdisMiniportHandle } from './miniport.ts';
import type { OffloadBlock } from './offload-block.ts';
import type { OidRequest } from './parameters.ts';
import type { NdisBindingHandle } from './protocol.ts';
import { registerMiniport } from './registration.ts';
import { DevicePnpEvent, HaltAction, NdisStatus, ndisStatusName } from './status.ts';
import type { BindingTap, StateOperation } from './tap.ts';
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
    this.hangs.added(adapter);
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
    await this.#halt(adapter, HaltAction.DISABLED);
  }

  /** A driver that does not come to an end is left to itself. */
  #halt(adapter: Adapter, action: number): Promise<void> {
    this.hangs.removed(adapter);
    const halting = new Promise<void>((resolve) => {
      resolve(adapter.driver.haltEx(adapter.context, action));
    });
    if (adapter.isGivenUp) {
      // Whatever becomes of it is nobody's business any more.
      halting.catch(() => undefined);
      return Promise.resolve();
    }
    const givenUp = new Promise<void>((resolve) => {
      adapter.onGivenUp = resolve;
    });
    this.hangs.begin(adapter, halting, -1);
    return Promise.race([halting, givenUp]).finally(() => this.hangs.end(adapter, halting));
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
    begin: (adapter, key) => this.hangs.begin(adapter, key, -1),
    end: (adapter, key) => this.hangs.end(adapter, key),
    halt: (adapter, action) => this.#halt(adapter, action),
  };

  /** A driver hangs: it is reset, unless that has been tried, cannot be, or is not worth it any more. */
  protected override adapterHangs(adapter: Adapter): void {
    if (adapter.isGivenUp) return;
    const isLeaving = adapter.state === AdapterState.REMOVED || this.#removals.has(adapter);
    const isKnown = this.adapters.get(adapter.adapterName) === adapter;
    const cannotBe = adapter.onLifeComplete !== null || adapter.driver.resetEx === undefined;
    const isTried = adapter.isResetting || adapter.hangsInRow > 1 || hasSurvivor(adapter);
    if (isLeaving || !isKnown || cannotBe || isTried) {
      this.#giveUp(adapter);
      return;
    }
    this.trace.emit(Event.NDIS_ADAPTER_HUNG, this.runtime.nowUs(), adapter.pending.size);
    this.hangs.forgive(adapter);
    adapter.isResetting = true;
    resetHungAdapter(this.#life, adapter, adapter.lifeSteps > 0).then(
      (isReset) => {
        adapter.isResetting = false;
        if (!isReset) this.#giveUp(adapter);
      },
      () => this.#giveUp(adapter),
    );
  }

  /** Answers for a driver that has stopped responding, and removes it. */
  #giveUp(adapter: Adapter): void {
    if (adapter.isGivenUp) return;
    this.trace.emit(Event.NDIS_ADAPTER_GIVEN_UP, this.runtime.nowUs(), adapter.pending.size);
    adapter.isGivenUp = true;
    adapter.state = AdapterState.REMOVED;
    quieten(adapter);
    const { upper, pending } = adapter;
    this.#forsake(adapter, true);
    const requests = [...pending];
    pending.clear();
    this.hangs.removed(adapter);
    for (const [key, { operation }] of requests) {
      if (operation >= 0) {
        answerForNobody(this.walk, key as OffloadBlock, operation as StateOperation, adapter.lost);
        this.finishState(upper!, key as OffloadBlock, operation as StateOperation);
      } else if ('oid' in key) this.finishOid(adapter, key as OidRequest, NdisStatus.REQUEST_ABORTED);
    }
    const { onLifeComplete, onGivenUp } = adapter;
    adapter.onLifeComplete = null;
    onLifeComplete?.(NdisStatus.FAILURE);
    onGivenUp?.();
    if (upper !== null) this.closeWhenQuiet(upper);
    this.removeMiniport(adapter);
  }

  /**
   * What the driver has is lost, frames among it, to whoever sent them and to whoever sent them through him; those who watch what passes
   * there have seen enough. `isOwn`: it is this driver that was given up, not one below it.
   */
  #forsake(adapter: Adapter, isOwn: boolean): void {
    const { tap, upper: binding } = adapter;
    adapter.tap = null;
    if (tap !== null) tap.givenUp(isOwn);
    if (binding === null) return;
    binding.hasLostFrames = true;
    for (const above of this.adapters.values()) {
      if (above !== adapter && (above.driver as unknown) === binding.protocol) this.#forsake(above, false);
    }
  }

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
    return this.#step(adapterName, (adapter) => pauseAdapter(this.#life, adapter));
  }

  /** A paused adapter works again. */
  restartAdapter(adapterName: string): Promise<void> {
    return this.#step(adapterName, (adapter) => restartAdapter(this.#life, adapter));
  }

  /** Takes everything back, resets the hardware, and lets it work again. */
  resetAdapter(adapterName: string): Promise<void> {
    return this.#step(adapterName, (adapter) => resetAdapter(this.#life, adapter));
  }

  async #step(adapterName: string, step: (adapter: Adapter) => Promise<void>): Promise<void> {
    const adapter = this.#adapter(adapterName);
    adapter.lifeSteps++;
    try {
      await step(adapter);
    } finally {
      adapter.lifeSteps--;
    }
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

/** Asks a driver that hangs to leave its device alone; what it makes of that is its own affair. */
function quieten({ driver, context }: Adapter): void {
  try {
    driver.devicePnpEventNotifyEx?.(context, DevicePnpEvent.SURPRISE_REMOVED);
  } catch {
    // It was given up for not working.
  }
}

/** Whether a request has outlived a reset of the driver. */
function hasSurvivor(adapter: Adapter): boolean {
  for (const { hasSurvivedReset } of adapter.pending.values()) if (hasSurvivedReset) return true;
  return false;
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
