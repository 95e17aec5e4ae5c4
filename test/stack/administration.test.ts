/** The administrator's view of an adapter: configuration, tunables, statistics and power, through any driver between. */
import { describe, expect, test } from 'vitest';
import type { Move } from '../../src/host/api.ts';
import { PassThrough } from '../../src/im/pass-through.ts';
import type { NdisLibrary } from '../../src/ndis/ndis-library.ts';
import { NdisStatus, Oid, type OidRequest } from '../../src/ndis/protocol.ts';
import { IdleTap, type StateOperation } from '../../src/ndis/tap.ts';
import type { IntermediateChoice } from '../../src/stack-drivers.ts';
import { expectNothingHeld, OPEN, settled } from './support.ts';
import { connectPeers, type Peer, type TwoHosts, type TwoHostsOptions, twoHosts } from './two-hosts.ts';

/** Writes down OIDs, statuses and state operations at a door. */
class Doorman extends IdleTap {
  #log: string[] = [];

  override stateCall(operation: StateOperation): void {
    this.#log.push(['initiate', 'terminate', 'update', 'query', 'invalidate'][operation]!);
  }
  override stateComplete(operation: StateOperation): void {
    this.#log.push(`${['initiate', 'terminate', 'update', 'query', 'invalidate'][operation]!} complete`);
  }
  override oidRequest(request: OidRequest): void {
    this.#log.push(`${request.kind} ${Object.entries(Oid).find(([, value]) => value === request.oid)![0]}`);
  }
  override status(indication: { statusCode: number }): void {
    this.#log.push(`status ${indication.statusCode}`);
  }
  take(): string[] {
    return this.#log.splice(0);
  }
}

/** A pass-through driver below which somebody writes down what passes. */
function overheard(doorman: Doorman): IntermediateChoice {
  return (environment, below, name) => {
    (environment.ndis as NdisLibrary).attachTap(below, doorman);
    return new PassThrough(environment, below, { name });
  };
}

interface Stage {
  readonly hosts: TwoHosts;
  readonly server: Peer;
  readonly client: Peer;
  readonly moves: Move[];
}

function stage(options: TwoHostsOptions = {}, family: 4 | 6 = 4): Stage {
  const hosts = twoHosts({ impairment: { delayUs: 500, rateBps: 50_000_000 }, ...options });
  const { server, client } = connectPeers(hosts, OPEN, OPEN, family);
  hosts.runtime.runUntil(() => server.isConnected && client.isConnected, 5_000_000);
  hosts.runtime.advance(20_000);
  const moves: Move[] = [];
  hosts.server.onMove((move) => moves.push(move));
  return { hosts, server, client, moves };
}

function expectProgress(hosts: TwoHosts, ...peers: Peer[]): void {
  const before = peers.map((peer) => peer.received);
  hosts.runtime.advance(200_000);
  peers.forEach((peer, i) => {
    expect(peer.received).toBeGreaterThan(before[i]!);
    expect(peer.wrongBytes).toBe(0);
  });
}

describe('start-up', () => {
  test('after initialisation the host asks for the capabilities, then enables them with the tunables [CAP-018, CAP-020, CAP-021, CAP-024, IM-054, IM-058, IM-060]', async () => {
    const doorman = new Doorman();
    const hosts = twoHosts({
      server: { intermediates: [overheard(doorman)] },
      serverStack: { offloadParameters: { tcpPushTicks: 123, nceStaleTicks: 9_999 } },
    });
    expect(doorman.take()).toEqual(['query TCP_TASK_OFFLOAD', 'set TCP_TASK_OFFLOAD']);
    const parameters = await settled(hosts, hosts.server.adapter('server').parameters());
    expect(parameters).toMatchObject({ tcpPushTicks: 123, nceStaleTicks: 9_999, ticksPerSecond: 1000 });
    await expectNothingHeld(hosts);
  });

  test('after a resume they are asked for once more [CAP-036]', async () => {
    const doorman = new Doorman();
    const { hosts, server } = stage({ server: { intermediates: [overheard(doorman)] } });
    const { control } = hosts.server.target('server');
    control.pause();
    hosts.runtime.advance(1000);
    doorman.take();
    control.resume({ tcpEntries: 0 });
    hosts.runtime.advance(1000);
    expect(doorman.take()).toEqual([
      `status ${NdisStatus.OFFLOAD_RESUME}`,
      'query TCP_TASK_OFFLOAD',
      'set TCP_TASK_OFFLOAD',
    ]);
    server.endpoint.abort();
    await expectNothingHeld(hosts);
  });
});

