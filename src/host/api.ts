/**
 * What the host stack offers above: TCP endpoints, listeners, UDP ports and the chimney handle of a connection.
 *
 * Callbacks, no streams and no promises on the data path: `socket/` builds node:net's shape on this, and programs that want
 * no stream use it as it is. A handler is called on the stack's own turn and must not throw.
 */

import type { CongestionName } from '../tcp/congestion/named.ts';

/** An IP address and a port. `address` in text form; IPv6 without brackets. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** Node's error codes, as far as a transport can meet them. */
export type TransportErrorCode =
  | 'ECONNREFUSED'
  | 'ECONNRESET'
  | 'ECONNABORTED'
  | 'ETIMEDOUT'
  | 'EHOSTUNREACH'
  | 'ENETUNREACH'
  | 'ENETDOWN'
  | 'EADDRINUSE'
  | 'EADDRNOTAVAIL'
  | 'EPIPE'
  | 'ECANCELED'
  | 'EMSGSIZE'
  | 'EINVAL'
  | 'ENOBUFS';

/** What the user of a TCP endpoint provides. */
export interface TcpHandler {
  /** The handshake is done (active open). Passive ones are connected when the listener hands them over. */
  connected(): void;
  /**
   * In-order bytes: `length` bytes of `bytes` from `at`, borrowed for the call. Answers how many were taken. What was not
   * taken is kept (and closes the window) and is offered again after {@link TcpEndpoint.resume}.
   */
  data(bytes: Uint8Array, at: number, length: number): number;
  /**
   * Where the next bytes are to be put; null: nowhere, `data` is to be called. Asked while a target has the connection, on the
   * stack's turn: the target fills this memory itself (a posted receive). The memory is the target's until {@link filled}.
   */
  receiveBuffer?(): Uint8Array | null;
  /** The memory of {@link receiveBuffer} is the handler's again; its first `length` bytes were filled (0: none). */
  filled?(length: number): void;
  /** Nothing more for now; once a batch. The moment to hand collected bytes on. */
  dataDone(): void;
  /** The peer has finished (FIN) and everything before it was taken. */
  end(): void;
  /** Our side of the connection is over: `null` after an orderly close of both halves, else why. The last call of all. */
  closed(error: TransportErrorCode | null): void;
}

/** One TCP connection. */
export interface TcpEndpoint {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly family: 4 | 6;
  readonly chimney: ChimneyHandle;
  /** Replaced at will; a listener's connections have none until it is set inside the listener's callback. */
  handler: TcpHandler;
  /**
   * Queues bytes. They are not copied: they must not change until `done` is called, which is when the peer has acknowledged
   * them all (error null) or when they are given up. Answers a name for {@link moveWrite}.
   */
  write(bytes: Uint8Array, done: ((error: TransportErrorCode | null) => void) | null): unknown;
  /** The very same bytes of a write that is not done lie there from now on. */
  moveWrite(name: unknown, bytes: Uint8Array): void;
  /** Bytes queued and not yet acknowledged. */
  readonly unacknowledgedBytes: number;
  /**
   * Bytes worth having unacknowledged: twice the congestion window, one on its way and one to follow it; while it is offloaded what the
   * target says is best (SendBacklogSize of TcpIndicateSendBacklogChange).
   */
  readonly sendBacklog: number;
  /** No more writes: FIN behind what is queued. */
  shutdown(): void;
  /**
   * No more writes and nobody to read: FIN behind what is queued, and whatever arrives (or lies unread) resets the connection.
   * RFC 9293 section 3.6, SHLD-3.
   */
  close(): void;
  /** RST, and gone. `closed` is called with ECONNABORTED unless it was called before. */
  abort(): void;
  /** The handler has room again after it took less than it was offered. */
  resume(): void;
  /**
   * Inside `data` only: the bytes offered stay where they are until the answer is called, once (receive-return). Null: they lie
   * where the next ones will be put, or too much is kept already; whoever wants them longer copies them.
   */
  keepData(): (() => void) | null;
  /**
   * Inside `data` only: the memory in which the bytes offered lie, all of it, is the handler's from now on. False: it cannot be had; whoever
   * wants the bytes longer copies them.
   */
  takeData(bytes: Uint8Array): boolean;
  setNoDelay(on: boolean): void;
  /** Idle time and interval in milliseconds; 0 leaves the stack's default. */
  setKeepAlive(on: boolean, idleMs: number, intervalMs?: number, probes?: number): void;
  /** Bytes the handler and the stack together buffer: the receive window's bound. SO_RCVBUF. */
  setReceiveBuffer(bytes: number): void;
  /**
   * The handler is offered text once so many bytes are there, or the peer has pushed or finished, or nothing more came for the push
   * time (500 ms); 0: at once, which is the default. SO_RCVLOWAT.
   */
  setReceiveLowWater(bytes: number): void;
  /** Longest time data may stay unacknowledged, milliseconds; 0: the default (R2). RFC 5482's local part. */
  setUserTimeout(ms: number): void;
  /** IPv4 TTL or IPv6 hop limit, 1 to 255. */
  setHopLimit(hops: number): void;
  /** IPv4 TOS or IPv6 traffic class. */
  setTrafficClass(value: number): void;
  /** 802.1p priority of the connection's frames on an Ethernet link, 0 to 7; default 0. SO_PRIORITY. */
  setUserPriority(priority: number): void;
  /** Numbers for people: state, RTT, windows, retransmissions. */
  info(): TcpInfo;
}

