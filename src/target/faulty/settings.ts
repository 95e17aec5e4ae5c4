/** Faults of answers to OIDs: capabilities, tunables, counters. */

import {
  type IpOffloadStats,
  NdisStatus,
  Oid,
  type OidRequest,
  type TcpConnectionOffloadParameters,
  type TcpOffloadStats,
} from '../../ndis/miniport.ts';
import { alias, type Fault, fault, type Shim } from './shim.ts';

/** Changes answers to OIDs. */
export function answers(shim: Shim, change: (request: OidRequest, status: number) => number): void {
  const former = shim.below.oidRequest;
  shim.below.oidRequest = (context, request) => change(request, former(context, request));
}

/** Tells a tunable that was not set. */
function tells(rule: string, name: keyof TcpConnectionOffloadParameters): Fault {
  return fault(rule, `has a ${name} of its own`, (shim) =>
    answers(shim, (request, status) => {
      const { oid, kind, information } = request;
      if (oid === Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS && kind === 'query' && information !== null) {
        const tunables = information as TcpConnectionOffloadParameters;
        request.information = { ...tunables, [name]: Number(tunables[name]) + 10 };
      }
      return status;
    }),
  );
}

/** Says that counters are reset, and does not. */
function keepsCounters(rule: string, family: readonly number[]): Fault {
  return fault(rule, 'takes a reset of counters, and counts on', (shim) => {
    const former = shim.below.oidRequest;
    shim.below.oidRequest = (context, request) =>
      request.kind === 'set' && family.includes(request.oid) ? NdisStatus.SUCCESS : former(context, request);
  });
}

const stale = tells('CAP-034', 'nceStaleTicks');

export const SETTING_FAULTS: readonly Fault[] = [
  fault('CAP-019', 'answers the query of its capabilities with nothing', (shim) =>
    answers(shim, (request, status) => {
      if (request.oid === Oid.TCP_TASK_OFFLOAD && request.kind === 'query') request.information = null;
      return status;
    }),
  ),
  fault('CAP-023', 'does not say which tunables are in force', (shim) =>
    answers(shim, ({ oid, kind }, status) =>
      oid === Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS && kind === 'query' ? NdisStatus.NOT_SUPPORTED : status,
    ),
  ),
  tells('CAP-026', 'ticksPerSecond'),
  tells('CAP-027', 'tcpAckFrequency'),
  tells('CAP-028', 'tcpDelayedAckTicks'),
  tells('CAP-029', 'tcpMaximumRetransmissions'),
  tells('CAP-030', 'tcpDoubtReachabilityRetransmissions'),
  tells('CAP-031', 'tcpSwsPreventionTicks'),
  tells('CAP-032', 'tcpDuplicateAckThreshold'),
  tells('CAP-033', 'tcpPushTicks'),
  stale,
  alias('NBR-010', stale),
  fault('STAT-001', 'counts datagrams of IPv4 as those of IPv6', (shim) =>
    answers(shim, (request, status) => {
      const stats = request.information as IpOffloadStats;
      if (request.oid === Oid.IP6_OFFLOAD_STATS) request.information = { ...stats, inReceives: 5n };
      return status;
    }),
  ),
  fault('STAT-002', 'counts segments over IPv4 as those over IPv6', (shim) =>
    answers(shim, (request, status) => {
      const stats = request.information as TcpOffloadStats;
      if (request.oid === Oid.TCP6_OFFLOAD_STATS) request.information = { ...stats, inSegments: 5n };
      return status;
    }),
  ),
  keepsCounters('STAT-024', [Oid.IP4_OFFLOAD_STATS, Oid.IP6_OFFLOAD_STATS]),
  keepsCounters('STAT-025', [Oid.TCP4_OFFLOAD_STATS, Oid.TCP6_OFFLOAD_STATS]),
];
