/** A hundred thousand idle established connections: what one costs, everything of it included; on the host path, and offloaded. */
import { expect, test } from 'vitest';
import { runScript } from '../support/child.ts';

interface Figures {
  readonly figures: readonly { readonly name: string; readonly value: number }[];
}

test('an idle established connection costs at most 1 KiB, measured by 100,000 of them', {
  timeout: 180_000,
}, async () => {
  const { figures } = await runScript<Figures>('bench/cases/idle.ts', {
    args: ['100000'],
    flags: ['--expose-gc'],
    timeoutMs: 170_000,
  });
  const bytes = figures.find((one) => one.name === 'memory per idle connection')!.value;
  // The record alone has 512 bytes: less would mean that they were not there.
  expect(bytes).toBeGreaterThan(512);
  expect(bytes).toBeLessThanOrEqual(1024);
});

test('a million that are offloaded to the engine target fit in 1 GiB, measured by 100,000 of them, host and target together', {
  timeout: 180_000,
}, async () => {
  const { figures } = await runScript<Figures>('bench/cases/idle.ts', {
    args: ['100000', 'target'],
    flags: ['--expose-gc'],
    timeoutMs: 170_000,
  });
  const bytes = figures.find((one) => one.name === 'memory per idle connection, offloaded')!.value;
  // An endpoint, an object of the host and one of the target are more than this: less would mean that they were not there.
  expect(bytes).toBeGreaterThan(400);
  expect(bytes).toBeLessThanOrEqual(2 ** 30 / 1e6);
});
