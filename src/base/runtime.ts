/**
 * What the sans-IO core gets from the world: a clock, timers, a way to go on later, and randomness.
 *
 * Promises: nothing below `link/node`, `target/worker` and `socket` takes time or randomness from anywhere else, so the same
 * code runs under virtual time, in Node and in a browser. Times are integer microseconds on one monotonic clock.
 */

/** A moment that is never reached: the value of a deadline that is not armed. */
export const NEVER: number = Number.POSITIVE_INFINITY;

/** One wake-up call. Arming an armed timer moves it; a timer that fired is disarmed. */
export interface Timer {
  /** The moment it is due, in microseconds; {@link NEVER} when disarmed. */
  readonly atUs: number;
  /** Calls back at `atUs` or as soon after as possible; a moment in the past means: as soon as possible, never from inside. */
  arm(atUs: number): void;
  disarm(): void;
}

/** A source of random numbers; cryptographically strong except where a simulation asks for a seeded one. */
export interface RandomSource {
  /** A uniformly distributed unsigned 32-bit integer. */
  nextUint32(): number;
  /** Fills the whole of `bytes`. */
  fill(bytes: Uint8Array): void;
}

/** The clock, timers and randomness that one stack (or one simulated world of stacks) runs on. */
export interface Runtime {
  /** Now, in integer microseconds on a monotonic clock with an arbitrary zero. */
  nowUs(): number;
  /** Makes a disarmed timer. `onDue` gets the time read once for all timers that fire together. */
  timer(onDue: (nowUs: number) => void): Timer;
  /**
   * Runs `task` soon: after the caller's stack has unwound, in the order of the calls, at the same virtual instant.
   * This is how an operation completes without completing from inside its entry.
   */
  defer(task: () => void): void;
  /**
   * Runs `task` before anything that was deferred: as soon as the running task (or the caller's stack) has unwound, in the order
   * of the calls. For what somebody stands still for, such as a connection between two engines; whoever uses it is brief.
   */
  urgent(task: () => void): void;
  readonly random: RandomSource;
}
