/**
 * The life of an adapter under load: pause and restart, reset, removal in good order, removal by surprise. At any moment everything
 * comes back to whom it belongs, once, and streams go on or end with the right error.
 */
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../src/base/random.ts';
import { findingText } from '../../src/contract/finding.ts';
import type { Move } from '../../src/host/api.ts';
import { type NetPnpEvent, NetPnpEventCode } from '../../src/ndis/protocol.ts';
import { NdisStatus } from '../../src/ndis/status.ts';
import { IdleTap, type StateOperation } from '../../src/ndis/tap.ts';
import type { StackLink } from '../../src/stack-options.ts';
import { seed } from '../support/seed.ts';
import { expectNothingHeld, OPEN, settled, UPLOAD_REASONS } from './support.ts';
import { connectPeers, type Peer, type TwoHosts, type TwoHostsOptions, twoHosts } from './two-hosts.ts';

interface Stage {
  readonly hosts: TwoHosts;
  readonly pairs: { server: Peer; client: Peer }[];
  readonly moves: Move[];
}

/** So many connections over both families, endless both ways, all of them offloaded. */
async function stage(count: number, options: TwoHostsOptions = {}, areOffloaded = true): Promise<Stage> {
  const hosts = twoHosts({ impairment: { delayUs: 500, rateBps: 10_000_000 }, ...options });
  const pairs = Array.from({ length: count }, (_, i) => connectPeers(hosts, OPEN, OPEN, i % 2 === 0 ? 4 : 6, 80 + i));
  hosts.runtime.runUntil(() => pairs.every((pair) => pair.server.isConnected && pair.client.isConnected), 20_000_000);
  hosts.runtime.advance(20_000);
  const moves: Move[] = [];
  hosts.server.onMove((move) => moves.push(move));
  if (areOffloaded) await settled(hosts, Promise.all(pairs.map((pair) => pair.server.endpoint.chimney.offload())));
  hosts.runtime.advance(20_000);
  moves.length = 0;
  return { hosts, pairs, moves };
}

const everybody = (pairs: Stage['pairs']): Peer[] => pairs.flatMap((pair) => [pair.server, pair.client]);

/** Every stream goes on, and no byte was lost, repeated or foreign so far. */
function expectProgress({ hosts, pairs }: Stage): void {
  const peers = everybody(pairs);
  const before = peers.map((peer) => peer.received);
  // Retransmission timers have backed off meanwhile, by two minutes at most.
  hosts.runtime.runUntil(() => peers.every((peer, i) => peer.received > before[i]! + 3_000), 130_000_000);
  expect(peers.map((peer, i) => peer.received > before[i]!)).toEqual(peers.map(() => true));
  expect(peers.map((peer) => [peer.wrongBytes, peer.closedWith])).toEqual(peers.map(() => [0, undefined]));
}

/** All of them have gone down again; one with a gap in what it has received waits a little for that. */
function expectBelow({ hosts, pairs }: Stage): void {
  const places = (): string[] => pairs.map((pair) => pair.server.endpoint.chimney.location);
  hosts.runtime.runUntil(() => places().every((place) => place === 'target'), 2_000_000);
  expect(places()).toEqual(pairs.map(() => 'target'));
}

function expectStandstill({ hosts, pairs }: Stage): void {
  hosts.runtime.advance(5_000_000); // what was on the wire
  const before = everybody(pairs).map((peer) => peer.received);
  hosts.runtime.advance(1_000_000);
  expect(everybody(pairs).map((peer) => peer.received)).toEqual(before);
}

async function end({ hosts, pairs }: Stage): Promise<void> {
  for (const { server } of pairs) if (server.closedWith === undefined) server.endpoint.abort();
  await expectNothingHeld(hosts);
}

const heldBelow = (hosts: TwoHosts): unknown => hosts.server.target('server').control.held();
const NOTHING = {
  tcpObjects: 0,
  pathObjects: 0,
  neighborObjects: 0,
  indicatedLists: 0,
  receiveBlocks: 0,
  sends: 0,
  receives: 0,
  disconnects: 0,
  forwards: 0,
  operations: 0,
  frames: 0,
};

const WAYS: readonly (readonly [string, Partial<StackLink>])[] = [
  ['directly above the target', {}],
  ['through two drivers', { intermediates: ['pass-through', 'filter'] }],
];

