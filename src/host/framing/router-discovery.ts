/**
 * Routers: soliciting them, believing their advertisements, and the addresses formed from these. RFC 4861 6.3, RFC 4862 5.5.
 *
 * Promises: at most three solicitations, none after a valid advertisement; one router's word cancels no other's; everything
 * learned is bounded and expires. Leaves to others: choosing among routers (routes.ts), testing addresses
 * (duplicate-address.ts).
 */

import { NEVER } from '../../base/runtime.ts';
import { Event } from '../../trace/events.ts';
import { IPV6_ANY, IpAddress, isLinkLocalAt } from '../../wire/ip-address.ts';
import { IpPrefix } from '../../wire/ip-prefix.ts';
import {
  decodePrefixInformation,
  ND_LIFETIME_INFINITE,
  type NdMessage,
  PrefixFlag,
  PrefixInformation,
} from '../../wire/nd.ts';
import type { AddressTable } from '../path/address-table.ts';
import type { AgendaItem } from '../path/agenda.ts';
import type { IpContext } from '../path/context.ts';
import { Route, type RouteTable } from '../path/routes.ts';
import { AddressState, type Interface, InterfaceAddress, type NeighborEntry, type RxPacket } from '../path/types.ts';
import { IDENTIFIER_PREFIX_BITS, type InterfaceIdentifiers } from './interface-identifier.ts';
import { drawReachableTime, type NeighborCache } from './neighbor-cache.ts';
import type { NeighborDiscovery } from './neighbor-discovery.ts';

/** RFC 4861 section 10. */
const RTR_SOLICITATION_INTERVAL_US = 4_000_000;
const MAX_RTR_SOLICITATION_DELAY_US = 1_000_000;
const MAX_RTR_SOLICITATIONS = 3;
const MAX_REACHABLE_TIME_MS = 3_600_000;
/** Bounds of RetransTimer: an advertisement must not turn solicitations into a flood, or stop them. */
const RETRANS_LEAST_MS = 100;
const RETRANS_MOST_MS = 60_000;
/** RFC 4862 5.5.3 (e). */
const TWO_HOURS_US = 7_200_000_000;
/** Routers, prefixes and autoconfigured addresses of one interface. */
const ROUTERS_MAX = 16;
const PREFIXES_MAX = 32;
const ADDRESSES_MAX = 16;

const DEFAULT_ROUTE: IpPrefix = new IpPrefix(IPV6_ANY, 0);

/** What changes with an advertisement. */
export interface RouterEvents {
  /** Routes have changed. */
  routesChanged(): void;
  /** The interface's MTU has changed. */
  mtuChanged(iface: Interface): void;
  /** Its CurHopLimit has changed. */
  hopLimitChanged(iface: Interface): void;
  /** An address was formed: it is in the table, to be tested. */
  formed(entry: InterfaceAddress): void;
  /** The valid lifetime of an address is over. */
  expired(entry: InterfaceAddress): void;
}

/** Something learned that expires: a default router, an on-link prefix. */
class Learned implements AgendaItem {
  readonly route: Route;
  readonly #discovery: RouterDiscovery;
  agendaSlot: number = -1;

  constructor(discovery: RouterDiscovery, route: Route) {
    this.#discovery = discovery;
    this.route = route;
  }

  onDue(): void {
    this.#discovery.forget(this);
  }
}

/** An autoconfigured address and its lifetimes. */
class Lifetime implements AgendaItem {
  readonly entry: InterfaceAddress;
  readonly #discovery: RouterDiscovery;
  agendaSlot: number = -1;

  constructor(discovery: RouterDiscovery, entry: InterfaceAddress) {
    this.#discovery = discovery;
    this.entry = entry;
  }

  onDue(nowUs: number): void {
    this.#discovery.aged(this, nowUs);
  }
}

/** What one interface has learned. */
class Link implements AgendaItem {
  readonly iface: Interface;
  readonly #discovery: RouterDiscovery;
  readonly learned: Learned[] = [];
  readonly lifetimes: Lifetime[] = [];
  solicitationsLeft: number = MAX_RTR_SOLICITATIONS;
  agendaSlot: number = -1;

  constructor(discovery: RouterDiscovery, iface: Interface) {
    this.#discovery = discovery;
    this.iface = iface;
  }

  onDue(nowUs: number): void {
    this.#discovery.solicit(this, nowUs);
  }
}

