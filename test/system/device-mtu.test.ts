/**
 * The MTU of an interface is changed by somebody else under a running stack: an AF_PACKET socket on a veth, a TUN and a TAP device, on the
 * event loop and in a NIC thread. Connections go on where they are, with shorter packets and with longer ones again. Root only.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { findingText } from '../../src/contract/finding.ts';
import type { DeviceDescription } from '../../src/link/node/device.ts';
import { DeviceLink, openPacket, openTun } from '../../src/link/node/index.ts';
import { libc } from '../../src/link/node/libc.ts';
import { LinkChange, LinkMonitor } from '../../src/link/node/link-monitor.ts';
import type { StackSocket } from '../../src/socket/socket.ts';
import { createStack } from '../../src/stack.ts';
import { spreadTarget, workerTarget } from '../../src/target/worker/index.ts';
import { describeIf, requires } from '../support/requires.ts';
import { until } from './support/kernel-world.ts';
import { run } from './support/programs.ts';

const near = `chm${process.pid % 100_000}a`;
const far = `chm${process.pid % 100_000}b`;
const namespace = `chimney-m${process.pid}`;
/** So much is sent with each MTU. */
const STEP = 4 << 20;
const MTUS = [1500, 1300, 1000, 1500] as const;
const TEXT = Buffer.alloc(STEP, 'shorter, shorter still, and as long as before; ');

const ip = (...args: string[]): string => execFileSync('ip', args).toString();
const setMtu = (name: string, mtu: number): string => ip('link', 'set', name, 'mtu', String(mtu));

/** A veth pair whose far end is the kernel's, in a namespace of its own. */
function makePair(): void {
  ip('netns', 'add', namespace);
  ip('link', 'add', near, 'type', 'veth', 'peer', 'name', far);
  ip('link', 'set', far, 'netns', namespace);
  ip('-n', namespace, 'addr', 'add', '10.217.9.1/24', 'dev', far);
  ip('-n', namespace, 'link', 'set', far, 'up');
  ip('link', 'set', near, 'up');
}

function removePair(): void {
  ip('link', 'delete', near);
  ip('netns', 'delete', namespace);
}

/** How long packets were on the average that left by an interface meanwhile, bytes. */
const meanSent = async (name: string, act: () => Promise<void>): Promise<number> => {
  const before = counted(name);
  await act();
  const after = counted(name);
  return (after.bytes - before.bytes) / (after.packets - before.packets);
};

function counted(name: string): { bytes: number; packets: number } {
  const read = (what: string): number => Number(readFileSync(`/sys/class/net/${name}/statistics/${what}`, 'utf8'));
  return { bytes: read('tx_bytes'), packets: read('tx_packets') };
}

