/**
 * What an endpoint knows about itself, as bits of one number: an idle connection has no room for a field each.
 */

/** What an endpoint knows about itself, as bits of `flags`. */
export const EndpointFlag = {
  /** In the turn list. */
  TURN: 1,
  /** The engine has, or may have, something to send. */
  SEND_DUE: 2,
  /** What is unread is to be offered again. */
  READ_DUE: 4,
  /** `handler.dataDone` is owed. */
  DATA_DONE_DUE: 8,
  /** `handler.closed` is owed; {@link HostEndpoint.error} says with what. */
  CLOSED_DUE: 16,
  /** The handler took less than it was offered and has not resumed since. */
  REFUSED: 32,
  /** `resume` was called while the handler was being offered bytes. */
  RESUMED: 64,
  /** The handshake is done. */
  CONNECTED: 128,
  /** The peer's FIN was reached. */
  FIN_RECEIVED: 256,
  /** `handler.end` was called. */
  END_TOLD: 512,
  /** `shutdown` was called: no more writes. */
  SHUTDOWN: 1024,
  /** Both halves are over in good order; `closed(null)` follows once the handler has taken everything. */
  OVER: 2048,
  /** `handler.closed` was called. */
  CLOSED_TOLD: 4096,
  /** The record was given back; `tcp` is a dead one. */
  RELEASED: 8192,
  /** Came from a listener on '::' over IPv4: addresses are shown v4-mapped. RFC 4291 section 2.5.5.2. */
  MAPPED: 16384,
  /** `close` was called: arriving text resets the connection. RFC 9293 SHLD-3. */
  DISCARD: 32768,
  /** Waits in the queue of its interface for a packet buffer. */
  BLOCKED: 65536,
  /** `bytesReached` was called. */
  BYTES_TOLD: 131072,
  /** Finished writes are to be given back. */
  SENDS_DONE_DUE: 262144,
  /** An acceptable segment of it came with IPv4 options: only the host can process them (INIT-073). */
  IP_OPTIONS: 524288,
  /** Received text is collected before it is offered. */
  COLLECTS: 1048576,
  /** Text that was unread here went down with the connection, and is not up again: the end of the stream comes behind it. */
  TEXT_BELOW: 2097152,
} as const;
