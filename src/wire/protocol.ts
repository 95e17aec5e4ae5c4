/**
 * Protocol numbers of the IP header (IPv4 protocol, IPv6 next header). IANA, RFC 8200 section 4.
 */

/** Protocols and extension headers that are known by name here. */
export const IpProtocol = {
  HOP_BY_HOP: 0,
  ICMP: 1,
  IGMP: 2,
  TCP: 6,
  UDP: 17,
  ROUTING: 43,
  FRAGMENT: 44,
  ESP: 50,
  AH: 51,
  ICMPV6: 58,
  NO_NEXT_HEADER: 59,
  DESTINATION_OPTIONS: 60,
} as const;

/** IP version of an address, a header or a packet. */
export type IpFamily = 4 | 6;
