/**
 * Assertions: what only a bug in this project can cause. They stay on in production.
 *
 * Promises: a failed assertion throws at once, with a sentence. Never used for input from a peer, an application or a driver.
 */

/** Thrown by {@link assert}; whoever meets it has found a bug in Chimney. */
export class AssertionError extends Error {
  override readonly name: string = 'AssertionError';
}

/** Throws {@link AssertionError} when `condition` does not hold. `message` says what should have been true. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}
