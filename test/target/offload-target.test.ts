/** Targets and drivers of one's own, as the examples make them: the suite finds nothing, and live connections move through them. */
import { describe, expect, test } from 'vitest';
import { driver, IdleSweeper } from '../../examples/my-driver.ts';
import { MyTarget, target } from '../../examples/my-target.ts';
import { SeededRandom } from '../../src/base/random.ts';
import { explore } from '../../src/conformance/explore.ts';
import { findingText } from '../../src/contract/finding.ts';
import type { TcpHandler } from '../../src/host/api.ts';
import { TcpUploadReason } from '../../src/ndis/status.ts';
import { EngineAdapter } from '../../src/target/engine/engine-adapter.ts';
import { expectNothingHeld, OPEN, settled } from '../stack/support.ts';
import { connectPeers, twoHosts } from '../stack/two-hosts.ts';
import { seed, seedNote } from '../support/seed.ts';

const numeric = [...String(seed)].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) >>> 0, 7);
const ignore = (): void => {};

/** The target of a stack, as its own class. */
const own = (hosts: ReturnType<typeof twoHosts>): MyTarget => hosts.server.targets.get('server') as MyTarget;
const countOf = (hosts: ReturnType<typeof twoHosts>): number => [...own(hosts).connections].length;

describe('the example of a target', () => {
  test('passes the conformance suite', () => {
    const { findings } = explore({ target }, { seed: numeric, interleavings: 1000 });
    expect(
      findings.map((one) => `${one.replay} ${findingText(one)}`),
      seedNote,
    ).toEqual([]);
  });

  test.each([
    ['a good wire', 0, 4],
    ['a bad wire', 0.02, 4],
    ['a bad wire, over IPv6', 0.02, 6],
  ] as const)('carries live connections that come and go, on %s', async (_, loss, family) => {
    const random = new SeededRandom(`${seed}/${loss}/${family}`);
    const hosts = twoHosts({
      seed: random.nextUint32() % 1_000_000,
      impairment: { delayUs: 500, rateBps: 30_000_000, loss, reorder: loss, duplicate: loss },
      server: { target: (environment) => target(environment), intermediates: ['pass-through'] },
    });
    hosts.runtime.advance(3_000_000);
    const { server, client } = connectPeers(hosts, 1_500_000, 500_000, family);
    const isDone = (): boolean => server.closedWith !== undefined && client.closedWith !== undefined;
    let most = 0;
    for (let i = 0; i < 3000 && !hosts.runtime.runUntil(isDone, random.nextUint32() % 20_000); i++) {
      most = Math.max(most, countOf(hosts));
      if (!server.isConnected || server.closedWith !== undefined) continue;
      const { chimney } = server.endpoint;
      const what = random.nextUint32() % 6;
      if (chimney.location === 'host') chimney.offload().catch(ignore);
      else if (what === 0) chimney.takeBack().catch(ignore);
      else if (what === 1) chimney.query().catch(ignore);
      else if (what === 2) server.endpoint.setTrafficClass(random.nextUint32() & 0xfc);
      await Promise.resolve();
    }
    hosts.runtime.runUntil(isDone, 600_000_000);
    const seen = [server.received, server.wrongBytes, server.closedWith, client.received, client.wrongBytes];
    expect([...seen, client.closedWith], seedNote).toEqual([500_000, 0, null, 1_500_000, 0, null]);
    expect(most, seedNote).toBe(1);
    await expectNothingHeld(hosts);
    expect(countOf(hosts)).toBe(0);
  });

  test('gives a connection back when its peer falls silent, and the host goes on', async () => {
    const hosts = twoHosts({
      impairment: { delayUs: 1000, rateBps: 1_000_000 },
      server: { target: (environment) => target(environment) },
    });
    const { server, client } = connectPeers(hosts, OPEN, 0, 4, 80, false);
    hosts.runtime.runUntil(() => server.isConnected, 5_000_000);
    await settled(hosts, server.endpoint.chimney.offload());
    hosts.runtime.advance(20_000);
    hosts.wire.a.setUp(false);
    hosts.runtime.advance(20_000_000);
    expect(server.endpoint.chimney.location).toBe('host');
    expect(server.endpoint.chimney.moves.at(-1)).toMatchObject({ cause: 'retrieve', reason: 'TimeoutExpiration' });
    hosts.wire.a.setUp(true);
    const before = client.received;
    hosts.runtime.runUntil(() => client.received > before, 200_000_000);
    expect(client.received).toBeGreaterThan(before);
    server.endpoint.abort();
    await expectNothingHeld(hosts);
  });

  test('publishes how much it can take, and refuses more', async () => {
    const hosts = twoHosts({ server: { target: (e) => new MyTarget({ ...e, capacity: { tcpEntries: 1 } }) } });
    const pairs = [80, 81].map((port) => connectPeers(hosts, OPEN, 0, 4, port, false));
    hosts.runtime.runUntil(() => pairs.every(({ server }) => server.isConnected), 5_000_000);
    await settled(hosts, pairs[0]!.server.endpoint.chimney.offload());
    const refused = settled(hosts, pairs[1]!.server.endpoint.chimney.offload());
    await expect(refused).rejects.toThrow('OFFLOAD_TCP_ENTRIES');
    for (const { server } of pairs) server.endpoint.abort();
    await expectNothingHeld(hosts);
  });

  test('says what is in force when that has changed: connections of a family that may not be offloaded any more come back (CAP-025)', async () => {
    const hosts = twoHosts({ server: { target: (environment) => target(environment) } });
    const pairs = ([4, 6] as const).map((family) => connectPeers(hosts, OPEN, 0, family, 80 + family, false));
    hosts.runtime.runUntil(() => pairs.every(({ server }) => server.isConnected), 5_000_000);
    await settled(hosts, Promise.all(pairs.map(({ server }) => server.endpoint.chimney.offload())));
    await settled(hosts, hosts.server.adapter('server').configure({ ip4: false }));
    hosts.runtime.advance(10_000);
    expect(pairs.map(({ server }) => server.endpoint.chimney.location)).toEqual(['host', 'target']);
    for (const { server } of pairs) server.endpoint.abort();
    await expectNothingHeld(hosts);
  });

  test('a connection whose peer has closed stays with the host', async () => {
    const hosts = twoHosts({ server: { target: (environment) => target(environment) } });
    const { server } = connectPeers(hosts, OPEN, 10);
    hosts.runtime.runUntil(() => server.hasEnded, 5_000_000);
    await expect(settled(hosts, server.endpoint.chimney.offload())).rejects.toThrow('OFFLOAD_CONNECTION_REJECTED');
    server.endpoint.abort();
    await expectNothingHeld(hosts);
  });
});

