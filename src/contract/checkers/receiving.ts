/**
 * Checkers of the receive path: indications, what the host answers, and the lists that go back by receive return.
 */

import { DataOperation, NdisStatus, ndisStatusName } from '../../ndis/protocol.ts';
import type { Checker, Indication, Watch } from '../checker.ts';
import { Phase } from '../records.ts';

const { RECEIVE } = DataOperation;
const { SUCCESS, OFFLOAD_DATA_NOT_ACCEPTED, OFFLOAD_DATA_PARTIALLY_ACCEPTED } = NdisStatus;

/** The form of an indication. */
const form: Checker = {
  about: 'the form of receive indications',
  must: ['CAP-016', 'RECV-069', 'RECV-070', 'RECV-071', 'NBL-005', 'NBL-011', 'NBL-018', 'RSS-004'],
  receiveIndicate(watch, { object, list, status }) {
    if (watch.ledger.fateOf(list) === 'frame') {
      watch.breach('NBL-018', 'target', object, 'lists of a pool of their own in chimney indications', 'one of frames');
    }
    if (list.hashValue !== 0 && object.isFlowKnown && list.hashValue !== object.hashValue) {
      const seen = `${list.hashValue} instead of ${object.hashValue}`;
      watch.breach('RSS-004', 'target', object, 'the HashValue of the connection with all its data', seen);
    }
    if (list.next !== null) watch.breach('RECV-069', 'target', object, 'a list that stands alone', 'a chain');
    if (list.firstNetBuffer === null || list.firstNetBuffer.next !== null) {
      // More data by a second NET_BUFFER, or a list that was not made with exactly one.
      const rule = (list.firstNetBuffer?.next?.dataLength ?? 0) > 0 ? 'RECV-070' : 'CAP-016';
      watch.breach(rule, 'target', object, 'one NET_BUFFER, more data by more MDLs', 'another number');
    }
    if (status !== SUCCESS) watch.breach('RECV-071', 'target', object, 'Status SUCCESS', ndisStatusName(status));
    if (watch.ledger.held.has(list)) {
      watch.breach('NBL-005', 'target', object, 'a list that the host does not hold', 'one not returned yet');
    } else if (watch.ledger.lists.has(list)) {
      watch.breach('NBL-011', 'target', object, "an indication of the target's own lists", 'a list that was posted');
    }
  },
};

/** When data may be indicated at all. */
const moment: Checker = {
  about: 'when data may be indicated',
  must: ['INIT-041', 'INIT-050', 'INIT-062', 'RECV-040', 'RECV-041', 'DISC-011', 'DISC-035', 'CTX-010', 'EVT-019'],
  should: ['INIT-055', 'RECV-013'],
  receiveIndicate(watch, { object, bytes }) {
    if (object.phase === Phase.ABSENT) {
      watch.breach('CTX-010', 'target', object, 'indications on offloaded connections only', 'one on another');
      return;
    }
    if (object.isSettling) {
      const expected = 'no indication before NdisMInitiateOffloadComplete has returned';
      const rules = object.phase === Phase.INITIATING ? ['INIT-050', 'INIT-055'] : ['INIT-050', 'INIT-041'];
      watch.breach(rules, 'target', object, expected, 'one');
    }
    if (object.hasAbortive) {
      watch.breach('DISC-011', 'target', object, 'no receive processing after an abortive disconnect', 'an indication');
    } else if (object.hasDisconnectEvent && bytes > 0) {
      watch.breach('DISC-035', 'target', object, 'all data consumed before TcpIndicateDisconnect', 'data after it');
    }
    if (object.hasMandatoryRetrieve && !object.isCorrupt && object.phase === Phase.OFFLOADED) {
      const expected = 'no receive processing between a Retrieve with a mandatory reason and the terminate';
      watch.breach('EVT-019', 'target', object, expected, 'an indication');
    }
    if (object.hasRefused) {
      watch.breach('RECV-040', 'target', object, 'no indication after a refusal before a receive is posted', 'one');
    } else if (object.holdsBufferedData) {
      const expected = 'buffered data of the initiate in posted receives first';
      watch.breach('INIT-062', 'target', object, expected, 'an indication');
    }
    const oldest = object.oldest(RECEIVE);
    if (oldest === undefined) return;
    const isAfterRefusal = object.refusedAt >= 0 && oldest.order >= object.refusedAt;
    const seen = `${object.outstanding(RECEIVE)} posted and an indication`;
    if (isAfterRefusal) {
      watch.breach('RECV-041', 'target', object, 'receives posted after a refusal completed first', seen);
    } else watch.breach('RECV-013', 'target', object, 'posted receives used rather than indications', seen);
  },
};

