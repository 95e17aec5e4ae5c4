/** The kernel itself as a peer, over loopback and over a veth pair, and the program that is the kernel's end of all comparisons. */
import { existsSync, statSync } from 'node:fs';
import { built, IN_NAMESPACE, MTU, makeNamespace, NAMESPACE, removeNamespace, source, toBuild } from '../places.ts';
import { attempt, Program, run, which } from '../shell.ts';
import type { Running, Subject } from '../subject.ts';

const LOOPBACK = '127.0.0.1';
const VETH = 'chbench1';
const VETH_ADDRESS = '10.204.8.1';
const VETH_SERVER = '10.204.8.2';

/** Why there is no kernel's end; null: there is. Compiles it when it is not there or is old. */
export function kernelMissing(): string | null {
  const program = kernelProgram();
  const text = source('kernel/kernel.c');
  if (existsSync(program) && statSync(program).mtimeMs > statSync(text).mtimeMs) return null;
  if (which('gcc') === null) return 'gcc is not installed: nothing can be measured against the kernel';
  run('gcc', '-O2', '-o', toBuild('kernel'), text);
  return null;
}

export function kernelProgram(): string {
  return built('kernel');
}

/** Serves in this namespace: what slirp4netns and passt carry connections to. */
export function serveOnLoopback(congestion: string): Promise<Program> {
  return new Program(kernelProgram(), ['serve', LOOPBACK, congestion]).ready();
}

async function loopback(congestion: string): Promise<Running> {
  const program = await serveOnLoopback(congestion);
  return { pid: program.pid, address: LOOPBACK, said: () => program.said, stop: () => program.stop() };
}

async function veth(congestion: string): Promise<Running> {
  makeNamespace();
  attempt('ip', 'link', 'del', VETH);
  run('ip', 'link', 'add', VETH, 'mtu', MTU, 'type', 'veth', 'peer', 'name', VETH, 'netns', NAMESPACE, 'mtu', MTU);
  run('ip', 'addr', 'add', `${VETH_ADDRESS}/24`, 'dev', VETH);
  run('ip', 'link', 'set', VETH, 'up');
  run('ip', '-n', NAMESPACE, 'addr', 'add', `${VETH_SERVER}/24`, 'dev', VETH);
  run('ip', '-n', NAMESPACE, 'link', 'set', VETH, 'up');
  const [command, ...args] = [...IN_NAMESPACE, kernelProgram(), 'serve', VETH_SERVER, congestion];
  const program = await new Program(command!, args).ready();
  const stop = async (): Promise<void> => {
    await program.stop();
    removeNamespace();
  };
  return { pid: program.pid, address: VETH_SERVER, said: () => program.said, stop };
}

export const kernelSubjects: readonly Subject[] = [
  {
    name: 'kernel lo',
    what: 'C over sockets, loopback',
    modes: ['in', 'out', 'drop', 'echo'],
    kind: 'kernel',
    offloads: true,
    missing: kernelMissing,
    start: loopback,
  },
  {
    name: 'kernel veth',
    what: 'C over sockets, veth pair, MTU 1500, TSO',
    modes: ['in', 'out', 'drop', 'echo'],
    kind: 'kernel',
    offloads: true,
    missing: kernelMissing,
    start: veth,
  },
];
