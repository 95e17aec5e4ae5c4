/**
 * What all parts of the IP layer share: clock, counters, the agenda, the interfaces, the protocols above, and the limits.
 *
 * Leaves to others: everything that acts. One per stack.
 */

import type { Runtime } from '../../base/runtime.ts';
import { FamilyStatistics } from '../../ndis/protocol.ts';
import type { Trace } from '../../trace/trace.ts';
import { Agenda } from './agenda.ts';
import type { Interface, PathObserver, UpperProtocol } from './types.ts';

/** Limits and tunables of the IP layer. */
export interface IpOptions {
  /** TTL and hop limit where nobody asks for another; 1 to 255. RFC 1122 3.2.1.7. */
  readonly hopLimit: number;
  /** ICMP errors sent a second, and in a burst. RFC 4443 2.4 (f), RFC 1812 4.3.2.8. */
  readonly icmpErrorsPerSecond: number;
  readonly icmpErrorsBurst: number;
  /** Whether echo requests to broadcast and IPv4 multicast addresses are answered. RFC 1122 3.2.2.6 allows both. */
  readonly answersBroadcastEcho: boolean;
  /** Datagrams in reassembly at once, and bytes of memory that they may take together. */
  readonly reassemblyDatagrams: number;
  readonly reassemblyBytes: number;
  /** RFC 1122 3.3.2 wants 60 s to 120 s, RFC 8200 4.5 wants 60 s. Microseconds. */
  readonly reassemblyTimeoutUs: number;
  /** Smallest IPv4 path MTU that an ICMP message is believed to report, bytes; see path-mtu.ts. */
  readonly minimumIpv4PathMtu: number;
  /** When a lowered path MTU is tried to be raised; at least 5 min (RFC 1191 3, RFC 8201 4). Microseconds. */
  readonly pathMtuAgeUs: number;
  /** Neighbors per stack that are kept without a path that uses them. */
  readonly neighborsMax: number;
  /** Paths per stack that are kept without a user. */
  readonly unusedPathsMax: number;
  /** Packet buffers of one interface, bytes together; at least 64 buffers. */
  readonly packetPoolBytes: number;
  /** Key of the stable interface identifiers (RFC 7217), 16 bytes; null: drawn, so that identifiers last as long as the stack. */
  readonly stableSecret: Uint8Array | null;
}

export const DEFAULT_IP_OPTIONS: IpOptions = {
  hopLimit: 64,
  icmpErrorsPerSecond: 1000,
  icmpErrorsBurst: 100,
  answersBroadcastEcho: false,
  reassemblyDatagrams: 64,
  reassemblyBytes: 4 << 20,
  reassemblyTimeoutUs: 60_000_000,
  minimumIpv4PathMtu: 552,
  pathMtuAgeUs: 600_000_000,
  neighborsMax: 1024,
  unusedPathsMax: 1024,
  packetPoolBytes: 16 << 20,
  stableSecret: null,
};

export class IpContext {
  readonly runtime: Runtime;
  readonly trace: Trace;
  readonly options: IpOptions;
  readonly agenda: Agenda;
  /** The first is the built-in loopback interface. Entries of detached interfaces stay, with `isUp` false. */
  readonly interfaces: Interface[] = [];
  /** By protocol number; null where nobody takes it. */
  readonly uppers: (UpperProtocol | null)[] = new Array<UpperProtocol | null>(256).fill(null);
  observer: PathObserver | null = null;
  /** What passed the host's own IP and TCP, by family; what targets count of offloaded connections comes on top (STAT-031). */
  readonly statistics4: FamilyStatistics = new FamilyStatistics();
  readonly statistics6: FamilyStatistics = new FamilyStatistics();

  constructor(runtime: Runtime, trace: Trace, options: Partial<IpOptions>) {
    this.runtime = runtime;
    this.trace = trace;
    this.options = { ...DEFAULT_IP_OPTIONS, ...options };
    this.agenda = new Agenda(runtime);
  }

  statistics(family: number): FamilyStatistics {
    return family === 4 ? this.statistics4 : this.statistics6;
  }
}