describeIf([requires.tun, requires.netns], 'the MTU of an interface under AF_PACKET', () => {
  test.each([
    ['this thread', 'none'],
    ['this thread', 'all'],
    ['a NIC thread', 'none'],
    ['a NIC thread', 'all'],
  ] as const)(
    'is changed while a connection sends, in %s (offload: %s)',
    async (where, offload) => {
      makePair();
      try {
        const device = openPacket({ name: near, offload });
        const link = where === 'this thread' ? { link: new DeviceLink(device) } : workerTarget(device);
        const stack = createStack({ verify: true, links: [{ ...link, addresses: ['10.217.9.2/24'] }] });
        const iface = stack.host.ip.interfaces.find((one) => one.name === near)!;
        const server = stack.net.createServer();
        const accepted = new Promise<StackSocket>((resolve) => server.on('connection', resolve));
        await new Promise<void>((resolve) => server.listen(80, '10.217.9.2', resolve));
        const script = 'exec 3<>/dev/tcp/10.217.9.2/80; sha256sum <&3';
        const client = run('ip', ['netns', 'exec', namespace, 'bash', '-c', script]);
        const socket = await accepted;
        await socket.chimney!.offload();
        const sizes: number[] = [];
        for (const mtu of MTUS) {
          setMtu(near, mtu);
          // The far end is told of nothing, and goes on receiving longer packets than it would be sent.
          await until(() => iface.mtu === mtu, `the MTU is ${mtu}`);
          const written = (): Promise<void> => new Promise((resolve) => socket.write(TEXT, () => resolve()));
          sizes.push(await meanSent(near, written));
        }
        expect(socket.chimney!.location).toBe('target');
        socket.end();
        const hash = createHash('sha256');
        for (const _ of MTUS) hash.update(TEXT);
        expect((await client).stdout.split(' ')[0]).toBe(hash.digest('hex'));
        // Left to the device, a packet that is counted is a super-segment.
        if (offload === 'none') {
          const isSo = MTUS.map((mtu, i) => sizes[i]! > 0.8 * mtu && sizes[i]! <= mtu + 14);
          expect(isSo, String(sizes)).toEqual(MTUS.map(() => true));
        }
        server.close();
        await stack.close();
        expect(stack.findings.map(findingText)).toEqual([]);
        expect(stack.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
      } finally {
        removePair();
      }
    },
    60_000,
  );
});

describeIf(requires.tun, 'the MTU of a device of one’s own', () => {
  const addresses = ['10.217.8.1/24'];
  test.each([
    [
      'a TUN device, in this thread',
      'tun',
      (devices: DeviceDescription[]) => ({ link: new DeviceLink(devices[0]!) }),
      1,
    ],
    [
      'a TAP device, in this thread',
      'tap',
      (devices: DeviceDescription[]) => ({ link: new DeviceLink(devices[0]!) }),
      1,
    ],
    ['a TUN device, in a NIC thread', 'tun', (devices: DeviceDescription[]) => workerTarget(devices[0]!), 1],
    ['a TUN device with two queues', 'tun', (devices: DeviceDescription[]) => spreadTarget(devices), 2],
  ] as const)(
    'is followed down and up, to what it was at most: %s',
    async (_what, kind, link, queues) => {
      const devices = openTun({ kind, addresses }, queues);
      const { name } = devices[0]!;
      // Before anybody listens: it is asked for.
      setMtu(name, 1350);
      const stack = createStack({ verify: true, links: [{ ...link(devices), addresses: ['10.217.8.2/24'] }] });
      const iface = stack.host.ip.interfaces.find((one) => one.name === name)!;
      try {
        await until(() => iface.mtu === 1350, 'what was changed before is known');
        for (const [mtu, expected] of [
          [1280, 1280],
          [900, 900],
          [4000, 1500],
          [1400, 1400],
        ] as const) {
          setMtu(name, mtu);
          await until(() => iface.mtu === expected, `the MTU is ${expected}`);
        }
      } finally {
        await stack.close();
      }
      expect(stack.findings.map(findingText)).toEqual([]);
    },
    60_000,
  );
});

describeIf(requires.tun, 'who listens to an interface', () => {
  test('is told how things stand at first, and again when notifications were lost', () => {
    const [device] = openTun({ addresses: ['10.217.7.1/24'] });
    const { name, index } = device!;
    const monitor = new LinkMonitor(index);
    try {
      expect(monitor.read()).toBe(LinkChange.UP);
      expect(monitor.mtu).toBe(1500);
      // More than its queue holds, none of which is read.
      const lines = Array.from({ length: 3000 }, (_, i) => `link set ${name} mtu ${1000 + (i % 400)}`);
      execFileSync('ip', ['-force', '-batch', '-'], {
        input: [...lines, `link set ${name} mtu 1444 down`, ''].join('\n'),
      });
      const first = monitor.read();
      // What was not lost is old; the answer to the question that follows is not.
      expect([first, monitor.mtu]).not.toEqual([LinkChange.DOWN, 1444]);
      expect([monitor.read(), monitor.mtu]).toEqual([LinkChange.DOWN, 1444]);
      expect(monitor.read()).toBe(LinkChange.NONE);
    } finally {
      monitor.close();
      libc().close(device!.fd);
    }
  }, 30_000);
});
