/**
 * Standing still: what a driver owes a connection that it has asked back with a mandatory reason.
 *
 * To those above, the driver is the target; whoever raises such a Retrieve does not go on processing the connection as offloaded
 * (EVT-019), however late the terminate comes. The target below knows nothing of it and goes on with what it has, so the driver keeps the
 * two apart: nothing new goes down (sends, graceful disconnects and forwards come back UPLOAD_IN_PROGRESS: TERM-058, TERM-061, FWD-021),
 * and data that come up are refused, which leaves them with the target below, for the buffered data of the terminate (RECV-074, RECV-076,
 * TERM-046). Lists that went down before come back as the target says; posted receives wait behind them, because they come back in
 * their order (RECV-009), until the terminate (TERM-032, TERM-060). An abortive disconnect passes, and ends it; so does a reset.
 */

import type { Runtime } from '../base/runtime.ts';
import { DataOperation, NdisStatus } from '../ndis/protocol.ts';
import type { NetBufferList } from '../state/net-buffer-list.ts';

/** Completes a chain of lists of one kind to the driver above; for a disconnect, one list. */
export type CompleteLists = (as: DataOperation, chain: NetBufferList) => void;

const { SEND, RECEIVE, DISCONNECT, FORWARD } = DataOperation;
/** The order in which they go back: a disconnect behind the sends (DISC-023). */
const SOON: readonly DataOperation[] = [SEND, DISCONNECT, FORWARD];

/** What all connections of a driver that stand still have in common: how lists go back, and which are to. */
export class TurnedAway {
  readonly #runtime: Runtime;
  readonly complete: CompleteLists;
  readonly #due: Set<Standstill> = new Set();

  constructor(runtime: Runtime, complete: CompleteLists) {
    this.#runtime = runtime;
    this.complete = complete;
  }

  /** The lists of a connection are to go back, not from inside the call that brought them. */
  soon(standstill: Standstill): void {
    if (this.#due.size === 0) this.#runtime.defer(() => this.flush());
    this.#due.add(standstill);
  }

  /** What is to go back goes now: before a disconnect completes that came after it (DISC-008, DISC-023), for example. */
  flush(): void {
    if (this.#due.size === 0) return;
    const due = [...this.#due];
    this.#due.clear();
    for (const standstill of due) standstill.answer();
  }
}

/** One connection that stands still. */
export class Standstill {
  readonly #away: TurnedAway;
  /** By DataOperation: what is to go back, oldest first. */
  readonly #kept: [NetBufferList[], NetBufferList[], NetBufferList[], NetBufferList[]] = [[], [], [], []];
  /** RST was sent or received: whatever comes is for the target below to answer. */
  #isAborted = false;

  constructor(away: TurnedAway) {
    this.#away = away;
  }

  /** The connection was reset, from above or from the wire. */
  aborted(): void {
    this.#isAborted = true;
  }

  /** Keeps lists that are not to go down, and gives them back later; false: they are to go down after all. */
  keeps(as: DataOperation, lists: NetBufferList): boolean {
    const kept = this.#kept[as];
    if (this.#isAborted && kept.length === 0) return false;
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) kept.push(list);
    if (as !== RECEIVE) this.#away.soon(this);
    return true;
  }

  /** Gives back all but posted receives. */
  answer(): void {
    for (const kind of SOON) this.#giveBack(kind);
  }

  /** A terminate is about to be completed: everything goes back before it. */
  end(): void {
    this.#giveBack(RECEIVE);
    this.answer();
  }

  #giveBack(as: DataOperation): void {
    const lists = this.#kept[as].splice(0);
    // Sends and disconnects were turned away before the reset: as UPLOAD_IN_PROGRESS they may overtake those below.
    const isAborted = this.#isAborted && as === RECEIVE;
    lists.forEach((list, i) => {
      list.next = as === DISCONNECT ? null : (lists[i + 1] ?? null);
      list.status = isAborted ? NdisStatus.REQUEST_ABORTED : NdisStatus.UPLOAD_IN_PROGRESS;
      list.tcpOffloadBytesTransferred = 0;
    });
    if (as === DISCONNECT) for (const list of lists) this.#away.complete(as, list);
    else if (lists.length > 0) this.#away.complete(as, lists[0]!);
  }
}
