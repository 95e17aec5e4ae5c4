/** The first words of two stacks that start at the same moment, over IPv6: each still tests its addresses, neither waits for that. */
import { expect, test } from 'vitest';
import { seed, seedNote } from '../support/seed.ts';
import { connectPeers, twoHosts } from './two-hosts.ts';

const numeric = [...String(seed)].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) >>> 0, 7);

/** Milliseconds until a connection that is asked for at once stands, one way 10 ms; -1: it failed. */
async function firstConnection(family: 4 | 6, number: number, loss: number): Promise<number> {
  const hosts = twoHosts({ seed: number, family, impairment: { delayUs: 10_000, loss } });
  const atUs = hosts.runtime.nowUs();
  const { client } = connectPeers(hosts, 100, 100, family);
  hosts.runtime.runUntil(() => client.isConnected || client.closedWith !== undefined, 30_000_000);
  const afterUs = hosts.runtime.nowUs() - atUs;
  const isThere = client.isConnected;
  await hosts.close();
  return isThere ? afterUs / 1000 : -1;
}

test('resolving each other takes one round trip more, over IPv6 as over IPv4 (4429-3)', async () => {
  for (let i = 0; i < 10; i++) {
    expect(await firstConnection(6, numeric + i, 0), seedNote).toBeLessThanOrEqual(80);
    expect(await firstConnection(4, numeric + i, 0), seedNote).toBeLessThanOrEqual(80);
  }
});

test('a lost solicitation costs a second, not the connection', async () => {
  let slow = 0;
  let failed = 0;
  for (let i = 0; i < 60; i++) {
    const ms = await firstConnection(6, numeric + 1000 + i, 0.02);
    if (ms > 500) slow++;
    if (ms < 0) failed++;
  }
  // All three solicitations of one, or their answers, are lost once in some ten thousand times: then it has failed (RFC 4861 7.2.2).
  expect(failed, seedNote).toBeLessThanOrEqual(1);
  expect(slow, seedNote).toBeLessThan(30);
});
