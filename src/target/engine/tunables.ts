/**
 * NDIS_TCP_CONNECTION_OFFLOAD_PARAMETERS and what the engine makes of them: ticks become microseconds (CAP-026 to CAP-034).
 */

import type { TcpConnectionOffloadParameters } from '../../ndis/miniport.ts';
import type { TcpParameters } from '../../tcp/parameters.ts';

/** Microseconds in a tick of the host. */
export function usPerTick(parameters: TcpConnectionOffloadParameters): number {
  return 1_000_000 / parameters.ticksPerSecond;
}

/** Whether what a host wants to set is within the ranges of the interface (chimney-ddi 7.9, 9). */
export function areTunablesValid(value: unknown): value is TcpConnectionOffloadParameters {
  if (typeof value !== 'object' || value === null) return false;
  const p = value as TcpConnectionOffloadParameters;
  return (
    (p.ticksPerSecond === 10 || p.ticksPerSecond === 100 || p.ticksPerSecond === 1000) &&
    isCount(p.tcpAckFrequency, 1, 255) &&
    isCount(p.tcpDelayedAckTicks, 0, 255) &&
    isCount(p.tcpMaximumRetransmissions, 0, 255) &&
    isCount(p.tcpDoubtReachabilityRetransmissions, 0, 255) &&
    isCount(p.tcpSwsPreventionTicks, 0, 0xffffffff) &&
    isCount(p.tcpDuplicateAckThreshold, 1, 0xffffffff) &&
    isCount(p.tcpPushTicks, 0, 0xffffffff) &&
    isCount(p.nceStaleTicks, 0, 0xffffffff)
  );
}

function isCount(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

/** Writes the host's tunables into the engine's parameters. */
export function applyTunables(tunables: TcpConnectionOffloadParameters, p: TcpParameters): void {
  const tick = usPerTick(tunables);
  p.ticksPerSecond = tunables.ticksPerSecond;
  p.ackFrequency = tunables.tcpAckFrequency;
  p.delayedAckUs = tunables.tcpDelayedAckTicks * tick;
  p.maximumRetransmissions = tunables.tcpMaximumRetransmissions;
  p.doubtRetransmissions = tunables.tcpDoubtReachabilityRetransmissions;
  p.swsUs = tunables.tcpSwsPreventionTicks * tick;
  p.duplicateAckThreshold = tunables.tcpDuplicateAckThreshold;
}
