/**
 * What an adapter's status indications change: whether it takes connections, which it gives up, what it can do.
 *
 * Source: chimney-sequences 18 (NDIS_STATUS_OFFLOAD_PAUSE, OFFLOAD_RESUME, UPLOAD_ALL).
 */

import { NdisStatus, type StatusIndication } from '../../ndis/protocol.ts';
import type { ChimneyAdapter } from './adapter.ts';
import { configurationChanged, wakeSleepers } from './adapter-life.ts';
import type { ChimneyContext } from './context.ts';

/** ProtocolStatusEx, as far as the chimney is concerned. */
export function statusIndicated(context: ChimneyContext, adapter: ChimneyAdapter, indication: StatusIndication): void {
  switch (indication.statusCode) {
    case NdisStatus.OFFLOAD_PAUSE:
      adapter.isPaused = true;
      context.own.paused(adapter);
      break;
    case NdisStatus.OFFLOAD_RESUME:
      adapter.isPaused = false;
      adapter.queryCapabilities(context.ndis);
      if (adapter.sleepers.size > 0) wakeSleepers(context, adapter);
      break;
    case NdisStatus.UPLOAD_ALL:
      adapter.isPaused = true;
      if (context.offloadsAgain) adapter.resumedBecause = 'upload-all';
      for (const connection of adapter.connections) {
        if (context.offloadsAgain) adapter.sleepers.add(connection);
        context.moves.requestTakeBack(connection, 'upload-all', null, null);
      }
      break;
    case NdisStatus.TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG:
      configurationChanged(context, adapter, indication.statusBuffer);
      break;
    case NdisStatus.TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES:
      adapter.queryCapabilities(context.ndis);
      break;
    default:
      break;
  }
}
