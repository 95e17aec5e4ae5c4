/**
 * Socket options: variables of the cached state, which the host owns wherever the connection is.
 *
 * On the host path a change takes effect at once, through the engine; otherwise the record is changed and the chimney client
 * is told, which updates the target (chimney-sequences 9). Values out of range are brought into it. Sources: RFC 9293 3.8.3 to 3.8.4 and
 * 3.9.1, RFC 5482, UPD-016 to UPD-021.
 */

import { MAX_RT_NO_LIMIT, TcpCachedFlag, type TcpCachedState, TcpWord } from '../../state/tcp.ts';
import { Effect } from '../../tcp/effects.ts';
import { applyCached, writeCached } from '../../tcp/transfer.ts';
import { EndpointFlag } from './endpoint-flags.ts';
import type { HostEndpoint } from './tcp-endpoint.ts';

/** Least receive buffer: less than one full segment would keep a peer's silly-window avoidance waiting. */
const RECEIVE_BUFFER_MIN = 2048;
/** Most: what a window scaled by 14 can say (RFC 7323 2.3), with room to spare. */
const RECEIVE_BUFFER_MAX = 0x3fff_ffff;

/** Receive buffers that are taken. */
export function clampReceiveBuffer(bytes: number): number {
  return clamp(bytes, RECEIVE_BUFFER_MIN, RECEIVE_BUFFER_MAX);
}

/** Nagle off or on. RFC 9293 MUST-17. */
export function setNoDelay(endpoint: HostEndpoint, on: boolean): void {
  const cached = begin(endpoint);
  if (cached === null) return;
  setFlag(cached, TcpCachedFlag.NAGLING_ENABLED, !on);
  change(endpoint, cached, 0);
}

/** Keepalive; zeros are the stack's defaults. RFC 9293 3.8.4, MUST-24 and MUST-27. */
export function setKeepAlive(
  endpoint: HostEndpoint,
  on: boolean,
  idleMs: number,
  intervalMs: number,
  probes: number,
): void {
  const cached = begin(endpoint);
  if (cached === null) return;
  setFlag(cached, TcpCachedFlag.KEEP_ALIVE_ENABLED, on);
  cached.kaTimeout = ticksOf(endpoint, idleMs);
  cached.kaInterval = ticksOf(endpoint, intervalMs);
  cached.kaProbeCount = clamp(probes, 0, 255);
  change(endpoint, cached, TcpCachedFlag.KEEP_ALIVE_RESTART);
}

/** SO_RCVBUF. The window scale was agreed with the first segment, so it bounds what the peer can be told. */
export function setReceiveBuffer(endpoint: HostEndpoint, bytes: number): void {
  const cached = begin(endpoint);
  if (cached === null) return;
  cached.initialRcvWnd = clampReceiveBuffer(bytes);
  change(endpoint, cached, TcpCachedFlag.UPDATE_RCV_WND);
  const transport = endpoint.transport;
  if (endpoint.location === 'host') transport.openWindow(endpoint, transport.runtime.nowUs());
}

/** SO_RCVLOWAT. */
export function setReceiveLowWater(endpoint: HostEndpoint, bytes: number): void {
  if ((endpoint.flags & (EndpointFlag.RELEASED | EndpointFlag.CLOSED_DUE)) !== 0) return;
  const { transport } = endpoint;
  transport.collecting.set(endpoint, clamp(bytes, 0, RECEIVE_BUFFER_MAX));
  // What waits may be enough by now.
  if (endpoint.location === 'host') endpoint.collected(false);
  else transport.chimney.readable(endpoint);
}

/** Longest time data may stay unacknowledged (MaxRT): R2 as a time. RFC 9293 MUST-21. Infinity: for ever. */
export function setUserTimeout(endpoint: HostEndpoint, ms: number): void {
  const cached = begin(endpoint);
  if (cached === null) return;
  cached.maxRt = ms === Number.POSITIVE_INFINITY ? MAX_RT_NO_LIMIT : ticksOf(endpoint, ms);
  change(endpoint, cached, TcpCachedFlag.MAX_RT_RESTART);
}

/** TTL or hop limit of all further segments. RFC 9293 MUST-49. */
export function setHopLimit(endpoint: HostEndpoint, hops: number): void {
  const cached = begin(endpoint);
  if (cached === null) return;
  cached.ttlOrHopLimit = clamp(hops, 1, 255);
  change(endpoint, cached, 0);
}

/** TOS or traffic class of all further segments. RFC 9293 MUST-48, SHLD-21. */
export function setTrafficClass(endpoint: HostEndpoint, value: number): void {
  const cached = begin(endpoint);
  if (cached === null) return;
  cached.tosOrTrafficClass = clamp(value, 0, 255);
  change(endpoint, cached, 0);
}

/** 802.1p priority of the frames of all further segments, on the host path and below. VLAN-004. */
export function setUserPriority(endpoint: HostEndpoint, priority: number): void {
  const cached = begin(endpoint);
  if (cached === null) return;
  cached.userPriority = clamp(priority, 0, 7);
  change(endpoint, cached, 0);
}

/** The record's cached state, to be changed; null when the connection is over. */
function begin(endpoint: HostEndpoint): TcpCachedState | null {
  if ((endpoint.flags & (EndpointFlag.RELEASED | EndpointFlag.CLOSED_DUE)) !== 0) return null;
  // One structure for all changes: a change is finished before the next begins.
  const cached = endpoint.transport.cached;
  writeCached(endpoint.tcp, cached);
  return cached;
}

function change(endpoint: HostEndpoint, cached: TcpCachedState, actionFlags: number): void {
  const { tcp, transport } = endpoint;
  if (endpoint.location === 'host') {
    cached.flags |= actionFlags;
    const effects = applyCached(tcp, transport.parameters, cached, transport.runtime.nowUs());
    // Without Nagle something may go now; a restarted timer is a new deadline, armed on the next turn.
    if ((effects & Effect.TRANSMIT) !== 0) transport.sendSoon(endpoint);
    else transport.turnSoon(endpoint);
    return;
  }
  tcp.words.set(cached.words.subarray(TcpWord.CACHED_FLAGS, TcpWord.STATE), tcp.base + TcpWord.CACHED_FLAGS);
  transport.chimney.cachedChanged(endpoint, actionFlags);
}

function setFlag(cached: TcpCachedState, flag: number, on: boolean): void {
  cached.flags = on ? cached.flags | flag : cached.flags & ~flag;
}

/** Ticks of at least `ms` milliseconds; 0 stays 0. At most 32 bits, unsigned, below the special value. */
function ticksOf(endpoint: HostEndpoint, ms: number): number {
  const ticks = Math.ceil((Math.max(0, ms) * endpoint.transport.parameters.ticksPerSecond) / 1000);
  return Math.min(ticks, MAX_RT_NO_LIMIT - 1);
}

function clamp(value: number, least: number, most: number): number {
  return Math.max(least, Math.min(most, Math.floor(value)));
}
