/**
 * The cached state of a connection as a target is to know it: what the host leaves to its IP layer is said.
 *
 * TtlOrHopLimit is what goes into headers (STATE-046); a record without one of its own means the default of its path, which a target
 * does not know: it may have been set by a router (RFC 4861 6.3.4). RFC 9293 MUST-49.
 */

import { assert } from '../../base/assert.ts';
import { type TcpCachedState, TcpWord } from '../../state/tcp.ts';
import { writeCached } from '../../tcp/transfer.ts';
import type { OffloadedConnection } from './objects.ts';

/** Whether its packets go with the TTL or hop limit of their path, not one of its own. */
export function hasHopLimitOfPath({ endpoint, isReleased }: OffloadedConnection): boolean {
  return !isReleased && endpoint.tcp.words[endpoint.tcp.base + TcpWord.TTL_OR_HOP_LIMIT] === 0;
}

/** Writes it into `out`. */
export function writeCachedState({ endpoint }: OffloadedConnection, out: TcpCachedState): void {
  writeCached(endpoint.tcp, out);
  if (out.ttlOrHopLimit === 0) out.ttlOrHopLimit = endpoint.transport.ip.defaultHops(endpoint.path);
  // RFC 1122 3.2.1.7: nothing is sent with 0, and a target puts into its headers what it is told.
  assert(out.ttlOrHopLimit >= 1 && out.ttlOrHopLimit <= 255, 'TtlOrHopLimit of an offloaded connection is 1 to 255');
}
