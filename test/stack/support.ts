/** What the tests of this folder have in common beside the stage itself. */
import { expect } from 'vitest';
import { findingText } from '../../src/contract/finding.ts';
import { TcpUploadReason } from '../../src/ndis/protocol.ts';
import type { TwoHosts } from './two-hosts.ts';

/** Why a target may ask a connection back: all but what says something of it that would not be true. EVT-008, INV-009. */
export const UPLOAD_REASONS: readonly TcpUploadReason[] = Object.values(TcpUploadReason).filter(
  (reason) => reason !== TcpUploadReason.HARDWARE_FAILURE && reason !== TcpUploadReason.INVALID_STATE,
);

/** Peers that never end by themselves. */
export const OPEN: number = 1 << 30;

/** Runs the world a little, so that promises of the stack settle, and answers how this one did. */
export async function settled<T>(hosts: Pick<TwoHosts, 'runtime'>, promise: Promise<T>): Promise<T> {
  let isOver = false;
  const over = (): void => {
    isOver = true;
  };
  promise.then(over, over);
  // An offload waits a tenth of a second for a gap in what was received to close.
  for (let i = 0; i < 4000 && !isOver; i++) {
    hosts.runtime.advance(100);
    await Promise.resolve();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return promise;
}

/** Closes both stacks: the verifiers had nothing to say, and nothing is left anywhere. */
export async function expectNothingHeld(hosts: TwoHosts): Promise<void> {
  expect([...hosts.server.findings, ...hosts.client.findings].map(findingText)).toEqual([]);
  await hosts.close();
  expect(hosts.server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
}
