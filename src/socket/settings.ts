/**
 * The defaults of one stack's net that a program may change: node:net's `getDefaultAutoSelectFamily` and its kin.
 *
 * They begin with what Node itself begins with (its own command line decides that too) and are the stack's own from then on.
 */

import { validateBoolean, validateInt32 } from './arguments.ts';
import { builtin } from './node.ts';

/** Whether all addresses of a name are tried, and how long each may take. */
export interface NetSettings {
  autoSelectFamily: boolean;
  /** Milliseconds, at least 10. */
  attemptTimeoutMs: number;
}

/** Node's own values, where Node is not there to be asked. */
const ATTEMPT_TIMEOUT_MS = 250;
const ATTEMPT_TIMEOUT_MS_MIN = 10;

/** What Node's defaults are now. */
export function freshSettings(): NetSettings {
  const net = builtin<typeof import('node:net')>('node:net');
  return {
    autoSelectFamily: net?.getDefaultAutoSelectFamily() ?? true,
    attemptTimeoutMs: net?.getDefaultAutoSelectFamilyAttemptTimeout() ?? ATTEMPT_TIMEOUT_MS,
  };
}

/** The four functions of node:net over the settings of one stack. */
export interface SettingsFunctions {
  getDefaultAutoSelectFamily(): boolean;
  setDefaultAutoSelectFamily(value: boolean): void;
  getDefaultAutoSelectFamilyAttemptTimeout(): number;
  setDefaultAutoSelectFamilyAttemptTimeout(value: number): void;
}

export function settingsFunctions(settings: NetSettings): SettingsFunctions {
  return {
    getDefaultAutoSelectFamily: () => settings.autoSelectFamily,
    setDefaultAutoSelectFamily: (value) => {
      settings.autoSelectFamily = validateBoolean(value, 'value');
    },
    getDefaultAutoSelectFamilyAttemptTimeout: () => settings.attemptTimeoutMs,
    setDefaultAutoSelectFamilyAttemptTimeout: (value) => {
      settings.attemptTimeoutMs = Math.max(ATTEMPT_TIMEOUT_MS_MIN, validateInt32(value, 'value', 1));
    },
  };
}
