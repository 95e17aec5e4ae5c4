/**
 * TCP of a host stack: the connections, their table, deadlines and turns, and everything they share.
 *
 * This file holds the state and the small steps; what happens on a packet is in tcp-input.ts, on an open in tcp-open.ts, on the way
 * out in tcp-output.ts, and what follows from a step of the engine in tcp-effects.ts. Promises: everything a peer can make
 * grow is bounded ({@link TcpLimits}); nothing is allocated per segment. Sources: RFC 9293, RFC 4987, RFC 6056, RFC 5927.
 */

import { DeadlineHeap } from '../../base/deadline-heap.ts';
import { NEVER, type Runtime, type Timer } from '../../base/runtime.ts';
import { TcpCachedState, TcpConnectionState } from '../../state/tcp.ts';
import type { CongestionName } from '../../tcp/congestion/named.ts';
import { RECORD_WORDS, TcpConnection } from '../../tcp/connection.ts';
import { soonestDeadline } from '../../tcp/deadlines.ts';
import { Effect } from '../../tcp/effects.ts';
import { IsnGenerator } from '../../tcp/isn.ts';
import { releaseFlight } from '../../tcp/lifecycle.ts';
import { onDeadline } from '../../tcp/on-deadline.ts';
import { closeSend } from '../../tcp/on-send.ts';
import { type TcpParameterChanges, type TcpParameters, tcpParameters } from '../../tcp/parameters.ts';
import { setReceiveSpace } from '../../tcp/receive-window.ts';
import { TcpSlab } from '../../tcp/slab.ts';
import { TcpTable } from '../../tcp/table.ts';
import { TextPiece } from '../../tcp/text-pool.ts';
import { Event } from '../../trace/events.ts';
import type { Trace } from '../../trace/trace.ts';
import type { IpAddress } from '../../wire/ip-address.ts';
import { TcpSegment } from '../../wire/tcp-segment.ts';
import type {
  ConnectOptions,
  ListenOptions,
  ReserveOptions,
  TcpEndpoint,
  TcpHandler,
  TcpListener,
  TcpReservation,
  TransportErrorCode,
} from '../api.ts';
import type { IpLayer } from '../path/ip-layer.ts';
import type { IcmpError, Interface, PathEntry, RxPacket, UpperProtocol } from '../path/types.ts';
import { BindTable } from './bind-table.ts';
import { type ChimneyPort, NO_CHIMNEY } from './chimney-port.ts';
import { Collecting, PUSH_US_DEFAULT } from './collecting.ts';
import { EndpointFlag } from './endpoint-flags.ts';
import { Packing } from './packing.ts';
import { EphemeralPorts } from './ports.ts';
import * as effectsOf from './tcp-effects.ts';
import type { HostEndpoint } from './tcp-endpoint.ts';
import * as errors from './tcp-errors.ts';
import * as input from './tcp-input.ts';
import type { HalfOpen, Listener, Reservation } from './tcp-listener.ts';
import * as open from './tcp-open.ts';
import { sendSegments } from './tcp-output.ts';
import { Resting } from './tcp-resting.ts';
import { Turn } from './turn.ts';
import { ChunkPool } from './unread-queue.ts';
import { WritePool } from './write-pool.ts';

/** Bounds of what a TCP of a host holds. */
export interface TcpLimits {
  /** Connections in all states but TIME-WAIT. */
  readonly connections: number;
  /** Half-open connections of all listeners together; each has its own backlog besides. RFC 4987. */
  readonly halfOpen: number;
  /** Connections in TIME-WAIT; beyond it the oldest is forgotten early. */
  readonly timeWait: number;
  /** Connections closed by their application whose peer has not finished. */
  readonly orphans: number;
  readonly listeners: number;
  /** Bytes of received text that applications have not taken, of all connections. */
  readonly unreadBytes: number;
}

export const DEFAULT_TCP_LIMITS: TcpLimits = {
  connections: 2_000_000,
  halfOpen: 16_384,
  timeWait: 32_768,
  orphans: 8_192,
  listeners: 4_096,
  unreadBytes: 512 << 20,
};

