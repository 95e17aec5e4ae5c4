/** A team of adapters: links are cut under load, connections move to the survivor, and no byte is lost or repeated. */
import { describe, expect, test } from 'vitest';
import { MyTarget } from '../../examples/my-target.ts';
import { SeededRandom } from '../../src/base/random.ts';
import { findingText } from '../../src/contract/finding.ts';
import type { NdisM, NdisMiniportHandle } from '../../src/ndis/miniport.ts';
import type { TargetEnvironment } from '../../src/stack-options.ts';
import { EngineAdapter } from '../../src/target/engine/engine-adapter.ts';
import { PairedAdapter } from '../../src/target/worker/paired-adapter.ts';
import { connectPeers, type Peer } from '../stack/two-hosts.ts';
import { seed, seedNote } from '../support/seed.ts';
import { type TeamHosts, teamHosts } from './team-hosts.ts';

interface Pair {
  readonly server: Peer;
  readonly client: Peer;
}

const NOTHING = { buffers: 0, stateObjects: 0, connections: 0 };
const ignore = (): void => {};

/** Connections in flow, every other one over IPv6. */
function connect(hosts: TeamHosts, count: number, bytes: number): Pair[] {
  // Until duplicate address detection is over.
  hosts.runtime.advance(3_000_000);
  const pairs = Array.from({ length: count }, (_, i) => connectPeers(hosts, bytes, bytes, i % 2 === 0 ? 4 : 6, 80 + i));
  const isUp = (): boolean => pairs.every(({ server }) => server.isConnected);
  expect(hosts.runtime.runUntil(isUp, 30_000_000), seedNote).toBe(true);
  return pairs;
}

function offloadAll(pairs: readonly Pair[]): void {
  for (const { server } of pairs) {
    if (server.closedWith === undefined && server.endpoint.chimney.location === 'host') {
      server.endpoint.chimney.offload().catch(ignore);
    }
  }
}

/** To the end of all streams, offloading again whatever came back. */
async function finish(hosts: TeamHosts, pairs: readonly Pair[]): Promise<void> {
  const isDone = (): boolean =>
    pairs.every(({ server, client }) => server.closedWith !== undefined && client.closedWith !== undefined);
  for (let i = 0; i < 4000 && !hosts.runtime.runUntil(isDone, 50_000); i++) {
    offloadAll(pairs);
    await Promise.resolve();
  }
  expect(isDone(), seedNote).toBe(true);
}

async function expectWhole(hosts: TeamHosts, pairs: readonly Pair[], bytes: number): Promise<void> {
  for (const { server, client } of pairs) {
    const seen = [server.received, server.wrongBytes, server.closedWith, client.received, client.wrongBytes];
    expect([...seen, client.closedWith], seedNote).toEqual([bytes, 0, null, bytes, 0, null]);
  }
  await hosts.close();
  expect([...hosts.server.findings, ...hosts.client.findings].map(findingText), seedNote).toEqual([]);
  expect([hosts.server.held(), hosts.client.held()], seedNote).toEqual([NOTHING, NOTHING]);
}

const targetsHeld = (hosts: TeamHosts): number[] =>
  ['port1', 'port2'].map((name) => hosts.server.target(name).control.held().tcpObjects);

