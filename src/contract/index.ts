/**
 * The verifier of the contract. The door `chimney/contract`.
 *
 * `createStack({ verify: true })` loads it by itself where modules can be loaded at once (Node); elsewhere, in a page or in a bundle, this
 * door has to be imported before.
 */

import { verifierLoaded } from './seat.ts';
import { Verifier } from './verifier.ts';

export { type Actor, type Finding, findingText, type RuleLevel, rulesOf } from './finding.ts';
export type { Outstanding, VerifierOptions } from './verifier.ts';
export { Verifier };

verifierLoaded((options) => new Verifier(options));
