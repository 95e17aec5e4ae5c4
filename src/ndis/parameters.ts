/**
 * Chimney capabilities, tunables and statistics as OIDs carry them. chimney-ddi 7.9, 7.10, 11.
 */

import { NDIS_OBJECT_TYPE_DEFAULT, type NdisObjectHeader } from './characteristics.ts';

/** Bits of an encapsulation type (NDIS_ENCAPSULATION_*): how IP packets of offloaded connections lie in frames. */
export const NdisEncapsulation = {
  NOT_SUPPORTED: 0,
  /** No link-layer header: the medium carries bare IP packets. */
  NULL: 1,
  /** Ethernet without a tag. */
  IEEE_802_3: 2,
  /** Ethernet with 802.1Q/p tags in the frame. */
  IEEE_802_3_P_AND_Q: 4,
  /** Tags beside the frame, in Ieee8021QNetBufferListInfo. */
  IEEE_802_3_P_AND_Q_IN_OOB: 8,
  IEEE_LLC_SNAP_ROUTED: 16,
} as const;

/** One family of NDIS_OFFLOAD_ENCAPSULATION. */
export interface EncapsulationSetting {
  /** Whether the chimney is to be used for this family at all. */
  readonly enabled: boolean;
  /** An OR of {@link NdisEncapsulation}: those that may be used; the target uses what its medium has. */
  readonly types: number;
}

/** NDIS_OFFLOAD_ENCAPSULATION. */
export interface OffloadEncapsulation {
  readonly ipv4: EncapsulationSetting;
  readonly ipv6: EncapsulationSetting;
}

/** NDIS_TCP_CONNECTION_OFFLOAD_PARAMETERS_1, and the size of that structure, bytes. CAP-024. */
export const TCP_CONNECTION_OFFLOAD_PARAMETERS_REVISION_1 = 1;
export const TCP_CONNECTION_OFFLOAD_PARAMETERS_SIZE = 64;

/** NDIS_TCP_CONNECTION_OFFLOAD_PARAMETERS: tunables the host sets. */
export interface TcpConnectionOffloadParameters {
  /** NDIS_OBJECT_TYPE_DEFAULT, revision 1, the structure's own size. */
  header: NdisObjectHeader;
  /** Encapsulation settings for the chimney. CAP-025. */
  encapsulation: OffloadEncapsulation;
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

const ENCAPSULATIONS_DEFAULT =
  NdisEncapsulation.NULL | NdisEncapsulation.IEEE_802_3 | NdisEncapsulation.IEEE_802_3_P_AND_Q;

/** What Chimney's host sets unless told otherwise. */
export const DEFAULT_OFFLOAD_PARAMETERS: Readonly<TcpConnectionOffloadParameters> = Object.freeze({
  header: Object.freeze({
    type: NDIS_OBJECT_TYPE_DEFAULT,
    revision: TCP_CONNECTION_OFFLOAD_PARAMETERS_REVISION_1,
    size: TCP_CONNECTION_OFFLOAD_PARAMETERS_SIZE,
  }),
  encapsulation: Object.freeze({
    ipv4: Object.freeze({ enabled: true, types: ENCAPSULATIONS_DEFAULT }),
    ipv6: Object.freeze({ enabled: true, types: ENCAPSULATIONS_DEFAULT }),
  }),
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

/** NDIS_TCP_CONNECTION_OFFLOAD: what the hardware could do, or what of it is in force now. */
export interface TcpConnectionOffload {
  readonly header: NdisObjectHeader;
  /** An OR of {@link NdisEncapsulation}. */
  readonly encapsulation: number;
  readonly supportIPv4: boolean;
  readonly supportIPv6: boolean;
  readonly supportIPv6ExtensionHeaders: boolean;
  readonly supportSack: boolean;
  /** Connections that fit. */
  readonly tcpConnectionOffloadCapacity: number;
}

/** Settings of NDIS_OFFLOAD_PARAMETERS for connection offload. */
export const OffloadParameter = {
  NO_CHANGE: 0,
  CONNECTION_OFFLOAD_DISABLED: 1,
  CONNECTION_OFFLOAD_ENABLED: 2,
} as const;
export type OffloadParameter = (typeof OffloadParameter)[keyof typeof OffloadParameter];

/** NDIS_OFFLOAD_PARAMETERS, as far as connection offload goes: what the administrator wants. Set by OID_TCP_OFFLOAD_PARAMETERS. */
export interface OffloadParameters {
  readonly tcpConnectionIPv4: OffloadParameter;
  readonly tcpConnectionIPv6: OffloadParameter;
}

/** NDIS_RECEIVE_SCALE_PARAMETERS. */
export interface ReceiveScaleParameters {
  /** Queue (CPU) numbers by the low bits of the hash; 1 to 128 entries, a power of two. */
  readonly indirectionTable: Uint8Array;
  /** Key of the Toeplitz hash, 40 bytes. */
  readonly hashSecretKey: Uint8Array;
}

/** NDIS_DEVICE_POWER_STATE; D0 is full power. PWR-005. */
export const NdisDevicePowerState = { D0: 1, D1: 2, D2: 3, D3: 4 } as const;
export type NdisDevicePowerState = (typeof NdisDevicePowerState)[keyof typeof NdisDevicePowerState];

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
