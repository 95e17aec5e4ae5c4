/**
 * The verifier: sits on a binding as a tap, keeps a ledger of who owns what, and names the rule that is broken.
 *
 * Seat it with `ndis.attachTap(adapterName, verifier)`, one verifier a binding. Promises: it never throws out of the tap, its
 * memory is bounded by what is out, and it changes nothing but the Status of lists that nobody has written yet. The rules
 * themselves are in `checkers/`; the table of checkers is `checkers.ts`.
 */

import {
  DATA_CALL_NAMES,
  DATA_COMPLETION_NAMES,
  DataOperation,
  IdleTap,
  isMandatoryUploadReason,
  NDIS_RECEIVE_FLAGS_RESOURCES,
  type NdisOffloadHandle,
  NdisStatus,
  type OffloadBlock,
  Oid,
  type OidRequest,
  STATE_CALL_NAMES,
  STATE_COMPLETION_NAMES,
  type StateOperation,
  type StatusIndication,
  TcpDisconnectFlag,
  TcpOffloadEventType,
  TcpUploadReason,
} from '../ndis/protocol.ts';
import { NeighborCachedState } from '../state/neighbor.ts';
import { dataLengthOf, type NetBufferList } from '../state/net-buffer-list.ts';
import { Told, toldOfPosting } from './calls.ts';
import type { Checker, DataCall, Indication, Watch } from './checker.ts';
import { CHECKERS } from './checkers.ts';
import type { Actor, Finding, RuleLevel } from './finding.ts';
import { Ledger } from './ledger.ts';
import { type Moment, planOf } from './plan.ts';
import { Propagation } from './propagation.ts';
import { listsOf } from './read-tree.ts';
import type { ObjectRecord, OperationRecord } from './records.ts';

export interface VerifierOptions {
  /** Told of every finding at once. Must not throw. */
  readonly onFinding?: (finding: Finding) => void;
  /** Default: all there are. */
  readonly checkers?: readonly Checker[];
  /** Whether rules that say should are reported too. Default true. */
  readonly shoulds?: boolean;
  /** The clock of the system: with it, values that go on with time are checked too. Default: none. */
  readonly nowUs?: () => number;
  /** Findings kept; more are counted and told, not kept. Default 1000. */
  readonly maxFindings?: number;
}

/** What is out on a binding. */
export interface Outstanding {
  readonly operations: number;
  /** Lists at the target. */
  readonly lists: number;
  /** Lists that the host has to return. */
  readonly held: number;
  /** Objects at the target. */
  readonly objects: number;
}

/** Verifies one binding. */
export class Verifier extends IdleTap implements Watch {
  readonly ledger: Ledger = new Ledger();
  /** Checkers by the moments at which they look. */
  readonly #watching: Readonly<Record<Moment, readonly Checker[]>>;
  readonly #levels: ReadonlyMap<string, RuleLevel>;
  readonly #onFinding: (finding: Finding) => void;
  readonly #withShoulds: boolean;
  readonly #maxFindings: number;
  readonly #findings: Finding[] = [];
  #findingCount = 0;
  readonly #failures: string[] = [];
  #adapter = '?';
  #isGivenUp = false;
  #call = '-';
  /** Data calls, completions, indications and state completions that are inside a driver now, innermost last. */
  readonly #dataCalls: DataCall[] = [];
  readonly #deliveries: ObjectRecord[][] = [];
  readonly #indications: Indication[] = [];
  readonly #completions: (OperationRecord | null)[] = [];

  constructor(options: VerifierOptions = {}) {
    super();
    const { watching, levels } = planOf(options.checkers ?? CHECKERS);
    this.#watching = watching;
    this.#levels = levels;
    this.#onFinding = options.onFinding ?? (() => {});
    this.#withShoulds = options.shoulds ?? true;
    this.#maxFindings = options.maxFindings ?? 1000;
    if (options.nowUs !== undefined) this.ledger.nowUs = options.nowUs;
    this.ledger.hasClock = options.nowUs !== undefined;
  }

