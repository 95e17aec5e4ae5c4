/**
 * The door `chimney/worker`: a target whose engine is apart from the host, with rings of shared memory between.
 */

export type { ArenaSizes } from './arena.ts';
export { PairedAdapter } from './paired-adapter.ts';
export { SpreadAdapter } from './spread-adapter.ts';
export { DeathCause, type NicDeath } from './thread-port.ts';
export { WorkerAdapter, type WorkerAdapterOptions } from './worker-adapter.ts';
export type { WorkerControl } from './worker-control.ts';
export { spreadTarget, ThreadAdapter, type WorkerTargetOptions, workerTarget } from './worker-target.ts';
