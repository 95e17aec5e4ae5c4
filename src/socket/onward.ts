/**
 * A socket that is piped to another, and nothing else: its bytes may go from the one's TCP into the other's without passing through
 * the two streams, as they would for a program that uses splice(2).
 *
 * Promises: nobody can tell. Whenever somebody looks at the bytes, or at how they pass, or anything waits in a stream, the answer is
 * no, and everything goes its ordinary way; so it is asked for each piece anew.
 */

import type { Duplex as NodeDuplex, Readable, Writable } from 'node:stream';
import { Duplex, EventEmitter } from './node.ts';

/** What is read of the state that every Readable of Node has. */
interface ReadableState {
  readonly pipes?: unknown;
  readonly length: number;
  readonly decoder: unknown;
}

/** The methods by which bytes would pass; a program that replaced one wants it called. */
type Passage = Pick<NodeDuplex, 'push' | 'write' | '_write'> & { _writev?: unknown };

/** Where all that `source` receives is written at once, and unseen; null: not so. */
export function onwardOf<T extends NodeDuplex>(source: T, kind: abstract new (...args: never[]) => T): T | null {
  const state = (source as unknown as { _readableState: ReadableState })._readableState;
  const { pipes } = state;
  if (!Array.isArray(pipes) || pipes.length !== 1 || !isUnseen(source, state)) return null;
  const sink: unknown = pipes[0];
  if (!(sink instanceof kind) || !isEmpty(sink)) return null;
  const own: Passage = kind.prototype;
  const isOwn = source.push === own.push && sink.write === Duplex.prototype.write && sink._write === own._write;
  return isOwn && (sink as Passage)._writev === own._writev ? sink : null;
}

/** Nobody but the pipe listens, and nothing waits to be heard. */
function isUnseen(source: Readable, state: ReadableState): boolean {
  return (
    source.readableFlowing === true &&
    state.length === 0 &&
    !state.decoder &&
    source.listenerCount('data') === 1 &&
    source.listenerCount('readable') === 0 &&
    source.emit === EventEmitter.prototype.emit
  );
}

/** What is written now would be handed to TCP at once. */
function isEmpty(sink: Writable): boolean {
  return sink.writable && sink.writableLength === 0 && sink.writableCorked === 0;
}

/** Those who have bytes to pass on to a socket, and wait until it has room. */
export class Waiting {
  #all: { retry(): void }[] = [];

  add(one: { retry(): void }): void {
    if (!this.#all.includes(one)) this.#all.push(one);
  }

  /** They try again, or notice that it is gone. */
  wake(): void {
    const all = this.#all;
    if (all.length === 0) return;
    this.#all = [];
    for (const one of all) one.retry();
  }
}