describe('a team of two links (EVT-036, EVT-045, IM-065)', () => {
  test('the link in use is cut under full flow: connections go on at the survivor, no byte lost or repeated', async () => {
    const bytes = 250_000;
    const hosts = teamHosts({ seed });
    const pairs = connect(hosts, 16, bytes);
    offloadAll(pairs);
    hosts.runtime.advance(60_000);
    expect(targetsHeld(hosts), seedNote).toEqual([16, 0]);
    const before = pairs.reduce((sum, { client }) => sum + client.received, 0);
    hosts.links[0].setUp(false);
    expect(hosts.team.active).toBe('port2');
    hosts.runtime.advance(1_000);
    expect([hosts.team.chimney, hosts.team.isChanging, targetsHeld(hosts)]).toEqual(['port2', false, [0, 0]]);
    expect(hosts.changes).toMatchObject([{ from: 'port1', to: 'port2', cause: 'link-down', framesUs: 0 }]);
    offloadAll(pairs);
    hosts.runtime.advance(1_000_000);
    expect(targetsHeld(hosts)[0], seedNote).toBe(0);
    await finish(hosts, pairs);
    expect(before).toBeGreaterThan(0);
    expect(before).toBeLessThan(16 * bytes);
    await expectWhole(hosts, pairs, bytes);
  });

  test('with offloadsAgain the connections go down to the survivor by themselves, but for one taken back by hand', async () => {
    const hosts = teamHosts({ seed, offloadsAgain: true });
    const pairs = connect(hosts, 6, 500_000);
    offloadAll(pairs);
    hosts.runtime.advance(20_000);
    hosts.links[0].setUp(false);
    pairs[0]!.server.endpoint.chimney.takeBack().catch(ignore);
    hosts.runtime.advance(1_000_000);
    const moves = pairs.map(({ server }) => server.endpoint.chimney.moves.map(({ kind, cause }) => `${kind} ${cause}`));
    expect(moves[0]).toEqual(['initiate manual', 'terminate upload-all']);
    for (const one of moves.slice(1)) {
      expect(one.slice(0, 3)).toEqual(['initiate manual', 'terminate upload-all', 'initiate upload-all']);
    }
    hosts.links[1].setUp(false);
    hosts.links[0].setUp(true);
    await finish(hosts, pairs);
    await expectWhole(hosts, pairs, 500_000);
  });

  test.each([0, 1, 2, 3])(
    'links cut and mended in turn while connections go down and come back: round %i',
    async (n) => {
      const random = new SeededRandom(`${seed}/${n}`);
      const bytes = 800_000;
      const hosts = teamHosts({
        seed: random.nextUint32() % 1_000_000,
        impairment: { delayUs: 200, rateBps: 60_000_000, loss: n % 2 === 0 ? 0 : 0.005 },
        team: { failback: n >= 2 },
      });
      const pairs = connect(hosts, 8, bytes);
      const isDone = (): boolean => pairs.every(({ client }) => client.closedWith !== undefined);
      for (let i = 0; i < 300 && !isDone(); i++) {
        hosts.runtime.advance(random.nextUint32() % 3000);
        await Promise.resolve();
        const { server } = pairs[random.nextUint32() % pairs.length]!;
        const what = random.nextUint32() % 8;
        // A cut may thus come while an initiate, a terminate, an update or a query is below.
        if (what < 3) server.endpoint.chimney.offload().catch(ignore);
        else if (what === 3) server.endpoint.chimney.takeBack().catch(ignore);
        else if (what === 4) server.endpoint.chimney.query().catch(ignore);
        else if (what === 5) server.endpoint.setNoDelay(random.nextUint32() % 2 === 0);
        else {
          const link = hosts.links[random.nextUint32() % 2]!;
          link.setUp(!link.isUp);
        }
      }
      for (const link of hosts.links) link.setUp(true);
      await finish(hosts, pairs);
      expect(hosts.server.counters().CHIMNEY_INITIATED ?? 0, seedNote).toBeGreaterThan(0);
      expect(hosts.changes.length, seedNote).toBeGreaterThan(0);
      await expectWhole(hosts, pairs, bytes);
    },
  );

  test('received data that the application still holds when the link is cut goes back to the target it came from', async () => {
    const hosts = teamHosts({ seed });
    const pairs = connect(hosts, 2, 200_000);
    for (const { server } of pairs) server.appetite = 1000;
    offloadAll(pairs);
    hosts.runtime.advance(50_000);
    hosts.links[0].setUp(false);
    hosts.runtime.advance(50_000);
    offloadAll(pairs);
    hosts.runtime.advance(50_000);
    for (const { server } of pairs) {
      server.appetite = Number.POSITIVE_INFINITY;
      server.endpoint.resume();
    }
    await finish(hosts, pairs);
    await expectWhole(hosts, pairs, 200_000);
  });

  test('drivers over the team see nothing of it but pause, upload-all, network change and resume', async () => {
    const hosts = teamHosts({
      seed,
      intermediates: ['pass-through', { kind: 'filter', rules: [{ match: 'udp port 9', action: 'deny' }] }],
    });
    const pairs = connect(hosts, 6, 300_000);
    offloadAll(pairs);
    hosts.runtime.advance(20_000);
    hosts.links[0].setUp(false);
    await finish(hosts, pairs);
    expect(hosts.team.chimney).toBe('port2');
    await expectWhole(hosts, pairs, 300_000);
  });

  test.each([
    ['the worker target, its halves in one thread', (e: TargetEnvironment) => new PairedAdapter(e)],
    ["targets of one's own", (e: TargetEnvironment) => new MyTarget(e)],
  ] as const)('%s as members', async (_, target) => {
    const hosts = teamHosts({ seed, targets: [target, target], offloadsAgain: true });
    const pairs = connect(hosts, 6, 300_000);
    offloadAll(pairs);
    hosts.runtime.advance(20_000);
    hosts.links[0].setUp(false);
    await finish(hosts, pairs);
    expect(hosts.team.chimney).toBe('port2');
    await expectWhole(hosts, pairs, 300_000);
  });

  test('the survivor may have no chimney: connections go on, on the host path (EVT-040)', async () => {
    const hosts = teamHosts({ seed, targets: ['engine', 'plain'] });
    const pairs = connect(hosts, 4, 300_000);
    offloadAll(pairs);
    hosts.runtime.advance(20_000);
    hosts.links[0].setUp(false);
    hosts.runtime.advance(20_000);
    const said = await pairs[0]!.server.endpoint.chimney.offload().catch((error: Error) => error.message);
    expect(said).toContain('has no chimney');
    await finish(hosts, pairs);
    await expectWhole(hosts, pairs, 300_000);
  });

  test('a survivor that is paused is not used for offloads before it resumes (EVT-042)', async () => {
    const hosts = teamHosts({ seed });
    const { control } = hosts.server.target('port2');
    const pairs = connect(hosts, 2, 400_000);
    control.pause();
    hosts.runtime.advance(1000);
    offloadAll(pairs);
    hosts.runtime.advance(5_000);
    expect(targetsHeld(hosts)).toEqual([2, 0]);
    hosts.links[0].setUp(false);
    hosts.runtime.advance(5_000);
    offloadAll(pairs);
    hosts.runtime.advance(5_000);
    expect([hosts.team.chimney, targetsHeld(hosts)]).toEqual(['port2', [0, 0]]);
    control.resume();
    hosts.runtime.advance(5_000);
    offloadAll(pairs);
    hosts.runtime.advance(5_000);
    expect(targetsHeld(hosts)).toEqual([0, 2]);
    await finish(hosts, pairs);
    await expectWhole(hosts, pairs, 400_000);
  });
});