export class RouterDiscovery {
  readonly #context: IpContext;
  readonly #nd: NeighborDiscovery;
  readonly #neighbors: NeighborCache;
  readonly #addresses: AddressTable;
  readonly #routes: RouteTable;
  readonly #identifiers: InterfaceIdentifiers;
  readonly #prefix = new PrefixInformation();
  /** By `Interface.index`; absent where advertisements are not accepted. */
  readonly #links: (Link | undefined)[] = [];
  events: RouterEvents | null = null;

  constructor(
    context: IpContext,
    nd: NeighborDiscovery,
    neighbors: NeighborCache,
    addresses: AddressTable,
    routes: RouteTable,
    identifiers: InterfaceIdentifiers,
  ) {
    this.#context = context;
    this.#nd = nd;
    this.#neighbors = neighbors;
    this.#addresses = addresses;
    this.#routes = routes;
    this.#identifiers = identifiers;
  }

  /** Begins to look for routers on the interface, or begins again after its link was down. RFC 4861 6.3.7. */
  start(iface: Interface): void {
    let link = this.#links[iface.index];
    if (link === undefined) {
      link = new Link(this, iface);
      this.#links[iface.index] = link;
    }
    link.solicitationsLeft = MAX_RTR_SOLICITATIONS;
    this.#context.agenda.set(link, this.#context.runtime.nowUs() + this.#random(MAX_RTR_SOLICITATION_DELAY_US));
  }

  /** The interface's link is down. */
  stop(iface: Interface): void {
    const link = this.#links[iface.index];
    if (link !== undefined) this.#context.agenda.clear(link);
  }

  solicit(link: Link, nowUs: number): void {
    link.solicitationsLeft--;
    this.#nd.solicitRouters(link.iface);
    if (link.solicitationsLeft > 0) this.#context.agenda.set(link, nowUs + RTR_SOLICITATION_INTERVAL_US);
  }

