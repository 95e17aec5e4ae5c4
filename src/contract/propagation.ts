/**
 * What passes an intermediate driver: the door above it laid beside the door below it. IM-009 to IM-061.
 *
 * Two taps, one on either side, and the two verifiers that sit there, in whose name breaches are told. Only what can be matched is
 * compared: the same root, the same list, the handle of an object that was seen to pass. What a driver begins or keeps to itself is
 * its own affair. Memory: weak references only.
 */

import {
  DATA_CALL_NAMES,
  DataOperation,
  IdleTap,
  type NdisOffloadHandle,
  NdisStatus,
  ndisStatusName,
  type OffloadBlock,
  Oid,
  type OidRequest,
  STATE_CALL_NAMES,
  STATE_COMPLETION_NAMES,
  StateOperation,
} from '../ndis/protocol.ts';
import type { NetBufferList } from '../state/net-buffer-list.ts';
import { listsOf } from './read-tree.ts';
import type { Verifier } from './verifier.ts';

/** An operation on its way through. */
interface Passing {
  readonly operation: StateOperation;
  /** What the blocks above held: the handle of each, and of the root the reserved words. */
  readonly handles: ReadonlyMap<OffloadBlock, NdisOffloadHandle | null>;
  readonly imReserved: unknown;
  readonly sourceHandle: unknown;
  /** As it came back from below; null: not yet. */
  statuses: Map<OffloadBlock, number> | null;
  completedAs: StateOperation | null;
}

/** A list on its way through. */
interface PassingList {
  readonly operation: DataOperation;
  isBelow: boolean;
  completedAs: DataOperation | null;
}

/** A call that is inside the driver now, and whether it has been passed on. */
interface Inside {
  readonly what: string;
  readonly handle: NdisOffloadHandle | null;
  readonly list: NetBufferList | null;
  readonly first: number;
  readonly second: number;
  isPassed: boolean;
  /** What the driver beyond has answered. */
  answer: number;
  consumed: number;
}

/** The two doors of one driver. */
export class Propagation {
  readonly aboveTap: IdleTap;
  readonly belowTap: IdleTap;

  constructor(above: Verifier, below: Verifier) {
    const shared = new Shared(above, below);
    this.aboveTap = new Above(shared);
    this.belowTap = new Below(shared);
  }
}

class Shared {
  readonly above: Verifier;
  readonly below: Verifier;
  readonly operations: WeakMap<OffloadBlock, Passing> = new WeakMap();
  /** Blocks of trees that are in the driver, with the root they belong to. */
  readonly roots: WeakMap<OffloadBlock, OffloadBlock> = new WeakMap();
  readonly lists: WeakMap<NetBufferList, PassingList> = new WeakMap();
  /** By the driver's own handle: that of the driver above. */
  readonly handlesAbove: WeakMap<NdisOffloadHandle, NdisOffloadHandle> = new WeakMap();
  /** And the other way round. */
  readonly handlesBelow: WeakMap<NdisOffloadHandle, NdisOffloadHandle> = new WeakMap();
  /** The driver has asked below what the target can do. */
  hasAsked = false;
  /** Calls from above, and from below, that are inside the driver, innermost last. */
  readonly down: Inside[] = [];
  readonly up: Inside[] = [];

  constructor(above: Verifier, below: Verifier) {
    this.above = above;
    this.below = below;
  }

  /** The driver has broken a rule towards above (or below): told by the verifier of that door. */
  say(door: 'above' | 'below', rule: string | readonly string[], handle: NdisOffloadHandle | null, texts: Texts): void {
    const verifier = door === 'above' ? this.above : this.below;
    const object = handle === null ? null : (verifier.ledger.objectOf(handle) ?? null);
    const actor = door === 'above' ? 'target' : 'host';
    verifier.breach(rule, actor, object, texts.expected, texts.seen);
  }

  /** The innermost call of a kind. */
  inside(of: readonly Inside[], what: string): Inside | undefined {
    return of.findLast((one) => one.what === what);
  }
}

interface Texts {
  readonly expected: string;
  readonly seen: string;
}

function inside(
  what: string,
  handle: NdisOffloadHandle | null,
  list: NetBufferList | null = null,
  first = 0,
  second = 0,
): Inside {
  return { what, handle, list, first, second, isPassed: false, answer: -1, consumed: 0 };
}

/** Visits the blocks of a tree, each once, also of one that bites its own tail. */
function eachBlock(root: OffloadBlock, visit: (block: OffloadBlock) => void): void {
  const seen = new Set<OffloadBlock>();
  const below: OffloadBlock[] = [root];
  for (let first = below.pop(); first !== undefined; first = below.pop()) {
    for (let block: OffloadBlock | null = first; block !== null && !seen.has(block); block = block.nextBlock) {
      seen.add(block);
      visit(block);
      if (block.dependentBlockList !== null) below.push(block.dependentBlockList);
    }
  }
}

