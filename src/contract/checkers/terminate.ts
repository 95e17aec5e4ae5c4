/**
 * Checkers of the terminate's completion: everything that was out is back, by one route or the other, and the chain and the
 * variables agree. TERM-031 to TERM-036, TERM-047 to TERM-056.
 */

import { seqDiff } from '../../base/seq.ts';
import { DataOperation, NdisStatus, StateOperation } from '../../ndis/protocol.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import { TcpDelegatedState } from '../../state/tcp.ts';
import type { Checker, Watch } from '../checker.ts';
import { listsOf } from '../read-tree.ts';
import type { BlockRecord, ObjectRecord } from '../records.ts';

/** Nothing of an object is out any more. */
const complete: Checker = {
  about: 'what a terminate has to bring back first',
  must: ['TERM-031', 'TERM-032', 'TERM-033', 'TERM-034', 'TERM-036', 'EVT-049', 'FWD-020', 'NBL-020'],
  stateComplete(watch, operation) {
    if (operation.operation !== StateOperation.TERMINATE) return;
    if (watch.ledger.indicationsInside > 0) {
      watch.breach(
        'TERM-036',
        'target',
        null,
        'status and neighbor indications returned first',
        'one still inside the host',
      );
    }
    for (const { object, block } of operation.blocks) {
      if (object !== null && block.status === NdisStatus.SUCCESS) checkBack(watch, object);
    }
  },
};

function checkBack(watch: Watch, object: ObjectRecord): void {
  const { UPDATE, QUERY, INVALIDATE } = StateOperation;
  const operations = object.operations[UPDATE]! + object.operations[QUERY]! + object.operations[INVALIDATE]!;
  const say = (rules: readonly string[], what: string, count: number): void => {
    if (count > 0)
      watch.breach(rules, 'target', object, `${what} completed before the terminate`, `${count} outstanding`);
  };
  say(['TERM-031'], 'invalidates, queries and updates', operations);
  say(['TERM-032', 'NBL-020'], 'receives', object.outstanding(DataOperation.RECEIVE));
  say(['TERM-033', 'NBL-020'], 'disconnects', object.outstanding(DataOperation.DISCONNECT));
  say(['TERM-034', 'FWD-020', 'NBL-020'], 'forwards', object.outstanding(DataOperation.FORWARD));
  if (object.eventsInside + object.deliveries > 0) {
    watch.breach(
      object.eventsInside > 0 ? ['EVT-049', 'TERM-036'] : 'TERM-036',
      'target',
      object,
      'own indications returned before the terminate',
      'one still inside the host',
    );
  }
}

/** The send chain that goes up. */
const chain: Checker = {
  about: 'send data handed up by a terminate',
  must: ['TERM-035', 'TERM-052', 'TERM-053', 'TERM-054', 'TERM-055', 'TERM-056'],
  stateComplete(watch, operation) {
    if (operation.operation !== StateOperation.TERMINATE) return;
    for (const entry of operation.blocks) {
      if (entry.object !== null && entry.block.status === NdisStatus.SUCCESS) checkChain(watch, entry, entry.object);
    }
  },
};

function checkChain(watch: Watch, entry: BlockRecord, object: ObjectRecord): void {
  const lists: NetBufferList[] = [];
  listsOf(entry.block.netBufferListChain, lists);
  let last = -1;
  const handedUp = new Set(lists);
  for (const list of lists) {
    const record = watch.ledger.lists.get(list);
    if (record === undefined || record.object !== object || record.kind !== DataOperation.SEND) {
      const rule = object.outstanding(DataOperation.SEND) === 0 ? 'TERM-054' : 'TERM-053';
      watch.breach(rule, 'target', object, 'only outstanding sends in NetBufferListChain', 'another list');
      return;
    }
    if (record.order < last) {
      watch.breach('TERM-052', 'target', object, 'sends chained in the order of their posting', 'another order');
      return;
    }
    last = record.order;
  }
  let left = 0;
  for (const record of object.lists(DataOperation.SEND)) if (!handedUp.has(record.list)) left++;
  if (left > 0) {
    watch.breach('TERM-035', 'target', object, 'every send completed or in NetBufferListChain', `${left} in neither`);
  }
  if (lists.length > 0) checkVariables(watch, entry, object, lists);
}

function checkVariables(watch: Watch, entry: BlockRecord, object: ObjectRecord, lists: NetBufferList[]): void {
  const delegated = entry.block.delegatedState;
  if (!(delegated instanceof TcpDelegatedState)) return;
  // Lists without data may stand before the head and behind the tail.
  const head = delegated.sendDataHead === null ? -1 : lists.indexOf(delegated.sendDataHead);
  const tail = delegated.sendDataTail === null ? -1 : lists.lastIndexOf(delegated.sendDataTail);
  if (head < 0 || tail < head) {
    watch.breach('TERM-055', 'target', object, 'SendDataHead and SendDataTail inside the chain', 'others');
  }
  const { sndUna, sndNxt, sndMax } = delegated;
  if (seqDiff(sndNxt, sndUna) < 0 || seqDiff(sndMax, sndNxt) < 0) {
    const seen = `${sndUna >>> 0}, ${sndNxt >>> 0}, ${sndMax >>> 0}`;
    watch.breach('TERM-056', 'target', object, 'SndUna <= SndNxt <= SndMax', seen);
  }
}

/** Buffered receive data that goes up. */
const buffered: Checker = {
  about: 'receive data handed up by a terminate',
  must: ['TERM-048'],
  stateComplete(watch, operation) {
    if (operation.operation !== StateOperation.TERMINATE) return;
    for (const { block, object } of operation.blocks) {
      const delegated = block.delegatedState;
      if (!(delegated instanceof TcpDelegatedState) || block.status !== NdisStatus.SUCCESS) continue;
      const lists: NetBufferList[] = [];
      listsOf(delegated.bufferedData, lists);
      for (const list of lists) {
        const isOurs = !watch.ledger.held.has(list) && !watch.ledger.lists.has(list);
        if (!isOurs)
          watch.breach('TERM-048', 'target', object, "the target's own lists as BufferedData", "a list of the host's");
      }
    }
  },
};

/** A query hands back sizes, not lists. */
const query: Checker = {
  about: 'the unions of the delegated state in a query',
  must: ['QRY-022', 'STATE-070', 'STATE-071'],
  stateComplete(watch, operation) {
    if (operation.operation !== StateOperation.QUERY) return;
    for (const { block, object } of operation.blocks) {
      const delegated = block.delegatedState;
      if (!(delegated instanceof TcpDelegatedState)) continue;
      const { sendDataHead, sendDataTail, bufferedData } = delegated;
      if (sendDataHead === null && sendDataTail === null && bufferedData === null) continue;
      const isOfSends = sendDataHead !== null || sendDataTail !== null;
      const rules = ['QRY-022', isOfSends ? 'STATE-070' : 'STATE-071'];
      watch.breach(rules, 'target', object, 'backlog sizes in the unions', 'pointers to lists');
    }
  },
};

export const TERMINATE_CHECKERS: readonly Checker[] = [complete, chain, buffered, query];