describe('which member is in use', () => {
  test('all links down is a link down for the host; the first that is up again is used', async () => {
    const hosts = teamHosts({ seed });
    const pairs = connect(hosts, 2, 300_000);
    offloadAll(pairs);
    hosts.runtime.advance(5_000);
    for (const link of hosts.links) link.setUp(false);
    hosts.runtime.advance(100_000);
    expect(hosts.team.members.map(({ isUp }) => isUp)).toEqual([false, false]);
    const before = pairs.map(({ client }) => client.received);
    hosts.runtime.advance(500_000);
    expect(pairs.map(({ client }) => client.received)).toEqual(before);
    hosts.links[0].setUp(true);
    await finish(hosts, pairs);
    expect(hosts.team.active).toBe('port1');
    await expectWhole(hosts, pairs, 300_000);
  });

  test.each([
    [false, 'port2'],
    [true, 'port1'],
  ])('failback %s: when the first link is back, %s is in use', async (failback, expected) => {
    const hosts = teamHosts({ seed, team: { failback } });
    const pairs = connect(hosts, 2, 600_000);
    hosts.links[0].setUp(false);
    hosts.runtime.advance(5_000);
    offloadAll(pairs);
    hosts.runtime.advance(5_000);
    expect([hosts.team.active, targetsHeld(hosts)]).toEqual(['port2', [0, 2]]);
    hosts.links[0].setUp(true);
    hosts.runtime.advance(5_000);
    expect([hosts.team.active, hosts.team.chimney]).toEqual([expected, expected]);
    expect(hosts.changes.map(({ cause }) => cause)).toEqual(failback ? ['link-down', 'failback'] : ['link-down']);
    await finish(hosts, pairs);
    await expectWhole(hosts, pairs, 600_000);
  });

  test('activate changes over in good order, and says what is wrong with a name', async () => {
    const hosts = teamHosts({ seed });
    const pairs = connect(hosts, 4, 400_000);
    offloadAll(pairs);
    hosts.runtime.advance(5_000);
    hosts.team.activate('port2');
    hosts.runtime.advance(5_000);
    expect(hosts.changes).toMatchObject([{ from: 'port1', to: 'port2', cause: 'asked' }]);
    offloadAll(pairs);
    hosts.runtime.advance(5_000);
    expect(targetsHeld(hosts)).toEqual([0, 4]);
    expect(() => hosts.team.activate('port3')).toThrow("there is no member 'port3': expected one of port1, port2");
    hosts.links[0].setUp(false);
    expect(() => hosts.team.activate('port1')).toThrow("member 'port1' is without a link");
    await finish(hosts, pairs);
    await expectWhole(hosts, pairs, 400_000);
  });

  test('the MTU is what the links of all members carry; of one that has gone nothing is asked', async () => {
    const hosts = teamHosts();
    const pairs = connect(hosts, 4, 600_000);
    offloadAll(pairs);
    hosts.runtime.advance(20_000);
    const iface = hosts.server.host.ip.interfaces[1]!;
    const [first, second] = hosts.links;
    const seen: number[] = [];
    const look = (): number => seen.push(iface.mtu);
    // The one not in use, too: frames may have to leave by it in a moment.
    second.setMtu(1400);
    look();
    first.setMtu(1300);
    look();
    second.setMtu(1500);
    look();
    second.setMtu(1200);
    look();
    second.remove();
    hosts.runtime.advance(1_000);
    look();
    first.setMtu(1500);
    look();
    expect(seen).toEqual([1400, 1300, 1300, 1200, 1300, 1500]);
    await finish(hosts, pairs);
    await expectWhole(hosts, pairs, 600_000);
  });

  test('members of one team have one address; the second takes that of the first', async () => {
    const hosts = teamHosts({ seed });
    const [one, two] = ['port1', 'port2'].map((name) => hosts.server.targets.get(name)!.attributes.macAddress);
    expect(two).toEqual(one);
    await hosts.close();
  });
});

