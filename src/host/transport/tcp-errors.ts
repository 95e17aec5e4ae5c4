/**
 * What IP reports about connections: ICMP errors, a changed path MTU, an address that is lost.
 *
 * An ICMP error counts only if the sequence number it quotes is in flight (RFC 5927 4.1); a hard error ends a connection only
 * while it is being opened (RFC 5927 5.2), a soft one is remembered to explain a later timeout (RFC 1122 4.2.3.9, MUST-56). An address that
 * cannot be reached at its own link ends an open at once: that is no ICMP error but our own finding.
 */

import { read16, read32 } from '../../base/bytes.ts';
import { asSeq } from '../../base/seq.ts';
import { TcpConnectionState } from '../../state/tcp.ts';
import { onIcmpError as engineIcmpError, onPathMtu as enginePathMtu, isInFlight, isQuoteOurs } from '../../tcp/icmp.ts';
import { Event } from '../../trace/events.ts';
import type { IpAddress } from '../../wire/ip-address.ts';
import { type IcmpError, IcmpErrorKind, type PathEntry } from '../path/types.ts';
import { EndpointFlag } from './endpoint-flags.ts';
import { act, fail } from './tcp-effects.ts';
import type { HostEndpoint } from './tcp-endpoint.ts';
import type { TcpTransport } from './tcp-transport.ts';

/** Ports and sequence number of the quoted header: what every ICMP error contains at least. RFC 792. */
const QUOTE_MIN = 8;

/** Answers whether the quote is of a segment in flight of a connection here. */
export function onIcmpError(t: TcpTransport, error: IcmpError): boolean {
  const endpoint = quotedEndpoint(t, error);
  if (endpoint === null) {
    t.trace.count(Event.TCP_ICMP_IGNORED);
    return false;
  }
  // The size is believed by the path, which then tells all its connections.
  if (error.kind === IcmpErrorKind.PACKET_TOO_BIG)
    return endpoint.location === 'host' || judgeLater(t, endpoint, error);
  // An offloaded connection is synchronized: everything is soft for it.
  if (endpoint.location !== 'host') {
    endpoint.error = error.error;
    return true;
  }
  const nowUs = t.runtime.nowUs();
  const { state } = endpoint.tcp;
  const isOpening = state === TcpConnectionState.SYN_SENT || state === TcpConnectionState.SYN_RCVD;
  if (isOpening && (error.hard || error.type < 0)) {
    fail(t, endpoint, codeOf(error));
    return true;
  }
  if (error.kind !== IcmpErrorKind.UNKNOWN) endpoint.error = error.error;
  act(t, endpoint, engineIcmpError(endpoint.tcp, t.parameters, error.hard, nowUs), null, nowUs);
  return true;
}

/** Whether the quoted segment is in flight is for the target to say, which has the numbers: the path believes it after that. 5927-1. */
function judgeLater(t: TcpTransport, endpoint: HostEndpoint, error: IcmpError): boolean {
  const { believe } = error;
  const quoted = asSeq(read32(error.bytes, error.quotedAt + 4));
  const isAsked = t.chimney.askFlight(endpoint, (sndUna, sndMax) => {
    if (isInFlight(quoted, sndUna, sndMax)) believe?.();
    else t.trace.count(Event.TCP_ICMP_IGNORED);
  });
  // One that is between two engines hears of it again, by the next packet that is too long.
  if (isAsked) error.believe = null;
  else t.trace.count(Event.TCP_ICMP_IGNORED);
  return isAsked;
}

/** Port unreachable is what a reset would be. RFC 1122 3.2.2.1. */
function codeOf(error: IcmpError): IcmpError['error'] {
  return error.kind === IcmpErrorKind.PORT_UNREACHABLE ? 'ECONNREFUSED' : error.error;
}

/** The connection whose segment is quoted, if that segment is in flight. 5927-1. */
function quotedEndpoint(t: TcpTransport, error: IcmpError): HostEndpoint | null {
  if (error.quotedLength < QUOTE_MIN) return null;
  const { bytes, quotedAt } = error;
  const c = t.table.find(
    error.family,
    bytes,
    error.localAt,
    error.remoteAt,
    read16(bytes, quotedAt),
    read16(bytes, quotedAt + 2),
  );
  if (c === null) return null;
  const endpoint = c.owner as HostEndpoint;
  if ((endpoint.flags & (EndpointFlag.CLOSED_DUE | EndpointFlag.CLOSED_TOLD)) !== 0) return null;
  // The target has the numbers of an offloaded connection; where they matter it is asked.
  if (endpoint.location !== 'host') return endpoint;
  return isQuoteOurs(c, asSeq(read32(bytes, quotedAt + 4))) ? endpoint : null;
}

/** 1191-9: every connection of the path is told. */
export function onPathMtu(t: TcpTransport, path: PathEntry): void {
  for (const endpoint of t.endpoints()) {
    if (endpoint.path === path && endpoint.location === 'host') applyPathMtu(t, endpoint);
  }
}

/** Brings the connection's segment size to what its path takes now. */
export function applyPathMtu(t: TcpTransport, endpoint: HostEndpoint): void {
  const { path } = endpoint;
  const nowUs = t.runtime.nowUs();
  act(t, endpoint, enginePathMtu(endpoint.tcp, t.parameters, path.mtu, path.headerLength, nowUs), null, nowUs);
  t.turn.add(endpoint);
}

/** RFC 5227 2.4: connections from an address that is not ours any more are reset. 5227-7. */
export function onAddressLost(t: TcpTransport, address: IpAddress): void {
  for (const endpoint of t.endpoints()) {
    if (!endpoint.path.local.equals(address)) continue;
    if (endpoint.location === 'closed') t.release(endpoint);
    else t.abort(endpoint, 'ENETDOWN');
  }
}
