/** A device allocates nothing for each segment that it cuts or joins: measured in a process of its own, with a control that does. */
import { expect } from 'vitest';
import { ALLOCATION_FLAGS, runScript } from '../support/child.ts';
import { describeIf, requires, testIf } from '../support/requires.ts';

interface Answer {
  readonly results: Readonly<Record<string, { readonly bytesPerFrame: number; readonly nsPerFrame: number }>>;
  readonly taken: number;
}

/** A read is a system call for each frame, to which an address goes as a number of 16 bytes; one more of those would show. */
const CALL_BYTES = 24;

describeIf([requires.linux, requires.package('koffi')], 'a device that neither cuts nor joins', () => {
  testIf(
    [],
    'costs no memory for each segment: cut, written many a call, read and joined',
    async () => {
      const { results, taken } = await runScript<Answer>('test/alloc/device.ts', {
        flags: ALLOCATION_FLAGS,
        timeoutMs: 60_000,
      });
      const { control, ...measured } = results;
      expect(control!.bytesPerFrame).toBeGreaterThan(20);
      expect(taken).toBeGreaterThan(1_000_000);
      for (const [name, { bytesPerFrame }] of Object.entries(measured)) {
        expect(bytesPerFrame, name).toBeLessThan(CALL_BYTES);
      }
    },
    90_000,
  );
});