describe('the base of targets: what happens to the adapter under load', () => {
  const busy = (): { hosts: ReturnType<typeof twoHosts>; pair: ReturnType<typeof connectPeers> } => {
    const hosts = twoHosts({
      impairment: { delayUs: 500, rateBps: 20_000_000 },
      server: { target: (environment) => target(environment) },
    });
    return { hosts, pair: connectPeers(hosts, 1_000_000, 1_000_000) };
  };
  const adapterOf = (hosts: ReturnType<typeof twoHosts>) => hosts.server.adapter('server');

  test.each([
    ['sleep and wake (PWR-001, PWR-004)', (h) => adapterOf(h).sleep(), (h) => adapterOf(h).wake()],
    ['pause and restart', (h) => adapterOf(h).pause(), (h) => adapterOf(h).restart()],
    ['reset', (h) => adapterOf(h).reset(), async () => {}],
  ] as [
    string,
    (h: ReturnType<typeof twoHosts>) => Promise<void>,
    (h: ReturnType<typeof twoHosts>) => Promise<void>,
  ][])('%s: everything comes back, and goes on', async (_, down, up) => {
    const { hosts, pair } = busy();
    hosts.runtime.runUntil(() => pair.server.isConnected, 5_000_000);
    hosts.runtime.advance(20_000);
    await settled(hosts, pair.server.endpoint.chimney.offload());
    hosts.runtime.advance(30_000);
    expect(countOf(hosts)).toBe(1);
    await settled(hosts, down(hosts));
    expect(pair.server.endpoint.chimney.moveCount).toBeGreaterThan(1);
    hosts.runtime.advance(30_000);
    await settled(hosts, up(hosts));
    const isDone = (): boolean => pair.server.closedWith !== undefined && pair.client.closedWith !== undefined;
    hosts.runtime.runUntil(isDone, 600_000_000);
    const seen = [pair.server, pair.client].flatMap((one) => [one.received, one.wrongBytes, one.closedWith]);
    expect(seen, seedNote).toEqual([1_000_000, 0, null, 1_000_000, 0, null]);
    await expectNothingHeld(hosts);
  });

  test('keepalive probes are left to the host: an idle connection comes back when one is due', async () => {
    const { hosts, pair } = busy();
    hosts.runtime.runUntil(() => pair.server.isConnected, 5_000_000);
    const idle = connectPeers(hosts, 0, 0, 4, 81, false).server;
    hosts.runtime.runUntil(() => idle.isConnected, 5_000_000);
    idle.endpoint.setKeepAlive(true, 1000);
    await settled(hosts, idle.endpoint.chimney.offload());
    hosts.runtime.advance(900_000);
    expect(idle.endpoint.chimney.location).toBe('target');
    hosts.runtime.advance(200_000);
    expect(idle.endpoint.chimney.location).toBe('host');
    hosts.runtime.advance(10_000_000);
    expect(idle.closedWith).toBe(undefined);
    idle.endpoint.abort();
    pair.server.endpoint.abort();
    await expectNothingHeld(hosts);
  });

  test('an application that reads nothing closes the window, and opens it again', async () => {
    const { hosts } = busy();
    const pair = connectPeers(hosts, 0, 1_000_000, 4, 82, false);
    pair.server.appetite = 1000;
    hosts.runtime.runUntil(() => pair.server.isConnected, 5_000_000);
    await settled(hosts, pair.server.endpoint.chimney.offload());
    hosts.runtime.advance(5_000_000);
    expect([pair.server.received, pair.server.endpoint.chimney.location]).toEqual([1000, 'target']);
    pair.server.appetite = Number.POSITIVE_INFINITY;
    pair.server.endpoint.resume();
    hosts.runtime.runUntil(() => pair.server.received === 1_000_000, 60_000_000);
    expect([pair.server.received, pair.server.wrongBytes]).toEqual([1_000_000, 0]);
    pair.server.endpoint.abort();
    await expectNothingHeld(hosts);
  });
});

