/**
 * Opening: connect, listen, and the SYN that makes a connection half open.
 *
 * A call that cannot begin throws a TransportError; what a peer sends never does. Sources: RFC 9293 3.9.1.1 (MUST-41 to 46), 3.10.1,
 * 3.10.7.2; RFC 6056; RFC 6528; RFC 4987 3.3; RFC 6437 for flow labels.
 */

import { type Seq, seqAdd, seqBefore } from '../../base/seq.ts';
import { TcpCachedFlag, TcpWord } from '../../state/tcp.ts';
import { chooseCongestion, congestionControl } from '../../tcp/congestion/named.ts';
import { PrivateWord, type TcpConnection } from '../../tcp/connection.ts';
import { MSS_MIN, openActive, openPassive } from '../../tcp/open.ts';
import { Event } from '../../trace/events.ts';
import { type IpAddress, isMulticastAt, isUnspecifiedAt } from '../../wire/ip-address.ts';
import type { TcpSegment } from '../../wire/tcp-segment.ts';
import {
  type ConnectOptions,
  type ListenOptions,
  type ReserveOptions,
  type TcpEndpoint,
  type TcpHandler,
  type TcpListener,
  type TcpReservation,
  TransportError,
} from '../api.ts';
import type { PathEntry, RxPacket } from '../path/types.ts';
import { type BindAddress, checkPort, parseAddress, parseBindAddress, parseRemote } from './addresses.ts';
import { type Bound, Sharing } from './bind-table.ts';
import { EndpointFlag } from './endpoint-flags.ts';
import { clampReceiveBuffer } from './endpoint-options.ts';
import { act } from './tcp-effects.ts';
import { HostEndpoint } from './tcp-endpoint.ts';
import { DEFAULT_BACKLOG, HalfOpen, Listener, Reservation } from './tcp-listener.ts';
import type { TcpTransport } from './tcp-transport.ts';

/** TCP header without options. RFC 6691: the MSS announced is never reduced for options. */
const TCP_HEADER = 20;
/** How far a new incarnation begins beyond the numbers of the one in TIME-WAIT. RFC 1122 4.2.2.13. */
const REOPEN_DISTANCE = 128_000;

/** Active open. */
export function connect(t: TcpTransport, options: ConnectOptions, handler: TcpHandler): TcpEndpoint {
  if (t.isClosed) throw new TransportError('ENETDOWN', 'connect: the stack is closed');
  if (options.congestion !== undefined) congestionControl(options.congestion);
  const remote = parseRemote(options.remote, 'connect');
  const path = routeFor(t, remote, options);
  const remotePort = options.remote.port;
  const localPort = portFor(t, path, remotePort, options.local?.port ?? 0);
  if (!hasRoom(t)) throw new TransportError('ENOBUFS', `connect: ${t.limits.connections} connections are open`);
  const endpoint = make(t, path, localPort, remotePort, options.receiveBuffer ?? t.receiveBuffer);
  endpoint.handler = handler;
  if (options.congestion !== undefined) chooseCongestion(endpoint.tcp, options.congestion);
  t.table.insert(endpoint.tcp);
  const nowUs = t.runtime.nowUs();
  act(t, endpoint, openActive(endpoint.tcp, t.parameters, t.isn.next(endpoint.tcp, nowUs), nowUs), null, nowUs);
  return endpoint;
}

/** The path to the remote end, from the address that was asked for or chosen. MUST-43, MUST-44, MUST-46. */
function routeFor(t: TcpTransport, remote: IpAddress, options: ConnectOptions): PathEntry {
  if (remote.isMulticast || remote.isBroadcast || t.ip.isBroadcast(remote)) {
    throw new TransportError('ENETUNREACH', `connect: ${remote.toString()} is not the address of one host`);
  }
  const wanted = options.local?.address;
  let local: IpAddress | null = wanted === undefined ? null : parseAddress(wanted, 'connect, local address');
  if (local?.isUnspecified) local = null;
  if (local !== null && local.family !== remote.family) {
    throw new TransportError(
      'EINVAL',
      `connect: ${local.toString()} and ${remote.toString()} are of different families`,
    );
  }
  const path = t.ip.routeTo(remote, local);
  if (typeof path === 'string') throw new TransportError(path, `connect: no way to ${remote.toString()}`);
  return path;
}

