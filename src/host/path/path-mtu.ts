/**
 * Path MTU discovery: what an ICMP message may do to a path's MTU, and when the MTU is raised again. RFC 1191, RFC 8201.
 *
 * Promises: a message only ever lowers an MTU, never below 1280 for IPv6; for IPv4 not below a floor, at which packets go
 * without DF instead, so that a forged message cannot shrink segments to nothing (RFC 5927 section 7); everybody who uses the path
 * is told. Leaves to others: whether the quoted packet was ours (the protocol above judges it).
 */

import { Event } from '../../trace/events.ts';
import type { IpContext } from './context.ts';
import type { PathEvents } from './path-table.ts';
import type { PathEntry, UpperProtocol } from './types.ts';

/** RFC 1191 section 7.1: what links have, for routers that do not say their MTU. */
const PLATEAUS: readonly number[] = [65_535, 32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68];
const IPV4_MINIMUM_MTU = 68;
const IPV6_MINIMUM_MTU = 1280;

export class PathMtu implements PathEvents {
  readonly #context: IpContext;
  /** Each once. */
  readonly #uppers: readonly UpperProtocol[];

  constructor(context: IpContext, uppers: readonly UpperProtocol[]) {
    this.#context = context;
    this.#uppers = uppers;
  }

  /**
   * The MTU that a message reporting `mtu` about a packet of `packetLength` bytes would give the path; 0: it changes nothing. RFC 1191 3 and 5,
   * RFC 8201 4.
   */
  proposed(path: PathEntry, mtu: number, packetLength: number): number {
    const reported = reportedBy(path, mtu, packetLength);
    if (path.family === 6) return reported >= IPV6_MINIMUM_MTU && reported < path.mtu ? reported : 0;
    if (reported < IPV4_MINIMUM_MTU || reported >= path.mtu) return 0;
    const floor = Math.min(this.#context.options.minimumIpv4PathMtu, path.iface.mtu);
    if (reported >= floor) return reported;
    return path.mtu > floor || !path.mayFragment ? floor : 0;
  }

  /** Does what {@link proposed} answered for the same message. */
  lower(path: PathEntry, proposed: number, mtu: number, packetLength: number): void {
    if (reportedBy(path, mtu, packetLength) < proposed) path.mayFragment = true;
    path.mtu = proposed;
    path.mtuUntilUs = this.#context.runtime.nowUs() + this.#context.options.pathMtuAgeUs;
    this.#context.agenda.set(path, path.mtuUntilUs);
    this.#context.trace.count(Event.PATH_MTU_LOWERED);
    this.#tell(path);
  }

  /** RFC 1191 6.3: the estimate is old: back to the first hop's MTU. */
  mtuAged(path: PathEntry): void {
    path.mtuUntilUs = Number.POSITIVE_INFINITY;
    path.mayFragment = false;
    if (path.mtu >= path.iface.mtu) return;
    path.mtu = path.iface.mtu;
    this.#context.trace.count(Event.PATH_MTU_RAISED);
    this.#tell(path);
  }

  mtuFollowed(path: PathEntry): void {
    this.#tell(path);
  }

  #tell(path: PathEntry): void {
    for (const upper of this.#uppers) upper.pathMtuChanged(path);
    this.#context.observer?.pathMtuChanged(path);
  }
}

/** What the message says, or what RFC 1191 section 5 makes of one that says nothing. */
function reportedBy(path: PathEntry, mtu: number, packetLength: number): number {
  return mtu > 0 || path.family === 6 ? mtu : plateauBelow(Math.min(packetLength, path.mtu));
}

function plateauBelow(length: number): number {
  for (const plateau of PLATEAUS) if (plateau < length) return plateau;
  return 0;
}
