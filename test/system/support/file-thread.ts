/** The application of a device thread: files at port 8080 of the address that it is given. */
import type { DeviceApplicationClose, DeviceApplicationContext } from '../../../src/link/node/device-thread.ts';
import { createStack } from '../../../src/stack.ts';
import { serveFiles } from './file-server.ts';

export async function start({ links, data }: DeviceApplicationContext): Promise<DeviceApplicationClose> {
  const stack = createStack({ links: [{ link: links[0]!, addresses: [data as string] }] });
  const server = await serveFiles(stack, 8080, () => {});
  return async () => {
    server.close();
    server.closeAllConnections();
    await stack.close();
  };
}
