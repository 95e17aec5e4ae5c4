/**
 * The configuration of an interface, read once and judged: what is wrong is said with the place and what was expected.
 */

import type { AdapterAttributes } from '../../ndis/protocol.ts';
import { type IpAddress, parseIp } from '../../wire/ip-address.ts';
import { type IpPrefix, parsePrefix } from '../../wire/ip-prefix.ts';
import type { InterfaceConfig, RouteConfig } from './types.ts';

/** Smallest MTUs: RFC 791 for IPv4 would allow 68, RFC 1122 wants 576 to be receivable; RFC 8200 5 for IPv6. */
const MTU_MIN = 576;
const MTU_MAX = 65_535;
export const IPV6_MTU_MIN = 1280;

/** A route, read. */
export interface ParsedRoute {
  readonly prefix: IpPrefix;
  readonly via: IpAddress | null;
  readonly metric: number;
}

/** A configuration that can be carried out. */
export interface ParsedConfig {
  readonly mtu: number;
  readonly addresses: readonly IpPrefix[];
  readonly routes: readonly ParsedRoute[];
  readonly hasLinkLocal: boolean;
  readonly acceptsAdvertisements: boolean;
}

/** Reads `config` for an adapter. Throws an Error that says what was wrong. */
export function parseConfig(attributes: AdapterAttributes, config: InterfaceConfig): ParsedConfig {
  const where = `interface '${attributes.name}'`;
  const isEthernet = attributes.medium === 'ethernet';
  const mtu = parseMtu(where, attributes, config);
  const addresses = config.addresses.map((text) => parseAddress(where, text, mtu));
  const routes = (config.routes ?? []).map((route) => parseRoute(where, route));
  const { vlanId } = config;
  if (vlanId !== undefined && !(isEthernet && Number.isInteger(vlanId) && vlanId >= 1 && vlanId <= 4094)) {
    throw new Error(`${where}: vlanId must be an integer from 1 to 4094 on an Ethernet adapter, and is ${vlanId}`);
  }
  const speaksIpv6 = mtu >= IPV6_MTU_MIN;
  return {
    mtu,
    addresses,
    routes,
    hasLinkLocal: speaksIpv6 && (config.linkLocal ?? isEthernet),
    acceptsAdvertisements: speaksIpv6 && isEthernet && (config.acceptRouterAdvertisements ?? true),
  };
}

function parseMtu(where: string, attributes: AdapterAttributes, config: InterfaceConfig): number {
  const most = Math.min(attributes.mtu, MTU_MAX);
  const mtu = config.mtu ?? most;
  if (!Number.isInteger(mtu) || mtu < MTU_MIN || mtu > most) {
    throw new Error(`${where}: mtu must be an integer from ${MTU_MIN} to ${most} (the adapter's), and is ${mtu}`);
  }
  return mtu;
}

function parseAddress(where: string, text: string, mtu: number): IpPrefix {
  const prefix = parsePrefix(text);
  if (prefix === null) throw new Error(`${where}: '${text}' is not an address like '10.0.0.1/24' or 'fd00::1/64'`);
  const { address } = prefix;
  if (address.isUnspecified || address.isMulticast || address.isLoopback || address.isBroadcast) {
    throw new Error(`${where}: '${text}' cannot be the address of an interface`);
  }
  const isIpv4Subnet = address.family === 4 && prefix.length <= 30;
  if (isIpv4Subnet && (prefix.isBroadcastAt(address.bytes, 0) || prefix.network().equals(address))) {
    throw new Error(`${where}: '${text}' is the network or broadcast address of its subnet, not that of a host`);
  }
  if (address.family === 6 && mtu < IPV6_MTU_MIN) {
    throw new Error(`${where}: '${text}' needs an mtu of at least ${IPV6_MTU_MIN}, and it is ${mtu}`);
  }
  return prefix;
}

function parseRoute(where: string, route: RouteConfig): ParsedRoute {
  const prefix = parsePrefix(route.to);
  if (prefix === null) throw new Error(`${where}: route to '${route.to}' is not a prefix like '0.0.0.0/0'`);
  const via = route.via === undefined ? null : parseIp(route.via);
  if (route.via !== undefined && (via === null || via.family !== prefix.address.family || via.isMulticast)) {
    throw new Error(`${where}: route to '${route.to}' via '${route.via}' needs a host address of the same family`);
  }
  const metric = route.metric ?? 0;
  if (!Number.isInteger(metric) || metric < 0 || metric > 65_535) {
    throw new Error(`${where}: route to '${route.to}' has the metric ${metric}; it is an integer from 0 to 65535`);
  }
  return { prefix, via, metric };
}
