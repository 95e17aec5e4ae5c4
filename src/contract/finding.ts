/**
 * What the verifier reports: one breach of one rule.
 */

/** Who has to keep a rule: the driver above the binding, the one below it, or NDIS. */
export type Actor = 'host' | 'target' | 'ndis';

/** Rules of the contract say must, or should. */
export type RuleLevel = 'must' | 'should';

export interface Finding {
  /** Id in the rule book, such as 'TERM-032'. */
  readonly rule: string;
  /** Other rules of which this is a breach just as well: they say the same of it, and nothing at a door tells them apart. */
  readonly also: readonly string[];
  readonly level: RuleLevel;
  readonly actor: Actor;
  /** Name of the adapter below the binding where it was seen. */
  readonly adapter: string;
  /** The call in which it showed, by its DDI name. */
  readonly call: string;
  /** The state object concerned, 'tcp 10.0.0.1:80-10.0.0.2:4711'; '-' where the rule is about none. */
  readonly object: string;
  readonly expected: string;
  readonly seen: string;
  /** The last calls on that object (on the binding, where it is about none), oldest first, at most 20. */
  readonly lastCalls: readonly string[];
}

/** All rules that a finding names, the one that says it best first. */
export function rulesOf({ rule, also }: Pick<Finding, 'rule' | 'also'>): readonly string[] {
  return also.length === 0 ? [rule] : [rule, ...also];
}

/** One line for people. */
export function findingText(finding: Finding): string {
  const where = `${finding.call} on ${finding.object} (${finding.adapter})`;
  return `${rulesOf(finding).join(' ')} ${finding.actor} ${finding.level}: ${where}: expected ${finding.expected}; seen: ${finding.seen}`;
}
