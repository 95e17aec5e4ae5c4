/**
 * The examination: every scenario, first along all choice lists of little deviation, then by lot.
 *
 * What was run is told exactly: how many interleavings, all different, how many of them also differed at the door, and up to
 * which deviation a scenario was exhausted. Everything found comes with the choice list that repeats it.
 */

import {
  BOOLEAN,
  checkOptions,
  type Expectations,
  expectation,
  FUNCTION,
  integer,
  OptionError,
} from '../base/options.ts';
import { SeededRandom } from '../base/random.ts';
import { type Finding, rulesOf } from '../contract/finding.ts';
import { type Choices, Frontier, formatChoices, ListChooser, parseChoices, RandomChooser } from './choices.ts';
import { type RunResult, runScenario, type Subject } from './run.ts';
import { SCENARIOS } from './scenarios/index.ts';
import type { Scenario } from './stage.ts';

export interface ExploreOptions {
  readonly seed: number;
  /** Interleavings in all. */
  readonly interleavings: number;
  /** How much of the time there is has been used, from 0 to 1; each scenario is given its share of the rest. Default: 0. */
  readonly timeUsed?: () => number;
  /** Default: all there are. */
  readonly scenarios?: readonly Scenario[];
  /** Scenarios are left at their first finding; `true`: so is everything. Default false. */
  readonly stopAtFirst?: boolean;
  readonly rules?: ReadonlySet<string>;
  readonly shoulds?: boolean;
  /** Told now and then. */
  readonly onProgress?: (done: number, findings: number, scenario: string) => void;
}

/** A finding and how to see it again. */
export interface Verdict extends Finding {
  readonly scenario: string;
  /** 'scenario/choices', for {@link replay}. */
  readonly replay: string;
  /** How often it was met: the same rules, actor and call in one scenario are one verdict. */
  readonly times: number;
  /** The steps of the run in which it was met first. */
  readonly steps: readonly string[];
}

export interface ScenarioReport {
  readonly name: string;
  readonly about: string;
  /** Interleavings run: those of little deviation, then those by lot. All different. */
  readonly systematic: number;
  readonly random: number;
  /** Up to this deviation all were run; null: all there are. */
  readonly exhaustedTo: number | null;
  /** How many differed in what passed between the drivers. */
  readonly traces: number;
  readonly findings: number;
}

export interface ExploreReport {
  readonly seed: number;
  readonly interleavings: number;
  readonly traces: number;
  readonly hasNoChimney: boolean;
  readonly scenarios: readonly ScenarioReport[];
  readonly findings: readonly Verdict[];
}

/** Of a scenario's share so much is systematic; the rest is by lot. */
const SYSTEMATIC_SHARE = 0.75;
/** Choice lists that wait to be run; without a bound of interleavings they would fill the memory. */
const WAITING_MAX = 200_000;
/** A scenario is left after so many different findings. */
const VERDICTS_MAX = 20;
const PROGRESS_EVERY = 500;

const SUBJECT: Expectations = {
  target: FUNCTION,
  drivers: expectation('an array of functions', (value) => Array.isArray(value) && value.every(FUNCTION.holds)),
  comparesDoors: BOOLEAN,
};

const OPTIONS: Expectations = {
  seed: integer(0),
  interleavings: integer(1),
  timeUsed: FUNCTION,
  scenarios: expectation('an array of scenarios', Array.isArray),
  stopAtFirst: BOOLEAN,
  rules: expectation('a Set of rules', (value) => value instanceof Set),
  shoulds: BOOLEAN,
  onProgress: FUNCTION,
};

/** Examines a subject. Throws OptionError on what is none, or wrong options. */
export function explore(subject: Subject, options: ExploreOptions): ExploreReport {
  checkOptions('explore', subject, SUBJECT, 'subject.');
  if (subject.target === undefined) throw new OptionError('explore', 'subject.target', FUNCTION.words, undefined);
  checkOptions('explore', options, OPTIONS);
  for (const name of ['seed', 'interleavings'] as const) {
    if (options[name] === undefined) throw new OptionError('explore', name, OPTIONS[name]!.words, undefined);
  }
  return new Explorer(subject, options).run();
}

class Explorer {
  readonly #subject: Subject;
  readonly #options: ExploreOptions;
  readonly #verdicts: Map<string, Verdict> = new Map();
  #done = 0;
  #hasNoChimney = false;

  constructor(subject: Subject, options: ExploreOptions) {
    this.#subject = subject;
    this.#options = options;
  }

  run(): ExploreReport {
    const scenarios = this.#options.scenarios ?? SCENARIOS;
    const reports: ScenarioReport[] = [];
    let left = this.#options.interleavings;
    scenarios.forEach((scenario, i) => {
      // What small scenarios leave over goes to those that follow.
      const share = Math.ceil(left / (scenarios.length - i));
      const used = this.#timeUsed();
      const report = this.#explore(scenario, Math.min(share, left), used + (1 - used) / (scenarios.length - i));
      left -= report.systematic + report.random;
      reports.push(report);
    });
    return {
      seed: this.#options.seed,
      interleavings: this.#done,
      traces: reports.reduce((sum, { traces }) => sum + traces, 0),
      hasNoChimney: this.#hasNoChimney,
      scenarios: reports,
      findings: [...this.#verdicts.values()],
    };
  }

  #timeUsed(): number {
    return this.#options.timeUsed?.() ?? 0;
  }

