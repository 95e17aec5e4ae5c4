/**
 * The NIC half's statistics, as the driver half reads them from the arena. Resetting is done here: the NIC half only ever counts.
 */

import { FamilyStatistics } from '../../ndis/miniport.ts';
import { STATISTICS_DOUBLES } from './arena.ts';

const IP = [
  'inReceives',
  'inOctets',
  'inDelivers',
  'outRequests',
  'outOctets',
  'inHeaderErrors',
  'inTruncatedPackets',
  'inDiscards',
  'outDiscards',
  'outNoRoutes',
] as const;
const TCP = [
  'inSegments',
  'outSegments',
  'resetEstablished',
  'retransmittedSegments',
  'inErrors',
  'outResets',
] as const;
/** In the order in which the NIC half writes them. */
const ALL = [...IP, ...TCP] as const;

/** Counters of one family. */
export class SharedStatistics extends FamilyStatistics {
  readonly #shared: Float64Array;
  readonly #at: number;
  /** What the counters were when they were reset. */
  readonly #base: Float64Array = new Float64Array(STATISTICS_DOUBLES);

  /** `index`: 0 for IPv4, 1 for IPv6. */
  constructor(shared: Float64Array, index: number) {
    super();
    this.#shared = shared;
    this.#at = index * STATISTICS_DOUBLES;
  }

  /** Reads the counters as they are now. */
  load(): void {
    ALL.forEach((name, i) => {
      this[name] = this.#shared[this.#at + i]! - this.#base[i]!;
    });
  }

  /** Another NIC half counts from 0: what `before` says is added from here on. */
  goOnFrom(before: SharedStatistics): void {
    ALL.forEach((name, i) => {
      this.#base[i]! -= before[name];
    });
    this.load();
  }

  override resetIp(): void {
    for (let i = 0; i < IP.length; i++) this.#reset(i);
    super.resetIp();
  }

  override resetTcp(): void {
    for (let i = 0; i < TCP.length; i++) this.#reset(IP.length + i);
    super.resetTcp();
  }

  #reset(i: number): void {
    this.#base[i] = this.#shared[this.#at + i]!;
  }
}
