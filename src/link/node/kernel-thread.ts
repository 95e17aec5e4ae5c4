/**
 * The NAPI of a network interface in a thread of the kernel's own, at the priority of this process.
 *
 * Promises: an interface that is not ours, or a kernel or process that cannot, is left as it was. Source:
 * Documentation/networking/napi.rst (threaded NAPI), sched(7).
 */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/** Longest name of a thread that every kernel tells. */
const COMM_BYTES = 15;

/** Gives the interface's NAPI a thread. False: it cannot be had. `index`: of the interface. */
export function startKernelThread(name: string, index: number): boolean {
  const folder = `/sys/class/net/${name}`;
  try {
    // Not where /sys shows the interfaces of another namespace.
    if (Number(readFileSync(`${folder}/ifindex`, 'utf8')) !== index) return false;
    writeFileSync(`${folder}/threaded`, '1');
  } catch {
    return false;
  }
  const priority = getPriority();
  if (priority !== 0) adopt(name, priority);
  return true;
}

/** A process that goes before others, or behind them, takes the thread along: one waits for the other. */
function adopt(name: string, priority: number): void {
  const comm = `napi/${name}-`.slice(0, COMM_BYTES);
  for (const process of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      if (readFileSync(`/proc/${process}/comm`, 'utf8').startsWith(comm)) setPriority(Number(process), priority);
    } catch {
      // Over already, or not ours to move.
    }
  }
}
