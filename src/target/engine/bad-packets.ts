/**
 * What becomes of packets with errors that only the headers show: up, uncounted, or dropped and counted; never both.
 *
 * Up is what the interface prefers and what happens unless the adapter is told to drop (STAT-026, STAT-028). Dropped and counted
 * is only what can have been meant for the chimney: with it enabled and a neighbor offloaded for a bad IP header, a path for a bad
 * TCP header (STAT-027, STAT-029); without, everything goes up (STAT-030).
 */

import { read16 } from '../../base/bytes.ts';
import { WIRE_BAD_LENGTH, type WireStatus } from '../../wire/status.ts';
import type { Engine } from './engine.ts';

/** Whether bad packets are looked for at all, also where nothing could be delivered. */
export function dropsBadPackets(engine: Engine): boolean {
  return engine.dropsBad && engine.isEnabled && (engine.neighbors.size > 0 || engine.paths.size > 0);
}

/** An IP header with an error; `length` bytes of it and what follows are there. Whether it is dropped (and counted). */
export function dropsBadIp(
  engine: Engine,
  family: 4 | 6,
  status: WireStatus,
  bytes: Uint8Array,
  at: number,
  length: number,
): boolean {
  if (!dropsBadPackets(engine)) return false;
  const statistics = engine.statistics(family);
  statistics.inReceives++;
  statistics.inOctets += length;
  // STAT-011: the header is good and says more than there is. STAT-012: a frame too short for a header is a header error.
  const isTruncated = status === WIRE_BAD_LENGTH && declaredLength(family, bytes, at) > length;
  if (isTruncated) statistics.inTruncatedPackets++;
  else statistics.inHeaderErrors++;
  return true;
}

function declaredLength(family: 4 | 6, bytes: Uint8Array, at: number): number {
  return family === 4 ? read16(bytes, at + 2) : 40 + read16(bytes, at + 4);
}

/** A good IP header over a TCP header or checksum with an error, in a datagram of so many bytes. Whether it is dropped. */
export function dropsBadTcp(engine: Engine, family: 4 | 6, datagramLength: number): boolean {
  if (!engine.dropsBad || !engine.isEnabled || engine.paths.size === 0) return false;
  const statistics = engine.statistics(family);
  statistics.inReceives++;
  statistics.inOctets += datagramLength;
  statistics.inSegments++;
  statistics.inErrors++;
  return true;
}
