/**
 * What a step of the engine answers: a set of things its caller must now do. Bits, so that a batch ORs them.
 */

/** Effects of one step. The caller acts on them in the order in which they stand here. */
export const Effect = {
  NONE: 0,
  /** The handshake is done. */
  CONNECTED: 1,
  /** The peer acknowledged send data: take the finished lists with `sendQueue.takeCompleted()`. */
  ACKED: 2,
  /** In-order text: `segment.bytes/textAt/textLength` was trimmed to it; then drain `reassembly` while it has more. */
  TEXT: 4,
  /** The peer's FIN is next in order: end of stream once all text is delivered. */
  END_OF_STREAM: 8,
  /** Our FIN was acknowledged. */
  FIN_ACKED: 16,
  /** Something can or must be sent: call `nextSegment` until it answers false (once per batch is enough). */
  TRANSMIT: 32,
  /** The connection entered TIME-WAIT. */
  TIME_WAIT: 64,
  /** The connection reached CLOSED in good order. */
  CLOSED: 128,
  /** The peer reset it (acceptable RST): CLOSED. In SYN-SENT: refused. */
  ABORTED: 256,
  /** Given up: retransmissions, keepalive, user timeout. CLOSED. */
  TIMED_OUT: 512,
  /** The segment carries urgent data (valid URG); the engine treats it as ordinary text, a target must not. */
  URGENT: 1024,
  /** Target only: an in-order SYN arrived, upload in CLOSED (TCP-089). */
  SYN_IN_ORDER: 2048,
  /** The segment was not acceptable and was dropped (an ACK may be owed). */
  DROPPED: 4096,
  /** The peer's ACK or segment shows forward progress on the path (NBR-008). */
  PROGRESS: 8192,
  /** Retransmissions reached the threshold at which the path is in doubt (R1). */
  PATH_IN_DOUBT: 16384,
  /**
   * A SYN in TIME-WAIT may open a new incarnation (RFC 9293 3.6.1 MAY-2, RFC 6191): where a listener wants it, forget this
   * connection and open passively from the segment, with an ISS beyond this connection's `sndMax`; otherwise nothing is due.
   */
  REOPEN: 32768,
  /** The segment is to be answered with the reset that `resetFor` makes of it; the connection itself goes on. */
  ANSWER_RESET: 65536,
  /** SYN-RCVD ended by a reset, and was reached from LISTEN: the user need not be told. RFC 9293 3.10.7.4. Comes with ABORTED. */
  BACK_TO_LISTEN: 131072,
} as const;

/** An OR of {@link Effect} bits. */
export type Effects = number;
