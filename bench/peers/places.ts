/**
 * Where the peers live: compiled programs, devices, namespaces, addresses. Names and networks that nothing else here uses.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { attempt, run } from './shell.ts';

const ROOT = rootOf(fileURLToPath(new URL('.', import.meta.url)));

/** The folder with package.json, from a source as from its compiled file. */
function rootOf(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : rootOf(dirname(folder));
}

/** A source file of a peer. */
export function source(path: string): string {
  return join(ROOT, 'bench/peers', path);
}

/** Where a compiled peer goes. */
export function built(name: string): string {
  return join(ROOT, 'dist/bench/built', name);
}

/** The same, for those who put something there. */
export function toBuild(name: string): string {
  const path = built(name);
  mkdirSync(dirname(path), { recursive: true });
  return path;
}

/** The compiled form of a TypeScript file of this folder. */
export function compiled(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}

/** The TUN device of the server that runs: one at a time. */
export const DEVICE = 'chbench0';
export const KERNEL_ADDRESS = '10.204.7.1';
export const SERVER_ADDRESS = '10.204.7.2';
export const MTU = '1500';

/** Makes the device for a program that attaches to it. A queue long enough that no packet is dropped in front of a slow reader. */
export function makeDevice(): void {
  removeDevice();
  run('ip', 'tuntap', 'add', 'dev', DEVICE, 'mode', 'tun', 'vnet_hdr');
  run('ip', 'addr', 'add', `${KERNEL_ADDRESS}/24`, 'dev', DEVICE);
  run('ip', 'link', 'set', DEVICE, 'mtu', MTU, 'txqueuelen', '50000', 'up');
}

export function removeDevice(): void {
  attempt('ip', 'link', 'del', DEVICE);
}

/** A namespace for a peer that needs one. */
export const NAMESPACE = 'chbench';

export function makeNamespace(): void {
  removeNamespace();
  run('ip', 'netns', 'add', NAMESPACE);
  run('ip', '-n', NAMESPACE, 'link', 'set', 'lo', 'up');
}

export function removeNamespace(): void {
  attempt('ip', 'netns', 'del', NAMESPACE);
}

/** An Ethernet wire to the kernel's end in the namespace: the name of both its ends, and the addresses. */
export const WIRE = 'chbench2';
export const WIRE_KERNEL_ADDRESS = '10.204.10.1';
export const WIRE_SERVER_ADDRESS = '10.204.10.2';

/**
 * Makes the wire, for a program that opens this end of it as an AF_PACKET socket. No frame on it is longer than the MTU: neither end leaves
 * segmentation to it, nor checksums. The far end joins what it receives (GRO); this one, if `plain` says so. The far end does so in a thread of the kernel's, which
 * waits 20 µs for more when it has seen all, as the interrupts of an Ethernet card do: else each frame takes its whole way up in the
 * system call that sent it. What is sent queues as in front of a card, and is not dropped where 256 frames are on their way.
 */
export function makeWire(plain: (command: readonly string[]) => void): void {
  makeNamespace();
  attempt('ip', 'link', 'del', WIRE);
  const end = [WIRE, 'mtu', MTU];
  run('ip', 'link', 'add', ...end, 'type', 'veth', 'peer', 'name', ...end, 'netns', NAMESPACE);
  plain([]);
  plain(IN_NAMESPACE);
  run('ip', '-n', NAMESPACE, 'addr', 'add', `${WIRE_KERNEL_ADDRESS}/24`, 'dev', WIRE);
  run('ip', '-n', NAMESPACE, 'link', 'set', WIRE, 'up');
  run('ip', 'link', 'set', WIRE, 'up');
  for (const prefix of [[], IN_NAMESPACE]) {
    const [command, ...args] = [...prefix, 'tc', 'qdisc', 'replace', 'dev', WIRE, 'root', 'pfifo', 'limit', '10000'];
    run(command!, ...args);
  }
  const settings = ['1 > threaded', '20000 > gro_flush_timeout', '10 > napi_defer_hard_irqs'];
  const lines = settings.map((setting) => `echo ${setting}`).join(' && ');
  const [command, ...args] = [...IN_NAMESPACE, 'sh', '-c', `cd /sys/class/net/${WIRE} && ${lines}`];
  run(command!, ...args);
}

/** The wire goes with the namespace. */
export function removeWire(): void {
  removeNamespace();
}

export const IN_NAMESPACE: readonly string[] = ['ip', 'netns', 'exec', NAMESPACE];