/** How a TCP is set up. */
export interface TcpOptions {
  /** Tunables of the engine. */
  readonly parameters?: TcpParameterChanges;
  /** How the window is found; a connection or a listener can have its own. Default 'newreno'. */
  readonly congestion?: CongestionName;
  /** Explicit Congestion Notification is asked for and agreed to (RFC 3168); such a connection is not offloaded. Default false. */
  readonly ecn?: boolean;
  readonly limits?: Partial<TcpLimits>;
  /** SO_RCVBUF where nobody asks for another, bytes. */
  readonly receiveBuffer?: number;
  /** Range of ephemeral ports, both ends included. */
  readonly ephemeralPorts?: { readonly first: number; readonly last: number };
  /** Push timer: how long text that is to be collected waits for more, microseconds. Default 500 ms. */
  readonly pushUs?: number;
  /** How long a connection that its application closed waits for the peer's FIN; microseconds. */
  readonly orphanUs?: number;
}

/** SO_RCVBUF by default: 100 Mbit/s at 80 ms. */
export const DEFAULT_RECEIVE_BUFFER: number = 1 << 20;

/** The built-in interface is the first of the IP layer's. */
const LOOPBACK_INDEX = 0;

/** Segments of one connection in one visit; then the next one has its turn. */
const BURST_SEGMENTS = 32;

/** A host lets a half-closed connection live as long as its application wants; closed ones are counted as orphans. */
function parametersOf(options: TcpOptions): TcpParameterChanges {
  const { parameters, congestion, ecn } = options;
  return {
    finWait2Us: NEVER,
    ...parameters,
    ...(congestion === undefined ? {} : { congestion }),
    ...(ecn === undefined ? {} : { ecn }),
    role: 'host',
  };
}

/** TCP above an IP layer. */
export class TcpTransport implements UpperProtocol {
  readonly runtime: Runtime;
  readonly trace: Trace;
  readonly ip: IpLayer;
  readonly parameters: TcpParameters;
  readonly limits: TcpLimits;
  readonly receiveBuffer: number;
  /** Whoever runs offloaded connections. */
  chimney: ChimneyPort = NO_CHIMNEY;
  readonly slab: TcpSlab = new TcpSlab();
  readonly table: TcpTable;
  readonly isn: IsnGenerator;
  readonly ports: EphemeralPorts;
  readonly listeners: BindTable<Listener>;
  /** Ports that are kept for listeners and connections to come. */
  readonly reserved: BindTable<Reservation>;
  readonly writes: WritePool = new WritePool();
  readonly chunks: ChunkPool = new ChunkPool();
  readonly turn: Turn;
  readonly collecting: Collecting;
  readonly resting: Resting;
  readonly packing: Packing;
  /** Half-open connections of all listeners. */
  halfOpenCount = 0;
  /** Reused: the segment received, the segment to be sent, a piece of reassembled text, a run of text to be sent, a cached state being changed. */
  readonly received: TcpSegment = new TcpSegment();
  readonly sendSegment: TcpSegment = new TcpSegment();
  readonly piece: TextPiece = new TextPiece();
  readonly run: TextPiece = new TextPiece();
  readonly cached: TcpCachedState = new TcpCachedState();
  readonly #heap: DeadlineHeap = new DeadlineHeap();
  readonly #timer: Timer;
  /** What `endpoint.tcp` is once a connection is released: CLOSED for ever. */
  readonly #dead: TcpConnection;
  /** A local and a remote address, to look a tuple up. */
  readonly #addresses: Uint8Array = new Uint8Array(32);
  #batchUs = 0;
  isClosed = false;

