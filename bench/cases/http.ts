/**
 * Short HTTP requests: `http.js VARIANT MODE SECONDS`. VARIANT is 'node' (node:http on Node's own net, over loopback), 'host' or
 * 'target' (node:http on stack.net over a TUN device, MTU 1500; offloaded to the engine target in this thread or not). MODE is
 * 'kept' (64 connections kept alive) or 'fresh' (a connection for each request). The client is wrk, in the kernel. Each second has a port
 * of the server's to itself: a client has some ten thousand ports for each of those, and connections that are over keep them. Root only.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { createStack } from 'chimney';
import { TunLink } from 'chimney/node';
import { median, report } from '../measure.ts';

const [variant = 'node', mode = 'kept', seconds = '3'] = process.argv.slice(2);
const CONNECTIONS = 64;
const BODY = 'hello, world\n';

function answer(_request: http.IncomingMessage, response: http.ServerResponse): void {
  response.setHeader('Content-Type', 'text/plain');
  response.end(BODY);
}

/** Runs wrk for a second; answers what it printed. */
async function load(url: string): Promise<string> {
  const close = mode === 'fresh' ? ['-H', 'Connection: close'] : [];
  const args = ['-t', '1', '-c', String(CONNECTIONS), '-d', '1s', '--latency', ...close, url];
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

/** A server for a second of load. */
async function serveFor(server: http.Server, address: string): Promise<string> {
  server.listen(0, address);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const text = await load(`http://${address}:${port}/`);
  if (/Socket errors|Non-2xx/.test(text)) process.stderr.write(`${variant} ${mode}: ${text}\n`);
  server.closeAllConnections();
  server.close();
  return text;
}

async function measure(make: () => http.Server, address: string): Promise<void> {
  await serveFor(make(), address); // until the compiler has seen it all
  const cpu = process.cpuUsage();
  const texts: string[] = [];
  for (let i = 0; i < Number(seconds); i++) texts.push(await serveFor(make(), address));
  const used = process.cpuUsage(cpu);
  const each = (label: string): number[] => texts.map((text) => figureOf(text, label));
  const rates = each('Requests/sec:');
  const requests = rates.reduce((sum, rate) => sum + rate, 0);
  const name = `${variant} ${mode}`;
  report([
    { name, value: requests / rates.length, unit: 'requests/s' },
    { name: `${name}: p50`, value: median(each('50%')), unit: 'µs' },
    { name: `${name}: p99`, value: median(each('99%')), unit: 'µs' },
    { name: `${name}: CPU`, value: (used.user + used.system) / requests, unit: 'µs/request' },
  ]);
}

async function overDevice(): Promise<void> {
  const link = TunLink.open({ addresses: [{ address: Uint8Array.of(10, 203, 21, 1), prefixLength: 24 }] });
  const stack = createStack({
    links: [{ link, addresses: ['10.203.21.2/24'] }],
    ...(variant === 'target' ? { policy: { afterBytes: 1 } } : {}),
  });
  await measure(() => stack.net.http.createServer(answer), '10.203.21.2');
  await stack.close();
}

if (variant === 'node') await measure(() => http.createServer(answer), '127.0.0.1');
else await overDevice();
