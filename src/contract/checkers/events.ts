/**
 * Checkers of events, statuses, reachability queries and OIDs.
 */

import {
  IndicateOffloadEvent,
  isMandatoryUploadReason,
  NdisDevicePowerState,
  NdisStatus,
  ndisStatusName,
  type OffloadBlock,
  OffloadStateType,
  Oid,
  type OidRequest,
  StateOperation,
  TcpOffloadEventType,
  TcpUploadReason,
} from '../../ndis/protocol.ts';
import { NeighborCachedState, NeighborDelegatedState } from '../../state/neighbor.ts';
import type { Checker, Watch } from '../checker.ts';
import { type ObjectRecord, Phase } from '../records.ts';

const TYPES: readonly number[] = Object.values(TcpOffloadEventType);
const REASONS: readonly number[] = Object.values(TcpUploadReason);

/** Events of one connection. */
const tcpEvents: Checker = {
  about: 'events of a connection',
  must: ['EVT-002', 'EVT-005', 'EVT-006', 'EVT-007', 'EVT-023', 'EVT-029', 'EVT-030', 'CTX-011', 'TERM-006'],
  should: ['EVT-025', 'INIT-054'],
  tcpEvent(watch, object, _handle, type, info) {
    if (object === undefined || object.phase === Phase.ABSENT) {
      watch.breach('EVT-007', 'target', object ?? null, 'the handle of an offloaded connection', 'another');
      return;
    }
    if (!TYPES.includes(type)) watch.breach('EVT-002', 'target', object, 'a TCP_OFFLOAD_EVENT_TYPE', `${type}`);
    if (object.layer === 0 || object.layer === 1) {
      const rule = type === TcpOffloadEventType.INDICATE_RETRIEVE ? 'TERM-006' : 'CTX-011';
      watch.breach(rule, 'target', object, 'events about connections only', `one about ${object.name}`);
      return;
    }
    if (object.isSettling)
      watch.breach('INIT-054', 'target', object, 'no event while an offload is in progress', 'one');
    if (type === TcpOffloadEventType.INDICATE_RETRIEVE) checkRetrieve(watch, object, info);
    if (type === TcpOffloadEventType.INDICATE_DISCONNECT && object.hasDisconnectEvent) {
      watch.breach('EVT-029', 'target', object, 'TcpIndicateDisconnect once, for a FIN that is news', 'another');
    }
    if (type === TcpOffloadEventType.INDICATE_ABORT && object.hasAborted) {
      watch.breach('EVT-030', 'target', object, 'TcpIndicateAbort once', 'another');
    }
    if (type === TcpOffloadEventType.INDICATE_SEND_BACKLOG_CHANGE && !(Number.isInteger(info) && info >= 0)) {
      watch.breach('EVT-006', 'target', object, 'a number of bytes', `${info}`);
    }
    if (type === TcpOffloadEventType.INDICATE_SEND_BACKLOG_CHANGE && info === object.lastBacklog) {
      watch.breach('EVT-025', 'target', object, 'backlog events about changes', `${info} bytes again`);
    }
  },
};

function checkRetrieve(watch: Watch, object: ObjectRecord, reason: number): void {
  if (!REASONS.includes(reason)) {
    watch.breach('EVT-005', 'target', object, 'a TCP_UPLOAD_REASON', `${reason}`);
  } else if (!isMandatoryUploadReason(reason) && object.isHalfClosed) {
    const expected = 'no upload asked for at discretion of a half-closed connection';
    watch.breach('EVT-023', 'target', object, expected, `reason ${reason}`);
  }
}

