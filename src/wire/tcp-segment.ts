/**
 * One TCP segment, decoded: the record that `wire/tcp.ts` fills and reads and the engine steps on.
 *
 * A record is long-lived and reused by its owner; nothing is allocated per segment. Options that were absent read as stated.
 */

import { asSeq, type Seq } from '../base/seq.ts';

/** Control bits of the TCP header. RFC 9293 section 3.1. */
export const TcpFlag = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16, URG: 32, ECE: 64, CWR: 128 } as const;

/** SACK blocks that fit into one header. */
export const SACK_BLOCKS_MAX = 4;

/** A decoded segment, received or to be sent. */
export class TcpSegment {
  srcPort = 0;
  dstPort = 0;
  seq: Seq = asSeq(0);
  ack: Seq = asSeq(0);
  flags = 0;
  /** The window field as it stands in the header, not scaled; 0 to 65535. */
  window = 0;
  urgentPointer = 0;
  /** Header with options, bytes. */
  headerLength = 20;
  /** Received: where the text is. To be sent: unused, see {@link sendOffset}. */
  bytes: Uint8Array = EMPTY;
  textAt = 0;
  /** Bytes of text (payload). */
  textLength = 0;
  /** ECN field of the IP packet around it: received, where its owner knows it; to be sent, what is to stand there. RFC 3168 5. */
  ecn = 0;
  /** To be sent: where the text starts, in bytes behind SND.UNA in the send queue. */
  sendOffset = 0;

  /** MSS option, bytes; 0: absent. */
  mss = 0;
  /** Window scale option; -1: absent. Values over 14 are kept as sent (RFC 7323 2.3 leaves the judgement to the engine). */
  windowScale = -1;
  sackPermitted = false;
  hasTimestamps = false;
  tsVal = 0;
  tsEcr = 0;
  /** SACK blocks present. */
  sackCount = 0;
  /** Left and right edges, pairwise. */
  readonly sackEdges: Int32Array = new Int32Array(2 * SACK_BLOCKS_MAX);

  /** Sequence numbers the segment takes: text, SYN and FIN. SEG.LEN. */
  get seqLength(): number {
    return this.textLength + ((this.flags >> 1) & 1) + (this.flags & 1);
  }

  /** Forgets all options (before filling the record anew). */
  clearOptions(): void {
    this.mss = 0;
    this.windowScale = -1;
    this.sackPermitted = false;
    this.hasTimestamps = false;
    this.tsVal = 0;
    this.tsEcr = 0;
    this.sackCount = 0;
  }
}

const EMPTY: Uint8Array = new Uint8Array(0);
