/**
 * From addresses to a path: is the local address ours, is the remote one, which interface, which source. RFC 1122 3.3.1, RFC 6724.
 *
 * Promises: a known path is found without allocation; an answer is a path that can be used now, or node's code for why there is none.
 */

import { IpAddress, isMulticastAt, parseIp } from '../../wire/ip-address.ts';
import type { TransportErrorCode } from '../api.ts';
import type { AddressTable } from './address-table.ts';
import type { IpContext } from './context.ts';
import type { PathTable } from './path-table.ts';
import type { RouteTable } from './routes.ts';
import { selectSource } from './source-selection.ts';
import type { Interface, PathEntry, RxPacket } from './types.ts';

const LOOPBACK4: IpAddress = parseIp('127.0.0.1')!;

export class RouteChooser {
  readonly #context: IpContext;
  readonly #addresses: AddressTable;
  readonly #routes: RouteTable;
  readonly #paths: PathTable;

  constructor(context: IpContext, addresses: AddressTable, routes: RouteTable, paths: PathTable) {
    this.#context = context;
    this.#addresses = addresses;
    this.#routes = routes;
    this.#paths = paths;
  }

  /** The path to `remote`, from `local` or, where that is null, from the address that RFC 6724 selects. */
  routeTo(remote: IpAddress, local: IpAddress | null): PathEntry | TransportErrorCode {
    if (local !== null) {
      if (local.family !== remote.family) return 'EINVAL';
      const known = this.#paths.findFor(local, remote);
      if (known?.isUp) return known;
    }
    if (remote.isUnspecified) return 'ENETUNREACH';
    const isOwn = remote.isLoopback || this.#addresses.usable(remote) !== null;
    return isOwn ? this.#loopbackPath(remote, local) : this.#linkPath(remote, local, null);
  }

  /** The path on which a received packet is answered: from its destination if that is one host, to its source. */
  routeBack(rx: RxPacket): PathEntry | TransportErrorCode {
    const { bytes, srcAt, dstAt, family, iface } = rx;
    const isToGroup = rx.toMulticast || rx.toBroadcast || isMulticastAt(bytes, dstAt, family);
    if (!isToGroup) {
      const known = this.#paths.find(bytes, dstAt, srcAt, family);
      if (known?.isUp) return known;
    }
    const remote = IpAddress.fromBytes(bytes, srcAt, family);
    const local = isToGroup ? null : IpAddress.fromBytes(bytes, dstAt, family);
    if (iface.medium === 'loopback') return this.routeTo(remote, local);
    if (remote.isUnspecified || remote.isMulticast) return 'ENETUNREACH';
    return this.#linkPath(remote, local, iface);
  }

  #loopbackPath(remote: IpAddress, local: IpAddress | null): PathEntry | TransportErrorCode {
    const own = local ?? (remote.isLoopback && remote.family === 4 ? LOOPBACK4 : remote);
    if (local !== null && !local.isLoopback && this.#addresses.usable(local) === null) return 'EADDRNOTAVAIL';
    return this.#paths.findFor(own, remote) ?? this.#paths.create(this.#context.interfaces[0]!, own, remote);
  }

  /** `from`: the interface a packet that is to be answered came by; null: none. */
  #linkPath(remote: IpAddress, local: IpAddress | null, from: Interface | null): PathEntry | TransportErrorCode {
    let own = local;
    let bound: Interface | null = null;
    if (own !== null) {
      const entry = this.#addresses.usable(own);
      // RFC 1122 3.2.1.3: nothing from 127/8 leaves the host.
      if (own.isMulticast || own.isUnspecified || own.isLoopback) return 'EADDRNOTAVAIL';
      if (entry === null && !this.#mayUseAny(from)) return 'EADDRNOTAVAIL';
      bound = entry?.iface ?? from;
    } else if (remote.isLinkLocal || remote.isMulticast) bound = from;
    const iface = this.#interfaceTo(remote, bound);
    if (iface === null) return 'ENETUNREACH';
    if (!iface.isUp) return 'ENETDOWN';
    own ??= selectSource(iface, remote)?.address ?? null;
    if (own === null) return 'EADDRNOTAVAIL';
    const known = this.#paths.findFor(own, remote);
    if (known?.isUp) return known;
    const path = known ?? this.#paths.create(iface, own, remote);
    return path.isUp ? path : 'ENETUNREACH';
  }

  /** Whether addresses that are not ours may be used: RFC 1122's rule, lifted by the configuration of a gateway. */
  #mayUseAny(from: Interface | null): boolean {
    if (from !== null) return from.config.forwardAll === true;
    return this.#context.interfaces.some((iface) => iface.config.forwardAll === true && iface.isUp);
  }

  #interfaceTo(remote: IpAddress, bound: Interface | null): Interface | null {
    if (remote.isMulticast || remote.isBroadcast) return bound ?? this.#firstInterface(remote);
    const route = this.#routes.lookup(remote, bound);
    if (route !== null) return route.iface;
    // RFC 1122 3.3.4.2: a host may send from one interface's address by another; never with link-local ones.
    const other = bound === null || remote.isLinkLocal ? null : this.#routes.lookup(remote, null);
    return other?.iface ?? this.#downInterface(remote, bound);
  }

  /** Where the only way is an interface that is down, it is named, for the error's sake. */
  #downInterface(remote: IpAddress, bound: Interface | null): Interface | null {
    if (bound !== null && !bound.isUp) return bound;
    const { interfaces } = this.#context;
    const isDown = interfaces.length > 1 && interfaces.every((iface) => iface.medium === 'loopback' || !iface.isUp);
    const route = this.#routes.routes.find((one) => !one.iface.isUp && one.prefix.contains(remote));
    return isDown ? interfaces[1]! : (route?.iface ?? null);
  }

  /** Group addresses without a route go by the first interface that speaks the family. */
  #firstInterface(remote: IpAddress): Interface | null {
    for (const iface of this.#context.interfaces) {
      if (iface.medium === 'loopback' || !iface.isUp) continue;
      if (iface.addresses.some((entry) => entry.isUsable && entry.address.family === remote.family)) return iface;
    }
    return null;
  }
}
