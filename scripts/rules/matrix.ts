/**
 * The matrix: what has become of each rule.
 *
 * A rule is *tested* when the name of a test cites it, *checked* when a checker of the verifier watches it at run time, and
 * *not applicable* when the rule book gives a reason. Nothing of this is written down twice; what contradicts itself is a
 * complaint.
 */
import { CHECKERS } from '../../src/contract/checkers.ts';
import {
  RULE_BOOK,
  type Rule,
  type RuleArea,
  UNWATCHED,
  UNWATCHED_CLASSES,
  type UnwatchedClass,
} from '../../src/contract/rule-book.ts';
import { type Citation, citationsUnder } from './citations.ts';

export interface RuleState {
  readonly rule: Rule;
  readonly prefix: string;
  /** The tests that cite it, each once. */
  readonly tests: readonly Citation[];
  /** What its checkers are about; empty when none watches it. */
  readonly checkers: readonly string[];
  /** Why none watches it; `undefined` when one does, or when it does not apply. */
  readonly unwatched: UnwatchedClass | undefined;
  /** Why it does not apply; `undefined` when it does. */
  readonly reason: string | undefined;
}

/** What is counted, in the order in which it is shown. */
export const COLUMNS = [
  'total',
  'must',
  'should',
  'may',
  'tested',
  'checked',
  'unwatched',
  'notApplicable',
  'missing',
] as const;

export interface Tally {
  total: number;
  must: number;
  should: number;
  may: number;
  tested: number;
  checked: number;
  unwatched: number;
  notApplicable: number;
  missing: number;
}

export interface Matrix {
  readonly states: readonly RuleState[];
  /** Contradictions: citations of no rule, reasons that are none, rules both tested and not applicable. */
  readonly complaints: readonly string[];
}

/** At most one rule in twenty may be not applicable. */
export const LARGEST_NOT_APPLICABLE_SHARE = 0.05;
/** A reason shorter than this explains nothing. */
export const SHORTEST_REASON = 40;

/** The matrix of the tree under `root`. */
export function matrixOf(root: string): Matrix {
  return matrixFrom(RULE_BOOK, citationsUnder(root), checkersByRule(), UNWATCHED);
}

function checkersByRule(): Map<string, string[]> {
  const by = new Map<string, string[]>();
  for (const checker of CHECKERS) {
    for (const rule of [...checker.must, ...(checker.should ?? [])]) {
      by.set(rule, [...(by.get(rule) ?? []), checker.about]);
    }
  }
  return by;
}

/** The matrix from its parts. */
export function matrixFrom(
  book: readonly RuleArea[],
  citations: readonly Citation[],
  checkers: ReadonlyMap<string, readonly string[]>,
  unwatched: Readonly<Record<string, UnwatchedClass>> = {},
): Matrix {
  const byRule = new Map<string, Citation[]>();
  for (const citation of citations) byRule.set(citation.rule, [...(byRule.get(citation.rule) ?? []), citation]);
  const states = book.flatMap((area) =>
    area.rules.map((rule) => ({
      rule,
      prefix: area.prefix,
      tests: byRule.get(rule.id) ?? [],
      checkers: checkers.get(rule.id) ?? [],
      unwatched: unwatched[rule.id],
      reason: area.notApplicable[rule.id],
    })),
  );
  const complaints = [
    ...complaintsAbout(book, states, citations, checkers),
    ...complaintsAboutWatching(states, unwatched),
  ];
  return { states, complaints };
}

function complaintsAbout(
  book: readonly RuleArea[],
  states: readonly RuleState[],
  citations: readonly Citation[],
  checkers: ReadonlyMap<string, readonly string[]>,
): string[] {
  const complaints: string[] = [];
  const prefixes = new Set(book.map((area) => area.prefix));
  const ids = new Set(states.map((state) => state.rule.id));
  if (ids.size !== states.length) complaints.push('an id stands twice in the rule book');
  for (const { rule, file, line } of citations) {
    if (prefixes.has(rule.slice(0, -4)) && !ids.has(rule)) complaints.push(`${file}:${line}: there is no rule ${rule}`);
  }
  for (const rule of checkers.keys()) if (!ids.has(rule)) complaints.push(`a checker names ${rule}, which is no rule`);
  for (const area of book) {
    const own = new Set(area.rules.map((rule) => rule.id));
    for (const [id, reason] of Object.entries(area.notApplicable)) {
      if (!own.has(id)) complaints.push(`not-applicable/${area.prefix}.json: there is no rule ${id}`);
      if (reason.length < SHORTEST_REASON) complaints.push(`${id}: "${reason}" is no reason`);
    }
  }
  for (const { rule, tests, checkers: watching, reason } of states) {
    if (reason === undefined) continue;
    if (tests.length > 0) complaints.push(`${rule.id} is not applicable, yet tested at ${tests[0]!.file}`);
    if (watching.length > 0) complaints.push(`${rule.id} is not applicable, yet checked`);
  }
  const without = states.filter((state) => state.reason !== undefined).length;
  if (without > states.length * LARGEST_NOT_APPLICABLE_SHARE) {
    complaints.push(`${without} rules are not applicable; ${LARGEST_NOT_APPLICABLE_SHARE * 100} % of all may be`);
  }
  return complaints;
}

/** A rule that applies is either watched at run time or has its reason not to be. */
function complaintsAboutWatching(
  states: readonly RuleState[],
  unwatched: Readonly<Record<string, UnwatchedClass>>,
): string[] {
  const complaints: string[] = [];
  // A book without a table of reasons asks for none.
  if (Object.keys(unwatched).length === 0) return complaints;
  const ids = new Set(states.map(({ rule }) => rule.id));
  for (const [id, why] of Object.entries(unwatched)) {
    if (!ids.has(id)) complaints.push(`unwatched.json: there is no rule ${id}`);
    if (UNWATCHED_CLASSES[why] === undefined) complaints.push(`unwatched.json: ${id}: there is no class '${why}'`);
  }
  for (const { rule, checkers, unwatched: why, reason } of states) {
    const dispositions = [checkers.length > 0, why !== undefined, reason !== undefined].filter(Boolean).length;
    if (dispositions === 0) complaints.push(`${rule.id} is neither watched nor said why not (unwatched.json)`);
    else if (dispositions > 1) complaints.push(`${rule.id} is watched, unwatched or not applicable: only one of them`);
  }
  return complaints;
}

/** Whether nothing has become of the rule. */
export function isMissing(state: RuleState): boolean {
  return state.tests.length === 0 && state.checkers.length === 0 && state.reason === undefined;
}

/** The counts over some rules. */
export function tallyOf(states: readonly RuleState[]): Tally {
  const tally = {
    total: 0,
    must: 0,
    should: 0,
    may: 0,
    tested: 0,
    checked: 0,
    unwatched: 0,
    notApplicable: 0,
    missing: 0,
  };
  for (const state of states) {
    tally.total++;
    tally[state.rule.level]++;
    if (state.tests.length > 0) tally.tested++;
    if (state.checkers.length > 0) tally.checked++;
    if (state.unwatched !== undefined) tally.unwatched++;
    if (state.reason !== undefined) tally.notApplicable++;
    if (isMissing(state)) tally.missing++;
  }
  return tally;
}

/** The rules of each area, areas in the order of the book. */
export function byArea(matrix: Matrix): Map<string, RuleState[]> {
  const areas = new Map<string, RuleState[]>();
  for (const state of matrix.states) areas.set(state.prefix, [...(areas.get(state.prefix) ?? []), state]);
  return areas;
}
