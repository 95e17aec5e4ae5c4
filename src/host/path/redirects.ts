/**
 * Redirects: a better first hop for one destination, told by the present one. RFC 1122 3.2.2.2, RFC 4861 8.
 *
 * Promises: only the current first hop is believed, only about destinations that go by it, and only towards a neighbor on the same
 * link; what is learned is bounded, and forgotten when the new hop does not answer.
 */

import { Event } from '../../trace/events.ts';
import { IpAddress } from '../../wire/ip-address.ts';
import { IpPrefix } from '../../wire/ip-prefix.ts';
import type { NdMessage } from '../../wire/nd.ts';
import type { NeighborCache } from '../framing/neighbor-cache.ts';
import type { AddressTable } from './address-table.ts';
import type { IpContext } from './context.ts';
import type { PathTable } from './path-table.ts';
import { Route, type RouteTable } from './routes.ts';
import type { Interface, NeighborEntry, RxPacket } from './types.ts';

/** Host routes from redirects, all interfaces together; the oldest goes first. */
export const REDIRECTS_MAX = 256;

export class Redirects {
  readonly #context: IpContext;
  readonly #addresses: AddressTable;
  readonly #routes: RouteTable;
  readonly #paths: PathTable;
  readonly #neighbors: NeighborCache;

  constructor(
    context: IpContext,
    addresses: AddressTable,
    routes: RouteTable,
    paths: PathTable,
    neighbors: NeighborCache,
  ) {
    this.#context = context;
    this.#addresses = addresses;
    this.#routes = routes;
    this.#paths = paths;
    this.#neighbors = neighbors;
  }

  /** A neighbor discovery redirect whose form is good (RFC 4861 8.1; the first hop is checked here). */
  redirected(rx: RxPacket, message: NdMessage): void {
    const { bytes, iface } = rx;
    const destination = IpAddress.fromBytes(bytes, message.destinationAt, 6);
    const target = IpAddress.fromBytes(bytes, message.targetAt, 6);
    if (!this.#isBelieved(rx, destination) || this.#addresses.find(bytes, message.targetAt, 6) !== null) {
      this.#refuse();
      return;
    }
    if (message.targetLinkAt >= 0) {
      this.#neighbors.learn(iface, bytes, message.targetAt, 6, bytes, message.targetLinkAt, true);
    }
    const isOnLink = target.equals(destination);
    const neighbor = this.#neighbors.find(iface, bytes, message.targetAt, 6);
    if (!isOnLink && neighbor !== null) neighbor.isRouter = true;
    this.#add(iface, destination, isOnLink ? null : target);
  }

  /**
   * An ICMP redirect: `gatewayAt` names the better gateway, `destinationAt` the destination in the quoted packet. Redirects for
   * networks are taken for the host alone (RFC 1122 3.2.2.2).
   */
  redirectedIpv4(rx: RxPacket, gatewayAt: number, destinationAt: number): void {
    const { bytes, iface } = rx;
    const destination = IpAddress.fromBytes(bytes, destinationAt, 4);
    const gateway = IpAddress.fromBytes(bytes, gatewayAt, 4);
    const isOnLink = iface.addresses.some(
      (entry) =>
        entry.isUsable &&
        entry.address.family === 4 &&
        entry.prefix.contains(gateway) &&
        !entry.prefix.isBroadcastAt(gateway.bytes, 0),
    );
    const isOurs = this.#addresses.find(bytes, gatewayAt, 4) !== null;
    if (!isOnLink || isOurs || gateway.isMulticast || !this.#isBelieved(rx, destination)) {
      this.#refuse();
      return;
    }
    this.#add(iface, destination, gateway.equals(destination) ? null : gateway);
  }

  /** A next hop does not answer: what redirects said about it is void. */
  failed(neighbor: NeighborEntry): void {
    this.#routes.removeWhere(
      (route) =>
        route.origin === 'redirect' &&
        route.iface === neighbor.iface &&
        (route.nextHop ?? route.prefix.address).equals(neighbor.ip),
    );
  }

  /** Redirects come from the first hop that is used for the destination now. */
  #isBelieved(rx: RxPacket, destination: IpAddress): boolean {
    const { iface } = rx;
    if (iface.config.acceptRedirects === false || iface.medium !== 'ethernet') return false;
    const route = this.#routes.lookup(destination, iface);
    return route?.nextHop?.equalsAt(rx.bytes, rx.srcAt) === true;
  }

  #refuse(): void {
    this.#context.trace.count(Event.REDIRECT_REFUSED);
  }

  #add(iface: Interface, destination: IpAddress, nextHop: IpAddress | null): void {
    const isSame = (route: Route): boolean => route.origin === 'redirect' && route.prefix.address.equals(destination);
    this.#routes.removeWhere(isSame);
    const redirects = this.#routes.routes.filter((route) => route.origin === 'redirect');
    if (redirects.length >= REDIRECTS_MAX) {
      const oldest = redirects.reduce((a, b) => (a.madeUs <= b.madeUs ? a : b));
      this.#routes.removeWhere((route) => route === oldest);
    }
    const prefix = new IpPrefix(destination, 8 * destination.bytes.length);
    const route = new Route(prefix, nextHop, iface, 0, 'redirect');
    route.madeUs = this.#context.runtime.nowUs();
    if (!this.#routes.add(route)) {
      this.#context.trace.count(Event.ND_LIMIT);
      return;
    }
    this.#context.trace.count(Event.REDIRECT_ACCEPTED);
    this.#paths.redetermineSoon();
  }
}
