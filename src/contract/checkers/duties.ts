/**
 * Checkers of what one driver owes another upon what it was told: connections that have to be taken back, OIDs and their order, the
 * moment of a resume.
 */

import type { TcpConnectionOffloadParameters, TcpOffloadStats } from '../../ndis/protocol.ts';
import {
  NDIS_OBJECT_TYPE_DEFAULT,
  NdisStatus,
  ndisStatusName,
  Oid,
  type OidRequest,
  TCP_CONNECTION_OFFLOAD_PARAMETERS_REVISION_1,
  TCP_CONNECTION_OFFLOAD_PARAMETERS_SIZE,
} from '../../ndis/protocol.ts';
import type { Checker, Watch } from '../checker.ts';
import { type ObjectRecord, Phase } from '../records.ts';

/** Why a connection has to be taken back, and the rules that say so; null: it need not. */
function reasonToTakeBack(object: ObjectRecord): readonly [rules: readonly string[], why: string] | null {
  if (object.hasFailedQuery) return [['QRY-012'], 'a query that failed'];
  if (object.hasMandatoryRetrieve) return [['EVT-021', 'TERM-008'], 'a Retrieve with a mandatory reason'];
  if (object.hasAborted) return [['DISC-042'], 'TcpIndicateAbort'];
  if (object.hasFailedClose) return [['DISC-027'], 'a graceful disconnect that came back REQUEST_ABORTED'];
  if (object.hasFailedUpdate) return [['UPD-035'], 'an update that failed'];
  return object.isWantedByAll ? [['EVT-043'], 'UPLOAD_ALL'] : null;
}

/** What the host takes back because it must. */
const takenBack: Checker = {
  about: 'connections that have to be taken back',
  must: ['EVT-021', 'TERM-008', 'DISC-042', 'DISC-027', 'UPD-035', 'QRY-012', 'EVT-043'],
  finish(watch) {
    for (const object of watch.ledger.live) {
      if (object.layer !== 2 || object.phase !== Phase.OFFLOADED) continue;
      const reason = reasonToTakeBack(object);
      if (reason !== null) watch.breach(reason[0], 'host', object, `a terminate after ${reason[1]}`, 'none');
    }
  },
};

/** A target that has asked for everything takes nothing new until it has it. */
const resume: Checker = {
  about: 'a resume after UPLOAD_ALL',
  must: ['TERM-074'],
  status(watch, statusCode) {
    if (statusCode !== NdisStatus.OFFLOAD_RESUME || !watch.ledger.hasUploadAll) return;
    let left = 0;
    for (const object of watch.ledger.live) if (object.layer === 2 && object.isWantedByAll) left++;
    if (left === 0) return;
    watch.breach(
      'TERM-074',
      'target',
      null,
      'OFFLOAD_RESUME once every terminate has completed',
      `${left} connections here`,
    );
  },
};

const STATISTICS: readonly number[] = [
  ...[Oid.IP4_OFFLOAD_STATS, Oid.IP6_OFFLOAD_STATS, Oid.TCP4_OFFLOAD_STATS, Oid.TCP6_OFFLOAD_STATS],
];

/** OIDs of the chimney. */
const oids: Checker = {
  about: 'OIDs of the chimney',
  must: ['CAP-018', 'CAP-024', 'CAP-035', 'STAT-003', 'STAT-018'],
  oidRequest(watch, request) {
    if (request.kind !== 'set' || request.information === null) return;
    const isEnabling = request.oid === Oid.TCP_TASK_OFFLOAD;
    if (!isEnabling && request.oid !== Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS) return;
    if (isEnabling && watch.ledger.isWhole && !watch.ledger.hasQueried) {
      watch.breach('CAP-018', 'host', null, 'OID_TCP_TASK_OFFLOAD queried before it is set', 'no query');
    }
    if (isHeaderRight(request)) return;
    watch.breach(
      'CAP-024',
      'host',
      null,
      'NDIS_TCP_CONNECTION_OFFLOAD_PARAMETERS_1 and its own size',
      'another header',
    );
  },
  oidAnswered(watch, request, status) {
    const isStatistic = STATISTICS.includes(request.oid);
    if (isStatistic && status === NdisStatus.NOT_SUPPORTED && watch.ledger.isEnabled) {
      watch.breach('CAP-035', 'target', null, 'an answer to every OID of the chimney', ndisStatusName(status));
    }
    const isTcp = request.oid === Oid.TCP4_OFFLOAD_STATS || request.oid === Oid.TCP6_OFFLOAD_STATS;
    if (!isTcp || request.kind !== 'query' || status !== NdisStatus.SUCCESS) return;
    const { currentlyEstablished } = request.information as TcpOffloadStats;
    checkCount(watch, currentlyEstablished);
  },
};

/** Not more than there are here, and not fewer of one family than are established for certain. */
function checkCount(watch: Watch, count: number): void {
  const { ledger } = watch;
  if (!ledger.isWhole) return;
  let most = ledger.initiates > 0 ? Number.POSITIVE_INFINITY : 0;
  let closed = 0;
  for (const object of ledger.live) {
    if (object.layer !== 2) continue;
    most++;
    if (object.hasClosedForGood) closed++;
  }
  if (count > most) watch.breach('STAT-003', 'target', null, `at most ${most} connections counted`, `${count}`);
  else if (count > most - closed) {
    const expected = `at most ${most - closed} connections in ESTABLISHED or CLOSE_WAIT`;
    watch.breach('STAT-018', 'target', null, expected, `${count}`);
  }
}

function isHeaderRight({ information }: OidRequest): boolean {
  const header = (information as Partial<TcpConnectionOffloadParameters>).header;
  return (
    header?.type === NDIS_OBJECT_TYPE_DEFAULT &&
    header.revision === TCP_CONNECTION_OFFLOAD_PARAMETERS_REVISION_1 &&
    header.size === TCP_CONNECTION_OFFLOAD_PARAMETERS_SIZE
  );
}

export const DUTY_CHECKERS: readonly Checker[] = [takenBack, resume, oids];
