/**
 * Routes: which interface and next hop lead to an address. RFC 1122 3.3.1, RFC 4861 5.2 and 6.3.6.
 *
 * Promises: the longest prefix wins, then the smaller metric; among equals a next hop that is not known to be dead is
 * preferred, and dead ones take turns. The table is bounded. Leaves to others: caching (path-table.ts), reachability.
 */

import type { IpAddress } from '../../wire/ip-address.ts';
import type { IpPrefix } from '../../wire/ip-prefix.ts';
import type { Interface } from './types.ts';

/** Routes of one stack. A gateway needs a few; what routers and redirects add is bounded by it too. */
export const ROUTES_MAX = 1024;

/** Where a route comes from. */
export type RouteOrigin = 'connected' | 'static' | 'router' | 'prefix' | 'redirect';

export class Route {
  readonly prefix: IpPrefix;
  /** Null: the destination itself is on the link. */
  readonly nextHop: IpAddress | null;
  readonly iface: Interface;
  readonly metric: number;
  readonly origin: RouteOrigin;
  /** When a redirect made it, microseconds. */
  madeUs = 0;

  constructor(prefix: IpPrefix, nextHop: IpAddress | null, iface: Interface, metric: number, origin: RouteOrigin) {
    this.prefix = prefix;
    this.nextHop = nextHop;
    this.iface = iface;
    this.metric = metric;
    this.origin = origin;
  }
}

/** Answers when the next hop of a route last failed, microseconds; -Infinity where it did not fail or is in use again. */
export type FailedUs = (route: Route) => number;

export class RouteTable {
  /** Longest prefix first, then smallest metric, then oldest. */
  readonly #routes: Route[] = [];
  readonly #failedUs: FailedUs;

  constructor(failedUs: FailedUs) {
    this.#failedUs = failedUs;
  }

  get routes(): readonly Route[] {
    return this.#routes;
  }

  /** Adds a route; false when the table is full. */
  add(route: Route): boolean {
    if (this.#routes.length >= ROUTES_MAX) return false;
    let at = this.#routes.length;
    while (at > 0 && isBetter(route, this.#routes[at - 1]!)) at--;
    this.#routes.splice(at, 0, route);
    return true;
  }

  /** Removes all routes for which `matches` answers true; answers how many there were. */
  removeWhere(matches: (route: Route) => boolean): number {
    const before = this.#routes.length;
    const kept = this.#routes.filter((route) => !matches(route));
    this.#routes.length = 0;
    this.#routes.push(...kept);
    return before - kept.length;
  }

  /** The route to `remote`, through `via` only when that is given; null: none. */
  lookup(remote: IpAddress, via: Interface | null): Route | null {
    let best: Route | null = null;
    for (const route of this.#routes) {
      if (route.prefix.address.family !== remote.family || !route.iface.isUp) continue;
      if (via !== null && route.iface !== via) continue;
      if (best !== null && !isEqual(route, best)) break;
      if (!route.prefix.contains(remote)) continue;
      if (best === null || this.#failedUs(route) < this.#failedUs(best)) best = route;
      if (this.#failedUs(best) === Number.NEGATIVE_INFINITY) return best;
    }
    return best;
  }
}

function isBetter(a: Route, b: Route): boolean {
  if (a.prefix.length !== b.prefix.length) return a.prefix.length > b.prefix.length;
  return a.metric < b.metric;
}

function isEqual(a: Route, b: Route): boolean {
  return a.prefix.length === b.prefix.length && a.metric === b.metric;
}
