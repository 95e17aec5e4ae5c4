/**
 * The parts of the IP layer, made and joined: who tells whom when an address, a neighbor, a route or a link changes.
 *
 * Everything here happens seldom; packets go from part to part without passing this file.
 */

import type { Runtime } from '../../base/runtime.ts';
import type { AdapterAttributes, NdisBindingHandle, NdisForProtocol } from '../../ndis/protocol.ts';
import type { Trace } from '../../trace/trace.ts';
import { EtherType } from '../../wire/ethernet.ts';
import { QuotedPacket } from '../../wire/icmp-quote.ts';
import type { IpAddress } from '../../wire/ip-address.ts';
import { IpPrefix, parsePrefix } from '../../wire/ip-prefix.ts';
import { Arp } from '../framing/arp.ts';
import { ControlSender } from '../framing/control-sender.ts';
import { AddressTester } from '../framing/duplicate-address.ts';
import { GroupTable } from '../framing/groups.ts';
import { InterfaceIdentifiers } from '../framing/interface-identifier.ts';
import { drawReachableTime, NeighborCache } from '../framing/neighbor-cache.ts';
import { NeighborDiscovery } from '../framing/neighbor-discovery.ts';
import { RouterDiscovery } from '../framing/router-discovery.ts';
import { Transmitter } from '../framing/transmitter.ts';
import { AddressTable } from './address-table.ts';
import { IPV6_MTU_MIN, type ParsedConfig, parseConfig } from './configuration.ts';
import { IpContext, type IpOptions } from './context.ts';
import { IcmpErrors } from './icmp-errors.ts';
import { IcmpReceiver } from './icmp-receiver.ts';
import { IcmpSender, type PathBack } from './icmp-sender.ts';
import { IpReceiver } from './ip-receiver.ts';
import { IpSender } from './ip-sender.ts';
import { Loopback } from './loopback.ts';
import { PathMtu } from './path-mtu.ts';
import { PathTable } from './path-table.ts';
import { Pings } from './ping.ts';
import { Redirects } from './redirects.ts';
import { RouteChooser } from './route-chooser.ts';
import { Route, RouteTable } from './routes.ts';
import {
  IcmpErrorKind,
  Interface,
  InterfaceAddress,
  type InterfaceConfig,
  type NeighborEntry,
  NeighborState,
  type OutPacket,
  type UpperProtocol,
} from './types.ts';

/** RFC 7217 section 6 IDGEN_RETRIES. */
const IDENTIFIER_RETRIES = 3;
/** RFC 791 3.2: what every link of IPv4 carries. */
const LINK_MTU_MIN = 68;
const LOOPBACK_MTU = 65_535;
const LINK_LOCAL_PREFIX: IpPrefix = parsePrefix('fe80::/64')!;

export class IpParts {
  readonly context: IpContext;
  /** The protocols above, each once. */
  readonly uppers: UpperProtocol[] = [];
  readonly addresses: AddressTable = new AddressTable();
  readonly routes: RouteTable;
  readonly neighbors: NeighborCache;
  readonly paths: PathTable;
  readonly chooser: RouteChooser;
  readonly transmitter: Transmitter;
  readonly loopback: Loopback;
  readonly sender: IpSender;
  readonly receiver: IpReceiver;
  readonly arp: Arp;
  readonly pings: Pings;
  readonly tester: AddressTester;
  readonly #nd: NeighborDiscovery;
  readonly #groups: GroupTable;
  readonly #routers: RouterDiscovery;
  readonly #redirects: Redirects;
  readonly #identifiers: InterfaceIdentifiers;
  readonly #errors: IcmpErrors;
  readonly #quote = new QuotedPacket();