/** The local port: as asked for, if nobody is in the way, or an ephemeral one. */
function portFor(t: TcpTransport, path: PathEntry, remotePort: number, wanted: number): number {
  checkPort(wanted, 'connect, local port');
  const bind: BindAddress = { address: path.local, family: path.family, isWildcard: false };
  if (wanted !== 0) {
    if (
      t.listeners.conflicts(bind, wanted) ||
      t.reserved.conflicts(bind, wanted) ||
      isTupleTaken(t, path, wanted, remotePort)
    ) {
      throw new TransportError('EADDRINUSE', `connect: port ${wanted} of ${path.local.toString()} is in use`);
    }
    return wanted;
  }
  const port = t.ports.towards(
    path.local,
    path.remote,
    remotePort,
    (candidate) => isPortBound(t, candidate) || isTupleTaken(t, path, candidate, remotePort),
  );
  if (port < 0) throw new TransportError('EADDRNOTAVAIL', 'connect: all ports are in use towards this remote end');
  return port;
}

function isPortBound(t: TcpTransport, port: number): boolean {
  return t.listeners.hasPort(port) || t.reserved.hasPort(port);
}

function isTupleTaken(t: TcpTransport, path: PathEntry, localPort: number, remotePort: number): boolean {
  return t.findTuple(path, localPort, remotePort) !== null;
}

/** Passive open. An existing connection on the port does not matter (MUST-41, MUST-42); another listener does. */
export function listen(
  t: TcpTransport,
  options: ListenOptions,
  onConnection: (endpoint: TcpEndpoint) => void,
): TcpListener {
  // A name that does not exist is the caller's mistake, now and not with the first connection.
  if (options.congestion !== undefined) congestionControl(options.congestion);
  const claimed = claim(t, options, 'listen');
  const backlog = Math.max(1, Math.min(65_535, Math.floor(options.backlog ?? DEFAULT_BACKLOG)));
  const receiveBuffer = clampReceiveBuffer(options.receiveBuffer ?? t.receiveBuffer);
  const listener = new Listener(t, claimed, backlog, receiveBuffer, onConnection);
  listener.congestion = options.congestion;
  t.listeners.add(listener);
  return listener;
}

/** Keeps a port for a listener or a connection to come: bound, and neither listening nor connected. */
export function reserve(t: TcpTransport, options: ReserveOptions): TcpReservation {
  const reservation = new Reservation(claim(t, options, 'bind'), (over) => t.reserved.remove(over));
  t.reserved.add(reservation);
  return reservation;
}

function claim(t: TcpTransport, options: ReserveOptions, call: string): Bound {
  if (t.isClosed) throw new TransportError('ENETDOWN', `${call}: the stack is closed`);
  const bind = parseBindAddress(options.local, options.ipv6Only ?? false, call);
  if (!bind.isWildcard && !t.ip.isOurs(bind.address)) {
    throw new TransportError('EADDRNOTAVAIL', `${call}: ${options.local.address} is not an address of this host`);
  }
  if (t.listeners.size + t.reserved.size >= t.limits.listeners) {
    throw new TransportError('ENOBUFS', `${call}: too many ports are bound`);
  }
  const sharing = options.reusePort === true ? Sharing.SPREAD : Sharing.NONE;
  let { port } = options.local;
  if (port === 0) port = t.ports.any((candidate) => isPortBound(t, candidate));
  if (port < 0 || t.listeners.conflicts(bind, port, sharing) || t.reserved.conflicts(bind, port, sharing)) {
    throw new TransportError('EADDRINUSE', `${call}: port ${port} of ${options.local.address} is in use`);
  }
  return { bind, port, sharing };
}

