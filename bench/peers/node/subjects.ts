/** Node's own net as a peer, over loopback: the measure of what a program in Node can have. */
import { compiled } from '../places.ts';
import { Program } from '../shell.ts';
import type { Running, Subject } from '../subject.ts';

const LOOPBACK = '127.0.0.1';

async function start(): Promise<Running> {
  const program = await new Program(process.execPath, [compiled('node/server.js'), LOOPBACK]).ready();
  return { pid: program.pid, address: LOOPBACK, said: () => program.said, stop: () => program.stop() };
}

export const nodeSubjects: readonly Subject[] = [
  {
    name: 'node net',
    what: "Node's own net, loopback",
    modes: ['in', 'back', 'out', 'drop', 'echo'],
    kind: 'node',
    offloads: true,
    missing: () => null,
    start,
  },
];
