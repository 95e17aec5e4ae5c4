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
import { fakeWorld, linkWorld, loopbackWorld, nodeWorld, type World } from './world.ts';

const scenarios = {
  ...lifeScenarios,
  ...attemptScenarios,
  ...flowScenarios,
  ...serverScenarios,
  ...shapeScenarios,
  ...udpScenarios,
  ...contextScenarios,
  ...datagramScenarios,
};

const worlds = [
  ['ours over transports in memory', fakeWorld],
  ['ours through a stack’s loopback', loopbackWorld],
  ['ours over two stacks on a wire', linkWorld],
] as const;

/** Addresses differ from world to world; what is said of them does not. */
function withoutHosts(value: unknown, world: World): unknown {
  if (typeof value === 'string') return value.replaceAll(world.host, 'HOST').replaceAll(world.clientHost, 'HOST');
  if (Array.isArray(value)) return value.map((item) => withoutHosts(item, world));
  if (typeof value !== 'object' || value === null || value instanceof Set) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutHosts(item, world)]));
}

describe.each(worlds)('%s', (_name, make) => {
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
