/**
 * Addresses that two have, on an Ethernet link with the kernel: each finds out that the other has one, and an address of ours that others
 * claim later is defended, also for connections that are offloaded. RFC 4862 5.4, RFC 5227. Root only.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { connect as kernelConnect } from 'node:net';
import { expect, test } from 'vitest';
import { findingText } from '../../src/contract/finding.ts';
import { PacketLink, TunLink } from '../../src/link/node/index.ts';
import type { StackSocket } from '../../src/socket/socket.ts';
import { createStack, type Stack } from '../../src/stack.ts';
import { arp } from '../host-path/frames.ts';
import { describeIf, requires } from '../support/requires.ts';
import { until } from './support/kernel-world.ts';

const KERNEL = ['10.209.9.1', 'fd00:c49::1'] as const;
const OURS = ['10.209.9.2', 'fd00:c49::2'] as const;
const STRANGER = Uint8Array.of(2, 0, 0, 0, 0, 0x77);
const TIMEOUT_MS = 60_000;
/** Three probes and the wait behind the last take seven seconds at most. RFC 5227 1.1. */
const TESTED_MS = 12_000;

function onTap(addresses: readonly string[], options: object = {}): { stack: Stack; name: string } {
  const link = TunLink.open({ kind: 'tap', addresses: ['10.209.9.1/24', 'fd00:c49::1/64'] });
  return { stack: createStack({ verify: true, links: [{ link, addresses, ...options }] }), name: link.name };
}

const events = (stack: Stack): { conflicts: number; duplicates: number } => {
  const { ADDRESS_CONFLICT: conflicts = 0, ADDRESS_DUPLICATE: duplicates = 0 } = stack.counters();
  return { conflicts, duplicates };
};

/** The code of the error that a listener is told of; empty: it is told of none. */
async function errorOf(act: (listener: (error?: Error) => void) => void): Promise<string> {
  return new Promise((resolve) => act((error) => resolve((error as NodeJS.ErrnoException | undefined)?.code ?? '')));
}

describeIf(requires.tun, 'an address that two have', () => {
  test.each([
    ['optimistic', 0],
    ['optimistic', 1],
    ['before-use', 0],
    ['before-use', 1],
  ] as const)(
    'the kernel has it already: it is given up, and not used (%s, %i)',
    async (duplicateAddressDetection, which) => {
      const address = KERNEL[which];
      const other = OURS[1 - which]!;
      const prefixes = [`${address}/${which === 0 ? 24 : 64}`, `${other}/${which === 0 ? 64 : 24}`];
      const { stack } = onTap(prefixes, { duplicateAddressDetection });
      try {
        await until(() => events(stack).duplicates === 1, 'the conflict is found', TESTED_MS);
        const server = stack.net.createServer();
        expect(await errorOf((told) => server.on('error', told).listen(80, address))).toBe('EADDRNOTAVAIL');
        // What else there is works, once it has been tested.
        const listens = async (): Promise<string> => {
          const one = stack.net.createServer();
          return errorOf((told) => one.on('error', told).listen(81, other, () => one.close(told as () => void)));
        };
        await expect.poll(listens, { timeout: TESTED_MS }).toBe('');
        expect(events(stack).duplicates).toBe(1);
      } finally {
        await stack.close();
      }
      expect(stack.findings.map(findingText)).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    'we have it already: the kernel, which asks, is told so and gives it up (RFC 4862 5.4.3)',
    async () => {
      // Not while it is still being tested: then both would have to give it up.
      const { stack, name } = onTap([`${OURS[1]}/64`], { duplicateAddressDetection: 'off' });
      try {
        execFileSync('ip', ['address', 'add', `${OURS[1]}/64`, 'dev', name]);
        const shown = (): string => execFileSync('ip', ['-6', 'address', 'show', 'dev', name]).toString();
        await until(() => /fd00:c49::2\/64 .*dadfailed/.test(shown()), 'the kernel has found the conflict');
        expect(events(stack).duplicates).toBe(0);
      } finally {
        await stack.close();
      }
    },
    TIMEOUT_MS,
  );

  test.each([
    ['host', 'defend-once'],
    ['target', 'defend-once'],
    ['target', 'defend-always'],
    ['target', 'cease'],
  ] as const)(
    'somebody claims ours while a connection is at the %s: %s (RFC 5227 2.4)',
    async (place, onConflict) => {
      const { stack, name } = onTap([`${OURS[0]}/24`], { onConflict, duplicateAddressDetection: 'off' });
      const stranger = PacketLink.open({ name });
      try {
        const server = stack.net.createServer((socket) => socket.pipe(socket));
        await new Promise<void>((resolve) => server.listen(7, OURS[0], resolve));
        const client = kernelConnect(7, OURS[0]);
        client.on('error', () => undefined);
        const [socket] = (await once(server, 'connection')) as [StackSocket];
        const errors: string[] = [];
        socket.on('error', (error: Error) => errors.push((error as NodeJS.ErrnoException).code ?? ''));
        if (place === 'target') await socket.chimney!.offload();
        const claim = (): void => {
          // To us alone: the kernel is not to believe it.
          const frame = arp(1, STRANGER, OURS[0], new Uint8Array(6), OURS[0]);
          stranger.transmit(frame, 0, frame.length);
        };
        const echoes = async (): Promise<void> => {
          client.write('still there?');
          expect(String(await once(client, 'data'))).toBe('still there?');
        };
        for (let claims = 1; claims <= 2; claims++) {
          claim();
          await until(() => events(stack).conflicts === claims || errors.length > 0, 'the claim is heard');
          const isDefended = onConflict === 'defend-always' || (onConflict === 'defend-once' && claims === 1);
          if (isDefended) await echoes();
          else break;
        }
        if (onConflict !== 'defend-always') {
          await until(() => errors.length > 0, 'the application is told');
          expect([errors, events(stack).duplicates]).toEqual([['ENETDOWN'], 1]);
          await until(() => stack.held().connections === 0, 'nothing is left of the connection');
        } else expect([errors, events(stack).duplicates]).toEqual([[], 0]);
        client.destroy();
        server.close();
      } finally {
        await stranger.close();
        await stack.close();
      }
      expect(stack.findings.map(findingText)).toEqual([]);
      expect(stack.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
    },
    TIMEOUT_MS,
  );
});
