/**
 * IP_OFFLOAD_STATS and TCP_OFFLOAD_STATS of one IP family. A target keeps them for what happens on the offloaded connections of
 * its interface (STAT-001 to STAT-023), a host for everything else, so that the two can be added up (STAT-031).
 *
 * Kept as doubles, reported as the interface types them; what is beyond a counter's maximum goes on at zero (STAT-023).
 */

import type { IpOffloadStats, TcpOffloadStats } from './parameters.ts';

/** Counters of one family. */
export class FamilyStatistics {
  // IP_OFFLOAD_STATS
  inReceives = 0;
  inOctets = 0;
  inDelivers = 0;
  outRequests = 0;
  outOctets = 0;
  inHeaderErrors = 0;
  inTruncatedPackets = 0;
  inDiscards = 0;
  outDiscards = 0;
  outNoRoutes = 0;
  // TCP_OFFLOAD_STATS; CurrentlyEstablished is a gauge and not kept here.
  inSegments = 0;
  outSegments = 0;
  resetEstablished = 0;
  retransmittedSegments = 0;
  inErrors = 0;
  outResets = 0;

  /** OID_IPx_OFFLOAD_STATS, query. */
  ip(): IpOffloadStats {
    return {
      inReceives: u64(this.inReceives),
      inOctets: u64(this.inOctets),
      inDelivers: u64(this.inDelivers),
      outRequests: u64(this.outRequests),
      outOctets: u64(this.outOctets),
      inHeaderErrors: this.inHeaderErrors >>> 0,
      inTruncatedPackets: this.inTruncatedPackets >>> 0,
      inDiscards: this.inDiscards >>> 0,
      outDiscards: this.outDiscards >>> 0,
      outNoRoutes: this.outNoRoutes >>> 0,
    };
  }

  /** OID_TCPx_OFFLOAD_STATS, query. `established`: connections in ESTABLISHED or CLOSE_WAIT now. */
  tcp(established: number): TcpOffloadStats {
    return {
      inSegments: u64(this.inSegments),
      outSegments: u64(this.outSegments),
      currentlyEstablished: established,
      resetEstablished: this.resetEstablished >>> 0,
      retransmittedSegments: this.retransmittedSegments >>> 0,
      inErrors: this.inErrors >>> 0,
      outResets: this.outResets >>> 0,
    };
  }

  /** OID_IPx_OFFLOAD_STATS, set: whatever is in the structure. */
  resetIp(): void {
    this.inReceives = 0;
    this.inOctets = 0;
    this.inDelivers = 0;
    this.outRequests = 0;
    this.outOctets = 0;
    this.inHeaderErrors = 0;
    this.inTruncatedPackets = 0;
    this.inDiscards = 0;
    this.outDiscards = 0;
    this.outNoRoutes = 0;
  }

  /** OID_TCPx_OFFLOAD_STATS, set; the gauge stays what it is. */
  resetTcp(): void {
    this.inSegments = 0;
    this.outSegments = 0;
    this.resetEstablished = 0;
    this.retransmittedSegments = 0;
    this.inErrors = 0;
    this.outResets = 0;
  }
}

function u64(value: number): bigint {
  return BigInt.asUintN(64, BigInt(value));
}
