/**
 * The rule book: every rule of TCP chimney offload with its id, as data, one file an area under `rules/`.
 *
 * The texts are the contract; what has become of each rule (tested, checked at run time) is not written down here but derived
 * from the tests and the checkers by `npm run rules`. Only a rule that has no counterpart in this system says so itself, with
 * its reason, in `rules/not-applicable/`.
 */

import CAP from './rules/CAP.json' with { type: 'json' };
import CTX from './rules/CTX.json' with { type: 'json' };
import DISC from './rules/DISC.json' with { type: 'json' };
import EVT from './rules/EVT.json' with { type: 'json' };
import FWD from './rules/FWD.json' with { type: 'json' };
import IM from './rules/IM.json' with { type: 'json' };
import INIT from './rules/INIT.json' with { type: 'json' };
import INV from './rules/INV.json' with { type: 'json' };
import NBL from './rules/NBL.json' with { type: 'json' };
import NBR from './rules/NBR.json' with { type: 'json' };
import capNone from './rules/not-applicable/CAP.json' with { type: 'json' };
import ctxNone from './rules/not-applicable/CTX.json' with { type: 'json' };
import discNone from './rules/not-applicable/DISC.json' with { type: 'json' };
import evtNone from './rules/not-applicable/EVT.json' with { type: 'json' };
import fwdNone from './rules/not-applicable/FWD.json' with { type: 'json' };
import imNone from './rules/not-applicable/IM.json' with { type: 'json' };
import initNone from './rules/not-applicable/INIT.json' with { type: 'json' };
import invNone from './rules/not-applicable/INV.json' with { type: 'json' };
import nblNone from './rules/not-applicable/NBL.json' with { type: 'json' };
import nbrNone from './rules/not-applicable/NBR.json' with { type: 'json' };
import pwrNone from './rules/not-applicable/PWR.json' with { type: 'json' };
import qryNone from './rules/not-applicable/QRY.json' with { type: 'json' };
import recvNone from './rules/not-applicable/RECV.json' with { type: 'json' };
import rssNone from './rules/not-applicable/RSS.json' with { type: 'json' };
import sendNone from './rules/not-applicable/SEND.json' with { type: 'json' };
import statNone from './rules/not-applicable/STAT.json' with { type: 'json' };
import stateNone from './rules/not-applicable/STATE.json' with { type: 'json' };
import tcpNone from './rules/not-applicable/TCP.json' with { type: 'json' };
import termNone from './rules/not-applicable/TERM.json' with { type: 'json' };
import treeNone from './rules/not-applicable/TREE.json' with { type: 'json' };
import updNone from './rules/not-applicable/UPD.json' with { type: 'json' };
import vlanNone from './rules/not-applicable/VLAN.json' with { type: 'json' };
import PWR from './rules/PWR.json' with { type: 'json' };
import QRY from './rules/QRY.json' with { type: 'json' };
import RECV from './rules/RECV.json' with { type: 'json' };
import RSS from './rules/RSS.json' with { type: 'json' };
import SEND from './rules/SEND.json' with { type: 'json' };
import STAT from './rules/STAT.json' with { type: 'json' };
import STATE from './rules/STATE.json' with { type: 'json' };
import TCP from './rules/TCP.json' with { type: 'json' };
import TERM from './rules/TERM.json' with { type: 'json' };
import TREE from './rules/TREE.json' with { type: 'json' };
import UPD from './rules/UPD.json' with { type: 'json' };
import unwatched from './rules/unwatched.json' with { type: 'json' };
import VLAN from './rules/VLAN.json' with { type: 'json' };

/** How binding a rule is. */
export type RuleLevel = 'must' | 'should' | 'may';

/** One rule of the contract. */
export interface Rule {
  /** Area and number: `INIT-001`. */
  readonly id: string;
  /** The area in words: `initiate`. */
  readonly area: string;
  /** Whose duty it is: host, target, im or ndis. */
  readonly actor: string;
  readonly level: RuleLevel;
  readonly rule: string;
  /** NDIS statuses that it speaks of. */
  readonly statuses: readonly string[];
  /** DDI functions and structures that it speaks of. */
  readonly api: readonly string[];
  /** Pages of the public documentation that say so. */
  readonly source: readonly string[];
  /** How keeping or breaking it can be seen. */
  readonly observable: string;
}

/** One area: its rules in order, and why some of them have no counterpart here. */
export interface RuleArea {
  /** What its ids begin with: `INIT`. */
  readonly prefix: string;
  readonly rules: readonly Rule[];
  /** Rule id -> the reason why it does not apply. */
  readonly notApplicable: Readonly<Record<string, string>>;
}

function area(prefix: string, rules: unknown, notApplicable: unknown): RuleArea {
  return { prefix, rules: rules as Rule[], notApplicable: notApplicable as Record<string, string> };
}

/** The whole book, in the order of its chapters. */
export const RULE_BOOK: readonly RuleArea[] = [
  area('INIT', INIT, initNone),
  area('TERM', TERM, termNone),
  area('UPD', UPD, updNone),
  area('QRY', QRY, qryNone),
  area('INV', INV, invNone),
  area('TREE', TREE, treeNone),
  area('CTX', CTX, ctxNone),
  area('STATE', STATE, stateNone),
  area('SEND', SEND, sendNone),
  area('RECV', RECV, recvNone),
  area('DISC', DISC, discNone),
  area('FWD', FWD, fwdNone),
  area('EVT', EVT, evtNone),
  area('IM', IM, imNone),
  area('TCP', TCP, tcpNone),
  area('NBR', NBR, nbrNone),
  area('STAT', STAT, statNone),
  area('CAP', CAP, capNone),
  area('PWR', PWR, pwrNone),
  area('VLAN', VLAN, vlanNone),
  area('RSS', RSS, rssNone),
  area('NBL', NBL, nblNone),
];

/** Why no checker watches a rule: nothing that passes a door of NDIS shows that it is broken. */
export const UNWATCHED_CLASSES = {
  permission: 'allows something: nobody can break it',
  definition: 'says what a word, a field, a status or an example means; what is to be done with it other rules say',
  inside:
    'speaks of what a driver does inside (memory, queues, timers, order of work): done otherwise, what passes is the same',
  occasion:
    'binds upon an occasion, or for a reason, that only the driver itself knows: what passes does not show whether it was there',
  eventually:
    'asks for something without a bound of time: at no moment is it broken (the suite calls a stand-still STUCK)',
  stream: 'shows in the bytes of the streams, which no door can judge: the model host and its peers do (BYTES)',
  wire: 'shows in frames below the lowest door, and takes an exchange with a peer that the suite does not play: tests with real segments watch it',
  interface:
    'is fixed by the types and the registration of this interface: a driver that breaks it cannot be built or seated',
  ndis: 'binds NDIS itself, on which the verifier sits: no driver can break it',
} as const;
export type UnwatchedClass = keyof typeof UNWATCHED_CLASSES;

/** Rule id -> why no checker watches it. A rule that applies is either here or watched. */
export const UNWATCHED: Readonly<Record<string, UnwatchedClass>> = unwatched as Readonly<
  Record<string, UnwatchedClass>
>;