export interface TcpInfo {
  readonly state: string;
  readonly location: ChimneyLocation;
  readonly sRttUs: number;
  readonly rttVarUs: number;
  /** Least of the samples of the last minutes; 0: there was none. */
  readonly minRttUs: number;
  readonly rtoUs: number;
  readonly cWnd: number;
  readonly ssThresh: number;
  readonly sndWnd: number;
  readonly rcvWnd: number;
  readonly mss: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly retransmittedSegments: number;
}

/** A bound TCP port that takes connections. */
export interface TcpListener {
  readonly local: Endpoint;
  close(): void;
}

/** Where a connection is run. */
export type ChimneyLocation = 'host' | 'initiating' | 'target' | 'terminating' | 'closed';

/**
 * Why a connection moves: the application or a policy, the target (and why), the administrator, the life of the adapter, or a reason of
 * the host's own (TERM-068): lost media, no traffic, a connection of higher priority.
 */
export type MoveCause =
  | 'manual'
  | 'policy'
  | 'retrieve'
  | 'upload-all'
  | 'close'
  | 'failure'
  | 'configuration'
  | 'power'
  | 'pause'
  | 'reset'
  | 'removal'
  | 'media'
  | 'idle'
  | 'priority';

/** One move of a connection, finished. */
export interface Move {
  readonly kind: 'initiate' | 'terminate';
  /** Who asked, or what happened. */
  readonly cause: MoveCause;
  /** TCP_UPLOAD_REASON name for cause 'retrieve'. */
  readonly reason: string | null;
  /**
   * From the moment the connection stopped being served to the moment it is served again, microseconds. A target that says when it began,
   * or ceased, to serve it is believed; else it is the time from the question to its answer.
   */
  readonly freezeUs: number;
  /** NDIS_STATUS name of the connection's block. */
  readonly status: string;
}

/** What a query of an offloaded connection answers. */
export interface ChimneyQuery {
  /** The delegated variables by name, as the interface words them. */
  readonly delegated: Readonly<Record<string, number>>;
  readonly cached: Readonly<Record<string, number>>;
  readonly sendBacklogSize: number | null;
  readonly receiveBacklogSize: number | null;
}

/** The chimney handle of a connection. */
export interface ChimneyHandle {
  readonly location: ChimneyLocation;
  /** Name of the adapter whose target has it; null on the host path. */
  readonly target: string | null;
  /** Hands the connection to the target of its interface. Rejects with {@link ChimneyError} when refused, saying why. */
  offload(): Promise<Move>;
  /** Takes it back ("terminate offload", "upload"). Resolves at once when it is on the host already. */
  takeBack(): Promise<Move>;
  query(): Promise<ChimneyQuery>;
  /** NdisInvalidateOffload of this connection's TCP object; the target then asks for its upload. */
  invalidate(): Promise<void>;
  /** Moves so far, oldest first; bounded to the last 1024. */
  readonly moves: readonly Move[];
  /** Moves ever finished. */
  readonly moveCount: number;
}

/** An offload, query or invalidate that did not happen. `status` is the NDIS_STATUS name, or 'NOT_OFFLOADABLE'. */
export interface ChimneyErrorShape {
  readonly code: 'ERR_CHIMNEY';
  readonly status: string;
}

/** When connections are offloaded without being asked. All given conditions must hold; no policy: only by hand. */
export interface OffloadPolicy {
  /** After so many bytes, both directions together. */
  readonly afterBytes?: number;
  /** After so many seconds of life. */
  readonly afterSeconds?: number;
  /** Only connections for which it answers true. */
  readonly match?: (connection: { readonly local: Endpoint; readonly remote: Endpoint }) => boolean;
}

