/**
 * Checkers of values that go on with the clock: timestamps and reachability, in ticks of TicksPerSecond. Only where the verifier
 * was given the clock of the system.
 */

import { NdisStatus, type OffloadBlock, StateOperation } from '../../ndis/protocol.ts';
import { NeighborDelegatedState } from '../../state/neighbor.ts';
import { TcpConnectionState, TcpDelegatedState } from '../../state/tcp.ts';
import type { Checker, Watch } from '../checker.ts';
import type { ObjectRecord, OperationRecord } from '../records.ts';

/** Ticks by which a value may be off for being read at another moment of a tick, on either side. */
const SLACK = 2;

function ticksOf(watch: Watch, us: number): number {
  return Math.floor((us * watch.ledger.tunables!.ticksPerSecond) / 1_000_000);
}

function isTimed({ ledger }: Watch): boolean {
  return ledger.hasClock && ledger.tunables !== null && ledger.isWhole;
}

/** Timestamps over a move. */
const timestamps: Checker = {
  about: 'timestamps that go on over a move',
  must: ['TCP-059', 'TCP-060', 'TERM-081', 'STATE-061'],
  stateComplete(watch, operation) {
    if (operation.operation !== StateOperation.TERMINATE || !isTimed(watch)) return;
    for (const { block, object } of operation.blocks) {
      if (object === null || block.status !== NdisStatus.SUCCESS) continue;
      const delegated = block.delegatedState;
      // TERM-024: of a connection whose state was lost only that it is CLOSED is told.
      if (!(delegated instanceof TcpDelegatedState) || delegated.state === TcpConnectionState.CLOSED) continue;
      checkTime(watch, operation, object, delegated.tsTime);
    }
  },
};

function checkTime(watch: Watch, { atUs }: OperationRecord, object: ObjectRecord, tsTime: number): void {
  const advanced = (tsTime - object.tsTime) | 0;
  const least = ticksOf(watch, atUs - object.offloadedAtUs) - SLACK;
  const most = ticksOf(watch, watch.ledger.nowUs() - object.initiatedAtUs) + SLACK;
  if (advanced >= least && advanced <= most) return;
  const rules = advanced < 0 ? ['TCP-059', 'TERM-081'] : ['TERM-081', 'TCP-060', 'STATE-061'];
  const expected = `a TsTime between ${least} and ${most} ticks after that of the offload`;
  watch.breach(rules, 'target', object, expected, `${advanced} ticks after`);
}

/** When a neighbor was last known to be there can only move on. */
const reachability: Checker = {
  about: 'reachability in ticks of the host',
  must: ['NBR-002', 'NBR-005'],
  stateComplete(watch, operation) {
    const isUpward = operation.operation === StateOperation.TERMINATE || operation.operation === StateOperation.QUERY;
    if (!isUpward || !isTimed(watch)) return;
    for (const { block, object } of operation.blocks) {
      if (object !== null && block.status === NdisStatus.SUCCESS) checkDelta(watch, object, block);
    }
  },
};

function checkDelta(
  watch: Watch,
  object: ObjectRecord,
  { delegatedState }: Pick<OffloadBlock, 'delegatedState'>,
): void {
  if (!(delegatedState instanceof NeighborDelegatedState) || !object.wasOffloaded) return;
  const elapsed = ticksOf(watch, watch.ledger.nowUs() - object.initiatedAtUs) + SLACK;
  const most = (object.nicReachabilityDelta >>> 0) + elapsed;
  const seen = delegatedState.nicReachabilityDelta >>> 0;
  if (seen <= most || most > 0xffff_ffff) return;
  const expected = `a NicReachabilityDelta of at most ${most} ticks`;
  watch.breach(['NBR-005', 'NBR-002'], 'target', object, expected, `${seen}`);
}

export const CLOCK_CHECKERS: readonly Checker[] = [timestamps, reachability];