/**
 * A SYN for a listener: makes a half-open connection if there is room. `beyond`: sequence numbers before it belonged to the connection
 * in TIME-WAIT that the SYN ended; null otherwise.
 */
export function accept(
  t: TcpTransport,
  listener: Listener,
  rx: RxPacket,
  syn: TcpSegment,
  beyond: Seq | null,
  nowUs: number,
): void {
  // MUST-63: nobody can be at such an address. (IP has dropped what is addressed to more than one host, MUST-57.)
  if (isMulticastAt(rx.bytes, rx.srcAt, rx.family) || isUnspecifiedAt(rx.bytes, rx.srcAt, rx.family)) {
    t.trace.count(Event.TCP_SYN_SOURCE_BAD);
    return;
  }
  if (!makeRoom(t, listener, nowUs)) {
    t.trace.count(Event.TCP_SYN_DROPPED);
    return;
  }
  const path = t.ip.routeBack(rx);
  if (typeof path === 'string') {
    t.trace.count(Event.TCP_SYN_NO_ROUTE);
    return;
  }
  const endpoint = make(t, path, syn.dstPort, syn.srcPort, listener.receiveBuffer);
  if (listener.bind.family === 0 && rx.family === 4) endpoint.flags |= EndpointFlag.MAPPED;
  if (listener.congestion !== undefined) chooseCongestion(endpoint.tcp, listener.congestion);
  t.table.insert(endpoint.tcp);
  endpoint.halfOpen = new HalfOpen(listener, endpoint, nowUs);
  listener.halfOpen.add(endpoint.halfOpen);
  t.halfOpenCount++;
  let iss = t.isn.next(endpoint.tcp, nowUs);
  if (beyond !== null && seqBefore(iss, seqAdd(beyond, REOPEN_DISTANCE))) iss = seqAdd(beyond, REOPEN_DISTANCE);
  act(t, endpoint, openPassive(endpoint.tcp, t.parameters, syn, iss, nowUs), null, nowUs);
}

/** Whether there is room for one more half-open connection, after making it where that is allowed. RFC 4987 (4987-1). */
function makeRoom(t: TcpTransport, listener: Listener, nowUs: number): boolean {
  if (listener.halfOpen.size >= listener.backlog || t.halfOpenCount >= t.limits.halfOpen) {
    const oldest = listener.evictable(nowUs);
    if (oldest === null) return false;
    t.trace.count(Event.TCP_HALF_OPEN_EVICTED);
    t.release(oldest);
  }
  return hasRoom(t);
}

/** Whether one more connection may be held; connections at rest make place for it. */
function hasRoom(t: TcpTransport): boolean {
  return t.connectionCount < t.limits.connections || t.resting.recycle();
}

/** A fresh endpoint and its record, with everything the engine wants to find in it. */
function make(
  t: TcpTransport,
  path: PathEntry,
  localPort: number,
  remotePort: number,
  receiveBuffer: number,
): HostEndpoint {
  const c = t.slab.allocate();
  c.family = path.family;
  setAddresses(c, path);
  c.localPort = localPort;
  c.remotePort = remotePort;
  c.localMss = Math.max(MSS_MIN, path.iface.linkMtu - path.headerLength - TCP_HEADER);
  c.initialRcvWnd = clampReceiveBuffer(receiveBuffer);
  c.cachedFlags = TcpCachedFlag.NAGLING_ENABLED;
  c.tsDelta = t.isn.timestampOffset(c);
  // Fixed for the life of the connection, and nobody else's. RFC 6437 section 3.
  if (path.family === 6) c.words[c.base + TcpWord.FLOW_LABEL] = t.runtime.random.nextUint32() & 0xfffff;
  path.retain();
  return new HostEndpoint(t, c, path, localPort, remotePort);
}

function setAddresses(c: TcpConnection, path: PathEntry): void {
  for (let i = 0; i < 4; i++) {
    c.words[c.base + PrivateWord.LOCAL_ADDRESS + i] = path.localWords[i]!;
    c.words[c.base + PrivateWord.REMOTE_ADDRESS + i] = path.remoteWords[i]!;
  }
}
