/** All scenarios, the simple ones first. */

import type { Scenario } from '../stage.ts';
import { DATA_SCENARIOS } from './data.ts';
import { ENDING_SCENARIOS } from './ending.ts';
import { STATE_SCENARIOS } from './state.ts';
import { TREE_SCENARIOS } from './trees.ts';

export const SCENARIOS: readonly Scenario[] = [
  ...TREE_SCENARIOS,
  ...DATA_SCENARIOS,
  ...STATE_SCENARIOS,
  ...ENDING_SCENARIOS,
];
