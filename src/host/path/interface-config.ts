/** How an interface is set up, as it is written in options; configuration.ts reads it. */

/** A static route: `to` a prefix ('10.1.0.0/16', '::/0'); `via` the next hop; without it the prefix is on the link. */
export interface RouteConfig {
  readonly to: string;
  readonly via?: string;
  /** Smaller is preferred among routes of equal prefix; 0 to 65535, default 0. */
  readonly metric?: number;
}

/** How an interface is set up. Everything but the addresses has a default. */
export interface InterfaceConfig {
  /** Unicast addresses with prefix length: '10.0.0.1/24', 'fd00::1/64'. A link-local IPv6 address is formed in addition. */
  readonly addresses: readonly string[];
  readonly routes?: readonly RouteConfig[];
  /** Bytes of IP packet, 576 to the adapter's MTU (the default); below 1280 there is no IPv6. */
  readonly mtu?: number;
  /** Solicit routers, form addresses, learn routers, prefixes, MTU and timers. Default: true on Ethernet. */
  readonly acceptRouterAdvertisements?: boolean;
  /** Obey ICMP redirects that pass all checks of RFC 1122 3.2.2.2 and RFC 4861 8.1. Default true. */
  readonly acceptRedirects?: boolean;
  /** Take unicast packets for any destination as ours, and send from any source: a gateway that ends all connections itself. */
  readonly forwardAll?: boolean;
  /**
   * Whether an address is tested before it is used (RFC 4862 5.4, RFC 5227 2.1): 'before-use' waits for the result;
   * 'optimistic', the default, tests while it is used already (RFC 4429); 'off' does not test.
   */
  readonly duplicateAddressDetection?: 'before-use' | 'optimistic' | 'off';
  /** How IPv6 interface identifiers are formed: RFC 7217, the default, or from the MAC (RFC 2464). */
  readonly interfaceIdentifier?: 'stable' | 'eui64';
  /** Whether a link-local IPv6 address is formed. Default: true on Ethernet, false on bare IP. */
  readonly linkLocal?: boolean;
  /** 802.1Q VLAN of all frames, 1 to 4094; absent: untagged. */
  readonly vlanId?: number;
  /** What to do when somebody else uses an IPv4 address of ours: RFC 5227 2.4 (a), (b) or (c). Default 'defend-once'. */
  readonly onConflict?: 'cease' | 'defend-once' | 'defend-always';
}
