/**
 * This package as a peer: `server.js DEVICE KERNEL_ADDRESS ADDRESS PLACE OFFLOAD [packet]`. It makes the TUN device itself, or opens the
 * interface that is there as an AF_PACKET socket ('packet'). PLACE is 'host' (the
 * connections stay in this thread), 'target' (each is offloaded to the engine target when it begins), 'worker' (to the NIC thread that
 * owns the device) or 'thread' (all of it, and the application on the stack's callbacks, in a thread that owns the device); OFFLOAD is
 * 'all' or 'none', what is left to the device.
 */
import type net from 'node:net';
import { createStack } from 'chimney';
import { DeviceLink, openPacket, openTun, startDeviceThread } from 'chimney/node';
import { workerTarget } from 'chimney/worker';
import { ready, type Shape, serve } from '../services.ts';

const [name = '', kernelAddress = '', address = '', place = 'host', offload = 'all', kind = 'tun'] =
  process.argv.slice(2);
if (offload !== 'all' && offload !== 'none') throw new Error(`OFFLOAD: expected 'all' or 'none', got '${offload}'`);
const kernel = Uint8Array.from(kernelAddress.split('.'), Number);
const devices =
  kind === 'packet'
    ? [openPacket({ name, offload })]
    : openTun({ name, addresses: [{ address: kernel, prefixLength: 24 }], offload });
if (place === 'thread') {
  const application = new URL('./application.js', import.meta.url);
  const thread = await startDeviceThread(application, { devices, data: address });
  process.on('SIGTERM', () => void thread.close());
  ready();
} else await serveHere();

/** The application in this thread. */
async function serveHere(): Promise<void> {
  const below = place === 'worker' ? workerTarget(devices[0]!) : { link: new DeviceLink(devices[0]!) };
  const stack = createStack({ links: [{ ...below, addresses: [`${address}/24`] }] });
  await serve(stack.net as unknown as Shape, address, (socket: net.Socket) => {
    if (place === 'host') return;
    const { chimney } = socket as unknown as { chimney: { offload(): Promise<unknown> } };
    chimney.offload().catch(() => {});
  });
  process.on('SIGTERM', () => void stack.close().then(() => process.exit(0)));
  ready();
}
