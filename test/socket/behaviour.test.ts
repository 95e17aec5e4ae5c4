/** The same scenarios in node:net's own world and in ours: what is seen must be the same, event for event. */

import { describe, expect, test } from 'vitest';
import { attemptScenarios } from './scenarios-attempts.ts';
import { contextScenarios } from './scenarios-context.ts';
import { datagramScenarios } from './scenarios-datagrams.ts';
import { flowScenarios } from './scenarios-flow.ts';
import { lifeScenarios } from './scenarios-life.ts';
import { serverScenarios } from './scenarios-server.ts';
import { shapeScenarios } from './scenarios-shape.ts';
import { udpScenarios } from './scenarios-udp.ts';
import { versionScenarios } from './scenarios-versions.ts';
import { nodeWorld, OUR_WORLDS, withoutHosts } from './world.ts';

const scenarios = {
  ...lifeScenarios,
  ...attemptScenarios,
  ...flowScenarios,
  ...serverScenarios,
  ...shapeScenarios,
  ...udpScenarios,
  ...contextScenarios,
  ...datagramScenarios,
  ...versionScenarios,
};

describe.each(OUR_WORLDS)('%s', (_name, make) => {
  for (const [name, scenario] of Object.entries(scenarios)) {
    test(`${name}: as node:net`, async () => {
      const reference = nodeWorld();
      const wanted = withoutHosts(await scenario(reference), reference);
      const world = make();
      try {
        expect(withoutHosts(await scenario(world), world)).toEqual(wanted);
      } finally {
        await world.close();
      }
    });
  }
});