function chain(lists: NetBufferList | null): NetBufferList[] {
  const all: NetBufferList[] = [];
  listsOf(lists, all);
  return all;
}

/** Between the driver and what is above it. */
class Above extends IdleTap {
  readonly #shared: Shared;

  constructor(shared: Shared) {
    super();
    this.#shared = shared;
  }

  override stateCall(operation: StateOperation, root: OffloadBlock): void {
    const handles = new Map<OffloadBlock, NdisOffloadHandle | null>();
    eachBlock(root, (block) => {
      handles.set(block, block.offloadHandle);
      this.#shared.roots.set(block, root);
    });
    const { imReserved, sourceHandle } = root;
    const passing = { operation, handles, imReserved: imReserved[0], sourceHandle, statuses: null, completedAs: null };
    this.#shared.operations.set(root, passing);
  }

  override stateComplete(operation: StateOperation, root: OffloadBlock): void {
    const shared = this.#shared;
    const passing = shared.operations.get(root);
    shared.operations.delete(root);
    eachBlock(root, (block) => shared.roots.delete(block));
    if (passing === undefined || passing.completedAs === null) return;
    const handle = root.offloadHandle;
    if (operation !== passing.completedAs) {
      const expected = STATE_COMPLETION_NAMES[passing.completedAs]!;
      shared.say('above', ['IM-027', 'IM-031'], handle, { expected, seen: STATE_COMPLETION_NAMES[operation]! });
    }
    if (root.imReserved[0] !== passing.imReserved) {
      shared.say('above', 'IM-026', handle, { expected: 'ImReserved as it came from above', seen: 'another one' });
    }
    if (root.sourceHandle !== passing.sourceHandle) {
      const texts = { expected: 'SourceHandle as it came from above', seen: 'another one' };
      shared.say('above', ['IM-032', 'IM-026'], handle, texts);
    }
    this.#compare(root, passing);
  }

