/**
 * Congestion controls by name, and which one a connection has: its own, or that of the parameters it is run with.
 *
 * The DDI's CongestionAlgorithm is reserved (TCP-136), so the choice does not cross the chimney: host and target each have
 * theirs, and CWnd and SsThresh mean the same to both (STATE-057).
 */

import { assert } from '../../base/assert.ts';
import { PrivateWord, type TcpConnection } from '../connection.ts';
import type { CongestionControl } from './congestion-control.ts';
import { cubic } from './cubic.ts';
import { newReno } from './new-reno.ts';

/** Names of the congestion controls there are. */
export type CongestionName = 'newreno' | 'cubic';

const CONTROLS: readonly CongestionControl[] = [newReno, cubic];

/** The congestion control of this name. Throws a TypeError for another: names come from configuration. */
export function congestionControl(name: CongestionName): CongestionControl {
  const found = CONTROLS.find((one) => one.name === name);
  if (found === undefined) throw new TypeError(`congestion is 'newreno' or 'cubic', not '${String(name)}'`);
  return found;
}

/** Gives a connection a congestion control of its own, before its handshake is done. */
export function chooseCongestion(c: TcpConnection, name: CongestionName): void {
  c.words[c.base + PrivateWord.CONGESTION] = CONTROLS.indexOf(congestionControl(name)) + 1;
}

/** The connection's congestion control. */
export function congestionOf(c: TcpConnection, p: { readonly congestion: CongestionControl }): CongestionControl {
  const own = c.words[c.base + PrivateWord.CONGESTION]!;
  if (own === 0) return p.congestion;
  const control = CONTROLS[own - 1];
  assert(control !== undefined, 'a connection has a congestion control that exists');
  return control;
}
