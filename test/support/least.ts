/**
 * The least of several measurements of what a piece of work allocates.
 *
 * The compiler and the collector allocate on the same heap at moments of their own, so one measurement can only be too high, never
 * too low: what the work itself allocates is in every one of them, and the least is the nearest to it.
 */

/** Rounds of a measurement. */
const ROUNDS = 3;

/** Runs `measure` a few times; answers the result whose `cost` (bytes, as a rule) is the least. */
export function leastOf<T>(measure: () => T, cost: (result: T) => number, rounds: number = ROUNDS): T {
  let least = measure();
  for (let round = 1; round < rounds; round++) {
    const next = measure();
    if (cost(next) < cost(least)) least = next;
  }
  return least;
}
