/**
 * The error of a chimney operation that did not happen. Chimney's own code, with the NDIS_STATUS that says why.
 */

import type { ChimneyErrorShape } from '../api.ts';

/** Rejects offload, query and invalidate calls. `status` is an NDIS_STATUS name or 'NOT_OFFLOADABLE'. */
export class ChimneyError extends Error implements ChimneyErrorShape {
  override readonly name: string = 'ChimneyError';
  readonly code: 'ERR_CHIMNEY' = 'ERR_CHIMNEY';
  readonly status: string;

  constructor(status: string, message: string) {
    super(`${status}: ${message}`);
    this.status = status;
  }
}

/** What each refusal of a target means, in words a person can act on. chimney-ddi 10. */
const REFUSALS: Readonly<Record<string, string>> = {
  FAILURE: 'the target could not take the connection, or never got as far as trying',
  RESOURCES: 'the target could not allocate host memory',
  OFFLOAD_TCP_ENTRIES: 'the target has no free TCP connection object',
  OFFLOAD_PATH_ENTRIES: 'the target has no free path object',
  OFFLOAD_NEIGHBOR_ENTRIES: 'the target has no free neighbor object',
  OFFLOAD_HW_ADDRESS_ENTRIES: 'the target cannot send from another MAC than its own',
  OFFLOAD_IP_ADDRESS_ENTRIES: 'the target has no room for another source IP address',
  OFFLOAD_TCP_XMIT_BUFFER: 'the target has too few transmit buffers',
  OFFLOAD_TCP_RCV_BUFFER: 'the target has too few receive buffers',
  OFFLOAD_TCP_RCV_WINDOW: 'the receive window is larger than the target supports',
  OFFLOAD_VLAN_ENTRIES: 'the target has no VLAN resources left',
  OFFLOAD_VLAN_MISMATCH: 'the VLAN of the neighbor is not one of the interface',
  OFFLOAD_PATH_MTU: 'the path MTU is larger than the target supports',
  OFFLOAD_CONNECTION_REJECTED: 'the target judges the connection a poor candidate',
};

/** The error for a connection whose block came back with a failing status. */
export function refusal(statusName: string): ChimneyError {
  return new ChimneyError(statusName, REFUSALS[statusName] ?? 'the target refused the connection');
}
