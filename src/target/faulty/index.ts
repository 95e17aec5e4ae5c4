/**
 * Faulty targets: each breaks one rule of the contract, on purpose, and is good in everything else.
 *
 * For whoever wants to see that a host, a tool or the verifier notices. A rule that a driver above has to keep is broken by the
 * drivers in `im/faulty`.
 */

import type { Link } from '../../link/link.ts';
import type { MiniportDriver } from '../../ndis/miniport.ts';
import type { EngineAdapterOptions } from '../engine/engine.ts';
import { EngineAdapter } from '../engine/engine-adapter.ts';
import { CORRUPTION_FAULTS } from './corruption.ts';
import { DATA_FAULTS } from './data.ts';
import { EVENT_FAULTS } from './events.ts';
import { INITIATE_FAULTS } from './initiate.ts';
import { NUMBER_FAULTS } from './numbers.ts';
import { OPERATION_FAULTS } from './operations.ts';
import { OUTCOME_FAULTS } from './outcomes.ts';
import { RECEIVE_FAULTS } from './receive.ts';
import { SETTING_FAULTS } from './settings.ts';
import { alias, type Fault, Shim } from './shim.ts';
import { TERMINATE_FAULTS } from './terminate.ts';
import { VALUE_FAULTS } from './values.ts';
import { WIRE_FAULTS } from './wire.ts';

/** All faults of targets. */
export const TARGET_FAULTS: readonly Fault[] = withAliases([
  ...OPERATION_FAULTS,
  ...INITIATE_FAULTS,
  ...DATA_FAULTS,
  ...RECEIVE_FAULTS,
  ...EVENT_FAULTS,
  ...TERMINATE_FAULTS,
  ...CORRUPTION_FAULTS,
  ...VALUE_FAULTS,
  ...OUTCOME_FAULTS,
  ...SETTING_FAULTS,
  ...NUMBER_FAULTS,
  ...WIRE_FAULTS,
]);

/** Rules that say the same as another one of the same breach: findings name both. */
function withAliases(faults: readonly Fault[]): Fault[] {
  const same: readonly (readonly [rule: string, as: string])[] = [
    ['STATE-006', 'TERM-018'],
    ['RECV-006', 'RECV-009'],
    ['RECV-008', 'RECV-009'],
    ['RECV-034', 'RECV-015'],
    ['CTX-014', 'INIT-035'],
    ['INIT-034', 'INIT-033'],
    ['INIT-079', 'EVT-019'],
    ['QRY-009', 'QRY-008'],
    ['RECV-025', 'RECV-053'],
    ['RECV-047', 'RECV-053'],
    ['STATE-070', 'QRY-022'],
  ];
  return [...faults, ...same.map(([rule, as]) => alias(rule, faults.find((one) => one.rule === as)!))];
}

/** What a faulty target is made from. */
export interface FaultyOptions extends EngineAdapterOptions {
  /** The target that is good but for the fault. Default: an engine target with these options. */
  readonly good?: (options: EngineAdapterOptions) => MiniportDriver;
}

/** A target with a fault. */
export function withFault(fault: Fault, options: FaultyOptions): MiniportDriver {
  const { good = (its) => new EngineAdapter(its), ...rest } = options;
  let shim: Shim | null = null;
  const link = tapped(options.link, () => shim);
  shim = new Shim(good({ ...rest, link }), options.runtime);
  const faulty = shim;
  shim.transmit = (frame) => void options.link.transmit(frame, 0, frame.length);
  shim.seat = () => fault.seat(faulty);
  return shim;
}

/** The same link, past which the shim sees what goes out. */
function tapped(link: Link, shimOf: () => Shim | null): Link {
  const transmit: Link['transmit'] = (bytes, at, length, ...rest) => {
    const shim = shimOf();
    if (shim === null || shim.wire === null) return link.transmit(bytes, at, length, ...rest);
    const frame = bytes.slice(at, at + length);
    for (const one of shim.wire(frame)) link.transmit(one, 0, one.length);
    shim.lastFrame = frame;
    return true;
  };
  return new Proxy(link, {
    get: (target, name) => {
      if (name === 'transmit') return transmit;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
