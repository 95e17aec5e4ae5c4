/**
 * What is measured by files of `cases/`: each variant is one of them, compiled, with its arguments, in a process of its own.
 */

/** Flags under which no scavenge hides garbage. */
const ALLOCATION_FLAGS = ['--expose-gc', '--min-semi-space-size=64', '--max-semi-space-size=64'];

export interface Variant {
  readonly file: string;
  readonly args: readonly string[];
  readonly flags?: readonly string[];
}

export interface Group {
  readonly name: string;
  readonly what: string;
  readonly rounds: number;
  /** Left out, and said so, where the process is not root. */
  readonly needsRoot?: boolean;
  /** Left out, and said so, where this program is not installed. */
  readonly needsProgram?: string;
  /** Runs only when it is named. */
  readonly isLong?: boolean;
  readonly variants: readonly Variant[];
}

export const GROUPS: readonly Group[] = [
  {
    name: 'goodput',
    what: 'one bulk stream, both ends in one thread, 64 KiB writes; Gbit/s. Memory link against Node over loopback',
    rounds: 5,
    variants: [
      { file: './cases/goodput.js', args: ['host', '1024', '65535'] },
      { file: './cases/goodput.js', args: ['target', '1024', '65535'] },
      { file: './cases/goodput.js', args: ['node', '1024', '65535'] },
    ],
  },
  {
    name: 'goodput-1500',
    what: 'the same at MTU 1500',
    rounds: 3,
    variants: [
      { file: './cases/goodput.js', args: ['host', '256', '1500'] },
      { file: './cases/goodput.js', args: ['target', '256', '1500'] },
    ],
  },
  {
    name: 'http',
    what: "node:http, short requests of wrk, 64 connections kept alive or one a request: Node's own net over loopback, stack.net over TUN",
    rounds: 3,
    needsRoot: true,
    needsProgram: 'wrk',
    variants: ['kept', 'fresh'].flatMap((mode) =>
      ['node', 'host', 'target'].map((variant) => ({ file: './cases/http.js', args: [variant, mode, '3'] })),
    ),
  },
  {
    name: 'step',
    what: "the engine's step: time and bytes allocated per segment",
    rounds: 3,
    variants: [{ file: './cases/step.js', args: [], flags: ALLOCATION_FLAGS }],
  },
  {
    name: 'verifier',
    what: 'the engine target per segment: an NDIS without observers, none seated, and one seated on each binding',
    rounds: 5,
    variants: [
      { file: './cases/verifier.js', args: ['bare'], flags: ALLOCATION_FLAGS },
      { file: './cases/verifier.js', args: ['absent'], flags: ALLOCATION_FLAGS },
      { file: './cases/verifier.js', args: ['seated'], flags: ALLOCATION_FLAGS },
    ],
  },
  {
    name: 'wire',
    what: 'codecs and checksum',
    rounds: 1,
    variants: [{ file: './cases/wire.js', args: [], flags: ALLOCATION_FLAGS }],
  },
  {
    name: 'freeze',
    what: 'freeze of a move in one process, data flowing both ways',
    rounds: 3,
    variants: [{ file: './cases/freeze.js', args: ['4000'] }],
  },
  {
    name: 'worker',
    what: 'kernel to application to kernel over TUN, the application only pipes: on the host thread, offloaded to the engine target in it, and to a NIC thread',
    rounds: 3,
    needsRoot: true,
    variants: ['host', 'engine', 'worker', 'moves'].map((variant) => ({
      file: './cases/worker.js',
      args: [variant, '3'],
    })),
  },
  {
    name: 'bulk',
    what: '100,000 idle connections, all moved through one tree each way',
    rounds: 1,
    variants: [{ file: './cases/bulk.js', args: ['100000', '5'] }],
  },
  {
    name: 'failover',
    what: '500 connections in full flow over a team of two links; the link in use is cut',
    rounds: 3,
    variants: [{ file: './cases/failover.js', args: ['500', '384'] }],
  },
  {
    name: 'crowd',
    what: '10,000 connections at once',
    rounds: 3,
    variants: [{ file: './cases/crowd.js', args: ['10000'] }],
  },
  {
    name: 'idle',
    what: 'memory of 100,000 idle established connections, one end',
    rounds: 1,
    variants: [{ file: './cases/idle.js', args: ['100000'], flags: ['--expose-gc'] }],
  },
  {
    name: 'idle-million',
    what: 'memory of a million idle established connections, both ends of half a million in one process',
    rounds: 1,
    isLong: true,
    variants: [{ file: './cases/idle.js', args: ['500000'], flags: ['--expose-gc', '--max-old-space-size=6144'] }],
  },
  {
    name: 'soak',
    what: 'ten minutes (--minutes N) of mixed load and constant moves: memory flat, nothing held, hashes right',
    rounds: 1,
    isLong: true,
    variants: [{ file: './cases/soak.js', args: ['MINUTES'], flags: ['--expose-gc'] }],
  },
];
