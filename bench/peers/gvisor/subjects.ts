/** gVisor's netstack as a peer: main.go, built with Debian's golang-gvisor-gvisor-dev. */
import { existsSync } from 'node:fs';
import { overTun } from '../over-tun.ts';
import { overWire } from '../over-wire.ts';
import { built, source, toBuild } from '../places.ts';
import { run } from '../shell.ts';
import type { Subject } from '../subject.ts';

const PROGRAM = built('gvisor');
const SOURCES = '/usr/share/gocode/src/gvisor.dev';

export function buildGvisor(): void {
  if (!existsSync(SOURCES)) throw new Error('golang-gvisor-gvisor-dev is not installed');
  run(
    'env',
    'GO111MODULE=off',
    'GOPATH=/usr/share/gocode',
    'go',
    'build',
    '-o',
    toBuild('gvisor'),
    source('gvisor/main.go'),
  );
}

export const gvisorSubjects: readonly Subject[] = [
  overTun('gVisor', 'netstack (Go), virtio-net header, TSO both ways', PROGRAM, true),
  overTun('gVisor plain', 'netstack with its own link, nothing left to the device', PROGRAM, false),
  overWire(
    'gVisor packet',
    'the same over AF_PACKET on a veth without TSO; it cannot take what is joined',
    PROGRAM,
    false,
  ),
];
