/** Options of a stack's TCP, as they are checked where they come in. */
import { expect, test } from 'vitest';
import { createStack } from '../../src/stack.ts';

test('congestion control and ECN are chosen for a stack; what does not exist is refused with what does', async () => {
  const stack = createStack({ links: [], tcp: { congestion: 'cubic', ecn: true } });
  await stack.close();
  const refused =
    (tcp: object): (() => void) =>
    () =>
      void createStack({ links: [], tcp });
  expect(refused({ congestion: 'bbr' })).toThrow("tcp.congestion: expected 'newreno' or 'cubic', got 'bbr'");
  expect(refused({ ecn: 1 })).toThrow('tcp.ecn: expected true or false, got 1');
  expect(refused({ cubic: true })).toThrow('tcp.cubic: expected one of parameters, congestion, ecn, ');
});
