/**
 * Checkers of OIDs: capabilities, tunables, counters of each family.
 */

import {
  type IpOffloadStats,
  NdisStatus,
  Oid,
  type OidRequest,
  type TcpConnectionOffloadParameters,
  type TcpOffloadStats,
} from '../../ndis/protocol.ts';
import type { Checker, Watch } from '../checker.ts';
import type { Ledger } from '../ledger.ts';

/** Tunables that a target has to know, and the rule that says so. */
const TUNABLES: readonly (readonly [rules: readonly string[], name: keyof TcpConnectionOffloadParameters])[] = [
  [['CAP-026'], 'ticksPerSecond'],
  [['CAP-027'], 'tcpAckFrequency'],
  [['CAP-028'], 'tcpDelayedAckTicks'],
  [['CAP-029'], 'tcpMaximumRetransmissions'],
  [['CAP-030'], 'tcpDoubtReachabilityRetransmissions'],
  [['CAP-031'], 'tcpSwsPreventionTicks'],
  [['CAP-032'], 'tcpDuplicateAckThreshold'],
  [['CAP-033'], 'tcpPushTicks'],
  [['CAP-034', 'NBR-010'], 'nceStaleTicks'],
];

const TICKS: readonly number[] = [10, 100, 1000];

/** Capabilities and tunables. */
const tunables: Checker = {
  about: 'capabilities and tunables',
  must: [
    ...['CAP-019', 'CAP-021', 'CAP-023', 'CAP-026', 'CAP-027', 'CAP-028', 'CAP-029', 'CAP-032', 'CAP-033', 'CAP-034'],
    ...['NBR-010', 'TCP-004'],
  ],
  should: ['CAP-030', 'CAP-031'],
  oidRequest(watch, { oid, kind, information }) {
    if (kind !== 'set' || (oid !== Oid.TCP_TASK_OFFLOAD && oid !== Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS)) return;
    const given = information as Partial<TcpConnectionOffloadParameters> | null;
    if (given?.ticksPerSecond === undefined) {
      watch.breach('CAP-021', 'host', null, 'TicksPerSecond and the other tunables in the set', 'none');
    } else if (!TICKS.includes(given.ticksPerSecond)) {
      watch.breach('TCP-004', 'host', null, '10, 100 or 1000 ticks a second', `${given.ticksPerSecond}`);
    }
  },
  oidAnswered(watch, { oid, kind, information }, status) {
    if (kind !== 'query') return;
    if (oid === Oid.TCP_TASK_OFFLOAD && status === NdisStatus.SUCCESS && information === null) {
      watch.breach('CAP-019', 'target', null, 'NDIS_TASK_TCP_CONNECTION_OFFLOAD in the answer', 'nothing');
    }
    if (oid !== Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS || watch.ledger.tunables === null) return;
    if (status !== NdisStatus.SUCCESS || information === null) {
      watch.breach('CAP-023', 'target', null, 'the tunables that are in force', 'no answer');
    } else checkTunables(watch, watch.ledger.tunables, information as TcpConnectionOffloadParameters);
  },
};

function checkTunables(
  watch: Watch,
  given: TcpConnectionOffloadParameters,
  told: TcpConnectionOffloadParameters,
): void {
  for (const [rules, name] of TUNABLES) {
    if (given[name] === told[name]) continue;
    watch.breach(rules, 'target', null, `${name} ${String(given[name])}, as it was set`, String(told[name]));
  }
}

/** Of fewer it cannot be said that there were not as many since. */
const ENOUGH = 8n;

/** Counters of one family, as far as they were seen. */
interface Counted {
  /** The count that the last query has told. */
  last: bigint;
  /** The number of the set that has succeeded since; 0: none. */
  resetAt: number;
}

const counted: WeakMap<Ledger, Map<number, Counted>> = new WeakMap();

function countedOf(ledger: Ledger, oid: number): Counted {
  let all = counted.get(ledger);
  if (all === undefined) {
    all = new Map();
    counted.set(ledger, all);
  }
  let one = all.get(oid);
  if (one === undefined) {
    one = { last: 0n, resetAt: 0 };
    all.set(oid, one);
  }
  return one;
}

/** Counters: each family its own, and zero after a set. */
const counters: Checker = {
  about: 'counters of each IP family',
  must: ['STAT-001', 'STAT-002'],
  should: ['STAT-024', 'STAT-025'],
  oidAnswered(watch, request, status) {
    const count = status === NdisStatus.SUCCESS ? countOf(request) : null;
    if (count === null) return;
    const isFour = request.oid === Oid.IP4_OFFLOAD_STATS || request.oid === Oid.TCP4_OFFLOAD_STATS;
    const isIp = request.oid === Oid.IP4_OFFLOAD_STATS || request.oid === Oid.IP6_OFFLOAD_STATS;
    const books = countedOf(watch.ledger, request.oid);
    if (request.kind === 'set') {
      books.resetAt = watch.ledger.number;
      return;
    }
    const hasBeen = isFour ? watch.ledger.hasBeen4 : watch.ledger.hasBeen6;
    if (watch.ledger.isWhole && !hasBeen && count > 0n) {
      const expected = `nothing counted of IPv${isFour ? 4 : 6}, of which nothing was offloaded`;
      watch.breach(isIp ? 'STAT-001' : 'STAT-002', 'target', null, expected, `${count}`);
    }
    // With nothing in between: what traffic there is would have to be as much as all before.
    const isNext = books.resetAt > 0 && watch.ledger.number <= books.resetAt + 1;
    if (isNext && books.last >= ENOUGH && count >= books.last) {
      const rule = isIp ? 'STAT-024' : 'STAT-025';
      watch.breach(rule, 'target', null, `counters that begin again, after ${books.last}`, `${count}`);
    }
    books.resetAt = 0;
    books.last = count;
  },
};

/** Datagrams or segments, both ways; null: another OID, or no answer. A set counts as nothing. */
function countOf({ oid, kind, information }: OidRequest): bigint | null {
  const isIp = oid === Oid.IP4_OFFLOAD_STATS || oid === Oid.IP6_OFFLOAD_STATS;
  const isTcp = oid === Oid.TCP4_OFFLOAD_STATS || oid === Oid.TCP6_OFFLOAD_STATS;
  if (!isIp && !isTcp) return null;
  if (kind === 'set') return 0n;
  if (information === null) return null;
  if (isIp) {
    const { inReceives, outRequests } = information as IpOffloadStats;
    return inReceives + outRequests;
  }
  const { inSegments, outSegments } = information as TcpOffloadStats;
  return inSegments + outSegments;
}

export const SETTING_CHECKERS: readonly Checker[] = [tunables, counters];
