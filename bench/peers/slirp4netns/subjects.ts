/**
 * slirp4netns as a peer: the kernel's end sits in a namespace behind it, its TCP ends there, and a socket of its own carries the bytes on to
 * a kernel server on loopback. The latter is more work than the others have, and what the program is for.
 */
import { serveOnLoopback } from '../kernel/subjects.ts';
import { NOT_SET_UP } from '../over-tun.ts';
import { IN_NAMESPACE, MTU, makeNamespace, NAMESPACE, removeNamespace } from '../places.ts';
import { Program, run, which } from '../shell.ts';
import type { Running, Subject } from '../subject.ts';

/** Where slirp shows the host's loopback to the namespace. */
const GATEWAY = '10.0.2.2';
const OWN = '10.0.2.100';

async function start(congestion: string): Promise<Running> {
  makeNamespace();
  const server = await serveOnLoopback(congestion);
  const path = `/var/run/netns/${NAMESPACE}`;
  const slirp = new Program('slirp4netns', ['--configure', `--mtu=${MTU}`, '--netns-type=path', path, 'tap0']);
  const stop = async (): Promise<void> => {
    await slirp.stop();
    await server.stop();
    removeNamespace();
  };
  try {
    await slirp.ready(() => run('ip', '-n', NAMESPACE, '-brief', 'address').includes(OWN));
  } catch (error) {
    await stop();
    throw error;
  }
  return { pid: slirp.pid, address: GATEWAY, prefix: IN_NAMESPACE, said: () => '', stop };
}

export const slirpSubjects: readonly Subject[] = [
  {
    name: 'slirp4netns',
    what: 'libslirp over TAP; its sockets carry the bytes on to a kernel server',
    modes: ['in', 'out', 'drop', 'echo'],
    kind: 'peer',
    offloads: false,
    missing: () => (which('slirp4netns') === null ? NOT_SET_UP : null),
    start,
  },
];
