/**
 * What happens to the connections of an adapter when the adapter changes: its configuration, its power, its life.
 *
 * Promises: before a power-down, a pause, a reset or a removal everything that is offloaded has come back, connections before paths
 * before neighbors (PWR-001); what was offloaded then goes down again when the adapter works again. An adapter may stand still
 * for several reasons at once. Sources: chimney-sequences 18 and 26, CAP-036, NDIS 6.0 ProtocolNetPnPEvent.
 */

import type { Later } from '../../base/later.ts';
import type { TcpConnectionOffload } from '../../ndis/protocol.ts';
import type { ChimneyAdapter, StandingStill } from './adapter.ts';
import type { ChimneyContext } from './context.ts';
import { ObjectState, type OffloadedConnection } from './objects.ts';
import { isNextHopKnown } from './offloadable.ts';

/** How often it is looked whether everything has come back, microseconds. */
const LOOK_US = 1000;

/** NDIS_STATUS_TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG: connections of a family that is not offloaded any more come back. */
export function configurationChanged(context: ChimneyContext, adapter: ChimneyAdapter, buffer: unknown): void {
  adapter.queryCapabilities(context.ndis);
  if (typeof buffer !== 'object' || buffer === null) return;
  const { supportIPv4, supportIPv6 } = buffer as TcpConnectionOffload;
  for (const connection of adapter.connections) {
    const isSupported = connection.path.entry.family === 4 ? supportIPv4 : supportIPv6;
    if (!isSupported) context.moves.requestTakeBack(connection, 'configuration', null, null);
  }
}

/** Takes everything back and offloads nothing more until {@link resumeAdapter}. Resolves when nothing is below any more. */
export async function suspendAdapter(
  context: ChimneyContext,
  adapter: ChimneyAdapter,
  later: Later,
  why: StandingStill,
): Promise<void> {
  adapter.stillBecause.add(why);
  // Those that wait to be offloaded are refused when their turn comes.
  const here = [...adapter.connections];
  for (const connection of here) adapter.sleepers.add(connection);
  await Promise.all(here.map((connection) => takeBack(context, connection, why)));
  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (adapter.connections.size + adapter.paths.size + adapter.neighbors.size === 0) resolve();
      else later.at(context.runtime.nowUs() + LOOK_US, look);
    };
    look();
  });
}

function takeBack(context: ChimneyContext, connection: OffloadedConnection, why: StandingStill): Promise<void> {
  return new Promise((resolve) => {
    const waiter = { resolve: () => resolve(), reject: () => resolve() };
    // Nothing that was asked for before is to bring it down again behind the sleeper's back.
    if (connection.state === ObjectState.TERMINATING) connection.wantsOffload = false;
    context.moves.requestTakeBack(connection, why, null, waiter);
  });
}

/** Asks for the capabilities anew and sends down again what had to come back, if nothing else keeps the adapter still. */
export function resumeAdapter(context: ChimneyContext, adapter: ChimneyAdapter, why: StandingStill): void {
  if (!adapter.stillBecause.delete(why) || adapter.stillBecause.size > 0) return;
  adapter.queryCapabilities(context.ndis);
  adapter.resumedBecause = why;
  wakeSleepers(context, adapter);
}

/** Those whose next hop has been forgotten meanwhile wait until it is found: called again then. */
export function wakeSleepers(context: ChimneyContext, adapter: ChimneyAdapter): void {
  // A target that is paused, or has not said yet what it can do, is waited for.
  if (adapter.stillBecause.size > 0 || adapter.isPaused || adapter.capabilities === null) return;
  for (const connection of adapter.sleepers) {
    if (!connection.isReleased && !isNextHopKnown(connection)) continue;
    adapter.sleepers.delete(connection);
    if (!connection.isReleased) context.moves.requestOffload(connection, adapter.resumedBecause, null);
  }
}
