/**
 * Whether a connection may be offloaded now, and if not, why. INIT-072, INIT-073, CAP-022, EVT-031 and the published capabilities.
 */

import { TcpConnectionState } from '../../state/tcp.ts';
import { TcpMode } from '../../tcp/connection.ts';
import { NeighborState } from '../path/types.ts';
import { EndpointFlag } from '../transport/endpoint-flags.ts';
import { ChimneyError } from './error.ts';
import type { OffloadedConnection } from './objects.ts';

/** States in which a connection may be offloaded (INIT-072). */
const OFFLOADABLE_STATES: ReadonlySet<number> = new Set([
  TcpConnectionState.ESTABLISHED,
  TcpConnectionState.FIN_WAIT1,
  TcpConnectionState.FIN_WAIT2,
  TcpConnectionState.CLOSE_WAIT,
  TcpConnectionState.CLOSING,
  TcpConnectionState.LAST_ACK,
]);

const STILL = { power: 'asleep', pause: 'paused', reset: 'being reset', removal: 'being removed' } as const;

/** Null: it may. */
export function whyNotOffloadable(connection: OffloadedConnection): ChimneyError | null {
  const { adapter, endpoint } = connection;
  const no = (why: string): ChimneyError => new ChimneyError('NOT_OFFLOADABLE', why);
  if (connection.isReleased || endpoint.location === 'closed') return no('the connection is closed');
  if (adapter.capabilities === null) return no(`adapter ${adapter.name} has no chimney, or a driver above it has none`);
  if (adapter.isPaused) return no(`the target of ${adapter.name} has asked for a pause`);
  const [why] = adapter.stillBecause;
  if (why !== undefined) return no(`adapter ${adapter.name} is ${STILL[why]}`);
  if (!adapter.iface.isUp) return no(`the link of ${adapter.name} is down`);
  if (!OFFLOADABLE_STATES.has(endpoint.tcp.state)) return no('the connection is not established');
  if ((endpoint.flags & EndpointFlag.IP_OPTIONS) !== 0) return no('its packets have IPv4 options');
  if (endpoint.tcp.hasMode(TcpMode.ECN))
    return no('it has agreed on ECN, whose echo has no place in the delegated state');
  const { capabilities } = adapter;
  if (endpoint.path.family === 4 ? !capabilities.ip4 : !capabilities.ip6) {
    return no(`the target does not offload IPv${endpoint.path.family}`);
  }
  if (endpoint.path.iface !== adapter.iface) return no('the connection goes over another adapter now');
  if (!endpoint.path.isUp) return no('there is no route to its peer');
  if (!isNextHopKnown(connection)) return no('the next hop is not resolved');
  return null;
}

/** Whether the link-layer address of its next hop is known, if it needs one. */
export function isNextHopKnown(connection: OffloadedConnection): boolean {
  const entry = connection.endpoint.path.neighbor;
  return entry === null || entry.state >= NeighborState.REACHABLE;
}
