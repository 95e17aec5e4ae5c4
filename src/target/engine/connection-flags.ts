/**
 * What is either so or not so of an offloaded connection, a bit each: seventeen booleans in the room of one, as an idle
 * connection is to be small.
 */

import { BufferedData } from './receive-pool.ts';

const Flag = {
  INVALID: 1,
  CORRUPT: 2,
  CORRUPTION_TOLD: 4,
  INITIATING: 8,
  SENDS_RETURNED: 16,
  QUEUED: 32,
  BLOCKED: 64,
  STARVED: 128,
  BUFFERED_PUSHED: 256,
  DELIVERING: 512,
  REFUSED: 1024,
  REST_HELD: 2048,
  FIN_RECEIVED: 4096,
  DISCONNECT_INDICATED: 8192,
  DISCONNECT_QUEUED: 16384,
  FIN_ACKED: 32768,
  TERMINATING: 65536,
} as const;

/** Bits above the flags: how often it is to be looked at before it is idle. */
const ONE_LOOK = 131072;
const LOOKS = 3 * ONE_LOOK;

/**
 * The flags of a connection under their names. A connection is its own buffered data: an object less for each. (No private methods: each
 * class that has such costs its objects a word.)
 */
export class ConnectionFlags extends BufferedData {
  #flags: number = Flag.INITIATING;

  /** Received and not delivered. */
  get buffered(): BufferedData {
    return this;
  }

  /** The connection itself was invalidated. */
  get isInvalid(): boolean {
    return (this.#flags & Flag.INVALID) !== 0;
  }
  set isInvalid(value: boolean) {
    this.#flags = withFlag(this.#flags, Flag.INVALID, value);
  }
  get isCorrupt(): boolean {
    return (this.#flags & Flag.CORRUPT) !== 0;
  }
  set isCorrupt(value: boolean) {
    this.#flags = withFlag(this.#flags, Flag.CORRUPT, value);
  }
  /** The corruption was told: the next terminate ends it (TERM-024). */
  get isCorruptionTold(): boolean {
    return (this.#flags & Flag.CORRUPTION_TOLD) !== 0;
  }
  set isCorruptionTold(value: boolean) {
    this.#flags = withFlag(this.#flags, Flag.CORRUPTION_TOLD, value);
  }
  /** Its initiate has not been completed yet: nothing is indicated (INIT-050). */
  get isInitiating(): boolean {
    return (this.#flags & Flag.INITIATING) !== 0;
  }
  set isInitiating(value: boolean) {
    this.#flags = withFlag(this.#flags, Flag.INITIATING, value);
  }
  /** A send was given back with UPLOAD_IN_PROGRESS: all later ones must be, or the stream would have a hole. */
  get areSendsReturned(): boolean {
    return (this.#flags & Flag.SENDS_RETURNED) !== 0;
  }
  set areSendsReturned(value: boolean) {
    this.#flags = withFlag(this.#flags, Flag.SENDS_RETURNED, value);
  }
  /** It stands in the queue of those for which something is due. */
  get isQueued(): boolean {
    return (this.#flags & Flag.QUEUED) !== 0;
  }
  set isQueued(value: boolean) {
    this.#flags = withFlag(this.#flags, Flag.QUEUED, value);
  }
  /** It waits for room on the link. */
  get isBlocked(): boolean {
    return (this.#flags & Flag.BLOCKED) !== 0;
  }
  set isBlocked(value: boolean) {
    this.#flags = withFlag(this.#flags, Flag.BLOCKED, value);
  }
  /** It waits for room in the pool to open its window. */
  get isStarved(): boolean {
    return (this.#flags & Flag.STARVED) !== 0;
  }
  set isStarved(value: boolean) {
    this.#flags = withFlag(this.#flags, Flag.STARVED, value);
  }
  /** The last segment whose data is buffered had PSH set. */
  get isBufferedPushed(): boolean {
    return (this.#flags & Flag.BUFFERED_PUSHED) !== 0;
  }
  set isBufferedPushed(value: boolean) {
    this.#flags = withFlag(this.#flags, Flag.BUFFERED_PUSHED, value);
  }
  /** A completion or indication is in progress (RECV-015). */
  get isDelivering(): boolean {
    return (this.#flags & Flag.DELIVERING) !== 0;
  }
  set isDelivering(value: boolean) {
    this.#flags = withFlag(this.#flags, Flag.DELIVERING, value);
  }
  /** An indication was refused: none before a request is posted (RECV-040). */
  get isRefused(): boolean {
    return (this.#flags & Flag.REFUSED) !== 0;
  }
  set isRefused(value: boolean) {
    this.#flags = withFlag(this.#flags, Flag.REFUSED, value);
  }
  /** The rest of an indication that was cut at RcvIndicationSize waits one turn for a request (RECV-087). */
  get isRestHeld(): boolean {
    return (this.#flags & Flag.REST_HELD) !== 0;
  }
  set isRestHeld(value: boolean) {
    this.#flags = withFlag(this.#flags, Flag.REST_HELD, value);
  }
  /** The peer's FIN is in, or was when the connection was offloaded. */
  get isFinReceived(): boolean {
    return (this.#flags & Flag.FIN_RECEIVED) !== 0;
  }
  set isFinReceived(value: boolean) {
    this.#flags = withFlag(this.#flags, Flag.FIN_RECEIVED, value);
  }
  /** TcpIndicateDisconnect was raised, or the host knew of the FIN. */
  get isDisconnectIndicated(): boolean {
    return (this.#flags & Flag.DISCONNECT_INDICATED) !== 0;
  }
  set isDisconnectIndicated(value: boolean) {
    this.#flags = withFlag(this.#flags, Flag.DISCONNECT_INDICATED, value);
  }
  /** Data of the graceful disconnect is in the send queue. */
  get isDisconnectQueued(): boolean {
    return (this.#flags & Flag.DISCONNECT_QUEUED) !== 0;
  }
  set isDisconnectQueued(value: boolean) {
    this.#flags = withFlag(this.#flags, Flag.DISCONNECT_QUEUED, value);
  }
  /** MiniportTerminateOffload was called: what arrives from here on is the host's (TERM-038, TERM-039). */
  get isTerminating(): boolean {
    return (this.#flags & Flag.TERMINATING) !== 0;
  }
  set isTerminating(value: boolean) {
    this.#flags = withFlag(this.#flags, Flag.TERMINATING, value);
  }
  /** Something happens on it: it is not idle before it has been looked at some times more, see Packing. */
  wasActive(): void {
    this.#flags |= LOOKS;
  }
  /** It is looked at. Whether nothing has happened on it for long enough. */
  isQuiet(): boolean {
    if ((this.#flags & LOOKS) === 0) return true;
    this.#flags -= ONE_LOOK;
    return false;
  }
  get isFinAcked(): boolean {
    return (this.#flags & Flag.FIN_ACKED) !== 0;
  }
  set isFinAcked(value: boolean) {
    this.#flags = withFlag(this.#flags, Flag.FIN_ACKED, value);
  }
}

function withFlag(flags: number, flag: number, isSet: boolean): number {
  return isSet ? flags | flag : flags & ~flag;
}
