/**
 * Chimney capabilities, tunables and statistics as OIDs carry them. chimney-ddi 7.9, 7.10, 11.
 */

/** NDIS_TCP_CONNECTION_OFFLOAD_PARAMETERS: tunables the host sets. */
export interface TcpConnectionOffloadParameters {
  /** 10, 100 or 1000. */
  ticksPerSecond: number;
  /** Most segments received before an ACK is sent. */
  tcpAckFrequency: number;
  /** Delayed-ACK timer from the reception of a segment, ticks. */
  tcpDelayedAckTicks: number;
  /** Most retransmissions of a segment, unless MaxRT overrides it. */
  tcpMaximumRetransmissions: number;
  /** Retransmissions before the neighbor's reachability is in doubt. */
  tcpDoubtReachabilityRetransmissions: number;
  /** Silly-window timers, ticks. */
  tcpSwsPreventionTicks: number;
  /** Duplicate ACKs before fast retransmit. */
  tcpDuplicateAckThreshold: number;
  /** Push timer from the first byte placed, ticks. */
  tcpPushTicks: number;
  /** Idle ticks that make a neighbor stale. */
  nceStaleTicks: number;
}

/** What Chimney's host sets unless told otherwise. */
export const DEFAULT_OFFLOAD_PARAMETERS: Readonly<TcpConnectionOffloadParameters> = Object.freeze({
  ticksPerSecond: 1000,
  tcpAckFrequency: 2,
  tcpDelayedAckTicks: 40,
  tcpMaximumRetransmissions: 15,
  tcpDoubtReachabilityRetransmissions: 3,
  tcpSwsPreventionTicks: 200,
  tcpDuplicateAckThreshold: 3,
  tcpPushTicks: 500,
  nceStaleTicks: 30_000,
});

/** NDIS_TASK_TCP_CONNECTION_OFFLOAD: what a target says it can do (answer to OID_TCP_TASK_OFFLOAD). */
export interface TcpConnectionOffloadCapabilities {
  /** NDIS_CHIMNEY_OFFLOAD_TYPE values supported; empty: no chimney. */
  chimneyTypes: readonly number[];
  ip4: boolean;
  ip6: boolean;
  /** How many TCP, path and neighbor objects fit. */
  maxTcpEntries: number;
  maxPathEntries: number;
  maxNeighborEntries: number;
  /** Largest InitialRcvWnd, bytes. */
  maxRcvWindow: number;
  /** Largest path MTU, bytes. */
  maxPathMtu: number;
  /** Source MACs other than the interface's can be used. */
  canSetSourceMac: boolean;
  supports8021p: boolean;
  sack: boolean;
  timestamps: boolean;
  windowScaling: boolean;
}

/** IP_OFFLOAD_STATS: offloaded connections of one interface and one IP family. Counters wrap to zero. */
export interface IpOffloadStats {
  inReceives: bigint;
  inOctets: bigint;
  inDelivers: bigint;
  outRequests: bigint;
  outOctets: bigint;
  inHeaderErrors: number;
  inTruncatedPackets: number;
  inDiscards: number;
  outDiscards: number;
  outNoRoutes: number;
}

/** TCP_OFFLOAD_STATS: likewise. */
export interface TcpOffloadStats {
  inSegments: bigint;
  outSegments: bigint;
  currentlyEstablished: number;
  resetEstablished: number;
  retransmittedSegments: number;
  inErrors: number;
  outResets: number;
}

/** NDIS_OID_REQUEST, as far as the chimney needs it. */
export interface OidRequest {
  readonly oid: number;
  readonly kind: 'query' | 'set';
  /** Set: what is to be set. Query: written by the driver below with its answer. */
  information: unknown;
}