  #compare(root: OffloadBlock, { operation, statuses }: Passing): void {
    const shared = this.#shared;
    eachBlock(root, (block) => {
      const status = statuses?.get(block);
      // A driver that refuses some of a tree works out anew what stands above them.
      const isSum = operation === StateOperation.INITIATE && block.dependentBlockList !== null;
      if (status !== undefined && status !== block.status && !isSum) {
        const texts = { expected: `${ndisStatusName(status)}, as below`, seen: ndisStatusName(block.status) };
        shared.say('above', 'IM-030', block.offloadHandle, texts);
      }
      const own = block.offloadHandle;
      if (operation !== StateOperation.INITIATE || own === null || own.miniportOffloadContext === null) return;
      const below = shared.handlesBelow.get(own);
      if (below === undefined || below.miniportOffloadContext !== own.miniportOffloadContext) return;
      const expected = "a PVOID for the driver's own entry in the slot above";
      shared.say('above', 'IM-010', own, { expected, seen: 'that of the target' });
    });
  }

  override dataCall(operation: DataOperation, handle: NdisOffloadHandle, lists: NetBufferList, flags: number): void {
    const shared = this.#shared;
    for (const list of chain(lists)) shared.lists.set(list, { operation, isBelow: false, completedAs: null });
    shared.down.push(inside(DATA_CALL_NAMES[operation]!, handle, lists, flags));
  }

  override dataCallDone(): void {
    this.#shared.down.pop();
  }

  override dataComplete(operation: DataOperation, lists: NetBufferList | null): void {
    const shared = this.#shared;
    for (const list of chain(lists)) {
      const passing = shared.lists.get(list);
      if (passing === undefined) continue;
      shared.lists.delete(list);
      const { status } = list;
      if (passing.completedAs !== null && passing.completedAs !== operation) {
        const texts = { expected: DATA_CALL_NAMES[passing.completedAs]!, seen: DATA_CALL_NAMES[operation]! };
        shared.say('above', 'IM-039', null, texts);
      }
      const isRefused = status === NdisStatus.REQUEST_UPLOAD || status === NdisStatus.UPLOAD_REQUESTED;
      if (isRefused && passing.isBelow && passing.completedAs === null) {
        const expected = 'sends that come back with REQUEST_UPLOAD not passed on';
        shared.say('above', 'IM-043', null, { expected, seen: 'one that is below' });
      }
    }
  }

  override receiveReturn(lists: NetBufferList): void {
    const first = chain(lists).find((list) => this.#shared.lists.get(list)?.isBelow === true) ?? null;
    this.#shared.down.push(inside('return', null, first));
  }

  override receiveReturnDone(): void {
    const call = this.#shared.down.pop();
    if (call === undefined || call.list === null || call.isPassed) return;
    const texts = { expected: 'a receive return passed down at once', seen: 'none' };
    this.#shared.say('above', 'IM-041', null, texts);
  }

  override tcpEvent(handle: NdisOffloadHandle, type: number, information: number): void {
    const shared = this.#shared;
    const call = shared.inside(shared.up, 'event');
    if (call === undefined || call.isPassed) return;
    call.isPassed = true;
    this.#checkHandle(call, handle);
    if (type === call.first && information === call.second) return;
    const texts = { expected: `event ${call.first}, ${call.second}, as below`, seen: `${type}, ${information}` };
    shared.say('above', 'IM-049', handle, texts);
  }

  #checkHandle({ handle: own }: Inside, handle: NdisOffloadHandle): void {
    const expected = own === null ? undefined : this.#shared.handlesAbove.get(own);
    if (expected === undefined || expected === handle) return;
    const texts = { expected: 'the handle of the driver above', seen: handle === own ? "the driver's own" : 'another' };
    this.#shared.say('above', 'IM-048', handle, texts);
  }

  override receiveIndicate(handle: NdisOffloadHandle, list: NetBufferList, status: number): void {
    const shared = this.#shared;
    const call = shared.inside(shared.up, 'indication');
    if (call === undefined || call.isPassed) return;
    call.isPassed = true;
    this.#checkHandle(call, handle);
    if (list !== call.list) {
      shared.say('above', 'IM-050', handle, { expected: 'the list that came from below', seen: 'another' });
    }
    if (status === call.first) return;
    const texts = { expected: `${ndisStatusName(call.first)}, as below`, seen: ndisStatusName(status) };
    shared.say('above', 'IM-051', handle, texts);
  }

  override receiveIndicateDone(
    _handle: NdisOffloadHandle,
    _list: NetBufferList,
    answer: number,
    consumed: number,
  ): void {
    const call = this.#shared.inside(this.#shared.up, 'indication');
    if (call === undefined || call.answer >= 0) return;
    call.answer = answer;
    call.consumed = consumed;
  }

  override offloadEvent(): void {
    const call = this.#shared.inside(this.#shared.up, 'question');
    if (call !== undefined) call.isPassed = true;
  }

  override oidRequest(request: OidRequest): void {
    this.#shared.down.push(inside('oid', null, null, request.oid));
  }

  override oidRequestDone(request: OidRequest, status: number): void {
    const shared = this.#shared;
    const call = shared.down.pop();
    if (call === undefined || request.oid !== Oid.TCP_TASK_OFFLOAD || status === NdisStatus.PENDING) return;
    if (request.kind === 'set') {
      if (call.isPassed) return;
      shared.say('above', 'IM-058', null, { expected: 'a set of OID_TCP_TASK_OFFLOAD passed down', seen: 'none' });
    } else if (status === NdisStatus.SUCCESS && !call.isPassed && !shared.hasAsked) {
      shared.say('above', 'IM-054', null, { expected: 'the query of OID_TCP_TASK_OFFLOAD passed down', seen: 'none' });
    } else if (status === NdisStatus.NOT_SUPPORTED && call.isPassed && call.answer === NdisStatus.SUCCESS) {
      const expected = 'a query that is answered NOT_SUPPORTED not passed down';
      shared.say('above', 'IM-057', null, { expected, seen: 'one that the target has answered' });
    }
  }
}

/** Between the driver and what is below it. */
class Below extends IdleTap {
  readonly #shared: Shared;

  constructor(shared: Shared) {
    super();
    this.#shared = shared;
  }

  override stateCall(operation: StateOperation, root: OffloadBlock): void {
    const shared = this.#shared;
    const handle = root.offloadHandle;
    const passing = shared.operations.get(root);
    if (passing === undefined) {
      const whole = shared.roots.get(root);
      if (whole === undefined || whole === root) return;
      shared.say('below', 'IM-023', handle, { expected: 'the root of the tree passed on', seen: 'a part of it' });
      return;
    }
    if (passing.operation !== operation) {
      const expected = STATE_CALL_NAMES[passing.operation]!;
      shared.say('below', 'IM-014', handle, { expected, seen: STATE_CALL_NAMES[operation]! });
      return;
    }
    if (root.imReserved[0] === passing.imReserved) {
      shared.say('below', 'IM-022', handle, { expected: 'a call entry in ImReserved', seen: 'what came from above' });
    }
    this.#checkHandles(root, passing);
  }

