/**
 * Short HTTP requests: `http.js VARIANT MODE SECONDS`. VARIANT is 'node' (node:http on Node's own net, over loopback), 'host' or
 * 'target' (node:http on stack.net over a TUN device, MTU 1500; offloaded to the engine target in this thread or not). MODE is
 * 'kept' (64 connections kept alive) or 'fresh' (a connection for each request). The client is wrk, in the kernel. Root only.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { createStack } from 'chimney';
import { TunLink } from 'chimney/node';
import { report } from '../measure.ts';

const [variant = 'node', mode = 'kept', seconds = '3'] = process.argv.slice(2);
const CONNECTIONS = 64;
const BODY = 'hello, world\n';

function answer(_request: http.IncomingMessage, response: http.ServerResponse): void {
  response.setHeader('Content-Type', 'text/plain');
  response.end(BODY);
}

/** Runs wrk for so many seconds; answers what it printed. */
async function load(url: string, duration: string): Promise<string> {
  const close = mode === 'fresh' ? ['-H', 'Connection: close'] : [];
  const args = ['-t', '1', '-c', String(CONNECTIONS), '-d', `${duration}s`, '--latency', ...close, url];
  const wrk = spawn('wrk', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  wrk.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  const [code] = (await once(wrk, 'close')) as [number];
  if (code !== 0) throw new Error(`wrk: exit status ${code}`);
  return text;
}

/** A number out of wrk's text, behind `label`. Times are in microseconds. */
function figureOf(text: string, label: string): number {
  const found = new RegExp(`${label}\\s+([\\d.]+)(us|ms|s)?`).exec(text);
  if (found === null) throw new Error(`wrk says nothing of '${label}':\n${text}`);
  const scale = { us: 1, ms: 1e3, s: 1e6 }[found[2] ?? 'us'] ?? 1;
  return Number(found[1]) * scale;
}

async function measure(server: http.Server, address: string): Promise<void> {
  server.listen(0, address);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const url = `http://${address}:${port}/`;
  await load(url, '1'); // until the compiler has seen it all
  const cpu = process.cpuUsage();
  const text = await load(url, seconds);
  const used = process.cpuUsage(cpu);
  if (/Socket errors|Non-2xx/.test(text)) process.stderr.write(`${variant} ${mode}: ${text}\n`);
  const requests = figureOf(text, 'Requests/sec:');
  const name = `${variant} ${mode}`;
  report([
    { name, value: requests, unit: 'requests/s' },
    { name: `${name}: p50`, value: figureOf(text, '50%'), unit: 'µs' },
    { name: `${name}: p99`, value: figureOf(text, '99%'), unit: 'µs' },
    { name: `${name}: CPU`, value: (used.user + used.system) / (requests * Number(seconds)), unit: 'µs/request' },
  ]);
  server.closeAllConnections();
  server.close();
}

async function overDevice(): Promise<void> {
  const link = TunLink.open({ addresses: [{ address: Uint8Array.of(10, 203, 21, 1), prefixLength: 24 }] });
  const stack = createStack({
    links: [{ link, addresses: ['10.203.21.2/24'] }],
    ...(variant === 'target' ? { policy: { afterBytes: 1 } } : {}),
  });
  await measure(stack.net.http.createServer(answer), '10.203.21.2');
  await stack.close();
}

if (variant === 'node') await measure(http.createServer(answer), '127.0.0.1');
else await overDevice();
