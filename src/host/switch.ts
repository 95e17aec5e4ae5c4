/**
 * The switch "host path or chimney?": which connections are offloaded without being asked.
 *
 * Limits: it only ever says "now"; whether the connection can go is decided when it goes, and a refusal is not tried again.
 * A connection that came back is not sent down again by the switch. States: a connection is of no interest, waits for time,
 * waits for bytes, or was sent. Source: OffloadPolicy in host/api.ts, chimney CAP-038.
 */

import { DeadlineHeap } from '../base/deadline-heap.ts';
import { NEVER, type Runtime, type Timer } from '../base/runtime.ts';
import type { OffloadPolicy } from './api.ts';
import type { HostEndpoint } from './transport/tcp-endpoint.ts';

interface Candidate {
  readonly endpoint: HostEndpoint;
  /** Its number in the heap of ages. */
  readonly slot: number;
  hasAge: boolean;
  hasBytes: boolean;
}

export class OffloadSwitch {
  /** After how many bytes the transports call {@link bytesReached}; Infinity: never. */
  readonly afterBytes: number;
  readonly #policy: OffloadPolicy | null;
  readonly #offload: (endpoint: HostEndpoint) => void;
  readonly #runtime: Runtime;
  readonly #ages: DeadlineHeap = new DeadlineHeap();
  readonly #timer: Timer;
  readonly #candidates: Map<HostEndpoint, Candidate> = new Map();
  readonly #bySlot: (Candidate | null)[] = [];
  readonly #freeSlots: number[] = [];

  constructor(runtime: Runtime, policy: OffloadPolicy | null, offload: (endpoint: HostEndpoint) => void) {
    this.#runtime = runtime;
    this.#policy = policy;
    this.#offload = offload;
    this.afterBytes = policy?.afterBytes ?? Number.POSITIVE_INFINITY;
    this.#timer = runtime.timer((nowUs) => this.#onAges(nowUs));
  }

  established(endpoint: HostEndpoint): void {
    const policy = this.#policy;
    if (policy === null) return;
    if (policy.match !== undefined && !policy.match(endpoint)) return;
    const candidate: Candidate = {
      endpoint,
      slot: this.#freeSlots.pop() ?? this.#bySlot.length,
      hasAge: policy.afterSeconds === undefined || policy.afterSeconds <= 0,
      // An application that was handed the connection a moment ago may have written more than enough already.
      hasBytes: endpoint.bytesSent + endpoint.bytesReceived >= (policy.afterBytes ?? 0),
    };
    this.#candidates.set(endpoint, candidate);
    this.#bySlot[candidate.slot] = candidate;
    if (!candidate.hasAge) {
      this.#ages.set(candidate.slot, this.#runtime.nowUs() + policy.afterSeconds! * 1_000_000);
      this.#rearm();
    }
    this.#decide(candidate);
  }

  bytesReached(endpoint: HostEndpoint): void {
    const candidate = this.#candidates.get(endpoint);
    if (candidate === undefined) return;
    candidate.hasBytes = true;
    this.#decide(candidate);
  }

  released(endpoint: HostEndpoint): void {
    const candidate = this.#candidates.get(endpoint);
    if (candidate !== undefined) this.#forget(candidate);
  }

  #onAges(nowUs: number): void {
    for (let slot = this.#ages.takeDue(nowUs); slot >= 0; slot = this.#ages.takeDue(nowUs)) {
      const candidate = this.#bySlot[slot] ?? null;
      if (candidate === null) continue;
      candidate.hasAge = true;
      this.#decide(candidate);
    }
    this.#rearm();
  }

  #decide(candidate: Candidate): void {
    if (!candidate.hasAge || !candidate.hasBytes) return;
    this.#forget(candidate);
    // Not from inside the transports' own step.
    this.#runtime.defer(() => this.#offload(candidate.endpoint));
  }

  #forget(candidate: Candidate): void {
    this.#candidates.delete(candidate.endpoint);
    this.#ages.set(candidate.slot, NEVER);
    this.#bySlot[candidate.slot] = null;
    this.#freeSlots.push(candidate.slot);
  }

  #rearm(): void {
    const soonestUs = this.#ages.soonestUs;
    if (soonestUs === NEVER) this.#timer.disarm();
    else if (soonestUs !== this.#timer.atUs) this.#timer.arm(soonestUs);
  }
}
