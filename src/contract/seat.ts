/**
 * Where whoever needs a verifier finds one without loading it: its checkers are a megabyte that most programs never use.
 */

import type { Verifier, VerifierOptions } from './verifier.ts';

/** Makes a verifier. */
export type MakeVerifier = (options: VerifierOptions) => Verifier;

let make: MakeVerifier | null = null;

/** For `index.ts`: the verifier has been loaded. */
export function verifierLoaded(how: MakeVerifier): void {
  make = how;
}

/** How verifiers are made; null: `index.ts` of this folder has not been loaded. */
export function loadedVerifier(): MakeVerifier | null {
  return make;
}