/** Indications about the adapter and its neighbors. */
const adapterEvents: Checker = {
  about: 'statuses and reachability queries',
  must: [
    ...['EVT-047', 'EVT-048', 'NBR-009', 'NBR-012', 'NBR-013', 'NBR-014', 'NBR-015', 'NBR-017', 'NBR-018', 'NBR-019'],
  ],
  should: ['INIT-052', 'INIT-053', 'CTX-018'],
  status(watch, statusCode) {
    // NDIS says these itself.
    const isOfNdis = statusCode === NdisStatus.RESET_START || statusCode === NdisStatus.RESET_END;
    if (watch.ledger.initiates === 0 || isOfNdis) return;
    const seen = ndisStatusName(statusCode);
    watch.breach('INIT-052', 'target', null, 'no status indication while an offload is in progress', seen);
  },
  offloadEvent(watch, block, code) {
    if (watch.ledger.initiates > 0) {
      watch.breach('INIT-053', 'target', null, 'no reachability query while an offload is in progress', 'one');
    }
    if (code !== IndicateOffloadEvent.NEIGHBOR_REACHABILITY_QUERY) {
      const isReserved = code === IndicateOffloadEvent.NEIGHBOR_REACHABILITY_IN_DOUBT;
      watch.breach(isReserved ? 'EVT-048' : 'EVT-047', 'target', null, 'NeighborReachabilityQuery', `code ${code}`);
      if (block !== null) watch.breach('NBR-018', 'target', null, 'no block with any other code', 'a block');
      return;
    }
    if (block === null) {
      watch.breach('NBR-012', 'target', null, 'a block with the query', 'none');
      return;
    }
    const object = block.offloadHandle === null ? null : (watch.ledger.objectOf(block.offloadHandle) ?? null);
    const say = (rule: string, expected: string): void =>
      watch.breach(rule, 'target', object, expected, 'something else');
    if (object === null) say('CTX-018', 'the handle of the neighbor in the block');
    if (block.dependentBlockList !== null) say('NBR-013', 'a single block');
    if (block.nextBlock !== null) say('NBR-017', 'NextBlock NULL');
    if (block.header.type !== OffloadStateType.NEIGHBOR) say('NBR-014', 'Header.Type NeighborOffloadState');
    if (block.status !== NdisStatus.SUCCESS) say('NBR-015', 'Status SUCCESS');
    if (block.constState === null || block.cachedState === null || block.delegatedState === null) {
      say('NBR-012', 'const, cached and delegated neighbor state behind the block');
    } else checkStale(watch, object, block);
  },
  offloadEventDone(watch, block, code) {
    const cached = block === null ? null : block.cachedState;
    if (code !== IndicateOffloadEvent.NEIGHBOR_REACHABILITY_QUERY || !(cached instanceof NeighborCachedState)) return;
    // What the host has confirmed once it cannot have confirmed longer ago.
    const [most, answer] = [watch.ledger.askedHrd, cached.hostReachabilityDelta >>> 0];
    if (answer <= most + 1) return;
    const expected = `the neighbor's HRD, at most ${most} ticks, or 0 where it is stale`;
    watch.breach('NBR-019', 'host', null, expected, `${answer}`);
  },
};

/** The question is asked only once both times are past. */
function checkStale(watch: Watch, object: ObjectRecord | null, { cachedState, delegatedState }: OffloadBlock): void {
  const { tunables } = watch.ledger;
  if (tunables === null) return;
  if (!(cachedState instanceof NeighborCachedState) || !(delegatedState instanceof NeighborDelegatedState)) return;
  const [hrd, nrd] = [cachedState.hostReachabilityDelta >>> 0, delegatedState.nicReachabilityDelta >>> 0];
  if (hrd > tunables.nceStaleTicks && nrd > tunables.nceStaleTicks) return;
  const expected = `HRD and NRD both beyond ${tunables.nceStaleTicks} ticks`;
  watch.breach('NBR-009', 'target', object, expected, `${hrd} and ${nrd}`);
}

/** Power. */
const power: Checker = {
  about: 'power requests and connections',
  must: ['PWR-001', 'PWR-004'],
  should: ['PWR-002'],
  oidRequest(watch, request) {
    if (!isPowerDown(request)) return;
    let connections = 0;
    for (const object of watch.ledger.live) if (object.layer === 2) connections++;
    if (connections === 0) return;
    if (isTerminatingConnections(watch)) return;
    const seen = `${connections} connection(s) offloaded`;
    watch.breach('PWR-001', 'host', null, 'all connections terminated before a power-down', seen);
  },
  oidAnswered(watch, request, status, isLate) {
    if (!isPowerDown(request) || status !== NdisStatus.SUCCESS) return;
    if (!isTerminatingConnections(watch)) return;
    const expected = isLate ? 'an answer after the last terminate' : 'PENDING until the last terminate has completed';
    watch.breach(isLate ? 'PWR-004' : 'PWR-002', 'target', null, expected, 'SUCCESS before it');
  },
};

/** Paths and neighbors may be terminated while an adapter goes to sleep. PWR-002 speaks of connections. */
function isTerminatingConnections(watch: Watch): boolean {
  for (const { operation, blocks } of watch.ledger.operations.values()) {
    if (operation === StateOperation.TERMINATE && blocks.some(({ object }) => object?.layer === 2)) return true;
  }
  return false;
}

/** A request for less than full power. */
function isPowerDown(request: OidRequest): boolean {
  if (request.oid !== Oid.PNP_SET_POWER || request.kind !== 'set') return false;
  return request.information !== NdisDevicePowerState.D0;
}

export const EVENT_CHECKERS: readonly Checker[] = [tcpEvents, adapterEvents, power];
