/** A peer that is a program over the TUN device: `PROGRAM DEVICE ADDRESS all|none`. */
import { existsSync } from 'node:fs';
import { DEVICE, makeDevice, removeDevice, SERVER_ADDRESS } from './places.ts';
import { Program } from './shell.ts';
import type { Running, Subject } from './subject.ts';

/** Said of every peer that is not there. */
export const NOT_SET_UP = 'not installed: npm run bench -- --setup';

export function overTun(name: string, what: string, program: string, offloads: boolean): Subject {
  const start = async (): Promise<Running> => {
    makeDevice();
    const running = await new Program(program, [DEVICE, SERVER_ADDRESS, offloads ? 'all' : 'none']).ready();
    const stop = async (): Promise<void> => {
      await running.stop();
      removeDevice();
    };
    return { pid: running.pid, address: SERVER_ADDRESS, said: () => running.said, stop };
  };
  const missing = (): string | null => {
    if (process.getuid?.() !== 0) return 'making a device needs root';
    return existsSync(program) ? null : NOT_SET_UP;
  };
  return { name, what, modes: ['in', 'out', 'drop', 'echo'], kind: 'peer', offloads, missing, start };
}
