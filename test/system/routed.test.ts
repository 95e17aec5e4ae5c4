/**
 * Peers behind a router of the kernel, which takes no packet whose TTL or hop limit has run out: downloads and uploads of curl while
 * the connections move. Router and client are network namespaces. Root only.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findingText } from '../../src/contract/finding.ts';
import { openPacket, PacketLink } from '../../src/link/node/index.ts';
import { createStack, type Stack } from '../../src/stack.ts';
import { workerTarget } from '../../src/target/worker/index.ts';
import { describeIf, requires } from '../support/requires.ts';
import { contentHash } from './support/content.ts';
import { serveFiles } from './support/file-server.ts';
import { Mover } from './support/mover.ts';
import { shell } from './support/programs.ts';

const BYTES = 16 << 20;
const ZEROS = createHash('sha256').update(Buffer.alloc(BYTES)).digest('hex');
/** The path's own MTU, behind the router. */
const FAR_MTU = 1400;

const tag = process.pid % 100_000;
const router = `chr${tag}`;
const client = `chk${tag}`;
const [near, nearPeer, far, farPeer] = ['a', 'b', 'c', 'd'].map((end) => `chr${tag}${end}`) as [
  string,
  string,
  string,
  string,
];

function ip(...words: readonly string[]): void {
  execFileSync(
    'ip',
    words.flatMap((word) => word.split(' ')),
  );
}

function inside(namespace: string, ...words: readonly string[]): void {
  ip(`netns exec ${namespace}`, ...words);
}

let stack: Stack | undefined;
let mover: Mover;

beforeEach(() => {
  mover = new Mover(5);
  for (const name of [router, client]) ip(`netns add ${name}`);
  ip(`link add ${near} type veth peer name ${nearPeer} netns ${router}`);
  ip(`link add ${far} netns ${router} type veth peer name ${farPeer} netns ${client}`);
  ip(`link set ${near} up`);
  for (const [namespace, name, four, six] of [
    [router, nearPeer, '10.198.1.1/24', 'fd00:c48:1::1/64'],
    [router, far, '10.198.2.1/24', 'fd00:c48:2::1/64'],
    [client, farPeer, '10.198.2.2/24', 'fd00:c48:2::2/64'],
  ] as const) {
    ip(`-n ${namespace} address add ${four} dev ${name}`);
    ip(`-n ${namespace} address add ${six} dev ${name} nodad`);
    ip(`-n ${namespace} link set ${name} up`);
  }
  for (const [namespace, name] of [
    [router, far],
    [client, farPeer],
  ] as const)
    ip(`-n ${namespace} link set ${name} mtu ${FAR_MTU}`);
  inside(router, 'sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1');
  ip(`-n ${client} route add default via 10.198.2.1`);
  ip(`-n ${client} route add default via fd00:c48:2::1`);
});

afterEach(async () => {
  mover.stop();
  await stack?.close();
  const closed = stack;
  stack = undefined;
  ip(`link delete ${near}`);
  for (const name of [client, router]) ip(`netns delete ${name}`);
  expect(closed?.findings.map(findingText)).toEqual([]);
  expect(closed?.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
  expect(mover.refusals).toEqual([]);
});

describeIf([requires.netns, requires.program('curl'), requires.program('sysctl')], 'a peer behind a router', () => {
  test.each([
    ['in the host’s thread', false],
    ['in a NIC thread', true],
  ] as const)(
    'takes and gives what it should, over a path of a smaller MTU, the target %s',
    async (_where, hasThread) => {
      stack = createStack({
        verify: true,
        links: [
          {
            ...(hasThread ? workerTarget(openPacket({ name: near })) : { link: PacketLink.open({ name: near }) }),
            addresses: ['10.198.1.2/24', 'fd00:c48:1::2/64'],
            routes: [
              { to: '0.0.0.0/0', via: '10.198.1.1' },
              { to: '::/0', via: 'fd00:c48:1::1' },
            ],
          },
        ],
      });
      const server = await serveFiles(stack, 8080, (socket) => mover.add(socket));
      for (const host of ['10.198.1.2', '[fd00:c48:1::2]']) {
        const curl = `ip netns exec ${client} curl -sS -g --max-time 50`;
        const down = await shell(`${curl} http://${host}:8080/${BYTES} | sha256sum`);
        expect(down.stdout.split(' ')[0]).toBe(contentHash(BYTES));
        const up = await shell(`head -c ${BYTES} /dev/zero | ${curl} -H Expect: -T - http://${host}:8080/`);
        expect(up.stdout).toBe(`${BYTES} ${ZEROS}\n`);
      }
      server.close();
      expect(Math.min(mover.toTarget, mover.toHost)).toBeGreaterThanOrEqual(3);
    },
    240_000,
  );
});
