/**
 * NDIS_STATUS codes and the other enumerations of the interface.
 *
 * The documentation prints names and no numbers; the numbers are ours (chimney-ddi, opening note). They are grouped so that
 * a status read in a debugger tells its family. Sources: chimney-ddi 8 and 10.
 */

/** NDIS_STATUS_*, without the prefix. */
export const NdisStatus = {
  SUCCESS: 0,
  PENDING: 1,
  FAILURE: 2,
  RESOURCES: 3,
  NOT_SUPPORTED: 4,
  INVALID_STATE: 5,
  REQUEST_ABORTED: 6,
  PAUSED: 7,
  INVALID_PARAMETER: 8,
  ADAPTER_REMOVED: 9,
  LOW_POWER_STATE: 10,
  RESET_IN_PROGRESS: 11,
  UPLOAD_IN_PROGRESS: 16,
  REQUEST_UPLOAD: 17,
  UPLOAD_REQUESTED: 18,
  OFFLOAD_DATA_NOT_ACCEPTED: 19,
  OFFLOAD_DATA_PARTIALLY_ACCEPTED: 20,
  OFFLOAD_PARTIAL_SUCCESS: 32,
  OFFLOAD_TCP_ENTRIES: 33,
  OFFLOAD_PATH_ENTRIES: 34,
  OFFLOAD_NEIGHBOR_ENTRIES: 35,
  OFFLOAD_HW_ADDRESS_ENTRIES: 36,
  OFFLOAD_IP_ADDRESS_ENTRIES: 37,
  OFFLOAD_TCP_XMIT_BUFFER: 38,
  OFFLOAD_TCP_RCV_BUFFER: 39,
  OFFLOAD_TCP_RCV_WINDOW: 40,
  OFFLOAD_VLAN_ENTRIES: 41,
  OFFLOAD_VLAN_MISMATCH: 42,
  OFFLOAD_PATH_MTU: 43,
  OFFLOAD_CONNECTION_REJECTED: 44,
  // Status indications, not results.
  OFFLOAD_PAUSE: 64,
  OFFLOAD_RESUME: 65,
  UPLOAD_ALL: 66,
  LINK_STATE_UP: 67,
  LINK_STATE_DOWN: 68,
  TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG: 69,
  TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES: 70,
  RESET_START: 71,
  RESET_END: 72,
  /** The adapter may be at another place of its network now: who talks to it has to be told (NDIS_STATUS_NETWORK_CHANGE). */
  NETWORK_CHANGE: 73,
  /** The MTU has changed; the status buffer is the new one, bytes (NDIS_STATUS_L2_MTU_SIZE_CHANGE of NDIS 6.50; NDIS 6.0 has none). */
  L2_MTU_SIZE_CHANGE: 74,
} as const;
export type NdisStatus = (typeof NdisStatus)[keyof typeof NdisStatus];

/** The name of a status, for messages: 'UPLOAD_IN_PROGRESS'. */
export function ndisStatusName(status: number): string {
  return NAMES.get(status) ?? `NDIS_STATUS(${status})`;
}

/** By number: a move of a hundred thousand connections names as many statuses. */
const NAMES: ReadonlyMap<number, string> = new Map(Object.entries(NdisStatus).map(([name, value]) => [value, name]));

/** OFFLOAD_STATE_TYPE: what follows a block. */
export const OffloadStateType = {
  NEIGHBOR_CONST: 1,
  NEIGHBOR_CACHED: 2,
  NEIGHBOR_DELEGATED: 3,
  NEIGHBOR: 4,
  IP4_CONST: 5,
  IP4_CACHED: 6,
  IP4_DELEGATED: 7,
  IP4: 8,
  IP6_CONST: 9,
  IP6_CACHED: 10,
  IP6_DELEGATED: 11,
  IP6: 12,
  TCP_CONST: 13,
  TCP_CACHED: 14,
  TCP_DELEGATED: 15,
  TCP: 16,
  TCP_RESOURCE: 17,
  FILTER_RESERVED: 18,
} as const;
export type OffloadStateType = (typeof OffloadStateType)[keyof typeof OffloadStateType];

