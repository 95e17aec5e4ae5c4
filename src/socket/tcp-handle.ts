/**
 * The joint between a socket and its TCP endpoint: what libuv's TCP handle is to node:net.
 *
 * Inward it is the endpoint's handler: it gathers a batch's bytes in a slab and hands them up once a batch, refuses them while
 * the socket does not read, and tells the end of the stream and the end of the connection on a later turn of the event loop,
 * as the kernel would, because the program's ticks and promises run between. Outward it writes through a bounded send buffer.
 * Nothing an application's listener throws reaches the stack.
 */

import { assert } from '../base/assert.ts';
import type { ConnectOptions, TcpEndpoint, TcpHandler, TransportErrorCode } from '../host/api.ts';
import type { ConnectWay, HandleContext, HandleEvents, Lender, WriteCallback } from './handle-events.ts';
import { AsyncResource, afterTicks, inThisContext, nextTurn, reportUncaught } from './node.ts';
import { Waiting } from './onward.ts';
import { PendingWrite } from './pending-write.ts';
import { SendBuffer } from './send-buffer.ts';
import { KEEP_SLAB_FROM, SLAB_BYTES, type Slab } from './slabs.ts';

/** One TCP connection, or one that is to become it. */
export class TcpHandle implements TcpHandler, Lender {
  readonly #context: HandleContext;
  #scope = new AsyncResource('TCPWRAP');
  /** Null: the connection has no owner any more. */
  #owner: unknown = null;
  #events: HandleEvents<unknown> | null = null;
  #endpoint: TcpEndpoint | null = null;
  #send: SendBuffer | null = null;
  #reading = false;
  bytesRead = 0;
  /** Bytes taken from the application, on their way or not. */
  bytesWritten = 0;
  #isConnecting = false;
  /** Whether the endpoint was refused bytes and has to be told when there is room. */
  #hasRefused = false;
  #hasEnded = false;
  #isEndTold = false;
  /** Why the connection ended badly; null while it has not. */
  #failure: TransportErrorCode | null = null;
  #isOver = false;
  #isClosing = false;
  /** The owner has just been told of the connection: its ticks and promises run before it is told of bytes, as over the kernel. */
  #isFresh = false;
  #isLate = false;
  /** Bytes gathered in this batch. */
  #slab: Slab | null = null;
  /** Where bytes of this batch were passed on to. */
  #passedTo: TcpHandle | null = null;
  /** Handles that pass their bytes on to this one, and wait until there is room. */
  #passers: Waiting | null = null;
  /** Whether bytes passed on were taken in this batch: then its rest is taken too, as they may lie in memory that is kept as a whole. */
  #isPassing = false;
  /** Bytes of the owner's own buffer filled and not told of. */
  #userFilled = 0;
  readonly #write = new PendingWrite();
  #onWritten: WriteCallback | null = null;
  #isReferenced = true;
  #isHolding = false;

  constructor(context: HandleContext) {
    this.#context = context;
  }

  /** From now on `owner` is told what happens. */
  belongTo<O>(owner: O, events: HandleEvents<O>): void {
    this.#owner = owner;
    this.#events = events as HandleEvents<unknown>;
  }

  /** From now on what happens is told in the async context of now: the connection has another user. */
  enterContext(): void {
    this.#scope = new AsyncResource('TCPWRAP');
  }

  /** The endpoint; null before {@link connect} and where that failed at once. */
  get endpoint(): TcpEndpoint | null {
    return this.#endpoint;
  }

  /** Bytes of the write that goes on which found no room yet. */
  get writeQueueSize(): number {
    return this.#write.bytes;
  }

  /** Takes over an accepted connection. */
  accept(endpoint: TcpEndpoint): void {
    this.#open(endpoint);
    endpoint.handler = this;
    this.#beginFresh();
  }

