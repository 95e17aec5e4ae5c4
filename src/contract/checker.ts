/**
 * What a checker is: it watches some rules at the moments that it names.
 *
 * A checker looks at the ledger as it was before the event (or, at `...Done` moments, as it is) and reports breaches. It
 * changes nothing. If it throws, the verifier takes note and goes on.
 */

import type { DataOperation, NdisOffloadHandle, OffloadBlock, OidRequest, StateOperation } from '../ndis/protocol.ts';
import type { NetBufferList } from '../state/net-buffer-list.ts';
import type { Actor } from './finding.ts';
import type { HeldList, Ledger } from './ledger.ts';
import type { ListRecord, ObjectRecord, OperationRecord } from './records.ts';

/** What a checker is handed besides the event. */
export interface Watch {
  readonly ledger: Ledger;
  /** Reports a breach of a rule which the checker must have named; of several, where nothing tells them apart. */
  breach(
    rule: string | readonly string[],
    actor: Actor,
    object: ObjectRecord | null,
    expected: string,
    seen: string,
  ): void;
}

/** A data call while it is inside the target. */
export interface DataCall {
  readonly operation: DataOperation;
  readonly object: ObjectRecord;
  /** The lists of the chain, each once. */
  readonly lists: readonly NetBufferList[];
  readonly flags: number;
  readonly number: number;
}

/** A receive indication while it is inside the host. */
export interface Indication {
  readonly object: ObjectRecord;
  readonly list: NetBufferList;
  /** Bytes indicated. */
  readonly bytes: number;
  readonly status: number;
  readonly number: number;
}

/** One checker. All moments are optional. */
export interface Checker {
  /** What it is about, for lists of checkers. */
  readonly about: string;
  /** Rules that it reports: those that say must (or may), and those that say should. */
  readonly must: readonly string[];
  readonly should?: readonly string[];

  stateCall?(watch: Watch, operation: OperationRecord): void;
  /** A completion whose root is under way. `as`: which completion function was called. */
  stateComplete?(watch: Watch, operation: OperationRecord, as: StateOperation): void;
  /** A completion of something that is not under way. */
  stateCompleteStray?(watch: Watch, as: StateOperation, root: OffloadBlock): void;

  dataCall?(watch: Watch, call: DataCall): void;
  dataCallDone?(watch: Watch, call: DataCall, status: number): void;
  /** One list of a completion, the first of its chain or not; `record` undefined: not the target's. Disconnect completions without a list are not shown. */
  listCompleted?(
    watch: Watch,
    as: DataOperation,
    list: NetBufferList,
    record: ListRecord | undefined,
    isFirst: boolean,
  ): void;

  receiveIndicate?(watch: Watch, indication: Indication): void;
  receiveIndicateDone?(watch: Watch, indication: Indication, answer: number, consumed: number): void;
  /** One list of a receive return; `held` undefined: not the host's to return. */
  listReturned?(watch: Watch, list: NetBufferList, held: HeldList | undefined): void;
  receiveReturnDone?(watch: Watch, status: number): void;

  /** `object` undefined: the handle is of no object that was ever offloaded here. */
  tcpEvent?(
    watch: Watch,
    object: ObjectRecord | undefined,
    handle: NdisOffloadHandle,
    type: number,
    info: number,
  ): void;
  offloadEvent?(watch: Watch, block: OffloadBlock | null, code: number): void;
  offloadEventDone?(watch: Watch, block: OffloadBlock | null, code: number): void;
  status?(watch: Watch, statusCode: number): void;
  oidRequest?(watch: Watch, request: OidRequest): void;
  /** The answer, at once or (`isLate`) by completion; PENDING is not shown. */
  oidAnswered?(watch: Watch, request: OidRequest, status: number, isLate: boolean): void;
  closed?(watch: Watch): void;
  /** The driver below has stopped responding: NDIS answers for it from here on, and nothing more is shown. */
  givenUp?(watch: Watch): void;
  /** Nothing more is to come. */
  finish?(watch: Watch): void;
}
