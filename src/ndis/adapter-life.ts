/**
 * The life of an adapter after its start: pause and restart, reset, and the two ways in which it goes: orderly and by surprise.
 *
 * Promises: whoever is bound is told first and has taken everything back before the driver is asked to pause, reset or halt; what
 * is sent meanwhile comes back at once, as PAUSED or ADAPTER_REMOVED; nothing is called on a driver after its MiniportHaltEx.
 * Each call resolves when it is done; an adapter lives through one of them at a time. Sources: NDIS 6.0 MiniportPause, MiniportRestart,
 * MiniportResetEx (of a hung adapter, too), MiniportHaltEx, MiniportDevicePnPEventNotifyEx, ProtocolNetPnPEvent, ProtocolUnbindAdapterEx.
 */

import type { Adapter } from './adapter.ts';
import { AdapterState } from './adapter.ts';
import type { NetPnpEvent } from './protocol.ts';
import { DevicePnpEvent, HaltAction, NdisStatus, NetPnpEventCode, ndisStatusName } from './status.ts';

/** What the steps ask of the library. */
export interface LifeLibrary {
  /** ProtocolNetPnPEvent of whoever is bound to the adapter, answered. */
  tell(adapter: Adapter, event: NetPnpEvent): Promise<number>;
  /** Shows whoever is bound a status of NDIS' own. */
  status(adapter: Adapter, statusCode: number): void;
  /** ProtocolUnbindAdapterEx of whoever is bound; resolves when nobody is any more. */
  unbind(adapter: Adapter, isGone: boolean): Promise<void>;
  /** The adapter is in no table any more. */
  forget(adapter: Adapter): void;
  /** The driver has a request that it is to complete soon, until `end` (hang-watch.ts). */
  begin(adapter: Adapter, key: object): void;
  end(adapter: Adapter, key: object): void;
  /** MiniportHaltEx, not waited for longer than for anything else. */
  halt(adapter: Adapter, action: number): Promise<void>;
}

/** Calls one of the driver's functions and waits for its completion. */
function driven(adapter: Adapter, call: () => number): Promise<number> {
  return new Promise((resolve) => {
    adapter.onLifeComplete = resolve;
    const status = call();
    if (status === NdisStatus.PENDING || adapter.onLifeComplete === null) return;
    adapter.onLifeComplete = null;
    resolve(status);
  });
}

/** The same for what depends on nobody else: a pause waits for lists that applications may keep as long as they like, these do not. */
async function drivenSoon(library: LifeLibrary, adapter: Adapter, call: () => number): Promise<number> {
  library.begin(adapter, call);
  const status = await driven(adapter, call);
  library.end(adapter, call);
  return status;
}

function throwIfGivenUp(adapter: Adapter): void {
  if (adapter.isGivenUp) throw new Error(`adapter '${adapter.adapterName}' has stopped responding and was removed`);
}

/** Everything is taken back, then the adapter stands still. Nothing happens to one that does already. */
export async function pauseAdapter(
  library: LifeLibrary,
  adapter: Adapter,
  reason: 'pause' | 'reset' = 'pause',
): Promise<void> {
  if (adapter.state !== AdapterState.RUNNING) return;
  await library.tell(adapter, { code: NetPnpEventCode.PAUSE, reason });
  // It may have been removed meanwhile.
  if ((adapter.state as AdapterState) === AdapterState.REMOVED) return;
  adapter.state = AdapterState.PAUSED;
  const { driver, context } = adapter;
  if (driver.pause !== undefined) await driven(adapter, () => driver.pause!(context));
}

/** A paused adapter works again. Throws when its driver does not want to. */
export async function restartAdapter(library: LifeLibrary, adapter: Adapter): Promise<void> {
  if (adapter.state !== AdapterState.PAUSED) return;
  const { driver, context } = adapter;
  if (driver.restart !== undefined) {
    const status = await drivenSoon(library, adapter, () => driver.restart!(context));
    throwIfGivenUp(adapter);
    if (status !== NdisStatus.SUCCESS) {
      throw new Error(`adapter '${adapter.adapterName}' did not restart: ${ndisStatusName(status)}`);
    }
  }
  if ((adapter.state as AdapterState) === AdapterState.REMOVED) return;
  adapter.state = AdapterState.RUNNING;
  await library.tell(adapter, { code: NetPnpEventCode.RESTART });
}

/** Everything is taken back, the hardware starts anew, and the adapter works again if it did before. */
export async function resetAdapter(library: LifeLibrary, adapter: Adapter): Promise<void> {
  const wasRunning = adapter.state === AdapterState.RUNNING;
  library.status(adapter, NdisStatus.RESET_START);
  await pauseAdapter(library, adapter, 'reset');
  const { driver, context } = adapter;
  let status: number = NdisStatus.SUCCESS;
  if (driver.resetEx !== undefined && adapter.state !== AdapterState.REMOVED) {
    status = await drivenSoon(library, adapter, () => driver.resetEx!(context));
  }
  throwIfGivenUp(adapter);
  if (adapter.state === AdapterState.REMOVED) return;
  library.status(adapter, NdisStatus.RESET_END);
  if (status !== NdisStatus.SUCCESS) {
    throw new Error(`adapter '${adapter.adapterName}' could not be reset: ${ndisStatusName(status)}`);
  }
  if (wasRunning) await restartAdapter(library, adapter);
}

/**
 * An adapter hangs: its hardware starts anew, then everything is taken back as far as the driver knows it yet, and goes down again.
 * Resolves with false when the driver could not be reset. `isBusy`: another step is under way, which does the rest.
 */
export async function resetHungAdapter(library: LifeLibrary, adapter: Adapter, isBusy: boolean): Promise<boolean> {
  const { driver, context } = adapter;
  library.status(adapter, NdisStatus.RESET_START);
  const status = await drivenSoon(library, adapter, () => driver.resetEx!(context));
  if (adapter.state === AdapterState.REMOVED) return true;
  if (status !== NdisStatus.SUCCESS) return false;
  library.status(adapter, NdisStatus.RESET_END);
  if (isBusy || adapter.state !== AdapterState.RUNNING) return true;
  await pauseAdapter(library, adapter, 'reset');
  await restartAdapter(library, adapter);
  return true;
}

/** The adapter goes: by the will of its owner, or (`isGone`) because its device did. Resolves when its driver is halted. */
export async function removeAdapter(library: LifeLibrary, adapter: Adapter, isGone: boolean): Promise<void> {
  const { driver, context } = adapter;
  if (isGone) {
    adapter.state = AdapterState.REMOVED;
    if (!adapter.isGivenUp) driver.devicePnpEventNotifyEx?.(context, DevicePnpEvent.SURPRISE_REMOVED);
  }
  await library.unbind(adapter, isGone);
  adapter.state = AdapterState.REMOVED;
  library.forget(adapter);
  await library.halt(adapter, isGone ? HaltAction.SURPRISE_REMOVED : HaltAction.DISABLED);
}
