/**
 * What the engine target can take: published as capabilities, enforced at initiate.
 */

import {
  type MiniportOffloadBlock,
  NdisChimneyOffloadType,
  type TcpConnectionOffloadCapabilities,
} from '../../ndis/miniport.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import type { Layer } from './contexts.ts';

/** Limits of the target. */
export interface Capacity {
  /** TCP objects. */
  readonly tcpEntries: number;
  readonly pathEntries: number;
  readonly neighborEntries: number;
  /** Largest InitialRcvWnd, bytes. */
  readonly maxRcvWindow: number;
  /** Largest path MTU, bytes. */
  readonly maxPathMtu: number;
  /** Source MACs other than the interface's own, counting each once. */
  readonly hwAddressEntries: number;
  /** Source IP addresses, counting each once. */
  readonly ipAddressEntries: number;
  /** VLANs other than 0, counting each once. */
  readonly vlanEntries: number;
}

/** Limits unless told otherwise. */
export const DEFAULT_CAPACITY: Capacity = {
  tcpEntries: 1_000_000,
  pathEntries: 262_144,
  neighborEntries: 65_536,
  maxRcvWindow: 16 * 1024 * 1024,
  maxPathMtu: 65_535,
  hwAddressEntries: 64,
  ipAddressEntries: 65_536,
  vlanEntries: 64,
};

/** What {@link Refuse} is asked about. */
export interface OffloadCandidate {
  readonly layer: Layer;
  readonly block: MiniportOffloadBlock;
}

/**
 * A policy: the NDIS_STATUS with which an object is refused (CONNECTION_REJECTED, RESOURCES, OFFLOAD_TCP_XMIT_BUFFER, ...), or
 * SUCCESS to let it be taken. Asked after the target's own limits.
 */
export type Refuse = (candidate: OffloadCandidate) => number;

/**
 * Memory for the scatter-gather lists of a send: false when there is none left. The connection is then asked back (INIT-078);
 * the send, which cannot be refused (SEND-006), goes back with it.
 */
export type AllocateSends = (lists: NetBufferList) => boolean;

/** The limits as OID_TCP_TASK_OFFLOAD reports them (CAP-019). */
export function capabilitiesOf(
  capacity: Capacity,
  canSetSourceMac: boolean,
  supports8021p: boolean,
): TcpConnectionOffloadCapabilities {
  return {
    chimneyTypes: [NdisChimneyOffloadType.TCP],
    ip4: true,
    ip6: true,
    maxTcpEntries: capacity.tcpEntries,
    maxPathEntries: capacity.pathEntries,
    maxNeighborEntries: capacity.neighborEntries,
    maxRcvWindow: capacity.maxRcvWindow,
    maxPathMtu: capacity.maxPathMtu,
    canSetSourceMac,
    supports8021p,
    sack: true,
    timestamps: true,
    windowScaling: true,
  };
}
