/**
 * The turn: endpoints that have something to do once the batch is over, or soon when there is no batch.
 *
 * Received segments, writes and options only take note on the endpoint and put it here; then one visit tells the handler what is
 * owed, sends, and arms the deadline. So ACKs are aggregated (RFC 9293 MUST-58, MUST-59), no handler is called from inside an
 * application's call, and no connection can hold up the others: a visit sends a bounded burst and the rest waits in line.
 * Endpoints whose interface has no packet buffer wait in a line of their own, which is resumed when a buffer comes back.
 */

import type { Runtime } from '../../base/runtime.ts';
import { EndpointFlag } from './endpoint-flags.ts';
import type { HostEndpoint } from './tcp-endpoint.ts';

/** Who does the work of a visit. */
export interface TurnWorker {
  /** Everything that is due on the endpoint; puts it back with {@link Turn.add} or {@link Turn.block} when something is left. */
  visit(endpoint: HostEndpoint, nowUs: number): void;
  /** The turn is over: arm the timer. */
  turnDone(): void;
}

/** The line of a transport. */
export class Turn {
  readonly #runtime: Runtime;
  readonly #worker: TurnWorker;
  #first: HostEndpoint | null = null;
  #last: HostEndpoint | null = null;
  /** By index of the interface: who waits for a packet buffer, in order. */
  readonly #blocked: Set<HostEndpoint>[] = [];
  /** By index of the interface: buffers have come back since somebody found none. */
  readonly #hasRoom: boolean[] = [];
  #blockedCount = 0;
  #isDeferred = false;
  #isRunning = false;
  #inBatch = false;
  readonly #run: () => void;

  constructor(runtime: Runtime, worker: TurnWorker) {
    this.#runtime = runtime;
    this.#worker = worker;
    this.#run = () => {
      this.#isDeferred = false;
      this.#runAll();
    };
  }

  /** Whether a batch of received packets is being processed; {@link batchDone} ends it. */
  get inBatch(): boolean {
    return this.#inBatch;
  }

  /** Endpoints that wait for a packet buffer. */
  get blockedCount(): number {
    return this.#blockedCount;
  }

  batchBegun(): void {
    this.#inBatch = true;
  }

  batchDone(): void {
    this.#inBatch = false;
    this.#runAll();
  }

  /** Puts the endpoint in line, unless it is there already. */
  add(endpoint: HostEndpoint): void {
    if ((endpoint.flags & EndpointFlag.TURN) !== 0) return;
    endpoint.flags |= EndpointFlag.TURN;
    if (this.#last === null) this.#first = endpoint;
    else this.#last.nextTurn = endpoint;
    this.#last = endpoint;
    if (!this.#inBatch && !this.#isRunning) this.defer();
  }

  /** Runs the line soon. */
  defer(): void {
    if (this.#isDeferred) return;
    this.#isDeferred = true;
    this.#runtime.defer(this.#run);
  }

  /** There was no packet buffer on the endpoint's interface: it goes on when one comes back. */
  block(endpoint: HostEndpoint): void {
    if ((endpoint.flags & EndpointFlag.BLOCKED) !== 0) return;
    endpoint.flags |= EndpointFlag.BLOCKED;
    const index = endpoint.path.iface.index;
    while (this.#blocked.length <= index) {
      this.#blocked.push(new Set());
      this.#hasRoom.push(false);
    }
    this.#blocked[index]!.add(endpoint);
    this.#hasRoom[index] = false;
    this.#blockedCount++;
  }

  /** Takes an endpoint that is over out of the blocked lines. (The line itself skips it.) */
  forget(endpoint: HostEndpoint): void {
    if ((endpoint.flags & EndpointFlag.BLOCKED) === 0) return;
    endpoint.flags &= ~EndpointFlag.BLOCKED;
    for (const line of this.#blocked) if (line.delete(endpoint)) this.#blockedCount--;
  }

  /** Packet buffers of the interface with this index came back. */
  writable(index: number): void {
    if (this.#blockedCount === 0 || index >= this.#blocked.length || this.#blocked[index]!.size === 0) return;
    this.#hasRoom[index] = true;
    if (!this.#inBatch) this.defer();
  }

  #runAll(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    // A handler must not throw; one that does has lost its own turn, not everybody's.
    try {
      const nowUs = this.#runtime.nowUs();
      if (this.#blockedCount > 0) this.#unblock(nowUs);
      this.#visitLine(nowUs);
    } finally {
      this.#isRunning = false;
      if (this.#first !== null) this.defer();
    }
    this.#worker.turnDone();
  }

  #visitLine(nowUs: number): void {
    for (let endpoint = this.#first; endpoint !== null; endpoint = this.#first) {
      this.#first = endpoint.nextTurn;
      if (this.#first === null) this.#last = null;
      endpoint.nextTurn = null;
      endpoint.flags &= ~EndpointFlag.TURN;
      this.#worker.visit(endpoint, nowUs);
    }
  }

  /** Visits who is blocked, one by one, until their interface has no buffer again. */
  #unblock(nowUs: number): void {
    for (let index = 0; index < this.#blocked.length; index++) {
      // Without a buffer a visit would only send the first in line to its end.
      if (!this.#hasRoom[index]) continue;
      const line = this.#blocked[index]!;
      for (const endpoint of line) {
        line.delete(endpoint);
        this.#blockedCount--;
        endpoint.flags &= ~EndpointFlag.BLOCKED;
        this.#worker.visit(endpoint, nowUs);
        if ((endpoint.flags & EndpointFlag.BLOCKED) !== 0) break;
      }
    }
  }
}
