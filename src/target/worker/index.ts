/**
 * The door `chimney/worker`: a target whose engine is apart from the host, with rings of shared memory between.
 */

export type { ArenaSizes } from './arena.ts';
export { PairedAdapter } from './paired-adapter.ts';
export { WorkerAdapter, type WorkerAdapterOptions } from './worker-adapter.ts';
export type { WorkerControl } from './worker-control.ts';
