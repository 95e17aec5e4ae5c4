/**
 * passt (as pasta) as a peer: like slirp4netns, the kernel's end sits in a namespace, and sockets of its own carry the bytes on to a kernel
 * server on loopback.
 */
import { serveOnLoopback } from '../kernel/subjects.ts';
import { NOT_SET_UP } from '../over-tun.ts';
import { IN_NAMESPACE, MTU, makeNamespace, NAMESPACE, removeNamespace } from '../places.ts';
import { Program, run, which } from '../shell.ts';
import type { Running, Subject } from '../subject.ts';

/** The namespace's gateway, which passt maps to the host's loopback. */
const GATEWAY = '10.204.9.1';
const OWN = '10.204.9.2';

async function start(congestion: string): Promise<Running> {
  makeNamespace();
  const server = await serveOnLoopback(congestion);
  const device = ['--ipv4-only', '--config-net', '--ns-ifname', 'tap0', '--mtu', MTU];
  const addresses = ['--address', OWN, '--netmask', '255.255.255.0', '--gateway', GATEWAY];
  const ports = ['-t', 'none', '-u', 'none', '-T', 'none', '-U', 'none'];
  const namespace = ['--runas', '0', '--netns', `/var/run/netns/${NAMESPACE}`, '--netns-only'];
  const pasta = new Program('pasta', ['--foreground', '--quiet', ...device, ...addresses, ...ports, ...namespace]);
  const stop = async (): Promise<void> => {
    await pasta.stop();
    await server.stop();
    removeNamespace();
  };
  try {
    await pasta.ready(() => run('ip', '-n', NAMESPACE, '-brief', 'address').includes(OWN));
  } catch (error) {
    await stop();
    throw error;
  }
  return { pid: pasta.pid, address: GATEWAY, prefix: IN_NAMESPACE, said: () => '', stop };
}

export const passtSubjects: readonly Subject[] = [
  {
    name: 'passt',
    what: 'pasta over TAP; its sockets carry the bytes on to a kernel server',
    modes: ['in', 'out', 'drop', 'echo'],
    kind: 'peer',
    offloads: false,
    missing: () => (which('pasta') === null ? NOT_SET_UP : null),
    start,
  },
];
