/**
 * The door of the links: frames or IP packets in and out. Whoever has a wire of his own implements {@link Link}.
 *
 * Promises: bytes given to `transmit` and to `receive` are borrowed for the call; whoever wants them longer copies them.
 * Both are synchronous and may be called from inside each other's owner, but `receive` is never called from inside `transmit`.
 */

/** What a link carries: Ethernet frames (without FCS), or bare IPv4 and IPv6 packets. */
export type Medium = 'ethernet' | 'ip';

/** Who is told what a link receives: an adapter (the miniport driver that owns the link). */
export interface LinkReceiver {
  /** A frame (or packet) has arrived: `length` bytes of `bytes` from `at`, borrowed for the call. */
  receive(bytes: Uint8Array, at: number, length: number): void;
  /** Nothing more has arrived for now: the moment to acknowledge, to complete and to ring bells, once a batch. */
  receiveDone(): void;
  /** The link went up or down. */
  linkState(isUp: boolean): void;
  /** There is room again after `transmit` answered false. */
  writable(): void;
}

/** A way for frames to leave and to arrive. */
export interface Link {
  /** For traces and messages. */
  readonly name: string;
  readonly medium: Medium;
  /** Largest IP packet it carries, bytes; 576 to 65535 (68 at the very least for IPv4, 1280 for IPv6). */
  readonly mtu: number;
  /** The link's own MAC where it has one; a stack makes up a locally administered one where it has not. Six bytes. */
  readonly macAddress?: Uint8Array;
  /** Begins to receive. Called once. */
  start(receiver: LinkReceiver): void;
  /**
   * Sends a frame, borrowed for the call. False: the link's queue is full and the frame was NOT taken; `writable` follows.
   * A link may lose a frame that it has taken.
   */
  transmit(bytes: Uint8Array, at: number, length: number): boolean;
  /** Stops for good; nothing is received after it was called. */
  close(): void | Promise<void>;
}