  constructor(runtime: Runtime, trace: Trace, ip: IpLayer, options: TcpOptions = {}) {
    this.runtime = runtime;
    this.trace = trace;
    this.ip = ip;
    this.parameters = tcpParameters(parametersOf(options));
    this.limits = { ...DEFAULT_TCP_LIMITS, ...options.limits };
    this.receiveBuffer = options.receiveBuffer ?? DEFAULT_RECEIVE_BUFFER;
    this.table = new TcpTable(runtime.random.nextUint32());
    this.isn = new IsnGenerator(runtime.random);
    const range = options.ephemeralPorts;
    this.listeners = new BindTable<Listener>(runtime.random);
    this.reserved = new BindTable<Reservation>(runtime.random);
    this.ports = new EphemeralPorts(runtime.random, range?.first, range?.last);
    this.turn = new Turn(runtime, this);
    this.collecting = new Collecting(runtime, options.pushUs ?? PUSH_US_DEFAULT);
    this.resting = new Resting(this, options.orphanUs);
    this.packing = new Packing(this);
    this.#timer = runtime.timer((nowUs) => this.#onTimer(nowUs));
    const buffer = new ArrayBuffer(RECORD_WORDS * 4);
    this.#dead = new TcpConnection(new Int32Array(buffer), new Float64Array(buffer), 0, 0);
    this.#dead.state = TcpConnectionState.CLOSED;
  }

  // The application's door.

  connect(options: ConnectOptions, handler: TcpHandler): TcpEndpoint {
    return open.connect(this, options, handler);
  }

  listen(options: ListenOptions, onConnection: (endpoint: TcpEndpoint) => void): TcpListener {
    return open.listen(this, options, onConnection);
  }

  reserve(options: ReserveOptions): TcpReservation {
    return open.reserve(this, options);
  }

  /** Connections in all states. */
  get connectionCount(): number {
    return this.table.size;
  }

  /** Resets all connections and closes all listeners; handlers hear of it on the last turn, as ECANCELED. */
  close(): void {
    this.isClosed = true;
    // What has arrived is answered, also where the link has not yet said that its batch is over: the peer's FIN is acknowledged.
    this.turn.batchDone();
    for (const listener of this.listeners.all()) listener.close();
    for (const reservation of this.reserved.all()) reservation.close();
    for (const endpoint of this.endpoints()) {
      if (endpoint.location === 'closed') this.release(endpoint);
      else this.abort(endpoint, 'ECANCELED');
    }
  }

  // IP's door.

