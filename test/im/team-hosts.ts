/** A server with a team of two links at a switch, and a client at the same switch: the stage of the tests of the team. */

import type { Impairment } from '../../src/base/impaired-line.ts';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import { Team, type TeamChange, type TeamOptions } from '../../src/im/team.ts';
import type { MemoryLink } from '../../src/link/memory.ts';
import { memorySwitch } from '../../src/link/memory-switch.ts';
import { createStack, type Stack } from '../../src/stack.ts';
import type { IntermediateChoice } from '../../src/stack-drivers.ts';
import type { TargetChoice } from '../../src/stack-options.ts';
import { closeStacks } from '../stack/two-hosts.ts';

export interface TeamHosts {
  readonly runtime: VirtualRuntime;
  readonly server: Stack;
  readonly client: Stack;
  readonly team: Team;
  /** The links of the members. */
  readonly links: readonly [MemoryLink, MemoryLink];
  /** Change-overs that were told. */
  readonly changes: TeamChange[];
  close(): Promise<void>;
}

export interface TeamHostsOptions {
  readonly seed?: number;
  readonly impairment?: Impairment;
  readonly team?: Partial<TeamOptions>;
  readonly targets?: readonly [TargetChoice, TargetChoice];
  /** Drivers over the team. */
  readonly intermediates?: readonly IntermediateChoice[];
  /** Whether the server offloads again what came back with an upload of all. */
  readonly offloadsAgain?: boolean;
}

export function teamHosts(options: TeamHostsOptions = {}): TeamHosts {
  const seed = options.seed ?? 1;
  const runtime = new VirtualRuntime(seed);
  const impairment = options.impairment ?? { delayUs: 200, rateBps: 100_000_000 };
  const ports = memorySwitch({ runtime, ports: ['port1', 'port2', 'port3'], impairment, seed });
  const [one, two, three] = ports as [MemoryLink, MemoryLink, MemoryLink];
  const changes: TeamChange[] = [];
  const [first = 'engine', second = 'engine'] = options.targets ?? [];
  const server = createStack({
    runtime,
    verify: true,
    offloadsAgain: options.offloadsAgain ?? false,
    links: [
      {
        addresses: ['10.0.0.1/24', 'fd00::1/64'],
        team: {
          members: [
            { link: one, target: first },
            { link: two, target: second },
          ],
          onChange: (change) => changes.push(change),
          ...options.team,
        },
        ...(options.intermediates === undefined ? {} : { intermediates: options.intermediates }),
      },
    ],
  });
  const client = createStack({
    runtime,
    verify: true,
    links: [{ link: three, addresses: ['10.0.0.2/24', 'fd00::2/64'] }],
  });
  return {
    runtime,
    server,
    client,
    team: server.driver(Team),
    links: [one, two],
    changes,
    close: () => closeStacks(runtime, [server, client]),
  };
}
