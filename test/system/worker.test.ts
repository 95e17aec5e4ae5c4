/**
 * A NIC thread over a real TUN device: the kernel's own curl downloads and uploads while the connections move between the host's
 * thread and the NIC's. Root only.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { findingText } from '../../src/contract/finding.ts';
import { openTun } from '../../src/link/node/open-tun.ts';
import type { StackSocket } from '../../src/socket/socket.ts';
import { createStack, type Stack } from '../../src/stack.ts';
import type { SpreadAdapter } from '../../src/target/worker/spread-adapter.ts';
import type { WorkerControl } from '../../src/target/worker/worker-control.ts';
import { spreadTarget, workerTarget } from '../../src/target/worker/worker-target.ts';
import { describeIf, requires } from '../support/requires.ts';
import { contentHash, digest } from './support/content.ts';
import { serveFiles } from './support/file-server.ts';
import { Mover } from './support/mover.ts';
import { shell } from './support/programs.ts';

const MIB = 1 << 20;

interface WorkerWorld {
  readonly stack: Stack;
  readonly mover: Mover;
  /** The stack's address as it stands in a URL. */
  host(family: 4 | 6): string;
}

let world: WorkerWorld | undefined;
let worlds = 0;

function open(kind: 'tun' | 'tap', offload: 'all' | 'none', queues = 1, restart = 3): WorkerWorld {
  const n = (process.pid + worlds++ * 7) % 250;
  const six = new Uint8Array(16);
  six.set([0xfd, 0, 0x0c, 0x46, 0, n]);
  six[15] = 1;
  const addresses = [
    { address: Uint8Array.of(10, 206, n, 1), prefixLength: 24 },
    { address: six, prefixLength: 64 },
  ];
  const devices = openTun({ kind, offload, addresses }, queues);
  const nic = queues === 1 ? workerTarget(devices[0]!, { restart }) : spreadTarget(devices, { restart });
  const stack = createStack({
    verify: true,
    links: [{ ...nic, addresses: [`10.206.${n}.2/24`, `fd00:c46:${n.toString(16)}::2/64`] }],
  });
  world = {
    stack,
    mover: new Mover(5),
    host: (family) => (family === 4 ? `10.206.${n}.2` : `[fd00:c46:${n.toString(16)}::2]`),
  };
  return world;
}

