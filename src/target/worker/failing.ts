/**
 * The ways in which a NIC half can be made to fail, so that it can be seen what becomes of the connections. The last two are those of a thread of
 * its own: in one that others need, too, they are a throw.
 */

export const FAILURES = ['throw', 'hang', 'throw-unpublished', 'exit', 'memory'] as const;
/**
 * At once by a throw, by doing nothing else any more, by process.exit(), by using up all memory that the thread may have; or by a throw when
 * it has done something with a connection next and has not published it.
 */
export type Failure = (typeof FAILURES)[number];

/** Fails as told. */
export type Fail = (how: Failure) => void;

/** What a NIC half does that is not alone in its thread. */
export function fail(how: Failure): void {
  while (how === 'hang');
  throw new Error('the NIC half was told to fail');
}

/** What one does whose thread this is. */
export function failAsThread(how: Failure): void {
  if (how === 'exit') process.exit(EXIT_CODE);
  const held: number[][] = [];
  while (how === 'memory') held.push(new Array<number>(PIECE).fill(0.5));
  fail(how);
}

/** What process.exit() is called with. */
const EXIT_CODE = 9;
/** Doubles in an array; all together more than any heap has. */
const PIECE = 65_536;
