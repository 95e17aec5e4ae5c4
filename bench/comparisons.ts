/**
 * The comparisons with the kernel on the other side: this package, Node's net, the kernel and other user-space stacks do the same work
 * for the same program, in turn, in one run.
 */
import type { Plan } from './peers/compare.ts';
import { subjects } from './peers/index.ts';

export interface ComparisonGroup {
  readonly name: string;
  readonly what: string;
  readonly plan: Pick<Plan, 'subjects' | 'modes' | 'connections' | 'rounds' | 'warmMs' | 'runMs'>;
}

const inNode = subjects.filter(({ kind, offloads }) => (kind === 'ours' && offloads) || kind === 'node');
const onHost = inNode.filter(({ name }) => name !== 'chimney engine' && name !== 'chimney thread');

export const COMPARISONS: readonly ComparisonGroup[] = [
  {
    name: 'peers',
    what: 'one connection, the kernel on the other side; MTU 1500 over TUN (packet: over AF_PACKET on a veth without TSO). in: kernel to application; back: without a copy (Node: into its own buffer); out: 64 KiB writes; drop: the same to a reader that has the kernel throw away what came (MSG_TRUNC); echo: one byte',
    plan: {
      subjects,
      modes: ['in', 'back', 'out', 'drop', 'echo'],
      connections: [1],
      rounds: 5,
      warmMs: 500,
      runMs: 1500,
    },
  },
  {
    name: 'scaling',
    what: 'aggregate goodput of many connections',
    plan: {
      subjects: onHost,
      modes: ['in', 'out'],
      connections: [1, 10, 100, 1000, 10_000],
      rounds: 3,
      warmMs: 4000,
      runMs: 2000,
    },
  },
];
