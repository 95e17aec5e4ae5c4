import { expect, test } from 'vitest';
import { ALLOCATION_FLAGS, runScript } from '../support/child.ts';

interface Figures {
  readonly figures: readonly { readonly name: string; readonly value: number; readonly unit: string }[];
}

test('encoding, decoding and summing a packet allocates nothing, over either IP version', {
  timeout: 60_000,
}, async () => {
  const { figures } = await runScript<Figures>('bench/cases/wire.ts', { flags: ALLOCATION_FLAGS, timeoutMs: 30_000 });
  const allocated = new Map(figures.filter((one) => one.unit === 'B/packet').map((one) => [one.name, one.value]));
  // The measurement itself can tell: an object a packet shows.
  expect(allocated.get('control, allocated')).toBeGreaterThan(8);
  allocated.delete('control, allocated');
  expect(allocated.size).toBeGreaterThan(5);
  // The smallest object takes 12 bytes; what the compiler leaves behind while it works counts for far less.
  for (const [name, bytes] of allocated) expect(bytes, name).toBeLessThan(6);
});
