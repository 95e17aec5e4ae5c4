/** What a rule of the contract says. */

import { RULE_BOOK } from '../contract/rule-book.ts';

const texts: Map<string, string> = new Map(RULE_BOOK.flatMap(({ rules }) => rules.map(({ id, rule }) => [id, rule])));

/** The text of a rule; undefined: there is none of that id. */
export function ruleText(id: string): string | undefined {
  return texts.get(id);
}
