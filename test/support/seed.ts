/**
 * The seed of everything random in the tests: one number, printed when a test fails, repeated with `SEED=… npm test`.
 */

const LARGEST = 0x7fffffff;

function parse(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > LARGEST) {
    throw new Error(`SEED must be an integer from 0 to ${LARGEST}, and is "${text}"`);
  }
  return value;
}

const given: string | undefined = process.env['SEED'];

/** From the environment; otherwise drawn once for this test file. */
export const seed: number = given ? parse(given) : 1 + Math.floor(Math.random() * (LARGEST - 1));

/** What to tell whoever must repeat a failure. */
export const seedNote: string = `seed ${seed}; repeat with SEED=${seed}`;