  /** Findings so far, the first `maxFindings` of them. */
  get findings(): readonly Finding[] {
    return this.#findings;
  }

  /** Findings ever. */
  get findingCount(): number {
    return this.#findingCount;
  }

  /** What went wrong inside checkers: bugs of the verifier itself. */
  get failures(): readonly string[] {
    return this.#failures;
  }

  get outstanding(): Outstanding {
    const { operations, lists, held, live } = this.ledger;
    return { operations: operations.size, lists: lists.size, held: held.size, objects: live.size };
  }

  /** To be called when nothing more is to come: what never came back is a breach now. */
  finish(): void {
    if (this.#isGivenUp) return;
    this.#call = 'finish';
    this.#each('finish', (checker) => checker.finish?.(this));
  }

  /** Compares what passes the driver between this door and the one below it: two taps, to be attached beside the two verifiers. */
  compareWith(below: Verifier): Propagation {
    return new Propagation(this, below);
  }

  breach(
    broken: string | readonly string[],
    actor: Actor,
    object: ObjectRecord | null,
    expected: string,
    seen: string,
  ): void {
    const all = typeof broken === 'string' ? [broken] : broken;
    const rules = this.#withShoulds ? all : all.filter((rule) => this.#levelOf(rule) === 'must');
    const [rule, ...also] = rules;
    if (rule === undefined) return;
    const level = rules.some((one) => this.#levelOf(one) === 'must') ? 'must' : 'should';
    const finding: Finding = {
      rule,
      also,
      level,
      actor,
      adapter: this.#adapter,
      call: this.#call,
      object: object === null ? '-' : object.name,
      expected,
      seen,
      lastCalls: (object === null ? this.ledger.calls : object.calls).list(),
    };
    this.#findingCount++;
    if (this.#findings.length < this.#maxFindings) this.#findings.push(finding);
    this.#onFinding(finding);
  }

  #levelOf(rule: string): RuleLevel {
    return this.#levels.get(rule) ?? 'must';
  }

  /** Lets every checker of a moment look; one that throws is noted and does not disturb the others. */
  #each(moment: Moment, look: (checker: Checker) => void): void {
    for (const checker of this.#watching[moment]) {
      try {
        look(checker);
      } catch (error) {
        this.#fail(`${checker.about}: ${String(error)}`);
      }
    }
  }

  #fail(text: string): void {
    if (this.#failures.length < 100) this.#failures.push(`${this.#call}: ${text}`);
  }

  /** Runs what the verifier itself does in an event. */
  #guard(name: string, act: (number: number) => void, told: Told = Told.NOTHING, first = 0): void {
    this.#call = name;
    const number = this.ledger.nextNumber();
    this.ledger.calls.note(name, number, told, first);
    try {
      act(number);
    } catch (error) {
      this.#fail(String(error));
    }
  }

  override opened(adapterName: string, _protocolName: string, isLate: boolean): void {
    this.#adapter = adapterName;
    this.ledger.isWhole = !isLate;
    this.ledger.isEnabled = isLate;
  }

  override closed(): void {
    this.#guard('NdisCloseAdapterEx', () => this.#each('closed', (checker) => checker.closed?.(this)));
  }

  override givenUp(isOwn: boolean): void {
    if (isOwn) this.#guard('check for hang', () => this.#each('givenUp', (checker) => checker.givenUp?.(this)));
    this.#isGivenUp = true;
  }

