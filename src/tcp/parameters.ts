/**
 * What the users of the engine set once for all their connections.
 *
 * One object per host stack or target; the engine reads it and never writes it, so a host that changes a tunable (an OID)
 * changes it here. Times are microseconds. Sources: chimney-ddi 9, RFC 9293, 6298, 5961, 6928.
 */

import { TcpConstFlag } from '../state/tcp.ts';
import type { CongestionControl } from './congestion/congestion-control.ts';
import { type CongestionName, congestionControl } from './congestion/named.ts';
import { newReno } from './congestion/new-reno.ts';
import { TcpSpares } from './spares.ts';

/** Tunables, and what the connections of one user share. */
export interface TcpParameters {
  /** Where the engine runs: 'target' follows the chimney's rules where they differ from a host's (urgent data, SYNs, giving up). */
  role: 'host' | 'target';
  congestion: CongestionControl;
  /** Objects and memory that busy connections borrow. */
  spares: TcpSpares;
  /** Ticks of the DDI, and of the timestamp clock, in a second: 10, 100 or 1000 (TCP-003, TCP-071). */
  ticksPerSecond: number;
  /** Options offered and accepted in a SYN: an OR of `TcpConstFlag`. */
  options: number;
  /** Largest receive buffer a connection may be given during its life, bytes: decides the window shift. */
  maxReceiveBuffer: number;
  /** Segments with text received at most before an ACK is sent; 1 to 255. TcpAckFrequency. */
  ackFrequency: number;
  /** Longest delay of an ACK from the reception of a segment; under 500 ms (RFC 9293 MUST-40). TcpDelayedAckTicks. */
  delayedAckUs: number;
  /** Segments at the start of a connection that are acknowledged at once. */
  quickAckSegments: number;
  /** Retransmissions of a segment before giving up (R2), unless MaxRT overrides. TcpMaximumRetransmissions. */
  maximumRetransmissions: number;
  /** Retransmissions before the path is in doubt (R1); at least 3. TcpDoubtReachabilityRetransmissions. */
  doubtRetransmissions: number;
  /** Retransmissions of a SYN or SYN,ACK; 7 with a first RTO of 1 s make 255 s (RFC 9293 MUST-23: at least 3 minutes). */
  synRetries: number;
  /** Duplicate ACKs that start a fast retransmission. TcpDuplicateAckThreshold. */
  duplicateAckThreshold: number;
  /** With SACK, losses are found by time instead of by counting duplicate ACKs. RFC 8985. */
  rack: boolean;
  /** With {@link rack}, a probe repairs what is lost at the end of a flight. RFC 8985 7. */
  tailLossProbe: boolean;
  /** With {@link rack}, the window comes down evenly in recovery; otherwise at once. RFC 9937. */
  proportionalRate: boolean;
  /** ECN is asked for in opens and agreed to. RFC 3168. Such a connection is not offloaded. */
  ecn: boolean;
  /** Least RTO. RFC 6298 2.4 asks for 1 s; 200 ms is what Linux does and what peers expect (docs/rfc/exceptions.toml). */
  rtoMinUs: number;
  /** Greatest RTO; at least 60 s (RFC 6298 2.5). */
  rtoMaxUs: number;
  /** RTO before the first sample. RFC 6298 2.1. */
  rtoInitialUs: number;
  /** FIN-WAIT-2 timer (TCP-023); NEVER: a half-closed connection waits for ever. */
  finWait2Us: number;
  /** TIME-WAIT, 2 MSL. */
  timeWaitUs: number;
  /** Sender silly-window override, 0.1 to 1 s. RFC 9293 3.8.6.2.1, TcpSwsPreventionTicks. */
  swsUs: number;
  /** Keepalive where the connection's own values are 0: idle time (RFC 9293 MUST-28: two hours), interval, probes. */
  keepAliveIdleUs: number;
  keepAliveIntervalUs: number;
  keepAliveProbes: number;
  /** IW in segments. RFC 6928. */
  initialWindowSegments: number;
  /** Challenge ACKs and answers to out-of-window segments at most in {@link challengeIntervalUs}. RFC 5961 7. */
  challengeAckLimit: number;
  challengeIntervalUs: number;
  /** Role 'target': least time between challenge ACKs for in-window SYNs (TCP-094). */
  synChallengeIntervalUs: number;
  /** Role 'target': keepalive started by the blind-reset defence (TCP-099). */
  defenceKeepAliveUs: number;
}

/** What Chimney uses unless told otherwise. Has spares of its own: whoever runs a stack or a target starts from {@link tcpParameters}. */
export const DEFAULT_TCP_PARAMETERS: Readonly<TcpParameters> = Object.freeze({
  role: 'host',
  congestion: newReno,
  spares: new TcpSpares(),
  ticksPerSecond: 1000,
  options: TcpConstFlag.TIMESTAMP_ENABLED | TcpConstFlag.SACK_ENABLED | TcpConstFlag.WINDOW_SCALING_ENABLED,
  // The largest that a shift of 7 reaches, a little under 8 MiB.
  maxReceiveBuffer: 65535 * 128,
  ackFrequency: 2,
  delayedAckUs: 40_000,
  quickAckSegments: 8,
  maximumRetransmissions: 15,
  doubtRetransmissions: 3,
  synRetries: 7,
  duplicateAckThreshold: 3,
  rack: true,
  tailLossProbe: true,
  proportionalRate: true,
  ecn: false,
  rtoMinUs: 200_000,
  rtoMaxUs: 120_000_000,
  rtoInitialUs: 1_000_000,
  finWait2Us: 120_000_000,
  timeWaitUs: 60_000_000,
  swsUs: 200_000,
  keepAliveIdleUs: 7_200_000_000,
  keepAliveIntervalUs: 75_000_000,
  keepAliveProbes: 9,
  initialWindowSegments: 10,
  challengeAckLimit: 10,
  challengeIntervalUs: 5_000_000,
  synChallengeIntervalUs: 3_000_000,
  defenceKeepAliveUs: 300_000_000,
});

/** Changes to the parameters, as a user of the engine writes them: a congestion control also by its name. */
export type TcpParameterChanges = Partial<Omit<TcpParameters, 'congestion'>> & {
  /** 'newreno' (RFC 5681, 6582; the default), 'cubic' (RFC 9438), or one of one's own. */
  readonly congestion?: CongestionControl | CongestionName;
};

/** Parameters of a user of the engine: the defaults, spares of its own, and `changes`. */
export function tcpParameters(changes: TcpParameterChanges = {}): TcpParameters {
  const { congestion = DEFAULT_TCP_PARAMETERS.congestion } = changes;
  return {
    ...DEFAULT_TCP_PARAMETERS,
    spares: new TcpSpares(),
    ...changes,
    congestion: typeof congestion === 'string' ? congestionControl(congestion) : congestion,
  };
}

/** Microseconds in a tick. */
export function tickUs(p: TcpParameters): number {
  return 1_000_000 / p.ticksPerSecond;
}
