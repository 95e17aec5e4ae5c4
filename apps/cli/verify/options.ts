/**
 * The options of `chimney verify`: their ranges, and what is said about wrong ones.
 */
import { SCENARIOS } from 'chimney/conformance';
import { UsageError } from '../demo/options.ts';

/** What an examination is made with. */
export interface VerifyOptions {
  readonly seed: number;
  /** Interleavings in all. */
  readonly interleavings: number;
  /** Seconds after which no new run is begun; Infinity: no limit. */
  readonly timeS: number;
  /** Where JSON and JUnit XML go; '-': standard output; null: nowhere. */
  readonly json: string | null;
  readonly junit: string | null;
  /** Only findings about these rules; null: all. */
  readonly rules: ReadonlySet<string> | null;
  /** Only these scenarios; null: all. */
  readonly scenarios: readonly string[] | null;
  /** Whether rules that say should are reported. */
  readonly shoulds: boolean;
  readonly stopAtFirst: boolean;
  /** A run to be repeated, 'scenario/choices'; null: none. */
  readonly replay: string | null;
}

/** Options as they stand on the command line. */
export interface VerifyArguments {
  readonly seed?: string;
  readonly interleavings?: string;
  readonly time?: string;
  readonly json?: string;
  readonly junit?: string;
  readonly rule?: readonly string[];
  readonly scenario?: readonly string[];
  readonly mustsOnly?: boolean;
  readonly first?: boolean;
  readonly replay?: string;
}

/** Interleavings where neither their number nor a time is given. */
export const INTERLEAVINGS_DEFAULT = 10_000;
const INTERLEAVINGS_MAX = 100_000_000;
const SECONDS_MAX = 86_400;

/** Throws {@link UsageError}. */
export function parseVerifyOptions(given: VerifyArguments): VerifyOptions {
  const otherwise = given.time === undefined ? INTERLEAVINGS_DEFAULT : INTERLEAVINGS_MAX;
  if (given.json === '-' && given.junit === '-') {
    throw new UsageError('--junit: expected a file where --json goes to standard output');
  }
  return {
    seed: whole('--seed', given.seed, 0, 0xffff_ffff, 1),
    interleavings: whole('--interleavings', given.interleavings, 1, INTERLEAVINGS_MAX, otherwise),
    timeS: whole('--time', given.time, 1, SECONDS_MAX, Number.POSITIVE_INFINITY),
    json: given.json ?? null,
    junit: given.junit ?? null,
    rules: given.rule === undefined ? null : new Set(given.rule.map(ruleId)),
    scenarios: given.scenario === undefined ? null : given.scenario.map(scenarioName),
    shoulds: given.mustsOnly !== true,
    stopAtFirst: given.first === true,
    replay: given.replay ?? null,
  };
}

function ruleId(text: string): string {
  if (/^[A-Z]+(?:-\d{3})?$/.test(text)) return text;
  throw new UsageError(`--rule: expected an id like SEND-012, got '${text}'`);
}

function scenarioName(text: string): string {
  const names = SCENARIOS.map(({ name }) => name);
  if (names.includes(text)) return text;
  throw new UsageError(`--scenario: expected one of ${names.join(', ')}; got '${text}'`);
}

function whole(name: string, text: string | undefined, least: number, most: number, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`${name}: expected a whole number from ${least} to ${most}, got '${text}'`);
}
