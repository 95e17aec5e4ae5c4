/** What an operator can make several NIC threads do together, and see of them. */

import { NdisOffloadHandle } from '../../ndis/miniport.ts';
import type { Capacity } from '../engine/capacity.ts';
import type { EngineStatistics, Held, OffloadedConnection, TargetControl, Which } from '../engine/control.ts';
import { addAnswers } from './spread-statistics.ts';
import type { WorkerAdapter } from './worker-adapter.ts';

/** The control object of a spread adapter. */
export class SpreadControl implements TargetControl {
  readonly #threads: readonly WorkerAdapter[];

  constructor(threads: readonly WorkerAdapter[]) {
    this.#threads = threads;
  }

  retrieve(which: Which, reason: number): number {
    return this.#sum((control) => control.retrieve(own(which), reason));
  }

  corrupt(which: Which): number {
    return this.#sum((control) => control.corrupt(own(which)));
  }

  uploadAll(): void {
    for (const { control } of this.#threads) control.uploadAll();
  }

  pause(): void {
    for (const { control } of this.#threads) control.pause();
  }

  resume(capacity: Partial<Capacity> = {}): void {
    for (const { control } of this.#threads) control.resume(capacity);
  }

  setCapacity(capacity: Partial<Capacity>): void {
    for (const { control } of this.#threads) control.setCapacity(capacity);
  }

  /** How often a thread that had died was replaced by a new one. */
  get restarts(): number {
    return this.#sum(({ restarts }) => restarts);
  }

  /** Connections of each thread. */
  receiveQueues(): number[] {
    return this.#threads.map(({ control }) => control.held().tcpObjects);
  }

  stats(): EngineStatistics {
    const all = this.#threads.map(({ control }) => control.stats());
    const add = <K extends keyof EngineStatistics>(key: K): EngineStatistics[K] =>
      addAnswers(all.map((one) => one[key])) as EngineStatistics[K];
    return { ip4: add('ip4'), ip6: add('ip6'), tcp4: add('tcp4'), tcp6: add('tcp6') };
  }

  /** Neighbors and paths are with each thread, and count once. */
  held(): Held {
    const all = this.#threads.map(({ control }) => control.held());
    const total = { ...all[0]! } as Record<keyof Held, number>;
    for (const other of all.slice(1)) {
      for (const [name, value] of Object.entries(other) as [keyof Held, number][]) {
        const isShared = name === 'pathObjects' || name === 'neighborObjects';
        total[name] = isShared ? Math.max(total[name], value) : total[name] + value;
      }
    }
    return total;
  }

  connections(): OffloadedConnection[] {
    return this.#threads.flatMap(({ control }) => control.connections().map(shown));
  }

  #sum(of: (control: WorkerAdapter['control']) => number): number {
    return this.#threads.reduce((total, { control }) => total + of(control), 0);
  }
}

/** With the handle of the driver above. */
function shown(connection: OffloadedConnection): OffloadedConnection {
  return { ...connection, handle: connection.handle.owner as NdisOffloadHandle };
}

function own(which: Which): Which {
  if (which === null) return null;
  if (which instanceof NdisOffloadHandle) return (connection) => connection.handle.owner === which;
  return (connection) => which(shown(connection));
}