  #checkHandles(root: OffloadBlock, { operation, handles }: Passing): void {
    eachBlock(root, (block) => {
      const [above, own] = [handles.get(block) ?? null, block.offloadHandle];
      if (above === null || own === null) return;
      if (own === above) {
        const texts = { expected: "a handle of the driver's own", seen: 'that of the driver above' };
        this.#shared.say('below', ['IM-009', 'IM-012'], own, texts);
      } else if (operation === StateOperation.INITIATE) {
        this.#shared.handlesAbove.set(own, above);
        this.#shared.handlesBelow.set(above, own);
      }
    });
  }

  override stateComplete(operation: StateOperation, root: OffloadBlock): void {
    const passing = this.#shared.operations.get(root);
    if (passing === undefined) return;
    passing.completedAs = operation;
    passing.statuses = new Map();
    eachBlock(root, (block) => passing.statuses!.set(block, block.status));
  }

  override dataCall(operation: DataOperation, handle: NdisOffloadHandle, lists: NetBufferList, flags: number): void {
    const shared = this.#shared;
    const call = shared.down.at(-1);
    let isKnown = false;
    for (const list of chain(lists)) {
      const passing = shared.lists.get(list);
      if (passing === undefined || passing.completedAs !== null) continue;
      isKnown = true;
      passing.isBelow = true;
      if (passing.operation === operation) continue;
      const expected = DATA_CALL_NAMES[passing.operation]!;
      shared.say('below', 'IM-033', handle, { expected, seen: DATA_CALL_NAMES[operation]! });
    }
    if (call === undefined || call.handle === null) return;
    const isSame = call.what === DATA_CALL_NAMES[operation];
    if (isSame && !isKnown) {
      shared.say('below', 'IM-036', handle, { expected: 'the very lists that came from above', seen: 'others' });
    }
    if (!isKnown) return;
    const above = shared.handlesAbove.get(handle);
    if (above !== undefined && above !== call.handle) {
      const texts = { expected: "the driver's own handle of the connection", seen: 'that of another' };
      shared.say('below', 'IM-035', handle, texts);
    }
    if (isSame && operation === DataOperation.DISCONNECT && flags !== call.first) {
      shared.say('below', 'IM-037', handle, { expected: `flags ${call.first}, as above`, seen: `${flags}` });
    }
  }

  override dataComplete(operation: DataOperation, lists: NetBufferList | null): void {
    for (const list of chain(lists)) {
      const passing = this.#shared.lists.get(list);
      if (passing?.isBelow === true) passing.completedAs = operation;
    }
  }

  override receiveReturn(): void {
    const call = this.#shared.inside(this.#shared.down, 'return');
    if (call !== undefined) call.isPassed = true;
  }

  override tcpEvent(handle: NdisOffloadHandle, type: number, information: number): void {
    this.#shared.up.push(inside('event', handle, null, type, information));
  }

  override tcpEventDone(): void {
    this.#shared.up.pop();
  }

  override receiveIndicate(handle: NdisOffloadHandle, list: NetBufferList, status: number): void {
    // What is accepted above comes back this way.
    this.#shared.lists.set(list, { operation: DataOperation.RECEIVE, isBelow: true, completedAs: null });
    this.#shared.up.push(inside('indication', handle, list, status));
  }

  override receiveIndicateDone(
    handle: NdisOffloadHandle,
    _list: NetBufferList,
    answer: number,
    consumed: number,
  ): void {
    const call = this.#shared.up.pop();
    if (call === undefined || !call.isPassed) return;
    if (answer === call.answer && consumed === call.consumed) return;
    const expected = `${ndisStatusName(call.answer)} and ${call.consumed} bytes, as above`;
    const seen = `${ndisStatusName(answer)} and ${consumed} bytes`;
    this.#shared.say('below', 'IM-052', handle, { expected, seen });
  }

  override offloadEvent(): void {
    this.#shared.up.push(inside('question', null));
  }

  override offloadEventDone(): void {
    const call = this.#shared.up.pop();
    if (call === undefined || call.isPassed) return;
    this.#shared.say('below', 'IM-061', null, { expected: 'a question about a neighbor passed up', seen: 'none' });
  }

  override oidRequest(request: OidRequest): void {
    const call = this.#shared.inside(this.#shared.down, 'oid');
    if (call !== undefined && call.first === request.oid) call.isPassed = true;
    if (request.oid === Oid.TCP_TASK_OFFLOAD && request.kind === 'query') this.#shared.hasAsked = true;
  }

  override oidRequestDone(request: OidRequest, status: number): void {
    const call = this.#shared.inside(this.#shared.down, 'oid');
    if (call !== undefined && call.first === request.oid) call.answer = status;
  }
}
