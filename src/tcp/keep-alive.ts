/**
 * Keepalive, and the blind-reset defence that borrows its timer.
 *
 * A probe is sent after KaTimeout of silence and then every KaInterval, KaProbeCount times; what the peer sends, if acceptable,
 * starts the count anew. A target that met a suspicious RST or SYN probes after five minutes even where keepalive is off.
 * Sources: RFC 9293 3.8.4, RFC 1122 4.2.3.6, chimney-sequences 21, TCP-031 to 036, TCP-090 to 107.
 */

import { TcpCachedFlag } from '../state/tcp.ts';
import { Moment, type TcpConnection, TcpMode } from './connection.ts';
import { armDeadline, disarmDeadline, isArmed } from './deadlines.ts';
import { Effect, type Effects } from './effects.ts';
import { type TcpParameters, tickUs } from './parameters.ts';

/** Probes and their distance in the blind-reset defence where the connection's own values are 0. TCP-102. */
const DEFENCE_PROBES = 10;
const DEFENCE_INTERVAL_US = 1_000_000;

export function isKeepAliveEnabled(c: TcpConnection): boolean {
  return (c.cachedFlags & TcpCachedFlag.KEEP_ALIVE_ENABLED) !== 0;
}

/** Starts the timer from zero where keepalive is on, stops it where it is off. */
export function armKeepAlive(c: TcpConnection, p: TcpParameters, nowUs: number): void {
  if (isKeepAliveEnabled(c)) {
    armDeadline(c, Moment.KEEP_ALIVE, nowUs, c.kaTimeout === 0 ? p.keepAliveIdleUs : c.kaTimeout * tickUs(p));
  } else disarmDeadline(c, Moment.KEEP_ALIVE);
}

/** An acceptable segment came: the peer lives, and validated whatever was in doubt. TCP-098, TCP-106, TCP-107. */
export function onPeerHeard(c: TcpConnection, p: TcpParameters, nowUs: number): void {
  if (c.hasMode(TcpMode.DEFENCE | TcpMode.RST_CHALLENGED)) c.clearMode(TcpMode.DEFENCE | TcpMode.RST_CHALLENGED);
  if (!isArmed(c, Moment.KEEP_ALIVE)) return;
  c.keepAliveProbeCount = 0;
  armKeepAlive(c, p, nowUs);
}

/** A suspicious RST or SYN was challenged: probe within five minutes. TCP-099, TCP-100. */
export function startDefence(c: TcpConnection, p: TcpParameters, nowUs: number): void {
  if (c.hasMode(TcpMode.DEFENCE)) return;
  if (c.moments[c.momentBase + Moment.KEEP_ALIVE]! <= nowUs + p.defenceKeepAliveUs) return;
  c.setMode(TcpMode.DEFENCE);
  armDeadline(c, Moment.KEEP_ALIVE, nowUs, p.defenceKeepAliveUs);
}

/** The keepalive timer expired. TIMED_OUT: all probes are unanswered, and the caller closes the connection. */
export function onKeepAliveTimeout(c: TcpConnection, p: TcpParameters, nowUs: number): Effects {
  const isDefence = c.hasMode(TcpMode.DEFENCE);
  disarmDeadline(c, Moment.KEEP_ALIVE);
  if (!isDefence && !isKeepAliveEnabled(c)) return Effect.NONE;
  // RFC 9293 MUST-26: only when nothing is outstanding; else the retransmission timer watches the peer.
  if (!isDefence && c.sndMax !== c.sndUna) {
    c.keepAliveProbeCount = 0;
    armKeepAlive(c, p, nowUs);
    return Effect.NONE;
  }
  const limit = c.kaProbeCount !== 0 ? c.kaProbeCount : isDefence ? DEFENCE_PROBES : p.keepAliveProbes;
  if (c.keepAliveProbeCount >= limit) return Effect.TIMED_OUT;
  const defaultUs = isDefence ? DEFENCE_INTERVAL_US : p.keepAliveIntervalUs;
  c.keepAliveProbeCount++;
  c.setMode(TcpMode.KEEP_ALIVE_DUE);
  armDeadline(c, Moment.KEEP_ALIVE, nowUs, c.kaInterval === 0 ? defaultUs : c.kaInterval * tickUs(p));
  return Effect.TRANSMIT;
}