/** Nothing to say and nothing to hear. */
const silent: TcpHandler = { connected() {}, data: (_b, _a, n) => n, dataDone() {}, end() {}, closed() {} };

describe('the example of a driver', () => {
  test('passes the conformance suite', () => {
    const subject = {
      target: (e: ConstructorParameters<typeof EngineAdapter>[0]) => new EngineAdapter(e),
      drivers: [driver],
    };
    const { findings } = explore(subject, { seed: numeric, interleavings: 600 });
    expect(
      findings.map((one) => `${one.replay} ${findingText(one)}`),
      seedNote,
    ).toEqual([]);
  });

  test('suggests idle connections to the host, once, and leaves busy ones', async () => {
    const hosts = twoHosts({
      impairment: { delayUs: 200, rateBps: 50_000_000 },
      server: { intermediates: [(environment, below, name) => new IdleSweeper(environment, below, name, 50_000)] },
    });
    const busy = connectPeers(hosts, OPEN, OPEN, 4, 80).server;
    const idle = connectPeers(hosts, 0, 0, 4, 81, false).server;
    hosts.runtime.runUntil(() => busy.isConnected && idle.isConnected, 5_000_000);
    idle.endpoint.handler = silent;
    for (const { endpoint } of [busy, idle]) await settled(hosts, endpoint.chimney.offload());
    hosts.runtime.advance(300_000);
    expect([busy.endpoint.chimney.location, idle.endpoint.chimney.location]).toEqual(['target', 'host']);
    expect(idle.endpoint.chimney.moves.at(-1)).toMatchObject({ cause: 'retrieve', reason: 'LowActivity' });
    expect(hosts.server.driver(IdleSweeper).suggested).toBe(1);
    expect(TcpUploadReason.LOW_ACTIVITY).toBeGreaterThan(TcpUploadReason.UPLOAD_REQUESTED);
    for (const { endpoint } of [busy, idle]) endpoint.abort();
    await expectNothingHeld(hosts);
  });
});