  /** A router advertisement whose form is good. RFC 4861 6.3.4. */
  advertised(rx: RxPacket, message: NdMessage): void {
    const { iface, bytes } = rx;
    const link = this.#links[iface.index];
    if (link === undefined) return;
    this.#context.agenda.clear(link);
    this.#takeParameters(iface, message);
    let router: NeighborEntry | null = null;
    if (message.sourceLinkAt >= 0) {
      router = this.#neighbors.learn(iface, bytes, rx.srcAt, 6, bytes, message.sourceLinkAt, true);
    } else router = this.#neighbors.find(iface, bytes, rx.srcAt, 6);
    if (router !== null) router.isRouter = true;
    const hadRoutes = this.#takeRouter(link, bytes, rx.srcAt, message.routerLifetimeS);
    let hadPrefixes = false;
    for (let i = 0; i < message.prefixCount; i++) {
      decodePrefixInformation(bytes, message.prefixAt[i]!, this.#prefix);
      if (this.#takePrefix(link, bytes, this.#prefix)) hadPrefixes = true;
    }
    if (hadRoutes || hadPrefixes) this.events?.routesChanged();
  }

  /** What said it was a router says so no more, or did not answer probes for good. RFC 4861 7.3.3. */
  noLongerRouter(neighbor: NeighborEntry): void {
    const link = this.#links[neighbor.iface.index];
    const learned = link?.learned.find(
      (one) => one.route.origin === 'router' && one.route.nextHop?.equals(neighbor.ip) === true,
    );
    if (learned !== undefined) this.forget(learned);
  }

  /** Takes a router or prefix out. */
  forget(learned: Learned): void {
    const link = this.#links[learned.route.iface.index]!;
    this.#context.agenda.clear(learned);
    link.learned.splice(link.learned.indexOf(learned), 1);
    this.#routes.removeWhere((route) => route === learned.route);
    this.events?.routesChanged();
  }

  /** A lifetime of an address has run out. RFC 4862 5.5.4. */
  aged(lifetime: Lifetime, nowUs: number): void {
    const { entry } = lifetime;
    if (nowUs >= entry.validUntilUs) {
      this.drop(entry);
      this.#context.trace.count(Event.ADDRESS_EXPIRED);
      this.events?.expired(entry);
      return;
    }
    if (nowUs >= entry.preferredUntilUs && entry.state === AddressState.PREFERRED)
      entry.state = AddressState.DEPRECATED;
    this.#schedule(lifetime, nowUs);
  }

  /** Forgets the lifetimes of an address that is given up. */
  drop(entry: InterfaceAddress): void {
    const link = this.#links[entry.iface.index];
    const at = link?.lifetimes.findIndex((lifetime) => lifetime.entry === entry) ?? -1;
    if (link !== undefined && at >= 0) this.#context.agenda.clear(link.lifetimes.splice(at, 1)[0]!);
  }

  #takeParameters(iface: Interface, message: NdMessage): void {
    if (message.hopLimit > 0 && message.hopLimit !== iface.hopLimit) {
      iface.hopLimit = message.hopLimit;
      this.events?.hopLimitChanged(iface);
    }
    const reachableMs = message.reachableTimeMs;
    if (reachableMs > 0 && reachableMs <= MAX_REACHABLE_TIME_MS && reachableMs * 1000 !== iface.baseReachableTimeUs) {
      iface.baseReachableTimeUs = reachableMs * 1000;
      drawReachableTime(this.#context, iface);
    }
    if (message.retransTimerMs > 0) {
      const ms = Math.min(RETRANS_MOST_MS, Math.max(RETRANS_LEAST_MS, message.retransTimerMs));
      iface.retransTimerUs = ms * 1000;
    }
    if (message.mtu >= 1280 && message.mtu <= iface.linkMtu) {
      iface.advertisedMtu = message.mtu;
      this.followMtu(iface);
    }
  }

  /** The interface sends what its link carries, or less if a router says so. RFC 4861 6.3.4. */
  followMtu(iface: Interface): void {
    const { linkMtu, advertisedMtu } = iface;
    const mtu = advertisedMtu === 0 ? linkMtu : Math.min(linkMtu, advertisedMtu);
    if (mtu === iface.mtu) return;
    iface.mtu = mtu;
    this.events?.mtuChanged(iface);
  }

  /** The default router list. Answers whether routes have changed. */
  #takeRouter(link: Link, bytes: Uint8Array, at: number, lifetimeS: number): boolean {
    const known = link.learned.find((one) => one.route.origin === 'router' && one.route.nextHop!.equalsAt(bytes, at));
    if (lifetimeS === 0) {
      if (known !== undefined) this.forget(known);
      return false;
    }
    const untilUs = this.#context.runtime.nowUs() + lifetimeS * 1_000_000;
    if (known !== undefined) {
      this.#context.agenda.set(known, untilUs);
      return false;
    }
    const route = new Route(DEFAULT_ROUTE, IpAddress.fromBytes(bytes, at, 6), link.iface, 1024, 'router');
    return this.#add(link, route, ROUTERS_MAX, untilUs);
  }

  #add(link: Link, route: Route, most: number, untilUs: number): boolean {
    const count = link.learned.reduce((sum, one) => sum + Number(one.route.origin === route.origin), 0);
    if (count >= most || !this.#routes.add(route)) {
      this.#context.trace.count(Event.ND_LIMIT);
      return false;
    }
    const learned = new Learned(this, route);
    link.learned.push(learned);
    this.#context.agenda.set(learned, untilUs);
    return true;
  }

