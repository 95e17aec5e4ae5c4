/**
 * Two stacks in one process, joined by a wire in memory: an HTTP server of node:http on one, a request from the other.
 *
 *   node dist/examples/hello-http.js
 */
import http from 'node:http';
import { createStack, memoryLinkPair, SystemRuntime } from 'chimney';

const runtime = new SystemRuntime();
const wire = memoryLinkPair({ runtime, impairment: { delayUs: 5000, loss: 0.01 } });
const server = createStack({ runtime, links: [{ link: wire.a, addresses: ['10.0.0.1/24', 'fd00::1/64'] }] });
const client = createStack({ runtime, links: [{ link: wire.b, addresses: ['10.0.0.2/24', 'fd00::2/64'] }] });

const web = server.net.http.createServer((request: http.IncomingMessage, response: http.ServerResponse) => {
  response.end(`hello ${request.socket.remoteAddress}, you asked for ${request.url}\n`);
});

/** Asks once and prints the answer. */
function ask(host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = http.get({ host, path: '/world', agent: client.net.http.agent }, (response) => {
      response.pipe(process.stdout, { end: false });
      response.on('end', resolve);
    });
    request.on('error', reject);
  });
}

web.listen(80, '::', async () => {
  await ask('10.0.0.1');
  await ask('fd00::1');
  web.close();
  await Promise.all([client.close(), server.close()]);
});