  /** Runs at most `share` interleavings, as long as no more than `until` of the time is used. */
  #explore(scenario: Scenario, share: number, until: number): ScenarioReport {
    const digests = new Set<number>();
    const seen = new Set<string>();
    const before = this.#verdicts.size;
    const begunAt = this.#timeUsed();
    const mostOfIt = begunAt + SYSTEMATIC_SHARE * (until - begunAt);
    let limit = mostOfIt;
    const goesOn = (): boolean =>
      this.#timeUsed() < limit &&
      !(this.#options.stopAtFirst === true && this.#verdicts.size > 0) &&
      this.#verdicts.size - before < VERDICTS_MAX;
    const frontier = new Frontier(Math.min(share, WAITING_MAX));
    const { systematic, isExhausted } = this.#systematic(scenario, share, frontier, digests, seen, goesOn);
    limit = until;
    const random = isExhausted ? 0 : this.#byLot(scenario, share - systematic, digests, seen, goesOn);
    const { completeTo } = frontier;
    return {
      name: scenario.name,
      about: scenario.about,
      systematic,
      random,
      exhaustedTo: isExhausted ? null : Math.max(0, completeTo),
      traces: digests.size,
      findings: this.#verdicts.size - before,
    };
  }

  #systematic(
    scenario: Scenario,
    share: number,
    frontier: Frontier,
    digests: Set<number>,
    seen: Set<string>,
    goesOn: () => boolean,
  ): { systematic: number; isExhausted: boolean } {
    const most = Math.max(1, Math.floor(share * SYSTEMATIC_SHARE));
    let systematic = 0;
    while (systematic < most && goesOn()) {
      const list = frontier.next();
      if (list === undefined) return { systematic, isExhausted: frontier.completeTo === Number.POSITIVE_INFINITY };
      const chooser = new ListChooser(list);
      const result = runScenario(this.#subject, scenario, chooser, this.#runOptions());
      systematic++;
      seen.add(formatChoices(list));
      this.#note(scenario, list, result, digests);
      frontier.grow(list, chooser.options);
    }
    return { systematic, isExhausted: false };
  }

  #byLot(scenario: Scenario, most: number, digests: Set<number>, seen: Set<string>, goesOn: () => boolean): number {
    const random = new SeededRandom(`${this.#options.seed}/${scenario.name}`);
    let runs = 0;
    // What was run before is not counted again; where nearly all is known, it is enough.
    for (let tries = 0; runs < most && tries < 2 * most && goesOn(); tries++) {
      const chooser = new RandomChooser(random);
      const result = runScenario(this.#subject, scenario, chooser, this.#runOptions());
      const key = formatChoices(chooser.choices);
      if (seen.has(key)) continue;
      seen.add(key);
      runs++;
      this.#note(scenario, chooser.choices, result, digests);
    }
    return runs;
  }

  #runOptions(): { seed: number; shoulds: boolean; rules?: ReadonlySet<string> } {
    const { seed, shoulds, rules } = this.#options;
    return { seed, shoulds: shoulds ?? true, ...(rules === undefined ? {} : { rules }) };
  }

  #note(scenario: Scenario, choices: Choices, result: RunResult, digests: Set<number>): void {
    this.#done++;
    this.#hasNoChimney ||= result.hasNoChimney;
    digests.add(result.digest);
    for (const finding of result.findings) this.#judge(scenario, choices, finding);
    if (this.#done % PROGRESS_EVERY === 0) {
      this.#options.onProgress?.(this.#done, this.#verdicts.size, scenario.name);
    }
  }

  #judge(scenario: Scenario, choices: Choices, finding: Finding): void {
    const key = `${scenario.name} ${rulesOf(finding).join(' ')} ${finding.actor} ${finding.call}`;
    const known = this.#verdicts.get(key);
    if (known !== undefined) {
      this.#verdicts.set(key, { ...known, times: known.times + 1 });
      return;
    }
    const again = runScenario(this.#subject, scenario, new ListChooser(choices), {
      ...this.#runOptions(),
      isNarrated: true,
    });
    const replay = `${scenario.name}/${formatChoices(choices)}`;
    this.#verdicts.set(key, { ...finding, scenario: scenario.name, replay, times: 1, steps: again.names });
  }
}

/** A replay text that names no scenario, or no choices. */
export class ReplayError extends Error {
  override readonly name: string = 'ReplayError';
}

/** Plays one run again, told by the text of a verdict. Throws {@link ReplayError} on a wrong text. */
export function replay(
  subject: Subject,
  text: string,
  options: { seed: number; scenarios?: readonly Scenario[] },
): RunResult {
  const scenarios = options.scenarios ?? SCENARIOS;
  const slash = text.indexOf('/');
  const name = slash < 0 ? text : text.slice(0, slash);
  const scenario = scenarios.find((one) => one.name === name);
  if (scenario === undefined) {
    throw new ReplayError(
      `there is no scenario '${name}': expected one of ${scenarios.map((one) => one.name).join(', ')}`,
    );
  }
  const choices = parseChoices(slash < 0 ? '-' : text.slice(slash + 1));
  if (choices === null)
    throw new ReplayError(`expected choices like '3:1,17:2' or '-', got '${text.slice(slash + 1)}'`);
  const chooser = new ListChooser(choices);
  const result = runScenario(subject, scenario, chooser, { seed: options.seed, isNarrated: true });
  if (chooser.hasDiverged)
    throw new ReplayError('the run has fewer options than the choices name: another target or version');
  return result;
}
