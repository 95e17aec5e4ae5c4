/**
 * The verifiers of a stack, loaded when the first one is wanted.
 *
 * Promises: importing `chimney` loads no checker. `createStack` does not wait, so the module is loaded at once, by Node's `require`, which
 * takes modules of this kind since 20.19; where there is none somebody else has to have loaded it.
 */

import { loadedVerifier } from './contract/seat.ts';
import type { Verifier, VerifierOptions } from './contract/verifier.ts';
import { builtin } from './socket/node.ts';

/** A file beside this one, as it is after compilation. */
const DOOR = './contract/index.js';

/** Makes a verifier. */
export function makeVerifier(options: VerifierOptions): Verifier {
  if (loadedVerifier() === null) load();
  const make = loadedVerifier();
  if (make === null)
    throw new Error("createStack: verify: import 'chimney/contract' before, as it cannot be loaded here");
  return make(options);
}

function load(): void {
  const node = builtin<typeof import('node:module')>('node:module');
  if (node === null) return;
  node.createRequire(import.meta.url)(DOOR);
}
