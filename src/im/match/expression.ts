/**
 * A filter expression, ready to be asked about frames and about connections that are offloaded past it.
 *
 * Looks inside frames: that is what an expression is about.
 * A frame matches or does not. A connection may match: its addresses and ports are known, what its segments will be (flags,
 * lengths, MACs, tags) is not; {@link Expression.ofConnection} says how sure it is, for either direction.
 */

import type { NetBuffer } from '../../state/net-buffer-list.ts';
import { Direction, PacketFacts } from './facts.ts';
import { parseExpression } from './parser.ts';
import { Answer, type Test } from './primitives.ts';

export { Direction, PacketFacts } from './facts.ts';
export { Answer } from './primitives.ts';
export { FilterSyntaxError } from './syntax-error.ts';

/** The two ends of a TCP connection, addresses in network order (4 or 16 bytes). */
export interface ConnectionEnds {
  readonly localAddress: Uint8Array;
  readonly localPort: number;
  readonly remoteAddress: Uint8Array;
  readonly remotePort: number;
}

/** Writes what is known of the segments of a connection that go in `direction`. */
export function factsOfConnection(ends: ConnectionEnds, direction: Direction, out: PacketFacts): void {
  const { localAddress, localPort, remoteAddress, remotePort } = ends;
  if (direction === Direction.OUT) out.ofConnection(localAddress, localPort, remoteAddress, remotePort, direction);
  else out.ofConnection(remoteAddress, remotePort, localAddress, localPort, direction);
}

/** One expression. */
export class Expression {
  readonly text: string;
  readonly #test: Test;
  readonly #facts: PacketFacts = new PacketFacts();

  /** Throws {@link FilterSyntaxError}. */
  constructor(text: string) {
    this.text = text;
    this.#test = parseExpression(text);
  }

  /** Whether facts match; only facts of a connection may answer maybe. */
  test(facts: PacketFacts): Answer {
    return this.#test(facts);
  }

  /** Whether the frame in a net buffer matches. */
  matchesFrame(nb: NetBuffer, medium: 'ethernet' | 'ip', direction: Direction): boolean {
    this.#facts.readFrame(nb, medium, direction);
    return this.#test(this.#facts) === Answer.YES;
  }

  /** Whether segments of the connection will match, the surer of the two directions. */
  ofConnection(ends: ConnectionEnds): Answer {
    factsOfConnection(ends, Direction.OUT, this.#facts);
    const out = this.#test(this.#facts);
    factsOfConnection(ends, Direction.IN, this.#facts);
    const back = this.#test(this.#facts);
    return back > out ? back : out;
  }
}
