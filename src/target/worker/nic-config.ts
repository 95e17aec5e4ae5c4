/** What of a worker target's options the NIC half is told, at its start and later. */

import { type AdapterAttributes, Oid } from '../../ndis/miniport.ts';
import { type CongestionName, congestionControl } from '../../tcp/congestion/named.ts';
import type { TcpParameterChanges } from '../../tcp/parameters.ts';
import type { Discretion } from '../engine/discretion.ts';
import type { ArenaSizes } from './arena.ts';
import type { NicConfig } from './nic-half.ts';
import type { WorkerAdapterOptions } from './worker-adapter.ts';

/** OIDs whose setting the NIC half must know. */
export const FOLLOWED: ReadonlySet<number> = new Set([
  Oid.TCP_TASK_OFFLOAD,
  Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS,
  Oid.TCP_OFFLOAD_PARAMETERS,
  Oid.PNP_SET_POWER,
]);

/** The size of the pool that an option of the engine target names. */
export function receiveSize(options: WorkerAdapterOptions): Partial<ArenaSizes> {
  return options.receivePoolBytes === undefined ? {} : { receiveBytes: options.receivePoolBytes };
}

/** Parameters that can be told to another thread: a congestion control goes by its name. Throws a TypeError for one without. */
function transferable(tcp: TcpParameterChanges): TcpParameterChanges {
  const { congestion } = tcp;
  if (congestion === undefined || typeof congestion === 'string') return tcp;
  const name = congestion.name as CongestionName;
  congestionControl(name);
  return { ...tcp, congestion: name };
}

/** Posted receives are the driver half's, and so is what waits to be taken: the NIC half cannot judge them. */
function seenBelow(discretion: Discretion): Discretion {
  const { unpostedBytes: _bytes, stuckUs: _us, smallIoBytes: _io, leastRequests: _requests, ...seen } = discretion;
  return seen;
}

/** What of the options the NIC half gets. */
export function configOf(options: WorkerAdapterOptions, attributes: AdapterAttributes): NicConfig {
  const { capacity, vlanIds, allowSourceMac, supports8021p, multicastAddresses } = options;
  const { badPackets, backlogLists, pauseQueueUs, invalidated, discretion, tcp } = options;
  const all = {
    capacity,
    vlanIds,
    allowSourceMac,
    supports8021p,
    multicastAddresses,
    badPackets,
    backlogLists,
    pauseQueueUs,
    invalidated,
    discretion: discretion === undefined ? undefined : seenBelow(discretion),
    tcp: tcp === undefined ? undefined : transferable(tcp),
  };
  const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  return {
    ...given,
    name: attributes.name,
    macAddress: attributes.macAddress,
    showsPackets: (options.packetTap ?? null) !== null,
  };
}
