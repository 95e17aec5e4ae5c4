/**
 * Every event the system can report, declared once. Counters, traces, the CLI and the docs derive from this table.
 *
 * One line an event: its name, the room that reports it, and a sentence. Add lines to the room's group; names are for ever.
 */

export interface EventSpec {
  readonly room: string;
  readonly text: string;
}

/** The table itself; each line is an {@link EventSpec}. */
export const EVENT_TABLE = {
  // link
  LINK_QUEUE_FULL: { room: 'link', text: 'a frame was not taken because the link queue was full' },
  LINK_FRAME_LOST: { room: 'link', text: 'an impaired link lost a frame' },
  LINK_MESSAGE_BAD: { room: 'link', text: 'a message of a link (over a port, a WebSocket) that makes no sense' },
  // wire and below
  FRAME_TOO_SHORT: { room: 'host', text: 'a frame shorter than its link-layer header' },
  FRAME_NOT_FOR_US: { room: 'host', text: 'a frame or datagram addressed to somebody else' },
  ETHERTYPE_UNKNOWN: { room: 'host', text: 'a frame of a protocol that is not spoken here' },
  // host/path and host/framing: added by their authors below this line
  IPV4_HEADER_BAD: {
    room: 'host',
    text: 'an IPv4 header that is short, of another version, or lies about its lengths',
  },
  IPV4_CHECKSUM_BAD: { room: 'host', text: 'a wrong IPv4 header checksum' },
  IPV4_OPTION_BAD: { room: 'host', text: 'IPv4 options that run over the end of the header' },
  IPV4_SOURCE_ROUTED: { room: 'host', text: 'a source-routed IPv4 datagram, dropped by policy (RFC 7126)' },
  IPV6_HEADER_BAD: { room: 'host', text: 'an IPv6 header that is short, of another version, or lies about its length' },
  IPV6_EXTENSION_BAD: { room: 'host', text: 'IPv6 extension headers that cannot be processed' },
  IP_SOURCE_BAD: { room: 'host', text: 'a source address that no packet on this link may have' },
  IP_NOT_FOR_US: { room: 'host', text: 'an IP packet for an address that is not ours' },
  IP_BROADCAST_MISMATCH: { room: 'host', text: 'a unicast IP packet in a broadcast or multicast frame' },
  IP_PROTOCOL_UNKNOWN: { room: 'host', text: 'an IP packet of a protocol that nobody takes' },
  FRAGMENT_RECEIVED: { room: 'host', text: 'a fragment of a datagram' },
  FRAGMENT_BAD: { room: 'host', text: 'a fragment with a length or offset that cannot be' },
  FRAGMENT_TINY: { room: 'host', text: 'a fragment that splits the transport header (RFC 1858, 7112)' },
  FRAGMENT_OVERLAP: { room: 'host', text: 'overlapping fragments: the whole datagram was given up' },
  FRAGMENT_LIMIT: { room: 'host', text: 'a datagram in reassembly was given up for a bound on memory or number' },
  FRAGMENT_TIMEOUT: { room: 'host', text: 'reassembly of a datagram timed out' },
  DATAGRAM_REASSEMBLED: { room: 'host', text: 'a datagram was put together from fragments' },
  DATAGRAM_FRAGMENTED: { room: 'host', text: 'a datagram was sent in fragments' },
  SEND_NO_ROUTE: { room: 'host', text: 'a packet was not sent because its path has no route or its interface is down' },
  SEND_TOO_BIG: {
    room: 'host',
    text: 'a packet larger than the path MTU was not sent because it may not be fragmented',
  },
  SEND_POOL_EMPTY: { room: 'host', text: 'no packet buffer was free' },
  PATH_TABLE_FULL: { room: 'host', text: 'an unused path was dropped from the table to make room' },
  PATH_MTU_LOWERED: { room: 'host', text: 'a path MTU was lowered by an ICMP message' },
  PATH_MTU_RAISED: { room: 'host', text: 'a lowered path MTU aged and was raised again' },
  ARP_BAD: {
    room: 'host',
    text: 'an ARP packet that is short, not for IPv4 over Ethernet, or of impossible addresses',
  },
  ADDRESS_CONFLICT: { room: 'host', text: 'somebody else claims an address of ours' },
  ADDRESS_DUPLICATE: { room: 'host', text: 'an address of ours turned out to be taken and was given up' },
  ADDRESS_EXPIRED: { room: 'host', text: 'the valid lifetime of an autoconfigured address ended' },
  ND_BAD: { room: 'host', text: 'a neighbor discovery message that fails a check of RFC 4861' },
  ND_FRAGMENTED: { room: 'host', text: 'a neighbor discovery message in a fragment (RFC 6980)' },
  ND_UNSOLICITED: { room: 'host', text: 'a neighbor advertisement for a neighbor that nobody asked for' },
  ND_LIMIT: { room: 'host', text: 'a router, prefix, route or address was not learned because its table is full' },
  ROUTER_SOLICITATION_IGNORED: { room: 'host', text: 'a router solicitation; hosts ignore them' },
  REDIRECT_ACCEPTED: { room: 'host', text: 'an ICMP redirect was followed' },
  REDIRECT_REFUSED: {
    room: 'host',
    text: 'an ICMP redirect that fails a check, or that the configuration does not want',
  },
  NEIGHBOR_TABLE_FULL: {
    room: 'host',
    text: 'a neighbor was not learned, or an idle one forgotten, because the cache is full',
  },
  NEIGHBOR_QUEUE_FULL: {
    room: 'host',
    text: 'a packet that waited for a link-layer address was replaced by a newer one',
  },
  NEIGHBOR_UNREACHABLE: { room: 'host', text: 'a neighbor did not answer solicitations or probes' },
  NEIGHBOR_UNDELIVERED: { room: 'host', text: 'a packet was given up because its neighbor did not answer' },
  MLD_BAD: { room: 'host', text: 'a multicast listener query that fails a check of RFC 3810' },
  ICMP_BAD: { room: 'host', text: 'an ICMP message that is short or has a wrong checksum' },
  ICMP_TYPE_UNKNOWN: { room: 'host', text: 'an ICMP message of a type that is not spoken here' },
  ICMP_SOURCE_QUENCH: { room: 'host', text: 'an ICMP source quench, ignored (RFC 6633)' },
  ICMP_QUOTE_BAD: { room: 'host', text: 'an ICMP error whose quoted packet cannot have been ours' },
  ICMP_ERROR_RECEIVED: { room: 'host', text: 'an ICMP error about a packet of ours' },
  ICMP_ERROR_SENT: { room: 'host', text: 'an ICMP error was sent' },
  ICMP_ERROR_SUPPRESSED: { room: 'host', text: 'an ICMP error that must not be sent was not sent' },
  ICMP_RATE_LIMITED: { room: 'host', text: 'an ICMP error was not sent because too many were' },
  ICMP_ECHO_ANSWERED: { room: 'host', text: 'an echo request was answered' },
  ICMP_ECHO_IGNORED: { room: 'host', text: 'an echo request to a broadcast or IPv4 multicast address was ignored' },
  // host/transport: added by its authors below this line
  TCP_NOT_UNICAST: { room: 'host', text: 'a TCP segment to a broadcast or multicast address' },
  TCP_HEADER_BAD: { room: 'host', text: 'a TCP segment that is short or lies about its header length' },
  TCP_CHECKSUM_BAD: { room: 'host', text: 'a wrong TCP checksum' },
  TCP_NO_CONNECTION: { room: 'host', text: 'a TCP segment that belongs to no connection' },
  TCP_UNACCEPTABLE: { room: 'host', text: 'a TCP segment that its connection dropped as not acceptable' },
  TCP_RST_SENT: { room: 'host', text: 'a reset was sent' },
  TCP_RESET_BY_PEER: { room: 'host', text: 'a connection was reset or refused by its peer' },
  TCP_TIMED_OUT: { room: 'host', text: 'a connection was given up because its peer did not answer' },
  TCP_TIMEOUT: { room: 'host', text: 'a retransmission timeout of a connection' },
  TCP_NO_BUFFER: { room: 'host', text: 'a reset was not sent because no packet buffer was free' },
  TCP_SYN_SOURCE_BAD: { room: 'host', text: 'a SYN from an address that no single host can have' },
  TCP_SYN_DROPPED: {
    room: 'host',
    text: 'a SYN was dropped because there is no room for another half-open connection',
  },
  TCP_SYN_NO_ROUTE: { room: 'host', text: 'a SYN was dropped because there is no way back to its sender' },
  TCP_HALF_OPEN_EVICTED: { room: 'host', text: 'the oldest half-open connection made place for a new one' },
  TCP_TIME_WAIT_RECYCLED: { room: 'host', text: 'a connection in TIME-WAIT was forgotten early to make place' },
  TCP_ORPHAN_GIVEN_UP: {
    room: 'host',
    text: 'a connection that its application had closed was reset: its peer never finished',
  },
  TCP_ICMP_IGNORED: { room: 'host', text: 'an ICMP error that quotes no segment in flight' },
  UDP_HEADER_BAD: { room: 'host', text: 'a UDP datagram that is short or lies about its length' },
  UDP_CHECKSUM_BAD: { room: 'host', text: 'a wrong UDP checksum, or none over IPv6' },
  UDP_NO_PORT: { room: 'host', text: 'a UDP datagram to a port that nobody has bound' },
  UDP_ICMP_IGNORED: { room: 'host', text: 'an ICMP error about a UDP datagram that no port here can have sent' },
  // tcp: added by its authors below this line
  // ndis, im, target, host/chimney: added by their authors below this line
  TARGET_SEND_BACKLOG_FULL: {
    room: 'target',
    text: 'an ordinary frame was given back because too many wait for the link',
  },
  TARGET_FRAME_DROPPED: {
    room: 'target',
    text: 'a frame of an offloaded connection was lost because the link stayed full',
  },
  TARGET_CHECKSUM_BAD: {
    room: 'target',
    text: 'a segment for an offloaded connection with a wrong checksum, passed up',
  },
  TARGET_VLAN_DROPPED: {
    room: 'target',
    text: 'a frame for an offloaded connection on another VLAN than its neighbor, dropped',
  },
  TARGET_RING_FULL: {
    room: 'target',
    text: 'a frame was lost because the ring between a NIC thread and its driver was full',
  },
  TARGET_NIC_DEAD: {
    room: 'target',
    text: 'a NIC thread has died or hangs (1: ended, 2: uncaught error, 3: no sign of life; connections that were lost)',
  },
  TARGET_NIC_RESTARTED: { room: 'target', text: 'a new NIC thread has taken the place of one that had died' },
  TARGET_ASLEEP: { room: 'target', text: 'a frame that came or was to be sent while the adapter had no power' },
  TARGET_QUEUE_FULL: { room: 'target', text: 'a frame was lost because its receive queue was full' },
  TARGET_NO_ROOM: { room: 'target', text: 'a segment dropped because the receive pool had no room for its text' },
  TARGET_PASSED_UP: { room: 'target', text: 'a segment for an offloaded connection that is not processed, passed up' },
  TARGET_HELD: { room: 'target', text: 'a segment held back behind urgent data until the connection is terminated' },
  TARGET_HELD_DROPPED: { room: 'target', text: 'a segment behind urgent data dropped because too many are held' },
  TARGET_REFUSED: { room: 'target', text: 'an object was not taken at initiate (status)' },
  TARGET_RETRIEVE: { room: 'target', text: 'TcpIndicateRetrieve (reason)' },
  TARGET_ABORT: { room: 'target', text: 'TcpIndicateAbort' },
  TARGET_PATH_IN_DOUBT: { room: 'target', text: 'retransmissions put the path of an offloaded connection in doubt' },
  TARGET_NEIGHBOR_QUERY: { room: 'target', text: 'a stale neighbor: NeighborReachabilityQuery (NRD in ticks)' },
  TARGET_RETURN_UNKNOWN: { room: 'target', text: 'a list came back by receive return that had not been indicated' },
  TARGET_DATA_LOST: { room: 'target', text: 'bytes were dropped at a terminate without delegated structure (bytes)' },
  NDIS_TREE_BROKEN: {
    room: 'ndis',
    text: 'a state tree with a loop or more than three layers was completed with FAILURE',
  },
  NDIS_ADAPTER_HUNG: { room: 'ndis', text: 'a driver left a request unanswered, or said that it hangs: it is reset' },
  NDIS_ADAPTER_GIVEN_UP: { room: 'ndis', text: 'a driver that hangs could not be reset: its adapter is removed' },
  NDIS_LATE_COMPLETION: { room: 'ndis', text: 'a driver that was given up completed or indicated something' },
  NDIS_NO_RECEIVER: { room: 'ndis', text: 'a frame came up from an adapter that no protocol has open' },
  IM_SEND_REFUSED: {
    room: 'im',
    text: 'an intermediate driver had no memory to pass a send on and asked for an upload',
  },
  IM_OFFLOAD_REFUSED: { room: 'im', text: 'an intermediate driver had no memory for the objects of an initiate' },
  IM_FRAME_LOST: { room: 'im', text: 'an impairing driver lost a frame on purpose' },
  IM_QUEUE_FULL: { room: 'im', text: 'an impairing driver dropped a frame because too many are on their way' },
  IM_FRAME_DENIED: { room: 'im', text: 'a filter dropped a frame' },
  IM_OFFLOAD_DENIED: { room: 'im', text: 'a filter did not let a connection be offloaded' },
  IM_UPLOAD_ASKED: { room: 'im', text: 'a filter asked for an offloaded connection to come back' },
  IM_TEAM_SWITCHED: { room: 'im', text: 'a team went over to another member' },
  IM_TEAM_FRAME_DROPPED: { room: 'im', text: 'a team dropped a frame that came by a member which is not in use' },
  CHIMNEY_OFFLOAD_REFUSED: {
    room: 'host',
    text: 'a connection was not offloaded: not offloadable, or refused by the target',
  },
  CHIMNEY_INITIATED: { room: 'host', text: 'a connection went down to its target' },
  CHIMNEY_TERMINATED: { room: 'host', text: 'a connection came back from its target' },
  CHIMNEY_SEGMENT_HELD: {
    room: 'host',
    text: 'a segment arrived while its connection was between two engines, and was kept',
  },
  CHIMNEY_SEGMENT_LOST: { room: 'host', text: 'a segment that arrived between two engines found no room to be kept' },
  CHIMNEY_SEGMENT_FORWARDED: { room: 'host', text: 'a segment was forwarded to the target that has its connection' },
  CHIMNEY_OPERATION_FAILED: { room: 'host', text: 'a query, update or invalidate was completed with FAILURE' },
} as const;

export type EventName = keyof typeof EVENT_TABLE;

/** Names in the order of their numbers. */
export const EVENT_NAMES: readonly EventName[] = Object.freeze(Object.keys(EVENT_TABLE) as EventName[]);

/** The number of each event: `Event.LINK_QUEUE_FULL`. */
export const Event: Readonly<Record<EventName, number>> = Object.freeze(
  Object.fromEntries(EVENT_NAMES.map((name, index) => [name, index])) as Record<EventName, number>,
);
