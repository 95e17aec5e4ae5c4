/** All scenarios, the simple ones first: what these leave over of the time goes to the others. */

import type { Scenario } from '../stage.ts';
import { DATA_SCENARIOS } from './data.ts';
import { ENDING_SCENARIOS } from './ending.ts';
import { MIXED_SCENARIOS } from './mixed.ts';
import { STATE_SCENARIOS } from './state.ts';
import { TREE_SCENARIOS } from './trees.ts';

export const SCENARIOS: readonly Scenario[] = [
  ...TREE_SCENARIOS,
  ...DATA_SCENARIOS,
  ...STATE_SCENARIOS,
  ...ENDING_SCENARIOS,
  ...MIXED_SCENARIOS,
];
