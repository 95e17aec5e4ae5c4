/**
 * What a NIC thread takes off the host's thread: `worker.js VARIANT SECONDS`. Two kernel clients on a TUN device; what one sends the
 * application pipes to the other. VARIANT: 'host' (the stack runs it on this thread), 'engine' (offloaded to the engine target,
 * in this thread), 'worker' (offloaded to a NIC thread), or 'moves' (as 'worker', each connection moved to and fro). Root only.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { createStack, type Stack, type StackSocket } from 'chimney';
import { DeviceLink, openTun } from 'chimney/node';
import { workerTarget } from 'chimney/worker';
import { quantile, report } from '../measure.ts';

const [variant = 'worker', seconds = '3'] = process.argv.slice(2);
/** How often a connection is moved: while the compiler sees it for the first times, and while it is measured. */
const WARM_MOVE_MS = 2;
const MOVE_EVERY_MS = 20;
const PREFIX = '10.203.27';

/** The clients: one that sends without end, one that takes and counts. Node's own net, in a process of their own. */
const CLIENTS = `
const net = require('node:net');
const source = net.connect(80, '${PREFIX}.2');
const chunk = Buffer.alloc(1 << 18, 'x');
source.on('error', () => {});
const pour = () => { while (source.writable && source.write(chunk)); };
source.on('connect', () => {
  const sink = net.connect({ port: 80, host: '${PREFIX}.2', onread: { buffer: Buffer.alloc(1 << 18), callback: () => true } });
  sink.on('error', () => {});
  sink.on('connect', pour);
});
source.on('drain', pour);
`;

/** Processor time of this process's first thread, seconds. proc(5): utime and stime, in ticks of 10 ms. */
function hostThreadSeconds(): number {
  const text = readFileSync(`/proc/self/task/${process.pid}/stat`, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

const [device] = openTun({
  addresses: [{ address: Uint8Array.from([...PREFIX.split('.').map(Number), 1]), prefixLength: 24 }],
});
const isThread = variant === 'worker' || variant === 'moves';
const stack: Stack = createStack({
  links: [
    {
      ...(isThread ? workerTarget(device!) : { link: new DeviceLink(device!) }),
      addresses: [`${PREFIX}.2/24`],
    },
  ],
  ...(variant === 'host' ? {} : { policy: { afterBytes: 1 } }),
});

const freezes = { down: [] as number[], back: [] as number[] };
stack.onMove((move) => {
  if (move.status === 'SUCCESS') (move.kind === 'initiate' ? freezes.down : freezes.back).push(move.freezeUs);
});

const sockets: StackSocket[] = [];
const server = stack.net.createServer((socket) => {
  socket.on('error', () => {});
  sockets.push(socket);
});
server.listen(80);
await once(server, 'listening');
const clients = spawn(process.execPath, ['-e', CLIENTS], { stdio: ['ignore', 'inherit', 'inherit'] });
process.once('exit', () => clients.kill());
while (sockets.length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
const [source, sink] = sockets as [StackSocket, StackSocket];
source.pipe(sink);
let turn = 0;
function moveOne(): void {
  // One connection after the other, so that each freeze is that of one move.
  const { chimney } = sockets[turn++ % sockets.length]!;
  if (chimney?.location === 'host') chimney.offload().catch(() => {});
  else if (chimney?.location === 'target') chimney.takeBack().catch(() => {});
}

let moving = variant === 'moves' ? setInterval(moveOne, WARM_MOVE_MS) : undefined;
await new Promise((resolve) => setTimeout(resolve, 4000)); // until the compiler has seen it all
if (moving !== undefined) {
  clearInterval(moving);
  moving = setInterval(moveOne, MOVE_EVERY_MS);
}
await new Promise((resolve) => setTimeout(resolve, 1000));
freezes.down.length = 0;
freezes.back.length = 0;
const bytes = sink.bytesWritten;
const cpu = hostThreadSeconds();
const busy = performance.eventLoopUtilization();
const sinceMs = performance.now();
await new Promise((resolve) => setTimeout(resolve, Number(seconds) * 1000));
const passed = (performance.now() - sinceMs) / 1000;
const gigabytes = (sink.bytesWritten - bytes) / 1e9;
const used = hostThreadSeconds() - cpu;
const { utilization } = performance.eventLoopUtilization(busy);
clearInterval(moving);

const figures =
  variant === 'moves'
    ? (['down', 'back'] as const).flatMap((way) => [
        {
          name: `freeze ${way === 'down' ? 'host to worker' : 'worker to host'} p50`,
          value: quantile(freezes[way], 0.5),
          unit: 'µs',
        },
        {
          name: `freeze ${way === 'down' ? 'host to worker' : 'worker to host'} p99`,
          value: quantile(freezes[way], 0.99),
          unit: 'µs',
        },
      ])
    : [
        { name: `${variant}: forwarded`, value: (gigabytes * 8) / passed, unit: 'Gbit/s' },
        { name: `${variant}: host thread`, value: used / gigabytes, unit: 'CPU s/GB' },
        {
          name: `${variant}: event loop per 10 Gbit/s`,
          value: (utilization / ((gigabytes * 8) / passed)) * 10,
          unit: '',
        },
      ];
report(figures);
for (const socket of sockets) socket.destroy();
process.exit(0);
