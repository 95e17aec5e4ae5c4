/**
 * lwIP as a peer: driver.c with Debian's liblwip, and with Debian's source of lwIP and options for large windows (large/lwipopts.h).
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { overTun } from '../over-tun.ts';
import { overWire } from '../over-wire.ts';
import { built, source, toBuild } from '../places.ts';
import { run } from '../shell.ts';
import type { Subject } from '../subject.ts';

const DEBIAN = built('lwip-debian');
const LARGE = built('lwip-large');
const FLAGS = ['-O2', '-Wno-address'];
const HEADERS = '/usr/include/lwip';

export function buildLwipDebian(): void {
  if (!existsSync(HEADERS)) throw new Error('liblwip-dev is not installed');
  run('gcc', ...FLAGS, `-I${HEADERS}`, '-o', toBuild('lwip-debian'), source('lwip/driver.c'), '-llwip');
}

export function buildLwipLarge(): void {
  const folder = lwipSource();
  const sources = ['src/core', 'src/core/ipv4'].flatMap((part) =>
    readdirSync(join(folder, part))
      .filter((name) => name.endsWith('.c'))
      .map((name) => join(folder, part, name)),
  );
  sources.push(join(folder, 'src/netif/ethernet.c'));
  const includes = [`-I${source('lwip/large')}`, `-I${folder}/src/include`];
  run('gcc', ...FLAGS, ...includes, '-o', toBuild('lwip-large'), source('lwip/driver.c'), ...sources);
}

/** Debian's source package of lwIP, unpacked; fetched when it is not there. Answers its folder. */
function lwipSource(): string {
  const folder = toBuild('lwip-source');
  mkdirSync(folder, { recursive: true });
  const unpacked = (): string | undefined => readdirSync(folder).find((name) => /^lwip-[\d.]+/.test(name));
  if (unpacked() === undefined) fetchSource(folder);
  return join(folder, unpacked() ?? '');
}

/** apt with lists of its own, in which the machine's binary archives of Debian are named as source archives too. */
function fetchSource(folder: string): void {
  const parts = join(folder, 'sources');
  mkdirSync(parts, { recursive: true });
  const system = '/etc/apt/sources.list.d';
  cpSync(system, parts, { recursive: true });
  if (existsSync('/etc/apt/sources.list')) cpSync('/etc/apt/sources.list', join(parts, 'main.list'));
  for (const name of readdirSync(parts)) {
    const text = readFileSync(join(parts, name), 'utf8');
    if (!text.includes('debian')) rmSync(join(parts, name));
    else
      writeFileSync(join(parts, name), text.replace(/^Types:.*$/gm, 'Types: deb-src').replace(/^deb /gm, 'deb-src '));
  }
  for (const part of ['lists/partial', 'cache/archives/partial']) mkdirSync(join(folder, part), { recursive: true });
  const options = {
    'Dir::Etc::sourcelist': '/dev/null',
    'Dir::Etc::sourceparts': parts,
    'Dir::State::lists': join(folder, 'lists'),
    'Dir::Cache': join(folder, 'cache'),
  };
  const settings = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  run('apt-get', ...settings, '-qq', 'update');
  run('sh', '-c', 'cd "$0" && shift 0 && apt-get "$@" -qq source lwip', folder, ...settings);
}

export const lwipSubjects: readonly Subject[] = [
  overTun('lwIP large', 'lwIP with windows of 4 MiB, virtio-net header, super-segments inward', LARGE, true),
  overTun('lwIP large plain', 'the same, nothing left to the device', LARGE, false),
  overWire('lwIP large packet', 'the same over AF_PACKET on a veth without TSO, frames sent by sendmmsg', LARGE, true),
  overTun('lwIP Debian', "Debian's liblwip: windows of 64 KiB, nothing left to the device", DEBIAN, false),
];