  #beginFresh(): void {
    this.#isFresh = true;
    afterTicks(() => {
      this.#isFresh = false;
      this.#askAgain();
    });
  }

  /** Begins an active open, by way of the stack unless told another. Throws TransportError where none is possible. */
  connect(options: ConnectOptions, way: ConnectWay = this.#context.transports): void {
    this.#isConnecting = true;
    this.#open(way.connect(options, this));
    this.#review();
  }

  #open(endpoint: TcpEndpoint): void {
    assert(this.#endpoint === null, 'a handle has one endpoint');
    this.#endpoint = endpoint;
    this.#send = new SendBuffer(endpoint, this.#context.slabs, this.#onRoom);
  }

  /** Whether the owner wants bytes. */
  get reading(): boolean {
    return this.#reading;
  }

  readStart(): void {
    this.#reading = true;
    this.#review();
    this.#askAgain();
    this.#lateSoon();
  }

  readStop(): void {
    this.#reading = false;
    this.#review();
  }

  /** What was refused for want of room elsewhere is asked for again. */
  retry(): void {
    if (!this.#isOver) this.#askAgain();
  }

  #askAgain(): void {
    if (!this.#hasRefused || !this.reading || this.#isFresh) return;
    this.#hasRefused = false;
    this.#endpoint!.resume();
  }

  /**
   * Takes the application's bytes; `total` is their sum. Answers whether all of them are in the send buffer; if not, `done`
   * is called when they are, or when they cannot be any more, which may be at once. One write at a time.
   */
  write(chunks: readonly Uint8Array[], total: number, done: WriteCallback): boolean {
    assert(this.#onWritten === null, 'one write at a time');
    if (this.#isOver) {
      // What a process meets after a reset: the reset once, a broken pipe from then on.
      done(this.#writeFailure());
      return false;
    }
    this.bytesWritten += total;
    this.#write.begin(chunks, total);
    this.#write.fill(this.#send!);
    this.#review();
    if (this.#write.bytes === 0) return true;
    // A write that waits is told of in the context of its call, which need not be the connection's.
    this.#onWritten = inThisContext('WRITEWRAP', done);
    return false;
  }

  /** No more writes. */
  /** `done` when the ticks and promises that are due have run. */
  shutdown(done: () => void): void {
    this.#send?.flush();
    if (!this.#isOver) this.#endpoint?.shutdown();
    afterTicks(done);
  }

  /** Lets go of the connection: what is in the send buffer still goes out, then FIN. `done` on a later turn. */
  close(done: () => void): void {
    const written = this.#onWritten;
    this.#release();
    const endpoint = this.#endpoint;
    this.#send?.flush();
    if (endpoint !== null && !this.#isOver) {
      if (this.#isConnecting) endpoint.abort();
      else endpoint.close();
    }
    this.#review();
    this.#finishClose(written, done);
  }

  /** Lets go of the connection by RST. */
  reset(done: () => void): void {
    const written = this.#onWritten;
    this.#release();
    // Not at once: on the turn that completed the handshake our acknowledgement is still to go out, and a peer that gets RST
    // before it would never have seen a connection.
    nextTurn(() => {
      if (!this.#isOver) this.#endpoint?.abort();
      this.#isOver = true;
      this.#review();
    });
    this.#finishClose(written, done);
  }

  /** A write that waited is given up; then the handle is closed. */
  #finishClose(written: WriteCallback | null, done: () => void): void {
    nextTurn(() => {
      if (written !== null) this.#scope.runInAsyncScope(written, undefined, 'ECANCELED');
      this.#scope.runInAsyncScope(done);
    });
  }

  ref(): void {
    this.#isReferenced = true;
    this.#review();
  }

  unref(): void {
    this.#isReferenced = false;
    this.#review();
  }

  /**
   * The process lives on while the handle has something to do, as with libuv's: it connects, reads, or has something to write. One that
   * does not read and has written everything waits for nothing.
   */
  #review(): void {
    const wants = this.#isReferenced && !this.#isOver && this.#isActive;
    if (wants === this.#isHolding) return;
    this.#isHolding = wants;
    if (wants) this.#context.keepAlive.ref();
    else this.#context.keepAlive.unref();
  }

  get #isActive(): boolean {
    const isWriting = this.#onWritten !== null || (this.#send !== null && !this.#send.isDrained);
    // Closed, it lives on until the peer has what was written, as it would in the kernel's care.
    if (this.#isClosing) return isWriting;
    return this.#isConnecting || isWriting || (this.#reading && !this.#isEndTold);
  }

  // The endpoint's handler.
  connected(): void {
    this.#isConnecting = false;
    this.#beginFresh();
    this.#tell(this.#events?.connected);
    this.#review();
  }

  data(bytes: Uint8Array, at: number, length: number): number {
    if (this.#isClosing) return length;
    if (!this.reading || this.#isFresh) {
      this.#hasRefused = true;
      return 0;
    }
    if (this.#events!.borrows(this.#owner)) return this.#lend(bytes, at, length);
    const onward = this.#slab === null ? this.#events!.onward(this.#owner) : null;
    if (onward?.canPass) return this.#pass(onward, bytes, at, length);
    const user = this.#events!.userBuffer(this.#owner);
    if (user === null && length >= KEEP_SLAB_FROM && this.#take(bytes, at, length)) return length;
    const taken = user === null ? this.#gather(bytes, at, length) : this.#fillUser(user, bytes, at, length);
    if (taken < length) this.#hasRefused = true;
    return taken;
  }

  receiveBuffer(): Uint8Array | null {
    const events = this.#events;
    if (events === null || this.#isClosing || events.userBuffer(this.#owner) === null) return null;
    if (this.reading && this.#userFilled > 0) this.#handUpUser();
    if (!this.reading || this.#isFresh) {
      this.#hasRefused = true;
      return null;
    }
    return this.#events?.userBuffer(this.#owner) ?? null;
  }

  filled(length: number): void {
    if (length === 0 || this.#isClosing) return;
    this.#userFilled = length;
    // The owner may have stopped reading meanwhile: told when it goes on.
    if (this.reading) this.#handUpUser();
  }

  /** Whether bytes have come, told or not. */
  get hasBytes(): boolean {
    return this.bytesRead > 0 || this.#slab !== null || this.#userFilled > 0;
  }

  keep(): (() => void) | null {
    return this.#endpoint!.keepData();
  }

  dataDone(): void {
    this.#endPassing();
    if (this.#slab !== null) this.#handUp();
    if (this.#userFilled > 0 && this.reading) this.#handUpUser();
  }

  end(): void {
    this.#hasEnded = true;
    this.#lateSoon();
  }

  closed(error: TransportErrorCode | null): void {
    this.#isOver = true;
    this.#failure = error;
    this.#endPassing();
    this.#passers?.wake();
    this.#review();
    if (error !== null) this.#lateSoon();
  }

  /** Whether bytes of another handle can be written: nothing else waits to be, and there is a connection. */
  get canPass(): boolean {
    return this.#send !== null && this.#onWritten === null && !this.#isOver && !this.#isClosing && !this.#isConnecting;
  }

  /** Passes bytes on, without a copy where they may stay where they are. All of them, or none for want of room. */
  #pass(to: TcpHandle, bytes: Uint8Array, at: number, length: number): number {
    const send = to.#send!;
    const hasRoom = send.room() > 0;
    const release = hasRoom || to.#isPassing ? this.#endpoint!.keepData() : null;
    if (release === null && !hasRoom) {
      this.#hasRefused = true;
      to.#passers ??= new Waiting();
      to.#passers.add(this);
      return 0;
    }
    to.#isPassing = true;
    this.#passedTo = to;
    if (release === null) send.append(bytes, at, length);
    else send.lend(bytes.subarray(at, at + length), release);
    this.bytesRead += length;
    to.bytesWritten += length;
    this.#events!.progress(this.#owner);
    to.#events!.progress(to.#owner);
    return length;
  }

  #endPassing(): void {
    const to = this.#passedTo;
    if (to === null) return;
    this.#passedTo = null;
    to.#isPassing = false;
    to.#send!.flush();
  }

  /** Copies into the batch's slab. Answers how many bytes were taken: fewer when the owner stops reading meanwhile. */
  #gather(bytes: Uint8Array, at: number, length: number): number {
    let from = at;
    const end = at + length;
    while (from < end && this.reading) {
      this.#slab ??= this.#context.slabs.takeFor(bytes, from);
      const slab = this.#slab;
      const count = Math.min(end - from, SLAB_BYTES - slab.used);
      this.#context.slabs.copy(bytes, from, count, slab.bytes, slab.used);
      slab.used += count;
      from += count;
      if (slab.used === SLAB_BYTES) this.#handUp();
    }
    return from - at;
  }

  /** Hands bytes up in the memory in which they came, if that can be had. */
  #take(bytes: Uint8Array, at: number, length: number): boolean {
    if (this.#slab !== null) this.#handUp();
    if (!this.reading || !this.#endpoint!.takeData(bytes)) return false;
    this.#context.slabs.handedOn();
    this.#tellChunk(Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset + at, length));
    return true;
  }

  #handUp(): void {
    const slab = this.#slab!;
    this.#slab = null;
    this.#tellChunk(this.#context.slabs.chunkOf(slab));
  }

  #tellChunk(chunk: Uint8Array): void {
    this.bytesRead += chunk.length;
    if (this.#tell(this.#events?.chunk, chunk) === false) this.readStop();
  }

  #lend(bytes: Uint8Array, at: number, length: number): number {
    const view = Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset + at, length);
    this.bytesRead += length;
    if (this.#tell(this.#events?.lent, view, this as Lender) === false) this.readStop();
    return length;
  }

  #fillUser(user: Uint8Array, bytes: Uint8Array, at: number, length: number): number {
    let buffer: Uint8Array | null = user;
    let from = at;
    const end = at + length;
    while (from < end && this.reading && buffer !== null && buffer.length > 0) {
      const count = Math.min(end - from, buffer.length - this.#userFilled);
      buffer.set(bytes.subarray(from, from + count), this.#userFilled);
      this.#userFilled += count;
      from += count;
      if (this.#userFilled < buffer.length) continue;
      this.#handUpUser();
      buffer = this.#events?.userBuffer(this.#owner) ?? null;
    }
    return from - at;
  }

  #handUpUser(): void {
    const length = this.#userFilled;
    this.#userFilled = 0;
    this.bytesRead += length;
    if (this.#tell(this.#events?.filled, length) === false) this.readStop();
  }

  readonly #onRoom = (): void => {
    if (!this.#reading) this.#review();
    if (this.#passers !== null && this.#send!.isHalfEmpty) this.#passers.wake();
    if (this.#onWritten === null || this.#isOver) return;
    const before = this.#write.bytes;
    this.#write.fill(this.#send!);
    if (this.#write.bytes === before) return;
    if (this.#write.bytes > 0) {
      this.#tell(this.#events?.progress);
      return;
    }
    const done = this.#onWritten;
    this.#onWritten = null;
    this.#safely(done, null);
  };

  /** Tells what may only be told on a turn of its own: the end of the stream, a failure. */
  #lateSoon(): void {
    if (this.#isLate || this.#isClosing) return;
    if (this.#failure === null && (!this.#hasEnded || this.#isEndTold) && this.#userFilled === 0) return;
    this.#isLate = true;
    nextTurn(this.#late);
  }

  readonly #late = (): void => {
    this.#isLate = false;
    const events = this.#events;
    if (events === null) return;
    if (this.#userFilled > 0 && this.reading) this.#handUpUser();
    if (this.#events === null) return;
    if (this.#hasEnded && !this.#isEndTold && this.reading) {
      this.#isEndTold = true;
      this.#tell(events.ended);
      this.#review();
      this.#lateSoon();
      return;
    }
    if (this.#failure === null) return;
    if (this.#isConnecting) {
      this.#tell(events.connectFailed, this.#failure);
    } else if (this.reading && !this.#hasEnded) {
      this.#tell(events.readFailed, this.#takeFailure());
    } else if (this.#onWritten !== null) {
      const done = this.#onWritten;
      this.#onWritten = null;
      this.#safely(done, this.#writeFailure());
    }
    // Otherwise nobody listens: it is told when the socket reads or writes again.
  };

  /** The kernel tells a reset once; what follows is a broken pipe. */
  #takeFailure(): TransportErrorCode {
    const failure = this.#failure ?? 'EPIPE';
    this.#failure = null;
    return failure;
  }

  /** As above; after the peer's FIN a reset means that it does not want our bytes: a broken pipe too. */
  #writeFailure(): TransportErrorCode {
    const failure = this.#takeFailure();
    return failure === 'ECONNRESET' && this.#hasEnded ? 'EPIPE' : failure;
  }

  /** From now on the connection has no owner. */
  #release(): void {
    this.#isClosing = true;
    this.#owner = null;
    this.#events = null;
    this.#write.giveUp(this.#send);
    this.#onWritten = null;
    this.#reading = false;
    this.#userFilled = 0;
    this.#endPassing();
    this.#passers?.wake();
    if (this.#slab === null) return;
    this.#context.slabs.give(this.#slab);
    this.#slab = null;
  }

  /** Tells the owner, if there is one. */
  #tell<A extends unknown[], R>(method: ((owner: unknown, ...args: A) => R) | undefined, ...args: A): R | undefined {
    return method === undefined ? undefined : this.#safely(method, this.#owner, ...args);
  }

  /** Calls the application in the handle's async context; what it throws is reported as uncaught. */
  #safely<A extends unknown[], R>(method: (...args: A) => R, ...args: A): R | undefined {
    try {
      return this.#scope.runInAsyncScope(method, undefined, ...args);
    } catch (error) {
      reportUncaught(error);
      return undefined;
    }
  }
}