/** TCP_OFFLOAD_EVENT_TYPE. */
export const TcpOffloadEventType = {
  INDICATE_DISCONNECT: 1,
  INDICATE_RETRIEVE: 2,
  INDICATE_ABORT: 3,
  INDICATE_SEND_BACKLOG_CHANGE: 4,
} as const;
export type TcpOffloadEventType = (typeof TcpOffloadEventType)[keyof typeof TcpOffloadEventType];

/** TCP_UPLOAD_REASON. The first five are mandatory for the host, the others optional. */
export const TcpUploadReason = {
  HARDWARE_FAILURE: 1,
  INVALID_STATE: 2,
  RECEIVED_URGENT_DATA: 3,
  TIMEOUT_EXPIRATION: 4,
  UPLOAD_REQUESTED: 5,
  HIGH_DROP_RATE: 6,
  HIGH_FRAGMENTATION: 7,
  HIGH_OUT_OF_ORDER_PACKETS: 8,
  LOW_ACTIVITY: 9,
  NO_BUFFER_PREPOSTING: 10,
  SMALL_IO: 11,
} as const;
export type TcpUploadReason = (typeof TcpUploadReason)[keyof typeof TcpUploadReason];

/** Whether the host must upload the connection when the target names this reason. chimney-ddi 8.4. */
export function isMandatoryUploadReason(reason: number): boolean {
  return reason <= TcpUploadReason.UPLOAD_REQUESTED;
}

/** INDICATE_OFFLOAD_EVENT. */
export const IndicateOffloadEvent = {
  NEIGHBOR_REACHABILITY_QUERY: 1,
  NEIGHBOR_REACHABILITY_IN_DOUBT: 2,
} as const;

/**
 * NET_PNP_EVENT_CODE, those that NDIS raises here. MEDIA_DISCONNECT follows the status of a lost link (TERM-070); before PAUSE is
 * answered the protocol has taken everything back and sends nothing any more; RESTART ends that.
 */
export const NetPnpEventCode = { PAUSE: 1, RESTART: 2, MEDIA_DISCONNECT: 3 } as const;
export type NetPnpEventCode = (typeof NetPnpEventCode)[keyof typeof NetPnpEventCode];

/** NDIS_DEVICE_PNP_EVENT: what MiniportDevicePnPEventNotifyEx is told. */
export const DevicePnpEvent = { SURPRISE_REMOVED: 1 } as const;

/** NDIS_HALT_ACTION: why MiniportHaltEx is called. */
export const HaltAction = { DISABLED: 0, SURPRISE_REMOVED: 1 } as const;
export type HaltAction = (typeof HaltAction)[keyof typeof HaltAction];

/** NDIS_CHIMNEY_OFFLOAD_TYPE: one usable value. */
export const NdisChimneyOffloadType = { TCP: 1 } as const;

/** Flags of NdisOffloadTcpDisconnect. */
export const TcpDisconnectFlag = { ABORTIVE_CLOSE: 1, GRACEFUL_CLOSE: 2 } as const;

/** OIDs that speak of the chimney. */
export const Oid = {
  TCP_TASK_OFFLOAD: 1,
  TCP_CONNECTION_OFFLOAD_PARAMETERS: 2,
  IP4_OFFLOAD_STATS: 3,
  IP6_OFFLOAD_STATS: 4,
  TCP4_OFFLOAD_STATS: 5,
  TCP6_OFFLOAD_STATS: 6,
  PNP_SET_POWER: 7,
  GEN_RECEIVE_SCALE_PARAMETERS: 8,
  TCP_OFFLOAD_PARAMETERS: 9,
  TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG: 10,
  TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES: 11,
} as const;
export type Oid = (typeof Oid)[keyof typeof Oid];