  receive(rx: RxPacket): boolean {
    this.beginBatch();
    input.receive(this, rx, this.#batchUs);
    return true;
  }

  receiveDone(): void {
    // What went round the loopback interface is a free buffer again, and nobody else says so.
    this.turn.writable(LOOPBACK_INDEX);
    this.turn.batchDone();
  }

  icmpError(error: IcmpError): boolean {
    return errors.onIcmpError(this, error);
  }

  pathMtuChanged(path: PathEntry): void {
    errors.onPathMtu(this, path);
  }

  addressLost(address: IpAddress): void {
    errors.onAddressLost(this, address);
  }

  /** Packet buffers of the interface came back. */
  writable(iface: Interface): void {
    this.turn.writable(iface.index);
  }

  // Steps that the parts share.

  /** Reads the clock once for a batch. */
  beginBatch(): void {
    if (this.turn.inBatch) return;
    this.turn.batchBegun();
    this.#batchUs = this.runtime.nowUs();
  }

  /** Something happened to the endpoint: visit it at the end of the batch, or soon. */
  turnSoon(endpoint: HostEndpoint): void {
    this.turn.add(endpoint);
  }

  /** The engine has something to send. */
  sendSoon(endpoint: HostEndpoint): void {
    endpoint.flags |= EndpointFlag.SEND_DUE;
    this.turn.add(endpoint);
  }

  /** Finished writes are to be given back on the next turn. */
  completeSoon(endpoint: HostEndpoint): void {
    endpoint.flags |= EndpointFlag.SENDS_DONE_DUE;
    this.turn.add(endpoint);
  }

  /** A visit of the turn. */
  visit(endpoint: HostEndpoint, nowUs: number): void {
    if ((endpoint.flags & EndpointFlag.CLOSED_DUE) !== 0) {
      effectsOf.finish(this, endpoint);
      return;
    }
    if ((endpoint.flags & EndpointFlag.READ_DUE) !== 0) endpoint.readAgain();
    else endpoint.deliverDone();
    if ((endpoint.flags & EndpointFlag.RELEASED) !== 0 || !isRunHere(endpoint)) return;
    if ((endpoint.flags & EndpointFlag.SENDS_DONE_DUE) !== 0) {
      endpoint.flags &= ~EndpointFlag.SENDS_DONE_DUE;
      effectsOf.completeSends(this, endpoint);
    }
    // One that waits for a buffer keeps its place in that line.
    const canSend = (endpoint.flags & (EndpointFlag.SEND_DUE | EndpointFlag.BLOCKED)) === EndpointFlag.SEND_DUE;
    if (canSend) this.pump(endpoint, nowUs);
    else this.arm(endpoint);
  }

  turnDone(): void {
    this.#rearm();
  }

  /** Sends a burst; what is left goes on in the next round. */
  pump(endpoint: HostEndpoint, nowUs: number): void {
    if (!isRunHere(endpoint) || !effectsOf.isLive(endpoint)) return;
    sendSegments(this, endpoint, nowUs, BURST_SEGMENTS);
    if ((endpoint.flags & (EndpointFlag.SEND_DUE | EndpointFlag.BLOCKED)) === EndpointFlag.SEND_DUE) {
      this.turn.add(endpoint);
    }
    this.arm(endpoint);
  }

  /** FIN behind what is queued. */
  closeSend(endpoint: HostEndpoint): void {
    const effects = closeSend(endpoint.tcp, this.parameters, this.runtime.nowUs());
    effectsOf.act(this, endpoint, effects, null, this.runtime.nowUs());
  }

  /** Brings the endpoint's segment size to what its path takes now. */
  pathMtuOf(endpoint: HostEndpoint): void {
    errors.applyPathMtu(this, endpoint);
  }

  abort(endpoint: HostEndpoint, code: TransportErrorCode, isTextLost = false): void {
    effectsOf.abort(this, endpoint, code, isTextLost);
  }

  fail(endpoint: HostEndpoint, code: TransportErrorCode): void {
    effectsOf.fail(this, endpoint, code);
  }

  processSegment(endpoint: HostEndpoint, bytes: Uint8Array, at: number, length: number, nowUs: number): void {
    input.processSegment(this, endpoint, bytes, at, length, nowUs);
  }

  /** See {@link HostEndpoint.backOnHost}. */
  backOnHost(endpoint: HostEndpoint, nowUs: number, closedBecause: TransportErrorCode): void {
    endpoint.location = 'host';
    if (effectsOf.isLive(endpoint)) input.adopt(this, endpoint, nowUs, closedBecause);
  }

  /** Bytes the endpoint can still buffer: its receive buffer less what is unread. */
  receiveSpaceOf(endpoint: HostEndpoint): number {
    const unread = endpoint.unreadBytes;
    // One that is not being read may not grow at the cost of all others.
    if (unread > 0 && this.chunks.bytesHeld > this.limits.unreadBytes) return 0;
    return Math.max(0, endpoint.tcp.initialRcvWnd - unread);
  }

  /** Gives the engine the space there is now. */
  openWindow(endpoint: HostEndpoint, nowUs: number): void {
    const effects = setReceiveSpace(endpoint.tcp, this.parameters, this.receiveSpaceOf(endpoint), nowUs);
    if ((effects & Effect.TRANSMIT) !== 0) this.sendSoon(endpoint);
  }

  /** Tells the policy once that enough bytes have flowed. */
  countBytes(endpoint: HostEndpoint): void {
    if ((endpoint.flags & EndpointFlag.BYTES_TOLD) !== 0) return;
    if (endpoint.bytesSent + endpoint.bytesReceived < this.chimney.afterBytes) return;
    endpoint.flags |= EndpointFlag.BYTES_TOLD;
    this.chimney.bytesReached(endpoint);
  }

  /**
   * Sees to it that the endpoint is woken at its soonest deadline. A wake-up that is too early is left in place. Only on a turn,
   * whose end arms the timer; whoever is elsewhere asks for one.
   */
  arm(endpoint: HostEndpoint): void {
    if ((endpoint.flags & EndpointFlag.RELEASED) !== 0) return;
    const atUs = soonestDeadline(endpoint.tcp);
    if (atUs < this.#heap.atUs(endpoint.tcp.slot)) this.#heap.set(endpoint.tcp.slot, atUs);
  }

  disarm(endpoint: HostEndpoint): void {
    if ((endpoint.flags & EndpointFlag.RELEASED) === 0) this.#heap.set(endpoint.tcp.slot, NEVER);
  }

  /** The handshake is done, or over. */
  forgetHalfOpen(endpoint: HostEndpoint): void {
    const halfOpen: HalfOpen | null = endpoint.halfOpen;
    if (halfOpen === null) return;
    endpoint.halfOpen = null;
    halfOpen.listener.halfOpen.delete(halfOpen);
    this.halfOpenCount--;
  }

  addTimeWait(endpoint: HostEndpoint): void {
    this.resting.addTimeWait(endpoint);
  }

  /** Its application has closed it for good. RFC 9293 SHLD-3. */
  orphaned(endpoint: HostEndpoint): void {
    if (!isRunHere(endpoint) || !effectsOf.isLive(endpoint)) return;
    effectsOf.finAcked(this, endpoint, this.runtime.nowUs());
    this.turn.add(endpoint);
  }

  /** Gives the record back: no segment finds the endpoint any more. The handler is told by others. */
  release(endpoint: HostEndpoint): void {
    if ((endpoint.flags & EndpointFlag.RELEASED) !== 0) return;
    this.disarm(endpoint);
    this.turn.forget(endpoint);
    if (endpoint.isCollecting) this.collecting.forget(endpoint);
    this.forgetHalfOpen(endpoint);
    this.resting.remove(endpoint);
    this.chimney.released(endpoint);
    endpoint.flags |= EndpointFlag.RELEASED;
    const tcp = endpoint.tcp;
    this.table.remove(tcp);
    if (tcp.reassembly !== null) this.parameters.spares.giveReassembly(tcp.reassembly);
    releaseFlight(tcp, this.parameters);
    endpoint.tcp = this.#dead;
    this.slab.free(tcp);
    endpoint.path.release();
  }

  listenerClosed(listener: Listener): void {
    this.listeners.remove(listener);
    for (const halfOpen of [...listener.halfOpen]) this.abort(halfOpen.endpoint, 'ECONNABORTED');
  }

  /** All endpoints that have a record; a copy. For what is rare. */
  endpoints(): HostEndpoint[] {
    return this.table.entries().map((entry) => (entry instanceof TcpConnection ? entry.owner : entry) as HostEndpoint);
  }

  /** The connection of these two ends, or null. */
  findTuple(path: PathEntry, localPort: number, remotePort: number): TcpConnection | null {
    const { local, remote } = path;
    const addresses = this.#addresses;
    addresses.set(local.bytes, 0);
    addresses.set(remote.bytes, 16);
    return this.table.find(path.family, addresses, 0, 16, localPort, remotePort);
  }

  #onTimer(nowUs: number): void {
    this.beginBatch();
    for (let slot = this.#heap.takeDue(nowUs); slot >= 0; slot = this.#heap.takeDue(nowUs)) {
      const endpoint = this.slab.at(slot).owner as HostEndpoint;
      if (soonestDeadline(endpoint.tcp) <= nowUs) {
        const effects = onDeadline(endpoint.tcp, this.parameters, nowUs);
        if ((effects & Effect.TRANSMIT) !== 0 && endpoint.tcp.retransmitCount > 0) this.trace.count(Event.TCP_TIMEOUT);
        effectsOf.act(this, endpoint, effects, null, nowUs);
      }
      if ((endpoint.flags & EndpointFlag.RELEASED) === 0 && isRunHere(endpoint)) this.arm(endpoint);
    }
    this.resting.expire(nowUs);
    this.turn.batchDone();
  }

  #rearm(): void {
    const soonestUs = Math.min(this.#heap.soonestUs, this.resting.soonestUs);
    if (soonestUs !== this.#timer.atUs) {
      if (soonestUs === NEVER) this.#timer.disarm();
      else this.#timer.arm(soonestUs);
    }
  }
}

/** Whether the host's engine runs the endpoint; a closed one may still rest in TIME-WAIT here. */
function isRunHere(endpoint: HostEndpoint): boolean {
  return endpoint.location === 'host' || endpoint.location === 'closed';
}