/** A short receive is right at the end of the stream, and only there. */
const shortReceives: Checker = {
  about: 'receives completed with less than they had room for',
  must: ['RECV-061', 'RECV-025', 'RECV-047', 'RECV-053'],
  receiveIndicate(watch, { object, bytes }) {
    if (bytes > 0) checkShort(watch, object);
  },
  listCompleted(watch, as, list, record) {
    if (record === undefined || record.kind !== as || as !== RECEIVE) return;
    if (list.tcpOffloadBytesTransferred > 0 && list.status === SUCCESS) checkShort(watch, record.object);
  },
};

function checkShort(watch: Watch, object: Indication['object']): void {
  if (object.shortReceive === 'empty') {
    watch.breach(
      'RECV-061',
      'target',
      object,
      'received data in a receive completed with SUCCESS',
      'none, and more to come',
    );
  } else if (object.shortReceive === 'nonpush') {
    watch.breach(
      ['RECV-053', 'RECV-025', 'RECV-047'],
      'target',
      object,
      'a nonpush receive completed when full',
      'a part of it, and more to come',
    );
  }
}

/** One delivery at a time. */
const serial: Checker = {
  about: 'serialised deliveries',
  must: ['RECV-015', 'RECV-017', 'RECV-019', 'RECV-031', 'RECV-034'],
  receiveIndicate(watch, { object }) {
    if (object.deliveries > 0) checkSerial(watch, object, 'an indication', ['RECV-034']);
  },
  listCompleted(watch, as, _list, record) {
    if (record === undefined || as !== RECEIVE || record.object.deliveries === 0) return;
    // A receive that was posted inside, or one that has waited for the data of a segment.
    const isOfNow = record.call > record.object.deliveryCall;
    checkSerial(watch, record.object, 'a completion', [isOfNow ? 'RECV-031' : 'RECV-019']);
  },
};

function checkSerial(watch: Watch, object: Indication['object'], what: string, others: readonly string[]): void {
  const rule = object.hasPostedInDelivery ? 'RECV-017' : 'RECV-015';
  watch.breach(
    [rule, ...others],
    'target',
    object,
    'one receive completion or indication at a time',
    `${what} inside another`,
  );
}

/** What the host answers. */
const answers: Checker = {
  about: 'answers to receive indications',
  must: ['RECV-073', 'RECV-074', 'RECV-075'],
  receiveIndicateDone(watch, { object, bytes }, answer, consumed) {
    const seen = `${ndisStatusName(answer)} and ${consumed} of ${bytes} bytes`;
    if (answer === SUCCESS) {
      if (consumed !== bytes) watch.breach('RECV-073', 'host', object, 'BytesConsumed all with SUCCESS', seen);
    } else if (answer === OFFLOAD_DATA_NOT_ACCEPTED) {
      if (consumed !== 0) watch.breach('RECV-074', 'host', object, 'BytesConsumed 0 with a refusal', seen);
    } else if (answer === OFFLOAD_DATA_PARTIALLY_ACCEPTED) {
      if (consumed <= 0 || consumed >= bytes) {
        watch.breach('RECV-075', 'host', object, 'BytesConsumed between 0 and all with a partial acceptance', seen);
      }
    } else watch.breach('RECV-073', 'host', object, 'SUCCESS, NOT_ACCEPTED or PARTIALLY_ACCEPTED', seen);
  },
};

/** Lists go back once, and only those that the host has. */
const returns: Checker = {
  about: 'lists given back by receive return',
  must: ['RECV-077', 'TERM-050', 'RECV-076', 'NBL-006', 'NBL-009', 'NBL-019', 'RECV-086'],
  listReturned(watch, list, held) {
    if (held !== undefined) return;
    const posted = watch.ledger.lists.get(list);
    if (posted !== undefined) {
      watch.breach('NBL-009', 'host', posted.object, 'a return of indicated lists', 'a list that is posted');
      return;
    }
    const fate = watch.ledger.fateOf(list);
    if (fate === 'refused') {
      watch.breach(
        ['RECV-076', 'NBL-006'],
        'host',
        null,
        'no return of a list that was refused or partly taken',
        'one',
      );
    } else if (fate === 'returned') watch.breach('NBL-009', 'host', null, 'one return of each list', 'a second one');
    else if (fate === 'frame') {
      watch.breach(
        'NBL-019',
        'host',
        null,
        'ordinary frames returned by NdisReturnNetBufferLists',
        'one returned here',
      );
    } else watch.breach('RECV-077', 'host', null, 'a return of accepted lists only', 'another list');
  },
  closed(watch) {
    const count = watch.ledger.held.size;
    if (count === 0) return;
    watch.breach('RECV-086', 'ndis', null, 'no close before all indicated lists are back', `${count} out`);
  },
  finish(watch) {
    for (const { object, from } of watch.ledger.held.values()) {
      const rules = from === 'buffered data' ? ['TERM-050', 'RECV-077'] : 'RECV-077';
      watch.breach(rules, 'host', object, 'every accepted list returned', `a list of ${from} still out`);
    }
  },
};

export const RECEIVING_CHECKERS: readonly Checker[] = [form, moment, shortReceives, serial, answers, returns];
