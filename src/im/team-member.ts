/** A member of a team: an adapter below, and what it has said of itself. */

import type { AdapterAttributes, NdisBindingHandle } from '../ndis/protocol.ts';

/** One adapter below. The context of its binding. */
export class TeamMember {
  /** Name of the adapter. */
  readonly name: string;
  binding!: NdisBindingHandle;
  /** Whether its link is up; adapters that say nothing are. */
  isUp = true;
  /** NDIS has paused it, or it is about to go. */
  isStopped = false;
  /** It is going away, or gone: its binding is closed as soon as nothing of ours is there. */
  isLeaving = false;
  isClosed = false;
  /** What its link carries, bytes. */
  mtu = 0;
  /** It has asked for a pause (or an upload of all), and not yet resumed. */
  isPaused = false;

  constructor(name: string) {
    this.name = name;
  }

  get isUsable(): boolean {
    return this.isUp && !this.isStopped;
  }
}

/**
 * What the team shows above: one address, and what every member can carry. Throws RangeError where members differ in medium or
 * address: frames that leave by one must be frames that could have left by another.
 */
export function commonAttributes(name: string, all: readonly AdapterAttributes[]): AdapterAttributes {
  const first = all[0];
  if (first === undefined) throw new RangeError('members: expected at least one adapter');
  for (const other of all) {
    if (other.medium !== first.medium) {
      throw new RangeError(`members: expected one medium, got ${first.medium} and ${other.medium} (${other.name})`);
    }
    if (other.macAddress.some((byte, i) => byte !== first.macAddress[i])) {
      throw new RangeError(`members: expected one MAC address for all, ${other.name} has another than ${first.name}`);
    }
  }
  const mtu = Math.min(...all.map((one) => one.mtu));
  const largeSendBytes = Math.min(...all.map((one) => one.largeSendBytes ?? 0));
  const largeDatagrams = all.every((one) => one.largeDatagrams === true);
  const { medium, macAddress } = first;
  return { name, medium, mtu, macAddress, largeSendBytes, ...(largeDatagrams ? { largeDatagrams } : {}) };
}
