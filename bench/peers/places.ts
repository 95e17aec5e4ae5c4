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

export const IN_NAMESPACE: readonly string[] = ['ip', 'netns', 'exec', NAMESPACE];