  constructor(runtime: Runtime, trace: Trace, ndis: NdisForProtocol, options: Partial<IpOptions>) {
    const context = new IpContext(runtime, trace, options);
    this.context = context;
    this.neighbors = new NeighborCache(context);
    this.routes = new RouteTable((route) => this.#failedUs(route));
    this.paths = new PathTable(context, this.routes, this.neighbors);
    this.chooser = new RouteChooser(context, this.addresses, this.routes, this.paths);
    this.transmitter = new Transmitter(context, ndis);
    this.loopback = new Loopback(runtime);
    this.sender = new IpSender(context, this.transmitter, this.neighbors, this.loopback);
    const control = new ControlSender(this.transmitter);
    this.arp = new Arp(context, this.transmitter, this.addresses, this.neighbors);
    this.#nd = new NeighborDiscovery(context, control, this.addresses, this.neighbors);
    this.#groups = new GroupTable(context, control);
    this.tester = new AddressTester(context, this.addresses, this.arp, this.#nd, this.#groups);
    this.#identifiers = new InterfaceIdentifiers(secretOf(context));
    this.#routers = new RouterDiscovery(
      context,
      this.#nd,
      this.neighbors,
      this.addresses,
      this.routes,
      this.#identifiers,
    );
    this.#redirects = new Redirects(context, this.addresses, this.routes, this.paths, this.neighbors);
    this.pings = new Pings(context, this.sender);
    const pathMtu = new PathMtu(context, this.uppers);
    this.paths.events = pathMtu;
    this.#errors = new IcmpErrors(context, this.addresses, this.paths, pathMtu, this.pings);
    this.receiver = this.#makeReceiver(this.#makeLoopback());
    this.#join();
  }

  /** Brings an interface up on an adapter. Throws for a configuration that cannot be. */
  attach(binding: NdisBindingHandle, attributes: AdapterAttributes, config: InterfaceConfig): Interface {
    const parsed = parseConfig(attributes, config);
    for (const { address } of parsed.addresses) {
      const isTaken = this.addresses.find(address.bytes, 0, address.family) !== null;
      const isTwice = parsed.addresses.some((one) => one.address !== address && one.address.equals(address));
      if (isTaken || isTwice) throw new Error(`interface '${attributes.name}': ${address} is configured twice`);
    }
    const { interfaces } = this.context;
    const mac = attributes.macAddress.slice();
    const { name, medium, largeSendBytes = 0, largeDatagrams = false, bigSendBytes = 0 } = attributes;
    const { mtu } = parsed;
    const iface = new Interface(name, interfaces.length, medium, mac, mtu, config, largeSendBytes, largeDatagrams);
    iface.bigSendBytes = bigSendBytes;
    iface.binding = binding;
    drawReachableTime(this.context, iface);
    interfaces.push(iface);
    this.transmitter.addInterface(iface);
    this.#groups.addInterface(iface);
    this.#addRoutes(iface, parsed);
    if (parsed.hasLinkLocal) this.#formLinkLocal(iface, 0);
    for (const prefix of parsed.addresses) this.#addAddress(new InterfaceAddress(iface, prefix, 'manual'));
    if (parsed.acceptsAdvertisements) this.#routers.start(iface);
    this.paths.redetermineSoon();
    return iface;
  }

  linkState(iface: Interface, isUp: boolean): void {
    if (iface.isUp === isUp || iface.binding === null) return;
    iface.isUp = isUp;
    if (!isUp) {
      this.#routers.stop(iface);
      this.neighbors.forget(iface);
    } else {
      this.#groups.rejoin(iface);
      for (const entry of [...iface.addresses]) this.tester.announce(entry);
      if (
        iface.medium === 'ethernet' &&
        iface.config.acceptRouterAdvertisements !== false &&
        iface.fullMtu >= IPV6_MTU_MIN
      ) {
        this.#routers.start(iface);
      }
    }
    this.paths.redetermineSoon();
  }

  /**
   * The link carries packets of `mtu` bytes now. The paths follow: what is too long is sent again in pieces, connections that are
   * offloaded are updated. An interface never sends more than at the beginning; one with IPv6 addresses keeps them below 1280 bytes, as
   * shorter packets may be sent always.
   */
  linkMtu(iface: Interface, mtu: number): void {
    if (!Number.isInteger(mtu) || mtu < LINK_MTU_MIN) return;
    const linkMtu = Math.min(iface.fullMtu, mtu);
    if (linkMtu === iface.linkMtu) return;
    iface.linkMtu = linkMtu;
    this.#routers.followMtu(iface);
  }

  /** The interface is given up: its addresses are lost, and with them the connections; its routes and neighbors are forgotten. */
  detach(iface: Interface): void {
    for (const entry of [...iface.addresses]) {
      this.tester.stop(entry);
      this.#routers.drop(entry);
      this.addresses.remove(entry);
      this.#tellLost(entry.address);
    }
    iface.isUp = false;
    this.#routers.stop(iface);
    this.routes.removeWhere((route) => route.iface === iface);
    this.neighbors.forget(iface);
    this.paths.redetermineSoon();
  }

  setUpper(protocol: number, upper: UpperProtocol): void {
    this.context.uppers[protocol] = upper;
    if (!this.uppers.includes(upper)) this.uppers.push(upper);
  }

  close(): void {
    this.pings.close();
    for (const iface of this.context.interfaces) this.neighbors.forget(iface);
    this.context.agenda.close();
  }

  #makeReceiver(loopback: Interface): IpReceiver {
    const pathBack: PathBack = (rx) => {
      const path = this.chooser.routeBack(rx);
      return typeof path === 'string' ? null : path;
    };
    const icmp = new IcmpReceiver(this.context, {
      sender: this.sender,
      pathBack,
      errors: this.#errors,
      pings: this.pings,
      redirects: this.#redirects,
      nd: this.#nd,
      groups: this.#groups,
      addresses: this.addresses,
    });
    const icmpSender = new IcmpSender(this.context, this.sender, this.addresses, pathBack);
    return new IpReceiver(this.context, this.addresses, this.#groups, icmp, icmpSender, loopback);
  }

  #makeLoopback(): Interface {
    const iface = new Interface('loopback', 0, 'loopback', new Uint8Array(6), LOOPBACK_MTU, { addresses: [] });
    this.context.interfaces.push(iface);
    this.transmitter.addInterface(iface);
    this.#groups.addInterface(iface);
    for (const text of ['127.0.0.1/8', '::1/128']) {
      this.addresses.add(new InterfaceAddress(iface, parsePrefix(text)!, 'manual'));
    }
    return iface;
  }

