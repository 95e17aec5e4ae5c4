/** The chimney from the application's side: refusals, queries, updates, invalidates, retrieves, closes, resets, failures. */
import { describe, expect, test } from 'vitest';
import { findingText } from '../../src/contract/finding.ts';
import type { Move } from '../../src/host/api.ts';
import { TcpUploadReason } from '../../src/ndis/protocol.ts';
import { IdleTap, StateOperation } from '../../src/ndis/tap.ts';
import { TcpConnectionState } from '../../src/state/tcp.ts';
import { connectPeers, type TwoHosts, type TwoHostsOptions, twoHosts } from './two-hosts.ts';

/** Runs the world a little, so that promises of the stack settle, and answers how this one did. */
async function settled<T>(hosts: TwoHosts, promise: Promise<T>): Promise<T> {
  let isOver = false;
  const over = (): void => {
    isOver = true;
  };
  promise.then(over, over);
  for (let i = 0; i < 200 && !isOver; i++) {
    hosts.runtime.advance(100);
    await Promise.resolve();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return promise;
}

function stage(options: TwoHostsOptions = {}, serverBytes = 0, clientBytes = 0) {
  const hosts = twoHosts({ impairment: { delayUs: 500, rateBps: 50_000_000 }, ...options });
  const peers = connectPeers(hosts, serverBytes, clientBytes);
  // An endless wish to send keeps both halves open where a test wants them open.
  hosts.runtime.runUntil(() => peers.server.isConnected && peers.client.isConnected, 5_000_000);
  hosts.runtime.advance(20_000);
  return { hosts, ...peers, chimney: () => peers.server.endpoint.chimney };
}

/** Does something in the middle of a move: right after the call that begins it. */
class Striker extends IdleTap {
  readonly #operation: number;
  readonly #strike: () => void;
  constructor(when: 'initiating' | 'terminating', strike: () => void) {
    super();
    this.#operation = when === 'initiating' ? StateOperation.INITIATE : StateOperation.TERMINATE;
    this.#strike = strike;
  }
  override stateCallDone(operation: number): void {
    if (operation === this.#operation) this.#strike();
  }
}

/** Peers that never end by themselves. */
const OPEN = 1 << 30;

async function expectNothingHeld(hosts: TwoHosts): Promise<void> {
  expect([...hosts.server.findings, ...hosts.client.findings].map(findingText)).toEqual([]);
  await hosts.close();
  expect(hosts.server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
}

describe('a refusal says why', () => {
  const refused = async (options: TwoHostsOptions): Promise<{ status: string; message: string }> => {
    const { hosts, server, chimney } = stage(options, OPEN, 0);
    const error = await settled(
      hosts,
      chimney()
        .offload()
        .then(
          () => null,
          (e: unknown) => e as { status: string; message: string },
        ),
    );
    expect(server.endpoint.chimney.location).toBe('host');
    server.endpoint.abort();
    await expectNothingHeld(hosts);
    return error!;
  };

  test('INIT-015: no TCP entry left is OFFLOAD_TCP_ENTRIES', async () => {
    const error = await refused({ server: { target: { kind: 'engine', capacity: { tcpEntries: 0 } } } });
    expect(error.status).toBe('OFFLOAD_TCP_ENTRIES');
    expect(error.message).toBe('OFFLOAD_TCP_ENTRIES: the target has no free TCP connection object');
  });

  test('INIT-022: a receive window beyond the target is OFFLOAD_TCP_RCV_WINDOW', async () => {
    const error = await refused({ server: { target: { kind: 'engine', capacity: { maxRcvWindow: 10_000 } } } });
    expect(error.status).toBe('OFFLOAD_TCP_RCV_WINDOW');
  });

  test('INIT-023: a path MTU beyond the target is OFFLOAD_PATH_MTU for the path, and FAILURE for what hangs on it (INIT-027)', async () => {
    const error = await refused({ server: { target: { kind: 'engine', capacity: { maxPathMtu: 1400 } } } });
    expect(error.status).toBe('FAILURE');
  });

  test('a NIC without a chimney', async () => {
    const error = await refused({ server: { target: 'plain' } });
    expect(error.status).toBe('NOT_OFFLOADABLE');
    expect(error.message).toContain('has no chimney');
  });

  test('IM-056: a driver without chimney functions in between', async () => {
    const { PassThrough } = await import('../../src/im/pass-through.ts');
    const error = await refused({
      server: {
        intermediates: [(environment, below, name) => new PassThrough(environment, below, { name, hasChimney: false })],
      },
    });
    // Its capabilities may be seen through the driver; NDIS fails the initiate itself.
    expect(error.status).toBe('FAILURE');
  });

  test('a connection that is over', async () => {
    const { hosts, server, chimney } = stage({}, 1000, 1000);
    const handle = chimney();
    hosts.runtime.runUntil(() => server.closedWith !== undefined, 200_000_000);
    await expect(settled(hosts, handle.offload())).rejects.toMatchObject({ status: 'NOT_OFFLOADABLE' });
    await expectNothingHeld(hosts);
  });
});

test('EVT-031, EVT-032, EVT-038: a pause keeps new connections up and leaves the others down; a resume ends it', async () => {
  const { hosts, server, chimney } = stage({}, OPEN, OPEN);
  await settled(hosts, chimney().offload());
  const { control } = hosts.server.target('server');
  const second = connectPeers(hosts, OPEN, 0, 4, 81);
  hosts.runtime.runUntil(() => second.server.isConnected, 5_000_000);
  control.pause();
  hosts.runtime.advance(1000);
  expect(server.endpoint.chimney.location).toBe('target');
  const error = await settled(
    hosts,
    second.server.endpoint.chimney.offload().catch((e: unknown) => e),
  );
  expect(String(error)).toContain('pause');
  control.resume();
  hosts.runtime.advance(1000);
  await settled(hosts, second.server.endpoint.chimney.offload());
  expect(second.server.endpoint.chimney.location).toBe('target');
  server.endpoint.abort();
  second.server.endpoint.abort();
  await expectNothingHeld(hosts);
});

test('EVT-043, TERM-071 to 073: upload-all brings every connection and object back', async () => {
  const { hosts, server, chimney } = stage({}, OPEN, OPEN);
  const second = connectPeers(hosts, OPEN, OPEN, 6, 81);
  hosts.runtime.runUntil(() => second.server.isConnected, 5_000_000);
  await settled(hosts, Promise.all([chimney().offload(), second.server.endpoint.chimney.offload()]));
  const moves: Move[] = [];
  hosts.server.onMove((move) => moves.push(move));
  const { control } = hosts.server.target('server');
  expect(control.held().tcpObjects).toBe(2);
  control.uploadAll();
  hosts.runtime.advance(2000);
  expect(moves.map((move) => [move.kind, move.cause, move.status])).toEqual([
    ['terminate', 'upload-all', 'SUCCESS'],
    ['terminate', 'upload-all', 'SUCCESS'],
  ]);
  expect(control.held()).toMatchObject({ tcpObjects: 0, pathObjects: 0, neighborObjects: 0 });
  const before = server.received;
  hosts.runtime.advance(100_000);
  expect(server.received).toBeGreaterThan(before);
  expect(server.wrongBytes + second.server.wrongBytes).toBe(0);
  server.endpoint.abort();
  second.server.endpoint.abort();
  await expectNothingHeld(hosts);
});

test.each([
  ['UploadRequested', TcpUploadReason.UPLOAD_REQUESTED, true],
  ['LowActivity', TcpUploadReason.LOW_ACTIVITY, true],
  ['TimeoutExpiration', TcpUploadReason.TIMEOUT_EXPIRATION, false],
  ['SmallIO', TcpUploadReason.SMALL_IO, false],
] as const)(
  'EVT-021, EVT-022: a retrieve for %s with optional uploads granted: see third column',
  async (name, reason, grants) => {
    const isMandatory = reason <= TcpUploadReason.UPLOAD_REQUESTED;
    const { hosts, server, chimney } = stage({ serverStack: { grantsOptionalUploads: grants } }, OPEN, OPEN);
    await settled(hosts, chimney().offload());
    const moves: Move[] = [];
    hosts.server.onMove((move) => moves.push(move));
    expect(hosts.server.target('server').control.retrieve(null, reason)).toBe(1);
    hosts.runtime.advance(2000);
    if (isMandatory || grants) {
      expect(moves).toMatchObject([{ kind: 'terminate', cause: 'retrieve', reason: name, status: 'SUCCESS' }]);
    } else {
      expect(moves).toEqual([]);
      expect(server.endpoint.chimney.location).toBe('target');
    }
    const before = server.received;
    hosts.runtime.advance(100_000);
    expect(server.received).toBeGreaterThan(before);
    server.endpoint.abort();
    await expectNothingHeld(hosts);
  },
);

test('QRY-008: a query answers the variables as they are, and an update shows in it (UPD-013 to 017)', async () => {
  const { hosts, server, client, chimney } = stage({}, OPEN, 0);
  await expect(settled(hosts, chimney().query())).rejects.toMatchObject({ status: 'NOT_OFFLOADABLE' });
  await settled(hosts, chimney().offload());
  const before = await settled(hosts, chimney().query());
  expect(before.delegated['state']).toBe(TcpConnectionState.CLOSE_WAIT);
  expect(before.delegated['sndMax']! >>> 0).toBe(before.delegated['sndMax']);
  expect(before.cached['kaTimeout']).toBeGreaterThanOrEqual(0);
  server.endpoint.setKeepAlive(true, 7000, 300, 4);
  server.endpoint.setReceiveBuffer(123_456);
  server.endpoint.setHopLimit(33);
  server.endpoint.setNoDelay(true);
  hosts.runtime.advance(2000);
  const after = await settled(hosts, chimney().query());
  expect(after.cached).toMatchObject({ kaTimeout: 7000, kaInterval: 300, kaProbeCount: 4, ttlOrHopLimit: 33 });
  expect(after.cached['initialRcvWnd']).toBe(123_456);
  expect(client.received).toBeGreaterThan(0);
  server.endpoint.abort();
  await expectNothingHeld(hosts);
});

test('INV-008, INV-013: an invalidated connection is asked back for InvalidState and goes on', async () => {
  const { hosts, server, chimney } = stage({}, OPEN, OPEN);
  await settled(hosts, chimney().offload());
  await settled(hosts, chimney().invalidate());
  hosts.runtime.advance(5000);
  expect(chimney().location).toBe('host');
  expect(chimney().moves.at(-1)).toMatchObject({ kind: 'terminate', cause: 'retrieve', reason: 'InvalidState' });
  const before = server.received;
  hosts.runtime.advance(100_000);
  expect(server.received).toBeGreaterThan(before);
  server.endpoint.abort();
  await expectNothingHeld(hosts);
});

test('a connection opened, used and closed by both sides while it is offloaded the whole time', async () => {
  const { hosts, server, client, chimney } = stage({}, 9_000_000, 4_000_000);
  await settled(hosts, chimney().offload());
  hosts.runtime.runUntil(() => server.closedWith !== undefined && client.closedWith !== undefined, 300_000_000);
  expect([server.received, server.wrongBytes, server.hasEnded, server.closedWith]).toEqual([4_000_000, 0, true, null]);
  expect([client.received, client.wrongBytes, client.hasEnded, client.closedWith]).toEqual([9_000_000, 0, true, null]);
  hosts.runtime.advance(1000);
  expect(hosts.server.target('server').control.held().tcpObjects).toBe(0);
  await expectNothingHeld(hosts);
});

test('DISC-006, DISC-008: an abort while offloaded resets the peer and gives every write back', async () => {
  const { hosts, server, client, chimney } = stage({}, OPEN, OPEN);
  await settled(hosts, chimney().offload());
  server.endpoint.abort();
  hosts.runtime.advance(20_000);
  expect(client.closedWith).toBe('ECONNRESET');
  expect(server.closedWith).toBe('ECONNABORTED');
  await expectNothingHeld(hosts);
});

test.each(['host, then offloaded', 'target'] as const)(
  'a close with text unread, which came while the connection was at the %s, resets the peer (RFC 9293 SHLD-3)',
  async (where) => {
    const hosts = twoHosts({ impairment: { delayUs: 500 } });
    const { server, client } = connectPeers(hosts, 0, 0, 4, 80, false);
    hosts.runtime.advance(20_000);
    const { chimney } = server.endpoint;
    server.appetite = 0;
    if (where === 'target') await settled(hosts, chimney.offload());
    client.more(100);
    hosts.runtime.advance(60_000);
    if (where !== 'target') await settled(hosts, chimney.offload());
    expect(chimney.location).toBe('target');
    server.endpoint.close();
    hosts.runtime.advance(60_000);
    expect(client.closedWith).toBe('ECONNRESET');
    await expectNothingHeld(hosts);
  },
);

test.each(['initiating', 'terminating'] as const)(
  'an abort while the connection is %s resets the peer as well',
  async (when) => {
    const { hosts, server, client, chimney } = stage({}, OPEN, OPEN);
    if (when === 'terminating') await settled(hosts, chimney().offload());
    const move = when === 'initiating' ? chimney().offload() : chimney().takeBack();
    move.catch(() => undefined);
    let isStruck = false;
    hosts.server.ndis.attachTap(
      'server',
      new Striker(when, () => {
        if (isStruck) return;
        isStruck = true;
        expect(chimney().location).toBe(when);
        server.endpoint.abort();
      }),
    );
    hosts.runtime.runUntil(() => client.closedWith !== undefined, 1_000_000);
    expect(isStruck).toBe(true);
    expect(client.closedWith).toBe('ECONNRESET');
    expect(server.closedWith).toBe('ECONNABORTED');
    await expectNothingHeld(hosts);
  },
);

test('DISC-038, DISC-042: a reset by the peer while offloaded is told, and the object comes back', async () => {
  const { hosts, server, client, chimney } = stage({}, OPEN, OPEN);
  await settled(hosts, chimney().offload());
  client.endpoint.abort();
  hosts.runtime.advance(20_000);
  expect(server.closedWith).toBe('ECONNRESET');
  expect(hosts.server.target('server').control.held().tcpObjects).toBe(0);
  await expectNothingHeld(hosts);
});

test('INIT-057 to 064, RECV-074, RECV-075, RECV-084: what the application has not read goes down with the connection and comes up in order', async () => {
  const { hosts, server, client, chimney } = stage({}, 0, 4_000_000);
  server.appetite = 0;
  hosts.runtime.advance(300_000);
  await settled(hosts, chimney().offload());
  hosts.runtime.advance(50_000);
  const had = server.received;
  hosts.runtime.advance(50_000);
  expect(server.received).toBe(had);
  server.appetite = 50_000;
  server.endpoint.resume();
  hosts.runtime.advance(20_000);
  expect(server.received).toBe(had + 50_000);
  await settled(hosts, chimney().takeBack()); // and back up, unread
  server.appetite = Number.POSITIVE_INFINITY;
  server.endpoint.resume();
  hosts.runtime.runUntil(() => server.closedWith !== undefined && client.closedWith !== undefined, 200_000_000);
  expect([server.received, server.wrongBytes, server.closedWith]).toEqual([4_000_000, 0, null]);
  expect(client.closedWith).toBe(null);
  await expectNothingHeld(hosts);
});

test('TERM-020 to 025: a target that lost the state of a connection costs that connection and nothing else', async () => {
  const { hosts, server, chimney } = stage({}, OPEN, OPEN);
  const second = connectPeers(hosts, OPEN, OPEN, 4, 81);
  hosts.runtime.runUntil(() => second.server.isConnected, 5_000_000);
  await settled(hosts, Promise.all([chimney().offload(), second.server.endpoint.chimney.offload()]));
  hosts.server.target('server').control.corrupt((connection) => connection.localPort === 80);
  await settled(
    hosts,
    chimney()
      .takeBack()
      .catch(() => undefined),
  );
  hosts.runtime.advance(5000);
  expect(server.closedWith).toBeDefined();
  expect(server.closedWith).not.toBe(null);
  expect(hosts.server.target('server').control.held().tcpObjects).toBe(1);
  const before = second.server.received;
  hosts.runtime.advance(100_000);
  expect(second.server.received).toBeGreaterThan(before);
  second.server.endpoint.abort();
  await expectNothingHeld(hosts);
});

test('CAP-039, TREE-009: a hundred connections go down in one tree, hang on one path, and come back in one', async () => {
  const hosts = twoHosts({ impairment: { delayUs: 100, rateBps: 50_000_000 } });
  const pairs = Array.from({ length: 100 }, (_, i) => connectPeers(hosts, OPEN, 0, 4, 1000 + i));
  hosts.runtime.runUntil(() => pairs.every((pair) => pair.server.isConnected), 5_000_000);
  const trees: string[] = [];
  const { OperationTrace } = await import('../../src/ndis/operation-trace.ts');
  const tap = { packet: () => {}, operation: (text: string) => trees.push(text) };
  hosts.server.ndis.attachTap('server', new OperationTrace(tap, () => hosts.runtime.nowUs()));
  await settled(hosts, Promise.all(pairs.map((pair) => pair.server.endpoint.chimney.offload())));
  expect(hosts.server.target('server').control.held()).toMatchObject({
    tcpObjects: 100,
    pathObjects: 1,
    neighborObjects: 1,
  });
  await settled(hosts, Promise.all(pairs.map((pair) => pair.server.endpoint.chimney.takeBack())));
  expect(trees.filter((text) => text.startsWith('NdisInitiateOffload')).length).toBe(1);
  expect(trees.filter((text) => text.startsWith('NdisTerminateOffload')).length).toBe(1);
  for (const pair of pairs) pair.server.endpoint.abort();
  await expectNothingHeld(hosts);
});

test('the policy sends a connection down after so many bytes, and only those that match', async () => {
  const hosts = twoHosts({
    impairment: { delayUs: 500, rateBps: 50_000_000 },
    serverStack: { policy: { afterBytes: 1_000_000, match: ({ local }) => local.port === 80 } },
  });
  const chosen = connectPeers(hosts, OPEN, 0, 4, 80);
  const other = connectPeers(hosts, OPEN, 0, 4, 81);
  hosts.runtime.runUntil(() => chosen.client.received > 0, 5_000_000);
  expect(chosen.server.endpoint.chimney.location).toBe('host');
  hosts.runtime.runUntil(() => chosen.client.received > 2_000_000 && other.client.received > 2_000_000, 60_000_000);
  expect(chosen.server.endpoint.chimney.location).toBe('target');
  expect(chosen.server.endpoint.chimney.moves[0]).toMatchObject({ kind: 'initiate', cause: 'policy' });
  expect(other.server.endpoint.chimney.location).toBe('host');
  chosen.server.endpoint.abort();
  other.server.endpoint.abort();
  await expectNothingHeld(hosts);
});

test('the policy sends a connection down after so many seconds', () => {
  const hosts = twoHosts({ serverStack: { policy: { afterSeconds: 3 } } });
  const { server } = connectPeers(hosts, 0, 0, 4, 80, false);
  hosts.runtime.runUntil(() => server.isConnected, 5_000_000);
  hosts.runtime.advance(2_900_000);
  expect(server.endpoint.chimney.location).toBe('host');
  hosts.runtime.advance(200_000);
  expect(server.endpoint.chimney.location).toBe('target');
});

test('RECV-078: an application that took a little and then asks for all once gets all, at the target', async () => {
  const { hosts, server, client, chimney } = stage({}, 0, 3_000_000);
  await settled(hosts, chimney().offload());
  for (let turns = 0; turns < 50; turns++) {
    server.appetite = 1 + ((turns * 7919) % 9000);
    server.endpoint.resume();
    hosts.runtime.advance(3000);
  }
  // Part of a posted receive lies unread above, the rest at the target: one call must bring both.
  server.appetite = Number.POSITIVE_INFINITY;
  server.endpoint.resume();
  hosts.runtime.runUntil(() => server.closedWith !== undefined && client.closedWith !== undefined, 60_000_000);
  expect([server.received, server.wrongBytes, server.closedWith]).toEqual([3_000_000, 0, null]);
  await expectNothingHeld(hosts);
});

test('a connection of higher priority displaces one of lower from a full target, one of the same does not [TERM-068]', async () => {
  const { hosts, server, client, chimney } = stage(
    {
      server: { target: { kind: 'engine', capacity: { tcpEntries: 1 } } },
      serverStack: { takeBack: { byPriority: true } },
    },
    OPEN,
    OPEN,
  );
  const second = connectPeers(hosts, OPEN, OPEN, 4, 81);
  hosts.runtime.runUntil(() => second.server.isConnected, 5_000_000);
  const other = second.server.endpoint.chimney;
  await settled(hosts, chimney().offload());
  await expect(settled(hosts, other.offload())).rejects.toMatchObject({ status: 'OFFLOAD_TCP_ENTRIES' });
  second.server.endpoint.setUserPriority(5);
  const move = await settled(hosts, other.offload());
  expect(move).toMatchObject({ kind: 'initiate', status: 'SUCCESS' });
  expect([chimney().location, other.location]).toEqual(['host', 'target']);
  expect(chimney().moves.at(-1)).toMatchObject({ kind: 'terminate', cause: 'priority', reason: null });
  const before = [server, client, second.server, second.client].map((peer) => peer.received);
  hosts.runtime.advance(200_000);
  for (const [i, peer] of [server, client, second.server, second.client].entries()) {
    expect(peer.received).toBeGreaterThan(before[i]!);
    expect(peer.wrongBytes).toBe(0);
  }
  server.endpoint.abort();
  second.server.endpoint.abort();
  await expectNothingHeld(hosts);
});

test('a terminate that fails leaves the path and the neighbor of the corrupt connection below, too; with its second one all go [TERM-019, TERM-024, TERM-025]', async () => {
  for (const count of [1, 2]) {
    const { hosts, server, chimney } = stage({}, OPEN, OPEN);
    const second = connectPeers(hosts, OPEN, OPEN, 4, 81);
    hosts.runtime.runUntil(() => second.server.isConnected, 5_000_000);
    const endpoints = [server, second.server].slice(0, count).map((peer) => peer.endpoint);
    await settled(hosts, Promise.all(endpoints.map((endpoint) => endpoint.chimney.offload())));
    const { control } = hosts.server.target('server');
    control.corrupt((connection) => connection.localPort === 80);
    endpoints.map((endpoint) => endpoint.chimney.takeBack().catch(() => undefined));
    hosts.runtime.advance(20_000);
    expect(control.held()).toMatchObject({ tcpObjects: 0, pathObjects: 0, neighborObjects: 0 });
    expect(hosts.server.held().stateObjects).toBe(0);
    expect(server.closedWith).toBe('ECONNRESET');
    expect(second.server.closedWith).toBe(undefined);
    expect(chimney().location).toBe('closed');
    second.server.endpoint.abort();
    await expectNothingHeld(hosts);
  }
});
