/**
 * NDIS_TCP_CONNECTION_OFFLOAD_PARAMETERS and what the engine makes of them: ticks become microseconds (CAP-026 to CAP-034).
 */

import {
  type EncapsulationSetting,
  NDIS_OBJECT_TYPE_DEFAULT,
  NdisEncapsulation,
  type NdisObjectHeader,
  type OffloadEncapsulation,
  TCP_CONNECTION_OFFLOAD_PARAMETERS_REVISION_1,
  TCP_CONNECTION_OFFLOAD_PARAMETERS_SIZE,
  type TcpConnectionOffloadParameters,
} from '../../ndis/miniport.ts';
import type { TcpParameters } from '../../tcp/parameters.ts';

/** All bits of an encapsulation type. */
const ENCAPSULATIONS: number = Object.values(NdisEncapsulation).reduce((all: number, bit) => all | bit, 0);

/** Microseconds in a tick of the host. */
export function usPerTick(parameters: TcpConnectionOffloadParameters): number {
  return 1_000_000 / parameters.ticksPerSecond;
}

/** Whether what a host wants to set is within the ranges of the interface (chimney-ddi 7.9, 9). */
export function areTunablesValid(value: unknown): value is TcpConnectionOffloadParameters {
  if (typeof value !== 'object' || value === null) return false;
  const p = value as TcpConnectionOffloadParameters;
  return (
    isHeaderRight(p.header) &&
    isEncapsulation(p.encapsulation) &&
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

/** CAP-024. */
function isHeaderRight(header: NdisObjectHeader | undefined): boolean {
  return (
    header !== undefined &&
    header.type === NDIS_OBJECT_TYPE_DEFAULT &&
    header.revision === TCP_CONNECTION_OFFLOAD_PARAMETERS_REVISION_1 &&
    header.size === TCP_CONNECTION_OFFLOAD_PARAMETERS_SIZE
  );
}

function isEncapsulation(value: OffloadEncapsulation | undefined): boolean {
  return typeof value === 'object' && value !== null && isSetting(value.ipv4) && isSetting(value.ipv6);
}

function isSetting(value: EncapsulationSetting | undefined): boolean {
  return value !== undefined && typeof value.enabled === 'boolean' && isCount(value.types, 0, ENCAPSULATIONS);
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
