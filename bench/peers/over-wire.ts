/**
 * Peers over an AF_PACKET socket on an Ethernet wire without TSO: a program each, that is given the device, the kernel's address and its own.
 */
import { spawnSync } from 'node:child_process';
import { kernelMissing, kernelProgram } from './kernel/subjects.ts';
import { IN_NAMESPACE, makeWire, removeWire, WIRE, WIRE_SERVER_ADDRESS } from './places.ts';
import { Program, prioritizeKernelThread, run, which } from './shell.ts';
import type { Running } from './subject.ts';

/** Why there is no wire; null: there is one. */
export function wireMissing(): string | null {
  if (process.getuid?.() !== 0) return 'making a device needs root';
  if (which('ip') === null) return 'ip is not installed';
  if (spawnSync('ip', ['netns', 'list']).status !== 0) return 'there are no network namespaces here';
  return kernelMissing();
}

/** Starts `command args...` over a new wire. */
export async function startOverWire(command: string, args: readonly string[]): Promise<Running> {
  makeWire((prefix) => {
    const [own, ...parts] = [...prefix, kernelProgram(), 'plain', WIRE];
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