describe('configuration by the administrator', () => {
  test('a family that is switched off comes back, the other stays; switched on again it goes down again [CAP-019, CAP-025, CAP-036]', async () => {
    const { hosts, server, client, moves } = stage({ server: { intermediates: ['pass-through'] } });
    const second = connectPeers(hosts, OPEN, OPEN, 6, 81);
    hosts.runtime.runUntil(() => second.server.isConnected, 5_000_000);
    const four = server.endpoint.chimney;
    const six = second.server.endpoint.chimney;
    await settled(hosts, Promise.all([four.offload(), six.offload()]));
    const adapter = hosts.server.adapter('server');
    await settled(hosts, adapter.configure({ ip4: false }));
    hosts.runtime.advance(2000);
    expect([four.location, six.location]).toEqual(['host', 'target']);
    expect(moves.at(-1)).toMatchObject({ kind: 'terminate', cause: 'configuration', status: 'SUCCESS' });
    expect(await settled(hosts, adapter.currentConfig())).toMatchObject({ supportIPv4: false, supportIPv6: true });
    expect(await settled(hosts, adapter.hardwareCapabilities())).toMatchObject({ supportIPv4: true });
    const error: Error = await settled(
      hosts,
      four.offload().then(
        () => new Error('taken'),
        (e: Error) => e,
      ),
    );
    expect(error.message).toBe('NOT_OFFLOADABLE: the target does not offload IPv4');
    expectProgress(hosts, server, client, second.server, second.client);
    await settled(hosts, adapter.configure({ ip4: true }));
    await settled(hosts, four.offload());
    expect(four.location).toBe('target');
    expectProgress(hosts, server, client, second.server, second.client);
    server.endpoint.abort();
    second.server.endpoint.abort();
    await expectNothingHeld(hosts);
  });

  test('tunables that were set stay when the adapter is enabled anew [CAP-021, CAP-023]', async () => {
    const { hosts, server } = stage();
    const adapter = hosts.server.adapter('server');
    await settled(hosts, adapter.setParameters({ tcpAckFrequency: 7 }));
    expect(await settled(hosts, adapter.parameters())).toMatchObject({ tcpAckFrequency: 7, tcpPushTicks: 500 });
    hosts.server.target('server').control.resume();
    hosts.runtime.advance(1000);
    expect(await settled(hosts, adapter.parameters())).toMatchObject({ tcpAckFrequency: 7 });
    await expect(settled(hosts, adapter.setParameters({ ticksPerSecond: 7 }))).rejects.toMatchObject({
      code: 'ERR_ADAPTER',
      status: 'INVALID_PARAMETER',
    });
    expect(await settled(hosts, adapter.parameters())).toMatchObject({ ticksPerSecond: 1000 });
    // The verifier has its own opinion of such a host (TCP-004).
    expect(hosts.server.findings.splice(0).map(({ rule }) => rule)).toEqual(['TCP-004']);
    server.endpoint.abort();
    await expectNothingHeld(hosts);
  });

  test('an adapter without chimney says that it knows nothing of it; an unknown one, which there are', async () => {
    const hosts = twoHosts({ server: { target: 'plain' } });
    const adapter = hosts.server.adapter('server');
    await expect(settled(hosts, adapter.currentConfig())).rejects.toMatchObject({ status: 'NOT_SUPPORTED' });
    expect(() => hosts.server.adapter('eth7')).toThrow("no adapter 'eth7': expected one of server");
    await expectNothingHeld(hosts);
  });
});

