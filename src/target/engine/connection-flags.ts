/**
 * What is either so or not so of an offloaded connection, a bit each: eighteen booleans in the room of one, as an idle
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
  ACTIVE: 131072,
} as const;

/** The flags of a connection under their names. A connection is its own buffered data: an object less for each. */
export class ConnectionFlags extends BufferedData {
  #flags: number = Flag.INITIATING;

  /** Received and not delivered. */
  get buffered(): BufferedData {
    return this;
  }

  #is(flag: number): boolean {
    return (this.#flags & flag) !== 0;
  }
  #set(flag: number, value: boolean): void {
    if (value) this.#flags |= flag;
    else this.#flags &= ~flag;
  }

  /** The connection itself was invalidated. */
  get isInvalid(): boolean {
    return this.#is(Flag.INVALID);
  }
  set isInvalid(value: boolean) {
    this.#set(Flag.INVALID, value);
  }
  get isCorrupt(): boolean {
    return this.#is(Flag.CORRUPT);
  }
  set isCorrupt(value: boolean) {
    this.#set(Flag.CORRUPT, value);
  }
  /** The corruption was told: the next terminate ends it (TERM-024). */
  get isCorruptionTold(): boolean {
    return this.#is(Flag.CORRUPTION_TOLD);
  }
  set isCorruptionTold(value: boolean) {
    this.#set(Flag.CORRUPTION_TOLD, value);
  }
  /** Its initiate has not been completed yet: nothing is indicated (INIT-050). */
  get isInitiating(): boolean {
    return this.#is(Flag.INITIATING);
  }
  set isInitiating(value: boolean) {
    this.#set(Flag.INITIATING, value);
  }
  /** A send was given back with UPLOAD_IN_PROGRESS: all later ones must be, or the stream would have a hole. */
  get areSendsReturned(): boolean {
    return this.#is(Flag.SENDS_RETURNED);
  }
  set areSendsReturned(value: boolean) {
    this.#set(Flag.SENDS_RETURNED, value);
  }
  /** It stands in the queue of those for which something is due. */
  get isQueued(): boolean {
    return this.#is(Flag.QUEUED);
  }
  set isQueued(value: boolean) {
    this.#set(Flag.QUEUED, value);
  }
  /** It waits for room on the link. */
  get isBlocked(): boolean {
    return this.#is(Flag.BLOCKED);
  }
  set isBlocked(value: boolean) {
    this.#set(Flag.BLOCKED, value);
  }
  /** It waits for room in the pool to open its window. */
  get isStarved(): boolean {
    return this.#is(Flag.STARVED);
  }
  set isStarved(value: boolean) {
    this.#set(Flag.STARVED, value);
  }
  /** The last segment whose data is buffered had PSH set. */
  get isBufferedPushed(): boolean {
    return this.#is(Flag.BUFFERED_PUSHED);
  }
  set isBufferedPushed(value: boolean) {
    this.#set(Flag.BUFFERED_PUSHED, value);
  }
  /** A completion or indication is in progress (RECV-015). */
  get isDelivering(): boolean {
    return this.#is(Flag.DELIVERING);
  }
  set isDelivering(value: boolean) {
    this.#set(Flag.DELIVERING, value);
  }
  /** An indication was refused: none before a request is posted (RECV-040). */
  get isRefused(): boolean {
    return this.#is(Flag.REFUSED);
  }
  set isRefused(value: boolean) {
    this.#set(Flag.REFUSED, value);
  }
  /** The rest of an indication that was cut at RcvIndicationSize waits one turn for a request (RECV-087). */
  get isRestHeld(): boolean {
    return this.#is(Flag.REST_HELD);
  }
  set isRestHeld(value: boolean) {
    this.#set(Flag.REST_HELD, value);
  }
  /** The peer's FIN is in, or was when the connection was offloaded. */
  get isFinReceived(): boolean {
    return this.#is(Flag.FIN_RECEIVED);
  }
  set isFinReceived(value: boolean) {
    this.#set(Flag.FIN_RECEIVED, value);
  }
  /** TcpIndicateDisconnect was raised, or the host knew of the FIN. */
  get isDisconnectIndicated(): boolean {
    return this.#is(Flag.DISCONNECT_INDICATED);
  }
  set isDisconnectIndicated(value: boolean) {
    this.#set(Flag.DISCONNECT_INDICATED, value);
  }
  /** Data of the graceful disconnect is in the send queue. */
  get isDisconnectQueued(): boolean {
    return this.#is(Flag.DISCONNECT_QUEUED);
  }
  set isDisconnectQueued(value: boolean) {
    this.#set(Flag.DISCONNECT_QUEUED, value);
  }
  /** MiniportTerminateOffload was called: what arrives from here on is the host's (TERM-038, TERM-039). */
  get isTerminating(): boolean {
    return this.#is(Flag.TERMINATING);
  }
  set isTerminating(value: boolean) {
    this.#set(Flag.TERMINATING, value);
  }
  /** Something has happened on it since it was last looked at, see Packing. */
  get isActive(): boolean {
    return this.#is(Flag.ACTIVE);
  }
  set isActive(value: boolean) {
    this.#set(Flag.ACTIVE, value);
  }
  get isFinAcked(): boolean {
    return this.#is(Flag.FIN_ACKED);
  }
  set isFinAcked(value: boolean) {
    this.#set(Flag.FIN_ACKED, value);
  }
}
