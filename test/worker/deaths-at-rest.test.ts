/**
 * NIC halves that die while their adapter sleeps, stands still, is being put to sleep, paused, reset or set up anew: whatever was asked
 * for is answered, nothing moves on an adapter that sleeps, and when it is awake again connections go on and go down once more.
 */
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../src/base/random.ts';
import { findingText } from '../../src/contract/finding.ts';
import type { AdapterControl } from '../../src/host/adapter-control.ts';
import type { TcpEndpoint } from '../../src/host/api.ts';
import { expectNothingHeld, settled } from '../stack/support.ts';
import { twoHosts } from '../stack/two-hosts.ts';
import { seed, seedNote } from '../support/seed.ts';
import { expectAllBack, isDone, offloaded, pairsOf, subjectOf } from './mortal-stacks.ts';

type Act = (adapter: AdapterControl) => Promise<unknown>;
const LIVES: readonly (readonly [string, Act, Act])[] = [
  ['asleep', (adapter) => adapter.sleep(), (adapter) => adapter.wake()],
  ['paused', (adapter) => adapter.pause(), (adapter) => adapter.restart()],
];

describe.each([
  ['one NIC half', 1],
  ['three behind one adapter', 3],
])('%s', (_name, count) => {
  describe.each(LIVES)('dies while its adapter is %s', (_state, rest, rise) => {
    test.each([
      ['and another takes its place', 3],
      ['and none takes its place', 0],
    ])(
      '%s: nothing moves before the end of it, then connections go on, and down again where they can',
      async (_what, restart) => {
        const subject = subjectOf(count, restart);
        const { hosts, pairs } = await offloaded(subject);
        const queues = hosts.server.target('server').control.receiveQueues();
        const adapter = hosts.server.adapter('server');
        await settled(hosts, rest(adapter));
        subject.threads[0]!.kill();
        hosts.runtime.advance(100_000);
        expect(subject.deaths).toMatchObject([{ takenBack: 0, lost: 0, isReplaced: restart > 0 }]);
        for (const { server, client } of pairs) {
          server.more(5000);
          client.more(5000);
        }
        hosts.runtime.advance(500_000);
        expect(pairs.map(({ server, client }) => [server.received, client.received])).toEqual(
          Array(12).fill([1000, 1000]),
        );
        await settled(hosts, rise(adapter));
        hosts.runtime.advance(4_000_000);
        await settled(hosts, Promise.resolve());
        expect(pairs.map(({ server, client }) => [server.received, client.received])).toEqual(
          Array(12).fill([6000, 6000]),
        );
        if (restart > 0) await expectAllBack(hosts, pairs, queues, 6000);
      },
    );
  });

  test.each([0, 1, 2])(
    'is put to sleep, paused, reset, set up and killed in any order: all is answered, and nothing is lost in silence (%i)',
    async (n) => {
      const random = new SeededRandom(`${seed}/rest/${count}/${n}`);
      const subject = subjectOf(count, n === 1 ? 2 : 1000);
      const hosts = twoHosts({
        seed: random.nextUint32() % 1_000_000,
        impairment: { delayUs: 300, rateBps: 50_000_000 },
        medium: n % 3 === 2 ? 'ip' : 'ethernet',
        server: { target: (environment) => subject.make(environment) },
        serverStack: { offloadsAgain: true },
      });
      const pairs = pairsOf(hosts, random, 6, 600_000);
      hosts.runtime.runUntil(() => pairs.every(({ server }) => server.isConnected), 10_000_000);
      const adapter = hosts.server.adapter('server');
      const asked: Promise<unknown>[] = [];
      const answers: string[] = [];
      const ask = (name: string, promise: Promise<unknown>): void => {
        asked.push(
          promise.then(
            () => answers.push(name),
            (error: Error) => answers.push(`${name}: ${error.message}`),
          ),
        );
      };
      for (let i = 0; i < 600 && !isDone(pairs); i++) {
        hosts.runtime.advance(random.nextUint32() % 6000);
        const what = random.nextUint32() % 100;
        const { server } = pairs[random.nextUint32() % pairs.length]!;
        if (what < 8) subject.threads[random.nextUint32() % count]!.kill(random.nextUint32() % 3);
        else if (what < 14) ask('sleep', adapter.sleep());
        else if (what < 24) ask('wake', adapter.wake());
        else if (what < 28) ask('pause', adapter.pause());
        else if (what < 38) ask('restart', adapter.restart());
        else if (what < 41) ask('reset', adapter.reset());
        else if (what < 45) ask('configure', adapter.configure({ ip6: what % 2 === 0 }));
        else if (what < 48) ask('setParameters', adapter.setParameters({}));
        else if (what < 52) ask('statistics', adapter.statistics());
        else if (what < 80 && server.endpoint !== undefined) server.endpoint.chimney.offload().catch(() => {});
        else if (what < 84) hosts.server.target('server').control.uploadAll();
        else if (what < 92) hosts.server.target('server').control.resume();
        for (const { server: one, client } of pairs) if ((one.closedWith ?? null) !== null) client.endpoint.abort();
        await Promise.resolve();
        if (i % 8 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      ask('restart', adapter.restart());
      ask('wake', adapter.wake());
      hosts.server.target('server').control.resume();
      await settled(hosts, Promise.all(asked));
      for (let i = 0; i < 600 && !isDone(pairs); i++) {
        hosts.runtime.advance(1_000_000);
        for (const { server: one, client } of pairs) if ((one.closedWith ?? null) !== null) client.endpoint.abort();
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(
        answers.filter((answer) => answer.includes(':')),
        seedNote,
      ).toEqual([]);
      for (const { server, client, down, up } of pairs) {
        expect([server.wrongBytes, client.wrongBytes], seedNote).toEqual([0, 0]);
        if (server.closedWith === 'ECONNRESET') continue;
        expect([server.closedWith, client.received, client.hasEnded, client.closedWith], seedNote).toEqual([
          null,
          down,
          true,
          null,
        ]);
        expect([server.received, server.hasEnded], seedNote).toEqual([up, true]);
      }
      expect(subject.deaths.length, seedNote).toBeGreaterThan(0);
      expect([...hosts.server.findings, ...hosts.client.findings].map(findingText), seedNote).toEqual([]);
      await hosts.close();
      expect(hosts.server.held(), seedNote).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
    },
    60_000,
  );
});

const OPERATIONS: readonly (readonly [string, (one: TcpEndpoint, adapter: AdapterControl) => Promise<unknown>])[] = [
  ['take a connection back', ({ chimney }) => chimney.takeBack()],
  ['tell the state of one', ({ chimney }) => chimney.query()],
  ['sleep', (_, adapter) => adapter.sleep()],
  ['pause', (_, adapter) => adapter.pause()],
  ['reset', (_, adapter) => adapter.reset()],
  ['offload nothing over IPv4', (_, adapter) => adapter.configure({ ip4: false })],
  ['halt', (_, adapter) => adapter.halt()],
];
const TAKES_ALL: ReadonlySet<unknown> = new Set(OPERATIONS.slice(2, 6).map(([, act]) => act));
/** More tasks than any of these takes. */
const TASKS = 14;

describe.each([
  ['one NIC half', 1],
  ['one of three', 3],
])('%s that dies so many tasks after it was asked to', (_name, count) => {
  test.each(OPERATIONS)(
    '%s: it is answered, what is lost is told as corrupt state is, and the others go on [TERM-021, TERM-022, TERM-023, TERM-025]',
    async (_what, act) => {
      let losses = 0;
      for (let tasks = 0; tasks < TASKS; tasks++) {
        const subject = subjectOf(count, 0);
        const { hosts, pairs } = await offloaded(subject);
        const adapter = hosts.server.adapter('server');
        let error: Error | null = null;
        const asked = act(pairs[0]!.server.endpoint, adapter).catch((why: Error) => {
          error = why;
        });
        const kill = (left: number): void => {
          if (left === 0) subject.threads[0]!.kill();
          else hosts.runtime.defer(() => kill(left - 1));
        };
        await new Promise((resolve) => setImmediate(resolve));
        kill(tasks);
        await settled(hosts, asked);
        hosts.runtime.advance(100_000);
        const note = `after ${tasks} tasks`;
        expect(hosts.server.findings.map(findingText), note).toEqual([]);
        // A query of what is lost fails, and so does a move of it.
        const lost = pairs.filter(({ server }) => server.closedWith === 'ECONNRESET');
        if (error !== null) expect(pairs[0]!.server.closedWith, note).toBe('ECONNRESET');
        const told = subject.deaths.reduce((sum, death) => sum + death.lost, 0);
        if (!adapter.isRemoved) {
          expect(lost, note).toHaveLength(told);
          losses += told;
          await settled(hosts, adapter.wake());
          await settled(hosts, adapter.restart());
        }
        const alive = pairs.filter(({ server }) => server.closedWith === undefined);
        for (const { server } of alive) server.more(5000);
        hosts.runtime.advance(2_000_000);
        expect(
          alive.map(({ client }) => client.received),
          note,
        ).toEqual(alive.map(() => 6000));
        for (const { client } of pairs) client.endpoint.abort();
        hosts.runtime.advance(100_000);
        await expectNothingHeld(hosts);
      }
      // Otherwise none of these moments was one that matters.
      if (TAKES_ALL.has(act)) expect(losses).toBeGreaterThan(0);
    },
    60_000,
  );
});
