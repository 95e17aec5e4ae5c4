/** The IP layer allocates nothing per packet, in or out: measured in a process of its own, with a control that does. */
import { expect, test } from 'vitest';
import { ALLOCATION_FLAGS, runScript } from '../support/child.ts';

interface Answer {
  readonly results: Readonly<Record<string, { readonly bytesPerPacket: number; readonly nsPerPacket: number }>>;
  readonly taken: number;
}

/** What late compilation leaves; the smallest object a packet would be three times that. */
const NOISE_BYTES = 4;

test('a packet costs no memory: sent, received, answered, looped back, over either IP version', async () => {
  const { results, taken } = await runScript<Answer>('test/alloc/ip-layer.ts', {
    flags: ALLOCATION_FLAGS,
    timeoutMs: 60_000,
  });
  const { control, ...measured } = results;
  expect(control!.bytesPerPacket).toBeGreaterThan(20);
  expect(Object.keys(measured).length).toBe(8);
  // The turns in which looped packets come back are the virtual runtime's, and cost it a list each.
  const noise = (name: string): number => (name === 'loopback' ? 4 * NOISE_BYTES : NOISE_BYTES);
  expect(taken).toBeGreaterThan(1_000_000);
  for (const [name, { bytesPerPacket }] of Object.entries(measured)) {
    expect(bytesPerPacket, name).toBeLessThan(noise(name));
  }
}, 90_000);
