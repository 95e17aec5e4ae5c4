/**
 * A thread that owns devices and runs an application with them: the application's callbacks are called where the frames are read, and
 * its bytes leave from where they lie; nothing crosses between threads but what the application itself says.
 *
 * The application is a module; its `start` is called in the thread with the devices as links, makes a stack of them and answers what is
 * to be done when the thread is closed. The thread is an ordinary worker with an event loop: all of Node works in it.
 * Promises: the devices are the thread's from the call on, and are closed when it is over, however it ends; a close waits no longer
 * than it is told to.
 */

import { MessageChannel, type MessagePort, Worker, type WorkerOptions } from 'node:worker_threads';
import type { DeviceDescription } from './device.ts';
import type { DeviceLink } from './device-link.ts';
import { checkThreadOptions } from './device-options.ts';
import { libc } from './libc.ts';

/** What an application is called with, in its thread. */
export interface DeviceApplicationContext {
  /** The devices, in the order in which they were given. Whatever they become part of is closed by the application. */
  readonly links: readonly DeviceLink[];
  /** As it was given, cloned. */
  readonly data: unknown;
  /** The other end of {@link DeviceThread.port}. */
  readonly port: MessagePort;
}

/** What an application's module exports as `start`. It answers what a close is to call, or nothing. */
export type DeviceApplication = (
  context: DeviceApplicationContext,
) => undefined | DeviceApplicationClose | Promise<undefined | DeviceApplicationClose>;

/** Ends an application: `() => stack.close()`. */
export type DeviceApplicationClose = () => unknown;

/** What a device thread is started with. */
export interface DeviceThreadOptions {
  readonly devices: readonly DeviceDescription[];
  /** For the application; whatever can be cloned. */
  readonly data?: unknown;
  /** Parts of `data` that are moved instead. */
  readonly transferList?: Readonly<NonNullable<WorkerOptions['transferList']>>;
}

/** What the thread's program is given. */
export interface DeviceThreadData {
  readonly application: string;
  readonly devices: readonly DeviceDescription[];
  readonly data: unknown;
  readonly port: MessagePort;
}

/** What the thread says by its parent port, once: it has started. */
export const STARTED = 'started';
/** What it is told: to close. */
export const CLOSE = 'close';

/** Longest time a close waits for the application, milliseconds, unless told otherwise. */
const CLOSE_MS = 5_000;

/**
 * Starts a thread. `application`: the module, a file URL or an absolute path. Rejects with the error of an application that does not
 * start; its devices are closed then.
 */
export async function startDeviceThread(
  application: string | URL,
  options: DeviceThreadOptions,
): Promise<DeviceThread> {
  checkThreadOptions(application, options);
  const thread = new DeviceThread(String(application), options);
  await thread.started;
  return thread;
}

/** A thread that runs. */
export class DeviceThread {
  /** Messages to and from the application. It does not keep the process alive unless it is listened to. */
  readonly port: MessagePort;
  /** For those who want to know how busy it is, or to end it. */
  readonly worker: Worker;
  /** Resolves when it is over and its devices are closed: with null if it was closed, else with what ended it. */
  readonly ended: Promise<Error | null>;
  /** Resolves when the application has started; rejects when that fails. */
  readonly started: Promise<void>;
  #isClosing = false;
  #failure: Error | null = null;

  constructor(application: string, options: DeviceThreadOptions) {
    const { devices, data = null, transferList = [] } = options;
    const { port1, port2 } = new MessageChannel();
    const workerData: DeviceThreadData = { application, devices, data, port: port2 };
    const name = `chimney ${devices.map((device) => device.name).join(' ')}`;
    this.worker = new Worker(programFile(), { workerData, transferList: [port2, ...transferList], name });
    this.port = port1;
    port1.unref();
    this.worker.on('error', (error: unknown) => {
      this.#failure = error instanceof Error ? error : new Error(String(error));
    });
    this.ended = new Promise((resolve) => {
      this.worker.once('exit', (code) => {
        for (const { fd } of devices) libc().close(fd);
        port1.close();
        if (!this.#isClosing) this.#failure ??= new Error(`the device thread ended (exit code ${code})`);
        resolve(this.#failure);
      });
    });
    this.started = new Promise((resolve, reject) => {
      this.worker.once('message', resolve);
      void this.ended.then((error) => reject(error ?? new Error('the device thread was closed before it had started')));
    });
    this.started.catch(() => {});
  }

  /**
   * Lets the application close, and ends the thread; after `timeoutMs` also one that does not. Resolves as {@link ended} does: with what
   * went wrong, or null.
   */
  async close(timeoutMs: number = CLOSE_MS): Promise<Error | null> {
    if (!this.#isClosing) {
      this.#isClosing = true;
      this.worker.postMessage(CLOSE);
    }
    const late = setTimeout(() => {
      this.#failure ??= new Error(`the device thread did not close within ${timeoutMs} ms`);
      void this.worker.terminate();
    }, timeoutMs);
    const error = await this.ended;
    clearTimeout(late);
    return error;
  }
}

/** The thread's program; from the sources, as a test runner has them, it is the compiled one. */
function programFile(): URL {
  const isSource = import.meta.url.endsWith('.ts');
  return new URL(
    isSource ? '../../../dist/src/link/node/device-thread-main.js' : './device-thread-main.js',
    import.meta.url,
  );
}
