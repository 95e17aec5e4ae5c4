/** The team against the conformance suite: as a driver like any other, and with a link that is cut in all interleavings. */
import { describe, expect, test } from 'vitest';
import { explore } from '../../src/conformance/explore.ts';
import type { ModelConnection } from '../../src/conformance/objects.ts';
import type { ModelWire } from '../../src/conformance/peer.ts';
import type { DriverFactory, Subject } from '../../src/conformance/run.ts';
import { routeOf, type Scenario, type Stage, type Step } from '../../src/conformance/stage.ts';
import { findingText } from '../../src/contract/finding.ts';
import { Team } from '../../src/im/team.ts';
import type { Link, LinkReceiver } from '../../src/link/link.ts';
import type { NdisLibrary } from '../../src/ndis/ndis-library.ts';
import { EngineAdapter } from '../../src/target/engine/engine-adapter.ts';
import { seed, seedNote } from '../support/seed.ts';

const numeric = [...String(seed)].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) >>> 0, 7);

function texts(subject: Subject, interleavings: number, scenarios?: readonly Scenario[]): string[] {
  const given = { seed: numeric, interleavings };
  const { findings } = explore(subject, scenarios === undefined ? given : { ...given, scenarios });
  return findings.map((one) => `${one.replay} ${findingText(one)} ${one.steps.join(' | ')}`);
}

test('a team of one member passes the suite', () => {
  const team: DriverFactory = (environment, below, name) => new Team(environment, [below], { name });
  expect(texts({ target: (environment) => new EngineAdapter(environment), drivers: [team] }, 500), seedNote).toEqual(
    [],
  );
});

/** A wire that branches: two links that can be cut, of which the first that is up gets what comes. */
class Fork implements LinkReceiver {
  readonly ends: readonly [ForkEnd, ForkEnd];

  constructor(wire: Link) {
    this.ends = [new ForkEnd('nic', wire), new ForkEnd('nic2', wire)];
    wire.start(this);
    // What is sent into a dead wire is lost, and the peer sees a gap before it is sent again: as it should be here.
    const model = wire as { -readonly [Key in keyof ModelWire]: ModelWire[Key] };
    const { complain } = model;
    model.complain = (peer, expected, seen) => {
      if (!expected.startsWith('a segment that goes on from')) complain(peer, expected, seen);
    };
  }
  get #live(): LinkReceiver | null {
    return this.ends.find(({ isUp }) => isUp)?.receiver ?? null;
  }
  receive(bytes: Uint8Array, at: number, length: number): void {
    this.#live?.receive(bytes, at, length);
  }
  receiveDone(): void {
    this.#live?.receiveDone();
  }
  linkState(): void {}
  writable(): void {}
}

class ForkEnd implements Link {
  readonly medium = 'ethernet';
  readonly mtu = 1500;
  readonly name: string;
  readonly macAddress: Uint8Array;
  readonly #wire: Link;
  receiver: LinkReceiver | null = null;
  isUp = true;

  constructor(name: string, wire: Link) {
    this.name = name;
    this.#wire = wire;
    this.macAddress = wire.macAddress!;
  }
  start(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }
  transmit(bytes: Uint8Array, at: number, length: number): boolean {
    return this.isUp ? this.#wire.transmit(bytes, at, length) : true;
  }
  setUp(isUp: boolean): void {
    this.isUp = isUp;
    this.receiver?.linkState(isUp);
  }
  close(): void {}
}

/** The world of the present run. */
let fork: Fork;
let team: Team;

const twoMembers: Subject = {
  target: (environment) => {
    fork = new Fork(environment.link);
    return new EngineAdapter({ ...environment, link: fork.ends[0] });
  },
  drivers: [
    (environment, below, name) => {
      const { runtime, trace } = environment;
      const second = new EngineAdapter({ link: fork.ends[1], runtime, trace, name: 'nic2' });
      team = new Team(environment, [below, (environment.ndis as NdisLibrary).registerAdapter(second)], { name });
      return team;
    },
  ],
};

const always = (): boolean => true;
const cut = (end: 0 | 1): Step => ({ name: `cut ${end}`, isReady: always, act: () => fork.ends[end].setUp(false) });
const mend = (end: 0 | 1): Step => ({ name: `mend ${end}`, isReady: always, act: () => fork.ends[end].setUp(true) });

/** Once the team has resumed and nothing of the connection is below. */
function down(stage: Stage, c: ModelConnection): Step {
  const step = stage.initiate([c]);
  const isHome = (): boolean => routeOf(c).every(({ where }) => where === 'host');
  return { ...step, isReady: () => !stage.isInitiateBarred && !team.isChanging && isHome() };
}

/** What hangs under a connection goes up after it. */
function up(stage: Stage, c: ModelConnection): Step[] {
  return [
    { ...stage.terminate([c.path]), isReady: () => c.where === 'host' && c.path.dependents === 0 && c.path.isIdle },
    {
      ...stage.terminate([c.path.neighbor]),
      isReady: () => c.path.where === 'host' && c.path.neighbor.isIdle,
    },
  ];
}

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'failover',
    about: 'the link in use is cut at any moment; the connection goes on, and goes down to the other member',
    build: (s) => {
      const c = s.connection(s.path(), { sends: [20], unread: 10 });
      return [
        [down(s, c), s.send(c, 30), s.terminate([c]), ...up(s, c), down(s, c), s.send(c, 10)],
        [cut(0)],
        [s.text(c, 20), s.text(c, 10)],
      ];
    },
  },
  {
    name: 'failover-operations',
    about: 'the link is cut while an update, a query and a terminate are below',
    build: (s) => {
      const c = s.connection();
      return [
        [down(s, c), s.query([c]), s.update(c), s.terminate([c]), ...up(s, c), down(s, c), s.send(c, 10)],
        [cut(0)],
        [s.text(c, 20)],
      ];
    },
  },
  {
    name: 'failover-and-back',
    about: 'the one link is cut and mended, the other is cut, while the connection has luggage',
    build: (s) => {
      const c = s.connection(s.path(), { unread: 10 });
      return [
        [down(s, c), s.send(c, 30)],
        [cut(0), mend(0), cut(1)],
        [s.text(c, 20), s.returns()],
      ];
    },
  },
];

describe('a team of two members (EVT-036, EVT-043, EVT-044, IM-065)', () => {
  test('whenever its link is cut, everything comes back whole and the contract is kept', () => {
    expect(texts(twoMembers, 1500, SCENARIOS), seedNote).toEqual([]);
  }, 120_000);

  test('and it passes the suite while nothing is cut', () => {
    expect(texts(twoMembers, 300), seedNote).toEqual([]);
  });
});
