/**
 * Another NIC half in place of one that has died: how often, and what it is told of what went before.
 *
 * What the host has set and the operator wants outlives the NIC half; objects, rings and memory do not. Source: chimney-sequences 18
 * (UPLOAD_ALL, then OFFLOAD_RESUME), TERM-074.
 */

import {
  NdisDevicePowerState,
  NdisStatus,
  OffloadParameter,
  type OffloadParameters,
  Oid,
} from '../../ndis/miniport.ts';
import { OperationKind } from '../engine/engine.ts';
import { applyTunables } from '../engine/tunables.ts';
import type { Driver } from './driver.ts';
import { Down, Wish } from './records.ts';

/** New NIC halves in {@link WITHIN_US}, unless told otherwise. */
export const RESTARTS_DEFAULT = 3;
const WITHIN_US = 60_000_000;

/** How often a NIC half may still be replaced. */
export class Restarts {
  readonly #most: number;
  #times: number[] = [];

  /** `most`: within a minute. Throws RangeError on what is no count. */
  constructor(most: number) {
    if (!Number.isInteger(most) || most < 0) throw new RangeError(`restart: expected a count, got ${most}`);
    this.#most = most;
  }

  /** Takes one, if there is one left. */
  take(nowUs: number): boolean {
    this.#times = this.#times.filter((atUs) => nowUs - atUs < WITHIN_US);
    if (this.#times.length >= this.#most) return false;
    this.#times.push(nowUs);
    return true;
  }
}

/** Whether nothing is left of what a NIC half had: connections, and (unless somebody else sees to them) paths and neighbors. */
export function isEmpty(driver: Driver): boolean {
  if (driver.operations.size > 0 || driver.connectionCount > 0) return false;
  return driver.isOneOfSeveral || driver.pathCount + driver.neighborCount === 0;
}

/** What was set and counted before is so with the new one, too. */
export function inherit(from: Driver, to: Driver): void {
  to.capacity = from.capacity;
  to.tunables = from.tunables;
  applyTunables(to.tunables, to.parameters);
  to.administration.ip4 = from.administration.ip4;
  to.administration.ip6 = from.administration.ip6;
  to.isEnabled = from.isEnabled;
  to.isStill = from.isStill;
  to.isOneOfSeveral = from.isOneOfSeveral;
  to.powerState = from.powerState;
  to.linkMtu = from.linkMtu;
}

/** The new one is in use: what is still to be said is said there, and its NIC half is told what was set. */
export function takeUp(from: Driver, to: Driver, isPaused: boolean): void {
  inherit(from, to);
  for (const family of [4, 6]) to.statistics(family).goOnFrom(from.statistics(family));
  to.pendingPower = from.pendingPower;
  from.pendingPower = null;
  const { ip4, ip6 } = to.administration;
  const parameters: OffloadParameters = { tcpConnectionIPv4: settingOf(ip4), tcpConnectionIPv6: settingOf(ip6) };
  sayOid(to, Oid.TCP_OFFLOAD_PARAMETERS, parameters);
  sayOid(to, to.isEnabled ? Oid.TCP_TASK_OFFLOAD : Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS, to.tunables);
  if (to.powerState !== NdisDevicePowerState.D0) sayOid(to, Oid.PNP_SET_POWER, to.powerState);
  if (to.isStill) to.out.say(Down.WISH, Wish.STILL, 1);
  if (isPaused) to.out.say(Down.WISH, Wish.PAUSE);
  for (const status of from.statuses.splice(0)) to.enqueue(OperationKind.STATUS, null, status);
  if (!isPaused && !to.isOneOfSeveral) to.enqueue(OperationKind.STATUS, null, NdisStatus.OFFLOAD_RESUME);
}

function settingOf(isEnabled: boolean): OffloadParameter {
  return isEnabled ? OffloadParameter.CONNECTION_OFFLOAD_ENABLED : OffloadParameter.CONNECTION_OFFLOAD_DISABLED;
}

/** The NIC half follows what was set. */
export function sayOid(driver: Driver, oid: number, information: unknown): void {
  driver.out.begin(Down.OID);
  driver.out.put(oid);
  driver.out.putJson(information);
  driver.out.end();
}
