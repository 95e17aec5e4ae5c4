/**
 * One connection between the kernel and an application, 64 KiB writes: `device.js VARIANT DIRECTION MIB`. VARIANT is 'node' (node:net
 * over loopback), 'host' or 'target' (stack.net over a TUN device, MTU 1500, with virtio-net header and TSO; offloaded or not),
 * 'host-plain' or 'target-plain' (the same device without any offload). DIRECTION is 'in' (kernel to application) or 'out'.
 * The kernel's end is always a node:net client in a process of its own, with the cubic congestion control. Root only.
 */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { createStack, type Stack } from 'chimney';
import { TunLink } from 'chimney/node';
import { report } from '../measure.ts';

const [variant = 'node', direction = 'in', mib = '1024', host = '', port = '0'] = process.argv.slice(2);
const total = Number(mib) * 2 ** 20;
const CHUNK = Buffer.alloc(65536, 7);
const IPPROTO_TCP = 6;
const TCP_CONGESTION = 13;

/** The same congestion control on every socket of the kernel, whatever the machine's default is. */
function setCubic(socket: Socket): void {
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
  const koffi = createRequire(import.meta.url)('koffi') as {
    load(name: string): { func(prototype: string): (...args: unknown[]) => number };
  };
  const setsockopt = koffi
    .load('libc.so.6')
    .func('int setsockopt(int fd, int level, int option, const char *value, unsigned int length)');
  if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, 'cubic', 5) !== 0) throw new Error('TCP_CONGESTION: cubic refused');
}

/** Writes all, with respect for back-pressure. */
function pour(socket: Socket): void {
  let sent = 0;
  const go = (): void => {
    while (sent < total) {
      sent += CHUNK.length;
      if (!socket.write(CHUNK)) {
        socket.once('drain', go);
        return;
      }
    }
    socket.end();
  };
  go();
}

/** Resolves when all has come; answers how many bytes. */
function drain(socket: Socket): Promise<number> {
  return new Promise((resolve) => {
    let received = 0;
    socket.on('data', (data: Buffer) => {
      received += data.length;
    });
    socket.on('end', () => resolve(received));
  });
}

/** The kernel's end. */
async function peer(): Promise<void> {
  const socket = createConnection(Number(port), host);
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
  setCubic(socket);
  if (direction === 'in') {
    pour(socket);
    socket.resume();
    await new Promise<void>((resolve) => socket.once('close', () => resolve()));
    return;
  }
  const received = await drain(socket);
  if (received !== total) throw new Error(`received ${received} of ${total} bytes`);
  socket.end();
}

/** Serves one connection; answers the figures. */
async function serve(server: Server, address: string): Promise<void> {
  const connected = new Promise<Socket>((resolve) => server.once('connection', resolve));
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const { port: bound } = server.address() as { port: number };
  const file = fileURLToPath(import.meta.url);
  const args = [file, 'peer', direction, mib, address, String(bound)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const ended = new Promise<number>((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
  const socket = await connected;
  if (variant === 'node') setCubic(socket);
  else if (variant.startsWith('target')) {
    await (socket as unknown as { chimney: { offload(): Promise<unknown> } }).chimney.offload();
  }
  const start = performance.now();
  const before = performance.eventLoopUtilization();
  const cpu = process.cpuUsage();
  if (direction === 'in') {
    const received = await drain(socket);
    if (received !== total) throw new Error(`received ${received} of ${total} bytes`);
  } else {
    pour(socket);
    await drain(socket);
  }
  const seconds = (performance.now() - start) / 1000;
  const used = process.cpuUsage(cpu);
  const busy = performance.eventLoopUtilization(before).utilization;
  socket.end();
  if ((await ended) !== 0) throw new Error('the kernel end failed');
  server.close();
  report([
    { name: `${variant} ${direction}`, value: (total * 8) / seconds / 1e9, unit: 'Gbit/s' },
    { name: `${variant} ${direction}: event loop busy`, value: busy * 100, unit: '%' },
    { name: `${variant} ${direction}: CPU`, value: (used.user + used.system) / 1e6 / (total / 1e9), unit: 's/GB' },
  ]);
}

async function overDevice(): Promise<void> {
  const device = TunLink.open({
    addresses: [{ address: Uint8Array.of(10, 203, 9, 1), prefixLength: 24 }],
    offload: variant.endsWith('-plain') ? 'none' : 'all',
  });
  const stack: Stack = createStack({
    tcp: { receiveBuffer: 4 << 20 },
    links: [{ link: device, addresses: ['10.203.9.2/24'] }],
  });
  await serve(stack.net.createServer({ allowHalfOpen: true }) as unknown as Server, '10.203.9.2');
  await stack.close();
}

if (variant === 'peer') await peer();
else if (variant === 'node') await serve(createServer({ allowHalfOpen: true }), '127.0.0.1');
else await overDevice();
