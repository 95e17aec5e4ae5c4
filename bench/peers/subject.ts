/**
 * What is compared: a server somewhere, that the kernel's end can reach.
 */

/** A server that runs. */
export interface Running {
  /** Whose CPU time counts. */
  readonly pid: number;
  readonly address: string;
  /** Command before the kernel's end, where that lives in a namespace: `ip netns exec NAME`. */
  readonly prefix?: readonly string[];
  /** The server's word when it went wrong. */
  said(): string;
  stop(): Promise<void>;
}

/** How the kernel's end works with a server, see kernel.c. */
export type Mode = 'in' | 'back' | 'out' | 'drop' | 'echo';

/** One row of the comparison. */
export interface Subject {
  readonly name: string;
  /** One line for the report: what it is and what it has in its favour. */
  readonly what: string;
  readonly modes: readonly Mode[];
  /** 'ours' and 'node' have an event loop whose thread is counted. */
  readonly kind: 'ours' | 'node' | 'kernel' | 'peer';
  /** Whether super-segments and checksums are left to the device. */
  readonly offloads: boolean;
  /** Why it cannot be compared here; null: it can. */
  missing(): string | null;
  start(congestion: string): Promise<Running>;
}
