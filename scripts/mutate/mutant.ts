/** What a source mutant is, and how the tables write them down. */

/**
 * A small change in the source that breaks one rule. The tests that must notice are those that cite the rule, unless others are
 * named. A citation that survives its mutant does not exercise what it cites.
 */
export interface Mutant {
  readonly rule: string;
  readonly file: string;
  /** Stands exactly once in the file. */
  readonly from: string;
  readonly to: string;
  /** Default: the tests that cite the rule. */
  readonly tests?: readonly string[];
  /** Why it may survive; absent: it must not. */
  readonly survives?: string;
}

/** The mutants of one file: rule, what stands there, what takes its place, and perhaps the tests. */
export type Row = readonly [rule: string, from: string, to: string, ...tests: string[]];

export function mutantsIn(file: string, rows: readonly Row[]): readonly Mutant[] {
  return rows.map(([rule, from, to, ...tests]) => ({ rule, file, from, to, ...(tests.length === 0 ? {} : { tests }) }));
}
