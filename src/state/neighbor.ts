/**
 * Neighbor state as it crosses the chimney: next-hop link-layer addresses, VLAN and reachability. chimney-ddi 7.4.
 */

/** Bytes of a link-layer address field in the interface; a MAC uses the first six. */
export const DL_ADDRESS_BYTES = 32;

/** NEIGHBOR_OFFLOAD_STATE_CONST. */
export class NeighborConstState {
  /** Source MAC of all frames to this neighbor; all zero: use the interface's own. */
  readonly dlSourceAddress: Uint8Array = new Uint8Array(DL_ADDRESS_BYTES);
  /** VLAN for frames of this neighbor, 12 bits; 0: not significant. */
  vlanId = 0;
}

/** NEIGHBOR_OFFLOAD_STATE_CACHED. */
export class NeighborCachedState {
  /** MAC of the next hop. */
  readonly dlDestinationAddress: Uint8Array = new Uint8Array(DL_ADDRESS_BYTES);
  /** HRD, ticks, unsigned 32 bits: the host's clock minus this is when the host last confirmed reachability. */
  hostReachabilityDelta = 0;
}

/** NEIGHBOR_OFFLOAD_STATE_DELEGATED. */
export class NeighborDelegatedState {
  /** NRD, ticks, unsigned 32 bits: the target's clock minus this is when the target last confirmed reachability. */
  nicReachabilityDelta = 0;
}
