/**
 * Text that leaves from where it lies: how much of it one super-segment can refer to, and the runs that it does.
 *
 * Promises: nothing is allocated. What a segment refers to is the driver's above until its send completes, so it may stay there.
 */

import { GATHER_MAX, GATHER_RUN_LEAST, type Gather } from '../../link/link.ts';
import type { TcpConnection } from '../../tcp/connection.ts';
import type { TextPiece } from '../../tcp/text-pool.ts';
import type { TcpSegment } from '../../wire/tcp-segment.ts';
import type { TcpContext } from './contexts.ts';
import type { Engine } from './engine.ts';

/** Text from so many bytes on is sent from where it lies. */
export const GATHER_FROM = 4096;
/** IPv6 header and the longest TCP header: what a super-segment is shorter than an IP packet at least. */
const HEADERS_MAX = 100;

/**
 * Most text that is given to the link at once: as much as an IP header can tell of, or, where the link takes more than that and all of it can
 * be referred to, as much as the link takes.
 */
export function mostText(engine: Engine, ctx: TcpContext): number {
  const c = ctx.tcp;
  const most = engine.largeSendBytes - HEADERS_MAX;
  const fitting = most > c.effectiveMss ? most : c.effectiveMss;
  const room = engine.bigSendBytes - HEADERS_MAX;
  if (room <= fitting || ctx.path.family !== 4) return fitting;
  const sent = (c.sndNxt - c.sndUna) | 0;
  const unsent = c.queuedBytes - sent;
  if (unsent <= fitting || Math.min(c.sndWnd, c.cWnd) - sent <= fitting) return fitting;
  // Half of what is queued goes at most: the peer reads one half while the host fills the other.
  const inRuns = referable(c, engine.work.run, sent, Math.min(unsent, room, c.queuedBytes >> 1));
  return inRuns > fitting ? inRuns : fitting;
}

/** Bytes from there on, `most` at most, that one {@link Gather} can name. */
function referable(c: TcpConnection, run: TextPiece, offset: number, most: number): number {
  let bytes = 0;
  for (let runs = 0; runs < GATHER_MAX && bytes < most; runs++) {
    if (!c.sendQueue!.runAt(offset + bytes, most - bytes, run) || isToBeCopied(run)) break;
    bytes += run.length;
  }
  return bytes;
}

/** A short run in large memory is the sender's own choice; tiny memory is cheaper to copy, and its address may change. */
function isToBeCopied(run: TextPiece): boolean {
  return run.length < GATHER_RUN_LEAST && run.bytes.length < GATHER_RUN_LEAST;
}

/** Names the runs in which the text of a segment lies. False: there are too many, or it is to be copied. */
export function gatherText(engine: Engine, c: TcpConnection, seg: TcpSegment, gather: Gather): boolean {
  // The sum over text that lies elsewhere would have to be made here: only where the device makes it.
  if (engine.largeSendBytes === 0) return false;
  const { run } = engine.work;
  gather.clear();
  let offset = seg.sendOffset;
  let left = seg.textLength;
  while (left > 0) {
    if (gather.count === GATHER_MAX || !c.sendQueue!.runAt(offset, left, run) || isToBeCopied(run)) return false;
    gather.add(run.bytes, run.at, run.length);
    offset += run.length;
    left -= run.length;
  }
  return true;
}
