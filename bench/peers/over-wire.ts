/**
 * Peers over an AF_PACKET socket on an Ethernet wire without TSO: a program each, that is given the device, the kernel's address and its own.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { kernelMissing, kernelProgram } from './kernel/subjects.ts';
import { NOT_SET_UP } from './over-tun.ts';
import { IN_NAMESPACE, makeWire, removeWire, WIRE, WIRE_SERVER_ADDRESS } from './places.ts';
import { Program, prioritizeKernelThread, run, which } from './shell.ts';
import type { Running, Subject } from './subject.ts';

/** Why there is no wire; null: there is one. */
export function wireMissing(): string | null {
  if (process.getuid?.() !== 0) return 'making a device needs root';
  if (which('ip') === null) return 'ip is not installed';
  if (spawnSync('ip', ['netns', 'list']).status !== 0) return 'there are no network namespaces here';
  return kernelMissing();
}

/** A peer that is a program: `PROGRAM DEVICE ADDRESS packet`. */
export function overWire(name: string, what: string, program: string, isJoined: boolean): Subject {
  const missing = (): string | null => wireMissing() ?? (existsSync(program) ? null : NOT_SET_UP);
  const start = (): Promise<Running> => startOverWire(program, [WIRE, WIRE_SERVER_ADDRESS, 'packet'], isJoined);
  return { name, what, modes: ['in', 'out', 'drop', 'echo'], kind: 'peer', offloads: false, missing, start };
}

/** Starts `command args...` over a new wire. `isJoined`: whether the kernel joins what arrives for it (GRO). */
export async function startOverWire(command: string, args: readonly string[], isJoined: boolean): Promise<Running> {
  makeWire((prefix) => {
    const isOwnEnd = prefix.length === 0;
    const [own, ...parts] = [...prefix, kernelProgram(), isOwnEnd && !isJoined ? 'apart' : 'plain', WIRE];
    run(own!, ...parts);
  });
  prioritizeKernelThread(WIRE);
  let program: Program;
  try {
    program = await new Program(command, args).ready();
  } catch (error) {
    removeWire();
    throw error;
  }
  const stop = async (): Promise<void> => {
    await program.stop();
    removeWire();
  };
  return { pid: program.pid, address: WIRE_SERVER_ADDRESS, prefix: IN_NAMESPACE, said: () => program.said, stop };
}
