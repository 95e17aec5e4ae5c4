/**
 * What the NIC half tells while an initiate is on its way to it waits for the completion: the driver half alone knows of both.
 */
import { describe, expect, test } from 'vitest';
import { findingText } from '../../src/contract/finding.ts';
import { PairedAdapter } from '../../src/target/worker/paired-adapter.ts';
import { expectNothingHeld } from '../stack/support.ts';
import { connectPeers, twoHosts } from '../stack/two-hosts.ts';
import { spread } from './queues.ts';

const SUBJECTS = [
  ['one NIC half', (environment: ConstructorParameters<typeof PairedAdapter>[0]) => new PairedAdapter(environment)],
  [
    'two behind one adapter',
    (environment: ConstructorParameters<typeof PairedAdapter>[0]) => spread(environment, 2, (_b, at) => at & 1),
  ],
] as const;

describe.each(SUBJECTS)('%s', (_name, target) => {
  test.each([0, 1, 2, 3, 4, 5])(
    'the link goes down and up as connections are offloaded, %i tasks later: no status during an initiate (INIT-052)',
    async (tasks) => {
      const hosts = twoHosts({ server: { target } });
      const { runtime, wire, server } = hosts;
      const pairs = Array.from({ length: 4 }, (_, i) => connectPeers(hosts, 1000, 1000, 4, 80 + i, false));
      runtime.advance(100_000);
      const soon = (count: number, act: () => void): void =>
        runtime.defer(count === 0 ? act : () => soon(count - 1, act));
      for (const [i, pair] of pairs.entries()) {
        const isUp = i % 2 === 1;
        // Either way round: the change is on its way up as the initiate goes down.
        soon(0, () => pair.server.endpoint.chimney.offload().catch(() => {}));
        soon(tasks, () => wire.a.setUp(isUp));
        runtime.advance(1000);
        await Promise.resolve();
      }
      runtime.advance(1_000_000);
      expect(server.findings.map(findingText)).toEqual([]);
      expect(server.counters().CHIMNEY_INITIATED).toBeGreaterThan(0);
      // The host has heard of the last change.
      for (const { server: one, client } of pairs) {
        client.more(1000);
        one.more(1000);
      }
      runtime.advance(2_000_000);
      for (const { server: one, client } of pairs) expect([one.received, client.received]).toEqual([2000, 2000]);
      for (const { client } of pairs) client.endpoint.abort();
      runtime.advance(100_000);
      await expectNothingHeld(hosts);
    },
  );

  test.each([0, 1, 2, 3, 4, 5])(
    'a pause is asked for as a connection is offloaded, %i tasks later: no status during an initiate (INIT-052)',
    async (tasks) => {
      const hosts = twoHosts({ server: { target } });
      const { runtime, server } = hosts;
      const { server: one, client } = connectPeers(hosts, 1000, 1000, 4, 80, false);
      runtime.advance(100_000);
      const soon = (count: number, act: () => void): void =>
        runtime.defer(count === 0 ? act : () => soon(count - 1, act));
      const { control } = server.target('server');
      soon(tasks, () => one.endpoint.chimney.offload().catch(() => {}));
      soon(0, () => control.pause());
      runtime.advance(1000);
      soon(0, () => control.resume());
      runtime.advance(100_000);
      expect(server.findings.map(findingText)).toEqual([]);
      client.endpoint.abort();
      runtime.advance(100_000);
      await expectNothingHeld(hosts);
    },
  );

  test('a pause that is taken back before it was told is none: connections go down afterwards', async () => {
    const hosts = twoHosts({ server: { target } });
    const { runtime, server } = hosts;
    const { server: one, client } = connectPeers(hosts, 1000, 1000, 4, 80, false);
    runtime.advance(100_000);
    const { control } = server.target('server');
    control.pause();
    control.resume();
    runtime.advance(100_000);
    one.endpoint.chimney.offload().catch(() => {});
    runtime.advance(1_000_000);
    expect(one.endpoint.chimney.location).toBe('target');
    client.endpoint.abort();
    runtime.advance(100_000);
    await expectNothingHeld(hosts);
  });
});