describe('power', () => {
  test('before the power-down everything comes back, connections before paths before neighbors; then the adapter is silent [PWR-001, PWR-005]', async () => {
    const doorman = new Doorman();
    const { hosts, server, client, moves } = stage({ server: { intermediates: [overheard(doorman)] } });
    const second = connectPeers(hosts, OPEN, OPEN, 6, 81);
    hosts.runtime.runUntil(() => second.server.isConnected, 5_000_000);
    const { chimney } = server.endpoint;
    await settled(hosts, Promise.all([chimney.offload(), second.server.endpoint.chimney.offload()]));
    doorman.take();
    const adapter = hosts.server.adapter('server');
    await settled(hosts, adapter.sleep());
    expect(adapter.isAsleep).toBe(true);
    const seen = doorman.take();
    expect(seen.at(-1)).toBe('set PNP_SET_POWER');
    expect(seen.filter((line) => line === 'terminate')).toHaveLength(
      seen.filter((line) => line === 'terminate complete').length,
    );
    expect(hosts.server.target('server').control.held()).toMatchObject({
      tcpObjects: 0,
      pathObjects: 0,
      neighborObjects: 0,
    });
    expect(moves.filter((move) => move.kind === 'terminate').map((move) => move.cause)).toEqual(['power', 'power']);
    hosts.runtime.advance(200_000); // what was on the wire
    const before = [server.received, client.received];
    hosts.runtime.advance(3_000_000);
    expect([server.received, client.received]).toEqual(before);
    await expect(settled(hosts, chimney.offload())).rejects.toMatchObject({ status: 'NOT_OFFLOADABLE' });
    server.endpoint.abort();
    second.server.endpoint.abort();
    await expectNothingHeld(hosts);
  });

  test('after the wake traffic goes on where it was, and what was offloaded is offloaded again [PWR-001, PWR-005, CAP-036]', async () => {
    const { hosts, server, client, moves } = stage();
    const { chimney } = server.endpoint;
    await settled(hosts, chimney.offload());
    const adapter = hosts.server.adapter('server');
    await settled(hosts, adapter.sleep());
    hosts.runtime.advance(700_000);
    await settled(hosts, adapter.wake());
    hosts.runtime.advance(4_000_000);
    expect(chimney.location).toBe('target');
    expect(moves.map((move) => `${move.kind} ${move.cause}`)).toEqual([
      'initiate manual',
      'terminate power',
      'initiate power',
    ]);
    expectProgress(hosts, server, client);
    server.endpoint.abort();
    await expectNothingHeld(hosts);
  });

  test('a NIC without chimney sleeps and wakes as well; a closed connection is not sent down after the wake', async () => {
    const { hosts, server, client } = stage({ server: { target: 'plain' } });
    const adapter = hosts.server.adapter('server');
    await settled(hosts, adapter.sleep());
    hosts.runtime.advance(200_000);
    const before = client.received;
    hosts.runtime.advance(500_000);
    expect(client.received).toBe(before);
    await settled(hosts, adapter.wake());
    hosts.runtime.advance(3_000_000);
    expectProgress(hosts, server, client);
    server.endpoint.abort();
    await expectNothingHeld(hosts);
    const other = stage();
    await settled(other.hosts, other.server.endpoint.chimney.offload());
    await settled(other.hosts, other.hosts.server.adapter('server').sleep());
    other.server.endpoint.abort();
    await settled(other.hosts, other.hosts.server.adapter('server').wake());
    other.hosts.runtime.advance(1000);
    expect(other.moves.map((move) => move.kind)).toEqual(['initiate', 'terminate']);
    await expectNothingHeld(other.hosts);
  });
});