  /** A prefix information option. Answers whether routes have changed. */
  #takePrefix(link: Link, bytes: Uint8Array, prefix: PrefixInformation): boolean {
    if (isLinkLocalAt(bytes, prefix.prefixAt, 6)) return false;
    const nowUs = this.#context.runtime.nowUs();
    if ((prefix.flags & PrefixFlag.AUTONOMOUS) !== 0) this.#autoconfigure(link, bytes, prefix, nowUs);
    // RFC 4861 6.3.4: without the flag nothing is said, also not that the prefix is elsewhere.
    if ((prefix.flags & PrefixFlag.ON_LINK) === 0) return false;
    const known = link.learned.find(
      (one) =>
        one.route.origin === 'prefix' &&
        one.route.prefix.length === prefix.prefixLength &&
        one.route.prefix.containsAt(bytes, prefix.prefixAt),
    );
    if (prefix.validLifetimeS === 0) {
      if (known !== undefined) this.forget(known);
      return false;
    }
    const untilUs = afterSeconds(nowUs, prefix.validLifetimeS);
    if (known !== undefined) {
      this.#context.agenda.set(known, untilUs);
      return false;
    }
    const network = new IpPrefix(IpAddress.fromBytes(bytes, prefix.prefixAt, 6), prefix.prefixLength).network();
    const route = new Route(new IpPrefix(network, prefix.prefixLength), null, link.iface, 256, 'prefix');
    return this.#add(link, route, PREFIXES_MAX, untilUs);
  }

  /** RFC 4862 5.5.3. */
  #autoconfigure(link: Link, bytes: Uint8Array, prefix: PrefixInformation, nowUs: number): void {
    const { iface } = link;
    if (prefix.preferredLifetimeS > prefix.validLifetimeS || prefix.prefixLength !== IDENTIFIER_PREFIX_BITS) return;
    if (iface.isIpv6Disabled) return;
    const known = link.lifetimes.find((one) => one.entry.prefix.containsAt(bytes, prefix.prefixAt));
    if (known !== undefined) {
      this.#refresh(known, prefix, nowUs);
      return;
    }
    if (prefix.validLifetimeS === 0) return;
    if (link.lifetimes.length >= ADDRESSES_MAX) {
      this.#context.trace.count(Event.ND_LIMIT);
      return;
    }
    this.#form(link, bytes, prefix.prefixAt, 0, (entry) => {
      entry.validUntilUs = afterSeconds(nowUs, prefix.validLifetimeS);
      entry.preferredUntilUs = afterSeconds(nowUs, prefix.preferredLifetimeS);
    });
  }

  /** Forms an address anew after a conflict, with the next identifier. RFC 7217 section 6. */
  reform(lost: InterfaceAddress): void {
    const link = this.#links[lost.iface.index];
    if (link === undefined) return;
    this.#form(link, lost.address.bytes, 0, lost.dadCounter + 1, (entry) => {
      entry.validUntilUs = lost.validUntilUs;
      entry.preferredUntilUs = lost.preferredUntilUs;
    });
  }

  #form(
    link: Link,
    bytes: Uint8Array,
    prefixAt: number,
    dadCounter: number,
    setLifetimes: (entry: InterfaceAddress) => void,
  ): void {
    const prefix = this.#identifiers.address(link.iface, bytes, prefixAt, dadCounter);
    if (this.#addresses.find(prefix.address.bytes, 0, 6) !== null) return;
    const entry = new InterfaceAddress(link.iface, prefix, 'autoconf');
    entry.dadCounter = dadCounter;
    setLifetimes(entry);
    this.#addresses.add(entry);
    const lifetime = new Lifetime(this, entry);
    link.lifetimes.push(lifetime);
    this.#schedule(lifetime, this.#context.runtime.nowUs());
    this.events?.formed(entry);
  }

  /** New lifetimes for an address there is: RFC 4862 5.5.3 (e), the two-hour rule for the valid one. */
  #refresh(lifetime: Lifetime, prefix: PrefixInformation, nowUs: number): void {
    const { entry } = lifetime;
    const validUntilUs = afterSeconds(nowUs, prefix.validLifetimeS);
    if (validUntilUs > nowUs + TWO_HOURS_US || validUntilUs > entry.validUntilUs) entry.validUntilUs = validUntilUs;
    else if (entry.validUntilUs > nowUs + TWO_HOURS_US) entry.validUntilUs = nowUs + TWO_HOURS_US;
    entry.preferredUntilUs = afterSeconds(nowUs, prefix.preferredLifetimeS);
    if (entry.state === AddressState.DEPRECATED && entry.preferredUntilUs > nowUs) entry.state = AddressState.PREFERRED;
    else if (entry.state === AddressState.PREFERRED && entry.preferredUntilUs <= nowUs) {
      entry.state = AddressState.DEPRECATED;
    }
    this.#schedule(lifetime, nowUs);
  }

  #schedule(lifetime: Lifetime, nowUs: number): void {
    const { preferredUntilUs, validUntilUs } = lifetime.entry;
    this.#context.agenda.set(
      lifetime,
      preferredUntilUs > nowUs ? Math.min(preferredUntilUs, validUntilUs) : validUntilUs,
    );
  }

  #random(us: number): number {
    return this.#context.runtime.random.nextUint32() % us;
  }
}

/** The moment so many seconds on; NEVER for an infinite lifetime. */
function afterSeconds(nowUs: number, seconds: number): number {
  return seconds === ND_LIFETIME_INFINITE ? NEVER : nowUs + seconds * 1_000_000;
}
