/**
 * Names that filter expressions may use for numbers: protocols, EtherTypes, TCP flags, ICMP types. As pcap-filter(7) has them.
 *
 * Looks inside frames: these are the numbers of the wire (IANA).
 */

import { EtherType } from '../../wire/ethernet.ts';
import { IpProtocol } from '../../wire/protocol.ts';
import { TcpFlag } from '../../wire/tcp-segment.ts';

/** After `proto`. */
export const NAMED_PROTOCOLS: ReadonlyMap<string, number> = new Map([
  ['icmp', IpProtocol.ICMP],
  ['igmp', IpProtocol.IGMP],
  ['tcp', IpProtocol.TCP],
  ['udp', IpProtocol.UDP],
  ['esp', IpProtocol.ESP],
  ['ah', IpProtocol.AH],
  ['icmp6', IpProtocol.ICMPV6],
]);

/** After `ether proto`. */
export const NAMED_ETHER_TYPES: ReadonlyMap<string, number> = new Map([
  ['ip', EtherType.IPV4],
  ['ip6', EtherType.IPV6],
  ['arp', EtherType.ARP],
]);

/** In comparisons of fields. */
export const FIELD_CONSTANTS: ReadonlyMap<string, number> = new Map([
  ['tcp-fin', TcpFlag.FIN],
  ['tcp-syn', TcpFlag.SYN],
  ['tcp-rst', TcpFlag.RST],
  ['tcp-push', TcpFlag.PSH],
  ['tcp-ack', TcpFlag.ACK],
  ['tcp-urg', TcpFlag.URG],
  ['tcp-ece', TcpFlag.ECE],
  ['tcp-cwr', TcpFlag.CWR],
  ['icmp-echoreply', 0],
  ['icmp-unreach', 3],
  ['icmp-redirect', 5],
  ['icmp-echo', 8],
  ['icmp-timxceed', 11],
  ['icmp6-destinationrunreach', 1],
  ['icmp6-packettoobig', 2],
  ['icmp6-echo', 128],
  ['icmp6-echoreply', 129],
  ['icmp6-routersolicit', 133],
  ['icmp6-routeradvert', 134],
  ['icmp6-neighborsolicit', 135],
  ['icmp6-neighboradvert', 136],
]);
