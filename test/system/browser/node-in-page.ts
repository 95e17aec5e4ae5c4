/**
 * What `stack.net` needs of Node, for a page: streams, events and Buffer by the packages that have them, ticks by microtasks.
 *
 * A bundler puts it before everything else (esbuild: `inject`); these packages are CommonJS.
 */
import { Buffer } from 'buffer';
import { EventEmitter } from 'events';
import * as stream from 'readable-stream';

type Task = (...args: unknown[]) => void;

const modules: Readonly<Record<string, unknown>> = { 'node:stream': stream, 'node:events': { EventEmitter } };

Object.assign(globalThis, {
  Buffer,
  process: {
    nextTick: (task: Task, ...args: unknown[]) => queueMicrotask(() => task(...args)),
    emitWarning: (text: string) => console.warn(text),
    getBuiltinModule: (name: string) => modules[name],
    env: {},
  },
});
