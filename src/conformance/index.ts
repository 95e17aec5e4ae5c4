/**
 * The conformance suite: any offload target or intermediate driver, examined in all interleavings of small scenarios.
 *
 * The door `chimney/conformance`. What it finds are breaches of the rules of the contract, told by the verifier, and bytes lost,
 * repeated or changed, told by the model host and its peers.
 */

export { type Choices, type Chooser, formatChoices, ListChooser, parseChoices, RandomChooser } from './choices.ts';
export {
  type ExploreOptions,
  type ExploreReport,
  explore,
  ReplayError,
  replay,
  type ScenarioReport,
  type Verdict,
} from './explore.ts';
export { OWN_RULES, type OwnRule } from './own-rules.ts';
export { ruleText } from './rule-text.ts';
export {
  type DriverEnvironment,
  type DriverFactory,
  type RunOptions,
  type RunResult,
  runScenario,
  type Subject,
  type TargetEnvironment,
  type TargetFactory,
} from './run.ts';
export { SCENARIOS } from './scenarios/index.ts';
export type { Actors, Scenario, Stage, Step } from './stage.ts';
