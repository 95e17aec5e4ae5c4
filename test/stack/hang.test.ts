/**
 * Targets that stop answering, below a whole stack: they are noticed, reset or removed, connections end or go on as the contract allows,
 * and the program lives on: other adapters work, everything closes.
 */
import { describe, expect, test } from 'vitest';
import type { MiniportOffloadBlock } from '../../src/ndis/miniport.ts';
import { NdisStatus, type OidRequest } from '../../src/ndis/protocol.ts';
import type { IntermediateChoice } from '../../src/stack-drivers.ts';
import { EngineAdapter } from '../../src/target/engine/engine-adapter.ts';
import { settled } from './support.ts';
import { connectPeers, type Peer, type TwoHosts, twoHosts } from './two-hosts.ts';

const LOOK_US = 1_000_000;

type Silence = 'initiate' | 'terminate' | 'query' | 'update' | 'invalidate' | 'oid' | 'restart' | 'halt';

/** An engine that swallows requests of one kind from some moment on. */
class Swallowing extends EngineAdapter {
  silent: Silence | null = null;
  readonly swallowed: MiniportOffloadBlock[] = [];
  resets = 0;
  /** A reset helps: what was swallowed is carried out after all. */
  canBeReset = false;

  #takes(kind: Silence, root: MiniportOffloadBlock): boolean {
    if (this.silent !== kind) return false;
    this.swallowed.push(root);
    return true;
  }
  override initiateOffload(context: unknown, root: MiniportOffloadBlock): void {
    if (!this.#takes('initiate', root)) super.initiateOffload(context, root);
  }
  override terminateOffload(context: unknown, root: MiniportOffloadBlock): void {
    if (!this.#takes('terminate', root)) super.terminateOffload(context, root);
  }
  override queryOffload(context: unknown, root: MiniportOffloadBlock): void {
    if (!this.#takes('query', root)) super.queryOffload(context, root);
  }
  override updateOffload(context: unknown, root: MiniportOffloadBlock): void {
    if (!this.#takes('update', root)) super.updateOffload(context, root);
  }
  override invalidateOffload(context: unknown, root: MiniportOffloadBlock): void {
    if (!this.#takes('invalidate', root)) super.invalidateOffload(context, root);
  }
  override oidRequest(context: unknown, request: OidRequest): number {
    return this.silent === 'oid' ? NdisStatus.PENDING : super.oidRequest(context, request);
  }
  override restart(context: unknown): number {
    return this.silent === 'restart' ? NdisStatus.PENDING : super.restart(context);
  }
  override haltEx(context: unknown): void | Promise<void> {
    return this.silent === 'halt' ? new Promise(() => {}) : super.haltEx(context);
  }
  override resetEx(context: unknown): number {
    this.resets++;
    if (!this.canBeReset) return super.resetEx(context);
    this.silent = null;
    for (const root of this.swallowed.splice(0)) super.terminateOffload(context, root);
    return NdisStatus.SUCCESS;
  }
}

interface Stage {
  readonly hosts: TwoHosts;
  readonly target: Swallowing;
  readonly pair: { server: Peer; client: Peer };
}

async function stage(intermediates: readonly IntermediateChoice[] = [], areOffloaded = true): Promise<Stage> {
  let target: Swallowing | null = null;
  const hosts = twoHosts({
    impairment: { delayUs: 500, rateBps: 2_000_000 },
    serverStack: { checkForHangUs: LOOK_US },
    server: {
      intermediates,
      target: (environment) => {
        target = new Swallowing(environment);
        return target;
      },
    },
  });
  const pair = connectPeers(hosts, 1 << 30, 1 << 30);
  hosts.runtime.runUntil(() => pair.server.isConnected && pair.client.isConnected, 20_000_000);
  hosts.runtime.advance(20_000);
  if (areOffloaded) await settled(hosts, pair.server.endpoint.chimney.offload());
  hosts.runtime.advance(20_000);
  return { hosts, target: target!, pair };
}

/** Virtual seconds, with everything that promises do in between. */
async function seconds(hosts: TwoHosts, count: number): Promise<void> {
  for (let i = 0; i < count * 20; i++) {
    hosts.runtime.advance(50_000);
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  }
}

const rulesFound = (hosts: TwoHosts): string[] => [...new Set(hosts.server.findings.map(({ rule }) => rule))].sort();

const STACKS: readonly (readonly [string, readonly IntermediateChoice[]])[] = [
  ['right below the host', []],
  ['below three drivers', ['pass-through', { kind: 'filter' }, { kind: 'impair', offload: 'pass' }]],
];

describe.each(STACKS)('a target that hangs %s', (_where, intermediates) => {
  test.each([
    ['initiate', 'INIT-002'],
    ['terminate', 'TERM-011'],
    ['query', 'QRY-001'],
    ['update', 'UPD-001'],
  ] as const)('in the %s is removed: the connection ends, the stack closes (%s)', async (silent, rule) => {
    const { hosts, target, pair } = await stage(intermediates, silent !== 'initiate');
    target.silent = silent;
    const { chimney } = pair.server.endpoint;
    const asked =
      silent === 'initiate'
        ? chimney.offload()
        : silent === 'terminate'
          ? chimney.takeBack()
          : silent === 'query'
            ? chimney.query()
            : Promise.resolve();
    const answer = asked.then(
      () => 'done',
      (error: Error) => error.message,
    );
    if (silent === 'update') pair.server.endpoint.setTrafficClass(8);
    await seconds(hosts, 1);
    expect([target.resets, pair.server.closedWith]).toEqual([0, undefined]);
    await seconds(hosts, 12);
    expect(target.resets).toBe(1);
    expect(hosts.server.counters()).toMatchObject({ NDIS_ADAPTER_HUNG: 1, NDIS_ADAPTER_GIVEN_UP: 1 });
    expect(await answer).toBeTypeOf('string');
    expect(['ECONNABORTED', 'ENETDOWN']).toContain(pair.server.closedWith);
    expect(hosts.server.adapter('server').isRemoved).toBe(true);
    await hosts.close();
    expect(rulesFound(hosts)).toEqual([rule]);
    expect(hosts.server.held()).toMatchObject({ connections: 0 });
  });

  test('and comes to itself by a reset keeps its connections: they come back, and go down again', async () => {
    const { hosts, target, pair } = await stage(intermediates);
    target.silent = 'terminate';
    target.canBeReset = true;
    const back = pair.server.endpoint.chimney.takeBack();
    await seconds(hosts, 6);
    expect(target.resets).toBe(1);
    await settled(hosts, back);
    const before = [pair.server.received, pair.client.received];
    await seconds(hosts, 2);
    expect(pair.server.received).toBeGreaterThan(before[0]!);
    expect(pair.client.received).toBeGreaterThan(before[1]!);
    expect([pair.server.wrongBytes, pair.client.wrongBytes, pair.server.closedWith]).toEqual([0, 0, undefined]);
    await settled(hosts, pair.server.endpoint.chimney.offload());
    expect(pair.server.endpoint.chimney.location).toBe('target');
    pair.server.endpoint.abort();
    await seconds(hosts, 1);
    await hosts.close();
    expect(rulesFound(hosts)).toEqual([]);
    expect(hosts.server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
  });

  test('while it is asked for something by the administrator lets him know', async () => {
    const { hosts, target, pair } = await stage(intermediates);
    const adapter = hosts.server.adapter('server');
    target.silent = 'oid';
    const asked = adapter.statistics().then(
      () => 'done',
      (error: Error) => error.message,
    );
    await seconds(hosts, 12);
    expect(await asked).toContain('REQUEST_ABORTED');
    expect(['ECONNABORTED', 'ENETDOWN']).toContain(pair.server.closedWith);
    await hosts.close();
    expect(hosts.server.held()).toMatchObject({ connections: 0 });
  });

  test('while it restarts, or is reset, lets whoever waits for that know', async () => {
    const { hosts, target } = await stage(intermediates);
    const adapter = hosts.server.adapter('server');
    await settled(hosts, adapter.pause());
    target.silent = 'restart';
    const asked = adapter.restart().then(
      () => 'done',
      (error: Error) => error.message,
    );
    await seconds(hosts, 12);
    expect(await asked).toContain('has stopped responding and was removed');
    await hosts.close();
    expect(hosts.server.held()).toMatchObject({ connections: 0 });
  });

  test('when it is halted does not keep the stack from closing', async () => {
    const { hosts, target, pair } = await stage(intermediates);
    target.silent = 'halt';
    pair.server.endpoint.abort();
    await seconds(hosts, 1);
    await hosts.close();
    expect(rulesFound(hosts)).toEqual([]);
  });
});

test('never looked at, it hangs for ever', async () => {
  const hosts = twoHosts({ serverStack: { checkForHangUs: Number.POSITIVE_INFINITY } });
  expect(hosts.server.counters().NDIS_ADAPTER_HUNG).toBeUndefined();
  await hosts.close();
  expect(() => twoHosts({ serverStack: { checkForHangUs: 0 } })).toThrow(
    'checkForHangUs: expected microseconds above 0',
  );
});
