/**
 * A rehearsal of a move: a connection that is none is written into a ring and read, taken by the engine, and given up again.
 *
 * Threads that move gigabytes have forgotten how a connection is moved: code and tables have left the processor's caches, or were never
 * compiled. Where it is known that a tree is about to come, both halves go through the motions first, while all connections are still
 * served. Promises: afterwards everything is as it was, but for a look at connections that a watch of them may have planned; nothing is
 * sent, indicated, counted or told.
 */

import { NdisOffloadHandle, OffloadBlock, OffloadStateType } from '../../ndis/miniport.ts';
import {
  TCP_STATE_WORDS,
  TcpCachedState,
  TcpConnectionState,
  TcpConstState,
  TcpDelegatedState,
} from '../../state/tcp.ts';
import { PathContext, TcpContext } from '../engine/contexts.ts';
import type { Engine } from '../engine/engine.ts';
import { takeConnection } from '../engine/take-connection.ts';
import { terminateConnection } from '../engine/terminate.ts';
import { NicObject } from './nic-objects.ts';
import { Outbox, RecordReader } from './outbox.ts';
import { Down, Up } from './records.ts';
import { RingReader, RingWriter } from './ring.ts';
import { type CachedState, type ConstState, type DelegatedState, putState, readState } from './state-codec.ts';

/** Words of the ring: several records of all three structures. */
const RING_WORDS = 1024;
/** An ordinary connection's, bytes. */
const MSS = 1460;
const WINDOW = 65_535;

/** State that crosses a ring of its own, to and fro. */
export class CrossingRehearsal {
  readonly #out: Outbox;
  readonly #ring: RingReader;
  readonly #record: RecordReader;
  readonly #constState: TcpConstState;
  readonly #cachedState: TcpCachedState;
  readonly #delegated: TcpDelegatedState;

  constructor() {
    const words = new Int32Array(RING_WORDS);
    const place = { words, control: new Int32Array(2), at: 0, capacity: RING_WORDS, head: 0, tail: 1 };
    this.#out = new Outbox(new RingWriter(place), new Uint8Array(words.buffer), null, () => {});
    this.#ring = new RingReader(place);
    this.#record = new RecordReader(words);
    const state = new Int32Array(TCP_STATE_WORDS);
    this.#constState = new TcpConstState(state, 0);
    this.#cachedState = new TcpCachedState(state, 0);
    this.#delegated = new TcpDelegatedState(state, 0);
    this.#constState.remoteMss = MSS;
    this.#cachedState.initialRcvWnd = WINDOW;
    this.#delegated.state = TcpConnectionState.ESTABLISHED;
    this.#delegated.rcvWnd = WINDOW;
    this.#delegated.sndWnd = WINDOW;
    this.#delegated.maxSndWnd = WINDOW;
    this.#delegated.cWnd = WINDOW;
    this.#delegated.ssThresh = WINDOW;
  }

  /** A block for an initiate, at the other end. */
  down(handle: NdisOffloadHandle): OffloadBlock {
    const out = this.#out;
    out.begin(Down.BLOCK);
    putState(out, this.#constState);
    putState(out, this.#cachedState);
    putState(out, this.#delegated);
    out.end();
    this.#next();
    const block = new OffloadBlock(OffloadStateType.TCP, handle);
    block.ndisOffloadHandle = handle;
    block.constState = readState(this.#record, null) as ConstState;
    block.cachedState = readState(this.#record, null) as CachedState;
    block.delegatedState = readState(this.#record, null) as DelegatedState;
    this.#ring.release();
    return block;
  }

  /** What a terminate has put into a block. */
  up(block: OffloadBlock): void {
    const out = this.#out;
    out.begin(Up.RESULT);
    out.putDouble(block.handedOverAtUs);
    putState(out, block.delegatedState);
    out.end();
    this.#next();
    block.handedOverAtUs = this.#record.nextDouble();
    block.delegatedState = readState(this.#record, block.delegatedState) as DelegatedState;
    this.#ring.release();
  }

  /** The record that was written last. */
  #next(): void {
    this.#out.publish();
    this.#ring.next();
    this.#record.at = this.#ring.at;
  }
}

/** A connection that comes to one engine, and goes. */
export class Rehearsal {
  readonly #engine: Engine;
  readonly #crossing: CrossingRehearsal = new CrossingRehearsal();
  /** Addresses that no packet has, and so a connection that no segment is for. */
  readonly #path = new PathContext(new NdisOffloadHandle(null), null, 4, new Uint8Array(4), new Uint8Array(4), 0);
  readonly #handle: NdisOffloadHandle = new NicObject(0).handle;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Once through. */
  run(): void {
    const engine = this.#engine;
    const block = this.#crossing.down(this.#handle);
    const { onTouch } = engine;
    engine.onTouch = null;
    const ctx = takeConnection(engine, block, this.#path);
    // A full engine refuses it as it would any other.
    if (ctx instanceof TcpContext) {
      terminateConnection(engine, ctx, block);
      this.#crossing.up(block);
    }
    engine.onTouch = onTouch;
  }
}
