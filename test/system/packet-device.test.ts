/** An AF_PACKET socket on a veth: a queue of which no poll tells when it has room, and the threads that a device may be used in. Root only. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findingText } from '../../src/contract/finding.ts';
import { Device, Outcome } from '../../src/link/node/device.ts';
import { openPacket, startDeviceThread } from '../../src/link/node/index.ts';
import { createStack } from '../../src/stack.ts';
import { workerTarget } from '../../src/target/worker/index.ts';
import { compiled } from '../support/child.ts';
import { describeIf, requires } from '../support/requires.ts';
import { contentHash } from './support/content.ts';
import { setFeatures } from './support/ethtool.ts';
import { serveFiles } from './support/file-server.ts';
import { until } from './support/kernel-world.ts';
import { run } from './support/programs.ts';

const MIB = 1 << 20;
const near = `chq${process.pid % 100_000}a`;
const far = `chq${process.pid % 100_000}b`;
const namespace = `chimney-q${process.pid}`;

describeIf(
  [requires.tun, requires.netns, requires.program('curl')],
  'an AF_PACKET socket on a veth without TSO',
  () => {
    beforeEach(() => {
      execFileSync('ip', ['netns', 'add', namespace]);
      execFileSync('ip', ['link', 'add', near, 'type', 'veth', 'peer', 'name', far]);
      setFeatures(near, { tso: false, txChecksum: false });
      setFeatures(far, { tso: false, txChecksum: false, gro: true });
      execFileSync('ip', ['link', 'set', near, 'up']);
    });

    afterEach(() => {
      execFileSync('ip', ['link', 'delete', near]);
      execFileSync('ip', ['netns', 'delete', namespace]);
    });

    /** The far end goes to the namespace, with addresses. */
    const address = (): void => {
      const ip = (...args: string[]): void => void execFileSync('ip', args);
      ip('link', 'set', far, 'netns', namespace);
      ip('-n', namespace, 'addr', 'add', '10.202.4.1/24', 'dev', far);
      ip('-n', namespace, 'link', 'set', far, 'up');
    };

    /** The kernel in the namespace fetches a file, and brings one. */
    const fetchAndBring = async (): Promise<void> => {
      const inside = (line: string): Promise<{ stdout: string }> =>
        run('ip', ['netns', 'exec', namespace, 'bash', '-o', 'pipefail', '-c', line]);
      const down = await inside(`curl -sS http://10.202.4.2:8080/${64 * MIB} | sha256sum`);
      expect(down.stdout.split(' ')[0]).toBe(contentHash(64 * MIB));
      const up = await inside(`head -c ${64 * MIB} /dev/zero | curl -sS -H Expect: -T - http://10.202.4.2:8080/`);
      const zeros = createHash('sha256')
        .update(Buffer.alloc(64 * MIB))
        .digest('hex');
      expect(up.stdout).toBe(`${64 * MIB} ${zeros}\n`);
    };

    test('a queue that is full is tried again; what meets it for long is lost; what comes when there is room is sent', async () => {
      execFileSync('ip', ['link', 'set', far, 'up']);
      // The far end looks at its 256 places once in two seconds.
      writeFileSync(`/sys/class/net/${far}/gro_flush_timeout`, '2000000000');
      writeFileSync(`/sys/class/net/${far}/napi_defer_hard_irqs`, '1000');
      // What is sent before the kernel has seen the carrier is lost without a word.
      const isUp = (): boolean => readFileSync(`/sys/class/net/${near}/operstate`, 'utf8') === 'up\n';
      await until(isUp, 'there is a carrier');
      const device = new Device(openPacket({ name: near, offload: 'none' }));
      try {
        const frame = new Uint8Array(1514);
        let outcome = 0;
        for (let i = 0; i < 2000 && outcome === 0; i++) outcome = device.write(frame, 0, frame.length, 0, null);
        expect(outcome).toBe(Outcome.AGAIN);
        expect(device.writeErrors).toBe(0);
        await until(() => device.write(frame, 0, frame.length, 0, null) === 0, 'it is not waited for for ever');
        expect(device.writeErrors).toBe(1);
        const lost = (): boolean => {
          const { writeErrors } = device;
          expect(device.write(frame, 0, frame.length, 0, null)).toBe(0);
          return device.writeErrors > writeErrors;
        };
        expect(lost()).toBe(true);
        await until(() => !lost(), 'there is room again');
      } finally {
        device.close();
      }
    }, 30_000);

    test('serves from a NIC thread', async () => {
      address();
      const device = openPacket({ name: near, offload: 'none' });
      const stack = createStack({ verify: true, links: [{ ...workerTarget(device), addresses: ['10.202.4.2/24'] }] });
      let offloaded = 0;
      const server = await serveFiles(stack, 8080, (socket) => {
        void socket.chimney!.offload().then(() => offloaded++);
      });
      await fetchAndBring();
      expect(offloaded).toBe(2);
      server.close();
      await stack.close();
      expect(stack.findings.map(findingText)).toEqual([]);
    }, 60_000);

    test('serves from a thread of its own', async () => {
      address();
      const thread = await startDeviceThread(compiled('test/system/support/file-thread.ts'), {
        devices: [openPacket({ name: near, offload: 'checksum' })],
        data: '10.202.4.2/24',
      });
      await fetchAndBring();
      expect(await thread.close()).toBeNull();
    }, 60_000);
  },
);