describe('what is asked of a team', () => {
  test('statistics are those of all members together; a change of members takes nothing away (STAT-031)', async () => {
    const hosts = teamHosts({ seed });
    const pairs = connect(hosts, 2, 300_000);
    offloadAll(pairs);
    hosts.runtime.advance(30_000);
    hosts.links[0].setUp(false);
    hosts.runtime.advance(5_000);
    offloadAll(pairs);
    await finish(hosts, pairs);
    const [one, two] = ['port1', 'port2'].map((name) => hosts.server.target(name).control.stats());
    expect(Number(one!.tcp4.inSegments)).toBeGreaterThan(0);
    expect(Number(two!.tcp4.inSegments)).toBeGreaterThan(0);
    const all = hosts.server.adapter('port1-team').statistics();
    hosts.runtime.advance(1000);
    expect((await all).tcp4.inSegments).toBe(one!.tcp4.inSegments + two!.tcp4.inSegments);
    await expectWhole(hosts, pairs, 300_000);
  });

  test('sleep and wake reach every member (PWR-001)', async () => {
    const hosts = teamHosts({ seed });
    const pairs = connect(hosts, 2, 600_000);
    offloadAll(pairs);
    hosts.runtime.advance(5_000);
    const adapter = hosts.server.adapter('port1-team');
    let isAsleep = false;
    const sleeping = adapter.sleep().then(() => {
      isAsleep = true;
    });
    for (let i = 0; i < 50 && !isAsleep; i++) {
      hosts.runtime.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await sleeping;
    expect(targetsHeld(hosts)).toEqual([0, 0]);
    hosts.links[0].setUp(false);
    hosts.runtime.advance(5_000);
    const waking = adapter.wake();
    hosts.runtime.advance(5_000);
    await waking;
    await finish(hosts, pairs);
    expect(hosts.team.chimney).toBe('port2');
    await expectWhole(hosts, pairs, 600_000);
  });
});

/** Runs the world until a promise of it is settled. */
async function settled<T>(hosts: TeamHosts, promise: Promise<T>): Promise<T> {
  let isOver = false;
  const over = (): void => {
    isOver = true;
  };
  promise.then(over, over);
  for (let i = 0; i < 2000 && !isOver; i++) {
    hosts.runtime.advance(100);
    await Promise.resolve();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return promise;
}

/** A target whose handle is known to the test. */
class Known extends EngineAdapter {
  handle!: NdisMiniportHandle;

  override initializeEx(handle: NdisMiniportHandle, ndisM: NdisM): number {
    this.handle = handle;
    return super.initializeEx(handle, ndisM);
  }
}

describe('members that are paused, and that go', () => {
  test('a member is paused when its connections are at another; the host hears nothing of it', async () => {
    const hosts = teamHosts({ seed });
    const pairs = connect(hosts, 4, 600_000);
    offloadAll(pairs);
    hosts.runtime.advance(5_000);
    await settled(hosts, hosts.server.ndis.pauseAdapter('port1'));
    expect([hosts.team.active, hosts.team.chimney, targetsHeld(hosts)]).toEqual(['port2', 'port2', [0, 0]]);
    expect(() => hosts.team.activate('port1')).toThrow("member 'port1' is paused");
    offloadAll(pairs);
    hosts.runtime.advance(5_000);
    expect(targetsHeld(hosts)).toEqual([0, 4]);
    await settled(hosts, hosts.server.ndis.restartAdapter('port1'));
    hosts.team.activate('port1');
    await finish(hosts, pairs);
    expect(hosts.team.chimney).toBe('port1');
    await expectWhole(hosts, pairs, 600_000);
  });

  test('pausing the whole team pauses every member, once the host has taken everything back', async () => {
    const hosts = teamHosts({ seed });
    const pairs = connect(hosts, 2, 600_000);
    offloadAll(pairs);
    hosts.runtime.advance(5_000);
    const adapter = hosts.server.adapter('port1-team');
    await settled(hosts, adapter.pause());
    expect(targetsHeld(hosts)).toEqual([0, 0]);
    await settled(hosts, adapter.restart());
    await finish(hosts, pairs);
    await expectWhole(hosts, pairs, 600_000);
  });

  test.each([false, true])(
    'a member is removed under load (by surprise: %s): its connections go on at the other',
    async (isGone) => {
      const hosts = teamHosts({ seed, targets: [(environment) => new Known(environment), 'engine'] });
      const pairs = connect(hosts, 4, 600_000);
      offloadAll(pairs);
      hosts.runtime.advance(5_000);
      if (isGone) hosts.server.ndis.removeMiniport((hosts.server.targets.get('port1') as Known).handle);
      else await settled(hosts, hosts.server.ndis.removeAdapter('port1'));
      await finish(hosts, pairs);
      expect([hosts.team.active, hosts.team.members]).toEqual(['port2', [{ name: 'port2', isUp: true }]]);
      expect(hosts.server.ndis.adapterNames).not.toContain('port1');
      await expectWhole(hosts, pairs, 600_000);
    },
  );
});
