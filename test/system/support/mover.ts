/** Moves connections host, target, host again for as long as they live, and counts what came of it. */
import type { ChimneyHandle, Move } from '../../../src/host/api.ts';

/** Whatever has a chimney: a socket of stack.net, an endpoint of the transports. */
export interface Movable {
  readonly chimney: ChimneyHandle | null;
}

export class Mover {
  readonly moves: Move[] = [];
  /** Refusals while the connection could have been moved; those of a closing one are no failure. */
  readonly refusals: string[] = [];
  readonly #everyMs: number;
  readonly #movables: Set<Movable> = new Set();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(everyMs: number) {
    this.#everyMs = everyMs;
    this.#timer = setInterval(() => this.#turn(), this.#everyMs);
  }

  add(movable: Movable): void {
    this.#movables.add(movable);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  get toTarget(): number {
    return this.moves.filter((move) => move.kind === 'initiate').length;
  }

  get toHost(): number {
    return this.moves.filter((move) => move.kind === 'terminate').length;
  }

  #turn(): void {
    for (const movable of this.#movables) {
      const { chimney } = movable;
      if (chimney === null || chimney.location === 'closed') this.#movables.delete(movable);
      else if (chimney.location === 'host') this.#move(movable, chimney.offload());
      else if (chimney.location === 'target') this.#move(movable, chimney.takeBack());
    }
  }

  #move(movable: Movable, moving: Promise<Move>): void {
    moving.then(
      (move) => this.moves.push(move),
      (error: unknown) => {
        // A connection that ends has no place to go: NOT_OFFLOADABLE is the answer it must give.
        if (String(error).includes('NOT_OFFLOADABLE')) this.#movables.delete(movable);
        else this.refusals.push(String(error));
      },
    );
  }
}
