/**
 * What Node itself offers to this room, asked for at run time rather than imported.
 *
 * The package runs in pages too, where there is no `node:stream`; there the classes of this room can be loaded but not used,
 * and say so, unless somebody brings along what they need (a `process.getBuiltinModule` that has `node:stream` and `node:events`,
 * and Buffer). Everything else of the stack works.
 */

import type { AsyncResource as NodeAsyncResource } from 'node:async_hooks';
import type { EventEmitter as NodeEventEmitter } from 'node:events';
import type { Duplex as NodeDuplex } from 'node:stream';

/** Node's own module of that name, or null where there is none: not Node, or one before 20.16. */
export function builtin<T>(name: string): T | null {
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } };
  return (process?.getBuiltinModule?.(name) as T | undefined) ?? null;
}

const ONLY_IN_NODE =
  "node:net's shape works in Node 20.16 or newer, or with streams brought along (docs/browser.md); elsewhere use the stack's transports";

/** Node's own module of that name; throws a sentence where there is none. */
export function required<T>(name: string): T {
  const found = builtin<T>(name);
  if (found === null) throw new Error(`${name} is needed here: ${ONLY_IN_NODE}`);
  return found;
}

/**
 * The first part of Node's version. Where net of one version differs from that of another, the stack does as the Node that it runs on; in
 * a page, which has none, as the newest.
 */
export const majorOfNode: number = Number.parseInt(versionOfNode(), 10) || Number.POSITIVE_INFINITY;

/** See {@link majorOfNode}: what Node 21 and 22 changed. */
export const isNode20: boolean = majorOfNode <= 20;

function versionOfNode(): string {
  return (globalThis as { process?: { versions?: { node?: string } } }).process?.versions?.node ?? '';
}

class Missing {
  constructor() {
    throw new Error(ONLY_IN_NODE);
  }
}

/** node:stream's Duplex. */
export const Duplex: typeof NodeDuplex =
  builtin<typeof import('node:stream')>('node:stream')?.Duplex ?? (Missing as unknown as typeof NodeDuplex);

/** node:events' EventEmitter. */
export const EventEmitter: typeof NodeEventEmitter =
  builtin<typeof import('node:events')>('node:events')?.EventEmitter ?? (Missing as unknown as typeof NodeEventEmitter);

/** node:events' name for looking at 'error' without being a listener to it. */
export const errorMonitor: symbol =
  builtin<typeof import('node:events')>('node:events')?.EventEmitter.errorMonitor ?? Symbol('error');

/** Where there is no AsyncLocalStorage there is nothing to keep for a callback. */
class NoScope {
  runInAsyncScope<Answer>(task: (...args: unknown[]) => Answer, thisArg?: unknown, ...args: unknown[]): Answer {
    return task.apply(thisArg, args);
  }
  emitDestroy(): this {
    return this;
  }
}

/** node:async_hooks' AsyncResource: what a callback's AsyncLocalStorage holds is what held where the socket was made. */
export const AsyncResource: typeof NodeAsyncResource =
  builtin<typeof import('node:async_hooks')>('node:async_hooks')?.AsyncResource ??
  (NoScope as unknown as typeof NodeAsyncResource);

type Outside = InstanceType<typeof NodeAsyncResource> | null;

/** Made when this module is loaded, which no connection's program does. */
const outside: Outside = builtin('node:async_hooks') === null ? null : new AsyncResource('CHIMNEY');

/**
 * Runs `task` where no AsyncLocalStorage of a program holds anything: what the network brings by itself belongs to nobody, although
 * the turn on which the stack notices was begun by somebody.
 */
export function outsideContexts<T>(task: () => T): T {
  return outside === null ? task() : outside.runInAsyncScope(task);
}

/** `task`, to be called in the async context of now; `type` is libuv's name for what is waited for. */
export function inThisContext<A extends unknown[]>(type: string, task: (...args: A) => void): (...args: A) => void {
  const scope = new AsyncResource(type);
  return (...args) => scope.runInAsyncScope(task, undefined, ...args);
}

/**
 * Runs `task` when the event loop comes to it: what Node learns from the kernel in two calls must not happen in one, because
 * ticks and promises of the program run between them.
 */
export function nextTurn(task: () => void): void {
  if (typeof setImmediate === 'undefined') setTimeout(task, 0);
  else setImmediate(task);
}

/**
 * Runs `task` when the ticks and promises of the program that are due have run, and still before the event loop goes on: what Node learns
 * from the kernel at once, but on its next turn.
 */
export function afterTicks(task: () => void): void {
  process.nextTick(() => queueMicrotask(() => process.nextTick(task)));
}

/** An error of the program's own listener: reported as uncaught, as Node would, without unwinding the stack's turn. */
export function reportUncaught(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}