/** When the host takes connections back for reasons of its own. TERM-068, TERM-088. Without: for none of these. */
export interface TakeBackPolicy {
  /** When the link of their adapter goes down (ProtocolNetPnPEvent). Otherwise they wait for it where they are. */
  readonly onLinkDown?: boolean;
  /** When their target asks for a pause (NDIS_STATUS_OFFLOAD_PAUSE). */
  readonly onPause?: boolean;
  /** After so many seconds without a byte in either direction. */
  readonly afterIdleSeconds?: number;
  /** When a connection of higher priority (setUserPriority) finds the target full: the one of least priority makes room. */
  readonly byPriority?: boolean;
}

/** A UDP port. */
export interface UdpPort {
  readonly local: Endpoint;
  /**
   * Queues one datagram, copied. Answers null or why not. `segmentBytes` greater than 0: datagrams of so many bytes each, the last one of
   * what is left (Linux: UDP_SEGMENT); by one packet for many where the device cuts them. Of these some may be queued before one is not.
   */
  send(bytes: Uint8Array, to: Endpoint, segmentBytes?: number): TransportErrorCode | null;
  /** Our address in what is sent to `remote`, as connect(2) on the port would tell; or why nothing can be sent there. */
  localTo(remote: Endpoint): string | TransportErrorCode;
  /** IPv4 TTL or IPv6 hop limit of what is sent, 1 to 255. */
  setHopLimit(hops: number): void;
  close(): void;
}

/** How a UDP port is bound. */
export interface UdpBindOptions {
  /** '::' takes IPv6 only, so that another socket may have the port for IPv4 (RFC 3493 5.3). */
  readonly ipv6Only?: boolean;
  /** Others who also ask for it may bind the same; the one that was bound last gets what comes (Linux: SO_REUSEADDR). */
  readonly reuseAddress?: boolean;
  /** Others who also ask for it may bind the same; each gets what comes from some of the remote ends (Linux: SO_REUSEPORT). */
  readonly reusePort?: boolean;
}

export interface UdpHandler {
  /** One datagram, borrowed for the call. */
  message(bytes: Uint8Array, at: number, length: number, from: Endpoint): void;
  /** An ICMP error came back for a datagram sent to `to`. */
  error(code: TransportErrorCode, to: Endpoint): void;
}

export interface ConnectOptions {
  readonly remote: Endpoint;
  /** Address and port to use on our side; absent parts are chosen. */
  readonly local?: Partial<Endpoint>;
  readonly receiveBuffer?: number;
  /** How the connection finds its window while the host runs it; default: as the stack does. A target has its own. */
  readonly congestion?: CongestionName;
}

/** Which port is bound, and how. */
export interface ReserveOptions {
  /** '0.0.0.0' takes IPv4, '::' takes both families. Port 0: any free one. */
  readonly local: Endpoint;
  /** With '::': IPv6 only. */
  readonly ipv6Only?: boolean;
  /** Others who also ask for it may bind the same; of listeners each gets the connections of some of the remote ends (Linux: SO_REUSEPORT). */
  readonly reusePort?: boolean;
}

export interface ListenOptions extends ReserveOptions {
  /** Connections not yet handed over, half open ones included; 1 to 65535. */
  readonly backlog?: number;
  readonly receiveBuffer?: number;
  /** Of the connections that come. */
  readonly congestion?: CongestionName;
}

/** A TCP port that is bound, and neither listens nor is connected. */
export interface TcpReservation {
  readonly local: Endpoint;
  /** Lets go of the port: the next call may have it. Again: nothing happens. */
  close(): void;
}

/** The host stack's transports. */
export interface Transports {
  /** Begins an active open; the handler's `connected` or `closed` follows. Throws {@link TransportError} where no attempt is possible. */
  connect(options: ConnectOptions, handler: TcpHandler): TcpEndpoint;
  /** Throws {@link TransportError}: EADDRINUSE, EADDRNOTAVAIL. `onConnection` sets `endpoint.handler`. */
  listen(options: ListenOptions, onConnection: (endpoint: TcpEndpoint) => void): TcpListener;
  /** Keeps a TCP port for a listener or a connection to come. Throws {@link TransportError} as `listen` does. */
  reserve(options: ReserveOptions): TcpReservation;
  /** Throws {@link TransportError}. Port 0: any free one. */
  bindUdp(local: Endpoint, handler: UdpHandler, options?: UdpBindOptions): UdpPort;
}

/** A call that cannot even begin. */
export class TransportError extends Error {
  override readonly name: string = 'TransportError';
  readonly code: TransportErrorCode;

  constructor(code: TransportErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