afterEach(async () => {
  const { stack, mover } = world!;
  mover.stop();
  await stack.close();
  expect(stack.findings.map(findingText)).toEqual([]);
  expect(stack.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
  expect(mover.refusals).toEqual([]);
  world = undefined;
});

describeIf([requires.tun, requires.program('curl')], 'a NIC thread over a device of the kernel', () => {
  test.each([
    ['tun', 4, 'all'],
    ['tun', 6, 'all'],
    ['tap', 4, 'all'],
    ['tun', 4, 'none'],
  ] as const)(
    'a download and an upload by curl over %s, IPv%i, offload %s, moving all the while',
    async (kind, family, offload) => {
      const { stack, mover, host } = open(kind, offload);
      const bytes = (offload === 'all' ? 128 : 32) * MIB;
      const server = await serveFiles(stack, 8080, (socket) => mover.add(socket));
      const url = `http://${host(family)}:8080/`;
      const down = await shell(`curl -sS -g ${url}${bytes} | sha256sum`, { timeoutMs: 120_000 });
      expect(down.stdout.split(' ')[0]).toBe(contentHash(bytes));
      const up = await shell(`head -c ${bytes} /dev/zero | curl -sS -g -H Expect: -T - ${url}`, { timeoutMs: 120_000 });
      const zeros = createHash('sha256').update(Buffer.alloc(bytes)).digest('hex');
      expect(up.stdout).toBe(`${bytes} ${zeros}\n`);
      server.close();
      expect(mover.toTarget).toBeGreaterThanOrEqual(3);
      expect(mover.toHost).toBeGreaterThanOrEqual(3);
    },
    120_000,
  );

  test.each([1, 2])(
    '32 downloads at once by curl, each of them moving, %i NIC threads',
    async (threads) => {
      const { stack, mover, host } = open('tun', 'all', threads);
      const server = await serveFiles(stack, 8080, (socket) => mover.add(socket));
      const one = `curl -sS http://${host(4)}:8080/${4 * MIB} | sha256sum`;
      const { stdout } = await shell(`for i in $(seq 32); do (${one}) & done; wait`, { timeoutMs: 120_000 });
      const hashes = stdout.trim().split('\n');
      expect(hashes).toHaveLength(32);
      for (const hash of hashes) expect(hash.split(' ')[0]).toBe(contentHash(4 * MIB));
      server.close();
      expect(mover.toTarget).toBeGreaterThan(10);
    },
    120_000,
  );

  test.each(['throw', 'hang'] as const)(
    'a thread that dies (%s) under 24 transfers of the kernel: what is taken back ends with the right hash, and the device goes on',
    async (how) => {
      const { stack, host } = open('tun', 'all', 1, 0);
      const { control } = stack.target([...stack.targets.keys()][0]!) as unknown as { control: WorkerControl };
      const sockets: StackSocket[] = [];
      const server = await serveFiles(stack, 8080, (socket) => {
        sockets.push(socket as unknown as StackSocket);
        socket.chimney!.offload().catch(() => {});
      });
      const url = `http://${host(4)}:8080/`;
      const idle = connect(8080, host(4));
      await once(idle, 'connect');
      const bytes = 16 * MIB;
      const one = `(curl -sS ${url}${bytes} || true) | sha256sum`;
      const transfers = shell(`for i in $(seq 24); do (${one}) & done; wait`, { timeoutMs: 120_000 });
      await expect.poll(() => sockets.filter((socket) => socket.bytesWritten > MIB).length).toBeGreaterThan(2);
      control.fail(how);
      const hashes = (await transfers).stdout.trim().split('\n');
      expect(control.death).not.toBe('');
      const whole = hashes.filter((hash) => hash.split(' ')[0] === contentHash(bytes)).length;
      const lost = sockets.filter((socket) => socket.errored !== null).length;
      expect(whole).toBeGreaterThanOrEqual(24 - lost);
      // The idle one among them, and one that comes after.
      expect(sockets[0]!.chimney!.location).toBe('host');
      idle.write(`GET /${MIB} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      const [answer] = (await once(idle, 'data')) as [Buffer];
      expect(answer.toString('latin1')).toContain('200');
      idle.destroy();
      const late = await shell(`curl -sS ${url}${MIB} | sha256sum`, { timeoutMs: 60_000 });
      expect(late.stdout.split(' ')[0]).toBe(contentHash(MIB));
      server.close();
    },
    120_000,
  );

  test.each([
    ['the other one', 0],
    ['the one that takes its place', 3],
  ])(
    'one of two threads dies: its connections come back, and go down again to %s',
    async (_name, restart) => {
      const { stack, host } = open('tun', 'all', 2, restart);
      const { threads } = [...stack.targets.values()][0] as unknown as SpreadAdapter;
      const sockets: StackSocket[] = [];
      const server = await serveFiles(stack, 8080, (socket) => sockets.push(socket as unknown as StackSocket));
      const idle = Array.from({ length: 12 }, () => connect(8080, host(4)));
      await expect.poll(() => sockets.length).toBe(12);
      await Promise.all(sockets.map((socket) => socket.chimney!.offload()));
      const before = threads.map(({ control }) => control.held().tcpObjects);
      expect(Math.min(...before)).toBeGreaterThan(0);
      threads[0]!.control.fail('throw');
      await expect.poll(() => sockets.filter(({ chimney }) => chimney?.location === 'host').length).toBe(before[0]);
      if (restart === 0) expect(threads[0]!.isDead).toBe(true);
      else await expect.poll(() => threads[0]!.control.restarts, { timeout: 20_000 }).toBe(1);
      // The host hears of it a moment later.
      await new Promise((resolve) => setTimeout(resolve, 100));
      await Promise.all(sockets.map((socket) => socket.chimney!.offload()));
      expect(threads.map(({ control }) => control.held().tcpObjects)).toEqual(restart === 0 ? [0, 12] : before);
      const answers = idle.map(async (socket) => {
        const end = digest(socket);
        socket.write(`GET /${4 * MIB} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
        expect((await end).bytes).toBeGreaterThan(4 * MIB);
      });
      await Promise.all(answers);
      // And a flow that comes now.
      const late = await shell(`curl -sS http://${host(4)}:8080/${MIB} | sha256sum`, { timeoutMs: 60_000 });
      expect(late.stdout.split(' ')[0]).toBe(contentHash(MIB));
      server.close();
    },
    120_000,
  );
});