describe.each(WAYS)('%s', (_way, server) => {
  test('a paused adapter has given everything back and stands still; restarted, all goes on, below as before', async () => {
    const s = await stage(6, { server });
    const adapter = s.hosts.server.adapter('server');
    await settled(s.hosts, adapter.pause());
    expect(adapter.isPaused).toBe(true);
    expect(heldBelow(s.hosts)).toEqual(NOTHING);
    const terminates = s.moves.filter((move) => move.kind === 'terminate');
    expect(terminates.map((move) => [move.cause, move.status])).toEqual(Array(6).fill(['pause', 'SUCCESS']));
    expectStandstill(s);
    await expect(settled(s.hosts, s.pairs[0]!.server.endpoint.chimney.offload())).rejects.toThrow('is paused');
    await settled(s.hosts, adapter.restart());
    expectProgress(s);
    expectBelow(s);
    await end(s);
  });

  test('a reset takes everything back, disables the chimney until the host enables it anew, and goes on below', async () => {
    const s = await stage(4, { server });
    await settled(s.hosts, s.hosts.server.adapter('server').reset());
    expectProgress(s);
    expectBelow(s);
    expect(s.moves.map((move) => [move.kind, move.cause])).toEqual([
      ...Array(4).fill(['terminate', 'reset']),
      ...Array(4).fill(['initiate', 'reset']),
    ]);
    await end(s);
  });

  test('an adapter that is halted has given everything back; its connections are reset and end with ENETDOWN', async () => {
    const s = await stage(4, { server });
    const adapter = s.hosts.server.adapter('server');
    await settled(s.hosts, adapter.halt());
    expect(heldBelow(s.hosts)).toEqual(NOTHING);
    expect(s.hosts.server.ndis.adapterNames).toEqual([]);
    expect([adapter.isRemoved, s.pairs.map((pair) => pair.server.closedWith)]).toEqual([
      true,
      Array(4).fill('ENETDOWN'),
    ]);
    // The resets left before the link was closed.
    s.hosts.runtime.advance(100_000);
    expect(s.pairs.map((pair) => pair.client.closedWith)).toEqual(Array(4).fill('ECONNRESET'));
    expect(everybody(s.pairs).map((peer) => peer.wrongBytes)).toEqual(Array(8).fill(0));
    await expect(adapter.statistics()).rejects.toMatchObject({ code: 'ERR_ADAPTER', status: 'ADAPTER_REMOVED' });
    await adapter.halt();
    await end(s);
  });

  test('a device that is pulled out under load: everything comes back, connections end with ENETDOWN, nothing is held', async () => {
    const s = await stage(6, { server });
    s.hosts.wire.a.remove();
    s.hosts.runtime.advance(20_000);
    await settled(s.hosts, Promise.resolve());
    for (let i = 0; i < 20; i++) await settled(s.hosts, Promise.resolve());
    s.hosts.runtime.advance(20_000);
    expect(heldBelow(s.hosts)).toEqual(NOTHING);
    expect(s.hosts.server.ndis.adapterNames).toEqual([]);
    expect(s.hosts.server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
    expect(s.pairs.map((pair) => pair.server.closedWith)).toEqual(Array(6).fill('ENETDOWN'));
    expect(s.moves.map((move) => [move.kind, move.cause, move.status])).toEqual(
      Array(6).fill(['terminate', 'removal', 'SUCCESS']),
    );
    // Nobody told the peers: a reset could not leave.
    expect(s.pairs.map((pair) => pair.client.closedWith)).toEqual(Array(6).fill(undefined));
    for (const { client } of s.pairs) client.endpoint.abort();
    await end(s);
  });
});

/** Writes down what passes a door. */
class Doorman extends IdleTap {
  readonly log: string[] = [];
  override stateCall(operation: StateOperation): void {
    this.log.push(['initiate', 'terminate', 'update', 'query', 'invalidate'][operation]!);
  }
  override stateComplete(operation: StateOperation): void {
    this.log.push(`${['initiate', 'terminate', 'update', 'query', 'invalidate'][operation]!} complete`);
  }
  override netPnpEvent(event: NetPnpEvent): void {
    this.log.push(`event ${Object.entries(NetPnpEventCode).find(([, code]) => code === event.code)![0]}`);
  }
  override unbinding(isGone: boolean): void {
    this.log.push(isGone ? 'unbind, gone' : 'unbind');
  }
  override status({ statusCode }: { statusCode: number }): void {
    this.log.push(`status ${Object.entries(NdisStatus).find(([, code]) => code === statusCode)![0]}`);
  }
  override closed(): void {
    this.log.push('closed');
  }
}

test('in that order: told, everything back, paused; reset between its two statuses; unbound before halted', async () => {
  const s = await stage(2);
  const doorman = new Doorman();
  s.hosts.server.ndis.attachTap('server', doorman);
  const adapter = s.hosts.server.adapter('server');
  await settled(s.hosts, adapter.pause());
  expect([doorman.log[0], doorman.log.at(-1)]).toEqual(['event PAUSE', 'terminate complete']);
  doorman.log.length = 0;
  await settled(s.hosts, adapter.restart());
  s.hosts.runtime.advance(20_000);
  expect(doorman.log.slice(0, 2)).toEqual(['event RESTART', 'initiate']);
  doorman.log.length = 0;
  await settled(s.hosts, adapter.reset());
  const log = doorman.log.filter((line) => !line.startsWith('terminate') && !line.startsWith('initiate'));
  expect(log).toEqual(['status RESET_START', 'event PAUSE', 'status RESET_END', 'event RESTART']);
  expect(doorman.log.indexOf('terminate complete')).toBeLessThan(doorman.log.indexOf('status RESET_END'));
  s.hosts.runtime.advance(20_000);
  doorman.log.length = 0;
  await settled(s.hosts, adapter.halt());
  expect(doorman.log[0]).toBe('unbind');
  expect(doorman.log.at(-1)).toBe('closed');
  await end(s);
});

test('calls that make no sense change nothing: twice paused, restarted without a pause, paused while asleep', async () => {
  const s = await stage(2);
  const adapter = s.hosts.server.adapter('server');
  await settled(s.hosts, adapter.restart());
  await settled(s.hosts, Promise.all([adapter.pause(), adapter.pause()]));
  await settled(s.hosts, adapter.restart());
  expectProgress(s);
  await settled(s.hosts, adapter.sleep());
  await settled(s.hosts, adapter.pause());
  await settled(s.hosts, adapter.restart());
  expectStandstill(s);
  await settled(s.hosts, adapter.wake());
  expectProgress(s);
  expectBelow(s);
  await end(s);
});

test('a plain adapter lives the same life', async () => {
  const s = await stage(2, { server: { target: 'plain' } }, false);
  const adapter = s.hosts.server.adapter('server');
  await settled(s.hosts, adapter.pause());
  expectStandstill(s);
  await settled(s.hosts, adapter.restart());
  expectProgress(s);
  await settled(s.hosts, adapter.reset());
  expectProgress(s);
  s.hosts.wire.a.remove();
  for (let i = 0; i < 20; i++) await settled(s.hosts, Promise.resolve());
  s.hosts.runtime.advance(50_000);
  expect(s.pairs.map((pair) => pair.server.closedWith)).toEqual(['ENETDOWN', 'ENETDOWN']);
  for (const { client } of s.pairs) client.endpoint.abort();
  await end(s);
});

test('the other interface of a host does not notice', async () => {
  const { memoryLinkPair } = await import('../../src/link/memory.ts');
  const s = await stage(2);
  const wire = memoryLinkPair({ runtime: s.hosts.runtime, names: ['far', 'near'], impairment: { delayUs: 300 } });
  const { createStack } = await import('../../src/stack.ts');
  const { runtime } = s.hosts;
  const both = memoryLinkPair({ runtime, names: ['left', 'left-peer'], impairment: { delayUs: 300 } });
  const middle = createStack({
    runtime,
    verify: true,
    links: [
      { link: both.a, addresses: ['10.1.0.1/24'] },
      { link: wire.a, addresses: ['10.2.0.1/24'] },
    ],
  });
  const left = createStack({ runtime, links: [{ link: both.b, addresses: ['10.1.0.2/24'] }] });
  const right = createStack({ runtime, links: [{ link: wire.b, addresses: ['10.2.0.2/24'] }] });
  const ends: { received: number; error: unknown }[] = [];
  const listen = (address: string): void => {
    middle.transports.listen({ local: { address, port: 7 } }, (endpoint) => {
      const one = { received: 0, error: undefined as unknown };
      ends.push(one);
      endpoint.handler = {
        connected() {},
        data: (_bytes, _at, length) => {
          one.received += length;
          return length;
        },
        dataDone() {},
        end() {},
        closed: (error) => {
          one.error = error;
        },
      };
      endpoint.chimney.offload().catch(() => undefined);
    });
  };
  listen('10.1.0.1');
  listen('10.2.0.1');
  const idle = { connected() {}, data: () => 0, dataDone() {}, end() {}, closed() {} };
  const [one, two] = [
    left.transports.connect({ remote: { address: '10.1.0.1', port: 7 } }, idle),
    right.transports.connect({ remote: { address: '10.2.0.1', port: 7 } }, idle),
  ];
  for (const endpoint of [one, two]) endpoint.write(new Uint8Array(1_000), null);
  runtime.advance(200_000);
  expect(ends.map((end) => end.received)).toEqual([1_000, 1_000]);
  both.a.remove();
  for (let i = 0; i < 20; i++) await settled(s.hosts, Promise.resolve());
  two.write(new Uint8Array(500), null);
  runtime.advance(200_000);
  expect(ends.map((end) => end.received).sort()).toEqual([1_000, 1_500]);
  expect(ends.map((end) => end.error).filter((error) => error !== undefined)).toEqual(['ENETDOWN']);
  expect(middle.findings.map(findingText)).toEqual([]);
  const closing = Promise.all([left, middle, right].map((stack) => stack.close()));
  for (let i = 0; i < 50; i++) await settled(s.hosts, Promise.resolve());
  await settled(s.hosts, closing);
  await end(s);
});

test('at random moments, with everything else going on: whatever happens to the adapter, every list comes back once and every stream is whole or ended', async () => {
  const random = new SeededRandom(seed);
  const upTo = (n: number): number => random.nextUint32() % n;
  for (let round = 0; round < 8; round++) {
    const isLast = round % 4 === 3;
    const s = await stage(
      4 + upTo(4),
      {
        seed: 1 + upTo(1_000_000),
        impairment: { delayUs: 200 + upTo(3_000), loss: upTo(2) * 0.01, rateBps: 10_000_000 },
        server: round % 2 === 0 ? {} : { intermediates: ['pass-through'] },
      },
      false,
    );
    const adapter = s.hosts.server.adapter('server');
    const { control } = s.hosts.server.target('server');
    const pending: Promise<unknown>[] = [];
    const mayFail = (promise: Promise<unknown>): void => {
      pending.push(promise.catch(() => undefined));
    };
    for (let i = 0; i < 40; i++) {
      const { chimney } = s.pairs[upTo(s.pairs.length)]!.server.endpoint;
      const act = [
        () => mayFail(chimney.offload()),
        () => mayFail(chimney.offload()),
        () => mayFail(chimney.takeBack()),
        () => mayFail(chimney.query()),
        () => control.retrieve(null, UPLOAD_REASONS[upTo(UPLOAD_REASONS.length)]!),
        () => mayFail(adapter.pause().then(() => adapter.restart())),
        () => mayFail(adapter.reset()),
        () => mayFail(adapter.sleep().then(() => adapter.wake())),
        () => s.hosts.wire.a.setUp(false),
        () => s.hosts.wire.a.setUp(true),
        () => (upTo(2) === 0 ? control.uploadAll() : control.resume()),
      ];
      act[upTo(act.length)]!();
      s.hosts.runtime.advance(upTo(4_000));
      if (upTo(3) === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    s.hosts.wire.a.setUp(true);
    if (isLast) {
      if (upTo(2) === 0) s.hosts.wire.a.remove();
      else mayFail(adapter.halt());
    }
    await settled(s.hosts, Promise.all(pending));
    for (let i = 0; i < 10; i++) await settled(s.hosts, Promise.resolve());
    if (isLast) {
      s.hosts.runtime.advance(100_000);
      expect(s.pairs.map((pair) => pair.server.closedWith)).toEqual(s.pairs.map(() => 'ENETDOWN'));
      expect(heldBelow(s.hosts)).toEqual(NOTHING);
      for (const { client } of s.pairs) client.endpoint.abort();
    } else {
      control.resume();
      s.hosts.runtime.advance(2_000_000);
      if (adapter.isAsleep) await settled(s.hosts, adapter.wake());
      if (adapter.isPaused) await settled(s.hosts, adapter.restart());
      expectProgress(s);
    }
    expect(everybody(s.pairs).every((peer) => peer.wrongBytes === 0)).toBe(true);
    await end(s);
  }
});
