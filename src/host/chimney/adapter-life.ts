/**
 * What happens to the connections of an adapter when the adapter changes: its configuration, its power.
 *
 * Promises: before a power-down everything that is offloaded has come back, connections before paths before neighbors (PWR-001);
 * what was offloaded then goes down again after the wake. Sources: chimney-sequences 18 and 26, CAP-036.
 */

import type { Later } from '../../base/later.ts';
import type { TcpConnectionOffload } from '../../ndis/protocol.ts';
import type { ChimneyAdapter } from './adapter.ts';
import type { ChimneyContext } from './context.ts';
import type { OffloadedConnection } from './objects.ts';

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
export async function suspendAdapter(context: ChimneyContext, adapter: ChimneyAdapter, later: Later): Promise<void> {
  adapter.isAsleep = true;
  adapter.sleepers = [...adapter.connections];
  await Promise.all(adapter.sleepers.map((connection) => takeBack(context, connection)));
  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (adapter.connections.size + adapter.paths.size + adapter.neighbors.size === 0) resolve();
      else later.at(context.runtime.nowUs() + LOOK_US, look);
    };
    look();
  });
}

function takeBack(context: ChimneyContext, connection: OffloadedConnection): Promise<void> {
  return new Promise((resolve) => {
    const waiter = { resolve: () => resolve(), reject: () => resolve() };
    context.moves.requestTakeBack(connection, 'power', null, waiter);
  });
}

/** Asks for the capabilities anew and sends down again what had to come back. */
export function resumeAdapter(context: ChimneyContext, adapter: ChimneyAdapter): void {
  adapter.isAsleep = false;
  adapter.queryCapabilities(context.ndis);
  const sleepers = adapter.sleepers;
  adapter.sleepers = [];
  for (const connection of sleepers) {
    if (!connection.isReleased) context.moves.requestOffload(connection, 'power', null);
  }
}
