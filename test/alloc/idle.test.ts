/** A hundred thousand idle established connections: what one costs, everything of it included. */
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
