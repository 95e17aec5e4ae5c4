/**
 * Rules of a filter and what follows from them: for a frame one action, for a connection all that may come to pass.
 *
 * Looks inside frames: rules are expressions about them.
 * The first rule that matches decides. Of a connection that has not sent yet a rule may be a maybe; then it and what follows
 * count. Only a connection of whose segments none can be denied or wanted back may be offloaded past the filter.
 */

import type { NetBuffer } from '../state/net-buffer-list.ts';
import {
  Answer,
  type ConnectionEnds,
  Direction,
  Expression,
  factsOfConnection,
  PacketFacts,
} from './match/expression.ts';

/**
 * What is done with what matches. `allow`: it passes, and may be offloaded. `deny`: frames are dropped, connections are not
 * offloaded. `upload`: frames pass, connections are not offloaded, and those that are come back.
 */
export type FilterAction = 'allow' | 'deny' | 'upload';

const ACTIONS: readonly FilterAction[] = ['allow', 'deny', 'upload'];

/** A rule as it is given. */
export interface FilterRule {
  /** A filter expression as of pcap-filter(7); see docs/drivers/filter.md. */
  readonly match: string;
  readonly action: FilterAction;
}

/** A rule and what it has done so far. */
export interface FilterRuleCount extends FilterRule {
  /** Frames that it decided. */
  readonly frames: number;
  /** Connections that were not offloaded, or asked back, for it. */
  readonly connections: number;
}

class CompiledRule implements FilterRuleCount {
  readonly match: string;
  readonly action: FilterAction;
  readonly expression: Expression;
  frames = 0;
  connections = 0;

  constructor(rule: FilterRule) {
    if (!ACTIONS.includes(rule.action)) {
      throw new TypeError(`filter rule '${rule.match}': expected action ${ACTIONS.join(', ')}, got '${rule.action}'`);
    }
    this.match = rule.match;
    this.action = rule.action;
    this.expression = new Expression(rule.match);
  }
}

/** An ordered list of rules. */
export class FilterRules {
  readonly #rules: readonly CompiledRule[];
  readonly #otherwise: FilterAction;
  readonly #facts: PacketFacts = new PacketFacts();

  /** `otherwise`: what becomes of what no rule matches. Throws on a wrong rule. */
  constructor(rules: readonly FilterRule[], otherwise: FilterAction) {
    this.#rules = rules.map((rule) => new CompiledRule(rule));
    this.#otherwise = otherwise;
  }

  /** Whether nothing is ever refused or dropped. */
  get allowsAll(): boolean {
    return this.#otherwise === 'allow' && this.#rules.every(({ action }) => action === 'allow');
  }

  /** The rules with their counts. */
  counts(): FilterRuleCount[] {
    return this.#rules.map(({ match, action, frames, connections }) => ({ match, action, frames, connections }));
  }

  /** Whether a frame passes; counts it for the rule that decided. */
  passes(nb: NetBuffer, medium: 'ethernet' | 'ip', direction: Direction): boolean {
    this.#facts.readFrame(nb, medium, direction);
    for (const rule of this.#rules) {
      if (rule.expression.test(this.#facts) !== Answer.YES) continue;
      rule.frames++;
      return rule.action !== 'deny';
    }
    return this.#otherwise !== 'deny';
  }

  /** Whether a connection may be offloaded; if not, counts it for the rule that stands against it. */
  mayOffload(ends: ConnectionEnds): boolean {
    return this.#directionMayPass(ends, Direction.OUT) && this.#directionMayPass(ends, Direction.IN);
  }

  #directionMayPass(ends: ConnectionEnds, direction: Direction): boolean {
    factsOfConnection(ends, direction, this.#facts);
    for (const rule of this.#rules) {
      const answer = rule.expression.test(this.#facts);
      if (answer === Answer.NO) continue;
      if (rule.action !== 'allow') {
        rule.connections++;
        return false;
      }
      if (answer === Answer.YES) return true;
    }
    return this.#otherwise === 'allow';
  }
}
