/**
 * The program of a device thread: makes links of the devices, starts the application with them, and closes it when told to.
 *
 * The whole module is its side effect. An application that throws, at its start or in a callback of its own, ends the thread.
 */

import { isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { DeviceLink } from './device-link.ts';
import { CLOSE, type DeviceApplication, type DeviceThreadData, STARTED } from './device-thread.ts';

async function main({ application, devices, data, port }: DeviceThreadData): Promise<void> {
  const { href } = isAbsolute(application) ? pathToFileURL(application) : new URL(application);
  const { start } = (await import(href)) as { start?: unknown };
  if (typeof start !== 'function') throw new TypeError(`${href}: expected an exported function 'start'`);
  const links = devices.map((device) => new DeviceLink(device, false, true, true));
  port.unref();
  const close = await (start as DeviceApplication)({ links, data, port });
  const parent = parentPort!;
  parent.on('message', (message: unknown) => {
    if (message !== CLOSE) return;
    parent.removeAllListeners('message');
    void ended(close);
  });
  parent.postMessage(STARTED);
}

/** Whatever is still open afterwards does not keep the thread. */
async function ended(close: unknown): Promise<void> {
  if (typeof close === 'function') await close();
  process.exit();
}

await main(workerData as DeviceThreadData);