  /** Who hears what from whom. */
  #join(): void {
    this.neighbors.events = {
      solicit: (neighbor, isUnicast) => {
        if (neighbor.ip.family === 4) this.arp.request(neighbor, isUnicast);
        else this.#nd.solicit(neighbor, isUnicast);
      },
      transmit: (neighbor, out) => {
        const etherType = neighbor.ip.family === 4 ? EtherType.IPV4 : EtherType.IPV6;
        this.transmitter.send(neighbor.iface, out, etherType, neighbor.mac);
      },
      undeliverable: (neighbor, out) => this.#undeliverable(neighbor, out),
      failed: (neighbor) => this.#neighborFailed(neighbor),
      noLongerRouter: (neighbor) => this.#routers.noLongerRouter(neighbor),
    };
    this.arp.onConflict = (entry) => this.tester.conflict(entry);
    this.#nd.onConflict = (entry) => this.tester.conflict(entry);
    this.#nd.routers = {
      advertised: (rx, message) => this.#routers.advertised(rx, message),
      redirected: (rx, message) => this.#redirects.redirected(rx, message),
    };
    this.tester.events = {
      usable: () => this.paths.redetermineSoon(),
      lost: (entry) => this.#addressLost(entry),
    };
    this.#routers.events = {
      routesChanged: () => this.paths.redetermineSoon(),
      mtuChanged: () => this.paths.redetermineSoon(),
      hopLimitChanged: (iface) => this.context.observer?.hopLimitChanged(iface),
      formed: (entry) => this.tester.start(entry),
      expired: (entry) => {
        this.tester.stop(entry);
        this.addresses.remove(entry);
        this.#tellLost(entry.address);
      },
    };
  }

  #addRoutes(iface: Interface, parsed: ParsedConfig): void {
    for (const prefix of parsed.addresses) {
      this.routes.add(new Route(new IpPrefix(prefix.network(), prefix.length), null, iface, 0, 'connected'));
    }
    if (parsed.hasLinkLocal || parsed.addresses.some((prefix) => prefix.address.family === 6)) {
      this.routes.add(new Route(LINK_LOCAL_PREFIX, null, iface, 0, 'connected'));
    }
    for (const route of parsed.routes) {
      this.routes.add(new Route(route.prefix, route.via, iface, route.metric, 'static'));
    }
  }

  #addAddress(entry: InterfaceAddress): void {
    this.addresses.add(entry);
    this.tester.start(entry);
  }

  #formLinkLocal(iface: Interface, dadCounter: number): void {
    const prefix = this.#identifiers.address(iface, LINK_LOCAL_PREFIX.address.bytes, 0, dadCounter);
    const entry = new InterfaceAddress(iface, prefix, 'link-local');
    entry.dadCounter = dadCounter;
    this.#addAddress(entry);
  }

  /** RFC 4862 5.4.5, RFC 7217 6, RFC 5227 2.4. */
  #addressLost(entry: InterfaceAddress): void {
    const { iface, origin } = entry;
    this.#routers.drop(entry);
    this.#tellLost(entry.address);
    const isHardware = iface.config.interfaceIdentifier === 'eui64';
    if (origin === 'manual') return;
    if (isHardware) {
      // Somebody has our MAC: nothing of IPv6 can work on this link.
      if (origin === 'link-local') iface.isIpv6Disabled = true;
      return;
    }
    if (entry.dadCounter >= IDENTIFIER_RETRIES) return;
    if (origin === 'link-local') this.#formLinkLocal(iface, entry.dadCounter + 1);
    else this.#routers.reform(entry);
  }

  #tellLost(address: IpAddress): void {
    for (const upper of this.uppers) upper.addressLost(address);
    this.paths.redetermineSoon();
  }

  #neighborFailed(neighbor: NeighborEntry): void {
    this.#redirects.failed(neighbor);
    this.paths.redetermineSoon();
  }

  /** When the next hop of a route failed; -Infinity while nothing speaks against it. */
  #failedUs(route: Route): number {
    const { nextHop, iface } = route;
    if (nextHop === null || iface.medium !== 'ethernet') return Number.NEGATIVE_INFINITY;
    const neighbor = this.neighbors.find(iface, nextHop.bytes, 0, nextHop.family);
    if (neighbor === null || neighbor.state >= NeighborState.REACHABLE) return Number.NEGATIVE_INFINITY;
    return neighbor.failedUs;
  }

  /** RFC 4861 7.2.2, RFC 1122 2.4: what waited in vain is reported to its sender as unreachable, from here. */
  #undeliverable(neighbor: NeighborEntry, out: OutPacket): void {
    const quote = this.#quote;
    quote.decode(out.bytes, out.packetAt, out.packetLength, neighbor.ip.family);
    if (quote.family !== 0) {
      const { bytes } = out;
      this.#errors.report(neighbor.iface, bytes, quote, IcmpErrorKind.UNREACHABLE, -1, -1, 'EHOSTUNREACH', false);
    }
    out.home.put(out);
  }
}

function secretOf(context: IpContext): Uint8Array {
  const { stableSecret } = context.options;
  if (stableSecret !== null) {
    if (stableSecret.length !== 16) throw new Error(`stableSecret must have 16 bytes, and has ${stableSecret.length}`);
    return stableSecret;
  }
  const secret = new Uint8Array(16);
  context.runtime.random.fill(secret);
  return secret;
}