  override stateCall(operation: StateOperation, root: OffloadBlock): void {
    this.#guard(STATE_CALL_NAMES[operation]!, (number) => {
      const record = this.ledger.read(operation, root, number);
      const count = record.blocks.length;
      for (const { object } of record.blocks) object?.calls.note(this.#call, number, Told.BLOCKS, count);
      this.#each('stateCall', (checker) => checker.stateCall?.(this, record));
      this.ledger.begin(record);
    });
  }

  override stateCallDone(_operation: StateOperation, root: OffloadBlock): void {
    const record = this.ledger.operations.get(root);
    if (record !== undefined) record.isInside = false;
  }

  override stateComplete(operation: StateOperation, root: OffloadBlock): void {
    this.#guard(STATE_COMPLETION_NAMES[operation]!, (number) => {
      const record = this.ledger.operations.get(root);
      this.#completions.push(record ?? null);
      if (record === undefined) {
        if (this.ledger.isWhole)
          this.#each('stateCompleteStray', (checker) => checker.stateCompleteStray?.(this, operation, root));
        return;
      }
      for (const { object, block } of record.blocks) {
        object?.calls.note(this.#call, number, Told.STATUS, block.status);
      }
      this.#each('stateComplete', (checker) => checker.stateComplete?.(this, record, operation));
      this.ledger.complete(record);
    });
  }

  override stateCompleteDone(_operation: StateOperation, _root: OffloadBlock): void {
    const record = this.#completions.pop();
    if (record !== null && record !== undefined) this.ledger.end(record);
  }

  override dataCall(operation: DataOperation, handle: NdisOffloadHandle, lists: NetBufferList, flags: number): void {
    this.#guard(DATA_CALL_NAMES[operation]!, (number) => {
      const object = this.ledger.learn(handle);
      const all: NetBufferList[] = [];
      listsOf(lists, all);
      const told = toldOfPosting(operation);
      const first = told === Told.LISTS ? all.length : flags;
      object.calls.note(this.#call, number, told, first, bytesOf(all));
      const call: DataCall = { operation, object, lists: all, flags, number };
      this.#dataCalls.push(call);
      this.#each('dataCall', (checker) => checker.dataCall?.(this, call));
      this.ledger.post(operation, object, all, number, flags);
      object.callInside[operation] = number;
      if (operation === DataOperation.RECEIVE) {
        object.hasRefused = false;
        object.holdsBufferedData = false;
        if (object.deliveries > 0) object.hasPostedInDelivery = true;
      } else if (operation === DataOperation.DISCONNECT) {
        if (flags === TcpDisconnectFlag.ABORTIVE_CLOSE) object.hasAbortive = true;
        else object.hasGraceful = true;
      }
    });
  }

  override dataCallDone(operation: DataOperation, _handle: NdisOffloadHandle, status: number): void {
    const call = this.#dataCalls.pop();
    if (call === undefined) return;
    this.#call = DATA_CALL_NAMES[operation]!;
    this.#each('dataCallDone', (checker) => checker.dataCallDone?.(this, call, status));
    call.object.callInside[operation] = 0;
  }

  override dataComplete(operation: DataOperation, lists: NetBufferList | null): void {
    const objects: ObjectRecord[] = [];
    this.#deliveries.push(objects);
    this.#guard(DATA_COMPLETION_NAMES[operation]!, (number) => {
      const all: NetBufferList[] = [];
      listsOf(lists, all);
      for (const list of all) {
        const record = this.ledger.lists.get(list);
        if (record === undefined && !this.ledger.isWhole) continue;
        record?.object.calls.note(this.#call, number, Told.RESULT, list.status, list.tcpOffloadBytesTransferred);
        const isFirst = list === lists;
        this.#each('listCompleted', (checker) => checker.listCompleted?.(this, operation, list, record, isFirst));
        if (record === undefined) continue;
        if (record.kind === operation) this.ledger.bookCompletion(record);
        this.ledger.drop(record, 'completed');
        if (operation === DataOperation.RECEIVE && !objects.includes(record.object)) objects.push(record.object);
      }
      for (const object of objects) {
        this.#beginDelivery(object, number);
      }
    });
  }

  #beginDelivery(object: ObjectRecord, number: number): void {
    if (object.deliveries++ > 0) return;
    object.hasPostedInDelivery = false;
    object.deliveryCall = number;
  }

  override dataCompleteDone(_operation: DataOperation): void {
    for (const object of this.#deliveries.pop() ?? []) object.deliveries--;
  }

  override receiveReturn(lists: NetBufferList): void {
    this.#guard('NdisOffloadTcpReceiveReturn', (number) => {
      const all: NetBufferList[] = [];
      listsOf(lists, all);
      for (const list of all) {
        const held = this.ledger.held.get(list);
        if (held === undefined && !this.ledger.isWhole) continue;
        held?.object.calls.note(this.#call, number, Told.LISTS, 1, dataLengthOf(list));
        this.#each('listReturned', (checker) => checker.listReturned?.(this, list, held));
        if (held === undefined) continue;
        this.ledger.held.delete(list);
        this.ledger.setFate(list, 'returned');
      }
    });
  }

  override receiveReturnDone(status: number): void {
    this.#call = 'NdisOffloadTcpReceiveReturn';
    this.#each('receiveReturnDone', (checker) => checker.receiveReturnDone?.(this, status));
  }

  override receiveIndicate(handle: NdisOffloadHandle, list: NetBufferList, status: number): void {
    this.#guard('NdisTcpOffloadReceiveHandler', (number) => {
      const object = this.ledger.learn(handle);
      const bytes = dataLengthOf(list);
      object.calls.note(this.#call, number, Told.INDICATION, bytes);
      const indication: Indication = { object, list, bytes, status, number };
      this.#indications.push(indication);
      this.#each('receiveIndicate', (checker) => checker.receiveIndicate?.(this, indication));
      this.#beginDelivery(object, number);
    });
  }

  override receiveIndicateDone(
    _handle: NdisOffloadHandle,
    list: NetBufferList,
    answer: number,
    bytesConsumed: number,
  ): void {
    const indication = this.#indications.pop();
    if (indication === undefined) return;
    this.#call = 'NdisTcpOffloadReceiveHandler';
    this.#each('receiveIndicateDone', (checker) =>
      checker.receiveIndicateDone?.(this, indication, answer, bytesConsumed),
    );
    const object = indication.object;
    object.calls.answer(indication.number, answer, bytesConsumed);
    object.deliveries--;
    object.delivered += bytesConsumed;
    if (answer === NdisStatus.SUCCESS) this.ledger.held.set(list, { object, from: 'indication' });
    else {
      // A receive posted inside the very call that refuses comes after the refusal: the host knew its answer.
      if (!object.hasPostedInDelivery) object.hasRefused = true;
      object.refusedAt = object.posted[DataOperation.RECEIVE]!;
      this.ledger.setFate(list, 'refused');
    }
  }

  override tcpEvent(handle: NdisOffloadHandle, eventType: number, information: number): void {
    this.#guard('NdisTcpOffloadEventHandler', (number) => {
      const object = this.ledger.objectOf(handle);
      object?.calls.note(this.#call, number, Told.EVENT, eventType, information);
      this.#each('tcpEvent', (checker) => checker.tcpEvent?.(this, object, handle, eventType, information));
      if (object === undefined) return;
      object.eventsInside++;
      if (eventType === TcpOffloadEventType.INDICATE_DISCONNECT) {
        object.hasPeerFinished = true;
        object.hasDisconnectEvent = true;
      } else if (eventType === TcpOffloadEventType.INDICATE_ABORT) {
        object.hasAborted = true;
        if (object.abortedAt === 0) object.abortedAt = number;
      } else if (eventType === TcpOffloadEventType.INDICATE_SEND_BACKLOG_CHANGE) {
        object.lastBacklog = information;
        object.idealBacklog = information;
      } else if (eventType === TcpOffloadEventType.INDICATE_RETRIEVE) {
        object.retrieveReason = information;
        if (isMandatoryUploadReason(information)) object.hasMandatoryRetrieve = true;
        if (information === TcpUploadReason.HARDWARE_FAILURE) object.hardwareRetrieveAt = number;
      }
    });
  }

  override tcpEventDone(handle: NdisOffloadHandle, _eventType: number, _information: number): void {
    const object = this.ledger.objectOf(handle);
    if (object !== undefined) object.eventsInside--;
  }

  override offloadEvent(block: OffloadBlock | null, indicationCode: number): void {
    this.#guard('NdisMOffloadEventIndicate', () => {
      const cached = block === null ? null : block.cachedState;
      if (cached instanceof NeighborCachedState) this.ledger.askedHrd = cached.hostReachabilityDelta >>> 0;
      this.#each('offloadEvent', (checker) => checker.offloadEvent?.(this, block, indicationCode));
      this.ledger.indicationsInside++;
    });
  }

  override offloadEventDone(block: OffloadBlock | null, indicationCode: number): void {
    this.ledger.indicationsInside--;
    this.#call = 'NdisMOffloadEventIndicate';
    this.#each('offloadEventDone', (checker) => checker.offloadEventDone?.(this, block, indicationCode));
  }

  override status(indication: StatusIndication): void {
    this.#guard(
      'NdisMIndicateStatusEx',
      () => {
        const code = indication.statusCode;
        this.#each('status', (checker) => checker.status?.(this, code));
        const ledger = this.ledger;
        ledger.indicationsInside++;
        if (code === NdisStatus.OFFLOAD_PAUSE) ledger.isPaused = true;
        else if (code === NdisStatus.UPLOAD_ALL) {
          ledger.hasUploadAll = true;
          for (const object of ledger.live) object.isWantedByAll = true;
        } else if (code === NdisStatus.OFFLOAD_RESUME) {
          ledger.isPaused = false;
          ledger.hasUploadAll = false;
          ledger.needsQuery = true;
        }
      },
      Told.STATUS,
      indication.statusCode,
    );
  }

  override statusDone(_indication: StatusIndication): void {
    this.ledger.indicationsInside--;
  }

  override oidRequest(request: OidRequest): void {
    this.#guard(
      'NdisOidRequest',
      () => {
        this.#each('oidRequest', (checker) => checker.oidRequest?.(this, request));
        if (request.oid === Oid.TCP_TASK_OFFLOAD && request.kind === 'query') {
          this.ledger.needsQuery = false;
          this.ledger.hasQueried = true;
        }
      },
      Told.OID,
      request.oid,
    );
  }

  override oidRequestDone(request: OidRequest, status: number): void {
    if (status !== NdisStatus.PENDING) this.#answered(request, status, false);
  }

  override oidRequestComplete(request: OidRequest, status: number): void {
    this.#answered(request, status, true);
  }

  #answered(request: OidRequest, status: number, isLate: boolean): void {
    this.#call = isLate ? 'NdisMOidRequestComplete' : 'NdisOidRequest';
    this.#each('oidAnswered', (checker) => checker.oidAnswered?.(this, request, status, isLate));
    const isSet = request.oid === Oid.TCP_TASK_OFFLOAD && request.kind === 'set';
    if (isSet && status === NdisStatus.SUCCESS) this.ledger.isEnabled = true;
    if (status === NdisStatus.SUCCESS && request.kind === 'set') this.ledger.noteTunables(request);
    const isPower = request.oid === Oid.PNP_SET_POWER && request.kind === 'set' && status === NdisStatus.SUCCESS;
    if (isPower) this.ledger.powerState = Number(request.information);
  }

  override receiveFrames(lists: NetBufferList, flags: number): void {
    if ((flags & NDIS_RECEIVE_FLAGS_RESOURCES) !== 0) return;
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) this.ledger.setFate(list, 'frame');
  }
}

function bytesOf(lists: readonly NetBufferList[]): number {
  let bytes = 0;
  for (const list of lists) bytes += dataLengthOf(list);
  return bytes;
}
