/** What came with Node 22 and 24: ours has it on every Node, as a Node that has it itself confirms. */

import { describe, expect, test } from 'vitest';
import { newerScenarios } from './scenarios-newer.ts';
import { nodeWorld, OUR_WORLDS, withoutHosts } from './world.ts';

describe.each(OUR_WORLDS)('%s', (_name, make) => {
  for (const [name, { play, wanted }] of Object.entries(newerScenarios)) {
    test(`${name}: as newer versions of Node`, async () => {
      const world = make();
      try {
        expect(withoutHosts(await play(world), world)).toEqual(wanted);
      } finally {
        await world.close();
      }
    });
  }
});

describe('node:net itself, where it is new enough', () => {
  for (const [name, { has, play, wanted }] of Object.entries(newerScenarios)) {
    if (!has) continue;
    test(`${name}: is what ours is held to`, async () => {
      const world = nodeWorld();
      expect(withoutHosts(await play(world), world)).toEqual(wanted);
    });
  }

  test('runs these tests', () => {
    expect(Number.parseInt(process.versions.node, 10)).toBeGreaterThanOrEqual(20);
  });
});
